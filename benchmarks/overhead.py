"""What a real trial costs beside its forward passes, and the memory at its peak.

Run ``python -m benchmarks.overhead [TRIAL]`` in the repository; ``python -m benchmarks.executor
--page`` then puts it on the page. A whole trial runs in this process, and processor time is counted
by what it went to. The peak is held against the process after it loaded the model and ran its
largest batch once.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

RESULTS = Path(__file__).with_name("overhead.csv")
FORWARD = ("plain", "read", "resume", "resume_late", "prefill", "advance")


class Clock:
    """Processor seconds of the outermost of the calls that are watched, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Count the calls of ``owner.name`` under ``label``."""
        plain: Callable[..., Any] = getattr(owner, name)

        def counted(*given: Any, **named: Any) -> Any:
            if self._inside:
                return plain(*given, **named)
            self._inside += 1
            begun = time.process_time()
            try:
                return plain(*given, **named)
            finally:
                spent = time.process_time() - begun
                self.seconds[label] = self.seconds.get(label, 0.0) + spent
                self._inside -= 1

        setattr(owner, name, counted)


def peak() -> float:
    """MB: the most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    from causal_sae import pipeline  # noqa: PLC0415 - after the number of threads
    from causal_sae.execution import execute, forward, shards  # noqa: PLC0415
    from causal_sae.execution.backends.local import LocalBackend  # noqa: PLC0415
    from causal_sae.execution.host import Host  # noqa: PLC0415
    from causal_sae.execution.sequences import Tokenizer  # noqa: PLC0415
    from causal_sae.saes.sae import SAE  # noqa: PLC0415

    trial = sys.argv[1] if len(sys.argv) > 1 else "trials/golden"
    clock, after_one = Clock(), []
    for name in FORWARD:
        clock.watch(Host, name, "forward passes")
    for name in ("encode", "encode_features", "reconstruct"):
        clock.watch(SAE, name, "SAE")
    clock.watch(forward, "edit_rows", "edits")
    clock.watch(Tokenizer, "prompts", "tokenising")
    clock.watch(LocalBackend, "plan", "planning")
    clock.watch(execute, "_save", "writing")
    clock.watch(execute, "_together", "writing")
    clock.watch(shards, "_rows", "rows of the table")
    for name in ("estimate_run", "report_run"):
        clock.watch(pipeline, name, "estimates and report")
    whole = LocalBackend.execute

    def watched(self: LocalBackend, run: Any, *given: Any) -> Any:
        batches = [batch for shard in run.shards for batch in shard]
        forward.run_batch(run.bench, max(batches, key=lambda b: sum(job.tokens for job in b)))
        after_one.append(peak())
        clock.seconds["begun"] = time.process_time()
        done = whole(self, run, *given)
        clock.seconds["run"] = time.process_time() - clock.seconds.pop("begun")
        after_one.append(peak())
        return done

    LocalBackend.execute = watched  # type: ignore[method-assign]  # it is watched
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pipeline.run_trial(trial, out=Path(folder) / "run", console=Console(quiet=True))
    clock.seconds["all"] = time.process_time() - begun
    rows = [{"what": what, "value": value} for what, value in clock.seconds.items()]
    rows += [
        {"what": "MB after one batch", "value": after_one[0]},
        {"what": "MB after the run", "value": after_one[1]},
        {"what": "MB at the end", "value": peak()},
    ]
    table = pd.DataFrame(rows).assign(trial=Path(trial).name)
    table.to_csv(RESULTS, index=False)
    print(table.to_string())


if __name__ == "__main__":
    main()
