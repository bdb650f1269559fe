"""Runs the jobs of a table that can run, with everything that is planned or happens to nodes."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from heapq import merge
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.engine.attempts import Attempts
from clustersim.engine.budget_driver import BudgetDriver
from clustersim.engine.engine import Simulation
from clustersim.engine.fault_driver import FaultDriver
from clustersim.engine.gates import Gates
from clustersim.engine.hero_driver import HeroDriver
from clustersim.engine.limits import Limits
from clustersim.engine.network_driver import NetworkDriver
from clustersim.engine.node_driver import NodeDriver
from clustersim.engine.node_events import NodeEvent, without_overlaps
from clustersim.engine.record import RunRecord
from clustersim.engine.recovery import Recovery
from clustersim.engine.window_driver import PlannedWindow, WindowDriver, maintenance_events
from clustersim.errors import ClusterSimError, InputError
from clustersim.network import Communication
from clustersim.scheduling import JobColumns, NodePlacement, Partition, Placement, Policy
from clustersim.scheduling.holding import Part, Split, work_shares
from clustersim.scheduling.plugins import plugin_file
from clustersim.scheduling.quotas import Quotas
from clustersim.scheduling.stalls import stopped_when_stalled
from clustersim.simulation.dependencies import Dependencies
from clustersim.simulation.eligibility import Eligibility
from clustersim.simulation.entry_limits import EntryLimits, least_sizes
from clustersim.simulation.networked.network_model import NetworkModel, check_network_placement
from clustersim.simulation.networked.run_faults import faults_table
from clustersim.simulation.networked.storage_loads import drive_storage
from clustersim.simulation.networked.trunk_loads import TrunkLoads
from clustersim.simulation.runtimes import Runtimes
from clustersim.simulation.window_costs import Held
from clustersim.simulation.windows import Planned, hero_jobs, jobs_of_windows

__all__ = ["Ran", "Setting", "job_columns", "limits_of", "run_jobs", "stopped_if_stalled"]

_REPORT_S = 0.5
"""Seconds between two reports of the simulated time."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The record of a run, with the rows of the simulated jobs in the jobs table."""

    rows: npt.NDArray[np.intp]
    partitions: list[Partition]
    record: RunRecord
    node_events: list[NodeEvent] | None
    held: dict[int, str]
    """Limits that held jobs outside their queues at the end of the run."""
    awaited: dict[int, list[int]]
    """Jobs for which others still waited at the end of the run."""
    work_shares: Mapping[int, Sequence[float]]
    """For each attempt on several pools, the share of its work that each of its parts does."""
    kept_free: Held | None = None
    estimate_s: Floats | None = None
    notes: Sequence[str] = ()
    by_network: bool = False
    """Whether the network slowed jobs down."""
    network_load: pd.DataFrame | None = None
    storage_load: pd.DataFrame | None = None
    """The load of the storage that jobs shared."""
    network_faults: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run depends on besides its jobs, its cluster and its policy.

    The attributes are those of :func:`~clustersim.simulation.simulate.simulate` and
    :class:`~clustersim.simulation.scheduling.Scheduling`.
    """

    outages: Iterable[NodeEvent] | None
    planned: Planned
    recovery: Recovery | None
    horizon_s: float | None
    longest_call_s: float
    split: Split | None
    by_node: bool
    network: NetworkModel | None
    check: Callable[[Simulation], None] | None
    progress: Callable[[int, int], None] | None


def run_jobs(
    jobs: pd.DataFrame,
    runtimes: Runtimes,
    eligible: Eligibility,
    depend: Dependencies | None,
    quotas: Quotas | None,
    partitions: list[Partition],
    policy: type[Policy],
    setting: Setting,
) -> Ran:
    """Simulate the jobs that can run."""
    rows = np.flatnonzero(eligible.choice_of >= 0)
    ahead = _Ahead.of(setting.planned)
    outages, recovery, horizon_s = setting.outages, setting.recovery, setting.horizon_s
    if not setting.planned.is_empty:
        assert outages is not None, "they come together"
        outages = merge(outages, maintenance_events(ahead.windows))
    if setting.network is not None:
        check_network_placement(setting.network, partitions, spans=setting.split is not None)
        if setting.network.faults is not None:
            outages = merge(outages or (), setting.network.faults.node_events(pauses=True))
    if outages is not None:
        _check_placement_tracks_nodes(partitions)
    simulation: Simulation | None = None

    def progress() -> tuple[int, float] | None:
        return None if simulation is None else (simulation.passes, simulation.clock.now)

    columns = job_columns(jobs, rows, runtimes, eligible, setting.split)
    columns, entry = _entry_limits(quotas, columns, partitions, policy)
    gates = _gates(
        Limits() if depend is None else depend.limits(rows), entry, columns, partitions, policy
    )
    heroes = hero_jobs(
        setting.planned, jobs, rows, eligible.choices, eligible.choice_of, partitions
    )
    placements = [type(partition.placement) for partition in partitions]
    with stopped_if_stalled(progress, (policy, *placements), setting.longest_call_s):
        simulation = Simulation(
            jobs["submit_s"].to_numpy(dtype=np.float64)[rows].tolist(),
            _columns(runtimes.run_s, rows),
            columns,
            partitions,
            policy,
            recovery=None if recovery is None else recovery.of_jobs(rows.tolist()),
            horizon_s=horizon_s,
            gates=gates,
            heroes=frozenset(heroes),
            by_node=setting.by_node,
            check=setting.check,
            progress=setting.progress,
        )
        storage = drive_storage(simulation, recovery)
        _report(simulation, setting.progress, len(rows))
        if entry is not None:
            simulation.shared.setdefault("quotas", []).extend(entry.uses())
            if gates is not None and entry.budgets:
                BudgetDriver(simulation, gates)
        driver = None
        if outages is not None:
            begun = None if storage is None else storage[0].begun
            driver = NodeDriver(simulation, without_overlaps(outages), when_begun=begun)
        if not setting.planned.is_empty:
            ahead.drive(simulation, jobs, rows, heroes)
        loads, faults = TrunkLoads(), None
        if setting.network is not None:
            loads = TrunkLoads(setting.network.links.n_shared)
            faults = _drive_network(simulation, setting.network, rows, loads)
        record = simulation.run()
    if horizon_s is None and outages is None and gates is None and not record.interrupted:
        _check_all_started(record.partition)
    out = [] if gates is None else list(gates.held())
    held = {} if gates is None else {job: gates.why(job, record.end_s) for job in out}
    awaited = {} if gates is None else {job: gates.awaits(job) for job in out}
    shares = _work_shares(record.attempts, columns, _columns(runtimes.run_s, rows), partitions)
    events = None if driver is None else driver.log
    ran = Ran(rows, partitions, record, events, held, awaited, shares)
    ran = _with_network(ran, setting.network, loads, faults)
    if storage is not None and recovery is not None and recovery.storage is not None:
        load = storage[1].table(record.end_s, list(recovery.storage.names))
        ran = replace(ran, storage_load=load)
    if driver is None or setting.planned.is_empty:
        return ran
    estimate_s = runtimes.estimate_s[:, rows]
    kept_free = ahead.kept_free(driver)
    return replace(ran, kept_free=kept_free, estimate_s=estimate_s, notes=ahead.notes)


def _gates(
    limits: Limits,
    entry: EntryLimits | None,
    columns: JobColumns,
    partitions: Sequence[Partition],
    policy: type[Policy],
) -> Gates | None:
    """Return what holds jobs outside their queues; None if nothing does."""
    if entry is not None:
        limits = entry.limits(limits, policy.rank_held(columns, partitions))
    return Gates(limits, columns) if limits.hold else None


def _report(
    simulation: Simulation, progress: Callable[[int, int], None] | None, n_jobs: int
) -> None:
    """Report the simulated time after passes, if the caller asks for it."""
    at = getattr(progress, "at", None)
    if progress is not None and at is not None:
        simulation.around_passes(after=_now_and_then(simulation, progress, at, n_jobs))


def _now_and_then(
    simulation: Simulation,
    progress: Callable[[int, int], None],
    at: Callable[[float], None],
    n_jobs: int,
) -> Callable[[], None]:
    """Return a function that reports the jobs that have ended and the simulated time, if due."""
    due_s = time.monotonic() + _REPORT_S

    def report() -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            at(simulation.clock.now)
            progress(simulation.n_ended, n_jobs)
            due_s = time.monotonic() + _REPORT_S

    return report


def _with_network(
    ran: Ran, network: NetworkModel | None, loads: TrunkLoads, faults: FaultDriver | None
) -> Ran:
    """Add the load of the network and its faults to the record of a run."""
    if network is None:
        return ran
    if faults is not None:
        ran = replace(ran, network_faults=faults_table(faults.log))
    if not network.spec.contention:
        return replace(ran, by_network=True)
    pools = [pool.name for pool in network.cluster.pools]
    return replace(ran, by_network=True, network_load=loads.table(network.links, pools))


def _drive_network(
    simulation: Simulation,
    network: NetworkModel,
    rows: npt.NDArray[np.intp],
    loads: TrunkLoads,
) -> FaultDriver | None:
    """Let the network slow jobs down in a simulation that has not started yet.

    Return what carries out its faults, if there are any.
    """
    row_of = rows.tolist()

    def communication_of(job: int, pool: int, n: int, inside: int, domains: int) -> Communication:
        return network.communication_of(row_of[job], pool, n, inside, domains)

    links, faults = network.links, network.faults
    shared, tolerance = network.spec.contention, network.spec.tolerance
    if faults is None:
        NetworkDriver(
            simulation,
            links,
            communication_of,
            contention=shared,
            tolerance=tolerance,
            observer=loads,
        )
        return None
    return FaultDriver(
        simulation,
        links,
        communication_of,
        faults.sequence,
        faults.state(),
        contention=shared,
        tolerance=tolerance,
        observer=loads,
    )


class _Ahead:
    """The windows of a run, and what keeps nodes free for them and for hero jobs."""

    def __init__(self, windows: list[PlannedWindow]) -> None:
        self.windows = windows
        self.notes: Sequence[str] = ()
        self._may_use: list[frozenset[int]] = []
        self._driver: WindowDriver | None = None
        self._drained: HeroDriver | None = None

    @classmethod
    def of(cls, planned: Planned) -> _Ahead:
        """Return the windows that have a length."""
        return cls([each for each in planned.windows if each.begin_s < each.end_s])

    def drive(
        self,
        simulation: Simulation,
        jobs: pd.DataFrame,
        rows: npt.NDArray[np.intp],
        heroes: Sequence[int],
    ) -> None:
        """Close nodes in a simulation that has not started yet."""
        self._may_use, self.notes = jobs_of_windows(self.windows, jobs, rows)
        self._driver = WindowDriver(simulation, self.windows, self._may_use)
        self._drained = HeroDriver(simulation, heroes) if heroes else None

    def kept_free(self, driver: NodeDriver) -> Held:
        """Return what was kept free, and the jobs that were stopped."""
        assert self._driver is not None, "it was driven"
        stopped = [
            self._driver.stopped[number] + driver.stopped[each.name, each.begin_s, each.pool]
            for number, each in enumerate(self.windows)
        ]
        drained_for = {} if self._drained is None else self._drained.free
        return Held(self.windows, self._may_use, stopped, self._driver.free, drained_for)


def limits_of(
    quotas: Quotas, columns: JobColumns, partitions: Sequence[Partition], policy: type[Policy]
) -> EntryLimits:
    """Return the limits of quotas under a policy."""
    least = least_sizes(policy, columns, partitions)
    return EntryLimits.of(quotas, columns, partitions, divides=policy.divides_quotas, least=least)


def _entry_limits(
    quotas: Quotas | None,
    columns: JobColumns,
    partitions: Sequence[Partition],
    policy: type[Policy],
) -> tuple[JobColumns, EntryLimits | None]:
    """Return the limits of quotas, and the jobs' columns with the choices that these need."""
    if quotas is None:
        return columns, None
    if columns.split is not None:
        raise InputError(
            "scheduler.span_pools", "is not possible with quotas, which count the jobs of each pool"
        )
    entry = limits_of(quotas, columns, partitions, policy)
    return replace(columns, choices=entry.choices), entry


