"""Hard gates: checks that must pass on this model, this SAE and these prompts before any result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from causal_sae.errors import GateError
from causal_sae.execution.batches import Batch, Job
from causal_sae.execution.forward import Bench, Pass, run_batch
from causal_sae.execution.host import Host
from causal_sae.execution.metrics import Metric

#: By how much an outcome may move when the same row runs in another batch (nats), by arithmetic.
BATCH_TOLERANCE = {
    torch.float64: 1e-9,
    torch.float32: 2e-4,
    torch.float16: 0.2,
    torch.bfloat16: 0.5,
}
#: How far the features that were asked for may be from what the SAE finds after the edit.
DOSE_TOLERANCE = 0.25


@dataclass(frozen=True)
class Gate:
    """The outcome of one check."""

    check: str
    status: str
    """``pass``, ``warn`` or ``fail``."""
    value: float
    limit: float
    sentence: str


def choose_route(host: Host, ids: Tensor, keep: int) -> tuple[Host, Gate]:
    """Check that putting the activation back unchanged leaves the logits bit-identical.

    A model that does not allow the short cut above the hook falls back to the full forward pass.

    Raises
    ------
    GateError
        When even the full forward pass does not give back the model's own logits.
    """
    plain = host.plain(ids, keep)
    for route in ("suffix", "full"):
        candidate = Host(host.model, host.hook, route)
        try:
            halfway = candidate.read(ids)
            logits = candidate.resume(halfway, halfway.activation, keep).logits
        except (RuntimeError, ValueError, TypeError) as error:
            if route == "full":
                raise GateError(
                    f"the model cannot be traced at {host.hook.module}: {error}"
                ) from error
            continue
        gap = float((logits - plain).abs().max())
        if gap == 0.0:
            said = (
                "layers below the hook ran once for all arms"
                if route == "suffix"
                else ("this model does not allow the short cut: every layer ran for every arm")
            )
            status = "pass" if route == "suffix" else "warn"
            return candidate, Gate(
                "null edit",
                status,
                gap,
                0.0,
                f"a null edit leaves the logits bit-identical; {said}",
            )
    raise GateError(
        f"a null edit at {host.hook.module} moves the model's logits by {gap:.3g} (must be 0): "
        "the hook is not where the model reads this activation from; check sae.hook"
    )


def check_batches(bench: Bench, jobs: Sequence[Job], metrics: Sequence[Metric]) -> Gate:
    """Check that a row's outcomes do not depend on the batch it runs in, nor on its place there.

    Raises
    ------
    GateError
        When an outcome moves by more than the arithmetic's tolerance.
    """
    shape = jobs[0].sequence.shape
    together: Batch = tuple(job for job in jobs if job.sequence.shape == shape)[:4]
    whole = _outcomes(run_batch(bench, together), metrics)
    backwards = tuple(replace(j, treatments=j.treatments[::-1]) for j in together[::-1])
    turned = _outcomes(run_batch(bench, backwards), metrics)
    alone: dict[tuple[str, str], Tensor] = {}
    for job in together:
        for treatment in job.treatments:
            alone |= _outcomes(run_batch(bench, (replace(job, treatments=(treatment,)),)), metrics)
    gaps = [
        float((other[key] - whole[key]).abs().max()) for other in (turned, alone) for key in whole
    ]
    worst, limit = max(gaps, default=0.0), BATCH_TOLERANCE[bench.host.model.dtype]
    if not worst <= limit:
        raise GateError(
            f"outcomes depend on the batch: they move by {worst:.3g}, and {limit:g} is allowed; "
            "write `dtype: float32`"
        )
    return Gate(
        "batch invariance",
        "pass",
        worst,
        limit,
        "outcomes are the same alone, in a batch, and in another order",
    )


def check_dose(passes: Sequence[Pass]) -> list[Gate]:
    """Check for each arm that the SAE, reading the edited residual, finds the dose asked for.

    The encoder is not the decoder's inverse, so what is found differs a little from what was asked;
    the gate is on the mean change found over the mean change asked for.

    Raises
    ------
    GateError
        When the change found is less than half of the change asked for, or points the other way.
    """
    asked: dict[str, list[float]] = {}
    found: dict[str, list[float]] = {}
    for done in passes:
        for row, treatment in enumerate(done.treatments):
            if treatment and treatment.features and done.delivery.received[row]:
                before = float(done.delivery.before[row])
                asked.setdefault(treatment.arm, []).append(float(done.delivery.asked[row]) - before)
                found.setdefault(treatment.arm, []).append(float(done.delivery.found[row]) - before)
    gates = []
    for arm, wanted in asked.items():
        want, got = sum(wanted), sum(found[arm])
        ratio = got / want if want else 1.0
        if not 0.5 <= ratio <= 2.0:
            raise GateError(
                f"arm {arm!r}: the SAE finds {ratio:.2f} of the change asked for when it reads the "
                "edited residual (0.5 to 2 is allowed): the intervention is not what it is called; "
                "check sae.hook and the SAE's normalisation"
            )
        off = abs(ratio - 1)
        gates.append(
            Gate(
                f"manipulation: {arm}",
                "pass" if off <= DOSE_TOLERANCE else "warn",
                ratio,
                1.0,
                f"re-encoding the edited residual finds {ratio:.0%} of the change asked for",
            )
        )
    return gates


def _outcomes(done: Pass, metrics: Sequence[Metric]) -> dict[tuple[str, str], Tensor]:
    """For each unit and arm, the outcomes of all metrics."""
    values = torch.stack([metric.measure(done.reading) for metric in metrics])
    return {
        (job.sequence.unit_id, treatment.arm if treatment else ""): values[:, row]
        for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True))
    }
