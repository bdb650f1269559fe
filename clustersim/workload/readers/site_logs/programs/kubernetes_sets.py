"""Objects that wrap others, or serve without an end: AppWrapper and LeaderWorkerSet.

Fields: ``workload.codeflare.dev`` v1beta2 (components) and v1beta1 (generic items) of AppWrapper,
``leaderworkerset.x-k8s.io`` v1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clustersim.workload.readers.site_logs.programs.kubernetes_pods import (
    Object,
    count_of,
    pod_devices,
    resource_devices,
    template_devices,
)

__all__ = ["app_wrapper", "leader_worker_set"]

Condition = Callable[..., str | None]


def app_wrapper(
    item: Object, when: Condition, inner: Callable[[Object], float | None]
) -> dict[str, Any]:
    """Return the record of an AppWrapper.

    Parameters
    ----------
    item : mapping
    when : callable
        Returns the time of the first condition of some types that has a status.
    inner : callable
        Returns the accelerators of an object of another kind, None if they are not known.
    """
    spec, status = item.get("spec") or {}, item.get("status") or {}
    if "components" not in spec:
        return _first_version(spec, status)
    counts = [_component(one, inner) for one in spec["components"] or []]
    phase = str(status.get("phase") or "")
    over = phase in ("Succeeded", "Failed")
    ends = when(item, "QuotaReserved", status="False") or when(
        item, "ResourcesDeployed", status="False"
    )
    start = when(item, "PodsReady") or when(item, "ResourcesDeployed")
    waits = bool(spec.get("suspend")) or phase in ("", "Suspended", "Resuming")
    return {
        "start": None if waits else start,
        "end": ends if over else None,
        "n": None if None in counts else sum(count for count in counts if count is not None),
        "state": None if over else "Pending" if waits else "Running",
    }


def _component(
    component: Mapping[str, Any], inner: Callable[[Object], float | None]
) -> float | None:
    """Return the accelerators of a component: of its sets of pods, else by its kind."""
    sets = component.get("podSets") or []
    if not sets:
        return inner(component.get("template") or {})
    total = 0.0
    for one in sets:
        at: Any = component
        for part in str(one.get("path") or "").replace("[", ".").replace("]", "").split("."):
            if not part:
                continue
            at = at[int(part)] if isinstance(at, list) else (at or {}).get(part)
        total += count_of(one.get("replicas")) * pod_devices((at or {}).get("spec"))
    return total


def _first_version(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of an AppWrapper of version v1beta1, whose items tell their pods."""
    total = 0.0
    for group in (spec.get("resources") or {}).get("GenericItems") or []:
        for pods in group.get("custompodresources") or []:
            each = {**(pods.get("limits") or {}), **(pods.get("requests") or {})}
            total += count_of(pods.get("replicas")) * resource_devices(each)
    times = {
        str(one.get("type")): one.get("lastTransitionMicroTime") or one.get("lastUpdateMicroTime")
        for one in status.get("conditions") or []
    }
    state = str(status.get("state") or "Pending")
    over = state in ("Completed", "Failed")
    return {
        "start": status.get("controllerfirstdispatchtimestamp") or times.get("Dispatched"),
        "end": times.get(state) if over else None,
        "n": total,
        "state": None if over else "Running" if state.startswith("Running") else "Pending",
    }


def leader_worker_set(item: Object, when: Condition) -> dict[str, Any]:
    """Return the record of a LeaderWorkerSet: groups of a leader and workers, which do not end."""
    spec = item.get("spec") or {}
    template = spec.get("leaderWorkerTemplate") or {}
    worker = template_devices({"template": template.get("workerTemplate")})
    leader = template.get("leaderTemplate")
    first = worker if leader is None else template_devices({"template": leader})
    group = first + (count_of(template.get("size")) - 1) * worker
    start = when(item, "Available")
    return {
        "start": start,
        "end": None,
        "n": count_of(spec.get("replicas")) * group,
        "state": "Running" if start else "Pending",
    }
