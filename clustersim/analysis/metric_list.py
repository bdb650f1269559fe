"""The list of metrics, as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from clustersim.analysis.metrics import METRICS, Metric

__all__ = ["by_heading", "definition_of", "metric_lines", "metric_rows", "names_of"]

ENDS = ("_half", "_at_least", "_at_most")
WIDTH, INDENT = 100, "    "
HEADINGS = {
    "waits": "Waits, completion times and slowdowns of jobs",
    "work": "Work and utilisation of the fleet",
    "costs": "Energy and cost",
    "counts": "Offered and measured jobs",
    "fleets": "The fleet",
}


def heading_of(metric: Metric) -> str:
    """Return the heading under which a metric is listed."""
    if metric.file:
        return f"Registered by {metric.file}"
    return HEADINGS[metric.subject]


def by_heading() -> Iterator[tuple[str, list[Metric]]]:
    """Yield each heading with its metrics; user-defined metrics come last."""
    order = list(HEADINGS.values())

    def place(metric: Metric) -> tuple[int, str]:
        heading = heading_of(metric)
        return (order.index(heading), "") if heading in order else (len(order), heading)

    listed = [each for each in METRICS.items.values() if not interval_of(each)]
    for _, group in groupby(sorted(listed, key=place), key=place):
        metrics = list(group)
        yield heading_of(metrics[0]), metrics


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
    pool = "[.POOL]" if metric.by_pool is not None else ""
    return f"{metric.name}{pool}{'[@k]' if metric.per_period else ''}"


def metric_lines() -> Iterator[str]:
    """Yield the lines that ``clustersim metrics`` prints."""
    yield textwrap.fill(
        "NAME.POOL is the metric of one pool. NAME@k is the metric of the k-th period of a study "
        "with window.periods. Units are the same as in the tables.",
        WIDTH,
    )
    for heading, metrics in by_heading():
        yield ""
        yield heading
        for each in metrics:
            better = f"{each.better} is better" if each.better else ""
            facts = ", ".join(filter(None, (each.unit, better)))
            head = f"  {names_of(each)}{f' ({facts})' if facts else ''}: {each.label}"
            yield textwrap.fill(head, WIDTH, subsequent_indent=INDENT)
            text = definition_of(each)
            yield textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def metric_rows() -> list[dict[str, Any]]:
    """Return one dict per metric, in the order of the columns in tables."""
    return [
        {
            "name": each.name,
            "label": each.label,
            "unit": each.unit,
            "dimension": each.dimension,
            "better": each.better or None,
            "definition": each.definition,
            "by_pool": each.by_pool is not None,
            "per_period": each.per_period,
            "file": each.file or None,
        }
        for each in METRICS.items.values()
    ]
