"""Limits that keep a job out of the queue: quotas, budgets, tasks of an array, other jobs, a time.

A job is submitted to the policy once no limit holds it; it then has the place in the queue that it
would have had. The limits count jobs that are in the queue or run. When something of a limit
becomes free, the jobs that it holds are tried in their order, and those that do not fit are passed,
unless they are in a line in which jobs wait for the first. Limits hold no job that already runs.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from clustersim.engine.budgets import ROUNDING, Budget
from clustersim.engine.limits import Charge, Count, Limits, Way
from clustersim.scheduling.queue import JobColumns

__all__ = ["NEVER_RENEWED", "Gates"]

NEVER_RENEWED = "and nothing renews it"
"""End of the reason of a job whose budget never renews."""
_NONE: frozenset[int] = frozenset()
_Place: TypeAlias = tuple[float, int]
"""Rank of a held job, and the job."""


class _Kind(NamedTuple):
    """What decides, with a job's need of budgets, whether it may enter."""

    ways: tuple[Way, ...]
    budgets: tuple[Budget, ...]
    line: str

    def limits(self) -> Iterator[object]:
        """Yield all limits and budgets."""
        yield from dict.fromkeys(limit for way in self.ways for limit, _, _ in way.charges)
        yield from self.budgets


_FREE = _Kind((Way(),), (), "")


