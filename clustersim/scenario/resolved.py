"""A scenario with everything that a run needs; each part is computed only once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from clustersim.availability.checkpointing import recovery_in
from clustersim.availability.events import what_happens
from clustersim.availability.serving import ServiceDemand, service_demands
from clustersim.availability.windows import planned_windows
from clustersim.brief import Brief
from clustersim.calendar import Calendar
from clustersim.catalogue import Catalogue
from clustersim.costs.run_costs import RunCosts, open_costs
from clustersim.engine.recovery import Recovery
from clustersim.engine.window_driver import maintenance_events
from clustersim.errors import InputError, named_in
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.run_calendar import RunCalendar, run_calendar
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.scenario.scenario_jobs import jobs_of_log, jobs_of_model, read_log, streams_of
from clustersim.simulation.load import OfferedWork, offered_work
from clustersim.simulation.networked.network_model import NetworkModel, network_model
from clustersim.simulation.networked.run_faults import RunFaults
from clustersim.simulation.partition_names import with_queues
from clustersim.simulation.runtimes import Runtimes, find_runtimes
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import NodeEvents
from clustersim.simulation.software import dated_ports, with_software
from clustersim.simulation.windows import NOTHING_PLANNED, Planned
from clustersim.topology import Cluster
from clustersim.units import format_number
from clustersim.workload import JobLog

__all__ = [
    "ResolvedScenario",
    "fields_named",
    "offered_work_of",
    "resolve",
    "run_times_of",
    "scheduling_of",
]

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, repr=False)
class ResolvedScenario(Brief):
    """A scenario with everything that a run needs, as returned by :func:`resolve`.

    Attributes
    ----------
    loaded : LoadedScenario
        The validated scenario and its origin.
    platform : Platform
        Catalogue, cluster, workload model and speeds.
    scheduling : Scheduling
        Policy, placement, and the choice among pools.
    arrival_per_s : float or None
        Mean arrival rate of the workload model, jobs/s; None for a log.
    log : JobLog or None
        The log of jobs as it was read, with the queues of the cluster where namespaces tell them
        apart, and notes on what the scenario changes; None if a workload model generates the jobs.
    jobs : pandas.DataFrame
        The table of jobs from the log or the workload model.
    dated : RunCalendar
        The calendar of the run, and the origin of its date.
    run_times : Runtimes
        Run time of each job on each pool, with the software available when the job is submitted,
        at the ideal placement if the network is simulated.
    services : list of ServiceDemand
        Inference services and the nodes that they need in each hour.
    costs : RunCosts
        Inputs of the energy use and cost of the run.

    Examples
    --------
    >>> from clustersim.scenario.scenario import load_scenario
    >>> resolved = resolve(load_scenario("mixed_small.yaml", {"workload.jobs": 100}))
    >>> len(resolved.jobs), resolved.run_times.run_s.shape
    (100, (4, 100))
    """

    loaded: LoadedScenario
    platform: Platform
    scheduling: Scheduling
    arrival_per_s: float | None
    log: JobLog | None
    jobs: pd.DataFrame
    dated: RunCalendar
    run_times: Runtimes
    services: list[ServiceDemand]
    costs: RunCosts

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title, facts = self.loaded._brief()
        rate = math.nan if self.arrival_per_s is None else self.arrival_per_s * SECONDS_PER_DAY
        return f"Resolved{title}", {
            **facts,
            "accelerators": f"{self.cluster.n_chips:,}",
            "jobs": f"{len(self.jobs):,}",
            "arrival rate": "" if math.isnan(rate) else f"{format_number(rate)} jobs a day",
        }

    @property
    def scenario(self) -> Scenario:
        """The scenario itself."""
        return self.loaded.scenario

    @property
    def catalogue(self) -> Catalogue:
        """Chips, models and planning assumptions."""
        return self.platform.catalogue

    @property
    def cluster(self) -> Cluster:
        """The compiled topology."""
        return self.platform.cluster

    @cached_property
    def network(self) -> NetworkModel | None:
        """The network and its faults; None if it is not simulated.

        Raises
        ------
        InputError
            If the cluster has no topology, or the faults contain an unknown name.
        """
        return network_model(
            self.scenario.network,
            self.cluster,
            streams=streams_of(self.scenario),
            horizon_s=self.scenario.horizon,
        )

    @property
    def network_faults(self) -> RunFaults | None:
        """The faults of the network; None if nothing fails there."""
        return None if self.network is None else self.network.faults

    def node_events(self) -> NodeEvents | None:
        """Return a new sequence of node events; None if no event is possible.

        Nodes that faults cut off from the network are not among them.

        Raises
        ------
        InputError
            If failures, supply or windows contain an unknown name.
        """
        planned = self._planned()
        absent = maintenance_events(planned.windows)
        if self.services and self.network_faults is not None:
            absent += self.network_faults.node_events()
        happens = what_happens(
            self.scenario.failures,
            self.scenario.supply,
            self.cluster,
            streams_of(self.scenario),
            catalogue=self.catalogue,
            demands=self.services,
            planned=absent,
            horizon_s=self.scenario.horizon,
        )
        if happens is None and planned.is_empty:
            return None
        return NodeEvents(happens or (), self.services, planned)

    def _planned(self) -> Planned:
        """Return what is planned in advance."""
        spec = self.scenario.windows
        if spec is None:
            return NOTHING_PLANNED
        share = None if spec.heroes is None else spec.heroes.share
        return Planned(planned_windows(spec, self.cluster), share)

    def recovery(self) -> Recovery:
        """Return how each job saves its state and restarts after it is stopped."""
        faults, stops_per_s = self.network_faults, None
        if faults is not None:
            stops_per_s = faults.stops_per_s(self.jobs["n_accelerators"].to_numpy())
        scenario = self.scenario
        return recovery_in(
            scenario.failures,
            self.cluster,
            self.jobs,
            self.catalogue,
            scenario.serving,
            stops_per_s,
        )


def resolve(
    loaded: LoadedScenario,
    *,
    platform: Platform | None = None,
    offered: OfferedWork | None = None,
    log: JobLog | None = None,
) -> ResolvedScenario:
    """Resolve everything that a run of a scenario needs.

    Parameters
    ----------
    loaded : LoadedScenario
    platform : Platform, optional
        Result of :func:`~clustersim.scenario.platform.open_platform` for this scenario, to avoid
        computing it again.
    offered : OfferedWork, optional
        Result of :func:`offered_work_of` for this scenario, to avoid computing it again.
    log : JobLog, optional
        The log that the scenario names, to avoid reading it again.

    Raises
    ------
    InputError
        If something that the scenario names is invalid, or there are no jobs.
    """
    scenario = loaded.scenario
    platform = platform or open_platform(loaded)
    arrival_per_s = _arrival_rate(loaded, platform, offered)
    log = read_log(loaded) if log is None else log
    if log is not None:
        log = dataclasses.replace(log, jobs=with_queues(log.jobs, platform.cluster))
    clock = None if log is None else log.origin
    dated = run_calendar(scenario.start, scenario.time_zone, clock, source=loaded.source)
    if log is not None:
        jobs, notes = jobs_of_log(loaded, log, dated)
        log = dataclasses.replace(log, notes=(*log.notes, *notes))
    else:
        jobs = jobs_of_model(loaded, platform, arrival_per_s, dated)
    cluster, catalogue, calendar = platform.cluster, platform.catalogue, dated.calendar
    with fields_named(loaded):
        services = service_demands(scenario.serving, cluster, scenario.horizon, calendar)
        costs = open_costs(
            scenario.energy,
            scenario.money,
            cluster,
            catalogue,
            spares=_spares(scenario),
            calendar=calendar,
        )
        run_times = run_times_of(loaded, platform, jobs, calendar)
    return ResolvedScenario(
        loaded=loaded,
        platform=platform,
        scheduling=scheduling_of(loaded),
        arrival_per_s=arrival_per_s,
        log=log,
        jobs=jobs,
        dated=dated,
        run_times=run_times,
        services=services,
        costs=costs,
    )


def offered_work_of(loaded: LoadedScenario, platform: Platform) -> OfferedWork:
    """Return the work of the jobs of a scenario's workload model, and the rate with load 1.

    Both are computed with the posterior mean of the coefficients. Scenarios that differ only in
    their draw therefore have the same jobs.

    Raises
    ------
    InputError
        If no job of the workload can run on the cluster.
    """
    assert platform.workload is not None, "only a workload model has an offered load"
    performance = loaded.scenario.performance
    with named_in(loaded.source, "workload.load"):
        if performance.draw is not None:
            mean = performance.model_copy(update={"draw": None})
            scenario = loaded.scenario.model_copy(update={"performance": mean})
            platform = open_platform(dataclasses.replace(loaded, scenario=scenario))
        assert platform.workload is not None, "a draw does not change the workload model"
        scheduling = scheduling_of(loaded)
        return offered_work(
            platform.workload,
            platform.speeds,
            choose=scheduling.choose,
            wait_for_best=scheduling.wait_for_best,
            spans=scheduling.span_pools is not None,
            network=network_model(loaded.scenario.network, platform.cluster),
        )


def run_times_of(
    loaded: LoadedScenario, platform: Platform, jobs: pd.DataFrame, calendar: Calendar
) -> Runtimes:
    """Return the run time of each job on each pool, with the software at its submission.

    Parameters
    ----------
    loaded : LoadedScenario
    platform : Platform
        Its platform.
    jobs : pandas.DataFrame
        A jobs table.
    calendar : Calendar
        The calendar of the run.
    """
    scenario, catalogue = loaded.scenario, platform.catalogue
    ports = dated_ports(scenario.software, jobs, catalogue, streams_of(scenario), calendar)
    run_times = find_runtimes(jobs, platform.speeds)
    if ports:
        run_times = with_software(run_times, jobs, platform.cluster, catalogue, ports)
    return run_times


def scheduling_of(loaded: LoadedScenario) -> Scheduling:
    """Return the policy, the placement and the choice among pools of a scenario."""
    scheduler = loaded.scenario.scheduler
    return Scheduling(
        policy=scheduler.policy,
        options=scheduler.options,
        placement=scheduler.placement,
        placement_options=_placement_options(loaded.scenario),
        choose=scheduler.choose,
        wait_for_best=scheduler.wait_for_best,
        span_pools=scheduler.span_pools,
        exact_estimates=scheduler.estimates == "exact",
        folder=loaded.folder,
    )


def _placement_options(scenario: Scenario) -> dict[str, Any]:
    """Return the options of the placement, with a seed for random choices."""
    options = scenario.scheduler.placement_options
    if scenario.scheduler.placement != "random" or "seed" in options:
        return options
    return {**options, "seed": int(streams_of(scenario)("placement").integers(2**62))}


@contextmanager
def fields_named(loaded: LoadedScenario) -> Iterator[None]:
    """Name the field of the scenario in every :class:`InputError` that is raised in the block."""
    try:
        yield
    except InputError as error:
        if error.source not in _FIELDS:
            raise
        source = f"{loaded.source}: {_FIELDS[error.source]}"
        raise InputError(source, error.problems) from error.__cause__


_FIELDS = {
    "policy": "scheduler.policy",
    "placement": "scheduler.placement",
    "network": "network",
    "quotas": "scheduler.options.quotas",
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
"""Maps the source of a problem in the simulation to a field of the scenario."""


def _arrival_rate(
    loaded: LoadedScenario, platform: Platform, offered: OfferedWork | None
) -> float | None:
    """Return the mean arrival rate (jobs/s) of a scenario's workload model; None for a log."""
    if platform.workload is None:
        return None
    spec = loaded.scenario.workload
    if spec.jobs_per_day is not None:
        return spec.jobs_per_day / SECONDS_PER_DAY
    if spec.load is None:
        return 1.0 / float(platform.workload.arrivals.mean_interarrival)
    return spec.load * (offered or offered_work_of(loaded, platform)).rate_per_s


def _spares(scenario: Scenario) -> Mapping[str, int]:
    """Return the number of hot spare nodes by pool."""
    failures = scenario.failures
    return {} if failures is None or failures.spares is None else failures.spares.nodes
