"""The whole product on one page: from a trial file to effects and a report.

Read this first. Every stage reads what the one before it wrote into the run folder::

    trial.yaml, prompts ──► assignment ──► observations ──► effects ──► report
                            randomization  execution        estimation   reporting
"""

from __future__ import annotations

import hashlib
import math
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from causal_sae.errors import DataError, InputError, Place, SpecError
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
from causal_sae.spec.prompts import prompts_source, read_prompts
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.execution.backends.local import LocalBackend
    from causal_sae.randomization import SampleRatio

PACKAGES = (
    *("causal-sae", "torch", "transformers", "nnsight", "numpy", "pandas", "scipy"),
    *("statsmodels", "pingouin", "dowhy", "pydantic"),
)
#: What the assignment and the observations of an enriched trial say of each unit.
SAMPLING = ("sampling_probability", "stratum_share", "exposed")
#: The clean pass over the pool, kept so that a run that goes on need not repeat it.
POOL = "pool.parquet"
#: What the executor writes beside the contract's columns: a covariate may not be called so.
RECORDED = frozenset(
    {"positions", "active_positions", "activation_before", "activation_asked", "activation_found"}
)


def run_trial(
    trial: Trial | TrialFile | str | Path,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    backend: str = "local",
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
    from causal_sae.estimation import check_analysis  # noqa: PLC0415 - loads statsmodels
    from causal_sae.randomization import assign, sample_ratio_check  # noqa: PLC0415

    console = console or Console(stderr=True)
    declared = trial_file(trial)
    clock = _Clock()
    target = Path(out) if out else None
    require_free(target, resume)
    with busy(console, "loading torch"):
        from causal_sae.execution.backends import open_backend  # noqa: PLC0415
    lock = read_lock(lock_path(declared))
    with located(declared), clock.stage("set up"):
        spec = declared.trial
        check_files(declared)
        check_analysis(spec)
        prompts = read_prompts(spec, declared.folder)
        engine = open_backend(backend, spec, declared.folder, prompts, console)
        identity = _identity(declared, engine)
        folder = choose_folder(Path("runs"), spec.name, target, resume, identity)
        excluded = engine.excluded()
        eligible = prompts[~prompts["unit_id"].isin(excluded)]
        if eligible.empty:
            raise DataError(
                f"none of the {len(prompts)} prompts is eligible: {_tally(excluded)}",
                Place(field="population.eligibility"),
            )
        pool = _draw(spec, engine, eligible["unit_id"], folder)
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
    manifest = _manifest(declared, engine, identity, excluded) | _resumed(folder)
    manifest |= _registration(lock, declared.trial, identity)
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
            engine.execute(plan, folder.observations, advance)
        manifest |= {"status": "observed"}
        folder.write_manifest(manifest)
        with clock.stage("estimate"), busy(console, "estimating the effects"):
            estimate_run(folder)
        manifest |= {"timings": clock.seconds, "finished": _now(), "status": "done"}
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
        folder.write_table(
            "balance.csv", balance_table(run.assignment, covariates, trial.reference)
        )


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
    manifest |= {"versions": _versions(), "finished": _now(), "source": "foreign observations"}
    manifest |= _registration(lock, declared.trial, {})
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
        assignment = assign(declared.trial, read_prompts(declared.trial, declared.folder))
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
    lock = Lock(_now(), plan_of(declared.trial), _identity(declared, engine), _versions())
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


def unit_columns(
    trial: Trial, prompts: pd.DataFrame, assignment: pd.DataFrame
) -> dict[str, Mapping[str, object]]:
    """For each unit the columns that all its observations carry: block, cluster, covariates.

    Where prompts were drawn from a pool, also with what probability, and whether it is exposed.
    """
    declared = [name for name in trial.analysis.covariates if name in prompts]
    first = assignment.drop_duplicates("unit_id").set_index("unit_id")
    first = first[["block", "cluster", *(SAMPLING if "exposed" in first else ())]]
    for number, name in enumerate(trial.analysis.covariates):
        if name in RECORDED and name in declared:
            raise SpecError(
                f"the run records a column {name!r} of its own; rename that of the prompts",
                Place(field=f"analysis.covariates[{number}]"),
            )
    columns = prompts.set_index("unit_id")[declared].join(first)
    rows = columns.to_dict("records")
    return {
        str(unit): {str(key): value for key, value in row.items()}
        for unit, row in zip(columns.index, rows, strict=True)
    }


def pre_treatment(trial: Trial, observations: pd.DataFrame) -> pd.DataFrame:
    """What was known of each unit before it was assigned, one row a unit."""
    wide = observations.drop_duplicates("unit_id").set_index("unit_id")
    known = [c for c in (*trial.analysis.covariates, "positions", "active_positions") if c in wide]
    table = wide[[c for c in known if c != "clean_outcome"]].copy()
    if "clean_outcome" in observations:
        clean = observations.pivot_table(
            index="unit_id", columns="outcome", values="clean_outcome", sort=False
        )
        table = table.join(clean.add_prefix("clean "))
    return table.reset_index()


@contextmanager
def located(declared: TrialFile) -> Iterator[None]:
    """Give an error that names a field of the trial its file, line and column."""
    try:
        yield
    except InputError as error:
        if error.place.field and error.place.field.startswith("-"):
            raise  # an option of the command line
        raise at_home(error, declared) from None


@dataclass(frozen=True)
class _Pool:
    """The eligible prompts of an enriched trial's pool, and those that were drawn from them."""

    active: pd.Series[int]
    """For each prompt of the pool, at how many edited positions the feature fires."""
    drawn: pd.DataFrame
    """As :func:`causal_sae.randomization.draw_units` returns them."""

    def join(self, assignment: pd.DataFrame) -> pd.DataFrame:
        """The assignment with how each unit was drawn."""
        drawn = self.drawn.set_index("unit_id")
        units = assignment["unit_id"].astype(str)
        return assignment.assign(**{name: units.map(drawn[name]).array for name in SAMPLING})

    def table(self) -> pd.DataFrame:
        """What the run folder keeps: one row for each prompt of the pool."""
        table = self.active.reset_index()
        return table.assign(drawn=table["unit_id"].isin(self.drawn["unit_id"]))

    def counts(self) -> dict[str, int]:
        """The numbers of the flow diagram."""
        exposed = int(self.drawn["exposed"].sum())
        return {
            "eligible": len(self.active),
            "exposed": int((self.active > 0).sum()),
            "drawn_exposed": exposed,
            "drawn_unexposed": len(self.drawn) - exposed,
        }


def _draw(
    trial: Trial, engine: LocalBackend, eligible: pd.Series[str], folder: RunFolder
) -> _Pool | None:
    """Scan the pool and draw the trial's units from it; None where the trial takes every prompt."""
    from causal_sae.randomization import draw_units  # noqa: PLC0415

    enrich = trial.population.enrich if trial.population else None
    if enrich is None:
        return None
    active = _scanned(folder)
    if active is None or set(active.index) != set(eligible):
        active = engine.exposure(eligible)
    return _Pool(active, draw_units(enrich, active > 0, trial.seed))


def _scanned(folder: RunFolder) -> pd.Series[int] | None:
    """What an earlier process of the same run found in the pool."""
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    file = folder.path / POOL
    if not (folder.manifest and file.exists()):
        return None
    return pd.read_parquet(file).set_index("unit_id")["active_positions"]


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


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


def _identity(declared: TrialFile, engine: LocalBackend) -> dict[str, str]:
    hashes = {"trial": fingerprint(declared.trial), **engine.describe()["hashes"]}
    population = declared.trial.population
    if population is not None:
        content = (declared.folder / prompts_source(population)[0]).read_bytes()
        hashes["prompts"] = hashlib.sha256(content).hexdigest()
    return hashes


def _manifest(
    declared: TrialFile,
    engine: LocalBackend,
    identity: Mapping[str, str],
    excluded: Mapping[str, str],
) -> dict[str, Any]:
    reasons = list(excluded.values())
    return {
        "status": "running",
        "command": _command(),
        "started": _now(),
        "versions": _versions(),
        "hashes": dict(identity),
        "seed": declared.trial.seed,
        "device": engine.describe()["execution"]["device"],
        "execution": engine.describe()["execution"],
        "excluded": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def _registration(lock: Lock | None, trial: Trial, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What the manifest says of the registration: when, and what is not as registered."""
    if lock is None:
        return {"registered": None, "deviations": []}
    return {
        "registered": lock.registered,
        "amended": [asdict(amendment) for amendment in lock.amendments],
        "deviations": deviations(lock, trial, hashes, _versions()),
    }


def _resumed(folder: RunFolder) -> dict[str, Any]:
    """What the manifest of a run that goes on keeps of its beginning."""
    before = folder.manifest
    if not before:
        return {}
    return {"started": before["started"], "resumed": [*before.get("resumed", []), _now()]}


def _command() -> str:
    if Path(sys.argv[0]).stem == "causal-sae":
        return shlex.join(["causal-sae", *sys.argv[1:]])
    return "causal_sae.run_trial(...)"


def _versions() -> dict[str, str]:
    known = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "not installed"
    return known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _tally(excluded: Mapping[str, str]) -> str:
    reasons = list(excluded.values())
    return "; ".join(f"{reasons.count(r)} have {r}" for r in sorted(set(reasons)))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    return pd.DataFrame(rows)
