"""Schedules of papers and textbooks, against the simulator's policies.

A case is read by its topic. What is not compared, by rule:

* Schedules of policies that the simulator does not have (today all with preemption, and first come
  first served that skips) are skipped, each with the policy's name. A schedule of jobs that all
  arrive at once on one server needs no preemption, so shortest remaining time is ``sjf`` there.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.scheduling import find_policy
from clustersim.scheduling.shares import (
    finish_time_ratios,
    least_attained_service,
    processor_sharing,
)
from clustersim.simulation.simulate import replay
from tests.peers.peer_cases import cases
from tests.peers.worked_cases import SCHEDULES, Case, check_program, topic_of, topics, unread

pytestmark = pytest.mark.peers

POLICIES = {
    "fifo": "fcfs",
    "fcfs": "fcfs",
    "easy": "easy",
    "skip": "first_fit",
    "sjf": "sjf",
    "srtf": "srtf",
    "shortest_remaining_time": "srtf",
    "shortest_remaining_service": "srsf",
    "srsf": "srsf",
    "smallest_gpus_first": "smallest_first",
    "priority": "priority",
    "las": "las",
}
"""The simulator's policy of each schedule."""


def jobs_of(given: Case) -> pd.DataFrame | None:
    """The jobs of a case as a log, in order of arrival; None if they are in no known form."""
    stated = given.get("jobs", given.get("durations"))
    if not isinstance(stated, dict):
        return None
    rows = []
    for name, job in stated.items():
        facts = job if isinstance(job, dict) else {"duration": job}
        if "duration" not in facts:
            return None
        arrival = facts.get("arrival", given.get("all_arrive_at", 0))
        row = {k: v for k, v in facts.items() if k not in ("arrival", "gpus", "duration")}
        row |= {"job_id": name, "submit_s": float(arrival), "n_accelerators": facts.get("gpus", 1)}
        rows.append({**row, "duration_s": float(facts["duration"])})
    return pd.DataFrame(rows).sort_values("submit_s", kind="stable", ignore_index=True)


def simulated(jobs: pd.DataFrame, name: str, accelerators: int) -> pd.DataFrame:
    """The jobs table of a policy's run, by name of the job; skips without the policy."""
    at_once = bool((jobs["submit_s"] == jobs["submit_s"].iloc[0]).all())
    if name in ("srtf", "srsf") and at_once and accelerators == 1:
        name = "sjf"
    try:
        find_policy(name)
    except InputError:
        pytest.skip(f"the simulator has no policy {name}")
    return replay(jobs, policy=name, accelerators=accelerators).jobs.set_index("job_id")


def check_schedule(jobs: pd.DataFrame, name: str, accelerators: int, expected: Case) -> None:
    """Whatever a case says of a schedule: starts, ends, and means of waits and completion times."""
    found = simulated(jobs, name, accelerators)
    columns = {
        "start": found["start_s"],
        "finish": found["finish_s"],
        "jct": found["finish_s"] - found["submit_s"],
        "wait": found["finish_s"] - found["submit_s"] - found["duration_s"],
    }
    compared = 0
    for key, value in expected.items():
        kind = key.removeprefix("average_")
        column = columns.get("jct" if kind in ("completion", "turnaround") else kind)
        if column is None:
            continue
        if isinstance(value, dict):
            assert {job: column[job] for job in value} == pytest.approx(value)
        else:
            assert column.mean() == pytest.approx(value)
        compared += 1
    assert compared, f"nothing to compare among {sorted(expected)}"


def schedules() -> Any:
    """A test per schedule of a case, so that one without a policy hides no other."""
    found = [
        pytest.param(case, name, id=f"{case['id']}-{name}".rstrip("-"))
        for case in cases("worked_examples*.json")
        if topic_of(case) in SCHEDULES
        for name in [name for name in case["expected"] if name in POLICIES] or [""]
    ]
    absent = pytest.param(None, "", id="none", marks=pytest.mark.skip(reason="no schedules"))
    return pytest.mark.parametrize(("case", "schedule"), found or [absent])


@schedules()
def test_schedules(case: Case, schedule: str) -> None:
    given, expected = case["input"], case["expected"]
    if any("per_s" in key for key in given):
        check_program(case)
        return
    if "orders" in given:
        check_orders(given, expected)
        return
    jobs = jobs_of(given)
    if jobs is None:
        unread(case)
        return
    one = given.get("one_server") or given.get("one_gpu")
    accelerators = 1 if one else int(given.get("gpus", 1))
    if schedule:
        check_schedule(jobs, POLICIES[schedule], accelerators, expected[schedule])
    elif topic_of(case) == "las" and ("ideal" in case["rule"] or "fluid" in case["rule"]):
        ends = least_attained_service(jobs["submit_s"], jobs["duration_s"], servers=accelerators)
        found = dict(zip(jobs["job_id"], ends, strict=True))
        assert {job: found[job] for job in expected["finish"]} == pytest.approx(expected["finish"])
    else:
        name = next((POLICIES[w] for w in POLICIES if w in case["topic"].split("_")), "")
        check_schedule(jobs, name, accelerators, expected)


def check_orders(given: Case, expected: Case) -> None:
    """First come, first served, for each order of arrival at the same time."""
    for order in given["orders"]:
        names = order.split(",")
        jobs = jobs_of({"jobs": {name: {"duration": given["durations"][name]} for name in names}})
        assert jobs is not None
        check_schedule(
            jobs,
            "fcfs",
            1,
            {key: value[order] for key, value in expected.items() if order in value},
        )


@topics("finish_time")
def test_finish_time_fairness(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if not {"durations", "one_gpu"} <= given.keys() or "t_independent" not in expected:
        unread(case)
    jobs = jobs_of(given)
    assert jobs is not None
    independent = [expected["t_independent"][job] for job in jobs["job_id"]]
    if "x duration" in case["rule"]:  # an equal part of the accelerator
        assert independent == (len(jobs) * jobs["duration_s"]).tolist()
    for name, schedule in expected.items():
        if name == "t_independent":
            continue
        ends = ends_of(jobs, name)
        ratios = finish_time_ratios(jobs["submit_s"], ends, independent)
        assert dict(zip(jobs["job_id"], ends, strict=True)) == pytest.approx(schedule["finish"])
        if "rho" in schedule:
            assert dict(zip(jobs["job_id"], ratios, strict=True)) == pytest.approx(schedule["rho"])
        assert ratios.max() == pytest.approx(schedule.get("max_rho", ratios.max()))


def ends_of(jobs: pd.DataFrame, schedule: str) -> np.ndarray:
    """The ends of jobs on one accelerator, in their order."""
    if schedule == "processor_sharing":
        return processor_sharing(jobs["submit_s"], jobs["duration_s"])
    if schedule == "longest_first":  # first come, first served, of jobs that come in this order
        assert (jobs["submit_s"] == jobs["submit_s"].iloc[0]).all()
        line = jobs.sort_values("duration_s", ascending=False, kind="stable", ignore_index=True)
        found = simulated(line, "fcfs", 1)
    elif schedule in POLICIES:
        found = simulated(jobs, POLICIES[schedule], 1)
    else:
        pytest.skip(f"no reader for the schedule {schedule}")
    return found["finish_s"].loc[jobs["job_id"]].to_numpy()
