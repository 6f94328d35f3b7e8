"""``causal-sae features match``: the placebos of a feature, and how alike they are."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.features.options import StoreArgument

NAME = "match"


def command(
    store: StoreArgument,
    features: Annotated[
        list[int], typer.Argument(metavar="FEATURE...", help="The treated.", show_default=False)
    ],
    draws: Annotated[int, typer.Option(help="Placebos of each.", min=1)] = 10,
    on: Annotated[
        str, typer.Option(help="What must be alike, by commas.")
    ] = "density,mean_activation,decoder_norm",
    caliper: Annotated[
        float | None,
        typer.Option(
            help="The largest difference allowed in each, in standard deviations of its "
            "logarithm; 0.2 is common.",
            min=0.0,
        ),
    ] = None,
    max_cosine: Annotated[
        float, typer.Option(help="Features that write more in a treated one's way are left out.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Deals the placebos out.", min=0)] = 0,
) -> None:
    """Find features that fire like a feature but write elsewhere: its placebos.

    A trial draws its own by the same rules; here they can be looked at before.

    Example: [bold]causal-sae features match features/smollm2-layer8 2752 --caliper 0.5[/bold]
    """
    from causal_sae.features.placebos import placebos
    from causal_sae.features.places import store_at
    from causal_sae.reporting.features.terminal import balance_table

    found = store_at(store)
    match = tuple(name.strip() for name in on.split(",") if name.strip())
    table, note = placebos(found, features, match, draws, caliper, max_cosine, seed)
    console = Console()
    console.print(balance_table(table))
    console.print(f"[dim]{note}[/dim]", highlight=False)
