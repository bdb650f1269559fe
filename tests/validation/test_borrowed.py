"""Queues that share nodes leave a trace: one holds more than its pools have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.report.of_validation.answer import validation_answer
from clustersim.validation.borrowed import borrowed
from clustersim.validation.case import Case, case_of
from clustersim.workload import JobLog
from tests.examples import examples

ALONE = {"p": ["x"], "q": ["y"]}


def site(rows: list[tuple[Any, ...]], queues: dict[str, list[str]], **options: Any) -> Case:
    """Return a case of jobs (queue, accelerators, start, run time), on pools of 8."""
    jobs = pd.DataFrame(rows, columns=["vc", "n_accelerators", "start_s", "duration_s"])
    jobs = jobs.assign(job_id=range(len(jobs)), submit_s=0.0, **options)
    jobs[["start_s", "duration_s"]] = jobs[["start_s", "duration_s"]].astype(float)
    log = JobLog(jobs, len(jobs), "jobs", "table")
    return case_of(log, cluster=lab(queues))


def lab(queues: dict[str, list[str]]) -> dict[str, Any]:
    chips = {"p": "H200", "q": "H100"}
    return {
        "name": "lab",
        "pools": {
            name: {"accelerator": chips[name], "nodes": 1, "chips_per_node": 8, "queues": own}
            for name, own in queues.items()
        },
    }


@pytest.mark.parametrize(
    ("rows", "queues", "share"),
    [
        # 4 and then 8 of the 8 of queue x: one of two starts is above it.
        ([("x", 4, 0, 9), ("x", 8, 1, 9)], ALONE, 1 / 2),
        # The second starts when the first ends, so 8 of 8 are in use.
        ([("x", 4, 0, 9), ("x", 8, 9, 9)], ALONE, 0.0),
        # Queue x may use both pools.
        ([("x", 4, 0, 9), ("x", 8, 1, 9)], {"p": ["x"], "q": ["x", "y"]}, 0.0),
        # Neither queue holds more than 8, but both have the one pool p.
        ([("x", 6, 0, 9), ("y", 6, 1, 9)], {"p": ["x", "y"], "q": ["z"]}, 1 / 2),
        # Queue y may only use q, and so may x when all of p is in use: that cannot be seen.
        ([("x", 8, 0, 9), ("y", 6, 1, 9), ("x", 2, 2, 9)], {"p": ["x"], "q": ["x", "y"]}, 0.0),
    ],
)
def test_what_queues_hold_by_hand(
    rows: list[tuple[Any, ...]], queues: dict[str, list[str]], share: float
) -> None:
    own = site(rows, queues)
    assert borrowed(own, *own.runs) == share


def test_jobs_that_name_a_chip_have_the_pools_with_it() -> None:
    rows = [("x", 4, 0, 9), ("x", 8, 1, 9)]
    both = {"p": ["x"], "q": ["x"]}
    named = site(rows, both, accelerators=["h200", "h200"])
    assert borrowed(named, *named.runs) == 1 / 2
    other = site(rows, both, accelerators=["h200", ""])
    assert borrowed(other, *other.runs) == 0.0


def test_what_was_out_of_service_counts_as_available() -> None:
    """20 of 16 were in use at once, so 4 are missing in the cluster; queue x may have had them."""
    own = site([("x", 4, 0, 9), ("x", 8, 1, 9), ("y", 8, 2, 9)], ALONE)
    assert own.most_in_use == 20
    assert borrowed(own, *own.runs) == 0.0
    more = site([("x", 4, 0, 9), ("x", 9, 1, 2), ("y", 7, 4, 9), ("x", 5, 5, 1)], ALONE)
    assert more.most_in_use == 16
    assert borrowed(more, *more.runs) == 2 / 4


@given(
    st.lists(st.tuples(*map(st.sampled_from, ("xyz", (1, 4, 8), range(4), range(3)))), max_size=8),
    st.sampled_from([ALONE, {"p": ["x"], "q": ["x", "y"]}, {"p": ["x", "y"], "q": ["z", "x"]}]),
)
@settings(max_examples=examples(40))
def test_starts_above_the_pools_are_those_of_a_loop(
    rows: list[tuple[str, int, int, int]], queues: dict[str, list[str]]
) -> None:
    if not rows:
        return
    own = site(rows, queues)
    missing = max(0, own.most_in_use - 16)
    pools = [{name for name, used in queues.items() if queue in used} for queue, *_ in rows]
    linked = {"p", "q"} if {"p", "q"} in pools else set()
    over = []
    for at, (_, _, begin, _) in enumerate(rows):
        limits = [each for each in [*pools, linked] if pools[at] and pools[at] <= each]
        held = [
            sum(n for (_, n, s, r), has in zip(rows, pools, strict=True)
                if has and has <= limit and s <= begin < s + r)
            for limit in limits
        ]  # fmt: skip
        over.append(any(a > 8 * len(b) + missing for a, b in zip(held, limits, strict=True)))
    assert borrowed(own, *own.runs) == pytest.approx(np.mean(over))


def test_hard_queues_do_not_share_all_pools() -> None:
    """Queue x backfills on its 8, and the replay under fcfs does not.

    The job of 8 waits for the first one, and the last one, of 4, starts at once at the site, but
    after the job of 8 under fcfs: waits of 101 s and 0 s against 99 s and 198 s.  In shared pools,
    nobody waits, which is nearer; but the queue never holds more than 8.
    """
    jobs = pd.DataFrame({"job_id": range(3), "submit_s": [0.0, 1.0, 2.0], "vc": "x",
                         "n_accelerators": [4, 8, 4], "duration_s": 100.0})  # fmt: skip
    hard = jobs.assign(start_s=[0.0, 102.0, 2.0])
    found = cs.validate(hard, cluster=lab(ALONE), policies=["fcfs"])
    assert found.distance_s == pytest.approx((2 + 198) / 3)
    pooled = next(each for each in found.tested if each.key == "pooled")
    assert pooled.distance_s == pytest.approx(101 / 3)
    assert (pooled.recorded, pooled.simulated, pooled.is_seen) == (0.0, 0.0, False)
    assert "pooled" not in [each.key for each in found.granted]
    assert "pools for every queue" not in str(validation_answer(found))
    # The same queue with the pool of the other one, too: 12 of 8, and 16 of 8.
    shared = jobs.assign(start_s=[0.0, 1.0, 2.0])
    found = cs.validate(shared, cluster=lab(ALONE), policies=["fcfs"])
    assert found.explanation is not None
    assert (found.explanation.key, found.explanation.distance_s) == ("pooled", 0.0)
    assert (found.explanation.recorded, found.explanation.simulated) == (2 / 3, 0.0)
