"""``clustersim serving`` and ``clustersim fit --serving``."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.inference.fit import own_table
from clustersim.inference.table import ADDED

ONE = ["serving", "--model", "deepseek-v3", "--accelerator", "H20", "--count", "16"]


def test_one_instance(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ONE, "--weights", "fp8", "--kv", "fp8", "--tpot", "50ms"]) == 0
    text = capsys.readouterr().out
    assert "deepseek-v3 (fp8) on 16 H20" in text
    assert "prefill" in text
    assert "bound by" in text
    assert "50 ms per output token" in text


def test_json_has_the_numbers_of_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    from clustersim.inference import estimate_serving

    options = ["--input", "1000", "--output", "500", "--batch", "64", "--as-installed"]
    assert main([*ONE, *options, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = estimate_serving(
        "deepseek-v3", "H20", 16, input_len=1000, output_len=500, batch=64, tuned=False
    )
    assert printed["decode_tokens_per_s"] == found.decode_tokens_per_s
    assert printed["decode_binds"] == found.decode_binds


def test_what_is_not_possible_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serving", "--model", "llama3-405b", "--accelerator", "H20", "--count", "1"]) == 1
    assert "do not fit" in capsys.readouterr().out


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    own_table().iloc[::40].assign(chipp="x").to_csv(rows, index=False)
    assert main(["serving", "--table", str(rows), "--out", str(out)]) == 0
    found = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert set(ADDED) <= set(found.columns)
    assert len(found) == len(own_table().iloc[::40])
    assert (found["predicted_value"] != "").all()
    assert main(["serving", "--table", str(rows), "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_table_without_a_row_that_can_be_predicted(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("chip,model,measure\nH2000,llama3-8b,TPOT ms\n")
    assert main(["serving", "--table", str(rows), "--out", str(out)]) == 1
    assert "unknown chip 'H2000'" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serving"], "needs --model, --accelerator, --count for one instance"),
        (["serving", "--table", "x.csv"], "--out is missing"),
        ([*ONE, "--table", "x.csv", "--out", "y.csv"], "--model applies to one instance"),
        ([*ONE, "--tpot", "soon"], "--tpot"),
        ([*ONE, "--batch", "8", "--tpot", "50ms"], "give one of them"),
        ([*ONE, "--calibration", "none.json"], "cannot be read"),
        (["fit", "--serving", "--memory", "--out", "x.json"], "give one of them"),
        (["fit", "--serving", "--seed", "1", "--out", "x.json"], "--seed: cannot be used"),
        (["fit", "--serving", "--only", "--out", "x.json"], "--only: needs a MEASUREMENTS.csv"),
    ],
)
def test_arguments_that_cannot_be_used(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_columns_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serving", "--list-columns"]) == 0
    text = capsys.readouterr().out
    assert "predicted_value" in text
    assert "spec_decoding" in text


def test_own_measurements_are_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "mine.json"
    mine = own_table().query("family == 'trtllm-perf'").iloc[:20]
    mine.drop(columns=["family", "quality", "id"]).to_csv(rows, index=False)
    arguments = ["fit", "--serving", str(rows), "--only", "--no-validation", "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["facts"]["rows"] == 20
    assert main([*ONE, "--calibration", str(out)]) == 0
