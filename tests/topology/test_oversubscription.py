"""Oversubscription of the shipped topologies, counted from the cables of their switches."""

from __future__ import annotations

import json

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.topology import PoolSummary, load_cluster, summarise, topology_names
from clustersim.topology.fabric import Fabric

CATALOGUE = load_catalogue()


def ratio_from_cables(fabric: Fabric) -> dict[str, float]:
    """Ports of the chips below a full group of nodes, divided by its cables upward, by level.

    The switches of a group are those that its nodes reach without the cables of its level.
    """
    wires, layers = list(fabric.wiring(merge=False)), fabric.vertices(merge=False)
    ends, found, below = fabric.endpoints, {}, 1.0
    some_node = np.arange(ends.nodes)  # below each vertex of the lower layer; -1 if there is none
    for wire, layer, trunk in zip(wires, layers[1:], [None, *fabric.trunks()], strict=False):
        node = some_node[wire.lower]
        if trunk is not None and trunk.n_groups > 1:
            full = np.bincount(trunk.group_of_node) == trunk.group_nodes
            cables = (wire.multiplicity * wire.link_Bps)[node >= 0]
            up = np.bincount(trunk.group_of_node[node[node >= 0]], cables)[full]
            ports = trunk.group_nodes * ends.chips_per_node * fabric.port_Bps()
            ratio = max(1.0, ports / float(up.mean()))
            found[trunk.name] = max(1.0, ratio / below)
            below = max(below, ratio)
        some_node = np.full(layer.count, -1)
        some_node[wire.upper[node >= 0]] = node[node >= 0]
    return found


@pytest.mark.parametrize("name", topology_names())
def test_shipped_topologies(name: str) -> None:
    spec = load_cluster(name, CATALOGUE)
    for pool in summarise(spec).pools:
        fabric = spec.pools[pool.name].build_fabric()
        counted = ratio_from_cables(fabric)
        assert pool.oversubscription_by_level == pytest.approx(counted), pool.name
        assert pool.oversubscription == pytest.approx(np.prod([*counted.values(), 1.0]))
        _check_groups(pool, fabric)


def _check_groups(pool: PoolSummary, fabric: Fabric) -> None:
    for trunk in fabric.trunks():
        if trunk.n_groups > 1:
            assert pool.group_nodes[trunk.name] == np.bincount(trunk.group_of_node).max()


def test_the_command_explains_it_and_so_does_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topology", "seedchip-pod"]) == 0
    printed = capsys.readouterr().out
    (row,) = [line for line in printed.split("\n") if "(unit of 32 nodes)" in line]
    assert row.split()[:8] == ["seedchip", "200", "Gb/s", "100", "Gb/s", "2:1", "2:1", "(unit"]
    assert "Oversubscription is the bandwidth of a chip that sends alone, divided by" in printed
    assert main(["topology", "seedchip-pod", "--json", "--prices"]) == 0
    data = json.loads(capsys.readouterr().out)
    (pool,) = data["pools"]
    assert pool["oversubscription"] == 2
    assert pool["oversubscription_by_level"] == {"unit": 2}
    assert pool["group_nodes"] == {"unit": 32}
    assert data["meaning"]["oversubscription"].startswith("Oversubscription is the bandwidth of")
    (price,) = data["prices"]
    assert price["network_cny"] == pytest.approx(price["switches_cny"] + price["links_cny"])
    assert price["chips"] == 1024
