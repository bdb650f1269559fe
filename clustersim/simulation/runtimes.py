"""The run time of every job on every pool, from the performance model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.scheduling.elastic import Elastic
from clustersim.simulation.elasticity import elastic_notes, find_elastic
from clustersim.simulation.speeds import Speeds
from clustersim.units import listed
from clustersim.workload.measured_rates import (
    best_rates,
    has_rates,
    rate_notes,
    rated,
    rated_pools,
    rates_of,
)

__all__ = ["Runtimes", "find_runtimes", "models_of_jobs"]

NO_RATE = "its measured rate there is 0 or missing"
"""Why a job with measured rates cannot run on a pool."""


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Run times of jobs on pools.

    Attributes
    ----------
    run_s, estimate_s : float64 arrays (pools, jobs)
        Real and estimated run time, seconds; infinite if the job cannot run.
    obstacles : dict
        Maps each combination (model, number of accelerators, pool) that cannot run to the reason.
    missing_port : int64 array (pools, jobs), optional
        Index in `port_obstacles` of the reason why the job has no software yet; -1 if it has
        software.
    port_obstacles : tuple of str
        Reasons why software is missing, one for each port.
    notes : tuple of str
        Notes on chips that compute in a different precision than requested, and on unusual features
        of the plans that determine the run times (:mod:`clustersim.performance.plan_rules`).
    elastic : Elastic, optional
        The sizes at which jobs can run; by default only the one that each asks for.
    speeds : Speeds, optional
        What the run times were computed with.
    """

    run_s: Floats
    estimate_s: Floats
    obstacles: Mapping[tuple[str, int, int], str]
    missing_port: Ints | None = None
    port_obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    elastic: Elastic | None = None
    speeds: Speeds | None = None

    def obstacle(self, job: int, pool: int, model: str, size: int) -> str:
        """Return the reason why a job cannot run on a pool."""
        if self.missing_port is not None and self.missing_port[pool, job] >= 0:
            return self.port_obstacles[int(self.missing_port[pool, job])]
        return self.obstacles.get((model, size, pool), NO_RATE)


