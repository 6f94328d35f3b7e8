"""HC3 and block fixed effects against estimatr."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.spec.rules import broken_rules

CASES = pd.read_csv(
    Path(__file__).parents[1] / "goldens" / "estimation" / "hc3.csv", keep_default_na=False
)


@pytest.mark.parametrize("row", CASES.to_dict("records"))
def test_agrees_with_estimatr(row: dict[str, Any], make_sample: Any, golden: Any) -> None:
    names = tuple(str(row["covariates"]).split())
    sample = replace(make_sample(golden(f"data_{row['data']}"), names), se_type=row["se_type"])
    result = ESTIMATORS[row["estimator"]].fit(sample, 0.05)
    assert result.estimate == pytest.approx(row["estimate"], rel=1e-9)
    assert result.std_error == pytest.approx(row["std_error"], rel=1e-8)
    assert result.df == pytest.approx(row["df"], rel=1e-9)
    assert result.p_value == pytest.approx(row["p_value"], rel=1e-6)
    assert (result.conf_low, result.conf_high) == pytest.approx(
        (row["conf_low"], row["conf_high"]), rel=1e-6
    )


def test_fixed_effects_flag_blocks_that_do_not_count_by_size(make_sample: Any, golden: Any) -> None:
    uneven = ESTIMATORS["fixed_effects"].fit(make_sample(golden("data_blocked")), 0.05)
    even = ESTIMATORS["fixed_effects"].fit(make_sample(golden("data_npk")), 0.05)
    assert (uneven.flags, even.flags) == (("precision_weighted",), ())
    sized = ESTIMATORS["block"].fit(make_sample(golden("data_npk")), 0.05)
    assert even.estimate == pytest.approx(sized.estimate, rel=1e-12)


def test_a_standard_error_that_nothing_reads_is_refused(make_trial: Any) -> None:
    unread = make_trial(analysis={"se_type": "HC3", "estimator": "welch"})
    read = make_trial(analysis={"se_type": "HC3", "estimator": "difference_in_means"})
    assert [problem.path for problem in broken_rules(unread)] == [("analysis", "se_type")]
    assert not broken_rules(read)
