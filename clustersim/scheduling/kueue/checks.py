"""Checks of queues and cohorts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import get_args

from clustersim.errors import InputError, shown
from clustersim.scheduling.kueue.state import Cohort, Queue, VictimPolicy

__all__ = ["check_quotas"]

_ALLOWED = {
    "within_queue": get_args(VictimPolicy),
    "reclaim_within_cohort": get_args(VictimPolicy),
    "when_can_borrow": ("stop", "next"),
    "when_can_preempt": ("stop", "next"),
}


def check_quotas(queues: Sequence[Queue], cohorts: Sequence[Cohort]) -> None:
    """Check names, options, weights and quotas.

    Raises
    ------
    InputError
        If a name is used twice, an option is unknown, a number is negative, or a resource is in
        two groups of a queue.

    Examples
    --------
    >>> check_quotas([Queue("a", within_queue="always")], [])
    Traceback (most recent call last):
    ...
    clustersim.errors.InputError: quotas: queues.a.within_queue: 'always' is not allowed; allowed \
are never, lower, lower_or_newer_equal, any
    """
    problems = list(chain(_of("queues", queues), _of("cohorts", cohorts)))
    for queue in queues:
        problems += _options(queue)
        groups = [{r for flavor in group for r in flavor.quotas} for group in queue.groups]
        problems += [
            f"queues.{queue.name}.groups: the resource {resource!r} is in several groups; it must "
            "be in one"
            for resource in sorted(set().union(*groups))
            if sum(resource in group for group in groups) > 1
        ]
    if problems:
        raise InputError("quotas", problems)


def _options(queue: Queue) -> Iterator[str]:
    for name, allowed in _ALLOWED.items():
        value = getattr(queue, name)
        if value not in allowed:
            yield _not_allowed(f"queues.{queue.name}.{name}", value, allowed)
    borrow = queue.borrow_within_cohort
    if borrow is not None and borrow.policy not in ("never", "lower"):
        where = f"queues.{queue.name}.borrow_within_cohort.policy"
        yield _not_allowed(where, borrow.policy, ("never", "lower"))


def _not_allowed(where: str, value: object, allowed: Sequence[str]) -> str:
    return f"{where}: {shown(value)} is not allowed; allowed are {', '.join(allowed)}"


def _of(kind: str, owners: Sequence[Queue] | Sequence[Cohort]) -> Iterator[str]:
    """Yield problems of names and numbers."""
    seen: set[str] = set()
    for owner in owners:
        if owner.name in seen:
            yield f"{kind}: the name {owner.name!r} is used twice; it must be unique"
        seen.add(owner.name)
        numbers = [("weight", owner.weight)]
        for flavor in (flavor for group in owner.groups for flavor in group):
            for resource, quota in flavor.quotas.items():
                for name in ("nominal", "borrow_limit", "lend_limit"):
                    where = f"groups.{flavor.flavor}.{resource}.{name}"
                    numbers.append((where, getattr(quota, name) or 0))
        for where, number in numbers:
            if not number >= 0:
                yield f"{kind}.{owner.name}.{where}: is {number}; it must be at least 0"
