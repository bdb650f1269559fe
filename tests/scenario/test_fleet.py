"""A fleet in chips becomes the cluster and the supply of the part that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.availability.supply import Delivery
from clustersim.catalogue.assumptions import server_price_cny
from clustersim.errors import InputError
from clustersim.files import read_yaml
from clustersim.scenario.scenario import Scenario, define_scenario
from clustersim.topology import resolve_cluster

REPORTED = Path(__file__).parents[2] / "experiments" / "fleet_2026.yaml"
ORDERS = {"first": {"chips": 100, "at": "2026-02-01", "lots": 2, "every": "10 d"}}
MADE = {"chips": 88, "foundry": "A", "at": "5 d", "chips_per_month": 40}
POOLS: dict[str, Any] = {
    "new": {"accelerator": "H200", "stock": 60, "deliveries": ORDERS},
    "own": {"accelerator": "SeedChip", "chips_per_node": 8, "stock": 20, "made": {"line": MADE}},
}


def scenario(changes: dict[str, Any] | None = None, **fleet: Any) -> Scenario:
    tree = {
        "name": "ours",
        "start": "2026-01-01",
        "fleet": {"pools": POOLS, **fleet},
        "workload": {"generate": "philly-2017", "jobs": 10, "load": 0.5},
    }
    return define_scenario(tree, changes or {}).scenario


def nodes(found: Scenario) -> dict[str, int]:
    assert isinstance(found.cluster, dict)
    return {name: pool["nodes"] for name, pool in found.cluster["pools"].items()}


def test_a_fleet_by_hand() -> None:
    """160 H200 are 20 nodes, 7 of them there; of 13 on order, 6 come first. 108 SeedChips are 13
    nodes, of which 2 are there and 11 are made."""
    found = scenario()
    assert nodes(found) == {"new": 20, "own": 13}
    assert found.supply is not None
    order, stock = found.supply.deliveries
    assert (order.name, order.pool, order.nodes) == ("first", "new", 13)
    assert order.at == 31 * 86400
    assert [lot.nodes for lot in order.each_lot()] == [6, 7]
    assert (stock.pool, stock.nodes, stock.at) == ("own", 2, 0)
    (line,) = found.supply.production
    assert (line.pool, line.chips_per_month) == ("own", 40)


@pytest.mark.parametrize(("chips", "days"), [(8, [360]), (24, [120, 240, 360])])
def test_fewer_nodes_than_lots_do_not_come_sooner(chips: int, days: list[int]) -> None:
    """A node of 8 chips comes with the last of them, in twelve lots of 30 days each."""
    order = {"chips": chips, "at": "30 d", "lots": 12, "every": "30 d"}
    found = scenario({"fleet.pools.new.stock": 0, "fleet.pools.new.deliveries": {"year": order}})
    assert found.supply is not None
    lots = list(found.supply.deliveries[0].each_lot())
    assert [(lot.at / 86400, lot.nodes) for lot in lots] == [(day, 1) for day in days]


def test_the_part_that_trains() -> None:
    """A quarter: 40 H200, and of 27 SeedChips in nodes of 8 no more than 3 nodes."""
    memory = {"stacks_per_month": 200, "priority": ["own"]}
    found = scenario(training_share=0.25, memory=memory)
    assert nodes(found) == {"new": 5, "own": 3}
    assert found.supply is not None
    assert found.supply.production[0].chips_per_month == 10
    assert found.supply.memory is not None
    assert found.supply.memory.stacks_per_month == 50
    own = {"fleet.pools.new.training_share": 1}
    assert nodes(scenario(own, training_share=0.25)) == {"new": 20, "own": 3}


def test_memory_is_that_of_the_part_that_trains() -> None:
    """Also if a pool has a share of its own; but pools that share memory have the same share."""
    own = {"fleet.pools.own.training_share": 1}
    found = scenario(own, training_share=0.25, memory={"stacks_per_month": 200})
    assert found.supply is not None
    assert found.supply.memory is not None
    assert found.supply.memory.stacks_per_month == 200
    made = {"fleet.pools.new.made": {"other": MADE}}
    with pytest.raises(InputError, match=r"training_share: must be the same .* new 0.25, own 1"):
        scenario({**own, **made}, training_share=0.25, memory={"stacks_per_month": 200})


def test_a_foundry_is_one_key() -> None:
    """What an entry or the memory states itself is not replaced by the foundry's terms."""
    terms = {
        "A": {"at": "5 d", "chips_per_month": 40, "usable": 0.5, "stacks_per_month": 100},
        "B": {"at": "2026-01-10", "chips_per_month": 80, "until": "90 d", "stacks_per_month": 60},
    }
    line = {"chips": 88, "foundry": "A", "ramp": "10 d"}
    fleet: dict[str, Any] = {"foundries": terms, "memory": {"share": 0.5}}
    made = {"fleet.pools.own.made": {"line": line}}

    def offered(changes: dict[str, Any]) -> tuple[float, ...]:
        found = scenario({**made, **changes}, **fleet).supply
        assert found is not None
        (each,) = found.production
        assert found.memory is not None
        assert isinstance(each.chips_per_month, float)
        stacks = found.memory.stacks_per_month
        assert isinstance(stacks, float)
        return each.at / 86400, each.chips_per_month, each.usable, each.ramp / 86400, stacks

    assert offered({}) == (5, 40, 0.5, 10, 100)
    assert offered({"fleet.pools.own.made.line.foundry": "B"}) == (9, 80, 1, 10, 60)
    assert offered({"fleet.pools.own.made.line.at": "7 d"}) == (7, 40, 0.5, 10, 100)
    assert offered({"fleet.memory.stacks_per_month": 70}) == (5, 40, 0.5, 10, 70)
    idle = {"fleet.pools.own.made.idle": {"chips": 0, "foundry": "B"}}
    assert offered(idle) == (5, 40, 0.5, 10, 100), "a foundry that makes nothing brings no HBM"
    second = {"fleet.pools.own.made.idle": {"chips": 8, "foundry": "B"}}
    with pytest.raises(InputError, match=r"foundries\.B\.stacks_per_month: is missing"):
        scenario({**made, **second, "fleet.foundries.B.stacks_per_month": None}, **fleet)
    nothing = scenario({"fleet.pools.own.made": {}}, **fleet).supply
    assert nothing is not None
    assert nothing.memory is None


