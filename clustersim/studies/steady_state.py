"""Measures of the steady part of a run, and whether there is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from clustersim.errors import InputError
from clustersim.simulation.metrics import bounded_slowdown, mean_utilisation, wait_s
from clustersim.simulation.result import Result
from clustersim.simulation.tables import UNFINISHED

__all__ = ["SteadyState", "Window", "measure"]


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the submissions that is measured.

    Attributes
    ----------
    warm_up : float
        Share of the jobs, from the first, that fill the empty cluster and are left out.
    cool_down : float
        Share of the jobs, to the last, that keep up the pressure on those before and
        are left out.
    """

    warm_up: float = 0.25
    cool_down: float = 0.1

    def of(self, n_jobs: int) -> tuple[int, int]:
        """First measured job and the one after the last."""
        return int(n_jobs * self.warm_up), int(n_jobs * (1 - self.cool_down))


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Measures of the jobs submitted within the window.

    Attributes
    ----------
    mean_wait_s, p95_wait_s : float
    mean_bounded_slowdown : float
    utilisation : float
        Accelerator-seconds allocated over available while the window's jobs were
        submitted.
    backlog_growth : float
        Work (accelerator-seconds) waiting at the window's end less that at its begin,
        over the work that arrived in between: the share that the cluster did not
        carry.  Around 0 in a steady state.
    wait_rise_s : float
        Mean wait of the later half of the measured jobs less that of the earlier half.
        Around 0 in a steady state.
    jobs : int
        Jobs measured.
    never_runnable : int
        Jobs of the window that can never run, left out.
    """

    mean_wait_s: float
    p95_wait_s: float
    mean_bounded_slowdown: float
    utilisation: float
    backlog_growth: float
    wait_rise_s: float
    jobs: int
    never_runnable: int

    def as_dict(self) -> dict[str, float]:
        """The measures by name."""
        return asdict(self)


def measure(result: Result, window: Window) -> SteadyState:
    """Measure the steady part of a result.

    Parameters
    ----------
    result : Result
        A run to the end of all jobs.
    window : Window
        Which jobs count.

    Raises
    ------
    InputError
        If no job is left to measure, or some had not finished when the run was stopped.
    """
    if (result.jobs["outcome"] == UNFINISHED).any():
        raise InputError("measure", "jobs are unfinished; a steady state needs a run to their end")
    first, last = window.of(len(result.jobs))
    measured = result.jobs.iloc[first:last]
    ran = measured[measured["start_s"].notna()]
    if len(ran) == 0:
        raise InputError("measure", f"none of the {len(result.jobs):,} jobs ran in the window")
    submit = result.jobs["submit_s"].to_numpy(dtype=np.float64)
    begin_s, end_s = float(submit[first]), float(submit[last - 1])
    wait = wait_s(ran).to_numpy()
    return SteadyState(
        mean_wait_s=float(wait.mean()),
        p95_wait_s=float(np.quantile(wait, 0.95)),
        mean_bounded_slowdown=float(bounded_slowdown(ran).mean()),
        utilisation=mean_utilisation(result.utilisation, begin_s=begin_s, end_s=end_s),
        backlog_growth=_backlog_growth(result, begin_s, end_s),
        wait_rise_s=float(wait[len(wait) // 2 :].mean() - wait[: (len(wait) + 1) // 2].mean()),
        jobs=len(ran),
        never_runnable=len(measured) - len(ran),
    )


def _backlog_growth(result: Result, begin_s: float, end_s: float) -> float:
    ran = result.jobs[result.jobs["start_s"].notna()]
    submit = ran["submit_s"].to_numpy(dtype=np.float64)
    start = ran["start_s"].to_numpy()
    work = ran["n_accelerators"].to_numpy() * (ran["finish_s"].to_numpy() - start)
    arrived = float(work[(submit > begin_s) & (submit <= end_s)].sum())

    def waiting(at_s: float) -> float:
        return float(work[(submit <= at_s) & (start > at_s)].sum())

    return (waiting(end_s) - waiting(begin_s)) / arrived if arrived > 0 else 0.0
