"""Collectives among processes: a process that fails is a fault of the cases that are left."""

from __future__ import annotations

import signal

import pytest

pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")

from clustersim.microbenchmarks.case import Case
from clustersim.microbenchmarks.collectives import measure_collectives
from clustersim.microbenchmarks.device import Device
from clustersim.microbenchmarks.timing import Pace

PACE = Pace(warm_s=0.0, repetition_s=0.001, total_s=0.003)


@pytest.mark.slow
def test_a_process_that_fails_is_a_fault_of_what_is_left():
    good = Case("all_reduce", {"size_bytes": 4096, "ranks": 2}, least_bytes=4096)
    bad = Case("all_gather", {"size_bytes": -2, "ranks": 2}, least_bytes=2)
    rows = []
    before = signal.getsignal(signal.SIGINT)
    measure_collectives(Device("cpu"), [good, bad, good], PACE, lambda case, row: rows.append(row))
    assert [row["kind"] for row in rows] == ["all_reduce", "all_gather", "all_reduce"]
    assert rows[0]["median_s"] > 0
    assert rows[0]["bytes"] == 4096
    assert "negative dimension" in rows[1]["fault"]
    assert rows[2]["fault"] == rows[1]["fault"]
    assert signal.getsignal(signal.SIGINT) is before
