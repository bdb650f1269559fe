"""Services that reserve nodes by the hour, and lend the others to preemptible jobs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.measures import measure
from clustersim.analysis.restarts import restart_causes
from clustersim.availability.events import what_happens
from clustersim.availability.failure_spec import Spares
from clustersim.availability.serving import ServiceDemand, reservations, service_demands
from clustersim.availability.serving_spec import Serving, serving_shapes
from clustersim.availability.spares import with_spares
from clustersim.catalogue import load_catalogue
from clustersim.cli.texts.result_text import result_text
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.report.marks import outage_marks
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.metrics import accelerator_seconds, served
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import NodeEvents, Scheduling, simulate
from tests.examples import examples
from tests.simulation.fleets import cluster, jobs, pool, scenario

FLEET = cluster(pool("h200", 4, 8), pool("h20", 2, 8))
DAY_S = 86400.0
TIDE = [1.0] * 6 + [4.0] * 12 + [2.0] * 6
"""A quarter of the busiest rate at night, half of it in the evening."""
CHAT = {
    "name": "chat",
    "pool": "h200",
    "peak_requests_per_s": 32.0,
    "input_tokens": 300,
    "output_tokens": 200,
    "tokens_per_s_per_chip": 500,
    "shape": TIDE,
}
"""One chip a request a second: 32 chips by day, 8 at night, 16 in the evening."""


def serving(*services: dict[str, Any]) -> Serving:
    return validate(Serving, {"services": [{**CHAT, **each} for each in services]}, "serving")


def demands(*services: dict[str, Any], days: float = 2) -> list[ServiceDemand]:
    return service_demands(serving(*services), FLEET, days * DAY_S)


def spans(found: Any, before_h: float = math.inf) -> list[tuple[float, float, int, str]]:
    """Begin and end in hours, node and service of reservations that begin before some hour."""
    return [
        (o.begin_s / 3600, o.end_s / 3600, o.node, o.cause)
        for o in found
        if o.begin_s < before_h * 3600
    ]


def run(
    log: pd.DataFrame,
    services: list[ServiceDemand],
    *,
    absent: list[NodeEvent] | None = None,
    horizon_s: float = 2 * DAY_S,
    policy: str = "easy",
    failed: list[NodeEvent] | None = None,
    recovery: Recovery | None = None,
) -> Result:
    away = absent or []
    outages = sorted([*reservations(services, FLEET, away), *away, *(failed or [])])
    return simulate(
        log,
        FLEET,
        Scheduling(policy=policy, placement="consolidate"),
        node_events=NodeEvents(outages, services),
        recovery=recovery,
        horizon_s=horizon_s,
        check=True,
    )


def test_chips_by_the_hour_by_hand() -> None:
    (chat,) = demands({"lend": True})
    assert chat.chips[:24].tolist() == [8] * 6 + [32] * 12 + [16] * 6
    assert chat.nodes[:24].tolist() == [1] * 6 + [4] * 12 + [2] * 6
    (more,) = demands({"lend": True, "headroom": 1.01})
    assert more.chips[:24].tolist() == [9] * 6 + [33] * 12 + [17] * 6
    assert more.nodes[:24].tolist() == [2] * 6 + [5] * 12 + [3] * 6
    (grown,) = demands({"lend": True, "growth": 2}, days=370)
    assert grown.chips[[8766, 8767]].tolist() == [64, 65], "after 365.25 days"


def test_what_is_not_lent_is_reserved_for_the_peak() -> None:
    (chat,) = demands({})
    assert set(chat.nodes.tolist()) == {4}
    assert chat.chips[:24].tolist() == [8] * 6 + [32] * 12 + [16] * 6
    (weekly,) = demands({"growth": 2, "every": "168 h"}, days=28)
    growth = 2 ** ((np.arange(4) * 168 + 6 * 24 + 17) / (365.25 * 24))
    assert weekly.nodes[: 4 * 168 : 168].tolist() == np.ceil(32 * growth / 8).tolist()


def test_the_lowest_nodes_serve() -> None:
    services = demands({"lend": True, "peak_requests_per_s": 24})
    assert spans(reservations(services, FLEET), 24 + 7) == [
        (0, math.inf, 0, "chat"),
        (6, 18, 2, "chat"),
        (6, 24, 1, "chat"),
        (30, 42, 2, "chat"),
        (30, 48, 1, "chat"),
    ]


def test_no_service_takes_the_nodes_of_another() -> None:
    """By night each of three has one of four nodes; by day the first and the third want one more,
    and the first has it.
    """
    steady = {"shape": [1.0] * 24, "peak_requests_per_s": 8}
    services = demands(
        {"lend": True, "peak_requests_per_s": 16},
        {"name": "video", **steady},
        {"name": "image", **steady, "shape": TIDE, "peak_requests_per_s": 16, "lend": True},
    )
    assert spans(reservations(services, FLEET), 31) == [
        (0, math.inf, 0, "chat"),
        (0, math.inf, 1, "video"),
        (0, math.inf, 2, "image"),
        (6, 18, 3, "chat"),
        (30, 42, 3, "chat"),
    ]
    result = run(jobs([(0, 8, 2 * DAY_S)], preemptible=True), services)
    short = result.serving[result.serving["service"] == "image"].set_index("time_s")["short"]
    assert short.loc[[0, 6 * 3600.0, 18 * 3600.0]].tolist() == [0, 8, 0]


def test_nodes_that_are_not_there_do_not_serve() -> None:
    """Node 0 retires at 5.5 h and the service moves on; node 3 comes within the first peak."""
    gone = NodeEvent(5.5 * 3600, math.inf, 0, 0, "retired", kind=NodeEventKind.RETIREMENT)
    late = NodeEvent(0, 7.5 * 3600, 0, 3, "not delivered", kind=NodeEventKind.LATE_DELIVERY)
    services = demands({"lend": True})
    assert spans(reservations(services, FLEET, [late, gone]), 25) == [
        (0, 5, 0, "chat"),
        (5, math.inf, 1, "chat"),
        (6, 24, 2, "chat"),
        (8, 18, 3, "chat"),
    ]


def test_a_night_of_training_by_hand() -> None:
    """A preemptible gang of 3 nodes has 6 h of the first night and 6 h of the evening; the same
    job without the mark never runs there.
    """
    services = demands({"lend": True})
    log = jobs([(0, 24, 8 * 3600), (0, 8, 3600)], preemptible=[True, False])
    # The job that may not be stopped has the other pool.
    recovery = Recovery([[math.inf] * 2] * 2, [1.0] * 2, [0.0] * 2)
    result = run(log, services, recovery=recovery)
    attempts = result.attempts[result.attempts["job_id"] == 1]
    assert attempts[["start_s", "end_s", "kept_s"]].to_numpy().tolist() == [
        [0, 6 * 3600, 6 * 3600],
        [24 * 3600, 26 * 3600, 2 * 3600],
    ]
    assert result.jobs["pool"].tolist() == ["h200", "h20"]
    assert restart_causes(result.attempts, result.outages) == {"on nodes taken by services": 1}
    text = result_text(result)
    assert (
        "nodes went out of service 0 times; 1 restart of jobs on nodes taken by services\n" in text
    )
    use = result.utilisation[result.utilisation["pool"] == "h200"]
    rows = use[["time_s", "allocated", "out", "serving"]].to_numpy().tolist()
    assert rows[:6] == [
        [0, 24, 0, 8], [6 * 3600, 0, 0, 32], [18 * 3600, 0, 0, 16], [24 * 3600, 24, 0, 8],
        [26 * 3600, 0, 0, 8], [30 * 3600, 0, 0, 32],
    ]  # fmt: skip
    assert result.summary["served"].iloc[0] == 1.0


def test_jobs_that_may_not_be_stopped_never_run_where_chips_are_lent() -> None:
    services = demands({"lend": True}, {"name": "other", "pool": "h20", "lend": True})
    log = jobs([(0, 8, 60)])
    result = run(log, services)
    assert result.jobs["outcome"].tolist() == ["never runnable"]
    assert result.jobs["reason"].tolist() == [
        "it is not preemptible, but in the pools that it may use, services lend nodes only "
        "to preemptible jobs"
    ]
    log = jobs([(0, 8, 60)], preemptible=["perhaps"])
    with pytest.raises(InputError, match="jobs: preemptible: must be true or false, found 'per"):
        run(log, services)


def test_what_a_broken_node_leaves_undone() -> None:
    """A node fails at 5 h for 3 h: from 6 h to 8 h the service has 8 chips too few.  What strikes
    a node that serves is passed over.
    """
    failed = [
        NodeEvent(5 * 3600, 8 * 3600, 0, 3, "gpu"),
        NodeEvent(7 * 3600, 9 * 3600, 0, 0, "gpu"),
    ]
    log = jobs([(0, 8, 60), (DAY_S, 8, 60)], preemptible=True)
    result = run(log, demands({"lend": True}), failed=failed, horizon_s=DAY_S)
    table = result.serving
    columns = ["time_s", "needed", "reserved", "short"]
    hours = table[columns].to_numpy() / [3600, 1, 1, 1]
    assert hours.tolist() == [
        [0, 8, 8, 0], [6, 32, 24, 8], [8, 32, 32, 0], [18, 16, 16, 0], [24, 8, 16, 0],
    ]  # fmt: skip
    needed = 8 * 6 + 32 * 12 + 16 * 6
    assert served(table) == pytest.approx(1 - 16 / needed, rel=1e-12)
    assert served(table, begin_s=7 * 3600, end_s=9 * 3600) == pytest.approx(56 / 64, rel=1e-12)
    assert (result.outages["cause"] == "gpu").sum() == 1
    kinds = {mark.kind for mark in outage_marks(result.outages)}
    assert {"failure: gpu", "taken to serve: 2 nodes"} <= kinds


def test_tables_of_services_are_kept(tmp_path: Path) -> None:
    result = run(jobs([(0, 16, 8 * 3600)], preemptible=True), demands({"lend": True}))
    loaded = Result.load(result.save(tmp_path / "run"))
    pd.testing.assert_frame_equal(loaded.serving, result.serving)
    assert loaded.utilisation["serving"].max() == 32


@settings(max_examples=examples(25))
@given(
    seed=st.integers(0, 999),
    lend=st.booleans(),
    policy=st.sampled_from(["fcfs", "easy"]),
    peak=st.sampled_from([7.0, 24.0, 40.0]),
)
def test_chips_are_conserved_through_serving_and_failures(
    seed: int, lend: bool, policy: str, peak: float
) -> None:
    """Free + allocated + out + serving = installed at every pass (the engine checks), and so in
    the tables; what is kept of every finished job is its work.
    """
    draw = np.random.default_rng(seed)
    begins = np.sort(draw.uniform(0, 40 * 3600, 12))
    failed = [
        NodeEvent(float(t), float(t) + float(draw.exponential(7200)), int(draw.integers(2)),
               int(draw.integers(2)), "gpu")
        for t in begins
    ]  # fmt: skip
    away = [NodeEvent(0.0, 9.5 * 3600, 0, 3, "not delivered", kind=NodeEventKind.LATE_DELIVERY)]
    submits = np.sort(draw.uniform(0, 30 * 3600, 14))
    log = jobs(
        [(float(t), int(draw.choice([1, 4, 8, 16])), float(draw.integers(1, 9)) * 3600)
         for t in submits],
        preemptible=draw.random(14) < 0.6,
    )  # fmt: skip
    services = demands(
        {"lend": lend, "peak_requests_per_s": peak},
        {"name": "other", "pool": "h20", "peak_requests_per_s": 8.0},
    )
    count = len(log)
    recovery = Recovery([[1800.0] * count] * 2, [60.0] * count, [300.0] * count)
    result = run(log, services, policy=policy, failed=failed, absent=away, recovery=recovery)
    use = result.utilisation
    assert (use["allocated"] + use["out"] + use["serving"] <= use["installed"]).all()
    held = result.allocations
    total = (held["n_accelerators"] * (held["end_s"] - held["start_s"])).sum()
    assert accelerator_seconds(use)["allocated"].sum() == pytest.approx(total, rel=1e-12)
    # Nothing runs on a node while it serves.
    taken = result.outages[result.outages["kind"] == "service"]
    both = held.merge(taken, on=["pool", "node"])
    assert (np.minimum(both["end_s_x"], both["end_s_y"]) <= np.maximum(both["start_s"],
            both["begin_s"])).all()  # fmt: skip
    if lend:
        stays = result.jobs.loc[~result.jobs["preemptible"], "job_id"]
        assert "h200" not in set(held.loc[held["job_id"].isin(stays), "pool"])
    done = result.jobs[result.jobs["outcome"] == "finished"]
    kept = result.attempts.groupby("job_id")["kept_s"].sum()
    np.testing.assert_allclose(kept[done["job_id"]], done["duration_s"], rtol=1e-9)
    # Reserved in the table of services and serving in that of use are the same.
    for name, rows in use.groupby("pool", observed=True):
        steps = result.serving[result.serving["pool"] == name]
        want = np.diff(steps["time_s"]) @ steps["reserved"].to_numpy()[:-1]
        assert np.diff(rows["time_s"]) @ rows["serving"].to_numpy()[:-1] == pytest.approx(want)


def tidal(lend: bool, **changes: Any) -> Any:
    """Small preemptible and large other jobs on two pools, one of which serves."""
    base = scenario(jobs=400, load=1.5, sizes={8: 1}, average="2 h")
    base["cluster"]["pools"]["train"] = {"accelerator": "H200", "nodes": 4}
    small = {**base["workload"]["generate"]["classes"][0], "preemptible": True}
    base["workload"]["generate"]["classes"] = [
        small,
        {**small, "name": "large", "sizes": {16: 1}, "weight": 0.2, "preemptible": False},
    ]
    chat = {**CHAT, "pool": "gpu", "peak_requests_per_s": 56.0, "lend": lend}
    base |= {"serving": {"services": [chat]}, "horizon": "4 d"}
    base["failures"] = {"sources": "meta-llama3", "rate": 50}
    return run_scenario(define_scenario(base, changes))


def test_tidal_sharing_trains_more_and_serves_as_much() -> None:
    shared, apart = tidal(True, seed=8), tidal(False, seed=8)
    np.testing.assert_array_equal(shared.jobs["submit_s"], apart.jobs["submit_s"])
    kept = [
        (r.attempts["n_accelerators"] * r.attempts["kept_s"].fillna(0)).sum()
        for r in (shared, apart)
    ]
    assert kept[0] > 1.2 * kept[1]
    large = shared.jobs["job_class"] == "large"
    assert set(shared.jobs["pool"][large].dropna()) == {"train"}
    assert "gpu" in set(shared.jobs["pool"][~large].dropna())
    # Of 8 nodes 7 serve at the peak: what fails is missing until its repair, lent or not.
    both = [r.summary["served"].iloc[0] for r in (shared, apart)]
    assert both[0] == pytest.approx(both[1], abs=0.02)
    assert 0.9 < both[0] < 1
    found = [measure(r, warm_up=0.0, cool_down=0.0).metrics for r in (shared, apart)]
    assert found[0]["lent_accelerator_hours_per_day"] > 100
    assert found[1]["lent_accelerator_hours_per_day"] == 0
    # Chips that serve are in service.
    assert all(m["availability"] > 0.9 for m in found)
    assert [m["served"] for m in found] == pytest.approx(both, abs=0.02)


def test_a_service_takes_nodes_that_work() -> None:
    """Two of eight are needed: while the lowest four are broken, two others serve."""
    (service,) = demands({"lend": True, "peak_requests_per_s": 16.0, "shape": [1.0] * 24})
    broken = [NodeEvent(3600.0 * 5.5, 3600.0 * 20.5, 0, node, "gpu") for node in range(2)]
    found = [
        (o.begin_s / 3600, o.end_s / 3600, o.node) for o in reservations([service], FLEET, broken)
    ]
    assert service.nodes[0] == 2
    assert found == [(0, 5, 0), (0, 5, 1), (5, math.inf, 2), (5, math.inf, 3)]


def test_a_run_can_be_made_again_from_its_provenance() -> None:
    port = {"name": "late", "at": "1 d", "efficiency": 0.5, "halving": "2 d",
            "slip": {"kind": "exponential", "average": "1 h"}}  # fmt: skip
    first = tidal(True, **{
        "software.ports": [port],
        "workload.generate.arrivals.growth": 20,
        "serving.services.chat.every": "2 h",
        "serving.services.chat.growth": 50,
    })  # fmt: skip
    assert set(first.jobs["outcome"]) == {"finished", "unfinished", "never runnable"}
    again = run_scenario(define_scenario(first.provenance["scenario"]))
    pd.testing.assert_frame_equal(first.jobs, again.jobs)
    pd.testing.assert_frame_equal(first.serving, again.serving)
    assert first.serving["needed"].max() > 56


def test_jobs_keep_their_own_recovery_where_others_never_run() -> None:
    """The first job fits nowhere; the second still saves its state as the second row says."""
    log = jobs([(0, 999, 60), (0, 8, 3600)])
    recovery = Recovery([[math.inf, 600.0]] * 2, [1.0, 60.0], [0.0, 300.0], [0.0, 100.0])
    failed = [NodeEvent(1000.0, 1010.0, 0, node, "gpu") for node in range(4)]
    failed += [NodeEvent(1000.0, 1010.0, 1, node, "gpu") for node in range(2)]
    result = simulate(
        log, FLEET, Scheduling(placement="consolidate"), node_events=failed, recovery=recovery
    )
    # 3000 s of work are left: as many as 4 checkpoints of 60 s, after a restart of 300 s.
    assert result.attempts["kept_s"].tolist() == [600.0, 3000.0]
    assert result.attempts["restart_s"].tolist() == [0.0, 300.0]


def test_nothing_is_asked_of_a_run_without_services() -> None:
    assert what_happens(None, None, FLEET, Streams(1), catalogue=load_catalogue()) is None


def test_what_serves_draws_power_and_costs_but_not_for_jobs() -> None:
    """An hour of each accelerator-hour is paid once; a job costs the same but for the served."""
    prices = {
        "energy": {"pue": 1.0, "price_cny_per_kwh": 1.0},
        "money": {
            "pools": {"gpu": {"rent_per_hour": "6 CNY"}, "train": {"rent_per_hour": "6 CNY"}}
        },
    }
    result = tidal(False, **prices)
    costs = result.costs
    steps = result.utilisation[result.utilisation["pool"] == "gpu"]
    served_s = (np.diff(steps["time_s"]) * steps["serving"].to_numpy()[:-1]).sum()
    assert costs.groupby("use")["accelerator_s"].sum()["serving"] == pytest.approx(
        served_s, rel=1e-12
    )
    power = costs.groupby("use")["energy_j"].sum() / costs.groupby("use")["accelerator_s"].sum()
    assert power["serving"] == pytest.approx(power["allocated"], rel=1e-9)
    whole = result.summary.iloc[0]
    assert costs["cost_cny"].sum() == pytest.approx(whole["cost_cny"], rel=1e-12)
    of_jobs = costs.loc[costs["use"] != "serving", "cost_cny"].sum()
    assert whole["cost_per_job_cny"] * result.jobs["done"].sum() == pytest.approx(of_jobs)


def test_a_spare_is_not_for_a_node_that_serves() -> None:
    """The spare is still there for the node that fails while a job runs on it."""
    strikes = [NodeEvent(3600.0, 9e9, 0, 0, "gpu"), NodeEvent(7200.0, 9e9, 0, 3, "gpu")]
    serves = reservations(demands({"peak_requests_per_s": 8}), FLEET)
    spares = Spares.model_validate({"nodes": {"h200": 1}, "swap": "10 min"})
    kept = [
        outage
        for outage in with_spares(sorted([*serves, *strikes]), spares, FLEET)
        if outage.cause == "gpu"
    ]
    assert [(o.node, o.end_s) for o in kept] == [(3, 7800.0)]


BAD = {
    "no such pool": (
        {"pool": "h100"},
        1.0,
        r"serving: services\.chat\.pool: .*did you mean 'h200'",
    ),
    "no horizon": ({}, None, "serving: services need a scenario with a horizon"),
    "absurd": (
        {"peak_requests_per_s": 1e14},
        1.0,
        r"services\.chat: needs 99,999,999,999,900 accelerators; at most 10,000,000",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_services_that_cannot_be(case: str) -> None:
    fields, days, words = BAD[case]
    with pytest.raises(InputError, match=words):
        service_demands(serving(fields), FLEET, None if days is None else days * DAY_S)


def test_shapes_are_those_of_the_trace(shared_data: Path) -> None:
    trace = pd.read_parquet(shared_data / "traces" / "servegen_demand.parquet")
    for name, hourly in serving_shapes().items():
        rows = trace[trace["model"] == name.removeprefix("servegen-")]
        assert rows["t_s"].max() == 14 * DAY_S - 600
        rates = rows.groupby(rows["t_s"] // 3600 % 24)["rate_rps"].mean()
        np.testing.assert_allclose(hourly, rates / rates.mean(), atol=5e-5)
