"""Waits over all attempts, and why failures can shorten waits: a stopped job chooses again."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fleets import cluster, jobs, pool

from clustersim.analysis.measures import measure, period_metrics
from clustersim.analysis.part import MeasuredRun
from clustersim.analysis.submitted import Submitted
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.cli.texts.result_text import result_text
from clustersim.engine.node_events import NodeEvent
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.metrics import summary, wait_s
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import RunTimeModel, Scheduling, simulate
from clustersim.topology import Cluster

ONE = cluster(pool("gpu", 1, 8))
TOTALS = ("mean_total_wait_s", "median_total_wait_s", "p95_total_wait_s", "p99_total_wait_s")


@functools.cache
def catalogue() -> Catalogue:
    return load_catalogue()


def stopped(horizon_s: float | None = None) -> Result:
    """One node: job 1 runs from 0 and is stopped at 30 until 50; job 2 waits behind it.

    Without a horizon job 1 runs from 50 to 150 (nothing is kept) and job 2 from 150 to 160.
    """
    log = jobs([(0, 8, 100), (5, 8, 10)])
    scheduling = Scheduling(policy="fcfs", placement="consolidate")
    return simulate(
        log, ONE, scheduling, node_events=[NodeEvent(30, 50, 0, 0)], horizon_s=horizon_s
    )


# --- By hand ------------------------------------------------------------------------


def test_a_stopped_job_waits_again() -> None:
    result = stopped()
    assert wait_s(result.jobs).tolist() == [0, 145]
    assert result.jobs["wait_s"].tolist() == [0, 145]
    assert result.jobs["total_wait_s"].tolist() == [20, 145]
    row = result.summary.iloc[0]
    assert (row["mean_wait_s"], row["median_wait_s"]) == (72.5, 72.5)
    assert (row["mean_total_wait_s"], row["median_total_wait_s"]) == (82.5, 82.5)
    assert row["p95_total_wait_s"] == pytest.approx(20 + 0.95 * 125)
    assert row["p99_total_wait_s"] == pytest.approx(20 + 0.99 * 125)


def test_waits_in_the_input_are_kept_aside(tmp_path: Path) -> None:
    log = jobs([(0, 8, 100), (5, 8, 10)]).assign(wait_s=[3.0, 4.0])
    result = simulate(log, ONE, Scheduling(policy="fcfs"), horizon_s=50)
    np.testing.assert_equal(result.jobs["wait_s"].tolist(), [0.0, np.nan])
    assert result.jobs["recorded_wait_s"].tolist() == [3.0, 4.0]
    folder = result.save(tmp_path / "now")
    assert "wait_s" in pd.read_parquet(folder / "jobs.parquet")
    pd.testing.assert_frame_equal(Result.load(folder).jobs, result.jobs)
    before = result.jobs.drop(columns="wait_s").rename(columns={"recorded_wait_s": "wait_s"})
    earlier = replace(result, jobs=before).save(tmp_path / "earlier")
    pd.testing.assert_frame_equal(Result.load(earlier).jobs, result.jobs)


@pytest.mark.parametrize(
    ("horizon_s", "totals", "waits"),
    [
        (20.0, [0, 15], [False, True]),
        (40.0, [10, 35], [True, True]),  # both wait: for the node
        (60.0, [20, 55], [False, True]),  # job 1 runs again
        (155.0, [20, 145], [False, False]),
    ],
)
def test_a_job_that_waits_at_the_horizon_has_waited_so_far(
    horizon_s: float, totals: list[float], waits: list[bool]
) -> None:
    result = stopped(horizon_s)
    submitted = Submitted.of(result)
    assert submitted.total_wait_s.tolist() == totals
    assert submitted.waits.tolist() == waits
    started = result.jobs["start_s"].notna()
    assert result.jobs["total_wait_s"].isna().tolist() == (~started).tolist()
    assert result.jobs["total_wait_s"][started].tolist() == [
        total for total, has_started in zip(totals, started, strict=True) if has_started
    ]


def test_metrics_of_a_study() -> None:
    found = measure(stopped(), warm_up=0.0, cool_down=0.0).metrics
    assert (found["mean_wait_s"], found["mean_total_wait_s"]) == (72.5, 82.5)
    assert (found["p95_total_wait_s"], found["median_total_wait_s"]) == (
        pytest.approx(20 + 0.95 * 125),
        82.5,
    )


@pytest.mark.parametrize(("horizon_s", "p95"), [(40.0, np.nan), (60.0, np.nan), (155.0, 138.75)])
def test_metrics_of_a_period(horizon_s: float, p95: float) -> None:
    """At 40 both jobs wait, at 60 job 2 does: the percentile is not known then."""
    result = stopped(horizon_s)
    jobs_then = Submitted.of(result)
    run = MeasuredRun(result, catalogue())
    found = period_metrics(run, periods=1, horizon_s=horizon_s)
    assert found["mean_total_wait_s@1"] == jobs_then.total_wait_s.mean()
    np.testing.assert_equal(found["p95_total_wait_s@1"], p95)


def test_the_text_of_a_result_reports_both() -> None:
    assert (
        "wait over all attempts: mean 82.5 s, p95 2.31 min; "
        "until the first start, as in the table: mean 72.5 s, p95 2.3 min"
    ) in result_text(stopped())


def test_a_job_that_can_never_run_has_no_wait() -> None:
    log = jobs([(0, 16, 100), (5, 8, 10)])
    result = simulate(log, ONE, Scheduling(placement="consolidate"))
    assert result.jobs["total_wait_s"].isna().tolist() == [True, False]
    assert result.summary["mean_total_wait_s"].tolist()[0] == 0.0


def test_a_result_of_an_earlier_version_has_them_too() -> None:
    result = stopped(60.0)
    old = replace(result, jobs=result.jobs.drop(columns="total_wait_s"))
    np.testing.assert_array_equal(Submitted.of(old).total_wait_s, Submitted.of(result).total_wait_s)


# --- In general ---------------------------------------------------------------------

SCENARIO = {
    "cluster": "mixed-small",
    "workload": {"generate": "large-model-lab", "jobs": 150, "load": 0.9},
    "scheduler": {"policy": "easy", "placement": "consolidate"},
    "seed": 4,
}


def test_without_failures_both_waits_are_the_same() -> None:
    result = run_scenario(define_scenario(SCENARIO))
    pd.testing.assert_series_equal(
        result.jobs["total_wait_s"], wait_s(result.jobs), check_names=False, check_exact=True
    )
    for name in TOTALS:
        pd.testing.assert_series_equal(
            result.summary[name], result.summary[name.replace("total_", "")], check_names=False
        )


def test_time_in_the_queue_and_time_that_is_held_are_all_time() -> None:
    often = {"failures": {"sources": "meta-llama3", "rate": 2000}, "horizon": "20 d", "seed": 6}
    result = run_scenario(define_scenario({**SCENARIO, **often}))
    assert result.attempts is not None
    assert (result.attempts["attempt"] > 0).sum() > 20
    held_s = (result.attempts["end_s"] - result.attempts["start_s"]).groupby(
        result.attempts["job_id"]
    )
    started = result.jobs[result.jobs["start_s"].notna()].set_index("job_id")
    left_s = started["finish_s"].fillna(20 * 86400.0) - started["submit_s"]
    np.testing.assert_allclose(
        started["total_wait_s"] + held_s.sum().reindex(started.index), left_s, rtol=1e-12
    )
    assert (started["total_wait_s"] >= started["start_s"] - started["submit_s"]).all()
    again = summary(result.jobs, result.utilisation, result.allocations, {}, result.attempts)
    assert again["mean_total_wait_s"].iloc[0] == pytest.approx(started["total_wait_s"].mean())


# --- Why failures can shorten waits -------------------------------------------------


def two_speeds() -> Cluster:
    return cluster(pool("fast", accelerator="H200"), pool("slow", accelerator="H20"))


def ran(outages: list[NodeEvent], *, keeps_its_pool: bool = False) -> pd.DataFrame:
    """Job 1 holds the fast node until 100; job 2 takes the slow one, job 3 waits for it."""
    own = ["", "H20" if keeps_its_pool else "", "H20"]
    log = jobs([(0, 8, 100), (0, 8, 1000), (1, 8, 10)], accelerators=own)
    return simulate(
        log,
        two_speeds(),
        Scheduling(policy="fcfs", placement="consolidate"),
        catalogue=catalogue(),
        run_times=RunTimeModel("H200", {"default": "llama3-8b"}),
        node_events=outages,
        check=True,
    ).jobs


def test_a_failure_can_free_a_job_of_a_slow_pool() -> None:
    """The slow node fails at 200 for 10 s.  Job 2 loses its work and begins anew on the fast node,
    which is free by then: it ends at 1,200, long before it would have ended, and job 3 starts at
    210.
    """
    failure = NodeEvent(200, 210, 1, 0)
    calm, failed = ran([]), ran([failure])
    slow_s = calm["finish_s"][1]
    assert slow_s > 2000, "1,000 s of an H200 take an H20 at least twice as long"
    assert calm["start_s"].tolist() == [0, 0, slow_s]
    assert failed["start_s"].tolist() == [0, 0, 210]
    assert failed["finish_s"][1] == 1200
    assert failed["total_wait_s"].tolist() == [0, 0, 209]


def test_it_does_not_if_the_job_keeps_its_pool() -> None:
    """The same failure with job 2 bound to the slow pool: it begins anew there at 210, and all ends
    later than without a failure.
    """
    calm, failed = (ran(each, keeps_its_pool=True) for each in ([], [NodeEvent(200, 210, 1, 0)]))
    slow_s = calm["finish_s"][1]
    assert failed["finish_s"][1] == pytest.approx(210 + slow_s)
    assert failed["start_s"].tolist() == [0, 0, pytest.approx(210 + slow_s)]
    assert failed["total_wait_s"].tolist() == [0, 10, pytest.approx(209 + slow_s)]