def test_changes_reach_each_number() -> None:
    assert nodes(scenario({"fleet.pools.new.deliveries.first.chips": 20})) == {"new": 10, "own": 13}
    without = scenario({"fleet.pools.own.made.line": None, "fleet.pools.own.stock": 0})
    assert nodes(without) == {"new": 20, "own": 0}
    assert without.supply is not None
    assert without.supply.production == []


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    st.floats(0.01, 1.0),
    st.integers(1, 16),
)
def test_no_node_is_lost_between_deliveries(chips: list[int], share: float, size: int) -> None:
    """However they are split, deliveries have the nodes of their sum."""
    first, *later = chips
    orders = {str(k): {"chips": n, "at": f"{k} d"} for k, n in enumerate(later)}
    pool = {"accelerator": "H200", "chips_per_node": size, "stock": first, "deliveries": orders}
    tree = {
        "fleet": {"pools": {"new": pool, "old": {"accelerator": "H20", "stock": 16}}},
        "workload": {"generate": "philly-2017", "jobs": 10, "load": 0.5},
    }
    found = define_scenario(tree, {"fleet.training_share": share}).scenario
    assert nodes(found)["new"] == int(sum(chips) * share / size + 1e-9)
    assert found.supply is not None
    assert sum(each.nodes for each in found.supply.deliveries) <= nodes(found)["new"]


