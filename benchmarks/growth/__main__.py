"""Measure, then write the table and the page."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.growth import page
from benchmarks.growth.measure import exponent, measured

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.csv")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[2000, 4000, 8000, 16000, 32000])
    parser.add_argument("--page", action="store_true", help="write the page of what is there")
    arguments = parser.parse_args()
    if not arguments.page:
        measured(arguments.units).to_csv(RESULTS, index=False)
    table = pd.read_csv(RESULTS)
    page.write(table, ROOT / "docs" / "explanation" / "large-runs.md")
    for column in ("planning", "running", "bytes"):
        print(f"{column}: to the power of {exponent(table, column):.2f}")


if __name__ == "__main__":
    main()
