"""``causal-sae steer MODEL``: text with a feature set, beside the untouched model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

NAME = "steer"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A trial (its model and SAE are taken), a model's folder or .gguf file, "
        "package:NAME/FILE, or a name on the hub.",
        show_default=False,
    ),
]


def command(
    model: ModelArgument,
    feature: Annotated[
        list[int], typer.Option("--feature", "-f", help="The feature; may be given several times.")
    ],
    sae: Annotated[
        str | None, typer.Option(help="The SAE: a folder, saelens:RELEASE/ID, or a hub name.")
    ] = None,
    hook: Annotated[str | None, typer.Option(help="Where it reads. [default: as it says]")] = None,
    how: Annotated[str, typer.Option(help="clamp, add or scale.")] = "clamp",
    dose: Annotated[
        str, typer.Option(help="In activation units (12.5) or of the feature's own (4q99, 2max).")
    ] = "4q99",
    prompt: Annotated[str | None, typer.Option(help="Continue this once, and stop.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Prompts are turns of a chat.")] = False,
    tokens: Annotated[int, typer.Option(help="How many tokens are written.", min=1)] = 60,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0.0)] = 0.7,
    seed: Annotated[int, typer.Option(help="For sampling.", min=0)] = 0,
    sweep: Annotated[bool, typer.Option("--sweep", help="Try a ladder of doses.")] = False,
    keywords: Annotated[
        str | None, typer.Option(help="Words that stand for the concept, by commas.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where --sweep writes its table, texts and figure.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write a trial of this setting to a new folder.")
    ] = None,
) -> None:
    """Write text with a feature set, side by side with the untouched model.

    Without [bold]--prompt[/bold], [bold]--sweep[/bold] or [bold]--save[/bold] it asks for prompts
    until you leave; [bold]/help[/bold] lists its commands. [bold]/save[/bold] turns a demonstration
    into a trial.

    Example: [bold]causal-sae steer trials/golden --feature 2752 --dose 3q99[/bold]
    """
    from causal_sae.cli.steering import Desk, open_desk
    from causal_sae.spec.outcomes import Generate
    from causal_sae.steering.dose import Setting, parse_dose, parse_how

    console = Console()
    setting = Setting(tuple(feature), parse_dose(dose), parse_how(how))
    generate = Generate(max_new_tokens=tokens, temperature=temperature)
    words = tuple(word.strip() for word in (keywords or "").split(",") if word.strip())
    session = open_desk(model, sae, hook, chat, seed, Console(stderr=True))
    desk = Desk(console, session, setting, generate, words)
    session.treatment(setting)  # a wrong feature or dose is told before anything is written
    if sweep:
        desk.sweep(out)
    if prompt is not None:
        desk.write(prompt)
    if save is not None:
        desk.save(save)
    if not sweep and prompt is None and save is None:
        desk.talk()
