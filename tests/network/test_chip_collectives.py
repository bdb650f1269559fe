"""Collectives on chips of the catalogue: published rows, by hand, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.errors import InputError
from clustersim.network.algorithms import OPERATIONS
from clustersim.network.chip_collectives import (
    AUTO,
    algorithms_for,
    chip_links,
    estimate_collective,
)
from clustersim.network.collectives import all_reduce_seconds
from clustersim.network.constants import fitted_values
from clustersim.network.fabrics import FABRIC_NAMES, fabric_of
from clustersim.network.schedules import SCHEDULES
from tests.network.published_rows import published_rows

CATALOGUE = cs.load_catalogue()
H200, ASCEND = CATALOGUE.accelerator("H200"), CATALOGUE.accelerator("910B2")
GB = 1e9
LARGE = 2.0**33


def busbw(operation, size, chip, count, **options):
    return float(estimate_collective(operation, size, chip, count, **options).busbw_Bps) / GB


def test_published_rows_have_a_small_median_error(shared_data):
    rows = published_rows()
    assert len(rows) > 100
    errors = np.abs([row.error for row in rows])
    assert np.median(errors) < 0.04
    large = np.array([row.size_bytes >= 2.0**26 for row in rows])
    assert np.median(errors[large]) < 0.035
    keys = [(row.chip.name, row.operation) for row in rows]
    for key in set(keys):
        if keys.count(key) >= 3:
            of_key = errors[[other == key for other in keys]]
            assert np.median(of_key) <= 0.12, key


def test_eight_h200():
    assert busbw("all_reduce", LARGE, H200, 8) == pytest.approx(475, rel=0.05)
    for options in ({"in_switch": False}, {"algorithm": "ring"}):
        assert busbw("all_reduce", LARGE, H200, 8, **options) == pytest.approx(366, rel=0.03)


def test_mesh_of_the_910b():
    """18, 30 and 72 GB/s of algorithm bandwidth on 2, 4 and 8 chips."""
    found = estimate_collective("all_reduce", LARGE, ASCEND, [2, 4, 8])
    assert (found.algbw_Bps / GB).tolist() == pytest.approx([18, 30, 72], rel=0.1)


def test_a_ring_in_a_mesh_uses_one_link_of_seven():
    ring = busbw("all_gather", LARGE, ASCEND, 8, algorithm="ring")
    assert ring == pytest.approx(28 * fitted_values()["mesh", "efficiency"], rel=0.01)
    assert busbw("all_gather", LARGE, ASCEND, 8) == pytest.approx(7 * ring, rel=0.01)


def test_deepep_reaches_nine_tenths_of_the_network():
    """DeepEP V2 on 2 nodes of H100: 45 of 50 GB/s leave each chip."""
    h100 = CATALOGUE.accelerator("H100")
    size = 8 * LARGE  # all copies of the tokens
    seconds = float(estimate_collective("all_to_all", size, h100, 16, algorithm="deepep").seconds)
    remote = LARGE * (1 - 0.5**8)
    assert remote / seconds / GB == pytest.approx(45, rel=0.02)


def test_step_times_and_the_command_share_the_model():
    links = chip_links(H200, fabric_of("infiniband"), H200.nic_Bps)
    sizes, counts = np.array([1e4, 1e7, 1e9]), np.array([8.0, 64.0, 1024.0])
    found = estimate_collective("all_reduce", sizes, H200, counts)
    assert found.seconds.tolist() == all_reduce_seconds(sizes, counts, np.ones(3), links).tolist()


def test_a_ring_pays_for_its_steps_and_a_tree_for_its_levels():
    ring, tree = (
        float(estimate_collective("all_reduce", 1e3, H200, 1024, algorithm=name).seconds)
        for name in ("ring", "tree")
    )
    # LL: 6.6 us, 2 x 127 steps of 2.7 us between nodes, 2 x 896 of 0.6 us within
    assert ring == pytest.approx(6.6e-6 + 254 * 2.7e-6 + 1792 * 0.6e-6, rel=0.01)
    assert tree < ring / 5


def test_steps_are_slower_on_slower_fabrics():
    ring = {
        name: float(
            estimate_collective("all_reduce", 1e3, H200, 512, algorithm="ring", fabric=name).seconds
        )
        for name in FABRIC_NAMES
    }
    assert ring["infiniband"] < ring["roce"] < ring["tcpx"]
    start = 6.6e-6 + 896 * 0.6e-6
    assert ring["roce"] - start == pytest.approx(5.6 / 3.7 * (ring["infiniband"] - start), rel=0.05)


def test_hierarchical_sends_less_between_nodes_than_a_ring():
    times = {
        name: float(estimate_collective("all_reduce", 1e9, H200, 64, algorithm=name).seconds)
        for name in ("ring", "hierarchical", "in_network")
    }
    assert times["in_network"] < times["hierarchical"] < times["ring"]


def test_point_to_point_within_the_node_and_beyond_it():
    found = estimate_collective("point_to_point", LARGE, H200, [1, 8, 9])
    efficiency = [fitted_values()[kind, "efficiency"] for kind in ("nvlink4", "rdma")]
    assert found.seconds[0] == 0
    expected = [450 * efficiency[0], 50 * efficiency[1]]
    assert (found.busbw_Bps[1:] / GB).tolist() == pytest.approx(expected, rel=0.01)


def test_arrays_give_what_each_element_gives_alone():
    sizes, counts = np.array([[1e5], [1e9]]), np.array([1, 4, 8, 16, 128])
    for operation in OPERATIONS:
        links = chip_links(H200, fabric_of("infiniband"), H200.nic_Bps)
        for name in algorithms_for(operation, links, "infiniband"):
            together = estimate_collective(operation, sizes, H200, counts, algorithm=name)
            alone = [
                [
                    float(estimate_collective(operation, s, H200, n, algorithm=name).seconds)
                    for n in counts
                ]
                for s in sizes[:, 0]
            ]
            assert together.seconds.tolist() == alone
            assert not np.any(together.seconds[:, 0])


def test_only_nvlink_switches_sum():
    without = CATALOGUE.accelerator("H100-PCIe")
    for chip in (ASCEND, without, CATALOGUE.accelerator("A100-80GB")):
        links = chip_links(chip, fabric_of("infiniband"), chip.nic_Bps)
        assert "in_switch" not in algorithms_for("all_reduce", links, "infiniband")
    links = chip_links(H200, fabric_of("efa"), H200.nic_Bps)
    assert "in_network" not in algorithms_for("all_reduce", links, "efa")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"operation": "allreduce"}, "did you mean 'all_reduce'"),
        ({"algorithm": "rings"}, "did you mean 'ring'"),
        ({"algorithm": "deepep"}, "deepep has no all_reduce; allowed: ring, tree"),
        ({"algorithm": "in_switch", "in_switch": False}, "needs a scale-up switch that sums"),
        ({"algorithm": "in_network", "fabric": "efa"}, "and the fabric infiniband"),
        ({"fabric": "efs"}, "did you mean 'efa'"),
        ({"count": 12}, "count: must be at most 8 .* or a multiple of it, found 12"),
        ({"count": 0}, "count: must be whole and at least 1, found 0"),
        ({"size_bytes": 0.0}, "size_bytes: must be more than 0, found 0.0"),
        ({"nic_Bps": -1.0}, "nic_Bps: must be more than 0, found -1.0"),
        ({"copies": 0.5}, "copies: must be 1 or more, found 0.5"),
        ({"accelerator": "H200"}, "a chip of the catalogue"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    good = {"operation": "all_reduce", "size_bytes": 1e9, "accelerator": H200, "count": 64}
    with pytest.raises(InputError, match=message):
        estimate_collective(**(good | change))


KINDS = [
    (operation, name)
    for operation in OPERATIONS
    for name in (AUTO, *SCHEDULES)
    if name == AUTO or operation in SCHEDULES[name].uses
]


@given(
    kind=st.sampled_from(KINDS),
    chip=st.sampled_from([H200, ASCEND, CATALOGUE.accelerator("B200")]),
    size=st.floats(1.0, 1e12),
    domains=st.integers(1, 256),
    factor=st.floats(1.0, 100.0),
)
def test_monotone(kind, chip, size, domains, factor):
    operation, name = kind
    links = chip_links(chip, fabric_of("infiniband"), chip.nic_Bps)
    if name not in algorithms_for(operation, links, "infiniband"):
        return

    count = domains * chip.scaleup_size

    def seconds(size=size, **options):
        found = estimate_collective(operation, size, chip, count, algorithm=name, **options)
        return float(found.seconds)

    base = seconds() * (1 + 1e-12)
    assert 0 < seconds(size=max(size / factor, 1e-3)) <= base
    assert seconds(nic_Bps=chip.nic_Bps * factor) <= base
    if not (name in SCHEDULES and SCHEDULES[name].fabrics):
        assert seconds(fabric="roce") >= seconds() * (1 - 1e-12)


@given(
    kind=st.sampled_from(KINDS),
    chip=st.sampled_from([H200, ASCEND]),
    size=st.floats(1.0, 1e12),
    domains=st.integers(1, 256),
)
def test_never_faster_than_the_bytes_that_a_chip_must_receive(kind, chip, size, domains):
    operation, name = kind
    links = chip_links(chip, fabric_of("infiniband"), chip.nic_Bps)
    if name not in algorithms_for(operation, links, "infiniband") or name == "deepep":
        return
    n = domains * chip.scaleup_size
    found = estimate_collective(operation, size, chip, n, algorithm=name)
    rates = chip.scaleup_Bps + chip.nic_Bps
    assert float(found.seconds) >= (n - 1) / n * size / rates * (1 - 1e-12)
