from __future__ import annotations

import subprocess
import sys

import pandas as pd
from made_up_trials import declared

from causal_sae.reporting import TrialRecord
from causal_sae.reporting.record import NO_OBSERVATION, assignment_of, count_flow
from causal_sae.spec import Trial


def test_flow_counts_units_and_not_rows() -> None:
    trial = Trial.model_validate(declared())
    assignment = pd.DataFrame({"unit_id": list("abcdef"), "arm": ["sham", "ablate", "placebo"] * 2})
    observations = pd.DataFrame(
        [
            ("a", "sham", "gap", 1.0, "ok", False),
            ("a", "sham", "gap", 2.0, "ok", False),  # a second draw of the same unit
            ("b", "ablate", "gap", None, "prompt too long", True),
            ("b", "ablate", "entropy", 1.0, "ok", True),  # another outcome
            ("c", "placebo", "gap", 1.0, "ok", True),
            ("e", "ablate", "gap", 9.0, "not finite", True),  # a value that does not count
            ("f", "placebo", "gap", 1.0, "ok", True),
        ],
        columns=["unit_id", "arm", "outcome", "value", "status", "received"],
    )
    flow = count_flow(trial, assignment, observations, {"too short": 4})
    assert (flow.assessed, flow.eligible, flow.randomised) == (10, 6, 6)
    sham, ablate, placebo = flow.arms
    assert (sham.randomised, sham.analysed, sham.delivered) == (2, 1, 0)
    assert sham.missing == {NO_OBSERVATION: 1}
    assert (ablate.analysed, ablate.delivered) == (0, 2)
    assert ablate.missing == {"prompt too long": 1, "not finite": 1}
    assert (placebo.analysed, placebo.missing, placebo.exposed) == (2, {}, None)


def test_every_randomised_unit_is_accounted_for(
    record: TrialRecord, crossover: TrialRecord
) -> None:
    for flow in (record.flow, crossover.flow):
        for arm in flow.arms:
            assert arm.analysed + sum(arm.missing.values()) == arm.randomised


def test_assignment_of_foreign_observations(record: TrialRecord) -> None:
    found = assignment_of(record.observations[["unit_id", "arm", "outcome", "value"]])
    pairs = set(zip(record.assignment["unit_id"], record.assignment["arm"], strict=True))
    assert set(zip(found["unit_id"], found["arm"], strict=True)) == pairs
    assert len(found) == len(pairs)


def test_importing_the_package_is_light() -> None:
    heavy = "pandas matplotlib seaborn jinja2 torch scipy statsmodels"
    code = (
        "import sys, causal_sae.reporting;"
        f"print([m for m in {heavy.split()!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_never_loads_torch() -> None:
    code = (
        "import sys, causal_sae.reporting.page, causal_sae.reporting.terminal;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
