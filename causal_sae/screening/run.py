"""A screen from end to end: split, attribute, plan, ablate, test, write."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from causal_sae.errors import DataError, Place
from causal_sae.execution.backends import open_backend
from causal_sae.execution.backends.local import LocalBackend
from causal_sae.execution.batches import Limit
from causal_sae.execution.metrics import Metric
from causal_sae.execution.screens.attribution import Attribution, attribute
from causal_sae.execution.screens.exact import measure, pace
from causal_sae.execution.sequences import TokenSequence
from causal_sae.manifest import begun, identity_of, now, resumed
from causal_sae.pipeline import located
from causal_sae.progress import bar, busy
from causal_sae.run_folder import RunFolder, RunStopped, choose_folder, require_free
from causal_sae.screening.plan import ExactPlan, lay_out
from causal_sae.screening.rules import require_screen
from causal_sae.screening.split import choosing, held_out
from causal_sae.screening.table import Agreement, agreement, discoveries, screen_table
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.prompts import read_prompts
from causal_sae.spec.trial import Trial

Sequences = Mapping[tuple[str, tuple[int, ...]], TokenSequence]
ROOT = Path("screens")
ENCODED = 1 << 23
"""Activations of features that are in memory together."""


@dataclass(frozen=True)
class Options:
    """How large a screen is."""

    per_feature: int = 50
    """Exposed prompts on which a feature is ablated, at most."""
    budget: float | None = None
    """Minutes for the exact stage."""
    hold_out: float = 0.3
    """Share of the prompts kept for the trial of the hits."""
    choose: float = 0.0
    """Share of the other prompts that choose which features are tested, and test none."""
    top: int | None = None
    """How many features they choose; None: as many as the budget pays for."""
    resume: bool = False


@dataclass(frozen=True, eq=False)
class Cost:
    """What the exact stage takes."""

    features: int
    testable: int
    ablations: int
    tokens: int
    seconds: float
    traces: int
    """Forward passes of a trace for each feature and prompt, silent ones included."""
    apart: bool = False
    """Whether other prompts chose the features."""


@dataclass(frozen=True, eq=False)
class Screen:
    """A finished screen."""

    folder: RunFolder
    trial: Trial
    table: pd.DataFrame
    agreement: list[Agreement]
    discoveries: pd.DataFrame
    prompts: pd.DataFrame
    """The prompts that were screened."""
    kept: pd.DataFrame
    """The prompts that were held out."""
    tested: int
    """On how many prompts features were tested: fewer than were screened where some chose."""


def run_screen(declared: TrialFile, out: Path | None, options: Options, console: Console) -> Screen:
    """Screen every feature of a trial's SAE.

    Parameters
    ----------
    declared:
        A trial with an arm ``features: all``.
    out:
        The folder; default: ``screens/<name>/<time>``.
    options:
        How large.
    console:
        Where progress and the cost are shown.

    Raises
    ------
    InputError
        The trial declares no screen, or its files cannot be used; nothing is written.
    """
    trial = declared.trial
    require_free(out, options.resume)
    if options.top is not None and not options.choose:
        raise DataError(
            "needs prompts that choose and do not test; add --choose 0.4",
            Place(field="--top"),
        )
    with located(declared):
        require_screen(trial)
        check_files(declared)
        table = read_prompts(trial, declared.folder)
        kept = held_out(_texts(trial, table), options.hold_out, trial.seed)
        seen = table[~kept].reset_index(drop=True)
        if seen.empty:
            raise DataError(
                "holds out every prompt; keep some to screen", Place(field="--hold-out")
            )
        engine = open_backend("local", trial, declared.folder, seen, console)
        excluded = engine.excluded()
        identity = identity_of(declared, engine) | {"hold_out": str(options.hold_out)}
        if options.choose:
            identity |= {"choose": f"{options.choose} {options.top}"}
        folder = choose_folder(ROOT, trial.name, out, options.resume, identity)
    manifest = begun(declared, engine, identity, excluded) | resumed(folder)
    folder.write_manifest(manifest)
    folder.write_text("trial.yaml", declared.text)
    try:
        return _run(engine, folder, manifest, options, console, seen, table[kept])
    except KeyboardInterrupt:
        raise RunStopped(folder) from None


def _texts(trial: Trial, table: pd.DataFrame) -> list[str]:
    assert trial.population is not None  # required before
    return [str(text) for text in table[trial.population.text]]


def _run(
    engine: LocalBackend,
    folder: RunFolder,
    manifest: dict[str, Any],
    options: Options,
    console: Console,
    seen: pd.DataFrame,
    kept: pd.DataFrame,
) -> Screen:
    trial, lab = engine.trial, engine.laboratory
    excluded = engine.excluded()
    prompts = [p for p in engine.prompts if p.unit_id not in excluded]
    metrics = {name: m for name, m in engine.metrics.items() if isinstance(m, Metric)}
    sequences: Sequences = lab.sequences_apart(prompts, metrics)
    bench = lab.bench(metrics)
    ranking = None
    if options.choose:
        rank, sequences = _parted(engine, sequences, options)
        ranking, _ = _attributed(engine, rank, metrics, console)
    found, seconds = _attributed(engine, sequences, metrics, console)
    lengths = dict.fromkeys((unit for unit, _ in sequences), 0)
    for (unit, _), sequence in sequences.items():
        lengths[unit] += len(sequence.tokens)
    plan, cost = _planned(engine, found, sequences, metrics, lengths, options, folder, ranking)
    for line in cost_lines(cost, seconds):
        console.print(line, highlight=False)
    with bar(console, "ablating", cost.tokens) as advance:
        pairs = measure(
            bench, sequences, metrics, plan.by_unit(), lab.limit, folder.path / "pairs", advance
        )
    with busy(console, "testing"):
        table = screen_table(trial, found, plan, pairs)
        agreed = agreement(trial, table, plan)
        real = discoveries(trial, table, plan)
    folder.write_table("screen.parquet", table)
    folder.write_table("screen.csv", table)
    folder.write_table("true_discoveries.csv", real)
    manifest |= {
        "status": "done",
        "finished": now(),
        "held_out": len(kept),
        "screened": len({unit for unit, _ in sequences}),
        "cost": asdict(cost) | {"seconds_attribution": round(seconds, 2)},
        "rank_agreement": [asdict(one) for one in agreed],
    }
    folder.write_manifest(manifest)
    done = seen[~seen["unit_id"].isin(excluded)]
    return Screen(folder, trial, table, agreed, real, done, kept, len(found.units))


def _parted(
    engine: LocalBackend, sequences: Sequences, options: Options
) -> tuple[Sequences, Sequences]:
    """The sequences of the prompts that choose, and of those that test."""
    texts = _texts(engine.trial, engine.table)
    chooses = choosing(texts, options.choose, engine.trial.seed)
    units = set(engine.table["unit_id"].astype(str)[chooses])
    first = {key: own for key, own in sequences.items() if key[0] in units}
    rest = {key: own for key, own in sequences.items() if key[0] not in units}
    if not first or not rest:
        raise DataError(
            "leaves no prompt to choose features, or none to test them; give more prompts",
            Place(field="--choose"),
        )
    return first, rest


def _attributed(
    engine: LocalBackend, sequences: Sequences, metrics: Mapping[str, Metric], console: Console
) -> tuple[Attribution, float]:
    lab = engine.laboratory
    tokens = min(lab.limit.tokens, max(64, ENCODED // lab.sae.config.d_sae))
    begun_at = time.perf_counter()
    total = sum(len(sequence.tokens) for sequence in sequences.values())
    with bar(console, "attributing", total) as advance:
        small = Limit(tokens, lab.limit.scores)
        found = attribute(lab.bench(metrics), sequences, metrics, small, advance)
    return found, time.perf_counter() - begun_at


def _planned(
    engine: LocalBackend,
    found: Attribution,
    sequences: Sequences,
    metrics: Mapping[str, Metric],
    lengths: Mapping[str, int],
    options: Options,
    folder: RunFolder,
    ranking: Attribution | None,
) -> tuple[ExactPlan, Cost]:
    """The exact stage, within the budget; the one begun before where a screen goes on."""
    lab, seed = engine.laboratory, engine.trial.seed
    top = options.top
    whole = lay_out(found, lengths, options.per_feature, None, seed, ranking, top)
    speed = pace(lab.bench(metrics), sequences, metrics, whole.by_unit(), lab.limit)
    paid = None if options.budget is None else options.budget * 60 * speed
    before = folder.path / "plan.parquet"
    if before.exists():
        # How fast this machine is today must not change what a screen that goes on measures.
        pairs = pd.read_parquet(before)
        chosen = frozenset(pairs["feature"])
        plan = ExactPlan(pairs, whole.random & chosen, whole.testable, whole.apart)
    else:
        plan = lay_out(found, lengths, options.per_feature, paid, seed, ranking, top)
        folder.write_table("plan.parquet", plan.pairs)
    if plan.pairs.empty:
        raise DataError(
            "no feature is measured: none fires on enough prompts, or the budget pays for none; "
            "give more prompts, or a larger budget",
            Place(field="--budget"),
        )
    tokens = int(plan.pairs["unit_id"].map(lengths).sum())
    return plan, Cost(
        len(plan.measured),
        int(whole.testable.sum()),
        len(plan.pairs),
        tokens,
        tokens / speed,
        lab.sae.config.d_sae * len(lengths),
        plan.apart,
    )


def cost_lines(cost: Cost, seconds: float) -> list[str]:
    """What is about to be done, and how long it takes."""
    whole = cost.features == cost.testable
    which = "all" if whole else "chosen by other prompts" if cost.apart else "the budget allows"
    return [
        f"[dim]stage 1[/dim]  attribution of every feature: {seconds:,.0f} s",
        f"[dim]stage 2[/dim]  {cost.ablations:,} ablations of {cost.features:,} features "
        f"({which} of {cost.testable:,} that fire on enough prompts), {cost.tokens:,} tokens above "
        f"the hook: about {_duration(cost.seconds)}; a trace for each feature and prompt would be "
        f"{cost.traces:,} forward passes",
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 90 else f"{seconds / 60:,.0f} min"
