"""What is wrong with a study file as a whole: fields that do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.errors import nearest_hint, unknown_name
from clustersim.studies.measures import METRICS, is_metric
from clustersim.studies.periods import PERIOD_METRICS, in_period, period_of
from clustersim.studies.points import is_fact
from clustersim.studies.spec import Plot, Range, Replications, StudySpec
from clustersim.studies.values import Scalar

__all__ = ["pool_faults", "study_faults"]


def study_faults(spec: StudySpec) -> list[str]:
    """Return what is wrong with a study whose fields are in order by themselves, one line each."""
    faults = [
        *_path_faults(spec),
        *_sample_faults(spec),
        *_capacity_faults(spec),
        *_comparison_faults(spec),
        *_period_faults(spec),
        *_plot_faults(spec),
    ]
    known = [*_parameters(spec), *METRICS, "capacity"]
    faults += [
        f"labels: {unknown_name('parameter or metric', name, known)}"
        for name in spec.labels
        if name not in known and not is_metric(name)
    ]
    return faults


def pool_faults(spec: StudySpec, pools: set[str]) -> list[str]:
    """Return a line for each metric of a pool that no point of the study has."""
    return [
        f"{field}: {name}: {unknown_name('pool', pool, pools)}"
        for field, name in spec.named_metrics
        if is_metric(name) and (pool := period_of(name)[0].partition(".")[2]) not in {*pools, ""}
    ]


def _parameters(spec: StudySpec) -> list[str]:
    return list(dict.fromkeys(path for _, path in spec.named_paths))


def _path_faults(spec: StudySpec) -> Iterator[str]:
    paths = spec.varied
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"parameters: {path} varies twice"
    for field, path in spec.named_paths:
        if path in ("replication", "seed"):
            yield f"{field}: {path} is what `replications` varies"
        if path in ("name", "description"):
            yield f"{field}: {path} is for readers; no result depends on it"
        for fixed in spec.set:
            if fixed == path:
                yield f"set: {fixed} has no effect, for it varies under {field}"
            elif fixed.startswith(f"{path}."):
                yield f"set: {fixed} has no effect, for all of {path} varies under {field}"
    if spec.worlds and "performance.draw" in paths:
        yield "worlds: performance.draw is a parameter already"
    if not paths and spec.capacity is None:
        yield "parameters: nothing varies; `clustersim run` runs one scenario"


def _sample_faults(spec: StudySpec) -> Iterator[str]:
    drawn = spec.sampled
    if spec.sample is None:
        for path in drawn:
            yield f"parameters.{path}: give the range steps, or say how to `sample` it"
        return
    if not drawn:
        yield "sample: there is no range without steps to be drawn"
    if spec.sample.method == "sobol-indices":
        if len(drawn) == 1:
            yield f"sample: sobol-indices need two or more ranges without steps, found {drawn[0]}"
        if spec.capacity is not None:
            yield "sample: sobol-indices do not go with a capacity search"
        for path in drawn:
            values = spec.parameters[path]
            if isinstance(values, Range) and values.whole:
                yield (
                    f"parameters.{path}: sobol-indices need fractions, found whole numbers; write "
                    f"{values.begin}.0 and {values.end}.0 if fractions will do"
                )


def _capacity_faults(spec: StudySpec) -> Iterator[str]:
    if spec.capacity is None:
        return
    if spec.objective is None:
        yield "capacity: needs an objective, such as objective: {metric: p95_wait_s, at_most: 1 h}"
    if isinstance(spec.replications, Replications):
        yield "replications: a capacity search needs a fixed number of them"
    elif spec.replications == 1:
        yield "replications: a capacity search needs two or more, found 1"
    for value in spec.listed(spec.capacity.of):
        if isinstance(value, (bool, str)):
            yield f"parameters.{spec.capacity.of}: is searched and needs numbers, found {value!r}"


def _comparison_faults(spec: StudySpec) -> Iterator[str]:
    compare = spec.compare
    if compare is None:
        return
    if compare.of not in spec.varied:
        yield f"compare.of: {unknown_name('parameter', compare.of, spec.varied)}"
        return
    listed = spec.listed(compare.of)
    if not listed:
        yield f"compare.of: {compare.of} is a range; systems that are compared are listed"
    elif not any(_same(value, compare.baseline) for value in listed):
        yield f"compare.baseline: {unknown_name('value', compare.baseline, map(str, listed))}"
    elif len(listed) == 1:
        yield f"compare.of: {compare.of} has one value, {listed[0]!r}; nothing to compare it with"
    if spec.capacity is not None and compare.of == spec.capacity.of:
        yield f"compare.of: {compare.of} is what the capacity search varies"


def _period_faults(spec: StudySpec) -> Iterator[str]:
    count = len(spec.window.period_names)
    for field, name in spec.named_metrics:
        period = period_of(name)[1]
        if period is not None and not count:
            yield f"{field}: {name} needs window: {{periods: {max(4, period)}}}"
        elif period is not None and period > count:
            yield f"{field}: {name}: there are {count} periods"
    if count and spec.capacity is not None:
        yield (
            "window.periods: do not go with a capacity search, which looks for a steady state; "
            "leave one of them out"
        )


def _same(one: Scalar, other: Scalar) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


_NEEDED = {
    "curve": ("x",),
    "periods": ("y",),
    "capacity": ("x",),
    "trade-off": ("x", "y"),
    "heat-map": ("x", "y"),
}
_TAKEN = {
    "curve": ("x", "y", "by"),
    "periods": ("y", "by"),
    "capacity": ("x", "y", "by"),
    "differences": ("x", "y"),
    "trade-off": ("x", "y", "by"),
    "heat-map": ("x", "y", "value"),
    "indices": ("y",),
    "warm-up": (),
}
"""Fields that a kind of plot needs, and all that it takes."""


def _plot_faults(spec: StudySpec) -> Iterator[str]:
    for index, plot in enumerate(spec.plots):
        given = plot.named
        where = f"plots[{index}]"
        for fault in _study_lacks(spec, plot):
            yield f"{where}: {fault}"
        for field in _NEEDED.get(plot.kind, ()):
            if field not in given:
                yield f"{where}.{field}: is required but absent"
        for field in given:
            if field not in _TAKEN[plot.kind]:
                takes = ", ".join(_TAKEN[plot.kind]) or "none of x, y, by and value"
                yield f"{where}.{field}: does not go with {plot.kind}, which takes {takes}"
        for field, names in given.items():
            if field in _TAKEN[plot.kind]:
                for name in names:
                    for fault in _name_faults(spec, plot, field, name):
                        yield f"{where}.{field}: {fault}"


def _study_lacks(spec: StudySpec, plot: Plot) -> Iterator[str]:
    """What else a kind of plot needs of the study."""
    if plot.kind == "capacity" and spec.capacity is None:
        yield "a plot of capacity needs the search `capacity`"
    if plot.kind == "periods" and spec.window.periods is None:
        yield "a plot of periods needs window: {periods: 4}"
    if plot.kind == "differences" and spec.compare is None:
        yield "a plot of differences needs `compare`"
    if plot.kind == "indices" and (spec.sample is None or spec.sample.method != "sobol-indices"):
        yield "a plot of indices needs sample: {method: sobol-indices}"
    if plot.kind == "heat-map" and len(plot.ys) > 1:
        yield f"a heat map has one parameter as y, found {', '.join(plot.ys)}"


def _name_faults(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    """What is wrong with a name in a field of a plot."""
    kind, search = plot.kind, spec.capacity
    if field == "by" or (kind == "heat-map" and field != "value"):
        yield from _unknown("parameter", name, _beside(spec, plot))
    elif kind == "capacity" and field == "y":
        yield from _unknown("value", name, ["capacity", "jobs_per_day"])
    elif kind == "indices":
        yield from _unknown("metric", name, spec.metrics)
    elif kind == "differences" and field == "y":
        compared = spec.compare.metrics if spec.compare else []
        yield from _unknown("metric", name, compared or spec.metrics)
    elif kind == "differences":
        of = spec.compare.of if spec.compare else ""
        yield from _unknown("parameter", name, [p for p in _parameters(spec) if p != of])
    elif kind == "capacity" or (kind == "trade-off" and search is not None):
        facts = [metric for metric in METRICS if is_fact(metric)]
        known = [*_beside(spec, plot), *facts]
        known += ["capacity", "jobs_per_day"] if kind == "trade-off" else []
        if not is_fact(name):
            yield from _unknown("parameter or fact of the fleet", name, known)
    elif kind == "periods":
        if not is_metric(in_period(name, 1)):
            yield from _unknown("metric of a period", name, list(PERIOD_METRICS))
    elif not is_metric(name):
        known = list(METRICS) if field in ("y", "value") else [*_parameters(spec), *METRICS]
        yield from _unknown(
            "metric" if field in ("y", "value") else "parameter or metric", name, known
        )


def _beside(spec: StudySpec, plot: Plot) -> list[str]:
    """Parameters that tables for a plot have: of capacities, not the one that was searched."""
    of_capacities = plot.kind in ("capacity", "trade-off") and spec.capacity is not None
    searched = spec.capacity.of if of_capacities and spec.capacity is not None else None
    return [path for path in _parameters(spec) if path != searched]


def _unknown(kind: str, name: str, known: list[str]) -> Iterator[str]:
    if name not in known:
        yield f"unknown {kind} {name!r}; {nearest_hint(name, known)}"
