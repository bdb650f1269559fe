"""The record of a Workload of Kueue, and when it was admitted if it was evicted before.

A Workload keeps the time of its last admission, the sum of the time in which it was admitted before
that (``accumulatedPastExecutionTimeSeconds``; v1beta1 writes ``Exexcution``), and the time at which
it was put back into its queue (the condition ``Requeued``). Of one eviction, the first admission
follows; of several, only the last one is known. Sources: ``SyncAdmittedCondition``,
``SetQuotaReservation`` and ``SetRequeuedCondition`` in ``pkg/workload`` of Kueue.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from clustersim.workload.job_runs import RUNS, runs_text
from clustersim.workload.readers.site_logs.devices import is_device
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import (
    Object,
    count_of,
    resource_devices,
    template_devices,
)
from clustersim.workload.readers.site_logs.programs.kubernetes_times import (
    condition,
    condition_time,
    instant,
    seconds_between,
)
from clustersim.workload.readers.site_logs.records import EXTRA, START_UNKNOWN

__all__ = [
    "ASSUMED_ONCE",
    "PAST_UNKNOWN",
    "is_deactivated",
    "workload",
    "workload_devices",
    "workload_flavor",
]

ASSUMED_ONCE = "assumed_once"
"""Column of records that is true if one eviction is assumed, since their number is not kept."""
PAST_UNKNOWN = "past_unknown"
"""Column of records that is true if a Workload was evicted and does not tell how long it ran."""
_RESET = "QuotaReserved"
"""Reason of a condition that has been reset: its time is that of the next admission."""
_RELEASED = ("Restarted", "Reactivated")
"""Ends of reasons of ``Requeued`` whose time is that of a later release, not of the eviction."""
_ROUNDED_S = 2.0
"""Seconds by which a start may seem to be before the submission, since times are whole seconds."""


def workload(item: Object) -> dict[str, Any]:
    """Return the record of a Workload."""
    spec, past = item.get("spec") or {}, _past_s(item)
    end, start = condition_time(item, "Finished"), _admitted(item)
    if end is None and is_deactivated(item) and start is None and past:
        end = condition_time(item, "Evicted")  # deactivated for good
    found = {
        "start": start,
        "end": end,
        "n": workload_devices(item),
        "limit_s": spec.get("maximumExecutionTimeSeconds"),
        "state": None if end else "Running" if start else "Pending",
    }
    if end is None or not past:
        lost = past is None and start is not None and condition(item, "Evicted", "") is not None
        return {**found, "more_s": past, PAST_UNKNOWN: lost}
    if start is None:  # a workload that has finished may have lost its admission
        return {**found, "run_s": past, **_lost_admission(item, end, past)}
    return {**found, **_readmitted(item, start, end, past)}


def workload_devices(item: Object, *, now: bool = False) -> float:
    """Return the accelerators of a Workload: those with which it was admitted, else those it asks.

    Fewer pods than it asks for are admitted with partial admission (``minCount``). What a pod set
    uses may be a transformed resource; then its pods tell the accelerators.

    Parameters
    ----------
    item : mapping
    now : bool
        Whether pods that do not need their accelerators any more (``reclaimablePods``) are left
        out.

    Examples
    --------
    >>> pod = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": 8}}}]}}
    >>> asked = {"spec": {"podSets": [{"name": "main", "count": 4, "template": pod}]}}
    >>> admission = {"podSetAssignments": [{"name": "main", "count": 3}]}
    >>> workload_devices(asked), workload_devices({**asked, "status": {"admission": admission}})
    (32.0, 24.0)
    """
    status = item.get("status") or {}
    asked = (item.get("spec") or {}).get("podSets") or []
    by_name = {str(one.get("name")): one for one in asked}
    assigned = (status.get("admission") or {}).get("podSetAssignments")
    over = {
        str(one.get("name")): count_of(one.get("count"), 0)
        for one in (status.get("reclaimablePods") or [] if now else [])
    }
    total = 0.0
    for one in assigned or asked:
        name = str(one.get("name"))
        pod_set = by_name.get(name, {}) if assigned else one
        count = count_of(one.get("count"), count_of(pod_set.get("count")))
        n = resource_devices(one.get("resourceUsage")) or count * template_devices(pod_set)
        total += n * (1.0 - min(over.get(name, 0), count) / count) if count else 0.0
    return total


def workload_flavor(item: Object) -> str:
    """Return the resource flavor of the accelerators of a Workload that was admitted.

    It is empty if there is none, or if pod sets have different ones.

    Examples
    --------
    >>> one = {"flavors": {"cpu": "default", "nvidia.com/gpu": "h100"}}
    >>> workload_flavor({"status": {"admission": {"podSetAssignments": [one]}}})
    'h100'
    """
    admission = (item.get("status") or {}).get("admission") or {}
    found = {
        str(flavor)
        for one in admission.get("podSetAssignments") or []
        for resource, flavor in (one.get("flavors") or {}).items()
        if is_device(str(resource))
    }
    return found.pop() if len(found) == 1 else ""


def is_deactivated(item: Object) -> bool:
    """Return whether a Workload was deactivated, so that Kueue does not admit it."""
    return (item.get("spec") or {}).get("active") is False


def _past_s(item: Object) -> float | None:
    """Return the time in which a Workload was admitted before its last admission."""
    status = item.get("status") or {}
    past = status.get("accumulatedPastExexcutionTimeSeconds")  # as v1beta1 spells it
    past = status.get("accumulatedPastExecutionTimeSeconds", past)
    return None if past is None else float(past)


def _admitted(item: Object) -> str | None:
    """Return when a workload was admitted: its quota alone counts where nothing else is checked."""
    admitted = condition_time(item, "Admitted")
    is_tracked = condition(item, "Admitted", "") is not None
    if admitted or is_tracked or (item.get("status") or {}).get("admissionChecks"):
        return admitted
    return condition_time(item, "QuotaReserved")


class _Evictions(NamedTuple):
    """How often a Workload was evicted at least, and whether that is the exact number."""

    number: int
    is_exact: bool


def _evictions(item: Object) -> _Evictions:
    """Return how often a Workload was evicted.

    ``schedulingStats`` counts all evictions (Kueue 0.12), ``requeueState`` those that are followed
    by a back-off.
    """
    status = item.get("status") or {}
    counted = (status.get("schedulingStats") or {}).get("evictions")
    if counted:
        return _Evictions(sum(count_of(one.get("count")) for one in counted), True)
    after_back_off = count_of((status.get("requeueState") or {}).get("count"), 0)
    requeued = condition(item, "Requeued", "") or {}
    others = 1 if after_back_off and requeued.get("reason") == "Preempted" else 0
    return _Evictions(max(1, after_back_off + others), False)


def _readmitted(item: Object, start: str, end: str, past_s: float) -> dict[str, Any]:
    """Return the times of a Workload that ended after a further admission.

    The end of the first admission is the time of ``Requeued``: Kueue sets it when the pods of an
    evicted job have stopped (after a back-off, when that is over).
    """
    unknown = {"more_s": past_s, START_UNKNOWN: True}
    evictions, stop = _evictions(item), _eviction_time(item)
    if evictions.number > 1 or stop is None:
        return unknown
    try:
        first = instant(stop) - timedelta(seconds=past_s)
        waited_s = (first - instant(str(item["metadata"].get("creationTimestamp")))).total_seconds()
        begin_s = (instant(start) - first).total_seconds()
        last_s = seconds_between(start, end)
    except (ValueError, TypeError):  # no time, or one without a zone
        return unknown
    if waited_s < -_ROUNDED_S or begin_s < past_s or last_s < 0:
        return unknown
    return {
        "start": first.isoformat(),
        "run_s": past_s + last_s,
        EXTRA + RUNS: runs_text([0.0, begin_s], [past_s, begin_s + last_s]),
        ASSUMED_ONCE: not evictions.is_exact,
    }


def _eviction_time(item: Object) -> str | None:
    """Return when a Workload that was admitted again had been evicted; None if it is not known."""
    for kind in ("Requeued", "Evicted", "Preempted"):
        found = condition(item, kind, "")
        reason = str((found or {}).get("reason"))
        if kind == "Requeued" and reason.endswith(_RELEASED):
            return None
        if found and reason != _RESET and found.get("lastTransitionTime"):
            return str(found["lastTransitionTime"])
    return None


def _lost_admission(item: Object, end: str, past_s: float) -> dict[str, Any]:
    """Return the start of a Workload without an admission: that of its run, if it had only one.

    The run ended when the admission was lost, or with the eviction; else at the end.
    """
    if _evictions(item).number > 1:
        return {START_UNKNOWN: True}
    lost = condition_time(item, "Admitted", status="False")
    stop = lost or condition_time(item, "Evicted", "Preempted") or end
    try:
        return {"start": (instant(stop) - timedelta(seconds=past_s)).isoformat()}
    except ValueError:
        return {}
