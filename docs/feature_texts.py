"""What each column of the feature store, of a screen and of a concept trial means."""

from __future__ import annotations

_OWN = {"feature": "The feature's index in the SAE, from 0."}
_PLACE = {
    "bin": "`top` (the strongest, one of a sequence at most), or a range of its own active values: "
    "`q90-max`, `q50-q90`, `min-q50`, drawn at random.",
    "rank": "The place within the bin, from 1, the strongest first.",
}

STORE_FILES = {
    "features.parquet": "One row a feature. The only file that trials need: placebos and doses in "
    "quantiles come from it.",
    "examples.parquet": "Contexts, one row each.",
    "contexts.parquet": "The same contexts token by token.",
    "logits.parquet": "The tokens whose logits the decoder row moves most; absent where the SAE "
    "does not write to the residual stream.",
    "histograms.parquet": "How each feature's activations are spread.",
    "neighbours.parquet": "Features that fire with it, and that write like it.",
    "groups.parquet": "How well each feature tells each group of documents from the others; only "
    "with `--label`.",
    "store.json": "What the store was made from: hashes of model and SAE, corpus, tokens, times.",
    "activations/part-*.safetensors": "Every activation, sparsely: what an interrupted pass "
    "goes on from. Not needed once the tables are there (`--discard` removes it).",
}

SCREEN_FILES = {
    "screen.parquet, screen.csv": "One row a feature and outcome.",
    "true_discoveries.csv": "Lower bounds on the number of true effects in several sets.",
    "figures/volcano-*.png, figures/volcano-*.svg": "Effect and p of every tested feature.",
    "plan.parquet": "Which feature was ablated on which prompt.",
    "pairs/part-*.parquet": "What each ablation changed: unit_id, feature, outcome, difference, "
    "untouched.",
    "trial.yaml, manifest.json": "The screen as declared; hashes, cost, rank agreement, status.",
}

CONCEPT_FILES = {
    "verdicts.parquet, verdicts.csv": "One row a claim: a feature and a concept.",
    "tests.parquet, tests.csv": "One row a claim and requirement: texts, estimate with its "
    "interval, the limit, and the one-sided p-values that it holds and that it fails.",
    "report.html": "Verdicts, rule and evidence on one page that opens offline.",
    "figures/claims.png, figures/claims.svg": "What ablation took and amplification gave.",
    "observations.parquet": "What every edit of a text changed; `run` is false where a placebo is "
    "silent and nothing was run.",
    "plan.parquet": "Which claim is tried on which text, with which placebo.",
    "detection.parquet": "How every feature tells each concept's texts from others.",
    "parts/part-*.parquet": "What a run that was stopped goes on from.",
    "concepts.yaml, manifest.json": "The concepts as declared; hashes, words, rule, registration, "
    "status.",
}

