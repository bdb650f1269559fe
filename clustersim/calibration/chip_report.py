"""Results of microbenchmarks for a chip, as text and tables of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.calibration.calibrate import Calibrated
from clustersim.calibration.chip_tables import (
    chip_coefficients,
    microbenchmark_errors,
    step_errors,
)
from clustersim.calibration.markdown import markdown_table
from clustersim.performance import LEVELS
from clustersim.units import format_percent

__all__ = ["chip_sections", "coefficient_cells", "doubt_text", "step_text", "user_stacks"]

RELEASE = LEVELS.index("release")
UNEXPLAINED = 3.0
"""A microbenchmark is reported if the fit is off by more than this factor."""
MOST_ROWS = 5
LARGE_FLOPS = 1e11
"""FLOPs of a product that keeps a large chip busy for a few hundred microseconds."""
STEPS = "Whole training steps, which are not used in the fit"


def chip_sections(calibrated: Calibrated) -> list[str]:
    """Return the report's sections on microbenchmarks; empty if there are no microbenchmarks."""
    if calibrated.measured.micro is None:
        return []
    errors = microbenchmark_errors(calibrated)
    cells = [
        [
            *(row["chip"], row["kind"], row["precision"], str(row["rows"])),
            *(format_percent(row["median"]), format_percent(row["worst"], signed=True)),
        ]
        for row in errors.to_dict("records")
    ]
    headers = ["chip", "kind", "precision", "rows", "median error", "largest"]
    sections = ["## Microbenchmarks", markdown_table(headers, cells)]
    headers, cells = coefficient_cells(calibrated)
    if cells:
        sections += [
            "Coefficients of the chips in your files, compared with the shipped calibration "
            "(with the default stack of the chip):",
            markdown_table(headers, cells),
        ]
    steps = step_errors(calibrated)
    if len(steps):
        headers = ["chip", "model", "recompute", "batch", "measured", "predicted", "error"]
        cells = [
            [
                *(row["chip"], row["model"], row["recompute"], str(row["global_batch"])),
                *(f"{row['measured_s']:.4g} s", f"{row['predicted_s']:.4g} s"),
                format_percent(row["error"], signed=True),
            ]
            for row in steps.to_dict("records")
        ]
        sections += [f"### {STEPS}", *step_text(steps), markdown_table(headers, cells)]
    sections += [
        f"![What {chip} reaches](chip-{chip}.png)" for chip in calibrated.measured.user_chips
    ]
    return sections


def user_stacks(calibrated: Calibrated) -> list[str]:
    """Return the software with which the user's files were measured."""
    measured = calibrated.measured
    if measured.micro is None:
        return []
    pairs = zip(measured.micro.labels, measured.of_user_chips, strict=True)
    return list(dict.fromkeys(labels[RELEASE] for labels, mine in pairs if mine))


def coefficient_cells(calibrated: Calibrated) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of a table with the coefficients of the user's chips."""
    found = chip_coefficients(calibrated, set(calibrated.measured.user_chips))
    cells = [
        [
            row["chip"],
            row["coefficient"],
            f"{row['value']:.3g}",
            f"{row['low']:.3g} to {row['high']:.3g}",
            f"{row['shipped']:.3g}",
            row["meaning"],
        ]
        for row in found.to_dict("records")
    ]
    return ["chip", "coefficient", "value", "90 %", "shipped", "meaning"], cells


def step_text(steps: pd.DataFrame) -> list[str]:
    """Return lines of text on the errors of the predictions of whole steps."""
    if not len(steps):
        return ["no whole step was measured, so the accuracy for training is unknown"]
    size, shipped = steps["error"].abs(), steps["shipped_error"].abs()
    inside = np.count_nonzero(steps["covered"])
    largest = steps["error"].to_numpy()[size.to_numpy().argmax()]
    doubt = "Warning: fewer than half of the steps are in their interval. Check that the file "
    doubt += "names the right chip, that its peaks are right, that the machine was idle, and that "
    doubt += "all kinds were measured"
    return [
        f"{STEPS}: {len(steps)}, median error {format_percent(size.median())}, largest "
        f"{format_percent(largest, signed=True)}, {inside} in their 90 % interval; "
        f"with the shipped calibration the median error is {format_percent(shipped.median())}",
        *([doubt] if inside < len(steps) / 2 else []),
    ]


def doubt_text(calibrated: Calibrated) -> list[str]:
    """Return warnings on microbenchmarks that the fit cannot explain or that are missing."""
    micro, measured = calibrated.measured.micro, calibrated.measured
    if micro is None:
        return []
    mine = measured.of_user_chips
    errors = calibrated.fit.residuals[len(measured) :]
    far = np.flatnonzero(mine & (np.abs(errors) > np.log(UNEXPLAINED)))
    lines = []
    if far.size:
        lines.append(
            f"Warning: the fit is off by more than a factor of {UNEXPLAINED:g} for {far.size} of "
            "your microbenchmarks; check them:"
        )
        for place in far[np.argsort(-np.abs(errors[far]))][:MOST_ROWS]:
            row = micro.table.iloc[place]
            seconds = micro.seconds[place]
            lines.append(
                f"  {row['source']}, row {row['row']}: {row['kind']} {row['precision']}: measured "
                f"{seconds:.3g} s, predicted {seconds * np.exp(errors[place]):.3g} s"
            )
    products = mine & (micro.kind == "matmul")
    largest = np.max(2.0 * np.prod([micro.sizes[n][products] for n in "mnk"], axis=0), initial=0.0)
    if 0 < largest < LARGE_FLOPS:
        lines.append(
            f"Note: the largest product has {largest:.2g} FLOPs. The efficiency of larger "
            "products comes from the prior until they are measured (without --quick)"
        )
    return lines
