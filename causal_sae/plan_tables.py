"""The columns of the tables that planning a trial writes: power, diagnosis, looks."""

from __future__ import annotations

from causal_sae.tables import INTEGER, NUMBER, TEXT, Table

POWER = Table(
    "power",
    {
        "outcome": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "method": TEXT,
        "n_treatment": INTEGER,
        "n_reference": INTEGER,
        "effect": NUMBER,
        "sd": NUMBER,
        "alpha": NUMBER,
        "alpha_adjusted": NUMBER,
        "power": NUMBER,
        "power_low": NUMBER,
        "power_high": NUMBER,
        "n_required": INTEGER,
        "mde": NUMBER,
        "repetitions": INTEGER,
    },
    required=frozenset({"outcome", "treatment", "reference", "method", "power"}),
)

POWER_CURVE = Table(
    "power_curve",
    {
        "outcome": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "units": INTEGER,
        "power": NUMBER,
        "forward_passes": INTEGER,
        "minutes": NUMBER,
    },
    required=frozenset({"outcome", "treatment", "reference", "units", "power"}),
)


DIAGNOSIS = Table(
    "diagnosis",
    {
        "design": TEXT,
        "outcome": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "estimator": TEXT,
        "units": INTEGER,
        "n_treatment": INTEGER,
        "n_reference": INTEGER,
        "effect": NUMBER,
        "bias": NUMBER,
        "bias_mcse": NUMBER,
        "rmse": NUMBER,
        "rmse_mcse": NUMBER,
        "power": NUMBER,
        "power_mcse": NUMBER,
        "coverage": NUMBER,
        "coverage_mcse": NUMBER,
        "conf_level": NUMBER,
        "type_s": NUMBER,
        "type_s_mcse": NUMBER,
        "type_m": NUMBER,
        "type_m_mcse": NUMBER,
        "type_i": NUMBER,
        "type_i_mcse": NUMBER,
        "fwer": NUMBER,
        "fwer_mcse": NUMBER,
        "tested": NUMBER,
        "repetitions": INTEGER,
        "forward_passes": INTEGER,
        "minutes": NUMBER,
        "passes_same_precision": NUMBER,
    },
    required=frozenset({"design", "outcome", "treatment", "reference", "power"}),
)

LOOKS_PLAN = Table(
    "looks_plan",
    {
        "outcome": TEXT,
        "treatment": TEXT,
        "reference": TEXT,
        "look": INTEGER,
        "information": NUMBER,
        "units": INTEGER,
        "boundary": NUMBER,
        "nominal_p": NUMBER,
        "futile_below": NUMBER,
        "rejects_without_effect": NUMBER,
        "rejects_planned_effect": NUMBER,
        "stops_without_effect": NUMBER,
        "stops_planned_effect": NUMBER,
    },
    required=frozenset({"outcome", "treatment", "reference", "look", "boundary"}),
)
