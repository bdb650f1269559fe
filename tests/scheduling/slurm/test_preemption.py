"""Victims of waiting jobs: by hand, invariants and speed."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.slurm import (
    Preemption,
    PreemptionRules,
    Qos,
    RunningJob,
    SlurmPartition,
    WaitingJob,
)

THREE = {
    "low": SlurmPartition(10, "requeue", grace_s=30.0),
    "med": SlurmPartition(20, "suspend"),
    "hi": SlurmPartition(30, "off"),
}
TIERS = PreemptionRules("partition_prio", "cancel", partitions=THREE)
QOS = {
    "high": Qos(100, preempts=frozenset({"normal", "scavenger"})),
    "normal": Qos(10, preempts=frozenset({"scavenger"}), mode="suspend"),
    "scavenger": Qos(0, exempt_s=600.0),
}


def modes(
    rules: PreemptionRules, running: list[RunningJob], job: WaitingJob, free: int = 0
) -> dict[object, str] | None:
    """The victims of a job that needs accelerators, with their modes, at 100 s."""
    found = Preemption(rules, running, 100.0).victims(job, {"gpu": free})
    return None if found is None else {victim.job: victim.mode for victim in found}


def test_partitions_of_three_tiers_with_modes_of_their_own() -> None:
    running = [RunningJob(p, {"gpu": 1}, p) for p in ("hi", "med", "low")]
    assert modes(TIERS, running, WaitingJob("x", {"gpu": 1}, "hi")) == {"low": "requeue"}
    assert modes(TIERS, running, WaitingJob("x", {"gpu": 2}, "hi")) == {
        "low": "requeue",
        "med": "suspend",
    }
    assert modes(TIERS, running, WaitingJob("x", {"gpu": 3}, "hi")) is None
    assert modes(TIERS, running, WaitingJob("x", {"gpu": 1}, "low")) is None
    assert modes(TIERS, running, WaitingJob("x", {"gpu": 1}, "low"), free=1) == {}
    (victim,) = Preemption(TIERS, running, 0.0).candidates(WaitingJob("x", {"gpu": 1}, "med"))
    assert victim.grace_s == 30.0


def test_quality_of_service_with_exempt_time() -> None:
    rules = PreemptionRules("qos", "requeue", qos=QOS)
    job = WaitingJob("x", {"gpu": 1}, qos="high")
    young = RunningJob("young", {"gpu": 1}, qos="scavenger", start_s=50.0)
    old = RunningJob("old", {"gpu": 1}, qos="scavenger", start_s=-600.0, requeueable=False)
    normal = RunningJob("n", {"gpu": 1}, qos="normal", start_s=99.0)
    assert modes(rules, [young], job) is None
    assert modes(rules, [young, old], job) == {"old": "cancel"}
    assert modes(rules, [normal, young], job) == {"n": "suspend"}
    assert modes(rules, [normal, old], job) == {"old": "cancel"}
    assert modes(rules, [old], WaitingJob("y", {"gpu": 1}, qos="scavenger")) is None
    later = Preemption(rules, [young], 650.0).victims(job, {})
    assert later is not None
    assert [victim.job for victim in later] == ["young"]


def test_within_and_priority() -> None:
    running = [RunningJob("a", {"gpu": 1}, qos="high", priority=5)]
    weak, strong = (WaitingJob("x", {"gpu": 1}, qos="high", priority=p) for p in (5, 6))
    plain = PreemptionRules("qos", "requeue", qos=QOS)
    within = PreemptionRules("qos", "requeue", qos=QOS, within_qos=True)
    assert modes(plain, running, strong) is None
    assert modes(within, running, weak) is None
    assert modes(within, running, strong) == {"a": "requeue"}
    only_higher = PreemptionRules("qos", "requeue", qos=QOS, higher_priority_only=True)
    lower = [RunningJob("b", {"gpu": 1}, qos="normal", priority=6)]
    assert modes(only_higher, lower, strong) is None
    assert modes(plain, lower, strong) == {"b": "suspend"}


def test_the_smallest_first_or_the_youngest() -> None:
    running = [
        RunningJob("large", {"gpu": 4}, "low", start_s=9.0),
        RunningJob("small", {"gpu": 1}, "low", start_s=1.0),
        RunningJob("other", {"tpu": 1}, "low", start_s=10.0),
    ]
    job = WaitingJob("x", {"gpu": 1}, "hi")
    assert modes(TIERS, running, job) == {"small": "requeue"}
    youngest = PreemptionRules("partition_prio", partitions=THREE, youngest_first=True)
    assert modes(youngest, running, job) == {"large": "requeue"}


def test_the_second_pass_spares_those_that_one_job_makes_needless() -> None:
    running = [RunningJob(n, {"gpu": n}, "low") for n in (2, 4, 8)]
    job = WaitingJob("x", {"gpu": 8}, "hi")
    once = PreemptionRules("partition_prio", partitions=THREE, reorder_count=0)
    assert list(modes(once, running, job) or {}) == [2, 4, 8]
    assert list(modes(TIERS, running, job) or {}) == [8]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from("abc")), max_size=12),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 3),
)
def test_victims_are_enough_and_none_of_them_alone_is_needless_at_the_end(
    held: list[tuple[int, int, str]],
    needs: tuple[int, int],
    free: tuple[int, int],
    reorder_count: int,
) -> None:
    partitions = {name: SlurmPartition(i, "cancel") for i, name in enumerate("abc")}
    rules = PreemptionRules("partition_prio", partitions=partitions, reorder_count=reorder_count)
    running = [RunningJob(i, {"x": x, "y": y}, p) for i, (x, y, p) in enumerate(held)]
    job = WaitingJob("new", {"x": needs[0], "y": needs[1]}, "c")
    found = Preemption(rules, running, 0.0).victims(job, {"x": free[0], "y": free[1]})
    allowed = [i for i, each in enumerate(running) if each.partition != "c"]

    def enough(jobs: list[int]) -> bool:
        return all(free[r] + sum(held[i][r] for i in jobs) >= needs[r] for r in (0, 1))

    assert (found is None) == (not enough(allowed))
    if found is not None:
        jobs = [int(str(victim.job)) for victim in found]
        assert set(jobs) <= set(allowed)
        assert enough(jobs)
        if jobs:
            assert any(not enough([i for i in jobs if i != each]) for each in jobs)


def test_two_thousand_waiting_jobs_among_a_thousand_that_run() -> None:
    rng = np.random.default_rng(1)
    pools = ["h200", "h20", "910b", "b300"]
    partitions = {str(i): SlurmPartition(i, "requeue") for i in range(5)}
    rules = PreemptionRules("partition_prio", partitions=partitions)
    running = [
        RunningJob(i, {pools[i % 4]: float(rng.integers(1, 64))}, str(rng.integers(0, 5)))
        for i in range(1000)
    ]
    waiting = [
        WaitingJob(i, {pools[i % 4]: float(rng.integers(1, 512))}, str(rng.integers(0, 5)))
        for i in range(2000)
    ]
    begin = perf_counter()
    search = Preemption(rules, running, 0.0)
    found = [search.victims(job, {}) for job in waiting]
    elapsed_s = perf_counter() - begin
    print(f"{1000 * elapsed_s:.0f} ms")
    assert all(
        (victims is None) == (job.partition == "0")
        for job, victims in zip(waiting, found, strict=True)
    )


def test_unknown_types_and_modes_are_refused_together() -> None:
    with pytest.raises(InputError) as caught:
        PreemptionRules("qos", "requeu", qos={"a": Qos(mode="suspnd")}, exempt_s=-1)
    assert len(caught.value.problems) == 3
    assert "did you mean 'suspend'" in str(caught.value)
