"""Limits of users, accounts and QOS that a queue shows by the jobs that they hold."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.forecasting.shared_limits import limits_seen
from tests.forecasting.test_forecast import HOUR, exact, running, starts, state, waiting


def jobs(*rows: tuple[Any, ...]) -> pd.DataFrame:
    names = ["user", "account", "qos", "vc", "n_accelerators", "reason"]
    return pd.DataFrame(rows, columns=names)


def test_a_job_held_by_the_limit_of_its_user_starts_when_another_of_his_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the cluster is free; bob has no job that waits, but as much as ann."""
    exact(monkeypatch)
    queue = state(
        running("1", 4, 0.0, HOUR, user="ann"),
        running("2", 4, 0.0, 2 * HOUR, user="bob"),
        waiting("3", 4, user="ann", reason="QOSMaxGRESPerUser"),
        waiting("4", 4, user="bob", reason="Priority"),
        waiting("5", 4, user="cy", reason="Priority"),
    )
    found = cs.forecast(queue, accelerators=16, replications=2)
    assert starts(found) == {"3": HOUR, "4": 2 * HOUR, "5": 0.0}
    assert found.jobs["constraint"].tolist() == ["limit", "limit", "none"]
    said = "user ann may use at most 4 accelerators (assumed from QOSMaxGRESPerUser)"
    assert found.jobs["detail"].iloc[0] == said
    assert [note for note in found.assumptions if said in note]
    given = cs.forecast(queue, accelerators=16, replications=2, user_limit=8)
    assert starts(given) == {"3": 0.0, "4": 0.0, "5": HOUR}


@pytest.mark.parametrize(
    ("reason", "holder", "text"),
    [
        ("QOSMaxGRESPerUser", "ann", "user ann may use at most 6 accelerators of gpu"),
        ("AssocMaxJobsLimit", "ann", "user ann may run at most 2 jobs of gpu"),
        ("AssocGrpGRES", "lab", "account lab may use at most 9 accelerators of gpu"),
        ("QOSMaxJobsPerAccountLimit", "lab", "account lab may run at most 3 jobs of gpu"),
        ("QOSGrpJobsLimit", "low", "QOS low may run at most 3 jobs of gpu"),
    ],
)
def test_reasons(reason: str, holder: str, text: str) -> None:
    table = jobs(
        ("ann", "lab", "low", "gpu", 4, ""),
        ("ann", "lab", "low", "gpu", 2, ""),
        ("bob", "lab", "low", "gpu", 3, ""),
        ("ann", "lab", "low", "gpu,long", 4, reason),
    )
    (limit,) = limits_seen(table, 3)
    assert limit.of(holder)[0] == f"{text} (assumed from {reason})"


@pytest.mark.parametrize(
    "reason",
    ["QOSMaxGRESPerJob", "AssocGrpGRESMinutes", "QOSMaxMemoryPerUser", "QOSMaxCpuPerUserLimit",
     "Priority", ""],
)  # fmt: skip
def test_reasons_without_a_limit_on_jobs_or_accelerators_together(reason: str) -> None:
    assert not limits_seen(jobs(("ann", "", "", "a", 4, ""), ("ann", "", "", "a", 4, reason)), 1)


def test_a_limit_is_at_least_the_size_of_the_job_that_it_holds_and_what_a_holder_had() -> None:
    """ann has 2 and may have 16, since a job of 16 waits; in the log, bob had 12 + 8 at a time."""
    table = jobs(
        ("ann", "", "", "gpu", 2, ""),
        ("bob", "", "", "gpu", 4, ""),
        ("ann", "", "", "gpu", 16, "QOSMaxGRESPerUser"),
    )
    (limit,) = limits_seen(table, 2)
    assert (limit.most, limit.otherwise) == ({"ann": 16}, 16)
    log = pd.DataFrame(
        {"user": ["bob", "bob", "ann", "bob"], "vc": ["gpu", "gpu", "gpu", "other"],
         "n_accelerators": [12, 8, 15, 99], "start_s": [0.0, 5.0, 5.0, 0.0], "duration_s": 10.0}
    )  # fmt: skip
    (limit,) = limits_seen(table, 2, log)
    assert (limit.most, limit.otherwise) == ({"ann": 17}, 20)  # 18 are too many for ann
    (limit,) = limits_seen(table, 2, log.assign(start_s=[0.0, 10.0, 5.0, 0.0]))
    assert (limit.most, limit.otherwise) == ({"ann": 16}, 16)


