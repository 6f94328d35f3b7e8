"""Write the reference pages from the code, so that they cannot go stale.

Run from the repository: ``python docs/build_reference.py``. A test holds the written pages
against what this script would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import typer
from column_texts import EXTRA_COLUMNS, FILES, MEANINGS, REFUTERS
from feature_texts import CONCEPT_FILES, SCREEN_FILES, STORE_FILES
from markdown_table import NOTE, plain, table
from trial_file_page import trial_file

from causal_sae import errors as tree
from causal_sae import plan_tables
from causal_sae import tables as contracts
from causal_sae.cli import app
from causal_sae.errors import SAEError
from causal_sae.estimation.choice import PREFERRED, UNAVAILABLE
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.multiplicity import UNAVAILABLE as LATER
from causal_sae.execution.families import FAMILIES
from causal_sae.execution.hook_points import SITES, resolve
from causal_sae.execution.metrics import METRICS
from causal_sae.execution.text_metrics import TEXT_METRICS
from causal_sae.feature_tables import COMPANIONS
from causal_sae.flags import FLAGS
from causal_sae.spec import outcomes
from causal_sae.spec.concepts import ConceptTrial
from causal_sae.spec.verdicts import VERDICTS

HERE = Path(__file__).parent / "reference"


WRITTEN = {
    "power": "Written by `causal-sae power` as `power.csv`: one row a contrast and method.",
    "diagnosis": "Written by `causal-sae diagnose` as `diagnosis.csv`, and drawn as "
    "`diagnosis.png` and `diagnosis.svg`: one row a design and contrast.",
    "looks": "Written by runs of trials with looks before their end as `tables/looks.csv`: one row "
    "a look and primary contrast.",
    "looks_plan": "Written by `causal-sae looks` as `looks.csv`: one row a look and primary "
    "contrast.",
    "power_curve": "Written by `causal-sae power` as `power_curve.csv`, and drawn as `power.png` "
    "and `power.svg`: one row a contrast and size.",
}
"""Tables that only causal-sae writes, and where."""


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` tells them."""
    group: Any = typer.main.get_command(app)
    parts = [
        NOTE + "# Commands\n\n"
        "Exit codes: 0 fine, 1 the work failed, 2 the input is wrong, 130 stopped by Ctrl-C. "
        "Every command has `--help`.\n"
    ]
    for name, command in group.commands.items():
        parts += _command(f"causal-sae {name}", command, "##")
        for own, inner in getattr(command, "commands", {}).items():
            parts += _command(f"causal-sae {name} {own}", inner, "###")
    return "\n".join(parts)


def _command(name: str, command: Any, heading: str) -> list[str]:
    """One command, or a group's own words."""
    words = [name, *(_metavar(p) for p in _arguments(command))]
    if getattr(command, "commands", None):
        return [f"\n{heading} {name}\n\n{_prose(command.help)}"]
    parts = [f"\n{heading} {name}\n\n```bash\n{' '.join(words)}\n```\n", _prose(command.help)]
    rows = [(_flags(p), _plain(p.help or ""), _shown_default(p)) for p in command.params]
    return [*parts, table(("argument or option", "meaning", "default"), rows) if rows else ""]


def _arguments(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "argument"]


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _flags(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    return ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))


def _shown_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    said = re.search(r"\[default: (.*?)\]", parameter.help or "")
    if said:
        return said[1]
    default = parameter.default
    silent = default is None or default is False or callable(default)
    return "" if silent or "Sentinel" in type(default).__name__ else f"`{default}`"


def _plain(text: str) -> str:
    return re.sub(r"\s*\[default: .*?\]", "", text)


def _prose(text: str) -> str:
    """A command's help, its rich markup turned into Markdown."""
    return re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", text.strip()) + "\n"


