"""How accurate are step times for runs, and for publishers, that the fit has not seen?

Leaves rows and whole publishers out of the fit and predicts them. Prints errors and coverage beside
the errors of peers, and draws predicted against measured step times.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import pandas as pd

from clustersim.calibration import Errors, calibrate, load_measurements
from clustersim.calibration.calibrate import FOLDS
from clustersim.calibration.coverage import coverage_by_slice
from clustersim.calibration.diagnostics import row_table
from clustersim.calibration.peers import peer_errors, worse_than_peers
from clustersim.outputs import new_folder
from clustersim.plots.calibration import draw_validation
from clustersim.plots.style import save_figure
from clustersim.report import unused_folder
from clustersim.units import format_percent

QUICK_PUBLISHERS = ("BigScience", "ByteDance", "IBM", "Moore Threads")
WORDS = {
    "within": f"rows left out ({FOLDS} folds within families)",
    "across": "publishers left out",
}
SETS = {"all": "", "dense models": "dense", "mixtures of experts": "mixture"}
WORST = 8


def error_lines(rows: pd.DataFrame) -> list[str]:
    """Return errors and coverage by kind of model, and the errors of peers."""
    lines = []
    for name, words in WORDS.items():
        for label, kind in SETS.items():
            part = rows[rows["model_kind"] == kind] if kind else rows
            if len(part):
                covered = format_percent(part[f"{name}_covered"].mean(), 0)
                found = Errors.of(part[f"{name}_error"].to_numpy())
                lines.append(f"{words}, {label}: {found}; {covered} in the 90 % interval")
    for peer, count, errors in peer_errors(rows):
        lines.append(
            f"{peer.rows} ({count} complete rows): mean "
            f"{format_percent(errors['within'])} with rows left out, "
            f"{format_percent(errors['across'])} with publishers left out; {peer.error}"
        )
    return [*lines, *worse_than_peers(rows)]


def coverage_lines(rows: pd.DataFrame) -> list[str]:
    """Return the slices with the worst coverage of left-out publishers."""
    found = coverage_by_slice(rows, "across")
    wrong = found[~found["holds"]]
    title = f"publishers left out: slices whose coverage does not agree with 90 %: {len(wrong)}"
    return [
        title,
        *(
            f"  {row['slice']} ({row['rows']} rows): {format_percent(row['covered'], 0)}, "
            f"bias {format_percent(row['bias'], 0, signed=True)}"
            for row in wrong.head(WORST).to_dict("records")
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/validation)")
    parser.add_argument(
        "--quick", action="store_true", help="a few publishers, without microbenchmarks"
    )
    args = parser.parse_args()
    measured = load_measurements(shipped=[] if args.quick else None)
    if args.quick:
        measured = measured.take(pd.Series(measured.publishers).isin(QUICK_PUBLISHERS).to_numpy())
    with new_folder(args.out or unused_folder("out/validation")) as folder:
        rows = row_table(calibrate(measured))
        rows.to_csv(folder / "validation.csv", index=False, float_format="%.6g")
        note = (
            f"{len(rows)} published runs of {rows['publisher'].nunique()} publishers, "
            f"{rows['complete'].sum()} of quality A and complete. Coloured points are predicted by "
            "fits without them."
        )
        figure = draw_validation(rows, note=textwrap.fill(note, 150))
        save_figure(figure, folder / "validation")
    if args.quick:
        print(f"{len(rows)} runs of a few publishers")
    lines = [*coverage_lines(rows), *error_lines(rows)]
    print("\n".join(lines))
    print(f"figure: {folder / 'validation.png'}")


if __name__ == "__main__":
    main()
