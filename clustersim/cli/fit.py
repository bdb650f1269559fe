"""`clustersim fit`: fit the performance model to measured training runs."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim import interrupts
from clustersim.cli.fit_memory import fit_memory
from clustersim.cli.options import add_catalogue, whole_number
from clustersim.console import repeat, write_json
from clustersim.text_table import table
from clustersim.units import format_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clustersim.calibration import Calibrated, Measurements
    from clustersim.network.fit import LinkFit

__all__ = ["add_parser", "run"]

MOST_REASONS = 10
UNEXPLAINED = 0.5
"""A user's run is reported if |log(predicted / measured)| is larger than this."""
IMPLAUSIBLE = 4.0
FAR = f"your rows need effects larger than {IMPLAUSIBLE:g} standard deviations; check the rows"
LEAST_MOVED = 0.05
"""Effects that moved by less than this, in standard deviations of the prior, are not reported."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fit",
        help="fit the performance model to measured training runs and microbenchmarks",
        description="Fit the coefficients of the performance model to measured training runs (the "
        "published runs in the package, and your own in addition or instead) and to "
        "microbenchmarks from `clustersim measure`, whose whole training steps then test the fit. "
        "Writes a calibration, and a report with its errors on left-out rows.",
        epilog="MEASUREMENTS.csv is a file from `clustersim measure`, or has one row per run:\n"
        "accelerator, n_accelerators, model (or layers, hidden, heads, ffn_hidden, vocab,\n"
        "seq_len), global_batch, tp, pp, ... and step_time_s or tokens_per_s_per_device.\n"
        "The same input gives the same file.\n"
        "example: clustersim fit my-chip.csv --no-validation --out my-chip.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENTS.csv")
    parser.add_argument("--out", required=True, metavar="CALIBRATION.json", help="new file")
    parser.add_argument("--only", action="store_true", help="do not use the published runs")
    parser.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="seed for choosing the left-out rows",
    )
    parser.add_argument(
        "--report", metavar="DIR", help="new folder for the report (default: next to the output)"
    )
    parser.add_argument(
        "--memory",
        action="store_true",
        help="fit the overhead of memory to published peaks instead; MEASUREMENTS.csv then has "
        "outcome (ran or oom), peak_memory_gb and, if known, memory_measure; --out is a YAML file",
    )
    parser.add_argument(
        "--no-validation", action="store_true", help="leave no rows out (takes a tenth of the time)"
    )
    add_catalogue(parser, "chips and models")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    # Many small products with several threads take ten times longer on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from clustersim.calibration import calibrate, load_measurements
    from clustersim.calibration.chip_tables import step_errors
    from clustersim.calibration.diagnostics import row_table
    from clustersim.calibration.report import report_text
    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError
    from clustersim.outputs import new_folder, reserved
    from clustersim.performance import default_calibration
    from clustersim.performance.calibration import MODEL
    from clustersim.source_code import this_code
    from clustersim.spreadsheets import plain_cells

    if args.memory:
        return fit_memory(args)
    problems = []
    if args.only and not args.measurements:
        problems.append("--only: needs a MEASUREMENTS.csv with your runs")
    if args.seed < 0:
        problems.append(f"--seed: must be 0 or more, found {args.seed}")
    if problems:
        raise InputError("fit", problems)
    catalogue = load_catalogue(*args.catalogue)
    measured = load_measurements(args.measurements, own=not args.only, catalogue=catalogue)
    out = Path(args.out)
    report = Path(args.report) if args.report else out.with_name(f"{out.stem}-report")
    with reserved(out), new_folder(report) as folder:
        begin = default_calibration() if args.measurements and not args.only else None
        calibrated = calibrate(
            measured, seed=args.seed, validate=not args.no_validation, begin=begin
        )
        with interrupts.held():
            calibration = calibrated.calibration
            if args.measurements:
                code = this_code().modules_hash(*MODEL)
                facts = {**calibration.facts, "code": code}
                calibration = dataclasses.replace(calibration, facts=facts)
            out.write_text(calibration.to_json(), encoding="utf-8")
        try:
            interrupts.check()
            mine = _row_names(args.measurements, measured)
            rows = row_table(calibrated, own=len(mine))
            steps = step_errors(calibrated)
            links = _write_figures(folder, calibrated, rows)
            _draw_chips(folder, calibrated, steps)
            text = report_text(calibrated, links, own=not args.only, catalogue=catalogue)
            (folder / "report.md").write_text(text, encoding="utf-8")
            for name, frame in (("rows", rows), ("steps", steps)):
                if len(frame):
                    path = folder / f"{name}.csv"
                    plain_cells(frame).to_csv(
                        path, index=False, float_format="%.6g", lineterminator="\n"
                    )
        except KeyboardInterrupt:
            print(f"calibration: {out} (complete; its report {report} is not)", file=sys.stderr)
            raise
    moved = _movers(calibrated, len(mine), only=args.only)
    wrong = [*_left_out(measured), *_unexplained(rows, mine), *_far(moved)]
    print("\n".join(_summary(calibrated, rows, steps, mine, moved, only=args.only)))
    print(f"calibration: {out}\nreport: {report / 'report.md'}, with figures and tables")
    for line in wrong:
        repeat(line)
    write_json(
        {
            "calibration": {
                "scatter": dict(calibration.scatter.contributions),
                "spread_factor": calibration.scatter.spread_factor,
                **{
                    name: getattr(calibration, name)
                    for name in ("facts", "coverage_factor", "overdispersion")
                },
            },
            "measured_rows": len(rows),
            "unusable_rows": measured.left_out,
            "errors": _error_rows(rows),
            "moved": [{"coefficient": name, "effect": e, "moved": m} for name, e, m in moved],
            "warnings": wrong,
            "files": [out, report / "report.md"],
        }
    )
    return 0


def _write_figures(folder: Path, calibrated: Calibrated, rows: pd.DataFrame) -> LinkFit:
    """Draw the fit and the fit of the collectives; return the fit of the collectives."""
    from clustersim.network.fit import fit_links, read_collectives
    from clustersim.plots.calibration import (
        draw_coefficients,
        draw_validation,
        plot_predictions,
    )
    from clustersim.plots.collectives import draw_collectives
    from clustersim.plots.style import new_figure, save_figure

    collectives = read_collectives()
    links = fit_links(collectives)
    if calibrated.across is not None:
        save_figure(draw_validation(rows), folder / "predictions", ("png",))
    elif len(rows):
        figure = new_figure()
        plot_predictions(rows, ax=figure.subplots())
        save_figure(figure, folder / "predictions", ("png",))
    save_figure(draw_coefficients(calibrated.calibration), folder / "coefficients", ("png",))
    save_figure(draw_collectives(collectives, links), folder / "collectives", ("png",))
    return links


def _draw_chips(folder: Path, calibrated: Calibrated, steps: pd.DataFrame) -> None:
    """Draw the microbenchmarks of each chip in the user's files."""
    from clustersim.plots.microbenchmarks import draw_chip
    from clustersim.plots.style import save_figure

    micro = calibrated.measured.micro
    if micro is None:
        return
    for chip in calibrated.measured.user_chips:
        figure = draw_chip(micro, calibrated.calibration, steps, chip)
        save_figure(figure, folder / f"chip-{chip}", ("png",))


