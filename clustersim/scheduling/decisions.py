"""What a policy can decide in a scheduling pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clustersim.scheduling.placements import Nodes

__all__ = ["Decision", "How", "Migrate", "Preempt", "Resize", "Start", "Wake"]

How: TypeAlias = Literal["save", "requeue", "suspend", "cancel"]
"""How a job is preempted, see :class:`Preempt`."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a waiting job.

    Attributes
    ----------
    job : int
    pool : str, optional
        Name of the pool; by default the first of the job's pools where it fits.
    nodes : sequence of (int, int), optional
        Nodes of the pool and the accelerators to use on each; by default the placement chooses.
    size : int, optional
        Number of accelerators, within the job's range; by default the number that it asks for.
    parts : mapping of str to int, optional
        Accelerators by pool, for a job over several pools, in place of `pool` and `size`.

    Examples
    --------
    >>> from clustersim.scheduling import Start
    >>> Start(3, pool="h200")
    Start(job=3, pool='h200', nodes=None, size=None, parts=None)
    """

    job: int
    pool: str | None = None
    nodes: Nodes | None = None
    size: int | None = None
    parts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Preempt:
    """Stop a running job.

    Attributes
    ----------
    job : int
    how : {"save", "requeue", "suspend", "cancel"}
        ``save``: the job saves its state first, which takes the time of a checkpoint, and waits
        again without loss of work. ``requeue``: it stops now and waits again with the work of its
        last checkpoint. ``suspend``: it stops now, its state stays in the memory of its nodes, and
        it can only continue there. ``cancel``: it stops now and never runs again.
    cost_s : float, optional
        Time that the preemption costs the job, seconds, spent when it starts again, in place of the
        times of checkpoint and restart.

    Examples
    --------
    >>> from clustersim.scheduling import Preempt
    >>> Preempt(3, how="requeue")
    Preempt(job=3, how='requeue', cost_s=None)
    """

    job: int
    how: How = "save"
    cost_s: float | None = None


@dataclass(frozen=True, slots=True)
class Migrate:
    """Save a running job and start it on another pool, with the work that is left.

    While the job saves its state, its new accelerators are held for it, too.

    Attributes
    ----------
    job : int
    pool : str
        Name of the pool.
    cost_s : float, optional
        See :class:`Preempt`.
    size : int, optional
        Number of accelerators there; by default the number that it holds.

    Examples
    --------
    >>> from clustersim.scheduling import Migrate
    >>> Migrate(3, "h20")
    Migrate(job=3, pool='h20', cost_s=None, size=None)
    """

    job: int
    pool: str
    cost_s: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Resize:
    """Save a running job and start it again on its pool with more or fewer accelerators.

    While a job saves its state to grow, the further accelerators are held for it.

    Attributes
    ----------
    job : int
    size : int
        Number of accelerators, within the job's range.
    cost_s : float, optional
        See :class:`Preempt`.

    Examples
    --------
    >>> from clustersim.scheduling import Resize
    >>> Resize(3, size=16)
    Resize(job=3, size=16, cost_s=None)
    """

    job: int
    size: int
    cost_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """Ask for another pass at a time, even if nothing else happens until then.

    It holds until the next pass, whatever the reason of that pass.

    Attributes
    ----------
    at_s : float
        Simulated time, seconds; later than now.

    Examples
    --------
    >>> from clustersim.scheduling import Wake
    >>> Wake(at_s=360.0)
    Wake(at_s=360.0)
    """

    at_s: float


Decision: TypeAlias = Start | Preempt | Resize | Migrate | Wake
