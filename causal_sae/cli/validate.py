"""``causal-sae validate TRIAL``: everything that can be known without the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from causal_sae.cli.options import TrialArgument

if TYPE_CHECKING:
    from rich.table import Table

    from causal_sae.spec.trial import Trial

NAME = "validate"


def command(trial: TrialArgument) -> None:
    """Check a trial file and its prompts; print arms, units, contrasts and family sizes.

    Never loads torch: words that are several tokens and features out of range are found by
    [bold]run[/bold], before anything is written.

    Example: [bold]causal-sae validate trials/scripture[/bold]
    """
    from causal_sae.piloting.units import used_count
    from causal_sae.spec.files import check_files
    from causal_sae.spec.loading import load_trial_file

    declared = load_trial_file(trial)
    summary = check_files(declared)
    console = Console()
    console.print(f"[bold green]valid[/bold green]  {declared.path}", highlight=False)
    table = overview(declared.trial, summary.units if summary else None)
    used = used_count(declared)
    if used:
        table.add_row(
            "in the pilot", f"{used:,}: runs leave out those that are in the prompts file"
        )
    console.print(table)


def overview(trial: Trial, units: int | None) -> Table:
    """Arms, units, contrasts and family sizes."""
    from rich.table import Table

    from causal_sae.spec.combinations import combinations

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("question", trial.question)
    table.add_row("status", trial.status)
    table.add_row("units", "no prompts declared" if units is None else f"{units:,}")
    if trial.population is not None and trial.population.enrich is not None:
        rule = trial.population.enrich
        table.add_row("drawn", f"{rule.exposed:,} exposed, {rule.unexposed:,} unexposed prompts")
    table.add_row("assignment", trial.assignment.method)
    arms = (f"{arm.name} ({arm.intervention.kind})" for arm in trial.arms)
    table.add_row("arms", ", ".join(arms))
    table.add_row("contrasts", ", ".join(f"{a} - {b}" for a, b in trial.contrasts))
    several = ", ".join(f"{one.treatment} - {one.reference}" for one in combinations(trial))
    if several:
        table.add_row("several arms", several)
    outcomes = (f"{o.name} ({o.metric}, {o.role})" for o in trial.outcomes)
    table.add_row("outcomes", ", ".join(outcomes))
    if trial.analysis.looks is not None:
        from causal_sae.reporting.wording import looks

        table.add_row("looks", looks(trial.analysis.looks))
    method = trial.analysis.multiplicity.method
    sizes = ", ".join(f"{name}: {size}" for name, size in families(trial).items())
    table.add_row("families", f"{sizes} tests, corrected by {method}")
    return table


def families(trial: Trial) -> dict[str, int]:
    """How many tests stand in each family."""
    from causal_sae.spec.combinations import combinations

    multiplicity = trial.analysis.multiplicity
    sizes: dict[str, int] = {}
    for outcome in trial.outcomes:
        family = multiplicity.family_of(outcome.role, outcome.name)
        sizes[family] = sizes.get(family, 0) + len(trial.contrasts)
        sizes[family] += len(combinations(trial, outcome))
    return sizes
