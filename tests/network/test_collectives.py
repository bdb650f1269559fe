"""Collectives by hand, and against what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    members_inside,
    point_to_point_seconds,
    reduce_scatter_seconds,
)

GB = 1e9


def links(*, mesh=False, scaleup=400 * GB, nic=50 * GB, size=8.0, latency=0.0):
    return Links(
        scaleup_Bps=np.array(scaleup),
        nic_Bps=np.array(nic),
        scaleup_size=np.array(size),
        mesh=np.array(mesh),
        mesh_peers=np.array(7.0),
        scaleup_latency_s=latency,
        nic_latency_s=latency,
    )


def number(value):
    return np.array(float(value))


def test_one_rank_sends_nothing():
    for collective in (all_gather_seconds, all_reduce_seconds, all_to_all_seconds):
        assert collective(number(1e9), number(1), number(1), links(latency=1.0)) == 0


def test_all_reduce_behind_a_switch():
    # 2 x 7/8 x 8 GB over 400 GB/s
    seconds = all_reduce_seconds(number(8e9), number(8), number(1), links())
    assert seconds == pytest.approx(2 * 7 / 8 * 8 / 400)


def test_gather_and_scatter_take_the_same_time():
    args = (number(3e9), number(32), number(2), links(latency=1e-5))
    assert all_gather_seconds(*args) == reduce_scatter_seconds(*args)


def test_across_domains_the_slower_level_counts():
    # 32 ranks in 4 domains of 8: each chip receives 3/4 of an eighth by its own network
    seconds = all_gather_seconds(number(8e9), number(32), number(1), links(nic=5 * GB))
    assert seconds == pytest.approx(3 / 4 * 1 / 5)
    fast_network = all_gather_seconds(number(8e9), number(32), number(1), links(nic=1e15))
    assert fast_network == pytest.approx(7 / 8 * 8 / 400)


def test_stride_leaves_fewer_members_inside():
    assert members_inside(number(16), number(4), links()) == 2
    assert members_inside(number(16), number(8), links()) == 1
    assert members_inside(number(2), number(1), links()) == 2
    assert members_inside(number(16), number(3), links()) == 2


def test_latency_counts_once_inside_and_per_doubling_across():
    inside = all_gather_seconds(number(0), number(8), number(1), links(latency=1.0))
    across = all_gather_seconds(number(0), number(64), number(1), links(latency=1.0))
    assert inside == 1.0
    assert across == 1.0 + 3.0


def test_mesh_of_the_910b_against_measurements():
    """All-reduce of 18, 30 and 72 GB/s on 2, 4 and 8 chips (gameofdimension/limulidae)."""
    mesh = links(mesh=True, scaleup=196 * GB * 0.63)
    rates = [
        1e9 / all_reduce_seconds(number(1e9), number(n), number(1), mesh) / GB for n in (2, 4, 8)
    ]
    assert rates == pytest.approx([18, 30, 72], rel=0.2)
    gathers = [
        1e9 / all_gather_seconds(number(1e9), number(n), number(1), mesh) / GB for n in (2, 4, 8)
    ]
    assert gathers == pytest.approx([38, 64, 149], rel=0.2)


def test_switch_of_the_h100_against_measurements():
    """Bus bandwidth of a ring on 4 H200 is 363 GB/s of 450 (stas00/ml-engineering, NVLS off)."""
    switch = links(scaleup=450 * GB * 0.8)
    seconds = all_reduce_seconds(number(8.6e9), number(4), number(1), switch)
    assert 2 * 3 / 4 * 8.6e9 / seconds / GB == pytest.approx(363, rel=0.03)


def test_all_to_all_by_hand():
    # 16 ranks, 8 inside: 7/16 of 16 GB inside, 8/16 across
    seconds = all_to_all_seconds(number(16e9), number(16), number(1), links())
    assert seconds == pytest.approx(max(7 / 400, 8 / 50))


def test_point_to_point():
    assert point_to_point_seconds(number(4e9), number(1), links()) == pytest.approx(0.01)
    assert point_to_point_seconds(number(5e9), number(8), links()) == pytest.approx(0.1)
    mesh = links(mesh=True, scaleup=196 * GB)
    assert point_to_point_seconds(number(28e9), number(1), mesh) == pytest.approx(1.0)


@given(
    size=st.floats(1, 1e12),
    ranks=st.integers(1, 4096),
    stride=st.integers(1, 64),
    mesh=st.booleans(),
    factor=st.floats(1, 100),
)
def test_more_bandwidth_is_never_slower(size, ranks, stride, mesh, factor):
    for collective in (all_gather_seconds, all_to_all_seconds):
        args = (number(size), number(ranks), number(stride))
        slow = collective(*args, links(mesh=mesh))
        assert collective(*args, links(mesh=mesh, scaleup=400 * GB * factor)) <= slow
        assert collective(*args, links(mesh=mesh, nic=50 * GB * factor)) <= slow
        assert slow >= 0
