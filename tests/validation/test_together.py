"""Mechanisms that hold together: logs made with two of them, and with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.report.of_validation.answer import validation_answer
from clustersim.report.of_validation.written import validation_data, write_validation
from clustersim.validation import held, mechanism
from clustersim.validation.case import Case, case_of
from clustersim.validation.distance import is_surely_less
from clustersim.validation.setting import Ceilings, Closures, Setting
from clustersim.validation.together import _excluded
from clustersim.workload import JobLog

DAY = 86400.0
TOTAL, LIMIT, LEFT = 32, 8, 8
"""Accelerators of the site, those that a user may have, and those that work during an outage."""


def submitted(seed: int, count: int, days: float, mean_h: float) -> pd.DataFrame:
    """Return the jobs of six users, of whom two submit half of them."""
    random = np.random.default_rng(seed)
    run = np.ceil(3600.0 * mean_h * random.lognormal(-0.245, 0.7, count))
    return pd.DataFrame(
        {
            "job_id": np.arange(count),
            "submit_s": np.sort(np.floor(random.uniform(0.0, days * DAY, count))),
            "n_accelerators": random.choice([1, 2, 4], count),
            "duration_s": run,
            "estimate_s": np.ceil(run * random.uniform(1.0, 3.0, count)),
            "user": random.choice(
                list("abcdef"), count, p=[0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
            ),
        }
    )


def made(jobs: pd.DataFrame, policy: str, *, limit: bool, outage: bool) -> pd.DataFrame:
    """Return the log of a site with a limit per user, and with nodes in repair for two days."""
    case = case_of(JobLog(jobs.assign(start_s=jobs["submit_s"]), len(jobs), "jobs", "table"),
                   accelerators=TOTAL)  # fmt: skip
    most = np.full(int(case.user.max()) + 1, float(LIMIT))
    ceilings = Ceilings(case.user, ((case.size, most),), passing=True)
    closed = (TOTAL - LEFT) * np.isin(np.arange(9), (3, 4))
    closures = Closures(DAY * np.arange(9), {"": closed})  # each evening, nodes are expected back
    setting = Setting(
        case, policy, ceilings=ceilings if limit else None, closures=closures if outage else None
    )
    return jobs.assign(start_s=setting.outcome()[0])


@pytest.fixture(scope="module")
def two() -> cs.Validation:
    jobs = made(submitted(3, 300, 8.0, 5.0), "easy", limit=True, outage=True)
    return cs.validate(jobs, accelerators=TOTAL, policies=["easy"])


def keys(found: cs.Validation) -> set[str]:
    return {each.key for each in found.together}


def test_a_limit_and_missing_capacity_are_both_named(two: cs.Validation) -> None:
    assert keys(two) == {"user_accelerators", "capacity"}
    assert two.together[-1].distance_s < 0.05 * two.distance_s
    limit = next(each for each in two.together if each.key == "user_accelerators")
    assert limit.name == f"a limit of {LIMIT} running accelerators of a user"
    # Each by itself leaves more than both together.
    assert min(each.distance_s for each in two.tested if not each.untested) > (
        2 * two.together[-1].distance_s
    )


def test_the_answer_says_what_each_explains(two: cs.Validation) -> None:
    first, second = two.together
    sentence = validation_answer(two).sentence
    assert f"most of this is explained by {first.name} together with {second.name}" in sentence
    assert "granted to it, the first brings the distance to " in sentence
    assert f"with {second.name} " in sentence
    steps = " ".join(validation_answer(two).next_steps)
    assert "limit on accelerators per user" in steps
    assert "capacity.csv" in steps
    assert "on top of others" in " ".join(validation_answer(two).hinges_on)


def test_what_is_written_has_both(two: cs.Validation, tmp_path: Path) -> None:
    write_validation(two, tmp_path, report=False)
    table = pd.read_csv(tmp_path / "combinations.csv")
    counts = table[table["refused"].isna()]
    assert {two.together[1].key} <= set(counts["key"])
    assert (table["further"].dropna() <= 1.0).all()
    data = json.loads(json.dumps(validation_data(two)))
    assert [each["key"] for each in data["together"]] == [each.key for each in two.together]
    assert data["together"][1]["distance_s"] == pytest.approx(two.together[1].distance_s)
    granted = two.groups.iloc[0]["granted_mean_wait_s"]
    assert granted == pytest.approx(two.together[-1].mean_wait_s)


@pytest.mark.parametrize("policy", ["easy", "sjf"])
@pytest.mark.parametrize(
    ("limit", "outage", "key"), [(True, False, "user_accelerators"), (False, True, "capacity")]
)
def test_no_second_mechanism_is_invented(limit: bool, outage: bool, key: str, policy: str) -> None:
    jobs = made(submitted(3, 300, 8.0, 5.0), policy, limit=limit, outage=outage)
    found = cs.validate(jobs, accelerators=TOTAL, policies=[policy])
    assert found.explanation is not None
    assert found.explanation.key == key
    assert found.together == ()


def test_what_makes_no_sense_is_not_tried() -> None:
    def of(*keys: str) -> tuple[mechanism.Mechanism, ...]:
        return tuple(mechanism.Mechanism(key, key) for key in keys)

    assert _excluded("capacity", of("capacity")) == "granted already"
    assert _excluded("pooled", of("partitions")) == "granted already"
    assert "start order replaces the policy" in _excluded("estimates", of("capacity", "order"))
    assert _excluded("user_jobs", of("user_accelerators")) == ""


def site(**columns: Any) -> Case:
    """Return two jobs of one user on 16 accelerators: the second waits for the first, with room."""
    jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": 0.0, "start_s": [0.0, 100.0], "user": "a"})
    jobs = jobs.assign(**{"n_accelerators": 4, "duration_s": 100.0, **columns})
    return case_of(JobLog(jobs, 2, "jobs", "table"), accelerators=16)


def test_who_is_held_by_a_limit_had_no_room() -> None:
    case = site()
    job, time_s = np.array([1]), np.array([[50.0, 150.0]])

    def room(**granted: Any) -> list[bool]:
        found = held.room_for(Setting(case, "fcfs", **granted), case.start_s, job, time_s)
        return found[0].tolist()

    def limit(most: float) -> Ceilings:
        return Ceilings(case.user, ((case.size, np.array([most])),), passing=True)

    assert room() == [True, True]
    assert room(ceilings=limit(7.0)) == [False, False]  # 4 are in use until 200 s
    assert room(ceilings=limit(8.0)) == [True, True]
    assert room(ready_s=np.array([0.0, 100.0])) == [False, True]
    assert room(order_s=np.array([0.0, 1.0])) == [True, True]  # the first job does not wait
    closed = Closures(np.array([0.0, 100.0]), {"": np.array([9, 0])})
    assert room(closures=closed) == [False, True]


def test_two_limits_hold_together() -> None:
    """Of 8 accelerators and 2 jobs, the limit on jobs holds the third job until 100 s."""
    case = site(n_accelerators=[4, 4])
    jobs = pd.concat([case.jobs, case.jobs]).assign(job_id=range(4), n_accelerators=[2, 2, 2, 8])
    case = case_of(JobLog(jobs.assign(start_s=0.0), 4, "jobs", "table"), accelerators=16)
    ones = np.ones(4, dtype=np.int64)
    both = ((case.size, np.array([8.0])), (ones, np.array([2.0])))
    setting = Setting(case, "fcfs", ceilings=Ceilings(case.user, both, passing=True))
    assert setting.outcome()[0].tolist() == [0.0, 0.0, 100.0, 200.0]


def test_mechanisms_are_granted_together_by_hand() -> None:
    """Four jobs of 4, two by each user: a limit of 4, an outage of 12 until 50 s, an order."""
    jobs = pd.DataFrame({"job_id": range(4), "submit_s": 0.0, "start_s": 0.0, "user": list("aabb")})
    jobs = jobs.assign(n_accelerators=4, duration_s=100.0)
    case = case_of(JobLog(jobs, 4, "jobs", "table"), accelerators=16)
    limit = Ceilings(case.user, ((case.size, np.array([4.0, 4.0])),), passing=True)
    closures = Closures(np.array([0.0, 50.0]), {"": np.array([12, 0])})
    order_s = np.array([4.0, 3.0, 2.0, 1.0])

    def starts(**granted: Any) -> list[float]:
        return Setting(case, "fcfs", **granted).outcome()[0].tolist()

    assert starts(closures=closures) == [0.0, 50.0, 50.0, 50.0]
    assert starts(closures=closures, order_s=order_s) == [50.0, 50.0, 50.0, 0.0]
    assert starts(closures=closures, ceilings=limit) == [0.0, 100.0, 50.0, 150.0]
    ready_s = np.array([0.0, 0.0, 70.0, 0.0])
    assert starts(closures=closures, ready_s=ready_s) == [0.0, 50.0, 70.0, 50.0]
    # Job 2 is submitted late, and the limit holds it until job 3 has ended.
    assert starts(ready_s=ready_s, ceilings=limit) == [0.0, 100.0, 100.0, 0.0]


def test_a_fall_that_one_group_of_jobs_makes_is_chance() -> None:
    recorded, stratum = np.arange(200.0), np.zeros(200, dtype=np.int64)
    before = recorded - 10.0
    assert is_surely_less(recorded, before, before + 1.0, stratum, 10)
    assert not is_surely_less(recorded, before, before - 1.0, stratum)
    assert not is_surely_less(recorded[:1], before[:1], recorded[:1], stratum[:1])
