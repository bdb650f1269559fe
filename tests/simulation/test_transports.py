"""The fabric between nodes that a topology names changes the speed of jobs on it."""

from __future__ import annotations

from typing import get_args

import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.network.fabrics import FABRIC_NAMES
from clustersim.simulation.speeds import Speeds
from clustersim.topology import PoolSpec, compile_cluster, resolve_cluster

CATALOGUE = cs.load_catalogue()
JOB = ("llama3-70b", 256)


def cluster(**pool):
    pools = {"gpu": {"accelerator": "H100", "nodes": 64, **pool}}
    return resolve_cluster({"name": "one pool", "pools": pools}, CATALOGUE)


def seconds_per_token(**pool):
    (speed,) = Speeds(compile_cluster(cluster(**pool)), CATALOGUE).of_models([JOB])
    return float(speed.seconds_per_token[0])


def test_topologies_may_name_every_fabric():
    named = get_args(get_args(PoolSpec.model_fields["transport"].annotation)[0])
    assert named == FABRIC_NAMES


def test_infiniband_is_what_pools_without_a_name_have():
    assert cluster().pools["gpu"].transport == "infiniband"
    assert seconds_per_token(transport="infiniband") == seconds_per_token()
    # No publication measured both on the same chips, so both have the same fitted constants.
    assert seconds_per_token(transport="roce") == seconds_per_token()


def test_slower_fabrics_slow_jobs_down():
    usual, efa, tcpx = (
        seconds_per_token(transport=name, nic="200 Gb/s") for name in ("infiniband", "efa", "tcpx")
    )
    assert usual < efa < 1.5 * usual
    assert usual < tcpx < 1.5 * usual


def test_the_fabric_of_a_chip_counts_where_the_topology_names_none():
    assert compile_cluster(cluster(transport="efa")).pools[0].transport == "efa"
    assert cs.single_pool(8).pools[0].transport is None


def test_an_unknown_fabric_is_refused():
    with pytest.raises(InputError, match=r"pools.gpu.transport: .*'efa'"):
        cluster(transport="efs")
