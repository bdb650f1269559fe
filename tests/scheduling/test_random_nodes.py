"""The random placement: which nodes it may choose, the order of ranks, and what its seed sets."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.scenario.resolved import resolve
from clustersim.scheduling import RandomNodes, find_placement


def test_each_node_is_as_likely_as_any_other() -> None:
    drawn: Counter[int] = Counter()
    for seed in range(400):
        kind = find_placement("random", options={"seed": seed})
        drawn.update(node for node, _ in kind(10, 8).take(32) or ())
    assert sum(drawn.values()) == 1600
    assert max(abs(drawn[node] - 160) for node in range(10)) < 4 * np.sqrt(160)


def test_a_gang_has_whole_nodes_and_one_for_its_remainder() -> None:
    placement = RandomNodes(4, 8)
    placement.take_these([(0, 5), (1, 6)], 11)
    gang = dict(placement.choose(19, placement.free_by_node()) or ())
    assert sorted(gang) in ([0, 2, 3], [2, 3])
    assert gang[2] == gang[3] == 8
    assert placement.choose(20, placement.free_by_node()) is None
    assert dict(placement.choose(3, placement.free_by_node()) or ()).keys() <= {0, 2, 3}
    assert placement.fits_each(np.array([19, 20])).tolist() == [True, False]


def test_ranks_follow_the_nodes_or_not() -> None:
    ordered = [node for node, _ in RandomNodes(64, 8).take(128) or ()]
    assert ordered == sorted(ordered)
    shuffled = find_placement("random", options={"shuffle_ranks": True})(64, 8)
    assert shuffled.ranks_follow_choice()  # type: ignore[attr-defined]
    nodes = [node for node, _ in shuffled.take(128) or ()]
    assert nodes != sorted(nodes)


def test_runs_differ_by_seed_and_replication() -> None:
    base = {
        "cluster": "mixed-small",
        "workload": {"generate": "philly-2017", "jobs": 20, "load": 0.5},
        "scheduler": {"placement": "random"},
    }

    def seed(**changes: int) -> object:
        return resolve(cs.define_scenario(base, changes)).scheduling.placement_options["seed"]

    assert seed() == seed()
    assert len({seed(), seed(seed=1), seed(replication=1)}) == 3
    own = {"scheduler.placement_options": {"seed": 5}}
    assert resolve(cs.define_scenario(base, own)).scheduling.placement_options == {"seed": 5}
    with pytest.raises(InputError, match="option seed: must be 0 or more, found -1"):
        find_placement("random", options={"seed": -1})