FEATURE_MEANINGS: dict[str, dict[str, str]] = {
    "features": _OWN
    | {
        "density": "The share of token positions where it fires.",
        "mean_activation": "Its mean activation where it fires.",
        "max_activation": "Its largest activation.",
        "q50": "The median of its activations where it fires.",
        "q90": "Their 90% quantile.",
        "q99": "Their 99% quantile.",
        "decoder_norm": "The length of its decoder row: how far the residual moves for one unit.",
        "dead": "It never fired on the text.",
        "dense": "It fires on more than a tenth of the positions.",
        "sharpness": "How concentrated its activation is over contexts, 0 to 1.",
        "cohesion": "How much more alike its strongest contexts are than random ones.",
        "top_tokens": "The next tokens that its decoder row raises most.",
        "suppressed_tokens": "The next tokens that it lowers most.",
        "fires_on": "The tokens that carry most of its activation.",
        "token_focus": "The share of its activation on the first of them.",
        "kurtosis": "The excess kurtosis of its active values.",
        "bimodality": "Sarle's bimodality coefficient of its active values.",
        "absorption": "The strongest hint that another feature fires in its place; missing where "
        "it misses its own tokens fewer than five times.",
        "absorbed_by": "That other feature.",
        "stability": "The largest decoder cosine with a feature of the SAE given as `--replicate`.",
        "twin": "That feature of the other SAE.",
    },
    "examples": _OWN
    | _PLACE
    | {
        "text": "The context, the active token in `«»`.",
        "position": "The token's place in its sequence, from 0.",
        "activation": "The feature's activation there.",
        "document": "The document: its file, and its row where the file holds several.",
        "group": "The document's label; missing without `--label`.",
    },
    "contexts": _OWN
    | _PLACE
    | {
        "offset": "The token's place relative to the example's.",
        "token": "Its text.",
        "activation": "The feature's activation on it.",
    },
    "logits": _OWN
    | {
        "kind": "`boosted` or `suppressed`.",
        "rank": "From 1, the most first.",
        "token": "The next token.",
        "logit": "The change of its logit for one unit of activation, against the mean over all "
        "tokens, before the final norm's division.",
    },
    "histograms": _OWN
    | {
        "low": "Where the bar begins.",
        "high": "Where it ends.",
        "positions": "At how many positions the activation is in it; empty bars are left out.",
    },
    "neighbours": _OWN
    | {
        "kind": "`coactivation` or `decoder`.",
        "rank": "From 1, the nearest first.",
        "neighbour": "The other feature.",
        "value": "The correlation of firing over positions, or the cosine of the decoder rows.",
    },
    "groups": _OWN
    | {
        "group": "The label.",
        "documents": "Documents that have it.",
        "others": "Documents that have not.",
        "mean_inside": "The feature's mean activation over a document's positions, averaged over "
        "the group's documents.",
        "mean_outside": "The same of the others.",
        "auroc": "The chance that a document of the group fires more than another, ties counting "
        "half.",
        "auroc_low": "Lower limit of its 95% interval.",
        "auroc_high": "Upper limit.",
        "p_value": "Of one half: Mann and Whitney's, corrected for ties.",
        "p_adjusted": "Benjamini and Hochberg's, over all features and groups.",
    },
    "screen": _OWN
    | {
        "outcome": "The outcome.",
        "stage": "`exact` where the feature was ablated, else `attribution`.",
        "n_active": "On how many prompts it fires.",
        "density": "The same as a share.",
        "attribution": "The mean change that ablation would make if the model were linear above "
        "the hook.",
        "estimate": "The mean change over all prompts, ablated minus untouched; where the feature "
        "was not ablated, its attribution.",
        "std_error": "Its standard error.",
        "conf_low": "Lower limit of its interval; see [screens](../explanation/screens.md).",
        "conf_high": "Upper limit.",
        "p_value": "Of no effect; missing with fewer than ten exposed prompts measured.",
        "family_size": "How many tests it is corrected for, those that the budget left out "
        "included.",
        "correction": "How.",
        "p_adjusted": "The adjusted p-value.",
        "reject": "Whether it is at most alpha.",
        "flags": "What to know of this number: see [the flags](tables.md#flags-of-an-effect).",
        "n_measured": "On how many of its prompts it was ablated.",
        "effect_exposed": "The mean change on prompts where it fires.",
        "placebo_share": "The share of the 50 features most like it in how often and how strongly "
        "they fire, and itself, whose effect where they fire is at least as large; missing where "
        "fewer than a hundred features were ablated.",
        "shrunken": "The estimate drawn towards zero as far as all tests together tell: what a "
        "fresh trial may expect.",
    },
    "verdicts": {
        "concept": "The concept.",
        "feature": "The feature that claims it.",
        "verdict": "`upheld`, `not upheld`, `harmful` or `cannot tell`; see "
        "[the rule](../explanation/concept-verdicts.md#the-rule).",
        "because": "The requirement that decided: the strongest evidence against the label, or "
        "where nothing was shown the weakest for it.",
        "p_upheld_adjusted": "Of: some requirement fails; adjusted over all claims.",
        "p_not_upheld_adjusted": "Of: every effect is as large as `least`; adjusted likewise.",
        "p_harmful_adjusted": "Of: every guardrail holds; adjusted likewise.",
        "p_upheld": "Before adjustment: the largest of ten.",
        "p_not_upheld": "Before adjustment: six times the smallest of six.",
        "p_harmful": "Before adjustment: four times the smallest of four.",
        "family_size": "How many claims are adjusted together.",
        "correction": "How.",
        "found": "Whether its texts led to the feature; else it was declared.",
        "auroc": "The chance that its largest activation is larger in a text of the concept, on "
        "the half of the texts that finds claims.",
        "auroc_low": "Lower limit of its interval.",
        "auroc_high": "Upper limit.",
        "auroc_fresh": "The same on the other half, which did not choose it.",
        "sensitivity": "The share of the concept's texts in which it fires.",
        "specificity": "The share of the others in which it does not.",
        "n_ablation": "Texts on which it was ablated.",
        "ablation_estimate": "What ablation changed of the concept, in nats.",
        "ablation_conf_low": "Lower limit of its interval, not adjusted.",
        "ablation_conf_high": "Upper limit.",
        "ablate_placebo": "What it changed more than ablation of a placebo.",
        "ablate_random": "What it changed more than a random direction as long.",
        "n_amplification": "Texts on which it was amplified.",
        "dose": "By how much, in activation units.",
        "amplification_estimate": "What amplification changed of the concept, in nats.",
        "amplification_conf_low": "Lower limit of its interval, not adjusted.",
        "amplification_conf_high": "Upper limit.",
        "amplify_placebo": "What it changed more than a placebo's direction as long.",
        "amplify_random": "What it changed more than a random direction as long.",
        "kl_ablate": "Divergence under ablation, nats a token.",
        "nll_ablate": "Rise of the loss under ablation, nats a token.",
        "kl_amplify": "Divergence under amplification.",
        "nll_amplify": "Rise of the loss under amplification.",
        "placebos": "The features that stood in for it.",
    },
}
