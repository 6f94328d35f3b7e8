"""The command line: one file a command, and one line here."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from causal_sae.cli import (
    allocate,
    assign,
    concepts,
    diagnose,
    doctor,
    estimate,
    export,
    features,
    fetch,
    looks,
    new,
    pilot,
    power,
    register,
    report,
    run,
    schema,
    screen,
    steer,
    validate,
)
from causal_sae.errors import CausalSAEError

P = ParamSpec("P")

STOPPED = 130
"""The exit code of a command that the user stopped."""


def speaking(command: Callable[P, None]) -> Callable[P, None]:
    """The command, saying in a sentence what went wrong and leaving with the exit code for it.

    0 fine, 1 the work failed, 2 the input is wrong; never a traceback, unless the environment
    variable ``CAUSAL_SAE_DEBUG`` asks for it.
    """

    @wraps(command)
    def said(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CausalSAEError as error:
            _say("error", str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stop:
            _say("stopped", _how_to_go_on(stop, str(kwargs.get("trial", "TRIAL"))))
            raise typer.Exit(STOPPED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            if os.environ.get("CAUSAL_SAE_DEBUG"):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _say(
                "error",
                f"{reason}\nThis is not an error of yours that causal-sae knows of; run it again "
                "with CAUSAL_SAE_DEBUG=1 to see where it happened, and report it.",
            )
            raise typer.Exit(1) from None

    return said


def _how_to_go_on(stop: KeyboardInterrupt, trial: str) -> str:
    folder = getattr(stop, "folder", None)
    if folder is None:
        return "nothing was written"
    command = shlex.join([*_again(trial), "--out", str(folder.path), "--resume"])
    return f"what is done is kept in {folder.path}; go on with\n  {command}"


def _again(trial: str) -> list[str]:
    """The words of the command that was stopped, without those that going on gives anew."""
    words = sys.argv[1:]
    if words[:1] not in (["screen"], ["features"], ["concepts"]):
        return ["causal-sae", "run", trial]
    kept: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if before != "--out" and word not in ("--out", "--resume") and word[:6] != "--out=":
            kept.append(word)
    return ["causal-sae", *kept]


def _say(what: str, message: str) -> None:
    style = "bold yellow" if what == "stopped" else "bold red"
    text = Text.assemble((what, style), " ", message)
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


app = typer.Typer(
    name="causal-sae",
    help="Randomised controlled trials of what a sparse-autoencoder feature does to a model.\n\n"
    "Example: [bold]causal-sae run trials/scripture[/bold]",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(doctor, fetch, new, validate, pilot, power, looks, allocate, diagnose, register),
    *(assign, run, screen, concepts, estimate, report, export, steer, schema),
):
    app.command(command.NAME)(speaking(command.command))
group = typer.Typer(
    help=features.HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in features.COMMANDS:
    group.command(command.NAME)(speaking(command.command))
app.add_typer(group, name=features.NAME)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(STOPPED)
