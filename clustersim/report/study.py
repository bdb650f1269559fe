"""Run a study from its file, write its tables and figures, and print its findings."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.console import shows_progress, warn
from clustersim.errors import check_kind
from clustersim.notes import note
from clustersim.outputs import replacing
from clustersim.plots.style import FORMATS, save_figure
from clustersim.report.findings import code_notes, findings_table, warnings
from clustersim.report.page import answer_text, write_page
from clustersim.report.plan_page import PLAN_FILE, write_plan_page
from clustersim.report.points_text import points_text
from clustersim.report.run_page import write_run_page
from clustersim.report.study_answer import study_answer
from clustersim.report.study_figures import NamedFigure, draw_plots, picture_file
from clustersim.report.study_page import fleet_notes, study_page
from clustersim.simulation.result import PROVENANCE
from clustersim.spreadsheets import plain_cells
from clustersim.studies.execution import STUDY_FILE, Progress, make_runs
from clustersim.studies.plot_kinds import PLOT_KINDS
from clustersim.studies.study import Study, define_study
from clustersim.studies.study_result import StudyResult, load_result
from clustersim.units import counted

__all__ = ["Conducted", "conduct", "run_study", "write_report", "write_results"]

SHOW_EVERY_S = 10.0
WIDTH = 100
MOST_FINDINGS = 6
"""Number of findings to print; the table contains all of them."""


@dataclass(frozen=True)
class Conducted:
    """Outcome of a study.

    Attributes
    ----------
    complete : bool
        Whether all runs are done.
    not_drawn : tuple of str
        Reasons why plots that the study requests could not be drawn.
    result : StudyResult or None
        The result that was reported; None without a report or without runs.
    """

    complete: bool
    not_drawn: tuple[str, ...] = ()
    result: StudyResult | None = None


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
    formats: Sequence[str] = ("png", "svg"),
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
    return conduct(
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
    ).complete


def conduct(
    study: Study,
    out: str | Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    report: bool = True,
    page: bool = True,
    formats: Sequence[str] = ("png", "svg"),
    **options: Any,
) -> Conducted:
    """Run a study as :func:`run_study` does, with the `options` of :func:`make_runs`.

    With `report`, `page` states whether to write the page ``report.html``, too.
    """
    began = time.perf_counter()
    display = _ProgressDisplay(report=report, progress=progress)
    if report and study.spec.question:
        print(textwrap.fill(study.spec.question, WIDTH))
    complete = make_runs(study, out, progress=display.show, **options)
    if not report:
        return Conducted(complete)
    display.end()
    result = load_result(out)
    problems = _report(
        result,
        Path(out),
        formats,
        complete=complete,
        done=display.summary(),
        began=began,
        page=page,
    )
    return Conducted(
        complete,
        tuple(problems) if study.spec.plots else (),
        None if result.runs.empty else result,
    )


def _report(
    result: StudyResult,
    out: Path,
    formats: Sequence[str],
    *,
    complete: bool,
    done: str,
    began: float,
    page: bool,
) -> list[str]:
    """Write the tables, figures and page of a study, and print its answer and findings.

    Returns
    -------
    list of str
        Reasons why plots could not be drawn.
    """
    if result.runs.empty:
        warn("interrupted before the first run was done")
        return []
    if not complete:
        warn(f"interrupted; writing the results of {counted(len(result.runs), 'run')}")
    try:
        figures, problems = write_results(result, out, formats)
    except KeyboardInterrupt:
        incomplete = "the tables and figures there are incomplete; --resume writes them"
        print(f"all finished runs are in {out}; {incomplete}", file=sys.stderr)
        raise
    for line in points_text(result):
        print(line)
    answer = study_answer(result)
    lines = [] if answer is None else answer_text(answer)
    for line in [*lines, *_findings_text(result), *warnings(result), *fleet_notes(result)]:
        indent = "    " if line.startswith(" ") else "  "
        print(textwrap.fill(line, WIDTH, subsequent_indent=indent))
    failed = result.runs[result.runs["status"] == "failed"]
    for key, error in failed[["run", "error"]].head(3).itertuples(index=False):
        warn(f"failed: {error.strip().splitlines()[-1]}")
        warn(f"  redo this run alone: clustersim run --from {out} --run {key} --out redone")
    for problem in problems:
        warn(f"not drawn: {problem}")
    if not complete:
        warn(f"interrupted; continue the study in {out} with --resume")
    print(f"{done} in {time.perf_counter() - began:.0f} s")
    for figure in figures:
        print(f"figure: {out / f'{figure.name}.{formats[0]}'}")
    print(f"tables: {out}")
    if page:
        pictures = {
            figure.name: (out / f"{figure.name}.svg").read_text(encoding="utf-8")
            for figure in figures
            if "svg" in formats
        }
        contents = study_page(result, out, figures, pictures)
        print(f"page: {write_page(contents, out / 'report.html')}")
    return problems


def _findings_text(result: StudyResult) -> list[str]:
    """Return the first findings of a study, and where the others are."""
    found = findings_table(result)["finding"].tolist()
    more = len(found) - MOST_FINDINGS
    if more <= 0:
        return found
    return [*found[:MOST_FINDINGS], f"{counted(more, 'more finding is', 'more findings are')} in "
            "findings.csv."]  # fmt: skip


def write_results(
    result: StudyResult, folder: Path, formats: Sequence[str] = ("png", "svg")
) -> tuple[list[NamedFigure], list[str]]:
    """Write the tables and figures of a study into its folder.

    Returns
    -------
    figures : list of NamedFigure
    problems : list of str
        Reasons why plots could not be drawn.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    tables = {
        "runs": result.runs,
        "points": result.points,
        "capacities": result.capacities,
        "gains": result.gains,
        "differences": result.differences,
        "indices": result.indices,
        "findings": findings_table(result),
    }
    _remove_old(folder, tables)
    for name, table in tables.items():
        if table is not None and len(table):
            _write_table(table, folder / name)
    figures, problems = draw_plots(result)
    for figure in figures:
        save_figure(figure.figure, folder / figure.name, formats)
    return figures, problems


