"""What a topology rounds is reported: oversubscription, units that are not full, shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.topology import (
    compile_cluster,
    load_cluster,
    resolve_cluster,
    summarise,
    topology_names,
)
from clustersim.topology.summary import PoolSummary
from tests.examples import examples

CATALOGUE = load_catalogue()


def pool(fabric: dict[str, Any], nodes: int, **fields: Any) -> PoolSummary:
    tree = {
        "name": "c",
        "pools": {"a": {"accelerator": "H200", "nodes": nodes, "fabric": fabric, **fields}},
    }
    return summarise(resolve_cluster(tree, CATALOGUE)).pools[0]


def rail(leaf: float, spine: float, **fields: Any) -> dict[str, Any]:
    over = {"leaf": leaf, "spine": spine}
    return {"type": "rail-optimised", "oversubscription": over, **fields}


def ratios(found: PoolSummary) -> list[str]:
    return [note for note in found.notes if note.startswith("oversubscription")]


def test_asked_and_built_by_hand() -> None:
    """4:1 and 4:1: a leaf has 8 of 32 up; a spine 64 x 4/5 = 51 down, 51/4 = 13 up.

    A pod of 8 units has 64 leaves of 8 links up, in 2 planes, for 64 are more than 51: 256 links of
    each to 256/51 = 6 (rounded up) spines, 12 together with 156 links up. 512/156 = 3.28.
    """
    found = pool(rail(4, 4), 32 * 16)
    spine = 512 / (12 * 13)
    (note,) = ratios(found)
    assert found.oversubscription == pytest.approx(4 * spine)
    assert (
        f"requested leaf 4:1, spine 4:1, 16:1 end to end; built leaf 4:1, spine {spine:.3g}:1, "
        in note
    )
    assert f"{4 * spine:.3g}:1 end to end" in note
    assert "a spine has 51 down and 13 up" in note
    assert (round(spine, 2), round(4 * spine, 1)) == (3.28, 13.1)


def test_what_is_built_as_asked_is_not_reported() -> None:
    assert pool(rail(1, 1), 32 * 16).notes == ()
    assert ratios(pool(rail(2, 1), 32 * 16)) == []
    assert pool({"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2}}, 16).notes == ()


def test_tiers_that_are_not_there_have_no_effect() -> None:
    notes = pool(rail(4, 2), 20).notes
    assert [note.split(" has no effect")[0] for note in notes] == [
        "oversubscription.leaf of 4:1",
        "oversubscription.spine of 2:1",
    ]
    (note,) = ratios(pool(rail(2, 2), 64))
    assert note.startswith("oversubscription.spine of 2:1 has no effect")
    over = {"edge": 2, "aggregation": 3}
    (note,) = ratios(pool({"type": "fat-tree", "k": 8, "oversubscription": over}, 16))
    assert note.startswith("oversubscription.aggregation of 3:1 has no effect")


def test_links_faster_than_the_ports_undo_an_oversubscription() -> None:
    """Edge links of 800 Gb/s / 2 carry what nodes of 400 Gb/s send."""
    tree = {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2}, "link_rate": "800 Gb/s"}
    found = pool(tree, 16)
    assert found.oversubscription == pytest.approx(1)
    (note,) = ratios(found)
    assert "requested edge 2:1, aggregation 1:1, 2:1 end to end; built edge 1:1" in note


@settings(max_examples=examples(60), deadline=None)
@given(
    leaf=st.floats(1, 8),
    spine=st.floats(1, 8),
    nodes=st.integers(1, 400),
    unit=st.sampled_from([4, 8, 16]),
    radix=st.sampled_from([31, 32, 40, 64]),
)
def test_silence_means_built_as_asked(
    leaf: float, spine: float, nodes: int, unit: int, radix: int
) -> None:
    """Without a note the ratio end to end is that of the tiers that are there."""
    tree = {
        "name": "c",
        "pools": {
            "a": {
                "accelerator": "H200",
                "nodes": nodes,
                "fabric": rail(leaf, spine, unit_nodes=unit, radix=radix),
            }
        },
    }
    try:
        spec = resolve_cluster(tree, CATALOGUE)
    except InputError:
        return
    found = summarise(spec).pools[0]
    assert compile_cluster(spec).pools[0].notes == tuple(ratios(found))
    names = {level.name for level in found.levels}
    asked = (leaf if "leaf-spine" in names else 1) * (spine if "spine-core" in names else 1)
    built = found.oversubscription
    if not ratios(found):
        assert built == pytest.approx(asked, rel=0.006)
    elif not any("has no effect" in note for note in ratios(found)):
        (note,) = ratios(found)
        assert f"{asked:.3g}:1 end to end; built" in note
        assert f"{built:.3g}:1 end to end (" in note


def test_units_and_pods_that_are_not_full() -> None:
    notes = pool(rail(1, 1), 32 * 9 + 5).notes
    assert notes[0].startswith("the last of 10 units has 5 of 32 nodes")
    assert notes[1].startswith("the last of 2 pods has 2 of 8 units")
    (note,) = pool({"type": "fat-tree", "k": 8}, 100).notes
    assert note.startswith("a 8-ary fat tree has room for 128 nodes, but the pool has 100")
    fabric = {
        "type": "dragonfly",
        "nodes_per_router": 2,
        "routers_per_group": 3,
        "global_links": 1,
    }
    notes = pool(fabric, 17).notes
    assert notes[0].startswith("1 of 3 global links of a group are not used")
    assert notes[1].startswith("3 groups have room for 18 nodes, but the pool has 17")


def test_shares_of_virtual_clusters() -> None:
    shares = {"a": {"share": 0.255}, "b": {"share": 0.5}, "c": {"nodes": 3}}
    notes = pool({"type": "none"}, 100, virtual_clusters=shares).notes
    assert notes == ("virtual cluster a: a share of 0.255 is 25.5 nodes, rounded to 26",)


def test_the_command_and_a_run_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "over.yaml"
    fabric = "{type: rail-optimised, oversubscription: {leaf: 4, spine: 4}}"
    file.write_text(
        f"name: over\npools:\n  a: {{accelerator: H200, nodes: 512, fabric: {fabric}}}\n"
    )
    assert main(["topology", str(file)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Note: pool a: oversubscription: requested leaf 4:1, spine 4:1, 16:1 end to end" in text
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        f"cluster: {file}\n"
        "workload: {generate: philly-2017, jobs: 5, reference_accelerator: H200}\n"
    )
    assert main(["run", str(scenario), "--out", str(tmp_path / "out")]) == 0
    assert "built leaf 4:1, spine 3.28:1" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", topology_names())
def test_shipped_topologies_are_built_as_asked(name: str) -> None:
    for found in summarise(load_cluster(name, CATALOGUE)).pools:
        assert ratios(found) == []
