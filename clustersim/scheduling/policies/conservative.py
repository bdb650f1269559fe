"""Conservative backfilling: every waiting job has a reservation.

Mu'alem and Feitelson, "Utilization, predictability, workloads, and user runtime
estimates in scheduling the IBM SP2 with backfilling", IEEE TPDS 12(6), 2001,
section 2.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import ClassVar

from clustersim.scheduling.calendar import JOB
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.policies.closed_profiles import ClosedProfiles, stopped_s
from clustersim.scheduling.policies.earlier_places import EarlierPlaces, Reserved
from clustersim.scheduling.policies.profile import ROUNDING_S, Profile
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["Conservative"]

_SOON_S = 1.0
_FEW_JOBS = 200
"""Number of jobs from which on it is faster to look at all of them together."""


class Conservative(Policy):
    """No job may delay a job that was submitted earlier.

    When a job is submitted, it reserves the partition on which it would finish first. At
    every completion, each waiting job, in order of submission, gives up its reservation and
    makes the earliest possible one, which is never later than before. Reservations count
    accelerators. If the placement finds no nodes for a job that is due, the job loses its
    reservation until the next completion. When a job runs past its estimate, all
    reservations are recomputed, and in every pass while accelerators are reserved in advance.
    """

    looks_ahead: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False
    starts_first: ClassVar[bool] = True

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._profiles: dict[int, Profile] = {}
        self._reserved: dict[int, Reserved] = {}
        self._places: EarlierPlaces | None = None
        self._due: list[tuple[float, int]] = []
        self._unreserved: set[int] = set()
        self._expected_end: dict[int, float] = {}
        self._without_nodes: set[int] = set()
        self._windows = ClosedProfiles(queue)
        self._ended = False
        self._settled = False
        self._broken = True

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        self._unreserved.add(job)

    def finish(self, job: int, partition: Partition) -> None:
        self._ended = True
        self._unreserved |= self._without_nodes
        self._without_nodes.clear()
        n = self.queue.jobs.n_accelerators[job]
        expected = self._expected_end.pop(job)
        if not self._broken:
            self._release(partition.index, self.queue.now, expected, n)

    def service_changed(self, partition: Partition) -> None:
        self._broken = True
        if partition.windows is not None:
            self._without_nodes.clear()

    def start_first(self, job: int) -> bool:
        for index in self.queue.choices(job):
            partition = self.queue.partitions[index]
            nodes = self.queue.take(job, partition)
            if nodes is not None:
                self._broken = True
                for jobs in (self._unreserved, self._without_nodes):
                    jobs.discard(job)
                self._reserved.pop(job, None)
                del self.waiting[job]
                self._expected_end[job] = self.queue.now + self.queue.estimate_s(job, partition)
                self.queue.start_taken(job, partition, nodes)
                return True
        return False

    def schedule(self, now: float) -> None:
        if not self.waiting:
            self._broken = True
            return
        if self._broken or self._windows.have_users or self._anybody_overdue(now):
            self._reset(now)
        for profile in self._profiles.values():
            profile.advance(now)
        while self._plan_and_start(now):
            pass

    def _plan_and_start(self, now: float) -> bool:
        """Make all reservations and start due jobs; return whether a due job found no nodes."""
        if self._ended and not self._settled:
            self._plan_again()
        else:
            for job in sorted(self._unreserved):
                self._reserve(job)
            self._unreserved.clear()
        self._ended = False
        for job in self._jobs_due(now):
            self._start_reserved(job)
        return self._ended

    def _plan_again(self) -> None:
        """Let each job, in order, make the earliest reservation that is possible now.

        If no job finds an earlier one, this need not be done again until accelerators are released
        before their time: a further reservation cannot make an earlier one possible.
        """
        self._settled = True
        opened = self._windows.have_users
        order = [job for job in self.waiting if job not in self._without_nodes]
        places = None if opened or len(order) <= _FEW_JOBS else self._places_of(order)
        for job in order:
            before = self._reserved.get(job)
            # A job without duration holds nothing, so others may have taken its place.
            if before is None or opened or before[2] <= before[1]:
                if before is not None:
                    index, start, end = before
                    self._profiles[index].change(start, end, self.queue.jobs.n_accelerators[job])
                    self._windows.give_back(job)
                self._reserve(job)
                if before is not None and before != self._reserved[job]:
                    self._settled = False
            elif places is None or job in places.candidates:
                place = self._earlier_place(job, before, places)
                if place is not None:
                    self._move(job, before, place, places)
        self._unreserved.clear()

    def _places_of(self, jobs: list[int]) -> EarlierPlaces:
        """Return which jobs with reservations may find earlier places."""
        if self._places is None:
            self._places = EarlierPlaces(self.queue, self._profiles)
        self._places.look([job for job in jobs if job in self._reserved], self._reserved)
        return self._places

    def _earlier_place(
        self, job: int, reserved: Reserved, places: EarlierPlaces | None
    ) -> Reserved | None:
        """Return the reservation that a job would make if it gave up its own; None for the same.

        Only what is in front of its reservation matters, so the job need not give it up.
        """
        jobs, now, (held, start, end) = self.queue.jobs, self.queue.now, reserved
        n, choices = jobs.n_accelerators[job], jobs.choices[jobs.choice_of[job]]
        where = choices if places is None else places.where(job, n, choices)
        found = []
        for index in where:
            run_s, before = jobs.estimate_s[self.queue.partitions[index].pool][job], start
            if index != held:
                if now + run_s > end:
                    continue
                before = end - run_s + ROUNDING_S
            profile = self._profiles[index]
            earliest = profile.earliest_before(n, run_s, before, held=index == held)
            if earliest is not None:
                found.append((index, earliest, earliest + run_s))
            elif places is not None:
                places.failed(index, n)
        if not found:
            return None
        found.append(reserved)
        best = min(found, key=lambda place: (place[2], choices.index(place[0])))
        return None if best == reserved else best

    def _move(
        self, job: int, before: Reserved, place: Reserved, places: EarlierPlaces | None
    ) -> None:
        """Exchange the reservation of a job for an earlier one."""
        n = self.queue.jobs.n_accelerators[job]
        (held, start, end), (index, to, until) = before, place
        if index == held and until > start:  # only the difference changes
            self._profiles[index].change(to, start, -n)
            start = until
        else:
            self._profiles[index].change(to, until, -n)
            start = max(start, self.queue.now)  # others may have run past their estimates
        self._profiles[held].change(start, end, n)
        if places is not None:
            places.given_back(held, start, end, n)
        self._reserved[job] = place
        heappush(self._due, (to, job))
        self._settled = False

    def _jobs_due(self, now: float) -> list[int]:
        """Return the jobs whose reservations begin now, in order of submission."""
        due = []
        while self._due and self._due[0][0] <= now:
            start, job = heappop(self._due)
            found = self._reserved.get(job)
            if found is not None and found[1] == start:
                due.append(job)
        return sorted(set(due))

    def _release(self, index: int, start: float, end: float, n: int) -> None:
        """Free accelerators of a partition for a time; jobs may find earlier places then."""
        if end > start:
            self._settled = False
            self._profiles[index].change(start, end, n)

    def _anybody_overdue(self, now: float) -> bool:
        return any(
            next(iter(self.queue.partitions[index].calendar), (now + 1,))[0] <= now
            for index in self.queue.members
        )

    def _reset(self, now: float) -> None:
        self._broken = self._settled = False
        self._reserved.clear()
        self._due.clear()
        self._unreserved = set(self.waiting) - self._without_nodes
        for index in self.queue.members:
            partition = self.queue.partitions[index]
            profile = Profile(now, partition.placement.capacity)
            held: dict[float, int] = {}
            for end, holder, number, n in partition.calendar:
                # A job past its estimate may end at any moment.
                expected = end if end > now else now + _SOON_S
                if holder == JOB:
                    if partition.windows is not None:
                        expected = stopped_s(partition, number, now, expected)
                    self._expected_end[number] = expected
                held[expected] = held.get(expected, 0) + n
            for expected, n in held.items():  # nodes of one delivery share a time
                profile.change(now, expected, -n)
            self._profiles[index] = profile
            if partition.windows is not None:
                self._windows.close(partition, profile, now, self._expected_end)

    def _reserve(self, job: int) -> None:
        jobs = self.queue.jobs
        n = jobs.n_accelerators[job]
        found = []
        for index in self.queue.choices(job):
            run_s = jobs.estimate_s[self.queue.partitions[index].pool][job]
            with self._windows.opened_to(job, index):
                start = self._profiles[index].earliest(n, run_s)
            found.append((start + run_s, start, index))
        end, start, index = min(found, key=lambda option: option[0])
        self._profiles[index].change(start, end, -n)
        self._windows.use(job, index, n, start, end)
        self._reserved[job] = (index, start, end)
        if end <= start:  # it holds nothing, so others can take its place
            self._settled = False
        heappush(self._due, (start, job))

    def _give_back(self, job: int) -> None:
        index, start, end = self._reserved.pop(job)
        self._windows.give_back(job)
        self._release(index, start, end, self.queue.jobs.n_accelerators[job])

    def _start_reserved(self, job: int) -> None:
        index, start, end = self._reserved[job]
        partition = self.queue.partitions[index]
        nodes = self.queue.take(job, partition)
        if nodes is None:
            # A job of zero duration releases its accelerators at this same instant.
            if not self._anybody_overdue(self.queue.now):
                self._give_back(job)
                self._without_nodes.add(job)
                self._ended = True
            else:
                heappush(self._due, (start, job))
            return
        del self.waiting[job], self._reserved[job]
        self._expected_end[job] = end
        self.queue.start_taken(job, partition, nodes)
