"""Who gets which arm, and whether the dealing went as declared."""

from causal_sae.randomization.assignment import SCHEMES, assign
from causal_sae.randomization.balance import balance_table
from causal_sae.randomization.enrichment import draw_units
from causal_sae.randomization.sample_ratio import SampleRatio, sample_ratio_check

__all__ = ["SCHEMES", "SampleRatio", "assign", "balance_table", "draw_units", "sample_ratio_check"]
