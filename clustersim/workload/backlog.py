"""The work that waits on a machine, as a fluid: fast, and without any scheduler.

Each job demands its accelerators for its run time, beginning with its submission.  Demand above the
capacity accumulates and is served as soon as there is room.  This is Lindley's recursion (D.
Lindley, "The theory of queues with a single server", Proc. Cambridge Phil. Soc. 48, 1952) on a grid
of time cells.  It ignores that a job needs all its accelerators at once.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats, Ints

__all__ = ["held_back", "waiting_s"]

CELL_S = 300.0
MOST_CELLS = 4_000_000
SPARSE = 8
"""With more cells than this for each job, only those in which a job begins or ends are computed."""


def waiting_s(
    submit_s: Floats,
    accelerators: Floats,
    run_s: Floats,
    capacity: float,
    *,
    cell_s: float = CELL_S,
) -> Floats:
    """Return for how long the capacity is busy with waiting work when each job is submitted.

    Parameters
    ----------
    submit_s : float64 array (jobs,)
        In ascending order (seconds).
    accelerators : float64 array (jobs,)
    run_s : float64 array (jobs,)
        Run times (seconds).
    capacity : float
        Number of accelerators.
    cell_s : float
        Resolution (seconds); coarser for a long time span.

    Returns
    -------
    float64 array (jobs,)
        Seconds.  ``submit_s + waiting_s(...)`` is in ascending order.

    Examples
    --------
    >>> times, sizes, runs = np.array([0.0, 0.0, 7200.0]), np.ones(3), np.full(3, 3600.0)
    >>> float(waiting_s(times, sizes, runs, 1.0)[2].round(3))  # two hours of work in two hours
    0.0
    >>> float(waiting_s(times, sizes, runs, 0.5)[2].round(3))  # 2 h of work, 1 h served
    7200.0
    """
    if len(submit_s) == 0:
        return np.zeros(0)
    first = float(submit_s[0])
    cell_s = max(cell_s, (float(submit_s[-1]) - first) / MOST_CELLS)
    count = int((float(submit_s[-1]) - first) / cell_s) + 2
    begin, end = submit_s - first, submit_s - first + run_s
    edges = np.arange(count + 1)
    if count > SPARSE * len(submit_s):
        # All is linear between the cells in which a job begins or ends.
        cells = np.minimum(np.concatenate([[0.0], begin, end]) / cell_s, count).astype(np.int64)
        edges = np.unique(np.concatenate([cells, np.minimum(cells + 1, count)]))
    demand = _work_until(begin, accelerators, edges, cell_s)
    demand -= _work_until(end, accelerators, edges, cell_s)
    surplus = demand - capacity * cell_s * edges
    waiting = (surplus - np.minimum.accumulate(surplus)) / capacity
    found: Floats = np.interp(begin, cell_s * edges, waiting)
    return found


def _work_until(begin_s: Floats, accelerators: Floats, edges: Ints, cell_s: float) -> Floats:
    """Return the work until each edge (in cells) if each job ran from `begin_s` on for ever."""
    count = len(edges) - 1
    cell = np.minimum(begin_s / cell_s, edges[-1]).astype(np.int64)
    inside = np.maximum((cell + 1) * cell_s - begin_s, 0.0)
    place = cell if count == edges[-1] else np.searchsorted(edges, cell)
    busy = np.bincount(place, weights=accelerators, minlength=count + 1)[:count]
    partial = np.bincount(place, weights=accelerators * inside, minlength=count + 1)[:count]
    before = np.cumsum(busy) - busy
    return np.concatenate([[0.0], np.cumsum(before * np.diff(edges) * cell_s + partial)])


def held_back(submit_s: Floats, accelerators: Floats, run_s: Floats, capacity: float) -> Floats:
    """Return the times at which users submit jobs if they hold them back while there is no room.

    Parameters
    ----------
    submit_s, accelerators, run_s, capacity
        As for :func:`waiting_s`.

    Returns
    -------
    float64 array (jobs,)
        Not earlier than `submit_s`, in the same order.

    Examples
    --------
    >>> held_back(np.zeros(2), np.ones(2), np.full(2, 60.0), 2.0).tolist()
    [0.0, 0.0]
    """
    later = submit_s + waiting_s(submit_s, accelerators, run_s, capacity)
    return np.asarray(np.maximum.accumulate(later), dtype=np.float64)
