"""The page of the documentation: what holds, what does not, and what warns of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.calibration.catalogue import MORE
from benchmarks.calibration.cells import SLOW, by_key, unmeasured
from benchmarks.calibration.measure import ALPHA
from benchmarks.calibration.verdicts import tolerance

PLAIN = frozenset(
    {
        *("exposed_stratum", "matched_pairs", "block_regression", "assignments_listed"),
        *("assignments_drawn", "covariates_absorbed", "probability_weighted", "placebo_draws"),
        *("block_interactions", "fixed_draws", "exact_zero", "constant_outcome"),
    }
)
"""Flags that say how an estimate was made; the others warn."""
OF_SIZES = frozenset({"skewed_values"})
"""Flags of the effect size beside an estimate, which the estimates' rows leave out."""
OFTEN = 0.5
"""A flag warns of a cell when it is raised on at least this share of its samples."""

HEAD = """# How often the numbers are right

<!-- Written by `python -m benchmarks.calibration`; change that, not this. -->

A test at 5% should reject a true null hypothesis once in twenty trials, and a 95% interval should
leave out the true effect as often. That can be measured: draw data from a world whose effect is
known, analyse it, and count. This page does so for every estimator in every design that it is for.

```bash
python -m benchmarks.calibration
```

Each row is {repetitions} samples without an effect and as many with one. A rate counts as right
within {low:.1%} and {high:.1%}: 5% plus or minus 3.29 standard errors, so that one right rate in a
thousand falls outside. Below is *conservative*: fewer errors than promised, at a price in power.
Above *does not hold*; a default found there is measured again on {more} samples, with their
tolerance. A few samples of each cell also go through the estimation of a whole trial as
a table of observations; the largest relative difference was {error:.0e}.

![Rates of all cells](../images/calibration.png)

The grey band is where a rate of 5% would fall.
"""

