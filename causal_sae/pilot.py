"""Run a small blinded pilot: the trial itself on prompts that it will not use."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from causal_sae.errors import DataError, Place, SpecError
from causal_sae.manifest import Clock, begun, identity_of, now
from causal_sae.piloting import blinded, choose, unused, write_list
from causal_sae.pipeline import located
from causal_sae.power.earlier import BLINDED
from causal_sae.progress import bar, busy
from causal_sae.registration import lock_path, read_lock
from causal_sae.run_folder import RunFolder, require_free
from causal_sae.spec.declared import trial_file
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.prompts import read_prompts
from causal_sae.spec.trial import Trial
from causal_sae.unit_columns import unit_columns

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.execution.backends.local import LocalBackend

LEAST = 8
"""With fewer units a pilot says next to nothing of a standard deviation."""


@dataclass(frozen=True)
class PilotRun:
    """A finished pilot."""

    folder: RunFolder
    """Where its table is; ``power --pilot`` takes this folder."""
    observations: pd.DataFrame
    """Blinded: arms are masked, and nothing of an effect is in the values."""
    used: Path
    """The list of its prompts beside the trial file, which the trial may not use."""

    @property
    def units(self) -> int:
        """How many prompts it used."""
        return int(self.observations["unit_id"].nunique())


def run_pilot(
    trial: Trial | TrialFile | str | Path,
    *,
    n: int = 30,
    prompts: str | Path | None = None,
    out: Path | str | None = None,
    backend: str = "local",
    console: Console | None = None,
) -> PilotRun:
    """Run the trial on a few prompts, and keep their spread and nothing of its effects.

    Parameters
    ----------
    trial:
        The trial, or its file.
    n:
        How many prompts are taken from the trial's own, by the hash of their text; the trial's
        later runs leave them out. Clusters are taken whole.
    prompts:
        A table like the trial's to take the prompts from; none may be in the trial's own.
    out:
        The folder; default: ``pilots/<name>``.
    backend, console:
        As for :func:`causal_sae.run_trial`.

    Raises
    ------
    InputError
        The trial cannot be run, is registered already, or has too few prompts.
    """
    console = console or Console(stderr=True)
    declared = trial_file(trial)
    folder = RunFolder(Path(out) if out is not None else Path("pilots") / declared.trial.name)
    require_free(folder.path, False)
    clock = Clock()
    with located(declared):
        _may_pilot(declared, n)
        table = _source(declared, prompts)
        with busy(console, "loading torch"):
            from causal_sae.execution.backends import open_backend  # noqa: PLC0415
        with clock.stage("set up"):
            engine = open_backend(backend, declared.trial, declared.folder, table, console)
            excluded = engine.excluded()
            eligible = table[~table["unit_id"].isin(excluded)]
            own = prompts is None
            chosen = _chosen(declared, eligible, n, own)
        manifest = begun(declared, engine, identity_of(declared, engine), excluded)
        used = write_list(declared, chosen)
        observations = _observed(declared.trial, engine, chosen, clock, console)
    manifest |= {"status": "pilot", "timings": clock.seconds, "finished": now()}
    manifest |= {"units": len(chosen), "pilot_prompts": "the trial's" if own else str(prompts)}
    folder.write_table(BLINDED, observations)
    folder.write_text("trial.yaml", declared.text)
    folder.write_manifest(manifest)
    return PilotRun(folder, observations, used)


def _may_pilot(declared: TrialFile, n: int) -> None:
    from causal_sae.estimation import check_analysis  # noqa: PLC0415 - loads statsmodels

    if n < LEAST:
        raise DataError(
            f"must be at least {LEAST} prompts, got {n}; with fewer a standard deviation is a "
            "guess",
            Place(field="--n"),
        )
    lock = read_lock(lock_path(declared))
    if lock is not None:
        raise DataError(
            f"is registered since {lock.registered}; a pilot comes before the registration, "
            "because it takes prompts from the trial and its size from the pilot",
            Place(file=declared.path),
        )
    population = declared.trial.population
    if population is None:
        raise SpecError("must declare the prompts to pilot on", Place(field="population"))
    if population.enrich is not None:
        raise SpecError(
            "a pilot of an enriched trial is not available; pilot the exposed prompts as a trial "
            "of their own, without `enrich`.",
            Place(field="population.enrich"),
        )
    check_files(declared)
    check_analysis(declared.trial)


def _source(declared: TrialFile, given: str | Path | None) -> pd.DataFrame:
    """The prompts that may be in the pilot: the trial's own, or those of another file."""
    own = read_prompts(declared.trial, declared.folder)
    if given is None:
        return unused(declared, own)
    trial, path = declared.trial, Path(given).absolute()
    assert trial.population is not None
    if not path.is_file():
        raise DataError("there is no such table of prompts", Place(file=path, field="--prompts"))
    elsewhere = trial.population.model_copy(update={"prompts": path})
    other = read_prompts(trial.model_copy(update={"population": elsewhere}), declared.folder)
    text = trial.population.text
    common = other[text].isin(set(own[text]))
    if common.any():
        unit = other.loc[common, "unit_id"].iloc[0]
        raise DataError(
            f"{int(common.sum())} of its prompts are in the trial as well, the first is unit "
            f"{unit!r}; a pilot must be on prompts that the trial does not use: remove them here, "
            "or leave out --prompts and let the pilot take its own from the trial.",
            Place(file=path),
        )
    return other


def _chosen(declared: TrialFile, eligible: pd.DataFrame, n: int, own: bool) -> pd.DataFrame:
    """The pilot's prompts; those of a file of its own are all taken if there are no more than n."""
    trial = declared.trial
    chosen = choose(trial, eligible, n)
    left = len(eligible) - len(chosen) if own else None
    if len(chosen) < LEAST or (left is not None and left < 2 * len(trial.arms)):
        what = "would leave the trial too few" if len(chosen) >= LEAST else "are too few"
        raise DataError(
            f"{len(eligible)} prompts may be in the pilot, and {len(chosen)} of them {what}; add "
            "prompts, ask for fewer with --n, or give others with --prompts.",
            Place(field="--n"),
        )
    return chosen


def _observed(
    trial: Trial, engine: LocalBackend, chosen: pd.DataFrame, clock: Clock, console: Console
) -> pd.DataFrame:
    """The blinded observations; what they are blinded from is never kept."""
    from causal_sae.randomization import assign  # noqa: PLC0415

    assignment = assign(trial, chosen)
    plan = engine.plan(assignment, unit_columns(trial, chosen, assignment))
    with clock.stage("gates"), busy(console, "checking the gates"):
        engine.check(plan)
    with (
        tempfile.TemporaryDirectory() as hidden,
        clock.stage("run"),
        bar(console, "piloting", plan.tokens) as advance,
    ):
        observations = engine.execute(plan, Path(hidden) / "observations", advance)
    return blinded(trial, observations)
