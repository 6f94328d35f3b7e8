"""What the page says of its intervals follows the rows' flags."""

from __future__ import annotations

import pytest
from made_up_trials import effect, table

from causal_sae.reporting import sections
from causal_sae.reporting.effect import read_effects

HELD = {"flags": "simultaneous_interval"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{}, {}], ["Confidence intervals are not adjusted"]),
        ([HELD, HELD], []),
        ([HELD, {}], ["Some intervals are not adjusted"]),
        ([{"family_size": 1}], []),
    ],
)
def test_intervals_that_hold_together_are_not_called_unadjusted(
    rows: list[dict[str, object]], said: list[str]
) -> None:
    effects = read_effects(table(*(effect("gap", "a", "b", 0.5, 0.1, **row) for row in rows)))
    found = sections._unadjusted(effects)
    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))
