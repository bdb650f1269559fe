"""What chips could do if jobs were a fluid: no queue, no gangs that wait, no failures.

Each number of chips is turned into useful FLOP/s, as the metric ``useful_flop_per_s`` counts them:
the jobs arrive in the mix of the scenario's workload, run with the step time of their full gang on
pools that they may use and that are large enough for the gang, with the software of the date, and a
linear program finds the largest rate of the mix (:mod:`clustersim.outlook.mix_program`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.outlook.mix_program import MixProgram
from clustersim.outlook.port_speeds import PortSpeeds, open_ports
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.scenario import LoadedScenario
from clustersim.seeds import Streams
from clustersim.simulation.eligibility import NOT_LISTED, accelerators_of_jobs
from clustersim.simulation.load import job_kinds
from clustersim.simulation.runtimes import find_runtimes

__all__ = ["FluidFleet", "fluid_capacity", "open_fluid"]

SPEED_STEPS = 100
"""Speeds of software, relative to the fastest on the pool, are rounded to 1 / SPEED_STEPS."""


@dataclass(frozen=True, slots=True)
class FluidFleet:
    """A fleet and the mix of jobs that it could do as a fluid.

    Attributes
    ----------
    pools : tuple of str
    kinds : pandas.DataFrame
        One row per class and size of jobs; see
        :func:`~clustersim.simulation.load.job_kinds`.
    work : float64 array (pools, kinds)
        Chip-seconds of a job with mature software; infinite if it cannot run on the pool.
    flop : float64 array (kinds,)
        Model FLOPs of a job; 0 for a job without a model.
    ports : PortSpeeds
    seed : int
        Seed of the scenario.
    """

    pools: tuple[str, ...]
    kinds: pd.DataFrame
    work: Floats
    flop: Floats
    ports: PortSpeeds
    seed: int

    def capacity(self, chips: Ints, times_s: Floats, seed: int | None = None) -> Floats:
        """Return the useful FLOP/s of each pool.

        Parameters
        ----------
        chips : int64 array (draws, times, pools)
        times_s : float64 array (times,)
            Dates of the software, seconds since time 0.
        seed : int, optional
            Seed of the dates of software; default: that of the scenario.

        Returns
        -------
        float64 array (draws, times, pools)
        """
        draws, n_times, n_pools = chips.shape
        streams = Streams(self.seed if seed is None else seed)
        speed = self.ports.at(times_s, draws, streams).reshape(draws * n_times, -1)
        flat = chips.reshape(-1, n_pools)
        groups = self._groups(flat, speed)
        sizes = self.kinds["n_accelerators"].to_numpy(dtype=np.int64)
        share = self.kinds["share"].to_numpy(dtype=np.float64)
        found = np.zeros((len(flat), n_pools))
        bases: list[Bools] = []
        for rows in groups.members():
            relative, fits = groups.relative[rows[0]], sizes <= flat[rows[0], :, None]
            with np.errstate(divide="ignore"):
                work = np.where(fits & (relative > 0), self.work / relative, np.inf)
            points = flat[rows] * groups.scale[rows]
            distinct, index = np.unique(points, axis=0, return_inverse=True)
            jobs = MixProgram(work, share).jobs_per_s(distinct, bases)
            found[rows] = (jobs @ self.flop)[index.ravel()]
        return found.reshape(chips.shape)

    def _groups(self, chips: Ints, speed: Floats) -> _Groups:
        """Group points by the kinds that fit on each pool and by their relative speeds there."""
        sizes = np.unique(self.kinds["n_accelerators"].to_numpy(dtype=np.int64))
        keys = [np.searchsorted(sizes, chips, side="right")]
        scale = np.ones(chips.shape)
        relative = np.ones((len(chips), *self.work.shape), dtype=np.float32)
        for pool, port_of in enumerate(self.ports.port_of):
            used = np.unique(port_of)
            of_pool = speed[:, used]
            scale[:, pool] = of_pool.max(axis=1)
            there = scale[:, pool] > 0
            share = of_pool / np.where(there, scale[:, pool], 1.0)[:, None]
            rounded = np.round(share * SPEED_STEPS).astype(np.int64)
            keys.append(rounded)
            relative[:, pool] = (rounded / SPEED_STEPS)[:, np.searchsorted(used, port_of)]
        key = np.concatenate(keys, axis=1)
        _, group = np.unique(key, axis=0, return_inverse=True)
        return _Groups(group.ravel(), scale, relative)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Points (chips of each pool at a date) that differ only in the numbers of chips.

    Attributes
    ----------
    group : int64 array (points,)
    scale : float64 array (points, pools)
        Speed of the fastest software on each pool.
    relative : float32 array (points, pools, kinds)
        Speed of the software for each kind as a share of `scale`.
    """

    group: Ints
    scale: Floats
    relative: Floats

    def members(self) -> list[Ints]:
        order = np.argsort(self.group, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.group[order])) + 1)


