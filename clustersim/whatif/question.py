"""A question about a log: the scenarios to compare, with the jobs of the log in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.calendar import WEEK_S
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.costs.energy import EnergySpec
from clustersim.costs.money import MoneySpec
from clustersim.costs.run_costs import open_costs
from clustersim.errors import InputError, check_kind
from clustersim.scenario.changes import change_items
from clustersim.scenario.file_names import full_paths
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.scenario.window_texts import windows_of_texts
from clustersim.simulation.partition_names import with_queues
from clustersim.topology import ClusterSpec, compile_cluster, load_cluster, resolve_cluster
from clustersim.units import counted, format_number, format_percent, listed
from clustersim.whatif.fleet import added_nodes, plain_pool
from clustersim.whatif.groups import ANY_WAIT, Asked
from clustersim.workload import JobLog
from clustersim.workload.given_log import given_log
from clustersim.workload.log_scale import changes_load

__all__ = ["AFTER", "BEFORE", "LOAD", "Question", "System", "ask", "check_fleet", "load_text"]

TIMES = ("submit_s", "start_s", "end_s", "recorded_start_s")
"""Columns of a log with points in time."""
MOST_LOAD = 10
"""Largest factor on the load of a log: a larger one is a percentage by mistake."""
BEFORE, LOAD, AFTER = "before", "load", "after"
"""Keys of the systems: the log on the fleet as it is, with another load, and with all changes."""


@dataclass(frozen=True)
class System:
    """A fleet with its scheduler and the load of the log.

    Attributes
    ----------
    key : str
        ``before``, ``load`` or ``after``.
    name : str
        What is different, such as "16 more nodes"; "as it is" for the first.
    tree : dict
        The scenario as plain data, with full paths of files.
    """

    key: str
    name: str
    tree: Mapping[str, Any]

    def loaded(self, changes: Mapping[str, Any] | None = None) -> LoadedScenario:
        """Return the scenario, with further changes."""
        return define_scenario(self.tree, changes or {}, source="what-if")


@dataclass(frozen=True)
class Question:
    """The systems that are compared, and the log that each of them runs.

    Attributes
    ----------
    log : JobLog
    systems : tuple of System
        The first is the log on the fleet as it is; the last has all changes.  Between them is the
        fleet as it is with another load, if load and fleet both change.
    changed : str
        The changes of the last system against the one before it, such as "16 more nodes".
    notes : tuple of str
        What is assumed.
    asked : Asked
        The wait that the answer is about.
    """

    log: JobLog
    systems: tuple[System, ...]
    changed: str
    notes: tuple[str, ...]
    asked: Asked = ANY_WAIT

    @property
    def replaced(self) -> list[str]:
        """The pools whose accelerator the change replaces, such as "H200 instead of H100 in p"."""
        old, new = (system.tree["cluster"]["pools"] for system in self.compared)
        return [
            _accelerator_text(name, old[name]["accelerator"], pool["accelerator"])
            for name, pool in new.items()
            if name in old and pool.get("accelerator") != old[name].get("accelerator")
        ]

    @property
    def plans_windows(self) -> bool:
        """Whether the change plans maintenance or reservations, which happen once."""
        old, new = (system.tree.get("windows") or {} for system in self.compared)
        return any((old.get(name) or []) != (new.get(name) or []) for name in _ONCE)

    @property
    def happens_once(self) -> bool:
        """Whether the change is maintenance or reservations alone, so that nothing of it lasts."""
        one, other = (_without_windows(system.tree) for system in self.compared)
        return self.plans_windows and one == other

    @property
    def compared(self) -> tuple[System, System]:
        """The two systems that the answer compares."""
        return self.systems[-2], self.systems[-1]


_ONCE = ("maintenance", "reservations")
"""Keys of `windows` with what happens once."""


def _without_windows(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scenario without its maintenance and reservations."""
    windows = {key: value for key, value in (tree.get("windows") or {}).items() if value}
    lasting = {key: value for key, value in windows.items() if key not in _ONCE}
    return {**tree, "windows": lasting}