def test_a_limit_is_below_what_a_held_job_would_make_of_it() -> None:
    """ann has 8 and bob 4, but 2 more are too many for bob, so his limit is 5."""
    table = jobs(
        ("ann", "", "", "gpu", 8, ""),
        ("bob", "", "", "gpu", 4, ""),
        ("ann", "", "", "gpu", 1, "QOSMaxGRESPerUser"),
        ("bob", "", "", "gpu", 2, "QOSMaxGRESPerUser"),
    )
    (limit,) = limits_seen(table, 2)
    assert limit.most == {"ann": 8, "bob": 5}
    assert limit.otherwise == 8


def test_a_limit_holds_in_all_partitions_if_its_user_has_nothing_in_that_of_the_job() -> None:
    table = jobs(("ann", "", "", "a", 8, ""), ("ann", "", "", "b", 2, "QOSMaxGRESPerUser"))
    (limit,) = limits_seen(table, 1)
    assert (limit.partition, limit.most) == ("", {"ann": 8})


def test_a_job_is_counted_once_although_its_limit_is_seen_in_two_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four jobs of ann run in a; two wait in b and two in c, which have room."""
    exact(monkeypatch)
    queue = state(
        *(running(f"a{at}", 2, 0.0, HOUR, user="ann", partition="a") for at in range(4)),
        *(
            waiting(f"{name}{at}", 2, user="ann", partition=name, reason="AssocMaxJobsLimit")
            for name in "bc"
            for at in range(2)
        ),
    )
    sizes = {"a": 8, "b": 8, "c": 8}
    found = cs.forecast(queue, accelerators=sizes, replications=2)
    assert starts(found) == dict.fromkeys(["b0", "b1", "c0", "c1"], HOUR)
    assert found.jobs["detail"].str.count("ann").tolist() == [1] * 4


def test_jobs_larger_than_a_limit_that_is_seen_are_not_held_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact(monkeypatch)
    queue = state(
        running("1", 4, 0.0, HOUR, user="ann"),
        waiting("2", 8, user="ann", reason="QOSMaxGRESPerUser"),
        waiting("3", 16, user="bob"),
    )
    found = cs.forecast(queue, accelerators=32, replications=2)
    assert starts(found) == {"2": HOUR, "3": 0.0}


def test_a_holder_without_running_jobs_does_not_hide_the_limit_of_others() -> None:
    table = jobs(
        ("ann", "", "", "a", 4, ""),
        ("ann", "", "", "a", 4, "QOSMaxGRESPerUser"),
        ("zoe", "", "", "a", 2, "QOSMaxGRESPerUser"),
    )
    (limit,) = limits_seen(table, 1)
    assert (limit.most, limit.otherwise) == ({"ann": 4}, 4)


def test_a_limit_that_several_holders_reached_is_the_limit() -> None:
    """In the log, two users had 16 at a time and none more; the reason for ann is an old one."""
    table = jobs(("ann", "", "", "gpu", 8, ""), ("ann", "", "", "gpu", 4, "QOSMaxGRESPerUser"))
    log = pd.DataFrame(
        {"user": ["bob", "cy", "cy"], "partition": "gpu", "n_accelerators": [16, 8, 8],
         "start_s": [0.0, 5.0, 6.0], "duration_s": 10.0}
    )  # fmt: skip
    (limit,) = limits_seen(table, 1, log)
    assert (limit.most, limit.otherwise) == ({"ann": 16}, 16)
    (limit,) = limits_seen(table, 1, log.iloc[:2])  # bob alone may have a limit of his own
    assert (limit.most, limit.otherwise) == ({"ann": 11}, 16)


def test_limits_that_cannot_be_reached_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann's jobs together have 12 of at most 16 accelerators, but her array runs one at a time."""
    exact(monkeypatch)
    queue = state(
        running("7_1", 4, 0.0, HOUR, user="ann", array="7", array_limit=1),
        waiting("7_[2-3%1]", 4, user="ann", array="7", array_limit=1, tasks=2),
    )
    found = cs.forecast(queue, accelerators=32, user_limit=16, replications=2)
    assert found.jobs["detail"].tolist() == ["array 7 runs at most 1 tasks at a time"] * 2
