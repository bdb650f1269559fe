"""The report of a fit as text: measurements, errors, coefficients and limits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calibration.calibrate import FOLDS, LEAST_MEASURED, Calibrated
from clustersim.calibration.chip_report import chip_sections
from clustersim.calibration.coverage import coverage_text
from clustersim.calibration.cross_validation import SOURCES, Errors
from clustersim.calibration.diagnostics import (
    base_coefficients,
    correlations,
    effects,
    group_errors,
    row_table,
    uncertainty_by_group,
)
from clustersim.calibration.limits import FEW, count_limits
from clustersim.calibration.markdown import markdown_table
from clustersim.calibration.peers import peer_errors, worse_than_peers
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.network.fit import LinkFit
from clustersim.performance.coefficient_draw import Key
from clustersim.performance.step_time import memory_of
from clustersim.units import format_percent

__all__ = ["count_text", "few_text", "microbenchmark_text", "report_text"]

STRONG = 1.5
"""Effects that exceed this many standard errors are listed."""
WORST = 10
GROUPED = (
    ("chip", "chip"),
    ("stack", "software product"),
    ("scale", "chips of the job"),
    ("precision", "precision"),
    ("kind", "kind"),
    ("model_kind", "kind of model"),
    ("part", "part with the most seconds after the matrix products"),
)


def report_text(
    calibrated: Calibrated,
    links: LinkFit | None = None,
    *,
    own: bool = True,
    catalogue: Catalogue | None = None,
) -> str:
    """Return the report of a fit as Markdown.

    Parameters
    ----------
    calibrated : Calibrated
        As returned by :func:`clustersim.calibration.calibrate`.
    links : LinkFit, optional
        As returned by :func:`clustersim.network.fit.fit_links`.
    own : bool
        Whether the project's own table is among the measurements.
    catalogue : Catalogue, optional
        Catalogue of the chips for which limits are counted (default: the built-in one).
    """
    rows = row_table(calibrated)
    runs = len(rows) > 0
    sections = [
        "# Fit of the performance model",
        _summary(calibrated, rows),
        "## Measurements",
        *(_measurements(calibrated, rows, own) if runs else []),
        *_unusable(calibrated),
        *chip_sections(calibrated),
        *(["## Errors on rows that were left out", *_left_out(calibrated, rows)] if runs else []),
        *(["## Residuals by group", *_groups(rows)] if runs else []),
        "## Coefficients",
        *_coefficients(calibrated),
        *(["## Sources of uncertainty", *_uncertainty(calibrated)] if runs else []),
        *(["## Limits", *_limits(calibrated, catalogue or load_catalogue())] if runs else []),
        *([] if links is None else ["## Collectives", *_links(links)]),
    ]
    return "\n\n".join(sections) + "\n"


def count_text(rows: pd.DataFrame) -> str:
    """Return text with the numbers of runs, families and chips in a table of rows.

    >>> count_text(pd.DataFrame({"family": ["mine"], "chip": ["H100"]}))
    '1 run of 1 family on 1 chip'
    """
    runs, families, chips = len(rows), rows["family"].nunique(), rows["chip"].nunique()
    return (
        f"{runs:,} run{'s' * (runs != 1)} of {families} {'family' if families == 1 else 'families'}"
        f" on {chips} chip{'s' * (chips != 1)}"
    )


def microbenchmark_text(calibrated: Calibrated) -> list[str]:
    """Return a line with the number of microbenchmarks of each file; empty if there are none."""
    micro = calibrated.measured.micro
    if micro is None:
        return []
    counts = micro.table.groupby("source", sort=False).size()
    files = ", ".join(f"{count:,} from {source}" for source, count in counts.items())
    return [f"{len(micro):,} microbenchmarks: {files}"]


def few_text(calibrated: Calibrated) -> list[str]:
    """Return a line on how little a few runs determine; empty if there are enough measurements."""
    if len(calibrated.measured) >= LEAST_MEASURED or calibrated.measured.micro is not None:
        return []
    effective = calibrated.calibration.facts["effective_parameters"]
    keys = len(calibrated.calibration.keys)
    return [
        f"These few runs determine only {effective:g} effective parameter{'s' * (effective != 1)} "
        f"of {keys}: nearly all of this calibration is the prior."
    ]


def _summary(calibrated: Calibrated, rows: pd.DataFrame) -> str:
    calibration = calibrated.calibration
    effective = calibration.facts["effective_parameters"]
    counts = [*([count_text(rows)] if len(rows) else []), *microbenchmark_text(calibrated)]
    return (
        f"{'; '.join(counts)}. {len(calibration.keys)} effects, of which the measurements "
        f"determine {effective:g} effective parameters; {calibrated.fit.evaluations} evaluations. "
        f"Overdispersion (widening of the posterior): {calibration.overdispersion:.2f}. Coverage "
        f"factor (half width of a 90 % interval): {calibration.coverage_factor:.2f} standard "
        "deviations." + "".join(f" {line}" for line in few_text(calibrated))
    )


def _counts(rows: pd.DataFrame, column: str, name: str) -> str:
    counts = rows[column].value_counts(sort=False).sort_index()
    whole = rows.groupby(column)["whole"].sum().to_dict()
    cells = [[str(key), str(count), str(whole[key])] for key, count in counts.items()]
    return markdown_table([name, "rows", "complete"], cells)


def _measurements(calibrated: Calibrated, rows: pd.DataFrame, own: bool) -> list[str]:
    table = calibrated.measured.table
    parts = [
        _counts(rows, "quality", "quality"),
        _counts(rows, "chip", "chip"),
        _counts(rows, "family", "family"),
    ]
    if "justification" in table:
        used = table[~calibrated.measured.whole].fillna({"justification": "not given"})
        cells = [
            [str(reason), ", ".join(dict.fromkeys(part["family"])), str(len(part))]
            for reason, part in used.groupby("justification", sort=True)
        ]
        if cells:
            parts += [
                "Incomplete rows that are used, with twice the scatter of complete rows:",
                markdown_table(["justification", "families", "rows"], cells),
            ]
    measured = calibrated.measured.rows
    needed = memory_of(
        measured.models,
        measured.chips,
        measured.plans,
        measured.global_batch,
        measured.memory,
    )
    over = int(np.count_nonzero(needed > measured.chips.hbm_bytes))
    parts.append(
        f"Runs whose plans do not fit in memory according to the model: {over} of {len(rows)}."
    )
    return [*parts, *(_not_taken() if own else [])]


def _unusable(calibrated: Calibrated) -> list[str]:
    """Return text on the rows of the tables that cannot be used, each with its reason."""
    left_out = calibrated.measured.left_out
    lines = "\n".join(f"* {line}" for line in left_out)
    return [
        f"Rows of the tables that cannot be used: {len(left_out)}.",
        *([lines] if lines else []),
    ]


def _not_taken() -> list[str]:
    """Return text on published runs that are not in the project's own table, with the reasons."""
    file = resources.files("clustersim.calibration") / "data" / "not_used.csv"
    with file.open(encoding="utf-8") as text:
        table = pd.read_csv(text, dtype=str)
    cells = [
        [str(reason), ", ".join(dict.fromkeys(part["family"])), str(len(part))]
        for reason, part in table.groupby("reason", sort=True)
    ]
    return [
        f"Published runs that are not in the project's table: {len(table)}.",
        markdown_table(["reason", "families", "rows"], cells),
    ]


