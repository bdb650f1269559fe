"""Shared storage in the section ``failures``: its settings, and the systems of pools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from clustersim.availability.failure_spec import Checkpointing, FailureSource
from clustersim.availability.failures import failures, gang_mttf_s
from clustersim.availability.storage_spec import SharedStorageSpec, systems_of
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.schemas import schema
from clustersim.seeds import Streams
from tests.simulation.fleets import cluster, pool


def spec(**fields: Any) -> SharedStorageSpec:
    given = {"write": "1 TB/s", **fields}
    found = validate(Checkpointing, {"storage": given}, "checkpoints").storage
    assert isinstance(found, SharedStorageSpec)
    return found


def test_a_rate_is_for_each_job_and_a_mapping_for_all() -> None:
    assert validate(Checkpointing, {"storage": "2 TB/s"}, "c").storage == 2e12
    assert spec().write == 1e12
    copies = {"asynchronous": True, "storage": {"write": "1 TB/s"}}
    assert validate(Checkpointing, copies, "c").asynchronous


def test_a_pool_has_what_it_says_and_otherwise_what_the_others_have() -> None:
    shared = spec(
        client="10 GB/s",
        efficiency={"64": 0.5, "8": 1},
        restores_at_once=4,
        pools={"b": {"write": "2 TB/s", "restores_at_once": 1}, "c": {"read": "3 TB/s"}},
    )
    systems, at_once, system_of = systems_of(shared, cluster(*map(pool, "abc")))
    assert list(systems) == ["shared", "b", "c"]
    assert system_of == [0, 1, 2]
    assert at_once == [4, 1, 4]
    rates = [(each.write_Bps, each.read_Bps) for each in systems.values()]
    assert rates == [(1e12, 1e12), (2e12, 2e12), (1e12, 3e12)]
    for each in systems.values():
        assert each.client_Bps == 10e9
        assert each.metadata_per_s == math.inf
        assert each.efficiency == ((8.0, 1.0), (64.0, 0.5))
    with_reads = spec(read="5 TB/s", pools={"b": {"write": "2 TB/s"}})
    assert systems_of(with_reads, cluster(pool("b")))[0]["b"].read_Bps == 5e12


def test_it_is_written_and_read_again_as_it_was() -> None:
    first = Checkpointing(storage=spec(efficiency={8: 0.5}, pools={"b": {"read": "3 TB/s"}}))
    again = validate(Checkpointing, first.model_dump(mode="json", exclude_none=True), "c")
    assert again == first


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ({"read": "1 TB/s"}, "storage.write: is required but absent"),
        ({"writes": "1 TB/s"}, "storage.writes: unknown key; did you mean 'write'"),
        ({"write": "0 TB/s"}, "storage.write: input should be greater than 0"),
        ({"write": "fast"}, "storage.write: expected bandwidth, found 'fast'"),
        ({"write": "1 TB/s", "dependents": "weight"}, "did you mean 'weights'"),
        ({"write": "1 TB/s", "restores_at_once": 0}, "storage.restores_at_once: input should be"),
        ({"write": "1 TB/s", "efficiency": {8: 0.5, 64: 0.7}}, "must not rise with the number of"),
        ({"write": "1 TB/s", "efficiency": {8: 1.5}}, "storage.efficiency.8: input should be less"),
        (
            {"write": "1 TB/s", "metadata_rate": 9, "files_per_accelerator": 0},
            "storage: metadata_rate has no effect if files_per_accelerator is 0",
        ),
        ({"write": "1 TB/s", "pools": {"b": {"tolerance": 1}}}, "storage.pools.b.tolerance: unkn"),
        ([1], "storage: expected bandwidth"),
    ],
)
def test_what_is_wrong_is_named(storage: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        validate(Checkpointing, {"storage": storage}, "checkpoints")
    assert message in str(error.value)


def test_editors_know_its_fields() -> None:
    text = str(schema("scenario"))
    for field in ("checkpoint_per_accelerator", "restores_at_once", "files_per_accelerator"):
        assert field in text


def test_a_power_failure_takes_all_nodes_of_a_pool() -> None:
    source = FailureSource.model_validate(
        {
            "name": "power",
            "of": "pool",
            "time_to_failure": {"kind": "constant", "value": "10 d"},
            "repair": {"kind": "constant", "value": "1 h"},
        }
    )
    fleet = cluster(pool("a", 3), pool("b", 2))
    events = list(failures(fleet, [source], Streams(1), until_s=11 * 86400.0))
    assert sorted((event.begin_s, event.pool, event.node) for event in events) == [
        (864000.0, 0, 0), (864000.0, 0, 1), (864000.0, 0, 2), (864000.0, 1, 0), (864000.0, 1, 1),
    ]  # fmt: skip
    mttf_s = gang_mttf_s([source], fleet.pools[0], np.array([1, 8, 24]))
    assert mttf_s.tolist() == [864000.0] * 3
