"""What a command shows of a finished run: the verdict, the effects, and where the page is."""

from __future__ import annotations

from rich.console import Console

from causal_sae.run import Run


def show_run(run: Run, console: Console) -> None:
    """Print the effect table, the verdict and the report's path."""
    from causal_sae.reporting.terminal import checks_table, effects_table, verdict_line

    record = run.record()
    console.print()
    if record.diagnostics is not None:
        console.print(checks_table(record.diagnostics))
    console.print(effects_table(record.effects))
    console.print(verdict_line(record))
    console.print(f"[dim]report[/dim]  {run.report}", soft_wrap=True, highlight=False)
