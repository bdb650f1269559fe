"""`clustersim fit`: fit the performance model to measured training runs."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim import interrupts
from clustersim.cli.fit.memory import fit_memory
from clustersim.cli.fit.serving import fit_serving_command
from clustersim.cli.options import add_catalogue, whole_number
from clustersim.cli.texts.fit_text import (
    error_rows,
    far_lines,
    left_out_lines,
    movers_of,
    summary_lines,
    unexplained_lines,
)
from clustersim.console import repeat, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clustersim.calibration import Calibrated, Measurements
    from clustersim.catalogue import Catalogue
    from clustersim.network.fit import LinkFit
    from clustersim.performance import Calibration

__all__ = ["add_parser", "run"]


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
        "--serving",
        action="store_true",
        help="fit the serving model to published throughput and latency instead; MEASUREMENTS.csv "
        "then has the columns of `clustersim serving --list-columns`, and value and, if known, "
        "family (the source) and quality (A or B)",
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
    from clustersim.catalogue import load_catalogue
    from clustersim.outputs import new_folder, reserved
    from clustersim.performance import default_calibration
    from clustersim.performance.calibration import MODEL
    from clustersim.source_code import this_code

    if args.memory and args.serving:
        from clustersim.errors import InputError

        raise InputError("fit", "--memory and --serving: give one of them")
    if args.memory:
        return fit_memory(args)
    if args.serving:
        return fit_serving_command(args)
    _check(args)
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
            _write_report(folder, calibrated, rows, steps, catalogue, own=not args.only)
        except KeyboardInterrupt:
            print(f"calibration: {out} (complete; its report {report} is not)", file=sys.stderr)
            raise
    moved = movers_of(calibrated, len(mine), only=args.only)
    wrong = [*left_out_lines(measured), *unexplained_lines(rows, mine), *far_lines(moved)]
    print("\n".join(summary_lines(calibrated, rows, steps, mine, moved, only=args.only)))
    print(f"calibration: {out}\nreport: {report / 'report.md'}, with figures and tables")
    for line in wrong:
        repeat(line)
    write_json(
        {
            "calibration": _facts(calibration),
            "measured_rows": len(rows),
            "unusable_rows": measured.left_out,
            "errors": error_rows(rows),
            "moved": [{"coefficient": name, "effect": e, "moved": m} for name, e, m in moved],
            "warnings": wrong,
            "files": [out, report / "report.md"],
        }
    )
    return 0


def _facts(calibration: Calibration) -> dict[str, Any]:
    """Return what a calibration says of itself, as plain data."""
    names = ("facts", "coverage_factor", "overdispersion")
    return {
        "scatter": dict(calibration.scatter.contributions),
        "spread_factor": calibration.scatter.spread_factor,
        "mixture_spread_factor": calibration.scatter.mixture_spread_factor,
        **{name: getattr(calibration, name) for name in names},
    }


def _check(args: argparse.Namespace) -> None:
    """Raise InputError if options contradict each other or are out of range."""
    from clustersim.errors import InputError

    problems = []
    if args.only and not args.measurements:
        problems.append("--only: needs a MEASUREMENTS.csv with your runs")
    if args.seed < 0:
        problems.append(f"--seed: must be 0 or more, found {args.seed}")
    if problems:
        raise InputError("fit", problems)


def _write_report(
    folder: Path,
    calibrated: Calibrated,
    rows: pd.DataFrame,
    steps: pd.DataFrame,
    catalogue: Catalogue,
    *,
    own: bool,
) -> None:
    """Write the report of a fit with its figures and tables."""
    from clustersim.calibration.report import report_text
    from clustersim.spreadsheets import plain_cells

    links = _write_figures(folder, calibrated, rows)
    _draw_chips(folder, calibrated, steps)
    text = report_text(calibrated, links, own=own, catalogue=catalogue)
    (folder / "report.md").write_text(text, encoding="utf-8")
    for name, frame in (("rows", rows), ("steps", steps)):
        if len(frame):
            path = folder / f"{name}.csv"
            plain_cells(frame).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


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
    from clustersim.calibration.measured_runs import read_table
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
