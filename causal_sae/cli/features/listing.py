"""``causal-sae features list``: the features as a table."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.features.options import StoreArgument
from causal_sae.errors import DataError, Place, did_you_mean

NAME = "list"


def command(
    store: StoreArgument,
    sort: Annotated[str, typer.Option(help="A column of the features table.")] = "density",
    ascending: Annotated[bool, typer.Option("--ascending", help="Smallest first.")] = False,
    group: Annotated[
        str | None, typer.Option(help="Sort by how well each tells this group from the others.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Rows.", min=1)] = 20,
    at_least: Annotated[
        int, typer.Option(help="Leave out features that fired at fewer positions.", min=0)
    ] = 20,
) -> None:
    """List features by any of their measures.

    Example: [bold]causal-sae features list packs/smollm2-layer8 --sort density[/bold]
    """
    from causal_sae.features.listing import listed
    from causal_sae.features.places import store_at
    from causal_sae.reporting.features.terminal import feature_list

    found = store_at(store)
    table = found.features
    if sort not in table or table[sort].dtype == "string":
        numbers = [str(c) for c in table if table[c].dtype != "string"]
        raise DataError(
            f"must be a column of numbers, got {sort!r}; {did_you_mean(sort, numbers)}",
            Place(field="--sort"),
        )
    chosen, by = listed(found, sort, ascending, group, at_least)
    console = Console()
    console.print(feature_list(chosen.head(count), len(chosen), by, console.width))
