"""Metrics of policies against cases worked by hand, plain twins, and identities."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.analysis.measures import measure
from clustersim.analysis.metrics import METRICS, on_request
from clustersim.analysis.policy.blocking import free_while_waiting
from clustersim.analysis.policy.deadlines import slo_table
from clustersim.analysis.policy.goodput_split import goodput_table, peak_flops
from clustersim.analysis.policy.preemption import stops_table
from clustersim.analysis.policy.shares import shares_table
from clustersim.analysis.policy.steps import NONE, least_covering
from clustersim.cli.texts.result_text import result_text
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.studies.execution import make_runs
from clustersim.topology import Cluster, Pool
from tests.analysis.small_run import small_run

ASKED = [each.name for each in METRICS.built_in.values() if each.on_request]


def jobs(n: list[int], submit: list[float], duration: list[float], **more: Any) -> pd.DataFrame:
    own = {"job_id": range(1, len(n) + 1), "submit_s": submit, "n_accelerators": n}
    return pd.DataFrame({**own, "duration_s": duration, **more})


def values(result: Any, *asked: str) -> dict[str, float]:
    return measure(result, warm_up=0.0, cool_down=0.0, asked=asked).metrics


def whole(result: Any, *asked: str) -> dict[str, float]:
    """Metrics of the whole run: the window of `measure` ends with the last submission."""
    end = float(result.provenance["simulated_s"])
    tree = dict(result.provenance, scenario={"horizon": f"{end} s"})
    own = cs.Result(**{**vars(result), "provenance": tree})
    found = measure(own, warm_up=0.0, cool_down=0.0, periods=1, asked=asked).metrics
    return {name.removesuffix("@1"): value for name, value in found.items() if "@1" in name}


def test_nothing_is_measured_that_nobody_asks_for() -> None:
    result, platform = small_run()
    found = measure(result, catalogue=platform.catalogue).metrics
    assert not {name.partition(".")[0] for name in found} & set(ASKED)
    asked = on_request(["fragmentation.a@2", "utilisation", "p99_jct_s"])
    found = measure(result, catalogue=platform.catalogue, asked=asked).metrics
    assert {"fragmentation", "fragmentation.a", "p99_jct_s", "p99_jct_s_at_most"} <= set(found)
    assert "fragmentation_rate" not in found


def test_finish_time_fairness_by_hand() -> None:
    # Both need all 8 chips. n is 2 during the first job, and 1.5 during the 200 s of the second.
    result = cs.replay(jobs([8, 8], [0, 0], [100, 100]), policy="fcfs", accelerators=8)
    found = values(result, *ASKED)
    first, second = 100 / (100 * 2), 200 / (100 * 1.5)
    assert found["mean_finish_time_fairness"] == pytest.approx((first + second) / 2)
    assert found["max_finish_time_fairness"] == pytest.approx(second)
    # Half the chips are the share of one of two jobs: alone it would take as long.
    result = cs.replay(jobs([4, 4], [0, 0], [100, 100]), policy="fcfs", accelerators=8)
    assert values(result, *ASKED)["max_finish_time_fairness"] == pytest.approx(1.0)


def test_jains_index_and_shares_by_hand() -> None:
    log = jobs([8, 8, 4], [0, 0, 0], [60, 20, 20], user=["ann", "bo", "bo"])
    result = cs.replay(log, policy="fcfs", accelerators=8)
    assert whole(result, "jains_index")["jains_index"] == pytest.approx(
        (480 + 240) ** 2 / (2 * (480**2 + 240**2))
    )
    table = shares_table(result)
    assert table is not None
    rows = table.set_index("name")
    assert rows["share"].to_dict() == pytest.approx({"ann": 2 / 3, "bo": 1 / 3})
    # Ann did not wait, so she was entitled to what she got, and Bo to the rest.
    assert rows["entitlement"].to_dict() == pytest.approx({"ann": 2 / 3, "bo": 1 / 3})
    assert rows["waited"].to_dict() == {"ann": 0, "bo": 2}
    assert shares_table(cs.replay(log.assign(user="me"), policy="fcfs", accelerators=8)) is None


def test_shares_of_virtual_clusters_are_those_of_their_nodes() -> None:
    teams = {"a": {"nodes": 3}, "b": {"nodes": 1}}
    pool = {"accelerator": "H200", "nodes": 4, "chips_per_node": 8, "virtual_clusters": teams}
    spec = cs.topology.resolve_cluster({"name": "two", "pools": {"p": pool}}, cs.load_catalogue())
    log = jobs([8, 8, 8], [0, 0, 0], [60, 60, 60], vc=["a", "b", "b"])
    result = cs.replay(log, policy="fcfs", cluster=cs.compile_cluster(spec))
    table = shares_table(result)
    assert table is not None
    rows = table.set_index("name")
    assert rows["entitlement"].to_dict() == pytest.approx({"a": 0.75, "b": 0.25})
    assert rows["share"].to_dict() == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    # Job 3 waits for 60 s on b; the chips of a that are free then are of no use to it.
    assert free_while_waiting(result).integrals("blocked", 0.0, 120.0) == {"p": 0.0}


def test_blocking_and_fragments_by_hand() -> None:
    # Chips 0-3 are held until 100 s. Job 2 (8) waits from 10 s, job 3 (4) behind it from 20 s.
    log = jobs([4, 8, 4], [0, 10, 20], [100, 100, 100])
    found = whole(cs.replay(log, policy="fcfs", accelerators=8), *ASKED)
    assert found["head_of_line_blocking"] == pytest.approx(4 * 80 / (8 * 300))
    # Without nodes, free chips that are enough are also usable.
    assert found["fragmentation"] == found["fragmentation_rate"] == 0.0
    # Free: 4 for 100 s, none for 100 s, 4 for 100 s.
    assert found["largest_gang"] == pytest.approx(8 / 3)


def test_fragmentation_by_hand() -> None:
    # Two nodes of 4: jobs of 3 leave 1 chip on each, 2 in all, and job 3 needs 2 on one node.
    pool = {"accelerator": "H200", "nodes": 2, "chips_per_node": 4}
    spec = cs.topology.resolve_cluster({"name": "two", "pools": {"p": pool}}, cs.load_catalogue())
    log = jobs([3, 3, 2], [0, 0, 0], [100, 100, 50])
    result = cs.replay(
        log, policy="fcfs", cluster=cs.compile_cluster(spec), placement="consolidate"
    )
    found = whole(result, *ASKED)
    assert found["fragmentation"] == pytest.approx(2 * 100 / (8 * 150))
    assert found["head_of_line_blocking"] == 0.0
    # For 100 s, 1 chip is free on both nodes, too few for any job. Then one node has 4 free chips
    # and the other 2, on which 2 of 3 jobs do not fit.
    stranded = 2 * 100 + (2 * 2 / 3) * 50
    assert found["fragmentation_rate"] == pytest.approx(stranded / (2 * 100 + 6 * 50))
    assert found["largest_gang"] == pytest.approx((1 * 100 + 6 * 50) / 150)


def test_the_largest_gang_depends_on_the_placement() -> None:
    # A job of 1 and one of 4 on a node of 8, of two nodes, for 100 s; then both nodes are free.
    pool = {"accelerator": "H200", "nodes": 2, "chips_per_node": 8}
    spec = cs.topology.resolve_cluster({"name": "two", "pools": {"p": pool}}, cs.load_catalogue())
    log = jobs([1, 4, 16], [0, 0, 0], [100, 100, 50])
    found = {
        name: whole(
            cs.replay(log, policy="fcfs", cluster=cs.compile_cluster(spec), placement=name), *ASKED
        )
        for name in ("fragmentation_aware", "topology_aware", "buddy_cells", "spread")
    }
    for name in ("fragmentation_aware", "topology_aware", "buddy_cells"):
        assert found[name]["largest_gang"] == pytest.approx(11 * 100 / 150), name
        # 3 of the 11 free accelerators are on a node on which two of three jobs do not fit.
        assert found[name]["fragmentation_rate"] == pytest.approx(3 * 2 / 3 / 11), name
    # Spread leaves 5 and 6 free, too few for one of three jobs, and could start a gang of 11.
    assert found["spread"]["largest_gang"] == pytest.approx(11 * 100 / 150)
    assert found["spread"]["fragmentation_rate"] == pytest.approx(1 / 3)


def test_slo_attainment_by_class() -> None:
    log = jobs([8, 8, 8], [0, 0, 0], [60, 60, 60], job_class=["x", "y", "y"])
    log = log.assign(slo_s=[60, 100, 200], deadline_s=[math.nan, math.nan, 150])
    result = cs.replay(log, policy="fcfs", accelerators=8)
    groups = {"x": None, "y": None}
    found = measure(
        result, warm_up=0.0, cool_down=0.0, asked=["slo_attainment"], groups=groups
    ).metrics
    names = ("slo_attainment", "slo_attainment.x", "slo_attainment.y")
    assert [found[name] for name in names] == [pytest.approx(1 / 3), 1.0, 0.0]
    table = slo_table(result)
    assert table is not None
    assert table["attainment"].tolist() == pytest.approx([1 / 3, 1.0, 0.0])
    assert table["mean_late_s"].tolist()[2] == pytest.approx((20 + 30) / 2)


@pytest.mark.parametrize("how", ["save", "requeue", "cancel"])
def test_preemptions_and_lost_work_by_cause(how: str) -> None:
    # The second job is shorter: the first one is stopped after 10 s.
    log = jobs([8, 8], [0, 10], [100, 20])
    options = {"preempt_by": how, "cost": 0}
    result = cs.replay(log, policy="srtf", accelerators=8, options=options)
    found = whole(result, *ASKED)
    assert (found["preemptions_per_job"], found["jobs_preempted"]) == (0.5, 0.5)
    lost = {"save": 0.0, "requeue": 10 / 130, "cancel": 10 / 30}[how]
    causes = [found[f"lost_work_{cause}"] for cause in ("node", "requeued", "cancelled")]
    assert causes == pytest.approx([0.0, lost * (how != "cancel"), lost * (how == "cancel")])
    assert sum(causes) == pytest.approx(found["lost_work"])
    table = stops_table(result)
    assert table is not None
    assert table[["stops", "jobs"]].to_numpy().tolist() == [[1, 1]]
    if how == "cancel":  # a job that was cancelled does not wait
        assert result.jobs["total_wait_s"].tolist() == [0.0, 0.0]
        assert free_while_waiting(result).integrals("free", 0.0, 10.0) == {"pool": 0.0}


def test_the_parts_of_goodput_multiply_to_the_useful_work_of_the_capacity() -> None:
    result, platform = small_run()
    found = measure(result, catalogue=platform.catalogue, periods=2, asked=ASKED).metrics
    peaks = peak_flops(result, platform.catalogue)
    half_s = 86400.0
    for period in (1, 2):
        span = {"begin_s": half_s * (period - 1), "end_s": half_s * period}
        there = accelerator_seconds(result.utilisation, **span)["available"]
        useful = {p: found[f"useful_flop_per_s.{p}@{period}"] * half_s for p in ("a", "b")}
        # Jobs without a model have time, but no FLOPs: the split of the class with one is exact.
        for name in ("scheduling", "runtime"):
            assert 0 < found[f"{name}_goodput@{period}"] < 1
        kept = found[f"goodput.a@{period}"] * there["a"] * peaks["a"]
        assert kept > useful["a"] * (1 - 1e-9)
    table = goodput_table(result, platform.catalogue).set_index(["kind", "name"])
    every = accelerator_seconds(result.utilisation)["available"]
    capacity = sum(every[pool] * peaks[pool] for pool in ("a", "b"))
    flop = sum(found[f"useful_flop_per_s@{period}"] * half_s for period in (1, 2))
    assert table.loc[("class", "train"), "goodput"] == pytest.approx(flop / capacity, rel=1e-9)
    assert math.isnan(table.loc[("class", "other"), "program"])
    parts = table.xs("class")["accelerator_s"].sum(), table.xs("size")["accelerator_s"].sum()
    assert parts == pytest.approx((table.loc[("all", "all"), "accelerator_s"],) * 2)
    sums = table.xs("class")["scheduling"].sum()
    assert sums == pytest.approx(table.loc[("all", "all"), "scheduling"])


def test_free_accelerators_by_node_are_those_of_the_utilisation() -> None:
    result, _ = small_run()
    end = float(result.provenance["simulated_s"])
    use = accelerator_seconds(result.utilisation)
    expected = (use["available"] - use["allocated"]).to_dict()
    assert free_while_waiting(result).integrals("free", 0.0, end) == pytest.approx(expected)


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_least_covering_against_a_loop(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 20))
    ends = st.tuples(st.integers(0, n - 1), st.integers(1, n), st.integers(0, 99))
    own = [each for each in data.draw(st.lists(ends, max_size=8)) if each[0] < each[1]]
    first, last, value = (np.array([each[k] for each in own], dtype=np.int64) for k in range(3))
    expected = [min([v for a, b, v in own if a <= k < b], default=NONE) for k in range(n)]
    assert least_covering(first, last, value, n).tolist() == expected


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.integers(0, 30), st.integers(1, 30)),
        min_size=1, max_size=8,
    )
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_blocking_against_a_loop_over_seconds(rows: list[tuple[int, int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    n, submit, duration = ([float(row[k]) for row in rows] for k in range(3))
    log = jobs([int(each) for each in n], submit, duration)
    result = cs.replay(log, policy="fcfs", accelerators=8)
    end = int(result.provenance["simulated_s"])
    blocked = 0
    table = result.jobs[["submit_s", "start_s", "finish_s", "n_accelerators"]].to_numpy()
    for second in range(end):
        free = 8 - sum(k for _, start, stop, k in table if start <= second < stop)
        queue = [k for came, start, _, k in table if came <= second < start]
        if queue and queue[0] > free and any(k <= free for k in queue):
            blocked += int(free)
    found = free_while_waiting(result).integrals("blocked", 0.0, end)
    assert found == pytest.approx({"pool": blocked})


@pytest.mark.slow
def test_a_study_measures_fragments_on_nodes(tmp_path: Path) -> None:
    pool = {"accelerator": "H200", "nodes": 2, "chips_per_node": 4}
    hour = {"kind": "exponential", "average": "1 h"}
    job = {"name": "job", "weight": 1, "sizes": {3: 1, 2: 1}, "duration": hour}
    generate = {"name": "jobs", "arrivals": {"mean_interarrival": "20 min"}, "classes": [job]}
    base = {
        "name": "base",
        "cluster": {"name": "two", "pools": {"p": pool}},
        "workload": {"generate": generate, "jobs": 30, "load": 0.5},
        "scheduler": {"policy": "fcfs", "placement": "consolidate"},
    }
    study = {
        "name": "s",
        "base": base,
        "parameters": {"scheduler.policy": ["fcfs"]},
        "replications": 2,
        "window": {"warm_up": 0, "cool_down": 0},
        "metrics": ["fragmentation_rate"],
    }
    make_runs(cs.define_study(study), tmp_path / "out", workers=1)
    assert cs.load_result(tmp_path / "out").points["fragmentation_rate"].iloc[0] > 0


def pool(name: str, nodes: int = 2) -> Pool:
    zeros = np.zeros(nodes, dtype=np.int32)
    return Pool(
        name=name,
        accelerator="",
        n_nodes=nodes,
        chips_per_node=8,
        nic_Bps=math.inf,
        scaleup_size=8,
        leaf_of_node=zeros,
        unit_of_node=zeros,
    )


def test_an_attempt_counts_on_each_of_its_pools_with_what_it_held_there() -> None:
    # 16 of 16 on a and 8 of 16 on b, to the end of the run; no node event, nothing is preempted.
    cluster = Cluster("two", (pool("a"), pool("b")))
    scheduling = cs.Scheduling("first_fit", placement="consolidate", span_pools="equal")
    result = cs.simulate(jobs([24], [0.0], [100.0]), cluster, scheduling)
    found = goodput_table(result, cs.load_catalogue()).set_index(["kind", "name"])
    assert found["scheduling"].to_dict() == {
        ("all", "all"): 0.75,
        ("pool", "a"): 1.0,
        ("pool", "b"): 0.5,
        ("size", "17-32"): 0.75,
    }
    assert result.attempts is not None
    assert result.attempts["n_accelerators"].tolist() == [24]


def test_a_job_that_starts_smaller_counts_with_what_it_held() -> None:
    # Job 2 asks for 16 and starts on the 8 that job 1 leaves free.
    table = jobs([16, 16], [0.0, 0.0], [100.0, 100.0], min_accelerators=[16, 8])
    scheduling = cs.Scheduling("fcfs", placement="consolidate", options={"partial": True})
    result = cs.simulate(table, Cluster("one", (pool("a", nodes=3),)), scheduling)
    assert result.attempts is not None
    assert result.attempts["n_accelerators"].tolist() == [16, 8]
    held = result.allocation_ranges
    area = ((held["end_s"] - held["start_s"]) * held["n_accelerators"]).sum()
    assert goodput_table(result, cs.load_catalogue())["accelerator_s"][0] == area
    assert "preempted" not in result_text(result)


def test_shares_of_teams_by_hand() -> None:
    log = jobs([8, 8, 4], [0, 0, 0], [60, 20, 20], team=["x", "x", "y"], account=["x", "x", "y"])
    result = cs.replay(log.assign(lab=["p", "q", "q"]), policy="fcfs", accelerators=8)
    table = shares_table(result)
    assert table is not None
    assert list(table["kind"]) == ["team", "team"]  # accounts are the same groups of jobs
    rows = table.set_index("name")
    assert rows["share"].to_dict() == pytest.approx({"x": 640 / 720, "y": 80 / 720})
    # Both had a job that waited.
    assert rows["entitlement"].to_dict() == pytest.approx({"x": 0.5, "y": 0.5})
    assert rows["jobs"].to_dict() == {"x": 2, "y": 1}
    for facts in (
        {"replay": {"option": ["quotas=q.yaml", "by=lab"]}},
        {"scenario": {"scheduler": {"options": {"by": "lab"}}}},
    ):
        table = shares_table(result.with_provenance({**result.provenance, **facts}))
        assert table is not None
        assert set(table["kind"]) == {"team", "lab"}
