"""Sparse autoencoders: reading them, their arithmetic, and the statistics of their features."""

from __future__ import annotations

from causal_sae.saes.config import SAEConfig
from causal_sae.saes.load import FORMATS, load_sae, open_sae
from causal_sae.saes.sae import SAE

__all__ = ["FORMATS", "SAE", "SAEConfig", "load_sae", "open_sae"]
