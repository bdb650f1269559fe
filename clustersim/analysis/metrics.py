"""The registry of metrics: their definitions, how they are computed, and how they are shown.

All code that refers to metrics by name reads this registry: the measurements of a run, the tables
of a study, the checks of study files, plots, texts, the JSON Schema, the command ``clustersim
metrics`` and the column dictionary.  The built-in metrics are defined by subject in the modules of
:data:`SUBJECTS`; their order there is the order of the columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from clustersim.analysis.registry import Registry, names_its_fields, unknown_item
from clustersim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from clustersim.analysis.part import FleetView, Part

__all__ = [
    "DIMENSIONS",
    "METRICS",
    "Metric",
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

DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "duration": "s",
        "bytes": "B",
        "memory": "B",
        "bandwidth": "B/s",
        "flop rate": "FLOP/s",
        "power": "W",
        "energy": "J",
        "mass": "kg",
        "money": "CNY",
        "count": "1",
        "share": "1",
        "ratio": "1",
    }
)
"""Unit of each dimension in tables; the dimension also decides how numbers are formatted."""
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


@names_its_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that is measured for each run.

    Attributes
    ----------
    name : str
        Name in files, tables and plots.  It ends in the unit, if there is one (``mean_wait_s``).
    label : str
        A noun phrase for axes and sentences, without the unit.  It is lower-case, except for
        proper nouns and abbreviations.
    definition : str
        Exact definition in one or two sentences, each with a full stop.
    compute : callable, optional
        Function that takes a :class:`~clustersim.Part` (the jobs and the time within a study's
        window) and returns a number in SI units, or NaN if there is nothing to measure.
    of_fleet : callable, optional
        Function that takes a :class:`~clustersim.FleetView`.  It replaces `compute` for metrics
        that are known before a run.
    by_pool : callable, optional
        Function that takes the same argument and returns values by pool name.  They are named
        ``NAME.POOL``.  A metric with `of_jobs` has ``NAME.GROUP`` instead, the metric of the jobs
        of one group.
    per_period : bool
        Whether the metric is also measured in each period of the horizon, as ``NAME@k``.
    of_period : callable, optional
        Function that computes the metric for a period; by default `compute`.
    dimension : str
        One of :data:`DIMENSIONS`, which decides how the number is formatted; "" for none.
    unit : str
        SI unit of the number in tables; by default the unit of the dimension.
    better : {"", "less", "more"}
        Which direction is better; "" if neither is.
    noun : str
        Name of the quantity in sentences such as "less wait"; by default the label.
    pool_label : str
        Label of the metric for one pool; by default the label.
    logarithmic : bool or None
        Whether an axis is logarithmic; None if the data decide.
    least, most : float
        Bounds of the values; intervals are clipped to them.
    service : bool
        Whether the metric measures the service to jobs, such as a wait.  Under overload (more work
        arrives than the fleet can do), it grows without bound and is reported as infinite.
    of_jobs : tuple of (str, float or None), optional
        The quantity of jobs that it describes, and the probability of a quantile (None for a
        mean).  A study then estimates it over the jobs of all replications; any other metric is
        the mean over the replications.
    constant : bool
        Whether the value is the same in every replication of a point; the metric then has no
        interval.
    on_request : bool
        Whether the metric is measured only in studies that name it, because it is not needed
        otherwise and takes time.
    subject : str
        Heading under which a built-in metric is listed: ``waits``, ``work``, ``fairness``,
        ``free``, ``costs``, ``counts`` or ``fleets``.  Registered metrics are
        listed under the name of their file.
    file : str
        The plugin file that registers the metric; "" for a built-in metric.  Set by the registry.

    Raises
    ------
    InputError
        If a field has a value that is not allowed.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_of
    >>> metric_of("p95_wait_s").unit, metric_of("utilisation.h200@4").better
    ('s', 'more')
    """

    name: str
    label: str
    definition: str
    compute: Callable[[Part], float] | None = None
    of_fleet: Callable[[FleetView], float] | None = None
    by_pool: Callable[[Any], Mapping[str, float]] | None = None
    per_period: bool = False
    of_period: Callable[[Part], float] | None = None
    dimension: str = ""
    unit: str = ""
    better: Literal["", "less", "more"] = ""
    noun: str = ""
    pool_label: str = ""
    logarithmic: bool | None = None
    least: float = float("-inf")
    most: float = float("inf")
    service: bool = False
    constant: bool = False
    on_request: bool = False
    of_jobs: tuple[str, float | None] | None = None
    subject: str = "yours"
    file: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise InputError(f"metric {self.name!r}", problem)
        if not self.unit:
            object.__setattr__(self, "unit", DIMENSIONS.get(self.dimension, ""))

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z]\w*", self.name, re.ASCII):
            yield "name must consist of letters, digits and underscores and start with a letter"
        for field in ("label", "definition"):
            text = getattr(self, field)
            if not (isinstance(text, str) and text.strip()):
                yield f"{field} must be a non-empty string, found {text!r}"
        if self.dimension and self.dimension not in DIMENSIONS:
            yield f"dimension: {unknown_name('dimension', self.dimension, DIMENSIONS)}"
        if self.better not in ("", "less", "more"):
            direction = unknown_name("direction", self.better, ("less", "more"))
            yield f'better: {direction}, or "" if neither is better'
        if (self.compute is None) == (self.of_fleet is None):
            yield "must have exactly one of compute and of_fleet"
        for field in ("compute", "of_fleet", "by_pool", "of_period"):
            function = getattr(self, field)
            if function is not None and not callable(function):
                yield f"{field} must be a function, found {function!r}"
        if self.per_period and self.compute is None:
            yield "per_period needs compute"
        if not self.least < self.most:
            yield f"least must be less than most, found {self.least!r} and {self.most!r}"

    @property
    def statistic(self) -> str:
        """What a study reports for a point, as a noun phrase."""
        if self.constant:
            return "value, the same in every replication"
        if self.of_jobs is None:
            return "mean over the replications"
        q = self.of_jobs[1]
        what = "mean" if q is None else "median" if q == 0.5 else f"{100 * q:g}th percentile"
        return f"{what} over the jobs of all replications"

    @property
    def by_group(self) -> bool:
        """Whether the metric can be measured for a group of jobs, as ``NAME.GROUP``."""
        return self.of_jobs is not None and self.by_pool is None

    @property
    def rests_on_prices(self) -> bool:
        """Whether the metric depends on planning assumptions about prices or energy."""
        return self.dimension in ("money", "energy", "mass")


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
