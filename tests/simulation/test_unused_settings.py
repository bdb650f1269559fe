"""Settings of the network and of the storage that change nothing are named in a note."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.notes import forget_notes
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.simulation.networked.unused_settings import unused_settings
from tests.simulation.fleets import jobs
from tests.topology.fabric_clusters import fabric_cluster

RAILS = fabric_cluster("rails")
LATE = {"of": "a/leaf/3", "at": "100 d"}


def notes_of_run(network: dict[str, Any], **options: Any) -> list[str]:
    """Return the notes on single settings in a run of 100 s."""
    log = jobs([(0, 16, 100)])
    result = cs.replay(log, policy="fcfs", cluster=RAILS, network=network, **options)
    return [text for text in result.provenance["notes"] if text.startswith("network.")]


@pytest.mark.parametrize(
    ("network", "field"),
    [
        ({"queue_pairs": 4}, "network.queue_pairs: 4"),
        ({"queue_pairs": 4, "load_balancing": "adaptive"}, "network.queue_pairs: 4"),
        ({"contention": False, "tolerance": 0.1}, "network.tolerance: 0.1"),
        ({"faults": {"rate": 5}}, "network.faults.rate: 5"),
        (
            {"faults": {"events": [{"of": "a/leaf/0", "at": 0}, LATE]}},
            "network.faults.events[1].at",
        ),
    ],
)
def test_a_setting_of_the_network_that_changes_nothing_is_named(
    network: dict[str, Any], field: str
) -> None:
    [text] = notes_of_run(network)
    assert text.startswith(field)


def test_settings_that_count_have_no_note() -> None:
    assert notes_of_run({"queue_pairs": 4, "load_balancing": "ecmp", "tolerance": 0.1}) == []
    random = {"rate": 5, "sources": "alibaba-hpn"}
    early = [{"of": "a/leaf/0", "at": "99 s"}]
    assert notes_of_run({"faults": {**random, "events": early}}) == []


def test_an_event_may_follow_an_interrupt() -> None:
    spec = NetworkSpec.model_validate({"faults": {"events": [LATE]}})
    assert len(unused_settings(spec, 100.0)) == 1
    assert unused_settings(spec, None) == []


MODELS = {"model": ["llama3-8b", "llama3-8b"]}
SHARED = {"write": "1 TB/s"}
SIZED = {**SHARED, "checkpoint_per_accelerator": "1 GB"}


@pytest.mark.parametrize(
    ("checkpoints", "columns", "field"),
    [
        (
            {"storage": {**SIZED, "files_per_accelerator": 4}},
            {},
            "storage.files_per_accelerator: 4",
        ),
        ({"storage": SIZED}, MODELS, "storage.checkpoint_per_accelerator: 1 GB"),
        ({"storage": {**SIZED, "dependents": "state"}}, {}, "storage.dependents: state"),
        ({"storage": SIZED, "cost": "5 s"}, {}, "cost: 5 s"),
        ({"storage": "1 TB/s"}, {}, "storage: 1 TB/s"),
        ({"storage": SIZED, "host_link": "1 GB/s"}, {}, "host_link: 1 GB/s"),
    ],
)
def test_a_setting_of_checkpoints_that_changes_nothing_is_named(
    checkpoints: dict[str, Any],
    columns: dict[str, Any],
    field: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forget_notes()
    log = jobs([(0, 16, 100), (0, 16, 100)]).assign(**columns)
    log = log.assign(after_ok=pd.array([None, None], dtype="string"))
    chosen = {"interval": "30 s", **checkpoints}
    cs.replay(log, policy="fcfs", cluster=RAILS, checkpoints=chosen)
    written = capsys.readouterr().err
    assert f"Note: failures.checkpoints.{field} has no effect, because" in written
    assert written.count("has no effect") == 1


def test_settings_of_checkpoints_that_count_have_no_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forget_notes()
    log = jobs([(0, 16, 100), (0, 16, 100)]).assign(**{"model": ["llama3-8b", ""]})
    log["after_ok"] = pd.array([None, log["job_id"].astype(str)[0]], dtype="string")
    files = {"files_per_accelerator": 4, "metadata_rate": 1000, "dependents": "weights"}
    chosen = {"asynchronous": True, "host_link": "1 TB/s", "storage": {**SIZED, **files}}
    cs.replay(log, policy="fcfs", cluster=RAILS, checkpoints={"interval": "30 s", **chosen})
    assert "has no effect" not in capsys.readouterr().err
