"""Whether a logistic or a Poisson model has finite coefficients, decided by linear programmes."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from causal_sae.estimation.sample import Matrix, Vector

SEPARATED = 1e-7
"""A separating direction has at least this much room; numbers below are the solver's."""


def separated(outcome: Vector, x: Matrix) -> bool:
    """Whether some direction puts no unit on the wrong side, and some unit on the right one.

    Exactly then a logistic model has no finite coefficients.

    Parameters
    ----------
    outcome:
        [n] 0 or 1.
    x:
        [n, k] the columns of the model, of order one.

    Notes
    -----
    Konis (2007): a linear program decides it, whatever an iteration would do.
    """
    signed = x * (2 * outcome - 1)[:, None]
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=(-1, 1))
    room = 0.0 if found.fun is None else -float(found.fun)
    return bool(found.status != 0 or room > SEPARATED * len(x))


def zeros_separated(outcome: Vector, x: Matrix) -> bool:
    """Whether some direction lowers the mean of units with zero, and moves no other unit.

    Exactly then a Poisson model has no finite coefficients.

    Parameters
    ----------
    outcome:
        [n] counts.
    x:
        [n, k] the columns of the model, of order one.

    Notes
    -----
    Correia, Guimaraes and Zylkin (2019).
    """
    zero, more = x[outcome == 0], x[outcome > 0]
    if not len(zero):
        return False
    # The span of the other rows in k dimensions: thousands of equations are slow to solve.
    still = np.linalg.qr(more, mode="r") if len(more) else np.zeros((1, x.shape[1]))
    found = linprog(
        zero.sum(axis=0),
        A_ub=zero,
        b_ub=np.zeros(len(zero)),
        A_eq=still,
        b_eq=np.zeros(len(still)),
        bounds=(-1, 1),
    )
    room = 0.0 if found.fun is None else -float(found.fun)
    return bool(found.status != 0 or room > SEPARATED * len(x))
