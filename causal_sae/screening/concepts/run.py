"""A concept trial from end to end: read, claim, deal, edit, test, judge, write."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from causal_sae.errors import DataError, Place
from causal_sae.estimation.concepts import Limits, effects, verdicts
from causal_sae.execution.batches import Limit
from causal_sae.execution.concepts.activity import peaks, tokenizer_of
from causal_sae.execution.concepts.measure import Push, Stage, measure
from causal_sae.execution.gates import choose_route
from causal_sae.execution.laboratory import MAX_TOKENS
from causal_sae.execution.memory import budget_of, limit_of
from causal_sae.features.desk import Desk, open_desk
from causal_sae.manifest import now, versions
from causal_sae.progress import bar, busy
from causal_sae.run_folder import RunFolder, RunStopped, choose_folder, require_free
from causal_sae.screening.concepts.claims import Activity, Claim, claims_of
from causal_sae.screening.concepts.lock import changes, freeze, registered
from causal_sae.screening.concepts.plan import lay_out, pushes
from causal_sae.screening.concepts.table import tests_table, verdict_table
from causal_sae.screening.concepts.texts import Pool, read_pool
from causal_sae.screening.concepts.words import words_of
from causal_sae.spec.concepts import ConceptFile, ConceptTrial
from causal_sae.spec.verdicts import RULE

ROOT = Path("concepts")


@dataclass(frozen=True, eq=False)
class ConceptRun:
    """A finished concept trial."""

    folder: RunFolder
    trial: ConceptTrial
    verdicts: pd.DataFrame
    """One row a claim."""
    tests: pd.DataFrame
    """Every test of every claim."""
    manifest: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Bench:
    """A concept trial with everything in memory."""

    trial: ConceptTrial
    desk: Desk
    pool: Pool
    words: dict[str, np.ndarray]
    limit: Limit
    directions: torch.Tensor


def limits_of(trial: ConceptTrial) -> Limits:
    """What the verdicts ask."""
    margins = {"kl": trial.guardrails.kl, "nll": trial.guardrails.nll}
    return Limits(trial.analysis.alpha, trial.analysis.multiplicity, trial.least, margins)


def run_concepts(
    declared: ConceptFile,
    out: Path | None,
    console: Console,
    *,
    resume: bool = False,
    desk: Desk | None = None,
) -> ConceptRun:
    """Find the features that claim each concept, and try them.

    Parameters
    ----------
    declared:
        The concepts.
    out:
        The folder; default: ``concepts/<name>/<time>``.
    console:
        Where progress and the cost are shown.
    resume:
        Go on with a run that was stopped.
    desk:
        The model and the SAE, where they are in memory already.

    Raises
    ------
    InputError
        The texts, the model or the SAE cannot be used; nothing is written.
    """
    require_free(out, resume)
    bench = set_up(declared, console, desk)
    identity = identity_of(declared, bench)
    manifest = _begun(declared, identity, bench)
    folder = choose_folder(ROOT, declared.trial.name, out, resume, identity)
    folder.write_manifest(manifest)
    folder.sweep()
    folder.write_text("concepts.yaml", declared.text)
    try:
        return _run(bench, folder, manifest, console)
    except KeyboardInterrupt:
        raise RunStopped(folder) from None


def register_concepts(declared: ConceptFile, console: Console, desk: Desk | None = None) -> Path:
    """Freeze a concept trial, with its texts, model, SAE and rule; returns the lock's path.

    Parameters
    ----------
    declared, console, desk:
        As for :func:`run_concepts`.

    Raises
    ------
    InputError
        The texts, the model or the SAE cannot be used, or it is registered already.
    """
    return freeze(declared, identity_of(declared, set_up(declared, console, desk)))


def set_up(declared: ConceptFile, console: Console, desk: Desk | None = None) -> Bench:
    """Load the model, the SAE and the texts, and check that they fit."""
    trial = declared.trial
    desk = desk or open_desk(trial.model, trial.sae, declared.folder, console)
    desk.sae.check_editable()
    if desk.sae.config.transcoder:
        raise DataError(
            "must not be a transcoder: a concept trial edits where the SAE reads; put its features "
            "into a trial",
            Place(declared.path, field="sae.source"),
        )
    try:
        tokenizer = tokenizer_of(desk.model, desk.sae)
        pool = read_pool(trial, declared.folder, tokenizer)
        words = {c.name: words_of(c, i, pool, tokenizer) for i, c in enumerate(trial.concepts)}
    except DataError as error:
        if error.place.file is not None:
            raise
        place = Place(declared.path, field=error.place.field)
        raise DataError(error.message, place) from None
    held = limit_of(desk.model, desk.sae, budget_of(desk.model, None))
    limit = Limit(min(held.tokens, MAX_TOKENS), held.scores)
    pair = torch.from_numpy(pool.ids[:2, :-1]).to(desk.model.device)
    host, _ = choose_route(desk.host, pair, 1)
    directions = desk.sae.direction(range(desk.sae.config.d_sae))
    return Bench(trial, Desk(desk.model, desk.sae, host), pool, words, limit, directions)


def identity_of(declared: ConceptFile, bench: Bench) -> dict[str, str]:
    """Hashes of everything that the verdicts depend on."""
    marks = [
        (name, own[name].tolist())
        for own in (bench.pool.positive, bench.pool.negative)
        for name in sorted(own)
    ]
    content = json.dumps([bench.pool.texts, marks], ensure_ascii=False)
    return {
        "concepts": declared.fingerprint,
        "texts": hashlib.sha256(content.encode()).hexdigest(),
        "rule": hashlib.sha256("\n".join(RULE).encode()).hexdigest(),
        **bench.desk.identity,
    }


def _begun(declared: ConceptFile, identity: dict[str, str], bench: Bench) -> dict[str, Any]:
    lock = registered(declared)
    registration = {} if lock is None else {"registered": lock.registered}
    return {
        "status": "running",
        "started": now(),
        "hashes": identity,
        "versions": versions(),
        "rule": list(RULE),
        "registration": registration,
        "deviations": [] if lock is None else changes(lock, identity),
        "texts": len(bench.pool.texts),
        "too_short": bench.pool.too_short,
        "words": {
            name: [bench.desk.model.tokenizer.decode([int(i)]) for i in ids]
            for name, ids in bench.words.items()
        },
    }


def _run(bench: Bench, folder: RunFolder, manifest: dict[str, Any], console: Console) -> ConceptRun:
    trial, pool = bench.trial, bench.pool
    activity = _activity(bench, console)
    with busy(console, "finding the claims"):
        found = [claims_of(trial, i, pool, activity) for i in range(len(trial.concepts))]
    claims = [claim for own, _ in found for claim in own]
    if not claims:
        raise DataError(
            "no feature claims a concept: none tells its texts from others with an AUROC of "
            f"{trial.claims.auroc:g}; lower `claims.auroc`, give more texts, or list `features`",
            Place(field="claims.auroc"),
        )
    detection = pd.concat([table for _, table in found], ignore_index=True)
    plan = lay_out(trial, claims, pool, activity)
    rows = pushes(trial, plan, claims, activity)
    folder.write_table("detection.parquet", detection)
    folder.write_table("plan.parquet", plan)
    observed, seconds = _observed(bench, claims, rows, folder, console)
    with busy(console, "judging"):
        observations = _joined(trial, plan, observed)
        tests = effects(observations, len(claims), limits_of(trial))
        judged = verdicts(tests, limits_of(trial))
        table = verdict_table(trial, claims, judged, tests, detection, pool, activity)
        tests = tests_table(claims, tests)
    folder.write_table("observations.parquet", _named(observations, claims))
    folder.write_table("tests.parquet", tests)
    folder.write_table("tests.csv", tests)
    folder.write_table("verdicts.parquet", table)
    folder.write_table("verdicts.csv", table)
    manifest |= {
        "status": "done",
        "finished": now(),
        "claims": len(claims),
        "tests": len(tests),
        "rows": len(rows),
        "seconds": round(seconds, 1),
        "verdicts": table["verdict"].value_counts().to_dict(),
    }
    folder.write_manifest(manifest)
    return ConceptRun(folder, trial, table, tests, manifest)


def _activity(bench: Bench, console: Console) -> Activity:
    ids = np.ascontiguousarray(bench.pool.ids[:, :-1])
    desk = bench.desk
    with bar(console, "reading", ids.size) as advance:
        found = peaks(desk.host, desk.sae, ids, bench.limit.tokens, advance)
    return Activity(found, bench.directions.double().cpu().numpy())


def _observed(
    bench: Bench, claims: Sequence[Claim], rows: list[Push], folder: RunFolder, console: Console
) -> tuple[pd.DataFrame, float]:
    """What the rows changed, and how long it took."""
    trial, desk = bench.trial, bench.desk
    words = [bench.words[claim.concept] for claim in claims]
    stage = Stage(
        desk.host, desk.sae, bench.directions, bench.pool.ids, trial.read, words, trial.seed
    )
    parts = folder.path / "parts"
    begun = time.perf_counter()
    console.print(
        f"[dim]{len(claims):,} claims to {len(trial.concepts)} concepts: {len(rows):,} edited "
        f"texts of {bench.pool.ids.shape[1] - 1} tokens, run above the hook alone[/dim]",
        highlight=False,
    )
    with bar(console, "trying", len(rows), unit="rows") as advance:
        observed = measure(stage, rows, bench.limit, parts, advance)
    return observed, time.perf_counter() - begun


def _joined(trial: ConceptTrial, plan: pd.DataFrame, observed: pd.DataFrame) -> pd.DataFrame:
    """Every planned row; those that were not run changed nothing."""
    keys = ["claim", "text", "arm"]
    whole = plan.merge(observed, on=keys, how="left", validate="1:1")
    whole["run"] = whole["kl"].notna()
    whole[["words", "kl", "nll"]] = whole[["words", "kl", "nll"]].fillna(0.0)
    return whole.assign(concept=whole["words"] if trial.outcome == "words" else -whole["nll"])


def _named(observations: pd.DataFrame, claims: Sequence[Claim]) -> pd.DataFrame:
    own = pd.DataFrame([asdict(claim) for claim in claims])[["concept", "feature"]]
    renamed = observations.rename(columns={"concept": "outcome"})
    return own.rename_axis("claim").reset_index().merge(renamed, on="claim")
