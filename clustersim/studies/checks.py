"""Checks of a study file as a whole: fields that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from clustersim.analysis.metrics import group_of, is_metric, metric_names, period_of, pool_of
from clustersim.analysis.values import Scalar
from clustersim.errors import shown, unknown_name
from clustersim.studies.plot_kinds import check_plots, parameters_of
from clustersim.studies.spec import Range, Replications, StudySpec
from clustersim.units import listed
from clustersim.workload.named_groups import group_problems

__all__ = ["check_groups", "check_pools", "check_study"]


def check_study(spec: StudySpec) -> list[str]:
    """Return the problems of a study whose individual fields are valid, one line each."""
    problems = [
        *_check_path(spec),
        *_check_sample(spec),
        *_check_capacity(spec),
        *_check_comparison(spec),
        *_check_rule(spec),
        *_check_period(spec),
        *_check_groups(spec),
        *check_plots(spec),
    ]
    known = [*parameters_of(spec), *metric_names(), "capacity"]
    problems += [
        f"labels: {unknown_name('parameter or metric', name, known)}"
        for name in spec.labels
        if name not in known and not is_metric(name)
    ]
    return problems


def check_pools(spec: StudySpec, pools: set[str]) -> list[str]:
    """Return one line for each metric that names a pool which no point of the study has."""
    return [
        f"{field}: {name}: {unknown_name('pool', pool, pools)}"
        for field, name in spec.named_metrics
        if is_metric(name) and (pool := pool_of(name)) not in {*pools, ""}
    ]


def check_groups(spec: StudySpec, jobs: pd.DataFrame, classes: Iterable[str] = ()) -> Iterator[str]:
    """Yield one line for each metric of a group of jobs that no job of the study can belong to.

    Parameters
    ----------
    spec : StudySpec
    jobs : pandas.DataFrame
        Jobs of the scenario.
    classes : iterable of str
        Job classes of the workload model.
    """
    for group, problem in group_problems(jobs, spec.measured_groups, classes):
        named = (
            f"{field}: {name}" for field, name in spec.named_metrics if group_of(name) == group
        )
        where = f"groups.{group}" if group in spec.groups else next(named)
        yield f"{where}: {problem}"


def _check_path(spec: StudySpec) -> Iterator[str]:
    paths = spec.varied
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"parameters: {path} is listed more than once"
    for field, path in spec.named_paths:
        if path in ("replication", "seed"):
            yield f"{field}: {path} must not be a parameter; `replications` varies it"
        if path in ("name", "description"):
            yield f"{field}: {path} is descriptive text; no result depends on it"
        if path == "plugins":
            yield f"{field}: {path} cannot vary; list the files under `plugins` of the study"
        for fixed in spec.set:
            if fixed == path:
                yield f"set: {fixed} has no effect, because it varies under {field}"
            elif fixed.startswith(f"{path}."):
                yield f"set: {fixed} has no effect, because {path} varies as a whole under {field}"
    if "plugins" in spec.set:
        yield "set: plugins cannot be set; list them under `plugins` of the study, or use --plugins"
    if spec.draws and "performance.draw" in paths:
        yield "draws: performance.draw is already a parameter; remove one of them"
    counted = spec.replications
    least = counted if isinstance(counted, int) else counted.least
    if spec.draws > least and spec.capacity is None:
        yield (
            f"draws: must be at most the number of replications ({least}), because replication k "
            f"is repeated with draw k, found {spec.draws}"
        )
    if not paths and spec.capacity is None:
        yield "parameters: nothing varies; use `clustersim run` for a single scenario"


def _check_sample(spec: StudySpec) -> Iterator[str]:
    drawn = spec.sampled
    if spec.sample is None:
        for path in drawn:
            yield f"parameters.{path}: the range needs `steps`, or a `sample:` to draw its values"
        return
    if not drawn:
        yield "sample: no parameter is a range without `steps`, so there is nothing to draw"
    if spec.sample.method == "sobol-indices":
        if len(drawn) == 1:
            yield f"sample: sobol-indices need two or more ranges without steps, found {drawn[0]}"
        if spec.capacity is not None:
            yield "sample: sobol-indices cannot be combined with a capacity search"
        for path in drawn:
            values = spec.parameters[path]
            if isinstance(values, Range) and values.whole:
                yield (
                    f"parameters.{path}: sobol-indices need fractions, found whole numbers; write "
                    f"{values.begin}.0 and {values.end}.0 if fractions are acceptable"
                )


def _check_capacity(spec: StudySpec) -> Iterator[str]:
    if spec.capacity is None:
        return
    if spec.objective is None:
        yield "capacity: needs an objective, such as objective: {metric: p95_wait_s, at_most: 1 h}"
    if isinstance(spec.replications, Replications):
        if spec.replications.metric != Replications.model_fields["metric"].default:
            yield (
                "replications.metric: remove it; in a capacity search, relative_width is the width "
                "of the capacity's interval"
            )
    elif spec.replications == 1:
        yield "replications: a capacity search needs two or more, found 1"
    for value in spec.listed(spec.capacity.of):
        if isinstance(value, (bool, str)):
            yield (
                f"parameters.{spec.capacity.of}: the capacity search needs numbers, "
                f"found {shown(value)}"
            )


def _check_comparison(spec: StudySpec) -> Iterator[str]:
    compare = spec.compare
    if compare is None:
        return
    if compare.of not in spec.varied:
        yield f"compare.of: {unknown_name('parameter', compare.of, spec.varied)}"
        return
    listed = spec.listed(compare.of)
    if not listed:
        yield f"compare.of: {compare.of} is a range; list the values to compare"
    elif not any(_same(value, compare.baseline) for value in listed):
        yield f"compare.baseline: {unknown_name('value', compare.baseline, map(str, listed))}"
    elif len(listed) == 1:
        yield f"compare.of: {compare.of} has only one value, {listed[0]!r}; list two or more"
    else:
        yield from _check_pairs(spec, compare.of)
    if spec.capacity is not None and compare.of == spec.capacity.of:
        yield f"compare.of: {compare.of} must not be the parameter of the capacity search"


def _check_pairs(spec: StudySpec, of: str) -> Iterator[str]:
    """Check that points exist that differ in the compared parameter alone."""
    for group in spec.paired:
        others = [path for path in group if path != of]
        if of not in group or not others:
            continue
        rest = [tuple(map(str, row)) for row in zip(*(group[path] for path in others), strict=True)]
        if len(set(rest)) == len(rest):
            what = f"{listed(others)} {'advances' if len(others) == 1 else 'advance'}"
            yield (
                f"compare.of: no two points differ in {of} alone, because {what} with it "
                "(paired); define the systems as cases of the base scenario and compare `case`"
            )


def _check_rule(spec: StudySpec) -> Iterator[str]:
    """Check that a stopping rule for a difference has a difference."""
    rule, compare = spec.replications, spec.compare
    if not isinstance(rule, Replications) or rule.of != "difference":
        return
    if compare is None:
        yield (
            "replications.of: a difference needs `compare`, such as compare: {of: "
            "scheduler.policy, baseline: fcfs}"
        )
        return
    compared = compare.metrics or spec.metrics
    if spec.capacity is None and rule.metric not in compared:
        field = "compare.metrics" if compare.metrics else "metrics"
        yield (
            f"replications.metric: {rule.metric} is not compared; add it to {field}, or choose one "
            f"of {', '.join(compared)}"
        )


def _check_period(spec: StudySpec) -> Iterator[str]:
    count = len(spec.window.period_names)
    for field, name in spec.named_metrics:
        period = period_of(name)[1]
        if period is not None and not count:
            yield f"{field}: {name} needs window: {{periods: {max(4, period)}}}"
        elif period is not None and period > count:
            yield f"{field}: {name}: window.periods has only {count} periods"
    if count and spec.capacity is not None:
        yield (
            "window.periods: cannot be combined with a capacity search, which needs a steady "
            "state; remove one of them"
        )


def _check_groups(spec: StudySpec) -> Iterator[str]:
    named = spec.measured_groups
    for name in spec.groups:
        if "@" in name:
            yield f"groups: {name}: a name must not contain @, which precedes a period"
        elif name not in named:
            yield f"groups: {name} has no effect; name it in a metric, such as p95_wait_s.{name}"


def _same(one: Scalar, other: Scalar) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
