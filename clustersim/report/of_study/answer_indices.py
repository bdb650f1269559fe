"""The answer card and the findings of a study of Sobol indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import place_in_words
from clustersim.report.amounts import percent
from clustersim.report.answer_parts import failures
from clustersim.report.page import Answer
from clustersim.studies.points import groups_by
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, format_percent, listed

__all__ = ["answer_of_indices", "index_sentences", "metric_of_indices"]

_MOST_PARAMETERS = 3
_VAGUE = 0.5
"""An interval of a share that is wider than this contains almost no information."""

Groups = list[tuple[str, pd.DataFrame]]


def metric_of_indices(result: StudyResult) -> str:
    """Return the first metric with known indices; "" if there is none."""
    table = result.indices
    if table is None:
        return ""
    return next(map(str, table.loc[table["total"].notna(), "metric"]), "")


def _groups(result: StudyResult, rows: pd.DataFrame, axes: Mapping[str, Axis]) -> Groups:
    """Return the indices for each combination of the parameters that were not drawn."""
    others = [name for name in result.parameters if name in rows]
    found = []
    for values, own in groups_by(rows, others):
        ordered = own.sort_values("total", ascending=False, kind="stable")
        found.append((place_in_words(result, values, axes), ordered))
    return found


def answer_of_indices(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study of Sobol indices, for its first metric with indices."""
    table, metric = result.indices, metric_of_indices(result)
    assert table is not None
    groups = _groups(result, table[table["metric"] == metric], axes)
    unknown = [place for place, own in groups if own["total"].isna().all()]
    known = [(place, own.dropna(subset=["total"])) for place, own in groups]
    known = [(place, own) for place, own in known if len(own)]
    label = _label(metric, axes)
    named = "; ".join(
        f"{f'{place}: ' if place else ''}{_ranking(own, axes)}" for place, own in known
    )
    means = pd.concat([own for _, own in known]).groupby("parameter", sort=False)["total"].mean()
    leading = str(means.idxmax())
    first = [(place, own[own["parameter"] == leading].to_dict("records")) for place, own in known]
    leaders = [(place, rows[0]) for place, rows in first if rows]
    leaders.sort(key=lambda leader: float(leader[1]["total"]))
    ends = leaders if len(leaders) == 1 else [leaders[0], leaders[-1]]
    name = _label(leading, axes)
    over = f", over {len(leaders)} combinations of the other parameters" if len(ends) > 1 else ""
    return Answer(
        f"What matters most for {label}: {named}, each with its interactions.",
        f"share of the variance of {label} that involves {name}{over}",
        _range(*(float(row["total"]) for _, row in (ends[0], ends[-1]))),
        "; ".join(
            f"{f'{place}: ' if len(ends) > 1 else ''}{_interval(row)}" for place, row in ends
        ),
        (*_hinges(leaders, name), *_left_out(result, metric, unknown, axes), *failures(result)),
        (_next(known, leading, name),),
    )


def _ranking(own: pd.DataFrame, axes: Mapping[str, Axis]) -> str:
    rows = own.head(_MOST_PARAMETERS).to_dict("records")
    return ", ".join(
        f"{_label(row['parameter'], axes)} ({format_percent(float(row['total']), 0)})"
        for row in rows
    )


def _interval(row: Mapping[Any, Any]) -> str:
    ends = _range(float(row["total_low"]), float(row["total_high"]))
    return f"95 % bootstrap interval {ends}"


def _range(low: float, high: float) -> str:
    first, last = (format_percent(end, 0) for end in (low, high))
    return last if first == last else f"{first.removesuffix(' %')} to {last}"


def _hinges(leaders: Sequence[tuple[str, Mapping[Any, Any]]], name: str) -> Iterator[str]:
    """Yield what the leading parameter explains alone."""
    shares = [
        f"{format_percent(float(row['first']), 0)} of the variance"
        f"{f' ({place})' if len(leaders) > 1 else ''}"
        for place, row in leaders
    ]
    yield f"Interactions: without them, {name} explains {listed(shares)}."


def _left_out(
    result: StudyResult, metric: str, unknown: Sequence[str], axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield which metrics and combinations have no indices."""
    table = result.indices
    assert table is not None
    names = list(dict.fromkeys(map(str, table["metric"])))
    before = names[: names.index(metric)]
    if before:
        which = listed([_label(name, axes) for name in before])
        yield (
            f"Without an answer: {which}. Its variance could not be attributed, because it did "
            "not vary or has no value at overloaded points."
        )
    if unknown:
        yield f"Without an answer: {listed(unknown)}. The variance could not be attributed there."


def _next(known: Groups, leading: str, name: str) -> str:
    """Return what to do next: a larger sample, or to decide the leading parameter."""
    rows = pd.concat([own for _, own in known])
    own = rows[rows["parameter"] == leading]
    if ((own["total_high"] - own["total_low"]) > _VAGUE).any():
        return "Draw a larger sample: the interval is too wide to rank the parameters."
    part = "most" if (own["total"] > 0.5).all() else "the largest part"
    return f"Measure or decide {name} first: it causes {part} of the uncertainty."


def _label(name: Any, axes: Mapping[str, Axis]) -> str:
    return axes.get(str(name), axis_of(str(name))).label


def index_sentences(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    """Yield the Sobol indices of each metric in sentences."""
    table = result.indices
    if table is None:
        return
    for metric, rows in table.groupby("metric", sort=False):
        label = _label(metric, axes)
        for place, ordered in _groups(result, rows, axes):
            where = f"{place}: " if place else ""
            if ordered["total"].isna().all():
                sentence = f"the variance of {label} could not be attributed."
                yield where + sentence if where else capital(sentence)
                continue
            for row in ordered.dropna(subset=["total"]).head(_MOST_PARAMETERS).to_dict("records"):
                low, high = percent(row["first_low"]), percent(row["first_high"])
                sentence = (
                    f"{where}{_label(row['parameter'], axes)} alone explains "
                    f"{percent(row['first'])} of the variance of {label} (95 % interval {low} to "
                    f"{high}); including interactions, {percent(row['total'])}."
                )
                vague = row["first_high"] - row["first_low"] > _VAGUE
                yield sentence + (" A larger sample would narrow this interval." if vague else "")
