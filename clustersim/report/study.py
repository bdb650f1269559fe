"""Run a study from its file, write its tables and figures, and print its findings."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.console import warn
from clustersim.errors import check_kind
from clustersim.notes import note
from clustersim.outputs import PAGE_FILE, replacing, write_errors, write_table
from clustersim.plots.parts.quick_mark import quick_mark
from clustersim.plots.style import FORMATS, save_figure
from clustersim.report.findings import code_notes, findings_table
from clustersim.report.last_page import explained, printed_page
from clustersim.report.of_study.progress_display import ProgressDisplay
from clustersim.report.of_what_if.stored import DATA_FILE, rewrite_what_if
from clustersim.report.page import answer_text, write_page
from clustersim.report.plan_page import PLAN_FILE, rewrite_plan
from clustersim.report.points_text import points_text
from clustersim.report.run_files import rewrite_run
from clustersim.report.study_figures import NamedFigure, draw_plots
from clustersim.report.study_findings import StudyFindings
from clustersim.report.study_page import study_page
from clustersim.simulation.result import PROVENANCE
from clustersim.spreadsheets import plain_cells
from clustersim.studies.execution import STUDY_FILE, Progress, make_runs
from clustersim.studies.plot_kinds import PLOT_KINDS
from clustersim.studies.study import Study, define_study
from clustersim.studies.study_result import StudyResult, load_result
from clustersim.units import counted

__all__ = ["Conducted", "conduct", "run_study", "write_report", "write_results"]

USUAL_FORMATS = ("png", "svg")
WIDTH = 100
MOST_FINDINGS = 6
"""Number of findings to print; the table contains all of them."""
_FINDINGS = "findings"
_TABLES = ("runs", "points", "capacities", "gains", "differences", "indices", _FINDINGS)
_PICTURES = ".pictures"
"""File that lists the pictures in the folder, so that the next version of the study can remove
them, and no file of the user."""


@dataclass(frozen=True)
class Conducted:
    """Outcome of a study.

    Attributes
    ----------
    complete : bool
        Whether all runs are done.
    folder : Path
    not_drawn : tuple of str
        Reasons why plots that the study requests could not be drawn.
    result : StudyResult or None
        The result that was reported; None without a report or without runs.
    found : StudyFindings or None
        What the result shows; None without a result.
    figures : tuple of NamedFigure
    """

    complete: bool
    folder: Path
    not_drawn: tuple[str, ...] = ()
    result: StudyResult | None = None
    found: StudyFindings | None = None
    figures: tuple[NamedFigure, ...] = ()

    def write_page(self) -> Path | None:
        """Write the page and print its path; return None, and write nothing, without a result.

        Raises
        ------
        InputError
            If the page cannot be written.
        """
        result = self.result
        if result is None:
            return None

        def write() -> Path:
            page = study_page(result, self.folder, self.figures, self.found)
            return write_page(page, self.folder / PAGE_FILE)

        return printed_page(self.folder, write)


def run_study(
    study: str | Path | Mapping[str, Any] | Study,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    dask: str | None = None,
    resume: bool = False,
    keep_old: bool = False,
    progress: Callable[[Progress], None] | None = None,
    report: bool = False,
    formats: Sequence[str] = USUAL_FORMATS,
) -> bool:
    """Run a study: make the runs that its folder does not contain yet.

    Parameters
    ----------
    study, out, workers, executor, dask, resume, keep_old, progress
        See :func:`~clustersim.studies.execution.make_runs`.
    report : bool
        Whether to print progress and findings, and to write tables, figures and the page
        ``report.html``, as the command does.  If False, nothing is printed;
        :func:`clustersim.load_result` returns the tables.
    formats : sequence of str
        File formats of the figures.

    Returns
    -------
    bool
        Whether all runs are done. After an interrupt, the results so far have been written.

    Raises
    ------
    InputError
        If the study or the folder cannot be used.

    Examples
    --------
    >>> import clustersim as cs
    >>> study = {
    ...     "name": "two loads",
    ...     "base": {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
    ...     },
    ...     "parameters": {"workload.load": [0.5, 0.9]},
    ...     "replications": 2,
    ... }
    >>> cs.run_study(study, "out", workers=1)
    True
    >>> cs.load_result("out").runs["status"].unique().tolist()
    ['finished']
    """
    conducted = conduct(
        define_study(study),
        out,
        workers=workers,
        executor=executor,
        dask=dask,
        resume=resume,
        keep_old=keep_old,
        progress=progress,
        report=report,
        formats=formats,
    )
    conducted.write_page()
    return conducted.complete


def conduct(
    study: Study,
    out: str | Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    report: bool = True,
    formats: Sequence[str] = USUAL_FORMATS,
    **options: Any,
) -> Conducted:
    """Run a study as :func:`run_study` does, with the `options` of :func:`make_runs`.

    The page is not written; :meth:`Conducted.write_page` does this.
    """
    began = time.perf_counter()
    display = ProgressDisplay(report=report, progress=progress)
    if report and study.spec.question:
        print(textwrap.fill(study.spec.question, WIDTH))
    complete = make_runs(study, out, progress=display.show, **options)
    outcome = Conducted(complete, Path(out))
    if not report:
        return outcome
    display.end()
    with explained(f"all finished runs are in {out}; --resume writes the tables and figures"):
        result = load_result(out)
        if result.runs.empty:
            _remove_old(outcome.folder)
            warn("interrupted before the first run was done")
            return outcome
        if not complete:
            warn(f"interrupted; writing the results of {counted(len(result.runs), 'run')}")
        found = StudyFindings.of(result)
        figures, problems = write_results(result, outcome.folder, formats, found)
    outcome = replace(
        outcome,
        result=result,
        found=found,
        figures=tuple(figures),
        not_drawn=tuple(problems) if study.spec.plots else (),
    )
    _print_results(outcome, problems)
    print(f"{display.summary()} in {time.perf_counter() - began:.0f} s")
    for figure in figures:
        print(f"figure: {outcome.folder / f'{figure.name}.{formats[0]}'}")
    print(f"tables: {out}")
    _print_quick(result)
    return outcome


def _print_quick(result: StudyResult) -> None:
    """Print the table of a quick version again, last, with what it is not good for."""
    mark = quick_mark(result)
    if not mark:
        return
    rows = points_text(result)[:-1]
    size = mark.removeprefix("quick: ") if ":" in mark else "few short runs"
    print(f"\nQuick version ({size}): to try the script, not for conclusions")
    for line in rows:
        print(line)


def _print_results(outcome: Conducted, problems: Sequence[str]) -> None:
    """Print the answer and findings of a study, and what is wrong."""
    result, found, out = outcome.result, outcome.found, outcome.folder
    assert result is not None
    assert found is not None
    *rows, caption = points_text(result) or [""]
    for line in rows:
        print(line)
    if caption:
        print(textwrap.fill(caption, WIDTH))
    lines = [] if found.answer is None else answer_text(found.answer)
    for line in [*lines, *_findings_text(found), *found.warnings, *found.fleets.notes]:
        indent = "    " if line.startswith(" ") else "  "
        print(textwrap.fill(line, WIDTH, subsequent_indent=indent))
    failed = result.runs[result.runs["status"] == "failed"]
    for key, error in failed[["run", "error"]].head(3).itertuples(index=False):
        warn(f"failed: {error.strip().splitlines()[-1]}")
        warn(f"  redo this run alone: clustersim run --from {out} --run {key} --out redone")
    for problem in problems:
        warn(f"not drawn: {problem}")
    if not outcome.complete:
        warn(f"interrupted; continue the study in {out} with --resume")


def _findings_text(found: StudyFindings) -> list[str]:
    """Return the first findings of a study, and where all of them are."""
    sentences = found.sentences
    if len(sentences) <= MOST_FINDINGS:
        return sentences
    return [*sentences[:MOST_FINDINGS], f"findings.csv has all {len(sentences)} findings."]


def write_results(
    result: StudyResult,
    folder: Path,
    formats: Sequence[str] = USUAL_FORMATS,
    found: StudyFindings | None = None,
) -> tuple[list[NamedFigure], list[str]]:
    """Write the tables and figures of a study into its folder.

    Tables, figures and the page of an earlier version of the study are removed.

    Parameters
    ----------
    result : StudyResult
    folder : Path
    formats : sequence of str
    found : StudyFindings, optional
        What the study found, if it is known already.

    Returns
    -------
    figures : list of NamedFigure
        With the texts of their SVG files, if these were written.
    problems : list of str
        Reasons why plots could not be drawn.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    tables = {name: getattr(result, name) for name in _TABLES if name != _FINDINGS}
    tables[_FINDINGS] = findings_table(result) if found is None else found.table
    _remove_old(folder)
    for name, table in tables.items():
        if table is not None and len(table):
            _write_table(table, folder / name)
    figures, problems = draw_plots(result)
    names = [f"{figure.name}.{suffix}" for figure in figures for suffix in formats]
    with replacing(folder / _PICTURES) as draft:
        draft.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    written = []
    for figure in figures:
        save_figure(figure.figure, folder / figure.name, formats)
        written.append(replace(figure, svg=_svg_of(folder / figure.name)))
    return written, problems


