"""The job logs of SenseTime's Helios clusters (``cluster_log.csv``).

Format: https://github.com/S-Lab-System-Group/HeliosData (README, "Schema and Description"); Hu et
al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters",
SC '21. Times are local times without a zone; the clusters are located in China.
"""

from __future__ import annotations

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.slurm_csv import read_accounting
from clustersim.workload.readers.source import Source

__all__ = ["read_helios"]

_IGNORED = ("node_num", "cpu_num")
_COLUMNS = ("job_id", "gpu_num", "submit_time", "start_time", "end_time", "vc")


def read_helios(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read ``cluster_log.csv``.

    Jobs without GPUs or without an observed run time are dropped.
    """
    return read_accounting(
        source,
        format="helios",
        columns=_COLUMNS,
        ignored=_IGNORED,
        zone="Asia/Shanghai",
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
