"""Metrics of one partition, job class or other group of jobs: by hand, in studies, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.measures import measure
from clustersim.analysis.metrics import find_metric, metric_names
from clustersim.errors import InputError
from clustersim.simulation.simulate import replay
from clustersim.studies.study import define_study
from clustersim.workload.named_groups import group_mask, group_problems


def jobs_in_turn(count: int = 40) -> pd.DataFrame:
    """Jobs of 20 s every 10 s on one accelerator: job k waits 10 k s; every fourth is of `b`."""
    at = np.arange(count)
    return pd.DataFrame(
        {
            "job_id": at,
            "submit_s": 10.0 * at,
            "n_accelerators": 1,
            "duration_s": 20.0,
            "vc": np.where(at % 4 == 3, "b", "a"),
            "user": np.where(at % 8 == 3, "ann", "bo"),
        }
    )


def test_waits_of_groups_by_hand():
    whole = replay(jobs_in_turn(), policy="fcfs", accelerators=1)
    groups = {"a": None, "b": None, "ann": {"user": "ann"}, "c": None}
    found = measure(whole, warm_up=0.0, cool_down=0.0, groups=groups).metrics
    wait_s = 10.0 * np.arange(40)
    assert found["mean_wait_s"] == pytest.approx(wait_s.mean())
    assert found["mean_wait_s.b"] == pytest.approx(wait_s[3::4].mean())
    assert found["p95_wait_s.b"] == pytest.approx(np.quantile(wait_s[3::4], 0.95))
    assert found["mean_wait_s.ann"] == pytest.approx(wait_s[3::8].mean())
    assert np.isnan([found["mean_wait_s.c"], found["p95_jct_s.c"]]).all()
    # 30 jobs of a and 10 of b are all jobs.
    both = (30 * found["mean_wait_s.a"] + 10 * found["mean_wait_s.b"]) / 40
    assert both == pytest.approx(found["mean_wait_s"])
    assert not {"utilisation.a", "mean_wait_s_half.a"} & {*found}


def test_the_window_holds_for_groups_too():
    whole = replay(jobs_in_turn(), policy="fcfs", accelerators=1)
    found = measure(whole, warm_up=0.5, cool_down=0.0, groups={"b": None})
    assert found.metrics["mean_wait_s.b"] == pytest.approx(np.mean([230, 270, 310, 350, 390]))
    assert found.samples["wait_s.b"].values.tolist() == [230.0, 270.0, 310.0, 350.0, 390.0]


def test_names_of_groups():
    for name in metric_names():
        metric = find_metric(name)
        assert metric is not None
        assert (find_metric(f"{name}.gpu") is not None) == bool(metric.of_jobs or metric.by_pool)
    assert find_metric("p95_wait_s.gpu@2") is find_metric("p95_wait_s")
    assert find_metric("p95_wait_s.") is None


def test_groups_that_no_job_belongs_to():
    jobs = jobs_in_turn().assign(job_class="b")
    assert dict(group_problems(jobs, {"a": None, "of ann": {"user": "ann"}})) == {}
    found = dict(group_problems(jobs, {"aa": None, "b": None, "x": {"user": "anne"}}))
    assert "did you mean 'a'?" in found["aa"]
    assert "both a partition and a job class" in found["b"]
    assert "did you mean 'ann'?" in found["x"]
    plain = jobs_in_turn().drop(columns=["vc"])
    assert "neither partitions nor classes" in dict(group_problems(plain, {"a": None}))["a"]


def test_a_group_of_a_site_log_is_its_partition():
    jobs = jobs_in_turn().rename(columns={"vc": "partition"})
    chosen = group_mask(jobs, "few", {"vc": "b"})
    assert chosen.tolist() == group_mask(jobs, "b", None).tolist()
    assert chosen.sum() == 10


def study(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    jobs_in_turn().to_csv(tmp_path / "log.csv", index=False)
    pool = {"accelerator": "H200", "nodes": 1, "chips_per_node": 2}
    return {
        "name": "groups",
        "base": {
            "cluster": {"name": "few", "pools": {"few": pool}},
            "workload": {"trace": str(tmp_path / "log.csv"), "resample": "none"},
            "scheduler": {"policy": "fcfs"},
        },
        "parameters": {"cluster.pools.few.nodes": [1, 2]},
        "replications": 1,
        **fields,
    }


def test_a_partition_is_the_objective_of_a_study(tmp_path: Path):
    asked = study(
        tmp_path,
        metrics=["mean_wait_s", "mean_wait_s.b"],
        groups={"ann": {"user": "ann"}},
        objective={"metric": "p95_wait_s.ann", "at_most": "1 min"},
        base=study(tmp_path)["base"] | {"horizon": "390 s"},
        window={"periods": 3},
    )
    asked["metrics"] = [*asked["metrics"], "mean_wait_s.b@2"]
    cs.run_study(asked, tmp_path / "out", workers=1)
    points = cs.load_result(tmp_path / "out").points
    # Two accelerators take job k at once.
    assert points["mean_wait_s.b"].tolist() == [0.0, 0.0]
    assert points["p95_wait_s.ann"].tolist() == [0.0, 0.0]
    assert points["mean_wait_s.b@2"].tolist() == [0.0, 0.0]


def test_errors_name_the_nearest_partition(tmp_path: Path):
    with pytest.raises(InputError) as error:
        define_study(study(tmp_path, metrics=["p95_wait_s.bb"]))
    assert "metrics: p95_wait_s.bb: unknown partition, job class or group 'bb'" in str(error.value)
    assert "did you mean 'b'?" in str(error.value)
    with pytest.raises(InputError, match=r"groups: ann has no effect.* p95_wait_s\.ann"):
        define_study(study(tmp_path, groups={"ann": {"user": "ann"}}))
    asked = {"metrics": ["p95_wait_s.ann"], "groups": {"ann": {"user": "anne"}}}
    with pytest.raises(InputError, match=r"groups\.ann: user: unknown user 'anne'"):
        define_study(study(tmp_path, **asked))


def test_a_group_changes_the_hash_only_of_studies_that_name_it(tmp_path: Path):
    keys = []
    for metrics in (["p95_wait_s"], ["p95_wait_s", "mean_wait_s"], ["p95_wait_s.b"]):
        base = define_study(study(tmp_path, metrics=metrics)).base
        keys.append(base.at({}).run(-1, 0).key)
    assert keys[0] == keys[1] != keys[2]
