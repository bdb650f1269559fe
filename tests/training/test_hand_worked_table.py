"""Days, energy and cost of a gang, worked out by hand, and beside `clustersim.estimate`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import clustersim as cs
from clustersim.catalogue import load_catalogue
from clustersim.estimation.cost import Prices
from clustersim.performance import default_calibration
from clustersim.training.gangs import Gang, find_gangs
from clustersim.training.interruptions import (
    Interruptions,
    find_interruptions,
    read_failures,
    with_checkpoints,
)
from clustersim.training.table import Charge, training_table
from clustersim.training.training import training_of

CATALOGUE = load_catalogue()
H200 = CATALOGUE.accelerator("H200")
DAY_S = 86400.0
YEAR_S = 365.25 * DAY_S


def test_days_energy_and_cost_of_one_gang() -> None:
    """500 steps of 4 s on 8 chips take 2,000 s, and 4,000 s where half of the time is lost.

    A chip draws 0.9 x 700 W + 1,800 W / 8 = 855 W, the site 1.3 times as much.  100,000 CNY a chip
    over four years, a fifth more for the site, no interest and nothing left; rent of 36 CNY/h.
    """
    training = training_of(
        "llama3-8b", CATALOGUE, default_calibration(), tokens=500 * 16 * 8192, global_batch=16
    )
    assert training.steps == 500
    gangs = [Gang.of(H200, 8)]
    found = dataclasses.replace(
        find_gangs(training, gangs),
        step_s=np.array([4.0]),
        lo_s=np.array([2.0]),
        hi_s=np.array([8.0]),
    )
    half = Interruptions(*np.array([[1000.0], [300.0], [10.0], [60.0], [0.5]]))
    assumed = dataclasses.replace(
        CATALOGUE.assumptions, interest_per_year=0.0, residual_share=0.0, site_share=0.2
    )
    prices = Prices.of(assumed, chip_cny=1e5, depreciation_years=4.0, tariff_cny_per_kwh=0.5)
    table = training_table(training, found, half, [Charge(prices, 36 / 3600)])
    row = table.iloc[0]
    assert row["days"] == pytest.approx(4000 / DAY_S)
    assert (row["days_lo"], row["days_hi"]) == pytest.approx((2000 / DAY_S, 8000 / DAY_S))
    assert row["interruptions"] == 4
    assert row["chip_hours"] == pytest.approx(8 * 4000 / 3600)
    kwh = 8 * 855 * 1.3 * 4000 / 3.6e6
    assert row["energy_mwh"] == pytest.approx(kwh / 1000)
    owned = 8 * 1e5 * 1.2 * 4000 / (4 * YEAR_S)
    rented = 8 * 36 * 4000 / 3600
    assert row["cost_cny"] == pytest.approx(owned + rented + 0.5 * kwh)
    assert row["cost_lo_cny"] == pytest.approx(row["cost_cny"] / 2)
    assert row["cost_hi_cny"] == pytest.approx(2 * row["cost_cny"])


def test_software_that_is_half_as_fast_takes_twice_as_long() -> None:
    training = training_of("llama3-8b", CATALOGUE, default_calibration())
    found = find_gangs(training, [Gang.of(H200, 64)])
    none = find_interruptions(None, [found.gangs[0].pool], [64], training.model.params)
    charges = [Charge(Prices.of(CATALOGUE.assumptions))]
    whole = training_table(training, found, none, charges).iloc[0]
    slow = training_table(training, found, none, charges, software=np.array([0.5])).iloc[0]
    for name in ("days", "days_hi", "step_time_s", "energy_mwh", "cost_cny"):
        assert slow[name] == pytest.approx(2 * whole[name])
    assert slow["mfu"] == pytest.approx(whole["mfu"] / 2)


@pytest.mark.parametrize(
    ("model", "chip", "count", "options"),
    [
        ("doubao-class", "H20", 4096, {"tokens": 12e12}),
        ("jimeng-class", "910B", 256, {"global_batch": 128}),
        ("deepseek-v3", "H800", 2048, {"precision": "fp8", "tokens": 14.8e12}),
        ("llama3-70b", "SeedChip", 128, {"seq_len": 4096}),
        ("llama3-8b", "H100", 64, {"plan": "tp=2,recompute=full", "stack": "NeMo 24.07"}),
        ("llama3-8b", "A100-80GB", 64, {"precision": "fp8", "memory": "optimizer=sgd"}),
        ("llama3-8b", "H100", 64, {"plan": "flash=0", "nic_Bps": 1e10, "document_tokens": 2048}),
    ],
)
def test_without_failures_it_is_the_estimate(
    model: str, chip: str, count: int, options: dict[str, object]
) -> None:
    one = cs.estimate(model, chip, count, **options)  # type: ignore[arg-type]
    row = cs.time_to_train(model, chip, count, failures="none", **options).fastest  # type: ignore[arg-type]
    assert one.cost is not None
    assert one.best is not None
    assert row is not None
    days = (one.cost.lo_s / DAY_S, one.cost.seconds / DAY_S, one.cost.hi_s / DAY_S)
    assert (row["days_lo"], row["days"], row["days_hi"]) == pytest.approx(days, rel=1e-9)
    assert row["step_time_s"] == pytest.approx(one.best.step_time_s)
    assert row["mfu"] == pytest.approx(one.best.mfu)
    assert row["memory_bytes"] == pytest.approx(one.best.memory_bytes)
    assert row["fit_probability"] == pytest.approx(one.best.fit_probability)
    assert row["energy_mwh"] == pytest.approx(one.cost.energy_kwh / 1000)
    assert row["cost_cny"] == pytest.approx(one.cost.total_cny)
    assert (row["ettr"], row["interruptions"]) == (1.0, 0.0)


def test_a_gang_fails_as_often_as_its_nodes() -> None:
    """Llama 3's table has 423 causes in 110,592 node-days; 1,000 chips need 125 nodes."""
    found = cs.time_to_train("llama3-8b", "H100", [8, 1000], tokens=1e12).table
    node_s = 110_592 / 423 * DAY_S
    assert found["mttf_s"].tolist() == pytest.approx([node_s, node_s / 125])
    for row in found.to_dict("records"):
        assert row["interruptions"] == pytest.approx(row["days"] * DAY_S / row["mttf_s"])
    twice = cs.time_to_train("llama3-8b", "H100", 1000, tokens=1e12, failure_rate=2).table
    assert twice["mttf_s"][0] == pytest.approx(node_s / 250)