def open_fluid(loaded: LoadedScenario, platform: Platform | None = None) -> FluidFleet:
    """Return the fluid fleet of a scenario that generates its jobs.

    Parameters
    ----------
    loaded : LoadedScenario
    platform : Platform, optional
        That of the scenario, to avoid opening it again.

    Raises
    ------
    InputError
        If the jobs come from a log, they have virtual clusters, or no job can run on the cluster.

    Examples
    --------
    >>> import clustersim as cs
    >>> fluid = open_fluid(cs.load_scenario("mixed_small"))
    >>> flops = fluid.capacity(np.array([[[256, 96, 64, 64]]]), np.array([0.0]))
    >>> flops.shape, bool((flops > 0).any())
    ((1, 1, 4), True)
    """
    platform = open_platform(loaded) if platform is None else platform
    if platform.workload is None:
        raise InputError(loaded.source, "workload: an outlook needs a workload model (generate)")
    kinds = job_kinds(platform.workload)
    if kinds["vc"].notna().any():
        raise InputError(loaded.source, "workload: an outlook has no virtual clusters")
    runtimes = find_runtimes(kinds, platform.speeds)
    listed = accelerators_of_jobs(kinds, platform.cluster, platform.catalogue) != NOT_LISTED
    sizes = kinds["n_accelerators"].to_numpy(dtype=np.int64)
    whole = np.array([pool.n_chips for pool in platform.cluster.pools])
    can: Bools = listed & (sizes <= whole[:, None])
    work = np.where(can, sizes * runtimes.run_s, np.inf)
    if not np.isfinite(work).any():
        raise InputError(loaded.source, "workload: none of its jobs can run on this cluster")
    return FluidFleet(
        pools=tuple(pool.name for pool in platform.cluster.pools),
        kinds=kinds,
        work=work,
        flop=_flop(kinds, platform),
        ports=open_ports(loaded, platform, kinds),
        seed=loaded.scenario.seed,
    )


def fluid_capacity(
    loaded: LoadedScenario,
    chips: Ints,
    times_s: Floats,
    seed: int | None = None,
    *,
    platform: Platform | None = None,
) -> Floats:
    """Return the useful FLOP/s of each pool, of shape (draws, times, pools).

    For the parameters, see :func:`open_fluid` and :meth:`FluidFleet.capacity`.
    """
    return open_fluid(loaded, platform).capacity(chips, times_s, seed)


def _flop(kinds: pd.DataFrame, platform: Platform) -> Floats:
    """Return the model FLOPs of a mean job of each kind."""
    found = np.zeros(len(kinds))
    for model in kinds["model"].dropna().unique():
        mine = (kinds["model"] == model).to_numpy()
        per_token = model_flops_per_token(ModelArrays.of([platform.catalogue.model(str(model))]))
        found[mine] = kinds["tokens"].to_numpy(dtype=np.float64)[mine] * float(per_token[0])
    return found
