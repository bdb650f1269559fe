"""The HTML page of a study."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from clustersim.analysis.metrics import is_metric
from clustersim.files import yaml_text
from clustersim.plots.axis import axis_of
from clustersim.plots.study_axes import study_axes
from clustersim.plots.style import svg_text
from clustersim.report.cells import Format
from clustersim.report.findings import constant_facts
from clustersim.report.grouped import grouped
from clustersim.report.made_with import made_with
from clustersim.report.page import Figure, Listing, Page, Section, Table
from clustersim.report.sources import source_tables
from clustersim.report.spans import change_spans, method_sentence, value_spans
from clustersim.report.study_answer import answering_plot
from clustersim.report.study_figures import NamedFigure
from clustersim.report.study_findings import StudyFindings
from clustersim.simulation.result import versions
from clustersim.studies.execution import STUDY_FILE
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent, format_quantity

__all__ = ["study_page"]

_MOST_METRICS = 6
"""Number of metrics that one table of points shows side by side."""
_SHOWN = ("share", "duration", "bandwidth", "bytes", "flop rate", "money")
"""Dimensions whose numbers are shown in a unit that fits their size."""
_MINUS = r"(?<![\w.])-(?=\d)"
"""A hyphen before a number, which the page shows as a minus sign."""


def study_page(
    result: StudyResult,
    folder: Path,
    figures: Sequence[NamedFigure],
    found: StudyFindings | None = None,
) -> Page:
    """Return the page of a study.

    Parameters
    ----------
    result : StudyResult
    folder : Path
        The study's folder, where the page will be written.
    figures : sequence of NamedFigure
    found : StudyFindings, optional
        What the study found, if it is known already.
    """
    found = StudyFindings.of(result) if found is None else found
    spec = result.study.spec
    drawn = [
        Figure(figure.title, figure.svg or svg_text(figure.figure), figure.figure.caption)
        for figure in _main_first(figures, answering_plot(result))
    ]
    notes = [line for line in found.warnings if line.startswith("Note:")]
    sections = [
        Section("Main figure", drawn[:1] or ["There are no runs yet."]),
        Section("Results", _results(result)),
        *([Section("More figures", drawn[1:])] if drawn[1:] else []),
        *_all_findings(found),
        Section("Assumptions and notes", [*notes, *_assumptions(found)]),
        Section("Runs", _runs(result, folder)),
        Section("Reproduction", _provenance(result, folder)),
    ]
    return Page(
        title=spec.name,
        question=spec.question,
        lead=[line for line in found.warnings if not line.startswith("Note:")],
        sections=sections,
        footer=made_with(versions(), result.study.base.seed),
        answer=found.answer,
    )


def _main_first(figures: Sequence[NamedFigure], kind: str) -> list[NamedFigure]:
    """Return the figures with those of the plot kind that shows the answer first."""
    return sorted(figures, key=lambda figure: figure.kind != kind)


def _all_findings(found: StudyFindings) -> list[Section]:
    """Return the section with all findings; none if there are no findings."""
    if found.table.empty:
        return []
    table = found.table.assign(finding=found.table["finding"].str.replace(_MINUS, "−", regex=True))
    return [Section("All findings", [Table("Findings", table, file="findings.csv")])]


def _assumptions(found: StudyFindings) -> list[str | Table]:
    """Return the notes on the fleets, and the numbers of their chips with their sources."""
    fleets = found.fleets
    if fleets.catalogue is None:
        return [*fleets.notes]
    planning = fleets.catalogue.assumptions if fleets.shows_costs else None
    return [*fleets.notes, *source_tables(list(fleets.chips), planning)]


def _results(result: StudyResult) -> list[str | Table]:
    parts: list[str | Table] = [method_sentence(result)]
    if result.capacities is not None:
        parts.append(
            _table(
                result,
                "Capacity at the objective",
                result.capacities,
                "In parentheses: 95 % interval over replications, or the values between which "
                "overload begins if a note says so.",
                "capacities.csv",
            )
        )
    if result.gains is not None and len(result.gains):
        parts.append(
            _table(
                result,
                "Gain of capacity, paired by replication",
                result.gains,
                "In parentheses: 95 % interval of the paired difference, or bounds if a note says "
                "so.",
                "gains.csv",
            )
        )
    differences, axes = result.differences, study_axes(result)
    if differences is not None and len(differences):
        for metric, rows in differences.groupby("metric", sort=False):
            parts.append(
                _table(
                    result,
                    f"Paired differences: {axes.get(str(metric), axis_of(str(metric))).label}",
                    rows.drop(columns="metric"),
                    "System minus baseline on the same random numbers, with the 95 % interval.",
                    "differences.csv",
                    same_as=str(metric),
                )
            )
    if result.indices is not None:
        parts.append(
            _table(
                result,
                "Sobol indices",
                result.indices,
                "Share of a metric's variance; in parentheses: 95 % bootstrap interval.",
                "indices.csv",
            )
        )
    return [*parts, *_in_parts(point_table(result), len(result.parameters))]


def _in_parts(table: Table, first: int) -> list[Table]:
    """Return a table in parts that fit a page; each part repeats the first columns."""
    stems: dict[str, list[str]] = {}
    names = list(map(str, table.frame.columns))
    lead = next((place for place, name in enumerate(names) if is_metric(name)), len(names))
    for name in names[lead:]:
        stem = re.sub("_(plain|explained|draw)?_?(low|high)?$", "", name)
        stems.setdefault(stem if stem in names else name, []).append(name)
    groups = list(stems.values())
    count = math.ceil(len(groups) / _MOST_METRICS)
    if count < 2:
        return [table]
    each = math.ceil(len(groups) / count)
    parts = []
    for number in range(count):
        chosen = [name for group in groups[number * each : (number + 1) * each] for name in group]
        kept = [*names[:lead], *chosen] if number == 0 else [*_places(table, first), *chosen]
        title = f"{table.title}, part {number + 1} of {count}"
        caption = table.caption if number == 0 else ""
        parts.append(replace(table, frame=table.frame[kept], title=title, caption=caption))
    return parts


def _places(table: Table, count: int) -> list[str]:
    """Return the columns that identify a point: its parameters, or else its number."""
    names = [str(name) for name in table.frame.columns]
    own = [name for name in names if name != "point"][:count]
    return own if count else names[:1]


def point_table(result: StudyResult) -> Table:
    """Return the table of a study's points, without facts that are the same at all of them."""
    return _table(
        result,
        "Points",
        result.points.drop(columns=constant_facts(result.points)),
        "In parentheses: 95 % interval. Waits and slowdowns of a whole run are means or quantiles "
        "over the jobs of all replications; other metrics, and those of a period, are means over "
        "the replications.",
        "points.csv",
    )


