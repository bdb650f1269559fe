"""The result of `clustersim fit` as text: errors, coverage, warnings, and effects that moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clustersim.text_table import table
from clustersim.units import format_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clustersim.calibration import Calibrated, Measurements

__all__ = [
    "error_rows",
    "far_lines",
    "left_out_lines",
    "movers_of",
    "summary_lines",
    "unexplained_lines",
]

MOST_REASONS = 10
UNEXPLAINED = 0.5
"""A user's run is reported if |log(predicted / measured)| is larger than this."""
IMPLAUSIBLE = 4.0
FAR = f"your rows need effects larger than {IMPLAUSIBLE:g} standard deviations; check the rows"
LEAST_MOVED = 0.05
"""Effects that moved by less than this, in standard deviations of the prior, are not reported."""


def summary_lines(
    calibrated: Calibrated,
    rows: pd.DataFrame,
    steps: pd.DataFrame,
    mine: list[str],
    moved: Sequence[tuple[str, str, float]],
    *,
    only: bool,
) -> list[str]:
    """Return the result of a fit in lines.

    Parameters
    ----------
    calibrated : Calibrated
    rows, steps : DataFrame
        The runs (:func:`clustersim.calibration.diagnostics.row_table`) and the whole steps
        (:func:`clustersim.calibration.chip_tables.step_errors`).
    mine : list of str
        File and line of each usable run of the user.
    moved : sequence
        As returned by :func:`movers_of`.
    only : bool
        Whether the published runs are left out.
    """
    from clustersim.calibration.report import count_text, few_text, microbenchmark_text

    chips = sorted(set(rows["chip"]))
    lines = [
        *([f"fitted to {count_text(rows)}: {', '.join(chips)}"] if chips else []),
        *(f"fitted to {line}" for line in microbenchmark_text(calibrated)),
        *few_text(calibrated),
        *getattr(calibrated.measured, "notes", ()),
        *left_out_lines(calibrated.measured, always=True),
        *unexplained_lines(rows, mine),
    ]
    if len(rows):
        lines += _error_lines(calibrated, rows)
    lines += _chip_lines(calibrated, steps)
    return [*lines, *_moved_lines(calibrated, moved, len(mine), only=only)]


def left_out_lines(measured: Measurements, *, always: bool = False) -> list[str]:
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


def _chip_lines(calibrated: Calibrated, steps: pd.DataFrame) -> list[str]:
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


def unexplained_lines(rows: pd.DataFrame, mine: list[str]) -> list[str]:
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


def _error_lines(calibrated: Calibrated, rows: pd.DataFrame) -> list[str]:
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
        for row in error_rows(rows)
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


def error_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
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


def movers_of(calibrated: Calibrated, count: int, *, only: bool) -> list[tuple[str, str, float]]:
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


def far_lines(moved: Sequence[tuple[str, str, float]]) -> list[str]:
    """Return a warning if an effect moved implausibly far."""
    far = any(abs(size) > IMPLAUSIBLE for _, _, size in moved)
    return [f"Warning: {FAR}"] if far else []


def _moved_lines(
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
        *far_lines(moved),
        f"effects moved most by your rows from the {since}, in standard deviations of the prior:",
        table(cells, ["coefficient", "effect", "moved"]),
    ]