def _remove_old(folder: Path, tables: Iterable[str]) -> None:
    """Remove the tables and figures of an earlier version of the study, and nothing else."""
    names = {f"{name}.{suffix}" for name in tables for suffix in ("csv", "parquet")}
    picture = picture_file(PLOT_KINDS.items, FORMATS)
    for path in folder.iterdir():
        if path.name in names or picture.fullmatch(path.name):
            path.unlink()


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with replacing(path.with_suffix(".csv")) as draft:
        plain_cells(table).to_csv(draft, index=False)
    with replacing(path.with_suffix(".parquet")) as draft:
        _with_texts(table).to_parquet(draft, index=False)


def _with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Convert columns that mix numbers and names to text; a Parquet column has one type."""
    mixed = [
        str(name)
        for name in table
        if table[name].dtype == object and table[name].dropna().map(type).nunique() > 1
    ]
    return table.assign(**{name: table[name].map(str) for name in mixed})


def write_report(folder: str | Path) -> Path:
    """Write the page ``report.html`` into the folder of a study, a run or a plan.

    The page of a study is made from the runs stored there; the study may be unfinished.

    Raises
    ------
    InputError
        If the folder is none of these, or the page cannot be written.

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
            return write_run_page(folder)
        if (folder / PLAN_FILE).is_file():
            return write_plan_page(folder)
    result = load_result(folder)
    for line in code_notes(result):
        note(line.removeprefix("Note: "))
    figures, problems = draw_plots(result) if len(result.runs) else ([], [])
    for problem in problems:
        note(f"not drawn: {problem}")
    return write_page(study_page(result, folder, figures), folder / "report.html")


class _ProgressDisplay:
    """Shows progress on one line of a terminal, or at intervals in a pipe; calls `progress`."""

    def __init__(self, *, report: bool, progress: Callable[[Progress], None] | None) -> None:
        self._reports, self._progress = report and shows_progress(), progress
        self._last: Progress | None = None
        self._shown_at = time.perf_counter()
        self._on_terminal = sys.stderr.isatty()

    def show(self, now: Progress) -> None:
        """Show the progress if the last update is old enough."""
        self._last = now
        if self._progress is not None:
            self._progress(now)
        if not self._reports:
            return
        passed = time.perf_counter() - self._shown_at
        if self._on_terminal:
            if passed > 0.1 or now.done == now.planned:
                self._shown_at = time.perf_counter()
                print(f"\r\033[K{now.text}", end="", file=sys.stderr, flush=True)
        elif passed > SHOW_EVERY_S:
            self._shown_at = time.perf_counter()
            print(now.text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the progress line."""
        if self._on_terminal and self._reports:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """Return how many runs were done, reused and failed, as text."""
        if self._last is None:
            return "no run"
        reused = f", {self._last.reused:,} of them reused" if self._last.reused else ""
        if self._last.kept_old:
            reused += f" ({self._last.kept_old:,} made by different code)"
        failed = f", {self._last.failed:,} failed" if self._last.failed else ""
        return f"{counted(self._last.done, 'run')}{reused}{failed}"
