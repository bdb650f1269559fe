"""Jobs: read job logs, describe them, and generate jobs from workload models.

:mod:`clustersim.workload.fit` fits workload models to logs.
"""

from clustersim.workload.arrivals import Arrivals
from clustersim.workload.describe import TraceStatistics, describe_jobs
from clustersim.workload.generate import Runtime, generate_jobs
from clustersim.workload.job_checks import check_jobs
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers import FORMATS, log_files, read_jobs
from clustersim.workload.spec import (
    JobClass,
    WorkloadSpec,
    load_workload,
    save_workload,
    workload_names,
)

__all__ = [
    "FORMATS",
    "Arrivals",
    "JobClass",
    "JobLog",
    "Runtime",
    "TraceStatistics",
    "WorkloadSpec",
    "check_jobs",
    "describe_jobs",
    "generate_jobs",
    "load_workload",
    "log_files",
    "read_jobs",
    "save_workload",
    "workload_names",
]
