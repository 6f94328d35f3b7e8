"""Statistics: estimators, corrections, effect sizes and refutation. Never loads torch."""

from causal_sae.estimation.choice import check_analysis
from causal_sae.estimation.companions import companions
from causal_sae.estimation.effects import estimate
from causal_sae.estimation.refutation import graph, identify, refute
from causal_sae.estimation.sequential import stops
from causal_sae.estimation.supplementary import unregistered
from causal_sae.estimation.true_discoveries import true_discoveries
from causal_sae.flags import FLAGS, explain

__all__ = [
    "FLAGS",
    "check_analysis",
    "companions",
    "estimate",
    "explain",
    "graph",
    "identify",
    "refute",
    "stops",
    "true_discoveries",
    "unregistered",
]
