"""Multifactor priority, the order of evaluation and the options of backfilling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.slurm import (
    EVALUATION_ORDER,
    BackfillOptions,
    Factors,
    Weights,
    evaluation_order,
    job_size_factor,
    priority,
)

WEIGHTS = Weights(
    age=1000,
    association=10,
    fair_share=10_000,
    job_size=500,
    partition=2000,
    qos=4000,
    tres={"gpu": 800, "cpu": 100},
)


def test_a_priority_by_hand() -> None:
    factors = Factors(0.5, 1.0, 0.25, 0.1, 0.5, 0.75, tres={"gpu": 0.5, "cpu": 0.02, "disk": 1.0})
    by_hand = 500 + 10 + 2500 + 50 + 1000 + 3000 + 400 + 2
    assert priority(WEIGHTS, factors) == by_hand
    assert priority(WEIGHTS, factors, site=7, nice=[100, -100]).tolist() == [
        by_hand + 7 - 100,
        by_hand + 7 + 100,
    ]


def test_a_priority_is_at_least_one_and_whole() -> None:
    factors = Factors(age=np.array([0.0, 0.0019, 0.002]))
    assert priority(WEIGHTS, factors).tolist() == [1, 1, 2]
    assert priority(WEIGHTS, factors, nice=1e6).tolist() == [1, 1, 1]
    # 0.1 x 30 + 0.7 x 10 is 9.999999999999998 in floating point.
    assert priority(Weights(age=30, qos=10), Factors(age=0.1, qos=0.7)) == 10


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.integers(0, 5))
def test_a_larger_factor_never_lowers_a_priority(values: list[float], which: int) -> None:
    name = ("age", "association", "fair_share", "job_size", "partition", "qos")[which]
    found = priority(WEIGHTS, Factors(**{name: np.array(sorted(values))}))
    assert (np.diff(found) >= 0).all()


def test_size_relative_to_the_time_limit() -> None:
    """The whole cluster for a minute has the factor 1; a tenth of it for ten minutes 0.01."""
    sizes = job_size_factor([10, 1], [160, 16], 10, 160, time_limit_s=[60, 600])
    assert sizes.tolist() == pytest.approx([1.0, 0.01])
    small = job_size_factor([10, 1], [160, 16], 10, 160, favor_small=True, time_limit_s=[60, 600])
    assert small.tolist() == pytest.approx([0.0, 0.99])


def test_negative_weights_are_refused() -> None:
    with pytest.raises(InputError, match=r"tres\.gpu: must be 0 or more, found -1"):
        Weights(age=5, tres={"gpu": -1})


def test_each_criterion_of_the_order_outweighs_all_that_follow() -> None:
    better = {"can_preempt": 1, "reserved": 1, "tier": 2, "priority": 9, "submit_s": 0, "job_id": 1}
    worse = {"can_preempt": 0, "reserved": 0, "tier": 1, "priority": 5, "submit_s": 7, "job_id": 2}
    names = list(better)
    words = ["can preempt", "reservation", "tier", "job priority", "submit time", "job id"]
    assert all(word in text for word, text in zip(words, EVALUATION_ORDER, strict=True))
    for k, name in enumerate(names):
        columns = {}
        for each in names[:k]:
            columns[each] = [worse[each], worse[each]]
        columns[name] = [worse[name], better[name]]
        for each in names[k + 1 :]:
            columns[each] = [better[each], worse[each]]
        assert evaluation_order(**columns).tolist() == [1, 0], name


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=15))
def test_the_order_is_a_sorted_permutation(jobs: list[tuple[int, int]]) -> None:
    prio, submit = (list(column) for column in zip(*jobs, strict=True))
    order = evaluation_order(prio, submit).tolist()
    assert sorted(order) == list(range(len(jobs)))
    keys = [(-prio[i], submit[i], i) for i in order]
    assert all(a < b for a, b in itertools.pairwise(keys))


def test_documented_defaults_of_backfilling() -> None:
    defaults = BackfillOptions().to_slurm()
    documented = {
        "bf_window": 1440,
        "bf_resolution": 60,
        "bf_interval": 30,
        "bf_max_job_test": 500,
        "bf_max_job_user": 0,
        "bf_max_job_array_resv": 20,
        "bf_max_time": 30,
        "bf_yield_interval": 2_000_000,
        "bf_yield_sleep": 500_000,
        "default_queue_depth": 100,
        "sched_interval": 60,
    }
    assert {name: defaults[name] for name in documented} == pytest.approx(documented)


def test_options_in_slurms_units_and_back() -> None:
    given = {"bf_window": 4320, "bf_continue": True, "bf_yield_sleep": 250_000, "bf_interval": 60}
    options = BackfillOptions.of_slurm(given)
    assert (options.bf_window_s, options.bf_yield_sleep_s) == pytest.approx((3 * 86400, 0.25))
    assert options.pass_limit_s == 60
    assert BackfillOptions.of_slurm(options.to_slurm()).to_slurm() == options.to_slurm()
    with pytest.raises(InputError, match="did you mean 'bf_window'"):
        BackfillOptions.of_slurm({"bf_windows": 5})
    with pytest.raises(InputError, match="bf_max_job_test: must be from 1"):
        BackfillOptions(bf_max_job_test=0)


def test_a_window_for_the_longest_time_limit() -> None:
    options = BackfillOptions()
    assert options.for_time_limit(3600.0) is options
    week = options.for_time_limit(7 * 86400.0)
    assert week.bf_window_s / week.bf_resolution_s == options.bf_window_s / options.bf_resolution_s
    with pytest.raises(InputError, match="bf_window_s: must be"):
        options.for_time_limit(60 * 86400.0)
