"""The pod lists of Alibaba's GPU cluster of 2023 (``openb_pod_list_*.csv``).

Format: https://github.com/alibaba/clusterdata, ``cluster-trace-gpu-v2023/README.md``; Weng et al.,
"Beware of Fragmentation", USENIX ATC '23. Times are seconds since an undisclosed origin.
``gpu_milli`` is the number of thousandths of a GPU, for pods that share a GPU. ``gpu_spec`` lists
the types of GPU that a pod can run on. The phase of a pod is the last phase observed before its
deletion. Pods that still existed at the end of the log have the last time of the log as their
deletion time.
"""

from __future__ import annotations

import pandas as pd

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.cells import SECONDS, number_problem, refuse_problems
from clustersim.workload.readers.clean import log_of, require_columns
from clustersim.workload.readers.observed import is_running, observed_run
from clustersim.workload.readers.source import Source, read_csv

__all__ = ["read_openb"]

_TIMES = ("creation_time", "scheduled_time", "deletion_time")
_COLUMNS = ("name", "num_gpu", "gpu_milli", *_TIMES)
_IGNORED = ("gpu_spec", "cpu_milli", "memory_mib")


def read_openb(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read a pod list.

    ``n_accelerators`` is ``num_gpu * gpu_milli / 1000``, rounded up with a note. A pod runs from
    ``scheduled_time`` to ``deletion_time``. Pods that were never scheduled are dropped. Pods in the
    phase ``Running`` whose deletion time is the last time of the log are also dropped, because they
    were still running. ``qos`` becomes ``vc``.

    Raises
    ------
    InputError
        If a column is missing or a cell is not a number, or as in `check_jobs`.
    """
    pods = read_csv(source, dtype={"name": str})
    require_columns(pods, _COLUMNS, source.path)
    refuse_problems(
        source.path,
        (
            number_problem(name, pods[name], SECONDS if name in _TIMES else "a number is needed")
            for name in _COLUMNS[1:]
        ),
    )
    for name in _COLUMNS[1:]:
        pods[name] = pd.to_numeric(pods[name], errors="coerce")
    pods = pods.sort_values("creation_time", kind="stable")
    origin = pods["creation_time"].min()
    end = pods["deletion_time"]
    if "pod_phase" in pods:
        end = end.mask(is_running(pods["pod_phase"]) & (end == end.max()))
    run, reasons = observed_run(pods["scheduled_time"], end, None)
    jobs = pods.rename(columns={"name": "job_id", "qos": "vc", "pod_phase": "status"}).assign(
        n_accelerators=pods["num_gpu"] * pods["gpu_milli"] / 1000,
        submit_s=pods["creation_time"] - origin,
        start_s=pods["scheduled_time"] - origin,
        duration_s=run,
    )
    return log_of(
        jobs.drop(columns=list(_TIMES)),
        source=str(source.path),
        format="openb",
        reasons=reasons,
        ignored=_IGNORED,
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
