"""The page of the ratios."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.executor import measure
from benchmarks.executor.measure import speedup
from benchmarks.executor.peers import PEERS
from benchmarks.executor.ways import WAYS

NOTE = "<!-- Written by `python -m benchmarks.executor`. Do not edit by hand. -->\n\n"
OVERHEAD = Path(__file__).parents[1] / "overhead.csv"
BESIDE = ("planning", "tokenising", "writing", "rows of the table")
"""What a run does that is neither the model's nor the SAE's nor the analysis'."""
MIDDLE = {"place": "middle", "arms": 8}


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(table), encoding="utf-8")


def text(table: pd.DataFrame) -> str:
    """The page in Markdown."""
    parts = [
        NOTE + "# What a trial's forward passes cost\n",
        "The same rows, every prompt untouched and under every arm, run in several ways. All give "
        "the same log-probabilities, which is checked before anything is timed. The ways take "
        "turns in random order, round after round; a ratio is within its round, and the median "
        f"over {_rounds(table)} rounds is shown. Times are processor time on "
        f"{_plural(int(table['threads'].iloc[0]), 'core')} "
        "(SmolLM2-135M, float32, prompts of 16 tokens, at most 36 rows in a batch, a made-up SAE "
        "of 4,096 features). Causal-sae's time includes the SAE's "
        "encoding, the log-softmax in float64 and what it writes down of each edit; the others' "
        "only the forward pass and the edit.\n",
        "![Ratios by number of arms](../images/speed.png)\n",
        summary_list(table),
        "The floor is a bare forward's time, times the share of its arithmetic that cannot be "
        "avoided: each prompt through the layers up to the hook, each row through those above it. "
        "Where only the last token is edited, each prompt runs all layers once, and each row its "
        "last token. Transformers reads the unembedding once for every row when it computes the "
        "last token's logits alone; read once for all rows (`bare forward, one head`) it is "
        "faster, and the floor is of that. "
        '"MB added" is what a pass took beyond the memory '
        "that the process already held: next to nothing where earlier passes had left enough.\n",
    ]
    for (last, place), part in table.groupby(["last", "place"], sort=False):
        layer = int(part["layer"].iloc[0])
        what = "last token edited" if last else "all tokens edited"
        parts.append(f"## {str(place).capitalize()} layer ({layer}), {what}\n\n{_rows(part)}")
    if OVERHEAD.exists():
        parts.append(_overhead(pd.read_csv(OVERHEAD).set_index("what")["value"]))
    parts.append(
        "## The ways\n\n"
        + "\n".join(f"- **{name}**: {says}." for name, says in _said(table).items())
        + "\n\nRun it: `python -m benchmarks.executor`; other libraries are measured where they "
        "are installed. TransformerLens has no SmolLM2 on its list of models, so it was given the "
        "configuration and these weights. nnterp 1.3 does not start with nnsight 0.8, and was not "
        "measured.\n"
    )
    return "\n".join(parts)


def _overhead(spent: pd.Series) -> str:
    """What a whole trial spent beside its forward passes, and its memory."""
    beside = float(spent.reindex(list(BESIDE)).fillna(0).sum())
    once = float(spent[["planning", "tokenising"]].sum())
    running = float(spent[["writing", "rows of the table"]].sum())
    memory = float(spent["MB at the end"] / spent["MB after one batch"])
    return (
        "## Beside the forward passes\n\n"
        f"A whole trial (`trials/lord`) took {spent['all']:.0f} s of processor time: "
        f"{spent['forward passes']:.0f} s of forward passes, {spent['SAE'] + spent['edits']:.1f} s "
        f"of the SAE and the edits, and {beside:.2f} s ({beside / spent['all']:.1%}) of planning, "
        f"tokenising and writing, of which {once:.2f} s do not grow with the number of arms and "
        f"{running:.2f} s do; {spent['estimates and report']:.1f} s went to the estimates, the "
        "figures and the report. The rest is loading libraries, model and SAE. At its peak the "
        f"process held {spent['MB at the end']:,.0f} MB, {memory:.2f} times what it held with the "
        "model loaded and its largest batch run once. Measured by "
        "`python -m benchmarks.overhead trials/lord`.\n"
    )


def _said(table: pd.DataFrame) -> dict[str, str]:
    """What each way of the table is."""
    ours = {name: way.says for name, way in WAYS.items()}
    others = {name: says for name, (_, _, says) in PEERS.items()}
    return {name: says for name, says in (ours | others).items() if name in set(table["way"])}


def _rounds(table: pd.DataFrame) -> str:
    counts = table.groupby(["last", "layer", "arms"])["round"].nunique()
    least, most = int(counts.min()), int(counts.max())
    return f"{least}" if least == most else f"{least} to {most}"


def summary_list(table: pd.DataFrame) -> str:
    """What the numbers come to, at the middle layer and eight arms."""
    return "\n".join(f"- {line}" for line in _lines(table)) + "\n"


def summary(table: pd.DataFrame) -> str:
    """The same for a terminal."""
    return "\n".join(_lines(table))


def _lines(table: pd.DataFrame) -> list[str]:
    whole, last = {**MIDDLE, "last": False}, {**MIDDLE, "last": True}
    medians = measure.summary(table[(table["place"] == "middle") & (table["arms"] == 8)])
    own = medians[medians["way"] == "causal-sae"].set_index("last")
    return [
        "Eight arms a prompt, edited at a middle layer: "
        f"{own.loc[False, 'of_bare']:.2f} of a bare forward of the same rows, "
        f"{own.loc[False, 'of_floor']:.2f} times the floor.",
        f"{speedup(table, 'nnsight', **whole):.1f} times faster than nnsight with all arms in one "
        f"trace, {speedup(table, 'nnsight, arm by arm', **whole):.1f} times faster than a trace an "
        f"arm, {speedup(table, 'nnsight, invokes', **whole):.1f} times faster than an invoke an "
        f"arm, {speedup(table, 'PyTorch hook', **whole):.1f} times faster than a PyTorch hook.",
        "Where the outcome is the difference of two logits: "
        f"{speedup(table, 'nnsight', 'causal-sae, two logits', **whole):.1f} and "
        f"{speedup(table, 'nnsight, arm by arm', 'causal-sae, two logits', **whole):.1f} times "
        "faster than nnsight in one trace and by a trace an arm.",
        *_peers(table, whole),
        f"Only the last token edited: {own.loc[True, 'of_bare']:.2f} of a bare forward; "
        f"{speedup(table, 'nnsight', **last):.1f} times faster than nnsight with all arms in one "
        "trace.",
    ]


def _peers(table: pd.DataFrame, case: dict[str, object]) -> list[str]:
    """How much faster than the other libraries that were measured."""
    measured = set(table[(table["place"] == "middle") & (table["arms"] == 8)]["way"])
    each = [
        f"{speedup(table, name, **case):.1f} times faster than {name}"
        for name in PEERS
        if name in measured
    ]
    return [", ".join(each) + "."] if each else []


def _rows(part: pd.DataFrame) -> str:
    lines = [
        "| arms | way | ms | tokens/s | of the bare forward | of the floor | MB added |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = {name: place for place, name in enumerate((*WAYS, *PEERS))}
    medians = measure.summary(part)
    medians = medians.assign(place=medians["way"].map(order)).sort_values(["arms", "place"])
    for row in medians.itertuples():
        lines.append(
            f"| {row.arms} | {row.way} | {1000 * row.seconds:,.0f} | {row.tokens_per_second:,.0f} "
            f"| {row.of_bare:.2f} | {row.of_floor:.2f} | {row.peak:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
