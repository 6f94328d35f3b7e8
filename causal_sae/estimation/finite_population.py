"""Claims about these very units: an effect seen on all of them in both arms is simply known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_sae import flags as codes
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.pool import seen_whole
from causal_sae.estimation.sample import Sample, differences

if TYPE_CHECKING:
    from causal_sae.estimation.contrasts import Contrast
    from causal_sae.spec import Trial

DISTURBED = ("missing_", "partial_", "incomplete_", "fixed_")
"""How the flags begin that say that some unit was not seen, or not seen whole."""


def is_known(trial: Trial) -> bool:
    """Whether the trial claims the effect on its own units and puts each of them in every arm."""
    population = trial.population
    return population is not None and population.claim == "finite" and trial.within_unit


def known_effect(
    trial: Trial, contrast: Contrast, sample: Sample, fitted: Estimate, notes: tuple[str, ...]
) -> Estimate:
    """The effect without inference, unless randomness or a missing outcome is left.

    Parameters
    ----------
    trial, contrast:
        What was compared: sampled text and randomly drawn edits leave randomness.
    sample:
        The units analysed.
    fitted:
        The inference for a superpopulation; returned with a flag when the effect is not known.
    notes:
        Flags about missing units.
    """
    if not seen_whole(sample):
        pooled = "pool_shares_known" in fitted.flags
        return fitted if pooled else fitted.flagged("finite_population_unavailable")
    generate = getattr(contrast.outcome, "generate", None)
    sampled = generate is not None and generate.temperature > 0
    complete = len(sample) > 0 and not any(codes.name(note).startswith(DISTURBED) for note in notes)
    drawn = any(_random(trial, arm) for arm in (contrast.treatment, contrast.reference))
    if sampled or drawn or not complete:
        return fitted.flagged("finite_population_unavailable")
    constant = tuple(flag for flag in fitted.flags if flag in {"constant_outcome", "exact_zero"})
    known = (*constant, "finite_population_exact")
    mean = float(differences(sample).mean()) if sample.pool is None else fitted.estimate
    return Estimate(mean, 0.0, flags=known)


def _random(trial: Trial, arm: str) -> bool:
    """Whether what the arm does to a unit was drawn at random."""
    edit = trial.arm(arm).intervention
    resampled = edit.kind == "ablate" and edit.to == "resample"
    placebo = hasattr(getattr(edit, "features", None), "draws")
    return resampled or placebo or edit.kind == "random_direction"
