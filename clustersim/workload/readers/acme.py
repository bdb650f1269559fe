"""The job logs of Shanghai AI Laboratory's Acme clusters (Seren and Kalos).

Format: https://github.com/InternLM/AcmeTrace (README, "Job Trace"); Hu et al., "Characterization of
Large Language Model Development in the Datacenter", NSDI '24. Times have an offset (+08:00 in
Seren, +00:00 in Kalos). The README states that ``duration`` is end minus start, but in its example
from Kalos it is end minus *submit*. The reader therefore uses the difference between end and start
time, and drops jobs that lack either time.
"""

from __future__ import annotations

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.slurm_csv import read_accounting
from clustersim.workload.readers.source import Source

__all__ = ["read_acme"]

_IGNORED = ("node_num", "cpu_num", "mem_per_pod_GB", "shared_mem_per_pod")
_COLUMNS = ("job_id", "gpu_num", "submit_time", "start_time", "end_time")


def read_acme(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read ``trace_seren.csv`` or ``trace_kalos.csv``.

    Jobs without GPUs or without an observed run time are dropped.
    """
    return read_accounting(
        source,
        format="acme",
        columns=_COLUMNS,
        ignored=_IGNORED,
        zone="Asia/Shanghai",
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
