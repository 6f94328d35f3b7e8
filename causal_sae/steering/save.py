"""A demonstration as a trial: the dose against nothing, placebo features and random directions."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from causal_sae.errors import DataError, Place
from causal_sae.spec.outcomes import Generate
from causal_sae.spec.sources import ModelSpec, PathSource, SAESpec
from causal_sae.steering.dose import Setting, dose_text
from causal_sae.steering.session import Session, openers

SWEPT = 12
"""How many of the built-in prompts a sweep continues; a trial never does."""
MARGIN = 0.25
"""The largest rise of the share of repeated tokens that the guardrail would tolerate."""


def save_trial(
    session: Session,
    setting: Setting,
    generate: Generate,
    folder: Path,
    base: Path,
    keywords: Sequence[str] = (),
    prompts: Sequence[str] = (),
) -> Path:
    """Write a trial that tests what the demonstration shows.

    Parameters
    ----------
    session, setting, generate:
        The demonstration.
    folder:
        Where the trial goes; its name is the trial's.
    base:
        The folder that the session's relative paths start from.
    keywords:
        Words that stand for the concept; default: those that the features' directions raise most,
        which is a guess to be checked.
    prompts:
        The prompts of the demonstration: they stay out of the trial, which is on fresh ones.

    Returns
    -------
    The trial file.

    Raises
    ------
    DataError
        The folder exists already.
    """
    if folder.exists():
        raise DataError("exists already; save under another name", Place(file=folder))
    guessed = not keywords
    # Case makes no second keyword: the metric does not tell it apart.
    once: dict[str, str] = {}
    for word in keywords:
        once.setdefault(word.casefold(), word)
    words = list(once.values()) or session.boosted(setting.features)
    # Whoever sweeps first and saves later has chosen the dose on the prompts of the sweep.
    fresh = [text for text in openers()[SWEPT:] if text not in set(prompts)]
    text = _yaml(session, setting, generate, folder, base, words, guessed)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["id", "text"])
    rows.writerows([f"p{i:02d}", text] for i, text in enumerate(fresh))
    folder.mkdir(parents=True)
    (folder / "prompts.csv").write_text(table.getvalue(), encoding="utf-8")
    (folder / "trial.yaml").write_text(text, encoding="utf-8")
    return folder / "trial.yaml"


def _yaml(
    session: Session,
    setting: Setting,
    generate: Generate,
    folder: Path,
    base: Path,
    words: Sequence[str],
    guessed: bool,
) -> str:
    listed = ", ".join(str(feature) for feature in setting.features)
    check = "   # guessed from the features' directions: check them" if guessed else ""
    form = "\n  format: chat" if session.chat else ""
    edit = _edit(setting, f"[{listed}]")
    placebo = _edit(setting, f"{{placebo_for: [{listed}], draws: 10}}")
    shared = f"{{max_new_tokens: {generate.max_new_tokens}, temperature: 0.7, samples: 2}}"
    return f"""# Saved from a demonstration: {setting}.
# It asks whether the words come because of this feature: more often than on the untouched model,
# than when matched placebo features are set the same way, and than after a push of the same length
# in a random direction. Its prompts were part of neither the demonstration nor a sweep.
schema: 1
name: {_slug(folder.name)}
status: exploratory                     # confirmatory, once `causal-sae register` has frozen it
question: Does setting feature {listed} make the model write of what the feature is said to mean?
seed: {session.seed}

model:
  source: {_source(session.model_spec, folder, base)}
sae:
  source: {_source(session.sae_spec, folder, base)}
population:
  prompts: prompts.csv
  unit: id{form}

assignment: {{method: crossover}}         # every prompt is continued in every arm
arms:
  - {{name: control, intervention: {{kind: none}}}}
  - {{name: steer, intervention: {edit}}}
  - {{name: placebo, intervention: {placebo}}}
  - {{name: random, intervention: {{kind: random_direction, norm_of: steer, draws: 10}}}}
positions: all

outcomes:
  - name: concept                       # the share of texts that hold one of the words
    role: primary
    metric: keyword_rate
    keywords: {json.dumps(list(words), ensure_ascii=False)}{check}
    generate: {shared}
  - name: looping                       # the share of tokens that were said before
    role: guardrail
    metric: repetition
    margin: {MARGIN}
    generate: {shared}
  - name: perplexity                    # of the text, under the untouched model
    role: secondary
    metric: perplexity
    generate: {shared}

analysis:
  contrasts: [[steer, control], [steer, placebo], [steer, random]]
  multiplicity: {{method: holm, family: role}}
"""


def _edit(setting: Setting, features: str) -> str:
    kind = setting.how
    size = f"factor: {dose_text(setting.dose)}"
    if kind != "scale":
        dose = setting.dose
        size = (
            f"dose: {dose:g}"
            if isinstance(dose, float)
            else f"dose: {{multiple: {dose.multiple:g}, of: {dose.of}}}"
        )
    return f"{{kind: {kind}, features: {features}, {size}}}"


def _source(spec: ModelSpec | SAESpec, folder: Path, base: Path) -> str:
    """A source in flow style; a path is written as it is seen from the trial's folder."""
    source = spec.source
    if isinstance(source, PathSource):
        from os.path import relpath  # noqa: PLC0415 - pathlib cannot go up before Python 3.12

        seen = relpath((base / source.path).resolve(), folder.resolve())
        return json.dumps({"path": Path(seen).as_posix()}, ensure_ascii=False)
    return json.dumps(source.model_dump(mode="json", exclude_none=True), ensure_ascii=False)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "steered"
