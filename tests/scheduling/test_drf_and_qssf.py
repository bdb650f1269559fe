"""Dominant resource fairness and quasi-shortest-service-first: cases worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_multifactor import run, starts, table
from test_preemption import a_pool

from clustersim.errors import InputError
from clustersim.scheduling.shares import fill_by_dominant_share
from tests.examples import examples

QUEUES = [
    dataclasses.replace(a_pool("a", 1), queues=("x",)),
    dataclasses.replace(a_pool("b", 2), queues=("y",)),
]
"""Two pools of 8 and 16 accelerators, each with a queue of its own."""
SHARED = [QUEUES[0], dataclasses.replace(QUEUES[1], queues=("x", "y"))]
"""The same, but jobs of queue x can run on both."""


# --- Dominant resource fairness -------------------------------------------------------


def test_those_who_have_less_are_next():
    # Ann takes all eight accelerators. Then bob has none, so both of his jobs start; and so on.
    rows = ((0, 4, 10), (0, 4, 20), (1, 4, 10), (2, 4, 10), (3, 4, 10))
    jobs = table(*rows, user=["ann", "ann", "ann", "bob", "bob"])
    assert starts(run(jobs, policy="drf")) == [0, 0, 20, 10, 20]


def test_a_user_whose_next_job_does_not_fit_is_skipped_with_the_jobs_behind():
    rows = ((0, 6, 10), (1, 8, 10), (2, 1, 10), (3, 2, 10))
    jobs = table(*rows, user=["ann", "bob", "bob", "cem"])
    assert starts(run(jobs, policy="drf")) == [0, 13, 23, 3]


def test_twice_the_weight_is_twice_the_share():
    jobs = table(*[(0, 1, 10)] * 12, user=["ann", "bob"] * 6)
    result = run(jobs, policy="drf", weights="ann:3")
    first = result.jobs[result.jobs["start_s"] == 0]
    assert first["user"].value_counts().to_dict() == {"ann": 6, "bob": 2}
    with pytest.raises(InputError, match="no job has the user or vc 'anne'; did you mean 'ann'"):
        run(jobs, policy="drf", weights="anne:3")
    with pytest.raises(InputError, match="option weights: must be numbers above 0"):
        run(jobs, policy="drf", weights="ann:0")


def test_the_share_is_that_of_the_pool_of_which_a_user_has_most():
    # Ann has 4 of 8 on pool a, bob 4 of 16 on pool b: bob is next on pool b.
    rows = ((0, 4, 99), (0, 4, 99), (0, 12, 10), (5, 12, 10), (6, 12, 10))
    jobs = table(*rows, user=["ann", "bob", "cem", "ann", "bob"], vc=["x", "y", "y", "y", "y"])
    assert starts(run(jobs, QUEUES, policy="drf")) == [0, 0, 0, 20, 10]


def test_another_column_can_have_the_users():
    rows = ((0, 8, 10), (1, 8, 10), (2, 8, 10))
    jobs = table(*rows, user=["ann", "bob", "cem"], team=["a", "a", "b"])
    assert starts(run(jobs, policy="drf")) == [0, 10, 20]
    jobs = table((0, 4, 30), (0, 4, 10), (1, 4, 10), (2, 4, 10), team=list("aaab"))
    assert starts(run(jobs, policy="drf", by="team")) == [0, 0, 20, 10]
    with pytest.raises(InputError, match="no column 'taem'; did you mean 'team'"):
        run(jobs, policy="drf", by="taem")


@settings(max_examples=examples(25), deadline=None)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=5),
    seed=st.integers(0, 9),
    weighted=st.booleans(),
)
@example(sizes=[1, 1, 1, 2], seed=2, weighted=False)
def test_it_fills_as_the_core_does(sizes: list[int], seed: int, weighted: bool) -> None:
    # Many equal jobs of each user at time 0; each user's jobs run on one of two pools. Weights
    # differ a little, so that no two users are equal: which of them is next is a convention.
    rng = np.random.default_rng(seed)
    queue = rng.integers(0, 2, len(sizes))
    weights = rng.integers(1, 4, len(sizes)) if weighted else np.ones(len(sizes))
    weights = weights * (1.0 + 1e-4 * np.arange(len(sizes)))
    rows = [(0, sizes[user], 10) for _ in range(16) for user in range(len(sizes))]
    users = [f"u{user}" for _ in range(16) for user in range(len(sizes))]
    jobs = table(*rows, user=users, vc=["xy"[queue[int(name[1])]] for name in users])
    own = {f"u{user}": float(weight) for user, weight in enumerate(weights)}
    result = run(jobs, QUEUES, policy="drf", placement="pooled", weights=own)
    per_task = np.zeros((len(sizes), 2))
    per_task[np.arange(len(sizes)), queue] = sizes
    filled = fill_by_dominant_share(
        [8, 16], per_task, weights=weights, most_tasks=[16] * len(sizes)
    )
    first = result.jobs[result.jobs["start_s"] == 0]["user"].value_counts()
    assert [first.get(f"u{user}", 0) for user in range(len(sizes))] == filled.tasks.tolist()


# --- Quasi-shortest-service-first -----------------------------------------------------


def test_without_users_the_service_is_that_of_the_estimates():
    jobs = table((0, 8, 10), (1, 8, 20), (2, 4, 30), estimate_s=[10, 20, 30])
    assert starts(run(jobs, policy="qssf")) == [0, 40, 10]  # 8 x 20 against 4 x 30


def known_run_times(**changes: object) -> list[float]:
    """Ann's first job ran for 10 s; when it has ended, ann and cem submit while bob's job runs."""
    own = {"user": ["ann", "bob", "ann", "cem"], "name": ["a1", "b1", "a2", "c1"]}
    rows = ((0, 8, 10), (1, 8, 100), (50, 8, 10), (51, 4, 30))
    jobs = table(*rows, estimate_s=[500, 100, 500, 30], **{**own, **changes})
    return starts(run(jobs, policy="qssf"))[2:]


def test_the_service_is_predicted_from_similar_jobs_that_have_finished():
    assert known_run_times() == [110, 120]  # 8 x 10 against 4 x 30
    # Without a job of the user or the name, that of everybody of the same size counts.
    assert known_run_times(user=["ann", "bob", "dan", "cem"]) == [110, 120]
    assert known_run_times(name=["a1", "b1", "z2", "c1"]) == [110, 120]
    jobs = table((0, 8, 10), (1, 8, 100), (50, 8, 10), (51, 4, 30), estimate_s=[500, 100, 500, 30])
    assert starts(run(jobs, policy="qssf"))[2:] == [140, 110]


def test_the_prediction_is_the_mean_of_the_last_jobs():
    # Ann's jobs took 10, 20 and 60 s: 30 s on average, and 40 s for the last two.
    rows = ((0, 8, 10), (10, 8, 20), (30, 8, 60), (90, 8, 10), (91, 8, 10), (92, 8, 10))
    jobs = table(*rows, user=["ann"] * 3 + ["bob", "ann", "cem"], estimate_s=[99] * 6)
    jobs.loc[5, "n_accelerators"] = 7  # cem: 7 x 40 against 8 x 30 or 8 x 40
    jobs.loc[5, "estimate_s"] = 40
    assert starts(run(jobs, policy="qssf"))[4:] == [100, 110]
    assert starts(run(jobs, policy="qssf", recent=2))[4:] == [110, 100]


def test_it_is_strict_unless_jobs_may_be_skipped():
    rows = ((0, 6, 100), (1, 8, 1), (2, 2, 50))
    assert starts(run(table(*rows), policy="qssf")) == [0, 100, 101]
    assert starts(run(table(*rows), policy="qssf", strict=False)) == [0, 100, 2]
    # A job that can run elsewhere does not wait behind one that cannot.
    jobs = table((0, 12, 99), (1, 8, 1), (2, 8, 50), vc=["y", "y", "x"])
    assert starts(run(jobs, QUEUES, policy="qssf")) == [0, 99, 2]
    assert starts(run(jobs, SHARED, policy="qssf")) == [0, 99, 2]
