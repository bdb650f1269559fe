"""Examples of papers and textbooks, against ``clustersim.scheduling`` and the simulator's policies.

A case is read by its topic. What is not compared, by rule:

* Schedules of policies that the simulator does not have (today all with preemption, and first come
  first served that skips) are skipped, each with the policy's name. A schedule of jobs that all
  arrive at once on one server needs no preemption, so shortest remaining time is ``sjf`` there.
* Programs over several types of accelerators need ``clustersim.scheduling.programs`` and are
  skipped without it.
* Fits of step times (``sia_goodput``) are compared within one node: within 10 % for one accelerator
  and 35 % for more. The fits have errors of 10 to 13 % by themselves, and between nodes they are
  too slow by up to a factor of two.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.scheduling import find_policy
from clustersim.scheduling.goodput import StepTimes, best_batch, gain
from clustersim.scheduling.shares import (
    asset_fairness,
    competitive_equilibrium,
    divide_by_gain,
    dominant_shares,
    fill_by_dominant_share,
    finish_time_ratios,
    least_attained_service,
    max_min,
    minimum_share,
    processor_sharing,
)
from clustersim.simulation.simulate import replay
from tests.peers.peer_cases import cases, folders, parametrised

pytestmark = pytest.mark.peers

Case = dict[str, Any]


def topics(*words: str) -> Any:
    """The cases of topics that contain one of some words."""
    return parametrised("worked_examples*.json", lambda case: topic_of(case) in words)


def topic_of(case: Case) -> str:
    """The group of a topic: the first word below that it contains."""
    return next((word for word in GROUPS if word in case["topic"]), "other")


GROUPS = (
    "asset",
    "ceei",
    "drf",
    "max_min",
    "backfill",
    "deadline",
    "elastic",
    "goodput",
    "finish_time",
    "makespan",
    "throughput",
    "heterogen",
    "las",
    "fifo",
    "fcfs",
    "sjf",
    "srtf",
    "srsf",
    "priority",
)
SCHEDULES = ("backfill", "fifo", "fcfs", "sjf", "srtf", "srsf", "priority", "las")


def unread(case: Case) -> None:
    pytest.skip(f"no reader for {case['topic']} with the inputs {sorted(case['input'])}")


def test_every_topic_has_a_reader() -> None:
    """The groups of the tests below, together, are all groups."""
    read = {"asset", "ceei", "drf", "max_min", "deadline", "elastic", "goodput", "finish_time"}
    assert read | {"makespan", "throughput", "heterogen"} | set(SCHEDULES) == set(GROUPS)


@topics("other")
def test_other_topics(case: Case) -> None:
    unread(case)


# --- Resources that are divided -------------------------------------------------------


def resources_of(given: Case) -> tuple[list[str], list[str], np.ndarray, np.ndarray, Any]:
    """Users and resources of a case, what there is, what tasks need, and the users' weights."""
    names, users = list(given["total"]), list(given["per_task"])
    total = np.array([given["total"][name] for name in names], dtype=float)
    need = np.array([[given["per_task"][u].get(name, 0) for name in names] for u in users], float)
    weights = given.get("weights")
    if weights is not None:
        rows = [weights[user] for user in users]
        weights = [[r[n] for n in names] for r in rows] if isinstance(rows[0], dict) else rows
    return names, users, total, need, weights


