"""The list of metrics, as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from clustersim.analysis.metric import Metric
from clustersim.analysis.metric_estimates import interval_kind
from clustersim.analysis.metrics import METRICS, metric_of

__all__ = [
    "by_heading",
    "chosen_metrics",
    "definition_of",
    "metric_lines",
    "metric_rows",
    "names_of",
]

ENDS = ("_half", "_at_least", "_at_most")
WIDTH, INDENT = 100, "    "
HEADINGS = {
    "waits": "Waits, completion times and slowdowns of jobs",
    "work": "Work and utilisation of the fleet",
    "fairness": "Fairness, preemptions and deadlines",
    "free": "Free accelerators, and goodput by cause",
    "costs": "Energy and cost",
    "counts": "Offered and measured jobs",
    "fleets": "The fleet",
}


def heading_of(metric: Metric) -> str:
    """Return the heading under which a metric is listed."""
    if metric.file:
        return f"Registered by {metric.file}"
    return HEADINGS[metric.subject]


def chosen_metrics(names: Sequence[str]) -> list[Metric] | None:
    """Return the metrics with these names; None, for all metrics, if there are no names.

    A name may have the suffix of a pool, a group or a period.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    return [metric_of(name) for name in names] or None


def by_heading(metrics: Iterable[Metric] | None = None) -> Iterator[tuple[str, list[Metric]]]:
    """Yield each heading with its metrics; user-defined metrics come last.

    Parameters
    ----------
    metrics : iterable of Metric, optional
        By default all metrics, without those that bound the interval of another metric.
    """
    order = list(HEADINGS.values())

    def place(metric: Metric) -> tuple[int, str]:
        heading = heading_of(metric)
        return (order.index(heading), "") if heading in order else (len(order), heading)

    if metrics is None:
        metrics = [each for each in METRICS.items.values() if not interval_of(each)]
    for _, group in groupby(sorted(metrics, key=place), key=place):
        listed = list(group)
        yield heading_of(listed[0]), listed


def interval_of(metric: Metric) -> str:
    """Return the name of the metric whose interval this metric describes; "" if there is none."""
    names = (metric.name.removesuffix(end) for end in ENDS if metric.name.endswith(end))
    return next((name for name in names if name in METRICS.built_in), "")


def definition_of(metric: Metric) -> str:
    """Return the definition of a metric, with the names of the metrics of its interval."""
    ends = [f"{metric.name}{end}" for end in ENDS if f"{metric.name}{end}" in METRICS.built_in]
    if not ends:
        return metric.definition
    bounds = (
        f"{ends[0]} is the half width" if len(ends) == 1 else f"{' and '.join(ends)} are the ends"
    )
    return f"{metric.definition} {bounds} of its 95 % interval, estimated from one run."


def names_of(metric: Metric) -> str:
    """Return the name of a metric with its possible suffixes, as in ``NAME[.POOL][@k]``."""
    part = "[.GROUP]" if metric.by_group else "" if metric.by_pool is None else "[.POOL]"
    return f"{metric.name}{part}{'[@k]' if metric.per_period else ''}"


def metric_lines(metrics: Iterable[Metric] | None = None) -> Iterator[str]:
    """Yield the lines that ``clustersim metrics`` prints about these or all metrics."""
    yield textwrap.fill(
        "NAME.POOL is the metric of one pool. NAME.GROUP is the metric of the jobs of one group: a "
        "partition or virtual cluster, a job class, or a group that a study defines under groups. "
        "NAME@k is the metric of the k-th period of a study with window.periods. "
        "Metrics on request are measured only in studies that name them, or with --of. "
        "Units are the same as in the tables. Each metric is measured in each "
        "run; a study reports the statistic that is named with it. For NAME.POOL and NAME@k, this "
        "is always the mean over the replications, with an interval by Student's t.",
        WIDTH,
    )
    for heading, listed in by_heading(metrics):
        yield ""
        yield heading
        for each in listed:
            better = f"{each.better} is better" if each.better else ""
            statistic = "" if each.constant else each.statistic
            asked = "only on request" if each.on_request else ""
            facts = ", ".join(filter(None, (each.unit, better, statistic, asked)))
            head = f"  {names_of(each)}{f' ({facts})' if facts else ''}: {each.label}"
            yield textwrap.fill(head, WIDTH, subsequent_indent=INDENT)
            interval = f"95 % interval: {interval_kind(each.name)}."
            if each.constant:
                interval = "The same in every replication, so it has no interval."
            for text in (definition_of(each), interval):
                yield textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def metric_rows(metrics: Iterable[Metric] | None = None) -> list[dict[str, Any]]:
    """Return one dict per metric; if all are asked for, in the order of the columns in tables."""
    return [
        {
            "name": each.name,
            "label": each.label,
            "unit": each.unit,
            "dimension": each.dimension,
            "better": each.better or None,
            "definition": each.definition,
            "statistic": each.statistic,
            "interval": interval_kind(each.name),
            "by_pool": each.by_pool is not None,
            "by_group": each.by_group,
            "per_period": each.per_period,
            "on_request": each.on_request,
            "file": each.file or None,
        }
        for each in (METRICS.items.values() if metrics is None else metrics)
    ]
