"""Damaged results, calibrations and measurements: reported, or no number is another one."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from clustersim.calibration.measured_runs import read_table
from clustersim.calibration.measurements import load_measurements
from clustersim.calibration.microbenchmark_rows import file_notes
from clustersim.calibration.own_data import shipped_microbenchmarks
from clustersim.errors import InputError
from clustersim.microbenchmarks.schema import COLUMNS, row_checksum
from clustersim.notes import forget_notes
from clustersim.performance import default_calibration, load_calibration
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import replay
from tests.damages import DAMAGES

JOBS = pd.DataFrame(
    {
        "job_id": range(20),
        "submit_s": [10.0 * k for k in range(20)],
        "n_accelerators": [1 + k % 4 for k in range(20)],
        "duration_s": [30.5 + k for k in range(20)],
    }
)
Printed = pytest.CaptureFixture[str]


def damaged(path: Path, trials: int) -> Iterator[int]:
    """Damage a file, each time in another way, and restore it at the end."""
    original = path.read_bytes()
    try:
        for trial in range(trials):
            draw, data = random.Random(trial), bytearray(original)
            while data == original:
                draw.choice(DAMAGES)(draw, data)
            path.write_bytes(data)
            forget_notes()
            yield trial
    finally:
        path.write_bytes(original)


def count_reported(
    path: Path, trials: int, capsys: Printed, same: Callable[[], bool]
) -> tuple[int, int]:
    """Numbers of damages reported by an error and by a note; the others must change nothing."""
    refused = noted = 0
    for trial in damaged(path, trials):
        capsys.readouterr()
        try:
            unchanged = same()
        except InputError:
            refused += 1
            continue
        message = capsys.readouterr().err.startswith("Note: ")
        assert message or unchanged, f"trial {trial}: other numbers, and no message"
        noted += message
    return refused, noted


def try_calibrations(folder: Path, trials: int, capsys: Printed) -> tuple[int, int]:
    path, whole = folder / "mine.json", default_calibration().to_json()
    path.write_text(whole, encoding="utf-8")
    return count_reported(path, trials, capsys, lambda: load_calibration(path).to_json() == whole)


def try_results(folder: Path, trials: int, capsys: Printed) -> tuple[int, int]:
    whole = replay(JOBS, policy="easy", accelerators=6)
    out = whole.save(folder / "out")

    def same() -> bool:
        again = Result.load(out)
        tables = ("jobs", "allocation_ranges", "utilisation", "summary")
        return again.provenance == json.loads(json.dumps(dict(whole.provenance))) and all(
            getattr(again, name).equals(getattr(whole, name)) for name in tables
        )

    assert same()
    refused = noted = 0
    files = [out / "provenance.json", *sorted(out.glob("*.parquet"))]
    for path in files:
        found = count_reported(path, -(-trials // len(files)), capsys, same)
        refused, noted = refused + found[0], noted + found[1]
    return refused, noted


def try_measurements(folder: Path, trials: int) -> tuple[int, int]:
    """Rows without a report equal those of the file, except for their chip; some may be missing."""
    path = folder / "mine.csv"
    shipped_microbenchmarks()["h200"].head(60).to_csv(path, index=False, lineterminator="\n")

    def rows() -> list[tuple[str, ...]]:
        table = read_table(path).drop(columns="accelerator", errors="ignore").fillna("")
        return [tuple(map(str, row)) for row in table.to_numpy()]

    whole = set(rows())
    assert file_notes(read_table(path)) == []
    refused = noted = 0
    for trial in damaged(path, trials):
        try:
            found, notes = rows(), file_notes(read_table(path))
        except InputError:
            refused += 1
            continue
        assert notes or set(found) <= whole, f"trial {trial}: other numbers, and no message"
        noted += bool(notes)
    return refused, noted


def test_damages_are_reported_or_harmless(tmp_path: Path, capsys: Printed) -> None:
    """A file of 100 kB has few places, such as spaces, where a damage changes nothing."""
    assert sum(try_calibrations(tmp_path, 60, capsys)) > 50
    assert sum(try_results(tmp_path, 60, capsys)) > 45
    assert sum(try_measurements(tmp_path, 60)) > 45


@pytest.mark.slow
@pytest.mark.full
def test_damages_are_reported_or_harmless_800_times(tmp_path: Path, capsys: Printed) -> None:
    counts = (
        try_calibrations(tmp_path, 800, capsys),
        try_results(tmp_path, 800, capsys),
        try_measurements(tmp_path, 800),
    )
    with capsys.disabled():
        print("(refused, noted) of calibrations, results, measurements:", *counts)
    assert all(sum(count) > 600 for count in counts)


def test_checksums_that_are_gone_are_reported(tmp_path: Path, capsys: Printed) -> None:
    """Also where the field itself was damaged, and the numbers with it."""
    path = tmp_path / "mine.json"
    text = default_calibration().to_json()
    for changed in (
        text.replace('"checksum"', '"checksom"'),
        text.replace('"coverage_factor"', '"coverage_factor"'),
    ):
        edited = json.loads(changed)
        edited["coverage_factor"] *= 2
        path.write_text(json.dumps(edited))
        if "checksum" in edited:
            with pytest.raises(InputError, match=r"mine\.json: was changed or damaged"):
                load_calibration(path)
            continue
        assert load_calibration(path).coverage_factor == 2 * default_calibration().coverage_factor
        assert "mine.json has no checksum" in capsys.readouterr().err
    out = replay(JOBS, policy="easy", accelerators=6).save(tmp_path / "out")
    message = json.loads((out / "provenance.json").read_text())
    whole = json.dumps(message)
    (out / "provenance.json").write_text(whole.replace('"sha256"', '"sha257"'))
    Result.load(out)
    assert "provenance.json has no checksums" in capsys.readouterr().err
    (out / "provenance.json").write_text(whole.replace('"jobs.parquet"', '"jabs.parquet"'))
    with pytest.raises(InputError, match=r"jobs\.parquet: was changed or damaged"):
        Result.load(out)


def test_layout_and_order_are_no_damage(tmp_path: Path, capsys: Printed) -> None:
    path = tmp_path / "mine.json"
    content = json.loads(default_calibration().to_json())
    path.write_text(json.dumps(dict(reversed(content.items())), indent=4))
    assert load_calibration(path).to_json() == default_calibration().to_json()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", sorted(shipped_microbenchmarks()))
def test_shipped_rows_are_as_measured(name: str) -> None:
    table = shipped_microbenchmarks()[name]
    assert file_notes(table) == []
    assert [row_checksum(row) for row in table.to_dict("records")] == list(table["checksum"])


def test_edits_of_measurements_are_reported(tmp_path: Path, capsys: Printed) -> None:
    """The name of the chip may be changed, and rows taken out; a number is reported, and used."""
    path = tmp_path / "mine.csv"
    rows = shipped_microbenchmarks()["h200"].fillna("").to_dict("records")[:40]
    rows = [{**row, "accelerator": "H200-NVL"} for row in rows if row["kind"] != "softmax"]

    def load() -> tuple[float, str]:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*COLUMNS])
            writer.writeheader()
            writer.writerows(rows)
        forget_notes()
        measured = load_measurements([path], own=False)
        assert measured.micro is not None
        return float(measured.micro.seconds[2]), capsys.readouterr().err

    seconds, message = load()
    assert message == ""
    value = float(rows[2]["median_s"])
    rows[2]["median_s"] = f"{2 * value:.6g}"
    again, message = load()
    assert again == pytest.approx(2 * seconds, rel=1e-5)
    n = len(rows)
    assert message == (
        f"Note: {path}: 1 of {n} rows (row 4): median_s is not between low_s and high_s\n"
        f"Note: {path}: 1 of {n} rows (row 4): changed since the measurement (edited by hand, "
        "or damaged), but used as they are. Remove rows that you did not mean to change\n"
    )
    rows[2]["median_s"] = f"{value:.6g}"
    rows[5]["checksum"] = ""
    rows[6]["accelerator"] = "H200"
    message = load()[1]
    assert f"1 of {n} rows (row 7): no checksum (added by hand?)" in message
    assert "the device 'NVIDIA H200' has several chip names: H200-NVL, H200" in message