def _table(
    result: StudyResult,
    title: str,
    frame: pd.DataFrame,
    caption: str,
    file: str,
    *,
    same_as: str = "",
) -> Table:
    """Return a table with the labels and units of its columns."""
    frame, groups = grouped(result, frame.drop(columns=_empty(frame)))
    axes, labels = study_axes(result), {}
    formats: dict[str, Format] = {}
    for column in map(str, frame.columns):
        axis = axes.get(column, axis_of(column))
        if column in axes or axis.dimension or column in result.parameters:
            labels[column] = axis.label
        if column.endswith(("_low", "_high")):
            continue
        if axis.dimension in _SHOWN and pd.api.types.is_float_dtype(frame[column]):
            formats[column] = partial(format_quantity, dimension=axis.dimension)
        count = counted(result.study.spec.draws, "draw")
        draws = f"5th to 95th percentile over {count} of the calibration"
        labels[f"{column}_draw"] = f"{axis.label}, {draws}"
        labels[f"{column}_plain"] = f"{axis.label}, without control variates"
        labels[f"{column}_explained"] = f"{axis.label}, share explained by control variates"
    frame, prefixes = _with_spans(result, frame, same_as)
    labels |= {"capacity": _capacity_label(result), "relative": "relative difference"}
    labels |= {"relative_note": "note", "capacity_plain": "the same without control variates"}
    formats["relative"] = format_percent
    if same_as and (dimension := axis_of(same_as).dimension) in _SHOWN:
        to_text = partial(format_quantity, dimension=dimension)
        formats |= dict.fromkeys(("baseline_mean", "difference"), to_text)
    return Table(
        title,
        frame,
        caption,
        labels=labels,
        formats=formats,
        file=file,
        groups=groups,
        prefixes=prefixes,
        endless=_beyond(result),
    )


