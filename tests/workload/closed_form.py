"""Means of a workload model in closed form."""

from __future__ import annotations

import numpy as np

from clustersim.workload import Runtime, WorkloadSpec
from clustersim.workload.spec import JobClass


def mean_work(spec: WorkloadSpec, *, runtime: Runtime | None = None) -> float:
    """Mean accelerator-seconds of a job, in closed form.

    Parameters
    ----------
    spec : WorkloadSpec
        The workload model.
    runtime : callable, optional
        Run time of model jobs, linear in the tokens; needed if there are any.

    Returns
    -------
    float
        Sum over the classes of share * E[n * run time]; size and duration of a
        class are independent, and a model's run time counts at the mean tokens.

    Raises
    ------
    ValueError
        If a class has a model and `runtime` is not given.
    """
    total = sum(c.weight for c in spec.classes)
    return sum(c.weight / total * _mean_class_work(c, runtime) for c in spec.classes)


def _mean_class_work(job_class: JobClass, runtime: Runtime | None) -> float:
    if job_class.duration is not None:
        weights = list(job_class.sizes.values())
        return float(np.average(list(job_class.sizes), weights=weights) * job_class.duration.mean())
    if runtime is None or job_class.model is None or job_class.tokens is None:
        raise ValueError(f"class {job_class.name!r} has a model: give its run time")
    sizes = np.array(list(job_class.sizes), dtype=np.int64)
    shares = np.array(list(job_class.sizes.values()))
    seconds = runtime(job_class.model, sizes, job_class.tokens.mean())
    return float(np.sum(shares / shares.sum() * sizes * seconds))
