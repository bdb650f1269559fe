"""Objects of `clustersim.scheduling.kueue` from the cases of Kueue.

Quantities are in thousandths, as Kueue counts CPU, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.scheduling.kueue import (
    Amounts,
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    FlavorTraits,
    PodSet,
    Queue,
    Quota,
    Requirement,
    ResourceGroup,
    RunningJob,
    Snapshot,
    Switches,
    Taint,
    Toleration,
    WaitingJob,
)

__all__ = ["amounts", "podsets", "snapshot", "switches", "units", "waiting"]


def units(quantity: float) -> int:
    """Return a quantity in thousandths."""
    return round(quantity * 1000)


def amounts(by_flavor: Mapping[str, Mapping[str, float]]) -> Amounts:
    """Return amounts by flavor and resource."""
    return {(f, r): units(q) for f, of in by_flavor.items() for r, q in of.items()}


def snapshot(case: dict[str, Any]) -> Snapshot:
    """Return the queues and running jobs of a case."""
    return Snapshot(
        [queue(q) for q in case["queues"]],
        [
            Cohort(c["name"], c["parent"], c.get("weight", 1), groups(c["groups"]))
            for c in case["cohorts"]
        ],
        [running(job) for job in case.get("running", ())],
        used={name: amounts(used) for name, used in case.get("used", {}).items()},
        flavors=dict(traits(case)),
    )


def groups(listed: list[list[dict[str, Any]]]) -> tuple[ResourceGroup, ...]:
    return tuple(
        tuple(
            FlavorQuotas(
                f["flavor"],
                {
                    resource: Quota(**{name: units(q) for name, q in quota.items()})
                    for resource, quota in f["quota"].items()
                },
            )
            for f in group
        )
        for group in listed
    )


def queue(described: dict[str, Any]) -> Queue:
    preemption, fungibility = described["preemption"], described["fungibility"]
    while_borrowing = preemption["borrow_within_cohort"]
    return Queue(
        described["name"],
        groups(described["groups"]),
        described["cohort"],
        described["weight"],
        preemption["within_queue"],
        preemption["reclaim_within_cohort"],
        BorrowWithinCohort(**while_borrowing) if while_borrowing else None,
        fungibility["when_can_borrow"],
        fungibility["when_can_preempt"],
        fungibility["preference"] == "preempt_first",
    )


def running(job: dict[str, Any]) -> RunningJob:
    return RunningJob(
        job["id"],
        job["queue"] or "",
        amounts(job.get("usage", {})),
        job["priority"],
        job["start_t"],
        job.get("created_t", 0.0),
        job.get("already_evicted", False),
        job.get("tie_key", ""),
    )


def podsets(listed: list[dict[str, Any]]) -> tuple[PodSet, ...]:
    """Return pod sets."""
    return tuple(
        PodSet(
            p.get("name", f"podset {i}"),
            p["count"],
            {resource: units(q) for resource, q in p.get("per_pod", {}).items()},
            p.get("min_count"),
            tuple(toleration(t) for t in p.get("tolerations") or ()),
            node_selector(p),
            affinity(p),
        )
        for i, p in enumerate(listed)
    )


def waiting(job: dict[str, Any]) -> WaitingJob:
    """Return a waiting job."""
    return WaitingJob(
        job["id"], job["queue"], podsets(job["podsets"]), job["priority"], job["created_t"]
    )


def switches(case: dict[str, Any]) -> Switches:
    """Return the options of a case."""
    given = dict(case["switches"])
    if strategies := given.pop("strategies", None):
        given["strategies"] = tuple(strategies)
    return Switches(**given)


def traits(case: dict[str, Any]) -> Iterator[tuple[str, FlavorTraits]]:
    """Yield the labels and taints of flavors."""
    described: dict[str, Any] = dict(case.get("flavor_attributes") or {})
    for name, taints in (case.get("flavor_taints") or {}).items():
        described.setdefault(name, {})["taint"] = taints
    for name, of_it in described.items():
        taints = of_it.get("taints", of_it.get("taint")) or []
        taints = [taints] if isinstance(taints, dict) else taints
        yield (
            name,
            FlavorTraits(
                of_it.get("labels") or {},
                tuple(Taint(**constants(taint)) for taint in taints),
                tuple(toleration(t) for t in of_it.get("tolerations") or ()),
            ),
        )


PREFIXES = ("TolerationOp", "TaintEffect", "NodeSelectorOp")


def constants(described: dict[str, Any]) -> dict[str, Any]:
    """Return fields with names in lower case, and constants without the prefix of their type."""
    found = {}
    for name, value in described.items():
        for prefix in PREFIXES:
            if isinstance(value, str):
                value = value.rsplit(".", 1)[-1].removeprefix(prefix)
        found[name.lower()] = value
    return found


def toleration(described: dict[str, Any]) -> Toleration:
    return Toleration(**constants(described))


def node_selector(podset: dict[str, Any]) -> dict[str, str]:
    """Return the labels that a pod set wants, under whichever name of the field."""
    selectors = (value for key, value in podset.items() if "selector" in key.lower() and value)
    return {label: wanted for selector in selectors for label, wanted in selector.items()}


def affinity(podset: dict[str, Any]) -> tuple[tuple[Requirement, ...], ...]:
    """Return the alternatives of the required node affinity, in whatever form it is nested."""
    nested = [value for key, value in podset.items() if "affinity" in key.lower()]
    return tuple(_terms(nested))


def _terms(nested: Any) -> Iterator[tuple[Requirement, ...]]:
    if isinstance(nested, list):
        for item in nested:
            yield from _terms(item)
    elif isinstance(nested, dict):
        fields = constants(nested)
        if "matchexpressions" in fields or "match_expressions" in fields:
            listed = fields.get("matchexpressions", fields.get("match_expressions")) or []
            yield tuple(_requirement(constants(item)) for item in listed)
        elif "key" in fields:
            yield (_requirement(fields),)
        else:
            for name, value in nested.items():
                if not name.lower().startswith("preferred"):
                    yield from _terms(value)


def _requirement(fields: dict[str, Any]) -> Requirement:
    values = tuple(fields.get("values") or ())
    return Requirement(fields["key"], fields.get("operator", "In"), values)
