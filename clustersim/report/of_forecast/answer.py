"""The answer of a forecast, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.forecasting.result import Forecast
from clustersim.forecasting.shared_limits import LIMITS_ASSUMED
from clustersim.forecasting.summary_text import (
    ADD_DEPENDENCIES,
    COULD_START,
    NOTHING_RUNS,
    sentence,
    sentence_of_asked,
    unnamed_jobs,
)
from clustersim.report.page import Answer
from clustersim.units import capital, counted, format_duration

__all__ = ["forecast_answer"]

_NO_LOG = "no log of the site is given"
_WIDE = 4.0
"""An interval is called wide if its upper end is more than this many times its lower end."""


def forecast_answer(found: Forecast, asked: Sequence[str] = ()) -> Answer:
    """Return the answer card of a forecast: the last job to start, and what that depends on.

    Parameters
    ----------
    found : Forecast
    asked : sequence of str
        The jobs that are asked about; by default all.
    """
    own = found.jobs[found.jobs["job_id"].isin(list(asked))] if asked else found.jobs
    jobs = own[own["median_s"] > 0]
    text = sentence(found.jobs, found.foreign)
    if asked:
        text = f"{sentence_of_asked(own)} In all, {text}"
    if jobs.empty:
        return Answer(text, hinges_on=[*_hinges(found)], next_steps=[*_next_steps(found)])
    last = jobs.iloc[int(jobs["median_s"].argmax())]
    value = f"in {format_duration(last['median_s'])}"
    if found.calendar.is_dated:
        value = found.calendar.text(found.now_s + float(last["median_s"]))
    ends = [
        _when(found, float(last["low_s"])),
        _when(found, float(last["high_s"])) if np.isfinite(last["high_s"]) else "an unknown time",
    ]
    return Answer(
        text,
        f"start of {'' if len(own) == 1 else 'the last '}job {last['job_id']}",
        value,
        f"90 % interval {ends[0]} to {ends[1]}, over {counted(len(found.start_s), 'replication')}",
        [*_hinges(found)],
        [*_next_steps(found)],
    )


def _when(found: Forecast, seconds: float) -> str:
    if found.calendar.is_dated:
        return found.calendar.text(found.now_s + seconds)
    return format_duration(seconds)


def _has_log(found: Forecast) -> bool:
    return not any(_NO_LOG in each for each in found.assumptions)


def _hinges(found: Forecast) -> Iterator[str]:
    """Yield what the forecast depends on."""
    for note in found.without_room:
        yield f"The size of the cluster: {note}."
    for note in found.assumptions:
        if note == NOTHING_RUNS or note.startswith((COULD_START, LIMITS_ASSUMED)):
            yield f"{capital(note)}."
    if not _has_log(found):
        yield "The run times: without a log, those of two public logs are assumed."
    else:
        yield "The run times: jobs of a user run as those in the log did."
    yield f"The policy {found.policy}, and the order of the queue."
    if "no further jobs arrive" in found.assumptions:
        yield "No further jobs: jobs that arrive later may start first."


def _next_steps(found: Forecast) -> Iterator[str]:
    if found.foreign:
        yield (
            "Name the partitions of the jobs under queues of the pools, or give their sizes with "
            "--accelerators PARTITION=N,..."
        )
    if found.without_room:
        yield "Correct the cluster: its pools, their sizes, and the partitions in their queues."
    if not _has_log(found):
        yield "Give the log of the site with --history, which narrows the intervals."
    wide = found.jobs["high_s"] > _WIDE * found.jobs["low_s"].clip(lower=60.0)
    if _has_log(found) and wide.any():
        yield (
            f"Forecast again later: {counted(int(wide.sum()), 'job has', 'jobs have')} a wide "
            "interval, which narrows as running jobs end."
        )
    if unnamed_jobs(found.jobs):
        yield f"{ADD_DEPENDENCIES}."
    held = int((found.jobs["constraint"] == "held").sum())
    if held:
        yield f"Release {counted(held, 'job')} that the scheduler holds, if they are to start."
