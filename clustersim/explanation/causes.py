"""The causes of waiting, in the order in which they are tested."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CAUSES", "CAUSE_TEXTS", "N_LEVELS", "Cause", "Phase"]


class Cause(IntEnum):
    """Why a waiting job does not run at an instant.

    The first ones, up to ``PARTITION``, are nested: each says that the gang would fit if its own
    constraint and those before it did not hold. ``ACCELERATORS`` is the rest. ``DEPENDENCY`` to
    ``LIMIT`` hold a job outside its queue, whatever is free.
    """

    ORDER = 0
    """Its gang fits on free accelerators, but the policy does not start it."""
    QUOTA = 1
    """Its gang fits on free accelerators, but its queue has no quota left for them."""
    PLACEMENT = 2
    """Enough accelerators of a partition are free, but not on nodes as the gang needs them."""
    OUT_OF_SERVICE = 3
    """It would fit if nodes that failed or are under maintenance or repair were in service."""
    NOT_DELIVERED = 4
    """It would fit if nodes that come later, or have no power or space, were there."""
    SERVICE = 5
    """It would fit on nodes that inference services reserve."""
    PARTITION = 6
    """Its partitions are too full, but it would fit on another one of the same accelerator."""
    ACCELERATORS = 7
    """Other jobs hold too many accelerators."""
    PREEMPTED = 8
    """As ``ACCELERATORS``, of a job that the policy stopped to give its place to others."""
    SUSPENDED = 9
    """It is suspended and can only go on on its own nodes, which are not free."""
    DEPENDENCY = 10
    """Jobs for which it waits have not ended."""
    NOT_BEFORE = 11
    """Its earliest time has not come."""
    ARRAY_LIMIT = 12
    """As many tasks of its array as are allowed are in the queue or run."""
    LIMIT = 13
    """A limit of its user, team or another column, or the quota of its queue, is in use, or its
    budget is spent."""
    WINDOW = 14
    """Its gang fits on free accelerators, but not on nodes that stay open to it: a window that is
    planned ahead, or a hero job, needs them."""

    @property
    def label(self) -> str:
        """Name of the cause in tables."""
        return self.name.lower()


class Phase(IntEnum):
    """What a wait follows."""

    SUBMISSION = 0
    PREEMPTION = 1
    SUSPENSION = 2
    NODE_EVENT = 3
    NETWORK_FAULT = 4

    @property
    def label(self) -> str:
        """Name of the phase in tables."""
        return self.name.lower()


CAUSES = tuple(cause.label for cause in Cause)
"""Names of the causes."""
N_LEVELS = int(Cause.ACCELERATORS)
"""Number of causes that depend on the size of the gang: those before ``ACCELERATORS``."""

CAUSE_TEXTS = {
    "order": "its gang fitted, but the policy started other jobs or let it wait",
    "quota": "its gang fitted, but its queue had no quota left",
    "placement": "enough accelerators were free, but not on the nodes that it needs",
    "out_of_service": "nodes were out of service",
    "not_delivered": "nodes were not delivered yet, or had no power or space",
    "service": "inference services reserved nodes",
    "partition": "its partition was full, while another one of the same accelerator was not",
    "accelerators": "too few accelerators were free",
    "preempted": "it was preempted, and other jobs held its accelerators",
    "suspended": "it was suspended, and its own nodes were not free",
    "dependency": "jobs for which it waited had not ended",
    "not_before": "its earliest time had not come",
    "array_limit": "as many tasks of its array as are allowed were in the queue or ran",
    "limit": "a limit, quota or budget of its user, team or queue was in use or spent",
    "window": "its gang fitted, but only on nodes that windows or hero jobs need before its end",
}
"""Why a job waits, for texts."""
