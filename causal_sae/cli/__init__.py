"""The command line: one file a command, and one line here."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from causal_sae.cli import (
    assign,
    doctor,
    estimate,
    export,
    fetch,
    report,
    run,
    schema,
    validate,
)
from causal_sae.errors import CausalSAEError

app = typer.Typer(
    name="causal-sae",
    help="Randomised controlled trials of what a sparse-autoencoder feature does to a model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (doctor, fetch, validate, assign, run, estimate, report, export, schema):
    app.command(command.NAME)(command.command)


def main() -> None:
    """Run the command line: 0 fine, 1 the work failed, 2 the input is wrong; never a traceback."""
    try:
        app()
    except CausalSAEError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("stopped; a run goes on where it was with the same command and --resume")
        sys.exit(130)


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]error[/bold red] {_plain(message)}"
    )


def _plain(message: str) -> str:
    """The message with its brackets kept: they are fields of the trial, not markup."""
    return message.replace("[", r"\[")