def tables() -> str:
    """The run folder, and every column of every table."""
    parts = [NOTE + "# The run folder and its tables\n"]
    parts.append(table(("file", "what it holds"), [(f"`{k}`", v) for k, v in FILES.items()]))
    for contract in (
        *(contracts.ASSIGNMENT, contracts.OBSERVATIONS, contracts.EFFECTS),
        *(contracts.LOOKS, plan_tables.POWER, plan_tables.POWER_CURVE, plan_tables.LOOKS_PLAN),
        plan_tables.DIAGNOSIS,
    ):
        rows = _columns(contract)
        needed = ", ".join(f"`{c}`" for c in contract.columns if c in contract.required)
        said = WRITTEN.get(contract.name, f"A table from elsewhere must have {needed}.")
        parts.append(f"\n## {contract.name}\n\n{said}\n")
        parts.append(table(("column", "kind", "meaning"), rows))
        extra = EXTRA_COLUMNS.get(contract.name)
        if extra:
            parts.append("\nFurther columns that a run writes:\n")
            parts.append(table(("column", "meaning"), [(f"`{k}`", v) for k, v in extra.items()]))
    parts.append("\n## Flags of an effect\n\nA flag may carry a number: `few_clusters:6`.\n")
    parts.append(table(("flag", "meaning"), [(f"`{k}`", v) for k, v in FLAGS.items()]))
    return "\n".join(parts)


KINDS = {"text": "text", "number": "number", "integer": "whole number", "flag": "flag"}


def _columns(contract: contracts.Table) -> list[tuple[str, str, str]]:
    """Every column of a table: its name, kind and meaning."""
    return [
        (f"`{name}`", KINDS[column.kind], MEANINGS[contract.name][name])
        for name, column in contract.columns.items()
    ]


def feature_store() -> str:
    """The feature store and the screen: files and columns."""
    parts = [
        NOTE + "# The feature store and the screen\n\n"
        "A feature store is a folder that `causal-sae features extract` writes.\n"
    ]
    parts.append(table(("file", "what it holds"), [(f"`{k}`", v) for k, v in STORE_FILES.items()]))
    for contract in (contracts.FEATURES, *COMPANIONS.values()):
        parts.append(f"\n## {contract.name}\n")
        parts.append(table(("column", "kind", "meaning"), _columns(contract)))
    parts.append("\n## screen\n\nA screen is a folder that `causal-sae screen` writes.\n")
    files = [(", ".join(f"`{n}`" for n in k.split(", ")), v) for k, v in SCREEN_FILES.items()]
    parts.append(table(("file", "what it holds"), files))
    parts.append("\nThe table:\n")
    parts.append(table(("column", "kind", "meaning"), _columns(contracts.SCREEN)))
    parts.append(
        "\n## verdicts\n\nA concept trial is a folder that `causal-sae concepts` writes.\n"
    )
    files = [(", ".join(f"`{n}`" for n in k.split(", ")), v) for k, v in CONCEPT_FILES.items()]
    parts.append(table(("file", "what it holds"), files))
    parts.append("\nThe table:\n")
    parts.append(table(("column", "kind", "meaning"), _columns(VERDICTS)))
    return "\n".join(parts)


def concept_file() -> str:
    """Every key of the file of a concept trial; models and SAEs are told of as in a trial's."""
    schema = ConceptTrial.model_json_schema(by_alias=True)
    parts = [
        NOTE + "# The file of a concept trial\n\n"
        "`model` and `sae` are those of [the trial file](trial-file.md). "
        "[How to use it](../how-to/test-concepts.md).\n"
    ]
    for name, title in CONCEPT_PARTS.items():
        own = schema if name == "ConceptTrial" else schema["$defs"][name]
        rows = [
            (
                f"`{key}`",
                " ".join(str(one.get("description", "")).replace("``", "`").split()),
                _default(one, key in own.get("required", ())),
            )
            for key, one in own["properties"].items()
        ]
        parts.append(f"\n## {title}\n")
        parts.append(table(("key", "meaning", "default"), rows))
    return "\n".join(parts)


CONCEPT_PARTS = {
    "ConceptTrial": "The file",
    "Concept": "concepts",
    "Claims": "claims",
    "Guardrails": "guardrails",
    "ConceptAnalysis": "analysis",
}


def _default(one: dict[str, Any], required: bool) -> str:
    value = one.get("default")
    if required:
        return "required"
    return "" if value is None or isinstance(value, dict | list) else f"`{value}`"


