"""Metrics of what arrived, was delivered and failed in a run, each with its expectation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from clustersim.analysis.metric import Metric
from clustersim.analysis.metrics import in_period, period_of
from clustersim.analysis.part import Part
from clustersim.analysis.samples import Sample
from clustersim.array_types import Floats
from clustersim.scenario.run_controls import UNKNOWN, Pair, RunControls

__all__ = ["CONTROLS", "METRICS", "surplus_name", "surplus_of"]

CONTROLS = ("delivered_flop_per_s", "arrived_load", "failures_per_day")
"""Names of the metrics; the expectation of NAME is the metric expected_NAME."""


_SURPLUS = "surplus of arrived_load, "


def surplus_name(job_class: str, period: int | None = None) -> str:
    """Return the name of the sample with the surplus of a job class in a run or a period.

    See :meth:`~clustersim.scenario.run_controls.RunControls.surplus_by_class`.

    Examples
    --------
    >>> surplus_name("evaluation"), surplus_name("evaluation", 2)
    ('surplus of arrived_load, evaluation', 'surplus of arrived_load, evaluation@2')
    """
    name = f"{_SURPLUS}{job_class}"
    return name if period is None else in_period(name, period)


def surplus_of(metric: str, runs: Sequence[Mapping[str, Sample]]) -> dict[str, Floats]:
    """Return the surplus of each job class in some runs, which are controls of a metric.

    Parameters
    ----------
    metric : str
        Name of the metric; a metric of a period has the controls of this period.
    runs : sequence of mapping of str to Sample

    Returns
    -------
    dict of str to float64 array (runs,)
        By name of the sample, without classes that are unknown in a run.

    Examples
    --------
    >>> run = {"surplus of arrived_load, big": Sample(0, np.empty(0), 0.1)}
    >>> surplus_of("cost_cny", [run, run])["surplus of arrived_load, big"].tolist()
    [0.1, 0.1]
    >>> surplus_of("cost_cny@2", [run, run])
    {}
    """
    period = period_of(metric)[1]
    names = [
        name
        for name in (runs[0] if runs else ())
        if name.startswith(_SURPLUS) and period_of(name)[1] == period
    ]
    return {
        name: np.array([run[name].mean for run in runs])
        for name in names
        if all(name in run for run in runs)
    }


def _measured(measure: Callable[[RunControls, Part], Pair], index: int) -> Callable[[Part], float]:
    def compute(part: Part) -> float:
        controls = part.run.controls
        return (UNKNOWN if controls is None else measure(controls, part))[index]

    return compute


def _delivered(controls: RunControls, part: Part) -> Pair:
    return controls.delivered_flop_per_s(part.begin_s, part.end_s)


def _failures(controls: RunControls, part: Part) -> Pair:
    return controls.failures_per_day(part.begin_s, part.end_s)


def _arrived(controls: RunControls, part: Part) -> Pair:
    return controls.arrived_load(part.first, part.last, part.begin_s, part.end_s)


def _pair(
    name: str, label: str, definition: str, dimension: str, measure: Callable[..., Pair], unit: str
) -> Iterator[Metric]:
    named = (
        (name, label, definition),
        (f"expected_{name}", f"expected {label}", f"Expectation of {name} for this time interval."),
    )
    for index, (own, noun, text) in enumerate(named):
        yield Metric(
            name=own,
            label=noun,
            definition=text,
            compute=_measured(measure, index),
            per_period=True,
            dimension=dimension,
            unit=unit,
            least=0.0,
            subject="counts",
        )


def _metrics() -> Iterator[Metric]:
    yield from _pair(
        "delivered_flop_per_s",
        "delivered peak FLOP/s",
        "Time average of the peak FLOP/s (BF16) of the nodes that have arrived, including nodes "
        "that are out of service or retired. With several productions, only the main effect of "
        "each slip counts. A study uses it as a control variate; NaN if no delivery and no "
        "production has a slip.",
        "flop rate",
        _delivered,
        "",
    )
    yield from _pair(
        "arrived_load",
        "arrived load",
        "Offered load of the jobs that were submitted in the time interval. A study uses it as a "
        "control variate; NaN for a log, and for a period if the workload has a number of jobs or "
        "arrivals that are not a Poisson process.",
        "ratio",
        _arrived,
        "",
    )
    yield from _pair(
        "failures_per_day",
        "failures per day",
        "Failures of nodes per day, including failures of nodes that are already out of service. "
        "Components that age are left out. A study uses it as a control variate; NaN without "
        "failures.",
        "count",
        _failures,
        "1/d",
    )


METRICS = tuple(_metrics())
