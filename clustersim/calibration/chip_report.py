"""What microbenchmarks say of a chip, in words and tables of the report."""

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

__all__ = ["chip_sections", "coefficient_cells", "doubt_text", "stacks_on_the_desk", "step_text"]

RELEASE = LEVELS.index("release")
UNEXPLAINED = 3.0
"""Factor from which a microbenchmark that is off is told."""
MOST_ROWS = 5
LARGE_FLOPS = 1e11
"""A product of so many keeps a large chip busy for some hundred microseconds."""
STEPS = "Whole training steps, which nothing was fitted on"


def chip_sections(calibrated: Calibrated) -> list[str]:
    """Return the sections of the report on microbenchmarks; none where there are none."""
    if calibrated.measured.micro is None:
        return []
    errors = microbenchmark_errors(calibrated)
    cells = [
        [
            *(row["chip"], row["kind"], row["precision"], str(row["rows"])),
            *(f"{row['median']:.1%}", f"{row['worst']:+.1%}"),
        ]
        for row in errors.to_dict("records")
    ]
    headers = ["chip", "kind", "precision", "rows", "median error", "largest"]
    sections = ["## Microbenchmarks", markdown_table(headers, cells)]
    headers, cells = coefficient_cells(calibrated)
    if cells:
        sections += [
            "What the chips of your files reach, and what published runs alone say of them with "
            "the stack that is assumed where none is named:",
            markdown_table(headers, cells),
        ]
    steps = step_errors(calibrated)
    if len(steps):
        headers = ["chip", "model", "recompute", "batch", "measured", "predicted", "error"]
        cells = [
            [
                *(row["chip"], row["model"], row["recompute"], str(row["global_batch"])),
                *(f"{row['measured_s']:.4g} s", f"{row['predicted_s']:.4g} s"),
                f"{row['error']:+.1%}",
            ]
            for row in steps.to_dict("records")
        ]
        sections += [f"### {STEPS}", *step_text(steps), markdown_table(headers, cells)]
    sections += [
        f"![What {chip} reaches](chip-{chip}.png)" for chip in calibrated.measured.chips_on_the_desk
    ]
    return sections


def stacks_on_the_desk(calibrated: Calibrated) -> list[str]:
    """Return the software that the user's files were measured with."""
    measured = calibrated.measured
    if measured.micro is None:
        return []
    pairs = zip(measured.micro.labels, measured.on_the_desk, strict=True)
    return list(dict.fromkeys(labels[RELEASE] for labels, mine in pairs if mine))


def coefficient_cells(calibrated: Calibrated) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of a table of what the chips of the user's files reach."""
    found = chip_coefficients(calibrated, set(calibrated.measured.chips_on_the_desk))
    cells = [
        [
            row["chip"],
            row["coefficient"],
            f"{row['value']:.3g}",
            f"{row['low']:.3g} to {row['high']:.3g}",
            f"{row['published']:.3g}",
            row["meaning"],
        ]
        for row in found.to_dict("records")
    ]
    return ["chip", "coefficient", "value", "90 %", "published runs", "meaning"], cells


def step_text(steps: pd.DataFrame) -> list[str]:
    """Say how far off the predictions of whole steps are; nothing where there are none."""
    if not len(steps):
        return ["no whole step was measured, so how good this is for training is not known"]
    size, published = steps["error"].abs(), steps["published_error"].abs()
    inside = np.count_nonzero(steps["covered"])
    largest = steps["error"].to_numpy()[size.to_numpy().argmax()]
    doubt = "warning: fewer than half of the steps are in their interval: is the chip the one that "
    doubt += "the file says, are its peaks right, was the machine idle, was all measured?"
    return [
        f"{STEPS}: {len(steps)}, median error {size.median():.1%}, largest {largest:+.1%}, "
        f"{inside} in their 90 % interval; "
        f"by published runs alone {published.median():.1%} in the median",
        *([doubt] if inside < len(steps) / 2 else []),
    ]


def doubt_text(calibrated: Calibrated) -> list[str]:
    """Warn of microbenchmarks of the user's that the fit cannot explain, and of what none tells."""
    micro, measured = calibrated.measured.micro, calibrated.measured
    if micro is None:
        return []
    mine = measured.on_the_desk
    errors = calibrated.fit.residuals[len(measured) :]
    far = np.flatnonzero(mine & (np.abs(errors) > np.log(UNEXPLAINED)))
    lines = []
    if far.size:
        lines.append(
            f"warning: the fit is off by more than a factor of {UNEXPLAINED:g} for {far.size} of "
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
            f"note: the largest product has {largest:.2g} FLOPs; what large ones reach is a guess "
            "from the prior until they are measured (without --quick)"
        )
    return lines
