"""``causal-sae features``: extract, list, show, find and match the features of an SAE."""

from __future__ import annotations

from causal_sae.cli.features import extract, find, listing, match, show

NAME = "features"
HELP = (
    "What an SAE's features fire on, how good they are, and which resemble each other.\n\n"
    "Example: [bold]causal-sae features list packs/smollm2-layer8 --sort density[/bold]"
)
COMMANDS = (extract, listing, show, find, match)
