"""From a demonstration to evidence: steer by a feature, look for its dose, save the trial of it."""

from causal_sae.steering.dose import Setting, parse_dose
from causal_sae.steering.session import Comparison, Session, open_session
from causal_sae.steering.sweep import Sweep, sweep

__all__ = ["Comparison", "Session", "Setting", "Sweep", "open_session", "parse_dose", "sweep"]
