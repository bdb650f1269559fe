"""The file of quotas: queues and cohorts with what they own, borrow and lend of each pool.

The terms are those of Kueue, see :mod:`clustersim.scheduling.kueue`; a flavor is a pool here. The
file also has limits and budgets of users, teams and others
(:mod:`clustersim.scheduling.limits_file`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from clustersim.errors import InputError, nearest_hint
from clustersim.files import FileModel, read_yaml, validate
from clustersim.scheduling.kueue import (
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    Queue,
    Quota,
    QuotaTree,
    ResourceGroup,
    VictimPolicy,
)
from clustersim.scheduling.limits_file import BudgetsFile, LimitsFile, limit_problems
from clustersim.units import Duration

__all__ = ["ALL_POOLS", "RESOURCE", "Quotas", "QuotasFile", "quotas_document", "read_quotas"]

RESOURCE = "accelerator"
"""The resource of which quotas are."""
ALL_POOLS = "all"
"""Stands for all pools together."""

_Amount = Annotated[float, Field(ge=0)]
_Name = Annotated[str, Field(min_length=1)]


class PoolQuota(FileModel):
    """What a queue or a cohort owns of a pool, in accelerators."""

    nominal: float = Field(ge=0, description="accelerators that the queue or cohort owns")
    borrow_limit: float | None = Field(
        None, ge=0, description="most that it uses beyond its own; by default no limit"
    )
    lend_limit: float | None = Field(
        None, ge=0, description="most of its own that others may use; by default no limit"
    )


_PoolQuotas = dict[_Name, _Amount | PoolQuota]


class Borrowing(FileModel):
    """Whom jobs may preempt in other queues if their own queue then borrows."""

    policy: Literal["never", "lower"] = Field("lower", description="lower: jobs of lower priority")
    max_priority: int | None = Field(None, description="only jobs of at most this priority")


class Preemption(FileModel):
    """Whom the jobs of a queue may preempt."""

    within_queue: VictimPolicy = Field(
        "never",
        description="jobs of the same queue: never, those of lower priority, also newer ones of "
        "equal priority, or any",
    )
    reclaim_within_cohort: VictimPolicy = Field(
        "never", description="jobs of other queues that borrow, to get the own quota back"
    )
    borrow_within_cohort: Borrowing | None = Field(
        None, description="jobs of other queues, also to borrow; by default none"
    )


class MinimumRun(FileModel):
    """How long a job runs before it may be stopped for others; used by the policy kai."""

    preempt: Duration | None = Field(None, description="by jobs of the same queue")
    reclaim: Duration | None = Field(None, description="by jobs of other queues")


class QueueQuotas(FileModel):
    """A queue: a team, a user or a virtual cluster."""

    quotas: _PoolQuotas = Field(
        default_factory=dict,
        description="by pool, or `all` for all pools together: the accelerators that the queue "
        "owns, or nominal, borrow_limit and lend_limit; its jobs use no other pools",
    )
    cohort: _Name | None = Field(None, description="the cohort from which it borrows")
    weight: _Amount = Field(1.0, description="weight in fair sharing")
    priority: int = Field(100, description="in kai: queues of higher priority are served first")
    minimum_run: MinimumRun = Field(
        default_factory=MinimumRun,
        description="in kai: how long its jobs run before others stop them",
    )
    strategy: Literal["best_effort", "strict"] = Field(
        "best_effort", description="whether jobs behind one that does not fit are tried, or wait"
    )
    preemption: Preemption = Field(
        default_factory=Preemption, description="whom its jobs may preempt"
    )
    when_can_borrow: Literal["stop", "next"] = Field(
        "stop", description="whether a job borrows of a pool, or tries its next pool first"
    )
    when_can_preempt: Literal["stop", "next"] = Field(
        "next", description="whether a job preempts on a pool, or tries its next pool first"
    )
    preempt_first: bool = Field(
        False, description="whether a pool on which it preempts is better than one that it borrows"
    )


class CohortQuotas(FileModel):
    """Queues and cohorts that lend each other what they do not use."""

    parent: _Name | None = Field(None, description="the cohort to which it belongs")
    weight: _Amount = Field(1.0, description="weight in fair sharing")
    quotas: _PoolQuotas = Field(default_factory=dict, description="what it has beyond its members")
    priority: int = Field(100, description="in kai: queues of higher priority are served first")
    minimum_run: MinimumRun = Field(
        default_factory=MinimumRun, description="in kai: that of its queues, if they have none"
    )


class QuotasFile(FileModel):
    """The quotas of all queues.

    Examples
    --------
    >>> file = QuotasFile.model_validate({"queues": {"vision": {"quotas": {"h200": 64}}}})
    >>> file.queues["vision"].strategy
    'best_effort'
    """

    by: _Name | None = Field(
        None,
        description="column of the jobs that names their queue; by default queue, vc, partition or "
        "user, the first that there is",
    )
    queues: dict[_Name, QueueQuotas] = Field(default_factory=dict, description="queues by name")
    cohorts: dict[_Name, CohortQuotas] = Field(
        default_factory=dict,
        description="cohorts by name; needed only for cohorts of cohorts, and for quotas of a "
        "cohort, but then all are listed",
    )
    default: _Name | None = Field(
        None, description="queue of the jobs that are in none of the queues; by default an error"
    )
    limits: LimitsFile = Field(
        default_factory=dict,
        description="by column of the jobs (user, team, vc, ...) and value, or `each` for all "
        "others: most accelerators at once, together or by pool",
    )
    budgets: BudgetsFile = Field(
        default_factory=dict,
        description="by column of the jobs and value, or `each`: accelerator-hours, once or for "
        "each period",
    )


@dataclass(frozen=True, slots=True)
class Quotas:
    """Queues and cohorts as a policy needs them.

    Attributes
    ----------
    queues : tuple of Queue
    cohorts : tuple of Cohort
    strict : frozenset of str
        Queues in which jobs behind one that does not fit wait.
    default : str or None
        Queue of the jobs that are in none of the queues.
    source : str
        The file, for messages.
    file : QuotasFile
        What the file says.

    Examples
    --------
    >>> quotas = read_quotas({"queues": {"a": {"quotas": {"h200": 8}, "strategy": "strict"}}})
    >>> quotas.strict, quotas.pools
    (frozenset({'a'}), ['h200'])
    """

    queues: tuple[Queue, ...]
    cohorts: tuple[Cohort, ...]
    strict: frozenset[str]
    default: str | None
    source: str
    file: QuotasFile = field(compare=False, repr=False)

    @property
    def pools(self) -> list[str]:
        """Names of the pools that have a quota."""
        owners: list[Queue | Cohort] = [*self.queues, *self.cohorts]
        groups = (group for owner in owners for group in owner.groups)
        return list(dict.fromkeys(flavor.flavor for group in groups for flavor in group))


def read_quotas(quotas: str | Path | Mapping[str, Any]) -> Quotas:
    """Read a file of quotas, or its content.

    Raises
    ------
    InputError
        If the file cannot be read, a field is unknown or has a value that is not allowed, a cohort
        or the default queue is not listed, cohorts form a circle, a queue without cohort has a
        limit, or some quotas are of pools and some of all pools together.

    Examples
    --------
    >>> read_quotas({"queues": {"a": {"cohrt": "lab"}}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: quotas: queues.a.cohrt: unknown key; did you mean 'cohort'...
    """
    given, source = (quotas, "quotas") if isinstance(quotas, Mapping) else (None, str(quotas))
    file = validate(QuotasFile, read_yaml(source) if given is None else given, source)
    if problems := list(_problems(file)):
        raise InputError(source, problems)
    read = Quotas(
        queues=tuple(_queue(name, each) for name, each in file.queues.items()),
        cohorts=tuple(
            Cohort(name, each.parent, each.weight, _groups(each.quotas))
            for name, each in file.cohorts.items()
        ),
        strict=frozenset(name for name, q in file.queues.items() if q.strategy == "strict"),
        default=file.default,
        source=source,
        file=file,
    )
    try:
        QuotaTree(read.queues, read.cohorts)
    except InputError as error:
        raise InputError(source, [f"{error.source}: {each}" for each in error.problems]) from None
    return read


def _problems(file: QuotasFile) -> Iterator[str]:
    if not (file.queues or file.limits or file.budgets):
        yield "has no queues, limits or budgets"
    yield from limit_problems(file.limits)
    if file.default is not None and file.default not in file.queues:
        yield f"default: there is no queue {file.default!r}; " + nearest_hint(
            file.default, file.queues
        )
    named = [(f"queues.{name}.cohort", each.cohort) for name, each in file.queues.items()]
    named += [(f"cohorts.{name}.parent", each.parent) for name, each in file.cohorts.items()]
    for where, cohort in named:
        if file.cohorts and cohort is not None and cohort not in file.cohorts:
            hint = nearest_hint(cohort, file.cohorts)
            yield f"{where}: {cohort!r} is not listed under cohorts; {hint}"
    for name, queue in file.queues.items():
        yield from _limits_without_cohort(f"queues.{name}", queue.cohort, queue.quotas)
    for name, own in file.cohorts.items():
        yield from _limits_without_cohort(f"cohorts.{name}", own.parent, own.quotas)
    owners: list[QueueQuotas | CohortQuotas] = [*file.queues.values(), *file.cohorts.values()]
    pools = {pool for owner in owners for pool in owner.quotas}
    if ALL_POOLS in pools and len(pools) > 1:
        others = ", ".join(sorted(pools - {ALL_POOLS}))
        yield (
            f"quotas: some are of `{ALL_POOLS}`, which stands for all pools together, and some of "
            f"{others}; only one of the two is possible"
        )


def _limits_without_cohort(where: str, above: str | None, quotas: _PoolQuotas) -> Iterator[str]:
    for pool, quota in quotas.items():
        for limit in ("borrow_limit", "lend_limit"):
            if above is None and getattr(quota, limit, None) is not None:
                kind = "cohort" if where.startswith("queues") else "parent"
                yield f"{where}.quotas.{pool}.{limit}: needs a {kind} to borrow from or lend to"


def _groups(quotas: _PoolQuotas) -> tuple[ResourceGroup, ...]:
    found = {
        pool: Quota(quota.nominal, quota.borrow_limit, quota.lend_limit)
        if isinstance(quota, PoolQuota)
        else Quota(quota)
        for pool, quota in quotas.items()
    }
    flavors = tuple(FlavorQuotas(pool, {RESOURCE: quota}) for pool, quota in found.items())
    return (flavors,) if flavors else ()


def _queue(name: str, given: QueueQuotas) -> Queue:
    rules, borrow = given.preemption, given.preemption.borrow_within_cohort
    return Queue(
        name,
        _groups(given.quotas),
        given.cohort,
        given.weight,
        rules.within_queue,
        rules.reclaim_within_cohort,
        None if borrow is None else BorrowWithinCohort(borrow.policy, borrow.max_priority),
        given.when_can_borrow,
        given.when_can_preempt,
        given.preempt_first,
    )


def quotas_document(
    queues: Sequence[Queue],
    cohorts: Sequence[Cohort] = (),
    *,
    strict: Collection[str] = (),
    default: str | None = None,
) -> dict[str, Any]:
    """Return the content of a file of quotas; `read_quotas` returns the same queues and cohorts.

    Parameters
    ----------
    queues : sequence of Queue
        With quotas of the resource ``accelerator``; others are not written.
    cohorts : sequence of Cohort
    strict : collection of str
        Queues in which jobs behind one that does not fit wait.
    default : str, optional
        Queue of the jobs that are in none of the queues.

    Examples
    --------
    >>> group = (FlavorQuotas("h200", {"accelerator": Quota(64, lend_limit=16)}),)
    >>> quotas_document([Queue("vision", (group,), "lab", reclaim_within_cohort="any")])
    {'queues': {'vision': {'cohort': 'lab', 'quotas': {'h200': {'nominal': 64, 'lend_limit': 16}}, \
'preemption': {'reclaim_within_cohort': 'any'}}}}
    """
    document: dict[str, Any] = {} if default is None else {"default": default}
    document["queues"] = {
        queue.name: _written_queue(queue, queue.name in strict) for queue in queues
    }
    if cohorts:
        named = [queue.cohort for queue in queues] + [cohort.parent for cohort in cohorts]
        listed = {cohort.name: cohort for cohort in cohorts}
        listed |= {name: Cohort(name) for name in named if name is not None and name not in listed}
        document["cohorts"] = {
            name: _own_fields(cohort, Cohort(name), ("parent", "weight")) | _written_groups(cohort)
            for name, cohort in listed.items()
        }
    return document


def _written_queue(queue: Queue, strict: bool) -> dict[str, Any]:
    plain = Queue(queue.name)
    rules = _own_fields(queue, plain, ("within_queue", "reclaim_within_cohort"))
    borrow = queue.borrow_within_cohort
    if borrow is not None:
        rules["borrow_within_cohort"] = {"policy": borrow.policy}
        if borrow.max_priority is not None:
            rules["borrow_within_cohort"]["max_priority"] = borrow.max_priority
    flavors = ("when_can_borrow", "when_can_preempt", "preempt_first")
    return {
        **_own_fields(queue, plain, ("cohort",)),
        **_written_groups(queue),
        **_own_fields(queue, plain, ("weight",)),
        **({"strategy": "strict"} if strict else {}),
        **({"preemption": rules} if rules else {}),
        **_own_fields(queue, plain, flavors),
    }


def _own_fields(owner: object, plain: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields that differ from their defaults."""
    return {
        name: getattr(owner, name) for name in names if getattr(owner, name) != getattr(plain, name)
    }


def _written_groups(owner: Queue | Cohort) -> dict[str, Any]:
    quotas = {
        flavor.flavor: _written_quota(flavor.quotas[RESOURCE])
        for group in owner.groups
        for flavor in group
        if RESOURCE in flavor.quotas
    }
    return {"quotas": quotas} if quotas else {}


def _written_quota(quota: Quota) -> Any:
    values = {each.name: getattr(quota, each.name) for each in fields(quota)}
    given = {
        name: int(value) if float(value).is_integer() else value
        for name, value in values.items()
        if value is not None
    }
    return given["nominal"] if len(given) == 1 else given
