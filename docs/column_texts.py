"""What each file and column of a run folder means; the contracts are in causal_sae/tables.py."""

from __future__ import annotations

from feature_texts import FEATURE_MEANINGS

FILES: dict[str, str] = {
    "trial.yaml": "The trial as it was run, word for word.",
    "manifest.json": "Hashes of trial, prompts, model and SAE; versions, seed, device, timings, "
    "deviations, status.",
    "trial.lock": "The registration that the run was held against; only where there is one.",
    "assignment.parquet": "Who got which arm, and with what probability.",
    "pool.parquet": "Enriched trials: at how many edited positions of each prompt of the pool the "
    "feature fires, and whether it was drawn.",
    "observations/*.parquet": "What was measured: one row a unit, arm and outcome.",
    "texts/*.parquet": "What was generated: unit_id, arm, draw, sample, prompt, text, and how many "
    "tokens it has; only where an outcome is of generated text.",
    "effects.parquet, effects.csv": "The result: one row an outcome and contrast.",
    "diagnostics.csv": "The gates: check, status (`pass`, `warn`), value, limit, sentence.",
    "balance.csv": "Means of pre-treatment variables by arm, and their standardised differences. "
    "Not written where every unit is in every arm.",
    "tables/*.csv": "Tables beside the effects, each only where it has something to say: "
    "`missingness.csv` (what is missing, why, and how far it could move the effect), "
    "`writing_noise.csv` (how much of the uncertainty is the noise of sampled text), "
    "`supplementary.csv` (the contrasts by further estimators), `order_effects.csv` (whether the "
    "order of a unit's arms mattered), `true_discoveries.csv` (how many effects are real, at "
    "least), `factorial.csv` (joint tests of factors and interactions), `dose_response.csv` "
    "(slope, steady trend, and the curve with its ED50), "
    "`looks.csv` (each look before the end, and what it decided).",
    "refutations.csv": "What DoWhy's refuters found; only where the trial declares `refuters`.",
    "identification.txt": "Why the difference between arms is the effect, in words.",
    "figures/*.png, figures/*.svg": "The forest plot, the distributions, the manipulation check, "
    "and the dose-response curve where doses differ.",
    "report.html": "The page: one file, opens without a network.",
}

_UNIT = {
    "unit_id": "The unit: a prompt.",
    "arm": "The arm it is in.",
    "block": "Its block; empty without blocks.",
    "cluster": "Its cluster, such as the template it was made from; empty without clusters.",
}

