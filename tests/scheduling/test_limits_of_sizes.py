"""Limits, quotas and budgets of jobs that run at other sizes than they ask for; worked by hand."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pandas as pd
import pytest
from quota_runs import Row, run_jobs

import clustersim as cs
from clustersim.errors import ClusterSimError
from clustersim.scheduling import Policy, Resize, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.simulate import NodeEvents, simulate
from clustersim.simulation.windows import Planned
from tests.simulation.fleets import cluster, jobs, pool

ONE: list[Row] = [("a", 0, 8, 500)]
TWO: list[Row] = [("a", 0, 16, 100), ("a", 0, 16, 100)]
LIMIT = {"limits": {"queue": {"a": 8}}}
QUOTA = {"queues": {"a": {"quotas": {"h200": 8}}}}
HOURS = 1 / 3600


def held(result: cs.Result) -> pd.DataFrame:
    """What each job held, and when."""
    columns = ["job_id", "start_s", "end_s", "n_accelerators"]
    own = result.allocation_ranges
    return own.groupby(columns[:3], as_index=False)["n_accelerators"].sum()


def peak(result: cs.Result) -> int:
    """The largest number of accelerators at once."""
    own = held(result)
    times = own["start_s"].unique()
    return max(
        int(own.loc[(own["start_s"] <= t) & (t < own["end_s"]), "n_accelerators"].sum())
        for t in times
    )


def ranges(least: int, most: int, n: int) -> dict[str, Any]:
    return {"min_accelerators": [least] * n, "max_accelerators": [most] * n}


@pytest.mark.parametrize(("policy", "quotas"), [("sia", LIMIT), ("pollux", QUOTA)])
def test_jobs_do_not_grow_beyond_a_limit(policy, quotas):
    """Without the limit, the job doubles each round, to 16."""
    free = run_jobs(
        policy, {"limits": {"queue": {"b": 8}}}, [*ONE, ("b", 0, 1, 1)], columns=ranges(1, 16, 2)
    )
    assert peak(free) > 8
    assert peak(run_jobs(policy, quotas, ONE, columns=ranges(1, 16, 1))) == 8


def test_several_jobs_share_a_limit_when_they_grow():
    rows = ONE * 3 + [("b", 0, 8, 500)]
    result = run_jobs(
        "sia", {"limits": {"queue": {"a": 12}}}, rows, nodes=4, columns=ranges(1, 32, 4)
    )
    own = held(result)
    assert result.jobs["outcome"].eq("finished").all()
    assert peak(result) > 12
    of_a = own[own["job_id"] < 3]
    for t in of_a["start_s"]:
        assert of_a.loc[(of_a["start_s"] <= t) & (t < of_a["end_s"]), "n_accelerators"].sum() <= 12


def test_jobs_enter_with_a_size_that_the_policy_gives_them():
    """Three jobs of at least 3 would fit a limit of 9, but sizes are powers of two: 4 and 4."""
    rows: list[Row] = [("a", 0, 12, 100)] * 3
    result = run_jobs("sia", {"limits": {"queue": {"a": 9}}}, rows, columns=ranges(3, 12, 3))
    assert result.jobs["start_s"].tolist()[:2] == [0, 0]
    assert result.jobs["outcome"].eq("finished").all()
    assert peak(result) == 8


@pytest.mark.parametrize("policy", ["fcfs", "first_fit"])
def test_a_job_that_fits_its_limit_at_a_smaller_size_is_not_held(policy):
    """16 of 24 are used by the first job; the second starts with the other 8."""
    limit = {"limits": {"queue": {"a": 24}}}
    result = run_jobs(policy, limit, TWO, nodes=4, columns=ranges(4, 16, 2), partial=True)
    assert result.jobs["start_s"].tolist() == [0, 0]
    assert result.jobs["finish_s"].tolist() == [100, 200]
    assert held(result)["n_accelerators"].tolist() == [16, 8]
    # It is charged for 8: a third one of 4 waits until the first one ends.
    third = run_jobs(
        policy,
        limit,
        [*TWO, ("a", 50, 8, 10)],
        nodes=4,
        columns={"min_accelerators": [4, 4, 8], "max_accelerators": [16, 16, 8]},
        partial=True,
    )
    assert third.jobs["start_s"].tolist() == [0, 0, 100]


def test_a_job_larger_than_its_limit_starts_smaller():
    """12 asked for, at least 4, and a limit of 8: 500 s x 12 / 8."""
    for quotas in (LIMIT, QUOTA):
        result = run_jobs(
            "fcfs", quotas, [("a", 0, 12, 500)], columns=ranges(4, 12, 1), partial=True
        )
        assert result.jobs["finish_s"].tolist() == [750]
    plain = run_jobs("fcfs", LIMIT, [("a", 0, 12, 500)], columns=ranges(4, 12, 1))
    assert plain.jobs["outcome"].tolist() == ["never runnable"]


def test_no_nodes_are_drained_for_a_hero_that_its_limit_keeps_small():
    """It asks for 16 of 16 and may have 8, so that it starts with 8, beside another job."""
    table = jobs([(0.0, 16, 50.0), (0.0, 8, 10.0)], user=["a", "b"])
    table = table.assign(min_accelerators=[4, 8], max_accelerators=[16, 8])
    options = {"partial": True, "quotas": {"limits": {"user": {"a": 8}}}}
    scheduling = cs.Scheduling("first_fit", placement="consolidate", options=options)
    heroes = NodeEvents((), planned=Planned((), 0.9))
    lab = cluster(pool("h200", 2))
    result = simulate(table, lab, scheduling, node_events=heroes, check=True)
    assert result.jobs["finish_s"].tolist() == [100, 10]


class Grows(Policy):
    """Starts jobs where they fit, and makes job 0 larger at 10 s and smaller at 20 s."""

    tracks_running: ClassVar[bool] = True
    sizes: ClassVar[dict[float, int]] = {}

    def decide(self, view: View) -> Iterator[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        held = dict(zip(view.running.tolist(), view.sizes(view.running).tolist(), strict=True))
        size = self.sizes.get(view.now)
        if size and held.get(0, size) != size:
            yield Resize(0, size)
        yield from (Wake(t) for t in [min((t for t in self.sizes if t > view.now), default=0)] if t)


def grow(sizes: dict[float, int], quotas: dict[str, Any], **columns: Any) -> cs.Result:
    table = jobs(
        [(0.0, 8, 100.0), (15.0, 8, 10.0)],
        user=["a", "a"],
        min_accelerators=[4, 8],
        max_accelerators=[24, 8],
        **columns,
    )
    policy = type("Grows", (Grows,), {"sizes": sizes})
    scheduling = cs.Scheduling(policy, placement="consolidate", options={"quotas": quotas})
    return simulate(table, cluster(pool("h200", 4)), scheduling, check=True)


def test_a_resized_job_is_charged_for_what_it_holds():
    """Of 16 it holds 16 from 10 s, so that the second job enters at 20 s, when it shrinks."""
    result = grow({10.0: 16, 20.0: 8}, {"limits": {"user": {"each": 16}}})
    assert result.jobs["start_s"].tolist() == [0, 20]
    assert peak(result) == 16
    with pytest.raises(ClusterSimError, match=r"cannot have 24 accelerators now: .* at most 16"):
        grow({10.0: 24}, {"limits": {"user": {"each": 16}}})


def test_a_job_does_not_grow_beyond_its_budget():
    """It used 80 by 10 s; the other 90 s at 8 would take 85 s at 16, as half its work is serial."""
    more = 16 * 90 * (0.5 + 0.5 / 16) / (0.5 + 0.5 / 8)
    share = {"serial_share": [0.5, 0.0]}
    enough = {"budgets": {"user": {"a": (80 + more + 80 + 1) * HOURS}}}
    assert grow({10.0: 16}, enough, **share).jobs["outcome"].eq("finished").all()
    short = {"budgets": {"user": {"a": (80 + more - 1) * HOURS}}}
    with pytest.raises(ClusterSimError, match=r"cannot have 16 accelerators now"):
        grow({10.0: 16}, short, **share)
