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


TEXT, NUMBER, INTEGER, FLAG = (
    Column("text"),
    Column("number"),
    Column("integer"),
    Column("flag"),
)

ASSIGNMENT = Table(
    "assignment",
    {
        "unit_id": TEXT,
        "arm": TEXT,
        "block": TEXT,
        "cluster": TEXT,
        "propensity": NUMBER,
        "run_order": INTEGER,
        "sampling_probability": NUMBER,
        "stratum_share": NUMBER,
        "look": INTEGER,
    },
    required=frozenset({"unit_id", "arm"}),
)

OBSERVATIONS = Table(
    "observations",
    {
        "unit_id": TEXT,
        "arm": TEXT,
        "outcome": TEXT,
        "value": NUMBER,
        "block": TEXT,
        "cluster": TEXT,
        "exposed": FLAG,
        "received": FLAG,
        "dose": NUMBER,
        "status": TEXT,
        "draw": INTEGER,
        "sample": INTEGER,
        "run_order": INTEGER,
        "sampling_probability": NUMBER,
        "stratum_share": NUMBER,
        "look": INTEGER,
    },
    required=frozenset({"unit_id", "arm", "outcome", "value"}),
)

EFFECTS = Table(
    "effects",
    {
        "outcome": TEXT,
        "role": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "estimand": TEXT,
        "estimator": TEXT,
        "n_treatment": INTEGER,
        "n_reference": INTEGER,
        "mean_treatment": NUMBER,
        "mean_reference": NUMBER,
        "estimate": NUMBER,
        "std_error": NUMBER,
        "statistic": NUMBER,
        "df": NUMBER,
        "p_value": NUMBER,
        "conf_low": NUMBER,
        "conf_high": NUMBER,
        "conf_level": NUMBER,
        "family": TEXT,
        "family_size": INTEGER,
        "correction": TEXT,
        "p_adjusted": NUMBER,
        "reject": FLAG,
        "effect_size": NUMBER,
        "effect_size_kind": TEXT,
        "effect_size_low": NUMBER,
        "effect_size_high": NUMBER,
        "flags": TEXT,
    },
    required=frozenset({"outcome", "treatment", "reference", "estimate"}),
)

FEATURES = Table(
    "features",
    {
        "feature": INTEGER,
        "density": NUMBER,
        "mean_activation": NUMBER,
        "max_activation": NUMBER,
        "q50": NUMBER,
        "q90": NUMBER,
        "q99": NUMBER,
        "decoder_norm": NUMBER,
        "dead": FLAG,
        "dense": FLAG,
        "sharpness": NUMBER,
        "cohesion": NUMBER,
        "top_tokens": TEXT,
        "suppressed_tokens": TEXT,
        "fires_on": TEXT,
        "token_focus": NUMBER,
        "kurtosis": NUMBER,
        "bimodality": NUMBER,
        "absorption": NUMBER,
        "absorbed_by": INTEGER,
        "stability": NUMBER,
        "twin": INTEGER,
    },
    required=frozenset({"feature", "density", "mean_activation", "decoder_norm"}),
)

EXAMPLES = Table(
    "examples",
    {
        "feature": INTEGER,
        "bin": TEXT,
        "rank": INTEGER,
        "text": TEXT,
        "position": INTEGER,
        "activation": NUMBER,
        "document": TEXT,
        "group": TEXT,
    },
    required=frozenset({"feature", "bin", "rank", "text", "activation"}),
)

CONTEXTS = Table(
    "contexts",
    {
        "feature": INTEGER,
        "bin": TEXT,
        "rank": INTEGER,
        "offset": INTEGER,
        "token": TEXT,
        "activation": NUMBER,
    },
    required=frozenset({"feature", "bin", "rank", "offset", "token", "activation"}),
)

LOGITS = Table(
    "logits",
    {
        "feature": INTEGER,
        "kind": TEXT,
        "rank": INTEGER,
        "token": TEXT,
        "logit": NUMBER,
    },
    required=frozenset({"feature", "kind", "rank", "token", "logit"}),
)

HISTOGRAMS = Table(
    "histograms",
    {
        "feature": INTEGER,
        "low": NUMBER,
        "high": NUMBER,
        "positions": INTEGER,
    },
    required=frozenset({"feature", "low", "high", "positions"}),
)

NEIGHBOURS = Table(
    "neighbours",
    {
        "feature": INTEGER,
        "kind": TEXT,
        "rank": INTEGER,
        "neighbour": INTEGER,
        "value": NUMBER,
    },
    required=frozenset({"feature", "kind", "rank", "neighbour", "value"}),
)

GROUPS = Table(
    "groups",
    {
        "feature": INTEGER,
        "group": TEXT,
        "documents": INTEGER,
        "others": INTEGER,
        "mean_inside": NUMBER,
        "mean_outside": NUMBER,
        "auroc": NUMBER,
        "auroc_low": NUMBER,
        "auroc_high": NUMBER,
        "p_value": NUMBER,
        "p_adjusted": NUMBER,
    },
    required=frozenset({"feature", "group", "auroc"}),
)

SCREEN = Table(
    "screen",
    {
        "feature": INTEGER,
        "outcome": TEXT,
        "stage": TEXT,
        "n_active": INTEGER,
        "density": NUMBER,
        "attribution": NUMBER,
        "estimate": NUMBER,
        "std_error": NUMBER,
        "conf_low": NUMBER,
        "conf_high": NUMBER,
        "p_value": NUMBER,
        "family_size": INTEGER,
        "correction": TEXT,
        "p_adjusted": NUMBER,
        "reject": FLAG,
        "flags": TEXT,
        "n_measured": INTEGER,
        "effect_exposed": NUMBER,
        "placebo_share": NUMBER,
        "shrunken": NUMBER,
    },
    required=frozenset({"feature", "outcome", "stage", "estimate"}),
)

LOOKS = Table(
    "looks",
    {
        "outcome": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "look": INTEGER,
        "information": NUMBER,
        "n_treatment": INTEGER,
        "n_reference": INTEGER,
        "estimate": NUMBER,
        "std_error": NUMBER,
        "statistic": NUMBER,
        "lower": NUMBER,
        "upper": NUMBER,
        "futile_from": NUMBER,
        "futile_to": NUMBER,
        "alpha_spent": NUMBER,
        "decision": TEXT,
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
    "writing_noise": Companion(
        "Noise of writing",
        "Samples of text are nested in prompts, which are the units. How much the effects (or, in "
        "parallel arms, the values) of prompts vary by themselves, how much samples of one prompt "
        "vary, and which share of the variance of the difference between the arms the writing is. "
        "The last columns tell what more samples would gain: the standard error with twice as many "
        "and with endless ones, over that of now. Blocks and covariates are left out of account.",
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
