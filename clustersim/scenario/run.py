"""Running a scenario: from its file to a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.availability.checkpointing import recovery_in
from clustersim.availability.events import what_happens
from clustersim.availability.serving import service_demands
from clustersim.calendar import Calendar
from clustersim.costs.accounts import open_accounts
from clustersim.errors import InputError, named_in
from clustersim.scenario.assumed import assumption_lines, with_assumptions
from clustersim.scenario.file_names import beside, full_paths
from clustersim.scenario.fleet import Fleet, check_classes, open_fleet, reference_chip
from clustersim.scenario.run_calendar import RunCalendar, run_calendar
from clustersim.scenario.scenario import LoadedScenario, Scenario, load_scenario
from clustersim.seeds import Streams
from clustersim.simulation.load import sustainable_rate
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.simulation.software import dated_ports
from clustersim.workload import JobLog, generate_jobs, read_jobs

__all__ = [
    "arrival_rate_per_s",
    "resolved",
    "run",
    "run_scenario",
    "scenario_calendar",
    "scenario_jobs",
    "sustainable_per_s",
]


SECONDS_PER_DAY = 86400.0


def run(
    path: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario file.

    Parameters
    ----------
    path : str or Path
        The file.
    changes : mapping or sequence of str
        See :func:`~clustersim.scenario.scenario.load_scenario`.
    check : bool
        Whether to check the invariants after every scheduling pass (slow).
    progress : callable, optional
        Called now and then with the number of jobs that have ended, and of all.

    Raises
    ------
    InputError
        If something of the scenario cannot be used.
    """
    return run_scenario(load_scenario(path, changes), check=check, progress=progress)


