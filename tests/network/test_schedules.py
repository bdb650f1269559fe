"""Schedules on both levels against the explicit dimensions of each level."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.network.alpha_beta import Dimension, collective_time
from clustersim.network.collectives import Links
from clustersim.network.schedules import SCHEDULES, schedule_of, scheduled_seconds

SIZE, FAST = 1e15, 1e30
SUMS = ("all_reduce", "reduce_scatter", "all_gather")


def seconds(name, operation, *, near=FAST, far=FAST, ranks=32.0, mesh=False, **options):
    links = Links(
        scaleup_Bps=np.array(near),
        nic_Bps=np.array(far),
        scaleup_size=np.array(8.0),
        mesh=np.array(mesh),
        mesh_peers=np.array(7.0),
        reduce_cost=1.25,
    )
    schedule = schedule_of(name, operation)
    found = scheduled_seconds(
        schedule, operation, np.array(SIZE), np.array(ranks), links, **options
    )
    return float(found)


@pytest.mark.parametrize("operation", SUMS)
def test_hierarchical_is_a_ring_in_the_domain_and_one_between_them(operation):
    """Each level alone, the other one being infinitely fast."""
    within = collective_time(operation, SIZE, [Dimension("switch", 8, 400e9)])
    between = collective_time(operation, SIZE / 8, [Dimension("switch", 4, 50e9)])
    assert seconds("hierarchical", operation, near=400e9) == pytest.approx(within, rel=1e-6)
    assert seconds("hierarchical", operation, far=50e9) == pytest.approx(between, rel=1e-6)
    both = seconds("hierarchical", operation, near=400e9, far=50e9)
    assert both == pytest.approx(max(within, between), rel=1e-6)


@pytest.mark.parametrize("operation", [*SUMS, "broadcast"])
def test_a_ring_passes_every_chip_and_uses_every_rail(operation):
    within = collective_time(operation, SIZE, [Dimension("switch", 32, 400e9)])
    assert seconds("ring", operation, near=400e9) == pytest.approx(within, rel=1e-6)
    rails = collective_time(operation, SIZE, [Dimension("switch", 32, 8 * 50e9)])
    assert seconds("ring", operation, far=50e9) == pytest.approx(rails, rel=1e-6)


@pytest.mark.parametrize("operation", SUMS)
def test_the_direct_algorithm_uses_all_links_of_a_mesh(operation):
    link = Dimension("fully_connected", 8, 28e9, algorithm="direct")
    expected = collective_time(operation, SIZE, [link])
    found = seconds("direct", operation, near=196e9, ranks=8.0, mesh=True)
    assert found == pytest.approx(expected, rel=1e-6)
    ring = collective_time(operation, SIZE, [Dimension("fully_connected", 8, 28e9)])
    found = seconds("ring", operation, near=196e9, ranks=8.0, mesh=True)
    assert found == pytest.approx(ring, rel=1e-6)


@pytest.mark.parametrize(("operation", "times"), [(name, 1 + (name == SUMS[0])) for name in SUMS])
def test_the_direct_algorithm_sends_to_each_chip_of_other_domains(operation, times):
    """On 4 nodes of 8, a chip sends shards of S/32 to 7 chips on its node and 24 on others."""
    far = seconds("direct", operation, far=50e9)
    assert far == pytest.approx(times * 24 / 32 * SIZE / 50e9, rel=1e-6)
    near = seconds("direct", operation, near=400e9)
    assert near == pytest.approx(times * 7 / 32 * SIZE / 400e9, rel=1e-6)
    one = seconds("direct", operation, near=400e9, ranks=8.0)
    assert one == pytest.approx(times * 7 / 8 * SIZE / 400e9, rel=1e-6)
    assert far > 7 * seconds("hierarchical", operation, far=50e9)


def test_switches_sum_by_hand():
    """Within: 9/8 S at 1.25 times the time per byte; between: 2 S / 8 by a tree, S / 8 by SHARP."""
    for name in ("in_switch", "in_network"):
        within = 1.25 * 9 / 8 * SIZE / 400e9
        assert seconds(name, "all_reduce", near=400e9) == pytest.approx(within, rel=1e-6)
    tree, sharp = (seconds(name, "all_reduce", far=50e9) for name in ("in_switch", "in_network"))
    assert tree == pytest.approx(2 * SIZE / 8 / 50e9, rel=1e-6)
    assert sharp == pytest.approx(SIZE / 8 / 50e9, rel=1e-6)


def test_exchanges_by_hand():
    """Of 32 ranks, 24 are on 3 other nodes; a token with 2 experts needs 21/16 of them."""
    for name in ("direct", "hierarchical"):
        found = seconds(name, "all_to_all", far=50e9)
        assert found == pytest.approx(24 / 32 * SIZE / 50e9, rel=1e-6)
    assert seconds("direct", "all_to_all", near=400e9) == pytest.approx(7 / 32 * SIZE / 400e9)
    assert seconds("hierarchical", "all_to_all", near=400e9) == pytest.approx(7 / 8 * SIZE / 400e9)
    once = seconds("deepep", "all_to_all", far=50e9, copies=2.0)
    assert once == pytest.approx(21 / 16 / 2 * SIZE / 50e9, rel=1e-6)


def test_every_schedule_has_its_name():
    assert all(schedule.name == name for name, schedule in SCHEDULES.items())