class Gates:
    """The state of the limits during one run.

    Parameters
    ----------
    limits : Limits
    jobs : JobColumns, optional
        Needed for budgets, and for ways that choose partitions.

    Attributes
    ----------
    admitted_by : dict of int to int
        The job whose end admitted each job that a limit had held.
    """

    def __init__(self, limits: Limits, jobs: JobColumns | None = None) -> None:
        self.admitted_by: dict[int, int] = {}
        self._limits, self._jobs = limits, jobs
        self._counts = [Count(name, size) for name, size in limits.groups]
        self._ended: set[int] = set()
        self._done: set[int] = set()
        self._waits: set[int] = set()
        self._entered: dict[int, Way] = {}
        self._kinds: dict[_Kind, _Kind] = {}
        self._held: dict[_Kind, list[_Place]] = {}
        self._held_by: dict[object, dict[_Kind, None]] = {}
        self._lines: dict[str, list[_Place]] = {}
        self._kind_of: dict[int, _Kind] = {}
        self._needs: dict[int, float] = {}
        """What each held job needs at least of a budget, accelerator-seconds."""
        self._smallest: dict[_Kind, list[tuple[float, int]]] = {}
        """A heap of the needs of each kind's held jobs, and of some that are held no longer."""
        self._followers: dict[int, list[int]] = {}
        for waits in (limits.after, limits.after_ok):
            for job, others in waits.items():
                for other in others:
                    self._followers.setdefault(other, []).append(job)

    def admits(self, job: int, now: float) -> bool:
        """Return whether a job may enter its queue now; otherwise it is held until it may.

        A job that comes before its time is asked for again at its time.
        """
        kind = self._kind(job)
        if job in self._limits.running:
            self._enter(job, kind, kind.ways[0])
            return True
        if now < self.opens_s(job):
            return False
        if not self._is_due(job):
            self._waits.add(job)
            return False
        way = self._way(job, kind, now)
        if way is None:
            self._hold(job, kind)
            return False
        self._enter(job, kind, way)
        return True

    def holds(self, job: int) -> bool:
        """Return whether a job was submitted and a limit holds it."""
        if job in self._waits:
            return True
        places, place = self._held.get(self._kind(job), ()), self._place(job)
        at = bisect_left(places, place)
        return at < len(places) and places[at] == place

    def keeps_out(self, job: int, now: float) -> bool:
        """Return whether a limit keeps a submitted job out of its queue."""
        return self.holds(job) or now < self.opens_s(job)

    def opens_s(self, job: int) -> float:
        """Return the time before which a job does not enter its queue, seconds; 0 for none."""
        return self._limits.not_before_s.get(job, 0.0)

    def end(self, job: int, now: float, *, done: bool) -> list[int]:
        """Record that a job ended, and return the jobs that may enter their queues now.

        Parameters
        ----------
        job : int
        now : float
            Seconds.
        done : bool
            Whether the job is done; otherwise it was cancelled.
        """
        kind, way = self._kind(job), self._entered.pop(job, Way())
        for limit, node, amount in way.charges:
            limit.remove(node, amount)
        for budget in kind.budgets:
            budget.end(job)
        self._ended.add(job)
        if done:
            self._done.add(job)
        may = self._held_with(kind)
        for other in self._followers.get(job, ()):
            if other in self._waits and self._is_due(other):
                self._waits.remove(other)
                may[self._hold(other, self._kind(other))] = None
        free = self._let_in(may, now)
        self.admitted_by.update(dict.fromkeys(free, job))
        return free

    def has_budgets(self, job: int) -> bool:
        """Return whether a job has budgets."""
        return job in self._limits.budgets

    def most(self, job: int) -> float:
        """Return the largest size that a job which has entered may have now, as far as counts go.

        What it is charged at present does not count. It is infinite without limits.
        """
        most = float("inf")
        for limit, node, amount in self._sized(job):
            limit.remove(node, amount)
            most = min(most, limit.available(node))
            limit.add(node, amount)
        return most

    def affords_change(self, job: int, now: float, n: int, seconds: float) -> bool:
        """Return whether a job's budgets allow another size for the rest of its time (seconds)."""
        budgets = self._limits.budgets.get(job, ())
        return all(budget.has_room_to_change(job, now, n, seconds) for budget in budgets)

    def resize(self, job: int, size: int) -> bool:
        """Charge a job for another size; return whether jobs are held that may enter now."""
        sized = self._sized(job)
        if not sized or sized[0][2] == size:
            return False
        for limit, node, amount in sized:
            limit.remove(node, amount)
            limit.add(node, size)
        way = self._entered[job]
        others = way.charges[: len(way.charges) - len(sized)]
        charges = (*others, *((limit, node, size) for limit, node, _ in sized))
        self._entered[job] = way._replace(charges=charges)
        return size < sized[0][2] and bool(self._held_with(self._kind(job)))

    def wait_again(self, job: int) -> bool:
        """Charge a job for no more than that with which it entered; return as `resize` does."""
        sized, entry = self._sized(job), self._limits.entry_size.get(job)
        return bool(sized) and entry is not None and sized[0][2] > entry and self.resize(job, entry)

    def freed(self, job: int, now: float) -> list[int]:
        """Return the jobs that may enter because a job is charged less than before."""
        return self._let_in(self._held_with(self._kind(job)), now)

    def renewed(self, budget: Budget, now: float) -> list[int]:
        """Return the jobs that may enter their queues because a budget has been renewed."""
        return self._let_in(self._held_by.get(budget, {}), now)

    def renewals(self) -> Iterator[Budget]:
        """Yield the budgets with a period that hold jobs."""
        for limit, kinds in self._held_by.items():
            if isinstance(limit, Budget) and kinds and limit.period_s < float("inf"):
                yield limit

    def budgets_of_jobs(self) -> set[tuple[Budget, ...]]:
        """Return the distinct sets of budgets that jobs have."""
        return set(self._limits.budgets.values())

    def start(self, job: int, now: float, n: int, estimate_s: float) -> None:
        """Charge the budgets of a job that starts."""
        for budget in self._limits.budgets.get(job, ()):
            budget.start(job, now, n, estimate_s)

    def stop(self, job: int, now: float) -> None:
        """Charge the budgets of a job that stops or ends no longer."""
        for budget in self._limits.budgets.get(job, ()):
            budget.stop(job, now)

    def held(self) -> Iterator[int]:
        """Yield the jobs that are held, other than by a time."""
        yield from self._waits
        for places in self._held.values():
            yield from (job for _, job in places)

    def awaits(self, job: int) -> list[int]:
        """Return the jobs for which a submitted job still waits, ascending."""
        if job not in self._waits:
            return []
        limits = self._limits
        ended = limits.after.get(job, _NONE) - self._ended
        return sorted(ended | (limits.after_ok.get(job, _NONE) - self._done))

    def why(self, job: int, now: float) -> str:
        """Return which limit or budget holds a job, as text; empty for what other jobs hold."""
        kind = self._kind(job)
        for budget in kind.budgets:
            if not self._affords(job, budget, now):
                renewal = "it renews later" if budget.period_s < float("inf") else NEVER_RENEWED
                return f"the budget of {budget.name} is spent, {renewal}"
        for way in kind.ways:
            for limit, node, amount in way.charges:
                if amount > limit.available(node):
                    name = limit.name if isinstance(limit, Count) else "its queue's quota"
                    return f"{name} is in use"
        return ""

    # --- Internals ----------------------------------------------------------------------

    def _sized(self, job: int) -> tuple[Charge, ...]:
        """Return the charges of a job that has entered which are for its accelerators."""
        if job not in self._limits.ways or job not in self._entered:
            return ()
        return self._entered[job].charges[len(self._limits.of_job.get(job, ())) :]

    def _held_with(self, kind: _Kind) -> dict[_Kind, None]:
        """Return the kinds of held jobs that share a limit with a kind."""
        return {each: None for limit in kind.limits() for each in self._held_by.get(limit, ())}

    def _kind(self, job: int) -> _Kind:
        kind = self._kind_of.get(job)
        if kind is None:
            kind = self._kind_of[job] = self._new_kind(job)
        return kind

    def _new_kind(self, job: int) -> _Kind:
        limits = self._limits
        own = limits.of_job.get(job, ())
        ways, budgets = limits.ways.get(job), limits.budgets.get(job, ())
        line = limits.line.get(job, "")
        if not own and ways is None and not budgets and not line:
            return _FREE
        counts = tuple((self._counts[group], 0, part) for group, part in own)
        ways = ways or (Way(),)
        if counts:
            ways = tuple(way._replace(charges=(*counts, *way.charges)) for way in ways)
        kind = _Kind(ways, budgets, line)
        return self._kinds.setdefault(kind, kind)

    def _place(self, job: int) -> _Place:
        order = self._limits.order
        return (order[job] if order else 0.0), job

    def _is_due(self, job: int) -> bool:
        """Return whether the jobs for which a job waits have ended."""
        limits = self._limits
        return not (
            limits.after.get(job, _NONE) - self._ended
            or limits.after_ok.get(job, _NONE) - self._done
        )

    def _way(self, job: int, kind: _Kind, now: float) -> Way | None:
        """Return the first way in which a job can enter now; None if there is none."""
        if kind.line and (line := self._lines.get(kind.line)) and line[0] < self._place(job):
            return None
        if not all(self._affords(job, budget, now) for budget in kind.budgets):
            return None
        return _open_way(kind)

    def _affords(self, job: int, budget: Budget, now: float) -> bool:
        assert self._jobs is not None
        return budget.has_room(now, self._jobs.n_accelerators[job], self._limits.time_s[job])

    def _enter(self, job: int, kind: _Kind, way: Way) -> None:
        for limit, node, amount in way.charges:
            limit.add(node, amount)
        self._entered[job] = way
        if self._jobs is None:
            return
        for budget in kind.budgets:
            budget.reserve(job, self._jobs.n_accelerators[job], self._limits.time_s[job])
        if way.choice is not None:
            self._jobs.choice_of[job] = way.choice  # type: ignore[index]

    def _hold(self, job: int, kind: _Kind) -> _Kind:
        place = self._place(job)
        if kind not in self._held:
            self._held[kind] = []
            for limit in kind.limits():
                self._held_by.setdefault(limit, {})[kind] = None
        insort(self._held[kind], place)
        if kind.budgets:
            self._needs[job] = need = self._least_need(job, kind)
            heapq.heappush(self._smallest.setdefault(kind, []), (need, job))
        if kind.line:
            insort(self._lines.setdefault(kind.line, []), place)
        return kind

    def _release(self, job: int, kind: _Kind) -> None:
        """Hold a job no longer."""
        place, places = self._place(job), self._held[kind]
        del places[bisect_left(places, place)]
        self._needs.pop(job, None)
        if not places:
            self._smallest.pop(kind, None)
            del self._held[kind]
            for limit in kind.limits():
                del self._held_by[limit][kind]
        if kind.line:
            line = self._lines[kind.line]
            del line[bisect_left(line, place)]

    def _let_in(self, kinds: Iterable[_Kind], now: float) -> list[int]:
        """Let in the held jobs of some kinds that fit, in order.

        The first job of a kind that does not fit ends its kind, unless others may need less of a
        budget: a job that enters makes no room for others.
        """
        free: list[int] = []
        heads = [(self._held[kind][0], at, kind) for at, kind in enumerate(kinds)]
        heapq.heapify(heads)
        number = len(heads)
        while heads:
            place, _, kind = heapq.heappop(heads)
            places, job = self._held.get(kind, []), place[1]
            at = bisect_left(places, place)
            if at == len(places) or places[at] != place:
                continue
            way = self._way(job, kind, now)
            again = [kind]
            if way is not None:
                self._release(job, kind)
                self._enter(job, kind, way)
                free.append(job)
                if kind.line:
                    again += [each for each in self._held if each.line == kind.line != ""]
            elif kind.line or not kind.budgets or _open_way(kind) is None:
                continue
            for each in dict.fromkeys(again):
                others = self._held.get(each, [])
                after = bisect_right(others, place)
                if each.budgets and others:
                    after = self._next_affordable(each, others, after, now)
                if after < len(others):
                    number += 1
                    heapq.heappush(heads, (others[after], number, each))
        return free

    def _next_affordable(
        self, kind: _Kind, places: Sequence[_Place], begin: int, now: float
    ) -> int:
        """Return the position of the next job that the budgets of its kind can pay."""
        low = min(budget.room(now) for budget in kind.budgets) + ROUNDING
        heap, needs = self._smallest[kind], self._needs
        while heap and heap[0][1] not in needs:
            heapq.heappop(heap)
        if not heap or heap[0][0] > low:
            return len(places)
        for at in range(begin, len(places)):
            job = places[at][1]
            if needs[job] <= low and all(self._affords(job, b, now) for b in kind.budgets):
                return at
        return len(places)

    def _least_need(self, job: int, kind: _Kind) -> float:
        """Return what a job needs of the budget that it needs least of."""
        assert self._jobs is not None
        n, seconds = self._jobs.n_accelerators[job], self._limits.time_s[job]
        return min(budget.need(n, seconds) for budget in kind.budgets)


def _open_way(kind: _Kind) -> Way | None:
    """Return the first way of a kind in which there is room; None if there is none."""
    for way in kind.ways:
        if all(amount <= limit.available(node) for limit, node, amount in way.charges):
            return way
    return None
