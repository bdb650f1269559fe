"""Policies that stop jobs, on pools that are not equally fast."""

from __future__ import annotations

import pandas as pd
import pytest
from test_preemption import a_pool

from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster


def run(policy: str, rows: list[tuple[float, int, float]]) -> Result:
    """Run jobs (submitted, accelerators, steps), 2 steps a second on `fast` and 1 on `slow`."""
    submit_s, sizes, steps = zip(*rows, strict=True)
    jobs = pd.DataFrame(
        {
            "job_id": range(len(rows)),
            "submit_s": submit_s,
            "n_accelerators": sizes,
            "steps": steps,
            "steps_per_s.fast": 2.0,
            "steps_per_s.slow": 1.0,
        }
    )
    cluster = Cluster("two", (a_pool("fast", 1), a_pool("slow", 1)))
    return simulate(jobs, cluster, Scheduling(policy=policy, placement="pooled"), check=True)


@pytest.mark.parametrize("policy", ["srtf", "srsf"])
def test_a_slow_pool_makes_no_job_longer_than_the_one_that_waits(policy: str) -> None:
    """Job 1 has 900 steps left when job 2 comes: 450 s on `fast`, like the 1,000 of job 2."""
    result = run(policy, [(0, 8, 100), (0, 8, 1000), (100, 8, 1000)])
    assert result.jobs["start_s"].tolist() == [0, 0, 100]
    assert result.jobs["finish_s"].tolist() == [50, 1000, 600]
    assert "preemptions" not in result.jobs


@pytest.mark.parametrize("policy", ["srtf", "srsf", "las"])
def test_no_job_is_stopped_while_there_is_room_for_another(policy: str) -> None:
    """Job 1 is shorter than job 0, which runs on `fast`, but finds room on `slow`."""
    result = run(policy, [(0, 8, 10_000), (10, 8, 100)])
    assert result.jobs["finish_s"].tolist() == [5000, 110]
    assert "preemptions" not in result.jobs
