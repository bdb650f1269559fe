"""Arrival rates that a scenario states, and what an offered load means where a fleet varies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conducted import conduct

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.report.findings import warnings
from clustersim.report.study import write_report
from clustersim.scenario.parameter_paths import removal_notes
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.schemas import schema
from clustersim.studies.meaning import load_notes, paths_that_set_the_rate
from clustersim.studies.study import define_study
from clustersim.studies.study_result import StudyResult, load_result

CLASS = {
    "name": "job",
    "weight": 1,
    "sizes": {8: 1},
    "duration": {"kind": "constant", "value": "1 h"},
}


def scenario(nodes: int = 4, **workload: Any) -> dict[str, Any]:
    """Jobs of a node for an hour each: a fleet of n nodes does 24 n of them a day."""
    generate = {
        "name": "w",
        "reference_accelerator": "H200",
        "arrivals": {"mean_interarrival": "1 h"},
        "classes": [CLASS],
    }
    return {
        "cluster": {"name": "c", "pools": {"a": {"accelerator": "H200", "nodes": nodes}}},
        "workload": {"generate": generate, "jobs": 200, **workload},
        "scheduler": {"placement": "pooled"},
        "seed": 1,
    }


# --- Rates --------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 4, 16])
def test_jobs_a_day_are_those_whatever_the_fleet(nodes: int) -> None:
    """The load is 48 jobs a day over the 24 n that the fleet does."""
    loaded = define_scenario(scenario(nodes, jobs_per_day=48))
    resolved = resolve(loaded)
    assert resolved.arrival_per_s == pytest.approx(48 / 86400)
    same = define_scenario(scenario(nodes, load=2 / nodes))
    pd.testing.assert_frame_equal(resolved.jobs, resolve(same, platform=resolved.platform).jobs)
    assert run_scenario(loaded).provenance["arrival_rate_per_s"] == pytest.approx(48 / 86400)


def test_more_jobs_a_day_are_the_same_jobs_closer_together() -> None:
    one, three = (resolve(define_scenario(scenario(jobs_per_day=rate))).jobs for rate in (10, 30))
    assert three["submit_s"].to_numpy() == pytest.approx(one["submit_s"].to_numpy() / 3)
    pd.testing.assert_frame_equal(one.drop(columns="submit_s"), three.drop(columns="submit_s"))


def log(folder: Path, submit_s: list[float]) -> dict[str, Any]:
    path = folder / "log.csv"
    rows = [f"{k},{at},8,{600 + k}" for k, at in enumerate(submit_s, 1)]
    path.write_text("\n".join(["job_id,submit_s,n_accelerators,duration_s", *rows]) + "\n")
    tree = scenario()
    tree["workload"] = {"trace": str(path)}
    return tree


def test_a_scale_divides_the_times_between_submissions(tmp_path: Path) -> None:
    """From the first on; a factor of 4 brings 60, 100, 500 to 60, 70, 170; durations stay."""
    tree = log(tmp_path, [60.0, 100.0, 500.0])
    tree["workload"]["scale"] = 4
    result = run_scenario(define_scenario(tree))
    assert result.jobs["submit_s"].tolist() == [60, 70, 170]
    assert (result.jobs["finish_s"] - result.jobs["start_s"]).tolist() == [601, 602, 603]
    tree["workload"]["scale"] = 1
    assert run_scenario(define_scenario(tree)).jobs["submit_s"].tolist() == [60, 100, 500]


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (
            {"load": 0.5, "jobs_per_day": 20},
            r"load \(0\.5\) and jobs_per_day \(20\) both set the arrival rate",
        ),
        (
            {"load": 0.5, "scale": 2},
            "scale applies to trace, not to generate; load and jobs_per_d",
        ),
        ({"jobs_per_day": 0}, r"workload\.jobs_per_day: input should be greater than 0"),
        ({"jobs_per_day": float("inf")}, r"workload\.jobs_per_day: "),
        ({"jobs_per_dai": 3}, "did you mean 'jobs_per_day'"),
    ],
)
def test_what_sets_the_rate_twice_is_refused(workload: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        define_scenario(scenario(**workload))


@pytest.mark.parametrize("name", ["load", "jobs_per_day"])
def test_a_log_has_a_scale_alone(name: str, tmp_path: Path) -> None:
    tree = log(tmp_path, [0.0])
    tree["workload"][name] = 1
    with pytest.raises(InputError, match=f"{name} applies to generate, not to trace; scale"):
        define_scenario(tree)
    tree["workload"] = {"trace": tree["workload"]["trace"], "scale": 0}
    with pytest.raises(InputError, match=r"workload\.scale: input should be greater than 0"):
        define_scenario(tree)


def test_the_schema_has_both() -> None:
    fields = schema("scenario")["$defs"]["ScenarioWorkload"]["properties"]
    assert {"load", "jobs_per_day", "scale"} <= fields.keys()


def test_a_change_takes_the_load_away() -> None:
    changes = {"workload.load": None, "workload.jobs_per_day": 12}
    loaded = define_scenario(scenario(load=0.5), changes)
    assert resolve(loaded).arrival_per_s == pytest.approx(12 / 86400)


# --- In studies ---------------------------------------------------------------------


def conducted(fields: dict[str, Any], out: Path) -> StudyResult:
    """Run a study in this process."""
    conduct(fields, out, workers=1)
    return load_result(out)


def study(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": "rates",
        "base": base,
        "replications": 2,
        "metrics": ["mean_wait_s", "offered_load", "jobs_per_day"],
        **fields,
    }


def test_jobs_a_day_vary_and_have_an_offered_load(tmp_path: Path) -> None:
    """24 and 48 jobs a day on 4 nodes are loads of 1/4 and 1/2."""
    fields = study(scenario(jobs_per_day=24), parameters={"workload.jobs_per_day": [24, 48]})
    result = conducted(fields, tmp_path / "out")
    assert result.points["offered_load"].tolist() == pytest.approx([0.25, 0.5])


def test_a_capacity_in_jobs_a_day(tmp_path: Path) -> None:
    """More of them than a fleet of 96 a day can do are too many; few are not."""
    fields = study(
        scenario(jobs_per_day=24),
        objective={"metric": "mean_wait_s", "at_most": "30 min"},
        capacity={"of": "workload.jobs_per_day", "between": [10.0, 120.0], "tolerance": 10},
    )
    found = conducted(fields, tmp_path / "out").capacities
    assert found is not None
    assert 40 < found["capacity"].item() < 96


def test_a_capacity_in_the_scale_of_a_log(tmp_path: Path) -> None:
    """Jobs of 750 s on average every 600 s on 4 nodes: 3.2 at most, of 900 s at the end 2.7."""
    fields = study(
        log(tmp_path, [600.0 * k for k in range(300)]),
        objective={"metric": "mean_wait_s", "at_most": "1 min"},
        capacity={"of": "workload.scale", "between": [0.5, 20.0], "tolerance": 0.5},
    )
    found = conducted(fields, tmp_path / "out").capacities
    assert found is not None
    assert 2.6 < found["capacity"].item() < 3.3


@pytest.mark.parametrize("name", ["workload.jobs_per_day", "workload.scale"])
def test_a_search_of_arrivals_goes_up_from_above_0(name: str) -> None:
    fields = study(
        scenario(), objective={"metric": "mean_wait_s", "at_most": "1 h"}, capacity={"of": name}
    )
    fields["capacity"] |= {"between": [0, 5]}
    with pytest.raises(InputError, match="an arrival rate must be above 0, found 0 to 5"):
        define_study(fields)
    fields["capacity"] |= {"between": [1, 5], "more_is": "better"}
    with pytest.raises(InputError, match="must be 'worse', because waits grow with more arrivals"):
        define_study(fields)


def test_more_nodes_at_a_fixed_load_are_offered_more_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 and 8 nodes at a load of 1/2: 24 and 96 jobs a day; the study and its page say so."""
    fields = study(scenario(load=0.5), parameters={"cluster.pools.a.nodes": [2, 8]})
    out = tmp_path / "out"
    result = conducted(fields, out)
    (note,) = [line for line in warnings(result) if line.startswith("Note")]
    assert "at a fixed offered load of 0.5" in note
    assert "different values of cluster.pools.a.nodes" in note
    assert "set workload.jobs_per_day instead of workload.load" in note
    rates = result.points["jobs_per_day"]
    assert rates.tolist() == pytest.approx([24, 96], rel=0.2)
    assert f"({rates.min():,.4g} to {rates.max():,.4g} jobs per day)" in note
    text = write_report(out).read_text(encoding="utf-8")
    assert "at a fixed offered load of 0.5 (workload.load)" in text
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(fields))
    assert main(["study", str(file), "--out", str(tmp_path / "cli"), "--workers", "1"]) == 0
    assert "at a fixed offered load of 0.5" in " ".join(capsys.readouterr().out.split())


