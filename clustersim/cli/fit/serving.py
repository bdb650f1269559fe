"""`clustersim fit --serving`: fit the serving model to published throughput and latency."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim import text_table
from clustersim.console import repeat, write_json
from clustersim.units import counted, format_percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fit_serving_command"]

MOST_REASONS = 10
COLUMNS = ("rows", "sources", "fitted", "left_out", "bias", "covered")


def fit_serving_command(args: argparse.Namespace) -> int:
    """Fit the coefficients of the serving model, and print their errors by chip and phase."""
    # Many small products with several threads take ten times longer on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import pandas as pd

    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError
    from clustersim.inference.cross_validation import error_table, fit_serving
    from clustersim.inference.fit import own_table, read_measured
    from clustersim.outputs import reserved

    problems = [
        f"{name}: cannot be used with --serving"
        for name, used in (("--report", args.report is not None), ("--seed", args.seed != 0))
        if used
    ]
    if args.only and not args.measurements:
        problems.append("--only: needs a MEASUREMENTS.csv with your rows")
    if problems:
        raise InputError("fit", problems)
    tables = [] if args.only else [("serving.csv", own_table())]
    tables += [(path, _measured_table(path)) for path in args.measurements]
    lines = [f"{name}, row {row + 2}" for name, table in tables for row in range(len(table))]
    whole = pd.concat([table for _, table in tables], ignore_index=True).fillna("")
    measured = read_measured(whole, load_catalogue(*args.catalogue))
    wrong = [f"{lines[place]}: {reason}" for place, reason in measured.left_out.items()]
    if not len(measured.rows):
        raise InputError("no row of the tables can be fitted", wrong[:MOST_REASONS])
    with reserved(Path(args.out)):
        found = fit_serving(measured, validate=not args.no_validation)
        Path(args.out).write_text(found.calibration.to_json(), encoding="utf-8")
    errors = {
        "chip_and_phase": error_table(found.rows),
        "complete_rows": error_table(found.rows[found.rows["quality"] == "A"]),
        "source": error_table(found.rows, ("family",)),
    }
    for title, table in errors.items():
        if len(table):
            print(f"Errors by {title.replace('_', ' ')}\n{_text(table)}\n")
    if wrong:
        print(f"{counted(len(wrong), 'row')} not used:", *wrong, sep="\n  ")
    print(f"serving calibration: {args.out}")
    for line in wrong:
        repeat(line)
    write_json(
        {
            "facts": {**found.calibration.facts},
            "spread": found.calibration.spread.data(),
            "errors": {name: table.to_dict("records") for name, table in errors.items()},
            "unusable_rows": wrong,
            "files": [args.out],
        }
    )
    return 0


def _text(table: pd.DataFrame) -> str:
    shown = [name for name in table.columns if name not in COLUMNS]
    rows = [
        [
            *(row[name] for name in shown),
            *(str(row[name]) for name in COLUMNS[:2]),
            *(_percent(row[name]) for name in COLUMNS[2:]),
        ]
        for row in table.to_dict("records")
    ]
    return text_table.table(rows, [*shown, *(name.replace("_", " ") for name in COLUMNS)])


def _percent(value: Any) -> str:
    return "" if value != value else format_percent(float(value), 0)


def _measured_table(path: str) -> pd.DataFrame:
    """Read a user's table; the family of its rows is by default the name of the file."""
    from clustersim.errors import InputError
    from clustersim.estimation.table import read_csv_as_text

    table = read_csv_as_text(path)
    lacking = [name for name in ("chip", "measure", "value") if name not in table]
    if lacking:
        raise InputError(path, [f"lacks the column {name}" for name in lacking])
    usual = {"id": "", "family": Path(path).stem, "phase": "", "quality": "B"}
    return table.assign(**{name: text for name, text in usual.items() if name not in table})
