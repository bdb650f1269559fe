"""What happens at one instant, at the horizon and at an interrupt."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np
import pytest
from fleets import crowd, jobs

from clustersim.scheduling import Partition, Policy
from clustersim.simulation import run_jobs
from clustersim.simulation.simulate import Scheduling, replay, simulate
from clustersim.topology import single_pool


def test_at_one_instant_an_end_comes_before_a_submission_and_both_before_the_pass() -> None:
    log = jobs([(0, 8, 10), (10, 8, 5), (10, 4, 5)])
    result = replay(log, policy="fcfs", accelerators=8)
    assert result.jobs["start_s"].tolist() == [0, 10, 15]
    # 0: submission; 10: end and both submissions; 15: end; 20: end.
    assert result.provenance["scheduling_passes"] == 4


def test_all_that_is_submitted_at_one_instant_is_seen_by_one_pass() -> None:
    log = jobs([(3, 4, 9), (3, 8, 1), (3, 4, 2), (3, 4, 1)])
    result = replay(log, policy="sjf", accelerators=8)
    # Shortest first: of the two of 1 s the first submitted, which all others wait for.
    assert result.jobs["start_s"].tolist() == [5, 3, 4, 4]


def test_a_policy_hears_of_ends_then_of_submissions_then_schedules() -> None:
    heard: list[str] = []

    class Hearing(Policy):
        def submit(self, job: int) -> None:
            super().submit(job)
            heard.append("submit")

        def finish(self, job: int, partition: Partition) -> None:
            heard.append("finish")

        def schedule(self, now: float) -> None:
            heard.append("schedule")
            for job in list(self.waiting):
                self.start(job)

    log = jobs([(0, 4, 10), (0, 4, 10), (10, 4, 5), (10, 4, 5)])
    replay(log, policy=Hearing, accelerators=8)
    at_ten = heard[3:8]
    assert heard[:3] == ["submit", "submit", "schedule"]
    assert at_ten == ["finish", "finish", "submit", "submit", "schedule"]
    assert heard[8:] == ["finish", "finish", "schedule"]


def test_several_ends_at_one_instant_make_one_pass() -> None:
    log = jobs([(0, 1, 10)] * 8 + [(1, 8, 1)])
    result = replay(log, policy="easy", accelerators=8)
    assert result.jobs["start_s"].iloc[-1] == 10
    # 0: eight submissions; 1: one; 10: eight ends; 11: one.
    assert result.provenance["scheduling_passes"] == 4


def test_a_job_without_duration_ends_when_it_starts() -> None:
    log = jobs([(2, 8, 0), (2, 8, 0), (2, 8, 3)])
    result = replay(log, policy="fcfs", accelerators=8)
    assert result.jobs["start_s"].tolist() == [2, 2, 2]
    assert result.jobs["finish_s"].tolist() == [2, 2, 5]
    assert (result.jobs["outcome"] == "finished").all()


def test_times_are_met_exactly_where_sums_of_gaps_would_miss_them() -> None:
    # 0.1 + 0.2 is not 0.3 in floating point; the end is where start + run time is.
    log = jobs([(0.1, 8, 0.2), (0.1 + 0.2, 8, 1.0)])
    result = replay(log, policy="fcfs", accelerators=8)
    assert result.jobs["start_s"].tolist() == [0.1, 0.1 + 0.2]
    assert result.provenance["scheduling_passes"] == 3


def test_a_policy_is_called_once_at_every_instant_with_something_new() -> None:
    seen: list[tuple[float, int]] = []

    class Watching(Policy):
        def schedule(self, now: float) -> None:
            seen.append((now, len(self.waiting)))
            for job in list(self.waiting):
                self.start(job)

    log = crowd(3, 300, largest=8)
    result = replay(log, policy=Watching, accelerators=8)
    times = [now for now, _ in seen]
    table = result.jobs
    events = set(table["submit_s"]) | set(table["finish_s"])
    lasting = table["start_s"] < table["finish_s"]
    assert times == sorted(times)
    assert set(times) == events
    assert len(times) == result.provenance["scheduling_passes"]
    # Only a job without duration causes another pass at the instant of its start.
    again = [now for now, after in itertools.pairwise(times) if now == after]
    assert set(again) <= set(table.loc[~lasting, "start_s"])


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative"])
def test_horizon(policy: str) -> None:
    log = jobs([(0, 8, 10), (1, 8, 10), (2, 8, 10), (30, 1, 1)])
    result = simulate(log, single_pool(8), Scheduling(policy=policy), horizon_s=15)
    table = result.jobs
    assert table["outcome"].tolist() == ["finished", "unfinished", "unfinished", "unfinished"]
    np.testing.assert_array_equal(table["start_s"], [0, 10, np.nan, np.nan])
    np.testing.assert_array_equal(table["finish_s"], [10, np.nan, np.nan, np.nan])
    assert result.allocations["end_s"].tolist() == [10, 15]
    assert result.provenance["simulated_s"] == 15
    assert result.utilisation["time_s"].tolist() == [0, 15]
    assert result.utilisation["allocated"].tolist() == [8, 0]
    assert result.summary["unfinished"].tolist() == [3, 1]


def test_what_is_done_by_the_horizon_is_what_would_be_done_without_it() -> None:
    log = crowd(4, 400)
    cut = simulate(log, single_pool(24), Scheduling(policy="easy"), horizon_s=333.5).jobs
    full = simulate(log, single_pool(24), Scheduling(policy="easy")).jobs
    for column in ("start_s", "finish_s"):
        expected = full[column].where(full[column] < 333.5)
        np.testing.assert_array_equal(cut[column], expected)
    assert 0 < (cut["outcome"] == "unfinished").sum() < 400


def test_an_interrupt_keeps_what_is_done() -> None:
    log = crowd(5, 4000)

    def interrupt(n_ended: int, _n_jobs: int) -> None:
        if n_ended >= 2048:
            raise KeyboardInterrupt

    full = simulate(log, single_pool(24), Scheduling(policy="easy"))
    result = simulate(log, single_pool(24), Scheduling(policy="easy"), progress=interrupt)
    table, end = result.jobs, result.provenance["simulated_s"]
    assert result.interrupted
    assert not full.interrupted
    done = table["outcome"] == "finished"
    assert done.sum() == 2048
    np.testing.assert_array_equal(table["finish_s"][done], full.jobs["finish_s"][done])
    begun = table["start_s"].notna()
    np.testing.assert_array_equal(table["start_s"][begun], full.jobs["start_s"][begun])
    assert (full.jobs["start_s"][~begun] >= end).all()
    assert result.allocations["end_s"].max() == end
    assert len(result.allocations) == begun.sum()


def test_progress_counts_ended_jobs() -> None:
    calls: list[tuple[int, int]] = []
    replay(
        crowd(6, 3000),
        policy="fcfs",
        accelerators=24,
        progress=lambda *counts: calls.append(counts),
    )
    assert calls == [(1024, 3000), (2048, 3000)]


def test_progress_shows_the_simulated_time_while_jobs_end_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two jobs: passes at 0, 10 and 30 s, long before 1,024 jobs have ended."""
    monkeypatch.setattr(run_jobs, "_REPORT_S", 0.0)

    class Shown:
        counts: ClassVar[list[tuple[int, int]]] = []
        times: ClassVar[list[float]] = []

        def __call__(self, done: int, total: int) -> None:
            self.counts.append((done, total))

        def at(self, now_s: float) -> None:
            self.times.append(now_s)

    replay(jobs([(0, 8, 10), (0, 8, 20)]), policy="fcfs", accelerators=8, progress=Shown())
    assert Shown.times == [0, 10, 30]
    assert Shown.counts == [(0, 2), (0, 2), (1, 2)], "a job counts after the pass at its end"


def test_a_run_in_which_no_job_can_ever_run() -> None:
    result = replay(jobs([(0, 9, 1), (5, 10, 1)]), policy="easy", accelerators=8)
    assert (result.jobs["outcome"] == "never runnable").all()
    assert len(result.allocations) == 0
    assert result.provenance["scheduling_passes"] == 0
    assert result.summary["utilisation"].tolist() == [0, 0]
