"""Every job once, one shape a batch, within the limit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_sae.execution.batches import Job, Limit, batches
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.execution.treatments import Treatment


def job(unit: int, length: int, tail: int, arms: int) -> Job:
    prompt = Prompt(f"u{unit}", tuple(range(length)), np.ones(length, dtype=bool))
    made = tuple(Treatment(f"a{n}", features=(n,)) for n in range(arms))
    return Job(TokenSequence(prompt, tuple(range(tail))), made)


jobs_of = st.lists(
    st.tuples(st.integers(2, 6), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30
).map(lambda rows: [job(n, *row) for n, row in enumerate(rows)])


@settings(max_examples=60)
@given(jobs_of, st.integers(1, 80), st.one_of(st.none(), st.integers(1, 30)))
def test_every_job_runs_once_with_its_like_and_within_the_limit(jobs, tokens, scores):
    limit = Limit(tokens, scores)
    made = list(batches(jobs, limit))
    assert sorted(id(j) for batch in made for j in batch) == sorted(id(j) for j in jobs)
    for batch in made:
        assert len({j.sequence.shape for j in batch}) == 1
        assert len(batch) == 1 or sum(j.tokens for j in batch) <= tokens
        assert len(batch) == 1 or scores is None or sum(j.scores for j in batch) <= scores


@given(jobs_of, st.randoms(use_true_random=False))
def test_the_order_in_which_jobs_come_does_not_matter(jobs, random):
    shuffled = random.sample(jobs, len(jobs))
    assert list(batches(jobs, Limit(40))) == list(batches(shuffled, Limit(40)))


def test_rows_tokens_and_scores_count_the_untouched_row_once():
    whole = job(0, 5, 2, 3)
    idle = Job(whole.sequence, (Treatment("control"), Treatment("again")))
    assert (whole.rows, whole.tokens, whole.scores) == (4, 28, 12)
    assert (idle.rows, idle.tokens, idle.scores) == (1, 7, 3)