@topics("asset", "ceei", "drf")
def test_division_of_several_resources(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if not {"total", "per_task"} <= given.keys():
        unread(case)
    _, users, total, need, weights = resources_of(given)
    programs = {"asset": asset_fairness, "ceei": competitive_equilibrium, "drf": dominant_shares}
    if "tasks_fractional" in expected:
        found = programs[topic_of(case)](total, need, weights=weights)
        assert dict(zip(users, found, strict=True)) == pytest.approx(expected["tasks_fractional"])
    elif topic_of(case) == "drf" and "tasks" in expected:
        check_filling(case)
    else:
        unread(case)


def check_filling(case: Case) -> None:
    """Ties go to the first user, who is the first one that the case picks."""
    given, expected = case["input"], case["expected"]
    picks = next((value for key, value in expected.items() if "pick_order" in key), None)
    order = sorted(given["per_task"])
    if picks:
        order = [picks[0], *(user for user in order if user != picks[0])]
    given = {**given, "per_task": {user: given["per_task"][user] for user in order}}
    names, users, total, need, weights = resources_of(given)
    most = given.get("most_tasks")
    filled = fill_by_dominant_share(
        total, need, weights=weights, most_tasks=None if most is None else [most[u] for u in users]
    )
    assert dict(zip(users, filled.tasks.tolist(), strict=True)) == expected["tasks"]
    shares = dict(zip(users, filled.dominant_share, strict=True))
    if "dominant_share" in expected:
        assert shares == pytest.approx(expected["dominant_share"])
    if "dominant_resource" in expected:
        resource = {u: names[r] for u, r in zip(users, filled.dominant_resource, strict=True)}
        assert resource == expected["dominant_resource"]
    if picks:
        assert [users[i] for i in filled.order] == picks
    used = dict(zip(names, filled.tasks @ need, strict=True))
    assert used == pytest.approx(expected.get("cluster_used_at_end", used))
    for user, row in expected.get("allocation", {}).items():
        mine = filled.tasks[users.index(user)] * need[users.index(user)]
        assert dict(zip(names, mine, strict=True)) == pytest.approx(row)
    tasks = np.zeros(len(users))
    for pick, after in zip(filled.order, expected.get("shares_after_each_pick", ()), strict=False):
        tasks[pick] += 1
        parts = (need / total).max(axis=1) * tasks
        assert dict(zip(users, parts, strict=True)) == pytest.approx(after)


@topics("max_min")
def test_max_min(case: Case) -> None:
    given = case["input"]
    if not {"capacity", "demands"} <= given.keys():
        check_program(case)
        return
    users = list(given["demands"])
    weights = given.get("weights")
    found = max_min(
        given["capacity"],
        [given["demands"][user] for user in users],
        None if weights is None else [weights[user] for user in users],
    )
    wanted = next(value for value in case["expected"].values() if isinstance(value, dict))
    assert dict(zip(users, found, strict=True)) == pytest.approx(wanted, abs=1e-3)


# --- Jobs of variable size ------------------------------------------------------------


def by_size(throughputs: Mapping[str, float]) -> dict[int, float]:
    return {int(size): value for size, value in throughputs.items()}


@topics("deadline", "elastic")
def test_elastic_jobs(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if {"steps_per_s_by_gpus", "work_steps", "deadlines_s"} <= given.keys():
        scaling = by_size(given["steps_per_s_by_gpus"])
        found = {
            str(d): minimum_share(scaling, given["work_steps"], d) for d in given["deadlines_s"]
        }
        assert found == expected["minimum_gpus"]
        return
    jobs = next((v for v in given.values() if is_scaling(v)), None)
    number = next((v for k, v in given.items() if "gpus" in k and isinstance(v, int)), None)
    wanted = next((v for v in expected.values() if isinstance(v, dict)), None)
    if jobs is None or number is None or wanted is None or wanted.keys() != jobs.keys():
        unread(case)
        return
    found_by_gain = divide_by_gain([by_size(each) for each in jobs.values()], number)
    assert dict(zip(jobs, found_by_gain, strict=True)) == wanted


def is_scaling(value: Any) -> bool:
    """Whether a value gives throughputs by number of accelerators for several jobs."""
    rows = value.values() if isinstance(value, dict) else []
    return bool(rows) and all(
        isinstance(row, dict) and all(key.isdigit() for key in row) for row in rows
    )


@topics("goodput")
def test_goodput(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if "params" in given and "best" in expected:
        times = StepTimes(**given["params"])
        speeds = []
        for wanted in expected["best"]:
            n = wanted["gpus"]
            best = best_batch(
                times,
                n,
                given["local_batches"],
                initial_batch=given["M0"],
                scale=given["phi"],
                nodes=1 if given.get("one_node", True) else n,
            )
            assert best is not None
            assert best.local_batch == wanted["local_batch"]
            assert best.goodput == pytest.approx(wanted["goodput"])
            speeds.append(best.goodput)
        ratios = [speed / speeds[0] for speed in speeds]
        assert ratios == pytest.approx(expected.get("speedup_over_1", ratios))
    elif {"M0", "phi"} <= given.keys() and "efficiency" in expected:
        check_efficiency(given, expected["efficiency"])
    else:
        unread(case)


def check_efficiency(given: Case, wanted: Any) -> None:
    """Efficiency is what a sample is worth: the gain over the batch in initial batches."""
    batches = next(value for key, value in given.items() if "batch" in key)
    batches = np.atleast_1d(np.asarray(batches, dtype=float))
    found = gain(given["M0"], batches, given["phi"]) * given["M0"] / batches
    values = list(wanted.values()) if isinstance(wanted, dict) else np.atleast_1d(wanted)
    assert found.tolist() == pytest.approx(list(values))


def applications() -> Iterator[Any]:
    """The fits of step times by application."""
    for folder in folders("sia_goodput*"):
        for path in sorted(folder.glob("goodput*.json")):
            for name, facts in json.loads(path.read_text(encoding="utf-8")).items():
                yield pytest.param(facts, id=name)


@pytest.mark.parametrize(
    "facts",
    list(applications())
    or [pytest.param(None, id="none", marks=pytest.mark.skip(reason="no folder sia_goodput"))],
)
def test_training_times_from_fits_of_step_times(facts: Case) -> None:
    if "elastic_best_batch" not in facts:
        pytest.skip("no training times to compare with")
    for n, stated in facts["elastic_best_batch"]["t4"].items():
        if int(n) <= 4:
            error = math.log(training_s(facts, int(n)) / stated["train_s"])
            assert abs(error) < math.log(1.1 if n == "1" else 1.35)


def training_s(facts: Case, n: int) -> float:
    """Seconds of a training with the best batch at each of 41 moments of its progress."""
    scales = facts["noise_scale_samples_at_epoch"]
    epochs = np.array([float(epoch) for epoch in scales])
    logs = np.log([1e9 if scale is None else scale for scale in scales.values()])
    least, most = facts["local_bsz_range"]
    total = 0.0
    moments = np.linspace(0, epochs[-1], 41)
    for scale in np.exp(np.interp(moments, epochs, logs)):
        best = best_batch(
            StepTimes(**facts["fit_T4_4gpu_nodes"]),
            n,
            np.unique(np.geomspace(least, most, 40).round().astype(int)).tolist(),
            initial_batch=facts["M0"],
            scale=scale,
            most_accumulation=15,
            largest_batch=max(facts["batch_sizes_validated"]),
        )
        assert best is not None
        steps_per_s = best.goodput / facts["M0"] / facts["slowdown_divisor"]
        total += facts["epoch_progress_total_at_M0"] / len(moments) / steps_per_s
    return total


# --- Programs over several types of accelerators --------------------------------------


@topics("makespan", "throughput", "heterogen")
def test_programs(case: Case) -> None:
    check_program(case)


def check_program(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    rates = next((v for k, v in given.items() if "per_s" in k and isinstance(v, dict)), None)
    if rates is None or "workers" not in given:
        unread(case)
        return
    if importlib.util.find_spec("clustersim.scheduling.programs") is None:
        pytest.skip("clustersim.scheduling.programs does not exist")
    from clustersim.scheduling.programs import gavel
    from clustersim.scheduling.programs.problem import AllocationProblem

    pools = list(given["workers"])
    remaining = given.get("remaining_steps")
    gangs = given.get("gpus", {})
    problem = AllocationProblem(
        rates=np.array([[row.get(pool, 0) for pool in pools] for row in rates.values()], float),
        gangs=np.array([gangs.get(job, 1) if isinstance(gangs, dict) else 1 for job in rates]),
        accelerators=np.array([given["workers"][pool] for pool in pools]),
        remaining_steps=None if remaining is None else np.array([*remaining.values()], float),
    )
    objectives = {
        "makespan": gavel.min_makespan,
        "throughput": gavel.max_total_throughput,
        "max_min": gavel.max_min_fairness,
        "heterogen": gavel.max_min_fairness,
        "las": gavel.max_min_fairness,
    }
    wanted = next((v for v in expected.values() if isinstance(v, int | float)), None)
    if wanted is None:
        unread(case)
        return
    assert objectives[topic_of(case)](problem).objective == pytest.approx(wanted, rel=1e-6)


# --- Schedules in time ----------------------------------------------------------------

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
    n = len(jobs)
    assert independent == (n * jobs["duration_s"]).tolist()
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
