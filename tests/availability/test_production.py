"""Chips that foundries make, and the memory that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.availability.supply import Supply, nodes_over_time, supplied
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster
from tests.examples import examples
from tests.simulation.fleets import cluster, jobs, pool, scenario

DAY_S = 86400.0
MONTH = 365.25 / 12
"""Days."""
STACKS = {"seed": 4, "910c": 8, "h200": 6}
FLEET = cluster(
    pool("seed", 4, 8, accelerator="SeedChip"), pool("910c", 4, 8, accelerator="Ascend 910C")
)
SEED = cluster(FLEET.pools[0])


def made(of: str, a_day: float, at: float = 0, **fields: Any) -> dict[str, Any]:
    """A production of so many chips a day."""
    month = a_day * MONTH
    return {"pool": of, "foundry": "A", "chips_per_month": month, "at": f"{at} d", **fields}


def memory(a_day: float, **fields: Any) -> dict[str, Any]:
    return {"stacks_per_month": a_day * MONTH, **fields}


def days(
    fleet: Cluster = SEED, catalogue: Catalogue | None = None, replication: int = 0, **fields: Any
) -> list[list[float]]:
    """When the nodes of each pool come, in order of node."""
    streams = Streams(1, replication=replication)
    found = supplied(validate(Supply, fields, "supply"), fleet, streams, catalogue)
    assert {outage.cause for outage in found} <= {"not delivered"}
    comes = [[0.0] * each.n_nodes for each in fleet.pools]
    for outage in found:
        assert outage.begin_s == 0
        comes[outage.pool][outage.node] = outage.end_s / DAY_S
    return comes


def near(*expected: list[float]) -> Any:
    return [pytest.approx(each, rel=1e-9) for each in expected]


def test_the_foundry_limits() -> None:
    """Eight chips a day are a node a day."""
    assert days(production=[made("seed", 8, at=10)]) == near([11, 12, 13, 14])


def test_the_memory_limits_and_nothing_else_changes() -> None:
    """16 stacks a day are four chips of four stacks, half of what the foundry can."""
    productions = [made("seed", 8, at=10)]
    assert days(production=productions, memory=memory(16)) == near([12, 14, 16, 18])
    assert days(production=productions, memory=memory(32)) == days(production=productions)


def test_half_the_memory_is_half_the_chips_where_memory_limits() -> None:
    productions = [made("seed", 8)]
    assert days(production=productions, memory=memory(16, share=0.5)) == near([4, 8, 12, 16])
    steps = [{"at": "0 d", "per_month": 16 * MONTH}, {"at": "4 d", "per_month": 8 * MONTH}]
    assert days(production=productions, memory={"stacks_per_month": steps}) == near([2, 4, 8, 12])
    assert days(production=productions, memory=memory(100, share=0.5)) == days(
        production=productions
    )
    assert days(production=productions, memory=memory(16, share=0)) == [[np.inf] * 4]


def test_two_pools_share_memory_by_need_until_one_has_all_its_nodes() -> None:
    """Each needs 32 stacks a day and gets 16; from day 8 on the second gets all 32."""
    productions = [made("seed", 8), made("910c", 4)]
    shared = days(FLEET, production=productions, memory=memory(32))
    assert shared == near([2, 4, 6, 8], [4, 8, 10, 12])


def test_priority_goes_before_need() -> None:
    productions = [made("seed", 8), made("910c", 4)]
    first = days(FLEET, production=productions, memory=memory(32, priority=["910c"]))
    assert first == near([9, 10, 11, 12], [2, 4, 6, 8])
    # 16 of 48 stacks a day are left for the others.
    first = days(FLEET, production=productions, memory=memory(48, priority=["seed", "910c"]))
    assert first == near([1, 2, 3, 4], [4, 6, 8, 10])


def test_a_second_foundry_that_begins_later_adds_up() -> None:
    productions = [made("seed", 8), made("seed", 8, at=2, foundry="B")]
    assert days(production=productions) == near([1, 2, 2.5, 3])
    assert days(production=productions, memory=memory(48)) == near([1, 2, 2 + 2 / 3, 3 + 1 / 3])


def test_a_ramp_rises_from_nothing() -> None:
    """0.4 t^2 chips after t days, in steps of a tenth of a day."""
    productions = [made("seed", 8, ramp="10 d")]
    assert days(production=productions)[0] == pytest.approx(np.sqrt(20 * np.arange(1, 5)), abs=1e-3)
    # From 5 days on memory for four a day: 10 chips by then.
    expected = [np.sqrt(20), 5 + 6 / 4, 5 + 14 / 4, 5 + 22 / 4]
    assert days(production=productions, memory=memory(16))[0] == pytest.approx(expected, abs=1e-3)


def test_steps_ends_embargoes_and_the_yield() -> None:
    steps = [{"at": "2 d", "per_month": 8 * MONTH}, {"at": "3 d", "per_month": 16 * MONTH}]
    assert days(production=[made("seed", 8, chips_per_month=steps)]) == near([3, 3.5, 4, 4.5])
    assert days(production=[made("seed", 8, until="2.5 d")]) == near([1, 2, np.inf, np.inf])
    stopped = days(
        FLEET,
        production=[made("seed", 8), made("910c", 4)],
        memory=memory(32),
        embargoes=[{"pools": ["seed"], "at": "4 d"}],
    )
    assert stopped == near([2, 4, np.inf, np.inf], [4, 6, 8, 10])
    # Bad chips use memory too.
    assert days(production=[made("seed", 8, usable=0.5)], memory=memory(16)) == near([4, 8, 12, 16])


def test_production_fills_what_deliveries_leave() -> None:
    """Deliveries do not draw on the memory."""
    fields = {"production": [made("seed", 8)], "memory": memory(16)}
    there = [{"pool": "seed", "nodes": 1, "at": "0 d"}, {"pool": "seed", "nodes": 1, "at": "5 d"}]
    assert days(deliveries=there, **fields) == near([0, 5, 2, 4])


def test_stacks_are_those_of_the_catalogue() -> None:
    own = {"accelerators": {"SeedChip": {"extends": "SeedChip", "hbm_stacks": 6}}}
    fields = {"production": [made("seed", 8)], "memory": memory(16)}
    assert days(catalogue=load_catalogue(own), **fields) == near([3, 6, 9, 12])


def test_a_slip_moves_the_first_output_only() -> None:
    slip = {"kind": "exponential", "average": "30 d"}
    productions = [made("seed", 8, at=5, slip=slip)]

    def first(replication: int, **fields: Any) -> float:
        late = [{**productions[0], **fields}]
        return days(production=late, replication=replication)[0][0]

    assert first(0) == first(0) != first(1)
    slips = np.array([first(k) for k in range(300)]) - 6
    assert slips.mean() == pytest.approx(30, abs=4 * 30 / np.sqrt(300))
    ended = [np.isinf(first(k, until="20 d")) for k in range(300)]
    assert np.mean(ended) == pytest.approx(np.mean(slips > 14), abs=1e-12)


def test_the_plan_as_a_table() -> None:
    spec = validate(
        Supply,
        {
            "deliveries": [{"pool": "910c", "nodes": 3, "at": "2 d"}],
            "production": [made("seed", 8)],
            "retirements": [{"pool": "910c", "nodes": 2, "at": "3 d"}],
        },
        "supply",
    )
    table = nodes_over_time(spec, FLEET, Streams(1))
    assert list(table.columns) == ["time_s", "pool", "nodes"]
    steps = {name: rows[["time_s", "nodes"]] for name, rows in table.groupby("pool")}
    assert (steps["seed"].to_numpy() / [DAY_S, 1]).tolist() == near(
        [0, 0], [1, 1], [2, 2], [3, 3], [4, 4]
    )
    assert (steps["910c"].to_numpy() / [DAY_S, 1]).tolist() == [[0, 1], [2, 4], [3, 2]]


def twin(
    foundries: list[dict[str, Any]], stacks: float, priority: list[str]
) -> dict[str, list[float]]:
    """Nodes of each pool by day, in steps of a hundredth of a day, chip by chip of the rules."""
    step = 0.01
    chips = dict.fromkeys(("seed", "910c"), 0.0)
    nodes: dict[str, list[float]] = {name: [] for name in chips}
    for tick in range(3000):
        rates = dict.fromkeys(chips, 0.0)
        for entry in foundries:
            age = (tick + 0.5) * step - entry["day"]
            if age > 0 and chips[entry["pool"]] < 32:
                rates[entry["pool"]] += entry["a_day"] * min(1.0, age / (entry["rise"] or 1e-9))
        left = stacks
        for group in [*([name] for name in priority), [n for n in chips if n not in priority]]:
            need = sum(rates[name] * STACKS[name] for name in group)
            share = min(1.0, left / need) if need > 0 else 1.0
            left -= need * share
            for name in group:
                chips[name] = min(32.0, chips[name] + rates[name] * share * step)
        if tick % 100 == 99:
            for name, count in chips.items():
                nodes[name].append(count / 8)
    return nodes


ENTRY = st.fixed_dictionaries(
    {
        "pool": st.sampled_from(["seed", "910c"]),
        "day": st.sampled_from([0, 1, 2.5, 7]),
        "a_day": st.sampled_from([0, 1, 3, 8, 20]),
        "rise": st.sampled_from([0, 4, 10]),
    }
)
FOUNDRIES = st.lists(ENTRY, min_size=1, max_size=4)
PRIORITY = st.sampled_from([[], ["seed"], ["910c"], ["910c", "seed"]])


def production_of(foundries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [made(e["pool"], e["a_day"], at=e["day"], ramp=f"{e['rise']} d") for e in foundries]


def sound(foundries: list[dict[str, Any]], priority: list[str]) -> list[str]:
    """The part of a priority that a supply takes: pools with a production."""
    return [name for name in priority if name in {entry["pool"] for entry in foundries}]


@settings(max_examples=examples(25))
@given(foundries=FOUNDRIES, stacks=st.sampled_from([0, 5, 16, 40, 200]), priority=PRIORITY)
def test_nodes_are_those_of_a_plain_twin(
    foundries: list[dict[str, Any]], stacks: float, priority: list[str]
) -> None:
    first = sound(foundries, priority)
    found = days(FLEET, production=production_of(foundries), memory=memory(stacks, priority=first))
    expected = twin(foundries, stacks, first)
    there = {entry["pool"] for entry in foundries}
    for each, comes in zip(FLEET.pools, found, strict=True):
        if each.name not in there:
            continue
        for day, nodes in enumerate(expected[each.name], start=1):
            # The twin is late or early by no more than a few of its steps.
            low, high = (sum(c <= day + late for c in comes) for late in (-0.05, 0.05))
            assert low - 1e-6 <= nodes < high + 1 + 1e-6, (each.name, day)


@given(
    foundries=FOUNDRIES,
    stacks=st.sampled_from([5, 16, 40, 200]),
    later=st.sampled_from([0, 3, 100]),
    priority=PRIORITY,
)
def test_no_more_than_memory_foundry_and_pool_allow_and_never_less_with_more_memory(
    foundries: list[dict[str, Any]], stacks: float, later: float, priority: list[str]
) -> None:
    steps = [{"at": "0 d", "per_month": stacks * MONTH}, {"at": "6 d", "per_month": later * MONTH}]

    def comes(share: float) -> list[list[float]]:
        limits = {
            "stacks_per_month": steps,
            "share": share,
            "priority": sound(foundries, priority),
        }
        return days(FLEET, production=production_of(foundries), memory=limits)

    few, many = comes(1.0), comes(1.7)
    made_pools = [
        k for k, each in enumerate(FLEET.pools) if each.name in {e["pool"] for e in foundries}
    ]
    for k in made_pools:
        assert few[k] == sorted(few[k])
        assert all(more <= less * (1 + 1e-9) for more, less in zip(many[k], few[k], strict=True)), (
            "more memory is never later"
        )
    for t in {t for k in made_pools for t in few[k] if np.isfinite(t)}:
        nodes = {k: sum(each <= t for each in few[k]) for k in made_pools}
        used = sum(8 * count * STACKS[FLEET.pools[k].name] for k, count in nodes.items())
        assert used <= (stacks * min(t, 6) + later * max(0, t - 6)) * (1 + 1e-9)
        for k, count in nodes.items():
            name = FLEET.pools[k].name
            could = sum(e["a_day"] * max(0, t - e["day"]) for e in foundries if e["pool"] == name)
            assert 8 * count <= could * (1 + 1e-9)


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_jobs_run_on_what_is_made(policy: str) -> None:
    """A gang of 32 waits for the fourth node at day 8, memory-bound; smaller ones go before."""
    spec = validate(Supply, {"production": [made("seed", 8)], "memory": memory(16)}, "supply")
    log = jobs([(0, 32, DAY_S), (0, 8, DAY_S), (0, 16, DAY_S)])
    result = simulate(
        log,
        SEED,
        Scheduling(policy=policy, placement="consolidate"),
        node_events=supplied(spec, SEED, Streams(1)),
        check=True,
    )
    starts = (result.jobs["start_s"] / DAY_S).tolist()
    assert starts == pytest.approx([8, 9, 9] if policy == "fcfs" else [8, 2, 4])
    use = result.utilisation
    plan = nodes_over_time(spec, SEED, Streams(1))
    for time, installed in zip(use["time_s"][:-1], use["installed"][:-1], strict=True):
        assert installed == 8 * plan["nodes"][plan["time_s"] <= time].iloc[-1]
    assert set(result.outages["cause"]) == {"not delivered"}


def test_memory_and_foundry_change_a_scenario_by_path() -> None:
    base = scenario(jobs=40, load=0.5, sizes={8: 2, 16: 1}, average="1 h")
    there = {"pool": "gpu", "nodes": 3, "at": "0 d"}
    supply = {
        "deliveries": [there],
        "production": [made("gpu", 400, name="first")],
        "memory": memory(1200),
    }
    tree = {**base, "supply": supply}

    def mean_wait_s(**changes: Any) -> float:
        result = run_scenario(define_scenario(tree, changes), check=True)
        return float((result.jobs["start_s"] - result.jobs["submit_s"]).mean())

    waits = [
        mean_wait_s(**{"supply.memory": None}),
        mean_wait_s(),
        mean_wait_s(**{"supply.memory.share": 0.5}),
        mean_wait_s(**{"supply.memory.share": 0.5, "catalogue.H200.hbm_stacks": 12}),
    ]
    assert waits == sorted(waits)
    assert len(set(waits)) == 4
    slow = mean_wait_s(**{"supply.production.first.chips_per_month": 20 * MONTH})
    assert slow > waits[1], "now the foundry limits"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no such pool": (
        {"production": [made("sed", 8)]},
        "supply: production: unknown pool 'sed'; did you mean 'seed'",
    ),
    "no room": (
        {
            "production": [made("seed", 8)],
            "deliveries": [{"pool": "seed", "nodes": 4, "at": "1 d"}],
        },
        "supply: production: pool seed has no node left to fill",
    ),
    "priority of what is not made": (
        {"production": [made("seed", 8)], "memory": memory(1, priority=["910c"])},
        "supply: memory.priority: unknown pool with a production '910c'; allowed: seed",
    ),
    "ends before it begins": (
        {"production": [made("seed", 8, at=5, until="5 d")]},
        r"supply: production\[0\]: `until` must be later than `at`",
    ),
    "steps not in order": (
        {
            "production": [made("seed", 8)],
            "memory": {"stacks_per_month": [{"at": "1 d", "per_month": 1}] * 2},
        },
        "supply: memory: stacks_per_month: steps must be in order of time",
    ),
    "twice in the line": (
        {"production": [made("seed", 8)], "memory": memory(1, priority=["seed", "seed"])},
        "memory: priority: must not name a pool more than once",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_production(case: str) -> None:
    fields, words = BAD[case]
    with pytest.raises(InputError, match=words):
        days(FLEET, **fields)


def test_a_chip_whose_stacks_are_not_known() -> None:
    fleet = cluster(pool("910b", 2, 8, accelerator="910B"))
    fields = {"production": [made("910b", 8)]}
    assert days(fleet, **fields) == near([1, 2])
    words = r"memory: the HBM stacks of 910B2 \(pool 910b\) are unknown; set hbm_stacks in a catal"
    with pytest.raises(InputError, match=words):
        days(fleet, memory=memory(8), **fields)