def _left_out(calibrated: Calibrated, rows: pd.DataFrame) -> list[str]:
    if calibrated.within is None:
        return [
            f"No rows were left out because {calibrated.why_no_rows()}; the width of the intervals "
            "is that of the shipped calibration."
        ]
    sets = (
        ("quality A, complete", rows["complete"]),
        ("complete", rows["whole"]),
        ("all", rows["whole"] | True),
    )
    names = [name for name in ("within", "across") if f"{name}_error" in rows]
    words = {"within": f"rows, {FOLDS} folds", "across": "whole families"}
    cells = []
    for name in names:
        for label, chosen in sets:
            if chosen.any():
                part = rows[chosen]
                errors = Errors.of(part[f"{name}_error"].to_numpy())
                covered = part[f"{name}_covered"].mean()
                width = (part[f"{name}_hi_s"] / part[f"{name}_lo_s"]).median()
                last = [format_percent(covered, 0), format_percent(np.sqrt(width) - 1.0)]
                cells.append([words[name], label, *_errors(errors), *last])
    headers = ["left out", "rows", "count", "median", "mean", "90th percentile"]
    parts = [
        "\n".join(f"* {line}" for line in coverage_text(calibrated)),
        markdown_table([*headers, "in the shipped 90 % interval", "half width"], cells),
    ]
    if "across" not in names:
        parts.append("Families were not left out because there is only one source.")
    peers = "Comparison with peers (mean absolute error of complete rows):"
    parts += [peers, _peer_table(rows, names)]
    parts += worse_than_peers(rows)
    parts += ["By family:", _family_table(rows, names)]
    parts += [f"The {WORST} worst rows left out within their families:", _worst(rows)]
    return parts


def _errors(errors: Errors) -> list[str]:
    return [
        str(errors.rows),
        *(format_percent(x) for x in (errors.median, errors.mean, errors.p90)),
    ]


def _peer_table(rows: pd.DataFrame, names: Sequence[str]) -> str:
    cells = [
        [peer.rows, str(count), *(format_percent(errors[name]) for name in names), peer.error]
        for peer, count, errors in peer_errors(rows)
    ]
    return markdown_table(["rows", "count", *_headers(names), "peer"], cells)


def _headers(names: Sequence[str]) -> list[str]:
    words = {"within": "rows left out", "across": "family left out"}
    return [words[name] for name in names]


def _family_table(rows: pd.DataFrame, names: Sequence[str]) -> str:
    errors = group_errors(rows, "family")
    headers = ["family", "source", "rows"]
    for heading in _headers(names):
        headers += [f"{heading}: median", "mean", "bias", "covered"]
    cells = []
    for family, row in errors.iterrows():
        line = [str(family), SOURCES.get(str(family), "your own"), f"{row['rows']:.0f}"]
        for name in names:
            line += [
                format_percent(row[f"{name}_median"]),
                format_percent(row[f"{name}_mean"]),
            ]
            line += [
                format_percent(row[f"{name}_bias"], signed=True),
                format_percent(row[f"{name}_covered"], 0),
            ]
        cells.append(line)
    return markdown_table(headers, cells)


