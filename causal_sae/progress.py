"""Progress bars with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def bar(
    console: Console, label: str, total: int, *, transient: bool = False, unit: str = "tokens"
) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` units of work; call what it yields with the number that is done.

    A ``transient`` bar leaves nothing on the screen.
    """
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}", style="green"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, advance=done)


@contextmanager
def busy(console: Console, label: str) -> Iterator[None]:
    """A spinner for work that takes seconds; nothing where the output is no terminal."""
    with console.status(f"[bold]{label}[/bold]"):
        yield