def run_scenario(
    loaded: LoadedScenario,
    *,
    fleet: Fleet | None = None,
    sustainable: float | None = None,
    by_node: bool = True,
    account_dates_s: Callable[[Calendar], Sequence[float]] | None = None,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario that is already read; see :func:`run`.

    `fleet` is what :func:`open_fleet` gave for it and `sustainable` what
    :func:`sustainable_per_s` did, to save finding them again; for `by_node` see
    :func:`~clustersim.simulation.simulate.simulate`; `account_dates_s` gives the dates of
    :meth:`~clustersim.costs.accounts.Accounts.settle` on the calendar of the run.
    """
    scenario = loaded.scenario
    fleet = fleet or open_fleet(loaded)
    arrival_per_s = arrival_rate_per_s(loaded, fleet, sustainable=sustainable)
    jobs, log = scenario_jobs(loaded, fleet, arrival_per_s)
    dated = scenario_calendar(loaded, log)
    calendar = dated.calendar
    streams = Streams(scenario.seed, replication=scenario.replication)
    with _fields_named(loaded):
        demands = service_demands(scenario.serving, fleet.cluster, scenario.horizon, calendar)
        accounts = open_accounts(
            scenario.energy,
            scenario.money,
            fleet.cluster,
            fleet.catalogue,
            spares=_spares(scenario),
            calendar=calendar,
        )
        happens = what_happens(
            scenario.failures,
            scenario.supply,
            fleet.cluster,
            streams,
            catalogue=fleet.catalogue,
            demands=demands,
            horizon_s=scenario.horizon,
        )
        recovery = None
        if happens is not None:
            recovery = recovery_in(scenario.failures, fleet.cluster, jobs, fleet.catalogue)
        result = simulate(
            jobs,
            fleet.cluster,
            scheduling_of(scenario, loaded.folder),
            catalogue=fleet.catalogue,
            reference_accelerator=reference_chip(scenario, fleet.workload),
            reference_models=scenario.workload.reference_models,
            world=fleet.world,
            precision=scenario.performance.precision,
            ports=dated_ports(scenario.software, jobs, fleet.catalogue, streams, calendar),
            demands=demands,
            outages=happens,
            recovery=recovery,
            horizon_s=scenario.horizon,
            by_node=by_node,
            check=check,
            progress=progress,
            provenance=_provenance(loaded, fleet, arrival_per_s, log, dated),
        )
    dates_s = () if account_dates_s is None else account_dates_s(calendar)
    return accounts.settle(result, dates_s=dates_s)


def scenario_calendar(loaded: LoadedScenario, log: JobLog | None) -> RunCalendar:
    """Return the calendar of a scenario and its log; see :func:`run_calendar`.

    Raises
    ------
    InputError
        If the scenario has a time zone and no date is known.
    """
    scenario = loaded.scenario
    clock = None if log is None else log.origin
    return run_calendar(scenario.start, scenario.time_zone, clock, source=loaded.source)


def _provenance(
    loaded: LoadedScenario,
    fleet: Fleet,
    arrival_per_s: float | None,
    log: JobLog | None,
    dated: RunCalendar,
) -> dict[str, Any]:
    """What is kept with a result, so that it can be made again."""
    scenario = loaded.scenario
    told: dict[str, Any] = {
        "scenario": resolved(scenario, fleet, loaded.folder),
        "seed": scenario.seed,
        "calendar": dated.document(),
    }
    if arrival_per_s is not None:
        told["arrival_rate_per_s"] = arrival_per_s
    assumptions = assumption_lines(scenario, fleet.cluster, fleet.catalogue)
    if assumptions:
        told["assumptions"] = assumptions
    built = [
        f"Note: pool {pool.name}: {note}" for pool in fleet.cluster.pools for note in pool.notes
    ]
    if built:
        told["topology"] = built
    if log is not None:
        told["log"] = log.report().splitlines()
    return told


def scheduling_of(scenario: Scenario, folder: str | Path = ".") -> Scheduling:
    """Return the scheduling that a scenario asks for."""
    scheduler = scenario.scheduler
    return Scheduling(
        policy=scheduler.policy,
        placement=scheduler.placement,
        choose=scheduler.choose,
        wait_for_best=scheduler.wait_for_best,
        exact_estimates=scheduler.estimates == "exact",
        folder=folder,
    )


def sustainable_per_s(loaded: LoadedScenario, fleet: Fleet) -> float:
    """Find the arrival rate (jobs/s) at which the offered load of a scenario's workload is 1.

    Raises
    ------
    InputError
        If no job of the workload can run on the cluster.
    """
    scenario = loaded.scenario
    assert fleet.workload is not None, "only a workload model has an offered load"
    with named_in(loaded.source, "workload.load"):
        expected = _expected(loaded, fleet)
        return sustainable_rate(
            fleet.workload,
            expected.cluster,
            expected.catalogue,
            reference_accelerator=reference_chip(scenario, fleet.workload),
            reference_models=scenario.workload.reference_models,
            world=expected.world,
            precision=scenario.performance.precision,
            choose=scenario.scheduler.choose,
            wait_for_best=scenario.scheduler.wait_for_best,
        )


def arrival_rate_per_s(
    loaded: LoadedScenario, fleet: Fleet, *, sustainable: float | None = None
) -> float | None:
    """Mean arrival rate (jobs/s) of a scenario's workload model; None for a log."""
    if fleet.workload is None:
        return None
    load, jobs_per_day = loaded.scenario.workload.load, loaded.scenario.workload.jobs_per_day
    if jobs_per_day is not None:
        return jobs_per_day / SECONDS_PER_DAY
    if load is None:
        return 1.0 / float(fleet.workload.arrivals.mean_interarrival)
    return load * (sustainable_per_s(loaded, fleet) if sustainable is None else sustainable)


def scenario_jobs(
    loaded: LoadedScenario, fleet: Fleet, arrival_per_s: float | None = None
) -> tuple[pd.DataFrame, JobLog | None]:
    """Read or generate the jobs of a scenario, at `arrival_per_s` jobs per second if given.

    Raises
    ------
    InputError
        If a log cannot be read.
    """
    scenario, workload = loaded.scenario, loaded.scenario.workload
    if workload.trace is not None:
        with named_in(loaded.source, "workload.trace"):
            path = beside(loaded.folder, workload.trace)
            log = read_jobs(path, format=workload.format, sort=workload.sort)
        known = log.jobs["job_class"].dropna().unique() if "job_class" in log.jobs else ()
        check_classes(loaded, [str(name) for name in known])
        return _at_scale(log.jobs, workload.scale), log
    assert fleet.workload is not None, "a scenario without a log has a workload model"
    rate = arrival_per_s or arrival_rate_per_s(loaded, fleet) or 0.0
    scale = 1.0
    if workload.load is not None or workload.jobs_per_day is not None:
        scale = rate * fleet.workload.arrivals.mean_interarrival
    streams = Streams(scenario.seed, replication=scenario.replication)
    jobs = generate_jobs(
        fleet.workload,
        streams,
        n_jobs=workload.jobs,
        horizon_s=workload.duration,
        rate_scale=scale,
        calendar=scenario_calendar(loaded, None).calendar,
    )
    if jobs.empty:
        raise InputError(loaded.source, "workload: no job arrives before its duration is over")
    return jobs, None


def _at_scale(jobs: pd.DataFrame, scale: float | None) -> pd.DataFrame:
    """Jobs of a log whose arrival rate is multiplied, from its first submission on."""
    if scale is None or scale == 1 or jobs.empty:
        return jobs
    first = jobs["submit_s"].iloc[0]
    return jobs.assign(submit_s=first + (jobs["submit_s"] - first) / scale)


def _expected(loaded: LoadedScenario, fleet: Fleet) -> Fleet:
    """Return the fleet of the posterior mean, on which all draws take their offered load."""
    if loaded.scenario.performance.draw is None:
        return fleet
    performance = loaded.scenario.performance.model_copy(update={"draw": None})
    scenario = loaded.scenario.model_copy(update={"performance": performance})
    return open_fleet(dataclasses.replace(loaded, scenario=scenario))


def resolved(scenario: Scenario, fleet: Fleet, folder: str | Path = ".") -> dict[str, Any]:
    """Return the scenario with all that its names stand for, as plain data.

    Running it again gives the same tables, in any folder of this machine: files of
    jobs, chips, policies and placements keep their place by their full path.
    """
    scenario = with_assumptions(scenario, fleet.catalogue.assumptions)
    data = full_paths(scenario.model_dump(mode="json", exclude_none=True), folder)
    data["cluster"] = fleet.spec.model_dump(mode="json", exclude_none=True)
    if fleet.workload is not None:
        data["workload"]["generate"] = fleet.workload.model_dump(mode="json", exclude_none=True)
    return data


def _spares(scenario: Scenario) -> Mapping[str, int]:
    """Hot spares of a scenario by pool, nodes."""
    failures = scenario.failures
    return {} if failures is None or failures.spares is None else failures.spares.nodes


_FIELDS = {
    "policy": "scheduler.policy",
    "placement": "scheduler.placement",
    "failures": "failures",
    "supply": "supply",
    "software": "software",
    "serving": "serving",
    "energy": "energy",
    "money": "money",
    "scheduler.choose": "scheduler.choose",
    "jobs": "workload",
    "catalogue": "workload",
}
"""Field of the scenario that holds what a fault of the simulation is about."""


@contextmanager
def _fields_named(loaded: LoadedScenario) -> Iterator[None]:
    """Say of faults that the simulation finds which field of the scenario holds them."""
    try:
        yield
    except InputError as error:
        if error.source not in _FIELDS:
            raise
        source = f"{loaded.source}: {_FIELDS[error.source]}"
        raise InputError(source, error.problems) from error.__cause__
