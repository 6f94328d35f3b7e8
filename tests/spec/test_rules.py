"""Every rule between fields: the sentence and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae.errors import SpecError
from causal_sae.spec.loading import parse_trial

BASE = """\
schema: 1
name: rules
status: exploratory
question: Is it refused?
population: {prompts: p.csv}
assignment: {method: complete}
arms:
  - {name: control, intervention: {kind: none}}
  - {name: ablate, intervention: {kind: ablate, features: [1, 2]}}
  - {name: placebo, intervention: {kind: ablate, features: {placebo_for: [1]}}}
  - {name: random, intervention: {kind: random_direction, norm_of: ablate}}
positions: all
outcomes:
  - {name: gap, role: primary, metric: logit_diff, target: " a", foil: " b"}
  - {name: drift, role: guardrail, metric: kl, margin: 0.1}
  - {name: said, metric: regex, pattern: x, generate: {temperature: 1, samples: 2}}
analysis: {estimator: auto}
"""
FILE = Path("t.yaml")


def broken(*changes: tuple[str, str], screen: bool = False) -> list[str]:
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    with pytest.raises(SpecError) as caught:
        parse_trial(text, FILE, screen=screen)
    return str(caught.value).splitlines()


def test_the_base_of_these_tests_loads() -> None:
    assert parse_trial(BASE, FILE).trial.name == "rules"


def design(method: str, **rest: str) -> tuple[str, str]:
    more = "".join(f", {key}: {value}" for key, value in rest.items())
    return "{method: complete}", f"{{method: {method}{more}}}"


def analysis(text: str) -> tuple[str, str]:
    return "{estimator: auto}", f"{{{text}}}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [("name: ablate,", "name: control,"), ("norm_of: ablate", "norm_of: placebo")],
            "t.yaml:9:12: arms[1].name: arms must have different names; 'control' is also the name "
            "of arms[0]: rename one.",
        ),
        (
            [("name: drift", "name: gap")],
            "t.yaml:15:12: outcomes[1].name: outcomes must have different names; 'gap' is also the "
            "name of outcomes[0]: rename one.",
        ),
        (
            [("name: drift", "name: clean_outcome")],
            "t.yaml:15:12: outcomes[1].name: 'clean_outcome' is what the untouched model's outcome "
            "is called; choose another name.",
        ),
        (
            [analysis("reference: contrl")],
            "t.yaml:17:23: analysis.reference: there is no arm 'contrl': did you mean 'control'? "
            "Allowed: control, ablate, placebo, random.",
        ),
        (
            [analysis("contrasts: [[ablate, contrl]]")],
            "t.yaml:17:33: analysis.contrasts[0][1]: there is no arm 'contrl': did you mean",
        ),
        (
            [analysis("contrasts: [[ablate, ablate]]")],
            "t.yaml:17:24: analysis.contrasts[0]: a contrast must be between two arms; 'ablate' is "
            "compared with itself.",
        ),
        (
            [analysis("contrasts: [[ablate, control], [control, ablate]]")],
            "t.yaml:17:43: analysis.contrasts[1]: each contrast must be made once; contrasts[0] "
            "compares the same arms: remove one.",
        ),
        (
            [analysis("contrasts: []")],
            "t.yaml:17:23: analysis.contrasts: there must be at least one contrast; leave "
            "`contrasts` out",
        ),
        (
            [("norm_of: ablate", "norm_of: ablat")],
            "t.yaml:11:68: arms[3].intervention.norm_of: there is no arm 'ablat': did you mean "
            "'ablate'?",
        ),
        (
            [("norm_of: ablate", "norm_of: control")],
            "t.yaml:11:68: arms[3].intervention.norm_of: `norm_of` must name an arm that edits "
            "features; 'control' is of the kind none: name one of ablate, placebo.",
        ),
        (
            [("[1, 2]", "[1, 2, 1]")],
            "t.yaml:9:66: arms[1].intervention.features[2]: each feature must be listed once; 1 "
            "stands also at place 1: remove one.",
        ),
        (
            [("[1]}", "[1], match: [density, density]}")],
            "t.yaml:10:96: arms[2].intervention.features.match[1]: each property must be listed "
            "once; density stands twice.",
        ),
        (
            [("placebo_for: [1]", "placebo_for: [7]")],
            "t.yaml:10:75: arms[2].intervention.features.placebo_for[0]: a placebo must stand in "
            "for a feature that another arm treats; 7 is in none:",
        ),
        (
            [("features: [1, 2]", "features: all")],
            "t.yaml:9:59: arms[1].intervention.features: `features: all` is for a screen; run "
            "`causal-sae screen`, or list the features.",
        ),
        (
            [("exploratory", "confirmatory"), ("role: primary", "role: secondary")],
            "t.yaml:14:3: outcomes: a confirmatory trial must have a primary outcome; give one "
            "outcome `role: primary`, or say `status: exploratory`.",
        ),
        (
            [(", margin: 0.1", "")],
            "t.yaml:15:5: outcomes[1].margin: the guardrail 'drift' must have a margin; add "
            "`margin:`",
        ),
        (
            [("role: primary", "role: primary, margin: 1")],
            "t.yaml:14:32: outcomes[0].margin: `margin` belongs to a guardrail, but 'gap' is "
            "primary; remove it or say `role: guardrail`.",
        ),
        (
            [("role: primary", "role: primary, harm: decrease")],
            "t.yaml:14:32: outcomes[0].harm: `harm` belongs to a guardrail",
        ),
        (
            [("role: primary", "role: primary, harm: either")],
            "t.yaml:14:5: outcomes[0].margin: `harm: either` claims that 'gap' does not change, so "
            "it must have a margin; add `margin:`, the largest change that would not matter, in "
            "the outcome's units.",
        ),
        (
            [("role: primary", "role: guardrail, margin: 1, expect: increase")],
            "t.yaml:14:45: outcomes[0].expect: 'gap' claims that nothing (or no harm) happens, so "
            "no way can be expected; remove `expect`.",
        ),
        (
            [("role: primary", "role: primary, bounds: [1, 0]")],
            "t.yaml:14:40: outcomes[0].bounds: the lower bound must be below the upper one, got 1 "
            "and 0.",
        ),
        (
            [design("crossover"), analysis("estimator: welch")],
            "t.yaml:17:23: analysis.estimator: 'welch' takes every row for a unit of its own, but "
            "in a crossover each unit is in every arm; use one of auto, hall, paired, crossover, "
            "mixed, wilcoxon, mcnemar, placebo_draws, randomization.",
        ),
        (
            [design("latin_square"), analysis("estimator: dowhy")],
            "'dowhy' takes every row for a unit of its own, but in a latin_square",
        ),
        (
            [analysis("estimator: paired")],
            "t.yaml:17:23: analysis.estimator: 'paired' needs every unit in every arm, which "
            "complete assignment does not give; use `estimator: auto`, or `method: crossover`.",
        ),
        (
            [analysis("estimator: auto, supplementary: [welch, wilcoxon]")],
            "analysis.supplementary[1]: 'wilcoxon' needs every unit in every arm, which complete "
            "assignment does not give",
        ),
        ([analysis("estimator: mcnemar")], "'mcnemar' needs every unit in every arm"),
        (
            [design("cluster", cluster_by="c"), analysis("estimator: crossover")],
            "'crossover' needs every unit in every arm, which cluster assignment does not give",
        ),
        (
            [design("crossover", cluster_by="c"), analysis("estimator: mixed")],
            "t.yaml:17:23: analysis.estimator: 'mixed' has one random intercept, but here every "
            "unit is in every arm and units come in clusters; use `paired`",
        ),
        (
            [design("crossover", cluster_by="c"), analysis("estimator: wilcoxon")],
            "'wilcoxon' takes units as independent, but here",
        ),
        (
            [("{estimator: auto}", "{estimator: mixed}")],  # two samples of a text are one row
            "'mixed' needs several rows of one unit or cluster",
        ),
        (
            [analysis("estimator: placebo_draws")],
            "t.yaml:17:23: analysis.estimator: 'placebo_draws' holds an arm against the "
            "distribution of a placebo's draws, but no contrast has a reference with several",
        ),
        (
            [
                design("block", block_by="[b]"),
                analysis("estimator: placebo_draws, contrasts: [[ablate, placebo]]"),
            ],
            "'placebo_draws' fits units that are in every arm, or are assigned without blocks and",
        ),
        (
            [design("cluster", cluster_by="c"), analysis("estimator: lin, covariates: [x]")],
            "t.yaml:17:23: analysis.estimator: 'lin' takes units as independent, but cluster "
            "assigns whole clusters; use one of auto, cluster, mixed, randomization.",
        ),
        (
            [design("block_cluster", block_by="[b]", cluster_by="c"), analysis("estimator: block")],
            "'block' takes units as independent, but block_cluster assigns whole clusters",
        ),
        (
            [analysis("estimator: block")],
            "t.yaml:17:23: analysis.estimator: 'block' needs blocks, which complete assignment "
            "does not have; use `method: block` with `block_by`, or `estimator: auto`.",
        ),
        (
            [analysis("estimator: cluster")],
            "t.yaml:17:23: analysis.estimator: 'cluster' needs clusters; add `cluster_by` to the "
            "assignment, or use `auto`.",
        ),
        (
            [("samples: 2", "samples: 1"), analysis("estimator: mixed")],
            "t.yaml:17:23: analysis.estimator: 'mixed' needs several rows of one unit or cluster;",
        ),
        (
            [analysis("estimator: lin")],
            "t.yaml:17:23: analysis.estimator: 'lin' adjusts for covariates; name some, such as "
            "[clean_outcome].",
        ),
        (
            [analysis("estimator: welch, covariates: [x]")],
            "t.yaml:17:23: analysis.estimator: 'welch' uses no covariates, but some are named; use "
            "`lin` or `ancova`, or remove them.",
        ),
        (
            [
                analysis(
                    "contrasts: [[ablate, control], [ablate, random]], multiplicity: "
                    "{method: dunnett}"
                )
            ],
            "analysis.multiplicity.method: 'dunnett' needs one reference for all contrasts, not "
            "control, random; use holm.",
        ),
        (
            [analysis("covariates: [drift]")],
            "t.yaml:17:25: analysis.covariates[0]: a covariate must be known before treatment; "
            "'drift' is an outcome: use a column of the prompts, or clean_outcome.",
        ),
        (
            [analysis("covariates: [length, received]")],
            "t.yaml:17:33: analysis.covariates[1]: a covariate must be known before treatment; "
            "'received' is recorded by the run:",
        ),
        (
            [analysis("covariates: [length, length]")],
            "t.yaml:17:33: analysis.covariates[1]: 'length' is listed twice; remove one.",
        ),
        (
            [
                ("role: guardrail, metric: kl, margin: 0.1", "role: primary, metric: kl"),
                analysis("covariates: [clean_outcome]"),
            ],
            "t.yaml:17:25: analysis.covariates[0]: clean_outcome is 0 for every unit where the "
            "primary outcome is kl (here 'drift'), the divergence from the untouched model; "
            "remove it.",
        ),
        (
            [("name: ablate,", "name: ablate, levels: {a: 1},")],
            "t.yaml:9:20: arms[1].levels: `levels` belongs to a factorial trial; say `method: "
            "factorial`, or remove it.",
        ),
        (
            [design("factorial"), ("name: ablate,", "name: ablate, levels: {a: 1},")],
            "t.yaml:8:5: arms[0].levels: every arm of a factorial trial must say its level of each "
            "factor; add `levels: {factor: level}`.",
        ),
        (
            [design("crossover"), ("name: ablate,", "name: ablate, share: 2,")],
            "t.yaml:9:27: arms[1].share: in a crossover every arm gets every unit, so shares must "
            "be equal, not 2 and 1; remove `share`.",
        ),
        (
            [design("block", block_by="[b, b]")],
            "t.yaml:6:43: assignment.block_by[1]: 'b' is listed twice; remove one.",
        ),
        (
            [design("block_cluster", block_by="[b]", cluster_by="b")],
            "assignment.cluster_by: clusters must lie within blocks, but 'b' makes both; choose",
        ),
        (
            [("positions: all", "positions: generated"), (", generate: {", ", generat: {")],
            "t.yaml:16:45: outcomes[2].generat: unknown key `generat`; did you mean 'generate'?",
        ),
        (
            [
                ("positions: all", "positions: generated"),
                (
                    "metric: regex, pattern: x, generate: {temperature: 1, samples: 2}",
                    "metric: nll, continuation: x",
                ),
            ],
            "t.yaml:12:12: positions: positions 'generated' need an outcome of generated text; add "
            "one with `generate:`, or use all, last, prompt or {regex: ...}.",
        ),
        (
            [("positions: all", "positions: {regex: '('}")],
            "t.yaml:12:20: positions.regex: must be a Python regular expression, but missing ), "
            "unterminated subpattern at position 0; '(' is given.",
        ),
        (
            [("pattern: x", "pattern: '*'")],
            "t.yaml:16:42: outcomes[2].pattern: must be a Python regular expression, but nothing "
            "to repeat",
        ),
        (
            [("pattern: x", "pattern: ''")],
            "t.yaml:16:42: outcomes[2].pattern: the pattern must not be empty.",
        ),
        (
            [('" b"', '" a"')],
            "t.yaml:14:72: outcomes[0].foil: the foil must differ from the target, or the outcome "
            "is always 0; change one.",
        ),
        (
            [('" b"', '""')],
            "t.yaml:14:72: outcomes[0].foil: must not be empty; write the text or {column: ...}.",
        ),
        (
            [("metric: regex, pattern: x", "metric: keyword_rate, keywords: [Paris, paris]")],
            "t.yaml:16:58: outcomes[2].keywords[1]: 'paris' is listed twice; remove one.",
        ),
        (
            [
                (
                    'metric: logit_diff, target: " a", foil: " b"',
                    "metric: token_set_prob, tokens: [a, '', a]",
                )
            ],
            "t.yaml:14:68: outcomes[0].tokens[1]: must not be empty; write the text.",
        ),
        (
            [("temperature: 1", "temperature: 0")],
            "t.yaml:16:81: outcomes[2].generate.samples: at temperature 0 all 2 samples are the "
            "same text; raise the temperature, or use one sample.",
        ),
        (
            [("p.csv}", "p.csv, eligibility: {min_tokens: 9, max_tokens: 4}}")],
            "t.yaml:5:71: population.eligibility.max_tokens: must be at least min_tokens (9), not "
            "4, or no prompt is eligible.",
        ),
        (
            [("p.csv}", "p.csv, system: Be brief.}")],
            "t.yaml:5:30: population.system: a system message needs `format: chat`; add that, or "
            "remove the message.",
        ),
        (
            [("analysis:", "power: {effect: 0}\nanalysis:")],
            "t.yaml:17:17: power.effect: must not be 0",
        ),
        (
            [("analysis:", "power: {effect: 1, unit: outcome}\nanalysis:")],
            "t.yaml:17:8: power.sd: an effect in the outcome's units needs its standard deviation; "
            "add `sd:`, or `pilot:` with a run folder.",
        ),
    ],
)
def test_a_broken_rule_is_told_at_its_line(changes: list[tuple[str, str]], expected: str) -> None:
    found = broken(*changes)
    assert any(expected in line for line in found), found


def test_all_broken_rules_are_told_at_once() -> None:
    found = broken(
        (", margin: 0.1", ""), ("norm_of: ablate", "norm_of: x"), analysis("reference: y")
    )
    assert [line.split(":")[1] for line in found] == ["11", "15", "17"]


def test_a_screen_may_edit_every_feature() -> None:
    text = BASE.replace("features: [1, 2]", "features: all")
    assert parse_trial(text, FILE, screen=True).trial.arm("ablate")


def test_designs_and_analyses_that_fit_are_accepted() -> None:
    for method, estimator in (
        (design("crossover"), "paired"),
        (design("crossover"), "mixed"),
        (design("crossover"), "wilcoxon"),
        (design("crossover"), "crossover"),
        (design("crossover"), "mcnemar"),
        (design("crossover", cluster_by="c"), "crossover"),
        (design("latin_square"), "auto"),
        (design("block", block_by="[b]"), "block"),
        (design("factorial", block_by="[b]"), "block"),
        (design("cluster", cluster_by="c"), "cluster"),
        (design("complete", cluster_by="c"), "cluster"),
        (design("complete"), "welch"),
    ):
        text = BASE.replace(*method).replace(*analysis(f"estimator: {estimator}"))
        if "factorial" in text:
            for i, (a, b) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
                name = ("control", "ablate", "placebo", "random")[i]
                text = text.replace(f"name: {name},", f"name: {name}, levels: {{a: {a}, b: {b}}},")
        assert parse_trial(text, FILE).trial.analysis.estimator == estimator


def test_a_feature_may_be_held_against_the_draws_of_its_placebo() -> None:
    chosen = analysis("estimator: placebo_draws, contrasts: [[ablate, placebo], [ablate, control]]")
    trial = parse_trial(BASE.replace(*chosen), FILE).trial
    assert trial.analysis.estimator == "placebo_draws"


def factorial(*cells: str) -> list[str]:
    names = ("control", "ablate", "placebo", "random")
    named = [(f"name: {n},", f"name: {n}, levels: {c},") for n, c in zip(names, cells, strict=True)]
    return broken(design("factorial"), *named)


def test_factorial_needs_the_full_cross() -> None:
    found = factorial("{a: 1, b: x}", "{a: 1, b: y}", "{a: 2, b: x}", "{a: 3, b: x}")
    assert found == [
        "t.yaml:8:3: arms: a factorial trial must have an arm for every combination of levels; 2 "
        "of 6 are missing, such as {a: 2.0, b: y}: add them."
    ]


def test_factorial_refuses_a_cell_given_twice() -> None:
    found = factorial("{a: 1, b: x}", "{a: 1, b: y}", "{a: 2, b: x}", "{a: 1, b: x}")
    assert found[1].startswith(
        "t.yaml:11:28: arms[3].levels: every cell must be one arm; arms[0] has the same levels"
    )


def test_factorial_refuses_arms_of_other_factors() -> None:
    found = factorial("{a: 1, b: x}", "{a: 1, c: y}", "{a: 2, b: x}", "{a: 2, b: y}")
    assert found == [
        "t.yaml:9:28: arms[1].levels: every arm must have the same factors (a, b); this has a, c."
    ]


def test_factorial_needs_two_factors_of_two_levels() -> None:
    assert "there is only 'a'" in factorial("{a: 1}", "{a: 2}", "{a: 3}", "{a: 4}")[0]
    found = factorial("{a: 1, b: 1}", "{a: 2, b: 1}", "{a: 3, b: 1}", "{a: 4, b: 1}")
    assert "'b' has one level" in found[0]
