"""Run a scenario, from its file to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clustersim.calendar import Calendar
from clustersim.scenario.provenance import provenance
from clustersim.scenario.resolved import ResolvedScenario, fields_named, resolve
from clustersim.scenario.scenario import LoadedScenario, Scenario, as_loaded
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import simulate

__all__ = ["run", "run_scenario"]


def run(
    scenario: str | Path | Mapping[str, Any] | Scenario | LoadedScenario | ResolvedScenario,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario.

    Parameters
    ----------
    scenario : str, Path, mapping, LoadedScenario or ResolvedScenario
        A file, the content of a file, or the result of
        :func:`~clustersim.scenario.scenario.load_scenario`.
    changes : mapping or sequence of str
        See :func:`~clustersim.scenario.scenario.load_scenario`.
    check : bool
        Whether to check the invariants of the simulation after every scheduling pass (slow).
    progress : callable, optional
        Called regularly with the number of jobs that have ended and the total number of jobs.

    Raises
    ------
    InputError
        If the scenario is invalid.

    Examples
    --------
    >>> from clustersim import run
    >>> result = run(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...     },
    ...     {"scheduler.policy": "easy"},
    ... )
    >>> len(result.jobs)
    100
    """
    if isinstance(scenario, ResolvedScenario):
        if not changes:
            return run_scenario(scenario, check=check, progress=progress)
        scenario = scenario.loaded
    return run_scenario(as_loaded(scenario, changes), check=check, progress=progress)


def run_scenario(
    scenario: LoadedScenario | ResolvedScenario,
    *,
    by_node: bool = True,
    cost_dates_s: Callable[[Calendar], Sequence[float]] | None = None,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario that has been loaded; see :func:`run`.

    For `by_node`, see :func:`~clustersim.simulation.simulate.simulate`. `cost_dates_s` is a
    function that computes the argument `dates_s` of
    :meth:`~clustersim.costs.run_costs.RunCosts.attach` from the calendar of the run.
    """
    resolved = scenario if isinstance(scenario, ResolvedScenario) else resolve(scenario)
    with fields_named(resolved.loaded):
        events = resolved.node_events()
        stops = events is not None or resolved.network_faults is not None
        result = simulate(
            resolved.jobs,
            resolved.cluster,
            resolved.scheduling,
            catalogue=resolved.catalogue,
            run_times=resolved.run_times,
            node_events=events,
            recovery=resolved.recovery() if stops else None,
            network=resolved.network,
            horizon_s=resolved.scenario.horizon,
            by_node=by_node,
            check=check,
            progress=progress,
        )
    result = result.with_provenance(provenance(resolved))
    dates_s = () if cost_dates_s is None else cost_dates_s(resolved.dated.calendar)
    return resolved.costs.attach(result, dates_s=dates_s)
