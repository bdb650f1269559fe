"""The cost of checkpoints in time: fixed, or computed from the model and the storage."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.availability.failure_spec import Checkpointing, Failures, failure_sources
from clustersim.availability.failures import gang_mttf_s
from clustersim.availability.serving_spec import Serving
from clustersim.availability.storage_spec import SharedStorageSpec
from clustersim.availability.stored_data import checkpoint_bytes, storage_use
from clustersim.catalogue import Catalogue
from clustersim.engine.recovery import Recovery
from clustersim.topology import Cluster

__all__ = ["optimal_interval_s", "recovery_in", "recovery_of"]


def recovery_in(
    spec: Failures | None,
    cluster: Cluster,
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    serving: Serving | None = None,
) -> Recovery:
    """Return how the jobs of a scenario save their state and restart.

    Parameters
    ----------
    spec : Failures or None
        None if nothing fails. Jobs may still be stopped for other reasons.
    cluster : Cluster
    jobs : pandas.DataFrame
        A jobs table.
    catalogue : Catalogue
        Contains the models of the jobs.
    serving : Serving, optional
        Inference services, which may read from storage that jobs share.

    Raises
    ------
    InputError
        If a model is not in the catalogue, or storage is shared and no job uses it.
    """
    sources = [] if spec is None else failure_sources(spec)
    checkpoints = Checkpointing() if spec is None else spec.checkpoints
    sizes = jobs["n_accelerators"].to_numpy()
    mttf_s = [gang_mttf_s(sources, pool, sizes) for pool in cluster.pools]
    return recovery_of(checkpoints, mttf_s, jobs, catalogue, cluster=cluster, serving=serving)


def recovery_of(
    spec: Checkpointing,
    mttf_s: Sequence[Floats],
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    *,
    cluster: Cluster | None = None,
    serving: Serving | None = None,
) -> Recovery:
    """Return how the jobs of a run save their state and restart.

    Parameters
    ----------
    spec : Checkpointing
        With ``storage``, a job that has a model writes and reads its state at that rate. Otherwise,
        a checkpoint takes ``cost``. If checkpoints are asynchronous, a job is blocked only while
        each of its chips copies its share of the state to the host. A checkpoint can be used once
        it has been written, and the next checkpoint does not begin earlier. If all jobs share the
        storage, these times and the interval are those of the job alone.
    mttf_s : sequence of float64 array (jobs,)
        For each pool, the mean time to failure of each job's gang, seconds.
    jobs : pandas.DataFrame
        A jobs table.
    catalogue : Catalogue
        Contains the models of the jobs.
    cluster, serving : optional
        The cluster, which is needed if jobs share the storage, and its inference services.
    """
    if isinstance(spec.storage, SharedStorageSpec):
        assert cluster is not None, "its pools have the systems"
        use = storage_use(spec, spec.storage, cluster, jobs, catalogue, serving)
        plain_s = np.full(len(jobs), spec.cost)
        times = zip(use.cost_s, use.write_s, mttf_s, strict=True)
        alone = [
            _interval_s(spec, np.array(each_cost_s), np.array(each_write_s), each_s).tolist()
            for each_cost_s, each_write_s, each_s in times
        ]
        return Recovery(alone, plain_s.tolist(), [spec.restart] * len(jobs), storage=use)
    cost_s = np.full(len(jobs), spec.cost)
    write_s, restart_s = np.zeros(len(jobs)), np.full(len(jobs), spec.restart)
    if spec.storage is not None:
        size = checkpoint_bytes(jobs, catalogue)
        has_model = size > 0
        through_s = size / spec.storage
        copy_s = size / (jobs["n_accelerators"].to_numpy() * spec.host_link)
        cost_s[has_model] = (copy_s if spec.asynchronous else through_s)[has_model]
        restart_s += through_s
        if spec.asynchronous:
            write_s = through_s
    intervals = [_interval_s(spec, cost_s, write_s, each_s).tolist() for each_s in mttf_s]
    return Recovery(intervals, cost_s.tolist(), restart_s.tolist(), write_s.tolist())


def _interval_s(spec: Checkpointing, cost_s: Floats, write_s: Floats, mttf_s: Floats) -> Floats:
    """Return the work between the checkpoints of each job, seconds."""
    if spec.interval == "optimal":
        return np.maximum(optimal_interval_s(cost_s, mttf_s), write_s)
    length_s = math.inf if spec.interval == "never" else float(spec.interval)
    return np.maximum(length_s, write_s)


def optimal_interval_s(cost_s: npt.ArrayLike, mttf_s: npt.ArrayLike) -> Floats:
    """Return the amount of work between checkpoints that minimises the lost time.

    Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
    Generation Computer Systems 22(3), 2006, equation 37. If the cost is small compared with the
    mean time to failure, this is Young's ``sqrt(2 * cost * mttf)`` ("A first order approximation to
    the optimum checkpoint interval", CACM 17(9), 1974).

    Parameters
    ----------
    cost_s : array_like
        Time for which a checkpoint blocks the job, seconds.
    mttf_s : array_like
        Mean time to failure of the whole gang, seconds.

    Returns
    -------
    float64 array
        Seconds of work; infinite if nothing ever fails, zero if a checkpoint costs nothing.

    Examples
    --------
    >>> float(optimal_interval_s(60.0, 86400.0).round(1))
    3180.1
    """
    cost, mttf = (np.asarray(values, dtype=np.float64) for values in (cost_s, mttf_s))
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.sqrt(np.divide(cost, 2.0 * mttf))
        series = np.sqrt(2.0 * cost * mttf) * (1.0 + part / 3.0 + part**2 / 9.0) - cost
    interval = np.where(cost < 2.0 * mttf, series, mttf)
    return np.where(np.isinf(mttf), np.inf, np.maximum(interval, 0.0))
