"""Divisions of resources and jobs of variable size from papers and textbooks.

A case is read by its topic. What is not compared, by rule:

* Programs over several types of accelerators need ``clustersim.scheduling.programs`` and are
  skipped without it.
* Fits of step times (``sia_goodput``) are compared within one node: within 10 % for one accelerator
  and 35 % for more. The fits have errors of 10 to 13 % by themselves, and between nodes they are
  too slow by up to a factor of two.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from clustersim.scheduling.goodput import StepTimes, best_batch, gain
from clustersim.scheduling.shares import (
    asset_fairness,
    competitive_equilibrium,
    divide_by_gain,
    dominant_shares,
    fill_by_dominant_share,
    max_min,
    minimum_share,
)
from tests.peers.peer_cases import folders
from tests.peers.worked_cases import (
    Case,
    check_program,
    topic_of,
    topics,
    unread,
)

pytestmark = pytest.mark.peers


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
