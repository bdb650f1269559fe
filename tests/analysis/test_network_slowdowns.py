"""Slowdown of jobs by the network, and the load of links, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.analysis.link_load import check_links, link_loads
from clustersim.analysis.metrics import metric_of
from clustersim.analysis.network_slowdown import has_network, network_slowdown, slowdowns_by_size
from clustersim.analysis.on_request.whole_run import metrics_of_run
from clustersim.errors import InputError
from clustersim.studies.execution import make_runs
from tests.network.leaf_clusters import FarApart, leaf_cluster, leaf_pool
from tests.simulation.fleets import jobs

CLUSTER = leaf_cluster(leaf_pool(nodes=4, leaf_nodes=2))
ALONE = {"communication_share": 0.5, "contention": False}


def run_of(table: pd.DataFrame, **options: object) -> cs.Result:
    return cs.simulate(table, CLUSTER, cs.Scheduling(placement=FarApart), network=ALONE, **options)  # type: ignore[arg-type]


def test_slowdowns_by_hand() -> None:
    """Half of the rate for half of the time: 1.5; a job on one node sends nothing."""
    result = run_of(jobs([(0, 16, 100), (0, 8, 150)], job_class=["large", "small"]))
    assert network_slowdown(result).tolist() == pytest.approx([1.5, 1.0])
    sizes = slowdowns_by_size(result)
    assert sizes["size"].tolist() == ["all", "5-8", "9-16"]
    assert sizes["slowed"].tolist() == [0.5, 0.0, 1.0]
    assert sizes["lost"].tolist() == pytest.approx([16 * 50 / (24 * 150), 0.0, 1 / 3])
    assert sizes["mean"].tolist() == pytest.approx([1.25, 1.0, 1.5])
    assert sizes["most"].tolist() == pytest.approx([1.5, 1.0, 1.5])
    assert sizes["p95"].isna().all(), "too few jobs"
    names = ["mean_network_slowdown", "mean_network_slowdown.large", "p95_network_slowdown"]
    values = metrics_of_run(result, names)
    assert list(values.values()) == pytest.approx([1.25, 1.5, np.quantile([1.5, 1.0], 0.95)])


def test_jobs_that_did_not_finish_have_none_and_runs_without_a_network_have_1() -> None:
    result = run_of(jobs([(0, 16, 100), (0, 8, 150)]), horizon_s=149.0)
    assert np.isnan(network_slowdown(result)).all()
    plain = cs.simulate(jobs([(0, 16, 100)]), CLUSTER, cs.Scheduling(placement=FarApart))
    assert network_slowdown(plain).tolist() == [1.0]
    assert [has_network(result), has_network(plain)] == [True, False]
    assert metric_of("mean_network_slowdown").on_request


def test_a_study_keeps_the_distribution(tmp_path: Path) -> None:
    fabric = {
        "type": "rail-optimised",
        "rails": 1,
        "unit_nodes": 2,
        "oversubscription": {"leaf": 4},
    }
    pool = {"accelerator": "H200", "nodes": 8, "fabric": fabric}
    gang = {"name": "gang", "weight": 1, "sizes": {16: 1, 32: 1}}
    gang["duration"] = {"kind": "exponential", "average": "1 h"}
    workload = {
        "generate": {
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "1 h"},
            "classes": [gang],
        },
        "jobs": 60,
    }
    base = {
        "cluster": {"name": "one", "pools": {"gpu": pool}},
        "workload": workload,
        "scheduler": {"placement": "random"},
        "network": {"communication_share": 0.5},
    }
    study = {
        "name": "s",
        "base": base,
        "parameters": {"scheduler.placement": ["topology_aware", "random"]},
        "replications": 2,
        "metrics": ["mean_network_slowdown.gang"],
        "plots": [{"kind": "distribution", "y": "mean_network_slowdown.gang"}],
    }
    make_runs(cs.define_study(study), tmp_path / "out", workers=1)
    result = cs.load_result(tmp_path / "out")
    ax = cs.plots.plot_distribution(result, "mean_network_slowdown.gang")
    packed, scattered = (np.asarray(line.get_ydata(), dtype=float) for line in ax.lines)
    assert (packed >= 1).all()
    assert (np.diff(scattered) >= 0).all()
    assert scattered.mean() > packed.mean()
    for line, row in zip((packed, scattered), result.points.to_dict("records"), strict=True):
        levels = np.asarray(ax.lines[0].get_xdata(), dtype=float)
        mean = float(np.trapezoid(line, levels))
        assert mean == pytest.approx(row["mean_network_slowdown.gang"], rel=0.02)


def table_of(loads: dict[float, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"time_s": time, "pool": "gpu", "level": "leaf", "group": group, "utilisation": value}
            for time, values in loads.items()
            for group, value in enumerate(values)
        ]
    )


def test_mean_and_highest_load_by_hand() -> None:
    found = link_loads(table_of({10.0: [1.0, 0.5], 20.0: [0.0, 0.25]}), 50.0)
    assert found["group"].tolist() == [0, 1]
    assert found["mean"].tolist() == pytest.approx([10 / 50, (5 + 7.5) / 50])
    assert found["peak"].tolist() == [1.0, 0.5]
    assert link_loads(table_of({}).reindex(columns=["time_s", "pool"]), 50.0).empty


def test_a_table_without_a_trunk_at_some_instant_is_refused() -> None:
    with pytest.raises(InputError, match="each instant must have the same trunks"):
        link_loads(table_of({0.0: [1.0, 0.5], 5.0: [1.0]}), 10.0)


@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.lists(st.floats(0, 1), min_size=3, max_size=3)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 30),
)
def test_loads_against_a_plain_sum(steps: list[tuple[int, list[float]]], rest: int) -> None:
    begins = np.cumsum([step for step, _ in steps]).tolist()
    table = table_of({float(t): own for t, (_, own) in zip(begins, steps, strict=True)})
    found = link_loads(table, float(begins[-1] + rest))
    for group in range(3):
        total = 0.0
        for place, (_, own) in enumerate(steps):
            end = begins[place + 1] if place + 1 < len(steps) else begins[-1] + rest
            total += own[group] * (end - begins[place])
        assert found["mean"][group] == pytest.approx(total / (begins[-1] + rest))
        assert found["peak"][group] == max(own[group] for _, own in steps)


def test_a_run_on_another_topology_is_refused() -> None:
    spec = cs.load_cluster("h20-pod", cs.load_catalogue())
    loads = pd.DataFrame({"pool": ["h20"], "level": "leaf", "group": 8})
    with pytest.raises(InputError, match="pool h20 has 8 groups of the level leaf, but the run"):
        check_links(spec, loads, "run")
    with pytest.raises(InputError, match="another topology: unknown pool 'h2'; did you mean 'h20'"):
        check_links(spec, loads.assign(pool="h2"), "run")
    check_links(spec, loads.assign(level="datacenter"), "run")
