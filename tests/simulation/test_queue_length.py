"""The queue length over time: by hand, and against a plain count at every instant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.simulation.queue_length import queue_length


def jobs_of(rows):
    """Jobs from (id, submit, accelerators, finish, outcome)."""
    names = ["job_id", "submit_s", "n_accelerators", "finish_s", "outcome"]
    return pd.DataFrame(rows, columns=names)


def attempts_of(rows):
    return pd.DataFrame(rows, columns=["job_id", "start_s", "end_s"])


def test_a_stopped_job_waits_again():
    jobs = jobs_of([("a", 0.0, 8, 30.0, "finished"), ("b", 5.0, 2, 40.0, "finished")])
    attempts = attempts_of([("a", 0.0, 10.0), ("a", 20.0, 30.0), ("b", 10.0, 40.0)])
    table = queue_length(jobs, attempts, 40.0)
    assert table.to_numpy().tolist() == [
        [0, 0, 0],
        [5, 1, 2],  # b waits
        [10, 1, 8],  # b starts, and a is stopped
        [20, 0, 0],
        [40, 0, 0],
    ]


def test_jobs_that_do_not_start_and_jobs_that_never_run():
    nan = float("nan")
    jobs = jobs_of(
        [
            (1, 0.0, 4, nan, "unfinished"),  # is stopped at 10 and waits until the end
            (2, 1.0, 64, nan, "never runnable"),
            (3, 2.0, 1, nan, "unfinished"),  # never starts
            (4, 50.0, 1, nan, "unfinished"),  # is submitted after the end
            (5, 0.0, 2, nan, "unfinished"),  # still runs at the end
        ]
    )
    attempts = attempts_of([(1, 0.0, 10.0), (5, 0.0, 20.0)])
    table = queue_length(jobs, attempts, 20.0)
    assert table.to_numpy().tolist() == [[0, 0, 0], [2, 1, 1], [10, 2, 5], [20, 2, 5]]


def test_no_job_starts():
    jobs = jobs_of([(1, 3.0, 4, float("nan"), "unfinished")])
    table = queue_length(jobs, attempts_of([]), 10.0)
    assert table.to_numpy().tolist() == [[0, 0, 0], [3, 1, 4], [10, 1, 4]]


def test_the_queue_is_that_of_a_plain_count():
    random = np.random.default_rng(5)
    jobs, attempts = [], []
    for job in range(40):
        at = submit = float(random.integers(0, 50))
        n, finish = int(random.integers(1, 9)), float("nan")
        for _ in range(int(random.integers(0, 4))):
            begin = at + float(random.integers(0, 20))
            at = begin + float(random.integers(1, 20))
            attempts.append((job, begin, min(at, 100.0)))
            if at > 100:
                break
        else:
            finish = at if attempts and attempts[-1][0] == job and random.random() < 0.7 else finish
        attempts = [each for each in attempts if each[1] < 100]
        jobs.append((job, submit, n, finish, "finished" if finish == finish else "unfinished"))
    table = queue_length(jobs_of(jobs), attempts_of(attempts), 100.0)
    assert (np.diff(table["time_s"]) > 0).all()
    for now in np.arange(0.5, 100, 1.0):
        waiting = []
        for job, submit, n, finish, _ in jobs:
            own = [(begin, end) for name, begin, end in attempts if name == job]
            runs = any(begin <= now < end for begin, end in own)
            if submit <= now and not runs and not finish <= now:
                waiting.append(n)
        row = table[table["time_s"] <= now].iloc[-1]
        assert (row["jobs"], row["accelerators"]) == (len(waiting), sum(waiting)), now