def _svg_of(path: Path) -> str:
    """Return the text of the SVG file of a figure; "" if there is none."""
    try:
        return path.with_name(f"{path.name}.svg").read_text(encoding="utf-8")
    except OSError:
        return ""


def _remove_old(folder: Path) -> None:
    """Remove the tables, figures and page of an earlier version of the study, and nothing else."""
    names = {f"{name}.{suffix}" for name in _TABLES for suffix in ("csv", "parquet")}
    with write_errors(folder):
        for name in [*names, PAGE_FILE, *_old_pictures(folder), _PICTURES]:
            (folder / name).unlink(missing_ok=True)


def _old_pictures(folder: Path) -> list[str]:
    """Return the pictures that the list in the folder names, and the default names of pictures."""
    try:
        listed = (folder / _PICTURES).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        listed = []
    named = rf"\d+-({'|'.join(PLOT_KINDS.items)})"
    formats = f"({'|'.join(FORMATS)})"
    ours = re.compile(rf"{named}(-[A-Za-z0-9_.-]+)?\.{formats}")
    default = re.compile(rf"{named}\.{formats}")
    return [
        *(name for name in listed if ours.fullmatch(name)),
        *(path.name for path in folder.iterdir() if default.fullmatch(path.name)),
    ]


def _write_table(table: pd.DataFrame, path: Path) -> None:
    write_table(plain_cells(table), path.with_suffix(".csv"))
    write_table(_with_texts(table), path.with_suffix(".parquet"))


