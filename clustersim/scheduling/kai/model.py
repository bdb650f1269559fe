"""The state of a cluster that KAI's decisions start from.

The words are those of KAI-Scheduler's documentation. A *job* is a gang of *tasks*; each task needs
some accelerators of one node. Jobs wait in the leaves of a tree of *queues*, and each queue has a
*deserved* quota, a *limit* and a weight with which it takes part in capacity that nobody deserves
(*over quota*). Accelerators are whole and of one kind; nothing else is limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["NON_PREEMPTIBLE", "UNLIMITED", "Cluster", "Job", "Limits", "MinimumRunTime"]
__all__ += ["Queue", "Task", "TaskState"]

UNLIMITED = float("inf")
"""A deserved quota or limit without a bound."""
NON_PREEMPTIBLE = 100
"""Jobs with at least this priority cannot be preempted unless they say otherwise."""


class TaskState(StrEnum):
    """What a task does.

    Examples
    --------
    >>> from clustersim.scheduling.kai import TaskState
    >>> TaskState("running") is TaskState.RUNNING
    True
    """

    PENDING = "pending"
    """Waits, without a node."""
    RUNNING = "running"
    """Runs on its node."""
    BINDING = "binding"
    """Starts on its node now."""
    PIPELINED = "pipelined"
    """Starts on its node when accelerators that are being released there are free."""
    RELEASING = "releasing"
    """Stops; its accelerators will be free in the next round."""
    STUCK = "stuck"
    """Should stop, but does not: nobody gets its accelerators."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue; earlier ones in `Cluster.queues` are older.

    Attributes
    ----------
    name : str
    parent : str or None
        The queue above it. A parent that is not in the cluster counts as none.
    deserved : float
        Accelerators that the queue may always have, also by reclaiming them.
    limit : float
        Most accelerators that its jobs may hold.
    weight : float
        Share of the capacity that is left when all queues have what they deserve.
    priority : int
        Queues with higher priority are served first.
    preempt_minimum_s, reclaim_minimum_s : float or None
        How long a job runs before jobs of this queue, or of another, may stop it, seconds. None:
        as the queue above.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Queue
    >>> Queue("team", parent="department", deserved=8, weight=2).limit
    inf
    """

    name: str
    parent: str | None = None
    deserved: float = 0.0
    limit: float = UNLIMITED
    weight: float = 1.0
    priority: int = 100
    preempt_minimum_s: float | None = None
    reclaim_minimum_s: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A part of a job that runs on one node.

    Attributes
    ----------
    accelerators : int
    state : TaskState
    node : str or None
        The node of a task that is not pending.
    priority : int
        Tasks of a job with higher priority are placed first and evicted last.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Task
    >>> str(Task(accelerators=8).state)
    'pending'
    """

    accelerators: int
    state: TaskState = TaskState.PENDING
    node: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A gang, which may be elastic.

    Attributes
    ----------
    name : str
    queue : str
    tasks : tuple of Task
    min_tasks : int
        Size of the gang; a job with more tasks is elastic.
    priority : int
        Jobs of a queue with higher priority are placed first.
    preemptible : bool or None
        None: preemptible below priority `NON_PREEMPTIBLE`.
    submitted_s : float
        Time of submission, seconds.
    started_s : float or None
        Time since which it runs, seconds. None: no minimum run time protects it.
    preemption_delay_s : float
        How long the job waits before it may reclaim or preempt, seconds.
    protected : bool
        Whether it runs and must not be stopped or moved now, although others like it may be.
    closed : frozenset of str
        Nodes on which it must not start.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Job, Task
    >>> Job("train", "team", (Task(8), Task(8)), min_tasks=2).is_preemptible
    True
    """

    name: str
    queue: str
    tasks: tuple[Task, ...]
    min_tasks: int = 1
    priority: int = 50
    preemptible: bool | None = None
    submitted_s: float = 0.0
    started_s: float | None = None
    preemption_delay_s: float = 0.0
    protected: bool = False
    closed: frozenset[str] = frozenset()

    @property
    def is_preemptible(self) -> bool:
        """Whether other jobs may stop this one."""
        return self.priority < NON_PREEMPTIBLE if self.preemptible is None else self.preemptible


@dataclass(frozen=True, slots=True)
class MinimumRunTime:
    """Minimum run times of queues that name none, and how that of a reclaim is found.

    Attributes
    ----------
    preempt_s, reclaim_s : float
        Values where no queue has one, seconds.
    reclaim_from_ancestor : bool
        True: the value of a reclaim is looked up from the queue below the common ancestor of the
        two queues. False: from the victim's own queue.

    Examples
    --------
    >>> from clustersim.scheduling.kai import MinimumRunTime
    >>> MinimumRunTime(reclaim_s=600.0).preempt_s
    0.0
    """

    preempt_s: float = 0.0
    reclaim_s: float = 0.0
    reclaim_from_ancestor: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the search of victims, which otherwise may take long on a large cluster.

    Attributes
    ----------
    jobs_per_queue : int or None
        How many waiting jobs of a queue each of reclaim, preempt and consolidation considers.
    trials : int or None
        How many sets of victims are tried for a waiting job. None: no bound.

    Notes
    -----
    On 500 nodes with 2,000 waiting and 1,000 running jobs, a search without bounds takes minutes.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Limits
    >>> Limits(trials=16).jobs_per_queue is None
    True
    """

    jobs_per_queue: int | None = None
    trials: int | None = 64


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes, queues and jobs at one time.

    Attributes
    ----------
    nodes : mapping of str to int
        Accelerators of each node.
    queues : tuple of Queue
    jobs : tuple of Job
    now_s : float
        The time, seconds.
    minimum_run_time : MinimumRunTime
    limits : Limits

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Task
    >>> jobs = (Job("train", "team", (Task(4),)),)
    >>> Cluster({"node0": 8}, (Queue("team", deserved=8),), jobs).now_s
    0.0
    """

    nodes: Mapping[str, int]
    queues: tuple[Queue, ...]
    jobs: tuple[Job, ...]
    now_s: float = 0.0
    minimum_run_time: MinimumRunTime = field(default_factory=MinimumRunTime)
    limits: Limits = field(default_factory=Limits)
