"""The confirmatory trial of a screen's hits, on prompts that the screen never saw."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from causal_sae.errors import DataError, Place
from causal_sae.estimation.screens import paired_power
from causal_sae.reporting.files import replacing
from causal_sae.screening.run import Screen
from causal_sae.screening.split import require_unseen
from causal_sae.spec.loading import TrialFile, load_trial_file
from causal_sae.spec.sources import PathSource

MOST = 5
"""Hits that a confirmatory trial is about: each more costs the others power."""
DRAWS = 10
"""Placebos of each."""
FEWEST = 10
"""A trial on fewer prompts is not worth registering."""


@dataclass(frozen=True)
class Forecast:
    """What the trial would find of one hit."""

    feature: int
    outcome: str
    estimate: float
    shrunken: float
    sd: float
    power: float
    required: int | None
    """Prompts for the target; None where the shrunken effect is zero."""


def hits(screen: Screen, most: int = MOST) -> pd.DataFrame:
    """The rejected features of the first outcome that has any, the surest first."""
    for outcome in screen.trial.outcomes:
        own = screen.table[screen.table["outcome"] == outcome.name]
        own = own[own["reject"].fillna(False).astype(bool)]
        if not own.empty:
            order = ["p_adjusted", "p_value"]
            return own.sort_values(order, kind="stable").head(most).reset_index(drop=True)
    raise DataError(
        "there is no hit to confirm: no feature is rejected after adjustment",
        Place(field="--confirm"),
    )


def forecast(screen: Screen, chosen: pd.DataFrame, target: float = 0.8) -> list[Forecast]:
    """Power for the shrunken effects on the held-out prompts, at the level of Holm's first step."""
    n, tests = len(screen.kept), 2 * len(chosen)
    alpha = screen.trial.analysis.alpha / tests
    rows = []
    for row in chosen.to_dict("records"):
        sd = float(row["std_error"]) * math.sqrt(screen.tested)
        effect = float(row["shrunken"])
        power = float(paired_power(np.array([effect]), np.array([sd]), n, alpha)[0])
        rows.append(
            Forecast(
                int(row["feature"]),
                str(row["outcome"]),
                float(row["estimate"]),
                effect,
                sd,
                power,
                _required(effect, sd, alpha, target),
            )
        )
    return rows


def _required(effect: float, sd: float, alpha: float, target: float) -> int | None:
    if effect == 0:
        return None
    low, high = 3, 4
    size, spread = np.array([effect]), np.array([sd])
    while float(paired_power(size, spread, high, alpha)[0]) < target:
        low, high = high, high * 2
        if high > 1 << 24:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = float(paired_power(size, spread, middle, alpha)[0]) >= target
        low, high = (low, middle) if enough else (middle, high)
    return high


def write_confirmation(screen: Screen, declared: TrialFile, path: Path) -> list[Forecast]:
    """Write the trial and its prompts, check that it is one, and return what it would find.

    Parameters
    ----------
    screen:
        The finished screen.
    declared:
        The trial that was screened.
    path:
        The trial file; its prompts go beside it.

    Raises
    ------
    DataError
        There is no hit, too few prompts are held out, or one of them was seen.
    """
    population = screen.trial.population
    assert population is not None  # a screen has one
    if len(screen.kept) < FEWEST:
        raise DataError(
            f"only {len(screen.kept)} prompts are held out and a trial takes {FEWEST} or more; "
            "screen again with a larger --hold-out",
            Place(field="--confirm"),
        )
    if path.exists():
        raise DataError(f"{path} is there already; choose another name", Place(field="--confirm"))
    require_unseen(screen.prompts[population.text], screen.kept[population.text])
    chosen = hits(screen)
    found = forecast(screen, chosen)
    prompts = path.with_name(f"{path.stem}-prompts.csv")
    text = _yaml(screen, declared, path, prompts, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(prompts) as temporary:
        screen.kept.to_csv(temporary, index=False, lineterminator="\n")
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    load_trial_file(path)
    return found


def _yaml(
    screen: Screen, declared: TrialFile, path: Path, prompts: Path, found: list[Forecast]
) -> str:
    outcome = screen.trial.outcome(found[0].outcome)
    told = outcome.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    told |= {"metric": outcome.metric, "name": outcome.name, "role": "primary"}
    arms, contrasts, about = [], [], []
    for one in found:
        name, placebo = f"ablate-{one.feature}", f"placebo-{one.feature}"
        instead = f"{{placebo_for: [{one.feature}], draws: {DRAWS}}}"
        arms += [
            f"  - {{name: {name}, intervention: {{kind: ablate, features: [{one.feature}]}}}}",
            f"  - {{name: {placebo}, intervention: {{kind: ablate, features: {instead}}}}}",
        ]
        contrasts += [f"[{name}, control]", f"[{name}, {placebo}]"]
        need = "more than can be had" if one.required is None else f"{one.required:,} prompts"
        about.append(
            f"#   {one.feature}: {one.estimate:+.4g} in the screen, {one.shrunken:+.4g} after "
            f"shrinking; power {one.power:.2f}, for 0.80 it takes {need}"
        )
    least = min(found, key=lambda one: one.power)
    shown = {
        k: v
        for k, v in screen.trial.population.model_dump(  # type: ignore[union-attr]
            mode="json", exclude_none=True, exclude_defaults=True
        ).items()
        if k != "prompts"
    }
    shown = {"prompts": prompts.name} | shown | {"unit": "unit_id"}
    planned = max(abs(least.shrunken), 1e-12)
    return f"""# Written by `causal-sae screen --confirm` from {screen.folder.path.name}:
# the hits, on {len(screen.kept)} prompts that the screen never saw: held out by a hash of their
# text before anything was run. Effects and power for {outcome.name}:
{chr(10).join(about)}
# Next: read it, `causal-sae register {path.name}`, `causal-sae run {path.name}`.
schema: 1
name: {_slug(path.stem)}
status: confirmatory
question: >-
  Do the hits of the screen {screen.trial.name} change {outcome.name} on fresh prompts, and more
  than features that fire alike?
seed: {screen.trial.seed + 1}
model: {_source(declared, path, "model")}
sae: {_source(declared, path, "sae")}
population: {json.dumps(shown, ensure_ascii=False)}
assignment: {{method: crossover}}
arms:
  - {{name: control, intervention: {{kind: none}}}}
{chr(10).join(arms)}
positions: {json.dumps(screen.trial.model_dump(mode="json")["positions"])}
attention_sinks: {screen.trial.attention_sinks}
outcomes:
  - {json.dumps(told, ensure_ascii=False)}
analysis:
  alpha: {screen.trial.analysis.alpha}
  contrasts: [{", ".join(contrasts)}]
  multiplicity: {{method: holm, family: role}}
power: {{target: 0.8, effect: {planned:.6g}, unit: outcome, sd: {least.sd:.6g}}}
"""


def _source(declared: TrialFile, path: Path, section: str) -> str:
    """The model's or SAE's section in flow style, its path as seen from the new trial's folder."""
    spec = getattr(declared.trial, section)
    told: dict[str, Any] = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    told["source"] = spec.source.model_dump(mode="json", exclude_none=True)
    if isinstance(spec.source, PathSource):
        there = (declared.folder / spec.source.path).resolve()
        seen = os.path.relpath(there, path.parent.resolve())
        told["source"] = {"path": Path(seen).as_posix()}
    return json.dumps(told, ensure_ascii=False)


def _slug(name: str) -> str:
    kept = "".join(sign if sign.isalnum() else "-" for sign in name.casefold())
    return "-".join(part for part in kept.split("-") if part) or "confirm"
