"""Statistics: estimators, corrections, effect sizes and refutation. Never loads torch."""

from causal_sae.estimation.effects import estimate
from causal_sae.estimation.flags import FLAGS, explain
from causal_sae.estimation.refutation import graph, identify, refute

__all__ = ["FLAGS", "estimate", "explain", "graph", "identify", "refute"]
