"""How accurate are step times for runs, and for sources, that the fit has not seen?

Leaves rows and whole families out of the fit and predicts them. Prints the errors next to the aims
of the project and the errors of peers, and draws predicted against measured step times.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import pandas as pd

from clustersim.calibration import Calibrated, Errors, calibrate, load_measurements
from clustersim.calibration.calibrate import FOLDS
from clustersim.calibration.coverage import BY_CONSTRUCTION, coverage_text
from clustersim.calibration.diagnostics import row_table
from clustersim.calibration.peers import peer_errors, worse_than_peers
from clustersim.outputs import new_folder
from clustersim.plots.calibration import draw_validation
from clustersim.plots.style import save_figure
from clustersim.report import unused_folder
from clustersim.units import format_percent

QUICK_FAMILIES = ("bloom", "korth22", "mlperf-gpt3", "nemo2407", "sc21t1", "sc21t2")
ASKED = {
    "within": (("median", 0.04), ("mean", 0.06), ("p90", 0.14)),
    "across": (("median", 0.10),),
}
WORDS = {"within": f"rows left out ({FOLDS} folds within families)", "across": "families left out"}


def error_lines(rows: pd.DataFrame, *, judge: bool = True) -> list[str]:
    """Return errors of complete rows of quality A, against the aims if `judge`, and peers."""
    good = rows[rows["complete"]]
    lines = []
    for name, asked in ASKED.items():
        found = Errors.of(good[f"{name}_error"].to_numpy())
        everything = Errors.of(rows[f"{name}_error"].to_numpy())
        lines.append(f"{WORDS[name]}, complete rows of quality A: {found}")
        for measure, most in asked if judge else ():
            value = getattr(found, measure)
            verdict = "met" if value <= most else "not met"
            lines.append(
                f"  {measure} {format_percent(value)}, aim at most {format_percent(most, 0)}: "
                f"{verdict}"
            )
        lines.append(f"{WORDS[name]}, all rows: {everything}")
    for peer, count, errors in peer_errors(rows):
        lines.append(
            f"{peer.rows} ({count} complete rows): mean "
            f"{format_percent(errors['within'])} with rows left out, "
            f"{format_percent(errors['across'])} with families left out; {peer.error}"
        )
    return [*lines, *worse_than_peers(rows)]


def coverage_lines(calibrated: Calibrated, rows: pd.DataFrame) -> list[str]:
    """Return the coverage of intervals with widths from other rows, and the shipped widths."""
    whole = rows[rows["whole"]]
    lines = coverage_text(calibrated)
    for name, words in WORDS.items():
        covered = whole[f"{name}_covered"].mean()
        width = (whole[f"{name}_hi_s"] / whole[f"{name}_lo_s"]) ** 0.5 - 1.0
        lines.append(
            f"{words}: {format_percent(covered)} of complete rows in the shipped 90 % interval"
        )
        by_chip = width.groupby(whole["chip"]).median().sort_values()
        count = whole["chip"].value_counts().to_dict()
        shown = ", ".join(
            f"{chip} {format_percent(half, 0)} ({count[chip]})" for chip, half in by_chip.items()
        )
        lines.append(f"  median half width by chip (rows): {shown}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/validation)")
    parser.add_argument("--quick", action="store_true", help="a few families only")
    args = parser.parse_args()
    measured = load_measurements()
    if args.quick:
        measured = measured.take(pd.Series(measured.families).isin(QUICK_FAMILIES).to_numpy())
    with new_folder(args.out or unused_folder("out/validation")) as folder:
        calibrated = calibrate(measured)
        rows = row_table(calibrated)
        rows.to_csv(folder / "validation.csv", index=False, float_format="%.6g")
        note = (
            f"{len(rows)} published runs of {rows['family'].nunique()} families, "
            f"{rows['complete'].sum()} of quality A and complete. Coloured points are predicted by "
            "fits without them. Calculon: its mean error on the family (sc21: on both tables). "
            f"{BY_CONSTRUCTION}"
        )
        figure = draw_validation(rows, note=textwrap.fill(note, 150))
        save_figure(figure, folder / "validation")
    if args.quick:
        print(f"{len(rows)} runs of a few families; the aims apply to all runs")
    lines = [*coverage_lines(calibrated, rows), *error_lines(rows, judge=not args.quick)]
    print("\n".join(lines))
    print(f"figure: {folder / 'validation.png'}")


if __name__ == "__main__":
    main()
