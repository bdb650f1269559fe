"""The fit of the memory overhead finds known overheads again; the shipped file is its result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import FittedPeaks, Peaks, fit_peaks, own_peaks, read_peaks
from clustersim.calibration.memory_peaks import PRIOR, own_outcomes
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.performance.memory_overhead import fit_probability, memory_overhead

GB = 1e9


def peaks(counted: list[float], dynamic: list[float], peak: list[float]) -> Peaks:
    """Runs of one group, each of its own source, on chips of 80 GB."""
    size = len(counted)
    table = pd.DataFrame(
        {
            "id": [str(row) for row in range(size)],
            "family": [f"source {row}" for row in range(size)],
            "outcome": "ran",
            "quality": "A",
            "group": "fsdp",
            "lora": False,
            "chip_bytes": 80 * GB,
            "peak_bytes": np.array(peak) * GB,
            "unseen_bytes": 0.0,
            "used": "peak",
        }
    )
    nothing = np.zeros(size)
    sizes = (np.array(counted) * GB, np.array(dynamic) * GB, nothing, nothing)
    return Peaks(table, *sizes, unread=pd.Series(dtype=str))


@pytest.fixture(scope="module")
def own() -> FittedPeaks:
    return fit_peaks(read_peaks(pd.concat([own_peaks(), own_outcomes()]).fillna("")))


def test_a_known_overhead_is_found_again() -> None:
    """A quarter of the activations on top of everything, in many runs; states have no overhead."""
    sizes = np.linspace(20, 60, 40)
    given = peaks(sizes.tolist(), (sizes / 2).tolist(), (sizes * 1.125).tolist())
    found = fit_peaks(given).overhead.groups["fsdp"]
    assert 0.20 < found.fragmentation < 0.25  # drawn to the prior, 0.1
    assert found.scatter == pytest.approx(0.13 * np.sqrt(6 / 46), abs=0.006)


def test_without_runs_the_prior_is_left() -> None:
    found = fit_peaks(peaks([50.0], [20.0], [55.0])).overhead.groups["megatron"]
    assert found.fragmentation == pytest.approx(PRIOR["fragmentation"][0], abs=1e-3)
    assert (found.rows, found.scatter) == (0, 0.13)


def test_an_outcome_pulls_to_its_side_alone() -> None:
    """Counted 78 of 80 GB: a run bounds the overhead from above, a failure from below."""
    base = peaks([78.0] * 4, [40.0] * 4, [np.nan] * 4)
    shares = []
    for used in ("below", "above"):
        table = base.table.assign(used=used)
        found = fit_peaks(dataclasses.replace(base, table=table))
        shares.append(found.overhead.groups["fsdp"].fragmentation)
    assert shares[0] < PRIOR["fragmentation"][0] < shares[1]


def test_a_peak_that_fills_the_chip_is_only_an_outcome() -> None:
    row = {
        "family": "x", "outcome": "ran", "quality": "A", "accelerator": "H100", "tp": "1",
        "model": "llama3-8b", "n_accelerators": "8", "global_batch": "8", "recompute": "full",
        "micro_batch": "1", "seq_len": "2048", "zero": "3", "framework": "torchtitan",
    }  # fmt: skip
    sizes = ("40", "85.9", "", "40")
    rows = [{**row, "peak_memory_gb": size} for size in sizes]
    rows[3]["outcome"] = "oom"  # what was allocated when it failed is no peak
    assert read_peaks(pd.DataFrame(rows)).table["used"].tolist() == [
        "peak", "below", "below", "above",
    ]  # fmt: skip
    unknown = [{**rows[0], "micro_batch": ""}]
    assert read_peaks(pd.DataFrame(unknown)).table["used"].tolist() == [""]


def test_a_peak_of_the_allocator_lacks_the_reserve() -> None:
    """On 8 H100: 1.2 % of 80 GiB, 0.5 GB and one communicator of 0.7 GB."""
    row = {
        "family": "x", "outcome": "ran", "accelerator": "H100", "tp": "1", "dp": "8",
        "model": "llama3-8b", "n_accelerators": "8", "global_batch": "8", "recompute": "full",
        "micro_batch": "1", "seq_len": "2048", "zero": "3", "framework": "torchtitan",
        "peak_memory_gb": "40",
    }  # fmt: skip
    words = ("GiB, max reserved", "GiB allocated", "nvidia-smi", "")
    table = read_peaks(pd.DataFrame([{**row, "memory_measure": word} for word in words])).table
    outside = 0.012 * 80 * 2**30 + 0.5 * GB + 0.7 * GB
    assert table["unseen_bytes"].tolist() == pytest.approx([outside, outside, 0.0, 0.0])


def test_a_run_that_cannot_have_had_these_settings_is_not_fitted() -> None:
    row = {
        "family": "x", "outcome": "ran", "accelerator": "H100", "tp": "1", "model": "llama3-70b",
        "n_accelerators": "8", "global_batch": "8", "micro_batch": "1", "seq_len": "2048",
        "peak_memory_gb": "", "framework": "Megatron-LM",
    }  # fmt: skip
    found = read_peaks(pd.DataFrame([row, {**row, "tp": "8", "model": "llama3-8b"}]))
    assert found.counted[0] > 80 * 2**30 > found.counted[1]
    assert found.table["used"].tolist() == ["", "below"]


def test_the_shipped_overhead_is_the_result(own: FittedPeaks) -> None:
    shipped = memory_overhead().groups
    assert set(shipped) == set(own.overhead.groups)
    for name, found in own.overhead.groups.items():
        for part in ("fragmentation", "states", "scatter"):
            assert getattr(found, part) == pytest.approx(getattr(shipped[name], part), abs=0.03)


def test_left_out_sources_are_predicted_as_well(own: FittedPeaks) -> None:
    used = own.rows[own.rows["used"] == "peak"]
    assert len(used) > 100
    assert 0.95 < used["left_out_ratio"].median() < 1.05
    assert (used["left_out_ratio"].sub(1.0).abs() <= 0.2).mean() > 0.85


def test_probability_by_hand() -> None:
    """One scatter below the chip's memory: the normal distribution at 1."""
    needed = 80 * GB * np.exp([-0.1, 0.0, 0.2])
    found = fit_probability(needed, np.array(80 * GB), np.array(0.1))
    np.testing.assert_allclose(found, [0.841345, 0.5, 0.022750], atol=1e-6)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "mine.csv", tmp_path / "overhead.yaml"
    own_peaks().head(20).to_csv(table, index=False)
    assert main(["fit", "--memory", "--only", str(table), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"][-1]["ran"] == "20"
    assert found["overhead"]["groups"]["fsdp"]["rows"] > 5
    assert out.read_text().startswith("# Overhead of memory")


def test_rows_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The family of a user's rows is the name of the file."""
    table = own_peaks().head(12).drop(columns="family")
    table.loc[3, "model"] = "no such model"
    table.loc[3, ["params_b", "layers"]] = ""
    path, out = tmp_path / "mine.csv", tmp_path / "overhead.yaml"
    table.to_csv(path, index=False)
    assert main(["fit", "--memory", "--only", str(path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "rows of the tables that cannot be used: 1" in printed
    assert f"  {path}, row 5: model: unknown model 'no such model'" in printed


def test_what_a_fit_of_memory_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "mine.csv", tmp_path / "overhead.yaml"
    arguments = ["fit", "--memory", "--only", str(path), "--out", str(out)]
    own_peaks().head(2).assign(model="?", params_b="", layers="").to_csv(path, index=False)
    assert main(arguments) == 2
    assert "no row of the tables can be fitted: 2 problems" in capsys.readouterr().err
    own_peaks().head(2).drop(columns="outcome").to_csv(path, index=False)
    assert main(arguments) == 2
    assert "lacks the column outcome" in capsys.readouterr().err
    assert main([*arguments, "--report", "r", "--no-validation"]) == 2
    message = capsys.readouterr().err
    assert "--report: cannot be used with --memory" in message
    assert "--no-validation: cannot be used with --memory" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome": "crashed"}, "outcome: must be ran or oom, found 'crashed'"),
        ({"peak_memory_gb": "much"}, "peak_memory_gb: must be a positive number, found 'much'"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_peaks(own_peaks().head(2).assign(**changes))
    with pytest.raises(InputError, match="outcome: the table has no such column"):
        read_peaks(own_peaks().head(2).drop(columns="outcome"))
