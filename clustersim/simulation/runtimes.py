"""How long every job would run on every pool, by the performance core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError
from clustersim.performance import World, best_plans, default_world, relative_speed
from clustersim.performance.plan_rules import precision_note
from clustersim.topology import Cluster, Pool

__all__ = ["Runtimes", "find_runtimes"]

Floats = npt.NDArray[np.float64]


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


def find_runtimes(
    jobs: pd.DataFrame,
    cluster: Cluster,
    catalogue: Catalogue | None,
    *,
    reference_accelerator: str | None = None,
    reference_models: Mapping[str, str] | None = None,
    world: World | None = None,
    precision: str = "bf16",
    exact_estimates: bool = False,
) -> Runtimes:
    """Find the run time of each job on each pool.

    A job with a ``model`` takes its ``tokens`` over the tokens per second of the best
    plan for its number of accelerators.  A job without one ran ``duration_s`` on the
    reference accelerator; on another chip that time is divided by the chip's speed
    relative to the reference for the reference model at the job's size.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    cluster : Cluster
        Pools with their chips and links.
    catalogue : Catalogue, optional
        Chips and models, needed where jobs have models or pools differ in speed.
    reference_accelerator : str, optional
        The chip on which the recorded durations were measured.
    reference_models : mapping of str to str, optional
        From job class to the model of the catalogue that stands for its jobs without
        one; the key ``default`` for all other classes.  Without these two, durations
        hold on every chip.
    world : World, optional
        Values of the performance core's coefficients; by default the posterior mean of the
        built-in calibration.
    precision : {"bf16", "fp8"}
        Of matrix products; a chip without FP8 computes in BF16.
    exact_estimates : bool
        Whether to ignore the table's own estimates.

    Returns
    -------
    Runtimes
        Every distinct (model, accelerator, size) is evaluated once, all in one call.

    Raises
    ------
    InputError
        If a model or chip is not in the catalogue.
    """
    n_pools = len(cluster.pools)
    steps = _Steps(world or default_world(), precision)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    duration = jobs["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    slowdown = np.ones((n_pools, 1))
    notes: list[str] = []
    if catalogue is not None and reference_accelerator is not None and reference_models:
        reference = catalogue.accelerator(reference_accelerator)
        chips = [catalogue.accelerator(pool.accelerator) for pool in cluster.pools]
        notes += [precision_note(chip, precision) for chip in (reference, *chips)]
        stand_in = _stand_ins(jobs, reference_models)
        slowdown = _slowdowns(sizes, stand_in, cluster, catalogue, reference, steps)
    run_s = duration * slowdown
    estimate_s = run_s.copy()
    told = np.full(len(jobs), np.nan)
    if "estimate_s" in jobs and not exact_estimates:
        told = jobs["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        estimate_s = np.where(np.isfinite(told), told, duration) * slowdown
    obstacles: dict[tuple[str, int, int], str] = {}
    by_model = _model_rows(jobs)
    if catalogue is None:
        by_model = by_model[np.isnan(duration[by_model])]
    if len(by_model):
        if catalogue is None:
            raise InputError(
                "jobs",
                f"{len(by_model):,} have a model and tokens instead of duration_s; they need "
                "chips: name the log as workload.trace in a scenario for `clustersim run`",
            )
        of_models = _model_run_s(jobs.iloc[by_model], cluster, catalogue, steps, obstacles, notes)
        run_s[:, by_model] = of_models
        if "estimate_factor" in jobs and not exact_estimates:
            of_models = of_models * jobs["estimate_factor"].to_numpy(np.float64)[by_model]
        estimate_s[:, by_model] = np.where(np.isfinite(told[by_model]), told[by_model], of_models)
    return Runtimes(
        run_s, estimate_s, obstacles, notes=tuple(note for note in dict.fromkeys(notes) if note)
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """From what step times are estimated."""

    world: World
    precision: str


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
    sizes: npt.NDArray[np.int64],
    stand_in: npt.NDArray[np.object_],
    cluster: Cluster,
    catalogue: Catalogue,
    reference: Accelerator,
    steps: _Steps,
) -> Floats:
    """Run time on each pool's chip over that on the reference, (pools, jobs)."""
    slowdown = np.ones((len(cluster.pools), len(sizes)))
    for name in sorted(set(stand_in) - {""}):
        model, rows = catalogue.model(name), np.flatnonzero(stand_in == name)
        distinct, index = np.unique(sizes[rows], return_inverse=True)
        for row, pool in enumerate(cluster.pools):
            chip = _chip(pool, catalogue)
            if chip.name != reference.name:
                speed = relative_speed(
                    model,
                    chip,
                    reference,
                    distinct,
                    nic_Bps=(pool.nic_Bps, None),
                    scaleup_size=(pool.scaleup_size, None),
                    precision=steps.precision,
                    world=steps.world,
                )
                slowdown[row, rows] = 1.0 / speed[index]
    return slowdown


def _model_run_s(
    jobs: pd.DataFrame,
    cluster: Cluster,
    catalogue: Catalogue,
    steps: _Steps,
    obstacles: dict[tuple[str, int, int], str],
    notes: list[str],
) -> Floats:
    """Run times of jobs that have a model, (pools, jobs); `obstacles` and `notes` are added to."""
    names, name_of = np.unique(jobs["model"].to_numpy(dtype=str), return_inverse=True)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    pairs, pair_of = np.unique(np.stack([name_of, sizes]), axis=1, return_inverse=True)
    models = [catalogue.model(str(name)) for name in names]
    pools = cluster.pools
    chips = [_chip(pool, catalogue) for pool in pools]
    n_pairs = pairs.shape[1]
    plans = best_plans(
        [models[name] for _ in pools for name in pairs[0]],
        [chip for chip in chips for _ in range(n_pairs)],
        np.tile(pairs[1], len(pools)),
        nic_Bps=np.repeat([pool.nic_Bps for pool in pools], n_pairs),
        scaleup_size=np.repeat([pool.scaleup_size for pool in pools], n_pairs),
        precision=steps.precision,
        world=steps.world,
    )
    rate = np.asarray(plans.tokens_per_s).reshape(len(pools), n_pairs)
    step_s = np.asarray(plans.step_time_s).reshape(len(pools), n_pairs)
    for pool, pair in zip(*np.nonzero(~np.isfinite(step_s)), strict=True):
        key = (str(names[pairs[0, pair]]), int(pairs[1, pair]), int(pool))
        obstacles[key] = plans.reason[pool * n_pairs + pair]
    of_chips = [precision_note(chip, steps.precision) for chip in chips]
    notes += of_chips
    for row, told in enumerate(plans.notes):
        pool, pair = divmod(row, n_pairs)
        where = f"{names[pairs[0, pair]]} on {int(pairs[1, pair]):,} {chips[pool].name}"
        notes += [f"{where}: {note}" for note in told if note not in of_chips]
    tokens = jobs["tokens"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore"):
        seconds_per_token = np.where(np.isfinite(step_s), 1.0 / rate, np.inf)
    return tokens * seconds_per_token[:, pair_of.ravel()]


def _chip(pool: Pool, catalogue: Catalogue) -> Accelerator:
    """The pool's chip with the scale-up link that the topology gives it."""
    chip = catalogue.accelerator(pool.accelerator)
    return replace(
        chip,
        scaleup_Bps=chip.scaleup_Bps if pool.scaleup_Bps is None else pool.scaleup_Bps,
        scaleup_shape=pool.scaleup_shape or chip.scaleup_shape,
    )
