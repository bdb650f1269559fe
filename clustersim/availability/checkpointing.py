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
from clustersim.availability.storage_spec import SharedStorageSpec, rates_Bps
from clustersim.availability.stored_data import checkpoint_bytes, storage_use
from clustersim.catalogue import Catalogue
from clustersim.engine.recovery import Recovery
from clustersim.notes import note
from clustersim.topology import Cluster
from clustersim.units import format_rate

__all__ = [
    "expected_ettr",
    "optimal_interval_s",
    "recovery_in",
    "recovery_of",
    "recovery_of_gangs",
]


def recovery_in(
    spec: Failures | None,
    cluster: Cluster,
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    serving: Serving | None = None,
    stops_per_s: Sequence[Floats] | None = None,
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

    stops_per_s : sequence of float64 array (jobs,), optional
        For each pool, how often each job is stopped for other reasons than failures of nodes (1/s).

    Raises
    ------
    InputError
        If a model is not in the catalogue, or storage is shared and no job uses it.
    """
    sources = [] if spec is None else failure_sources(spec)
    checkpoints = Checkpointing() if spec is None else spec.checkpoints
    sizes = jobs["n_accelerators"].to_numpy()
    mttf_s = [gang_mttf_s(sources, pool, sizes) for pool in cluster.pools]
    if stops_per_s is not None:
        pairs = zip(mttf_s, stops_per_s, strict=True)
        with np.errstate(divide="ignore"):
            mttf_s = [1.0 / (1.0 / each_s + per_s) for each_s, per_s in pairs]
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
    usual_Bps = Checkpointing.model_fields["host_link"].default
    if spec.host_link != usual_Bps and not spec.asynchronous:
        note(
            f"failures.checkpoints.host_link: {format_rate(spec.host_link)} has no effect, because "
            "asynchronous is false"
        )
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
    sizes = np.zeros(len(jobs)) if spec.storage is None else checkpoint_bytes(jobs, catalogue)
    if spec.storage is not None and len(jobs) and not sizes.any():
        note(
            f"failures.checkpoints.storage: {format_rate(spec.storage)} has no effect, because no "
            "job has a model, from which the size of a checkpoint follows; set "
            "storage.checkpoint_per_accelerator, with storage.write for the bandwidth"
        )
    return recovery_of_gangs(spec, mttf_s, sizes, jobs["n_accelerators"].to_numpy())


def recovery_of_gangs(
    spec: Checkpointing, mttf_s: Sequence[Floats], sizes: Floats, n_accelerators: npt.ArrayLike
) -> Recovery:
    """Return how gangs save their state and restart; see :func:`recovery_of`.

    Parameters
    ----------
    spec : Checkpointing
    mttf_s : sequence of float64 array (gangs,)
        For each pool, the mean time to failure of each gang, seconds.
    sizes : float64 array (gangs,)
        Bytes of a checkpoint; 0 for a gang whose checkpoints take ``cost``.
    n_accelerators : int array (gangs,)

    Examples
    --------
    >>> spec = Checkpointing(storage="1 TB/s", restart="10 min")
    >>> found = recovery_of_gangs(spec, [np.array([86400.0])], np.array([5e12]), [1024])
    >>> found.cost_s, found.restart_s, round(found.interval_s[0][0])
    ([5.0], [605.0], 926)
    """
    n = np.asarray(n_accelerators)
    cost_s = np.full(len(n), spec.cost)
    write_s, restart_s = np.zeros(len(n)), np.full(len(n), spec.restart)
    if spec.storage is not None:
        has_model = sizes > 0
        write_Bps, read_Bps = rates_Bps(spec.storage)
        through_s = sizes / write_Bps
        copy_s = sizes / (n * spec.host_link)
        cost_s[has_model] = (copy_s if spec.asynchronous else through_s)[has_model]
        restart_s += sizes / read_Bps
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


def expected_ettr(
    interval_s: npt.ArrayLike,
    cost_s: npt.ArrayLike,
    restart_s: npt.ArrayLike,
    mttf_s: npt.ArrayLike,
) -> Floats:
    """Return the expected share of the time of a long run that is work that is kept.

    Failures are a Poisson process and also happen during checkpoints and restarts (Daly 2006,
    see :func:`optimal_interval_s`, section 3)::

        work / time = interval / (mttf * exp(restart / mttf) * expm1((interval + cost) / mttf))

    The expected number of failures is the time divided by `mttf_s`.

    Parameters
    ----------
    interval_s, cost_s, restart_s, mttf_s : array_like
        Work between checkpoints, time for which a checkpoint blocks the job, time from a failure to
        the next step, and mean time to failure of the whole gang, all in seconds; they broadcast
        with each other. The interval and the mean time to failure may be infinite, but without
        checkpoints a run that fails has no expected share, and the result is 0.

    Returns
    -------
    float64 array
        The effective training time ratio (ETTR), from 0 to 1.

    Examples
    --------
    A checkpoint of 60 s every 3,000 s, without failures and with one a day:

    >>> expected_ettr(3000.0, 60.0, 600.0, [np.inf, 86400.0]).round(4).tolist()
    [0.9804, 0.9565]
    """
    interval, cost, restart, mttf = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (interval_s, cost_s, restart_s, mttf_s))
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        cycle = np.where(interval > 0, interval, np.finfo(np.float64).tiny)
        paused = np.where(interval > 0, cost, 0.0)
        never = np.where(np.isinf(cycle), 1.0, cycle / (cycle + paused))
        share = cycle / (mttf * np.exp(restart / mttf) * np.expm1((cycle + paused) / mttf))
    return np.where(np.isinf(mttf), never, np.nan_to_num(share, nan=0.0))
