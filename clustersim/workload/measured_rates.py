"""Jobs that bring their own rates: a number of steps, and measured steps per second by pool.

A jobs table can have the columns ``steps`` and ``steps_per_s.POOL``, the rate of the whole job on
each pool; 0 or an empty cell means that the job cannot run there.  ``steps_per_s.POOL.spread`` is
the rate of a gang that is on more nodes than it needs, ``steps_per_s.POOL@N`` that of the whole job
on N accelerators. Without ``steps_per_s.POOL``, the rate on as many accelerators as a job asks for
is taken from these: between two sizes, the logarithm of the rate is linear in that of the size.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import shown
from clustersim.units import counted, listed

__all__ = [
    "best_rates",
    "has_rates",
    "rate_column_notes",
    "rate_notes",
    "rate_problems",
    "rated",
    "rated_pools",
    "rates_at_sizes",
    "rates_of",
    "rows_with_rates",
    "with_durations",
]

STEPS, RATE, SPREAD = "steps", "steps_per_s.", ".spread"
_ALIKE = 0.8
"""Similarity of the name of a column and that of rates from which it counts as misspelt."""
_RULE = "a rate in steps per second is needed, 0 where the job cannot run"
_AT_SIZE = re.compile(r"(.+)@([1-9][0-9]*)")


def rated_pools(jobs: pd.DataFrame) -> list[str]:
    """Return the pools for which a jobs table has rates.

    Examples
    --------
    >>> rated_pools(pd.DataFrame(columns=["steps", "steps_per_s.v100", "steps_per_s.v100.spread"]))
    ['v100']
    >>> rated_pools(pd.DataFrame(columns=["steps", "steps_per_s.v100@1", "steps_per_s.v100@8"]))
    ['v100']
    """
    if STEPS not in jobs:
        return []
    names = [str(name) for name in jobs.columns if str(name).startswith(RATE)]
    rates = [name.removeprefix(RATE) for name in names if not name.endswith(SPREAD)]
    return list(dict.fromkeys(_pool_of(name) for name in rates))


def _pool_of(name: str) -> str:
    at_size = _AT_SIZE.fullmatch(name)
    return name if at_size is None else at_size[1]


def rates_at_sizes(jobs: pd.DataFrame, pool: str) -> tuple[list[int], Floats]:
    """Return the rates of whole jobs on a pool at several sizes, steps per second.

    Returns
    -------
    sizes : list of int
        The sizes for which the table has a column, ascending.
    rates : array (jobs, sizes)
        NaN where a job has no rate.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [90], "steps_per_s.a@4": [3.0], "steps_per_s.a@1": [1.0]})
    >>> sizes, rates = rates_at_sizes(jobs, "a")
    >>> sizes, rates.tolist()
    ([1, 4], [[1.0, 3.0]])
    """
    found = [_AT_SIZE.fullmatch(str(name).removeprefix(RATE)) for name in jobs.columns]
    sizes = sorted(int(at[2]) for at in found if at is not None and at[1] == pool)
    rates = [_numbers(jobs[f"{RATE}{pool}@{size}"]) for size in sizes]
    return sizes, np.array(rates).T if rates else np.empty((len(jobs), 0))


def has_rates(jobs: pd.DataFrame) -> bool:
    """Return whether a jobs table has rates of jobs."""
    return bool(rated_pools(jobs))


def rates_of(jobs: pd.DataFrame, pool: str, *, spread: bool = False) -> Floats | None:
    """Return the rates of jobs on a pool, steps per second; None without such a column.

    The rate of a gang that is spread is that of one that is not, where only this is given.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [90], "steps_per_s.v100": [3.0]})
    >>> rates_of(jobs, "v100"), rates_of(jobs, "k80") is None
    (array([3.]), True)
    >>> at_sizes = {"steps_per_s.v100@1": [1.0], "steps_per_s.v100@4": [4.0]}
    >>> rates_of(pd.DataFrame({"steps": [90], "n_accelerators": [2], **at_sizes}), "v100").tolist()
    [2.0]
    """
    if pool not in rated_pools(jobs):
        return None
    rates = np.full(len(jobs), np.nan)
    if f"{RATE}{pool}" in jobs:
        rates = _numbers(jobs[f"{RATE}{pool}"])
    rates = np.where(np.isnan(rates), _at_asked_size(jobs, pool), rates)
    if spread and f"{RATE}{pool}{SPREAD}" in jobs:
        own = _numbers(jobs[f"{RATE}{pool}{SPREAD}"])
        return np.where(np.isnan(own), rates, own)
    return rates


def _at_asked_size(jobs: pd.DataFrame, pool: str) -> Floats:
    """Return the rate of each job at the size that it asks for, from those at other sizes."""
    sizes, rates = rates_at_sizes(jobs, pool)
    own: Floats = np.full(len(jobs), np.nan)
    if not sizes or "n_accelerators" not in jobs:
        return own
    asked, at = np.log(_numbers(jobs["n_accelerators"])), np.log(sizes)
    for row, given in enumerate(rates > 0):
        if given.any():
            logs = np.log(rates[row, given])
            found = np.interp(asked[row], at[given], logs, left=np.nan, right=np.nan)
            own[row] = np.exp(found)
    nowhere = (rates == 0).any(axis=1) & ~(rates > 0).any(axis=1)
    return np.where(nowhere, 0.0, own)


def rated(jobs: pd.DataFrame) -> Bools:
    """Return which jobs have a number of steps and a rate on some pool.

    A job whose rates are all 0 counts: it can run on none of these pools.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [90, 90, None], "steps_per_s.v100": [3.0, 0.0, 3.0]})
    >>> rated(jobs).tolist()
    [True, True, False]
    """
    if not has_rates(jobs):
        return np.zeros(len(jobs), dtype=bool)
    given = np.zeros(len(jobs), dtype=bool)
    for pool in rated_pools(jobs):
        rates = rates_of(jobs, pool)
        given |= False if rates is None else rates >= 0
    return np.asarray(given & (_numbers(jobs[STEPS]) >= 0))


def with_durations(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a jobs table with the run time at the highest rate where it has no ``duration_s``.

    Examples
    --------
    >>> jobs = pd.DataFrame(
    ...     {"steps": [90], "steps_per_s.v100": [3.0], "steps_per_s.k80": [0.5]}
    ... )
    >>> with_durations(jobs)["duration_s"].tolist()
    [30.0]
    """
    own = rated(jobs)
    if not own.any():
        return jobs
    given = _numbers(jobs["duration_s"]) if "duration_s" in jobs else np.full(len(jobs), np.nan)
    at_best = np.full(len(jobs), np.nan)
    np.divide(
        _numbers(jobs[STEPS]), best_rates(jobs), out=at_best, where=own & (best_rates(jobs) > 0)
    )
    return jobs.assign(duration_s=np.where(np.isnan(given), at_best, given))


