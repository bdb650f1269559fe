"""Nodes that a question adds to a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.whatif.fleet import added_nodes, plain_pool

ONE: dict[str, Any] = {"pools": {"h200": {"nodes": 4}}}
TWO: dict[str, Any] = {"pools": {"h200": {"nodes": 4}, "h20": {"nodes": 8}}}
OWNED: dict[str, Any] = {
    "pools": {"gpu": {"nodes": 10, "virtual_clusters": {"a": {"nodes": 6}, "b": {"nodes": 2}}}}
}
SERVED: dict[str, Any] = {
    "pools": {
        "h100": {"nodes": 4, "queues": ["train", "all"]},
        "h20": {"nodes": 8, "queues": ["dev", "all"]},
    }
}
OVERLAPPING: dict[str, Any] = {
    "pools": {
        "h100": {"nodes": 38, "queues": ["gpu"]},
        "h100-interactive": {"nodes": 2, "queues": ["gpu", "interactive"]},
    }
}
NODES = 'cluster.pools."{}".nodes'
OWN = 'cluster.pools."gpu".virtual_clusters."{}".nodes'


@pytest.mark.parametrize(
    ("cluster", "nodes", "changes", "words"),
    [
        (ONE, 2, {NODES.format("h200"): 6}, ["2 more nodes"]),
        (ONE, "-1", {NODES.format("h200"): 3}, ["1 fewer node"]),
        (TWO, ["h20=1"], {NODES.format("h20"): 9}, ["1 more node in h20"]),
        (
            TWO,
            ["h20=1", "h200=2"],
            {NODES.format("h20"): 9, NODES.format("h200"): 6},
            ["1 more node in h20", "2 more nodes in h200"],
        ),
        (
            TWO,
            "h20=1,h200=2",
            {NODES.format("h20"): 9, NODES.format("h200"): 6},
            ["1 more node in h20", "2 more nodes in h200"],
        ),
        (ONE, "1,000", {NODES.format("h200"): 1004}, ["1,000 more nodes"]),
        (TWO, "h20=1,000", {NODES.format("h20"): 1008}, ["1,000 more nodes in h20"]),
        (OWNED, ["b=3"], {NODES.format("gpu"): 13, OWN.format("b"): 5}, ["3 more nodes in b"]),
        # 6 and 2 of 10 nodes are owned: 5 nodes are 3 for a, 1 for b and 1 for everyone.
        (
            OWNED,
            5,
            {NODES.format("gpu"): 15, OWN.format("a"): 9, OWN.format("b"): 3},
            ["5 more nodes"],
        ),
        (OWNED, 0, {}, []),
        (SERVED, ["train=3"], {NODES.format("h100"): 7}, ["3 more nodes in train"]),
        (OVERLAPPING, ["gpu=8"], {NODES.format("h100"): 46}, ["8 more nodes in gpu"]),
    ],
)
def test_nodes(cluster: Any, nodes: Any, changes: dict[str, int], words: list[str]) -> None:
    assert added_nodes(cluster, nodes, 0, plain=False)[:2] == (changes, words)


@pytest.mark.parametrize(
    ("cluster", "nodes", "accelerators", "words"),
    [
        (TWO, 2, 0, "must name a pool, such as POOL=16; pools: h200, h20"),
        (TWO, ["h2000=2"], 0, "did you mean 'h200'"),
        (SERVED, ["all=2"], 0, "partition all has several pools; name one: h100, h20"),
        (SERVED, ["trein=2"], 0, "did you mean 'train'"),
        (ONE, "many", 0, "must be a number such as 16, or POOL=16, found 'many'"),
        (ONE, -4, 0, "pool h200 has 4, so 4 cannot be removed"),
        (ONE, [], 8, "needs --accelerators; with --cluster, --add-nodes"),
    ],
)
def test_errors(cluster: Any, nodes: Any, accelerators: int, words: str) -> None:
    with pytest.raises(InputError) as error:
        added_nodes(cluster, nodes, accelerators, plain=False)
    assert words in str(error.value)


def test_the_pool_that_serves_only_a_partition_is_named() -> None:
    _, _, notes = added_nodes(OVERLAPPING, ["gpu=8"], 0, plain=False)
    assert notes == [
        "partition gpu has 2 pools: the change of its nodes is in pool h100, which serves no other "
        "partition, not in h100-interactive"
    ]


def test_names_of_pools_are_checked_before_the_log_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["what-if", str(tmp_path / "missing.txt"), "--cluster", "philly-like"]
    assert main([*arguments, "--add-nodes", "nowhere=8", "--out", str(tmp_path / "o")]) == 2
    assert "--add-nodes: unknown pool" in capsys.readouterr().err


def test_accelerators_without_nodes() -> None:
    pool = plain_pool(100)
    assert added_nodes(pool, [], 16, plain=True) == (
        {"cluster.pools.pool.nodes": 116},
        ["16 more accelerators"],
        [],
    )
    with pytest.raises(InputError, match="--add-nodes: needs --cluster"):
        added_nodes(pool, 2, 0, plain=True)