def _worst(rows: pd.DataFrame) -> str:
    size = np.log1p(rows["within_error"]).abs()
    worst = rows.loc[size.sort_values(ascending=False, kind="stable").index[:WORST]]
    cells = [
        [
            str(row["id"]),
            f"{row['model']}, {row['chips']:,} {row['chip']}, {row['precision']}, {row['stack']}",
            f"{row['measured_s']:.3g} s",
            f"{row['within_s']:.3g} s",
            f"{row['within_lo_s']:.3g} to {row['within_hi_s']:.3g} s",
            format_percent(row["within_error"], 0, signed=True),
        ]
        for row in worst.to_dict("records")
    ]
    return markdown_table(["id", "run", "measured", "predicted", "90 % interval", "error"], cells)


def _groups(rows: pd.DataFrame) -> list[str]:
    names = [name for name in ("within", "across") if f"{name}_error" in rows]
    headers = ["rows", "fitted: median", "bias"]
    for heading in _headers(names):
        headers += [f"{heading}: median", "bias", "covered"]
    parts = ["Median of absolute errors; bias is the median of signed errors."]
    for column, name in GROUPED:
        cells = []
        for label, row in group_errors(rows, column).iterrows():
            line = [str(label), f"{row['rows']:.0f}", format_percent(row["fitted_median"])]
            line.append(format_percent(row["fitted_bias"], signed=True))
            for left in names:
                line += [
                    format_percent(row[f"{left}_median"]),
                    format_percent(row[f"{left}_bias"], signed=True),
                ]
                line.append(format_percent(row[f"{left}_covered"], 0))
            cells.append(line)
        parts.append(markdown_table([name, *headers], cells))
    return parts


def _coefficients(calibrated: Calibrated) -> list[str]:
    calibration = calibrated.calibration
    cells = [
        [
            str(name),
            f"{row['prior']:.3g} ± {row['prior_error']:.2g}",
            f"{row['estimate']:.3g} ± {row['standard_error']:.2g}",
            f"{row['moved']:+.1f}",
            format_percent(row["known"], 0),
            str(row["meaning"]),
        ]
        for name, row in base_coefficients(calibration).iterrows()
    ]
    headers = ["coefficient", "prior", "estimate", "moved", "known", "meaning"]
    strong = effects(calibration)
    strong = strong[strong["ratio"].abs() > STRONG]
    strongest = [
        [
            row["level"],
            row["label"],
            row["parameter"],
            f"{row['value']:.3g}",
            f"{row['effect']:+.2f} ± {row['standard_error']:.2f}",
        ]
        for row in strong.sort_values(["level", "label"], kind="stable").to_dict("records")
    ]
    pairs = [
        [_key(first), _key(second), f"{value:+.2f}"]
        for first, second, value in correlations(calibration)
    ]
    return [
        "Without group effects; ± is one standard error. Moved: distance from the prior in its "
        "standard errors. Known: share of the prior's variance that the measurements removed.",
        markdown_table(headers, cells),
        f"Effects of more than {STRONG:g} standard errors (of {len(effects(calibration))}). "
        "Value: the coefficient with only this effect. Effect: on the logarithm, or on the logit "
        "of a share.",
        markdown_table(["level", "label", "coefficient", "value", "effect"], strongest),
        "Strongest correlations in the posterior:",
        markdown_table(["effect", "effect", "correlation"], pairs),
    ]


def _key(key: Key) -> str:
    name, level, label = key
    return f"{name} ({level} {label})" if label else name


def _uncertainty(calibrated: Calibrated) -> list[str]:
    found = uncertainty_by_group(calibrated).sort_values("share", ascending=False, kind="stable")
    cells = [
        [str(name), format_percent(row["share"], 0), format_percent(row["spread"])]
        for name, row in found.iterrows()
    ]
    return [
        "Variance of the logarithm of the step time over draws, by group of coefficients (mean "
        "over the rows), and the spread due to each group alone.",
        markdown_table(["coefficients of", "share of the variance", "spread alone"], cells),
    ]


def _limits(calibrated: Calibrated, catalogue: Catalogue) -> list[str]:
    found = count_limits(calibrated.measured, catalogue)
    cells = [[str(value) for value in row] for row in found[found["rows"] < FEW].to_numpy()]
    return [
        f"Configurations with fewer than {FEW} rows, or none. They are predicted nevertheless; the "
        "interval includes the uncertainty of the coefficients that they need.",
        markdown_table(list(found.columns), cells),
    ]


def _links(links: LinkFit) -> list[str]:
    error: Floats = np.abs(np.array(links.error))
    return [
        f"{error.size} measured collectives, fitted separately; median error "
        f"{format_percent(np.median(error))}. The performance model uses the "
        "constants of the package, not the constants of this fit.",
        f"```\n{links.report()}\n```",
    ]
