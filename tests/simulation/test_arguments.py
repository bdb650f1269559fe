"""Arguments of `simulate` and `Scheduling` that cannot be used are refused in words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.simulation.runtimes import Runtimes, find_runtimes
from clustersim.simulation.simulate import NodeEvents
from clustersim.simulation.speeds import RunTimeModel, Speeds

JOBS = pd.DataFrame(
    {
        "job_id": [1, 2, 3],
        "submit_s": [0.0, 5.0, 6.0],
        "n_accelerators": [8, 8, 16],
        "duration_s": [60.0, 60.0, 30.0],
    }
)
CATALOGUE = cs.load_catalogue()
SPEC = cs.load_cluster("mixed-small", CATALOGUE)
CLUSTER = cs.compile_cluster(SPEC)
POOL = cs.single_pool(16)


class NotAPolicy:
    """Of no use to a scheduler."""


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name for a cluster": (
        {"cluster": "mixed-small"},
        r"cluster: .*found 'mixed-small'; .*load_cluster\('mixed-small'",
    ),
    "a topology that is not compiled": ({"cluster": SPEC}, r"cluster: .*compile_cluster\(spec\)"),
    "a number for a cluster": ({"cluster": 64}, r"cluster: .*found 64; .*single_pool\(64\)"),
    "None for a cluster": ({"cluster": None}, r"cluster: .*found None"),
    "a log for jobs": (
        {"jobs": cs.read_jobs("experiments/sample_jobs.csv")},
        r"jobs: .*found a JobLog; use its attribute \.jobs",
    ),
    "a path for jobs": ({"jobs": "jobs.csv"}, r"jobs: .*found 'jobs\.csv'; .*read_jobs\(path\)"),
    "a table without sizes": (
        {"jobs": JOBS.drop(columns="n_accelerators")},
        r"jobs: .*n_accelerators",
    ),
    "a name for the scheduling": (
        {"scheduling": "easy"},
        r"scheduling: .*found 'easy'; use clustersim\.Scheduling\(policy='easy'\)",
    ),
    "a mapping for the scheduling": ({"scheduling": {"policy": "easy"}}, r"found a dict; use"),
    "a misspelt policy": ({"scheduling": cs.Scheduling("fcsf")}, r"policy: .*did you mean 'fcfs'"),
    "a path for a catalogue": ({"catalogue": "own.yaml"}, r"catalogue: .*load_catalogue\(\)"),
    "a name for run times": ({"run_times": "H200"}, r"run_times: must be a RunTimeModel"),
    "run times of other jobs": (
        {"run_times": Runtimes(np.ones((1, 2)), np.ones((1, 2)), {})},
        r"run_times: run_s: has shape \(1, 2\); expected \(1, 3\)",
    ),
    "a table for node events": ({"node_events": JOBS}, r"node_events: .*found a DataFrame"),
    "a number for node events": ({"node_events": 3}, r"node_events: .*found 3"),
    "a tuple for an event": ({"node_events": [(0, 1, 0, 0)]}, r"at index 0: must be a NodeEvent"),
    "an event of a pool that is not there": (
        {"node_events": [NodeEvent(0, 1, 2, 0)]},
        r"at index 0: there is no pool with index 2; number of pools: 1",
    ),
    "an event of a node that is not there": (
        {"node_events": NodeEvents([NodeEvent(0, 1, 0, 0), NodeEvent(0, 1, 0, 16)])},
        r"at index 1: there is no node with index 16; number of nodes in pool \S+: \d+",
    ),
    "events out of order": (
        {"node_events": [NodeEvent(5, 6, 0, 0), NodeEvent(4, 5, 0, 0)]},
        r"at index 1: begins at 4 s, before the previous event \(5 s\)",
    ),
    "seconds for the recovery": ({"recovery": 60.0}, r"recovery: must be a Recovery, found 60\.0"),
    "a text for a horizon": ({"horizon_s": "7 d"}, r"horizon_s: .*above 0, found '7 d'"),
    "a horizon of nothing": ({"horizon_s": 0}, r"horizon_s: .*found 0"),
    "no number for a horizon": ({"horizon_s": math.nan}, r"horizon_s: .*found nan"),
    "True for a horizon": ({"horizon_s": True}, r"horizon_s: .*found True"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_argument_that_cannot_be_used_is_refused(case: str) -> None:
    given, words = REFUSED[case]
    arguments: dict[str, Any] = {"jobs": JOBS, "cluster": POOL, **given}
    with pytest.raises(cs.InputError, match=words):
        cs.simulate(**arguments)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cs.Scheduling(choose="fast"), r"choose: .*'fast'; did you mean 'fastest'"),
        (lambda: cs.Scheduling(choose=None), r"choose: unknown choice None; .*best_value"),
        (lambda: cs.Scheduling(policy=3), r"policy: must be a name.*found 3"),
        (lambda: cs.Scheduling(policy=NotAPolicy), r"policy: .*subclass of Policy.*NotAPolicy"),
        (lambda: cs.Scheduling(placement=NotAPolicy), r"placement: .*subclass of Placement"),
        (lambda: cs.Scheduling(wait_for_best="no"), r"wait_for_best: .*True or False, found 'no'"),
        (lambda: cs.Scheduling(exact_estimates=1), r"exact_estimates: .*found 1"),
        (lambda: cs.Scheduling(longest_call_s=0), r"longest_call_s: .*found 0"),
        (lambda: cs.Scheduling(folder=None), r"folder: must be a path, found None"),
    ],
)
def test_a_scheduling_that_cannot_be(make: Callable[[], object], words: str) -> None:
    with pytest.raises(cs.InputError, match=words):
        make()


def test_all_problems_of_a_scheduling_are_reported_at_once() -> None:
    with pytest.raises(cs.InputError) as error:
        cs.Scheduling(choose="best", wait_for_best=1, longest_call_s=math.inf)
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("outages", "node_events"),
        ("demands", "NodeEvents"),
        ("reference_accelerator", "run_times=RunTimeModel"),
        ("reference_models", "run_times=RunTimeModel"),
        ("draw", "run_times=RunTimeModel"),
        ("precision", "run_times=RunTimeModel"),
        ("ports", "with_software"),
        ("provenance", "with_provenance"),
    ],
)
def test_a_former_argument_is_refused_with_the_new_one(former: str, now: str) -> None:
    with pytest.raises(cs.InputError, match=f"simulate: {former}: was replaced by .*{now}"):
        cs.simulate(JOBS, POOL, **{former: None})


def test_simulate_takes_few_arguments() -> None:
    assert list(inspect.signature(cs.simulate).parameters) == [
        *("jobs", "cluster", "scheduling", "catalogue", "run_times", "node_events", "recovery"),
        *("network", "horizon_s", "by_node", "check", "progress"),
    ]


def test_run_times_are_given_as_they_are_or_as_their_model() -> None:
    """Recorded on H200; on another chip the same job takes as long as the model says."""
    model = RunTimeModel("H200", {"default": "llama3-8b"})
    own = find_runtimes(JOBS, Speeds(CLUSTER, CATALOGUE, model))
    named, given = (
        cs.simulate(JOBS, CLUSTER, catalogue=CATALOGUE, run_times=each).jobs
        for each in (model, own)
    )
    pd.testing.assert_frame_equal(named, given)
    longer = Runtimes(2 * own.run_s, 2 * own.estimate_s, {})
    twice = cs.simulate(JOBS, CLUSTER, catalogue=CATALOGUE, run_times=longer).jobs
    spent = [(table["finish_s"] - table["start_s"]).to_numpy() for table in (named, twice)]
    np.testing.assert_allclose(spent[1], 2 * spent[0])


def test_exact_estimates_are_the_run_times() -> None:
    """Job 2 asks for 100 s and runs 10: it backfills ahead of job 1 only where that is known."""
    log = pd.DataFrame(
        {
            "job_id": [0, 1, 2],
            "submit_s": [0.0, 1.0, 2.0],
            "n_accelerators": [8, 16, 8],
            "duration_s": [60.0, 60.0, 10.0],
            "estimate_s": [60.0, 60.0, 100.0],
        }
    )
    starts = {
        exact: cs.simulate(log, POOL, cs.Scheduling("easy", exact_estimates=exact))
        .jobs["start_s"]
        .tolist()
        for exact in (False, True)
    }
    assert starts == {False: [0, 60, 120], True: [0, 60, 2]}


def test_events_may_come_as_a_list_or_an_iterator() -> None:
    fleet = cs.compile_cluster(
        cs.load_cluster("mixed-small", CATALOGUE).model_copy(update={"datacenter_network": None})
    )
    out = [NodeEvent(10, 100, pool, 0) for pool in range(len(fleet.pools))]
    placed = cs.Scheduling(placement="consolidate")
    recovery = Recovery([[math.inf] * 3] * len(fleet.pools), [0.0] * 3, [0.0] * 3)
    tables = [
        cs.simulate(JOBS, fleet, placed, node_events=events, recovery=recovery).jobs
        for events in (out, iter(out), NodeEvents(out), NodeEvents(iter(out)))
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
