"""A plain twin of windows: second by second, with lists and loops, on the nodes of one pool."""

from __future__ import annotations

from dataclasses import dataclass, field

from twins import consolidate


@dataclass
class TwinWindow:
    """Nodes that are closed from `begin` to `end`, except to the jobs in `may_use`."""

    kind: str
    nodes: set[int]
    begin: int
    end: int
    announced: int = 0
    lets_finish: bool = False
    may_use: set[int] = field(default_factory=set)


@dataclass
class TwinJob:
    """A job with its remaining run time and estimate, in whole seconds."""

    submit: int
    n: int
    run: int
    factor: int
    spans: list[tuple[int, int]] = field(default_factory=list)
    places: list[list[tuple[int, int]]] = field(default_factory=list)
    start: int = -1
    left: int = -1

    def estimate(self) -> int:
        return self.left * self.factor


class WindowsTwin:
    """First come first served, first fit or EASY, with windows, on nodes of equal size."""

    def __init__(
        self,
        jobs: list[TwinJob],
        windows: list[TwinWindow],
        n_nodes: int,
        chips: int,
        policy: str,
        hero_size: float = 1e9,
    ) -> None:
        self.hero_size = hero_size
        self.drains: dict[int, TwinWindow] = {}
        self.jobs, self.windows, self.policy = jobs, windows, policy
        self.n_nodes, self.chips = n_nodes, chips
        self.now = 0
        self.queue: list[int] = []
        self.running: list[int] = []
        self.out: dict[int, int] = {}
        for job in jobs:
            job.left = job.run

    def run(self) -> list[TwinJob]:
        while any(job.left for job in self.jobs):
            again = self.second()
            while again:
                again = self.drain()
                self.one_pass()
            self.now += 1
        return self.jobs

    def second(self) -> bool:
        """What happens at the beginning of a second; whether there is a pass."""
        now, changed = self.now, False
        for j in [j for j in self.running if self.jobs[j].start + self.jobs[j].left == now]:
            self.leave(j)
            changed = True
        for node in [node for node, end in self.out.items() if end == now]:
            del self.out[node]
        for window in self.windows:
            changed |= now in (window.announced, window.begin, window.end)
            if window.begin == now and not window.lets_finish:
                for j in list(self.running):
                    used = {node for node, _ in self.jobs[j].places[-1]}
                    if j not in window.may_use and used & window.nodes:
                        self.leave(j)
                        self.queue = sorted([*self.queue, j])
            if window.kind == "maintenance" and window.begin <= now < window.end:
                for node in window.nodes - set(self.out):
                    if self.free()[node] == self.chips:
                        self.out[node] = window.end
                        changed = True
        for j, job in enumerate(self.jobs):
            if job.submit == now:
                self.queue.append(j)
                changed = True
        return changed

    def drain(self) -> bool:
        """Start hero jobs or close nodes for them; whether another pass must follow."""
        before, self.drains = self.drains, {}
        for j in [j for j in self.queue if self.jobs[j].n >= self.hero_size]:
            nodes = self.place(j, self.free(), self.now)
            if nodes is not None:
                self.begin(j, nodes)
                continue
            at = self.now
            while (nodes := self.claim(j, at)) is None:
                at += 1
            closed = {node for node, _ in nodes}
            end = at + self.jobs[j].estimate()
            self.drains[j] = TwinWindow("hero", closed, at, end, self.now, may_use={j})
        return any(
            j not in self.drains
            or (self.drains[j].begin, self.drains[j].nodes) != (window.begin, window.nodes)
            for j, window in before.items()
        )

    def leave(self, j: int) -> None:
        job = self.jobs[j]
        job.left -= self.now - job.start
        job.spans.append((job.start, self.now))
        self.running.remove(j)

    def free(self, at: int | None = None) -> list[int]:
        """Free chips by node now, or once all that is expected until then has happened."""
        free = [self.chips] * self.n_nodes
        for node, end in self.out.items():
            if at is None or end > at:
                free[node] = 0
        for j in self.running:
            job = self.jobs[j]
            if at is None or job.start + job.estimate() > at:
                for node, part in job.places[-1]:
                    free[node] -= part
        return free

    def is_open(self, j: int, node: int, begin: int) -> bool:
        end = begin + self.jobs[j].estimate()
        return not any(
            node in window.nodes
            and j not in window.may_use
            and window.announced <= self.now < window.end
            and begin < window.end
            and end > window.begin
            for window in [*self.windows, *self.drains.values()]
        )

    def place(self, j: int, free: list[int], begin: int) -> list[tuple[int, int]] | None:
        """Where a job would run, its own reserved nodes first."""
        there = [part if self.is_open(j, k, begin) else 0 for k, part in enumerate(free)]
        own = {
            node
            for window in [*self.windows, *self.drains.values()]
            if j in window.may_use and window.begin <= begin < window.end
            for node in window.nodes
        }
        if own and begin == self.now:
            mine = [part if k in own else 0 for k, part in enumerate(there)]
            nodes = consolidate(self.jobs[j].n, mine, self.chips)
            if nodes is not None:
                return nodes
        return consolidate(self.jobs[j].n, there, self.chips)

    def begin(self, j: int, nodes: list[tuple[int, int]]) -> None:
        self.queue.remove(j)
        self.running.append(j)
        self.jobs[j].start = self.now
        self.jobs[j].places.append(nodes)

    def one_pass(self) -> None:
        for j in list(self.queue):
            nodes = self.place(j, self.free(), self.now)
            if nodes is not None:
                self.begin(j, nodes)
            elif self.policy == "fcfs":
                return
            elif self.policy == "easy":
                self.backfill(j)
                return

    def backfill(self, head: int) -> None:
        """Start jobs behind the head that do not delay it."""
        shadow = self.now
        while (nodes := self.claim(head, shadow)) is None:
            shadow += 1
        beside = self.free(shadow)
        for node, part in nodes:
            beside[node] -= part
        for j in [j for j in self.queue if j > head]:
            if self.now + self.jobs[j].estimate() <= shadow:
                there = self.place(j, self.free(), self.now)
            else:
                both = [min(a, b) for a, b in zip(self.free(), beside, strict=True)]
                open_to = [p if self.is_open(j, k, self.now) else 0 for k, p in enumerate(both)]
                there = consolidate(self.jobs[j].n, open_to, self.chips)
                for node, part in there or ():
                    beside[node] -= part
            if there is not None:
                self.begin(j, there)

    def claim(self, head: int, at: int) -> list[tuple[int, int]] | None:
        free = self.free(at)
        open_to = [p if self.is_open(head, k, at) else 0 for k, p in enumerate(free)]
        return consolidate(self.jobs[head].n, open_to, self.chips)
