"""Simulated trials: a declared trial with made-up outcomes, dealt and measured like a real one."""

from causal_sae.simulation.arms import (
    acts,
    assumed_effects,
    inert_when_silent,
    received,
    untouched,
)
from causal_sae.simulation.discrete import DISCRETE, DiscretePopulation, usual_sd
from causal_sae.simulation.draws import WithDraws, draws_of
from causal_sae.simulation.observations import deal, simulate
from causal_sae.simulation.pool import FromPool
from causal_sae.simulation.population import Assumptions, Drawn, NormalPopulation, Population, Shape
from causal_sae.simulation.roster import Roster

__all__ = [
    "DISCRETE",
    "Assumptions",
    "DiscretePopulation",
    "Drawn",
    "FromPool",
    "NormalPopulation",
    "Population",
    "Roster",
    "Shape",
    "WithDraws",
    "acts",
    "assumed_effects",
    "deal",
    "draws_of",
    "inert_when_silent",
    "received",
    "simulate",
    "untouched",
    "usual_sd",
]
