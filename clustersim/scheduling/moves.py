"""Which running jobs have to move to other nodes of a partition so that a waiting gang fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Ints

__all__ = ["Move", "Small", "moves_that_free_nodes"]


@dataclass(frozen=True, slots=True)
class Small:
    """A running job that holds part of one node.

    Attributes
    ----------
    job, node, chips : int
    """

    job: int
    node: int
    chips: int


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a job to accelerators that are free on another node.

    Attributes
    ----------
    job, node, chips : int
        The job, the node to which it moves, and its number of accelerators.
    """

    job: int
    node: int
    chips: int


def moves_that_free_nodes(
    node_free: Ints,
    chips_per_node: int,
    jobs: Sequence[Small],
    wanted: int,
    *,
    most_moves: int,
    enough: Callable[[Ints], bool] | None = None,
    open_to: Callable[[int], Bools | None] = lambda _job: None,
) -> list[Move] | None:
    """Return moves of small jobs after which nodes have more free accelerators.

    Nodes are tried in order of the accelerators that they lack. A job moves to the fullest node on
    which it fits, never to one that is entirely free or that jobs have left. Each job moves at most
    once.

    Parameters
    ----------
    node_free : int array (nodes,)
        Free accelerators of each node.
    chips_per_node : int
    jobs : sequence of Small
        The jobs that may move.
    wanted : int
        Number of accelerators that are to be free on a node.
    most_moves : int
        Largest number of moves.
    enough : callable, optional
        Takes the free accelerators of each node after the moves, and returns whether they suffice.
        By default as many nodes are freed as possible.
    open_to : callable, optional
        Takes a job, and returns the nodes to which it may move; None if to all.

    Returns
    -------
    list of Move, or None
        None if the free accelerators never suffice. All targets are free before any of the moves.

    Examples
    --------
    Three nodes with 2, 4 and 8 of 8 accelerators in use; one job moves, and a node is free:

    >>> jobs = [Small(0, 0, 2), Small(1, 1, 4)]
    >>> moves_that_free_nodes(np.array([6, 4, 0]), 8, jobs, 8, most_moves=9)
    [Move(job=0, node=1, chips=2)]
    """
    plan = _Plan(np.array(node_free, dtype=np.int64), chips_per_node, most_moves, open_to)
    on_node: dict[int, list[Small]] = {}
    for each in jobs:
        on_node.setdefault(each.node, []).append(each)
    lacking = sorted(
        (wanted - int(node_free[node]), -node, node)
        for node, own in on_node.items()
        if node_free[node] < wanted <= node_free[node] + sum(each.chips for each in own)
    )
    for lack, _, node in lacking:
        if node in plan.targets:
            continue
        freed = plan.free_up(node, _leaving(on_node[node], lack))
        if freed and enough is not None and enough(plan.free):
            return plan.moves
        if len(plan.moves) >= most_moves:
            break
    return plan.moves if enough is None else None


def _leaving(jobs: Sequence[Small], lack: int) -> list[Small]:
    """Return jobs of a node with `lack` accelerators in all: one if it suffices, or the largest."""
    by_size = sorted(jobs, key=lambda each: (each.chips, each.job))
    single = next((each for each in by_size if each.chips >= lack), None)
    if single is not None:
        return [single]
    leaving: list[Small] = []
    for each in reversed(by_size):
        leaving.append(each)
        lack -= each.chips
        if lack <= 0:
            break
    return leaving


class _Plan:
    """Moves so far, and the free accelerators after them."""

    def __init__(
        self,
        free: Ints,
        chips_per_node: int,
        most_moves: int,
        open_to: Callable[[int], Bools | None],
    ) -> None:
        self.free = free
        self.moves: list[Move] = []
        self.targets: set[int] = set()
        self._chips_per_node = chips_per_node
        self._most_moves = most_moves
        self._open_to = open_to
        self._closed = free == chips_per_node

    def free_up(self, node: int, jobs: Sequence[Small]) -> bool:
        """Move jobs away from a node if there is room for all of them; return whether it was done.

        The largest one is placed first.
        """
        if len(self.moves) + len(jobs) > self._most_moves:
            return False
        free, moves = self.free.copy(), []
        for each in sorted(jobs, key=lambda job: (-job.chips, job.job)):
            may = (free >= each.chips) & ~self._closed
            if (open_nodes := self._open_to(each.job)) is not None:
                may &= open_nodes
            may[node] = False
            if not may.any():
                return False
            target = int(np.where(may, free, self._chips_per_node + 1).argmin())
            free[target] -= each.chips
            free[node] += each.chips
            moves.append(Move(each.job, target, each.chips))
        self.free = free
        self.moves += moves
        self.targets.update(move.node for move in moves)
        self._closed[node] = True
        return True