def find_runtimes(jobs: pd.DataFrame, speeds: Speeds) -> Runtimes:
    """Compute the run time of each job on each pool.

    The run time of a job with a ``model`` is its ``tokens`` divided by the tokens per second of
    the best plan for its number of accelerators. The ``duration_s`` of a job without a model refers
    to the reference accelerator. On another chip this time is divided by the chip's speed relative
    to the reference, for the reference model at the job's size.

    A job with measured rates (:mod:`clustersim.workload.measured_rates`) runs for its steps divided
    by its rate on each pool, whatever the chips are.

    Each distinct combination of model, accelerator and size is evaluated once. One call evaluates
    all combinations.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    speeds : Speeds
        Speeds of models on the pools; needs a catalogue if jobs have models instead of durations.

    Returns
    -------
    Runtimes

    Raises
    ------
    InputError
        If a model or chip is not in the catalogue.
    """
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    duration = jobs["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    slowdown = np.ones((len(speeds.cluster.pools), 1))
    notes: list[str] = []
    if speeds.scales_durations:
        notes += [speeds.reference_note, *speeds.precision_notes]
        stand_in = _stand_ins(jobs, speeds.model.reference_models)
        slowdown = _slowdowns(sizes, stand_in, speeds)
    run_s = duration * slowdown
    estimate_s = run_s.copy()
    given = np.full(len(jobs), np.nan)
    if "estimate_s" in jobs:
        given = jobs["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        estimate_s = np.where(np.isfinite(given), given, duration) * slowdown
    obstacles: dict[tuple[str, int, int], str] = {}
    by_model = _model_rows(jobs)
    if speeds.catalogue is None:
        by_model = by_model[np.isnan(duration[by_model])]
    if len(by_model):
        if speeds.catalogue is None:
            raise InputError(
                "jobs",
                f"{len(by_model):,} have a model and tokens instead of duration_s, so they need a "
                "cluster with chips; name the log as `workload.trace` in a scenario and use "
                "`clustersim run`",
            )
        of_models = _model_run_s(jobs.iloc[by_model], speeds, obstacles, notes)
        run_s[:, by_model] = of_models
        if "estimate_factor" in jobs:
            of_models = of_models * jobs["estimate_factor"].to_numpy(np.float64)[by_model]
        estimate_s[:, by_model] = np.where(np.isfinite(given[by_model]), given[by_model], of_models)
    if has_rates(jobs):
        run_s, estimate_s = _at_measured_rates(jobs, speeds, run_s, estimate_s)
        notes += rate_notes(jobs, [pool.name for pool in speeds.cluster.pools])
    notes += elastic_notes(jobs, by_model)
    return Runtimes(
        run_s,
        estimate_s,
        obstacles,
        notes=tuple(note for note in dict.fromkeys(notes) if note),
        elastic=find_elastic(jobs, speeds, by_model),
        speeds=speeds,
    )


def models_of_jobs(jobs: pd.DataFrame, speeds: Speeds) -> npt.NDArray[np.object_]:
    """Return the model of each job, or the one that stands for it; an empty text without one.

    Jobs with measured rates have none.
    """
    names = np.full(len(jobs), "", dtype=object)
    if speeds.catalogue is None:
        return names
    if speeds.scales_durations:
        names = _stand_ins(jobs, speeds.model.reference_models)
    own = _model_rows(jobs)
    if len(own):
        names[own] = jobs["model"].to_numpy(dtype=object)[own]
    if has_rates(jobs):
        names[rated(jobs)] = ""
    return names


def _at_measured_rates(
    jobs: pd.DataFrame, speeds: Speeds, run_s: Floats, estimate_s: Floats
) -> tuple[Floats, Floats]:
    """Return the run times and estimates, those of jobs with measured rates at these rates.

    Without an estimate of its own, a job's estimate is its run time. Its own estimate is that at
    its highest rate, as its duration is, and takes longer on other pools in the same proportion.

    Raises
    ------
    InputError
        If no pool of the cluster has a column of rates.
    """
    names = [pool.name for pool in speeds.cluster.pools]
    if not set(names) & set(rated_pools(jobs)):
        raise InputError(
            "jobs",
            f"have rates for the pools {listed(rated_pools(jobs))}, and the cluster has "
            f"{listed(names)}; the columns are steps_per_s.POOL",
        )
    own = rated(jobs)
    steps = pd.to_numeric(jobs["steps"]).to_numpy(dtype=np.float64, na_value=np.nan)
    given = np.full(len(jobs), np.nan)
    if "estimate_s" in jobs:
        given = jobs["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    best = best_rates(jobs)
    for row, name in enumerate(names):
        rates = rates_of(jobs, name)
        at_rate, slower = np.full((2, len(jobs)), np.inf)
        if rates is not None:
            np.divide(steps, rates, out=at_rate, where=rates > 0)
            np.divide(best, rates, out=slower, where=rates > 0)
        run_s[row] = np.where(own, at_rate, run_s[row])
        estimate = np.where(np.isnan(given), at_rate, given * slower)
        estimate_s[row] = np.where(own, estimate, estimate_s[row])
    return run_s, estimate_s


def _model_rows(jobs: pd.DataFrame) -> npt.NDArray[np.intp]:
    if "model" not in jobs or "tokens" not in jobs:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(jobs["model"].notna().to_numpy(dtype=bool))


def _stand_ins(jobs: pd.DataFrame, models: Mapping[str, str]) -> npt.NDArray[np.object_]:
    """Return the model whose speed is used for each job without a model; empty if not set."""
    default = models.get("default", "")
    if "job_class" not in jobs:
        return np.full(len(jobs), default, dtype=object)
    named = jobs["job_class"].astype(object).map(dict(models))
    return named.fillna(default).to_numpy(dtype=object)


def _slowdowns(sizes: Ints, stand_in: npt.NDArray[np.object_], speeds: Speeds) -> Floats:
    """Return run times relative to the reference chip, as an array of shape (pools, jobs)."""
    slowdown = np.ones((len(speeds.cluster.pools), len(sizes)))
    for name in sorted(set(stand_in) - {""}):
        rows = np.flatnonzero(stand_in == name)
        distinct, index = np.unique(sizes[rows], return_inverse=True)
        slowdown[:, rows] = speeds.slowdowns(name, distinct.tolist())[:, index]
    return slowdown


def _model_run_s(
    jobs: pd.DataFrame,
    speeds: Speeds,
    obstacles: dict[tuple[str, int, int], str],
    notes: list[str],
) -> Floats:
    """Return the run times (seconds) of jobs with a model, with the shape (pools, jobs).

    New obstacles and notes are added to `obstacles` and `notes`.
    """
    names, name_of = np.unique(jobs["model"].to_numpy(dtype=str), return_inverse=True)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    distinct, pair_of = np.unique(np.stack([name_of, sizes]), axis=1, return_inverse=True)
    pairs = [(str(names[name]), int(size)) for name, size in distinct.T]
    found = speeds.of_models(pairs)
    of_chips = speeds.precision_notes
    notes += of_chips
    for pool in range(len(speeds.cluster.pools)):
        for (name, size), speed in zip(pairs, found, strict=True):
            if speed.obstacles[pool]:
                obstacles[name, size, pool] = speed.obstacles[pool]
            where = f"{name} on {size:,} {speeds.chip_name(pool)}"
            notes += [f"{where}: {note}" for note in speed.notes[pool] if note not in of_chips]
    seconds_per_token = np.stack([speed.seconds_per_token for speed in found], axis=1)
    tokens = jobs["tokens"].to_numpy(dtype=np.float64)
    run_s: Floats = tokens * seconds_per_token[:, pair_of.ravel()]
    return run_s