@given(st.integers(1, 200), st.integers(1, 12), st.floats(0.05, 1.0))
def test_unusable_nodes_are_rounded_once(chips: int, lots: int, usable: float) -> None:
    """However many lots there are, as many nodes are usable as of the delivery as a whole."""
    every = "30 d" if lots > 1 else None
    size = max(chips, lots)
    order = {"pool": "new", "nodes": size, "at": 0, "lots": lots, "every": every, "usable": usable}
    delivery = Delivery.model_validate(order)
    each = [round(lot.usable * lot.nodes) for lot in delivery.each_lot()]
    assert sum(each) == round(usable * size)
    assert all(0 <= n <= lot.nodes for n, lot in zip(each, delivery.each_lot(), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cluster": "mixed-small"}, "cluster: follows from `fleet`; give only one of them"),
        ({"supply": [1]}, "supply: must be a mapping, found"),
        ({"supply.deliveries": []}, "supply.deliveries: follows from `fleet`"),
        ({"fleet.pools.new.accelerator": "H2000"}, "fleet.pools.new.accelerator: unknown"),
        ({"fleet.pools.new.stock": -1}, "fleet.pools.new.stock"),
        ({"fleet.training_part": 0.5}, "training_part"),
        (
            {"fleet.pools.new.deliveries.first.name": "second"},
            "fleet.pools.new.deliveries.first: name: is not allowed, because the key",
        ),
        (
            {"fleet.pools.own.made.line.name": "x"},
            "own.made.line: name: is not allowed",
        ),
        (
            {"fleet.foundries": {"B": {"at": "1 d"}}},
            "fleet: pools.own.made.line.foundry: unknown foundry 'A'; allowed: B",
        ),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scenario(changes)


def test_a_scenario_with_a_fleet_runs() -> None:
    result = cs.run(
        {
            "fleet": {"pools": POOLS},
            "start": "2026-01-01",
            "workload": {"generate": "philly-2017", "jobs": 50, "jobs_per_day": 100},
        },
    )
    assert len(result.jobs) == 50


def test_the_topology_has_the_whole_fleet(tmp_path: Path) -> None:
    """Whatever its part that trains; a topology may name the file and one of its cases."""
    catalogue = cs.load_catalogue()
    for case, h200 in {None: 2500, "cap of 75,000": 9375, "as announced": 53_333}.items():
        spec = cs.load_cluster(REPORTED, catalogue, case=case)
        assert spec.pools["h200"].nodes == h200
        assert spec.pools["h20"].nodes == 18_518
    beside = tmp_path / "ours.yaml"
    beside.write_text(f"name: ours\nfleet: {REPORTED}\ncase: no H200\n", encoding="utf-8")
    spec = cs.load_cluster(beside, catalogue)
    assert spec.name == "ours"
    assert "h200" in spec.empty_pools
    assert list(spec.pools) == ["h20", "910b", "seedchip"]
    with pytest.raises(InputError, match=r"case: unknown case 'no H20'.*no H200"):
        cs.load_cluster(REPORTED, catalogue, case="no H20")
    text = "fleet: {pools: {a: {accelerator: H20, stock: 8, deliveries: {o: null}}}}\n"
    text += "cases: {more: {fleet.pools.a.deliveries.o.chips: 16}}\n"
    own = tmp_path / "own.yaml"
    own.write_text(f"name: own\n{text}", encoding="utf-8")
    assert cs.load_cluster(own, catalogue, case="more").pools["a"].nodes == 3
    with pytest.raises(InputError, match="has no fleet"):
        cs.load_cluster("mixed-small", catalogue, case="none")
    later = tmp_path / "later.yaml"
    later.write_text("extends: own.yaml\nname: later\nfleet: {pools: {a: {stock: 32}}}\n")
    spec = cs.load_cluster(later, catalogue, case="more")
    assert (spec.name, spec.pools["a"].nodes) == ("later", 6)


def test_cases_of_the_fleet_as_reported() -> None:
    """The numbers that were reported, of which two fifths train; 80e9 yuan buy 910B or 910C."""
    sizes = {}
    for case in read_yaml(REPORTED)["cases"]:
        found = cs.load_scenario(REPORTED, {"case": case}).scenario
        sizes[case] = nodes(found)
    had = {name: n for name, n in sizes["as reported"].items() if n}
    assert had == {"h200": 1000, "h20": 7407, "910b": 1500, "seedchip": 5000}
    assert sizes["no H200"]["h200"] == 0
    assert sizes["cap of 75,000"]["h200"] == 3750
    assert sizes["SeedChip never"]["seedchip"] == 0
    catalogue = cs.load_catalogue()
    for case, chip in {"all 910B": "910B", "all 910C": "910C"}.items():
        price = server_price_cny(catalogue.accelerator(chip), catalogue.assumptions)
        assert price is not None
        bought = int(80e9 / (8 * price[1]))
        had = 30_000 // 8 if chip == "910B" else 0
        assert sizes[case][chip.lower()] == pytest.approx(0.4 * (bought + had), abs=1)


@pytest.mark.parametrize("name", ["fleet_2026", "fleet_2026_shares", "fleet_2026_memory"])
def test_every_case_can_be_built(name: str) -> None:
    """Its pools fit on their fabrics, and its supply fits its pools."""
    file = REPORTED.parent / f"{name}.yaml"
    for case in read_yaml(file)["cases"]:
        found = cs.load_scenario(file, {"case": case})
        assert found.scenario.supply is not None
        catalogue = cs.load_catalogue(*found.scenario.catalogue)
        cluster = cs.compile_cluster(resolve_cluster(found.scenario.cluster, catalogue))
        nodes = cs.nodes_over_time(found.scenario.supply, cluster, cs.Streams(1), catalogue)
        assert set(nodes["pool"]) == {pool.name for pool in cluster.pools}
