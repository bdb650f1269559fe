"""Collectives by hand, and what must hold for all of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.network.collectives import (
    Links,
    all_gather,
    all_gather_seconds,
    all_reduce,
    all_reduce_seconds,
    all_to_all,
    all_to_all_seconds,
    members_inside,
    point_to_point,
    point_to_point_seconds,
    reduce_scatter_seconds,
    token_exchange,
)

GB = 1e9
GROUPED = (all_gather_seconds, reduce_scatter_seconds, all_reduce_seconds, all_to_all_seconds)


def links(*, mesh=False, scaleup=400 * GB, nic=50 * GB, size=8.0, latency=0.0, **more):
    return Links(
        scaleup_Bps=np.array(scaleup),
        nic_Bps=np.array(nic),
        scaleup_size=np.array(size),
        mesh=np.array(mesh),
        mesh_peers=np.array(7.0),
        scaleup_latency_s=latency,
        nic_latency_s=latency,
        **more,
    )


def number(value):
    return np.array(float(value))


@pytest.mark.parametrize("collective", GROUPED)
@pytest.mark.parametrize("mesh", [False, True])
def test_one_rank_sends_nothing(collective, mesh):
    busy = links(mesh=mesh, latency=1.0, reduce_cost=1.0, scaleup_step_s=1.0, scaleup_slope=1.0)
    assert collective(number(1e9), number(1), number(1), busy) == 0
    assert collective(number(1e9), number(1), number(64), busy) == 0


def test_all_reduce_behind_a_switch():
    # 2 x 7/8 x 8 GB over 400 GB/s
    seconds = all_reduce_seconds(number(8e9), number(8), number(1), links())
    assert seconds == pytest.approx(2 * 7 / 8 * 8 / 400)


def test_the_switch_reduces_where_that_is_faster():
    def seconds(ranks, **more):
        args = (number(8e9), number(ranks), number(1), links(reduce_cost=1.25, **more))
        return all_reduce_seconds(*args)

    # 8 chips: 9/8 x 8 GB at 400 / 1.25 GB/s beats 14/8 x 8 GB at 400 GB/s
    assert seconds(8) == pytest.approx(9 / 8 * 8 / 320)
    # 2 chips: a ring moves 8 GB, the switch 12 GB
    assert seconds(2) == pytest.approx(8 / 400)
    # it is used between two domains, and not among more
    assert seconds(16, nic=1e15) == pytest.approx(9 / 8 * 8 / 320)
    assert seconds(32, nic=1e15) == pytest.approx(2 * 31 / 32 * 8 / 400)


def test_gather_and_scatter_take_the_same_time():
    args = (number(3e9), number(32), number(2), links(latency=1e-5))
    assert all_gather_seconds(*args) == reduce_scatter_seconds(*args)


def test_across_domains_the_slower_level_counts():
    # 32 ranks in 4 domains of 8: a ring leaves each domain over 8 network interfaces
    seconds = all_gather_seconds(number(8e9), number(32), number(1), links(nic=5 * GB))
    assert seconds == pytest.approx(31 / 32 * 8 / (8 * 5))
    fast_network = all_gather_seconds(number(8e9), number(32), number(1), links(nic=1e15))
    assert fast_network == pytest.approx(31 / 32 * 8 / 400)


def test_all_reduce_across_domains_is_a_tree_for_two_and_a_ring_for_more():
    def seconds(ranks, **more):
        return all_reduce_seconds(number(8e9), number(ranks), number(1), links(**more))

    assert seconds(16, nic=5 * GB) == pytest.approx(8 / (8 * 5))
    assert seconds(32, nic=5 * GB) == pytest.approx(2 * 31 / 32 * 8 / (8 * 5))
    # a mesh reduces inside first: 2 x 3/4 of an eighth leaves by each chip
    assert seconds(32, nic=5 * GB, mesh=True) == pytest.approx(2 * 3 / 4 * 8 / (8 * 5))


def test_ranks_of_one_chip_a_domain_ring_over_the_network():
    seconds = all_gather_seconds(number(8e9), number(4), number(8), links(scaleup=1.0))
    assert seconds == pytest.approx(3 / 4 * 8 / 50)
    seconds = all_reduce_seconds(number(8e9), number(4), number(8), links(scaleup=1.0))
    assert seconds == pytest.approx(2 * 3 / 4 * 8 / 50)


def test_a_mesh_exchanges_over_the_links_of_its_members():
    # 4 of 8 chips: a quarter of 28 GB over each of three links of 70 / 7 GB/s
    mesh = links(mesh=True, scaleup=70 * GB)
    assert all_gather_seconds(number(28e9), number(4), number(1), mesh) == pytest.approx(0.7)
    assert all_reduce_seconds(number(28e9), number(4), number(1), mesh) == pytest.approx(1.4)
    assert all_to_all_seconds(number(28e9), number(4), number(1), mesh) == pytest.approx(0.7)


def test_stride_leaves_fewer_members_inside():
    assert members_inside(number(16), number(4), links()) == 2
    assert members_inside(number(16), number(8), links()) == 1
    assert members_inside(number(2), number(1), links()) == 2
    assert members_inside(number(16), number(3), links()) == 2


@pytest.mark.parametrize("collective", GROUPED)
def test_latency_counts_once_inside_and_per_doubling_across(collective):
    slow = links(latency=1.0)
    assert collective(number(0), number(8), number(1), slow) == 1.0
    assert collective(number(0), number(64), number(1), slow) == 1.0 + 3.0
    assert collective(number(0), number(16), number(8), slow) == 4.0


def test_the_protocol_switch_costs_a_share_of_small_and_a_step_of_large_messages():
    switching = links(scaleup_slope=2.0, scaleup_step_s=1.0, nic_slope=3.0, nic_step_s=0.5)

    def seconds(gigabytes, ranks, stride=1):
        return all_gather_seconds(number(gigabytes * 1e9), number(ranks), number(stride), switching)

    wire = 7 / 8 * 8 / 400
    assert seconds(8, 8) == pytest.approx(3 * wire)
    assert seconds(8000, 8) == pytest.approx(1000 * wire + 1.0)
    # one chip a domain, 4 domains: two doublings
    far = 3 / 4 * 8 / 50
    assert seconds(8, 4, stride=8) == pytest.approx(4 * far)
    assert seconds(800, 4, stride=8) == pytest.approx(100 * far + 2 * 0.5)


def test_all_to_all_by_hand():
    # 16 ranks, 8 inside: 7/16 of 16 GB inside, 8/16 across
    seconds = all_to_all_seconds(number(16e9), number(16), number(1), links())
    assert seconds == pytest.approx(max(7 / 400, 8 / 50))


def test_point_to_point():
    assert point_to_point_seconds(number(4e9), number(1), links()) == pytest.approx(0.01)
    assert point_to_point_seconds(number(5e9), number(8), links()) == pytest.approx(0.1)
    mesh = links(mesh=True, scaleup=196 * GB)
    assert point_to_point_seconds(number(28e9), number(1), mesh) == pytest.approx(1.0)
    switching = links(latency=0.25, nic_slope=1.0, nic_step_s=0.5)
    assert point_to_point_seconds(number(5e9), number(8), switching) == pytest.approx(0.45)
    assert point_to_point_seconds(number(50e9), number(8), switching) == pytest.approx(1.75)


def test_rows_are_independent():
    """A column of rows gives what each row gives alone."""
    ranks, stride = np.array([1.0, 4.0, 8.0, 16.0, 64.0]), np.array([1.0, 2.0, 1.0, 4.0, 8.0])
    size = np.array([1e3, 1e6, 1e9, 1e7, 1e8])
    many = dataclasses.replace(
        links(latency=1e-5, reduce_cost=1.2, scaleup_slope=1.0, scaleup_step_s=1e-4),
        mesh=np.array([False, True, False, True, False]),
    )
    for collective in GROUPED:
        together = collective(size, ranks, stride, many)
        alone = [
            collective(size[i], ranks[i], stride[i], dataclasses.replace(many, mesh=many.mesh[i]))
            for i in range(5)
        ]
        assert together.tolist() == alone


sizes = st.floats(1, 1e12)
groups = {
    "ranks": st.integers(1, 4096),
    "stride": st.integers(1, 64),
    "mesh": st.booleans(),
    "reduce_cost": st.sampled_from([1.0, 1.2, np.inf]),
}


def protocol(**change):
    slow = {
        "latency": 1e-5,
        "scaleup_slope": 1.0,
        "scaleup_step_s": 1e-4,
        "nic_slope": 4.0,
        "nic_step_s": 1e-4,
    }
    return links(**(slow | change))


@given(size=sizes, factor=st.floats(1, 100), **groups)
def test_never_faster_with_less_bandwidth_more_bytes_or_slower_start(
    size, factor, ranks, stride, mesh, reduce_cost
):
    kind = {"mesh": mesh, "reduce_cost": reduce_cost}
    for collective in GROUPED:

        def seconds(size=size, collective=collective, **change):
            args = (number(size), number(ranks), number(stride), protocol(**kind, **change))
            return collective(*args)

        base = seconds() * (1 + 1e-12)
        assert 0 <= seconds(scaleup=400 * GB * factor) <= base
        assert seconds(nic=50 * GB * factor) <= base
        assert seconds(size=size / factor) <= base
        assert seconds(latency=1e-5 / factor) <= base
        assert seconds(scaleup_step_s=1e-4 / factor, nic_step_s=1e-4 / factor) <= base
        assert seconds(scaleup_slope=1.0 / factor, nic_slope=4.0 / factor) <= base


@given(size=sizes, **groups)
def test_never_faster_than_the_bytes_of_a_chip_over_all_its_links(
    size, ranks, stride, mesh, reduce_cost
):
    """What a chip must receive, over its links and its network interface together."""
    kind = links(mesh=mesh, reduce_cost=reduce_cost)
    all_links = (400 + 50) * GB
    received = (ranks - 1) / ranks * size / all_links * (1 - 1e-12)
    for collective in GROUPED:
        assert collective(number(size), number(ranks), number(stride), kind) >= received


@given(size=sizes, **groups)
def test_all_reduce_within_a_domain_brings_every_byte_to_every_chip(
    size, ranks, stride, mesh, reduce_cost
):
    ranks = min(ranks, max(8 // stride, 1))
    kind = links(mesh=mesh, reduce_cost=reduce_cost)
    seconds = all_reduce_seconds(number(size), number(ranks), number(stride), kind)
    assert seconds >= (size / (400 * GB) if ranks > 1 else 0) * (1 - 1e-12)


def test_bytes_of_an_all_reduce_in_the_switch():
    """A chip sends the tensor up, and the shard that the switch summed for it back to all."""
    switch = links(reduce_cost=1.1)
    assert all_reduce(number(8), number(8), number(1), switch).scaleup_bytes == pytest.approx(9.0)
    # On two nodes, each chip also exchanges its eighth with the other node.
    both = all_reduce(number(8), number(16), number(1), switch)
    assert (both.scaleup_bytes, both.nic_bytes) == (pytest.approx(9.0), pytest.approx(1.0))
    # With two chips, a ring sends less.
    assert all_reduce(number(8), number(2), number(1), switch).scaleup_bytes == pytest.approx(8.0)


@pytest.mark.parametrize("mesh", [False, True])
@given(inside=st.sampled_from([1, 2, 4, 8]), domains=st.sampled_from([1, 2, 3, 16]))
def test_bytes_sent_are_those_of_the_algorithm(mesh, inside, domains):
    """All ranks but one hold what a chip lacks, wherever they are."""
    one, ranks = number(1), number(inside * domains)
    wires = links(mesh=mesh, size=float(inside))
    lacking = 1 - 1 / (inside * domains)
    for collective, times in ((all_gather, 1), (all_reduce, 2), (all_to_all, 1)):
        sent = collective(number(1e9), ranks, one, wires)
        assert sent.scaleup_bytes + sent.nic_bytes == pytest.approx(times * lacking * 1e9)
        assert (sent.nic_bytes > 0) == (domains > 1)
        assert (sent.scaleup_bytes > 1e-3) == (inside > 1)
    # To itself and to every other domain, a token with all experts is sent once.
    everywhere = token_exchange(one, number(1e6), ranks, one, wires)
    assert everywhere.nic_bytes == pytest.approx(domains - 1)


def test_bytes_of_a_message_are_on_one_level():
    near, far = (point_to_point(number(5), number(stride), links()) for stride in (7, 8))
    assert (near.scaleup_bytes, near.nic_bytes) == (5.0, 0.0)
    assert (far.scaleup_bytes, far.nic_bytes) == (0.0, 5.0)
