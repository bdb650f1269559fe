"""`clustersim time-to-train`: text, JSON, table, exit codes and messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.cli.main import main
from clustersim.training.table import COLUMNS, FLEET_COLUMNS
from tests.training.two_pools import FLEET

JOB = ["--model", "llama3-8b", "--accelerator", "H200", "--count", "64", "--tokens", "1T"]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file with the fleet of two pools, in the current folder."""
    monkeypatch.chdir(tmp_path)
    YAML(typ="safe", pure=True).dump(FLEET, Path("fleet.yaml"))
    return "fleet.yaml"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["time-to-train", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_lists_of_chips_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(
        *(capsys, "--model", "doubao-class", "--accelerator", "H20,H200", "--count", "1024, 4096"),
        *("--tokens", "12e12", "--json"),
    )
    assert code == 0
    data = json.loads(text)
    expected = cs.time_to_train("doubao-class", ["H20", "H200"], [1024, 4096], tokens=12e12)
    assert [row["days"] for row in data["rows"]] == expected.table["days"].tolist()
    assert (data["tokens"], data["files"]) == (12e12, [])
    assert list(data["rows"][0]) == list(COLUMNS)
    assert data["notes"] == list(expected.notes)


def test_text_says_what_a_reader_asks(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = call(capsys, *JOB)
    assert (code, err) == (0, "")
    row = cs.time_to_train("llama3-8b", "H200", 64, tokens=1e12).fastest
    assert row is not None
    assert f"Fastest: 64 H200, {row['days']:.3g} days (90 % interval " in text
    assert row["plan"] in text
    assert "Failures: meta-llama3; checkpoints at the optimal interval" in " ".join(text.split())
    assert all(len(line) <= 100 for line in text.splitlines())


def test_what_fits_nowhere_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--model", "llama3-405b", "--accelerator", "H20", "--count", "8"]
    code, text, _ = call(capsys, *small)
    assert code == 1
    assert "does not fit" in text
    assert "the nearest number on which a plan fits is 80" in " ".join(text.split())
    code, text, err = call(capsys, *small, "--json")
    assert (code, json.loads(text)["rows"][0]["nearest_count"]) == (1, 80)
    assert "clustersim: no plan fits: llama3-405b on 8 H20 chips needs at least" in err


def test_the_table_is_written_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "days.csv")
    code, text, _ = call(capsys, *JOB, "--out", out)
    assert code == 0
    assert text.endswith(f"written to {out}\n")
    table = pd.read_csv(out)
    assert list(table.columns) == list(COLUMNS)
    expected = cs.time_to_train("llama3-8b", "H200", 64, tokens=1e12).table
    assert table["days"][0] == pytest.approx(expected["days"][0], rel=1e-5)
    before = Path(out).read_bytes()
    code, _, err = call(capsys, *JOB, "--out", out)
    assert code == 2
    assert out in err
    assert Path(out).read_bytes() == before


def test_options_are_those_of_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        *("--plan", "tp=2", "--global-batch", "256", "--seq-len", "4096", "--precision", "fp8"),
        *("--stack", "NeMo 24.07", "--network", "200 Gb/s", "--failures", "opt-175b"),
        *("--failure-rate", "0.5", "--storage", "1 TB/s", "--restart", "20 min", "--seed", "3"),
        *("--price", "200000", "--depreciation", "5 yr", "--tariff", "1", "--pue", "1.2"),
    ]
    _, text, _ = call(capsys, *JOB, *options, "--json")
    expected = cs.time_to_train(
        "llama3-8b",
        "H200",
        64,
        tokens=1e12,
        plan="tp=2",
        global_batch=256,
        seq_len=4096,
        precision="fp8",
        stack="NeMo 24.07",
        nic_Bps=25e9,
        failures={
            "sources": "opt-175b",
            "checkpoints": {"storage": "1 TB/s", "restart": "20 min"},
        },
        failure_rate=0.5,
        prices=cs.estimation.cost.Prices(
            chip_cny=200_000, depreciation_years=5.0, tariff_cny_per_kwh=1.0, pue=1.2
        ),
        seed=3,
    ).table.iloc[0]
    (row,) = json.loads(text)["rows"]
    for name in ("days", "days_hi", "ettr", "mttf_s", "energy_mwh", "cost_cny", "plan"):
        assert row[name] == expected[name], name


def test_a_fleet_at_a_date(capsys: pytest.CaptureFixture[str], fleet: str) -> None:
    where = ["--fleet", fleet, "--at", "2026-04-01", "--pool-share", "0.5"]
    code, text, _ = call(capsys, "--model", "llama3-8b", *where, "--json")
    assert code == 0
    data = json.loads(text)
    assert data["at"] == "2026-04-01 00:00"
    columns = [*FLEET_COLUMNS, *(name for name in COLUMNS if name != "nearest_count")]
    assert list(data["rows"][0]) == columns
    assert [row["chips_there"] for row in data["rows"]] == [160, 72]
    code, text, _ = call(capsys, "--model", "llama3-8b", *where)
    assert (code, "of pool new" in text) == (0, True)
    stopped = ["--set", "supply.embargoes=[{pools: [new], at: 2026-01-15}]"]
    code, text, _ = call(capsys, "--model", "llama3-8b", *where, *stopped, "--json")
    assert [row["chips_there"] for row in json.loads(text)["rows"]] == [40, 72]


