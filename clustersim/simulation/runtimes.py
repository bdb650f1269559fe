"""How long every job would run on every pool, by the performance core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.simulation.speeds import Speeds

__all__ = ["Runtimes", "find_runtimes"]


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Run times of jobs on pools.

    Attributes
    ----------
    run_s, estimate_s : float64 arrays (pools, jobs)
        Real and estimated run time; infinite where the job cannot run.
    obstacles : dict
        For each (model, size, pool) that cannot run, why.
    missing_port : int64 array (pools, jobs), optional
        Which of `port_obstacles` tells why there is no software for the job yet, -1 where there is.
    port_obstacles : tuple of str
    notes : tuple of str
        Where a pool's chip computes in another precision than asked for, and what is unusual of the
        plans from which run times come (:mod:`clustersim.performance.plan_rules`).
    """

    run_s: Floats
    estimate_s: Floats
    obstacles: Mapping[tuple[str, int, int], str]
    missing_port: npt.NDArray[np.int64] | None = None
    port_obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def obstacle(self, job: int, pool: int, model: str, size: int) -> str:
        """Why a job cannot run on a pool."""
        if self.missing_port is not None and self.missing_port[pool, job] >= 0:
            return self.port_obstacles[int(self.missing_port[pool, job])]
        return self.obstacles[model, size, pool]


def find_runtimes(jobs: pd.DataFrame, speeds: Speeds) -> Runtimes:
    """Find the run time of each job on each pool.

    A job with a ``model`` takes its ``tokens`` over the tokens per second of the best
    plan for its number of accelerators.  A job without one ran ``duration_s`` on the
    reference accelerator; on another chip that time is divided by the chip's speed
    relative to the reference for the reference model at the job's size.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    speeds : Speeds
        Of models on the pools; needs a catalogue where jobs have models instead of durations.

    Returns
    -------
    Runtimes
        Every distinct (model, accelerator, size) is evaluated once, all in one call.

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
    told = np.full(len(jobs), np.nan)
    if "estimate_s" in jobs:
        told = jobs["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        estimate_s = np.where(np.isfinite(told), told, duration) * slowdown
    obstacles: dict[tuple[str, int, int], str] = {}
    by_model = _model_rows(jobs)
    if speeds.catalogue is None:
        by_model = by_model[np.isnan(duration[by_model])]
    if len(by_model):
        if speeds.catalogue is None:
            raise InputError(
                "jobs",
                f"{len(by_model):,} have a model and tokens instead of duration_s; they need "
                "chips: name the log as workload.trace in a scenario for `clustersim run`",
            )
        of_models = _model_run_s(jobs.iloc[by_model], speeds, obstacles, notes)
        run_s[:, by_model] = of_models
        if "estimate_factor" in jobs:
            of_models = of_models * jobs["estimate_factor"].to_numpy(np.float64)[by_model]
        estimate_s[:, by_model] = np.where(np.isfinite(told[by_model]), told[by_model], of_models)
    return Runtimes(
        run_s, estimate_s, obstacles, notes=tuple(note for note in dict.fromkeys(notes) if note)
    )


def _model_rows(jobs: pd.DataFrame) -> npt.NDArray[np.intp]:
    if "model" not in jobs or "tokens" not in jobs:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(jobs["model"].notna().to_numpy(dtype=bool))


def _stand_ins(jobs: pd.DataFrame, models: Mapping[str, str]) -> npt.NDArray[np.object_]:
    """Name of the model that stands for each job, empty where none does."""
    default = models.get("default", "")
    if "job_class" not in jobs:
        return np.full(len(jobs), default, dtype=object)
    named = jobs["job_class"].astype(object).map(dict(models))
    return named.fillna(default).to_numpy(dtype=object)


def _slowdowns(
    sizes: npt.NDArray[np.int64], stand_in: npt.NDArray[np.object_], speeds: Speeds
) -> Floats:
    """Run time on each pool's chip over that on the reference, (pools, jobs)."""
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
    """Run times of jobs that have a model, (pools, jobs); `obstacles` and `notes` are added to."""
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
