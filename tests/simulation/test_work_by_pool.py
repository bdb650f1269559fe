"""The work of jobs over two pools, by pool: cases worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from fleets import cluster, jobs, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import load_catalogue
from clustersim.analysis.goodput import goodput_of
from clustersim.analysis.policy.goodput_split import goodput_table
from clustersim.cli.texts.result_text import result_text
from clustersim.costs.money import MoneySpec
from clustersim.costs.run_costs import open_costs
from clustersim.costs.unit_costs import work_done
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.simulation.node_ranges import in_ranges
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from tests.examples import examples

TWO = cluster(pool("fast", 2, accelerator="H200"), pool("slow", 2, accelerator="H20"))
CATALOGUE = load_catalogue()


def trained(n: int, pools: str, split: str | None) -> Result:
    """A job of `n` accelerators with a model and 1e9 tokens, which may use only some pools."""
    log = jobs([(0, n, math.nan)], model="llama3-8b", tokens=1e9, accelerators=pools)
    settings = Scheduling(placement="consolidate", span_pools=split)
    return simulate(log, TWO, settings, catalogue=CATALOGUE, check=True)


def time_s(result: Result) -> float:
    return float(result.jobs["finish_s"].iloc[0])


@pytest.fixture(scope="module")
def spanning() -> dict[str, Result]:
    """A job of 24 accelerators: 16 of the fast pool, 8 of the slow one."""
    return {split: trained(24, "H200, H20", split) for split in ("equal", "proportional")}


def test_equal_parts_do_work_by_their_accelerators(spanning: dict[str, Result]) -> None:
    done = work_done(spanning["equal"], CATALOGUE).set_index("pool")
    assert done["token"].to_dict() == pytest.approx({"fast": 2e9 / 3, "slow": 1e9 / 3})
    assert done["job"].to_dict() == pytest.approx({"fast": 2 / 3, "slow": 1 / 3})


def test_proportional_parts_do_work_by_accelerators_times_speed() -> None:
    """600 steps take 60 s on 16 of the fast pool and 240 s on 16 of the slow one."""
    rates = {"steps": 600, "steps_per_s.fast": 10.0, "steps_per_s.slow": 2.5}
    held = jobs([(0, 16, 1000)], accelerators="H200").drop(columns="duration_s")
    log = pd.concat([held.assign(n_accelerators=8), held.assign(job_id=2, accelerators=None)])
    log = log.assign(**rates).reset_index(drop=True)
    settings = Scheduling(placement="consolidate", span_pools="proportional")
    small = cluster(pool("fast", 2, accelerator="H200"), pool("slow", 1, accelerator="H20"))
    result = simulate(log, small, settings, check=True)
    # Job 1 holds 8 of the fast pool for 60 s.  Job 2 has 8 of each: at 1/2 of 10 and 1/2 of 2.5
    # steps a second, 6.25 together, of which the fast pool does 5, four fifths.
    assert result.jobs["finish_s"].tolist() == [60.0, 96.0]
    share = result.allocation_ranges.set_index(["job_id", "pool"])["work_share"]
    assert share.to_dict() == pytest.approx({(1, "fast"): 1, (2, "fast"): 0.8, (2, "slow"): 0.2})
    done = work_done(result, CATALOGUE).groupby("pool", observed=True)["job"].sum()
    assert done.to_dict() == pytest.approx({"fast": 1.8, "slow": 0.2})


def test_a_model_over_pools_of_different_speed(spanning: dict[str, Result]) -> None:
    """The parts of the work are those that each pool would do alone in the same time."""
    result = spanning["proportional"]
    share = result.allocation_ranges.set_index("pool")["work_share"]
    assert share.sum() == pytest.approx(1.0)
    assert share["fast"] > 2 / 3
    flop = goodput_of(result, CATALOGUE).within(0.0, time_s(result))["flop"]
    assert (flop / flop.sum()).to_dict() == pytest.approx(share.to_dict())
    half = goodput_of(result, CATALOGUE).within(0.0, time_s(result) / 2)["flop"]
    assert (2 * half).to_dict() == pytest.approx(flop.to_dict())


def test_program_efficiency_of_each_pool(spanning: dict[str, Result]) -> None:
    """MFU of a pool = FLOPs done there / (accelerators x peak x time)."""
    result = spanning["proportional"]
    table = goodput_table(result, CATALOGUE).set_index("name")["program"]
    flop = goodput_of(result, CATALOGUE).within(0.0, time_s(result))["flop"]
    for name, n, chip in (("fast", 16, "H200"), ("slow", 8, "H20")):
        peak = CATALOGUE.accelerator(chip).peak_flops["bf16"]
        assert table[name] == pytest.approx(flop[name] / (n * peak * time_s(result)))


def test_the_cost_of_a_pool_is_spread_over_its_own_work(spanning: dict[str, Result]) -> None:
    result = spanning["proportional"]
    price = MoneySpec.model_validate({"pools": {"fast": {"price": "200000 CNY"}}})
    paid = open_costs(None, price, TWO, CATALOGUE).attach(result)
    summary = paid.summary.set_index("scope")
    share = result.allocation_ranges.set_index("pool")["work_share"]
    for name in ("fast", "slow"):
        expected = summary["cost_cny"][name] / share[name]
        assert summary["cost_per_job_cny"][name] == pytest.approx(expected)
        assert summary["cost_per_token_cny"][name] == pytest.approx(expected / 1e9)


def with_failure() -> Result:
    """Job 1 on all 24 accelerators of two pools; the node of the second pool fails at 40 s.

    It starts again at 50 s and ends at 150 s; job 2 then runs for 100 s on the first pool.
    """
    fleet = cluster(pool("a", 2), pool("b", 1))
    out = NodeEvent(40.0, 50.0, 1, 0, "gpu", NodeEventKind.FAILURE)
    log = jobs([(0, 24, 100), (0, 16, 100)])
    settings = Scheduling(placement="consolidate", span_pools="equal")
    return simulate(log, fleet, settings, node_events=[out], check=True)


def test_ettr_counts_what_each_pool_held() -> None:
    result = with_failure()
    assert result.jobs["finish_s"].tolist() == [150.0, 250.0]
    ettr = result.summary.set_index("scope")["ettr"].to_dict()
    kept, used = 16 * 100 + 16 * 100, 16 * 40 + 16 * 100 + 16 * 100
    assert ettr == pytest.approx(
        {"all": (kept + 800) / (used + 8 * 140), "a": kept / used, "b": 100 / 140}
    )


def test_a_restart_is_explained_by_the_nodes_of_any_pool() -> None:
    assert "1 restart of jobs on nodes that went out of service" in result_text(with_failure())


def test_the_first_jobs_alone_have_their_own_work() -> None:
    first = with_failure().first_jobs(1)
    done = work_done(first, CATALOGUE).groupby("pool", observed=True)["job"].sum()
    assert done.to_dict() == pytest.approx({"a": 2 / 3, "b": 1 / 3})


def test_shares_by_node_add_up_and_can_be_put_together_again(spanning: dict[str, Result]) -> None:
    for result in spanning.values():
        nodes = result.allocations
        assert nodes["work_share"].sum() == pytest.approx(1.0)
        assert len(nodes) == 3
        again = in_ranges(nodes)
        pd.testing.assert_frame_equal(
            again, result.allocation_ranges, check_categorical=False, check_dtype=False
        )


@given(
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=6),
    split=st.sampled_from(["equal", "proportional"]),
)
@settings(max_examples=examples(20))
def test_no_work_is_lost_between_pools(sizes: list[int], split: str) -> None:
    log = jobs([(3 * at, n, 10.0 + n) for at, n in enumerate(sizes)])
    settings = Scheduling("first_fit", placement="consolidate", span_pools=split)
    result = simulate(log, cluster(pool("a", 2), pool("b", 2)), settings, check=True)
    done = work_done(result, CATALOGUE)
    assert done["job"].sum() == pytest.approx(len(sizes))
    held = result.allocation_ranges
    assert done.groupby("pool", observed=True)["job"].sum().to_dict() == pytest.approx(
        (held["n_accelerators"] / log.set_index("job_id")["n_accelerators"][held["job_id"]].array)
        .groupby(held["pool"], observed=True)
        .sum()
        .to_dict()
    )
