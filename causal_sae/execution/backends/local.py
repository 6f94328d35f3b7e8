"""The backend that runs on this machine's own device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console

from causal_sae.errors import Place, SpecError
from causal_sae.execution.backends.resources import Resources
from causal_sae.execution.execute import Runner, Stop, check, execute, here, never
from causal_sae.execution.gates import Gate
from causal_sae.execution.laboratory import Laboratory, exclusions, open_laboratory
from causal_sae.execution.metrics import Metric
from causal_sae.execution.plan import Plan, plan
from causal_sae.execution.scan import Scan, exposure, scan
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.text_metrics import TextMetric
from causal_sae.execution.treatments import (
    Activations,
    check_features,
    deal_draws,
    focal_features,
    treatments,
)
from causal_sae.progress import bar
from causal_sae.saes.features.store import stored_features
from causal_sae.saes.sae import SAE
from causal_sae.spec.design import Population
from causal_sae.spec.interventions import Ablate, Placebo, QuantileDose
from causal_sae.spec.trial import Trial

Advance = Callable[[int], None]


@dataclass
class LocalBackend:
    """One process, one model. Opened once; then: who is eligible, the plan, its gates, the run."""

    name = "local"
    laboratory: Laboratory
    table: pd.DataFrame
    """The prompts."""
    prompts: list[Prompt]
    metrics: dict[str, Metric | TextMetric]
    gates: list[Gate] = field(default_factory=list)
    console: Console | None = None
    """Where progress is shown."""

    @property
    def trial(self) -> Trial:
        """The trial that runs here."""
        return self.laboratory.trial

    def describe(self) -> dict[str, dict[str, str]]:
        """Hashes and devices for the manifest."""
        model, sae = self.laboratory.model, self.laboratory.sae
        written, limit = self.laboratory.host.written, self.laboratory.limit
        return {
            "hashes": {"model": model.fingerprint, "sae": sae_fingerprint(sae)} | self._readers(),
            "execution": {
                "backend": self.name,
                "device": str(model.device),
                "dtype": str(model.dtype).removeprefix("torch."),
                "model": model.name,
                "sae": f"{sae.config.architecture}, {sae.config.d_sae} features",
                "hook": self.laboratory.hook.module,
                **({"written": written.module} if written != self.laboratory.hook else {}),
                "route": self.laboratory.host.route,
                "batch": f"at most {limit.tokens} tokens, {limit.scores} distributions",
                "feature_statistics": self.statistics_source,
            },
        }

    def _readers(self) -> dict[str, str]:
        """Hashes of the later SAEs that outcomes read."""
        saes = {name: getattr(metric, "sae", None) for name, metric in self.metrics.items()}
        own = self.laboratory.sae
        return {
            f"sae of {name}": sae_fingerprint(sae)
            for name, sae in saes.items()
            if isinstance(sae, SAE) and sae is not own
        }

    @cached_property
    def _stored(self) -> pd.DataFrame | None:
        return stored_features(self.laboratory.sae)

    @cached_property
    def _scanned(self) -> Scan:
        """One reading of all prompts serves eligibility and the features' statistics."""
        rule = _population(self.trial).eligibility.active
        return self._scan((rule.feature,) if rule else ())

    def _scan(self, features: tuple[int, ...]) -> Scan:
        lab = self.laboratory
        if self.console is None:
            return scan(lab.host, lab.sae, self.prompts, features, lab.limit)
        total = sum(len(prompt.tokens) for prompt in self.prompts)
        with bar(self.console, "reading", total, transient=True) as advance:
            return scan(lab.host, lab.sae, self.prompts, features, lab.limit, advance)

    @property
    def statistics_source(self) -> str:
        """Where the features' densities and quantiles come from."""
        return "the trial's own prompts" if self._stored is None else "the SAE's feature store"

    @property
    def _statistics(self) -> pd.DataFrame:
        return self._scanned.statistics if self._stored is None else self._stored

    def excluded(self) -> dict[str, str]:
        """For each prompt that may not enter: why."""
        population = _population(self.trial)
        rules = population.eligibility
        if rules.active is None:
            return exclusions(self.prompts, rules, None)
        check_features(
            self.laboratory.sae,
            (rules.active.feature,),
            Place(field="population.eligibility.active.feature"),
        )
        return exclusions(self.prompts, rules, self._scanned.active)

    def exposure(self, units: Iterable[str]) -> pd.Series[int]:
        """At how many edited positions the enriched feature fires, for these units of the pool.

        Raises
        ------
        SpecError
            When the trial draws from no pool, or the SAE has no such feature.
        """
        enrich, lab = _population(self.trial).enrich, self.laboratory
        if enrich is None:
            raise SpecError("must declare a pool to draw from", Place(field="population.enrich"))
        check_features(lab.sae, (enrich.feature,), Place(field="population.enrich.feature"))
        wanted = set(units)
        pool = [prompt for prompt in self.prompts if prompt.unit_id in wanted]
        skip = self.trial.attention_sinks == "skip"
        if self.console is None:
            return exposure(lab.host, lab.sae, pool, enrich.feature, lab.limit, skip)
        total = sum(len(prompt.tokens) for prompt in pool)
        with bar(self.console, "scanning the pool", total) as advance:
            return exposure(lab.host, lab.sae, pool, enrich.feature, lab.limit, skip, advance)

    def plan(self, assignment: pd.DataFrame, units: Mapping[str, Mapping[str, object]]) -> Plan:
        """Lay out the batches of an assignment; ``units`` holds each unit's constant columns."""
        enrich = _population(self.trial).enrich
        focal = focal_features(self.trial) if enrich is None else (enrich.feature,)
        statistics = self._statistics if _needs_statistics(self.trial) else pd.DataFrame()
        made = treatments(self.trial, self.laboratory.sae, statistics, None)
        if _resamples(self.trial):
            wanted = {j for choices in made.values() for t in choices for j in t.features}
            pool: Activations = self._scan(tuple(sorted(wanted))).pool
            made = treatments(self.trial, self.laboratory.sae, statistics, pool)
        dealt = deal_draws(self.trial, assignment, made)
        made_plan = plan(self.laboratory, self.prompts, self.metrics, dealt, focal, units)
        return replace(made_plan, places=places(assignment))

    def check(self, run: Plan) -> list[Gate]:
        """Every gate's outcome, the route's included; raises where one fails."""
        return [*self.gates, *check(run, self.laboratory.limit)]

    def execute(
        self, run: Plan, folder: Path, advance: Advance, stop: Stop = never
    ) -> pd.DataFrame:
        """Run what ``folder`` does not hold yet, until ``stop``; returns all observations."""
        return execute(run, folder, advance, self.runner, stop)

    @property
    def runner(self) -> Runner:
        """What runs the shards of a plan."""
        return here