def rows_with_rates(jobs: pd.DataFrame) -> Bools:
    """Return which jobs need no ``duration_s``, because it follows from their rates.

    These are the jobs of :func:`rated`, also those whose rates are all 0, and those with a value
    that is no rate, which :func:`rate_problems` reports.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [90] * 3, "steps_per_s.v100": [0.0, -3.0, None]})
    >>> rows_with_rates(jobs).tolist()
    [True, True, False]
    """
    rows = rated(jobs)
    for _, wrong in _wrong_cells(jobs):
        rows = rows | wrong
    return rows


def _wrong_cells(jobs: pd.DataFrame) -> Iterator[tuple[str, Bools]]:
    """Yield each column of rates, and its cells that are texts, below 0 or infinite."""
    if not has_rates(jobs):
        return
    for name in (STEPS, *(str(name) for name in jobs.columns if str(name).startswith(RATE))):
        values = _numbers(jobs[name])
        texts = np.isnan(values) & jobs[name].notna().to_numpy()
        yield name, texts | (values < 0) | np.isinf(values)


def rate_problems(jobs: pd.DataFrame, records: Ints) -> Iterator[str]:
    """Yield what is wrong with the columns of rates: texts, and values below 0 or infinite.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    records : int64 array (jobs,)
        Row numbers of the jobs in the file.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [90, 90], "steps_per_s.v100": [3.0, -2.0]})
    >>> list(rate_problems(jobs, np.array([1, 2])))
    ['steps_per_s.v100: 1 row has no number of at least 0 (row 2: -2.0); a rate in steps per \
second is needed, 0 where the job cannot run']
    """
    for name, wrong in _wrong_cells(jobs):
        if wrong.any():
            at = int(np.argmax(wrong))
            rows = counted(int(wrong.sum()), "row has", "rows have")
            yield (
                f"{name}: {rows} no number of at least 0 "
                f"(row {records[at]}: {shown(jobs[name].iloc[at])}); "
                + ("a number of steps is needed" if name == STEPS else _RULE)
            )


