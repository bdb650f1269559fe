"""The measured window of a run, on schedules worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.simulation.simulate import replay, simulate
from clustersim.studies.steady_state import Window, measure
from clustersim.topology import single_pool


def every_10_s(n_jobs: int, run_s: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "job_id": np.arange(n_jobs),
            "submit_s": 10 * np.arange(n_jobs),
            "n_accelerators": 1,
            "duration_s": run_s,
        }
    )


def test_a_stream_that_one_accelerator_carries():
    result = replay(every_10_s(100, 8), policy="fcfs", accelerators=1)
    steady = measure(result, Window(warm_up=0.2, cool_down=0.1))
    assert steady.jobs == 70
    assert steady.mean_wait_s == steady.p95_wait_s == steady.backlog_growth == 0.0
    assert steady.utilisation == pytest.approx(0.8)
    assert steady.mean_bounded_slowdown == 1.0


def test_a_stream_that_is_twice_too_much():
    # Job k starts at 20 k and waits 10 k; every second job of the window is still waiting.
    result = replay(every_10_s(100, 20), policy="fcfs", accelerators=1)
    steady = measure(result, Window(warm_up=0.2, cool_down=0.1))
    assert steady.mean_wait_s == pytest.approx(10 * np.mean(np.arange(20, 90)))
    assert steady.utilisation == pytest.approx(1.0)
    assert steady.backlog_growth == pytest.approx(0.5, abs=0.01)


def test_waits_that_rise_are_measured():
    result = replay(every_10_s(100, 20), policy="fcfs", accelerators=1)
    # The later half of jobs 20 to 89 came 35 jobs after the earlier: 350 s more of wait.
    assert measure(result, Window(warm_up=0.2, cool_down=0.1)).wait_rise_s == pytest.approx(350)


def test_a_run_that_was_stopped_has_no_steady_state():
    result = simulate(every_10_s(100, 20), single_pool(1), horizon_s=500)
    with pytest.raises(InputError, match="unfinished"):
        measure(result, Window())


def test_jobs_that_can_never_run_are_counted_and_left_out():
    jobs = every_10_s(100, 5)
    jobs.loc[50, "n_accelerators"] = 2
    steady = measure(replay(jobs, policy="fcfs", accelerators=1), Window())
    assert (steady.jobs, steady.never_runnable) == (64, 1)


def test_nothing_to_measure():
    jobs = every_10_s(10, 5).assign(n_accelerators=2)
    with pytest.raises(InputError, match="none of the 10 jobs ran"):
        measure(replay(jobs, policy="fcfs", accelerators=1), Window())
