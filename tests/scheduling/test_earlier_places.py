"""Conservative backfilling searches only where a job may be earlier, and misses no such job."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_policy import events, tables

import clustersim as cs
from clustersim.engine.node_events import NodeEvent
from clustersim.scheduling.policies import conservative
from clustersim.scheduling.policies.conservative import Conservative
from clustersim.scheduling.policies.earlier_places import EarlierPlaces
from clustersim.scheduling.policies.profile import Profile
from clustersim.simulation.result import Result
from tests.examples import examples
from tests.simulation.fleets import cluster
from tests.simulation.fleets import pool as a_pool

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(100))
POOLS = {"a": 1.0, "b": 0.6, "c": 0.35}
"""Speeds of pools on which jobs can run."""
SIZES = [1, 1, 2, 4, 8, 8, 12, 24]


class ReservesAnew(Conservative):
    """The definition: at every completion each job, in order, gives up its place and looks anew."""

    def _plan_again(self) -> None:
        for job in self.waiting:
            if job in self._without_nodes:
                continue
            if job in self._reserved:
                index, start, end = self._reserved.pop(job)
                self._profiles[index].change(start, end, self.queue.jobs.n_accelerators[job])
            self._reserve(job)
        self._settled = False
        self._unreserved.clear()


def schedule(
    policy: type[Conservative], jobs: pd.DataFrame, n_nodes: int, placement: str
) -> pd.DataFrame:
    fleet = cluster(*(a_pool(name, n_nodes, 8) for name in POOLS))
    result = cs.simulate(jobs, fleet, cs.Scheduling(policy, placement=placement))
    return places_of(result)


def places_of(result: Result) -> pd.DataFrame:
    return result.jobs[["start_s", "pool", "outcome"]]


def many_jobs(seed: int, n: int, every_s: float) -> pd.DataFrame:
    """Jobs of different speed on each pool, half of which end before their estimates."""
    draw = np.random.default_rng(seed)
    steps = draw.lognormal(4, 1, n)
    rates = {
        f"steps_per_s.{pool}": speed * draw.uniform(0.7, 1.4, n) for pool, speed in POOLS.items()
    }
    factor = draw.choice([1.001, 1.001, 1.5, 4.0], n)
    jobs = {
        "job_id": np.arange(n),
        "submit_s": np.cumsum(draw.exponential(every_s, n)),
        "n_accelerators": draw.choice(SIZES, n),
        "steps": steps,
        "estimate_s": steps / np.max(list(rates.values()), axis=0) * factor,
    }
    return pd.DataFrame(jobs | rates)


@pytest.mark.parametrize("placement", ["pooled", "consolidate"])
def test_long_queue_moves_as_if_each_job_reserved_anew(placement: str) -> None:
    """Hundreds wait, so that they are looked at together."""
    jobs = many_jobs(1, 350, every_s=0.4)
    with patch.object(EarlierPlaces, "look", autospec=True, side_effect=EarlierPlaces.look) as look:
        found = schedule(Conservative, jobs, 4, placement)
    assert max(len(call.args[1]) for call in look.call_args_list) > 250
    pd.testing.assert_frame_equal(found, schedule(ReservesAnew, jobs, 4, placement))


@repeatable
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(2, 60),
    placement=st.sampled_from(["pooled", "consolidate"]),
    few=st.sampled_from([0, 5, 1000]),
)
def test_short_queues_too(seed: int, n: int, placement: str, few: int) -> None:
    jobs = many_jobs(seed, n, every_s=3.0)
    with patch.object(conservative, "_FEW_JOBS", few):
        found = schedule(Conservative, jobs, 3, placement)
    pd.testing.assert_frame_equal(found, schedule(ReservesAnew, jobs, 3, placement))


@repeatable
@given(jobs=tables(), outages=events())
def test_with_failures_and_jobs_without_duration(
    jobs: pd.DataFrame, outages: list[NodeEvent]
) -> None:
    fleet = cluster(a_pool("a", 2, 4), a_pool("b", 3, 4))
    with patch.object(conservative, "_FEW_JOBS", 0):
        found, expected = (
            cs.simulate(
                jobs, fleet, cs.Scheduling(policy, placement="consolidate"), node_events=outages
            )
            for policy in (Conservative, ReservesAnew)
        )
    pd.testing.assert_frame_equal(places_of(found), places_of(expected))


@repeatable
@given(seed=st.integers(0, 2**32), placement=st.sampled_from(["pooled", "consolidate"]))
def test_all_are_searched_or_looked_at_together_when_some_outrun_their_estimates(
    seed: int, placement: str
) -> None:
    jobs = many_jobs(seed, 40, every_s=3.0)
    jobs["estimate_s"] *= np.random.default_rng(seed).choice([0.5, 1.0, 1.0], len(jobs))
    schedules = []
    for few in (0, 1000):
        with patch.object(conservative, "_FEW_JOBS", few):
            schedules.append(schedule(Conservative, jobs, 3, placement))
    pd.testing.assert_frame_equal(*schedules)


# --- Profile ------------------------------------------------------------------------


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Up to eleven steps of at most eight accelerators, at whole seconds."""
    profile = Profile(0.0, 8)
    for start in range(10):
        profile.change(float(start), float(start + 1), -draw(st.integers(0, 8)))
    return profile


@repeatable
@given(profile=profiles(), n=st.integers(1, 8), run=st.integers(0, 6), before=st.integers(0, 12))
def test_no_job_that_finds_a_time_is_left_out(
    profile: Profile, n: int, run: int, before: int
) -> None:
    """Only the rounding, which is less than a second, allows more than those that find one."""
    for held in (True, False):
        columns = np.array([float(run)]), np.array([float(before)]), np.array([held])
        found = profile.earliest_before(n, float(run), float(before), held=held)
        assert profile.may_be_earlier(n, *columns).tolist() == [found is not None]


@repeatable
@given(profile=profiles(), n=st.integers(1, 8), start=st.integers(0, 11), length=st.integers(1, 5))
def test_hole_and_range_are_those_of_an_array_of_seconds(
    profile: Profile, n: int, start: int, length: int
) -> None:
    free = [free for begin, end, free in profile.steps() for _ in range(int(min(end, 20) - begin))]
    end = start + length
    assert profile.range(float(start), float(end)) == (min(free[start:end]), max(free[start:end]))
    begin, until = start, end
    while begin > 0 and free[begin - 1] >= n:
        begin -= 1
    while until < len(free) and free[until] >= n:
        until += 1
    first, last = profile.hole_around(n, float(start), float(end))
    assert last == (math.inf if until == len(free) else until)
    assert first == begin or (first < start and begin == start)
