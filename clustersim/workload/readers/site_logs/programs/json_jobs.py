"""Jobs in the JSON of Flux, OAR, Grid Engine, SageMaker, Vertex AI and Azure, by their shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.programs.azure_ml import (
    AZURE_JOB,
    AZURE_RUN,
    azure_job,
    azure_run,
)
from clustersim.workload.readers.site_logs.programs.grid_engine import job_row
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_json_jobs", "read_json_jobs", "row_of_json_job"]

Job = Mapping[str, Any]


class _Shape(NamedTuple):
    """Keys that jobs of a program have, and the function that returns the record of one."""

    format: str
    keys: frozenset[str]
    row: Callable[[Job], dict[str, Any]]


def is_json_jobs(content: Content) -> bool:
    """Return whether the file has jobs of one of the known shapes."""
    return _shape(content) is not None


def _shape(content: Content) -> _Shape | None:
    for document in content.documents[:3]:
        for job in list(_jobs(document))[:3]:
            for shape in _SHAPES:
                if shape.keys <= set(job):
                    return shape
    return None


def _jobs(document: Any) -> Iterator[Job]:
    """Yield the jobs of a list, of an object with a list, of an object by number, or one job."""
    if isinstance(document, list):
        yield from (one for one in document if isinstance(one, Mapping))
    elif isinstance(document, Mapping):
        inner = next((document[key] for key in ("jobs", "value", "Jobs") if key in document), None)
        if isinstance(inner, list):
            yield from (one for one in inner if isinstance(one, Mapping))
        elif document and all(isinstance(one, Mapping) for one in document.values()):
            yield from document.values()
        else:
            yield document


def read_json_jobs(content: Content) -> Records:
    """Read the jobs of the shape that the file has."""
    shape = _shape(content)
    assert shape is not None
    rows: list[dict[str, Any]] = []
    for document in content.documents:
        for job in _jobs(document):
            fits = shape.keys <= set(job)
            rows.append(shape.row(job) if fits else {"reason": "noise"})
    advice = _AZURE if shape.row is azure_job and not any(row.get("start") for row in rows) else ""
    records = records_of(rows, shape.format, advice=advice)
    records.lacks = bool(advice)
    return records


_AZURE = (
    "az ml job list does not tell when these jobs ran (properties StartTimeUtc and EndTimeUtc); "
    "export the history of runs, which has createdUtc, startTimeUtc, endTimeUtc and compute (`az "
    "rest --method post` to history/v1.0/.../runs/query)"
)


def row_of_json_job(job: Job) -> dict[str, Any] | None:
    """Return the record of one job; None if it has no known shape."""
    shape = next((shape for shape in _SHAPES if shape.keys <= set(job)), None)
    return None if shape is None else shape.row(job)


def _flux(job: Job) -> dict[str, Any]:
    """Return the record of a job in ``flux jobs --json``."""
    over = job.get("state") == "INACTIVE"
    started = job.get("t_run") or None
    return {
        "job_id": str(job.get("id")),
        "submit": job.get("t_submit"),
        "start": started,
        "end": (job.get("t_cleanup") or job.get("t_inactive")) if over and started else None,
        "n": job.get("ngpus") or 0,
        "limit_s": job.get("duration") or None,
        "state": None if over else "Running" if job.get("state") == "RUN" else "Pending",
        "user": job.get("username"),
        "partition": job.get("queue") or None,
        "account": job.get("bank") or job.get("project") or None,
        "run_s": job.get("runtime") if over and started else None,
    }


_OAR_STATES = {
    **dict.fromkeys(("Waiting", "Hold", "toLaunch", "toAckReservation", "Launching"), "Pending"),
    **dict.fromkeys(("Running", "Suspended", "Resuming", "Finishing"), "Running"),
    **dict.fromkeys(("Terminated",), "Completed"),
    **dict.fromkeys(("Error", "toError"), "Failed"),
}


def _oar(job: Job) -> dict[str, Any]:
    """Return the record of a job in ``oarstat -J``."""
    state = _OAR_STATES.get(str(job.get("state")))
    asked = str(job.get("wanted_resources") or "")
    walltime = re.search(r"walltime=(\d+:\d+:\d+)", asked)
    return {
        "job_id": str(job.get("Job_Id") or job.get("id")),
        "submit": job.get("submissionTime") or None,
        "start": job.get("startTime") or None,
        "end": job.get("stopTime") or None,
        "n": _oar_gpus(asked),
        "limit_s": duration_s(walltime[1]) if walltime else None,
        "state": state,
        "user": job.get("owner"),
        "partition": job.get("queue"),
        "account": job.get("project"),
    }


def _oar_gpus(asked: str) -> float | None:
    """Return the GPUs that ``/host=2/gpu=4`` asks for; None if hosts or cores are asked for.

    Examples
    --------
    >>> _oar_gpus("-l {type = 'default'}/host=2/gpu=4,walltime=2:0:0"), _oar_gpus("/nodes=1")
    (8.0, None)
    """
    total, found = 0.0, False
    for group in asked.split("+"):
        levels = dict(re.findall(r"/(\w+)=(\d+)", group))
        gpus = levels.get("gpu") or levels.get("gpudevice") or levels.get("gpunum")
        if gpus is not None:
            found = True
            total += float(gpus) * float(levels.get("host") or levels.get("nodes") or 1)
    return total if found else None


def _open_cluster_scheduler(job: Job) -> dict[str, Any]:
    """Return the record of a line of the accounting file of Open Cluster Scheduler."""
    rusage = (job.get("usage") or {}).get("rusage") or {}
    values = {key: str(value) for key, value in job.items() if not isinstance(value, Mapping)}
    values["jobnumber"] = str(job["job_number"])
    values["taskid"] = str(job.get("task_number") or "undefined")
    values["qsub_time"] = str(job.get("submission_time") or "")
    if "ru_wallclock" in rusage:
        values["ru_wallclock"] = str(rusage["ru_wallclock"])
    return job_row(values, {})


_EIGHT, _LARGE = {"24xlarge": 8}, {"48xlarge": 8}
_GRAPHICS = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8, "": 1}
_INSTANCES: dict[str, dict[str, int]] = {
    "p2": {"xlarge": 1, "8xlarge": 8, "16xlarge": 16},
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    **dict.fromkeys(("p3dn", "p4d", "p4de"), _EIGHT),
    "p5": {"4xlarge": 1, "48xlarge": 8},
    **dict.fromkeys(("p5e", "p5en", "p6-b200", "p6-b300"), _LARGE),
    "g4dn": {"12xlarge": 4, "metal": 8, "": 1},
    **dict.fromkeys(("g5", "g6", "g6e"), _GRAPHICS),
    "trn1": {"2xlarge": 1, "32xlarge": 16},
    "trn1n": {"32xlarge": 16},
    "trn2": {"3xlarge": 1, "48xlarge": 16},
}
"""Accelerators of instances of AWS (https://aws.amazon.com/ec2/instance-types/accelerated-computing/)
by family and size; an empty size stands for all others of the family."""
_WITHOUT = re.compile(r"[cmrtxz]\d|i\d|d\d")
"""Families of instances without accelerators."""


def _instance(kind: str) -> float | None:
    """Return the accelerators of an instance type; None if it is not known.

    Examples
    --------
    >>> _instance("ml.p4d.24xlarge"), _instance("ml.g5.xlarge"), _instance("ml.m5.large")
    (8.0, 1.0, 0.0)
    """
    family, _, size = kind.removeprefix("ml.").partition(".")
    sizes = _INSTANCES.get(family)
    if sizes is None:
        return 0.0 if _WITHOUT.match(family) else None
    count = sizes.get(size, sizes.get(""))
    return None if count is None else float(count)


def _sage_maker(job: Job) -> dict[str, Any]:
    """Return the record of what ``aws sagemaker describe-training-job`` prints."""
    resources = job["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [resources]
    counts = [
        (_instance(str(one.get("InstanceType"))), int(one.get("InstanceCount") or 1))
        for one in groups
    ]
    known = [each * count for each, count in counts if each is not None]
    status = str(job.get("TrainingJobStatus"))
    return {
        "job_id": job.get("TrainingJobName"),
        "submit": job.get("CreationTime"),
        "start": job.get("TrainingStartTime"),
        "end": job.get("TrainingEndTime"),
        "n": sum(known) if len(known) == len(counts) else None,
        "limit_s": (job.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds"),
        "state": "Running" if status in ("InProgress", "Stopping") else status,
    }


def _vertex(job: Job) -> dict[str, Any]:
    """Return the record of a job in ``gcloud ai custom-jobs list --format=json``."""
    workers = (job.get("jobSpec") or {}).get("workerPoolSpecs") or []
    n = 0.0
    for pool in workers:
        each = (pool.get("machineSpec") or {}).get("acceleratorCount") or 0
        n += float(each) * float(pool.get("replicaCount") or 1)
    state = str(job.get("state") or "").removeprefix("JOB_STATE_")
    return {
        "job_id": str(job.get("name")).rpartition("/")[2],
        "submit": job.get("createTime"),
        "start": job.get("startTime"),
        "end": job.get("endTime"),
        "n": n,
        "state": state or None,
    }


def _training_job(job: Job) -> dict[str, Any]:
    """Return the record of a job of Alibaba's DLC, as ``ListJobs`` of its API returns it."""
    n = 0.0
    for spec in job.get("JobSpecs") or []:
        wanted = spec.get("ResourceConfig") or {}
        n += float(wanted.get("GPU") or 0) * float(spec.get("PodCount") or 1)
        if spec.get("EcsSpec") and not wanted:
            n = float("nan")  # an instance type, whose accelerators are unknown
    return {
        "job_id": job.get("JobId"),
        "submit": job.get("GmtCreateTime") or None,
        "start": job.get("GmtRunningTime") or None,
        "end": job.get("GmtFinishTime") or None,
        "n": n,
        "state": job.get("Status"),
        "user": job.get("UserId"),
        "partition": job.get("ResourceId") or None,
        "account": job.get("WorkspaceId"),
    }


_SHAPES = (
    _Shape("pai-dlc", frozenset({"JobId", "JobSpecs", "GmtCreateTime"}), _training_job),
    _Shape("flux", frozenset({"id", "t_submit", "state"}), _flux),
    _Shape("oar", frozenset({"state", "submissionTime", "wanted_resources"}), _oar),
    _Shape(
        "grid-engine",
        frozenset({"job_number", "submission_time", "start_time", "category"}),
        _open_cluster_scheduler,
    ),
    _Shape("vertex-ai", frozenset({"jobSpec", "createTime", "state"}), _vertex),
    _Shape("azure-ml", AZURE_JOB, azure_job),
    _Shape("azure-ml", AZURE_RUN, azure_run),
    _Shape("sagemaker", frozenset({"TrainingJobName", "ResourceConfig"}), _sage_maker),
)
