"""Lines: the next wanted job of queues of one parent, without a step for each job before it.

A queue comes later the larger its next job is. So the largest of the jobs up to the first wanted
one decides when that one comes, and the queue in which this happens first is served.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping

from clustersim.scheduling.kai.backlog import Key, Kind, Waiting

__all__ = ["Lines"]


class Lines:
    """Waiting jobs of queues of one parent; gives the wanted ones, and passes over the others.

    Parameters
    ----------
    lines : dict of int to list of Waiting
        The jobs of each queue, in order. Are changed.
    key_of : callable
        Returns the place of a queue among the others, given the size of its next job.
    left : dict of Kind to int
        How many jobs of each kind have not come or been passed over. Is changed.
    hopeful : mapping of Kind to bool
        Which kinds are wanted.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.lines import Lines
    >>> sizes = {"large": ("a", 8), "small": ("a", 1), "other": ("b", 2)}
    >>> jobs = [Job(name, queue, (Task(size),)) for name, (queue, size) in sizes.items()]
    >>> session = Session(Cluster({"node0": 8}, (Queue("a"), Queue("b")), tuple(jobs)))
    >>> left = dict(session.backlog.kinds)
    >>> wanted = {kind: kind[3] != (8,) for kind in left}
    >>> queues = {queue: list(session.backlog.of(queue)) for queue in (0, 1)}
    >>> lines = Lines(queues, lambda queue, size: (size,), left, wanted)
    >>> [lines.pop().job.job.name for _ in range(2)]
    ['other', 'small']
    """

    def __init__(
        self,
        lines: dict[int, list[Waiting]],
        key_of: Callable[[int, float], Key],
        left: dict[Kind, int],
        hopeful: Mapping[Kind, bool],
    ) -> None:
        self._lines = lines
        self._key_of = key_of
        self._left = left
        self._hopeful = hopeful
        self._at = dict.fromkeys(lines, 0)
        self._next: dict[int, tuple[int, float]] = {}
        """Of each queue: the place of its first wanted job, and the largest size up to there."""
        self._keys: dict[tuple[int, float], Key] = {}
        self._kinds: dict[int, set[Kind]] = {}
        for kind in left:
            self._kinds.setdefault(kind[0], set()).add(kind)

    def refresh(self) -> None:
        """Sort again, after the state of the cluster or what is wanted changed."""
        self._next.clear()
        self._keys.clear()

    def pop(self) -> Waiting | None:
        """Return the next wanted job and take it out, None if there is none."""
        first: tuple[Key, int] | None = None
        for queue in self._lines:
            if not self._has_wanted(queue):
                continue
            at, most = self._find(queue)
            if at < len(self._lines[queue]):
                mine = self._key(queue, most), queue
                if first is None or mine < first:
                    first = mine
        if first is None:
            return None
        key, chosen = first
        for queue in self._lines:
            if queue == chosen:
                self._pass(queue, self._next.pop(queue)[0] + 1)
            else:
                self._pass_before(queue, key)
        # What the queue holds will be another amount.
        for known in [each for each in self._keys if each[0] == chosen]:
            del self._keys[known]
        return self._lines[chosen][self._at[chosen] - 1]

    def push(self, entry: Waiting) -> None:
        """Put a job into its queue."""
        queue = entry.job.queue
        self._kinds[queue].add(entry.kind)
        insort(self._lines[queue], entry, lo=self._at[queue])
        self._next.pop(queue, None)

    def _has_wanted(self, queue: int) -> bool:
        return any(self._hopeful[kind] and self._left[kind] for kind in self._kinds[queue])

    def _find(self, queue: int) -> tuple[int, float]:
        line, hopeful = self._lines[queue], self._hopeful
        at, most = self._next.get(queue, (self._at[queue], 0.0))
        while at < len(line):
            entry = line[at]
            if entry.size > most:
                most = entry.size
            if hopeful[entry.kind]:
                break
            at += 1
        self._next[queue] = at, most
        return at, most

    def _key(self, queue: int, size: float) -> Key:
        key = self._keys.get((queue, size))
        if key is None:
            key = self._keys[queue, size] = self._key_of(queue, size)
        return key

    def _pass(self, queue: int, end: int) -> None:
        """Pass over the jobs of a queue before a place."""
        line, left = self._lines[queue], self._left
        for entry in line[self._at[queue] : end]:
            left[entry.kind] -= 1
        self._at[queue] = end

    def _pass_before(self, queue: int, key: Key) -> None:
        """Pass over the jobs of a queue that come before a job of another one."""
        line, at = self._lines[queue], self._at[queue]
        while at < len(line) and self._key(queue, line[at].size) < key:
            at += 1
        self._pass(queue, at)
