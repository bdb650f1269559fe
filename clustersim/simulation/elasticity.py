"""How fast jobs with a range of sizes are at each size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.scheduling.elastic import Amdahl, Curve, Elastic, SpeedCurve, usual_sizes
from clustersim.simulation.speeds import Speeds
from clustersim.units import counted
from clustersim.workload.measured_rates import rated, rates_at_sizes, rates_of
from clustersim.workload.size_ranges import has_ranges, serial_shares, size_ranges

__all__ = ["elastic_notes", "find_elastic"]

Key = tuple[object, ...]


def find_elastic(jobs: pd.DataFrame, speeds: Speeds, by_model: Ints) -> Elastic | None:
    """Return the sizes at which jobs can run and their speeds; None if none has a range.

    The speed at a size comes from the job's measured rates at several sizes
    (:mod:`clustersim.workload.measured_rates`); for a job with a model from the best plan that the
    performance model finds at each size (:func:`~clustersim.scheduling.elastic.usual_sizes`
    and the one that it asks for; no other size is possible); and for other jobs from Amdahl's law
    with their column ``serial_share``, without which speed is proportional to size.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    speeds : Speeds
        Speeds of models on the pools.
    by_model : int array
        The rows whose run time comes from their model.

    Returns
    -------
    Elastic or None
    """
    if not has_ranges(jobs):
        return None
    asked = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    smallest, largest = size_ranges(jobs)
    flexible = smallest < largest
    known: dict[Key, int] = {}
    curves: list[tuple[Curve, ...]] = []
    curve_of = np.zeros(len(jobs), dtype=np.int64)

    def add(row: int, key: Key, of_pools: Iterable[Curve]) -> None:
        if key not in known:
            known[key] = len(curves)
            curves.append(tuple(of_pools))
        curve_of[row] = known[key]

    n_pools, shares = len(speeds.cluster.pools), serial_shares(jobs)
    measured = _measured(jobs)
    modelled = np.isin(np.arange(len(jobs)), by_model) & ~rated(jobs)
    for row in np.flatnonzero(~measured & ~modelled).tolist():
        share = float(shares[row])
        add(row, ("share", share), [Amdahl(share)] * n_pools)
    for row, of_pools in _rate_curves(jobs, speeds, np.flatnonzero(measured & flexible)):
        add(row, ("rates", *of_pools), of_pools)
    rows = np.flatnonzero(modelled & flexible)
    if len(rows):
        of_models = _model_curves(jobs, speeds, rows)
        for row in rows.tolist():
            key = str(jobs["model"].iloc[row]), int(asked[row])
            add(row, ("model", *key), of_models[key])
    if not curves:
        curves.append((Amdahl(),) * n_pools)
    return Elastic(asked, smallest, largest, curve_of, curves)


def elastic_notes(jobs: pd.DataFrame, by_model: Ints) -> list[str]:
    """Return what is assumed on the speed of elastic jobs at other sizes."""
    if not has_ranges(jobs):
        return []
    smallest, largest = size_ranges(jobs)
    rest = (smallest < largest) & ~_measured(jobs) & (rated(jobs) | ~_among(jobs, by_model))
    rest &= serial_shares(jobs) == 0
    if not rest.any():
        return []
    return [
        f"speed is taken to be proportional to the number of accelerators for "
        f"{counted(int(rest.sum()), 'job')} with a range of sizes; a column serial_share (0 to 1), "
        "rates at several sizes (steps_per_s.POOL@N) or models and tokens tell more"
    ]


def _among(jobs: pd.DataFrame, rows: Ints) -> Bools:
    return np.isin(np.arange(len(jobs)), rows)


def _measured(jobs: pd.DataFrame) -> Bools:
    """Return which jobs have rates at several sizes on some pool."""
    several = np.zeros(len(jobs), dtype=bool)
    for pool in {str(name).partition("@")[0] for name in jobs.columns if "@" in str(name)}:
        _, rates = rates_at_sizes(jobs, pool.removeprefix("steps_per_s."))
        several |= (rates > 0).any(axis=1)
    return several & rated(jobs)


def _rate_curves(
    jobs: pd.DataFrame, speeds: Speeds, rows: Ints
) -> Iterable[tuple[int, tuple[Curve, ...]]]:
    """Yield the curves of jobs with measured rates, by pool."""
    asked = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    of_pools: list[tuple[list[int], Floats, Floats]] = []
    for pool in speeds.cluster.pools:
        own = rates_of(jobs, pool.name)
        usual = np.zeros(len(jobs)) if own is None else np.nan_to_num(own)
        of_pools.append((*rates_at_sizes(jobs, pool.name), usual))
    for row in rows.tolist():
        curves: list[Curve] = []
        for sizes, rates, usual in of_pools:
            points = {
                size: rate
                for size, rate in zip(sizes, rates[row].tolist(), strict=True)
                if rate >= 0.0
            }
            if usual[row] > 0.0:
                points[int(asked[row])] = float(usual[row])
            ordered = sorted(points)
            curves.append(SpeedCurve(tuple(ordered), tuple(points[size] for size in ordered)))
        yield row, tuple(curves)


def _model_curves(
    jobs: pd.DataFrame, speeds: Speeds, rows: Ints
) -> dict[tuple[str, int], tuple[Curve, ...]]:
    """Return the curves by pool of each model and size asked for, all evaluated in one call."""
    models = jobs["model"].to_numpy(dtype=str)[rows].tolist()
    asked = jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows].tolist()
    smallest, largest = (each[rows].tolist() for each in size_ranges(jobs))
    usual = [usual_sizes(pool.chips_per_node, pool.n_chips) for pool in speeds.cluster.pools]
    sizes = {size for of_pool in usual for size in of_pool}
    pairs: dict[tuple[str, int], None] = {}
    for model, own, least, most in zip(models, asked, smallest, largest, strict=True):
        here = {own, *(size for size in sizes if least <= size <= most)}
        pairs.update(dict.fromkeys((model, size) for size in sorted(here)))
    found = dict(zip(pairs, speeds.of_models(list(pairs)), strict=True))
    return {
        (model, own): tuple(
            _model_curve(
                {
                    size: float(1.0 / speed.seconds_per_token[pool])
                    for (name, size), speed in found.items()
                    if name == model and (size == own or size in on_pool)
                }
            )
            for pool, on_pool in enumerate(usual)
        )
        for model, own in dict.fromkeys(zip(models, asked, strict=True))
    }


def _model_curve(speed_at: dict[int, float]) -> SpeedCurve:
    sizes = tuple(sorted(speed_at))
    return SpeedCurve(sizes, tuple(speed_at[size] for size in sizes), between=False)
