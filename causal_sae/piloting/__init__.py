"""A pilot: a few prompts that the trial will not use, and what may be seen of their outcomes."""

from causal_sae.piloting.blinding import blinded, mask, unmasked
from causal_sae.piloting.units import choose, held_out, list_path, unused, write_list

__all__ = ["blinded", "choose", "held_out", "list_path", "mask", "unmasked", "unused", "write_list"]
