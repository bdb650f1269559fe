"""Run time and slowdown of jobs that were stopped: waits between attempts are waits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from fleets import cluster, jobs, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.measures import measure
from clustersim.engine.node_events import NodeEvent, without_overlaps
from clustersim.engine.recovery import Recovery
from clustersim.simulation.metrics import bounded_slowdown, jct_s, run_s
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster
from tests.examples import examples

ONE = cluster(pool("gpu", 1, 8))


def ran(log: pd.DataFrame, fleet: Cluster, outages: Sequence[NodeEvent], every_s: float) -> Result:
    recovery = Recovery([[every_s] * len(log)], [0.0] * len(log), [0.0] * len(log))
    scheduling = Scheduling(policy="fcfs", placement="consolidate")
    return simulate(log, fleet, scheduling, node_events=outages, recovery=recovery)


def test_a_job_that_was_stopped() -> None:
    """It runs from 0 to 30 s, when it has saved 20 s; waits for its node until 1030 s; ends at
    1110 s.  So it held the node for 110 s, of which 10 s were lost, and was 1110 s in the system.
    """
    result = ran(jobs([(0, 8, 100)]), ONE, [NodeEvent(30, 1030, 0, 0)], 20)
    assert result.jobs["finish_s"].tolist() == [1110.0]
    assert result.jobs["total_wait_s"].tolist() == [1000.0]
    assert run_s(result.jobs).tolist() == [110.0]
    assert bounded_slowdown(result.jobs).tolist() == [1110 / 110]
    whole = result.summary.iloc[0]
    assert (whole["mean_run_s"], whole["mean_jct_s"]) == (110.0, 1110.0)
    assert whole["mean_bounded_slowdown"] == 1110 / 110
    found = measure(result, warm_up=0.0, cool_down=0.0).metrics
    assert found["mean_bounded_slowdown"] == found["p95_bounded_slowdown"] == 1110 / 110


def test_run_times_below_ten_seconds_count_as_ten() -> None:
    """Feitelson's bound: 4 s of run time and 46 s of waits, before and between the attempts."""
    result = ran(jobs([(0, 8, 4)]), ONE, [NodeEvent(0, 26, 0, 0), NodeEvent(28, 48, 0, 0)], 1)
    assert result.jobs["finish_s"].tolist() == [50.0]
    assert run_s(result.jobs).tolist() == [4.0]
    assert bounded_slowdown(result.jobs).tolist() == [5.0]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 16), st.integers(1, 80)), min_size=1),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(0, 1)), max_size=8),
    st.integers(5, 40),
)
def test_run_times_are_what_attempts_held(
    log: list[tuple[int, int, int]], times: list[tuple[int, int, int]], every_s: int
) -> None:
    """JCT = total wait + run time; the plain twin adds up the attempts; a study measures alike."""
    fleet = cluster(pool("gpu", 2, 8))
    outages = without_overlaps([NodeEvent(at, at + gap, 0, node) for at, gap, node in times])
    result = ran(jobs(sorted(log)), fleet, outages, every_s)
    table = result.jobs
    ended = table["finish_s"].notna()
    assert ended.all()
    assert result.attempts is not None
    held = result.attempts["end_s"] - result.attempts["start_s"]
    twin = held.groupby(result.attempts["job_id"]).sum().reindex(table["job_id"]).to_numpy()
    np.testing.assert_allclose(run_s(table), twin, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(jct_s(table), table["total_wait_s"] + run_s(table), atol=1e-9)
    slowdown = [max(1.0, a / max(b, 10.0)) for a, b in zip(jct_s(table), twin, strict=True)]
    np.testing.assert_allclose(bounded_slowdown(table), slowdown, rtol=1e-9)
    found = measure(result, warm_up=0.0, cool_down=0.0).metrics
    assert found["mean_bounded_slowdown"] == pytest.approx(np.mean(slowdown))
    never = table["total_wait_s"] == table["start_s"] - table["submit_s"]
    same = (table["finish_s"] - table["start_s"])[never]
    assert run_s(table)[never].to_numpy().tobytes() == same.to_numpy().tobytes()


def test_without_waits_between_attempts_the_bytes_are_the_same() -> None:
    draw = np.random.default_rng(4)
    start = draw.random(1000) * 1e7
    table = pd.DataFrame(
        {
            "submit_s": start - draw.random(1000) * 1e5,
            "start_s": start,
            "finish_s": start + draw.random(1000) * 1e6,
        }
    )
    table.loc[::7, ["start_s", "finish_s"]] = math.nan
    with_total = table.assign(total_wait_s=table["start_s"] - table["submit_s"])
    plain = (table["finish_s"] - table["start_s"]).to_numpy()
    assert run_s(with_total).to_numpy().tobytes() == plain.tobytes()
    assert run_s(table).to_numpy().tobytes() == plain.tobytes()
