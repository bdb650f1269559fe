"""Traces of Gavel, whose jobs have steps instead of run times.

Format: ``utils.py`` (``parse_trace``) of https://github.com/stanford-futuredata/gavel. The run time
of a job is its steps over its throughput, which is in a file of its own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.errors import InputError
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_gavel", "read_gavel"]

_CHIP = "v100"
"""The type of GPU to whose run times Gavel's own traces refer."""
Rates = dict[tuple[str, int], float]


def is_gavel(content: Content) -> bool:
    """Return whether the file is a trace of Gavel."""
    cells = content.head[0].split("\t")
    return 6 <= len(cells) <= 11 and cells[1].startswith("python") and cells[-1].strip() != ""


def read_gavel(content: Content) -> Records:
    """Read a trace of Gavel with the throughputs that lie in the same folder.

    Raises
    ------
    InputError
        If there are none: the trace tells no run times.
    """
    rates, source = _rates_beside(content.path)
    if not rates:
        raise InputError(
            content.path,
            "is a trace of Gavel, which tells the steps of a job but not its run time: that "
            "depends on Gavel's throughputs; put simulation_throughputs.json into the same "
            "folder, or write a CSV with job_id, submit_s, n_accelerators and duration_s = steps / "
            "throughput",
        )
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(content.lines, 1):
        if line.strip():
            row = _row(line.split("\t"), rates)
            rows.append({"line": number, "row": f"line {number}", **row})
    kept = [row for row in rows if "reason" not in row]
    for place, row in enumerate(kept):
        row["job_id"] = str(place)
    note = f"run times are steps over the throughput on a {_CHIP.upper()} in {source}"
    return records_of(rows, "gavel", [note], advice=f"{source} has no throughput of these jobs")


def _row(cells: list[str], rates: Rates) -> dict[str, Any]:
    """Return the record of one line: in older traces, the arrival stands before the size."""
    try:
        if len(cells) == 6:
            steps, arrival, size = int(cells[3]), float(cells[4]), int(cells[5])
        else:
            steps, size, arrival = int(cells[5]), int(cells[6]), float(cells[-1])
    except (ValueError, IndexError):
        return {"reason": "malformed"}
    rate = rates.get((cells[0], size))
    return {
        "submit": arrival,
        "n": size,
        "run_s": round(steps / rate, 6) if rate else None,
        "state": "Completed",
    }


def _rates_beside(trace: Path) -> tuple[Rates, str]:
    """Return steps a second by type and size of jobs, and the name of their file."""
    for path in sorted(trace.parent.glob("*throughputs*")):
        if path.suffix == ".json":
            try:
                rates = _of_json(json.loads(path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise InputError(path, f"is not JSON: {error}") from None
        elif path.suffix == ".csv":
            rates = _of_csv(path)
        else:
            continue
        if rates:
            return rates, path.name
    return {}, ""


def _of_json(document: Any) -> Rates:
    """Return the throughputs of jobs that run alone, in ``simulation_throughputs.json``."""
    rates: Rates = {}
    chips = document if isinstance(document, dict) else {}
    for job, others in (chips.get(_CHIP) or {}).items():
        named = re.fullmatch(r"\('(.*)', (\d+)\)", job)
        alone = others.get("null") if isinstance(others, dict) else None
        if named and isinstance(alone, int | float) and alone > 0:
            rates[named[1], int(named[2])] = float(alone)
    return rates


def _of_csv(path: Path) -> Rates:
    """Return the throughputs in a table with ``job_type``, ``scale_factor`` and a column a chip."""
    table = pd.read_csv(path)
    column = f"{_CHIP}_steps_per_s"
    if not {"job_type", "scale_factor", column} <= set(table):
        return {}
    return {
        (str(job), int(size)): float(rate)
        for job, size, rate in table[["job_type", "scale_factor", column]].itertuples(index=False)
        if rate > 0
    }
