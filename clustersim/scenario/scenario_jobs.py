"""The jobs of a scenario: those of its log, or of its workload model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd

from clustersim.errors import InputError, named_in
from clustersim.scenario.file_names import beside
from clustersim.scenario.platform import Platform, check_classes
from clustersim.scenario.run_calendar import RunCalendar
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.scenario.sections import ScenarioWorkload
from clustersim.seeds import Streams
from clustersim.workload import JobLog, generate_jobs, read_jobs
from clustersim.workload.chains import chained
from clustersim.workload.log_resample import resampled
from clustersim.workload.log_scale import LogScale, scaled

__all__ = ["jobs_of_log", "jobs_of_model", "problems_in", "read_log", "streams_of"]


def read_log(loaded: LoadedScenario) -> JobLog | None:
    """Return the log of jobs that a scenario names; None if it does not name a log."""
    spec = loaded.scenario.workload
    if spec.trace is None:
        return None
    with named_in(loaded.source, "workload.trace"):
        path = beside(loaded.folder, spec.trace)
        log = read_jobs(path, format=spec.format, sort=spec.sort)
    known = log.jobs["job_class"].dropna().unique() if "job_class" in log.jobs else ()
    check_classes(loaded, [str(name) for name in known])
    return log


def jobs_of_model(
    loaded: LoadedScenario, platform: Platform, arrival_per_s: float | None, dated: RunCalendar
) -> pd.DataFrame:
    """Generate the jobs of a scenario's workload model at the given arrival rate."""
    scenario, workload = loaded.scenario, platform.workload
    assert workload is not None, "a scenario without a log has a workload model"
    assert arrival_per_s is not None, "a workload model has a rate"
    jobs = generate_jobs(
        workload,
        streams_of(scenario),
        n_jobs=scenario.workload.jobs,
        horizon_s=scenario.workload.duration,
        rate_scale=_rate_scale(scenario.workload, platform, arrival_per_s),
        calendar=dated.calendar,
    )
    if jobs.empty:
        raise InputError(
            loaded.source, "workload: no job arrives within the duration; increase the duration"
        )
    return jobs


def _rate_scale(spec: ScenarioWorkload, platform: Platform, arrival_per_s: float) -> float:
    """Return the arrival rate divided by the workload model's own rate."""
    if spec.load is None and spec.jobs_per_day is None:
        return 1.0
    assert platform.workload is not None, "a load needs a workload model"
    return arrival_per_s * float(platform.workload.arrivals.mean_interarrival)


def jobs_of_log(
    loaded: LoadedScenario, log: JobLog, dated: RunCalendar
) -> tuple[pd.DataFrame, list[str]]:
    """Return the jobs of a log for a replication and at a load, and what was changed.

    Copies of jobs are made before weeks are drawn again: a week that is drawn twice would otherwise
    meet its own copy, in which all jobs are submitted at the same instants.  Compression changes
    the length of weeks and therefore comes last.
    """
    spec, streams, calendar = loaded.scenario.workload, streams_of(loaded.scenario), dated.calendar
    linked = []
    if spec.chains:
        table, note = chained(log.jobs)
        log, linked = replace(log, jobs=table), [note]
    jobs = whole = log.whole
    notes: list[str] = []
    copies = isinstance(spec.scale, LogScale) and spec.scale.method != "compress"
    with problems_in(loaded.source):
        if copies:
            jobs, notes = scaled(jobs, spec.scale, calendar, streams)
        jobs, drawn = resampled(jobs, calendar, streams, spec.resample, log=whole)
        if not copies:
            jobs, notes = scaled(jobs, spec.scale, calendar, streams)
    if len(whole) < len(log.jobs):  # the jobs that were there when the log begins are so always
        early = log.jobs.iloc[: len(log.jobs) - len(whole)]
        jobs = pd.concat([early, jobs], ignore_index=True)
    return jobs, [*linked, *([drawn] if drawn else []), *notes]


@contextmanager
def problems_in(source: str) -> Iterator[None]:
    """Name the scenario's file in the errors about one of its fields."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error.source}", error.problems) from error.__cause__


def streams_of(scenario: Scenario) -> Streams:
    """Return the random streams for a scenario's seed and replication."""
    return Streams(scenario.seed, replication=scenario.replication)
