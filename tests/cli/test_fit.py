"""`clustersim fit`: a user's own measurements, beside the published ones or instead of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import load_measurements
from clustersim.calibration.own_data import own_table
from clustersim.cli.main import main
from clustersim.estimation import predict
from clustersim.performance import default_calibration, load_calibration

SLOWER = 1.5


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    """Work in a folder of the test's own, so that messages show plain names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mine(in_empty_folder):
    """24 published runs as if they had been half as slow again, and three faulty rows."""
    table = own_table()
    table = table[table["family"] == "internevo"].drop(columns=["family", "id", "quality"])
    table["step_time_s"] = (SLOWER * table["step_time_s"].astype(float)).astype(str)
    faulty = table.head(3).copy()
    faulty["step_time_s"] = ["", "-1", "1.0"]
    faulty["accelerator"] = [*faulty["accelerator"][:2], "H2000"]
    pd.concat([table, faulty]).to_csv("mine.csv", index=False)
    return Path("mine.csv")


def call(capsys, *arguments):
    code = main(["fit", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert captured.err == ""
    return captured.out


def refused(capsys, *arguments):
    code = main(["fit", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("clustersim: error: ")
    return captured.err


def median_error(calibration):
    measured = load_measurements(["mine.csv"], own=False)
    found = predict(measured.rows, calibration)
    return np.median(np.abs(found.step.step_time_s / measured.step_time_s - 1))


@pytest.mark.slow
def test_own_measurements_instead(capsys, mine, monkeypatch):
    # What is asked for here does not depend on the number of fits; as an attribute of the package
    # the module is the function.
    monkeypatch.setattr(sys.modules["clustersim.calibration.calibrate"], "FOLDS", 2)
    printed = call(capsys, mine, "--only", "--out", "mine.json")
    assert "fitted to 24 runs of 1 family on 1 chip: A100-80GB" in printed
    assert "rows of the tables that cannot be used: 3" in printed
    assert "mine.csv, row 26: step_time_s" in printed
    assert "mine.csv, row 28: accelerator: unknown accelerator 'H2000'" in printed
    assert "moved most by your rows from the prior (the published runs are left out)" in printed
    assert "publishers were not left out, as there is only one" in printed
    calibration = load_calibration("mine.json")
    assert median_error(default_calibration()) > 0.25
    assert median_error(calibration) < 0.08
    assert calibration.facts["rows"] == 24
    assert "left_out_rows" in calibration.facts
    assert "left_out_publishers" not in calibration.facts, "one publisher cannot be left out"


@pytest.mark.slow
def test_row_that_the_fit_cannot_explain_is_named(capsys, mine):
    table = pd.read_csv(mine, dtype=str)
    table.loc[4, "step_time_s"] = str(float(table.loc[4, "step_time_s"]) * 20)
    table.loc[1, "step_time_s"] = ""
    table.to_csv("mine.csv", index=False)
    printed = call(capsys, mine, "--only", "--no-validation", "--out", "mine.json")
    assert "Warning: the fit cannot explain 1 of your rows" in printed
    seconds = float(table.loc[4, "step_time_s"])
    assert f"  mine.csv, row 6: measured {seconds:.4g} s, predicted " in printed


@pytest.mark.slow
def test_one_wild_row_is_reported_to_be_so(capsys):
    Path("bad.csv").write_text(
        "accelerator,model,n_accelerators,global_batch,step_time_s\nH200,llama3-8b,8,64,5000\n"
    )
    printed = call(capsys, "bad.csv", "--only", "--no-validation", "--out", "bad.json")
    assert "fitted to 1 run of 1 family on 1 chip: H200" in printed
    assert "nearly all of this calibration is the prior" in printed
    assert "as there are fewer than 20 runs" in printed
    assert "Warning: your rows need effects larger than 4 standard deviations" in printed
    assert " nan" not in Path("bad-report/report.md").read_text()


@pytest.mark.slow
def test_report_has_text_figures_and_rows(capsys, mine):
    options = ["--no-validation", "--out", "mine.json", "--report", "reported", "--json"]
    assert main(["fit", str(mine), "--only", *options]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["measured_rows"] == 24
    assert len(found["unusable_rows"]) == 3
    assert found["files"] == ["mine.json", "reported/report.md"]
    assert captured.err.startswith("rows of the tables that cannot be used: 3\n  mine.csv, row 26")
    names = sorted(path.name for path in Path("reported").iterdir())
    assert names == [
        "coefficients.png",
        "collectives.png",
        "predictions.png",
        "report.md",
        "rows.csv",
    ]
    text = Path("reported/report.md").read_text()
    assert "24 runs of 1 family" in text
    assert "mine.csv, row 27: step_time_s: must be a number above 0, found" in text
    assert "measured collectives, fitted separately" in text
    rows = pd.read_csv("reported/rows.csv")
    own = own_table()
    published = own.loc[own["family"] == "internevo", "step_time_s"].astype(float)
    assert rows["measured_s"].to_numpy() == pytest.approx(SLOWER * published.to_numpy(), rel=1e-5)
    assert rows["fitted_error"].abs().median() < 0.08


@pytest.mark.slow
@pytest.mark.full
def test_own_measurements_beside_the_published(capsys, mine):
    printed = call(capsys, mine, "--no-validation", "--out", "both.json")
    assert "fitted to 772 runs of 46 families on 13 chips" in printed
    assert "no rows were left out, as validation was not requested" in printed
    moved = printed[printed.index("moved most by your rows from the shipped calibration") :]
    assert "InternEvo" in moved, "the software of mine"
    assert "hopper" not in moved, "no row of mine is on one"
    assert "report: both-report/report.md" in printed
    calibration = load_calibration("both.json")
    error = median_error(calibration)
    assert median_error(load_calibration("both.json")) == error
    assert error < median_error(default_calibration())


@pytest.mark.slow
@pytest.mark.full
def test_published_runs_alone_give_what_is_shipped(capsys):
    printed = call(capsys, "--no-validation", "--out", "ours.json")
    assert "fitted to 748 runs of 45 families" in printed
    assert "moved most" not in printed
    ours, shipped = load_calibration("ours.json"), default_calibration()
    assert ours.keys == shipped.keys
    assert ours.facts["rows"] == shipped.facts["rows"]
    rows = load_measurements().rows
    seconds = [predict(rows, each, draws=2).step.step_time_s for each in (ours, shipped)]
    assert seconds[0] == pytest.approx(seconds[1], rel=2e-3)


@pytest.mark.slow
def test_same_input_same_bytes_with_any_number_of_threads(mine):
    content = []
    for threads in ("1", "2"):
        out = f"threads{threads}.json"
        command = [sys.executable, "-m", "clustersim.cli.main", "fit", "mine.csv", "--only"]
        subprocess.run(
            [*command, "--out", out],
            check=True,
            capture_output=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
        )
        report = Path(f"threads{threads}-report")
        files = sorted(report.iterdir())
        content.append([Path(out).read_bytes(), *(file.read_bytes() for file in files)])
    assert content[0] == content[1]


@pytest.mark.slow
@pytest.mark.full
def test_seed_sets_the_folds(capsys, mine):
    for seed in (0, 1):
        call(capsys, mine, "--only", "--seed", seed, "--out", f"{seed}.json")
    first, second = (json.loads(Path(f"{seed}.json").read_text()) for seed in (0, 1))
    assert first["effects"] == second["effects"]
    assert first["facts"]["left_out_rows"] != second["facts"]["left_out_rows"]


def test_nothing_is_overwritten(capsys, mine):
    Path("there.json").write_text("mine")
    error = refused(capsys, mine, "--only", "--out", "there.json")
    assert "there.json: exists already" in error
    assert Path("there.json").read_text() == "mine"
    assert not Path("there-report").exists()


def test_nothing_is_left_where_the_report_exists(capsys, mine):
    Path("reported").mkdir()
    Path("reported/keep.txt").write_text("mine")
    error = refused(capsys, mine, "--only", "--out", "new.json", "--report", "reported")
    assert "reported: exists already" in error
    assert not Path("new.json").exists()


BAD = {
    "only without a table": (["--only"], ("--only", "MEASUREMENTS.csv")),
    "negative seed": (["--seed", "-1"], ("--seed", "found -1")),
    "missing table": (["no.csv"], ("no.csv: cannot be read",)),
    "folder": (["."], (".: cannot be read",)),
    "other columns": (["other.csv"], ("other.csv: needs a column step_time_s",)),
    "no result": (["bare.csv"], ("bare.csv: needs a column step_time_s",)),
    "no usable row": (["bad.csv"], ("bad.csv, row 2", "'H2000'", "did you mean 'H200'")),
    "empty": (["empty.csv"], ("empty.csv",)),
    "missing chips": (["--catalogue", "no.yaml"], ("no.yaml: no such file",)),
    "no folder": (["--out", "no/such/c.json"], ("no/such/c.json: cannot be written",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_message(capsys, name):
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("bare.csv").write_text("accelerator,model,n_accelerators\nH200,llama3-8b,8\n")
    Path("bad.csv").write_text("accelerator,model,global_batch,step_time_s\nH2000,llama3-8b,8,1\n")
    Path("empty.csv").write_text("")
    before = sorted(Path().iterdir())
    arguments, words = BAD[name]
    error = refused(capsys, "--out", "c.json", *arguments)
    for word in words:
        assert word in error
    assert sorted(Path().iterdir()) == before, "nothing is left behind"