MEANINGS: dict[str, dict[str, str]] = {
    "assignment": _UNIT
    | {
        "propensity": "The probability that this unit is in this arm, by design.",
        "run_order": "Crossover and latin square: the place of this arm in the unit's order, "
        "from 1. Empty otherwise.",
        "sampling_probability": "Enriched trials: the probability with which the unit was drawn "
        "from its pool. Empty otherwise.",
        "stratum_share": "Enriched trials: the share of the pool that is exposed as this unit is. "
        "Empty otherwise.",
        "look": "Trials with looks before their end: the look from which the unit counts, from 1. "
        "Empty otherwise.",
    },
    "observations": _UNIT
    | {
        "outcome": "The outcome's name.",
        "value": "The value, in the outcome's own units.",
        "exposed": "Whether a feature of the trial fires on the untouched prompt, at a position "
        "that may be edited.",
        "received": "Whether the edit changed anything.",
        "dose": "How far the edited features' activations were moved, in activation units: "
        "the size of the change, summed over features, mean over the edited positions.",
        "status": "`ok`, or the reason why the value is missing.",
        "draw": "Which placebo feature or random direction, from 0; empty otherwise.",
        "sample": "Which generated text, from 0; empty otherwise.",
        "look": "Trials with looks before their end: the look from which the unit counts, from 1. "
        "Empty otherwise.",
        "run_order": "Crossover and latin square: the place of this arm in the unit's order.",
        "sampling_probability": "Enriched trials: the probability with which the unit was drawn "
        "from its pool. Empty otherwise.",
        "stratum_share": "Enriched trials: the share of the pool that is exposed as this unit is. "
        "Empty otherwise.",
    },
    "effects": {
        "outcome": "The outcome.",
        "role": "`primary`, `secondary`, `guardrail` or `exploratory`.",
        "treatment": "The arm whose effect this is.",
        "reference": "The arm it is compared with.",
        "estimand": "What is estimated: the strategy for what happens after assignment, and whom "
        "the claim is about.",
        "estimator": "How; `auto` is resolved.",
        "n_treatment": "Units analysed in the treatment arm.",
        "n_reference": "Units analysed in the reference arm.",
        "mean_treatment": "Their mean outcome.",
        "mean_reference": "Their mean outcome.",
        "estimate": "The effect: treatment minus reference, in the outcome's own units.",
        "std_error": "Its standard error.",
        "statistic": "The test statistic.",
        "df": "Its degrees of freedom.",
        "p_value": "Unadjusted. Two-sided; for a guardrail with a margin, one-sided against the "
        "margin.",
        "conf_low": "Lower end of the two-sided interval, not adjusted for multiplicity unless "
        "flagged `simultaneous_interval`.",
        "conf_high": "Upper end.",
        "conf_level": "1 - alpha; 1 - 2 alpha where a margin is tested, to match one-sided tests.",
        "family": "Which tests were corrected together.",
        "family_size": "How many of them have a p-value.",
        "correction": "The method of correction.",
        "p_adjusted": "The p-value adjusted within its family.",
        "reject": "Whether `p_adjusted` is at most alpha. For a guardrail: harm as large as the "
        "margin is excluded.",
        "effect_size": "The standardised effect.",
        "effect_size_kind": "`hedges_g`, `cohen_dz`, `risk_difference`, or the kind that "
        "`analysis.effect_size` names; with `_adjusted` where the analysis adjusts for blocks, "
        "clusters or covariates. `sd_stated`: over a standard deviation that the trial states.",
        "effect_size_low": "Lower end of its interval.",
        "effect_size_high": "Upper end.",
        "flags": "Short codes, separated by `;`, of what a reader must know. Listed below.",
    },
    "looks": {
        "outcome": "The primary outcome.",
        "treatment": "The arm.",
        "reference": "The arm that it is compared with.",
        "look": "The number of the look, from 1.",
        "information": "The share of the planned information that was in: units analysed over "
        "units planned, both arms counting by `1 / (1/n + 1/m)`.",
        "n_treatment": "Units analysed in the treatment arm by then.",
        "n_reference": "Units analysed in the reference arm by then.",
        "estimate": "The effect as it stood: naive.",
        "std_error": "Its standard error.",
        "statistic": "The normal quantile with the tail probability of its t statistic.",
        "lower": "At or below it the test rejects; empty where it could not.",
        "upper": "At or above it the test rejects; empty where it could not.",
        "futile_from": "Above it, and below `futile_to`, the contrast is given up; empty: no lower "
        "end, or no futility rule.",
        "futile_to": "The upper end.",
        "alpha_spent": "How much of the contrast's alpha may have been spent by now, both sides "
        "together; empty for a confidence sequence.",
        "decision": "`reject`, `futile`, `continue`, `not rejected` (at the end), or `after the "
        "stop`.",
    },
    "looks_plan": {
        "outcome": "The primary outcome.",
        "treatment": "The arm.",
        "reference": "The arm that it is compared with.",
        "look": "The number of the look, from 1.",
        "information": "The share of the units that is in.",
        "units": "Units of the whole trial by then.",
        "boundary": "|z| from which the test rejects; empty: it cannot.",
        "nominal_p": "The two-sided p-value of that boundary.",
        "futile_below": "|z| below which the contrast is given up; empty: never.",
        "rejects_without_effect": "The probability of rejecting at this look without an effect.",
        "rejects_planned_effect": "The same with the effect of `power.effect`.",
        "stops_without_effect": "The probability of being decided at this look, without an effect.",
        "stops_planned_effect": "The same with the effect of `power.effect`.",
    },
    "power": {
        "outcome": "The outcome; `primary` in rows of several outcomes together.",
        "treatment": "The arm; `any` and `all` in the rows of at least one effect, and of every "
        "effect, among the contrasts that have one.",
        "reference": "The arm that it is compared with.",
        "method": "`closed_form` or `simulation`.",
        "n_treatment": "Planned units in the treatment arm.",
        "n_reference": "Planned units in the reference arm.",
        "effect": "The effect assumed, on the scale of the estimate: treatment minus reference "
        "in the outcome's units, 0 where neither arm is assumed to act. Of an outcome with a "
        "margin: the margin; its true effect is taken to be 0.",
        "sd": "The standard deviation assumed; 1 where effects are in standard deviations.",
        "alpha": "The trial's error rate.",
        "alpha_adjusted": "The level that the correction leaves this test at least.",
        "power": "The probability that the test rejects. Closed form: at `alpha_adjusted`. "
        "Simulation: with the correction itself. Empty where the effect is 0.",
        "power_low": "Lower end of its 95% interval: of the simulation (Wilson), of the pilot, "
        "of both; the power itself where neither adds uncertainty.",
        "power_high": "Upper end.",
        "n_required": "Units in each arm for the target at equal shares; within units: units. "
        "By simulation only where there is no closed form.",
        "mde": "The smallest effect, on the scale of `effect`, that the planned size finds with "
        "the target power.",
        "repetitions": "Simulated trials.",
    },
    "diagnosis": {
        "design": "The trial's name, and what was changed of it.",
        "outcome": "The outcome; `primary` where several are taken together.",
        "treatment": "The treatment arm; `any` and `all`: at least one of the effects, every one.",
        "reference": "What it is compared with.",
        "estimator": "The estimator; with `auto`, what it becomes.",
        "units": "Units in all.",
        "n_treatment": "Units in the treatment arm.",
        "n_reference": "Units in the reference arm.",
        "effect": "The truth: treatment minus reference, as the estimator defines the effect.",
        "bias": "The mean of the estimates minus the truth.",
        "bias_mcse": "Its Monte-Carlo standard error, as of every column that ends so.",
        "rmse": "The root of the mean squared distance of the estimates from the truth.",
        "rmse_mcse": "Its error.",
        "power": "How often the test rejects after the trial's correction, where there is an "
        "effect; of a margin: how often it is excluded.",
        "power_mcse": "Its error.",
        "coverage": "How often the interval holds the truth.",
        "coverage_mcse": "Its error.",
        "conf_level": "The level that the interval claims.",
        "type_s": "Of the effects that are found, the share with the wrong sign.",
        "type_s_mcse": "Its error.",
        "type_m": "By which factor effects that are found are too large, on average.",
        "type_m_mcse": "Its error.",
        "type_i": "How often the test rejects where this contrast has no effect and others may.",
        "type_i_mcse": "Its error.",
        "fwer": "How often any test of the family rejects where the feature does nothing.",
        "fwer_mcse": "Its error.",
        "tested": "The share of the simulated trials in which there was an estimate.",
        "repetitions": "Simulated trials with the effect, and as many without.",
        "forward_passes": "Of the design at its size.",
        "minutes": "The same in minutes on the pilot's device; empty where no speed was measured.",
        "passes_same_precision": "Forward passes at which the design is as precise as the first, "
        "relative to the effect; `inf` where no number of units is enough.",
    },
    "power_curve": {
        "outcome": "The outcome.",
        "treatment": "The arm.",
        "reference": "The arm that it is compared with.",
        "units": "Units in all, the arms' shares as declared.",
        "power": "The power in closed form.",
        "forward_passes": "What a trial of this size runs.",
        "minutes": "How long that takes on the pilot's device; empty where no run was measured.",
    },
} | FEATURE_MEANINGS

