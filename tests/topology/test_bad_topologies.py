"""Every problem of a topology is one clear line, and all of them are reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.topology import load_cluster, resolve_cluster


def pool(**changes: Any) -> dict[str, Any]:
    entry = {"accelerator": "H20", "nodes": 16, "chips_per_node": 8, **changes}
    return {key: value for key, value in entry.items() if value is not None}


def rail(**changes: Any) -> dict[str, Any]:
    return {"type": "rail-optimised", "unit_nodes": 4, **changes}


BAD_POOLS = {
    "unknown chip": (pool(accelerator="H21"), ["accelerator: unknown accelerator 'H21'", "H20"]),
    "no chip": (pool(accelerator=None), ["accelerator: is required"]),
    "misspelt key": (pool(nodez=3), ["nodez: unknown key; did you mean 'nodes'?"]),
    "zero nodes": (pool(nodes=0), ["0 nodes", "at least 1"]),
    "negative nodes": (pool(nodes=-5), ["nodes", "-5"]),
    "half a node": (pool(nodes=2.5), ["nodes", "2.5"]),
    "nodes as text": (pool(nodes="many"), ["nodes", "many"]),
    "zero chips": (pool(chips_per_node=0), ["chips_per_node"]),
    "too many nodes": (pool(nodes=20_000_000), ["nodes", "10000000"]),
    "too many chips": (
        pool(nodes=2_000_000),
        ["nodes: 2,000,000 nodes with 8 chips", "up to 10,000,000"],
    ),
    "rate without unit": (pool(nic=400), ["nic: 400 has no unit", "400 Gb/s"]),
    "rate in bytes": (pool(nic="400 GB"), ["nic: '400 GB' has the unit 'GB'"]),
    "negative rate": (pool(nic="-1 Gb/s"), ["nic", "negative"]),
    "zero rate": (pool(nic="0 Gb/s"), ["nic: must be more than 0"]),
    "odd k": (pool(fabric={"type": "fat-tree", "k": 5}), ["fabric.k: must be even, found 5", "6"]),
    "small k": (pool(fabric={"type": "fat-tree", "k": 2}), ["fabric.k", "room for 2 nodes", "4"]),
    "fabric unknown": (pool(fabric={"type": "fattree"}), ["fat-tree", "fattree"]),
    "fabric without type": (pool(fabric={"k": 4}), ["fabric", "type"]),
    "fabric not a mapping": (pool(fabric="fat-tree"), ["fabric"]),
    "torus does not fill": (
        pool(fabric={"type": "torus", "dims": [4, 5]}),
        ["fabric.dims: 4 x 5 = 20 nodes, but the pool has 16"],
    ),
    "torus of one dimension": (pool(fabric={"type": "torus", "dims": [16]}), ["dims", "2"]),
    "torus of four": (pool(fabric={"type": "torus", "dims": [2, 2, 2, 2]}), ["dims", "3"]),
    "torus of zero": (pool(fabric={"type": "torus", "dims": [0, 16]}), ["dims[0]"]),
    "oversubscription below 1": (
        pool(fabric=rail(oversubscription={"leaf": 0.5})),
        ["fabric.oversubscription.leaf", "0.5", "1"],
    ),
    "oversubscription misspelt": (
        pool(fabric=rail(oversubscription={"leafs": 2})),
        ["leafs: unknown key; did you mean 'leaf'?"],
    ),
    "unit larger than its leaf": (
        pool(nodes=96, fabric=rail(unit_nodes=48)),
        ["fabric.unit_nodes: a leaf needs 48 ports down and 48 up, but its radix is 64"],
    ),
    "rails do not divide": (
        pool(fabric=rail(rails=3)),
        ["fabric.rails: must divide the 8 chips of a node, found 3"],
    ),
    "pods larger than a spine": (
        pool(nodes=512, fabric=rail(radix=16, units_per_pod=64)),
        ["fabric.units_per_pod: a spine has"],
    ),
    "more pods than a core has ports": (
        pool(nodes=512, fabric=rail(radix=16, units_per_pod=2)),
        ["fabric.units_per_pod: 128 units form 64 pods"],
    ),
    "rate of no link": (
        pool(fabric=rail(link_rate="0 Gb/s")),
        ["fabric.link_rate: must be more than 0"],
    ),
    "latency without unit": (pool(fabric=rail(latency=3)), ["fabric.latency", "no unit"]),
    "dragonfly of too many groups": (
        pool(
            fabric={
                "type": "dragonfly",
                "nodes_per_router": 1,
                "routers_per_group": 2,
                "global_links": 1,
            }
        ),
        ["connect at most 3 groups, found 8", "at most 3"],
    ),
    "dragonfly without room": (
        pool(
            fabric={
                "type": "dragonfly",
                "nodes_per_router": 1,
                "routers_per_group": 4,
                "global_links": 1,
                "groups": 2,
            }
        ),
        ["fabric.groups: 2 groups have room for 8 nodes"],
    ),
    "huge mesh": (
        pool(nodes=3000, fabric={"type": "full-mesh"}),
        ["a full mesh can have at most 2048 nodes, but the pool has 3000"],
    ),
    "virtual clusters too large": (
        pool(virtual_clusters={"a": {"nodes": 10}, "b": {"share": 0.5}}),
        ["virtual_clusters: together they own 18 nodes, but the pool has 16"],
    ),
    "virtual cluster of nothing": (
        pool(virtual_clusters={"a": {}}),
        ["virtual_clusters.a: needs either nodes or share"],
    ),
    "virtual cluster with both": (
        pool(virtual_clusters={"a": {"nodes": 1, "share": 0.1}}),
        ["virtual_clusters.a: needs either"],
    ),
    "share above 1": (pool(virtual_clusters={"a": {"share": 1.5}}), ["virtual_clusters.a.share"]),
    "name read as number": (
        pool(virtual_clusters={6214000000000.0: {"nodes": 1}}),
        ["virtual_clusters", "put each in quotes"],
    ),
    "scale-up of no whole nodes": (
        pool(scale_up={"size": 12}),
        ["scale_up.size: must divide the 8 chips of a node or be a multiple of them, found 12"],
    ),
    "scale-up of rate zero": (
        pool(scale_up={"bandwidth": "0 GB/s"}),
        ["scale_up.bandwidth: must be more than 0 for a domain of 8 chips"],
    ),
    "scale-up shape unknown": (
        pool(scale_up={"shape": "ring"}),
        ["scale_up.shape: unknown value 'ring'"],
    ),
}


@pytest.mark.parametrize("name", sorted(BAD_POOLS))
def test_bad_pool(name, catalogue):
    entry, expected = BAD_POOLS[name]
    with pytest.raises(InputError) as caught:
        resolve_cluster({"name": "bad", "pools": {"p": entry}}, catalogue, source="bad.yaml")
    message = str(caught.value)
    assert message.startswith("bad.yaml: ")
    assert len(caught.value.problems) == 1, message
    assert "pools.p" in message
    for part in expected:
        assert part in message


BAD_CLUSTERS = {
    "no pools": ({"name": "x"}, "pools: is required"),
    "no name": ({"pools": {"p": pool()}}, "name: is required"),
    "empty pools": ({"name": "x", "pools": {}}, "pools"),
    "pools as list": ({"name": "x", "pools": [pool()]}, "pools"),
    "strange name": ({"name": "a/b", "pools": {"p": pool()}}, "name"),
    "unknown top key": ({"name": "x", "pool": {"p": pool()}, "pools": {"p": pool()}}, "pools"),
    "rate of an unknown pool": (
        {
            "name": "x",
            "pools": {"p": pool()},
            "datacenter_network": {"rate": "1 Gb/s", "rates": {"q": "1 Gb/s"}},
        },
        "datacenter_network.rates.q: unknown pool 'q'",
    ),
    "network of rate zero": (
        {"name": "x", "pools": {"p": pool()}, "datacenter_network": {"rate": 0}},
        "datacenter_network.rate: must be more than 0",
    ),
    "too many chips together": (
        {"name": "x", "pools": {f"p{i}": pool(nodes=1_000_000) for i in range(2)}},
        "pools: 16,000,000 chips in total",
    ),
}


@pytest.mark.parametrize("name", sorted(BAD_CLUSTERS))
def test_bad_cluster(name, catalogue):
    data, expected = BAD_CLUSTERS[name]
    with pytest.raises(InputError) as caught:
        resolve_cluster(data, catalogue, source="bad.yaml")
    assert expected in str(caught.value)


def test_all_problems_are_reported_at_once(catalogue):
    data = {
        "name": "x",
        "descriptoin": "typo",
        "pools": {
            "a": pool(accelerator="H2000", nodes=-1),
            "b": pool(fabric={"type": "fat-tree", "k": 7}),
            "c": pool(fabric={"type": "torus", "dims": [3, 3]}),
        },
    }
    with pytest.raises(InputError) as caught:
        resolve_cluster(data, catalogue)
    starts = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert starts == [
        "descriptoin",
        "pools.a.accelerator",
        "pools.a.nodes",
        "pools.b.fabric.k",
        "pools.c.fabric.dims",
    ]


def test_unknown_file_names_the_nearest(catalogue):
    with pytest.raises(InputError, match=r"did you mean 'h200-superpod'\?"):
        load_cluster("h200-superpot", catalogue)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"- a\n- b\n", "mapping"),
        (b"name: x\nname: y\n", "name"),
        (b"name: [x\n", "not valid YAML"),
        (b"\xff\xfe\x00PNG", "UTF-16"),
    ],
)
def test_broken_files(tmp_path, catalogue, content, expected):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        load_cluster(path, catalogue)


def test_what_a_scheduler_prints_is_no_topology_and_the_message_says_what_makes_one(tmp_path):
    path = tmp_path / "nodes.txt"
    path.write_text("NODELIST PARTITION GRES\nga01 train gpu:h100:8\n")
    with pytest.raises(InputError) as error:
        load_cluster(path, load_catalogue())
    assert "must contain a mapping" in str(error.value)
    assert "clustersim topology --from nodes.txt --out my-cluster.yaml" in str(error.value)
