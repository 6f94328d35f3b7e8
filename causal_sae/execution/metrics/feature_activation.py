"""The activation of a feature under the intervention: of the same SAE, or of a later one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from causal_sae.errors import Place, SAEError
from causal_sae.execution.hook_points import HookPoint, resolve
from causal_sae.execution.host import site_of
from causal_sae.execution.metrics.base import Context, Metric, Reading
from causal_sae.execution.treatments import check_features
from causal_sae.saes.load import open_sae
from causal_sae.saes.sae import SAE
from causal_sae.spec import outcomes
from causal_sae.spec.sources import SAESpec


@dataclass(frozen=True)
class FeatureActivation(Metric):
    """The SAE's own reading of what stands at its hook."""

    sae: SAE
    feature: int
    site: str
    at: str
    watch: HookPoint | None = None

    def reads(self, units: Sequence[str]) -> set[int]:  # noqa: ARG002
        """None at all."""
        return set()

    def measure(self, reading: Reading) -> Tensor:
        """``[R]`` in activation units, over the prompt without its first position."""
        length = len(reading.sequences[0].prompt.tokens)
        inside = reading.activations[self.site][:, 1:length]
        own = self.sae.encode_features(inside, [self.feature])[..., 0].to(reading.last.dtype)
        if self.at == "last":
            return own[:, -1]
        return own.mean(dim=1) if self.at == "mean" else own.amax(dim=1)


def prepare(outcome: outcomes.FeatureActivation, context: Context) -> Metric:
    """The feature must exist; a later SAE must read later than the trial's own."""
    place = Place(field=f"{context.field}.feature")
    if outcome.sae is None:
        if context.sae.config.transcoder:
            raise SAEError(
                "needs an SAE of a later place: the trial's transcoder reads before the place "
                "that it writes to, so its features cannot respond to the intervention",
                Place(field=f"{context.field}.sae"),
            )
        check_features(context.sae, (outcome.feature,), place)
        return FeatureActivation(context.sae, outcome.feature, site_of(context.hook), outcome.at)
    sae, hook = _later(outcome.sae, context)
    check_features(sae, (outcome.feature,), place)
    return FeatureActivation(sae, outcome.feature, site_of(hook), outcome.at, hook)


def _later(spec: SAESpec, context: Context) -> tuple[SAE, HookPoint]:
    model = context.tokenizer.model
    sae = open_sae(spec, context.base).to(device=model.device)
    place = Place(field=f"{context.field}.sae.hook")
    name = str(sae.config.hook)
    hook = resolve(name, model.family)
    if hook.layer <= context.hook.layer:
        raise SAEError(
            f"must read in a later layer than the trial's own SAE (layer {context.hook.layer}), "
            f"got {name!r}; activations before the intervention cannot respond to it",
            place,
        )
    return sae, hook
