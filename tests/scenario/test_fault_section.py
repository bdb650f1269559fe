"""Faults of the network in a scenario: dates, seeds, checkpoints, services, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.analysis.measures import measure
from clustersim.availability.checkpointing import optimal_interval_s
from clustersim.availability.failure_spec import Failures
from clustersim.cli.main import main
from clustersim.cli.texts.result_text import result_text
from clustersim.explanation.text import run_text
from clustersim.files import validate
from clustersim.report.marks import fault_marks, outage_marks
from clustersim.scenario.resolved import ResolvedScenario, resolve
from clustersim.simulation.no_progress import checkpoint_notes
from clustersim.studies.meaning import paths_that_set_the_rate
from tests.topology.fabric_clusters import FABRICS

DAY_S = 86400.0


def tree(fabric: str = "one rail", *, nodes: int = 8, **fields: Any) -> dict[str, Any]:
    """A job of 4 nodes and one of a single node, of 10 hours each."""
    pool = {"accelerator": "H200", "nodes": nodes, "nic": "400 Gb/s", "fabric": FABRICS[fabric]}
    job_class = {
        "name": "job",
        "weight": 1,
        "sizes": {32: 1},
        "duration": {"kind": "constant", "value": "10 h"},
    }
    generate = {"arrivals": {"mean_interarrival": "1 min"}, "classes": [job_class]}
    return {
        "cluster": {"name": "site", "pools": {"a": pool}},
        "workload": {"generate": generate, "jobs": 2},
        **fields,
    }


def resolved(**fields: Any) -> ResolvedScenario:
    return resolve(cs.define_scenario(tree(**fields)))


def random_leaves(**fields: Any) -> dict[str, Any]:
    source = {
        "name": "firmware",
        "of": "leaf",
        "time_to_failure": {"kind": "exponential", "average": "20 d"},
        "repair": {"kind": "constant", "value": "1 h"},
    }
    return {"faults": {"sources": [source], **fields}}


def test_times_may_be_dates() -> None:
    event = {"of": "a/leaf/0", "at": "2026-04-02", "until": "2026-04-02T12:00"}
    own = resolved(start="2026-04-01", network={"faults": {"events": [event]}})
    assert own.network_faults is not None
    [fault] = own.network_faults.sequence
    assert (fault.begin_s, fault.end_s) == (DAY_S, 1.5 * DAY_S)


def test_random_faults_are_those_of_the_seed() -> None:
    def drawn(**fields: Any) -> list[tuple[float, str]]:
        own = resolved(network=random_leaves(), horizon="300 d", **fields)
        assert own.network_faults is not None
        return [(fault.begin_s, fault.part) for fault in own.network_faults.sequence]

    first = drawn(seed=1)
    assert 20 < len(first) < 100, "4 leaves fail every 20 days"
    assert first == drawn(seed=1) != drawn(seed=2)
    assert first != drawn(seed=1, replication=1)
    result = cs.run(tree(network=random_leaves(), horizon="300 d", seed=1))
    assert result.network_faults is not None
    found = result.network_faults
    assert list(zip(found["begin_s"], found["part"], strict=True)) == first


def test_the_optimal_interval_knows_how_often_leaves_stop_a_gang() -> None:
    """4 nodes depend on 2 leaves that fail every 20 days; with other failures, rates add up."""
    checkpoints: dict[str, Any] = {"checkpoints": {"cost": "30 s"}}

    def interval_s(fabric: str, **failures: Any) -> float:
        own = resolved(fabric=fabric, network=random_leaves(), failures=checkpoints | failures)
        return float(own.recovery().interval_s[0][0])

    expected = float(optimal_interval_s(30.0, 10 * DAY_S))
    assert interval_s("one rail") == pytest.approx(expected)
    assert interval_s("rails") == np.inf, "a leaf of several stops nobody"
    life = {"kind": "exponential", "average": "40 d"}
    node = {"name": "gpu", "time_to_failure": life, "repair": life}
    both = float(optimal_interval_s(30.0, 5 * DAY_S))
    assert interval_s("one rail", sources=[node]) == pytest.approx(both)
    spec = validate(Failures, checkpoints, "failures")
    assert len(checkpoint_notes(spec)) == 1
    assert checkpoint_notes(spec, network_stops=True) == []


def test_services_avoid_nodes_that_are_cut_off() -> None:
    service = {
        "name": "chat",
        "pool": "a",
        "peak_requests_per_s": 16.0,
        "input_tokens": 300,
        "output_tokens": 200,
        "tokens_per_s_per_chip": 500,
        "shape": [1.0] * 24,
    }
    event = {"of": "a/leaf/0", "at": "2 h", "until": "5 h"}
    result = cs.run(
        tree(
            serving={"services": [service]},
            network={"faults": {"events": [event]}},
            horizon="1 d",
        )
    )
    outages = result.outages
    assert outages is not None
    served = outages[outages["kind"] == "service"]
    cut = outages[outages["kind"] == "cut off"]
    assert cut[["node", "begin_s", "end_s"]].to_numpy().tolist() == [
        [0, 7200, 18000],
        [1, 7200, 18000],
    ]
    for _, row in served.iterrows():
        apart = row["end_s"] <= 7200 or row["begin_s"] >= 18000
        assert row["node"] not in (0, 1) or apart
    assert len(served) > 2


def test_rates_in_both_sections_are_noted() -> None:
    fields = {
        "network": {"faults": {"sources": ["meta-llama3"]}},
        "failures": {"sources": "meta-llama3"},
        "horizon": "1 d",
    }
    lines = cs.run(tree(**fields)).provenance["assumptions"]
    assert [line for line in lines if "both use meta-llama3" in line]
    fields["network"] = {"faults": {"sources": ["alibaba-hpn"]}}
    assert "assumptions" not in cs.run(tree(**fields)).provenance


def test_the_jobs_per_day_do_not_depend_on_faults() -> None:
    paths = ["network.faults", "network.faults.rate", "network.load_balancing"]
    assert paths_that_set_the_rate(paths) == ["network.load_balancing"]


def test_texts_marks_metrics_and_explanations_say_what_happened() -> None:
    """One of two jobs is stopped after 2 h, an hour after its checkpoint, and waits for 6 h.

    A third one waits from its submission on.
    """
    events = [
        {"name": "cut", "of": "a/leaf/0", "at": "2 h", "until": "8 h"},
        {"of": "a/spine/0", "at": "1 d", "capacity": 0.5},
    ]
    result = cs.run(
        tree(
            network={"faults": {"events": events}},
            failures={"checkpoints": {"interval": "1 h", "cost": "1 s", "restart": "1 s"}},
            horizon="2 d",
        ),
        {"workload.jobs": 3},
    )
    text = result_text(result)
    assert "1 restart of jobs on nodes that faults cut off from the network" in text
    assert "network: 2 faults (1 down, 1 degraded); nodes were cut off 2 times, which" in text
    assert result.network_faults is not None
    assert result.outages is not None
    marks = fault_marks(result.network_faults)
    assert [(mark.time_s, mark.kind, mark.pool) for mark in marks] == [
        (7200, "network fault: cut", "a"),
        (DAY_S, "network fault: a/spine/0", "a"),
    ]
    assert marks[1].text == "a/spine/0 at 50.0 % of its rate, never repaired"
    assert {mark.kind for mark in outage_marks(result.outages)} == {"cut off from the network: cut"}
    found = measure(result, warm_up=0.0, cool_down=0.0, periods=1, asked=["lost_work_network"])
    attempts = result.attempts
    assert attempts is not None
    assert attempts["stopped"].tolist().count("network") == 1
    lost_s = attempts["lost_s"].sum()
    assert 3500 < lost_s < 3600
    held_s = (attempts["end_s"] - attempts["start_s"]).sum()
    assert found.metrics["lost_work_network@1"] == pytest.approx(lost_s / held_s)
    causes = cs.explain(result)
    assert "after a fault of the network (1 wait)" in run_text(causes)
    phases = causes.phases.set_index("phase")["waits"]
    assert phases["network_fault"] == 1
    quiet = cs.run(tree(network={"faults": {"events": events[1:]}}, horizon="12 h"))
    assert "network: no part of it failed" in result_text(quiet)
    assert "network_fault" not in cs.explain(quiet).phases["phase"].tolist()


def test_replay_with_a_fault(tmp_path: Path) -> None:
    """A section in YAML as the value of an option; the job leaves the unit for half an hour."""
    log, cluster = tmp_path / "log.csv", tmp_path / "cluster.yaml"
    log.write_text("job_id,submit_s,n_accelerators,duration_s\n1,0,64,3600\n")
    YAML(typ="safe", pure=True).dump(tree("rails")["cluster"], cluster)
    words = ["replay", str(log), "--policy", "fcfs", "--cluster", str(cluster), "--no-report"]
    faults = "faults={events: [{of: a/leaf/0, at: 10 min, duration: 30 min}]}"
    share = "communication_share=0.5"
    out = tmp_path / "out"
    assert main([*words, "--network", faults, "--network", share, "--out", str(out)]) == 0
    slow = 0.5 + 0.5 * 8 / 7
    result = cs.Result.load(out)
    assert result.jobs["finish_s"].tolist() == pytest.approx([3600 + 1800 - 1800 / slow])
