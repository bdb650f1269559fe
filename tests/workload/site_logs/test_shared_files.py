"""Logs of sites with known truths, compared job by job through `clustersim replay`."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.simulation.result import Result
from tests.reference_data import data_folder

FOLDER = data_folder() / "site_logs"
TRUTHS = sorted(FOLDER.glob("*.truth.json")) if FOLDER.is_dir() else []
LOGS = [path for path in TRUTHS if json.loads(path.read_text())["kind"] == "jobs"]


@pytest.mark.skipif(not LOGS, reason="no logs of sites in the reference data")
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name.removesuffix(".truth.json"))
def test_every_job_is_read_as_it_was(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = json.loads(path.read_text())
    inputs = truth["inputs"]
    command = ["replay", str(path)[: -len(".truth.json")]]
    for option, key in (("--time-zone", "zone"), ("--columns", "columns")):
        if key in inputs:
            command += [option, inputs[key]]
    out = tmp_path / "out"
    command += ["--accelerators", "100000", "--policy", "fcfs", "--out", str(out), "--no-report"]
    try:
        code = main(command)
    except SystemExit as left:
        code = int(left.code or 0)
    if truth["expect"] == "refuse":
        assert code == 2
        assert "GPUs" in capsys.readouterr().err
        return
    assert code == 0
    result = Result.load(out)
    jobs = result.jobs.set_index(result.jobs["job_id"].astype(str))
    origin = pd.Timestamp(result.provenance["calendar"]["start"])
    if origin.tzinfo is None:
        origin = origin.tz_localize(result.provenance["calendar"].get("time_zone") or "UTC")
    told = [policy["jobs_kept"] for policy in truth["also_acceptable"]]
    _compare(jobs, origin, truth, told)
    _compare_left_out(out / "left_out.csv", truth)


def _compare(
    jobs: pd.DataFrame, origin: pd.Timestamp, truth: dict[str, Any], told: list[int]
) -> None:
    """Compare jobs with the truth, or the totals with those of another policy that is right too."""
    wanted = {row[0]: dict(zip(truth["job_columns"], row, strict=True)) for row in truth["jobs"]}
    optional = {row[0]: row for row in (truth.get("optional_jobs") or {}).get("rows", [])}
    if len(jobs) in told and len(jobs) != len(wanted):
        work = float((jobs["n_accelerators"] * jobs["duration_s"]).sum())
        assert any(
            work == pytest.approx(policy["accelerator_seconds"])
            for policy in truth["also_acceptable"]
            if policy["jobs_kept"] == len(jobs)
        )
        return
    assert set(wanted) <= set(jobs.index) <= set(wanted) | set(optional)
    either = {
        str(row[0] if isinstance(row, list) else row) for row in truth.get("either_instant") or []
    }
    within = (truth.get("tolerance") or {}).get("s", 1e-3)
    for name, job in jobs.iterrows():
        if name in optional:
            assert [job["n_accelerators"], job["duration_s"]] == optional[name][1:], name
            continue
        one = wanted[str(name)]
        assert job["n_accelerators"] == one["n_gpus"], name
        assert job["duration_s"] == pytest.approx(one["run_s"], abs=within), name
        submitted = origin + pd.Timedelta(seconds=job["submit_s"])
        off = abs((submitted - pd.Timestamp(one["submit"])).total_seconds())
        assert off <= within or (name in either and abs(off - 3600) <= within), name
        for label in ("partition", "user"):
            if label not in truth.get("soft_fields", []) and one[label] is not None:
                assert job[label] == one[label], (name, label)


def _compare_left_out(path: Path, truth: dict[str, Any]) -> None:
    with path.open() as file:
        counts = Counter(row["reason"] for row in csv.DictReader(file))
    for reason in {*counts, *truth["left_out_bounds"]}:
        least, most = truth["left_out_bounds"].get(reason, (0, 0))
        assert least <= counts[reason] <= most, reason