def metrics() -> str:
    """Every metric: what it is, its keys, and what it is read from."""
    parts = [
        NOTE + "# Metrics\n\n"
        "Next-token metrics are read at the last token of the prompt, from the log-softmax, in "
        "natural logarithms. A `target` or `foil` is one token as written: its leading space "
        "counts, and no special tokens are added.\n"
    ]
    heads = ("metric", "meaning", "keys", "read from")
    rows = []
    for kind in get_args(get_args(outcomes.Outcome)[0]):
        name = str(kind.model_fields["metric"].default)
        shared = {"name", "role", "margin", "harm", "expect", "bounds", "metric"}
        keys = ", ".join(f"`{key}`" for key in kind.model_fields if key not in shared)
        read = [*(["next token"] if name in METRICS else []), *(["text"] * (name in TEXT_METRICS))]
        rows.append((f"`{name}`", plain(kind.__doc__), keys, " or ".join(read)))
    parts.append(table(heads, rows))
    parts.append(
        "\nMetrics of text have a section `generate` (`max_new_tokens`, `temperature`, `samples`); "
        "outcomes with the same section share their texts, which the run folder keeps in `texts/`. "
        "`distinct_n`, `repetition` and `perplexity` have no value where the text is too short, "
        "and say so in `status`. `sentiment` is VADER's compound score for English "
        "(`pip install 'causal-sae[text]'`); `similarity` is the cosine between counts of the 3 to "
        "5 letters long pieces of words; `repetition` is the share of tokens in an n-gram that "
        "stood earlier in the text.\n\n"
        "`custom` calls your own function, found by its entry point in the group "
        "`causal_sae.metrics`: `function(logprobs)` with an array `[rows, vocabulary]` of natural "
        "log-probabilities after the prompt, or, with `generate`, `function(texts, prompts)` with "
        "two lists of strings. It gives one number a row.\n"
    )
    return "\n".join(parts)


def estimators() -> str:
    """Every estimator, correction and refuter."""
    parts = [NOTE + "# Estimators, corrections, refuters\n\n## Estimators\n"]
    rows = []
    for name, estimator in ESTIMATORS.items():
        module = sys.modules[estimator.fit.__module__]
        first = str(module.__doc__).split("\n\n")[0]
        designs = ", ".join(sorted(estimator.structures))
        rows.append((f"`{name}`", plain(first), designs, estimator.covariates))
    parts.append(table(("estimator", "what it does", "designs", "covariates"), rows))
    chosen = [(design, f"`{name}`") for design, name in PREFERRED.items()]
    parts.append(
        "\n`estimator: auto` takes `hall` where there are no clusters, `sparse` where unexposed "
        "prompts are seen to be unchanged, and `enriched` where prompts were drawn from a pool. "
        "Their estimates rest on these:\n"
    )
    parts.append(table(("design", "estimator"), chosen))
    parts.append(
        "\nIn a plain design with covariates that is `ancova`; in a factorial trial without "
        "blocks, clusters and covariates `auto` takes `difference_in_means` itself.\n"
    )
    rest = [(f"`{name}`", instead) for name, instead in UNAVAILABLE.items()]
    if rest:
        parts.append("\nThese can be declared and are refused by this version:\n")
        parts.append(table(("estimator", "use instead"), rest))
    parts.append("\n## Corrections\n")
    known = [(f"`{name}`", text) for name, text in CORRECTION_TEXTS.items() if name not in LATER]
    known += [(f"`{name}`", why) for name, why in LATER.items()]
    parts.append(table(("method", "meaning"), known))
    parts.append("\n## Refuters\n\nRun by DoWhy, on the contrasts of primary outcomes.\n")
    parts.append(table(("refuter", "what it asks"), [(f"`{k}`", v) for k, v in REFUTERS.items()]))
    return "\n".join(parts)