def _empty(frame: pd.DataFrame) -> list[str]:
    """Return the optional columns that have no value in any row."""
    optional = re.compile("_(draw|plain)(_low|_high)?$|_explained$")
    names = [str(name) for name in frame if optional.search(str(name)) and frame[name].isna().all()]
    note = "relative_note"
    return [*names, note] if note in frame and not frame[note].fillna("").any() else names


def _with_spans(
    result: StudyResult, frame: pd.DataFrame, of: str
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Return a table with the ends of the intervals to show, and what precedes them.

    Parameters
    ----------
    result : StudyResult
    frame : DataFrame
        Rows of the table of points, or of the differences in the metric `of`.
    of : str
        "" for the table of points.
    """
    prefixes, changes = {}, {}
    for column in map(str, frame.columns):
        if f"{column}_low" not in frame or f"{column}_high" not in frame:
            continue
        if of and column in ("relative", "difference"):
            spans = change_spans(result, frame, column, of)
        elif not of and is_metric(column):
            spans = value_spans(result, frame, column)
        else:
            continue
        prefixes[column] = [each.prefix for each in spans]
        for end in ("low", "high"):
            changes[f"{column}_{end}"] = [
                given
                if each.kind in ("none", "exact", "unknown", "left", "same")
                else getattr(each, end)
                for given, each in zip(frame[f"{column}_{end}"], spans, strict=True)
            ]
    return frame.assign(**changes), prefixes


def _beyond(result: StudyResult) -> dict[str, tuple[str, str]]:
    """Return how tables show capacities beyond the values that a search tried."""
    search = result.study.spec.capacity
    if search is None:
        return {}
    axis = axis_of(search.of)
    low, high = (axis.text(end) for end in search.between)
    beyond = (f"< {low}", f"> {high}")
    return {"capacity": beyond, "capacity_plain": beyond, "jobs_per_day": ("–", "–")}


def _capacity_label(result: StudyResult) -> str:
    search = result.study.spec.capacity
    return "capacity" if search is None else f"capacity: {axis_of(search.of).label}"


def _runs(result: StudyResult, folder: Path) -> list[str | Table | Listing]:
    failed = result.runs[result.runs["status"] == "failed"]
    parts: list[str | Table | Listing] = []
    if len(failed):
        first = failed.iloc[0]
        parts.append(f"{len(failed)} runs failed. The first error: {first['error'].strip()}")
        parts.append(Listing("Redo this run alone", _redo(folder, str(first["run"]))))
    mixed = ["code"] if result.runs["code"].nunique() > 1 else []
    fixed = ["draw", "replication", "status", *mixed]
    shown = [*result.parameters, *fixed, *result.study.spec.metrics]
    columns = ["run", "point", *(name for name in dict.fromkeys(shown) if name in result.runs)]
    parts.append(
        _table(
            result,
            "Runs",
            result.runs[columns],
            "Draw -1 is the mean of the calibration's posterior; runs with the same "
            "replication number use the same random numbers.",
            "runs.csv",
        )
    )
    return parts


def _redo(folder: Path, key: str) -> str:
    return f"clustersim run --from {shlex.quote(str(folder))} --run {key} --out redone"


def _provenance(result: StudyResult, folder: Path) -> list[str | Listing]:
    study = (folder / STUDY_FILE).read_text(encoding="utf-8")
    made_by = (result.codes.get(own, f"code {own}") for own in result.runs["code"].unique())
    lines = "\n".join(
        [
            *(f"runs made by {code}" for code in made_by),
            *(f"{name} {version}" for name, version in versions().items()),
        ]
    )
    run = str(result.runs["run"].iloc[0]) if len(result.runs) else "HASH"
    commands = (
        f"clustersim study {STUDY_FILE} --out again      # the same study, with the same numbers\n"
        f"{_redo(folder, run)}      # one of its runs, with all tables"
    )
    return [
        f"The seed of the scenario is {result.study.base.seed}. Every source of randomness "
        "has a stream derived from it by name and replication, so that compared points use "
        "the same random numbers. A different offered load changes only the times between "
        "jobs; the jobs are the same.",
        Listing("Commands", commands),
        Listing(STUDY_FILE, study),
        Listing("Resolved scenario", yaml_text(result.study.base.tree), printed=False),
        Listing("Versions", lines),
    ]
