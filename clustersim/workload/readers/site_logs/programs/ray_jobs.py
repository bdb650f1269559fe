"""Ray's own list of jobs, which tells no accelerators and is refused."""

from __future__ import annotations

from clustersim.errors import InputError
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.records import Records

__all__ = ["is_ray_list", "read_ray_list"]

_WHY = (
    "is Ray's list of jobs, which does not tell the number of GPUs of a job, nor when it was "
    "submitted; use `kubectl get rayjobs -A -o json` (KubeRay), the log of the scheduler under "
    "Ray, or a CSV with the columns job_id, submit, start, end and gpus"
)


def is_ray_list(content: Content) -> bool:
    """Return whether the file is what Ray's Jobs API or ``ray job list`` gives."""
    for document in content.documents:
        entries = document if isinstance(document, list) else [document]
        if isinstance(document, dict) and isinstance(document.get("result"), dict):
            entries = document["result"].get("result") or []
        if entries and isinstance(entries[0], dict):
            return {"entrypoint", "runtime_env"} <= set(entries[0]) and "spec" not in entries[0]
    return any("JobDetails(" in line or "JobInfo(" in line for line in content.head[:50])


def read_ray_list(content: Content) -> Records:
    """Refuse the file.

    Raises
    ------
    InputError
        Always; the message says what to use instead.
    """
    raise InputError(content.path, _WHY)
