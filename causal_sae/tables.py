"""The columns of every table that users touch. A table is checked where it enters and leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_sae.errors import DataError, Place, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "number", "integer", "flag"]


@dataclass(frozen=True)
class Column:
    """One column of a table: what it holds, and whether a cell may be empty."""

    kind: Kind
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """The contract of a table: its columns in order, and those a foreign table must bring."""

    name: str
    columns: Mapping[str, Column]
    required: frozenset[str]

    def check(self, frame: pd.DataFrame, place: Place | None = None) -> pd.DataFrame:
        """Return ``frame`` when it has every required column.

        Raises
        ------
        DataError
            Names the missing column, the columns that are there, and the nearest of them.
        """
        missing = [column for column in self.columns if column in self.required - set(frame)]
        if missing:
            raise DataError(
                f"the {self.name} table must have the column {missing[0]!r}; "
                f"{did_you_mean(missing[0], frame.columns).replace('Allowed', 'It has')}",
                place,
            )
        return frame

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table with exactly the contract's columns first, in order, typed; extras follow."""
        import pandas as pd  # noqa: PLC0415 - this module is on the path of `validate`

        full = frame.reindex(columns=[*self.columns, *(c for c in frame if c not in self.columns)])
        for name, column in self.columns.items():
            if column.kind == "number":
                full[name] = pd.to_numeric(full[name], errors="raise").astype("float64")
            elif column.kind == "integer":
                full[name] = full[name].astype("Int64")
            elif column.kind == "flag":
                full[name] = full[name].astype("boolean")
            else:
                full[name] = full[name].astype("string")
        return full


_TEXT, _NUMBER, _INTEGER, _FLAG = (
    Column("text"),
    Column("number"),
    Column("integer"),
    Column("flag"),
)

ASSIGNMENT = Table(
    "assignment",
    {
        "unit_id": _TEXT,
        "arm": _TEXT,
        "block": _TEXT,
        "cluster": _TEXT,
        "propensity": _NUMBER,
        "run_order": _INTEGER,
        "sampling_probability": _NUMBER,
        "stratum_share": _NUMBER,
        "look": _INTEGER,
    },
    required=frozenset({"unit_id", "arm"}),
)

OBSERVATIONS = Table(
    "observations",
    {
        "unit_id": _TEXT,
        "arm": _TEXT,
        "outcome": _TEXT,
        "value": _NUMBER,
        "block": _TEXT,
        "cluster": _TEXT,
        "exposed": _FLAG,
        "received": _FLAG,
        "dose": _NUMBER,
        "status": _TEXT,
        "draw": _INTEGER,
        "sample": _INTEGER,
        "run_order": _INTEGER,
        "sampling_probability": _NUMBER,
        "stratum_share": _NUMBER,
        "look": _INTEGER,
    },
    required=frozenset({"unit_id", "arm", "outcome", "value"}),
)

EFFECTS = Table(
    "effects",
    {
        "outcome": _TEXT,
        "role": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "estimand": _TEXT,
        "estimator": _TEXT,
        "n_treatment": _INTEGER,
        "n_reference": _INTEGER,
        "mean_treatment": _NUMBER,
        "mean_reference": _NUMBER,
        "estimate": _NUMBER,
        "std_error": _NUMBER,
        "statistic": _NUMBER,
        "df": _NUMBER,
        "p_value": _NUMBER,
        "conf_low": _NUMBER,
        "conf_high": _NUMBER,
        "conf_level": _NUMBER,
        "family": _TEXT,
        "family_size": _INTEGER,
        "correction": _TEXT,
        "p_adjusted": _NUMBER,
        "reject": _FLAG,
        "effect_size": _NUMBER,
        "effect_size_kind": _TEXT,
        "effect_size_low": _NUMBER,
        "effect_size_high": _NUMBER,
        "flags": _TEXT,
    },
    required=frozenset({"outcome", "treatment", "reference", "estimate"}),
)

FEATURES = Table(
    "features",
    {
        "feature": _INTEGER,
        "density": _NUMBER,
        "mean_activation": _NUMBER,
        "max_activation": _NUMBER,
        "q50": _NUMBER,
        "q90": _NUMBER,
        "q99": _NUMBER,
        "decoder_norm": _NUMBER,
        "dead": _FLAG,
        "dense": _FLAG,
        "sharpness": _NUMBER,
        "cohesion": _NUMBER,
        "top_tokens": _TEXT,
        "suppressed_tokens": _TEXT,
        "fires_on": _TEXT,
        "token_focus": _NUMBER,
        "kurtosis": _NUMBER,
        "bimodality": _NUMBER,
        "absorption": _NUMBER,
        "absorbed_by": _INTEGER,
        "stability": _NUMBER,
        "twin": _INTEGER,
    },
    required=frozenset({"feature", "density", "mean_activation", "decoder_norm"}),
)