def rate_column_notes(names: Sequence[str]) -> list[str]:
    """Return notes on columns of a table of jobs that belong to rates and have no effect.

    Examples
    --------
    >>> rate_column_notes(["job_id", "steps_per_s.a"])
    ["column 'steps_per_s.a' has no effect without a column 'steps'"]
    >>> rate_column_notes(["steps", "steps_per_sec.a"])
    ["column 'steps_per_sec.a' is not read; did you mean 'steps_per_s.a'?", "column 'steps' has no \
effect without rates (columns 'steps_per_s.POOL')"]
    """
    notes = []
    rates = [name for name in names if name.startswith(RATE)]
    for name in names:
        head, dot, pool = name.partition(".")
        if dot and name not in rates and difflib.SequenceMatcher(None, head, RATE).ratio() > _ALIKE:
            notes.append(f"column {name!r} is not read; did you mean '{RATE}{pool}'?")
    if rates and STEPS not in names:
        notes.append(f"column {rates[0]!r} has no effect without a column {STEPS!r}")
    if STEPS in names and not rates:
        notes.append(f"column {STEPS!r} has no effect without rates (columns '{RATE}POOL')")
    return notes


def rate_notes(jobs: pd.DataFrame, pools: Sequence[str]) -> list[str]:
    """Return what a simulation on some pools does not use of the columns of rates.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [1], "steps_per_s.a": [2.0], "steps_per_s.a.spread": [1.0]})
    >>> rate_notes(jobs, ["a"])
    ['rates of gangs that are spread (steps_per_s.a.spread) are not used: a gang has the rate of \
one that is not spread']
    >>> rate_notes(jobs, ["a", "b"])[0]
    'no rates for pool b (steps_per_s.b): jobs with rates do not run there'
    """
    notes = []
    given = rated_pools(jobs)
    if lacking := [pool for pool in pools if pool not in given]:
        names = ", ".join(f"{RATE}{pool}" for pool in lacking)
        notes.append(
            f"no rates for pool{'s' * (len(lacking) > 1)} {listed(lacking)} ({names}): jobs with "
            "rates do not run there"
        )
    if unknown := [pool for pool in given if pool not in pools]:
        names = ", ".join(f"{RATE}{pool}" for pool in unknown)
        notes.append(f"rates for pools that the cluster lacks are not used ({names})")
    spread = [str(name) for name in jobs.columns if str(name).startswith(RATE)]
    if spread := [name for name in spread if name.endswith(SPREAD)]:
        notes.append(
            f"rates of gangs that are spread ({', '.join(spread)}) are not used: a gang has the "
            "rate of one that is not spread"
        )
    return notes


def best_rates(jobs: pd.DataFrame) -> Floats:
    """Return the highest rate of each job, steps per second; 0 without one.

    Examples
    --------
    >>> jobs = pd.DataFrame({"steps": [9], "steps_per_s.v100": [3.0], "steps_per_s.k80": [0.5]})
    >>> best_rates(jobs).tolist()
    [3.0]
    """
    rates = [rates_of(jobs, pool) for pool in rated_pools(jobs)]
    best: Floats = np.nan_to_num(np.array(rates)).max(axis=0)
    return best


def _numbers(column: pd.Series) -> Floats:
    numbers: Floats = pd.to_numeric(column, errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    return numbers