def _with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Convert columns that mix numbers and names to text; a Parquet column has one type."""
    mixed = [
        str(name)
        for name in table
        if table[name].dtype == object and table[name].dropna().map(type).nunique() > 1
    ]
    return table.assign(**{name: table[name].map(str) for name in mixed})


def write_report(folder: str | Path) -> Path:
    """Write the tables, pictures and page of a study, a run or a plan again.

    All of them are made from the same stored results by the same code, so they agree.  Files that
    this version does not write any more are removed.

    - Study: all tables, pictures (in the formats that are there) and ``report.html``, from the
      stored runs; the study may be unfinished.
    - Run: the tables that are derived from its jobs, the CSV files if there are any, and
      ``report.html``.
    - Plan: the pictures, in the formats that are there, and ``report.html``. Its tables are
      results, which stay as they are.
    - Question about a log (``what-if``): ``report.html``, from its tables.

    Returns
    -------
    Path
        The page ``report.html``.

    Raises
    ------
    InputError
        If the folder is none of these, or a file cannot be written.

    Examples
    --------
    >>> import clustersim as cs
    >>> study = {
    ...     "name": "two loads",
    ...     "base": {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
    ...     },
    ...     "parameters": {"workload.load": [0.5, 0.9]},
    ...     "replications": 2,
    ...     "plots": [{"kind": "warm-up"}],
    ... }
    >>> cs.run_study(study, "out", workers=1)
    True
    >>> cs.write_report("out").name
    'report.html'
    """
    check_kind("folder", folder, (str, Path), "a path")
    folder = Path(folder)
    if not (folder / STUDY_FILE).is_file():
        if (folder / PROVENANCE).is_file():
            return rewrite_run(folder)
        if (folder / PLAN_FILE).is_file():
            return rewrite_plan(folder)
        if (folder / DATA_FILE).is_file():
            return rewrite_what_if(folder)
    result = load_result(folder)
    for line in code_notes(result):
        note(line.removeprefix("Note: "))
    if result.runs.empty:
        _remove_old(folder)
        return write_page(study_page(result, folder, []), folder / PAGE_FILE)
    found = StudyFindings.of(result)
    figures, problems = write_results(result, folder, _formats_of(folder), found)
    for problem in problems:
        note(f"not drawn: {problem}")
    return write_page(study_page(result, folder, figures, found), folder / PAGE_FILE)


def _formats_of(folder: Path) -> Sequence[str]:
    """Return the formats of the pictures of a study; the usual ones if there are no pictures."""
    there = {Path(name).suffix.removeprefix(".") for name in _old_pictures(folder)
             if (folder / name).is_file()}  # fmt: skip
    return [name for name in FORMATS if name in there] or USUAL_FORMATS
