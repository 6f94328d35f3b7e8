"""Power: what a declared trial would find, how large it must be, and what it costs.

Importing this package loads next to nothing: the forecast brings what it needs.
"""

from causal_sae.power.forecast import Forecast, plan_power

__all__ = ["Forecast", "plan_power"]