def _row_names(paths: Sequence[str], measured: Measurements) -> list[str]:
    """Name each usable run of the user's tables, the last runs of `measured`, by file and line."""
    from clustersim.calibration.measurements import read_table
    from clustersim.calibration.microbenchmark_rows import is_microbenchmarks

    names = []
    for path in paths:
        table = read_table(path)
        if is_microbenchmarks(table):
            continue
        start = f"{path}, row "
        unused = {
            line[len(start) :].split(":")[0] for line in measured.left_out if line.startswith(start)
        }
        lines = (str(place + 2) for place in range(len(table)))
        names += [f"{start}{line}" for line in lines if line not in unused]
    return names


def _summary(
    calibrated: Calibrated,
    rows: pd.DataFrame,
    steps: pd.DataFrame,
    mine: list[str],
    moved: Sequence[tuple[str, str, float]],
    *,
    only: bool,
) -> list[str]:
    from clustersim.calibration.report import count_text, few_text, microbenchmark_text

    chips = sorted(set(rows["chip"]))
    lines = [
        *([f"fitted to {count_text(rows)}: {', '.join(chips)}"] if chips else []),
        *(f"fitted to {line}" for line in microbenchmark_text(calibrated)),
        *few_text(calibrated),
        *getattr(calibrated.measured, "notes", ()),
        *_left_out(calibrated.measured, always=True),
        *_unexplained(rows, mine),
    ]
    if len(rows):
        lines += _errors(calibrated, rows)
    lines += _chips(calibrated, steps)
    return [*lines, *_moved_text(calibrated, moved, len(mine), only=only)]