EXAMPLES = Table(
    "examples",
    {
        "feature": _INTEGER,
        "bin": _TEXT,
        "rank": _INTEGER,
        "text": _TEXT,
        "position": _INTEGER,
        "activation": _NUMBER,
        "document": _TEXT,
        "group": _TEXT,
    },
    required=frozenset({"feature", "bin", "rank", "text", "activation"}),
)

CONTEXTS = Table(
    "contexts",
    {
        "feature": _INTEGER,
        "bin": _TEXT,
        "rank": _INTEGER,
        "offset": _INTEGER,
        "token": _TEXT,
        "activation": _NUMBER,
    },
    required=frozenset({"feature", "bin", "rank", "offset", "token", "activation"}),
)

LOGITS = Table(
    "logits",
    {
        "feature": _INTEGER,
        "kind": _TEXT,
        "rank": _INTEGER,
        "token": _TEXT,
        "logit": _NUMBER,
    },
    required=frozenset({"feature", "kind", "rank", "token", "logit"}),
)

HISTOGRAMS = Table(
    "histograms",
    {
        "feature": _INTEGER,
        "low": _NUMBER,
        "high": _NUMBER,
        "positions": _INTEGER,
    },
    required=frozenset({"feature", "low", "high", "positions"}),
)

NEIGHBOURS = Table(
    "neighbours",
    {
        "feature": _INTEGER,
        "kind": _TEXT,
        "rank": _INTEGER,
        "neighbour": _INTEGER,
        "value": _NUMBER,
    },
    required=frozenset({"feature", "kind", "rank", "neighbour", "value"}),
)

GROUPS = Table(
    "groups",
    {
        "feature": _INTEGER,
        "group": _TEXT,
        "documents": _INTEGER,
        "others": _INTEGER,
        "mean_inside": _NUMBER,
        "mean_outside": _NUMBER,
        "auroc": _NUMBER,
        "auroc_low": _NUMBER,
        "auroc_high": _NUMBER,
        "p_value": _NUMBER,
        "p_adjusted": _NUMBER,
    },
    required=frozenset({"feature", "group", "auroc"}),
)

SCREEN = Table(
    "screen",
    {
        "feature": _INTEGER,
        "outcome": _TEXT,
        "stage": _TEXT,
        "n_active": _INTEGER,
        "density": _NUMBER,
        "attribution": _NUMBER,
        "estimate": _NUMBER,
        "std_error": _NUMBER,
        "conf_low": _NUMBER,
        "conf_high": _NUMBER,
        "p_value": _NUMBER,
        "family_size": _INTEGER,
        "correction": _TEXT,
        "p_adjusted": _NUMBER,
        "reject": _FLAG,
        "flags": _TEXT,
        "n_measured": _INTEGER,
        "effect_exposed": _NUMBER,
        "placebo_share": _NUMBER,
        "shrunken": _NUMBER,
    },
    required=frozenset({"feature", "outcome", "stage", "estimate"}),
)

POWER = Table(
    "power",
    {
        "outcome": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "method": _TEXT,
        "n_treatment": _INTEGER,
        "n_reference": _INTEGER,
        "effect": _NUMBER,
        "sd": _NUMBER,
        "alpha": _NUMBER,
        "alpha_adjusted": _NUMBER,
        "power": _NUMBER,
        "power_low": _NUMBER,
        "power_high": _NUMBER,
        "n_required": _INTEGER,
        "mde": _NUMBER,
        "repetitions": _INTEGER,
    },
    required=frozenset({"outcome", "treatment", "reference", "method", "power"}),
)

POWER_CURVE = Table(
    "power_curve",
    {
        "outcome": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "units": _INTEGER,
        "power": _NUMBER,
        "forward_passes": _INTEGER,
        "minutes": _NUMBER,
    },
    required=frozenset({"outcome", "treatment", "reference", "units", "power"}),
)


