"""A plain twin of jobs that are saved, suspended, requeued and moved, on nodes that fail.

It counts seconds. There are two pools of nodes; a job takes one node and does `SPEED` units of work
in a second. A script says what happens when.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPEED = {"a": 2, "b": 1}
FINISH_EVERY_S = 10


@dataclass
class Times:
    """Seconds of work between checkpoints, and of a checkpoint, of writing it and of a restart."""

    every_s: int
    cost_s: int
    write_s: int
    restart_s: int


@dataclass
class TwinJob:
    """A job of so many units of work; `stored` of what it has done is in checkpoints."""

    units: int
    done: int = 0
    stored: int = 0
    node: tuple[str, int] | None = None
    memory: tuple[str, int] | None = None
    stopped: bool = False
    restart_left: int = 0
    since: int = 0
    stand_left: int = 0
    save_left: int = 0
    writing: list[list[int]] = field(default_factory=list)
    lost_s: float = 0.0
    end_s: int | None = None

    def start(self, node: tuple[str, int], times: Times) -> None:
        self.restart_left = times.restart_s if self.stopped and self.memory is None else 0
        self.node, self.memory = node, None
        self.since = self.stand_left = self.save_left = 0
        self.writing = []

    def second(self, times: Times) -> None:
        """Let a second pass for a running job."""
        assert self.node is not None
        for each in self.writing:
            each[1] -= 1
        self._store()
        if self.save_left:
            self.save_left -= 1
        elif self.restart_left:
            self.restart_left -= 1
        elif self.stand_left:
            self.stand_left -= 1
            if not self.stand_left:
                self._write(times)
        else:
            self.done += SPEED[self.node[0]]
            self.since += 1
            if self.since == times.every_s and self.done < self.units:
                self.stand_left = times.cost_s
                self.since = 0
                if not times.cost_s:
                    self._write(times)

    def _write(self, times: Times) -> None:
        self.writing.append([self.done, times.write_s])
        self._store()

    def _store(self) -> None:
        for done, left in self.writing:
            if left <= 0:
                self.stored = max(self.stored, done)

    def lose(self, pool: str) -> None:
        """Go back to the last checkpoint."""
        self.lost_s += (self.done - self.stored) / SPEED[pool]
        self.done = self.stored

    def stop(self, how: str) -> None:
        """Leave the node; the work is kept, except by a requeue."""
        assert self.node is not None
        if how == "requeue":
            self.lose(self.node[0])
        elif how == "save":
            self.stored = self.done
        else:
            self.memory = self.node
        self.node, self.stopped, self.save_left = None, True, 0

    def is_done_in(self, seconds: int, times: Times) -> bool:
        """Return whether the job ends within some seconds if it is left alone."""
        twin = TwinJob(self.units, self.done, self.stored, self.node)
        twin.restart_left, twin.since, twin.stand_left = (
            self.restart_left, self.since, self.stand_left,
        )  # fmt: skip
        for _ in range(seconds):
            if twin.done >= twin.units:
                return True
            twin.second(times)
        return twin.done >= twin.units


Action = tuple[int, str, int, str]
"""Time, what (start, save, suspend, requeue, move), job, and pool."""


@dataclass
class Twin:
    """Runs a script; from its end on, all waiting jobs start every ten seconds."""

    jobs: list[TwinJob]
    nodes: dict[str, int]
    times: Times
    script: list[Action]
    failures: list[tuple[int, int, str, int]]
    """Begin, end, pool and node."""

    def run(self) -> None:
        last = max([time for time, *_ in self.script], default=0)
        now = 0
        leaving: set[int] = set()
        while any(job.end_s is None for job in self.jobs):
            self._end_jobs(now, leaving)
            for begin_s, _, pool, node in self.failures:
                if begin_s == now:
                    self._fail((pool, node), leaving)
            for time, what, number, pool in self.script:
                if time == now:
                    self._act(what, number, pool, now, leaving)
            if now > last and not now % FINISH_EVERY_S:
                for number in range(len(self.jobs)):
                    for pool in SPEED:
                        self._act("start", number, pool, now, leaving)
            for job in self.jobs:
                if job.node is not None:
                    job.second(self.times)
            now += 1

    def _end_jobs(self, now: int, leaving: set[int]) -> None:
        for number, job in enumerate(self.jobs):
            if job.node is None:
                continue
            if job.done >= job.units and number not in leaving:
                job.end_s, job.node = now, None
            elif number in leaving and not job.save_left:
                leaving.remove(number)
                job.stop("save")

    def _fail(self, node: tuple[str, int], leaving: set[int]) -> None:
        for number, job in enumerate(self.jobs):
            if job.node == node:
                leaving.discard(number)
                job.stop("requeue")
            elif job.memory == node:
                job.memory = None
                job.lose(node[0])

    def _act(self, what: str, number: int, pool: str, now: int, leaving: set[int]) -> None:
        job, save_s = self.jobs[number], self.times.cost_s + self.times.write_s
        if job.end_s is not None or number in leaving:
            return
        if what == "start":
            node = self._free(job, pool, now)
            if job.node is None and node is not None:
                job.start(node, self.times)
        elif job.node is None:
            return
        elif what == "move":
            target = self._free(job, pool, now)
            if not save_s and target is not None and target[0] != job.node[0]:
                job.stop("save")
                job.start(target, self.times)
        elif what == "save" and save_s:
            if not job.is_done_in(save_s, self.times):
                leaving.add(number)
                job.save_left = save_s
        else:
            job.stop(what)

    def _free(self, job: TwinJob, pool: str, now: int) -> tuple[str, int] | None:
        """Return the first free node of a pool; of a suspended job, its own if it is free."""
        taken = {each.node for each in self.jobs}
        taken |= {(at, node) for begin, end, at, node in self.failures if begin <= now < end}
        for node in range(self.nodes[pool]):
            if (pool, node) not in taken and job.memory in (None, (pool, node)):
                return pool, node
        return None
