"""Explanations against a plain twin that asks the placements themselves during the run."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_clusters import pool, ran

import clustersim as cs
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.explanation.causes import CAUSES
from clustersim.scheduling import POLICIES, Consolidate
from clustersim.scheduling.policies import Policy
from clustersim.simulation.node_ranges import by_node
from clustersim.simulation.result import Result
from clustersim.topology import Cluster
from tests.examples import examples

CHIPS = 4
SUSPENDED = "preempted (suspended)"
# The nodes of a pool in order: 2 of virtual cluster a, 1 of b, 1 of neither; then another pool.
CLUSTER = Cluster(
    "twin",
    (pool("one", 4, CHIPS, {"a": 2, "b": 1}), pool("two", 2, CHIPS)),
)
N_NODES = (2, 1, 1, 2)
FIRST, POOL_OF = (0, 2, 3, 0), ("one", "one", "one", "two")
OWN = {"a": (0,), "b": (1,), "": (2, 3)}


def watching(policy: type[Policy]) -> tuple[type[Policy], list[dict[str, Any]]]:
    """Return a policy that notes the free accelerators of each node after each pass."""
    seen: list[dict[str, Any]] = []

    class Watching(policy):  # type: ignore[misc, valid-type]
        cost: ClassVar[float] = 0.0

        def schedule(self, now: float) -> None:
            super().schedule(now)
            for index in self.queue.members:
                part = self.queue.partitions[index]
                free = np.array(part.placement.free_by_node())
                seen.append({"time_s": now, "partition": index, "free": free})

    return Watching, seen


JOB = st.tuples(
    st.integers(0, 40),
    st.integers(1, 9),
    st.integers(1, 30),
    st.sampled_from(["a", "b", ""]),
    st.integers(0, 2),
)
EVENT = st.tuples(st.integers(1, 60), st.integers(1, 30), st.integers(0, 1), st.integers(0, 1))


def table_of(rows: list[tuple[int, int, int, str, int]]) -> pd.DataFrame:
    columns = ["submit_s", "n_accelerators", "duration_s", "vc", "priority"]
    found = pd.DataFrame(sorted(rows), columns=columns)
    return found.assign(job_id=range(1, len(rows) + 1))


class Seen:
    """What a run showed after each pass."""

    def __init__(self, result: Result, notes: list[dict[str, Any]]) -> None:
        # No policy sees the nodes of a partition that no job may use.
        outages = [] if result.outages is None else result.outages.to_dict("records")
        ends = {float(row[name]) for row in outages for name in ("begin_s", "end_s")}
        self.times = sorted(ends | {float(each["time_s"]) for each in notes})
        self.notes: dict[int, dict[float, Any]] = {index: {} for index in range(4)}
        for each in notes:
            self.notes[each["partition"]][float(each["time_s"])] = each["free"]
        self.keys = {index: sorted(own) for index, own in self.notes.items()}
        self.result = result

    def free(self, partition: int, time_s: float) -> Any:
        """Return the free accelerators of the nodes of a partition at a time."""
        keys = self.keys[partition]
        if not keys or keys[0] > time_s:  # no job may use it, or nothing has happened
            return np.full(N_NODES[partition], CHIPS) - away(self.result, partition, time_s)
        return np.asarray(self.notes[partition][keys[bisect_right(keys, time_s) - 1]])


def away(result: Result, partition: int, time_s: float) -> Any:
    """Return the accelerators of each node of a partition that are out of service at a time."""
    found = np.zeros(N_NODES[partition], dtype=int)
    for row in [] if result.outages is None else result.outages.to_dict("records"):
        at = row["node"] - FIRST[partition]
        here = row["pool"] == POOL_OF[partition] and 0 <= at < len(found)
        if here and row["begin_s"] <= time_s < row["end_s"]:
            found[at] += CHIPS
    return found


def cause_then(seen: Seen, n: int, vc: str, time_s: float) -> str:
    def fits(index: int, more: bool = False) -> bool:
        free = seen.free(index, time_s) + more * away(seen.result, index, time_s)
        return Consolidate(N_NODES[index], CHIPS).fits_in(n, free)

    own = OWN[vc]
    if any(fits(index) for index in own):
        return "order"
    if any(seen.free(index, time_s).sum() >= n for index in own):
        return "placement"
    if any(fits(index, more=True) for index in own):
        return "out_of_service"
    if any(fits(index) for index in range(4) if index not in own):
        return "partition"
    return "accelerators"


def spells(result: Result) -> list[tuple[int, float, float, str, int]]:
    """Return the waits as (row, begin, end, why stopped before, attempt before)."""
    end_s = float(result.utilisation["time_s"].max())
    found = []
    for row, job in enumerate(result.jobs.to_dict("records")):
        since, why, before = float(job["submit_s"]), "", -1
        for at, each in enumerate(result.allocation_ranges.to_dict("records")):
            if each["job_id"] != job["job_id"]:
                continue
            found.append((row, since, float(each["start_s"]), why, before))
            stops = "" if result.attempts is None else str(result.attempts["stopped"].iloc[at])
            since, why, before = float(each["end_s"]), stops, at
        if job["outcome"] == "unfinished" and (before < 0 or why):
            found.append((row, since, end_s, why, before))
    return [each for each in found if each[2] > each[1]]


POLICY = st.sampled_from(["fcfs", "easy", "sjf", "first_fit", "priority", "srtf", "las"])


@given(
    rows=st.lists(JOB, min_size=2, max_size=9),
    out=st.lists(EVENT, max_size=3),
    policy=POLICY,
    how=st.sampled_from(["save", "suspend"]),
)
@settings(max_examples=examples(40))
def test_causes_are_those_that_the_placements_give(
    rows: list[tuple[int, int, int, str, int]],
    out: list[tuple[int, int, int, int]],
    policy: str,
    how: str,
) -> None:
    watched, notes = watching(POLICIES[policy])
    if hasattr(watched, "preempt_by"):
        watched.preempt_by = how
    events = sorted(
        NodeEvent(begin, begin + length, pool_, node, "", NodeEventKind.FAILURE)
        for begin, length, pool_, node in out
    )
    result, known = ran(table_of(rows), watched, cluster=CLUSTER, events=events or None)
    found, seen = cs.explain(result, **known), Seen(result, notes)
    # The parts add up to the wait.
    waited = np.nan_to_num(result.jobs["total_wait_s"].to_numpy())
    started = result.jobs["start_s"].notna().to_numpy()
    assert found.jobs["waited_s"].to_numpy()[started] == pytest.approx(waited[started])
    expected = np.zeros((len(result.jobs), len(CAUSES)))
    names = list(CAUSES)
    for row, begin_s, end_s, why, before in spells(result):
        job = result.jobs.iloc[row]
        times = sorted({begin_s, end_s, *seen.times})
        inside = [each for each in times if begin_s <= each <= end_s]
        for now, until in pairwise(inside):
            vc = str(job["vc"])
            cause = cause_then(seen, int(job["n_accelerators"]), vc, now)
            if why == SUSPENDED:
                own = by_node(result.allocation_ranges.iloc[[before]])
                free = {
                    (POOL_OF[index], FIRST[index] + at): chips
                    for index in range(4)
                    for at, chips in enumerate(seen.free(index, now))
                }
                fits = all(
                    free[(str(each["pool"]), int(each["node"]))] >= each["n_accelerators"]
                    for each in own.to_dict("records")
                )
                cause = "order" if fits else "suspended"
            elif why and why != "node" and cause == "accelerators":
                cause = "preempted"
            expected[row, names.index(cause)] += until - now
    table = found.jobs[[f"{name}_s" for name in names]].to_numpy()
    np.testing.assert_allclose(table, expected, atol=1e-6)
    for row in np.flatnonzero(found.jobs["waited_s"] > 0)[:3].tolist():
        one = cs.explain(result, job=int(result.jobs["job_id"].iloc[row]), **known).intervals
        by_cause = (one["end_s"] - one["begin_s"]).groupby(one["cause"]).sum()
        for name, seconds in zip(names, expected[row], strict=True):
            assert by_cause.get(name, 0.0) == pytest.approx(seconds)
