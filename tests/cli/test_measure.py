"""`clustersim measure` on a CPU, and `clustersim fit` of what it wrote."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from clustersim.calibration.microbenchmarks import DEPENDS
from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.microbenchmarks import COLUMNS, KINDS
from clustersim.microbenchmarks.collectives import COLLECTIVES
from clustersim.performance import labels_of, load_calibration
from tests.signals import default_signals

CHIP = """
accelerators:
  TestCPU:
    vendor: ours
    family: other
    year: 2026
    source: a test
    peak_flops:
      bf16: {value: 3 TFLOP/s, source: a test}
      fp8: {value: 3 TFLOP/s, source: a test}
    hbm_type: HBM2E
    hbm_stacks: 1
    hbm_capacity: {value: 16 GB, source: a test}
    hbm_bandwidth: {value: 40 GB/s, source: a test}
    scaleup_shape: switch
    scaleup_bandwidth: {value: 10 GB/s, source: a test}
    nic_bandwidth: {value: 10 Gb/s, source: a test}
    chips_per_node: 1
    power: {value: 100 W, source: a test}
"""


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refused(capsys, *arguments):
    code = main(["measure", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("clustersim: error: ")
    return captured.err


def capsys_error(capsys, *arguments):
    """Error after a note on a chip that the catalogue does not have."""
    assert main(["measure", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_options_that_cannot_be(capsys, tmp_path):
    out = tmp_path / "mine.csv"
    error = refused(capsys, "--out", out, "--kinds", "matmull", "--device", "gpu")
    assert "--kinds: unknown kind 'matmull'; did you mean 'matmul'?" in error
    assert "--device: must be one of cuda, npu, cpu, found 'gpu'" in error
    assert not out.exists()


def test_collectives_need_devices(capsys, tmp_path):
    pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")
    arguments = ("--device", "cpu", "--kinds", "all_reduce", "--out", tmp_path / "mine.csv")
    error = capsys_error(capsys, *arguments)
    assert "--kinds: all_reduce: needs two devices or more, found 1 (on a CPU: --ranks 2)" in error
    assert not list(tmp_path.iterdir())


def test_without_pytorch(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    error = refused(capsys, "--out", tmp_path / "mine.csv")
    assert "needs PyTorch 2.6 or newer for the device: pip install torch" in error
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """All kinds, the quick cases, on this machine."""
    pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")
    folder = tmp_path_factory.mktemp("measured")
    (folder / "chip.yaml").write_text(CHIP)
    arguments = ("--device", "cpu", "--accelerator", "TestCPU", "--ranks", "2")
    catalogue = ("--catalogue", str(folder / "chip.yaml"))
    out = folder / "mine.csv"
    gc.freeze()  # each case collects garbage, which is slow with all that the tests have imported
    with redirect_stdout(io.StringIO()) as printed:
        assert (
            main(["measure", "--quick", *arguments, *catalogue, "--out", str(out), "--json"]) == 0
        )
    gc.unfreeze()
    out.with_suffix(".json").write_text(printed.getvalue())
    return out


@pytest.mark.slow
@pytest.mark.xdist_group("measured")
def test_a_file_of_every_kind(measured):
    rows = read(measured)
    assert list(rows[0]) == list(COLUMNS)
    assert {row["kind"] for row in rows} == set(KINDS)
    timed = [row for row in rows if not row["fault"]]
    assert all(row["precision"] == "fp8" for row in rows if row["fault"])
    for row in timed:
        assert 0 < float(row["low_s"]) <= float(row["median_s"]) <= float(row["high_s"]), row
        assert int(row["repetitions"]) >= 3
    environment = {(row["accelerator"], row["framework"], row["measured_on"]) for row in rows}
    ((chip, framework, day),) = environment
    assert chip == "TestCPU"
    assert framework.startswith("PyTorch eager 2.")
    assert pd.Timestamp(day) > pd.Timestamp("2026-01-01")


@pytest.mark.slow
@pytest.mark.xdist_group("measured")
def test_the_json_has_the_rows_of_the_file(measured):
    rows, found = read(measured), json.loads(measured.with_suffix(".json").read_text())
    assert found["accelerator"] == "TestCPU"
    assert found["files"] == [str(measured)]
    assert [row["kind"] for row in found["measurements"]] == [row["kind"] for row in rows]
    for row, said in zip(rows, found["measurements"], strict=True):
        assert set(said) <= set(COLUMNS)
        if not row["fault"]:
            assert said["median_s"] == pytest.approx(float(row["median_s"]), rel=1e-4)


@pytest.mark.slow
@pytest.mark.xdist_group("measured")
def test_more_work_takes_longer(measured):
    """Orders that no busy machine turns."""
    rows = [row for row in read(measured) if not row["fault"]]

    def seconds(kind, **columns):
        (found,) = [
            float(row["median_s"])
            for row in rows
            if row["kind"] == kind and all(row[name] == str(v) for name, v in columns.items())
        ]
        return found

    products = {"precision": "bf16", "layout": "TN", "m": 512, "n": 512, "k": 512}
    assert seconds("matmul", **products) > 2 * seconds(
        "matmul", **products | dict.fromkeys("mnk", 128)
    )
    gpt = {"mlp_type": "gelu", "recompute": "none"}
    assert seconds("layer", direction="forward+backward", **gpt) > seconds(
        "layer", direction="forward", **gpt
    )


@pytest.mark.slow
@pytest.mark.xdist_group("measured")
def test_collectives_among_processes(measured):
    rows = [row for row in read(measured) if row["kind"] in COLLECTIVES]
    assert len(rows) == 2 * len(COLLECTIVES)
    assert {row["ranks"] for row in rows} == {"2"}


@pytest.mark.slow
@pytest.mark.xdist_group("measured")
def test_a_fit_to_it(measured, capsys, tmp_path):
    """The chain from the desk to a calibration, on the chip's microbenchmarks alone."""
    out = tmp_path / "mine.json"
    catalogue = ("--catalogue", str(measured.with_name("chip.yaml")))
    assert main(["fit", str(measured), "--only", "--out", str(out), *catalogue]) == 0
    printed = capsys.readouterr().out
    count = sum(not row["fault"] and row["kind"] in DEPENDS for row in read(measured))
    assert f"fitted to {count} microbenchmarks: {count} from {measured}" in printed
    assert "Whole training steps, which are not used in the fit: 4, median error" in printed
    draw = load_calibration(out).mean_draw()
    chip = load_catalogue(measured.with_name("chip.yaml")).accelerator("TestCPU")
    found = draw.coefficients([labels_of(chip, "PyTorch eager")])
    assert 0.01 < found.matmul_efficiency[0] < 1.0
    steps = pd.read_csv(tmp_path / "mine-report" / "steps.csv")
    assert len(steps) == 4
    assert (tmp_path / "mine-report" / "chip-TestCPU.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_keeps_what_is_measured(tmp_path):
    pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")
    out = tmp_path / "mine.csv"
    command = [sys.executable, "-m", "clustersim.cli.main", "measure", "--quick", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background makes them ignore interrupts.
        preexec_fn=default_signals,
    )
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and len(out.read_text().splitlines()) > 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, message = process.communicate(timeout=60)
    assert process.returncode == 130
    rows = read(out)
    assert len(rows) >= 3
    assert f"interrupted: {len(rows)} of " in message
    assert "Traceback" not in message
    assert f"measurements: {out}" in printed