def ask(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    load: float = 1.0,
    method: str = "superpose",
    add_nodes: int | str | Sequence[str] = (),
    add_accelerators: int = 0,
    maintenance: Sequence[str] = (),
    reserve: Sequence[str] = (),
    changes: Mapping[str, Any] | Sequence[str] = (),
    assume: Mapping[str, Any] | Sequence[str] = (),
    policy: str = "easy",
    metric: str = "",
    catalogue: Sequence[str | Path] = (),
    seed: int = 0,
    format: str | None = None,
    sort: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
) -> Question:
    """Build the scenarios of a question; see :func:`clustersim.what_if` for the parameters.

    Raises
    ------
    InputError
        If the log, the cluster or a change cannot be used, or nothing changes.
    """
    if (cluster is None) == (accelerators is None):
        raise InputError("what-if", "needs either a cluster or a number of accelerators, not both")
    given = change_items(changes)
    _check_load(load, given)
    read = given_log(log, format=format, sort=sort, time_zone=time_zone, columns=columns)
    found, moved = _from_first_week(read)
    ahead = windows_of_texts(maintenance, reserve, run_calendar(clock=found.origin).calendar)
    if ahead and cluster is None:
        raise InputError("--maintenance", "and --reserve need nodes: --cluster, not --accelerators")
    given = [*given, *((f"windows.{key}", entries) for key, entries in ahead.items())]
    own = load_catalogue(*catalogue)
    if cluster is None:
        assert accelerators is not None
        fleet: Mapping[str, Any] = plain_pool(accelerators)
        costs: dict[str, Any] = {}
        lacking = [
            "without a cluster there are no nodes, no chip, and therefore no energy and no cost"
        ]
    else:
        fleet = _spec(cluster, own)
        costs, lacking = _costs(fleet, own)
        there = compile_cluster(resolve_cluster(dict(fleet), own))
        found = replace(found, jobs=with_queues(found.jobs, there))
    base = {
        "cluster": dict(fleet),
        "catalogue": [str(Path(file).resolve()) for file in catalogue],
        "workload": {
            "trace": found.source or "log",
            "sort": sort,
            **({} if format is None else {"format": format}),
        },
        "scheduler": {
            "policy": policy,
            "placement": "consolidate" if accelerators is None else "pooled",
        },
        "seed": seed,
        **costs,
    }
    assumed = dict(change_items(assume))
    before = _tree(base, assumed, found)
    grown, words, divided = added_nodes(fleet, add_nodes, add_accelerators, plain=cluster is None)
    texts = [*words, *(f"maintenance {each}" for each in maintenance)]
    texts += [f"reservation {each}" for each in reserve]
    texts += [
        _change_text(path, value, before)
        for path, value in given
        if path.removeprefix("windows.") not in ahead
    ]
    scale, of_load = _with_load(before["workload"].get("scale"), load, method)
    systems = _systems(before, load, scale, {**grown, **dict(given)}, texts, found)
    changed = listed(texts) if texts else load_text(load)
    notes = (*moved, *_other_dates(found, assumed), *lacking, *divided, *of_load)
    asked = Asked.of(metric, found.jobs)
    return Question(found, systems, changed, notes, asked)


def check_fleet(
    cluster: str | Path | Mapping[str, Any] | None,
    accelerators: int | None,
    add_nodes: int | str | Sequence[str],
    add_accelerators: int,
    catalogue: Sequence[str | Path],
) -> None:
    """Raise an error if a cluster or the nodes to add cannot be used, without reading a log.

    Parameters
    ----------
    cluster, accelerators, add_nodes, add_accelerators, catalogue
        As for :func:`clustersim.what_if`.

    Raises
    ------
    InputError
        If the cluster cannot be read or the names or numbers of the nodes are not allowed.
    """
    if cluster is not None:
        fleet = _spec(cluster, load_catalogue(*catalogue))
    elif accelerators is not None:
        fleet = plain_pool(accelerators)
    else:
        raise InputError("what-if", "needs either a cluster or a number of accelerators, not both")
    added_nodes(fleet, add_nodes, add_accelerators, plain=cluster is None)


