"""Decay of usage against its closed form, resets, and billing."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.slurm import billing, decay, last_reset_s, usage_after, usage_of_runs

DAY_S = 86400.0
SPANS = st.lists(st.tuples(st.floats(0, 30 * DAY_S), st.floats(0, 100.0)), min_size=1, max_size=10)


@given(SPANS, st.floats(0.5 * DAY_S, 30 * DAY_S))
def test_usage_in_steps_is_the_closed_form(spans: list[tuple[float, float]], half: float) -> None:
    """Charged step by step, as a policy does, and as a sum over all runs at the end."""
    usage, now = 0.0, 0.0
    starts, ends, rates = [], [], []
    for elapsed_s, rate in spans:
        usage = usage_after(usage, elapsed_s, half, rate=rate).item()
        starts, ends, rates = [*starts, now], [*ends, now + elapsed_s], [*rates, rate]
        now += elapsed_s
    closed = [
        rate * half / math.log(2) * (2 ** ((end - now) / half) - 2 ** ((start - now) / half))
        for start, end, rate in zip(starts, ends, rates, strict=True)
    ]
    assert usage == pytest.approx(sum(closed), rel=1e-6, abs=1e-3)
    assert usage_of_runs(starts, ends, rates, now, half).sum() == pytest.approx(usage, abs=1e-3)


def test_usage_of_runs_by_hand() -> None:
    """A run of an hour that ended two half-lives ago, one that still runs, one before a reset."""
    found = usage_of_runs([0, 10_800, 0], [3600, 99_999, 600], [2, 1, 5], 10_800, 3600.0)
    hour = 3600 / math.log(2) / 2
    assert found.tolist() == pytest.approx([2 * hour / 4, 0.0, found[2]])
    since = usage_of_runs([0, 3600, 0], [3600, 99_999, 600], [2, 1, 5], 7200, 0.0, since_s=1800)
    assert since.tolist() == [3600.0, 3600.0, 0.0]


def test_without_a_half_life_nothing_is_forgotten() -> None:
    assert decay([0, 1e9], 0.0).tolist() == [1.0, 1.0]
    assert decay([0, 1e9], math.inf).tolist() == [1.0, 1.0]
    assert usage_after(5.0, 10.0, 0.0, rate=2.0).item() == 25.0


@given(st.floats(0, 4e9))
def test_resets_are_in_the_past_and_nest(now_s: float) -> None:
    resets = [last_reset_s(now_s, p) for p in ("daily", "monthly", "quarterly", "yearly")]
    assert now_s >= resets[0]
    assert resets == sorted(resets, reverse=True)
    assert now_s - last_reset_s(now_s, "weekly") < 7 * DAY_S


def test_a_week_begins_on_sunday() -> None:
    sunday = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
    assert last_reset_s(sunday, "weekly") == sunday
    assert last_reset_s(sunday - 1, "weekly") == sunday - 7 * DAY_S
    assert last_reset_s(sunday, "none") == -math.inf
    with pytest.raises(InputError, match="did you mean 'monthly'"):
        last_reset_s(0, "montly")


def test_billing_in_its_three_modes() -> None:
    jobs = {"cpu": [4, 32], "memory": [64, 8], "gpu": [2, 0], "licence": [1, 0], "disk": [9, 9]}
    weights = {"cpu": 1.0, "memory": 0.25, "gpu": 10.0, "licence": 3.0}
    assert billing(jobs, weights).tolist() == [4 + 16 + 20 + 3, 32 + 2]
    largest = billing(jobs, weights, mode="max", of_cluster=["licence"])
    assert largest.tolist() == [20 + 3, 32]
    generic = billing(jobs, weights, mode="max_gres", generic=["gpu"], of_cluster=["licence"])
    assert generic.tolist() == [16 + 20 + 3, 32]
    assert billing(jobs, {}).tolist() == [0, 0]
    with pytest.raises(InputError, match="unknown mode 'maximum'"):
        billing(jobs, weights, mode="maximum")
    np.testing.assert_array_equal(billing({}, weights), 0)