def _left_out(measured: Measurements, *, always: bool = False) -> list[str]:
    """Return the rows that cannot be used, with the reasons; with `always`, also that none is."""
    left_out = measured.left_out
    if not (left_out or always):
        return []
    lines = [
        f"rows of the tables that cannot be used: {len(left_out)}",
        *(f"  {line}" for line in left_out[:MOST_REASONS]),
    ]
    if len(left_out) > MOST_REASONS:
        lines.append(f"  and {len(left_out) - MOST_REASONS} more, see the report")
    return lines


def _chips(calibrated: Calibrated, steps: pd.DataFrame) -> list[str]:
    """Return the efficiency of the user's chips, and the errors of their whole steps."""
    from clustersim.calibration.chip_report import (
        coefficient_cells,
        doubt_text,
        step_text,
        user_stacks,
    )
    from clustersim.calibration.repeats import repeat_text, repeated_cases

    if not calibrated.measured.user_chips and calibrated.measured.steps is None:
        return []
    headers, cells = coefficient_cells(calibrated)
    repeated = repeat_text(repeated_cases(calibrated.measured))
    chips, stacks = calibrated.measured.user_chips, user_stacks(calibrated)
    heading = f"efficiency of {', '.join(chips)} with {', '.join(stacks)}, with 90 % intervals:"
    reached = [heading, table(cells, headers)] if cells else []
    return [*repeated, *reached, *doubt_text(calibrated), *step_text(steps)]


def _unexplained(rows: pd.DataFrame, mine: list[str]) -> list[str]:
    """Return a warning about the user's rows that even the fit to them does not explain."""
    own = rows[~rows["published"]].assign(row=mine)
    ratio = 1.0 + own["fitted_error"]
    least = math.exp(-UNEXPLAINED)
    far = own[(ratio < least) | (ratio > 1.0 / least)]
    lines = [
        f"  {row['row']}: measured {row['measured_s']:.4g} s, "
        f"predicted {row['measured_s'] * (1.0 + row['fitted_error']):.4g} s"
        for row in far.to_dict("records")
    ]
    if not lines:
        return []
    if len(lines) > MOST_REASONS:
        lines = [*lines[:MOST_REASONS], f"  and {len(lines) - MOST_REASONS} more, see rows.csv"]
    return [f"Warning: the fit cannot explain {len(far)} of your rows; check them:", *lines]


