"""``causal-sae screen TRIAL``: every feature against the outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from causal_sae.cli.options import TrialArgument

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.screening.confirm import Forecast
    from causal_sae.screening.run import Screen

NAME = "screen"


def command(
    trial: TrialArgument,
    out: Annotated[
        Path | None, typer.Option(help="The folder. [default: screens/NAME/TIME]")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="Minutes for the ablations; largest attributions first. [default: all]"),
    ] = None,
    per_feature: Annotated[
        int, typer.Option(help="Prompts on which a feature is ablated, at most.", min=10)
    ] = 50,
    hold_out: Annotated[
        float, typer.Option(help="Share of the prompts kept for --confirm.", min=0.0, max=0.9)
    ] = 0.3,
    choose: Annotated[
        float,
        typer.Option(
            help="Share of the other prompts that choose the features, and test none.",
            min=0.0,
            max=0.9,
        ),
    ] = 0.0,
    top: Annotated[
        int | None,
        typer.Option(help="With --choose: so many features are chosen. [default: all]", min=1),
    ] = None,
    confirm: Annotated[
        Path | None,
        typer.Option(help="Write the confirmatory trial of the hits to this file."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Rows shown.", min=1)] = 15,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a screen.")] = False,
) -> None:
    """Ablate every feature of the SAE and say which change the outcomes, with error control.

    The trial has an arm with [bold]features: all[/bold]. First the effect of every feature is
    attributed by a gradient; then features are ablated one by one on prompts on which they fire.

    Example: [bold]causal-sae screen trials/screen --budget 10 --confirm hits.yaml[/bold]
    """
    from causal_sae.screening.run import Options, run_screen
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial, screen=True)
    options = Options(per_feature, budget, hold_out, choose, top, resume)
    console = Console()
    finished = run_screen(declared, out, options, Console(stderr=True))
    _show(finished, console, count)
    if confirm is not None:
        from causal_sae.screening.confirm import write_confirmation

        _confirmed(write_confirmation(finished, declared, confirm), confirm, console)


def _show(finished: Screen, console: Console, count: int) -> None:
    from causal_sae.reporting.figures import save_figures
    from causal_sae.reporting.figures.volcano import volcano
    from causal_sae.reporting.screen import hits_table

    features = _features(finished)
    outcomes = [outcome.name for outcome in finished.trial.outcomes]
    for name in outcomes:
        console.print()
        console.print(hits_table(finished.table, name, features, count, console.width))
    for one in finished.agreement:
        console.print(
            f"[dim]attribution and ablation of {one.outcome} on {one.features} random features: "
            f"rank correlation {one.rank_correlation:.2f} ({one.low:.2f} to {one.high:.2f}), same "
            f"sign {one.same_sign:.0%}[/dim]",
            highlight=False,
        )
    for row in finished.discoveries.to_dict("records"):
        console.print(
            f"[dim]{row['outcome']}, {row['of']}: at least {row['true_discoveries']} of "
            f"{row['tests']:,} are real ({row['confidence']:.0%} confidence)[/dim]",
            highlight=False,
        )
    figures = {f"volcano-{name}": volcano(finished.table, name) for name in outcomes}
    save_figures(figures, finished.folder.figures)
    console.print(f"[dim]written:[/dim] {finished.folder.path}", highlight=False, soft_wrap=True)


def _features(finished: Screen) -> pd.DataFrame | None:
    """The features table beside the SAE, where there is one."""
    from causal_sae.feature_tables import FeatureStore, features_file
    from causal_sae.spec.sources import PathSource

    sae = finished.trial.sae
    if sae is None or not isinstance(sae.source, PathSource):
        return None
    folder = finished.trial.folder / sae.source.path
    return FeatureStore(folder).features if features_file(folder).is_file() else None


def _confirmed(found: list[Forecast], path: Path, console: Console) -> None:
    from causal_sae.reporting.features.terminal import number, plain_table

    table = plain_table(
        *(">feature", ">in the screen", ">shrunken", ">power", ">prompts for 0.8"),
        caption=f"[dim]confirmatory trial on held-out prompts: {path}[/dim]",
    )
    for one in found:
        need = "-" if one.required is None else f"{one.required:,}"
        cells = (number(one.estimate), number(one.shrunken), f"{one.power:.2f}", need)
        table.add_row(str(one.feature), *cells)
    console.print()
    console.print(table)
