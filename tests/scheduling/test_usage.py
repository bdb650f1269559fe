"""What users have used in a run, as a policy sees it: by hand, and against the allocations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from preemption_cases import a_pool, a_table

import clustersim as cs
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import Policy, Preempt, Resize, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from clustersim.topology import Cluster

HOUR = 3600.0
INF = float("inf")


class LeastUsed(Policy):
    """Jobs of the users that have used least come first."""

    tracks_usage: ClassVar[bool] = True
    half_life: float = INF

    def decide(self, view: View) -> Iterator[Decision]:
        jobs = view.waiting
        used = view.usage(jobs, by="user", half_life_s=self.half_life)
        for job in jobs[np.argsort(used, kind="stable")]:
            if not view.fits(job):
                break
            yield Start(job)


def starts(jobs: pd.DataFrame, **options: Any) -> list[float]:
    scheduling = cs.Scheduling(policy=LeastUsed, options=options)
    return cs.simulate(jobs, Cluster("one", (a_pool("gpu"),)), scheduling).jobs["start_s"].tolist()


def test_the_user_that_has_used_least_comes_first():
    """After 100 s ann has used 800, so bo's job starts, then one of cy, and ann's second last."""
    jobs = a_table([100.0, 100.0, 60.0, 50.0], 8, user=["ann", "ann", "bo", "cy"])
    assert starts(jobs.assign(submit_s=[0, 1, 2, 3])) == [0, 210, 100, 160]


def test_old_usage_is_forgotten():
    """Ann used 1600 until 200 s, and bo 800 in the last 100 s: 100 s halve, so bo's counts more.

    At 300 s ann's count 1600 / 2 x (the part that the first 200 s kept): with a half-life of 100 s,
    8 x 100 / ln 2 x (1 - 1/4) / 2 = 432.8 against 8 x 100 / ln 2 x (1 - 1/2) = 577.1 of bo.
    """
    rows = a_table([200.0, 100.0, 10.0, 10.0], 8, user=["ann", "bo", "bo", "ann"])
    rows = rows.assign(submit_s=[0, 0, 250, 260])
    assert starts(rows, half_life=100.0) == [0, 200, 310, 300]
    assert starts(rows) == [0, 200, 300, 310]


class Watches(Policy):
    """Preempts and resizes, and notes what each job's user has used."""

    tracks_usage: ClassVar[bool] = True
    tracks_running: ClassVar[bool] = True
    seen: ClassVar[list[tuple[float, float, list[float]]]] = []
    everyone: ClassVar[Any] = np.arange(40)

    def decide(self, view: View) -> Iterator[Decision]:
        for half_life_s in (0.0, 70.0):
            used = view.usage(self.everyone, by="user", half_life_s=half_life_s)
            self.seen.append((view.now, half_life_s, used.tolist()))
        rng = np.random.default_rng(int(view.now))
        for job in view.running.tolist():
            size = int(rng.integers(1, 9))
            if rng.random() < 0.2:
                yield Preempt(job, "save", 0.0)
            elif size != view.job(job).size and view.can_move(job, size=size):
                yield Resize(job, size, 2.0)
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        if len(view.active) or len(view.leaving):
            yield Wake(view.now + 11)


def test_usage_is_that_of_the_allocations():
    """Attempts on two pools with two queues; at any time, the usage is that of the table."""
    rng = np.random.default_rng(3)
    jobs = a_table(rng.integers(5, 90, 40).tolist(), rng.integers(1, 9, 40).tolist())
    jobs = jobs.assign(
        submit_s=np.sort(rng.integers(0, 200, 40)),
        user=rng.choice(["ann", "bo", "cy"], 40),
        vc=rng.choice(["a", "b"], 40),
        min_accelerators=1,
        max_accelerators=8,
    )
    Watches.seen.clear()
    cluster = Cluster("two", (a_pool("gpu", 4, a=2, b=2),))
    result = cs.simulate(jobs, cluster, cs.Scheduling(policy=Watches, placement="consolidate"))
    held = result.allocation_ranges
    user_of = jobs.set_index("job_id")["user"]
    users = user_of.reindex(held["job_id"]).to_numpy()
    assert len(held) > 60
    for now, half_life_s, used in Watches.seen:
        begin, end = (np.minimum(held[name], now) for name in ("start_s", "end_s"))
        seconds = end - begin
        if half_life_s:
            mean_s = half_life_s / np.log(2)
            kept = np.exp((end - now) / mean_s) - np.exp((begin - now) / mean_s)
            seconds = mean_s * kept
        expected = pd.Series(held["n_accelerators"].to_numpy() * seconds).groupby(users).sum()
        np.testing.assert_allclose(used, expected.reindex(jobs["user"]).to_numpy(), atol=1e-6)


def test_mistakes_are_named():
    class Forgets(LeastUsed):
        tracks_usage: ClassVar[bool] = False

    jobs = a_table([10.0], 8, user=["ann"])
    cluster = Cluster("one", (a_pool("gpu"),))
    with pytest.raises(ClusterSimError, match="needs `tracks_usage = True`"):
        cs.simulate(jobs, cluster, cs.Scheduling(policy=Forgets))
    with pytest.raises(InputError, match="no column 'user'; did you mean 'usr'"):
        cs.simulate(jobs.rename(columns={"user": "usr"}), cluster, cs.Scheduling(policy=LeastUsed))
    with pytest.raises(InputError, match="half_life_s"):
        cs.simulate(jobs, cluster, cs.Scheduling(policy=LeastUsed, options={"half_life": -1}))