DIAGNOSIS = Table(
    "diagnosis",
    {
        "design": _TEXT,
        "outcome": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "estimator": _TEXT,
        "units": _INTEGER,
        "n_treatment": _INTEGER,
        "n_reference": _INTEGER,
        "effect": _NUMBER,
        "bias": _NUMBER,
        "bias_mcse": _NUMBER,
        "rmse": _NUMBER,
        "rmse_mcse": _NUMBER,
        "power": _NUMBER,
        "power_mcse": _NUMBER,
        "coverage": _NUMBER,
        "coverage_mcse": _NUMBER,
        "conf_level": _NUMBER,
        "type_s": _NUMBER,
        "type_s_mcse": _NUMBER,
        "type_m": _NUMBER,
        "type_m_mcse": _NUMBER,
        "type_i": _NUMBER,
        "type_i_mcse": _NUMBER,
        "fwer": _NUMBER,
        "fwer_mcse": _NUMBER,
        "tested": _NUMBER,
        "repetitions": _INTEGER,
        "forward_passes": _INTEGER,
        "minutes": _NUMBER,
        "passes_same_precision": _NUMBER,
    },
    required=frozenset({"design", "outcome", "treatment", "reference", "power"}),
)

LOOKS_PLAN = Table(
    "looks_plan",
    {
        "outcome": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "look": _INTEGER,
        "information": _NUMBER,
        "units": _INTEGER,
        "boundary": _NUMBER,
        "nominal_p": _NUMBER,
        "futile_below": _NUMBER,
        "rejects_without_effect": _NUMBER,
        "rejects_planned_effect": _NUMBER,
        "stops_without_effect": _NUMBER,
        "stops_planned_effect": _NUMBER,
    },
    required=frozenset({"outcome", "treatment", "reference", "look", "boundary"}),
)

LOOKS = Table(
    "looks",
    {
        "outcome": _TEXT,
        "treatment": _TEXT,
        "reference": _TEXT,
        "look": _INTEGER,
        "information": _NUMBER,
        "n_treatment": _INTEGER,
        "n_reference": _INTEGER,
        "estimate": _NUMBER,
        "std_error": _NUMBER,
        "statistic": _NUMBER,
        "lower": _NUMBER,
        "upper": _NUMBER,
        "futile_from": _NUMBER,
        "futile_to": _NUMBER,
        "alpha_spent": _NUMBER,
        "decision": _TEXT,
    },
    required=frozenset({"outcome", "treatment", "reference", "look", "decision"}),
)


@dataclass(frozen=True)
class Companion:
    """A table beside the effects, in the folder ``tables/`` of a run."""

    title: str
    explanation: str


COMPANIONS: dict[str, Companion] = {
    "looks": Companion(
        "Looks before the end",
        "Each look at each primary contrast: the units analysed, the share of the planned "
        "information, the estimate as it stood (naive: after an early stop it is too large), the "
        "statistic as a normal quantile, the boundary on either side, how much of alpha may have "
        "been spent, and what was decided. Decisions rest on the rows up to the stop; a row after "
        "it, marked `after the stop`, describes units that came in all the same.",
    ),
    "missingness": Companion(
        "What the missing outcomes could change",
        "Units without a usable outcome, by contrast, arm and reason. The main analysis is of "
        "complete cases. Where the outcome has a lowest and a highest value, the effect is "
        "estimated twice more: with every missing value where it is worst for the effect, and "
        "where it is best (Manski bounds); the effect lies between the two whatever the missing "
        "values are. The interval runs from the lower limit of the one analysis to the upper "
        "limit of the other, and holds the whole range with at least its level.",
    ),
    "supplementary": Companion(
        "Supplementary analyses",
        "The same contrasts by further estimators, as declared. They are not corrected for "
        "multiplicity; the verdict rests on the main estimates alone.",
    ),
    "order_effects": Companion(
        "Order of the arms",
        "Whether it mattered at which place of a unit's sequence an arm was run: each period's "
        "effect (its mean outcome minus that of all periods), the joint test of all of them (F), "
        "and in trials of two arms the test for carry-over, which compares the units' sums between "
        "the two sequences. None is corrected for multiplicity; the test for carry-over has little "
        "power, and must not decide which analysis is made.",
    ),
    "dose_response": Companion(
        "Dose-response",
        "How each outcome follows the dose: the slope of the arms' means on their doses; a test of "
        "any steady rise or fall; and the curve E0 + Emax d / (ED50 + d), where ED50 is the dose "
        "of half the largest effect. The p-values are not corrected.",
    ),
    "factorial": Companion(
        "Joint tests of factorial effects",
        "For each factor, and each interaction, whether any of its effects differs from zero: F "
        "with its two degrees of freedom. The p-values are not corrected; the single effects are "
        "in the table of effects.",
    ),
    "true_discoveries": Companion(
        "True discoveries",
        "How many of the effects are real, at least, with the confidence stated and for all sets "
        "of the family's tests at once, so that sets may be picked after looking (closed testing "
        "with Simes' tests: for independent or positively dependent tests). Families of fewer than "
        "five tests are left out.",
    ),
}
"""Name of the table -> how the report calls it and what it tells the reader."""
