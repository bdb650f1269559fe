"""Purchase, depreciation, rent and interest: by hand, and what always adds up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.costs.depreciation import spans_there
from clustersim.costs.money import purchase_price_cny
from clustersim.costs.run_costs import open_costs
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.result import Result
from tests.examples import examples
from tests.simulation.accounting import (
    DAY,
    HOUR,
    YEAR,
    by_use,
    catalogue,
    energy_spec,
    money_spec,
    settled,
    summed,
)
from tests.simulation.fleets import cluster, crowd, jobs, pool, scenario

H200, SEED = pool("h200", accelerator="H200"), pool("seed", 2, accelerator="SeedChip")
H100 = pool("h100", accelerator="H100")
FLEET = cluster(H200, SEED)
TOTALS = ("energy_j", "electricity_cny", "carbon_kg", "cost_cny")


def absent(begin_s: float, end_s: float, pool: int, node: int) -> NodeEvent:
    return NodeEvent(begin_s, end_s, pool, node, "absent", kind=NodeEventKind.LATE_DELIVERY)


# --- By hand ------------------------------------------------------------------------


def test_a_fleet_that_grows_and_shrinks_by_hand() -> None:
    """H200 cost 100 CNY an hour, SeedChip 10 CNY of rent; a node of these comes at 10 h, the other
    leaves at 20 h; a job has four H200 for two hours.
    """
    spec = money_spec(
        life="100 d",
        site_share=0.5,
        pools={"h200": {"price": "240000 CNY"}, "seed": {"rent_per_hour": "10 CNY"}},
    )
    outages = [absent(0, 10 * HOUR, 1, 1), absent(20 * HOUR, math.inf, 1, 0)]
    result = settled(jobs([(23 * HOUR, 4, 2 * HOUR)]), FLEET, money=spec, outages=outages)
    assert result.jobs["cost_cny"].tolist() == pytest.approx([4 * 2 * 150])
    assert by_use(result, "h200", "depreciation_cny")["allocated"] == pytest.approx(800)
    assert by_use(result, "h200", "depreciation_cny")["idle"] == pytest.approx(100 * (200 - 8))
    assert by_use(result, "h200", "site_cny")["idle"] == pytest.approx(50 * (200 - 8))
    assert by_use(result, "seed", "rent_cny")["idle"] == pytest.approx(10 * 8 * (20 + 15))
    assert sum(by_use(result, "seed", "depreciation_cny").values()) == 0
    assert summed(result)["cost_cny"] == pytest.approx(200 * 150 + 2800)
    assert summed(result)["purchase_cny"] == 0, "what came is rented"
    assert "energy_j" not in result.jobs


def test_what_is_written_off_and_what_interest_is_paid_on() -> None:
    """Nodes live two days, then a quarter is left of 19,200 CNY a chip: 300 CNY an hour.  The first
    is a day old, the second comes after a day; a job has four chips for three days.
    """
    spec = money_spec(
        life="2 d",
        site_share=0,
        residual_share=0.25,
        interest_per_year=0.1,
        pools={"seed": {"price": "19200 CNY", "age": "1 d"}},
    )
    fleet = cluster(SEED)
    log = jobs([(0, 4, 3 * DAY)])
    result = settled(log, fleet, money=spec, outages=[absent(0, DAY, 0, 1)])
    written_off = by_use(result, "seed", "depreciation_cny")
    assert sum(written_off.values()) == pytest.approx(8 * 300 * (24 + 48))
    # On the first day one node's 300 CNY an hour, then those of the second spread over both.
    assert written_off["allocated"] == pytest.approx(4 * (24 * 300 + 48 * 150))
    # The first is worth 12,000 CNY and falls to 4,800 in a day, the second 19,200 in two.
    held = (12_000 + 4_800) / 2 + 2 * 4_800, 2 * (19_200 + 4_800) / 2
    interest = by_use(result, "seed", "interest_cny")
    assert sum(interest.values()) == pytest.approx(8 * 0.1 / 365.25 * sum(held))
    later = 0.5 * (2 * 4_800 + held[1])
    assert interest["allocated"] == pytest.approx(4 * 0.1 / 365.25 * (8_400 + later))
    assert summed(result)["purchase_cny"] == pytest.approx(8 * 19_200)


def test_a_node_that_is_retired_costs_no_more() -> None:
    spec = money_spec(life="100 d", site_share=0, pools={"seed": {"price": "240000 CNY"}})
    log, fleet = jobs([(0, 8, 10 * HOUR)]), cluster(SEED)
    for left_s in (0.0, 4 * HOUR, 10 * HOUR):
        result = settled(log, fleet, money=spec, outages=[absent(left_s, math.inf, 0, 1)])
        assert summed(result)["cost_cny"] == pytest.approx(800 * (10 + left_s / HOUR))


def test_hot_spares_cost_what_idle_nodes_do() -> None:
    tree = scenario(jobs=3, load=0.5, sizes={8: 1}, average="1 h")
    tree |= {"energy": {}, "money": {}}
    tree["failures"] = {"sources": "meta-llama3", "spares": {"nodes": {"gpu": 2}}}
    result = run_scenario(define_scenario(tree))
    spare = {name: by_use(result, "gpu", name)["spare"] for name in ("accelerator_s", *TOTALS)}
    idle = {name: by_use(result, "gpu", name)["idle"] for name in ("accelerator_s", *TOTALS)}
    end_s = float(result.utilisation["time_s"].max())
    assert spare["accelerator_s"] == pytest.approx(16 * end_s)
    for name in TOTALS:
        assert spare[name] / spare["accelerator_s"] == pytest.approx(
            idle[name] / idle["accelerator_s"], rel=1e-9
        )
        assert summed(result)[name] == pytest.approx(result.costs[name].sum(), rel=1e-12)


def test_periods_are_parts_of_the_whole() -> None:
    log = crowd(3, 40)
    log["submit_s"] *= 1800
    found = {
        period: settled(log, FLEET, energy=energy_spec(), money=money_spec(period=period))
        for period in ("5 h", "1 d", "10 yr")
    }
    end_s = float(found["5 h"].utilisation["time_s"].max())
    for period, length_s in (("5 h", 5 * HOUR), ("1 d", DAY), ("10 yr", 10 * YEAR)):
        costs = found[period].costs
        n = math.ceil(end_s / length_s)
        mine = costs[(costs["pool"] == "h200") & (costs["use"] == "idle")]
        assert mine["begin_s"].tolist() == [k * length_s for k in range(n)]
        assert mine["end_s"].tolist() == [*mine["begin_s"][1:], end_s]
        assert costs["accelerator_s"].sum() == pytest.approx(24 * end_s, rel=1e-12)
        of_periods = costs.groupby("begin_s")["accelerator_s"].sum().to_numpy()
        np.testing.assert_allclose(of_periods, 24 * (mine["end_s"] - mine["begin_s"]), rtol=1e-12)
        whole = found["10 yr"].summary["cost_cny"]
        np.testing.assert_allclose(found[period].summary["cost_cny"], whole, rtol=1e-12)


# --- Prices -------------------------------------------------------------------------


def price(pool_: Any, **fields: Any) -> float:
    return purchase_price_cny(
        money_spec(**fields), pool_, catalogue().accelerator(pool_.accelerator)
    )


def test_yuan_and_dollars_by_the_stated_rate() -> None:
    """H100: 22,000 to 30,000 USD; SeedChip: 50,000 to 110,000 CNY; the host of eight in dollars."""
    assert price(H100, host_price="8000 USD") == pytest.approx(27_000 * 7.2)
    assert price(H100, host_price="8000 USD", cny_per_usd=8) == pytest.approx(27_000 * 8)
    assert price(SEED, host_price="8000 USD", cny_per_usd=8) == pytest.approx(80_000 + 1_000 * 8)
    own = {"seed": {"price": "9000 USD"}, "h100": {"host_price": "80 CNY"}}
    assert price(SEED, pools=own, cny_per_usd=8) == 72_000, "with its share of the server"
    assert price(H100, pools=own) == pytest.approx(26_000 * 7.2 + 10)
    assert price(H200, host_price="8000 USD") == 187_500, "a price with its server, in yuan"


def test_the_rent_in_dollars_and_a_price_with_its_server() -> None:
    h800 = pool("a", accelerator="H800")
    chip = catalogue().accelerator("H800")
    assert chip.price_with_host
    assert price(h800) == chip.price
    spec = money_spec(cny_per_usd=8, pools={"seed": {"rent_per_hour": "2 USD"}})
    result = settled(jobs([(0, 1, HOUR)]), cluster(SEED), money=spec)
    assert summed(result)["cost_cny"] == pytest.approx(16 * 16)


def test_a_chip_without_a_price_and_a_pool_that_is_not_there_are_refused() -> None:
    fleet = cluster(pool("a", accelerator="P800"))
    with pytest.raises(InputError, match=r"P800 is unknown; set money\.pools\.a\.price"):
        open_costs(None, money_spec(), fleet, catalogue())
    open_costs(None, money_spec(pools={"a": {"rent_per_hour": "5 CNY"}}), fleet, catalogue())
    with pytest.raises(InputError, match="did you mean 'seed'"):
        open_costs(None, money_spec(pools={"sede": {}}), FLEET, catalogue())


def test_a_pool_of_no_nodes_may_have_a_price() -> None:
    """So that a study may vary its nodes from 0 on."""
    tree = scenario(jobs=3, load=0.5, sizes={8: 1}, average="1 h")
    tree["cluster"]["pools"]["seed"] = {"accelerator": "SeedChip", "nodes": 1}
    tree["money"] = {"pools": {"seed": {"price": "70000 CNY"}}}
    result = run_scenario(define_scenario(tree, {"cluster.pools.seed.nodes": 0}))
    assert set(result.costs["pool"]) == {"gpu"}
    again = run_scenario(define_scenario(result.provenance["scenario"]))
    assert again.costs.to_dict("list") == result.costs.to_dict("list")


# --- What work costs ----------------------------------------------------------------


def test_what_a_job_a_token_and_a_flop_cost() -> None:
    """A job with a model bears the same as one without: half of all is for its tokens."""
    spec = money_spec(life="100 d", site_share=0, pools={"h200": {"price": "240000 CNY"}})
    fleet, tokens = cluster(pool("h200", 2, accelerator="H200")), 1e8
    log = jobs([(0, 8, math.nan)], model=["llama3-8b"], tokens=[tokens])
    run_s = float(settled(log, fleet, money=spec).jobs["finish_s"].iloc[0])
    log = jobs(
        [(0, 8, math.nan), (0, 8, run_s)], model=["llama3-8b", None], tokens=[tokens, math.nan]
    )
    result = settled(log, fleet, money=spec)
    total = 16 * 100 * run_s / HOUR
    flops = float(model_flops_per_token(ModelArrays.of([catalogue().model("llama3-8b")]))[0])
    for scope in ("all", "h200"):
        row = summed(result, scope)
        assert row["cost_cny"] == pytest.approx(total)
        assert row["cost_per_job_cny"] == pytest.approx(total / 2)
        assert row["cost_per_token_cny"] == pytest.approx(total / 2 / tokens)
        assert row["cost_per_flop_cny"] == pytest.approx(total / 2 / tokens / flops)
    # What nobody holds is spread over what is done: here another hour of idling.
    longer = settled(
        jobs(
            [(0, 8, math.nan), (0, 8, run_s), (run_s + HOUR, 1, 0)],
            model=["llama3-8b", None, None],
            tokens=[tokens, math.nan, math.nan],
        ),
        fleet,
        money=spec,
    )
    row = summed(longer)
    assert row["cost_per_token_cny"] == pytest.approx((total + 16 * 100) / 2 / tokens)
    assert row["cost_per_job_cny"] == pytest.approx((total + 16 * 100) / 3)


def test_only_work_that_is_done_counts() -> None:
    """Half of a job is done on one pool, then its node retires; the horizon leaves the rest."""
    spec = money_spec(
        life="100 d", site_share=0, pools={"a": {"price": "240000 CNY"}, "b": {"price": "240 CNY"}}
    )
    fleet = cluster(pool("a", accelerator="H200"), pool("b", accelerator="H200"))
    result = settled(
        jobs([(0, 8, 10 * HOUR)]),
        fleet,
        money=spec,
        outages=[absent(5 * HOUR, math.inf, 0, 0)],
        horizon_s=7 * HOUR,
    )
    assert result.jobs["done"].tolist() == pytest.approx([0.7])
    assert summed(result, "a")["cost_per_job_cny"] == pytest.approx(8 * 5 * 100 / 0.5)
    assert summed(result, "b")["cost_per_job_cny"] == pytest.approx(8 * 7 * 0.1 / 0.2)
    assert summed(result)["cost_per_job_cny"] == pytest.approx((4000 + 5.6) / 0.7)
    assert math.isnan(summed(result)["cost_per_token_cny"])


# --- What always holds --------------------------------------------------------------


@st.composite
def living_runs(draw: st.DrawFn) -> Result:
    """Few jobs on two pools whose nodes fail, come and leave, and any prices."""
    outages = []
    for node in draw(st.sets(st.integers(0, 5))):
        kind, at_s = draw(st.integers(0, 4)), 0.5 * draw(st.integers(1, 120))
        place = divmod(node, 3)
        if kind == 0:
            outages.append(absent(0, at_s, *place))
        elif kind == 1:
            outages.append(absent(at_s, math.inf, *place))
        elif kind == 2:
            outages.append(NodeEvent(at_s, at_s + 10, *place, "gpu"))
        elif kind == 3:
            outages.append(
                NodeEvent(
                    at_s, at_s + 10, *place, "slow", kind=NodeEventKind.SLOWDOWN, slowdown=2.0
                )
            )
        else:
            outages += [absent(0, at_s, *place), absent(at_s + 20, math.inf, *place)]
    hourly = st.lists(st.floats(0, 2, allow_subnormal=False), min_size=24, max_size=24)
    shares = st.sampled_from([0.0, 0.3])
    log = crowd(draw(st.integers(0, 99)), draw(st.integers(1, 12)))
    stretched = draw(st.sampled_from([1.0, 2500.0]))  # within an hour, or over days
    log["submit_s"] *= stretched
    log["duration_s"] *= stretched
    return settled(
        log.drop(columns="estimate_s"),
        cluster(pool("h200", 3, accelerator="H200"), pool("seed", 3, accelerator="SeedChip")),
        energy=energy_spec(price_cny_per_kwh=draw(hourly), carbon_g_per_kwh=draw(hourly)),
        money=money_spec(
            life=draw(st.sampled_from(["1 d", "4 yr"])),
            interest_per_year=draw(shares),
            residual_share=draw(shares),
            period=draw(st.sampled_from(["1 h", "30 d"])),
            pools={
                "h200": draw(st.sampled_from([{}, {"rent_per_hour": "9 CNY"}, {"age": "12 h"}]))
            },
        ),
        outages=sorted(
            o._replace(begin_s=o.begin_s * stretched, end_s=o.end_s * stretched) for o in outages
        ),
        recovery=Recovery([[5 * stretched] * 12] * 2, [1.0] * 12, [2.0] * 12),
    )


@settings(max_examples=examples(20))
@given(living_runs())
def test_jobs_and_what_no_job_bears_are_all_there_is(result: Result) -> None:
    costs = result.costs
    assert costs is not None
    borne = (costs["use"] == "allocated").to_numpy()
    for name in TOTALS:
        total = costs[name].sum()
        exactly = {"rel": 1e-9, "abs": 1e-9 * total}
        assert result.jobs[name].sum() == pytest.approx(costs[name][borne].sum(), **exactly)
        unborne = costs[name][~borne].sum()
        assert result.jobs[name].sum() + unborne == pytest.approx(total, rel=1e-9)
        assert summed(result)[name] == pytest.approx(total, rel=1e-9)
        of_pools = sum(summed(result, each)[name] for each in ("h200", "seed"))
        assert of_pools == pytest.approx(total, rel=1e-9)
        assert (costs[name] >= -1e-9 * total).all()
    parts = [name for name in costs if name.endswith("_cny") and name != "cost_cny"]
    np.testing.assert_allclose(costs["cost_cny"], costs[parts].sum(axis=1), rtol=1e-9, atol=1e-12)
    use = result.utilisation
    for name in ("h200", "seed"):
        steps = use[use["pool"] == name]
        there = (np.diff(steps["time_s"]) * steps["installed"].to_numpy()[:-1]).sum()
        held = costs.loc[costs["pool"] == name, "accelerator_s"].sum()
        assert held == pytest.approx(there, rel=1e-9)


@settings(max_examples=examples(20))
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(1, 60)), max_size=6),
    st.sampled_from([0.0, 10.0, 90.0]),
    st.sampled_from([0.0, 0.3]),
)
def test_depreciation_and_interest_node_by_node(
    gone: list[tuple[int, int, int]], age_h: float, residual: float
) -> None:
    """A loop over nodes, and over time in steps in which all is linear, finds the same."""
    begins: dict[int, float] = {}
    outages = []
    for node, begin, length in sorted(gone):  # none of a node that is gone already
        if begin > begins.get(node, -1):
            outages.append(absent(begin * HOUR, (begin + length) * HOUR, 0, node))
            begins[node] = begin + length
    spec = money_spec(
        life="1 d",
        site_share=0,
        residual_share=residual,
        interest_per_year=1.0,
        pools={"seed": {"price": "1000 CNY", "age": f"{age_h} h"}},
    )
    fleet = cluster(pool("seed", 4, accelerator="SeedChip"))
    log = jobs([(0, 1, 0), (50 * HOUR, 1, 0)])
    result = settled(log, fleet, money=spec, outages=sorted(outages))
    end_s = float(result.utilisation["time_s"].max())
    written_off = interest = 0.0
    for node in range(4):
        came_s = None
        for k in range(round(end_s / HOUR)):
            now_s = k * HOUR
            there = not any(o.node == node and o.begin_s <= now_s < o.end_s for o in outages)
            if not there:
                continue
            if came_s is None:  # it was bought, or is there from the begin
                came_s = now_s or -age_h * HOUR
            left = [1 - (1 - residual) * min((t - came_s) / DAY, 1) for t in (now_s, now_s + HOUR)]
            written_off += left[0] - left[1]
            interest += sum(left) / 2 * HOUR / YEAR
    found = {
        name: sum(by_use(result, "seed", f"{name}_cny").values())
        for name in ("depreciation", "interest")
    }
    assert found["depreciation"] == pytest.approx(8 * 1000 * written_off, rel=1e-9, abs=1e-6)
    assert found["interest"] == pytest.approx(8 * 1000 * interest, rel=1e-9, abs=1e-6)


# --- Saved results ------------------------------------------------------------------


def test_costs_are_saved_with_the_result(tmp_path: Path) -> None:
    result = settled(crowd(1, 10), FLEET, energy=energy_spec(), money=money_spec())
    assert result.costs is not None
    loaded = Result.load(result.save(tmp_path / "new"))
    assert loaded.costs is not None
    assert loaded.costs.to_dict("list") == result.costs.to_dict("list")
    assert loaded.jobs["cost_cny"].tolist() == result.jobs["cost_cny"].tolist()


def test_a_column_of_the_log_with_the_name_of_an_account_is_kept() -> None:
    log = crowd(1, 10)
    log["energy_j"] = "a column of the log's own"
    result = settled(log, FLEET, energy=energy_spec())
    assert set(result.jobs["recorded_energy_j"]) == {"a column of the log's own"}
    assert (result.jobs["energy_j"] >= 0).all()


def test_without_energy_and_money_nothing_is_added(tmp_path: Path) -> None:
    result = settled(crowd(1, 10), FLEET)
    assert result.costs is None
    assert not {*TOTALS, "purchase_cny"} & {*result.jobs, *result.summary}
    result.save(tmp_path / "new")
    assert not (tmp_path / "new" / "costs.parquet").exists()


def test_a_node_that_is_off_for_a_while_is_not_bought_again() -> None:
    absent = pd.DataFrame(
        {
            "pool": ["a"] * 3,
            "node": [0, 1, 1],
            "begin_s": [20.0, 0.0, 30.0],
            "end_s": [30.0, 10.0, 40.0],
            "absent": True,
        }
    )
    spans = spans_there(absent, "a", 2, 100.0, age_s=5.0)
    assert spans == [(0, 20, 1, 5), (10, 30, 1, 0), (30, 100, 1, 35), (40, 100, 1, 30)]
