"""`clustersim explain`: text, JSON, files and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from small_clusters import jobs, ran

import clustersim as cs
from clustersim.cli.main import main

LOG = jobs((0, 8, 100), (1, 16, 10), (2, 8, 10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay of three jobs on 16 accelerators: job 3 waits behind job 2."""
    there = tmp_path_factory.mktemp("replay")
    LOG.to_csv(there / "jobs.csv", index=False)
    out = there / "out"
    command = ["replay", str(there / "jobs.csv"), "--policy", "fcfs", "--accelerators", "16"]
    assert main([*command, "--out", str(out), "--no-report", "--quiet"]) == 0
    return out


def test_the_summary_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "accelerator-hours waited" in printed
    assert "order: its gang fitted" in printed
    assert "Answer: Jobs waited 0.68 accelerator-hours: 68 % for accelerators" in printed


def test_the_wait_of_a_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(folder), "--job", "3"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 waiting job (16 accelerators) was ahead of it, first job 2." in printed
    assert "0 s to 98 s after its submission, order: needs 8 on pool, 8 free" in printed
    assert "but job 2 (16 accelerators) came first under policy fcfs" in printed
    assert "98 s to 108 s after its submission, accelerators" in printed


def test_json_has_the_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(folder), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["groups"][0]["order"] == pytest.approx(8 * 98 / 3600)
    assert main(["explain", str(folder), "--job", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["cause"] for each in found["intervals"]] == ["order", "accelerators"]
    assert found["without"][0] == {
        "cause": "order",
        "seconds": 98.0,
        "share": pytest.approx(98 / 108),
        "start_s": 2.0,
        "saved_s": 108.0,
    }


def test_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "waits.csv"
    assert main(["explain", str(folder), "--out", str(out)]) == 0
    assert f"written to {out}" in capsys.readouterr().out
    waited = pd.read_csv(out, keep_default_na=False)["waited_for"]
    assert waited.tolist() == ["", "accelerators", "order"]
    intervals = tmp_path / "job.parquet"
    assert main(["explain", str(folder), "--job", "3", "--out", str(intervals)]) == 0
    assert pd.read_parquet(intervals)["cause"].tolist() == ["order", "accelerators"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--job", "33"], "--job: unknown job '33'; did you mean '3'?"),
        (["--out", "waits.txt"], "--out: 'waits.txt' must end in .csv or .parquet"),
        (["--cluster", "mixed-small"], "--cluster: has no pool 'pool'"),
    ],
)
def test_options_that_cannot_be_used(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(folder), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path)]) == 2
    assert "is it a folder of results?" in capsys.readouterr().err


def test_a_file_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    there = tmp_path / "waits.csv"
    there.write_text("mine")
    assert main(["explain", str(folder), "--out", str(there)]) == 2
    assert there.read_text() == "mine"


def test_a_scenario_says_all_that_is_needed(tmp_path: Path) -> None:
    changes = {"workload.jobs": 300, "workload.load": 1.2, "scheduler.policy": "easy"}
    result = cs.run(cs.load_scenario("mixed_small.yaml", changes))
    found = cs.explain(result.save(tmp_path / "run"))
    waited = result.jobs["total_wait_s"].fillna(0.0)
    assert found.jobs["waited_s"].to_numpy() == pytest.approx(waited.to_numpy())
    assert found.hours["accelerators"] > 0
    with pytest.raises(cs.InputError, match="the result says on which cluster it ran"):
        cs.explain(result, cluster="mixed-small")


def test_a_result_without_a_cluster_asks_for_it() -> None:
    result, known = ran(LOG)
    with pytest.raises(cs.InputError, match="give it with cluster="):
        cs.explain(result)
    assert cs.explain(result, **known).hours["order"] > 0
    # A pool without nodes is in the tables, but its policy is not.
    alone = cs.explain(cs.replay(LOG, policy="fcfs", accelerators=16), job=3)
    assert not alone.order_known


def test_a_placement_of_the_user_is_a_note() -> None:
    class First(cs.NodePlacement):
        def choose(self, n, node_free):  # type: ignore[no-untyped-def]
            return [(0, n)] if node_free[0] >= n else None

    result, known = ran(jobs((0, 8, 100), (1, 8, 10)), placement=First)  # type: ignore[arg-type]
    found = cs.explain(result, **known)
    assert found.hours["order"] > 0
    assert "the tables do not show whether a gang fitted" in found.notes[0]


def test_unknown_partitions_of_a_cluster() -> None:
    result = ran(LOG)[0]
    other = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    with pytest.raises(cs.InputError, match="has no pool 'gpu'"):
        cs.explain(result, cluster=other)


def test_the_cause_is_in_the_table_of_jobs_if_asked_for(tmp_path: Path) -> None:
    LOG.assign(waited_for="?").to_csv(tmp_path / "jobs.csv", index=False)
    command = ["replay", str(tmp_path / "jobs.csv"), "--policy", "fcfs", "--accelerators", "16"]
    command += ["--quiet"]
    assert main([*command, "--out", str(tmp_path / "plain"), "--no-report"]) == 0
    assert "waited_for" not in pd.read_parquet(tmp_path / "plain" / "jobs.parquet")
    assert main([*command, "--out", str(tmp_path / "out"), "--explain", "--csv"]) == 0
    found = pd.read_parquet(tmp_path / "out" / "jobs.parquet")
    assert found["waited_for"].tolist() == ["", "accelerators", "order"]
    assert found["recorded_waited_for"].tolist() == ["?"] * 3
    written = pd.read_csv(tmp_path / "out" / "jobs.csv", keep_default_na=False)
    assert written["waited_for"].tolist() == ["", "accelerators", "order"]
    assert cs.explain(tmp_path / "out").jobs["waited_for"].tolist() == found["waited_for"].tolist()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Why jobs waited" in page
    assert "for accelerators that other jobs held" in page
