"""``causal-sae features extract``: a feature store from a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

NAME = "extract"


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A trial (its model and SAE are taken), a model's folder or .gguf file, "
            "package:NAME/FILE, or a name on the hub.",
            show_default=False,
        ),
    ],
    corpus: Annotated[
        Path,
        typer.Argument(
            metavar="CORPUS",
            help="A file, or a folder of files: txt (one document each), csv, jsonl or parquet "
            "(one document a row).",
            show_default=False,
        ),
    ],
    sae: Annotated[
        str | None, typer.Option(help="The SAE: a folder, saelens:RELEASE/ID, or a hub name.")
    ] = None,
    hook: Annotated[str | None, typer.Option(help="Where it reads. [default: as it says]")] = None,
    text: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    label: Annotated[
        str | None,
        typer.Option(help="A column that groups documents, or `folder`; features are compared."),
    ] = None,
    context: Annotated[
        int | None, typer.Option(help="Tokens in a sequence. [default: 128]", min=2)
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Stop after this many. [default: the whole corpus]", min=1)
    ] = None,
    top: Annotated[int, typer.Option(help="Strongest contexts kept of each feature.", min=2)] = 12,
    others: Annotated[
        int, typer.Option(help="Contexts kept of each range below the top.", min=0)
    ] = 4,
    replicate: Annotated[
        str | None,
        typer.Option(help="Another SAE of the same activations: which features it has too."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The store's folder; beside the SAE, trials find it. "
            "[default: features/NAME of the SAE]"
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a kill.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a store that is there anew.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Remove the activations when the tables are made.")
    ] = False,
) -> None:
    """Read a corpus once and write down what every feature does in it.

    One row a feature: how often and how strongly it fires, on which tokens, which tokens it raises,
    how sharp and cohesive it is; beside it examples from every range of its activation, its
    neighbours, and with --label how well it tells each group of documents from the others.

    Example: [bold]causal-sae features extract trials/golden corpus.jsonl --label source[/bold]
    """
    from dataclasses import replace as with_changes

    from causal_sae.features.desk import open_desk
    from causal_sae.features.extract import Options, extract, require_free
    from causal_sae.reporting.features.terminal import store_summary
    from causal_sae.saes.features.examples import Wanted
    from causal_sae.saes.load import open_sae
    from causal_sae.spec.corpus import Corpus
    from causal_sae.spec.naming import sae_named, short_name, sources

    progress = Console(stderr=True)
    documents = Corpus(corpus, text, label)
    model_spec, sae_spec, base = sources(model, sae, hook)
    target = out or Path("features") / short_name(sae_spec)
    options = Options(
        context, tokens, Wanted(top, others), discard=discard, resume=resume, replace=replace
    )
    require_free(target, options)
    next(documents.documents(), None)  # a wrong column is told before a model is loaded
    desk = open_desk(model_spec, sae_spec, base, progress)
    if replicate is not None:
        twin = open_sae(sae_named(replicate, base, desk.sae.config.hook), base)
        options = with_changes(options, replicate=twin)
    store = extract(desk, documents, target, options, progress)
    Console().print(store_summary(store))
