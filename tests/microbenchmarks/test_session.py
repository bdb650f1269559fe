"""A session goes on after a fault, and keeps what it has when it is stopped."""

from __future__ import annotations

import csv

import pytest

torch = pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")

from clustersim.errors import InputError  # noqa: E402
from clustersim.microbenchmarks import COLUMNS, session  # noqa: E402
from clustersim.microbenchmarks.case import Case, Work  # noqa: E402
from clustersim.microbenchmarks.device import Device  # noqa: E402
from clustersim.microbenchmarks.operations import matmul_case  # noqa: E402
from clustersim.microbenchmarks.session import measure, new_measurement_file  # noqa: E402
from clustersim.microbenchmarks.timing import Pace  # noqa: E402

PACE = Pace(warm_s=0.0, repetition_s=0.001, total_s=0.003, longest_s=0.5)
ENVIRONMENT = {"accelerator": "mine", "framework": "PyTorch eager 2.13.0"}


def raising(error):
    def call():
        raise error

    return lambda case, device: Work((call,))


@pytest.fixture
def rows():
    return []


def run(cases, rows, pace=PACE):
    measure(cases, Device("cpu"), pace, lambda case, row: rows.append(row))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (torch.OutOfMemoryError("no memory"), "out of memory: "),
        (RuntimeError("no such kernel\nat line 3"), "cannot be done: no such kernel"),
        (NotImplementedError(), "cannot be done: NotImplementedError"),
    ],
)
def test_a_fault_is_a_row_and_the_next_case_goes_on(monkeypatch, rows, error, fault):
    monkeypatch.setitem(session.MAKERS, "copy", raising(error))
    run([Case("copy", {"elements": 4}), matmul_case(8, 8, 8)], rows)
    assert rows[0]["fault"].startswith(fault)
    assert "\n" not in rows[0]["fault"]
    assert "median_s" not in rows[0]
    assert rows[1]["median_s"] > 0
    assert "fault" not in rows[1]


def test_what_cannot_fit_is_not_tried(monkeypatch, rows):
    monkeypatch.setitem(session.MAKERS, "copy", raising(AssertionError("was tried")))
    run([Case("copy", {"elements": 4}, held_bytes=1e15)], rows)
    assert rows[0]["fault"].startswith("out of memory: needs at least 1 PB; ")


def test_what_would_take_too_long_is_not_tried(rows):
    small = matmul_case(64, 64, 64)
    large = Case("matmul", small.shape, flops=1e18)
    run([small, large], rows)
    assert rows[1]["fault"].startswith("too long: one call would take ")


def test_a_row_says_what_ran_and_how_long(rows):
    run([matmul_case(32, 16, 8, layout="NT")], rows)
    row = rows[0]
    assert row["kind"] == "matmul"
    assert (row["m"], row["n"], row["k"], row["layout"]) == (32, 16, 8, "NT")
    assert row["flops"] == 2 * 32 * 16 * 8
    assert 0 < row["low_s"] <= row["median_s"] <= row["high_s"]
    assert set(row) <= set(COLUMNS)


def test_each_row_is_on_the_disk_at_once(tmp_path):
    path = tmp_path / "mine.csv"
    with new_measurement_file(path, ENVIRONMENT) as file:
        file.write({"kind": "launch", "median_s": 1.23456789e-6})
        (row,) = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert row["median_s"] == "1.23457e-06"
    assert row["accelerator"] == "mine"
    assert list(row) == list(COLUMNS)


def test_a_file_without_a_row_does_not_stay(tmp_path):
    with new_measurement_file(tmp_path / "mine.csv", ENVIRONMENT):
        assert (tmp_path / "mine.csv").exists()
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.csv").write_text("old")
    with (
        pytest.raises(InputError, match="exists already"),
        new_measurement_file(tmp_path / "mine.csv", ENVIRONMENT),
    ):
        pass
    with (
        pytest.raises(InputError, match="cannot be written"),
        new_measurement_file(tmp_path / "no" / "mine.csv", ENVIRONMENT),
    ):
        pass
    assert (tmp_path / "mine.csv").read_text() == "old"
