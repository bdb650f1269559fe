"""Jobs of Azure Machine Learning: ``az ml job list -o json`` and the run history.

Accelerators are those of the size of the virtual machines (Microsoft, "GPU-accelerated virtual
machine sizes") times their number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["AZURE_JOB", "AZURE_RUN", "azure_job", "azure_run", "vm_accelerators"]

AZURE_JOB = frozenset({"creation_context", "status", "compute", "type"})
AZURE_RUN = frozenset({"runId", "createdUtc", "startTimeUtc", "endTimeUtc"})
_SIZES = (
    (r"nc(?:6|12|24)r?(?:s?_v[23])?|nc(?:6|12|24)rs_v[23]", {"6": 1, "12": 2, "24": 4}),
    (r"nc(?:4|8|16|64)as_t4_v3", {"4": 1, "8": 1, "16": 1, "64": 4}),
    (r"nc(?:24|48|96)ads_a100_v4", {"24": 1, "48": 2, "96": 4}),
    (r"nc(?:40|80)adi?s_h100_v5", {"40": 1, "80": 2}),
    (r"ncc40ads_h100_v5", {"40": 1}),
    (r"nd(?:6|12|24)r?s", {"6": 1, "12": 2, "24": 4}),
    (r"nd40r?s_v2", {"40": 8}),
    (r"nd96\w*", {"96": 8}),
    (r"nd128\w*", {"128": 4}),
    (r"nv(?:6|12|24)(?:_promo|s_v2)?", {"6": 1, "12": 2, "24": 4}),
    (r"nv(?:12|24|48)s_v3", {"12": 1, "24": 2, "48": 4}),
    (r"nv(?:36|72)adm?s_a10_v5", {"36": 1, "72": 2}),
)
"""Accelerators of sizes of virtual machines by the number in their name."""
_WITHOUT = re.compile(r"[abdefghlm][a-z]*\d")
"""Series of virtual machines without accelerators."""


def vm_accelerators(size: str) -> float | None:
    """Return the accelerators of a size of virtual machines; None if it is not known.

    Examples
    --------
    >>> [vm_accelerators(size) for size in ("Standard_ND96asr_v4", "Standard_NC12s_v3", "nv6ads")]
    [8.0, 2.0, None]
    >>> vm_accelerators("STANDARD_DS3_V2")
    0.0
    """
    plain = re.sub(r"^(?:standard|basic)_", "", size.strip().lower())
    for pattern, counts in _SIZES:
        if re.fullmatch(pattern, plain):
            number = re.search(r"\d+", plain)
            count = counts.get(number[0]) if number else None
            return None if count is None else float(count)
    return 0.0 if _WITHOUT.match(plain) else None


def azure_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a job in ``az ml job list``, whose properties tell when it ran."""
    resources, properties = job.get("resources") or {}, job.get("properties") or {}
    count = float(resources.get("instance_count") or 1)
    each = vm_accelerators(str(resources.get("instance_type") or ""))
    context = job.get("creation_context") or {}
    limits = job.get("limits") or {}
    return {
        "job_id": job.get("name"),
        "submit": context.get("created_at"),
        "start": _utc(properties.get("StartTimeUtc") or job.get("start_time_utc")),
        "end": _utc(properties.get("EndTimeUtc") or job.get("end_time_utc")),
        "n": None if each is None else each * count,
        "limit_s": limits.get("timeout"),
        "state": _state(str(job.get("status") or "")),
        "user": context.get("created_by"),
        "partition": str(job.get("compute") or "").rpartition("/")[2].rpartition(":")[2] or None,
        "account": job.get("experiment_name"),
    }


def azure_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run in the history of runs of a workspace."""
    compute = run.get("compute") or {}
    each = vm_accelerators(str(compute.get("vmSize") or compute.get("instanceType") or ""))
    count = float(compute.get("instanceCount") or 1)
    n = compute.get("gpuCount") if each is None else each * count
    created = run.get("createdBy") or {}
    return {
        "job_id": run.get("runId"),
        "submit": _utc(run.get("createdUtc")),
        "start": _utc(run.get("startTimeUtc")),
        "end": _utc(run.get("endTimeUtc")),
        "n": n,
        "state": _state(str(run.get("status") or "")),
        "user": created.get("userName"),
        "partition": compute.get("target") or run.get("target"),
    }


def _state(word: str) -> str | None:
    """Return a state of Azure as others call it."""
    if word in ("NotStarted", "Starting", "Provisioning", "Preparing", "Queued"):
        return "Pending"
    return "Running" if word in ("Running", "Finalizing", "CancelRequested") else word or None


def _utc(text: Any) -> str | None:
    """Return a time with its zone, which is UTC."""
    if not text:
        return None
    shown = str(text).strip()
    return shown if re.search(r"(?:Z|[+-]\d\d:?\d\d)$", shown) else f"{shown.replace(' ', 'T')}Z"