def test_more_nodes_with_the_same_jobs_do_not_wait_longer(tmp_path: Path) -> None:
    fields = study(scenario(jobs_per_day=48), parameters={"cluster.pools.a.nodes": [2, 3, 8]})
    result = conducted(fields, tmp_path / "out")
    assert not [line for line in warnings(result) if line.startswith("Note")]
    assert np.ptp(result.points["jobs_per_day"]) < 1e-9
    assert (np.diff(result.points["mean_wait_s"]) <= 0).all()


def notes(fields: dict[str, Any]) -> list[str]:
    made = define_study(fields, check=False)
    return load_notes(made.spec, made.base.tree)


@pytest.mark.parametrize(
    "parameters",
    [
        {"cluster.pools.a.accelerator": ["H200", "H20"]},
        {"cluster": ["mixed-small", "h200-superpod"]},
        {"catalogue.H200.hbm_bandwidth": ["4 TB/s", "5 TB/s"]},
        {"performance.stack": ["NeMo 24.07", "Megatron-LM"]},
        {"performance.precision": ["bf16", "fp8"]},
        {"workload.generate.classes.job.weight": [1, 2]},
        {"workload.generate": ["philly-2017", "kth-sp2"]},
        {"scheduler.wait_for_best": [True, False]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_whatever_changes_the_jobs_a_day_is_reported(parameters: dict[str, Any]) -> None:
    (path,) = parameters
    (note,) = notes(study(scenario(load=0.5), parameters=parameters))
    assert f"different values of {path}" in note
    assert notes(study(scenario(jobs_per_day=9), parameters=parameters)) == []
    assert notes(study(scenario(), parameters=parameters)) == [], "the model's own rate"


@pytest.mark.parametrize(
    "path",
    [
        "scheduler.policy",
        "scheduler.placement",
        "workload.jobs",
        "workload.generate.arrivals.growth",
        "performance.draw",
        "catalogue.assumptions.pue",
        "energy.pue",
    ],
)
def test_what_leaves_the_jobs_a_day_is_not_reported(path: str) -> None:
    assert paths_that_set_the_rate([path]) == []


def test_a_load_that_varies_with_the_fleet() -> None:
    fields = study(
        scenario(load=0.5),
        parameters={"cluster.pools.a.nodes": [2, 8], "workload.load": [0.5, 0.7]},
    )
    (note,) = notes(fields)
    assert "Compare jobs per day instead of loads" in note


def test_a_search_for_the_nodes_at_a_fixed_load_is_reported() -> None:
    fields = study(
        scenario(load=0.5),
        objective={"metric": "mean_wait_s", "at_most": "1 h"},
        capacity={"of": "cluster.pools.a.nodes", "between": [1, 20], "more_is": "better"},
    )
    assert "at a fixed offered load of 0.5" in notes(fields)[0]


def test_cases_and_supplies_are_reported() -> None:
    base = scenario(load=0.5)
    base["cases"] = {
        "small": {"cluster.pools.a.nodes": 2},
        "late": {"supply.deliveries": [{"pool": "a", "nodes": 2, "at": "1 d"}]},
    }
    first, second = notes(study(base, parameters={"case": ["small", "late"]}))
    assert "different values of cluster.pools.a.nodes" in first
    assert "refers to all nodes that the pools ever have" in second
    assert "supply.deliveries" in second


def test_a_run_says_what_a_load_is_where_a_change_moves_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(json.dumps(scenario(load=0.5)))
    out = ["--out", str(tmp_path / "out")]
    assert main(["run", str(file), *out, "--set", "cluster.pools.a.nodes=8"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the offered load of 0.5 (workload.load) means 96 jobs per day on this fleet" in text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("workload.load", "by default the model's own arrival rate"),
        ("failures", "by default no node fails"),
        ("supply", "by default all nodes are present all the time"),
        ("money", "by default not computed"),
        ("horizon", "by default when all jobs have ended"),
        ("scheduler.choose", "its default applies"),
        ("cluster.pools.a.nic", "its default applies"),
    ],
)
def test_what_a_change_takes_away_is_reported(path: str, shown: str) -> None:
    assert removal_notes([(path, None)]) == [f"Note: {path} was removed: {shown}"]
    assert removal_notes([(path, 1)]) == []


def test_a_run_says_what_was_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(json.dumps({**scenario(), "money": {}}))
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--set", "money=null"]) == 0
    assert "Note: money was removed: by default not computed" in capsys.readouterr().out
