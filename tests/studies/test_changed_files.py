"""What becomes of a study when a file that it reads is edited, also while it runs."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conducted import GRID, QUEUE, TRAINING, conduct, exact, policy_file

from clustersim.cli.main import main
from clustersim.studies import define_study, load_result, make_runs
from clustersim.studies.worker import make_run
from clustersim.workload import log_files

WINDOW = {"warm_up": 0.25, "cool_down": 0.1}


def write_fleet(path: Path, nodes: int) -> str:
    """Write a topology of nodes of 8 chips."""
    pool = {"accelerator": "H200", "nodes": nodes, "chips_per_node": 8}
    path.write_text(json.dumps({"name": "one", "pools": {"gpu": pool}}))
    return str(path)


def fleets(tmp_path: Path) -> dict[str, Any]:
    """A study of two topologies that are files."""
    files = [write_fleet(tmp_path / name, n) for name, n in (("a.yaml", 2), ("b.yaml", 3))]
    return {"name": "fleets", "base": QUEUE, "parameters": {"cluster": files}, "replications": 2}


def test_a_worker_that_outlives_an_edit_opens_the_new_fleet(tmp_path: Path) -> None:
    fields = fleets(tmp_path)
    assert conduct(fields, tmp_path / "before", workers=1)["chips"].tolist() == [16, 16, 24, 24]
    write_fleet(tmp_path / "b.yaml", 30)
    assert conduct(fields, tmp_path / "after", workers=1)["chips"].tolist() == [16, 16, 240, 240]


def test_a_run_has_the_fleet_that_its_hash_was_taken_of(tmp_path: Path) -> None:
    study = define_study(fleets(tmp_path))
    run = study.base.at(study.points[1].changes).run(-1, 0)
    write_fleet(tmp_path / "b.yaml", 30)
    outcome = make_run(run.key, study.base.tree, run.written, WINDOW, run.files)
    assert not outcome.error
    assert outcome.metrics["chips"] == 24


def test_a_workload_model_that_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    model = QUEUE["workload"]["generate"]
    file.write_text(json.dumps(model))
    fields = {**fleets(tmp_path), "parameters": {"workload.generate": [str(file)]}}
    before = conduct(fields, tmp_path / "before", workers=1)
    study = define_study(fields)
    run = study.base.at(study.points[0].changes).run(-1, 0)
    assert run.key == before["run"][0]
    file.write_text(json.dumps(model).replace("1 min", "9 min"))
    outcome = make_run(run.key, study.base.tree, run.written, WINDOW, run.files)
    assert outcome.metrics["mean_jct_s"] == before["mean_jct_s"][0]
    after = conduct(fields, tmp_path / "after", workers=1)
    assert (after["mean_jct_s"] > 2 * before["mean_jct_s"]).all()


def test_a_search_forgets_the_way_that_it_went_before(tmp_path: Path) -> None:
    """With another policy the search tries other values: those of the first are in no table."""
    own = policy_file(tmp_path / "own.py", "pass")
    fields = {
        "name": "search",
        "base": {**TRAINING, "scheduler": {"policy": own}},
        "replications": 2,
        "objective": {"metric": "mean_wait_s", "at_most": "5 min"},
        "capacity": {"between": [0.3, 1.0], "tolerance": 0.05},
    }
    first = conduct(fields, tmp_path / "out", workers=1)
    source = (tmp_path / "own.py").read_text().replace("strict import Fcfs", "easy import Easy")
    (tmp_path / "own.py").write_text(source.replace("(Fcfs)", "(Easy)"))
    again = conduct(fields, tmp_path / "out", workers=1, resume=True)
    fresh = conduct(fields, tmp_path / "fresh", workers=1)
    assert set(first["workload.load"]) != set(fresh["workload.load"]), "they go different ways"
    assert exact(again) == exact(fresh)


TASKS = "".join(f"j{k},t,1,Terminated,{100 + k},{200 + k},600,10,100,V100\n" for k in range(40))


def test_the_table_beside_a_log_is_part_of_it(tmp_path: Path) -> None:
    tasks, jobs = tmp_path / "pai_task_table.csv", tmp_path / "pai_job_table.csv"
    tasks.write_text(TASKS)
    base = {**QUEUE, "workload": {"trace": str(tasks)}}
    fields = {**GRID, "base": base, "parameters": {"scheduler.policy": ["fcfs", "sjf"]}}
    fields["replications"] = 1
    assert log_files(tasks) == [str(tasks)]
    alone = conduct(fields, tmp_path / "out", workers=1)
    tables = []
    for late in (0, 7):
        rows = (f"j{k},i,u,Terminated,{10 + k * (1 + late)},300\n" for k in range(40))
        jobs.write_text("".join(rows))
        assert log_files(tasks) == [str(tasks), str(jobs)]
        tables.append(conduct(fields, tmp_path / "out", workers=1, resume=True))
        assert exact(tables[-1]) == exact(conduct(fields, tmp_path / f"fresh-{late}", workers=1))
    assert len({*alone["run"], *tables[0]["run"], *tables[1]["run"]}) == 6


def test_threads_load_a_policy_once(tmp_path: Path) -> None:
    """A file that takes a while to load: no thread takes the half of it."""
    own = policy_file(tmp_path / "own.py", "pass")
    file = tmp_path / "own.py"
    file.write_text("import time\ntime.sleep(0.2)\n" + file.read_text())
    fields = {**GRID, "parameters": {"scheduler.policy": [own, "fcfs"]}, "replications": 6}
    study = define_study(fields)
    for name in [name for name in sys.modules if name.startswith("clustersim_plugin_")]:
        del sys.modules[name]  # as in a worker that is new
    with ThreadPoolExecutor(4) as threads:
        make_runs(study, tmp_path / "out", executor=threads)
    runs = load_result(tmp_path / "out").runs
    assert runs["error"].tolist() == [""] * 12


@pytest.mark.parametrize("gone", [True, False])
def test_the_page_of_runs_whose_topology_is_gone(tmp_path: Path, gone: bool) -> None:
    """What was computed is reported, whatever became of the files."""
    conduct(fleets(tmp_path), tmp_path / "out", workers=1)
    if gone:
        (tmp_path / "b.yaml").unlink()
    else:
        (tmp_path / "b.yaml").write_text("pools: none")
    assert main(["report", str(tmp_path / "out")]) == 0
    assert "b.yaml" in (tmp_path / "out" / "report.html").read_text()