CORRECTION_TEXTS = {
    "none": "No correction: each test stands alone.",
    "bonferroni": "Family-wise error under any dependence; `holm` is never worse.",
    "holm": "Family-wise error under any dependence. The default.",
    "hochberg": "Family-wise error for independent or positively dependent tests.",
    "hommel": "As `hochberg`, and never worse.",
    "bh": "False discovery rate (Benjamini and Hochberg), independent or positively dependent "
    "tests.",
    "by": "False discovery rate under any dependence (Benjamini and Yekutieli).",
    "tsbh": "False discovery rate in two stages (Benjamini, Krieger and Yekutieli 2006), as `bh` "
    "with the number of true null hypotheses estimated. Adjusted p-values are for the trial's "
    "alpha only, and may be below the p-value.",
    "dunnett": "Family-wise error of independent arms against one reference, by Welch or "
    "difference in means, with simultaneous intervals.",
    "single_step": "Family-wise error of all contrasts and outcomes by their joint distribution "
    "under a robust covariance, with simultaneous intervals.",
    "maxt": "Family-wise error by Westfall and Young's step-down max-T: the assignment is drawn "
    "anew, outcomes together.",
    "graphical": "Family-wise error by a graph that passes alpha on from rejected tests; by "
    "default primary, then secondary, then exploratory outcomes.",
    "fixed_sequence": "Tests in the order declared, each only if all before it were significant.",
}


def hook_points() -> str:
    """Every hook name in every family of models."""
    parts = [
        NOTE + "# Hook points\n\n"
        "An SAE reads one activation of the model. `sae.hook` names it in TransformerLens's words "
        "or as a Hugging Face module path, with `.input` or `.output` (the default) after it. "
        "This is where each name is, for block 8:\n"
    ]
    names = [f"blocks.8.{site}" for site in SITES]
    for family in FAMILIES:
        rows = []
        for name in names:
            try:
                point = resolve(name, family)
            except SAEError:
                reason = FAMILIES[family].absent[SITES[name.removeprefix("blocks.8.")]]
                rows.append((f"`{name}`", f"none: {reason.partition(',')[0]}"))
                continue
            element = "" if point.index is None else f", element {point.index}"
            rows.append((f"`{name}`", f"{point.side} of `{point.module}`{element}"))
        said = FAMILIES[family].variant
        when = f"Where the model's configuration says `{said}`.\n\n" if said else ""
        parts.append(f"\n## {family}\n\n{when}{table(('hook', 'where'), rows)}")
    parts.append(
        "\nAt `hook_resid_mid` the residual stream runs past the module that is read, so the same "
        "change is added again where the two join. Models of other types take a module path.\n"
    )
    return "\n".join(parts)


def errors() -> str:
    """The tree of errors and what they carry."""
    kinds = (
        *(tree.CausalSAEError, tree.GateError, tree.InputError, tree.SpecError, tree.DataError),
        *(tree.ModelError, tree.SAEError),
    )
    rows = [
        (f"`{kind.__name__}`", f"`{kind.__mro__[1].__name__}`", str(kind.exit_code), _first(kind))
        for kind in kinds
    ]
    return "\n".join(
        [
            NOTE + "# Errors\n\n"
            "An error of the input says where (file, line, column, field), what must hold, what "
            "was given, and what to do. All problems of a trial file are told at once. Nothing is "
            "left half-written.\n",
            table(("error", "is a", "exit code", "meaning"), rows),
            "\nIn Python an `InputError` carries `message`, `place` (`file`, `line`, `column`, "
            "`field`) and `others`, the further problems of the same input.\n",
        ]
    )


def _first(kind: type) -> str:
    return plain(str(kind.__doc__).split("\n\n")[0])


PAGES: dict[str, Callable[[], str]] = {
    "trial-file.md": trial_file,
    "concept-file.md": concept_file,
    "commands.md": commands,
    "tables.md": tables,
    "feature-store.md": feature_store,
    "metrics.md": metrics,
    "estimators.md": estimators,
    "hook-points.md": hook_points,
    "errors.md": errors,
}


def finished(page: str) -> str:
    """The page without runs of empty lines, with one line break at its end."""
    return re.sub(r"\n{3,}", "\n\n", page).rstrip("\n") + "\n"


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(finished(page()), encoding="utf-8")


if __name__ == "__main__":
    main()
