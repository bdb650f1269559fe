"""The scenario file: a cluster, a workload, a scheduler and a seed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from clustersim.availability.failure_spec import Failures
from clustersim.availability.fleet_spec import FleetSpec
from clustersim.availability.serving_spec import Serving
from clustersim.availability.supply import Supply
from clustersim.availability.windows_spec import WindowsSpec
from clustersim.brief import Brief
from clustersim.costs.energy import EnergySpec
from clustersim.costs.money import MoneySpec
from clustersim.errors import InputError, shown
from clustersim.extended import read_extended
from clustersim.files import validate
from clustersim.scenario.cases import Cases, apply_case
from clustersim.scenario.catalogue_files import (
    catalogue_paths,
    changes_with_files,
    with_catalogue,
)
from clustersim.scenario.changes import change_items, set_path
from clustersim.scenario.dates import with_dates
from clustersim.scenario.fleet import expand_fleet
from clustersim.scenario.log_clock import clock_of_log
from clustersim.scenario.run_calendar import Start, TimeZone, run_calendar
from clustersim.scenario.sections import Performance, ScenarioWorkload, Scheduler, Text
from clustersim.shipped import existing_file
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.simulation.software import Software
from clustersim.units import Duration
from clustersim.workload import JobLog

__all__ = [
    "LoadedScenario",
    "Scenario",
    "as_loaded",
    "define_scenario",
    "load_scenario",
]


class Scenario(Cases):
    """One run, with everything that its result depends on."""

    name: str = Field("", description="name of the scenario")
    description: str = Field("", description="description of the scenario")
    catalogue: list[Text | dict[str, Any]] = Field(
        default_factory=list,
        description="user-defined accelerators and models: files, or their content",
    )
    plugins: list[Text] | None = Field(
        None,
        description="user-defined Python files that register metrics or plots: `clustersim run` "
        "prints these metrics, and studies of this scenario can name them",
    )
    start: Start | None = Field(
        None,
        description="date and local time at time 0, such as 2026-01-01, 2026-01-01T08:00 or "
        "2026-01-01T08:00+08:00; it replaces the clock of a log. The hours of prices, carbon, "
        "arrivals and services, the months of costs and the quarters of a study depend on it, and "
        "dates may stand for times (2026-04-01, 2026-04 or Q2 in `at`, `until`, `horizon` and "
        "`workload.duration`); by "
        "default the clock of the log or, without a log, midnight of a Monday and days of 24 hours",
    )
    time_zone: TimeZone | None = Field(
        None,
        description="time zone of all local hours, with daylight saving time: a name of the IANA "
        "time zone database such as Asia/Shanghai, or an offset such as UTC+08:00; by default the "
        "zone of `start` or of the log; without a zone, days have 24 hours",
    )
    cluster: Text | dict[str, Any] = Field(
        description="a topology: a name, a file, or the topology itself; not with `fleet`"
    )
    fleet: FleetSpec | None = Field(
        None,
        description="chips on hand, on order and in production, in place of `cluster` and of the "
        "deliveries, the production and the memory of `supply`, which follow from it",
    )
    briefing: dict[str, Any] | None = Field(
        None, description="what clustersim briefing writes about the fleet; runs ignore it"
    )
    workload: ScenarioWorkload
    scheduler: Scheduler = Scheduler()
    performance: Performance = Performance()
    failures: Failures | None = Field(
        None, description="failures of nodes, and how jobs recover; by default no node fails"
    )
    supply: Supply | None = Field(
        None,
        description="nodes that arrive and leave, and limits of the site; by default all nodes "
        "are present all the time",
    )
    windows: WindowsSpec | None = Field(
        None,
        description="what is planned in advance: maintenance windows, reservations, and hero jobs "
        "for which nodes are drained; by default nothing",
    )
    network: NetworkSpec | None = Field(
        None,
        description="how the position of its nodes in the network, and other jobs on its links, "
        "slow a job down; needs a placement that tracks nodes. By default the network of a pool "
        "has one speed for all jobs, wherever they are",
    )
    energy: EnergySpec | None = Field(
        None, description="power and electricity; by default not computed"
    )
    money: MoneySpec | None = Field(
        None,
        description="cost of the fleet, with electricity if there is an energy section; by default "
        "not computed",
    )
    software: Software | None = Field(
        None,
        description="time from which jobs can run on some chips, and their speed there; by default "
        "all software is mature",
    )
    serving: Serving | None = Field(
        None, description="inference services that reserve nodes by the hour; needs a horizon"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all random numbers")
    replication: int = Field(0, ge=0, lt=2**63, description="number of the independent repetition")
    horizon: Duration | None = Field(
        None,
        gt=0,
        description="time at which the simulation stops; by default when all jobs have ended",
    )

    @model_validator(mode="after")
    def _has_a_calendar(self) -> Scenario:
        if self.workload.trace is None or self.start is not None:
            try:
                run_calendar(self.start, self.time_zone, source="")
            except InputError as error:
                field = error.source.removeprefix(": ")
                raise ValueError(f"{field}: {error.problems[0]}") from None
        return self


@dataclass(frozen=True, slots=True, repr=False)
class LoadedScenario(Brief):
    """A scenario and its origin.

    Attributes
    ----------
    scenario : Scenario
        The validated scenario, with `extends` and changes applied.
    source : str
        The scenario's file, for messages.
    folder : Path
        Folder to which the scenario's file names are relative.
    """

    scenario: Scenario
    source: str
    folder: Path

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        scenario = self.scenario
        named, jobs = scenario.cluster, scenario.workload
        cluster = named if isinstance(named, str) else str(named.get("name", ""))
        generated = jobs.generate if isinstance(jobs.generate, str) else "generated jobs"
        return f"Scenario {scenario.name or self.source!r}", {
            "source": self.source,
            "cluster": cluster,
            "workload": jobs.trace or generated,
            "policy": scenario.scheduler.policy,
            "seed": str(scenario.seed),
        }


def load_scenario(
    path: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    catalogue: Sequence[str | Path] = (),
) -> LoadedScenario:
    """Read a scenario file.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a file in the folder ``experiments`` of the user or of the package.
        With ``extends: FILE``, FILE supplies all missing fields.
    changes : mapping or sequence of str
        ``{"scheduler.policy": "easy"}`` or ``["scheduler.policy=easy"]``; see
        :func:`~clustersim.scenario.changes.set_path`.
    catalogue : sequence of str or Path
        Files with chips, models and planning assumptions, in addition to those that the scenario
        lists; relative to the current folder.

    Raises
    ------
    InputError
        If a file is invalid; the message lists all its problems.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.load_scenario("mixed_small", {"workload.load": 0.9})
    >>> scenario.scenario.workload.load
    0.9
    """
    path = existing_file(path, within="experiments")
    data = read_extended(path)
    return define_scenario(data, changes, source=path, folder=path.parent, catalogue=catalogue)


def as_loaded(
    given: str | Path | Mapping[str, Any] | Scenario | LoadedScenario,
    changes: Mapping[str, Any] | Sequence[str] = (),
) -> LoadedScenario:
    """Return a scenario in any form as a loaded scenario, with changes applied.

    Parameters
    ----------
    given : str, Path, mapping, Scenario or LoadedScenario
        A file, the content of a file, or the result of :func:`load_scenario`.
    changes : mapping or sequence of str
        See :func:`load_scenario`.

    Raises
    ------
    InputError
        If `given` is of another type or is invalid.
    """
    if isinstance(given, str | Path):
        return load_scenario(given, changes)
    if isinstance(given, Mapping):
        return define_scenario(given, changes)
    if isinstance(given, Scenario):
        given = LoadedScenario(given, "scenario", Path())
    if not isinstance(given, LoadedScenario):
        allowed = "must be a path, a mapping or the result of load_scenario"
        raise InputError("scenario", f"{allowed}, found {shown(given)}")
    if not changes:
        return given
    tree = given.scenario.model_dump(mode="json", exclude_none=True)
    return define_scenario(tree, changes, source=given.source, folder=given.folder)


def define_scenario(
    data: Mapping[str, Any],
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    source: str | Path = "scenario",
    folder: str | Path = ".",
    catalogue: Sequence[str | Path] = (),
    log: JobLog | None = None,
) -> LoadedScenario:
    """Validate a scenario given as plain data; see :func:`load_scenario`.

    `log` is the log that the scenario names, if it has been read.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.define_scenario(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...     },
    ...     {"scheduler.policy": "easy"},
    ... )
    >>> scenario.scenario.scheduler.policy
    'easy'
    """
    own = catalogue_paths(catalogue)
    tree = copy.deepcopy(with_catalogue(data, own))
    items = changes_with_files(change_items(changes), own)
    tree |= {key: value for key, value in items if key == "case"}
    apply_case(tree, source, Path(folder))
    for key, value in items:
        if key != "case":
            set_path(tree, key, value, Path(folder))

    def clock() -> datetime | None:
        if log is not None:
            return log.origin
        return clock_of_log(tree.get("workload"), source, Path(folder))

    tree = with_dates(tree, source, clock)
    expand_fleet(tree, source, Path(folder))
    scenario = validate(Scenario, tree, source)
    return LoadedScenario(scenario, str(source), Path(folder))