def open_local(
    trial: Trial,
    base: Path,
    table: pd.DataFrame,
    console: Console | None = None,
    resources: Resources = Resources(),  # noqa: B008 - frozen
) -> LocalBackend:
    """Load the model and the SAE, tokenise the prompts, and pass the first gate."""
    laboratory = open_laboratory(trial, base, console, resources.memory)
    prompts = laboratory.tokenizer.prompts(table)
    metrics = laboratory.metrics(table)
    laboratory, gate = laboratory.choose_route(prompts)
    laboratory, start = laboratory.choose_start(prompts)
    laboratory, readout = laboratory.choose_readout(prompts, metrics)
    gates = [gate, *start, *readout]
    return LocalBackend(laboratory, table, prompts, metrics, gates, console)


def sae_fingerprint(sae: SAE) -> str:
    """SHA-256 over the SAE's weights."""
    digest = hashlib.sha256()
    for part in fields(sae.weights):
        tensor = getattr(sae.weights, part.name)
        if tensor is not None:
            digest.update(part.name.encode())
            digest.update(tensor.detach().to("cpu").contiguous().numpy().tobytes())
    return digest.hexdigest()


def places(assignment: pd.DataFrame) -> dict[tuple[str, str], int]:
    """For each unit and arm its place in the unit's sequence; empty where units have one arm."""
    known = assignment[assignment["run_order"].notna()]
    return {
        (str(unit), str(arm)): int(place)
        for unit, arm, place in zip(known["unit_id"], known["arm"], known["run_order"], strict=True)
    }


def _population(trial: Trial) -> Population:
    if trial.population is None:
        raise SpecError("a trial that runs must declare its population")
    return trial.population


def _resamples(trial: Trial) -> bool:
    edits = (arm.intervention for arm in trial.arms)
    return any(isinstance(edit, Ablate) and edit.to == "resample" for edit in edits)


def _needs_statistics(trial: Trial) -> bool:
    """Whether a placebo, a quantile dose or a mean has to be looked up."""
    for arm in trial.arms:
        edit = arm.intervention
        if isinstance(getattr(edit, "features", None), Placebo):
            return True
        if isinstance(getattr(edit, "dose", None), QuantileDose):
            return True
        if isinstance(edit, Ablate) and edit.to == "mean":
            return True
    return False
