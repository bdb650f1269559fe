"""Power, electricity and carbon: by hand, in limits, and against servers that were measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.costs.energy import EnergySpec
from clustersim.costs.integrals import DailyRate, LinearPieces
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from tests.examples import examples
from tests.simulation.accounting import DAY, HOUR, KWH, by_use, energy_spec, settled, summed
from tests.simulation.fleets import cluster, crowd, jobs, pool

FLEET = cluster(pool("h200", accelerator="H200"), pool("seed", 2, accelerator="SeedChip"))
# H200: 700 W a chip, so 900 W busy and 240 W idle with the host's share; SeedChip: 400 W, 600 W
# and 180 W.  The site takes a quarter more.
ROUND = {"pue": 1.25, "load_factor": 1, "idle_share": 0.2, "host_idle": "800 W"} | {
    "host_busy": "1600 W"
}
NIGHT = [0.9] + [0.6] * 22 + [0.3]  # CNY/kWh: dear from 0:00 to 1:00, cheap from 23:00 on


# --- Integrals ----------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 9), min_size=24, max_size=24),
    st.integers(0, 200) | st.floats(0, 200, allow_subnormal=False),
)
def test_a_daily_rate_adds_up_hour_by_hour(values: list[int], hours: float) -> None:
    whole = math.floor(hours)
    by_hand = sum(values[hour % 24] for hour in range(whole)) + values[whole % 24] * (hours - whole)
    found = DailyRate(values).until(np.array([hours * HOUR]))
    np.testing.assert_allclose(found, by_hand * HOUR, rtol=1e-12, atol=1e-6)


def test_linear_pieces_by_hand() -> None:
    """4 a second, from 10 s on 1 falling by 0.1 a second."""
    rate = LinearPieces(np.array([0.0, 10.0]), np.array([4.0, 1.0]), np.array([0.0, -0.1]))
    found = rate.until(np.array([0.0, 2.5, 10.0, 12.0, 20.0]))
    np.testing.assert_allclose(found, [0, 10, 40, 41.8, 45], rtol=1e-15)


# --- By hand ------------------------------------------------------------------------


def test_a_job_across_midnight_a_node_that_comes_and_one_that_leaves() -> None:
    """Four H200 from 23:00 to 1:00; of two SeedChip nodes one comes at 10:00, the other leaves at
    20:00, having failed from 5:00 to 6:00.
    """
    outages = [
        NodeEvent(0, 10 * HOUR, 1, 1, "not delivered", kind=NodeEventKind.LATE_DELIVERY),
        NodeEvent(5 * HOUR, 6 * HOUR, 1, 0, "gpu"),
        NodeEvent(20 * HOUR, math.inf, 1, 0, "retired", kind=NodeEventKind.RETIREMENT),
    ]
    spec = energy_spec(**ROUND, price_cny_per_kwh=NIGHT, carbon_g_per_kwh=500)
    log = jobs([(23 * HOUR, 4, 2 * HOUR)])
    result = settled(log, FLEET, energy=spec, outages=outages)
    (job,) = result.jobs.to_dict("records")
    assert (job["start_s"], job["finish_s"]) == (23 * HOUR, 25 * HOUR)
    assert job["energy_j"] == pytest.approx(9 * KWH)  # 4 chips x 1,125 W x 2 h
    assert job["electricity_cny"] == pytest.approx(4.5 * 0.3 + 4.5 * 0.9)
    assert job["carbon_kg"] == pytest.approx(4.5)
    energy = by_use(result, "h200", "energy_j")
    assert energy["allocated"] == pytest.approx(9 * KWH)
    assert energy["idle"] == pytest.approx((8 * 25 - 4 * 2) * 0.3 * KWH)
    # SeedChip: one node 19 h idle and 1 h out, then gone; the other 15 h.
    energy = by_use(result, "seed", "energy_j")
    assert energy["idle"] == pytest.approx(8 * (19 + 15) * 0.225 * KWH)
    assert energy["out of service"] == pytest.approx(8 * 1 * 0.225 * KWH)
    money = by_use(result, "seed", "electricity_cny")
    # The first from 0:00 to 20:00 less an hour, the second from 10:00 to 1:00 of the next day.
    first, second = 0.9 + 18 * 0.6, 13 * 0.6 + 0.3 + 0.9
    assert money["idle"] == pytest.approx(8 * 0.225 * (first + second))
    assert money["out of service"] == pytest.approx(8 * 0.225 * 0.6)
    assert money["allocated"] == 0
    total = 9 + 192 * 0.3 + 8 * 35 * 0.225
    assert summed(result)["energy_j"] == pytest.approx(total * KWH)
    assert summed(result)["carbon_kg"] == pytest.approx(total / 2)
    assert "cost_cny" not in result.summary, "electricity is not all that a fleet costs"


def test_what_differs_in_a_pool_and_what_is_out_of_service() -> None:
    spec = energy_spec(
        **ROUND,
        out_of_service=0.5,
        price_cny_per_kwh=1,
        pools={"seed": {"pue": 1, "price_cny_per_kwh": 0, "out_of_service": 0}},
    )
    outages = [NodeEvent(0, HOUR, 0, 0), NodeEvent(0, HOUR, 1, 1)]
    log = jobs([(HOUR, 1, HOUR)])
    result = settled(log, FLEET, energy=spec, outages=outages)
    assert by_use(result, "h200", "energy_j")["out of service"] == pytest.approx(8 * 0.15 * KWH)
    assert by_use(result, "seed", "energy_j")["out of service"] == 0
    assert by_use(result, "seed", "energy_j")["idle"] == pytest.approx(8 * 3 * 0.18 * KWH)
    assert sum(by_use(result, "seed", "electricity_cny").values()) == 0


def test_a_job_that_never_ran_bears_nothing_and_one_that_is_stopped_all_that_it_held() -> None:
    result = settled(
        jobs([(0, 8, 2 * HOUR), (0, 999, 1)]),
        FLEET,
        energy=energy_spec(**ROUND),
        outages=[
            NodeEvent(0, 9 * HOUR, 1, 0),
            NodeEvent(0, 9e4, 1, 1),
            NodeEvent(HOUR, 2 * HOUR, 0, 0),
        ],
    )
    assert result.jobs["finish_s"].tolist()[0] == 4 * HOUR, "it begins anew"
    assert result.jobs["energy_j"].tolist() == pytest.approx([8 * 3 * 1.125 * KWH, 0])


# --- What always holds --------------------------------------------------------------


@settings(max_examples=examples(12))
@given(st.integers(0, 99))
def test_energy_lies_between_all_idle_and_all_busy(seed: int) -> None:
    result = settled(crowd(seed, 30), FLEET, energy=energy_spec(**ROUND))
    span_s = float(result.utilisation["time_s"].max())
    for name, chips, idle_w, busy_w in (("h200", 8, 300, 1125), ("seed", 16, 225, 750)):
        energy = summed(result, name)["energy_j"]
        assert chips * idle_w * span_s <= energy <= chips * busy_w * span_s


@settings(max_examples=examples(12))
@given(st.integers(0, 99))
def test_a_constant_price_by_hour_is_the_one_number(seed: int) -> None:
    log = crowd(seed, 20)
    log["submit_s"] *= 5000  # over days
    found = [
        settled(log, FLEET, energy=energy_spec(price_cny_per_kwh=price, carbon_g_per_kwh=carbon))
        for price, carbon in ((0.7, 600.0), ([0.7] * 24, [600.0] * 24))
    ]
    for column in ("electricity_cny", "carbon_kg"):
        for tables in zip(*((each.jobs, each.costs) for each in found), strict=True):
            np.testing.assert_allclose(tables[0][column], tables[1][column], rtol=1e-9)
    kwh = found[0].costs["energy_j"].sum() / KWH
    assert found[0].costs["electricity_cny"].sum() == pytest.approx(0.7 * kwh, rel=1e-9)


def test_days_of_one_price_repeat() -> None:
    """The same job a day later costs the same."""
    log = jobs([(22.5 * HOUR, 8, 3 * HOUR), (DAY + 22.5 * HOUR, 8, 3 * HOUR)])
    result = settled(log, FLEET, energy=energy_spec(price_cny_per_kwh=NIGHT))
    first, second = result.jobs["electricity_cny"]
    assert first == pytest.approx(second, rel=1e-12)


# --- Against servers that were measured ---------------------------------------------


def test_defaults_are_those_of_measured_servers(shared_data: Path) -> None:
    """Servers of eight A100 in Acme: an idle one, and one that is busy, within 10 %."""
    table = pd.read_parquet(shared_data / "traces" / "acme_telemetry_arrays.parquet")

    def power(file: str, percent: float) -> float:
        mine = table[table["file"] == file]
        watts, percents = (mine.loc[mine["array"] == k, "value"].to_numpy() for k in (0, 1))
        return float(np.interp(percent, percents, watts))

    spec, tdp = EnergySpec(), 400
    idle = 8 * spec.idle_share * tdp + spec.host_idle
    assert idle == pytest.approx(power("server_power", 10), rel=0.05)
    busy = 8 * spec.load_factor * tdp + spec.host_busy
    assert power("server_power", 75) < busy < power("server_power", 99)
    assert busy == pytest.approx(power("server_power", 90), rel=0.1)
    for name in ("gpu_power_kalos", "gpu_power_seren"):
        assert spec.idle_share * tdp == pytest.approx(power(name, 25), rel=0.01)
