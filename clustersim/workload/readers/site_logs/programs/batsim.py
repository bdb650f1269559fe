"""Workloads of Batsim (https://batsim.readthedocs.io/en/latest/input-workload.html)."""

from __future__ import annotations

from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_batsim", "read_batsim"]


def is_batsim(content: Content) -> bool:
    """Return whether the file is a workload of Batsim."""
    return any(
        isinstance(document, dict) and {"jobs", "profiles"} <= set(document)
        for document in content.documents
    )


def read_batsim(content: Content) -> Records:
    """Read a workload of Batsim; the run time is that of a profile of type ``delay``."""
    rows = []
    for document in content.documents:
        if not (isinstance(document, dict) and {"jobs", "profiles"} <= set(document)):
            continue
        profiles = document["profiles"]
        for job in document["jobs"]:
            limit = job.get("walltime")
            rows.append(
                {
                    "job_id": str(job.get("id")),
                    "submit": job.get("subtime"),
                    "run_s": _delay(profiles, job.get("profile"), 0),
                    "limit_s": limit if limit is not None and float(limit) > 0 else None,
                    "n": job.get("res"),
                    "state": "Completed",
                    "user": job.get("user") or job.get("user_id"),
                }
            )
    return records_of(
        rows,
        "batsim",
        advice="only profiles of type delay tell a run time",
    )


def _delay(profiles: dict[str, Any], name: Any, depth: int) -> float | None:
    """Return the seconds of a profile; None if its length depends on the platform."""
    profile = profiles.get(name) or profiles.get(str(name))
    if not isinstance(profile, dict) or depth > 20:
        return None
    kind = profile.get("type")
    if kind == "delay":
        return float(profile["delay"])
    if kind in ("composed", "sequence", "sequential_composition"):
        parts = [_delay(profiles, part, depth + 1) for part in profile.get("seq", [])]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts):
            return sum(known) * float(profile.get("repeat") or profile.get("nb") or 1)
    return None
