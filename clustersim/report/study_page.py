"""The HTML page of a study."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from clustersim.analysis.metrics import period_of
from clustersim.files import yaml_text
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.parts.quick_mark import quick_mark
from clustersim.report.made_with import made_with
from clustersim.report.of_study.estimates import two_estimates_of_figure
from clustersim.report.of_study.tables import result_parts, study_table
from clustersim.report.page import Figure, Listing, Page, Section, Table
from clustersim.report.sources import source_tables, workload_sentences
from clustersim.report.study_answer import answering_plot
from clustersim.report.study_figures import NamedFigure
from clustersim.report.study_findings import StudyFindings
from clustersim.simulation.result import versions
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.execution import STUDY_FILE
from clustersim.studies.study_result import StudyResult

__all__ = ["study_page"]

_MINUS = r"(?<![\w.])-(?=\d)"
"""A hyphen before a number, which the page shows as a minus sign."""
_CHECKS = ("warm-up",)
"""Plot kinds that check the runs and show no result."""
_OF_POINTS = ("curve", "heat-map")
"""Plot kinds that show the numbers of the table of points."""
_SHORT = 10
"""Least number of characters of a run's hash on the page; all of them are in ``runs.csv``."""


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
    ordered = _main_first(figures, *answering_plot(result))
    drawn = [
        Figure(
            figure.title,
            page_picture(figure.figure, figure.svg),
            " ".join(filter(None, [figure.figure.caption, _estimates(result, figure)])),
        )
        for figure in ordered
    ]
    notes = [line for line in found.warnings if line.startswith("Note:")]
    sections = [
        Section("Main figure", drawn[:1] or ["There are no runs yet."]),
        Section("Results", result_parts(result)),
        *([Section("More figures", drawn[1:])] if drawn[1:] else []),
        *_all_findings(found),
        Section("Assumptions and notes", [*notes, *_left_out(result), *_assumptions(found)]),
        Section("Runs", _runs(result, folder)),
        Section("Reproduction", _provenance(result, folder)),
    ]
    return Page(
        title=f"{spec.name} ({mark})" if (mark := quick_mark(result)) else spec.name,
        question=spec.question,
        lead=[line for line in found.warnings if not line.startswith("Note:")],
        sections=sections,
        footer=made_with(versions(), result.study.base.seed),
        answer=found.answer,
    )


def _main_first(figures: Sequence[NamedFigure], kind: str, metric: str) -> list[NamedFigure]:
    """Return the figures with the best picture of the answer first.

    A picture of the metric of the answer comes before those of other metrics, and among those the
    plot kind that shows the answer comes first.
    """

    def order(figure: NamedFigure) -> tuple[bool, bool, bool]:
        other = bool(metric and figure.metrics) and not {metric, period_of(metric)[0]} & {
            *figure.metrics
        }
        return (figure.kind in _CHECKS, other, figure.kind != kind)

    return sorted(figures, key=order)


def _estimates(result: StudyResult, figure: NamedFigure) -> str:
    """Return which estimates a figure of points shows, if those of the card are others."""
    if figure.kind not in _OF_POINTS or not figure.metrics:
        return ""
    return two_estimates_of_figure(result, figure.metrics[0])


def _all_findings(found: StudyFindings) -> list[Section]:
    """Return the section with all findings; none if there are no findings."""
    if found.table.empty:
        return []
    table = found.table.assign(finding=found.table["finding"].str.replace(_MINUS, "−", regex=True))
    return [Section("All findings", [Table("Findings", table, file="findings.csv")])]


def _left_out(result: StudyResult) -> Iterator[str]:
    """Yield where the jobs come from, and which causes of other results the runs do not have."""
    tree, spec = result.study.base.tree, result.study.spec
    yield from workload_sentences(tree.get("workload", {}))
    changed = [*spec.varied, *(path for case in tree.get("cases", {}).values() for path in case)]
    if "failures" not in tree and not any(path.startswith("failures") for path in changed):
        yield "Nodes do not fail: the scenario has no `failures`."
    if not spec.draws:
        yield "Step times are fixed: the study has no `draws` of their coefficients."


def _assumptions(found: StudyFindings) -> list[str | Table]:
    """Return the notes on the fleets, and the numbers of their chips with their sources."""
    fleets = found.fleets
    if fleets.catalogue is None:
        return [*fleets.notes]
    planning = fleets.catalogue.assumptions if fleets.shows_costs else None
    return [*fleets.notes, *source_tables(list(fleets.chips), planning)]


def _runs(result: StudyResult, folder: Path) -> list[str | Table | Listing]:
    failed = result.runs[result.runs["status"] == "failed"]
    parts: list[str | Table | Listing] = []
    if len(failed):
        first = failed.iloc[0]
        parts.append(f"{len(failed)} runs failed. The first error: {first['error'].strip()}")
        parts.append(Listing("Redo this run alone", _redo(folder, str(first["run"]))))
    mixed = ["code"] if result.runs["code"].nunique() > 1 else []
    status = ["status"] if len(failed) else []
    drawn = ["draw"] if (result.runs["draw"] != POSTERIOR_MEAN).any() else []
    shown = [*result.parameters, *drawn, "replication", *status, *mixed]
    shown += result.study.spec.metrics
    columns = ["run", "point", *(name for name in dict.fromkeys(shown) if name in result.runs)]
    frame = result.runs[columns].assign(run=_short(result.runs["run"]))
    caption = (
        "Runs with the same replication number use the same random numbers. The first characters "
        "of the hash of a run suffice to name it (--run)."
    )
    if drawn:
        frame["draw"] = frame["draw"].map(lambda k: "mean" if k == POSTERIOR_MEAN else str(k))
        caption += " Draw “mean” has the mean coefficients of the calibration."
    runs = study_table(result, "Runs", frame, caption, "runs.csv")
    return [*parts, replace(runs, printed=False)]


def _short(keys: pd.Series[str]) -> pd.Series[str]:
    """Return the hashes of runs, shortened as far as they still differ."""
    most = int(keys.map(len).max()) if len(keys) else 0
    for length in range(_SHORT, most):
        short = keys.str[:length]
        if short.nunique() == keys.nunique():
            return short
    return keys


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
        Listing(STUDY_FILE, study, printed=False),
        Listing("Resolved scenario", yaml_text(result.study.base.tree), printed=False),
        Listing("Versions", lines, printed=False),
    ]
