"""Looks before the end: boundaries, the rule that stops a trial, and honest estimates after it.

Between looks the statistics are taken as a Brownian motion with drift, which differences of means
are in large samples: ``Z`` at information fraction ``t`` has mean ``drift * sqrt(t)`` and variance
1, and two of them the correlation ``sqrt(t1 / t2)`` (Jennison and Turnbull 2000, ch. 3). Student's
statistics enter by their tail probabilities, as normal quantiles.
"""

from causal_sae.estimation.sequential.monitor import (
    Monitored,
    look_numbers,
    monitor,
    stops,
    until,
)
from causal_sae.estimation.sequential.repeated import nominal, repeated_p_value
from causal_sae.estimation.sequential.rows import honest_row, require_end
from causal_sae.estimation.sequential.table import looks_table

__all__ = [
    "Monitored",
    "honest_row",
    "look_numbers",
    "looks_table",
    "monitor",
    "nominal",
    "repeated_p_value",
    "require_end",
    "stops",
    "until",
]
