"""Windows in the profiles of free accelerators: who may use the accelerators that they close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from clustersim.scheduling.policies.profile import Profile
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.windows import Window

__all__ = ["ClosedProfiles", "stopped_s"]

_NOTHING: AbstractContextManager[None] = nullcontext()


class ClosedProfiles:
    """What windows take from the profiles of a queue's partitions.

    Parameters
    ----------
    queue : Queue

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> from clustersim.scheduling.windows import Window, Windows
    >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> h200.windows = Windows(n_nodes=2)
    >>> demo = Window("demo", 60.0, 90.0, np.array([True, False]), frozenset({1}))
    >>> h200.windows.announced.append(demo)
    >>> jobs = JobColumns([16, 16], [[50.0, 50.0]], choices=[(0,)], choice_of=[0, 0])
    >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=True)
    >>> closed, profile = ClosedProfiles(queue), Profile(20.0, 16)
    >>> closed.close(h200, profile, 20.0, {})
    >>> profile.earliest(16, 50.0)
    90.0
    >>> with closed.opened_to(1, 0):
    ...     profile.earliest(16, 50.0)
    20.0
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._profiles: dict[int, Profile] = {}
        self._left: dict[int, list[tuple[Window, Profile]]] = {}
        self._used: dict[int, list[tuple[int, Profile, float, float, int]]] = {}

    @property
    def have_users(self) -> bool:
        """Whether any job may use accelerators that are closed to others."""
        members = (self._queue.partitions[index] for index in self._queue.members)
        return any(
            window.may_use
            for partition in members
            if partition.windows is not None
            for window in partition.windows.announced
        )

    def close(
        self, partition: Partition, profile: Profile, now: float, ends_s: Mapping[int, float]
    ) -> None:
        """Take from a new profile what the windows of its partition take.

        Parameters
        ----------
        partition : Partition
        profile : Profile
            Accounts for running jobs and for nodes that are out of service.
        now : float
            Seconds.
        ends_s : mapping of int to float
            Expected end of each running job, seconds.
        """
        assert partition.windows is not None, "it has windows"
        self._profiles[partition.index] = profile
        self._used.clear()
        left = self._left[partition.index] = []
        chips = partition.placement.chips_per_node
        for window in partition.windows.announced:
            begin_s, end_s = max(now, window.begin_s), window.end_s
            own = Profile(begin_s, 0)
            own.change(begin_s, end_s, int(window.nodes.sum()) * chips)
            for node, until_s in partition.out_of_service.items():
                if window.nodes[node]:
                    own.change(begin_s, min(until_s, end_s), -chips)
            for job in partition.nodes_of:
                nodes, held = partition.node_arrays(job)
                there = int(held[window.nodes[nodes]].sum())
                own.change(begin_s, min(ends_s[job], end_s), -there)
            _add(profile, own, -1)
            if window.may_use:
                left.append((window, own))

    def opened_to(self, job: int, index: int) -> AbstractContextManager[None]:
        """Return a context in which a profile has what a job may use of the windows."""
        left = self._left.get(index)
        own = [part for window, part in left if job in window.may_use] if left else []
        return self._opened(self._profiles[index], own) if own else _NOTHING

    @staticmethod
    @contextmanager
    def _opened(profile: Profile, own: list[Profile]) -> Iterator[None]:
        for part in own:
            _add(profile, part, 1)
        yield
        for part in own:
            _add(profile, part, -1)

    def use(self, job: int, index: int, n: int, start: float, end: float) -> None:
        """Count the accelerators that a job reserves as those of its own windows, if possible."""
        for window, part in self._left.get(index, ()):
            if job not in window.may_use:
                continue
            used = [
                (max(begin, start), min(until, end), min(n, free))
                for begin, until, free in part.steps()
                if free > 0 and begin < end and until > start
            ]
            for begin, until, chips in used:
                part.change(begin, until, -chips)
                self._profiles[index].change(begin, until, chips)
                self._used.setdefault(job, []).append((index, part, begin, until, chips))

    def give_back(self, job: int) -> None:
        """Take back what :meth:`use` did for a job."""
        for index, part, begin, until, chips in self._used.pop(job, ()):
            part.change(begin, until, chips)
            self._profiles[index].change(begin, until, -chips)


def stopped_s(partition: Partition, job: int, now: float, end_s: float) -> float:
    """Return when a running job leaves, at the latest at the beginning of a window; seconds."""
    assert partition.windows is not None, "it has windows"
    nodes = None
    for window in partition.windows.announced:
        if now < window.begin_s < end_s and job not in window.may_use:
            nodes = partition.node_arrays(job)[0] if nodes is None else nodes
            if window.nodes[nodes].any():
                end_s = window.begin_s
    return end_s


def _add(profile: Profile, part: Profile, sign: int) -> None:
    """Add a profile, whose last step is 0, to another one."""
    for begin, until, chips in part.steps():
        if chips:
            profile.change(begin, until, sign * chips)
