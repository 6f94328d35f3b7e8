"""Outcomes of generated text: which prompts are continued how, and what is written down of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.execution.generation import Text, Writing, end_tokens, write
from causal_sae.execution.laboratory import Laboratory
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.text_metrics import TextMetric
from causal_sae.execution.treatments import Treatment

if TYPE_CHECKING:
    from causal_sae.execution.plan import Plan

NO_TEXT = "the text is too short"
"""The status of an outcome that the text is too short for."""
COLUMNS = ("unit_id", "arm", "draw", "sample", "prompt", "text", "tokens")
"""Of the table of generated texts, in the run folder's ``texts/``."""


def writings(
    laboratory: Laboratory,
    prompts: Iterable[Prompt],
    metrics: Mapping[str, TextMetric],
    each: Mapping[str, Sequence[Treatment]],
) -> list[Writing]:
    """Every continuation that the outcomes need; outcomes with the same settings share theirs.

    Parameters
    ----------
    laboratory:
        The trial and its model.
    prompts:
        Of the assigned units.
    metrics:
        The outcomes of generated text.
    each:
        For each unit its treatments.

    Raises
    ------
    DataError
        A prompt and its longest continuation do not fit into the model's context.
    """
    trial, jobs = laboratory.trial, []
    edited = trial.positions in ("all", "generated")
    untouched = "clean_outcome" in trial.analysis.covariates
    settings = dict.fromkeys(metric.settings for metric in metrics.values())
    for prompt in prompts:
        for generate in settings:
            whole = len(prompt.tokens) + generate.max_new_tokens
            if whole > laboratory.model.context:
                raise DataError(
                    f"the prompt of unit {prompt.unit_id!r} and {generate.max_new_tokens} new "
                    f"tokens are {whole}, and {laboratory.model.name} takes "
                    f"{laboratory.model.context}; shorten the prompt, or generate fewer",
                    Place(field="population.prompts"),
                )
            treatments = tuple(each[prompt.unit_id])
            jobs.append(Writing(prompt, treatments, generate, edited, untouched))
    return jobs


def written(run: Plan, batch: Sequence[Writing]) -> tuple[list[dict[str, object]], pd.DataFrame]:
    """One batch's observations, and the table of its texts.

    Parameters
    ----------
    run:
        The plan that the batch is of.
    batch:
        Prompts of one length with the same settings.
    """
    model = run.bench.host.model
    texts = write(run.bench, batch, end_tokens(model.network.generation_config, model.tokenizer))
    jobs = {job.prompt.unit_id: job for job in batch}
    clean = {(t.unit_id, t.sample): place for place, t in enumerate(texts) if t.treatment is None}
    rows: list[dict[str, object]] = []
    for name, metric in run.text_metrics.items():
        if metric.settings != batch[0].settings:
            continue
        values = metric.score(texts, model)
        for text, value in zip(texts, values, strict=True):
            first = clean.get((text.unit_id, text.sample))
            rows += [
                {
                    "outcome": name,
                    "value": value,
                    "clean_outcome": math.nan if first is None else values[first],
                    "sample": text.sample if batch[0].settings.samples > 1 else None,
                }
                | _delivered(run, text, treatment, math.isnan(value))
                | dict(run.units[text.unit_id])
                for treatment in _arms(text, jobs[text.unit_id])
            ]
    return rows, _table(texts, jobs, model.tokenizer)


def _arms(text: Text, job: Writing) -> list[Treatment]:
    """The arms that a text stands for: its own, or all that change nothing."""
    if text.treatment is not None:
        return [text.treatment]
    return [t for t in job.treatments if t.changes_nothing]


def _delivered(run: Plan, text: Text, treatment: Treatment, missing: bool) -> dict[str, object]:
    delivery = text.delivery
    active = int(text.active[list(run.focal)].sum()) if run.focal else 0
    edits, edited = bool(treatment.features), bool(delivery["positions"])
    known = edits and edited
    levels = {name: delivery[name] if known else math.nan for name in ("before", "asked", "found")}
    return {
        "unit_id": text.unit_id,
        "arm": treatment.arm,
        "draw": treatment.draw,
        "run_order": run.places.get((text.unit_id, treatment.arm)),
        "exposed": active > 0 if run.focal else None,
        "received": bool(delivery["received"]),
        "dose": delivery["dose"] if edits or treatment.changes_nothing else math.nan,
        "status": NO_TEXT if missing else "ok",
        "positions": int(delivery["positions"]),
        "active_positions": active,
        "norm_ratio": delivery["norm_ratio"],
        "not_run": False,
        **{f"activation_{name}": value for name, value in levels.items()},
    }


def _table(texts: Sequence[Text], jobs: Mapping[str, Writing], tokenizer: object) -> pd.DataFrame:
    decode = tokenizer.decode  # type: ignore[attr-defined]  # transformers has no types
    prompts = {t.unit_id: decode(t.prompt, skip_special_tokens=True) for t in texts}
    rows = [
        (t.unit_id, arm.arm, arm.draw, t.sample, prompts[t.unit_id], t.text, len(t.tokens))
        for t in texts
        for arm in _arms(t, jobs[t.unit_id])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
