"""Measurements of one run: all metrics of its steady part and of the periods of its horizon."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clustersim.analysis.controls.metrics import surplus_name
from clustersim.analysis.metric import Metric
from clustersim.analysis.metric_list import ENDS
from clustersim.analysis.metrics import METRICS, in_period, period_order
from clustersim.analysis.on_request.metrics import SERIES as ON_REQUEST
from clustersim.analysis.part import FleetView, MeasuredRun, Part
from clustersim.analysis.registry import load_plugins, users_code
from clustersim.analysis.samples import Sample
from clustersim.analysis.submitted import Submitted
from clustersim.analysis.unfinished_work import SQUARE, UnfinishedWork, stationary_name, work_name
from clustersim.analysis.wait_metrics import SERIES
from clustersim.analysis.warm_up import mser5, series_bins
from clustersim.array_types import Bools, Floats
from clustersim.calendar import period_ends_s
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, shown
from clustersim.scenario.dates import instant_s
from clustersim.scenario.run_controls import RunControls
from clustersim.simulation.result import Result
from clustersim.units import format_duration, parse_quantity
from clustersim.workload.named_groups import Groups, group_mask

__all__ = ["Measured", "PluginError", "fleet_facts", "measure", "period_metrics"]


class PluginError(InputError):
    """Raised if a user-defined metric fails; it stops the study."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a run.

    Attributes
    ----------
    metrics : dict of str to float
        Values by metric name; see :mod:`clustersim.analysis.metrics`.
    series : float64 array (bins,)
        Mean wait (seconds) of at most 100 consecutive equal groups of jobs; it shows how the run
        approaches its steady state.
    samples : dict of str to Sample
        Distributions over the measured jobs by name: those that metrics describe, the unfinished
        work before each job, its stationary distribution, and the squares of the jobs' work (see
        :mod:`~clustersim.analysis.unfinished_work`).
    """

    metrics: dict[str, float]
    series: Floats
    samples: dict[str, Sample]


def fleet_facts(view: FleetView, *, plugins: Sequence[str] = ()) -> dict[str, float]:
    """Return the metrics of a fleet that are known before a run, in total and for each pool.

    Parameters
    ----------
    view : FleetView
    plugins : sequence of str
        Plugin files whose metrics are also computed.
    """
    facts: dict[str, float] = {}
    for constant in (True, False):
        known = [each for each in _known(plugins) if each.of_fleet and each.constant is constant]
        for each in known:
            facts |= _values(each, each.of_fleet, view)
        for each in known:
            facts |= _values_by_pool(each, view)
    return facts


def measure(
    result: Result,
    *,
    warm_up: float | str = 0.25,
    cool_down: float | str = 0.1,
    periods: int | None = None,
    catalogue: Catalogue | None = None,
    plugins: Sequence[str] = (),
    groups: Groups | None = None,
    unfinished: UnfinishedWork | None = None,
    controls: RunControls | None = None,
    asked: Sequence[str] = (),
) -> Measured:
    """Measure the steady part of a result and the periods of its horizon.

    Parameters
    ----------
    result : Result
        Result of a run that ended with its last job or at its horizon.
    warm_up : float or str
        Part to exclude at the start: a share of the jobs, a duration, all jobs before a time
        (``"at 86400.0 s"``), or ``"mser-5"`` (White, Cobb
        & Spratt, "A comparison of five steady-state truncation heuristics for simulation", 2000).
    cool_down : float or str
        Part to exclude at the end, where no later jobs compete with the last ones: a share of the
        jobs, a duration, or all jobs after a time.
    periods : int, optional
        Number of periods of the scenario's horizon that are also measured, regardless of warm-up
        and cool-down; see :func:`~clustersim.calendar.period_ends_s`.
    catalogue : Catalogue, optional
        Catalogue of the models that the jobs name; by default the built-in one.
    plugins : sequence of str
        Plugin files whose metrics are also measured.
    groups : mapping, optional
        Groups of jobs for which statistics over the jobs are also measured, as ``NAME.GROUP``; see
        :mod:`clustersim.workload.named_groups`.  They are NaN if no measured job belongs to the
        group.
    unfinished : UnfinishedWork, optional
        Unfinished work before each job.
    controls : RunControls, optional
        What arrived, was delivered and failed, with its expectation.
    asked : sequence of str
        Metrics on request that are also measured; see
        :func:`~clustersim.analysis.metrics.on_request`.

    Raises
    ------
    InputError
        If no job is left to measure, no measured job has finished, or `periods` is given without a
        horizon.
    PluginError
        If a user-defined metric fails or does not return a number.

    Notes
    -----
    A job that had not started when the run stopped counts with its wait until then, which is a
    lower bound; `censored` is the share of such jobs.  In the wait over all
    attempts, a job that was stopped and is waiting again also counts with its wait until then.  A
    job that had not finished is excluded from JCT and slowdown; `unfinished` is the share of such
    jobs.  JCT and slowdown are then underestimated,
    because long jobs are excluded more often.  The slowdown is the JCT divided by the time for
    which a job held accelerators in all its attempts, so waits between attempts count as waits; see
    :mod:`clustersim.simulation.metrics`.  Energy, carbon and costs refer to the whole run, not to
    the window.  Energy, electricity and carbon are NaN without the key ``energy``; the other
    costs are NaN without the key ``money``.
    """
    run = MeasuredRun(result, catalogue, unfinished, controls)
    jobs = run.submitted
    first, reached = _warm_up(jobs, warm_up)
    last = _cool_down(jobs, cool_down)
    if not jobs.runnable[first:last].any():
        raise InputError(
            "window",
            f"none of the {len(jobs.submit_s):,} jobs is left to measure (warm-up: {first:,} jobs)",
        )
    begin_s, end_s = float(jobs.submit_s[first]), float(jobs.submit_s[last - 1])
    part = Part(run, first, last, begin_s, end_s, warm_up_reached=reached)
    if not part.finished.any():
        raise InputError("window", "none of the measured jobs had finished at the horizon")
    metrics: dict[str, float] = {}
    known = _known(plugins, asked)
    for each in known:
        if each.compute is not None:
            metrics |= _values(each, each.compute, part) | _values_by_pool(each, part)
    own_series = {each.of_jobs[0] for each in known if each.on_request and each.of_jobs}
    series_of = dict(SERIES) | {name: ON_REQUEST[name] for name in own_series & set(ON_REQUEST)}
    samples = _samples(part, series_of) | _surplus_samples(part)
    masks = _group_masks(run, groups or {})
    for name, mask in masks.items():
        own = replace(part, group=mask)
        metrics |= _values_of_group(name, own, known)
        samples |= {f"{key}.{name}": Sample.of(series(own)) for key, series in series_of.items()}
    if periods is not None:
        horizon_s = _horizon_s(run)
        metrics |= _period_metrics(run, periods, horizon_s, known)
        metrics |= _periods_of_groups(run, periods, horizon_s, masks, known)
        for period, of_period in _parts(run, periods, horizon_s):
            samples |= _surplus_samples(of_period, period)
    return Measured(metrics, series_bins(jobs.wait_s[jobs.runnable]), samples)


def _group_masks(run: MeasuredRun, groups: Groups) -> dict[str, Bools]:
    """Return which of the submitted jobs belong to each group."""
    jobs = run.result.jobs
    submitted = jobs[jobs["submit_s"] <= run.submitted.end_s] if groups else jobs
    return {name: group_mask(submitted, name, where) for name, where in groups.items()}


def _values_of_group(
    group: str, part: Part, known: Sequence[Metric], period: int | None = None
) -> dict[str, float]:
    """Return the statistics over the jobs of a group, which are those of the part, by name."""
    found: dict[str, float] = {}
    for each in known:
        if each.by_group and (period is None or each.per_period):
            compute = each.compute if period is None else each.of_period or each.compute
            value = _values(each, compute, part)[each.name]
            name = f"{each.name}.{group}"
            found[name if period is None else in_period(name, period)] = value
    return found


def _periods_of_groups(
    run: MeasuredRun,
    periods: int,
    horizon_s: float,
    masks: Mapping[str, Bools],
    known: Sequence[Metric],
) -> dict[str, float]:
    found: dict[str, float] = {}
    for period, part in _parts(run, periods, horizon_s) if masks else ():
        for name, mask in masks.items():
            found |= _values_of_group(name, replace(part, group=mask), known, period)
    return found


def _surplus_samples(part: Part, period: int | None = None) -> dict[str, Sample]:
    """Return the surplus of each class as the mean of a sample without values."""
    if part.run.controls is None:
        return {}
    found = part.run.controls.surplus_by_class(part.first, part.last, part.begin_s, part.end_s)
    return {
        surplus_name(name, period): Sample(0, np.empty(0), surplus)
        for name, surplus in found.items()
    }


def _samples(part: Part, series_of: Mapping[str, Callable[[Part], Floats]]) -> dict[str, Sample]:
    samples = {name: Sample.of(series(part)) for name, series in series_of.items()}
    unfinished, speeds = part.run.unfinished, part.speeds
    if unfinished is not None and speeds:
        for speed in speeds:
            before_s = part.of_measured(unfinished.before_s[speed])
            samples[work_name(speed)] = Sample.of(before_s)
            samples[stationary_name(speed)] = unfinished.stationary[speed].sample
        samples[SQUARE] = Sample.of(part.of_measured(unfinished.work_s**2))
        samples[f"expected_{SQUARE}"] = Sample(0, np.empty(0), unfinished.mean_square_s2)
    return samples


def _known(plugins: Sequence[str], asked: Sequence[str] = ()) -> list[Metric]:
    """Return the built-in metrics and the metrics of the given plugin files.

    Those on request are left out unless they, or the metrics whose interval they bound, are asked
    for.
    """
    own = [each for plugin in load_plugins(plugins) for each in plugin.of(METRICS)]
    wanted = {f"{name}{end}" for name in asked for end in ("", *ENDS)}
    every = [*METRICS.built_in.values(), *own]
    return [each for each in every if not each.on_request or each.name in wanted]


def _horizon_s(run: MeasuredRun) -> float:
    horizon = run.result.provenance.get("scenario", {}).get("horizon")
    if horizon is None:
        raise InputError("window", "periods: the scenario needs a `horizon`, such as 365 d")
    return parse_quantity(horizon, "duration")


def _parts(run: MeasuredRun, periods: int, horizon_s: float) -> Iterator[tuple[int, Part]]:
    """Yield each period of a horizon, from 1; its jobs are those submitted in it."""
    ends = period_ends_s(horizon_s, periods, run.result.calendar)
    for period, (begin_s, end_s) in enumerate(itertools.pairwise(ends), 1):
        first, last = np.searchsorted(run.submitted.submit_s, (begin_s, end_s))
        yield period, Part(run, int(first), int(last), begin_s, end_s)


def period_metrics(
    run: MeasuredRun, *, periods: int, horizon_s: float, plugins: Sequence[str] = ()
) -> dict[str, float]:
    """Measure each period of a horizon; see `period_ends_s` for the boundaries of the periods.

    Parameters
    ----------
    run : MeasuredRun
    periods : int
    horizon_s : float
    plugins : sequence of str
        Plugin files whose metrics are also measured.

    Returns
    -------
    dict of str to float
        Values by the name that :func:`~clustersim.analysis.metrics.in_period` returns; NaN if there
        is nothing to measure.  The jobs of a period are the jobs submitted in the period.
    """
    return _period_metrics(run, periods, horizon_s, _known(plugins))


def _period_metrics(
    run: MeasuredRun, periods: int, horizon_s: float, metrics: Sequence[Metric]
) -> dict[str, float]:
    known = period_order(each for each in metrics if each.per_period)
    found: dict[str, float] = {}
    for period, part in _parts(run, periods, horizon_s):
        values: dict[str, float] = {}
        for each in known:
            values |= _values(each, each.of_period or each.compute, part)
            values |= _values_by_pool(each, part)
        found |= {in_period(name, period): value for name, value in values.items()}
    return found


def _values(each: Metric, compute: Callable[..., float] | None, of: Any) -> dict[str, float]:
    """Return a dict that maps the name of a metric to its value."""
    assert compute is not None, "a metric has compute or of_fleet"
    if not each.file:
        return {each.name: compute(of)}
    return {each.name: _number(each, each.name, _called(each, compute, of))}


def _values_by_pool(each: Metric, of: Any) -> dict[str, float]:
    """Return the values of a metric by ``METRIC.POOL``; empty if it has no values by pool."""
    if each.by_pool is None:
        return {}
    if not each.file:
        return {f"{each.name}.{pool}": value for pool, value in each.by_pool(of).items()}
    values = _called(each, each.by_pool, of)
    if not isinstance(values, Mapping):
        problem = f"by_pool must return a mapping of pools to numbers, found {shown(values)}"
        raise PluginError(each.file, f"metric {each.name!r}: {problem}")
    names = {f"{each.name}.{pool}": value for pool, value in values.items()}
    return {name: _number(each, name, value) for name, value in names.items()}


def _called(each: Metric, compute: Callable[[Any], Any], of: Any) -> Any:
    """Call a user's function; an error names the line at which it failed."""
    with users_code(each.file, f"metric {each.name!r}", PluginError):
        return compute(of)


