"""``causal-sae report RUN``: draw the figures and write the page again."""

from __future__ import annotations

from rich.console import Console

from causal_sae.cli.options import RunArgument

NAME = "report"


def command(run: RunArgument) -> None:
    """Write the CONSORT-style page of a run.

    Example: [bold]causal-sae report runs/scripture/20261122-210000[/bold]
    """
    from causal_sae.cli.summary import show_run
    from causal_sae.pipeline import report_run
    from causal_sae.run import load_run

    finished = load_run(run)
    report_run(finished.folder)
    show_run(finished, Console())
