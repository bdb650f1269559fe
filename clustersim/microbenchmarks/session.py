"""Measure cases one after the other, and write each result as soon as it is known."""

from __future__ import annotations

import csv
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from clustersim.microbenchmarks.case import Case
from clustersim.microbenchmarks.device import Device
from clustersim.microbenchmarks.operations import OPERATIONS
from clustersim.microbenchmarks.schema import CHECKSUM, COLUMNS, row_checksum
from clustersim.microbenchmarks.timing import Pace, TooSlowError, time_work
from clustersim.microbenchmarks.training import TRAINING
from clustersim.outputs import reserved
from clustersim.units import format_bytes, format_duration

__all__ = ["Measured", "MeasurementFile", "chosen", "measure", "new_measurement_file"]

Measured = Mapping[str, str | float | int]

MAKERS = {**OPERATIONS, **TRAINING}


class MeasurementFile:
    """Writer of rows with :data:`clustersim.microbenchmarks.COLUMNS`; each row is flushed.

    Each row has a checksum, so that `clustersim fit` can detect rows that were changed later.
    """

    def __init__(self, file: TextIO, environment: Mapping[str, str]) -> None:
        self._file = file
        self._environment = environment
        self._writer = csv.DictWriter(file, tuple(COLUMNS), restval="", lineterminator="\n")
        self.rows = 0

    def write(self, row: Measured) -> None:
        """Write one row, with its checksum."""
        texts = {
            column: format(value, ".6g") if isinstance(value, float) else str(value)
            for column, value in row.items()
        }
        whole = {**texts, **self._environment}
        if not self.rows:
            self._writer.writeheader()
        self._writer.writerow({**whole, CHECKSUM: row_checksum(whole)})
        self._file.flush()
        self.rows += 1


@contextmanager
def new_measurement_file(
    path: str | Path, environment: Mapping[str, str]
) -> Iterator[MeasurementFile]:
    """Create a file of measurements. Complete rows are kept on failure; an empty file is removed.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    """
    with reserved(path), Path(path).open("w", encoding="utf-8", newline="") as file:
        yield MeasurementFile(file, environment)


def measure(
    cases: Sequence[Case],
    device: Device,
    pace: Pace,
    report: Callable[[Case, Measured], None],
    starts: Callable[[Case], None] = lambda case: None,
) -> None:
    """Measure cases in the given order.

    A case that the device cannot run, or for which it has too little memory, is reported as a row
    with its fault; the measurement then continues with the next case.

    Parameters
    ----------
    cases : sequence of Case
    device : Device
    pace : Pace
    report : callable
        Called with each case and its row as soon as the row is known.
    starts : callable
        Called with each case before it is measured.
    """
    fastest = 0.0
    for case in cases:
        starts(case)
        row = _row(case, device, pace, fastest)
        if case.flops and "median_s" in row:
            fastest = max(fastest, case.flops / float(row["median_s"]))
        report(case, row)


def _row(case: Case, device: Device, pace: Pace, fastest: float) -> Measured:
    what: dict[str, str | float | int] = {"kind": case.kind, **case.shape}
    if case.flops:
        what["flops"] = case.flops
    if case.least_bytes:
        what["bytes"] = case.least_bytes
    free = device.free_bytes
    if case.held_bytes > free:
        needed, there = map(format_bytes, (case.held_bytes, free))
        fault = f"out of memory: needs at least {needed}; {there} are free"
        return {**what, "fault": fault}
    if fastest and (expected := case.flops / fastest) > pace.longest_s:
        longest = format_duration(pace.longest_s)
        fault = f"too long: one call would take {format_duration(expected)}; the limit is {longest}"
        return {**what, "fault": fault}
    try:
        return what | _measured(case, device, pace)
    except TooSlowError as error:
        return {**what, "fault": f"too long: {error}"}
    except device.torch.OutOfMemoryError:
        return {**what, "fault": f"out of memory: {format_bytes(free)} were free"}
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return {**what, "fault": f"cannot be done: {first}"}
    finally:
        gc.collect()
        device.release()


def _measured(case: Case, device: Device, pace: Pace) -> dict[str, str | float | int]:
    work = MAKERS[case.kind](case, device)
    timing = time_work(work, device, pace)
    peak = device.peak_bytes
    return {**timing.columns(), **({} if peak is None else {"peak_memory_bytes": peak})}


def chosen(cases: Iterable[Case], kinds: Sequence[str]) -> list[Case]:
    """Return the cases of some kinds, or all cases if no kind is given."""
    return [case for case in cases if not kinds or case.kind in kinds]
