"""`clustersim fit --memory`: fit the overhead of memory to published peaks and outcomes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim import text_table
from clustersim.console import repeat, write_json
from clustersim.units import format_count

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fit_memory"]

MOST_REASONS = 10


def fit_memory(args: argparse.Namespace) -> int:
    """Fit the overhead of memory to published peaks and outcomes, and print its errors."""
    # Many small products with several threads take ten times longer on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import pandas as pd

    from clustersim.calibration import fit_peaks, own_peaks, read_peaks
    from clustersim.calibration.memory_peaks import error_rows, own_outcomes
    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError
    from clustersim.outputs import reserved
    from clustersim.performance.memory_overhead import overhead_text

    given = {
        "--report": args.report is not None,
        "--no-validation": args.no_validation,
        "--seed": args.seed != 0,
    }
    problems = [f"{name}: cannot be used with --memory" for name, used in given.items() if used]
    if args.only and not args.measurements:
        problems.append("--only: needs a MEASUREMENTS.csv with your runs")
    if problems:
        raise InputError("fit", problems)
    catalogue = load_catalogue(*args.catalogue)
    tables = [] if args.only else [("memory.csv", own_peaks()), ("training.csv", own_outcomes())]
    tables += [(path, _peak_table(path)) for path in args.measurements]
    lines = [f"{name}, row {row + 2}" for name, table in tables for row in range(len(table))]
    whole = pd.concat([table for _, table in tables], ignore_index=True).fillna("")
    peaks = read_peaks(whole, catalogue)
    places = peaks.unread.index.to_list()
    wrong = [f"{lines[row]}: {reason}" for row, reason in zip(places, peaks.unread, strict=True)]
    if not (peaks.table["used"] != "").any():
        reasons = wrong[:MOST_REASONS] or "no row has a plan and a peak or an outcome"
        raise InputError("no row of the tables can be fitted", reasons)
    with reserved(Path(args.out)):
        found = fit_peaks(peaks)
        Path(args.out).write_text(overhead_text(found.overhead), encoding="utf-8")
    errors = error_rows(found)
    print(text_table.table([list(row.values()) for row in errors], list(errors[0])))
    unplanned = len(whole) - len(peaks.table) - len(wrong)
    if unplanned:
        print(f"rows without a plan, which are not used: {format_count(unplanned)}")
    if wrong:
        print(f"rows of the tables that cannot be used: {format_count(len(wrong))}")
    print("\n".join([*(f"  {line}" for line in wrong), f"memory overhead: {args.out}"]))
    for line in wrong:
        repeat(line)
    write_json(
        {
            "overhead": found.overhead.model_dump(),
            "errors": errors,
            "unusable_rows": len(wrong),
            "rows_without_plan": unplanned,
            "files": [args.out],
        }
    )
    return 0


def _peak_table(path: str) -> pd.DataFrame:
    """Read a user's table of peaks; the family of its rows is by default the name of the file."""
    from clustersim.errors import InputError
    from clustersim.estimation.table import read_csv_as_text

    table = read_csv_as_text(path)
    lacking = [name for name in ("outcome", "peak_memory_gb") if name not in table]
    if lacking:
        raise InputError(path, [f"lacks the column {name}" for name in lacking])
    return table if "family" in table else table.assign(family=Path(path).stem)
