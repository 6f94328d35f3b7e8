"""Measure what has not been measured yet, then write the page and the figure."""

from __future__ import annotations

import argparse
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ.setdefault(threads, "1")

from benchmarks.calibration import figure, page  # noqa: E402
from benchmarks.calibration.catalogue import catalogue, cost, measured  # noqa: E402
from benchmarks.calibration.results import (  # noqa: E402
    append,
    fingerprint,
    load,
    rewrite,
)

ROOT = Path(__file__).parents[2]


def main() -> None:
    """The command."""
    arguments = _arguments()
    warnings.filterwarnings("ignore")  # of third parties; the tests hold ours
    cells = catalogue()
    done = load()
    current = {key: fingerprint(cell) for key, cell in cells.items()}
    finished = {
        row.key
        for row in done.itertuples()
        if row.repetitions >= arguments.repetitions and row.code == current.get(row.key)
    }
    wanted = [key for key in cells if any(part in key for part in arguments.only or [""])]
    missing = [key for key in wanted if arguments.fresh or key not in finished]
    missing.sort(key=lambda key: cost(cells[key]))
    print(f"{len(cells)} cells, {len(missing)} of them to measure")
    if not arguments.page:
        _measure(missing, arguments.repetitions, arguments.workers, current)
    table = rewrite(load(), cells)
    figure.draw(table, ROOT / "docs" / "images" / "calibration.png")
    page.write(table, ROOT / "docs" / "explanation" / "calibration.md")
    print(page.summary(table))


def _measure(keys: list[str], repetitions: int, workers: int, codes: dict[str, str]) -> None:
    if workers == 1:
        for i, key in enumerate(keys, 1):
            _keep(i, len(keys), key, replace(measured(key, repetitions), code=codes[key]))
        return
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(measured, key, repetitions): key for key in keys}
        for i, future in enumerate(as_completed(running), 1):
            key = running[future]
            _keep(i, len(keys), key, replace(future.result(), code=codes[key]))


def _keep(number: int, total: int, key: str, row: object) -> None:
    append(key, row)  # type: ignore[arg-type]
    print(
        f"[{number}/{total}] {key}: type I {row.type_1:.3f}, "  # type: ignore[attr-defined]
        f"non-coverage {row.non_coverage:.3f}, {row.seconds:.0f} s",
        flush=True,
    )  # type: ignore[attr-defined]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2000, help="samples per cell and truth")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="*", help="cells whose names hold one of these texts")
    parser.add_argument("--fresh", action="store_true", help="measure again what is in the table")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
