"""The working state of a round: nodes, queues and tasks, with a journal that undoes trials.

A `Session` is made from a `Cluster` and changed by the actions of a round. Fair shares are those of
its start; what queues hold follows every change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.kai.backlog import Backlog
from clustersim.scheduling.kai.fair_share import fair_shares
from clustersim.scheduling.kai.model import Cluster, Job, Task, TaskState

__all__ = ["JobInSession", "Session", "TaskInSession"]

PENDING, RUNNING, BINDING = TaskState.PENDING, TaskState.RUNNING, TaskState.BINDING
PIPELINED, RELEASING, STUCK = TaskState.PIPELINED, TaskState.RELEASING, TaskState.STUCK
_HOLDING = (RUNNING, BINDING, STUCK)
_ACTIVE = (RUNNING, BINDING, PIPELINED)
_OCCUPYING = (RUNNING, RELEASING, STUCK)
_NO_NODE = -1


class TaskInSession:
    """A task and where it is now.

    Attributes
    ----------
    job : JobInSession
    number : int
        Its place in the job's tasks.
    size : int
        Accelerators.
    state : TaskState
    node : int
        Number of its node, -1 without one. The new node of a task that moves.
    origin : int
        Number of the node on which it runs since before the session, else -1.
    """

    __slots__ = ("job", "node", "number", "origin", "size", "state")

    def __init__(self, job: JobInSession, number: int, task: Task, node: int) -> None:
        self.job = job
        self.number = number
        self.size = task.accelerators
        self.state = task.state
        self.node = node
        self.origin = node if task.state in _OCCUPYING else _NO_NODE

    @property
    def is_active(self) -> bool:
        """Whether it runs, starts, or will start when accelerators are released."""
        return self.state in _ACTIVE


class JobInSession:
    """A job and its tasks, in the order in which they are placed.

    Attributes
    ----------
    job : Job
    seniority : int
        Rank by time of submission, then name.
    queue : int
        Number of its queue.
    tasks : list of TaskInSession
    active : int
        Tasks that run, start or will start on accelerators that are being released.
    min_tasks, priority, preemptible
        As in `Job`.
    closed : list of int
        Numbers of the nodes on which it must not start.
    """

    __slots__ = (
        "active", "closed", "job", "min_tasks", "preemptible", "priority", "queue", "seniority",
        "tasks",
    )  # fmt: skip

    def __init__(self, job: Job, queue: int, nodes: Mapping[str, int]) -> None:
        self.job = job
        self.queue = queue
        self.seniority = 0
        self.min_tasks = job.min_tasks
        self.priority = job.priority
        self.preemptible = job.is_preemptible
        self.tasks = [
            TaskInSession(
                self, number, task, _NO_NODE if task.state is PENDING else nodes[task.node or ""]
            )
            for number, task in enumerate(job.tasks)
        ]
        if len(self.tasks) > 1:
            self.tasks.sort(key=lambda task: -job.tasks[task.number].priority)
        self.active = sum(task.state in _ACTIVE for task in self.tasks)
        self.closed = sorted(nodes[name] for name in job.closed if name in nodes)

    def waiting(self) -> list[TaskInSession]:
        """Return the tasks that would be placed next: the rest of the gang, or else one task.

        Empty if too few tasks wait to make the gang whole.
        """
        pending = [task for task in self.tasks if task.state is PENDING]
        return self.next_of(pending)

    def active_tasks(self) -> list[TaskInSession]:
        """Return the tasks that are active."""
        return [task for task in self.tasks if task.state in _ACTIVE]

    def next_of(self, tasks: list[TaskInSession]) -> list[TaskInSession]:
        """Return those of some tasks without a place that would be placed next."""
        missing = max(1, self.min_tasks - self.active)
        return tasks[:missing] if len(tasks) >= missing else []


class Session:
    """The state of a round.

    Parameters
    ----------
    cluster : Cluster

    Attributes
    ----------
    idle : float array (nodes,)
        Accelerators of each node that nobody holds.
    fit : float array (nodes,)
        Those and the ones that are being released, less what pipelined tasks will take.
    held, held_for_good : list of float
        Accelerators of each queue's active tasks; only those that cannot be preempted.
    largest_node : int
        Accelerators of the largest node.
    active_of : dict of int to dict
        The jobs of each queue that have active tasks, as keys.
    backlog : Backlog
        The jobs that wait.
    by_name : dict of str to Queue
    parents, fair_share, allocatable : list
        For each queue: the number of its parent (-1 at the top), its fair share, and how much it
        may use at most of what it is owed: min(limit, max(deserved, fair share)).

    Raises
    ------
    InputError
        If a job names a queue or a task names a node that is not in the cluster, or if a task has
        no node but is not pending.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> jobs = (Job("train", "team", (Task(4),)),)
    >>> Session(Cluster({"node0": 8}, (Queue("team", deserved=2),), jobs)).fair_share
    [4.0]
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.nodes = sorted(cluster.nodes)
        self.queues = cluster.queues
        names = {queue.name: number for number, queue in enumerate(self.queues)}
        self.by_name = {queue.name: queue for queue in self.queues}
        self.parents = [
            _NO_NODE if queue.parent is None else names.get(queue.parent, _NO_NODE)
            for queue in self.queues
        ]
        self.paths = [self._path(number) for number in range(len(self.queues))]
        self.idle: Floats = np.array([cluster.nodes[name] for name in self.nodes], dtype=float)
        self.fit = self.idle.copy()
        self.total = float(self.idle.sum())
        self.held = [0.0] * len(self.queues)
        self.held_for_good = [0.0] * len(self.queues)
        self._journal: list[tuple[TaskInSession, TaskState, int]] = []
        self._largest = -1.0
        self._requests = [0.0] * len(self.queues)
        self._jobs: dict[JobInSession, None] = {}
        self._numbers = names
        self._places = {name: number for number, name in enumerate(self.nodes)}
        self.active_of: dict[int, dict[JobInSession, None]] = {}
        self.largest_node = max(cluster.nodes.values(), default=0)
        self.backlog = Backlog(self.largest_node)
        jobs = cluster.jobs
        order = sorted(range(len(jobs)), key=lambda n: (jobs[n].submitted_s, jobs[n].name))
        seniority = {number: rank for rank, number in enumerate(order)}
        for number, job in enumerate(jobs):
            self.add(job, seniority[number])
        self.begin(cluster.now_s)

    @property
    def jobs(self) -> list[JobInSession]:
        """The jobs, in the order in which they were added."""
        return list(self._jobs)

    def begin(self, now_s: float) -> None:
        """Begin a round: what happened before it cannot be undone, and shares are those of now.

        Parameters
        ----------
        now_s : float
            The time, seconds.
        """
        self.cluster = replace(self.cluster, now_s=now_s)
        self._journal.clear()
        self.fair_share = fair_shares(self.total, self.queues, self.parents, self._requests)
        self.allocatable = [
            min(queue.limit, max(queue.deserved, share))
            for queue, share in zip(self.queues, self.fair_share, strict=True)
        ]

    def _path(self, number: int) -> list[int]:
        """Return the numbers of a queue and of all above it."""
        path = [number]
        while (parent := self.parents[path[-1]]) >= 0:
            if parent in path:
                raise InputError(f"queue {self.queues[number].name!r}", "parent: is below itself")
            path.append(parent)
        return path

    def add(self, job: Job, seniority: int) -> JobInSession:
        """Add a job, before a round begins, and charge its tasks to nodes and queues.

        Parameters
        ----------
        job : Job
        seniority : int
            Rank of the job by time of submission, then name.
        """
        try:
            entry = JobInSession(job, self._numbers[job.queue], self._places)
        except KeyError as missing:
            raise self._unknown(job, self._numbers, self._places) from missing
        entry.seniority = seniority
        self._jobs[entry] = None
        for task in entry.tasks:
            if task.state is not PENDING:
                self._charge(task, 1)
        self._note(entry, 1)
        if entry.active:
            self.active_of.setdefault(entry.queue, {})[entry] = None
        self.backlog.change(entry)
        self._largest = -1.0
        return entry

    def remove(self, entry: JobInSession) -> None:
        """Take a job out, before a round begins."""
        for task in entry.tasks:
            if task.state is not PENDING:
                self._charge(task, -1)
        self._note(entry, -1)
        self.active_of.get(entry.queue, {}).pop(entry, None)
        self.backlog.remove(entry)
        del self._jobs[entry]
        self._largest = -1.0

    def _note(self, entry: JobInSession, sign: int) -> None:
        """Add what a job holds and waits for to the requests of its queues, or take it away."""
        wanted = (task.size for task in entry.tasks if task.state is PENDING or task.is_active)
        size = sign * sum(wanted)
        for queue in self.paths[entry.queue]:
            self._requests[queue] += size

    def _unknown(
        self, job: Job, queues: Mapping[str, int], places: Mapping[str, int]
    ) -> InputError:
        """Return the error for a job with a queue or node that does not exist."""
        if job.queue not in queues:
            problem = f"queue: {unknown_name('queue', job.queue, queues)}"
        elif any(task.node is None and task.state is not PENDING for task in job.tasks):
            problem = "tasks: one that is not pending has no node"
        else:
            wrong = next(task.node for task in job.tasks if task.node not in (None, *places))
            problem = f"tasks: {unknown_name('node', wrong, places)}"
        return InputError(f"job {job.name!r}", problem)

    def _charge(self, task: TaskInSession, sign: int) -> None:
        """Add a task to what nodes and queues hold, or take it away."""
        state, size, job = task.state, sign * task.size, task.job
        occupied = task.node if state in _HOLDING else task.origin
        if occupied >= 0:
            self.idle[occupied] -= size
            if state in _HOLDING:
                self.fit[occupied] -= size
        if state is PIPELINED:
            self.fit[task.node] -= size
        elif state is STUCK or state is RELEASING:
            return
        for queue in self.paths[job.queue]:
            self.held[queue] += size
            if not job.preemptible:
                self.held_for_good[queue] += size

    def change(self, task: TaskInSession, state: TaskState, node: int) -> None:
        """Give a task another state and node; `undo` takes it back."""
        self._journal.append((task, task.state, task.node))
        self._set(task, state, node)

    def _set(self, task: TaskInSession, state: TaskState, node: int) -> None:
        """Give a task another state and node."""
        self._largest = -1.0
        if task.state is not PENDING:
            self._charge(task, -1)
        job = task.job
        if step := (state in _ACTIVE) - (task.state in _ACTIVE):
            job.active += step
            if step > 0 and job.active == 1:
                self.active_of.setdefault(job.queue, {})[job] = None
            elif not job.active:
                del self.active_of[job.queue][job]
        if step or state is PENDING or task.state is PENDING:
            self.backlog.change(job)
        task.state, task.node = state, node
        if state is not PENDING:
            self._charge(task, 1)

    def mark(self) -> int:
        """Return a mark of the present state for `undo`."""
        return len(self._journal)

    def changed(self) -> dict[JobInSession, None]:
        """Return the jobs of which tasks were changed since the round began."""
        return {task.job: None for task, _, _ in self._journal}

    def undo(self, mark: int = 0) -> None:
        """Take back all changes since a mark, by default since the round began."""
        while len(self._journal) > mark:
            self._set(*self._journal.pop())

    def largest(self) -> float:
        """Return the most accelerators that a task can get on one node."""
        if self._largest < 0:
            self._largest = float(self.fit.max()) if len(self.fit) else -1.0
        return self._largest

    def allows(self, job: JobInSession, size: float) -> bool:
        """Return whether the quotas above a job let it hold `size` more accelerators."""
        fixed = not job.preemptible
        for queue in self.paths[job.queue]:
            if self.held[queue] + size > self.queues[queue].limit:
                return False
            if fixed and self.held_for_good[queue] + size > self.queues[queue].deserved:
                return False
        return True

    def evict(self, task: TaskInSession) -> None:
        """Stop a task; one that has not started yet waits again."""
        if task.origin >= 0:
            self.change(task, RELEASING, task.origin)
        else:
            self.change(task, PENDING, _NO_NODE)

    def size_of(self, tasks: Sequence[TaskInSession]) -> float:
        """Return the accelerators of some tasks."""
        return float(sum(task.size for task in tasks))
