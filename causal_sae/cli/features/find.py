"""``causal-sae features find``: features for a concept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from causal_sae.cli.features.options import StoreArgument
from causal_sae.errors import DataError, Place

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.feature_tables import FeatureStore

NAME = "find"


def command(
    store: StoreArgument,
    query: Annotated[
        str | None,
        typer.Argument(metavar="[QUERY]", help="Words; alternatives by commas."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="A text: what fires on it.")] = None,
    positive: Annotated[
        Path | None,
        typer.Option(help="Texts of the concept: txt (one a line), csv, jsonl or parquet."),
    ] = None,
    negative: Annotated[Path | None, typer.Option(help="Texts without it, else alike.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="For --prompt and --positive: a trial, or a model with --sae. "
            "[default: STORE, where it is a trial]"
        ),
    ] = None,
    sae: Annotated[str | None, typer.Option(help="The SAE, where --model is no trial.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Rows.", min=1)] = 15,
    out: Annotated[Path | None, typer.Option(help="Write all rows to this csv.")] = None,
) -> None:
    """Find features by words, by a prompt that activates them, or by texts with and without it.

    Words are looked for in the store's examples and in the tokens that a feature raises. A contrast
    ranks every feature by its AUROC, with an interval and p-values adjusted over all features.

    Example: [bold]causal-sae features find features/smollm2-layer8 "treaty, treaties"[/bold]
    """
    from causal_sae.features.places import store_at
    from causal_sae.reporting.features.terminal import found_table

    ways = [query is not None, prompt is not None, positive is not None or negative is not None]
    if sum(ways) != 1 or (positive is None) != (negative is None):
        raise DataError(
            "give words, or --prompt, or both --positive and --negative",
            Place(field="causal-sae features find"),
        )
    found = store_at(store)
    if query is not None:
        from causal_sae.features.find import by_words

        table = by_words(found, query)
    else:
        contrast = None if positive is None or negative is None else (positive, negative)
        table = _with_model(found, (model or str(store), sae), prompt, contrast)
    if out is not None:
        table.to_csv(out, index=False)
    Console().print(found_table(table.head(count), found.features, len(table)))


def _with_model(
    found: FeatureStore,
    named: tuple[str, str | None],
    prompt: str | None,
    contrast: tuple[Path, Path] | None,
) -> pd.DataFrame:
    """What needs the model to be loaded."""
    from causal_sae.features.desk import open_desk
    from causal_sae.features.find import by_contrast, by_prompt
    from causal_sae.spec.naming import sources

    desk = open_desk(*sources(*named), Console(stderr=True))
    if desk.sae.config.d_sae != len(found.features):
        raise DataError(
            f"the store has {len(found.features)} features and the SAE {desk.sae.config.d_sae}: "
            "name the store of this SAE",
            Place(field="STORE"),
        )
    if contrast is not None:
        return by_contrast(desk, *contrast, alpha=0.05)
    return by_prompt(desk, str(prompt), found.features.set_index("feature")["density"])
