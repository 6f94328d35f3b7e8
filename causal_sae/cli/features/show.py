"""``causal-sae features show``: cards of features, in the terminal or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from causal_sae.cli.features.options import StoreArgument

NAME = "show"


def command(
    store: StoreArgument,
    features: Annotated[
        list[int], typer.Argument(metavar="FEATURE...", help="One or several.", show_default=False)
    ],
    html: Annotated[Path | None, typer.Option(help="Write the cards to this page instead.")] = None,
    runs: Annotated[Path, typer.Option(help="Where finished trials are looked for.")] = Path(
        "runs"
    ),
    contexts: Annotated[int, typer.Option(help="Strongest contexts shown.", min=1)] = 6,
) -> None:
    """Show what a feature fires on, how it is spread, what it raises, and what trials found of it.

    Example: [bold]causal-sae features show features/smollm2-layer8 2752 --html card.html[/bold]
    """
    from causal_sae.features.effects import effects_of
    from causal_sae.features.places import store_at
    from causal_sae.reporting.features.card import cards
    from causal_sae.reporting.features.page import write_cards
    from causal_sae.reporting.features.terminal import show_card

    found = store_at(store)
    for feature in features:
        found.row(feature)  # a wrong number is told before anything is shown
    effects = effects_of(features, runs, found.manifest.get("hashes", {}).get("sae"))
    made = cards(found, list(dict.fromkeys(features)), effects)
    console = Console()
    if html is not None:
        console.print(f"written to {write_cards(made, html, found.about)}", highlight=False)
        return
    for number, card in enumerate(made):
        if number:
            console.rule()
        show_card(card, console, contexts)
