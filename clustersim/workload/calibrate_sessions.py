"""The two numbers of a fitted model with sessions that are chosen by how long work waits.

These are how strongly the levels of the weeks vary, and the headroom of the feedback (see
:class:`~clustersim.workload.sessions.Sessions`).  They are chosen so that the waiting work
(:mod:`clustersim.workload.backlog`) of the model is that of the log at the loads `LOADS`: the
method of simulated moments (D. McFadden, "A method of simulated moments for estimation of discrete
response models without numerical integration", Econometrica 57, 1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calendar import Calendar
from clustersim.seeds import Streams
from clustersim.workload.backlog import held_back, waiting_s
from clustersim.workload.describe import demand_of
from clustersim.workload.generate import generate_jobs
from clustersim.workload.spec import WorkloadSpec

__all__ = ["LOADS", "SEEDS", "SHORT_S", "SessionFit", "as_rates"]

LOADS = (0.6, 0.75, 0.9)
"""Offered loads at which the waiting work of the model is compared with that of the log."""
STRENGTHS = (0.0, 0.8, 1.6, 2.4)
"""Exponents of the levels; 0 is a constant rate."""
HEADROOMS = (None, 2.2, 1.9, 1.75, 1.6, 1.5, 1.4, 1.3, 1.2)
SEEDS = 4
"""The model is drawn with the replications 0, 1, ... of the random streams, so many at most."""
MOST_DRAWN = 60_000
"""The number of seeds falls for logs with more jobs than this, but not below 3."""
SHORT_S = 10.0
"""Waits that are much shorter than this count as equal."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionFit:
    """A fitted model, and the waiting work at each choice of its last two numbers.

    Attributes
    ----------
    spec : WorkloadSpec
        The model without these two numbers.
    levels : mapping of str to float64 array (periods,)
        The levels of the log.
    choices : tuple of (float, float or None)
        Strength and headroom of each choice.
    log_s : float64 array (loads,)
        Mean waiting work of the log, as the time for which it keeps the capacity busy (seconds).
    model_s : float64 array (choices, loads)
        The same for the model, as the mean of several seeds.
    """

    spec: WorkloadSpec
    levels: Mapping[str, Floats]
    choices: tuple[tuple[float, float | None], ...]
    log_s: Floats
    model_s: Floats

    @classmethod
    def of(
        cls, spec: WorkloadSpec, jobs: pd.DataFrame, levels: Mapping[str, Floats], clock: Calendar
    ) -> SessionFit:
        """Compute the waiting work of the log, and of the model at each choice."""
        submit, sizes, runs = _arrays(jobs)
        span = float(submit[-1] - submit[0])
        demand = demand_of(jobs)
        seeds = int(np.clip(SEEDS * MOST_DRAWN / len(jobs), 3, SEEDS))
        choices, waits = [], []
        for strength in STRENGTHS if levels else (0.0,):
            model = _without_labels(_chosen(spec, levels, strength, None))
            of_seed = []
            for k in range(seeds):
                streams = Streams(0, replication=k)
                drawn = _arrays(generate_jobs(model, streams, horizon_s=span, calendar=clock))
                of_seed.append([_waits(*drawn, demand, headroom) for headroom in HEADROOMS])
            waits.append(np.mean(of_seed, axis=0))
            choices += [(strength, headroom) for headroom in HEADROOMS]
        log_s = _waits(submit, sizes, runs, demand, None)
        return cls(spec, levels, tuple(choices), log_s, np.concatenate(waits))

    def model(self, correction: float = 1.0) -> WorkloadSpec:
        """Return the model whose waiting work is that of the log.

        Parameters
        ----------
        correction : float
            Waits of the last model divided by waits of the log, as a scheduler has them: the
            waiting work aimed at is divided by it.
        """
        return _chosen(self.spec, self.levels, *self.choices[self._best(correction)])

    def ratio(self, correction: float = 1.0) -> Floats:
        """Return the waiting work of the model divided by that of the log, at each of `LOADS`."""
        return np.asarray(self.model_s[self._best(correction)] / self.log_s)

    def _best(self, correction: float) -> int:
        aim = np.log(self.log_s / correction + SHORT_S)
        return int(((np.log(self.model_s + SHORT_S) - aim) ** 2).sum(axis=1).argmin())


def as_rates(levels: Mapping[str, Floats]) -> dict[str, tuple[float, ...]]:
    """Return levels with mean 1, as a file has them.

    Examples
    --------
    >>> as_rates({"all": np.array([1.0, 3.0])})
    {'all': (0.5, 1.5)}
    """
    return {
        kind: tuple(float(f"{value:.3g}") for value in level / level.mean())
        for kind, level in levels.items()
    }


def _chosen(
    spec: WorkloadSpec, levels: Mapping[str, Floats], strength: float, headroom: float | None
) -> WorkloadSpec:
    """Return the model with levels raised to a power, and with a headroom."""
    raised = as_rates({kind: level**strength for kind, level in levels.items()})
    varied = {kind: rates for kind, rates in raised.items() if min(rates) < max(rates)}
    change = {"levels": varied, "headroom": headroom}
    process = spec.arrivals.process.model_copy(update=change)
    classes = []
    for each in spec.classes:
        assert each.sessions is not None, "each class of a fit has sessions"
        level = each.sessions.level if each.sessions.level in varied else None
        sessions = each.sessions.model_copy(update={"level": level})
        classes.append(each.model_copy(update={"sessions": sessions}))
    arrivals = spec.arrivals.model_copy(update={"process": process})
    return spec.model_copy(update={"arrivals": arrivals, "classes": tuple(classes)})


def _without_labels(spec: WorkloadSpec) -> WorkloadSpec:
    """Return a model whose jobs have no user, virtual cluster or estimate, to save time."""
    none = {"users": None, "vcs": None, "estimate": None}
    classes = tuple(each.model_copy(update=none) for each in spec.classes)
    return spec.model_copy(update={"classes": classes})


def _arrays(jobs: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return the times of submission, sizes and run times of jobs."""
    submit, sizes, runs = (
        jobs[name].to_numpy(dtype=np.float64)
        for name in ("submit_s", "n_accelerators", "duration_s")
    )
    return submit, sizes, runs


def _waits(
    submit: Floats, sizes: Floats, runs: Floats, demand: float, headroom: float | None
) -> Floats:
    """Return the mean waiting work (seconds) at each of the loads, with feedback.

    The load changes by compressing time; the capacity is that of the first load.
    """
    if len(submit) == 0:
        return np.zeros(len(LOADS))
    if headroom is not None:
        submit = held_back(submit, sizes, runs, headroom * demand)
    capacity = demand / LOADS[0]
    faster = np.array(LOADS) / LOADS[0]
    return np.array(
        [float(waiting_s(submit / times, sizes, runs, capacity).mean()) for times in faster]
    )
