"""The fleet of 2026 hangs on each of its parts, and on each kind of number that is assumed.

In runs of the file itself, with fewer jobs, each part is removed by its path.
"""

from __future__ import annotations

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
FEW: dict[str, Any] = {
    "case": "cap of 75,000",
    "workload.generate.arrivals.mean_interarrival": "10 h",
    "workload.generate.arrivals.growth": 4,
}
"""The whole fleet, with the H200 that a buyer may have and fewer jobs than it can do."""


@lru_cache(maxsize=32)
def _year(*changes: tuple[str, Any]) -> dict[str, float]:
    message = {path: list(value) if isinstance(value, list) else value for path, value in changes}
    loaded = load_scenario(EXPERIMENTS / "fleet_2026.yaml", {**FEW, **message})
    result = run_scenario(loaded, by_node=False)
    return measure(result, warm_up=0.0, cool_down=0.0, periods=4).metrics


def year(**changes: Any) -> dict[str, float]:
    """Metrics of a year with some changes, by path with ``__`` for a dot."""
    return _year(*((path.replace("__", "."), value) for path, value in changes.items()))


class Listed(list[Any]):
    """A list that can be a key of a cache."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


WITHOUT: dict[str, dict[str, Any]] = {
    "h200": {"fleet__pools__h200__deliveries__H200__chips": 0},
    "h20": {"fleet__pools__h20__stock": 0},
    "910b": {"fleet__pools__910b__stock": 0},
    "seedchip": {"fleet__pools__seedchip__made__SeedChip": None},
}


@pytest.mark.parametrize("pool", WITHOUT)
def test_without_a_kind_of_chip_less_is_done(pool: str) -> None:
    busy = {"workload__generate__arrivals__mean_interarrival": "3 h", "seed": 3}
    whole, without = year(**busy), year(**busy, **WITHOUT[pool])
    assert whole[f"{FLOP}.{pool}@4"] > 0
    assert f"{FLOP}.{pool}@4" not in without
    assert without[f"{CHIPS}@4"] < whole[f"{CHIPS}@4"]
    assert without[f"{FLOP}@4"] < 0.98 * whole[f"{FLOP}@4"]


def test_memory_limits_seedchip() -> None:
    whole, free = year(), year(fleet__memory=None)
    half = year(fleet__memory__share=0.5)
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
    "H200 stopped": ("as announced", "h200"),
    "cap of 75,000 stopped": ("cap of 75,000", "h200"),
    "SeedChip late": ("as reported", "seedchip"),
    "TSMC instead of Samsung": ("as reported", "seedchip"),
    "HBM halved": ("as reported", "seedchip"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_event_of_supply_costs_chips_and_work(case: str) -> None:
    usual, pool = CASES[case]
    busy = {"workload__generate__arrivals__mean_interarrival": "6 h"}
    whole, other = year(case=usual, **busy), year(case=case, **busy)
    chips = f"{CHIPS}.{pool}@4"
    assert other[chips] < 0.9 * whole[chips]
    work = f"{FLOP}.{pool}@4"
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
    "ramp of deliveries": ({"fleet__pools__h200__deliveries__H200__ramp": "100 d"}, f"{CHIPS}@3"),
    "slip of deliveries": (
        {"fleet__pools__h200__deliveries__H200__slip__average": "90 d"},
        f"{CHIPS}@3",
    ),
    "yield": ({"fleet__foundries__Samsung__usable": 0.3}, f"{CHIPS}.seedchip@4"),
    "foundry": ({"fleet__foundries__Samsung__chips_per_month": 5000}, f"{CHIPS}.seedchip@4"),
    "HBM": ({"fleet__memory__stacks_per_month": 10000}, f"{CHIPS}.seedchip@4"),
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


def test_the_part_that_trains_as_announced() -> None:
    """Two fifths of 53,333, 18,518, 12,500 and 12,500 nodes, rounded down."""
    found = load_scenario(EXPERIMENTS / "fleet_2026.yaml", {"case": "as announced"}).scenario
    assert isinstance(found.cluster, dict)
    nodes = {name: pool["nodes"] for name, pool in found.cluster["pools"].items() if pool["nodes"]}
    assert nodes == {"h200": 21_333, "h20": 7407, "910b": 5000, "seedchip": 5000}
