from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causal_sae.power.layout import planned
from causal_sae.power.plan import Plan
from causal_sae.simulation import Assumptions, NormalPopulation, Roster
from causal_sae.simulation.roster import names
from causal_sae.spec import Trial

GOLDENS = Path(__file__).parents[1] / "goldens" / "power"

CONTROL = {"name": "control", "intervention": {"kind": "none"}}
ABLATE = {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}}
PLACEBO = {
    "name": "placebo",
    "intervention": {"kind": "ablate", "features": {"placebo_for": [3]}},
}
LOW, HIGH = (
    {"name": f"dose-{dose}", "intervention": {"kind": "clamp", "features": [3], "dose": dose}}
    for dose in (1.0, 2.0)
)
CLEAN = {"covariates": ["clean_outcome"]}
BLOCKS = {"method": "block", "block_by": ["topic"]}
CLUSTERS = {"method": "cluster", "cluster_by": "template"}


def declare(**changes: Any) -> Trial:
    """Two arms and one primary outcome; the sections given replace the ones here."""
    declared: dict[str, Any] = {
        "schema": 1,
        "name": "planned",
        "question": "Does it?",
        "seed": 3,
        "arms": [CONTROL, ABLATE],
        "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
        "power": {"effect": 0.5},
    }
    return Trial.model_validate({**declared, **changes})


def units(n: int, blocks: int = 0, clusters: int = 0) -> Roster:
    """n units in blocks and clusters that are as equal as can be."""

    def labels(count: int) -> Any:
        return np.array([f"g{i % count:03d}" for i in range(n)]) if count else None

    return Roster(names(n), labels(blocks), labels(clusters))


@dataclass(frozen=True)
class Case:
    """A trial with what is assumed of it."""

    trial: Trial
    roster: Roster
    assumed: Assumptions

    @property
    def plan(self) -> Plan:
        outcomes = self.trial.outcomes
        known = {outcome.name: self.assumed for outcome in outcomes}
        return Plan(self.trial, outcomes, known, planned(self.trial, self.roster))

    @property
    def population(self) -> NormalPopulation:
        known = {outcome.name: self.assumed for outcome in self.trial.outcomes}
        return NormalPopulation(self.trial, known)


CASES: dict[str, Case] = {
    "welch": Case(declare(), units(80), Assumptions(0.6)),
    "unequal shares": Case(
        declare(arms=[CONTROL, {**ABLATE, "share": 3}]), units(120), Assumptions(0.6)
    ),
    "another scale": Case(declare(), units(80), Assumptions(-2.4, sd=4.0)),
    "simple assignment": Case(
        declare(assignment={"method": "simple"}), units(80), Assumptions(0.6)
    ),
    "difference in means": Case(
        declare(analysis={"estimator": "difference_in_means"}), units(60), Assumptions(0.7)
    ),
    "partly active": Case(declare(), units(160), Assumptions(1.2, active=0.4)),
    "exposed stratum": Case(
        declare(analysis={"estimator": "cace"}), units(120), Assumptions(0.8, active=0.4)
    ),
    "ancova": Case(declare(analysis=CLEAN), units(40), Assumptions(0.4, rho=0.8)),
    "ancova of doses": Case(
        declare(
            arms=[CONTROL, LOW, HIGH], analysis={**CLEAN, "contrasts": [["dose-2.0", "control"]]}
        ),
        units(60),
        Assumptions(0.4, rho=0.8),
    ),
    "lin": Case(
        declare(analysis={**CLEAN, "estimator": "lin"}), units(40), Assumptions(0.4, rho=0.7)
    ),
    "blocks": Case(declare(assignment=BLOCKS), units(80, blocks=5), Assumptions(0.5, icc=0.3)),
    "matched pairs": Case(
        declare(assignment=BLOCKS), units(40, blocks=20), Assumptions(0.7, icc=0.3)
    ),
    "blocks adjusted": Case(
        declare(assignment=BLOCKS, analysis=CLEAN),
        units(80, blocks=5),
        Assumptions(0.35, icc=0.3, rho=0.7),
    ),
    "clusters": Case(
        declare(assignment=CLUSTERS), units(200, clusters=20), Assumptions(0.6, icc=0.2)
    ),
    "clusters adjusted": Case(
        declare(assignment=CLUSTERS, analysis=CLEAN),
        units(160, clusters=16),
        Assumptions(0.45, icc=0.2, rho=0.6),
    ),
    "clusters in both arms": Case(
        declare(assignment={"method": "complete", "cluster_by": "template"}),
        units(120, clusters=24),
        Assumptions(0.5, icc=0.3),
    ),
    "crossover": Case(
        declare(
            assignment={"method": "crossover"},
            arms=[CONTROL, ABLATE, PLACEBO],
            analysis={"contrasts": [["ablate", "control"], ["ablate", "placebo"]]},
        ),
        units(30),
        Assumptions(0.4, rho=0.7),
    ),
    "crossover in clusters": Case(
        declare(assignment={"method": "crossover", "cluster_by": "template"}),
        units(60, clusters=12),
        Assumptions(0.4, rho=0.6, icc=0.2),
    ),
    "crossover, few exposed": Case(
        declare(assignment={"method": "crossover"}),
        units(80),
        Assumptions(0.6, rho=0.6, active=0.3),
    ),
}
"""Every design whose power has a closed form."""

MARGIN = {"outcomes": [{"name": "gap", "role": "guardrail", "metric": "kl", "margin": 0.5}]}
EQUIVALENCE = {
    "outcomes": [
        {"name": "gap", "role": "primary", "metric": "entropy", "margin": 0.6, "harm": "either"}
    ]
}
WITHIN = {"assignment": {"method": "crossover"}}

MARGINS: dict[str, Case] = {
    "margin": Case(declare(**MARGIN), units(30), Assumptions(0.0)),
    "margin, unequal shares": Case(
        declare(**MARGIN, arms=[CONTROL, {**ABLATE, "share": 3}]), units(80), Assumptions(0.0)
    ),
    "margin, adjusted": Case(
        declare(**MARGIN, analysis=CLEAN), units(30), Assumptions(0.0, rho=0.6)
    ),
    "margin, crossover": Case(
        declare(**MARGIN, **WITHIN, arms=[CONTROL, PLACEBO]), units(20), Assumptions(0.0, rho=0.6)
    ),
    "margin, few exposed": Case(
        declare(**MARGIN, **WITHIN), units(60), Assumptions(0.0, sd=3.0, rho=0.5, active=0.3)
    ),
    "margin, blocks": Case(
        declare(**MARGIN, assignment=BLOCKS), units(40, blocks=5), Assumptions(0.0, icc=0.3)
    ),
    "margin, clusters": Case(
        declare(**MARGIN, assignment=CLUSTERS), units(120, clusters=20), Assumptions(0.0, icc=0.1)
    ),
    "equivalence": Case(declare(**EQUIVALENCE), units(100), Assumptions(0.0)),
}
"""Every design's test against a margin."""


@pytest.fixture(scope="session")
def declared() -> Callable[..., Trial]:
    return declare


@pytest.fixture(scope="session")
def make_units() -> Callable[..., Roster]:
    return units


@pytest.fixture(params=CASES)
def case(request: Any) -> Case:
    """Each of :data:`CASES` in turn."""
    return CASES[request.param]


@pytest.fixture(params=MARGINS)
def margin(request: Any) -> Case:
    """Each of :data:`MARGINS` in turn."""
    return MARGINS[request.param]


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    return CASES


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    return Case
