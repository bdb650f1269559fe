"""Quasi-shortest-service-first: the job with the least predicted service first (Helios)."""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import ClassVar, TypeAlias

from clustersim.scheduling.policies.base import JobFits, Policy
from clustersim.scheduling.policies.names import texts_of_jobs
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["Qssf"]

_Kind: TypeAlias = tuple[int, int]
"""Set of partitions and number of accelerators of a job."""
_Entry: TypeAlias = tuple[float, int]
"""Predicted service of a job (accelerator-seconds), and the job."""


class Qssf(Policy):
    """Quasi-shortest-service-first: least predicted accelerator time first, without preemption.

    The service of a job is its predicted run time x accelerators, predicted when it is submitted.
    The prediction is the mean run time of the last finished jobs that resemble it: jobs of the same
    user, of a similar name and of the same size; without such, of the user's jobs of this size;
    without such, of everybody's jobs of this size. Names are similar if they differ in numbers
    only, such as ``train_01`` and ``train_02``. Until such a job has finished, and if the jobs
    table has no column ``user``, the prediction is the job's estimate. Names are in the column
    ``job_name`` or ``name``.

    Hu et al., "Characterization and prediction of deep learning workloads in large-scale GPU
    datacenters", SC 2021 (Helios). The authors combine such a rolling estimate with a trained model
    and compare names by edit distance; this policy has the rolling estimate alone.

    Attributes
    ----------
    recent : int
        Number of finished jobs that a prediction is the mean of.
    strict : bool
        Whether jobs behind one that does not fit wait for its partitions, as in the paper, instead
        of being tried.
    """

    tracks_running: ClassVar[bool] = True
    recent: int = 10
    strict: bool = True

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        return "" if cls.recent > 0 else f"option recent: must be 1 or more, found {cls.recent}"

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        if "qssf" not in queue.shared:
            queue.shared["qssf"] = _History(queue.jobs, self.recent)
        self._history: _History = queue.shared["qssf"]
        self._lines: dict[_Kind, list[_Entry]] = {}
        self._ended: list[int] = []
        self._new: set[_Kind] = set()
        self._released = True

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        kind = self.queue.jobs.choice_of[job], self.n_accelerators(job)
        run_s = self._history.prediction(job)
        service = (self.estimate_s(job) if run_s is None else run_s) * kind[1]
        insort(self._lines.setdefault(kind, []), (service, job))
        self._new.add(kind)

    def resubmit(self, job: int) -> None:
        if self._ended and self._ended[-1] == job:  # it was stopped, and has not finished
            self._ended.pop()
        self.submit(job)

    def finish(self, job: int, partition: Partition) -> None:
        self._learn()
        self._ended.append(job)
        self._released = True

    def service_changed(self, partition: Partition) -> None:
        self._released = True

    def schedule(self, now: float) -> None:
        self._learn()
        kinds = self._lines if self._released or self.strict else self._new
        heads = [(self._lines[kind][0], kind) for kind in kinds if kind in self._lines]
        self._released = False
        self._new = set()
        heapify(heads)
        closed = 0
        while heads:
            (_, job), kind = heads[0]
            if self.queue.start_anywhere(job, closed=closed):
                del self.waiting[job]
                self._lines[kind].pop(0)
                if self._lines[kind]:
                    heapreplace(heads, (self._lines[kind][0], kind))
                else:
                    heappop(heads)
                    del self._lines[kind]
                continue
            heappop(heads)
            if self.strict:
                closed |= self._mask(kind)
                heads = [entry for entry in heads if self._mask(entry[1]) & ~closed]
                heapify(heads)

    def would_start(self, fits: JobFits) -> bool:
        closed = 0
        for (_, job), kind in sorted((line[0], kind) for kind, line in self._lines.items()):
            if fits(job, closed):
                return True
            closed |= self._mask(kind) if self.strict else 0
        return False

    def _mask(self, kind: _Kind) -> int:
        return sum(1 << index for index in self.queue.jobs.choices[kind[0]])

    def _learn(self) -> None:
        """Add the jobs that have finished since the last call to the history."""
        for job in self._ended:
            self._history.add(job, self.queue.attained_s[job])
        self._ended.clear()


class _History:
    """Run times of the last finished jobs by user, name and size, in all queues of a run."""

    def __init__(self, jobs: JobColumns, recent: int) -> None:
        n = len(jobs.n_accelerators)
        users = texts_of_jobs(jobs, ["user"])
        names = texts_of_jobs(jobs, ["job_name", "name"])
        self._users: list[str] = [] if users is None else users.tolist()
        self._names = [""] * n if names is None else [re.sub(r"\d+", "0", name) for name in names]
        self._sizes = jobs.n_accelerators
        self._recent = recent
        self._run_s: dict[Hashable, deque[float]] = {}

    def add(self, job: int, run_s: float) -> None:
        """Add a job that has finished after a run time in seconds."""
        for key in self._keys(job):
            self._run_s.setdefault(key, deque(maxlen=self._recent)).append(run_s)

    def prediction(self, job: int) -> float | None:
        """Return the predicted run time of a job, seconds; None if there is nothing like it."""
        for key in self._keys(job):
            if key in self._run_s:
                known = self._run_s[key]
                return sum(known) / len(known)
        return None

    def _keys(self, job: int) -> Iterator[Hashable]:
        """Yield what jobs have in common with this one, the most similar first."""
        if self._users:
            user, size = self._users[job], self._sizes[job]
            yield user, self._names[job], size
            yield user, size
            yield size
