"""The registry of metrics: their definitions, how they are computed, and how they are shown.

All code that refers to metrics by name reads this registry: the measurements of a run, the tables
of a study, the checks of study files, plots, texts, the JSON Schema, the command ``clustersim
metrics`` and the column dictionary.  The built-in metrics are defined by subject in the modules of
:data:`SUBJECTS`; their order there is the order of the columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from clustersim.analysis.metric import Metric
from clustersim.analysis.registry import Registry, unknown_item
from clustersim.errors import InputError

if TYPE_CHECKING:
    pass

__all__ = [
    "METRICS",
    "find_metric",
    "follows_waits",
    "group_of",
    "in_period",
    "is_constant",
    "is_metric",
    "is_service",
    "jobs_statistic",
    "metric_names",
    "metric_of",
    "metric_schema",
    "on_request",
    "period_of",
    "period_order",
    "pool_of",
    "register_metric",
]

SUBJECTS = (
    "wait_metrics",
    "work_metrics",
    "cost_metrics",
    "count_metrics",
    "controls.metrics",
    "on_request.metrics",
    "fleet_metrics",
)
_ENDINGS = ("_low", "_high", "_half", "_at_least", "_at_most", "_plain", "_explained")
"""Suffixes that tables append to the name of a metric."""
_COLUMNS = (
    "run", "point", "replication", "replications", "status", "code", "error", "failed", "overload",
    "rising", "overload_in", "capacity", "period", "parameter", "metric", "lines", "draw", "draws",
)  # fmt: skip
"""Columns of a study's tables that are not metrics."""


def _built_in() -> Iterator[Metric]:
    for subject in SUBJECTS:
        yield from import_module(f"clustersim.analysis.{subject}").METRICS


def _name_problem(name: str) -> str:
    from clustersim.scenario.scenario import Scenario

    if name in _COLUMNS or name in Scenario.model_fields:
        return "the tables already have a column of this name; choose another name"
    if name.endswith(_ENDINGS):
        return f"a name must not end in {', '.join(_ENDINGS)}, which tables append to names"
    return ""


METRICS: Registry[Metric] = Registry("metric", _built_in, _name_problem)


def register_metric(metric: Metric) -> None:
    """Register a user-defined metric from a file given by ``--plugins`` or ``plugins:``.

    Parameters
    ----------
    metric : Metric

    Raises
    ------
    InputError
        If a built-in metric or another column has this name.

    Examples
    --------
    >>> import clustersim as cs
    >>> def long_waits(part):
    ...     return float((part.wait_s > 3600).mean()) if len(part.wait_s) else float("nan")
    >>> cs.register_metric(
    ...     cs.Metric(
    ...         name="long_waits",
    ...         label="jobs that waited more than an hour",
    ...         definition="Share of the measured jobs that waited more than an hour.",
    ...         compute=long_waits,
    ...         per_period=True,
    ...         dimension="share",
    ...         better="less",
    ...         least=0.0,
    ...         most=1.0,
    ...     )
    ... )
    >>> from clustersim.analysis.metrics import is_metric
    >>> is_metric("long_waits@2")
    True
    """
    if not isinstance(metric, Metric):
        raise InputError("register_metric", f"needs a clustersim.Metric, found {metric!r}")
    METRICS.register(metric)


def in_period(name: str, period: int) -> str:
    """Return the name of a metric in a period; the first period is 1.

    Examples
    --------
    >>> from clustersim.analysis.metrics import in_period
    >>> in_period("utilisation", 4)
    'utilisation@4'
    """
    return f"{name}@{period}"


def period_of(name: str) -> tuple[str, int | None]:
    """Split a metric name into the name without its period, and the period (None if absent).

    Examples
    --------
    >>> period_of("utilisation.h200@4"), period_of("utilisation")
    (('utilisation.h200', 4), ('utilisation', None))
    """
    found = re.fullmatch(r"(.+)@([1-9]\d*)", name)
    return (found[1], int(found[2])) if found else (name, None)


def on_request(names: Iterable[str]) -> list[str]:
    """Return which metrics among some names are measured only on request, without suffixes.

    Examples
    --------
    >>> from clustersim.analysis.metrics import on_request
    >>> on_request(["p95_wait_s", "fragmentation.h200", "fragmentation@2", "p99_jct_s"])
    ['fragmentation', 'p99_jct_s']
    """
    found = (find_metric(name) for name in names)
    return sorted({each.name for each in found if each is not None and each.on_request})


def pool_of(name: str) -> str:
    """Return the pool that a metric name refers to; "" for the whole fleet.

    Examples
    --------
    >>> pool_of("utilisation.h200@4"), pool_of("utilisation@4")
    ('h200', '')
    """
    metric = find_metric(name)
    return "" if metric is None or metric.by_pool is None else _suffix(name)


def group_of(name: str) -> str:
    """Return the group of jobs that a metric name refers to; "" for all jobs.

    Examples
    --------
    >>> from clustersim.analysis.metrics import group_of
    >>> group_of("p95_wait_s.gpu@2"), group_of("utilisation.h200"), group_of("p95_wait_s")
    ('gpu', '', '')
    """
    metric = find_metric(name)
    return "" if metric is None or not metric.by_group else _suffix(name)


def _suffix(name: str) -> str:
    return period_of(name)[0].partition(".")[2]


