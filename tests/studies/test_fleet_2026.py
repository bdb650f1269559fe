"""The fleet of 2026 hangs on each of its parts, and on each kind of number that is assumed.

On a hundredth of it, built from the file itself, each part is removed by its path.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from clustersim.analysis.measures import measure
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import load_scenario
from tests.full_counts import first_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FLOP, CHIPS = "useful_flop_per_s", "accelerators"
SMALL: dict[str, Any] = {
    "cluster.pools.h200.nodes": 84,
    "cluster.pools.h20.nodes": 40,
    "cluster.pools.910b.nodes": 40,
    "cluster.pools.seedchip.nodes": 40,
    "supply.deliveries.H200.nodes": 84,
    "supply.production.SeedChip.chips_per_month": 64,
    "supply.memory.stacks_per_month": 224,
    "workload.generate.arrivals.mean_interarrival": "32 h",
    "workload.generate.arrivals.growth": 4,
}
"""A sixteenth of the sixteenth, with more of the chips that are few."""


@lru_cache(maxsize=32)
def _year(*changes: tuple[str, Any]) -> dict[str, float]:
    message = {path: list(value) if isinstance(value, list) else value for path, value in changes}
    loaded = load_scenario(EXPERIMENTS / "fleet_2026_sixteenth.yaml", {**SMALL, **message})
    result = run_scenario(loaded, by_node=False)
    return measure(result, warm_up=0.0, cool_down=0.0, periods=4).metrics


def year(**changes: Any) -> dict[str, float]:
    """Metrics of a year with some changes, by path with ``__`` for a dot."""
    return _year(*((path.replace("__", "."), value) for path, value in changes.items()))


class Listed(list[Any]):
    """A list that can be a key of a cache."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


NOTHING = Listed()
WITHOUT: dict[str, dict[str, Any]] = {
    "h200": {
        "cluster__pools__h200__nodes": 0,
        "supply__deliveries": NOTHING,
        "money__pools__h200": None,
        "money": None,
    },
    "h20": {"cluster__pools__h20__nodes": 0},
    "910b": {"cluster__pools__910b__nodes": 0},
    "seedchip": {
        "cluster__pools__seedchip__nodes": 0,
        "supply__production": NOTHING,
        "supply__memory": None,
    },
}


@pytest.mark.parametrize("pool", WITHOUT)
def test_without_a_kind_of_chip_less_is_done(pool: str) -> None:
    busy = {"workload__generate__arrivals__mean_interarrival": "12 h", "seed": 3}
    whole, without = year(**busy), year(**busy, **WITHOUT[pool])
    assert whole[f"{FLOP}.{pool}@4"] > 0
    assert f"{FLOP}.{pool}@4" not in without
    assert without[f"{CHIPS}@4"] < whole[f"{CHIPS}@4"]
    assert without[f"{FLOP}@4"] < 0.98 * whole[f"{FLOP}@4"]


def test_memory_limits_seedchip() -> None:
    whole, free = year(), year(supply__memory=None)
    half = year(supply__memory__share=0.5)
    made = [each[f"{CHIPS}.seedchip@4"] for each in (half, whole, free)]
    assert made[0] < 0.7 * made[1]
    assert made[1] < 0.99 * made[2]
    more_stacks = year(catalogue__SeedChip__hbm_stacks=8)
    assert more_stacks[f"{CHIPS}.seedchip@4"] < 0.7 * made[1]


def test_slower_memory_makes_a_slower_seedchip() -> None:
    slow = year(catalogue__SeedChip__hbm_type="HBM2e")
    assert slow[f"{CHIPS}.seedchip@4"] == pytest.approx(year()[f"{CHIPS}.seedchip@4"])
    assert slow["utilisation.seedchip@4"] > year()["utilisation.seedchip@4"]


CASES = {
    "H200 stopped": "h200",
    "SeedChip late": "seedchip",
    "HBM halved": "seedchip",
}


@pytest.mark.parametrize("case", CASES)
def test_an_event_of_supply_costs_chips_and_work(case: str) -> None:
    whole, other = year(case="status quo"), year(case=case)
    chips = f"{CHIPS}.{CASES[case]}@4"
    assert other[chips] < 0.9 * whole[chips]
    work = f"{FLOP}.{CASES[case]}@4"
    assert other[work] < whole[work]


ASSUMED: dict[str, tuple[dict[str, Any], str]] = {
    "demand": ({"workload__generate__arrivals__mean_interarrival": "90 h"}, FLOP),
    "growth": ({"workload__generate__arrivals__growth": 1}, f"{FLOP}@4"),
    "tokens": (
        {"workload__generate__classes__Jimeng pretraining__tokens__median": 1e12},
        f"{FLOP}@4",
    ),
    "first speed of software": (
        {"software__ports__language on 910B__efficiency": 0.2},
        f"{FLOP}.910b@1",
    ),
    "maturing of software": (
        {"software__ports__language on 910B__halving": "20 d"},
        f"{FLOP}.910b@3",
    ),
    "date of software": ({"software__ports__language on SeedChip__at": "300 d"},
                         f"{FLOP}.seedchip@4"),
    "rate of failures": ({"failures__rate": 100}, "ettr"),
    "storage of checkpoints": ({"failures__checkpoints__storage": "10 GB/s"}, "ettr"),
    "restart": ({"failures__checkpoints__restart": "2 d"}, "ettr"),
    "ramp of deliveries": ({"supply__deliveries__H200__ramp": "100 d"}, f"{CHIPS}@2"),
    "slip of deliveries": ({"supply__deliveries__H200__slip__average": "90 d"}, f"{CHIPS}@2"),
    "yield": ({"supply__production__SeedChip__usable": 0.3}, f"{CHIPS}.seedchip@4"),
    "foundry": ({"supply__production__SeedChip__chips_per_month": 24}, f"{CHIPS}.seedchip@4"),
    "HBM": ({"supply__memory__stacks_per_month": 100}, f"{CHIPS}.seedchip@4"),
    "PUE": ({"energy__pue": 1.5}, "energy_j"),
    "price of electricity": ({"energy__price_cny_per_kwh": Listed([0.2] * 24)}, "electricity_cny"),
    "life": ({"money__life": "3 yr"}, "cost_cny"),
    "interest": ({"money__interest_per_year": 0.1}, "cost_cny"),
    "price": ({"money__pools__h200__price": "250000 CNY"}, "cost_cny"),
}  # fmt: skip


@pytest.mark.parametrize("name", first_of(ASSUMED, 7))
def test_an_assumed_number_changes_the_answer(name: str) -> None:
    changes, metric = ASSUMED[name]
    before, after = year()[metric], year(**changes)[metric]
    assert before > 0
    assert abs(after / before - 1) > 0.005, (before, after)


def test_the_sixteenth_is_the_fleet_but_for_its_size() -> None:
    whole, part = (
        load_scenario(EXPERIMENTS / f"fleet_2026{name}.yaml").scenario
        for name in ("", "_sixteenth")
    )
    for field in ("software", "failures", "energy", "money", "scheduler", "horizon"):
        assert getattr(part, field) == getattr(whole, field)
    assert isinstance(whole.cluster, dict)
    assert isinstance(part.cluster, dict)
    for pool, message in whole.cluster["pools"].items():
        assert part.cluster["pools"][pool]["nodes"] == math.floor(message["nodes"] / 16 + 0.5)
    assert sum(8 * pool["nodes"] for pool in whole.cluster["pools"].values()) == 309_848
