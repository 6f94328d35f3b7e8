"""A simulated trial as tables: arms dealt by the trial's own scheme, outcomes as observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.randomization.assignment import SCHEMES
from causal_sae.randomization.dealing import Arms
from causal_sae.randomization.looks import deal_looks
from causal_sae.randomness import generator
from causal_sae.simulation.arms import received
from causal_sae.simulation.population import Drawn, Population
from causal_sae.simulation.roster import Roster
from causal_sae.tables import OBSERVATIONS

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial

CLEAN = "clean_outcome"


def deal(trial: Trial, roster: Roster, repetition: int) -> Arms:
    """[n] or [n, places] the arm of each unit, drawn anew for each repetition.

    The same as :func:`causal_sae.randomization.assign` deals for a trial with that seed, without
    its tables and checks, which would take most of the time.
    """
    shares = [arm.share for arm in trial.arms]
    return SCHEMES[trial.assignment.method](roster.units, shares, seed_of(trial, repetition))


def seed_of(trial: Trial, repetition: int) -> int:
    """The seed of one repetition's assignment."""
    draws = generator(trial.seed, "simulation", "assignment", str(repetition))
    return int(draws.integers(2**32))


def simulate(
    trial: Trial, population: Population, roster: Roster, repetition: int = 0, scale: float = 1.0
) -> pd.DataFrame:
    """The observations of one simulated trial.

    Parameters
    ----------
    trial:
        The declaration.
    population:
        Where units come from: :class:`causal_sae.simulation.population.NormalPopulation`.
    roster:
        The units' names, blocks and clusters.
    repetition:
        Which of the simulated trials; each number is another.
    scale:
        Multiplies the assumed effect: 0 simulates trials of a feature that does nothing.

    Returns
    -------
    The columns of :data:`causal_sae.tables.OBSERVATIONS`, ``clean_outcome`` and the covariates;
    ready for :func:`causal_sae.estimation.estimate`.
    """
    drawn = population.draw(roster, repetition, scale)
    return observed(trial, roster, drawn, deal(trial, roster, repetition), repetition)


def observed(
    trial: Trial, roster: Roster, drawn: Drawn, arms: Arms, repetition: int = 0
) -> pd.DataFrame:
    """What is seen of the units in the arms that they were dealt."""
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    places = arms.shape[1] if arms.ndim == 2 else 1
    unit, arm = np.repeat(np.arange(len(roster)), places), arms.ravel()
    names = np.array([one.name for one in trial.arms])
    common: dict[str, object] = {
        "unit_id": roster.name[unit],
        "arm": names[arm],
        "block": None if roster.block is None else roster.block[unit],
        "cluster": None if roster.cluster is None else roster.cluster[unit],
        "exposed": drawn.exposed[unit],
        "received": received(trial, drawn.exposed)[unit, arm],
        "run_order": np.tile(np.arange(1, places + 1), len(roster)) if places > 1 else None,
        "status": "ok",
    }
    if drawn.draw is not None:
        number = drawn.draw[unit, arm]
        common["draw"] = pd.Series(number, dtype="Int64").mask(number < 0)
    if drawn.sampling is not None:
        common["sampling_probability"] = drawn.sampling.probability[unit]
        common["stratum_share"] = drawn.sampling.stratum_share[unit]
    looks = deal_looks(trial, roster.units, arms)
    common |= {} if looks is None else {"look": looks[unit]}
    covariates = noise(trial, roster, repetition)
    common |= {name: column[unit] for name, column in covariates.items()}
    tables = [
        pd.DataFrame(
            common | {"outcome": name, "value": values[unit, arm], CLEAN: drawn.clean[name][unit]}
        )
        for name, values in drawn.potential.items()
    ]
    return OBSERVATIONS.conform(pd.concat(tables, ignore_index=True))


def noise(trial: Trial, roster: Roster, repetition: int) -> dict[str, np.ndarray]:
    """Covariates other than the clean outcome: normal, and of no use."""
    names = [name for name in trial.analysis.covariates if name != CLEAN]
    label = str(repetition)
    return {
        name: generator(trial.seed, "simulation", "covariate", name, label).standard_normal(
            len(roster)
        )
        for name in names
    }