def _check_load(load: float, changes: Sequence[tuple[str, Any]]) -> None:
    if not 0 < load <= MOST_LOAD:
        meant = f"; {load:g} % more load is {1 + load / 100:g}" if load > MOST_LOAD else ""
        raise InputError(
            "--load",
            f"must be a factor above 0 and at most {MOST_LOAD}, found {load:g}{meant}",
        )
    if load != 1 and any(path.split(".")[:2] == ["workload", "scale"] for path, _ in changes):
        raise InputError("--load", "is not allowed with --set workload.scale, which replaces it")


def _with_load(present: Any, load: float, method: str) -> tuple[Any, list[str]]:
    """Return a scale with a load on top of a present (assumed) one, and a note on their product.

    Examples
    --------
    >>> _with_load(None, 1.2, "superpose")
    ({'load': 1.2, 'method': 'superpose'}, [])
    >>> _with_load(1.5, 1.2, "superpose")[0]
    1.8
    """
    if load == 1 or not changes_load(present):
        return {"load": load, "method": method}, []
    assumed = present if isinstance(present, Mapping) else {"load": present, "method": "compress"}
    if assumed.get("where"):
        raise InputError(
            "--load",
            "is not allowed with --assume workload.scale of some jobs (where), because it is a "
            "factor on the load of all jobs; change these jobs with --set workload.scale",
        )
    if method == "compress" and assumed["method"] != method:
        raise InputError(
            "--load",
            f"cannot compress a log whose assumed workload.scale has the method "
            f"{assumed['method']}; use one method for both",
        )
    total = float(f"{assumed['load'] * load:.12g}")  # 1.5 x 1.2 is 1.8, not 1.7999999999999998
    note = (
        f"the load is {load:g} times the assumed workload.scale of {assumed['load']:g}: {total:g} "
        f"times that of the log, by the method {assumed['method']}"
    )
    return {**assumed, "load": total} if isinstance(present, Mapping) else total, [note]


def _systems(
    before: dict[str, Any],
    load: float,
    scale: Any,
    changes: Mapping[str, Any],
    words: Sequence[str],
    log: JobLog,
) -> tuple[System, ...]:
    """Return the systems to compare, from the scenario as it is.

    `scale` is that of the log with the load, and `words` says what else changes.
    """
    scaled = {"workload.scale": scale} if load != 1 else {}
    if not scaled and not changes:
        raise InputError(
            "what-if", "nothing changes; give --load, --add-nodes, --add-accelerators or --set"
        )
    systems = [System(BEFORE, "as it is", before)]
    if scaled:
        key = LOAD if changes else AFTER
        systems.append(System(key, load_text(load), _tree(before, scaled, log)))
    if changes:
        name = listed([*([load_text(load)] if scaled else []), *words])
        systems.append(System(AFTER, name, _tree(systems[-1].tree, changes, log)))
    return tuple(systems)


def load_text(load: float) -> str:
    """Return a factor on the load in words.

    Examples
    --------
    >>> load_text(1.2), load_text(0.75), load_text(2.0), load_text(2.5)
    ('20 % more load', '25 % less load', 'twice the load', '2.5 times the load')
    """
    if load == 2:
        return "twice the load"
    if load > 2:
        return f"{format_number(load, 3)} times the load"
    share = abs(load - 1.0)
    decimals = 0 if abs(round(100 * share) - 100 * share) < 1e-6 else 1
    return f"{format_percent(share, decimals)} {'more' if load > 1 else 'less'} load"


def _accelerator_text(pool: str, old: str, new: str) -> str:
    return f"{new} instead of {old} in pool {pool}"


