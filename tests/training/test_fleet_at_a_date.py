"""The chips of a fleet at a date, counted by hand, and the time of a training on them."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.availability.supply import Supply, nodes_at, nodes_over_time
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.training.fleet_at import FleetAt, fleet_at
from clustersim.training.interruptions import find_interruptions
from clustersim.training.on_fleet import read_fleet
from clustersim.training.pool_days import PoolDays, usable_counts
from clustersim.training.spanning import fastest_span
from tests.examples import examples
from tests.simulation.fleets import cluster, pool
from tests.training.two_pools import FLEET

CATALOGUE = load_catalogue()


def changed(**parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FLEET), **parts}


def in_time(chance: float, days: float) -> dict[str, Any]:
    """An exponential delay that is at most some days with a probability."""
    return {"kind": "exponential", "average": f"{days / -math.log(1 - chance)} d"}


def there(at: str, fleet: dict[str, Any] = FLEET, model: str = "llama3-8b") -> FleetAt:
    asked = read_fleet(fleet)
    return fleet_at(asked.loaded, asked.platform, at, CATALOGUE.model(model))


@pytest.mark.parametrize(
    ("at", "nodes"),
    [
        ("2026-01-01", [10, 30]),
        ("31 d", [20, 30]),
        ("2026-02-01", [20, 30]),
        ("2026-03-01", [21, 30]),  # the first of twenty, one a day
        ("2026-03-11", [31, 30]),
        ("Q2", [40, 18]),
        ("2026-04-01", [40, 18]),
    ],
)
def test_nodes_by_hand(at: str, nodes: list[int]) -> None:
    found = there(at)
    assert found.nodes.tolist() == [nodes], "one draw, as nothing is random"
    assert found.chips(1.0).tolist() == [[8 * count for count in nodes]]
    assert found.chips(0.3).tolist() == [[8 * math.floor(0.3 * count) for count in nodes]]


def test_a_service_holds_the_nodes_of_its_busiest_hour() -> None:
    """1,000 tokens/s at the peak at 25 a chip: 40 chips, and twice as many in a year."""
    service = {
        "name": "chat",
        "pool": "old",
        "peak_requests_per_s": 10,
        "input_tokens": 50,
        "output_tokens": 50,
        "tokens_per_s_per_chip": 25,
        "shape": [0.1] * 12 + [1.0] + [0.1] * 11,
        "lend": True,
        "growth": 2.0,
    }
    fleet = changed(serving={"services": [service]})
    first = there("2026-01-01", fleet)
    week = 2.0 ** (6.5 / 365.25)  # noon of the last day of the week
    held = math.ceil(math.ceil(40 * week) / 8)
    assert held == 6
    assert first.nodes.tolist() == [[10, 30 - held]]
    later = there("2026-12-01", fleet)
    growth = 2.0 ** ((334 + 6.5) / 365.25)
    assert later.nodes.tolist() == [[40, 18 - math.ceil(math.ceil(40 * growth) / 8)]]


def test_software_at_a_date_by_hand() -> None:
    """From April on at half the speed; the rest halves every 30 days."""
    port = {
        "name": "to H20",
        "accelerators": ["H20"],
        "models": ["llama3-8b"],
        "at": "2026-04-01",
        "efficiency": 0.5,
        "halving": "30 d",
    }
    fleet = changed(software={"ports": [port]})
    assert there("2026-03-31", fleet).software.tolist() == [[1.0, 0.0]]
    assert "only from" in there("2026-03-31", fleet).obstacles[1]
    assert there("2026-04-01", fleet).software.tolist() == [[1.0, 0.5]]
    assert there("2026-05-01", fleet).software[0] == pytest.approx([1.0, 0.75])
    other = there("2026-03-31", fleet, "llama3-70b")
    assert (other.software.tolist(), other.unported) == ([[1.0, 1.0]], ("H20",))
    assert there("2026-03-31", fleet).unported == ()
    notes = cs.time_to_train_on_fleet("llama3-70b", fleet, "Q2").notes
    assert any("ports other models to H20, but not this one" in note for note in notes)
    of_classes = {**port, "name": "of classes", "classes": ["job"], "at": "never"}
    fleet["software"]["ports"].append(of_classes)
    assert there("2026-04-01", fleet).software.tolist() == [[1.0, 0.5]], "a training has no class"


def test_late_deliveries_are_those_of_the_replications() -> None:
    late = copy.deepcopy(FLEET)
    late["supply"]["deliveries"][0]["slip"] = in_time(0.25, 15)
    found = there("2026-02-16", late)  # 15 days after the first date
    assert len(found.nodes) == 256
    assert set(found.nodes[:, 0].tolist()) == {10, 20}
    assert np.mean(found.nodes[:, 0] == 20) == pytest.approx(0.25, abs=1e-9), "stratified"
    loaded = define_scenario(late, {"replication": 5})
    asked = read_fleet(loaded)
    nodes = nodes_over_time(
        asked.loaded.scenario.supply or Supply(),
        asked.platform.cluster,
        Streams(0, replication=5),
        CATALOGUE,
    )
    new = nodes[(nodes["pool"] == "new") & (nodes["time_s"] <= found.at_s)]
    assert found.nodes[5, 0] == new["nodes"].iloc[-1]


@settings(max_examples=examples(60))
@given(data=st.data())
def test_nodes_at_a_time_are_those_of_the_step_function(data: st.DataObject) -> None:
    days = st.integers(0, 100).map(lambda day: f"{day} d")
    slip = st.one_of(st.none(), st.just({"kind": "exponential", "average": "10 d"}))
    delivery = st.fixed_dictionaries(
        {"pool": st.sampled_from(["a", "b"]), "nodes": st.integers(1, 4), "at": days,
         "ramp": days, "slip": slip, "usable": st.sampled_from([0.5, 1.0])}
    )  # fmt: skip
    retirement = st.fixed_dictionaries(
        {"pool": st.sampled_from(["a", "b"]), "nodes": st.integers(1, 4), "at": days}
    )
    embargo = st.fixed_dictionaries({"pools": st.just(["a"]), "at": days})
    tree = {
        "deliveries": data.draw(st.lists(delivery, max_size=3)),
        "retirements": data.draw(st.lists(retirement, max_size=2)),
        "embargoes": data.draw(st.lists(embargo, max_size=1)),
        "site": data.draw(st.sampled_from([None, {"limits": [{"nodes": 28}]}])),
    }
    supply = validate(Supply, tree, "supply")
    pools = cluster(pool("a", 16, accelerator="H20"), pool("b", 16, accelerator="H200"))
    at_s = 86400.0 * data.draw(st.integers(0, 120)) + data.draw(st.sampled_from([0.0, 0.5]))
    try:
        steps = nodes_over_time(supply, pools, Streams(1), CATALOGUE)
    except InputError:  # the site has no room for the nodes at the start
        return
    expected = [
        steps[(steps["pool"] == name) & (steps["time_s"] <= at_s)]["nodes"].iloc[-1]
        for name in ("a", "b")
    ]
    assert nodes_at(supply, pools, Streams(1), CATALOGUE, at_s).tolist() == expected


def test_one_pool_is_a_gang_of_its_chips() -> None:
    """Nothing random: the fastest number of chips of each pool, as on these chips alone."""
    found = cs.time_to_train_on_fleet("llama3-8b", FLEET, "2026-04-01", tokens=1e12)
    assert found.table["pool"].tolist() == ["new", "old"]
    assert found.table["chips_there"].tolist() == [320, 144]
    assert (found.table["chance"] == 1).all()
    for row in found.table.to_dict("records"):
        sizes = usable_counts(np.array([row["chips_there"]]), 8)
        alone = cs.time_to_train(
            "llama3-8b", row["accelerator"], sizes, tokens=1e12, failures="none"
        ).fastest
        assert alone is not None
        assert row["count"] == alone["count"]
        for name in ("days", "days_lo", "days_hi", "step_time_s", "mfu", "energy_mwh", "cost_cny"):
            assert row[name] == pytest.approx(alone[name], rel=1e-6), name
    assert found.fastest is not None
    assert found.fastest["pool"] == "new"
    assert found.at == "2026-04-01 00:00"


def test_failures_prices_and_links_are_those_of_the_scenario() -> None:
    fleet = changed(
        failures={"sources": "opt-175b", "checkpoints": {"cost": "30 s", "restart": "5 min"}},
        money={"pools": {"old": {"rent_per_hour": "20 CNY"}, "new": {"price": "100000 CNY"}}},
        energy={"pue": 2.0, "price_cny_per_kwh": [0.2] * 12 + [0.4] * 12},
    )
    fleet["cluster"]["pools"]["new"]["nic"] = "100 Gb/s"
    usual, own = (
        cs.time_to_train_on_fleet("llama3-8b", each, "Q2", tokens=1e12, counts=64).table
        for each in (FLEET, fleet)
    )
    node_s = 62 * 86400.0
    assert own["mttf_s"].tolist() == pytest.approx([node_s / 8, node_s / 8])
    assert usual["mttf_s"].tolist() == [math.inf, math.inf]
    assert own["step_time_s"][0] > usual["step_time_s"][0], "a slower network"
    assert own["step_time_s"][1] == usual["step_time_s"][1]
    rented = own.iloc[1]
    kwh = 1000 * rented["energy_mwh"]
    assert rented["cost_cny"] == pytest.approx(20 * rented["chip_hours"] + 0.3 * kwh)
    watts = 2.0 * (0.9 * 400 + 1800 / 8)
    assert kwh == pytest.approx(rented["chip_hours"] * watts / 1000)


def test_a_gang_that_is_not_there_in_every_draw() -> None:
    """The lot of ten comes by the date in three of four draws; the gang needs it."""
    late = copy.deepcopy(FLEET)
    late["supply"]["deliveries"][0]["slip"] = in_time(0.75, 15)
    found = cs.time_to_train_on_fleet(
        "llama3-8b", late, "2026-02-16", tokens=1e12, counts=160, draws=64
    ).table.iloc[0]
    assert found["chance"] == pytest.approx(0.75)
    alone = cs.time_to_train("llama3-8b", "H200", 160, tokens=1e12, failures="none").table.iloc[0]
    assert found["days"] > alone["days"], "the median counts draws without a gang as never"
    assert found["days_hi"] == math.inf
    assert (found["chips_there_lo"], found["chips_there_hi"]) == (80, 160)


def test_a_pool_without_chips_says_why() -> None:
    fleet = changed()
    fleet["supply"]["retirements"] = [{"pool": "old", "nodes": 30, "at": "10 d"}]
    found = cs.time_to_train_on_fleet("llama3-8b", fleet, "Q2")
    assert found.table["reason"].tolist() == ["", "no chips are there"]
    small = cs.time_to_train_on_fleet("llama3-8b", FLEET, "0 d", counts=[64, 4096]).table
    assert small["fits"].tolist() == [True, True, False, False]
    assert small["reason"].iloc[2] == "at most 80 chips are there"
    large = cs.time_to_train_on_fleet("llama3-405b", FLEET, "0 d", pool_share=0.2).table
    assert not large["fits"].any()
    assert "needs at least" in large["reason"][0]


def test_two_pools_together_by_hand() -> None:
    """80 and 240 chips that take 4 and 2 days: 1.333 days, or 1.5 at the pace of the slower."""
    one = np.ones(1)
    parts = []
    for index, (chip, count, days) in enumerate((("H200", 80, 4.0), ("H20", 240, 2.0))):
        gang = cs.training.gangs.Gang.of(CATALOGUE.accelerator(chip), count)
        parts.append(
            PoolDays(index, np.array([count]), (gang,), np.array([0]), days * one, days * one, one)
        )
    both = fastest_span(parts, "proportional", None, 1e9)
    assert both is not None
    assert both.wall_s[0] == pytest.approx(1 / (1 / 4 + 1 / 2))
    assert both.shares[:, 0] == pytest.approx([1 / 3, 2 / 3])
    even = fastest_span(parts, "equal", None, 1e9)
    assert even is not None
    slower = min(1 / (4 * 80), 1 / (2 * 240))
    assert even.wall_s[0] == pytest.approx(1 / (320 * slower))
    assert even.shares[:, 0] == pytest.approx([0.25, 0.75])
    assert fastest_span(parts[:1], "equal", None, 1e9) is None
    spec = cs.training.interruptions.read_failures("opt-175b")
    failing = fastest_span(parts, "proportional", spec, 1e9)
    assert failing is not None
    alone = find_interruptions(spec, [each.gangs[0].pool for each in parts], [80, 240], 1e9)
    assert 1 / failing.interruptions.mttf_s[0] == pytest.approx((1 / alone.mttf_s).sum())


def test_a_span_is_listed_only_if_jobs_may_span_pools() -> None:
    alone = cs.time_to_train_on_fleet("llama3-8b", FLEET, "Q2", tokens=1e12).table
    changes = {"scheduler.span_pools": "proportional"}
    both = cs.time_to_train_on_fleet("llama3-8b", FLEET, "Q2", changes=changes, tokens=1e12).table
    assert both["pool"].tolist() == ["new", "old", "new + old"]
    row = both.iloc[2]
    assert 1 / row["days"] == pytest.approx((1 / alone["days"]).sum())
    assert row["count"] == alone["count"].sum()
    assert row["energy_mwh"] == pytest.approx(
        (alone["energy_mwh"] / alone["days"]).sum() * row["days"], rel=1e-6
    )
    assert row["cost_cny"] == pytest.approx(
        (alone["cost_cny"] / alone["days"]).sum() * row["days"], rel=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": "2025-01-01"}, "before the start"),
        ({"at": "01.10.2026"}, "a date is written 2026-04-01"),
        ({"at": "soon"}, "at: "),
        ({"pool_share": 0}, "pool_share: must be above 0 and at most 1"),
        ({"pool_share": 1.5}, "pool_share: must be above 0 and at most 1"),
        ({"draws": 0}, "draws: must be from 1"),
        ({"counts": [0]}, "counts: must be whole numbers from 1"),
        ({"changes": ["supply.deliveries=[{pool: knew, nodes: 1, at: 1 d}]"]}, "'new'"),
        ({"model": "llama3-8c"}, "llama3-8b"),
    ],
)
def test_what_cannot_be_used_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        cs.time_to_train_on_fleet(**{"model": "llama3-8b", "fleet": FLEET, "at": "Q2", **arguments})
    assert message in str(error.value)


def test_a_date_needs_a_start() -> None:
    undated = changed()
    del undated["start"]
    undated["supply"] = {}
    with pytest.raises(InputError, match="has no `start`; add start: 2026-01-01"):
        cs.time_to_train_on_fleet("llama3-8b", undated, "2026-10-01")
    assert cs.time_to_train_on_fleet("llama3-8b", undated, "180 d").at == "180 d"
