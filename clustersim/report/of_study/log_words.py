"""Sentences on studies of a log: work that waits at its end, and replications that are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from clustersim.analysis.steady import LARGE_BACKLOG
from clustersim.plots.axis import Axis, axis_of
from clustersim.report.of_study.places import places_in_words
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.study_result import StudyResult
from clustersim.units import format_percent

__all__ = ["log_sentences"]


def log_sentences(
    result: StudyResult, finished: pd.DataFrame, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield the points at which work of a log waits when its last job is submitted."""
    if not result.of_log or "backlog_at_end" not in finished:
        return
    own = finished[finished["draw"] == POSTERIOR_MEAN]
    left = own.groupby("point")["backlog_at_end"].mean()
    points = result.points
    chosen = points[points["point"].map(left).fillna(0.0) > LARGE_BACKLOG]
    if len(chosen):
        rows = chosen.to_dict("records")
        places = places_in_words(result, rows, points.to_dict("records"), axes)
        most = format_percent(float(left.max()))
        yield (
            f"Backlog at the end of the log{f' ({places})' if places else ''}: up to {most} of its "
            "work waits when its last job is submitted. All these jobs end, and their waits count, "
            "but a longer log could show longer waits."
        )
    yield from _periods_that_meet(result, own, axes)
    if own["replication"].nunique() > 1 and _repeats(own):
        yield (
            "All replications have the same jobs, so the intervals have no width: the log is too "
            "short to draw its days again, or workload.resample is none."
        )


def _periods_that_meet(
    result: StudyResult, runs: pd.DataFrame, axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield in how many of the periods the objective of a search is met at each value.

    A period without a value of the metric, for example without jobs of a group, does not count.
    """
    spec = result.study.spec
    if spec.capacity is None or spec.objective is None or runs["replication"].nunique() < 2:
        return
    of, metric = spec.capacity.of, spec.objective.metric
    if result.parameters != [of] or metric not in runs:
        return
    axis = axes.get(of, axis_of(of))
    known = runs[runs[metric].notna()]
    met = known[metric] <= spec.objective.limit
    values = known[of].astype(float)
    counts = [
        f"{int(met[values == at].sum())} of {int((values == at).sum())} at {axis.text(at)}"
        for at in sorted(values.unique().tolist())
    ]
    if not counts:
        return
    drawn = "log_blocks" not in runs or bool((runs["log_blocks"] != 0).any())
    what = "Periods" if drawn else "Replications"
    which = " (the log as it happened, and drawn ones)" if drawn else ""
    yield f"{what} that meet the objective, by {axis.label}: {', '.join(counts)}{which}."


def _repeats(runs: pd.DataFrame) -> bool:
    """Return whether all replications of every point have the same numbers."""
    names = [name for name in ("mean_wait_s", "utilisation", "makespan_s") if name in runs]
    return bool((runs.groupby("point")[names].nunique() <= 1).all(axis=None))
