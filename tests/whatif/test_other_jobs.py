"""Questions in which systems, replications or alternatives do not have the same jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.calendar import DAY_S
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.report.of_what_if.answer import what_if_answer
from clustersim.whatif.alternatives import alternatives
from clustersim.whatif.question import ask
from clustersim.workload import JobLog


def table(submit_s: list[float], **columns: Any) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": np.arange(1, len(submit_s) + 1), "submit_s": submit_s})
    return jobs.assign(**{"n_accelerators": 8, "duration_s": 3600.0, **columns})


def pool(nodes: int, **of_virtual_clusters: int) -> dict[str, Any]:
    owned = {name: {"nodes": count} for name, count in of_virtual_clusters.items()}
    chips = {"accelerator": "H200", "nodes": nodes, "chips_per_node": 8}
    return {"name": "lab", "pools": {"gpu": {**chips, "virtual_clusters": owned}}}


def fewer_nodes(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    question = ask(table([0.0, 60.0], vc=["x", "y"]), cluster=cluster, load=1.2)
    found = [each for each in alternatives(question) if each.key == "the nodes in service"]
    return [dict(each.changes["before"]) for each in found]


def test_a_pool_whose_virtual_clusters_have_one_node_each_loses_none() -> None:
    assert fewer_nodes(pool(2, x=1, y=1)) == []
    path = 'cluster.pools."gpu"'
    assert fewer_nodes(pool(3, x=1, y=1)) == [{f"{path}.nodes": 2}]
    assert fewer_nodes(pool(3, x=1, y=2)) == [
        {f"{path}.nodes": 2, f'{path}.virtual_clusters."y".nodes': 1}
    ]


def test_the_question_is_answered_without_the_alternative_that_cannot_be_built() -> None:
    jobs = table([0.0, 60.0, 120.0], vc=["x", "y", "x"])
    found = cs.what_if(jobs, cluster=pool(2, x=1, y=1), load=1.2, replications=0)
    assert set(found.hinges["key"]) == {"the policy", "the load", "the run-time estimates"}


def three_weeks() -> pd.DataFrame:
    """A job of 8 every six hours; a job of 64 in the third week only."""
    starts = [DAY_S / 4 * number for number in range(4 * 21 + 2)]
    sizes = np.where(np.arange(len(starts)) == 70, 64, 8)
    return table(starts, n_accelerators=sizes, duration_s=7 * 3600.0, user="a")


def test_a_group_that_a_replication_lacks_has_no_value_there() -> None:
    found = cs.what_if(
        three_weeks(),
        accelerators=64,
        add_accelerators=8,
        assume={"workload.resample": "week"},
        replications=8,
        seed=1,
    )
    own = found.replications[found.replications["group"] == "33-64"]
    have = set(own.loc[own["system"] == "before", "replication"])
    assert 0 in have
    assert have != set(range(9)), "a drawn period lacks the job"
    values = found.of("mean_wait_s", "size", "33-64")
    for waits in values.values():
        assert [number for number in range(9) if np.isfinite(waits[number])] == sorted(have)
    row = found.groups.set_index("group").loc["33-64"]
    assert row["change_mean_wait_s"] == row["after_mean_wait_s"] - row["before_mean_wait_s"]
    assert np.isnan(row["change_mean_wait_s_low"])


def test_a_system_without_a_group_in_the_log_as_it_happened_has_no_value() -> None:
    """The drawn periods of the second system have the group; the first value is not theirs."""
    found = cs.what_if(three_weeks(), accelerators=64, add_accelerators=8, replications=2)
    own = found.replications
    gone = (own["group"] == "33-64") & (own["replication"] == 0) & (own["system"] == "after")
    less = replace(found, replications=own[~gone])
    assert np.isnan(less.of("mean_wait_s", "size", "33-64")["after"][0])
    row = less.groups.set_index("group").loc["33-64"]
    assert np.isfinite(row["before_mean_wait_s"])
    assert np.isnan(row["after_mean_wait_s"])
    assert np.isnan(row["change_mean_wait_s"])


def test_jobs_that_only_the_larger_fleet_can_run_are_in_the_sentence() -> None:
    jobs = table([60.0 * minute for minute in range(6)], n_accelerators=[8, 16] * 3)
    words = " 3 jobs can only run after the change and are left out of the waits before."
    found = cs.what_if(jobs, accelerators=8, add_accelerators=8)
    assert words in what_if_answer(found).sentence
    less = cs.what_if(jobs.assign(user=list("aabbcc")), accelerators=8, load=0.7)
    assert "can only run" not in what_if_answer(less).sentence


def test_options_of_the_scheduler_hold_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def question_of(log: JobLog, **given: Any) -> None:
        names = ("cluster", "accelerators", "load", "policy", "assume")
        asked["question"] = ask(log, **{name: given[name] for name in names})
        raise InputError("what-if", "enough")

    monkeypatch.setattr("clustersim.whatif.what_if.what_if", question_of)
    words = ["what-if", "experiments/sample_jobs.csv", "--cluster", "philly-like", "--load", "1.5"]
    words += ["--policy", "priority", "--option", "ageing=2", "--placement", "spread"]
    assert main([*words, "--span-pools", "equal", "--out", "never-written"]) == 2
    for system in asked["question"].systems:
        scheduler = system.tree["scheduler"]
        assert (scheduler["placement"], scheduler["span_pools"]) == ("spread", "equal")
        assert scheduler["options"] == {"ageing": 2}


def test_the_alternative_to_a_policy_keeps_the_options_that_it_has() -> None:
    options = {"scheduler.options": {"ageing": 2, "most_preemptions": 3}}
    question = ask(table([0.0, 60.0]), accelerators=16, load=1.2, policy="priority", assume=options)
    policy = next(each for each in alternatives(question) if each.key == "the policy")
    assert policy.changes["before"] == {"scheduler.policy": "easy", "scheduler.options": {}}


def test_jobs_that_can_no_longer_run_with_fewer_nodes_are_counted() -> None:
    """Three nodes of 8, of which the alternative loses one: the two jobs of 24 cannot run."""
    jobs = table([60.0 * number for number in range(6)], n_accelerators=[24, 8, 24, 8, 16, 8])
    found = cs.what_if(jobs, cluster=pool(3), changes=["scheduler.policy=fcfs"], replications=0)
    assert found.hinges.set_index("key")["more_never"]["the nodes in service"] == 2
    (text,) = (each for each in what_if_answer(found).hinges_on if "nodes in service" in each)
    assert text.endswith("; 2 more jobs can never run and are left out.")
    assert (found.hinges.loc[found.hinges["key"] == "the load", "more_never"] == 0).all()


def test_an_alternative_in_which_no_job_can_run_is_not_silent() -> None:
    jobs = table([60.0 * number for number in range(4)], n_accelerators=16)
    found = cs.what_if(jobs, cluster=pool(2), changes=["scheduler.policy=fcfs"], replications=0)
    (text,) = (each for each in what_if_answer(found).hinges_on if "nodes in service" in each)
    assert text.endswith("there is no such wait; 4 more jobs can never run and are left out.")
