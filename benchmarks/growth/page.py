"""The page of large runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.growth.measure import exponent
from benchmarks.growth.screen import Plan, ways

NOTE = "<!-- Written by `python -m benchmarks.growth`. Do not edit by hand. -->\n\n"


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the page."""
    path.write_text(text(table), encoding="utf-8")


def text(table: pd.DataFrame) -> str:
    """The page in Markdown."""
    largest = table.sort_values("units").iloc[-1]
    plan = replace(Plan(), row_bytes=float(largest["bytes"] / largest["observations"]))
    shards = plan.prompts * plan.firing / plan.shard_rows
    per_unit = largest["planning"] / largest["units"]
    return "\n".join(
        [
            NOTE + "# A million prompts, 65,536 features\n",
            "What a screen of that size takes, counted from the arithmetic of the forward passes. "
            f"Assumed: a model of {plan.parameters / 1e9:.1f} billion parameters with its SAE at "
            f"the middle layer, prompts of {plan.tokens} tokens in each of which "
            f"{plan.firing:,} features fire somewhere, and GPUs that reach "
            f"{plan.rate / 1e12:.0f} TFLOP/s.\n",
            _plan_table(plan),
            "Two things carry it. Where a feature is silent its ablation is not run: that alone is "
            f"{plan.features / plan.firing:.0f} times fewer rows. And a gradient answers for all "
            "features at once, to first order: two stages, the second only for the hits, cost "
            "about what reading the prompts costs. The cost of a row that is run is the layers "
            "above the hook, so a later hook is cheaper.\n",
            "## Where the bottleneck is\n",
            f"- **Forward passes**, in every way but the last: {plan.firing:,} rows a prompt.\n"
            f"- **Bytes.** An observation takes {plan.row_bytes:.0f} bytes on disk. Every feature "
            f"where it fires is {shards:,.0f} shards of {plan.shard_rows} rows: written by workers "
            "that finish them in any order, but read again at the end by one process, which "
            "holds the whole table. Trials of more than some ten million observations need a "
            "machine with the memory for them.\n"
            f"- **Planning** is one process: {1e6 * per_unit:.0f} microseconds a prompt with three "
            f"arms, {per_unit * plan.prompts / 60:.1f} minutes for a million.\n"
            "- **Workers** share nothing and wait for nobody; a GPU more is its share of the time "
            "less, until a shard takes less time than its table takes to come back.\n",
            "## Checked small\n",
            "The same trial (three arms, every prompt in each) on a model of four small layers, so "
            "that what is measured is everything but the model. Processor seconds on one core:\n",
            _growth_table(table),
            "They grow with the number of prompts to the power of "
            + ", ".join(
                f"{exponent(table, column):.2f} ({name})"
                for column, name in (
                    ("planning", "planning"),
                    ("running", "running and writing"),
                    ("bytes", "bytes"),
                )
            )
            + ". 1 is linear; planning is a little above it, as Python's collector of garbage "
            "looks through a larger plan. Batches stay within their memory: what grows is the plan "
            "and the table of observations.\n",
            "Not measured: a cluster of several machines.\n",
        ]
    )


def _plan_table(plan: Plan) -> str:
    lines = ["| way | passes | GPU hours | on 64 GPUs | saved |", "| --- | --- | --- | --- | --- |"]
    for way in ways(plan):
        hours = plan.hours(way.operations)
        saved = way.saved * plan.row_bytes / 1e9
        lines.append(
            f"| {way.name} | {way.passes:,.0f} | {hours:,.1f} | {_time(hours / 64)} "
            f"| {saved:,.2f} GB |"
        )
    return "\n".join(lines) + "\n"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"


def _growth_table(table: pd.DataFrame) -> str:
    lines = [
        "| prompts | planning | running and writing | MB written | MB of memory at the peak |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in table.sort_values("units").itertuples():
        lines.append(
            f"| {row.units:,} | {row.planning:.2f} | {row.running:.1f} | {row.bytes / 1e6:.2f} "
            f"| {row.peak:,.0f} |"
        )
    return "\n".join(lines) + "\n"