def _number(each: Metric, name: str, value: Any) -> float:
    """Return the value of a user-defined metric, which must be a finite number or NaN."""
    if isinstance(value, numbers.Real) and not math.isinf(value):
        return float(value)
    problem = f"must return a finite number or NaN, found {shown(value)}"
    raise PluginError(each.file, f"metric {name!r}: {problem}")


def _warm_up(jobs: Submitted, warm_up: float | str) -> tuple[int, bool]:
    """Return the index of the first measured job, and whether a steady state begins there."""
    if warm_up == "mser-5":
        order = np.flatnonzero(jobs.runnable)
        found = mser5(jobs.wait_s[order])
        at = order[found.n] if found.n < len(order) else len(jobs.submit_s) - 1
        return int(at), found.reached
    if isinstance(warm_up, str):
        at_s = instant_s(warm_up)
        since = jobs.submit_s[0] + parse_quantity(warm_up, "duration") if at_s is None else at_s
        first = int(np.searchsorted(jobs.submit_s, since))
        if first == len(jobs.submit_s):
            after = format_duration(float(jobs.submit_s[-1] - jobs.submit_s[0]))
            last = f"the last job is submitted {after} after the first"
            raise InputError("window", f"warm_up: {warm_up} leaves no job to measure; {last}")
        return first, True
    return int(len(jobs.submit_s) * warm_up), True


def _cool_down(jobs: Submitted, cool_down: float | str) -> int:
    """Return the exclusive end index of the measured jobs."""
    n_jobs = len(jobs.submit_s)
    if isinstance(cool_down, str):
        at_s = instant_s(cool_down)
        last_s = float(jobs.submit_s[-1])
        until = last_s - parse_quantity(cool_down, "duration") if at_s is None else at_s
        return max(1, int(np.searchsorted(jobs.submit_s, until, side="right")))
    return max(1, int(n_jobs * (1 - cool_down)))
