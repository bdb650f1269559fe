"""How often a gang fails, how often it saves its state, and what share of the time is effective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.availability.checkpointing import expected_ettr, recovery_of_gangs
from clustersim.availability.failure_spec import Failures, failure_sources
from clustersim.availability.failures import gang_mttf_s
from clustersim.availability.storage_spec import rates_Bps
from clustersim.availability.stored_data import STATE_BYTES_PER_PARAMETER
from clustersim.errors import InputError, shown
from clustersim.files import validate
from clustersim.topology import Pool
from clustersim.units import format_duration, format_rate

__all__ = [
    "DEFAULT_FAILURES",
    "Interruptions",
    "failures_note",
    "find_interruptions",
    "read_failures",
    "with_checkpoints",
]

DEFAULT_FAILURES: Mapping[str, Any] = {
    "sources": "meta-llama3",
    "checkpoints": {"storage": "2 TB/s", "restart": "10 min"},
}
"""Failures of a training for which none are given: the interruptions of Llama 3 405B per node-day,
from all causes, and the throughput of its storage (Dubey et al. 2024, table 5 and section 3.3.1).
The time from a failure to the next step is an assumption."""


@dataclass(frozen=True, slots=True)
class Interruptions:
    """Failures and checkpoints of R gangs; arrays have the shape (R,).

    Attributes
    ----------
    mttf_s : array
        Mean time between the failures of a gang, seconds; infinite if nothing fails.
    interval_s : array
        Work between checkpoints, seconds.
    cost_s, restart_s : array
        Time for which a checkpoint blocks the gang, and time from a failure to the next step,
        seconds.
    ettr : array
        Expected effective training time ratio: work that is kept, divided by time.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> pool = cs.compile_cluster(cs.load_cluster("h200-superpod", catalogue)).pools[0]
    >>> spec = read_failures("meta-llama3")
    >>> found = find_interruptions(spec, [pool, pool], [1024, 2048], 405e9)
    >>> bool(found.mttf_s[0] == 2 * found.mttf_s[1]), found.ettr.round(3).tolist()
    (True, [0.991, 0.985])
    """

    mttf_s: Floats
    interval_s: Floats
    cost_s: Floats
    restart_s: Floats
    ettr: Floats

    def wall_s(self, work_s: Floats) -> Floats:
        """Return the expected time for an amount of work, seconds.

        It is infinite if a gang fails so often that it makes no progress.

        Examples
        --------
        >>> half = Interruptions(*np.array([[3600.0], [600.0], [10.0], [60.0], [0.5]]))
        >>> half.wall_s(np.array([1000.0])).tolist()
        [2000.0]
        """
        with np.errstate(divide="ignore"):
            return np.asarray(work_s / self.ettr, dtype=np.float64)

    def count(self, wall_s: Floats) -> Floats:
        """Return the expected number of interruptions in a time (Wald's identity).

        Examples
        --------
        >>> hourly = Interruptions(*np.array([[3600.0], [600.0], [10.0], [60.0], [0.5]]))
        >>> hourly.count(np.array([86400.0])).tolist()
        [24.0]
        """
        return np.asarray(wall_s / self.mttf_s, dtype=np.float64)


def read_failures(given: str | Mapping[str, Any] | Failures | None, rate: float = 1.0) -> Failures:
    """Return the failures of a training.

    Parameters
    ----------
    given : str, mapping or Failures, optional
        The name of published rates, such as ``meta-rsc-2``, with the checkpoints of
        :data:`DEFAULT_FAILURES`; or a section ``failures`` of a scenario; or ``none``. Default:
        :data:`DEFAULT_FAILURES`.
    rate : float
        Factor on the failure rates.

    Raises
    ------
    InputError
        If the section is invalid or names unknown rates.

    Examples
    --------
    >>> read_failures("meta-rsc-2").checkpoints.restart, read_failures("none").sources
    (600.0, [])
    """
    if isinstance(given, Failures):
        spec = given
    elif isinstance(given, Mapping):
        spec = validate(Failures, dict(given), "failures")
    else:
        sources = DEFAULT_FAILURES["sources"] if given is None else given
        tree = {**DEFAULT_FAILURES, "sources": [] if sources == "none" else sources}
        spec = validate(Failures, tree, "failures")
    if not 0 <= rate <= 1e6:
        raise InputError("failures", f"rate: must be from 0 to 1e6, found {shown(rate)}")
    spec = spec.model_copy(update={"rate": spec.rate * rate})
    failure_sources(spec)
    return spec


def find_interruptions(
    failures: Failures | None,
    pools: Sequence[Pool],
    counts: Sequence[int],
    params: float,
) -> Interruptions:
    """Return the failures of gangs and their checkpoints.

    Failures that slow a gang without stopping it are not counted. If checkpoints are written while
    the gang continues, the time to write one is added to what is lost at each failure.

    Parameters
    ----------
    failures : Failures or None
        None if nothing fails and no checkpoint is taken.
    pools : sequence of Pool
        The pool of each gang, which determines its nodes and switches.
    counts : sequence of int
        Chips of each gang.
    params : float
        Parameters of the model.
    """
    n = np.asarray(counts, dtype=np.int64)
    sources = [] if failures is None else failure_sources(failures)
    mttf_s = np.full(len(n), np.inf)
    for pool in {id(pool): pool for pool in pools}.values():
        rows = np.array([row for row, each in enumerate(pools) if each is pool])
        mttf_s[rows] = gang_mttf_s(sources, pool, n[rows])
    return with_checkpoints(failures, mttf_s, n, params)


def with_checkpoints(
    failures: Failures | None, mttf_s: Floats, counts: Ints, params: float
) -> Interruptions:
    """Return the checkpoints of gangs with given mean times to failure.

    Parameters
    ----------
    failures : Failures or None
        Only its checkpoints are used; None if no checkpoint is taken.
    mttf_s : array, shape (R,)
        Seconds.
    counts : int array, shape (R,)
        Chips of each gang.
    params : float
        Parameters of the model.

    Examples
    --------
    >>> found = with_checkpoints(read_failures(None), np.array([86400.0]), np.array([64]), 1e12)
    >>> found.cost_s.tolist(), found.restart_s.tolist(), found.interval_s.round().tolist()
    ([7.0], [607.0], [1095.0])
    """
    none = np.zeros(len(mttf_s))
    if failures is None:
        return Interruptions(mttf_s, none + np.inf, none, none, none + 1.0)
    state = none + STATE_BYTES_PER_PARAMETER * params
    saved = recovery_of_gangs(failures.checkpoints, [mttf_s], state, counts)
    interval_s, cost_s, restart_s = (
        np.array(each, dtype=np.float64)
        for each in (saved.interval_s[0], saved.cost_s, saved.restart_s)
    )
    lost_s = restart_s + np.array(saved.write_s or none, dtype=np.float64)
    ettr = expected_ettr(interval_s, cost_s, lost_s, mttf_s)
    return Interruptions(mttf_s, interval_s, cost_s, restart_s, ettr)


def failures_note(failures: Failures | None) -> str:
    """Return a note on the failures and checkpoints that a training assumes.

    Examples
    --------
    >>> failures_note(None)
    'Nothing fails.'
    >>> failures_note(read_failures("opt-175b", rate=0.5))[:40]
    'Failures: opt-175b at 0.5 times the rate'
    """
    if failures is None or not failure_sources(failures):
        return "Nothing fails."
    listed = [failures.sources] if isinstance(failures.sources, str) else failures.sources
    names = ", ".join(each if isinstance(each, str) else each.name for each in listed)
    factor = "" if failures.rate == 1 else f" at {failures.rate:g} times the rate"
    spec = failures.checkpoints
    every = {"optimal": "at the optimal interval", "never": "never"}.get(str(spec.interval))
    if every is None:
        every = f"every {format_duration(float(spec.interval))} of work"
    how = (
        f"which block for {format_duration(spec.cost)}"
        if spec.storage is None
        else f"written at {format_rate(rates_Bps(spec.storage)[0])}"
    )
    return (
        f"Failures: {names}{factor}; checkpoints {every}, {how}; "
        f"{format_duration(spec.restart)} to restart."
    )