def test_the_largest_model(capsys: pytest.CaptureFixture[str], fleet: str) -> None:
    options = ["--largest-within", "30 d", "--tokens-per-parameter", "40"]
    job = ["--model", "llama3-8b", "--accelerator", "H200", "--count", "256"]
    code, text, _ = call(capsys, *job, *options, "--json")
    assert code == 0
    data = json.loads(text)
    found = cs.largest_model(
        "llama3-8b", days=30, accelerators="H200", counts=256, tokens_per_parameter=40
    )
    assert found.model is not None
    assert (data["params"], data["layers"]) == (found.model.params, found.model.layers)
    assert (data["params_lo"], data["params_hi"]) == (found.params_lo, found.params_hi)
    code, text, _ = call(capsys, *job, *options)
    assert "The largest llama3-8b that trains within 30 d has" in text
    where = ["--fleet", fleet, "--at", "Q2"]
    code, text, _ = call(capsys, "--model", "llama3-8b", *where, *options, "--json")
    assert (code, json.loads(text)["training"]["at"]) == (0, "2026-04-01 00:00")
    hopeless = ["--model", "llama3-405b", "--accelerator", "H20", "--count", "8"]
    code, text, err = call(capsys, *hopeless, "--largest-within", "1 d", "--quiet")
    assert (code, text) == (1, "")
    assert "no model of this family trains within 24 h" in err


def test_list_of_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(capsys, "--list-columns", "--json")
    data: dict[str, list[dict[str, Any]]] = json.loads(text)
    assert code == 0
    assert [each["column"] for each in data["columns"]] == list(COLUMNS)
    assert [each["column"] for each in data["fleet"]] == list(FLEET_COLUMNS)


WRONG: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "--model is missing"),
    "no chips": (["--model", "llama3-8b"], "--accelerator is missing (or --fleet)"),
    "a date without a fleet": ([*JOB, "--at", "2026-10-01"], "--at needs --fleet"),
    "a share without a fleet": ([*JOB, "--pool-share", "1"], "--pool-share needs --fleet"),
    "a change without a fleet": ([*JOB, "--set", "seed=1"], "--set needs --fleet"),
    "a price of a fleet": (
        ["--model", "llama3-8b", "--fleet", "fleet.yaml", "--price", "1"],
        "--price cannot be used with --fleet",
    ),
    "chips and a fleet": (
        [*JOB, "--fleet", "fleet.yaml"],
        "--accelerator cannot be used with --fleet",
    ),
    "a missing fleet": (
        ["--model", "llama3-8b", "--fleet", "flet.yaml"],
        "flet.yaml: no such file",
    ),
    "an unknown model": (["--model", "llama3-8c", *JOB[2:]], "did you mean 'llama3-8b'"),
    "an unknown chip": ([*JOB[:3], "H200,H2O", *JOB[4:]], "unknown accelerator 'H2O'"),
    "a separator of thousands": (
        [*JOB[:5], "4,096"],
        "commas separate numbers of chips, which have no thousands separators; found '4,096'",
    ),
    "a count that is none": ([*JOB[:5], "many"], "--count: must be a whole number"),
    "a count of zero": ([*JOB[:5], "0"], "count: must be a whole number from 1"),
    "a rule without a search": (
        [*JOB, "--tokens-per-parameter", "20"],
        "--tokens-per-parameter needs --largest-within",
    ),
    "tokens and a rule": (
        [*JOB, "--largest-within", "30d", "--tokens-per-parameter", "20"],
        "tokens_per_parameter: cannot be given together with tokens",
    ),
    "a time without a unit": ([*JOB, "--largest-within", "90"], "--largest-within"),
    "unknown failures": ([*JOB, "--failures", "meta-lama3"], "meta-llama3"),
    "storage without a unit": ([*JOB, "--storage", "2"], "checkpoints.storage"),
    "storage of a fleet": (
        ["--model", "llama3-8b", "--fleet", "fleet.yaml", "--storage", "1 TB/s"],
        "use --set failures.checkpoints.storage=RATE",
    ),
    "a price below zero": ([*JOB, "--price", "-1"], "--price: must be 0 or more"),
    "no such plan": ([*JOB, "--plan", "tp=7"], "plan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_ends_with_2(
    name: str, fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = WRONG[name]
    code, text, err = call(capsys, *arguments)
    assert (code, text) == (2, "")
    assert err.startswith("clustersim: error: ")
    assert message in err
    assert "Traceback" not in err


def test_the_shipped_fleet_at_a_date(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--fleet", "experiments/fleet_2026.yaml"]
    code, text, _ = call(capsys, "--model", "doubao-class", *where, "--at", "Q4", "--json")
    assert (code, json.loads(text)["at"]) == (0, "2026-10-01 00:00")
