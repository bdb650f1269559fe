"""The base class of policies that scan all jobs that wait, and only when some may have come to fit.

Between two releases of accelerators, the jobs that were seen still do not fit: only those are
scanned that have been submitted since.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clustersim.scheduling.policies.backlog import Backlog
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["BacklogPolicy"]


class BacklogPolicy(Policy):
    """Keeps the waiting jobs in a backlog, and notes when accelerators may have become free."""

    starts_first: ClassVar[bool] = True

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._backlog = Backlog(queue)
        self._n_seen = 0
        """Position behind the last job of the backlog that was scanned."""
        self._released = True
        self._allows = {
            index: np.array([index in choice for choice in queue.jobs.choices])
            for index in queue.members
        }

    def submit(self, job: int) -> None:
        self._backlog.append(job)

    def resubmit(self, job: int) -> None:
        self._backlog.insert(job)
        self._released = True

    def finish(self, job: int, partition: Partition) -> None:
        self._released = True

    def service_changed(self, partition: Partition) -> None:
        self._released = True

    def start_first(self, job: int) -> bool:
        started = self.queue.start_anywhere(job)
        if started:
            self._backlog.remove(self._backlog.position(job))
        return started
