"""Hard gates: checks that must pass on this model, this SAE and these prompts before any result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from causal_sae.errors import GateError
from causal_sae.execution.batches import Batch, Job
from causal_sae.execution.bench import Bench
from causal_sae.execution.forward import Pass, exercised, run_batch
from causal_sae.execution.host import Host, Route
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
#: Jobs of one shape that run together in the batch gate, and how many treatments run alone.
TOGETHER, ALONE = 3, 6


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
    full = Host(host.model, host.hook, "full", host.written)
    try:
        gap = _null_gap(full, ids, keep)
    except _TRACING as error:
        reason = str(error).strip().splitlines()[-1:]
        raise GateError(
            f"the model cannot be traced at {host.hook.module}: {' '.join(reason)}"
        ) from error
    if gap != 0.0:
        raise GateError(
            f"a null edit at {host.hook.module} moves the model's logits by {gap:.3g} (must be 0): "
            "the hook is not where the model reads this activation from; check sae.hook"
        )
    if _agrees(host, full, ids, keep):
        return _passed(host, "suffix", "pass", "layers below the hook ran once for all arms")
    said = "this model does not allow the short cut: every layer ran for every arm"
    return _passed(host, "full", "warn", said)


_TRACING = (RuntimeError, ValueError, TypeError, AttributeError, IndexError)


def _passed(host: Host, route: Route, status: str, said: str) -> tuple[Host, Gate]:
    sentence = f"a null edit leaves the logits bit-identical; {said}"
    return Host(host.model, host.hook, route, host.written), Gate(
        "null edit", status, 0.0, 0.0, sentence
    )


def _null_gap(host: Host, ids: Tensor, keep: int) -> float:
    at = host.read(ids)
    logits = host.resume(at, at.written, keep).logits
    return float((logits - host.plain(ids, keep)).abs().max())


def _agrees(host: Host, full: Host, ids: Tensor, keep: int) -> bool:
    """Whether the short cut gives the full pass's very bits: unedited, and edited with more rows.

    A layer above the hook that reads something below it would show only under an edit.
    """
    suffix = Host(host.model, host.hook, "suffix", host.written)
    try:
        if _null_gap(suffix, ids, keep) != 0.0:
            return False
        at = suffix.read(ids)
        tiled = at.rows(torch.arange(len(ids), device=ids.device).repeat_interleave(3))
        edited = tiled.written * 1.25
        short = suffix.resume(tiled, edited, keep).logits
        return torch.equal(short, full.resume(tiled, edited, keep).logits)
    except _TRACING:
        return False


def check_late(host: Host, ids: Tensor) -> Gate:
    """Check that rows of a prompt may share what stands before an edit of its last position.

    Returns
    -------
    A gate that passes, or warns where every row has to run its whole sequence.
    """
    limit, last = BATCH_TOLERANCE[host.model.dtype], ids.shape[1] - 1
    below = host.memory()
    at = host.read(ids, below)
    source = torch.arange(len(ids), device=ids.device).repeat_interleave(2)
    edited = at.written[source].clone()
    edited[::2, last] *= 1.25
    whole = host.resume(at.rows(source), edited, 1).logits
    try:
        gap = _gap(host.resume_late(at, edited, 1, below, source, last).logits, whole)
    except _TRACING:
        gap = math.inf
    if gap <= limit:
        said = "arms share what stands before the first edited token; logits as in a whole pass"
        return Gate("shared start", "pass", gap, limit, said)
    said = "this model does not let arms share what stands before the first edited token"
    return Gate("shared start", "warn", gap, limit, said)


def check_readout(host: Host, ids: Tensor, tokens: Tensor) -> Gate:
    """Check that the logits of a few tokens may be computed alone.

    Whatever the model does to its logits (a soft cap, a scale) it must do to each on its own.

    Parameters
    ----------
    host:
        The model.
    ids:
        ``[P, S]`` token ids of two prompts.
    tokens:
        ``[T]``: the tokens that outcomes read there.

    Returns
    -------
    A gate that passes, or warns where the whole vocabulary has to be computed.
    """
    limit, at = BATCH_TOLERANCE[host.model.dtype], host.read(ids)
    whole = host.resume(at, at.written, 1).logits[..., tokens]
    try:
        few = host.resume(at, at.written, 1, tokens=tokens).logits
        gap = _gap(few, whole) if few.shape == whole.shape else math.inf
    except _TRACING:
        gap = math.inf
    if gap <= limit:
        said = "logits are computed of the outcomes' own tokens alone, and are the whole pass's"
        return Gate("target rows", "pass", gap, limit, said)
    said = "this model does not let logits of a few tokens be computed alone"
    return Gate("target rows", "warn", gap, limit, said)


def check_batches(
    bench: Bench, jobs: Sequence[Job], metrics: Mapping[str, Metric], more: Sequence[Job] = ()
) -> Gate:
    """Check that a row's results do not depend on the batch it runs in, nor on its place there.

    Parameters
    ----------
    bench:
        What batches run on.
    jobs:
        The sample: its first prompt alone, and its first with a continuation, are each run in
        company, in the reverse order, and arm by arm.
    metrics:
        The outcomes.
    more:
        Where company of the same shape may come from.

    Raises
    ------
    GateError
        When a log-probability or an outcome moves by more than the arithmetic's tolerance.
    """
    worst = 0.0
    for together in _companies([*jobs, *more], jobs):
        whole = _results(run_batch(bench, together), metrics)
        for part in _rearranged(together):
            other = _results(run_batch(bench, part), metrics)
            worst = max([worst, *(_gap(whole[key], other[key]) for key in other)])
    limit = BATCH_TOLERANCE[bench.host.model.dtype]
    if not worst <= limit:
        raise GateError(
            f"outcomes depend on the batch: they move by {worst:.3g}, and {limit:g} is allowed; "
            "write `dtype: float32`"
        )
    said = "outcomes are the same alone, in a batch, and in another order"
    return Gate("batch invariance", "pass", worst, limit, said)


def _companies(known: Sequence[Job], sample: Sequence[Job]) -> Iterator[Batch]:
    for scored in (False, True):
        first = next((j for j in sample if bool(j.sequence.continuation) == scored), None)
        if first is None:
            continue
        alike = (j for j in known if j.sequence.shape == first.sequence.shape)
        each = {(j.sequence.unit_id, j.sequence.continuation): j for j in alike}
        yield tuple(each.values())[:TOGETHER]


def _rearranged(together: Batch) -> Iterator[Batch]:
    yield tuple(replace(job, treatments=job.treatments[::-1]) for job in together[::-1])
    single = [replace(job, treatments=(t,)) for job in together for t in job.treatments]
    yield from ((job,) for job in single[:ALONE])


def check_dose(passes: Sequence[Pass]) -> list[Gate]:
    """Check for each arm that the SAE, reading the edited residual, finds the dose asked for.

    The encoder is not the decoder's inverse, so what is found differs a little from what was asked;
    the gate is on the mean change found, in the direction asked for, over the mean size of the
    change asked for: rises and falls do not cancel.

    Raises
    ------
    GateError
        When the change found is less than half of the change asked for, or points the other way.
    """
    asked: dict[str, list[float]] = {}
    found: dict[str, list[float]] = {}
    for done in passes:
        for row, treatment in enumerate(done.treatments):
            if treatment and treatment.features:
                asked.setdefault(treatment.arm, []).append(float(done.delivery.dose[row]))
                found.setdefault(treatment.arm, []).append(float(done.delivery.dose_found[row]))
    return [_dose_gate(arm, doses, sum(found[arm])) for arm, doses in asked.items()]


def _dose_gate(arm: str, doses: Sequence[float], got: float) -> Gate:
    check, want = f"manipulation: {arm}", sum(doses)
    if math.isnan(got):
        said = (
            "not read again: a transcoder reads before the place where it writes, so it cannot "
            "find the change that was asked for"
        )
        return Gate(check, "warn", math.nan, 1.0, said)
    if want == 0.0:
        said = (
            f"not exercised: on the {len(doses)} units looked at, this arm asks for no change "
            "(its features do not fire at the edited positions)"
        )
        return Gate(check, "warn", math.nan, 1.0, said)
    ratio = got / want
    if not 0.5 <= ratio <= 2.0:
        raise GateError(
            f"arm {arm!r}: the SAE finds {ratio:.2f} of the change asked for when it reads the "
            "edited residual (0.5 to 2 is allowed): the intervention is not what it is called; "
            "check sae.hook and the SAE's normalisation, or raise a dose that is too small to see"
        )
    status = "pass" if abs(ratio - 1) <= DOSE_TOLERANCE else "warn"
    said = f"re-encoding the edited residual finds {ratio:.0%} of the change asked for"
    return Gate(check, status, ratio, 1.0, said)


def check_idle(bench: Bench, batches: Sequence[Batch], fires: Mapping[int, Tensor]) -> list[Gate]:
    """Check that edits which cannot change a row do not: they are left out when the trial runs.

    Parameters
    ----------
    bench:
        What batches run on; one that runs every edit.
    batches:
        The sample.
    fires:
        For each of its jobs, by its ``id``, which features fire where they would be edited.

    Returns
    -------
    One gate, or none where every edit changes its row.

    Raises
    ------
    GateError
        When such a row is further from the untouched one than arithmetic explains.
    """
    worst, count, limit = 0.0, 0, BATCH_TOLERANCE[bench.host.model.dtype]
    for batch in batches:
        done = run_batch(bench, batch)
        for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True)):
            if treatment is None or exercised(treatment, fires[id(job)]):
                continue
            first = int(done.untouched[row])
            worst = max(worst, _gap(done.reading.logprobs[row], done.reading.logprobs[first]))
            count += 1
    if not count:
        return []
    if not worst <= limit:
        raise GateError(
            f"an edit of features that do not fire moves the outcomes by {worst:.3g}, and "
            f"{limit:g} is allowed; write `dtype: float32`"
        )
    said = (
        f"edits whose features do not fire were run on {count} rows and left the untouched "
        "outcomes, which stand for them in the trial"
    )
    return [Gate("exact sparsity", "pass", worst, limit, said)]


Key = tuple[str, tuple[int, ...], str]


def _results(done: Pass, metrics: Mapping[str, Metric]) -> dict[Key, Tensor]:
    """For each sequence and arm its log-probabilities, and the outcomes that are read from it."""
    measured = {n: m.measure(done.reading) for n, m in metrics.items() if m.smooth}
    results = {}
    for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True)):
        unit, tail = job.sequence.unit_id, job.sequence.continuation
        answered = (n for n in measured if job.sequence.answers(metrics[n].continuation(unit)))
        own = [measured[n][row] for n in answered]
        values = [done.reading.logprobs[row].flatten(), *(value[None] for value in own)]
        results[unit, tail, treatment.arm if treatment else ""] = torch.cat(values)
    return results


def _gap(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to numbers beyond 10: log-probabilities and activations."""
    gap = (one - other).abs() / (one.abs() / 10).clamp(min=1)
    return float(gap.nan_to_num(nan=torch.inf).max())
