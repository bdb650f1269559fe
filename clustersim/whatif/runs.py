"""The runs of a question, in this process or in worker processes."""

from __future__ import annotations

import json
import math
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.calendar import Calendar
from clustersim.processes import cores, run_calls
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.simulation.never_runnable import why_never_run
from clustersim.simulation.result import Result
from clustersim.whatif.groups import GroupNames, fleet_of, groups_of
from clustersim.workload import JobLog

__all__ = ["Measured", "Task", "run_tasks"]

MODULES = ("clustersim.whatif.runs",)


@dataclass(frozen=True)
class Task:
    """One run: a system, a replication, and what an alternative changes.

    Attributes
    ----------
    system : str
        Key of the system.
    replication : int
    alternative : str
        Key of the alternative; "" for the system as it is asked about.
    tree : dict
        The scenario as plain data.
    estimate_factor : float
        Factor on the estimated run times; 1 leaves them as they are.
    """

    system: str
    replication: int
    alternative: str
    tree: Mapping[str, Any]
    estimate_factor: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What a run shows.

    Attributes
    ----------
    groups : pandas.DataFrame
        See :func:`~clustersim.whatif.groups.groups_of`.
    fleet : dict of str to float
        See :func:`~clustersim.whatif.groups.fleet_of`.
    notes : tuple of str
        Notes of the run: what the scenario changes in the log, and what the simulator ignores.
    calendar : dict
        The calendar of the run as plain data.
    why_never : str
        Why jobs can never run, with their numbers; "" if all can.
    end_s : float
        End of the run, seconds.
    cost_cny : float
        Cost of the fleet from time 0 to the end of the run; NaN if not computed.
    """

    groups: pd.DataFrame
    fleet: dict[str, float]
    notes: tuple[str, ...]
    calendar: Mapping[str, Any]
    why_never: str = ""
    end_s: float = math.nan
    cost_cny: float = math.nan

    @property
    def runs(self) -> bool:
        """Whether a job can run."""
        return bool(self.groups["jobs"].iloc[0] > 0)


def run_tasks(
    tasks: Sequence[Task],
    log: JobLog,
    names: GroupNames,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Make runs, and return what they show in the order of the tasks.

    Parameters
    ----------
    tasks : sequence of Task
    log : JobLog
    names : GroupNames
    workers : int, optional
        Number of worker processes; 1 runs in this process.  By default one per core.  The results
        do not depend on it.
    progress : callable, optional
        Called with the number of runs that are done and their total number.
    """
    count = min(workers or cores(), len(tasks))
    with tempfile.TemporaryDirectory(prefix="clustersim-") as folder:
        path = Path(folder) / "log"
        plain = replace(log, dropped=dict(log.dropped))
        path.write_bytes(pickle.dumps((plain, names), pickle.HIGHEST_PROTOCOL))
        done = 0

        def show(*_: Any) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(tasks))

        if count == 1:
            found = []
            for task in tasks:
                found.append(measured(task, str(path)))
                show()
            return found
        with run_calls(count, MODULES) as run:
            calls = [(measured, (task, str(path))) for task in tasks]
            results: list[Measured] = run(calls, show)
            return results


def measured(task: Task, path: str) -> Measured:
    """Make a run; `path` is a file with the log and the names of its groups."""
    log, names = _log_at(path)
    if task.estimate_factor != 1.0:
        estimate_s = log.jobs["duration_s"] * task.estimate_factor
        log = replace(log, jobs=log.jobs.assign(estimate_s=estimate_s))
    loaded = define_scenario(task.tree, {"replication": task.replication}, source="what-if")
    resolved = resolve(loaded, platform=_platform(_platform_key(loaded)), log=log)
    submit_s = resolved.jobs["submit_s"]
    begin_s = max(log.begin_s, float(submit_s.iloc[0]))
    ends = begin_s, float(submit_s.iloc[-1])

    def dates_s(_: Calendar) -> Sequence[float]:
        return ends

    result = run_scenario(resolved, by_node=False, cost_dates_s=dates_s)
    if result.interrupted:
        raise KeyboardInterrupt
    assert resolved.log is not None, "the scenario has a log"
    own = resolved.log.notes[len(log.notes) :]
    notes = (*own, *result.provenance.get("notes", ()))
    return Measured(
        groups_of(result, names, begin_s),
        fleet_of(result, begin_s),
        notes,
        resolved.dated.document(),
        why_never_run(result.jobs, resolved.cluster),
        float(result.utilisation["time_s"].max()),
        _whole_cost_cny(result),
    )


def _whole_cost_cny(result: Result) -> float:
    if result.costs is None or "cost_cny" not in result.costs:
        return math.nan
    return float(result.costs["cost_cny"].sum())


@lru_cache(maxsize=1)
def _log_at(path: str) -> tuple[JobLog, GroupNames]:
    found: tuple[JobLog, GroupNames] = pickle.loads(Path(path).read_bytes())
    return found


def _platform_key(loaded: LoadedScenario) -> str:
    """Return the part of a scenario on which its platform depends."""
    part = loaded.scenario.model_dump(
        mode="json",
        exclude_none=True,
        include={"catalogue", "cluster", "network", "workload", "performance"},
    )
    for name in ("scale", "resample"):
        part["workload"].pop(name, None)
    return json.dumps(part)


@lru_cache(maxsize=16)
def _platform(key: str) -> Platform:
    return open_platform(define_scenario(json.loads(key), source="what-if"))
