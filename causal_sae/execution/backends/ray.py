"""The backend of many devices: one worker process each, which take a plan's shards in turn.

The plan is made here, with its gates; what is shipped is numbers of shards, and what comes back is
tables, written here. A worker that dies is started anew and is asked again; a shard that was run
twice is the same shard. Every worker runs the very batches of the local backend.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from rich.console import Console

from causal_sae.errors import ModelError, Place, SpecError
from causal_sae.execution.backends.local import LocalBackend, open_local
from causal_sae.execution.backends.resources import Resources
from causal_sae.execution.bench import Bench
from causal_sae.execution.execute import Runner
from causal_sae.execution.host import Host, Route
from causal_sae.execution.laboratory import open_laboratory
from causal_sae.execution.memory import Memory
from causal_sae.execution.metrics import Metric
from causal_sae.execution.plan import Plan
from causal_sae.execution.shards import Advance, Measured, measure
from causal_sae.execution.text_metrics import TextMetric
from causal_sae.spec.trial import Trial

RESTARTS = 3
"""How often a worker is started anew, and a shard tried again, before the run gives up."""


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to run the shards of a plan."""

    trial: Trial
    base: Path
    table: pd.DataFrame
    memory: float | None
    route: Route
    late: bool
    narrow: bool
    fingerprint: str
    """Of the model's weights: every worker must find the same."""
    threads: int
    """Of each worker, the same as here: sums of other parts would differ in their last bits."""
    plan: Plan
    """Without what holds a model: its bench and its metrics, which a worker makes itself."""


class Worker:
    """One process with one model."""

    def __init__(self, recipe: Recipe) -> None:
        torch.set_num_threads(recipe.threads)
        lab = open_laboratory(recipe.trial, recipe.base, Console(quiet=True), recipe.memory)
        if lab.model.fingerprint != recipe.fingerprint:
            raise ModelError(
                f"a worker found other weights in {recipe.base} than this machine; put the same "
                "files on every machine",
                Place(field="model.source"),
            )
        host = Host(lab.model, lab.hook, recipe.route, lab.host.written)
        lab = replace(lab, host=host, late=recipe.late, narrow=recipe.narrow)
        metrics = lab.metrics(recipe.table)
        read = {name: m for name, m in metrics.items() if isinstance(m, Metric)}
        scored = {name: m for name, m in metrics.items() if isinstance(m, TextMetric)}
        bench = replace(lab.bench(read), sparse=True)
        self.plan = replace(recipe.plan, bench=bench, metrics=read, text_metrics=scored)
        self.memory = Memory()

    def measure(self, number: int) -> Measured:
        """Run one shard."""
        return measure(self.plan, self.plan.every_shard[number], self.memory)

    def process(self) -> int:
        """The process's number on its machine."""
        return os.getpid()


@dataclass
class RayBackend(LocalBackend):
    """Plans and checks here; runs on workers."""

    name = "ray"
    base: Path = field(default_factory=Path)
    resources: Resources = field(default_factory=Resources)
    processes: list[int] = field(default_factory=list)
    """The workers' process numbers, while they run and as they were at the end."""

    def describe(self) -> dict[str, dict[str, str]]:
        """Hashes and devices for the manifest."""
        said = super().describe()
        where = self.resources.address or "this machine"
        said["execution"] |= {"workers": f"{self.resources.workers or 'one a GPU'}, {where}"}
        return said

    @property
    def runner(self) -> Runner:
        """Deals shards out to the workers."""
        return self._deal

    def _recipe(self, run: Plan) -> Recipe:
        lab = self.laboratory
        bare = replace(run, bench=cast(Bench, None), metrics={}, text_metrics={})
        return Recipe(
            _anywhere(lab.trial),
            lab.base.resolve(),
            self.table,
            self.resources.memory,
            lab.host.route,
            lab.late,
            lab.narrow,
            lab.model.fingerprint,
            torch.get_num_threads(),
            bare,
        )

    def _deal(
        self, run: Plan, numbers: Sequence[int], advance: Advance
    ) -> Iterator[tuple[int, Measured]]:
        if not numbers:
            return
        gpus = int(self.laboratory.model.device.type == "cuda")
        with cluster(self.resources) as ray:
            count = self.resources.workers or max(1, int(ray.cluster_resources().get("GPU", 0)))
            recipe = ray.put(self._recipe(run))
            made = ray.remote(
                num_cpus=1, num_gpus=gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS
            )(Worker)
            workers = [made.remote(recipe) for _ in range(min(count, len(numbers)))]
            try:
                self.processes = _answers(ray, [worker.process.remote() for worker in workers])
                shards = run.every_shard
                for number, done in _take(ray, workers, numbers):
                    yield number, done
                    advance(sum(job.tokens for batch in shards[number] for job in batch))
                self.processes = _answers(ray, [worker.process.remote() for worker in workers])
            finally:
                for worker in workers:
                    ray.kill(worker)


