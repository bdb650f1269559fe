"""A load sweep: the same fleet and jobs at rising arrival rates, under several policies."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling import find_policy
from clustersim.simulation.run import run_scenario
from clustersim.simulation.scenario import load_scenario
from clustersim.studies.statistics import crossing, mean_interval
from clustersim.studies.steady_state import Window, measure

__all__ = ["Capacity", "LoadSweep", "Objective", "SweepResult", "load_sweep", "run_point"]

MEASURES = ("mean_wait_s", "p95_wait_s", "mean_bounded_slowdown", "utilisation")
OVERLOAD_GROWTH = 0.02
"""A point is overloaded where more than this share of the work piles up (see `points`)."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The service that the fleet is to give.

    Attributes
    ----------
    measure : str
        A measure of :class:`~clustersim.studies.steady_state.SteadyState`.
    at_most : float
        Its largest allowed value.
    """

    measure: str = "p95_wait_s"
    at_most: float = 3600.0

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise InputError("objective", unknown_name("measure", self.measure, MEASURES))
        if not self.at_most > 0:
            raise InputError("objective", f"at_most must be more than 0, found {self.at_most!r}")


@dataclass(frozen=True, slots=True)
class LoadSweep:
    """What to vary.

    Attributes
    ----------
    scenario : str
        A scenario file whose workload is generated.
    loads : tuple of float
        Offered loads, ascending.
    policies : tuple of str
        Scheduling policies.
    replications : int
        Independent repetitions; the k-th has the same jobs at every load and policy,
        only their submission times are stretched (common random numbers).
    changes : tuple of str
        ``path=value`` changes of the scenario.
    window : Window
        Which jobs are measured.
    draw_worlds : bool
        Whether the k-th replication takes the k-th draw from the calibration's posterior (and from
        the ranges of hypothetical chips), so that the intervals hold what is not known of step
        times beside the chance of arrivals.  The offered load stays that of the posterior mean.
    """

    scenario: str
    loads: tuple[float, ...]
    policies: tuple[str, ...]
    replications: int = 5
    changes: tuple[str, ...] = ()
    window: Window = field(default_factory=Window)
    draw_worlds: bool = False

    def __post_init__(self) -> None:
        problems = []
        if not self.loads or any(not load > 0 for load in self.loads):
            problems.append(f"loads: must be one or more numbers above 0, found {self.loads!r}")
        if list(self.loads) != sorted(set(self.loads)):
            problems.append(f"loads: must ascend, each once, found {self.loads!r}")
        if not self.policies or len(set(self.policies)) != len(self.policies):
            problems.append(f"policies: must be one or more, each once, found {self.policies!r}")
        if self.replications < 1:
            problems.append(f"replications: must be 1 or more, found {self.replications!r}")
        if problems:
            raise InputError("load sweep", problems)

    def runs(self) -> Iterator[tuple[float, str, int]]:
        """Iterate over (load, policy, replication)."""
        return itertools.product(self.loads, self.policies, range(self.replications))


@dataclass(frozen=True, slots=True)
class Capacity:
    """The largest load at which a policy keeps an objective.

    Attributes
    ----------
    policy : str
    load, low, high : float
        Mean over the replications and its 95 % interval; infinite where the objective
        holds at every load that was tried, NaN where at none.
    """

    policy: str
    load: float
    low: float
    high: float


@dataclass(frozen=True)
class SweepResult:
    """Runs of a sweep that were made.

    Attributes
    ----------
    sweep : LoadSweep
        What was asked for.
    runs : pandas.DataFrame
        A row a run, by load, policy, replication: their measures.
    """

    sweep: LoadSweep
    runs: pd.DataFrame

    def points(self) -> pd.DataFrame:
        """Return a row for each policy and load with means and 95 % intervals.

        Returns
        -------
        pandas.DataFrame
            ``policy``, ``load``, ``replications``, each measure with ``_low`` and
            ``_high``, and ``overload``: whether the offered load is 1 or more, or the
            backlog grew by more than 2 % of the work that arrived, with 95 % confidence
            that it grew.  The waits of an overloaded point depend on how long one looks,
            and are infinite here.  ``rising``: the later half of the measured jobs waited
            longer than the earlier, with 95 % confidence, so that longer runs would show
            longer waits.
        """
        rows = [
            _point(policy, load, self.runs[chosen])
            for policy, load in itertools.product(self.sweep.policies, self.sweep.loads)
            if (chosen := (self.runs["policy"] == policy) & (self.runs["load"] == load)).any()
        ]
        return pd.DataFrame(rows)

    def capacity(self, objective: Objective) -> list[Capacity]:
        """Find the largest load that keeps an objective, by policy.

        Each replication has its own curve and crossing; their spread is the interval.
        """
        return [
            Capacity(policy, *_crossing_interval(self._crossings(policy, objective)))
            for policy in self.sweep.policies
        ]

    def capacity_gain(self, objective: Objective, policy: str, over: str) -> Capacity:
        """Find how much more load `policy` carries than `over` at an objective.

        The difference is taken in each replication, in which both have the same jobs,
        so it is surer than the two capacities are.

        Returns
        -------
        Capacity
            Of `policy`; ``load`` and its interval are differences of offered load.
        """
        difference = self._crossings(policy, objective) - self._crossings(over, objective)
        if not len(difference) or not np.isfinite(difference).all():
            return Capacity(policy, np.nan, np.nan, np.nan)
        return Capacity(policy, *mean_interval(difference.mean(axis=1)))

    def _crossings(self, policy: str, objective: Objective) -> npt.NDArray[np.float64]:
        """Load at which each replication breaks the objective: (replications, low and high)."""
        overload = self.points().set_index(["policy", "load"])["overload"]
        crossings = []
        for _, curve in self.runs[self.runs["policy"] == policy].groupby("replication"):
            curve = curve.sort_values("load")
            values = curve[objective.measure].to_numpy(dtype=np.float64, copy=True)
            values[[bool(overload.loc[policy, load]) for load in curve["load"]]] = np.inf
            crossings.append(crossing(curve["load"], values, objective.at_most))
        return np.array(crossings).reshape(-1, 2)


def load_sweep(
    sweep: LoadSweep,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    on_run: Callable[[pd.DataFrame], None] | None = None,
) -> SweepResult:
    """Make the runs of a sweep.

    Parameters
    ----------
    sweep : LoadSweep
        What to vary.
    executor : concurrent.futures.Executor, optional
        Where runs are made; by default in processes of this machine.
    workers : int, optional
        Number of those processes; by default one a core.
    on_run : callable, optional
        Called after each run with the table of the runs made so far.

    Returns
    -------
    SweepResult
        The same for any executor and number of workers.  After an interrupt, of the
        runs made by then.

    Raises
    ------
    InputError
        If the scenario cannot be used.
    """
    loaded = load_scenario(sweep.scenario, sweep.changes)
    if loaded.scenario.horizon is not None:
        raise InputError(loaded.source, "horizon: a load sweep runs until all jobs have ended")
    for policy in sweep.policies:
        find_policy(policy, folder=loaded.folder)
    rows: list[dict[str, object]] = []
    pool = executor or ProcessPoolExecutor(workers or os.cpu_count(), initializer=_ignore_interrupt)
    futures = [pool.submit(run_point, sweep, *run) for run in sweep.runs()]
    try:
        for future in as_completed(futures):
            rows.append(future.result())
            if on_run is not None:
                on_run(_sorted(rows))
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
    finally:
        if executor is None:
            pool.shutdown(wait=True, cancel_futures=True)
    return SweepResult(sweep, _sorted(rows))


def run_point(sweep: LoadSweep, load: float, policy: str, replication: int) -> dict[str, object]:
    """Make one run of a sweep and return its row."""
    changes = [
        *sweep.changes,
        f"workload.load={load!r}",
        f"scheduler.policy={policy}",
        f"replication={replication}",
        *([f"performance.draw={replication}"] if sweep.draw_worlds else []),
    ]
    result = run_scenario(load_scenario(Path(sweep.scenario), changes))
    steady = measure(result, sweep.window)
    return {"load": load, "policy": policy, "replication": replication, **steady.as_dict()}


def _ignore_interrupt() -> None:
    """Leave an interrupt from the terminal to the process that collects the rows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _sorted(rows: list[dict[str, object]]) -> pd.DataFrame:
    columns = ["load", "policy", "replication"]
    if not rows:
        return pd.DataFrame(columns=[*columns, *MEASURES])
    return pd.DataFrame(rows).sort_values(columns, ignore_index=True)


def _point(policy: str, load: float, group: pd.DataFrame) -> dict[str, object]:
    growth, low, _ = mean_interval(group["backlog_growth"])
    overload = load >= 1 or (growth > OVERLOAD_GROWTH and (low > 0 or len(group) < 2))
    _, rise, _ = mean_interval(group["wait_rise_s"])
    row: dict[str, object] = {
        "policy": policy,
        "load": load,
        "replications": len(group),
        "overload": overload,
        "rising": not overload and rise > 0,
        "backlog_growth": growth,
    }
    for name in MEASURES:
        mean, low, high = mean_interval(group[name])
        low = max(low, 0.0)
        if overload and name != "utilisation":
            mean = low = high = np.inf
        row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return row


def _crossing_interval(crossings: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    if not len(crossings) or np.isnan(crossings).any():
        return np.nan, np.nan, np.nan
    if np.isinf(crossings).any():
        return np.inf, float(crossings.min()), np.inf
    load = float(crossings.mean())
    return load, mean_interval(crossings[:, 0])[1], mean_interval(crossings[:, 1])[2]
