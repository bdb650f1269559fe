"""Windows: times that are known in advance, in which some nodes are closed to most jobs.

A job whose estimate crosses the beginning of a window that it may not use does not start on the
nodes of the window, as with maintenance reservations of Slurm (its page "Advanced Resource
Reservation Guide").  Jobs that are estimated to end before may use them until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import ClusterSimError

if TYPE_CHECKING:
    from clustersim.scheduling.placements import NodeFree, NodePlacement, Nodes

__all__ = ["Window", "Windows", "only_in"]

_MOST_SHARED = 30
"""Largest number of windows with users that tell jobs apart."""


@dataclass(slots=True, eq=False)
class Window:
    """A time in which nodes of a partition are closed, except to some jobs.

    Attributes
    ----------
    name : str
        For messages.
    begin_s, end_s : float
        Seconds.
    nodes : array of bool, shape (nodes,)
        Which nodes of the partition are closed.
    may_use : set of int
        Jobs for which it makes no difference.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling.windows import Window
    >>> update = Window("update", 100.0, 160.0, np.array([True, False]))
    >>> update.is_in_the_way(7, 0.0, 100.0), update.is_in_the_way(7, 0.0, 101.0)
    (False, True)
    """

    name: str
    begin_s: float
    end_s: float
    nodes: Bools
    may_use: frozenset[int] = frozenset()

    def is_in_the_way(self, job: int, begin_s: float, end_s: float) -> bool:
        """Return whether a job cannot run on the nodes of the window for a time (seconds)."""
        overlaps = begin_s < self.end_s and (end_s > self.begin_s or begin_s >= self.begin_s)
        return overlaps and job not in self.may_use


class Windows:
    """The windows of a partition that have been announced and are not over.

    Parameters
    ----------
    n_nodes : int
        Number of nodes of the partition.

    Attributes
    ----------
    announced : list of Window

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling.windows import Window, Windows
    >>> windows = Windows(n_nodes=3)
    >>> windows.announced.append(Window("demo", 100.0, 160.0, np.arange(3) > 0, frozenset({7})))
    >>> windows.open_nodes(4, 60.0, 120.0).tolist(), windows.open_nodes(4, 60.0, 90.0)
    ([True, False, False], None)
    >>> windows.own_nodes(7, 100.0).tolist()
    [False, True, True]
    """

    def __init__(self, n_nodes: int) -> None:
        self.announced: list[Window] = []
        self._n_nodes = n_nodes

    def open_nodes(self, job: int, begin_s: float, end_s: float) -> Bools | None:
        """Return the nodes on which a job may run for a time (seconds); None if on all."""
        closed = [w.nodes for w in self.announced if w.is_in_the_way(job, begin_s, end_s)]
        return ~np.logical_or.reduce(closed) if closed else None

    def own_nodes(self, job: int, now: float) -> Bools | None:
        """Return the nodes that are closed now, but not to a job; None if there are none."""
        own = [
            w.nodes
            for w in self.announced
            if w.may_use and w.begin_s <= now < w.end_s and job in w.may_use
        ]
        return np.logical_or.reduce(own) if own else None

    def choose(
        self, job: int, n: int, placement: NodePlacement, now: float, end_s: float
    ) -> Nodes | None:
        """Choose the accelerators of a waiting job, those in its own windows first.

        Returns
        -------
        sequence of (int, int) or None
            None if it does not fit now on nodes that are open to it until `end_s` (seconds).
        """
        open_nodes = self.open_nodes(job, now, end_s)
        for part in self._parts(open_nodes, self.own_nodes(job, now)):
            nodes = placement.choose_in(n, only_in(placement.free_by_node(), part))
            if nodes is not None:
                return nodes
        return None

    def fit_each(
        self,
        jobs: Ints,
        sizes: Ints,
        end_s: Floats,
        placement: NodePlacement,
        node_free: NodeFree,
        now: float,
    ) -> Bools:
        """Return which of some jobs would each fit now on nodes that are open to it.

        With very many windows for some jobs only, jobs that do not fit may be among them.

        Parameters
        ----------
        jobs, sizes : int arrays (jobs,)
            Waiting jobs and their numbers of accelerators.
        end_s : float64 array (jobs,)
            Time at which each would end by its estimate, seconds.
        placement : NodePlacement
        node_free : int array (nodes,)
            Accelerators of each node that they could use without the windows.
        now : float
            Seconds.
        """
        windows = sorted(
            (w for w in self.announced if now < w.end_s), key=lambda w: (bool(w.may_use), w.begin_s)
        )
        plain = [w for w in windows if not w.may_use]
        first_s = [w.begin_s if now < w.begin_s else -np.inf for w in plain]
        kind = np.searchsorted(first_s, end_s, side="left")  # windows before the end are in the way
        shared = windows[len(plain) :][:_MOST_SHARED]
        for row, window in enumerate(shared):
            crosses = (end_s > window.begin_s) | (now >= window.begin_s)
            in_the_way = crosses & ~np.isin(jobs, list(window.may_use))
            kind += in_the_way * ((len(plain) + 1) << row)
        fits = np.zeros(len(jobs), dtype=np.bool_)
        for number in np.unique(kind).tolist():
            users, count = divmod(number, len(plain) + 1)
            closed = [window.nodes for window in plain[:count]]
            closed += [window.nodes for row, window in enumerate(shared) if users >> row & 1]
            open_nodes = ~np.logical_or.reduce(closed) if closed else None
            own = kind == number
            fits[own] = placement.fits_each_of(sizes[own], only_in(node_free, open_nodes))
        return fits

    @staticmethod
    def _parts(open_nodes: Bools | None, own: Bools | None) -> Iterator[Bools | None]:
        if own is not None:
            yield own if open_nodes is None else own & open_nodes
        yield open_nodes

    def check(self, job: int, nodes: Nodes, now: float, end_s: float) -> None:
        """Check that a job that starts is estimated to leave its nodes in time.

        Raises
        ------
        ClusterSimError
            If a window that it may not use begins before.
        """
        for window in self.announced:
            if window.is_in_the_way(job, now, end_s):
                closed = [node for node, _ in nodes if window.nodes[node]]
                if closed:
                    raise ClusterSimError(
                        f"job {job} (counted from 0) cannot start on node {closed[0]}: "
                        f"{window.name} begins at {window.begin_s:g} s, and the job is estimated "
                        f"to end at {end_s:g} s"
                    )

    def openings(self, now: float) -> list[float]:
        """Return the times after `now` at which windows end, in order (seconds)."""
        return sorted({w.end_s for w in self.announced if w.end_s > now})


def only_in(node_free: NodeFree, open_nodes: Bools | None) -> NodeFree:
    """Return the free accelerators of each node that is open, 0 for the others.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling.windows import only_in
    >>> only_in(np.array([8, 3]), np.array([False, True])).tolist()
    [0, 3]
    """
    return node_free if open_nodes is None else node_free * open_nodes
