"""Metrics over a whole run, from its first submission to its end, without warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.analysis.metrics import METRICS, metric_of
from clustersim.analysis.part import MeasuredRun, Part
from clustersim.analysis.registry import load_plugins
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.simulation.result import Result
from clustersim.workload.named_groups import group_mask, group_problems

__all__ = ["metrics_of_part", "metrics_of_run", "part_of_group", "whole_run"]


def metrics_of_run(
    result: Result, names: Sequence[str], *, plugins: Sequence[str] = ()
) -> dict[str, float]:
    """Return metrics over a whole run, from its first submission to its end.

    Parameters
    ----------
    result : Result
    names : sequence of str
        Built-in metrics, on request or not, or metrics of the plugin files; ``NAME.POOL`` is the
        metric of one pool, and ``NAME.GROUP`` that of a partition or job class.
    plugins : sequence of str
        Plugin files whose metrics may be named.

    Raises
    ------
    InputError
        If a metric is unknown, describes a fleet or a period, or has no such pool or group.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20], "duration_s": 100})
    >>> result = cs.replay(log.assign(n_accelerators=[4, 8, 4]), policy="fcfs", accelerators=8)
    >>> metrics_of_run(result, ["head_of_line_blocking", "largest_gang"])
    {'head_of_line_blocking': 0.13333333333333333, 'largest_gang': 2.6666666666666665}
    """
    return metrics_of_part(whole_run(result, plugins=plugins), names)


def whole_run(result: Result, *, plugins: Sequence[str] = ()) -> Part:
    """Return a whole run as the part over which metrics are measured; see :func:`metrics_of_run`.

    Raises
    ------
    InputError
        If a plugin or the catalogue of the run cannot be read.
    """
    load_plugins(plugins)
    scenario = result.provenance.get("scenario") or {}
    run = MeasuredRun(result, load_catalogue(*scenario.get("catalogue", ())))
    jobs = run.submitted
    return Part(run, 0, len(jobs.submit_s), float(jobs.submit_s[0]), jobs.end_s)


def metrics_of_part(part: Part, names: Sequence[str]) -> dict[str, float]:
    """Return metrics of a part of a run; see :func:`metrics_of_run`.

    Raises
    ------
    InputError
        As :func:`metrics_of_run`.
    """
    found = {}
    for name in names:
        base, _, of = name.partition(".")
        metric = metric_of(name)
        if metric.compute is None or base not in METRICS.items or "@" in name:
            raise InputError("metrics", f"--of: {name} cannot be measured of a run")
        if metric.by_pool is None or not of:
            found[name] = float(metric.compute(part_of_group(part, name)))
            continue
        by_pool = metric.by_pool(part)
        if of not in by_pool:
            raise InputError("metrics", f"--of: {name}: {unknown_name('pool', of, by_pool)}")
        found[name] = float(by_pool[of])
    return found


def part_of_group(part: Part, name: str) -> Part:
    """Return the part of a run with the jobs of the group that the name of a metric ends with.

    Parameters
    ----------
    part : Part
    name : str
        ``NAME.GROUP`` with a partition or a job class; all jobs without a group.

    Raises
    ------
    InputError
        If there is no such group.
    """
    _, _, group = name.partition(".")
    if not group:
        return part
    table = part.result.jobs
    jobs = table[table["submit_s"] <= part.run.submitted.end_s]
    for _, problem in group_problems(jobs, {group: None}):
        raise InputError("metrics", f"--of: {name}: {problem}")
    return replace(part, group=group_mask(jobs, group, None))