def _take(
    ray: Any, workers: Sequence[Any], numbers: Sequence[int]
) -> Iterator[tuple[int, Measured]]:
    """Give every worker the next shard as soon as it has done one."""
    queue, running = deque(numbers), {}

    def send(worker: Any) -> None:
        number = queue.popleft()
        running[worker.measure.remote(number)] = (worker, number)

    for worker in workers:
        send(worker)
    while running:
        (ready, *_), _ = ray.wait(list(running), num_returns=1)
        worker, number = running.pop(ready)
        done = _answers(ray, [ready])[0]
        if queue:
            send(worker)
        yield number, done


def _answers(ray: Any, references: list[Any]) -> list[Any]:
    """What workers answered; what went wrong there is raised as it was there."""
    try:
        return cast(list[Any], ray.get(references))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        cause = getattr(error, "cause", None) or getattr(error, "__cause__", None)
        if isinstance(cause, Exception):
            raise cause from None
        raise ModelError(
            f"a worker died {RESTARTS + 1} times; look at its machine's memory, or run with fewer "
            "workers: what was written is kept, and `--resume` goes on",
            Place(field="--workers"),
        ) from error


def _library() -> Any:
    try:
        import ray  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise SpecError(
            "ray needs its extra: run `pip install 'causal-sae[ray]'`, or leave --backend out",
            Place(field="--backend"),
        ) from None
    return ray


@contextmanager
def cluster(resources: Resources) -> Iterator[Any]:
    """Ray, connected: to the address, to what is running in this process, or to one of our own.

    Raises
    ------
    SpecError
        When the extra is not installed, or no cluster answers.
    """
    ray = _library()
    ours = not ray.is_initialized()
    if ours:
        own = {} if resources.address else {"num_cpus": max(resources.workers or 1, 1)}
        try:
            ray.init(
                address=resources.address,
                include_dashboard=None if resources.address else False,
                log_to_driver=False,
                configure_logging=False,
                **own,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise SpecError(
                f"no Ray cluster answers at {resources.address!r}: {reason}",
                Place(field="--address"),
            ) from None
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _anywhere(trial: Trial) -> Trial:
    """The trial for a worker: Ray gives each its own GPU, which is its first."""
    if trial.model is None or not trial.model.device.startswith("cuda:"):
        return trial
    return trial.model_copy(update={"model": trial.model.model_copy(update={"device": "cuda"})})


def open_ray(
    trial: Trial,
    base: Path,
    table: pd.DataFrame,
    console: Console | None = None,
    resources: Resources = Resources(),  # noqa: B008 - frozen
) -> RayBackend:
    """As the local backend here; the workers start with the first shard."""
    if resources.address:
        with cluster(resources):
            pass  # whoever named a cluster wants to know at once that it does not answer
    _library()
    local = open_local(trial, base, table, console, resources)
    return RayBackend(
        local.laboratory,
        local.table,
        local.prompts,
        local.metrics,
        local.gates,
        local.console,
        base=base,
        resources=resources,
    )