def test_checkpoints_by_hand() -> None:
    """405 billion parameters have 5.67 TB of state: 2.835 s at 2 TB/s, which a restart reads."""
    spec = read_failures("meta-llama3")
    found = with_checkpoints(spec, np.array([11_000.0]), np.array([16_384]), 405e9)
    cost_s = 14 * 405e9 / 2e12
    assert found.cost_s[0] == pytest.approx(cost_s)
    assert found.restart_s[0] == pytest.approx(600 + cost_s)
    assert found.interval_s[0] == pytest.approx(math.sqrt(2 * cost_s * 11_000), rel=0.02), "Young"
    lost = cost_s / found.interval_s[0] + (600 + cost_s + found.interval_s[0] / 2) / 11_000
    assert found.ettr[0] == pytest.approx(1 - lost, abs=0.006), "to the first order"


def test_what_is_written_while_the_gang_continues_is_lost_at_a_failure() -> None:
    blocking, meanwhile = (
        with_checkpoints(
            read_failures({"sources": "opt-175b", "checkpoints": {**storage, "restart": "0 s"}}),
            np.array([1e5]),
            np.array([1024]),
            1e12,
        )
        for storage in (
            {"storage": "100 GB/s"},
            {"storage": "100 GB/s", "asynchronous": True, "host_link": "25 GB/s"},
        )
    )
    assert blocking.cost_s[0] == pytest.approx(140)
    assert meanwhile.cost_s[0] == pytest.approx(14e12 / 1024 / 25e9)
    assert meanwhile.interval_s[0] >= 140, "the next is not begun before"
    lost = (140 + 140 + meanwhile.interval_s[0] / 2) / 1e5  # reading, writing, half an interval
    lost += meanwhile.cost_s[0] / meanwhile.interval_s[0]
    assert meanwhile.ettr[0] == pytest.approx(1 - lost, abs=1e-3)


def test_a_gang_that_fails_all_the_time_never_ends() -> None:
    found = cs.time_to_train("llama3-8b", "H100", 4096, failure_rate=1e5)
    row = found.table.iloc[0]
    assert row["fits"]
    assert row["days"] == math.inf
    assert math.isnan(row["cost_cny"])
    assert found.fastest is None
