"""Alternatives to what an answer assumes: policy, load, estimates, nodes out of service."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.scheduling import find_policy, options_of
from clustersim.units import format_percent
from clustersim.whatif.question import Question, System
from clustersim.workload import JobLog

__all__ = ["LOADED", "Alternative", "alternatives"]

LOADED = "the load"
"""What an answer depends on whose alternatives have another load."""
LOAD_STEP = 0.1
OUT_OF_SERVICE = 0.05
ESTIMATE_FACTOR = 2.0
"""Users' estimates are typically two or more times the run time (Mu'alem and Feitelson,
"Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with
backfilling", IEEE Transactions on Parallel and Distributed Systems 12, 2001)."""


@dataclass(frozen=True)
class Alternative:
    """A change of both systems that are compared, to see what their difference depends on.

    Attributes
    ----------
    key, what : str
        What the answer depends on, such as "the policy", and the alternative in words.
    changes : mapping of str to mapping
        Changes of the scenario by the key of the system.
    estimate_factor : float
        Factor on the run times that gives the estimates; 1 leaves the estimates as they are.
    """

    key: str
    what: str
    changes: Mapping[str, Mapping[str, Any]]
    estimate_factor: float = 1.0


def alternatives(question: Question) -> list[Alternative]:
    """Return the stated alternatives that apply to a question.

    They are the other one of the policies ``fcfs`` and ``easy``; 10 % more and less load than is
    asked about; exact run times for the policy or, if the log has no estimates, estimates of twice
    the run time; and 5 % of the nodes out of service.
    """
    found: list[Alternative] = []
    for alternative in (
        *_policy(question),
        *_load(question, 1.0 + LOAD_STEP),
        *_load(question, 1.0 - LOAD_STEP),
        *_estimates(question),
        *_fewer_nodes(question),
    ):
        changes = [alternative.changes.get(system.key) for system in question.compared]
        if any(changes) or alternative.estimate_factor != 1.0:
            found.append(alternative)
    return found


def _policy(question: Question) -> Iterator[Alternative]:
    of = {system.key: _of(system, "scheduler", "policy") for system in question.compared}
    if len(set(of.values())) == 1:  # a question about policies has its alternative already
        policy = next(iter(of.values()))
        other = "fcfs" if policy == "easy" else "easy"
        changes: dict[str, dict[str, Any]] = {key: {"scheduler.policy": other} for key in of}
        known = options_of(find_policy(other))
        for system in question.compared:
            given = _of(system, "scheduler", "options") or {}
            if lacking := {*given} - {*known}:
                kept = {name: value for name, value in given.items() if name not in lacking}
                changes[system.key]["scheduler.options"] = kept
        yield Alternative("the policy", f"{other} instead of {policy}", changes)


def _load(question: Question, factor: float) -> Iterator[Alternative]:
    word = "more" if factor > 1 else "less"
    changes: dict[str, dict[str, Any]] = {}
    for system in question.compared:
        scale = system.tree["workload"].get("scale")
        if isinstance(scale, Mapping):
            load = float(scale.get("load", 1.0)) * factor
            changes[system.key] = {"workload.scale": {**scale, "load": load}}
        elif scale is not None:
            changes[system.key] = {"workload.scale": float(scale) * factor}
        else:
            new = {"load": factor, "method": "superpose"}
            changes[system.key] = {"workload.scale": new}
    what = f"{format_percent(abs(factor - 1.0), 0)} {word} load than asked about"
    yield Alternative(LOADED, what, changes)


def _estimates(question: Question) -> Iterator[Alternative]:
    """Yield the alternative to what policies know of run times; none if nothing uses it."""
    uses = [_of(system, "scheduler", "estimates") or "user" for system in question.compared]
    policies = [_of(system, "scheduler", "policy") for system in question.compared]
    if set(policies) == {"fcfs"} or set(uses) == {"exact"}:
        return
    if _has_estimates(question.log):
        exact = {system.key: {"scheduler.estimates": "exact"} for system in question.compared}
        what = "exact run times instead of the users' estimates"
        yield Alternative("the run-time estimates", what, exact)
    else:
        yield Alternative(
            "the run-time estimates",
            f"estimates of {ESTIMATE_FACTOR:g} times the run time instead of exact ones",
            {system.key: {} for system in question.compared},
            ESTIMATE_FACTOR,
        )


def _has_estimates(log: JobLog) -> bool:
    """Return whether the estimates of a log differ from its run times."""
    if "estimate_s" not in log.jobs:
        return False
    estimates, runs = (log.jobs[name].to_numpy(np.float64) for name in ("estimate_s", "duration_s"))
    return bool(((estimates != runs) & ~np.isnan(estimates)).any())


def _fewer_nodes(question: Question) -> Iterator[Alternative]:
    changes = {system.key: _without_nodes(system) for system in question.compared}
    if all(changes.values()):
        share = format_percent(OUT_OF_SERVICE, 0)
        yield Alternative("the nodes in service", f"{share} of the nodes out of service", changes)


def _without_nodes(system: System) -> dict[str, Any]:
    """Return the changes that take 5 % of the nodes of each pool, at least one, out of service.

    A pool of one node keeps it, and so does a pool whose virtual clusters own all nodes and have
    one each.
    """
    changes: dict[str, Any] = {}
    for name, pool in system.tree["cluster"]["pools"].items():
        nodes = int(pool["nodes"])
        lost = max(1, math.floor(nodes * OUT_OF_SERVICE + 0.5))
        owned = pool.get("virtual_clusters") or {}
        have = _fewer_owned(nodes, owned, lost)
        if nodes < 2 or have is None:
            continue
        changes[f'cluster.pools."{name}".nodes'] = nodes - lost
        for vc, left in have.items():
            if left != int(owned[vc]["nodes"]):
                changes[f'cluster.pools."{name}".virtual_clusters."{vc}".nodes'] = left
    return changes


def _fewer_owned(nodes: int, owned: Mapping[str, Any], lost: int) -> dict[str, int] | None:
    """Return the nodes of virtual clusters in a pool that loses nodes; None if it cannot.

    Nodes that none of them owns go first; the others are taken from the virtual clusters with the
    most nodes, one by one, which keep one each.

    Examples
    --------
    >>> _fewer_owned(4, {"a": {"nodes": 1}, "b": {"nodes": 2}}, 2)
    {'a': 1, 'b': 1}
    >>> _fewer_owned(2, {"a": {"nodes": 1}, "b": {"nodes": 1}}, 1) is None
    True
    """
    have = {vc: int(spec["nodes"]) for vc, spec in owned.items() if spec.get("nodes")}
    while sum(have.values()) > nodes - lost:
        most = max(have, key=lambda vc: have[vc])
        if have[most] == 1:
            return None
        have[most] -= 1
    return have


def _of(system: System, section: str, name: str) -> Any:
    return (system.tree.get(section) or {}).get(name)