def _errors(calibrated: Calibrated, rows: pd.DataFrame) -> list[str]:
    """Return the errors and coverage of left-out rows, or the reason why no rows were left out."""
    from clustersim.calibration.coverage import coverage_by_slice

    if "within_error" not in rows:
        return [
            f"no rows were left out, as {calibrated.why_no_rows()}: errors are unknown, and the "
            "intervals are as wide as in the shipped calibration",
        ]
    cells = [
        [
            *(str(row[name]) for name in ("left_out", "of", "rows")),
            *(format_percent(row[f"{name}_error"]) for name in ("median", "mean", "p90")),
            format_percent(row["covered"], 0),
        ]
        for row in _error_rows(rows)
    ]
    headers = ["left out", "of", "rows", "median error", "mean", "90th percentile"]
    lines = [table(cells, [*headers, "in the 90 % interval"])]
    if "across_error" not in rows:
        return [*lines, "publishers were not left out, as there is only one"]
    found = coverage_by_slice(rows, "across")
    wrong = found[~found["holds"]].to_dict("records")
    named = [
        f"{row['slice']} ({format_percent(row['covered'], 0)} of {row['rows']})"
        for row in wrong[:MOST_REASONS]
    ]
    more = f" and {len(wrong) - len(named)} more" if len(wrong) > len(named) else ""
    lines.append(
        "publishers left out: the coverage does not agree with 90 % for "
        + (f"{', '.join(named)}{more}" if named else "no slice")
    )
    return lines


def _error_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the relative errors and the coverage of left-out rows and publishers."""
    if "complete" not in rows:
        return []
    sets = {
        "all": rows["complete"] | True,
        "dense": rows["model_kind"] == "dense",
        "mixtures of experts": rows["model_kind"] == "mixture",
        "quality A, complete": rows["complete"],
    }
    found = []
    for name, words in (("within", "rows"), ("across", "publishers")):
        if f"{name}_error" not in rows:
            continue
        for label, chosen in sets.items():
            size = rows.loc[chosen, f"{name}_error"].abs()
            if len(size):
                row = {"left_out": words, "of": label, "rows": len(size)}
                errors = {
                    "median_error": size.median(),
                    "mean_error": size.mean(),
                    "p90_error": size.quantile(0.9),
                }
                covered = rows.loc[chosen, f"{name}_covered"].mean()
                found.append({**row, **errors, "covered": covered})
    return found


def _user_labels(measured: Measurements) -> list[tuple[str, ...]]:
    """Return the labels of the microbenchmarks of the user's chips."""
    if measured.micro is None:
        return []
    pairs = zip(measured.micro.labels, measured.of_user_chips, strict=True)
    return [labels for labels, mine in pairs if mine]


def _movers(calibrated: Calibrated, count: int, *, only: bool) -> list[tuple[str, str, float]]:
    """Return the effects of the user's groups that moved most: coefficient, effect, and how far."""
    from clustersim.calibration.diagnostics import movers
    from clustersim.performance import LEVELS, default_calibration

    measured = calibrated.measured
    labels = [*(measured.rows.labels[-count:] if count else []), *_user_labels(measured)]
    if not labels:
        return []
    among = {pair for row in labels for pair in zip(LEVELS, row, strict=True)}
    reference = None if only else default_calibration()
    return [
        (name, " ".join(part for part in (level, label) if part), size)
        for (name, level, label), size in movers(calibrated.calibration, reference, among=among)
        if abs(size) >= LEAST_MOVED
    ]


def _far(moved: Sequence[tuple[str, str, float]]) -> list[str]:
    """Return a warning if an effect moved implausibly far."""
    far = any(abs(size) > IMPLAUSIBLE for _, _, size in moved)
    return [f"Warning: {FAR}"] if far else []


def _moved_text(
    calibrated: Calibrated, moved: Sequence[tuple[str, str, float]], count: int, *, only: bool
) -> list[str]:
    """Return the effects that moved most as a table; nothing without rows of the user."""
    if not (count or _user_labels(calibrated.measured)):
        return []
    cells = [[name, effect, f"{size:+.1f}"] for name, effect, size in moved]
    since = "prior (the published runs are left out)" if only else "shipped calibration"
    if not cells:
        return [f"your rows moved no effect from the {since}"]
    return [
        *_far(moved),
        f"effects moved most by your rows from the {since}, in standard deviations of the prior:",
        table(cells, ["coefficient", "effect", "moved"]),
    ]