def _work_shares(
    attempts: Attempts,
    columns: JobColumns,
    run_s: Sequence[Sequence[float]],
    partitions: Sequence[Partition],
) -> dict[int, list[float]]:
    """Return the shares of work of the parts of each attempt on several pools."""
    found = {}
    for attempt, held in attempts.parts.items():
        if len(held) > 1:
            parts = [Part(partitions[index], n, ()) for index, n in held]
            found[attempt] = work_shares(columns, run_s, int(attempts.job[attempt]), parts)
    return found


def _check_placement_tracks_nodes(partitions: list[Partition]) -> None:
    """Raise an error if a placement does not track nodes, because node events require this."""
    if not all(isinstance(part.placement, NodePlacement) for part in partitions):
        raise InputError(
            "placement",
            "failures, supply and services need a placement that tracks nodes; use consolidate",
        )


def job_columns(
    jobs: pd.DataFrame,
    rows: npt.NDArray[np.intp],
    runtimes: Runtimes,
    eligible: Eligibility,
    split: Split | None = None,
) -> JobColumns:
    """Return the columns that the scheduler needs, for the jobs at `rows`."""
    return JobColumns(
        n_accelerators=jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows].tolist(),
        estimate_s=_columns(runtimes.estimate_s, rows),
        choices=eligible.choices,
        choice_of=eligible.choice_of[rows].tolist(),
        columns=_LazyColumns(jobs, rows),
        elastic=None if runtimes.elastic is None else runtimes.elastic.of_jobs(rows),
        split=split,
    )