def _change_text(path: str, value: Any, before: Mapping[str, Any] | None = None) -> str:
    """Return a change of a scenario as a text; `before` is the scenario without it.

    A scale that replaces a present one is not a factor on the load before.

    Examples
    --------
    >>> _change_text("scheduler.policy", "fcfs"), _change_text("failures.rate", 2.0)
    ('the policy fcfs', 'failures.rate = 2')
    >>> _change_text("workload.scale", {"load": 2, "where": {"accelerators": "64+"}})
    'twice the load of the jobs with accelerators 64+'
    """
    if path in ("scheduler.policy", "scheduler.placement"):
        return f"the {path.partition('.')[2]} {_shown(value)}"
    pools = {} if before is None else before["cluster"]["pools"]
    for name, pool in pools.items():
        own = (f"cluster.pools.{name}.accelerator", f'cluster.pools."{name}".accelerator')
        if path in own and "accelerator" in pool:
            return _accelerator_text(name, pool["accelerator"], _shown(value))
    present = None if before is None else before["workload"].get("scale")
    is_scale = path == "workload.scale" and isinstance(value, Mapping)
    if is_scale and _is_factor(value.get("load")) and not changes_load(present):
        given = value.get("where") or {}
        if isinstance(given, Mapping):
            where = [f"{key} {_shown(each)}" for key, each in given.items()]
            jobs = f" of the jobs with {listed(where)}" if where else ""
            return load_text(value["load"]) + jobs
    return f"{path} = {_shown(value)}"


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 1


def _other_dates(log: JobLog, assumed: Mapping[str, Any]) -> list[str]:
    """Return a note if the dates of the log are replaced by those that were assumed."""
    if log.origin is None or "start" not in assumed:
        return []
    start = assumed["start"]
    return [
        f"time 0 is {log.origin:%Y-%m-%d %H:%M} in the log; start = {start} replaces the dates, so "
        "weekdays and hours of the log are others"
    ]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _from_first_week(log: JobLog) -> tuple[JobLog, list[str]]:
    """Return a log whose first job is submitted in the first week, and a note if it was moved.

    Times in seconds since 1970 would otherwise charge the fleet for 50 years before the first job.
    The log is moved by whole weeks, which keeps the hours and weekdays.
    """
    weeks = int(float(log.jobs["submit_s"].iloc[0]) // WEEK_S)
    if weeks < 1:
        return log, []
    by_s = weeks * WEEK_S
    times = {name: log.jobs[name] - by_s for name in TIMES if _is_number(log.jobs, name)}
    origin = log.origin
    if origin is not None and origin.tzinfo is not None:
        origin = (origin.astimezone(UTC) + timedelta(seconds=by_s)).astimezone(origin.tzinfo)
    elif origin is not None:
        origin = origin + timedelta(seconds=by_s)
    note = f"time 0 is moved to the week of the first job, by {counted(weeks, 'week')}"
    return replace(
        log, jobs=log.jobs.assign(**times), origin=origin, begin_s=max(0.0, log.begin_s - by_s)
    ), [note]


def _is_number(jobs: pd.DataFrame, name: str) -> bool:
    return name in jobs and pd.api.types.is_numeric_dtype(jobs[name])


def _spec(cluster: str | Path | Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    """Return a topology as plain data."""
    if isinstance(cluster, Mapping):
        return cluster
    check_kind("cluster", cluster, (str, Path), "a name, a path or a mapping")
    spec: ClusterSpec = load_cluster(cluster, catalogue)
    return spec.model_dump(mode="json", exclude_none=True)


def _costs(
    spec: Mapping[str, Any], catalogue: Catalogue
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the sections of a scenario that computes energy and, if prices are known, cost.

    The second value is a note on what is not known.
    """
    try:
        cluster = compile_cluster(resolve_cluster(dict(spec), catalogue))
        open_costs(EnergySpec(), MoneySpec(), cluster, catalogue)
    except InputError as error:
        if error.source != "money":
            raise
        return {"energy": {}}, [f"no cost: {error.problems[0]}"]
    return {"energy": {}, "money": {}}, []


def _tree(base: Mapping[str, Any], changes: Mapping[str, Any], log: JobLog) -> dict[str, Any]:
    """Return a scenario with changes as plain data."""
    loaded = define_scenario(base, changes, source="what-if", log=log)
    written = loaded.scenario.model_dump(mode="json", exclude_none=True)
    return full_paths(written, loaded.folder)