READING = """A warning is named when at least half of the samples raise it.

Why they do not:

- **Skewed effects of few units.** The mean of few lognormal values is not t-distributed. Arms of
  equal size cancel the skewness; arms of unequal size and differences within units or pairs do not.
  `hall`, which `auto` takes, moves the limits on the side of the long tail; `sparse` and `cace` do
  the same where few units are exposed. A bound against harm has its whole error on one side, so
  there the correction is stronger.
- **One treated unit in a block.** HC2 knows too little of the treatment's own variance where it is
  larger than the reference's; HC3 holds, and `hall` takes it.
- **Effects that vary with a covariate.** `lin` centres covariates at the sample's mean. Its
  interval is about the effect at that mean, and leaves out that another sample's mean would differ;
  `ancova` holds.
- **Unequal clusters.** With 24 clusters or fewer CR2's degrees of freedom are an approximation.
  CR3, the jackknife of clusters, which `auto` takes below 30 clusters, errs on the side of width.
- **Unequal spreads.** The rank-sum test and the pooled standard deviation of `hedges_g` and
  `cohen_d` take both arms for equally variable; `hedges_g_av`, which `auto` takes, `glass_delta`
  and `cliff_delta` do not.
- **Standard deviations of skewed values.** No interval of an effect over a standard deviation that
  50 lognormal values must show holds. `auto` gives one only to values that look symmetric, and to
  20 differences or more. Which samples those are depends on them, so the rates of its rows are of
  intervals given and wrong among all samples.

## Worlds

Arms are dealt as the design says, and effects are known in the population that units come from.

- *normal*: independent normal errors. *skewed*: lognormal ones, whose skewness is 6; *in one arm*
  only the treatment makes outcomes skewed; *doubled*: the treatment doubles a lognormal outcome.
- *heteroscedastic*: the treatment makes outcomes three times as variable, in the smaller arm;
  within units, one unit in five varies five times as much.
- *zero-inflated*: the edit moves only exposed units, by lognormal amounts. Without an effect on
  average it still moves them, by normal amounts; *skewed null*: by lognormal ones less their mean.
- *clusters* of 2 to 8 units with an intracluster correlation of 0.2; *blocks* that differ in level.
- *effects vary*: with the covariate or between blocks; the truth is the mean over the population.
- *unequal cells*: standard deviations of 0.5 to 3 in the six cells of a 2 by 3 design. *Doses* from
  0 to 8, with an Emax curve whose ED50 is 2 where there is an effect.
- *pool*: units drawn by exposure from 2,000. *placebos*: each draw has an effect of its own.
"""


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    table:
        As :func:`benchmarks.calibration.results.load` returns it.
    path:
        A markdown file.
    """
    repetitions = int(table["repetitions"].min())
    reach = tolerance(ALPHA, repetitions)
    head = HEAD.format(
        repetitions=f"{repetitions:,}",
        low=ALPHA - reach,
        high=ALPHA + reach,
        error=table["product_error"].max(),
        more=f"{MORE * repetitions:,}",
    )
    parts = [head, _by_estimator(table), _failures(table), READING, _tables(table), _left_out()]
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def fails(table: pd.DataFrame) -> pd.Series:
    """[rows] whether either rate does not hold."""
    verdicts = table[["type_1_verdict", "non_coverage_verdict"]]
    return verdicts.eq("does not hold").any(axis=1)


def warnings_of(flags: str) -> list[str]:
    """The flags of a cell that warn, on at least half of its samples."""
    return [code for code, share in _raised(flags) if share >= OFTEN and code not in PLAIN]


def _raised(flags: str) -> list[tuple[str, float]]:
    parts = [part.rsplit(" ", 1) for part in flags.split("; ") if part]
    return [(code, float(share)) for code, share in parts]


def _own_flags(row: dict[str, object]) -> str:
    """The flags of a row, without those that are about something else."""
    if row["part"] == "effect size":
        return str(row["flags"])
    kept = [one for one in _raised(str(row["flags"])) if one[0] not in OF_SIZES]
    return "; ".join(f"{code} {share:.2f}" for code, share in kept)


def unwarned(table: pd.DataFrame) -> pd.DataFrame:
    """Defaults that do not hold and of which no flag warns."""
    silent = table["flags"].map(lambda cell: not warnings_of(cell))
    return table[fails(table) & silent & table["default"].astype(bool)]


def summary(table: pd.DataFrame) -> str:
    """One line for the terminal."""
    failing = fails(table)
    return (
        f"{len(table)} rows: {int((~failing).sum())} hold or are conservative, "
        f"{int(failing.sum())} do not; {len(unwarned(table))} of these are defaults without a "
        "warning."
    )


def _by_estimator(table: pd.DataFrame) -> str:
    """How many worlds each estimator holds in."""
    lines = [
        "## What holds",
        "",
        "In how many worlds each estimator's test and interval hold or err on the side of caution, "
        "and in how many one of them does not.",
        "",
        "| estimator | designs | holds | conservative | does not hold |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    rows = table[table["part"] == "estimator"]
    for name, own in rows.groupby("subject", sort=False):
        failing = fails(own)
        verdicts = own[["type_1_verdict", "non_coverage_verdict"]]
        careful = verdicts.eq("conservative").any(axis=1) & ~failing
        counts = [int((~failing & ~careful).sum()), int(careful.sum()), int(failing.sum())]
        designs = ", ".join(dict.fromkeys(own["structure"]))
        cells = " | ".join(str(count) if count else "" for count in counts)
        lines.append(f"| `{name}` | {designs} | {cells} |")
    return "\n".join([*lines, ""])


def _failures(table: pd.DataFrame) -> str:
    failing = table[fails(table)]
    lines = [
        "## What does not hold",
        "",
        f"Of {len(table)} rows {len(table) - len(failing)} hold or are conservative. These do not:",
        "",
        "| what | design | world | rejects | leaves out | default | flags that warn |",
        "| --- | --- | --- | ---: | ---: | --- | --- |",
    ]
    for row in failing.to_dict("records"):
        warned = ", ".join(f"`{code}`" for code in warnings_of(_own_flags(row))) or "none"
        lines.append(
            f"| {_what(row)} | {row['structure']} | {row['world']} "
            f"| {_rate(row, 'type_1')} | {_rate(row, 'non_coverage')} "
            f"| {'yes' if row['default'] else ''} | {warned} |"
        )
    return "\n".join([*lines, ""])


def _what(row: dict[str, object]) -> str:
    name = f"`{row['subject']}`"
    return name if row["part"] in {"estimator", "correction"} else f"{row['part']} {name}"


def _rate(row: dict[str, object], column: str) -> str:
    value = float(str(row[column]))
    if np.isnan(value):
        return ""
    text = f"{value:.1%}"
    verdict = row[f"{column}_verdict"]
    if verdict == "does not hold":
        return f"**{text}**"
    return f"*{text}*" if verdict == "conservative" else text


TITLES = {
    "estimator": "Estimators",
    "guardrail": "Guardrails: harm as large as the margin, declared excluded",
    "several arms": "Analyses of several arms",
    "effect size": "Effect sizes",
    "correction": "Corrections for testing more than once",
}


def _tables(table: pd.DataFrame) -> str:
    lines = [
        "## All rows",
        "",
        "**Bold** does not hold, *italic* is conservative. *Rejects*: true null hypotheses that "
        "were rejected; for guardrails, harm at the margin declared excluded; for corrections, "
        "families with a false rejection, or the expected share of false rejections (`bh`, `by`, "
        "`tsbh`). *Leaves out*: intervals without the true effect. *Power*: false null hypotheses "
        "that were rejected. *None*: samples without a test or an interval; they count in no rate.",
        "",
    ]
    for part, title in TITLES.items():
        rows = table[table["part"] == part]
        if not len(rows):
            continue
        lines += [
            f"### {title}",
            "",
            "| what | design | world | rejects | leaves out | power | none | flags |",
            "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
            *map(_line, rows.to_dict("records")),
            "",
        ]
    return "\n".join(lines)


def _line(row: dict[str, object]) -> str:
    power = "" if np.isnan(float(str(row["power"]))) else f"{row['power']:.0%}"
    missing = float(str(row["no_inference"]))
    star = " (default)" if row["default"] and row["part"] == "estimator" else ""
    return (
        f"| `{row['subject']}`{star} | {row['structure']} | {row['world']} "
        f"| {_rate(row, 'type_1')} | {_rate(row, 'non_coverage')} | {power} "
        f"| {f'{missing:.1%}' if missing > 0 else ''} | {_own_flags(row)} |"
    )


def _left_out() -> str:
    found = list(by_key().values())
    lines = ["## What is not measured", ""]
    lines += [
        f"- `{name}` takes tens of milliseconds a sample: it is measured in the worlds above only."
        for name in SLOW
    ]
    lines += [
        f"- `{name}` in {' and '.join(structures)} designs."
        for name, structures in unmeasured(found).items()
    ]
    return "\n".join(lines)
