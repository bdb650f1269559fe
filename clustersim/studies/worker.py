"""The task of a worker: one run, from its scenario to its measurements."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from clustersim.analysis.measures import PluginError, fleet_facts, measure
from clustersim.analysis.part import FleetView
from clustersim.analysis.policy.free_nodes import OF_NODES
from clustersim.analysis.samples import pack, unpack
from clustersim.analysis.stationary_work import Offer, StationaryWork, stationary_work
from clustersim.analysis.unfinished_work import SPEEDS, UnfinishedWork, unfinished_work
from clustersim.calendar import DAY_S, period_ends_s
from clustersim.errors import InputError
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.resolved import ResolvedScenario, offered_work_of, resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.run_controls import RunControls
from clustersim.scenario.scenario import LoadedScenario, Scenario, define_scenario
from clustersim.simulation.load import OfferedWork
from clustersim.simulation.result import Result
from clustersim.source_code import this_code
from clustersim.studies.file_hash import file_hash
from clustersim.studies.run_key import code_hash
from clustersim.studies.store import Outcome

__all__ = ["make_run", "open_changed", "simulate_changed"]


def make_run(
    key: str,
    tree: Mapping[str, Any],
    changes: Mapping[str, Any],
    window: Mapping[str, Any],
    files: Mapping[str, str],
) -> Outcome:
    """Run a scenario and measure it; an error is recorded in the outcome.

    Parameters
    ----------
    key : str
        Hash of the run, which also identifies the code.
    tree, changes : mapping
        The base scenario, and the changes of the run by path.
    window : mapping
        Keyword arguments of :func:`~clustersim.analysis.measures.measure`.
    files : mapping of str to str
        Hashes of the files that the run reads, as of the time its own hash was computed.
    """
    began = time.perf_counter()
    try:
        _check_code(key)
        by_node = not OF_NODES.isdisjoint(window.get("asked", ()))
        result, resolved = simulate_changed(
            tree, changes, periods=window.get("periods"), by_node=by_node
        )
        scenario = resolved.scenario
        _check_unchanged(files)
        measured = measure(
            result,
            **window,
            catalogue=resolved.catalogue,
            unfinished=_unfinished_work(resolved, window),
            controls=_controls(resolved, window),
        )
        view = FleetView(resolved.platform, scenario.money, _offered_load(scenario))
        facts = fleet_facts(view, plugins=window.get("plugins", ()))
    except (Exception, SystemExit) as error:
        message = str(error) if isinstance(error, InputError) else traceback.format_exc()
        stops = isinstance(error, PluginError)
        return Outcome(key, {}, error=message, wall_s=time.perf_counter() - began, stops=stops)
    metrics = {**measured.metrics, **facts}
    return Outcome(
        key,
        metrics,
        measured.series,
        wall_s=time.perf_counter() - began,
        samples=unpack(pack(measured.samples)),  # as after a resumed study: single precision
    )


def _unfinished_work(
    resolved: ResolvedScenario, window: Mapping[str, Any]
) -> UnfinishedWork | None:
    """Return the unfinished work of a run; None if its stationary distribution is not known."""
    workload, rate_per_s = resolved.platform.workload, resolved.arrival_per_s
    if workload is None or rate_per_s is None or window.get("periods") is not None:
        return None
    if window.get("warm_up") == "mser-5":  # the measured jobs depend on the waits
        return None
    arrivals, scenario = workload.arrivals, resolved.scenario
    changes = arrivals.daily or arrivals.weekly or arrivals.growth != 1.0 or scenario.supply
    if arrivals.process.kind == "sessions":  # jobs of a session depend on each other
        return None
    try:
        offered = _offered_work(*_cache_key(scenario, scheduler=True))
    except InputError:  # none of its jobs can run; the result gives the reason for each job
        return None
    if changes or not rate_per_s < offered.rate_per_s:
        return None
    submit_s = resolved.jobs["submit_s"].to_numpy(dtype=np.float64)
    work_s, island = offered.of_jobs(resolved.jobs)
    stationary, mean_square_s2 = _stationary(*_cache_key(scenario, scheduler=True), rate_per_s)
    before_s = {speed: unfinished_work(submit_s, work_s / speed, island) for speed in stationary}
    return UnfinishedWork(before_s, stationary, work_s, mean_square_s2)


def _controls(resolved: ResolvedScenario, window: Mapping[str, Any]) -> RunControls | None:
    """Return the controls of a run; None if the measured window depends on its waits."""
    if window.get("warm_up") == "mser-5":
        return None
    offered = None
    if resolved.platform.workload is not None:
        try:
            offered = _offered_work(*_cache_key(resolved.scenario, scheduler=True))
        except InputError:  # none of its jobs can run; the result gives the reason for each job
            offered = None
    return RunControls(resolved, offered)


def _offered_load(scenario: Scenario) -> float:
    """Return the offered load of a run, as given or from its jobs per day; NaN if unknown."""
    workload = scenario.workload
    if workload.load is not None:
        return workload.load
    if workload.jobs_per_day is None:
        return math.nan
    try:
        cache_key = _cache_key(scenario, scheduler=True)
        return workload.jobs_per_day / DAY_S / _offered_work(*cache_key).rate_per_s
    except InputError:  # none of its jobs can run; the result gives the reason for each job
        return math.nan


def _check_code(key: str) -> None:
    """Raise an error if the hash of a run identifies other code."""
    if code_hash(key) != this_code().hash:
        raise InputError(
            "worker",
            f"has {this_code()}, but the study was started by code {code_hash(key)}; "
            "use the same code on all machines, and continue with --resume",
        )


def _check_unchanged(files: Mapping[str, str]) -> None:
    """Raise an error if a file has changed since the hash of the run was computed."""
    changed = [path for path, expected in files.items() if file_hash(path) != expected]
    if changed:
        raise InputError(changed[0], "was changed while the study ran; continue with --resume")


def simulate_changed(
    tree: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    periods: int | None = None,
    by_node: bool = False,
) -> tuple[Result, ResolvedScenario]:
    """Run a scenario with some changes; return the result and the resolved scenario.

    Costs are also split at the ends of the `periods` of its horizon. The nodes of jobs are recorded
    only if `by_node` is set.

    Raises
    ------
    InputError
        If the scenario is invalid.
    KeyboardInterrupt
        If the run was stopped before its end.
    """
    loaded, platform = open_changed(tree, changes)
    offered = None
    if loaded.scenario.workload.load is not None:
        offered = _offered_work(*_cache_key(loaded.scenario, scheduler=True))
    resolved = resolve(loaded, platform=platform, offered=offered)
    dates_s = partial(period_ends_s, loaded.scenario.horizon, periods)
    result = run_scenario(resolved, by_node=by_node, cost_dates_s=dates_s)
    if result.interrupted:
        raise KeyboardInterrupt
    return result, resolved


def open_changed(
    tree: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[LoadedScenario, Platform]:
    """Check a scenario with some changes, and open its platform.

    Raises
    ------
    InputError
        If the scenario is invalid.
    """
    loaded = define_scenario(tree, changes)
    return loaded, _platform_of(*_cache_key(loaded.scenario))


# Runs of a study share platforms.  The cache key is the part of the scenario that a platform
# depends on, so a worker opens each platform once instead of for every run.


def _cache_key(scenario: Scenario, *, scheduler: bool = False) -> tuple[str, str]:
    """Return the part of a scenario that its platform depends on, and the hashes of its files.

    The offered work also depends on the scheduler, but not on a draw of coefficients.
    """
    part = scenario.model_dump(
        mode="json",
        exclude_none=True,
        include={"catalogue", "cluster", "network", "workload", "performance"}
        | ({"scheduler"} if scheduler else set()),
    )
    if "generate" in part["workload"]:
        # Number of jobs and load are arbitrary: neither affects the platform or its rate.
        for name in ("load", "jobs_per_day", "duration"):
            part["workload"].pop(name, None)
        part["workload"]["jobs"] = 1
    for name in ("scale", "resample"):
        part["workload"].pop(name, None)
    if scheduler:
        part["performance"].pop("draw", None)
    named = [
        part["performance"].get("calibration"),
        part["cluster"],
        part["workload"].get("generate"),
        *part["catalogue"],
    ]
    hashes = [file_hash(name) for name in named if isinstance(name, str)]
    return json.dumps(part), " ".join(hashes)


@lru_cache(maxsize=16)
def _platform_of(text: str, _files: str) -> Platform:
    return open_platform(_loaded(text))


@lru_cache(maxsize=64)
def _stationary(
    text: str, files: str, rate_per_s: float
) -> tuple[dict[float, StationaryWork], float]:
    """Return the known stationary distributions by speed, and the mean square of a job's work."""
    workload = _platform_of(*_cache_key(_loaded(text).scenario)).workload
    assert workload is not None, "only a workload model has a stationary distribution"
    values = _offered_work(text, files).values(workload)
    if values is None:
        return {}, math.nan
    offers = [Offer(*each) for each in values]
    found = {}
    for speed in SPEEDS:
        slower = [replace(offer, work_s=offer.work_s / speed) for offer in offers]
        if all(rate_per_s * offer.moment(1) < 1 for offer in slower):
            process = workload.arrivals.process
            assert process.kind != "sessions", "the gaps are independent"
            found[speed] = stationary_work(slower, process.mixture(), rate_per_s)
    known = {speed: each for speed, each in found.items() if each is not None}
    return known, sum(offer.moment(2) for offer in offers)


@lru_cache(maxsize=16)
def _offered_work(text: str, _files: str) -> OfferedWork:
    loaded = _loaded(text)
    return offered_work_of(loaded, _platform_of(*_cache_key(loaded.scenario)))


def _loaded(text: str) -> LoadedScenario:
    return define_scenario(json.loads(text))
