"""Named cases of a scenario: what they change, and what a study makes of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from conducted import QUEUE, conduct

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.files import read_yaml
from clustersim.report.findings import findings, warnings
from clustersim.report.of_study.default_plots import default_plots
from clustersim.report.study_figures import draw_plots
from clustersim.scenario.scenario import define_scenario, load_scenario
from clustersim.simulation.result import Result
from clustersim.studies import define_study, load_result
from clustersim.studies.redo import load_run

CASES: dict[str, Any] = {
    "now": {},
    "half": {"cluster.pools.gpu.nodes": 1},
    "stopped": {"supply.retirements": [{"pool": "gpu", "nodes": 1, "at": "1 h"}], "seed": 5},
}
LIVING = {**QUEUE, "cases": CASES, "scheduler": {"policy": "fcfs", "placement": "consolidate"}}


def nodes(changes: dict[str, Any], tree: dict[str, Any] = LIVING) -> int:
    scenario = define_scenario(tree, changes).scenario
    assert isinstance(scenario.cluster, dict)
    return int(scenario.cluster["pools"]["gpu"]["nodes"])


def test_a_case_is_changes_between_the_file_and_those_of_the_caller() -> None:
    assert nodes({}) == nodes({"case": "now"}) == 2
    assert nodes({"case": "half"}) == nodes({}, {**LIVING, "case": "half"}) == 1
    assert nodes({"cluster.pools.gpu.nodes": 7, "case": "half"}) == 7
    assert nodes({"case": "now"}, {**LIVING, "case": "half"}) == 2
    supply = define_scenario(LIVING, ["case=stopped"]).scenario.supply
    assert supply is not None
    assert supply.retirements[0].at == 3600.0


def test_a_resolved_scenario_is_as_if_it_had_been_written_so() -> None:
    written = copy.deepcopy(LIVING)
    del written["cases"]
    written["cluster"]["pools"]["gpu"]["nodes"] = 1
    assert define_scenario(LIVING, {"case": "half"}).scenario == define_scenario(written).scenario


def test_cases_are_extended_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "cluster: mixed-small\nworkload: {generate: philly-2017, jobs: 9}\n"
        "cases: {a: {seed: 1}, b: {seed: 2}}\n"
    )
    (tmp_path / "more.yaml").write_text("extends: base.yaml\ncases: {b: {workload.jobs: 3}}\n")
    found = {case: load_scenario(tmp_path / "more.yaml", {"case": case}).scenario for case in "ab"}
    assert [found[case].seed for case in "ab"] == [1, 2]
    assert found["b"].workload.jobs == 3


def key(cases: dict[str, Any], case: str, **fields: Any) -> str:
    tree = {"name": "x", "base": {**LIVING, "cases": cases}, "parameters": {"case": [case]}}
    study = define_study({**tree, **fields}, check=False)
    return study.base.at(study.points[0].changes).run(-1, 0).key


def test_a_hash_hangs_on_the_chosen_case_alone() -> None:
    other = {**CASES, "half": {"cluster.pools.gpu.nodes": 3}}
    renamed = {"present": CASES["now"], **CASES}
    assert key(CASES, "now") == key(other, "now") == key(renamed, "present")
    assert key(CASES, "half") != key(other, "half")
    assert key(CASES, "half") == key({"half": {"cluster.pools.gpu.nodes": 1}}, "half")
    # What the study sets comes after the case.
    fixed = {"set": {"cluster.pools.gpu.nodes": 2}}
    assert key(CASES, "half", **fixed) == key(CASES, "now")


def test_a_hash_hangs_on_the_files_of_the_chosen_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(nodes: int) -> str:
        pools = f"{{a: {{accelerator: H20, nodes: {nodes}}}}}"
        (tmp_path / "own.yaml").write_text(f"name: own\npools: {pools}\n")
        return key({"own": {"cluster": "own.yaml"}}, "own")

    monkeypatch.chdir(tmp_path)
    assert of(2) == of(2) != of(3)


STUDY = {
    "name": "cases",
    "base": {**LIVING, "horizon": "100 min"},
    "set": {
        "workload.load": None,
        "workload.jobs": 600,
        "workload.generate.arrivals.mean_interarrival": "12 s",
    },
    "parameters": {"case": ["now", "half", "stopped"]},
    "replications": 3,
    "window": {"warm_up": 0, "cool_down": 0, "periods": ["early", "late"]},
    "metrics": [f"{name}@{k}" for name in ("utilisation", "p95_wait_s") for k in (1, 2)],
    "compare": {"of": "case", "baseline": "now", "metrics": ["p95_wait_s@2", "accelerators@2"]},
}


def test_a_study_compares_cases_on_the_same_jobs(tmp_path: Path) -> None:
    runs = conduct(STUDY, tmp_path / "out", workers=1)
    assert (runs["status"] == "finished").all(), runs["error"].tolist()
    result = load_result(tmp_path / "out")
    installed = result.differences.set_index(["system", "metric"])["relative"]
    assert installed["half", "accelerators@2"] == -0.5
    # One of two nodes leaves after 60 of 100 min: 10 of the later 50 min have both.
    assert installed["stopped", "accelerators@2"] == pytest.approx(-0.4)
    assert runs.groupby("replication")["jobs_submitted"].nunique().tolist() == [1, 1, 1]
    message = findings(result)
    assert any(
        line.startswith("stopped against now: installed accelerators in late 40 % less (")
        for line in message
    ), message
    plots = default_plots(result)
    assert [plot.kind for plot in plots] == ["differences", "periods"]
    assert plots[-1].ys == ["utilisation", "p95_wait_s"]
    figures, problems = draw_plots(result)
    assert (len(figures), problems) == (3, [])


def test_what_becomes_is_not_judged_as_a_steady_state(tmp_path: Path) -> None:
    full = {
        **STUDY,
        "set": {"workload.load": 1.0, "workload.jobs": 600},
        "metrics": ["p95_wait_s", "p95_wait_s@2"],
    }
    conduct(full, tmp_path / "out", workers=1)
    result = load_result(tmp_path / "out")
    assert not result.points[["overload", "rising"]].to_numpy().any()
    assert (result.points["p95_wait_s"] < 1e5).all()
    assert not any("Overload (" in line or "rising" in line for line in warnings(result))
    # The half fleet is too small for the jobs of the later period, and the points say so.
    assert result.points.set_index("case")["overload_in"]["half"] == "late"
    assert any(line.startswith("Overload in some periods: ") for line in warnings(result))


def test_a_run_of_a_case_can_be_redone(tmp_path: Path) -> None:
    runs = conduct(STUDY, tmp_path / "out", workers=1)
    half = runs[runs["case"] == "half"].iloc[0]
    loaded, spec = load_run(tmp_path / "out", half["run"])
    assert loaded.scenario.cluster["pools"]["gpu"]["nodes"] == 1
    assert spec.window.measured["periods"] == 2
    assert set(read_yaml(tmp_path / "out" / "study.yaml")["base"]["cases"]) == set(CASES)


def test_a_redone_run_settles_its_accounts_where_the_periods_end(tmp_path: Path) -> None:
    full = {**STUDY, "set": {**STUDY.get("set", {}), "money": {"period": "1 yr"}}}
    runs = conduct(full, tmp_path / "out", workers=1)
    arguments = ["run", "--from", str(tmp_path / "out"), "--run", runs["run"].iloc[0]]
    assert main([*arguments, "--out", str(tmp_path / "redone")]) == 0
    result = Result.load(tmp_path / "redone")
    end_s = result.provenance["simulated_s"]
    assert result.costs is not None
    assert sorted(set(result.costs["end_s"])) == [end_s / 2, end_s]


def test_a_case_of_another_name_is_reported_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown case 'halve'; did you mean 'half'"):
        define_scenario(LIVING, {"case": "halve"})


def test_a_study_varies_the_fleet_of_its_base(tmp_path: Path) -> None:
    """A case and a parameter change the fleet, from which cluster and deliveries follow again."""
    order = {"chips": 8, "at": "2026-01-01", "source": "an order"}
    base = {key: value for key, value in LIVING.items() if key not in ("cluster", "cases")}
    base |= {
        "start": "2026-01-01",
        "fleet": {"pools": {"gpu": {"accelerator": "H200", "chips_per_node": 1, "stock": 2}}},
        "supply": {"retirements": [{"name": "old", "pool": "gpu", "nodes": 1, "at": "2 h"}]},
        "cases": {"now": {}, "more": {"fleet.pools.gpu.deliveries.one": order}},
    }
    fields = {
        "name": "fleets",
        "base": base,
        "parameters": {"case": ["now", "more"], "fleet.pools.gpu.stock": [2, 3]},
        "metrics": ["utilisation"],
        "replications": 1,
    }
    runs = conduct(fields, tmp_path / "out", workers=1)
    result = load_result(tmp_path / "out")
    chips = result.points.set_index(["case", "fleet.pools.gpu.stock"])["chips"]
    assert chips.to_dict() == {("now", 2): 2, ("now", 3): 3, ("more", 2): 10, ("more", 3): 11}
    assert result.study.base.tree["supply"]["retirements"][0]["name"] == "old"
    run = runs[runs["case"] == "more"].iloc[0]
    loaded, _ = load_run(tmp_path / "out", run["run"])
    assert loaded.scenario.supply is not None
    assert [each.nodes for each in loaded.scenario.supply.deliveries] == [8]
