"""The HTML page of a forecast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.forecasting.constraints import CONSTRAINTS
from clustersim.forecasting.result import Forecast, write_forecast
from clustersim.outputs import PAGE_FILE
from clustersim.plots.forecast import MOST_ROWS, draw_forecast
from clustersim.plots.parts.page_picture import page_picture
from clustersim.report.made_with import made_with, reproduction
from clustersim.report.of_forecast.answer import forecast_answer
from clustersim.report.page import Figure, Listing, Page, Section, Table, write_page
from clustersim.report.words.definitions import policy_terms, terms_of
from clustersim.simulation.result import versions
from clustersim.units import capital, counted, format_count

__all__ = ["forecast_page", "save_forecast"]

_MOST_PARTITIONS = 6
_ORDER = "In the order of the queue."
_ORDER_OF_ASKED = "The jobs that were asked about, then the others, in the order of the queue."
_LATER = ("", "later than can be said")


def save_forecast(
    found: Forecast,
    folder: Path,
    *,
    csv: bool = False,
    command: str = "",
    seed: int | None = None,
    report: bool = True,
    first: Sequence[str] = (),
) -> Path | None:
    """Write the tables and the page of a forecast into an empty folder.

    Parameters
    ----------
    found : Forecast
    folder : Path
    csv : bool
        Whether to write each table as CSV, too.
    command : str
        The command that made it.
    seed : int, optional
        Its seed.
    report : bool
        Whether to write the page.
    first : sequence of str
        Jobs that the page shows before the others.

    Returns
    -------
    Path or None
        The page, if it was written.
    """
    write_forecast(found, folder, csv=csv)
    if not report:
        return None
    page = forecast_page(found, command, seed, csv=csv, first=first)
    return write_page(page, folder / PAGE_FILE)


def forecast_page(
    found: Forecast,
    command: str = "",
    seed: int | None = None,
    *,
    csv: bool = False,
    first: Sequence[str] = (),
) -> Page:
    """Return the page of a forecast; the parameters are those of :func:`save_forecast`."""
    jobs = counted(len(found.jobs), "waiting job")
    dated = found.calendar.is_dated
    now = f" after {found.calendar.text(found.now_s)}" if dated else ""
    sections = [
        Section("Start of waiting jobs", [*_starts(found, "csv" if csv else "parquet", first)]),
        Section("What the jobs wait for", [*_constraints(found)]),
        Section("Partitions", [_partitions(found, "csv" if csv else "parquet")]),
        Section("Assumptions and notes", [*_notes(found)]),
        Section("Reproduction", [*reproduction(versions(), command, {}, same="the same forecast")]),
    ]
    return Page(
        title=f"Forecast of {Path(found.state.source).name}",
        question=f"When do{'es' * (len(found.jobs) == 1)} {jobs} start{now}?",
        lead=[],
        sections=[section for section in sections if section.parts],
        footer=made_with(versions(), seed),
        answer=forecast_answer(found, first),
    )


def _starts(found: Forecast, suffix: str, first: Sequence[str]) -> Iterator[str | Figure | Table]:
    """Yield a figure for each of the partitions in which most jobs wait, and the table."""
    if found.jobs.empty:
        yield "No job with accelerators waits."
        return
    asked = found.jobs["job_id"].isin(list(first))
    jobs = found.jobs.iloc[np.argsort(~asked.to_numpy(dtype=bool), kind="stable")]
    file = f"forecast.{suffix}"
    known = jobs[jobs["median_s"].notna()]
    later = known[(known["high_s"] > 0) | known["high_s"].isna()]
    if now := len(known) - len(later):
        yield f"{counted(now, 'job')} can start now in almost all replications: not drawn."
    known = later
    counts = (
        known.groupby("partition", sort=False).size().sort_values(ascending=False, kind="stable")
    )
    of_asked = counts.index.isin(known.loc[known["job_id"].isin(list(first)), "partition"])
    counts = counts.iloc[np.argsort(~of_asked, kind="stable")]
    shown = counts.index[:_MOST_PARTITIONS]
    for name in shown:
        own = known[known["partition"] == name]
        figure = draw_forecast(own, calendar=found.calendar, now_s=found.now_s)
        title = f"Partition {name}" if name else "Intervals in the order of the queue"
        asked_here = own["job_id"].isin(list(first)).any()
        order = " The jobs that were asked about come first." if asked_here else ""
        yield Figure(title, page_picture(figure), f"{figure.caption}{order}{_left(own, file)}")
    if len(counts) > len(shown):
        left = counts.index[len(shown) :]
        few = counted(len(left), "partition")
        yield f"Not drawn: {few} with fewer waiting jobs; see the table."
    yield _table(found, jobs, file, asked=bool(asked.any()))


def _left(jobs: pd.DataFrame, file: str) -> str:
    """Return how many jobs a picture leaves out, and where they are."""
    left = len(jobs) - MOST_ROWS
    if left <= 0:
        return ""
    return (
        f" Drawn are the first {MOST_ROWS} of {len(jobs):,} jobs; the other {left:,} are in the "
        f"table below and in {file}."
    )


def _table(found: Forecast, jobs: pd.DataFrame, file: str, *, asked: bool) -> Table:
    high = jobs["high_s"].where(jobs["high_s"].notna() | jobs["median_s"].isna(), np.inf)
    frame = jobs[["job_id", "partition", "user", "n_accelerators"]].assign(
        start_s=jobs["median_s"], start_s_low=jobs["low_s"], start_s_high=high
    )
    if found.calendar.is_dated:
        for name in ("median", "low", "high"):
            frame[name] = jobs[name].str.slice(0, 16).str.replace("T", " ", regex=False)
    frame = frame.assign(constraint=jobs["constraint"], detail=jobs["detail"])
    for name in ("partition", "user"):
        if (frame[name] == "").all():
            frame = frame.drop(columns=name)
    return Table(
        "Waiting jobs",
        frame,
        f"{_ORDER_OF_ASKED if asked else _ORDER} Starts are from now: median, and 5 % to 95 % in "
        "parentheses." + (" Dates are local." if found.calendar.is_dated else ""),
        labels={
            "job_id": "job",
            "n_accelerators": "accelerators",
            "start_s": "starts in",
            "median": "date (median)",
            "low": "not before (5 %)",
            "high": "not after (95 %)",
            "constraint": "waits for",
            "detail": "explanation",
        },
        formats={"n_accelerators": format_count},
        file=file,
        endless={"start_s": _LATER},
    )


def _constraints(found: Forecast) -> Iterator[Table]:
    if found.jobs.empty:
        return
    grouped = found.jobs.groupby("constraint")
    rows = [
        {"constraint": kind, "meaning": meaning, "jobs": len(own), "accelerators": int(own.sum())}
        for kind, meaning in CONSTRAINTS.items()
        if kind in grouped.groups
        for own in [grouped.get_group(kind)["n_accelerators"]]
    ]
    yield Table(
        "Constraints",
        pd.DataFrame(rows),
        "Each job is counted once, by what delays it most in half of the replications or more.",
        labels={"constraint": "waits for", "accelerators": "accelerators asked for"},
        formats={"jobs": format_count, "accelerators": format_count},
    )


def _partitions(found: Forecast, suffix: str) -> Table:
    table = found.partitions
    return Table(
        "Running and waiting jobs",
        table.assign(partition=table["partition"].replace("", "(none)")),
        "All jobs of the state, also those without accelerators.",
        labels={
            "running_jobs": "running",
            "running_accelerators": "accelerators in use",
            "waiting_jobs": "waiting",
            "waiting_accelerators": "accelerators asked for",
        },
        formats={str(name): format_count for name in table.columns if name != "partition"},
        file=f"partitions.{suffix}",
    )


def _notes(found: Forecast) -> Iterator[str | Listing]:
    for note in (*found.assumptions, *found.state.notes):
        yield f"{capital(note)}."
    if found.calendar.is_dated:
        yield f"Now is {found.calendar.text(found.now_s)}" + (
            f" ({found.calendar.time_zone})." if found.calendar.time_zone else "."
        )
    if found.state.left_out:
        rows = "\n".join(f"row {row}: {reason}" for row, reason in found.state.left_out)
        yield Listing("Rows left out", rows)
    if terms := terms_of(policy_terms([found.policy])):
        yield terms