class _LazyColumns(Mapping[str, npt.NDArray[Any]]):
    """The columns of the jobs at `rows` as arrays, each made when it is first used."""

    def __init__(self, jobs: pd.DataFrame, rows: npt.NDArray[np.intp]) -> None:
        self._jobs, self._rows = jobs, rows
        self._made: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._made:
            self._made[name] = self._jobs[name].to_numpy()[self._rows]
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs.columns)

    def __len__(self) -> int:
        return len(self._jobs.columns)


def stopped_if_stalled(
    progress: Callable[[], object],
    plugins: Iterable[type[Policy] | type[Placement]],
    longest_call_s: float,
) -> AbstractContextManager[None]:
    """Return a context manager that stops calls of user-defined classes that take too long."""
    if any(map(plugin_file, plugins)):
        return stopped_when_stalled(progress, longest_call_s)
    return nullcontext()


def _check_all_started(partition: npt.NDArray[np.int32]) -> None:
    """Raise an error if a job that can run was never started."""
    waiting = np.flatnonzero(partition < 0)
    if len(waiting):
        raise ClusterSimError(
            f"{len(waiting):,} of {len(partition):,} jobs that can run were never started"
        )


def _columns(by_pool: Floats, rows: npt.NDArray[np.intp]) -> list[array[float]]:
    """Copy the values of the jobs at `rows`, pool by pool, to arrays with fast access."""
    return [array("d", column[rows].tobytes()) for column in by_pool]
