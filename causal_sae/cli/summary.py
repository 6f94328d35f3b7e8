"""What a command shows of a finished run: the effects, the verdict, and where the page is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from causal_sae.run import Run


def show_run(run: Run, console: Console) -> None:
    """Print the checks, the table of effects, the verdict and the report's path."""
    from causal_sae.reporting.terminal import print_results

    print_results(run.record(), console, run.report)
