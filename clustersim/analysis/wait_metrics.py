"""Waits, completion times and slowdowns of jobs.

The definitions of :mod:`clustersim.simulation.metrics` are applied to the jobs of a part of a run.
The wait of a job that had not started is counted until the run stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part, half_width
from clustersim.array_types import Bools, Floats
from clustersim.simulation.metrics import SHORTEST_RUN_S
from clustersim.units import capital

__all__ = ["METRICS", "SERIES"]

Series = Callable[[Part], Floats]
_STILL = "For a job that had not started when the run stopped, the wait until then counts."
_ATTEMPTS = (
    "The total wait of a job is its time in the queue over all attempts, up to the end of "
    "the run; without failures, it equals the wait."
)
_ENDED = "Only finished jobs are included."
_KNOWN = " In a period, it is NaN if too many jobs still waited at the horizon to determine it."
_ORDER = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def _wait(part: Part) -> Floats:
    return part.wait_s


def _total_wait(part: Part) -> Floats:
    return part.total_wait_s


def _jct(part: Part) -> Floats:
    return part.jct_s


def _slowdown(part: Part) -> Floats:
    return np.maximum(part.jct_s / np.maximum(part.run_s, SHORTEST_RUN_S), 1.0)


def _mean_of(series: Series) -> Callable[[Part], float]:
    def mean(part: Part) -> float:
        values = series(part)
        return float(values.mean()) if len(values) else float("nan")

    return mean


def _half_of(series: Series) -> Callable[[Part], float]:
    return lambda part: half_width(series(part))


def _known_p95(series: Series, waits_still: Callable[[Part], Bools]) -> Callable[[Part], float]:
    """Return a function for the 95th percentile; its value is NaN if too many jobs still wait."""

    def known(part: Part) -> float:
        wait_s = series(part)
        if not len(wait_s):
            return float("nan")
        bound = np.quantile(np.where(waits_still(part), np.inf, wait_s), 0.95, method="higher")
        return float(np.quantile(wait_s, 0.95)) if np.isfinite(bound) else float("nan")

    return known


def _quantile(name: str, series: Series, q: float, **fields: Any) -> Iterator[Metric]:
    """Yield the metric of a quantile over jobs, and the metrics of both ends of its interval."""

    def part_of(which: int) -> Callable[[Part], float]:
        key = series.__name__
        return lambda part: part.quantile_interval(key, series, q)[which]

    whole = Metric(
        name=name,
        compute=part_of(0),
        of_jobs=(_NAMES[series], q),
        service=True,
        subject="waits",
        better="less",
        **fields,
    )
    yield whole
    for which, (end, side) in enumerate((("least", "lower"), ("most", "upper")), 1):
        yield replace(
            whole,
            name=f"{name}_at_{end}",
            label=f"{side} end of the 95 % interval of the {whole.label}",
            definition=f"{side.capitalize()} end of the 95 % interval of {name}, estimated from "
            "one run by order statistics; infinite if the run is too short.",
            compute=part_of(which),
            of_jobs=None,
            service=False,
            better="",
            per_period=False,
            of_period=None,
            least=0.0,
        )


def _half(name: str, series: Series, what: str, **fields: Any) -> Metric:
    return Metric(
        name=f"{name}_half",
        label=f"half width of the 95 % interval of the {what}",
        definition=f"Half width of the 95 % interval of {name}, estimated from one run by 20 "
        "batch means; infinite if the run is too short.",
        compute=_half_of(series),
        least=0.0,
        subject="waits",
        **fields,
    )


def _wait_rise(part: Part) -> float:
    if part.run.of_log:
        return math.nan
    wait, half = part.wait_s, len(part.wait_s) // 2
    return float(wait[half:].mean() - wait[: len(wait) - half].mean())


_WAIT: dict[str, Any] = {"dimension": "duration", "noun": "wait", "least": 0.0}


def _wait_quantiles(
    name: str,
    series: Series,
    waits_still: Callable[[Part], Bools],
    *,
    label: str = "{}",
    define: Callable[[str], str],
) -> Iterator[Metric]:
    """Yield the median and the percentiles of a wait; the 95th percentile also by period."""
    for short, q in _ORDER.items():
        what = "median wait" if short == "median" else f"{short[1:]}th percentile of wait"
        p95 = short == "p95"
        yield from _quantile(
            f"{short}_{name}",
            series,
            q,
            label=label.format(what),
            definition=f"{define(capital(what))}{_KNOWN if p95 else ''}",
            per_period=p95,
            of_period=_known_p95(series, waits_still) if p95 else None,
            **_WAIT,
        )


def _waits() -> Iterator[Metric]:
    yield from _first_waits()
    yield from _total_waits()


def _first_waits() -> Iterator[Metric]:
    yield Metric(
        name="mean_wait_s",
        label="mean wait",
        definition=f"Mean time from submission to the first start. {_STILL}",
        compute=_mean_of(_wait),
        of_jobs=(_NAMES[_wait], None),
        per_period=True,
        service=True,
        better="less",
        subject="waits",
        **_WAIT,
    )
    yield from _wait_quantiles(
        "wait_s",
        _wait,
        lambda part: part.waits_still,
        define=lambda what: f"{what}, the time from submission to the first start. {_STILL}",
    )
    yield Metric(
        name="waited",
        label="share of jobs that waited",
        definition="Share of the measured jobs that waited for their first start.",
        compute=lambda part: float((part.wait_s > 0).mean()),
        dimension="share",
        better="less",
        least=0.0,
        most=1.0,
        subject="waits",
    )
    yield Metric(
        name="wait_rise_s",
        label="rise of the mean wait within the run",
        definition="Mean wait of the later half of the measured jobs minus the mean wait of the "
        "earlier half. If it is above 0, longer runs would show longer waits. NaN for a log, which "
        "has no steady state.",
        compute=_wait_rise,
        dimension="duration",
        subject="waits",
    )
    yield _half("mean_wait_s", _wait, "mean wait", dimension="duration")


def _total_waits() -> Iterator[Metric]:
    yield Metric(
        name="mean_total_wait_s",
        label="mean wait over all attempts",
        definition=f"Mean total wait. {_ATTEMPTS}",
        compute=_mean_of(_total_wait),
        of_jobs=(_NAMES[_total_wait], None),
        per_period=True,
        service=True,
        better="less",
        subject="waits",
        **_WAIT,
    )
    yield _half(
        "mean_total_wait_s", _total_wait, "mean wait over all attempts", dimension="duration"
    )
    yield from _wait_quantiles(
        "total_wait_s",
        _total_wait,
        lambda part: part.queued_still,
        label="{} over all attempts",
        define=lambda what: f"{what.replace('wait', 'total wait')}. {_ATTEMPTS}",
    )


def _times() -> Iterator[Metric]:
    yield Metric(
        name="mean_jct_s",
        label="mean job completion time",
        definition=f"Mean time from submission to finish. {_ENDED}",
        compute=_mean_of(_jct),
        of_jobs=(_NAMES[_jct], None),
        dimension="duration",
        better="less",
        least=0.0,
        service=True,
        subject="waits",
    )
    for short, q in _ORDER.items():
        what = "median" if short == "median" else f"{short[1:]}th percentile"
        yield from _quantile(
            f"{short}_jct_s",
            _jct,
            q,
            label=f"{what} of job completion time",
            definition=f"{capital(what)} of the time from submission to finish. {_ENDED}",
            dimension="duration",
            least=0.0,
            on_request=short != "p95",
        )
    slowdown: dict[str, Any] = {
        "dimension": "ratio", "logarithmic": True, "noun": "slowdown", "least": 1.0,
    }  # fmt: skip
    meant = (
        "bounded slowdown: the job completion time divided by the run time over all attempts (at "
        "least 10 s), and at least 1 (Feitelson et al., JSSPP 1997). "
        f"{_ENDED}"
    )
    yield Metric(
        name="mean_bounded_slowdown",
        label="mean bounded slowdown",
        definition=f"Mean of the {meant}",
        compute=_mean_of(_slowdown),
        of_jobs=(_NAMES[_slowdown], None),
        better="less",
        service=True,
        subject="waits",
        **slowdown,
    )
    yield from _quantile(
        "p95_bounded_slowdown",
        _slowdown,
        0.95,
        label="95th percentile of bounded slowdown",
        definition=f"95th percentile of the {meant}",
        **slowdown,
    )
    yield _half("mean_bounded_slowdown", _slowdown, "mean bounded slowdown", dimension="ratio")


SERIES: Mapping[str, Series] = MappingProxyType(
    {"wait_s": _wait, "total_wait_s": _total_wait, "jct_s": _jct, "bounded_slowdown": _slowdown}
)
"""Quantities of jobs whose distributions are kept for each run of a study."""
_NAMES = {series: name for name, series in SERIES.items()}

METRICS = (*_waits(), *_times())