EXTRA_COLUMNS: dict[str, dict[str, str]] = {
    "observations": {
        "clean_outcome": "The same outcome of the same prompt on the untouched model; may be named "
        "as a covariate.",
        "positions": "How many positions may be edited.",
        "active_positions": "At how many of them a feature of the trial fires on the untouched "
        "model, summed over the features.",
        "norm_ratio": "The length of the change over the length of the activation, mean over "
        "edited positions.",
        "activation_before": "The edited features' activation before the edit, mean over "
        "positions and features.",
        "activation_asked": "What the arm asked for.",
        "activation_found": "What the SAE finds when it reads the edited activation again; empty "
        "for transcoders, which read elsewhere.",
        "not_run": "Whether the value was taken over from the untouched model because the edit "
        "cannot change this unit: its features are exactly 0 wherever they would be edited.",
    }
}

REFUTERS: dict[str, str] = {
    "placebo_treatment": "With the arms shuffled, does the effect vanish?",
    "random_common_cause": "Adjusted for pure noise, does the effect stay?",
    "data_subset": "On random four fifths of the units, is the effect the same?",
    "unobserved_common_cause": "Where outcomes are missing: how strong a cause of both the loss "
    "and the outcome would have to be to account for the effect (Cinelli and Hazlett's robustness "
    "value, a number without a verdict). Where none are missing random assignment has answered, "
    "and it is not run.",
}
