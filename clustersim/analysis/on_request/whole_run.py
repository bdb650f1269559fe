"""Metrics over a whole run, from its first submission to its end, without warm-up."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.analysis.metrics import METRICS, metric_of
from clustersim.analysis.part import MeasuredRun, Part
from clustersim.analysis.registry import load_plugins
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.simulation.result import Result

__all__ = ["metrics_of_part", "metrics_of_run", "whole_run"]


def metrics_of_run(
    result: Result, names: Sequence[str], *, plugins: Sequence[str] = ()
) -> dict[str, float]:
    """Return metrics over a whole run, from its first submission to its end.

    Parameters
    ----------
    result : Result
    names : sequence of str
        Built-in metrics, on request or not, or metrics of the plugin files; ``NAME.POOL`` is the
        metric of one pool.
    plugins : sequence of str
        Plugin files whose metrics may be named.

    Raises
    ------
    InputError
        If a metric is unknown, describes a fleet, a period or a group of jobs, or has no such pool.

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
        base, _, pool = name.partition(".")
        metric = metric_of(name)
        if metric.compute is None or base not in METRICS.items or "@" in name:
            raise InputError("metrics", f"--of: {name} cannot be measured of a run")
        if not pool:
            found[name] = float(metric.compute(part))
            continue
        by_pool = {} if metric.by_pool is None else metric.by_pool(part)
        if pool not in by_pool:
            known = ", ".join(by_pool) or "none"
            raise InputError("metrics", f"--of: {name}: no such pool; allowed: {known}")
        found[name] = float(by_pool[pool])
    return found
