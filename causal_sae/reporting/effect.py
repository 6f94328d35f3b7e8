"""One row of the table of effects, as the report reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from causal_sae.reporting import numbers

if TYPE_CHECKING:
    import pandas as pd

CORRECTIONS = {
    "none": "unadjusted",
    "bonferroni": "Bonferroni-adjusted",
    "holm": "Holm-adjusted",
    "hochberg": "Hochberg-adjusted",
    "hommel": "Hommel-adjusted",
    "bh": "Benjamini-Hochberg-adjusted",
    "by": "Benjamini-Yekutieli-adjusted",
    "tsbh": "two-stage Benjamini-Hochberg-adjusted",
    "dunnett": "Dunnett-adjusted",
    "single_step": "single-step-adjusted",
    "graphical": "graphically adjusted",
    "maxt": "max-T-adjusted",
    "fixed_sequence": "fixed-sequence",
}
EFFECT_SIZES = {
    "hedges_g": "g",
    "hedges_g_av": "g",
    "hedges_g_adjusted": "g",
    "cohen_d": "d",
    "cohen_dz": "dz",
    "cohen_dz_adjusted": "dz",
    "risk_difference": "RD",
    "cohen_d_adjusted": "d",
    "glass_delta": "Δ",
    "glass_delta_adjusted": "Δ",
    "cliff_delta": "δ",
    "cles": "CLES",
    "risk_ratio": "RR",
    "odds_ratio": "OR",
    "rate_ratio": "IRR",
    "sd_stated": "SD",
}
SAID = frozenset(
    {"margin_test", "non_inferior", "harm_not_excluded", "equivalent", "equivalence_not_shown"}
)
"""Flags that the marks of every table already tell."""


@dataclass(frozen=True)
class Effect:
    """Treatment minus reference on one outcome. Numbers that are missing are NaN."""

    outcome: str
    role: str
    treatment: str
    reference: str
    estimand: str
    estimator: str
    n_treatment: int
    n_reference: int
    mean_treatment: float
    mean_reference: float
    estimate: float
    conf_low: float
    conf_high: float
    conf_level: float
    p_value: float
    p_adjusted: float
    reject: bool
    family_size: int
    correction: str
    effect_size: float
    effect_size_kind: str
    effect_size_low: float
    effect_size_high: float
    flags: str

    @property
    def estimated(self) -> bool:
        """Whether there is an estimate with an interval, which may be open on one side."""
        bounds = math.isnan(self.conf_low) or math.isnan(self.conf_high)
        return math.isfinite(self.estimate) and not bounds

    @property
    def exact(self) -> bool:
        """Whether the effect is known without error: a finite claim, every unit in both arms."""
        return "finite_population_exact" in self.flag_list

    @property
    def of_several_arms(self) -> bool:
        """Whether it is a factorial effect or a trend, and not of one arm against another."""
        return self.estimand.startswith(("main effect", "interaction", "linear trend"))

    @property
    def means(self) -> tuple[str, str]:
        """The arms' means, to the decimals of the estimate."""
        places = numbers.places(self.estimate, self.conf_low, self.conf_high)
        return numbers.fixed(self.mean_treatment, places), numbers.fixed(
            self.mean_reference, places
        )

    @property
    def contrast(self) -> str:
        """``ablate - sham``."""
        return f"{self.treatment} {numbers.MINUS} {self.reference}"

    @property
    def with_interval(self) -> str:
        """``-0.421 [-0.484, -0.358]``."""
        return numbers.with_interval(self.estimate, self.conf_low, self.conf_high)

    @property
    def adjusted(self) -> str:
        """How the p-value was adjusted: ``Holm-adjusted``."""
        return CORRECTIONS.get(self.correction, self.correction or "unadjusted")

    @property
    def p(self) -> float:
        """The adjusted p-value, or the raw one where nothing was adjusted."""
        return self.p_value if math.isnan(self.p_adjusted) else self.p_adjusted

    @property
    def size_symbol(self) -> str:
        """``g``, ``d_z``, ``RD``, or the kind as it is."""
        return EFFECT_SIZES.get(self.effect_size_kind, self.effect_size_kind)

    @property
    def flag_list(self) -> tuple[str, ...]:
        """The flags, one by one."""
        return split_flags(self.flags)

    @property
    def notable_flags(self) -> tuple[str, ...]:
        """The flags that no mark of the table tells."""
        return tuple(flag for flag in self.flag_list if flag not in SAID)


def split_flags(text: str) -> tuple[str, ...]:
    """Flags of one cell, which are separated by semicolons."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def read_effects(effects: pd.DataFrame) -> tuple[Effect, ...]:
    """The rows of a table of effects; a foreign table may lack optional columns."""
    from causal_sae.tables import EFFECTS  # noqa: PLC0415 - pandas loads with its first use

    full = EFFECTS.conform(EFFECTS.check(effects))
    empty: dict[str, str | int | float | bool] = {"str": "", "int": 0, "float": math.nan}
    empty["bool"] = False
    kinds = {f.name: str(f.type) for f in fields(Effect)}
    present = full[list(kinds)].notna().to_numpy()
    cells = [full[name].tolist() for name in kinds]
    rows: list[dict[str, Any]] = [
        {
            name: column[i] if present[i, j] else empty[kind]
            for j, ((name, kind), column) in enumerate(zip(kinds.items(), cells, strict=True))
        }
        for i in range(len(full))
    ]
    return tuple(Effect(**row) for row in rows)


def flag_meaning(flag: str, meanings: Mapping[str, str]) -> str:
    """``few_active:12`` as a sentence; the code itself where no meaning is known."""
    name, _, number = flag.partition(":")
    sentence = meanings.get(name.strip(), "")
    if not sentence:
        return flag
    if not number:
        return sentence
    told, times = re.subn(r"\b[Tt]his (?:many|share)\b", number.strip(), sentence, count=1)
    return told if times else f"({number.strip()}) {sentence}"


@dataclass(frozen=True)
class FlagNote:
    """What one flag says, and of which rows: each flag is explained once, with all its numbers."""

    sentence: str
    rows: tuple[Effect, ...]

    @property
    def where(self) -> list[str]:
        """The contrasts and outcomes that carry it."""
        return [f"{row.contrast} on {row.outcome}" for row in self.rows]


def flag_notes(
    flagged: Iterable[tuple[Effect, str]], meanings: Mapping[str, str]
) -> dict[str, FlagNote]:
    """Code of a flag, without its number -> its note, in the order in which the codes come.

    Parameters
    ----------
    flagged:
        Rows with one flag each, such as ``few_active:12``.
    meanings:
        Code to sentence.
    """
    found: dict[str, list[tuple[Effect, str]]] = {}
    for row, flag in flagged:
        name, _, number = flag.partition(":")
        found.setdefault(name, []).append((row, number))
    notes = {}
    for name, pairs in found.items():
        told = ", ".join(dict.fromkeys(number for _, number in pairs if number))
        sentence = flag_meaning(f"{name}:{told}" if told else name, meanings)
        notes[name] = FlagNote(sentence, tuple(row for row, _ in pairs))
    return notes
