"""The whole product on one page: from a trial file to effects and a report.

Read this first. Every stage reads what the one before it wrote into the run folder::

    trial.yaml, prompts ──► assignment ──► observations ──► effects ──► report
                            randomization  execution        estimation   reporting
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from causal_sae.errors import DataError, InputError, Place, SpecError
from causal_sae.manifest import (
    Clock,
    begun,
    identity_of,
    looks_of,
    now,
    registration_of,
    resumed,
    rows_of,
    versions,
)
from causal_sae.piloting import held_out, unused
from causal_sae.pool import POOL, draw
from causal_sae.progress import bar, busy
from causal_sae.registration import (
    Amendment,
    Lock,
    deviations,
    lock_path,
    plan_of,
    read_lock,
    write_lock,
)
from causal_sae.run import Run
from causal_sae.run_folder import RunFolder, RunStopped, choose_folder, require_free
from causal_sae.spec.declared import trial_file
from causal_sae.spec.design import Eligibility
from causal_sae.spec.files import at_home, check_files
from causal_sae.spec.loading import TrialFile, fingerprint
from causal_sae.spec.prompts import read_prompts
from causal_sae.spec.trial import Trial
from causal_sae.unit_columns import pre_treatment, unit_columns

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.randomization import SampleRatio


def run_trial(
    trial: Trial | TrialFile | str | Path,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    backend: str = "local",
    memory: float | None = None,
    workers: int | None = None,
    address: str | None = None,
    console: Console | None = None,
) -> Run:
    """Randomise, run, estimate and report a trial.

    Parameters
    ----------
    trial:
        The trial, or its file.
    out:
        The run folder; default: ``runs/<name>/<time>`` under the current directory.
    resume:
        Go on with a run that was killed.
    backend:
        Where the model runs.
    memory:
        What one batch may take beside the weights, in GiB; default: 1, or a quarter of an
        accelerator's memory. A run is resumed with the memory that it began with.
    workers:
        For ``backend="ray"``: how many processes hold a model each; default: one a GPU.
    address:
        For ``backend="ray"``: of a cluster that is running; default: one on this machine. For
        ``backend="ndif"``: of the service; ``local`` tries the remote path in this process.
    console:
        Where progress is shown; default: standard error.

    Returns
    -------
    Run
        With ``effects`` as a DataFrame, ``plot.forest()`` and the report's path.

    Raises
    ------
    InputError
        When the trial, its tables, its model or its SAE cannot be used; nothing is written.
    GateError
        When a hard gate refuses the results; nothing is written.
    """
    from causal_sae.estimation import check_analysis, stops  # noqa: PLC0415 - loads statsmodels
    from causal_sae.randomization import assign, sample_ratio_check  # noqa: PLC0415

    console = console or Console(stderr=True)
    declared = trial_file(trial)
    clock = Clock()
    target = Path(out) if out else None
    require_free(target, resume)
    with busy(console, "loading torch"):
        from causal_sae.execution.backends import Resources, open_backend  # noqa: PLC0415
    resources = Resources(memory, workers, address)
    lock = read_lock(lock_path(declared))
    with located(declared), clock.stage("set up"):
        spec = declared.trial
        check_files(declared)
        check_analysis(spec)
        prompts = read_prompts(spec, declared.folder)
        engine = open_backend(backend, spec, declared.folder, prompts, console, resources)
        identity = identity_of(declared, engine)
        folder = choose_folder(Path("runs"), spec.name, target, resume, identity)
        excluded = engine.excluded() | held_out(declared, prompts)
        eligible = prompts[~prompts["unit_id"].isin(excluded)]
        if eligible.empty:
            raise DataError(
                f"none of the {len(prompts)} prompts is eligible: {_tally(excluded)}",
                Place(field="population.eligibility"),
            )
        pool = draw(spec, engine, eligible["unit_id"], folder)
        if pool is not None:
            eligible = eligible[eligible["unit_id"].isin(pool.drawn["unit_id"])]
        assignment = assign(spec, eligible)
        ratio = sample_ratio_check(spec, assignment)
        ratio.require()
        if pool is not None:
            assignment = pool.join(assignment)
        plan = engine.plan(assignment, unit_columns(spec, eligible, assignment))
    with located(declared), clock.stage("gates"), busy(console, "checking the gates"):
        gates = engine.check(plan)
    manifest = begun(declared, engine, identity, excluded) | resumed(folder)
    manifest |= registration_of(lock, declared.trial, identity)
    manifest |= {} if pool is None else {"pool": pool.counts()}
    # The manifest stands first: from then on a run that is killed can be resumed.
    folder.write_manifest(manifest)
    folder.sweep()
    try:
        folder.write_text("trial.yaml", declared.text)
        if lock is not None:
            write_lock(lock, folder.lock)
        folder.write_table("assignment.parquet", assignment)
        if pool is not None:
            folder.write_table(POOL, pool.table())
        checks = [*(asdict(gate) for gate in gates), *_ratio_check(ratio)]
        folder.write_table("diagnostics.csv", _frame(checks))
        with located(declared), clock.stage("run"), bar(console, "running", plan.tokens) as advance:
            done = engine.execute(plan, folder.observations, advance, partial(stops, spec))
        manifest |= {"status": "observed", "rows": rows_of(done)} | looks_of(spec, assignment, done)
        folder.write_manifest(manifest)
        with clock.stage("estimate"), busy(console, "estimating the effects"):
            estimate_run(folder)
        manifest |= {"timings": clock.seconds, "finished": now(), "status": "done"}
        folder.write_manifest(manifest)
        with clock.stage("report"), busy(console, "writing the report"):
            report_run(folder)
    except KeyboardInterrupt:
        raise RunStopped(folder) from None
    return Run(folder)


def estimate_run(folder: RunFolder, effects: pd.DataFrame | None = None) -> None:
    """Estimate the effects of a run from its saved observations; never loads torch.

    Parameters
    ----------
    folder:
        The run.
    effects:
        What :func:`causal_sae.estimation.estimate` returned, where that was needed before.
    """
    from causal_sae.estimation import (  # noqa: PLC0415
        companions,
        estimate,
        identify,
        refute,
        unregistered,
    )
    from causal_sae.randomization import balance_table  # noqa: PLC0415

    run = Run(folder)
    if folder.manifest.get("status") == "running":
        raise DataError(
            "is a run that was stopped before all its observations were made; go on with it by "
            f"`causal-sae run TRIAL --out {folder.path} --resume`",
            Place(file=folder.path),
        )
    trial, observations = run.trial, run.observations
    lock = read_lock(folder.lock)
    if effects is None:
        effects = estimate(trial, observations, None if lock is None else lock.trial)
    folder.write_table("effects.parquet", effects)
    folder.write_table("effects.csv", effects)
    for name, table in companions(trial, observations, effects).items():
        if name == "supplementary" and lock is not None and lock.trial is not None:
            table = unregistered(table, lock.trial)
        folder.write_table(f"tables/{name}.csv", table)
    if trial.analysis.refuters:
        # Both load DoWhy, which takes seconds: only trials that ask for refutation pay for it.
        folder.write_table("refutations.csv", refute(trial, observations))
    folder.write_text("identification.txt", identify(trial, bool(trial.analysis.refuters)))
    if not trial.within_unit and run.assignment is not None:
        covariates = pre_treatment(trial, observations)
        # A trial that stopped at a look never ran the others.
        ran = run.assignment["unit_id"].isin(covariates["unit_id"])
        assigned = run.assignment if trial.analysis.looks is None else run.assignment[ran]
        folder.write_table("balance.csv", balance_table(assigned, covariates, trial.reference))


def estimate_observations(
    trial: Trial | TrialFile | str | Path, observations: pd.DataFrame, out: Path | str
) -> Run:
    """Estimate the effects in a table that came from elsewhere; never loads torch.

    Parameters
    ----------
    trial:
        The trial, or its file; model, SAE and prompts may be absent.
    observations:
        Long form: at least unit_id, arm, outcome and value.
    out:
        The run folder that is made.
    """
    from causal_sae.estimation import estimate  # noqa: PLC0415
    from causal_sae.tables import OBSERVATIONS  # noqa: PLC0415

    declared = trial_file(trial)
    table = OBSERVATIONS.check(observations)
    with located(declared):
        lock = read_lock(lock_path(declared))
        effects = estimate(declared.trial, table, None if lock is None else lock.trial)
        folder = choose_folder(Path(), declared.trial.name, Path(out), False, {})
    folder.write_text("trial.yaml", declared.text)
    if lock is not None:
        write_lock(lock, folder.lock)
    folder.write_table("observations/part-00000.parquet", table)
    manifest = {"hashes": {"trial": fingerprint(declared.trial)}, "status": "done"}
    manifest |= {"versions": versions(), "finished": now(), "source": "foreign observations"}
    manifest |= registration_of(lock, declared.trial, {})
    folder.write_manifest(manifest)
    estimate_run(folder, effects)
    report_run(folder)
    return Run(folder)


def assign_trial(trial: Trial | TrialFile | str | Path) -> pd.DataFrame:
    """Deal a trial's prompts out to its arms, without running anything.

    Raises
    ------
    SpecError
        When only the model can tell which prompts are eligible.
    """
    from causal_sae.randomization import assign, sample_ratio_check  # noqa: PLC0415

    declared = trial_file(trial)
    with located(declared):
        population = declared.trial.population
        if population is not None and population.enrich is not None:
            raise SpecError(
                "which prompts are exposed is known only to the model: `causal-sae run` draws "
                "them from the pool and assigns",
                Place(field="population.enrich"),
            )
        if population is not None and population.eligibility != Eligibility():
            raise SpecError(
                "which prompts are eligible is known only to the model: `causal-sae run` assigns",
                Place(field="population.eligibility"),
            )
        prompts = read_prompts(declared.trial, declared.folder)
        assignment = assign(declared.trial, unused(declared, prompts))
        sample_ratio_check(declared.trial, assignment).require()
    return assignment


def register_trial(
    trial: Trial | TrialFile | str | Path, *, amend: bool = False, console: Console | None = None
) -> tuple[Path, Path]:
    """Freeze a trial's plan: a lock beside its file, and a protocol in plain text.

    The model and the SAE are loaded, so that a plan that could not run is not registered.

    Parameters
    ----------
    trial:
        The trial, or its file.
    amend:
        Replace an earlier registration; what changed is recorded in the new one.
    console:
        Where progress is shown.

    Returns
    -------
    The paths of the lock and of the protocol.

    Raises
    ------
    InputError
        The trial cannot run, or is registered already.
    """
    from causal_sae.estimation import check_analysis  # noqa: PLC0415 - loads statsmodels
    from causal_sae.reporting.protocol import protocol  # noqa: PLC0415

    console = console or Console(stderr=True)
    declared = trial_file(trial)
    path = lock_path(declared)
    with located(declared):
        before = read_lock(path)
        if before is not None and not amend:
            raise SpecError(
                f"is registered since {before.registered}; a plan that changed is registered again "
                "by --amend, which keeps the record of what changed",
                Place(file=path),
            )
        check_files(declared)
        check_analysis(declared.trial)
        with busy(console, "loading torch"):
            from causal_sae.execution.backends import open_backend  # noqa: PLC0415
        prompts = read_prompts(declared.trial, declared.folder)
        engine = open_backend("local", declared.trial, declared.folder, prompts, console)
    lock = Lock(now(), plan_of(declared.trial), identity_of(declared, engine), versions())
    if before is not None:
        changes = deviations(before, declared.trial, lock.hashes, lock.versions)
        former = Amendment(before.registered, before.seal, tuple(changes))
        lock = replace(lock, amendments=(*before.amendments, former))
    text = protocol(declared.trial, lock.registered, lock.hashes, lock.versions)
    plain = path.with_suffix(".protocol.txt")
    plain.write_text(text, encoding="utf-8")
    write_lock(lock, path)
    return path, plain


def report_run(folder: RunFolder) -> None:
    """Draw the figures and write the page of a run from what its folder holds."""
    from causal_sae.reporting.figures import draw, save_figures  # noqa: PLC0415
    from causal_sae.reporting.page import write_report  # noqa: PLC0415 - loads matplotlib

    record = Run(folder).record()
    saved = save_figures(draw(record), folder.figures)
    pictures = {path.stem: path for path in saved if path.suffix == ".svg"}
    write_report(record, folder.report, pictures)


@contextmanager
def located(declared: TrialFile) -> Iterator[None]:
    """Give an error that names a field of the trial its file, line and column."""
    try:
        yield
    except InputError as error:
        if error.place.field and error.place.field.startswith("-"):
            raise  # an option of the command line
        raise at_home(error, declared) from None


def _ratio_check(ratio: SampleRatio) -> list[dict[str, object]]:
    """The sample-ratio check as a row of the diagnostics; none where every unit is in every arm."""
    if math.isnan(ratio.p_value):
        return []
    return [
        {
            "check": "sample ratio",
            "status": "pass" if ratio.passed else "fail",
            "value": ratio.p_value,
            "limit": 0.001,
            "sentence": "the arms have the sizes that the assignment promised",
        }
    ]


def _tally(excluded: Mapping[str, str]) -> str:
    reasons = list(excluded.values())
    return "; ".join(f"{reasons.count(r)} have {r}" for r in sorted(set(reasons)))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    return pd.DataFrame(rows)