def jobs_statistic(name: str) -> tuple[str, float | None] | None:
    """Return which statistic over the jobs of all replications a metric is; None for other metrics.

    A metric of a period is no such statistic.

    Returns
    -------
    quantity : str
        Quantity of jobs as its samples are named, such as ``wait_s``, or ``wait_s.GROUP``.
    q : float or None
        Probability of the quantile; None for a mean.

    Examples
    --------
    >>> from clustersim.analysis.metrics import jobs_statistic
    >>> jobs_statistic("p95_wait_s"), jobs_statistic("mean_wait_s.gpu")
    (('wait_s', 0.95), ('wait_s.gpu', None))
    >>> jobs_statistic("p95_wait_s@2") or jobs_statistic("utilisation")
    """
    metric = find_metric(name)
    if metric is None or metric.of_jobs is None or pool_of(name) or period_of(name)[1] is not None:
        return None
    quantity, q = metric.of_jobs
    group = group_of(name)
    return f"{quantity}.{group}" if group else quantity, q


def find_metric(name: str) -> Metric | None:
    """Return the metric of a name, which may include a pool or group and a period; None if unknown.

    Examples
    --------
    >>> find_metric("utilisation.h200@4").name, find_metric("makespan_s@4")
    ('utilisation', None)
    >>> find_metric("p95_wait_s.gpu").name, find_metric("backlog_at_end.gpu")
    ('p95_wait_s', None)
    """
    whole, period = period_of(name)
    base, dot, pool = whole.partition(".")
    found = METRICS.get(base)
    if found is None or (dot and not (pool and (found.by_pool or found.by_group))):
        return None
    return None if period is not None and not found.per_period else found


def is_metric(name: str) -> bool:
    """Whether a run has a metric of this name.

    Examples
    --------
    >>> is_metric("utilisation.h200@4"), is_metric("makespan_s"), is_metric("makespan_s@4")
    (True, True, False)
    """
    return find_metric(name) is not None


def metric_of(name: str) -> Metric:
    """Return the metric with the given name, which may include a pool or group and a period.

    Raises
    ------
    InputError
        If no metric has this name; the message suggests the nearest name.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_of
    >>> metric_of("utilisation.h200").better
    'more'
    """
    found = find_metric(name)
    if found is None:
        raise InputError("metric", unknown_item("metric", name, METRICS.items))
    return found


def metric_names(*, per_period: bool = False) -> list[str]:
    """Return the names of all metrics, or of the metrics measured per period, in column order.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_names
    >>> "fleet_cost_cny" in metric_names()
    True
    >>> "fleet_cost_cny" in metric_names(per_period=True)
    False
    """
    return [each.name for each in METRICS.items.values() if each.per_period or not per_period]


def metric_schema() -> dict[str, Any]:
    """Return the JSON Schema of metric names, including those with pools, groups and periods.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_schema
    >>> "p95_wait_s" in [choice.get("const") for choice in metric_schema()["anyOf"]]
    True
    """
    known = METRICS.items.values()
    pooled = "|".join(each.name for each in known if each.by_pool is not None)
    grouped = "|".join(each.name for each in known if each.by_group)
    both = "|".join(
        each.name for each in known if (each.by_pool or each.by_group) and each.per_period
    )
    parted = "|".join(each.name for each in known if each.per_period)
    return {
        "anyOf": [
            *(
                {"const": each.name, "title": each.label, "description": each.definition}
                for each in known
            ),
            {
                "type": "string",
                "pattern": rf"^({pooled})\.[^@]+$",
                "description": "NAME.POOL: the metric of one pool",
            },
            {
                "type": "string",
                "pattern": rf"^({grouped})\.[^@]+$",
                "description": "NAME.GROUP: the metric of one group of jobs, such as a partition",
            },
            {
                "type": "string",
                "pattern": rf"^(({parted})|({both})\.[^@]+)@[1-9][0-9]*$",
                "description": "NAME@k: the metric of the k-th period, with window.periods",
            },
        ]
    }


def is_constant(name: str) -> bool:
    """Whether a column is a metric that is the same in every replication of a point.

    Examples
    --------
    >>> from clustersim.analysis.metrics import is_constant
    >>> is_constant("chips"), is_constant("utilisation")
    (True, False)
    """
    found = find_metric(name)
    return found is not None and found.constant


def is_service(name: str) -> bool:
    """Whether a column measures the service to jobs, and so has no steady value under overload.

    The answer is False for a metric of a period, because a period has no steady state.

    Examples
    --------
    >>> from clustersim.analysis.metrics import is_service
    >>> is_service("p95_wait_s"), is_service("p95_wait_s.gpu"), is_service("p95_wait_s@2")
    (True, True, False)
    """
    found = find_metric(name)
    return found is not None and found.service and period_of(name)[1] is None


def follows_waits(name: str) -> bool:
    """Whether a column is a metric without a steady value while waits keep growing.

    Examples
    --------
    >>> from clustersim.analysis.metrics import follows_waits
    >>> follows_waits("p95_wait_s"), follows_waits("utilisation")
    (True, False)
    """
    found = find_metric(name)
    return found is not None and (found.service or found.subject == "waits")


def period_order(metrics: Iterable[Metric]) -> list[Metric]:
    """Return metrics in the order of a period's columns, with waits and counts of jobs last.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_of, period_order
    >>> wait, utilisation = metric_of("mean_wait_s"), metric_of("utilisation")
    >>> [metric.name for metric in period_order([wait, utilisation])]
    ['utilisation', 'mean_wait_s']
    """
    return sorted(metrics, key=lambda each: each.subject in ("waits", "counts"))
