"""Texts of intervals, which are the same in the answer card, the findings and the tables.

Pictures follow the same rule (:mod:`~clustersim.plots.parts.determined`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from clustersim.analysis.metric_estimates import bounds_of
from clustersim.analysis.metrics import find_metric, is_constant
from clustersim.array_types import Floats
from clustersim.plots.axis import axis_of
from clustersim.plots.parts.determined import FEW, is_undetermined, open_sides, relative_bounds
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.spec import Replications
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent

__all__ = ["Span", "change_spans", "method_sentence", "span", "value_spans"]

Kind = Literal[
    "none", "exact", "both", "up to", "from", "unknown", "runs", "left", "same", "overload"
]


@dataclass(frozen=True, slots=True)
class Span:
    """The 95 % interval of a number.

    Attributes
    ----------
    kind : str
        ``none`` (there is no interval), ``exact`` (the number does not depend on chance), ``both``
        (two ends), ``up to`` or ``from`` (the other end is at a bound of the metric), ``unknown``
        (the interval says nothing), ``runs`` (the same with few runs: `low` and `high` are the
        range of the runs), ``left`` (`low` runs have no value and are left out), ``same`` (all runs
        have the same value), or ``overload`` (the values between which overload begins).
    low, high : float
    count : int
        Number of replications, or of pairs of runs.
    noun : str
        What is counted: ``replication`` or ``pair``.
    """

    kind: Kind
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    noun: str = "replication"

    @property
    def runs(self) -> str:
        """The counted runs as text, such as ``3 replications`` or ``2 pairs of runs``."""
        return counted(self.count, self.noun) + (" of runs" if self.noun == "pair" else "")

    def sentence(self, texts: Callable[[float, float], tuple[str, str]]) -> str:
        """Return the interval for an answer card.

        Parameters
        ----------
        texts : callable
            Converts both ends to text.

        Examples
        --------
        >>> def texts(low, high):
        ...     return f"{low:g}", f"{high:g} s"
        >>> Span("both", 1.0, 2.0, 9).sentence(texts)
        '95 % interval 1 to 2 s'
        >>> Span("runs", 1.0, 8.6, 3).sentence(texts)
        '95 % interval not determined by 3 replications; single runs: 1 to 8.6 s'
        """
        if self.kind == "none":
            why = f": {self.runs}" if self.count else ""
            return f"no 95 % interval{why}"
        if self.kind == "same" and self.count == 1:
            return "no 95 % interval: the only run shows no variation"
        if self.kind == "same":
            return f"the same in all {self.runs}"
        if self.kind == "exact":
            return "exact: it does not depend on chance"
        if self.kind == "overload":
            low, high = texts(self.low, self.high)
            return f"overload begins between {low} and {high}; this is not a 95 % interval"
        return f"95 % interval {self.inner(texts)}"

    def inner(self, texts: Callable[[float, float], tuple[str, str]]) -> str:
        """Return what follows ``95 % interval`` in a sentence."""
        if self.kind == "left":
            return f"unknown: {self.prefix}"
        low, high = texts(self.low, self.high)
        if self.kind in ("unknown", "runs"):
            single = f"single {self.noun}s" if self.noun == "pair" else "single runs"
            each = f"; {single}: {_to(low, high)}" if self.kind == "runs" else ""
            return f"not determined by {self.runs}{each}"
        return {"up to": f"up to {high}", "from": f"from {low}"}.get(self.kind, _to(low, high))

    @property
    def prefix(self) -> str:
        """What precedes the ends in a table; a text that ends with no space stands alone."""
        if self.kind == "runs":
            return f"{counted(self.count, 'pair' if self.noun == 'pair' else 'run')}: "
        if self.kind == "same":
            return "all runs" if self.count > 1 else "one run"
        if self.kind == "left":
            return f"{self.low:.0f} of {counted(self.count, 'run')} without a value"
        return {"unknown": "not determined", "up to": "up to ", "from": "from "}.get(self.kind, "")


def _to(low: str, high: str) -> str:
    return f"{low} to {high}"


def span(
    value: float,
    low: float,
    high: float,
    bounds: tuple[float, float],
    *,
    count: int = 0,
    noun: str = "replication",
    null: float | None = None,
    singles: Sequence[float] | Floats = (),
) -> Span:
    """Return what the interval of one number says.

    Parameters
    ----------
    value, low, high : float
    bounds : (float, float)
        Least and largest possible value.
    count : int
        Number of replications or pairs; 0 if it is unknown.
    noun : str
        See :class:`Span`.
    null : float, optional
        Value of no effect.
    singles : sequence of float
        Values of the single runs or pairs.

    Examples
    --------
    >>> span(3.0, 0.001, 900.0, (0.0, math.inf), count=9).kind
    'unknown'
    >>> span(3.0, 0.0, 9.0, (0.0, math.inf), count=9).kind
    'up to'
    """
    if not math.isfinite(value) or math.isnan(low) or math.isnan(high):
        return Span("none", count=count, noun=noun)
    middle, first, last = (np.array([number], dtype=np.float64) for number in (value, low, high))
    counts = np.array([float(count)]) if count else None
    open_low, open_high = (bool(side[0]) for side in open_sides(middle, first, last, bounds))
    if is_undetermined(middle, first, last, bounds, count=counts, null=null)[0] or (
        math.isinf(low) and math.isinf(high)
    ):
        if count == 1:
            return Span("none", count=1, noun=noun)
        known = np.asarray(singles, dtype=np.float64)
        known = known[np.isfinite(known)]
        if 1 < count <= FEW and len(known) > 1:
            return Span("runs", float(known.min()), float(known.max()), count, noun)
        return Span("unknown", count=count, noun=noun)
    if value == low == high and count > 0:
        return Span("same", low, high, count, noun)
    kind: Kind = "up to" if open_low else "from" if open_high else "both"
    return Span(kind, max(low, bounds[0]), min(high, bounds[1]), count, noun)


def value_spans(result: StudyResult, frame: pd.DataFrame, column: str) -> list[Span]:
    """Return the intervals of a metric in rows of the table of points."""
    found = []
    runs = _finished(result)
    singles_of: dict[Any, list[float]] = {}
    if "point" in frame and "point" in runs and column in runs:
        singles_of = {point: list(own) for point, own in runs.groupby("point")[column]}
    for row in frame.to_dict("records"):
        value, low, high = (_number(row, f"{column}{end}") for end in ("", "_low", "_high"))
        if is_constant(column):
            found.append(Span("exact"))
            continue
        count = int(_number(row, "replications", 0.0))
        singles = singles_of.get(row["point"], []) if singles_of else []
        left = sum(map(math.isnan, singles))
        if 0 < left < len(singles):
            found.append(Span("left", left, left, len(singles)))
            continue
        found.append(span(value, low, high, bounds_of(column), count=count, singles=singles))
    return found


def change_spans(result: StudyResult, frame: pd.DataFrame, column: str, metric: str) -> list[Span]:
    """Return the intervals of ``relative`` or ``difference`` in rows of the table of differences.

    The difference of a row is as determined as its relative difference.
    """
    found = []
    for row in frame.to_dict("records"):
        count = int(_number(row, "pairs", 0.0))
        singles = _single_pairs(result, row, metric, column) if 1 < count <= FEW else ()
        if is_constant(metric):
            found.append(Span("exact"))
            continue
        asked = partial(span, count=count, noun="pair", null=0.0)
        value, low, high = (_number(row, f"relative{end}") for end in ("", "_low", "_high"))
        own = asked(value, low, high, relative_bounds(metric), singles=singles)
        if column != "relative" and own.kind not in ("unknown", "runs"):
            least = -abs(_number(row, "baseline_mean", math.inf))
            known = find_metric(metric)
            least = least if known is not None and known.least >= 0 else -math.inf
            value, low, high = (_number(row, f"{column}{end}") for end in ("", "_low", "_high"))
            own = asked(value, low, high, (least, math.inf))
            if own.kind == "up to" and not math.isfinite(least):
                own = Span("unknown", count=count, noun="pair")
        found.append(own)
    return found


def method_sentence(result: StudyResult) -> str:
    """Return a sentence that states how the intervals of a study are computed."""
    most = int(result.points["replications"].max()) if len(result.points) else 0
    if most < 2:
        return (
            "How intervals are made: with one replication, they are 95 % intervals from within the "
            "run (batch means, or order statistics for a quantile)."
        )
    parts = [
        "How intervals are made: they are 95 % intervals over the replications. Waits and "
        "slowdowns use the jackknife over replications; other metrics use Student's t for the "
        "mean. Intervals of positive numbers are symmetric on a logarithmic scale; those of shares "
        "are cut off at 0 and 1. Point at the heading of a column to see which interval it has. "
        "If a control variate (such as the work that happened to arrive) explains a part of the "
        "differences between replications, this part is subtracted first."
    ]
    parts += _stopping_rule(result)
    if result.study.spec.compare is not None:
        parts.append("Compared systems are paired by replication.")
    if result.capacities is not None:
        parts.append(
            "The interval of a capacity is that of the metric there, converted by the fitted curve."
        )
    parts.append(
        "“Up to” or “from”: the other end of the interval lies at or beyond a bound of the metric. "
        "“Not determined”: the interval spans more than a factor of 1,000, or all possible "
        f"values. With {FEW} or fewer replications, the range of the single runs is given instead."
    )
    return " ".join(parts)


def _stopping_rule(result: StudyResult) -> Iterator[str]:
    """Yield why points differ in their number of replications."""
    spec, points = result.study.spec, result.points
    rule = spec.replications
    if not isinstance(rule, Replications):
        return
    if spec.capacity is not None:
        yield _rule_of_capacities(result, rule)
        return
    label = axis_of(rule.metric).label
    head = f"Each point has {rule.least} to {rule.at_most} replications: they are added until "
    if rule.of == "difference":
        yield f"{head}{_rule_of_differences(result, rule, label)}"
        return
    text = f"{head}the interval of the {label} is at most ±{format_percent(rule.relative_width, 0)}"
    if {rule.metric, f"{rule.metric}_low", f"{rule.metric}_high"} <= set(points):
        half = 0.5 * (points[f"{rule.metric}_high"] - points[f"{rule.metric}_low"])
        wide = int((half > rule.relative_width * points[rule.metric].abs()).sum())
        text += f"; {wide} of {counted(len(points), 'point')} did not reach this" if wide else ""
    yield f"{text}."


_ALIKE = "systems that are compared have the same number"


def _rule_of_differences(result: StudyResult, rule: Replications, label: str) -> str:
    """Return until when replications are added, and how many differences are not known so well."""
    width, table = format_percent(rule.relative_width, 0), result.differences
    text = f"the interval of each difference in {label} is at most ±{width} of the baseline"
    if table is None or table.empty:
        return f"{text}; {_ALIKE}."
    own = table[table["metric"] == rule.metric]
    half = 0.5 * (own["relative_high"] - own["relative_low"])
    wide = int((~(half <= rule.relative_width)).sum())
    missed = f"; {wide} of {counted(len(own), 'difference')} did not reach this" if wide else ""
    return f"{text}{missed}; {_ALIKE}."


def _rule_of_gains(result: StudyResult, rule: Replications) -> str:
    """Return until when replications are added, and how many gains are not known so well."""
    text = (
        f"Each capacity has {rule.least} to {rule.at_most} replications: they are added until the "
        f"interval of each difference from the baseline is at most "
        f"±{format_percent(rule.relative_width, 0)} of its capacity"
    )
    gains, table, compare = result.gains, result.capacities, result.study.spec.compare
    if gains is None or gains.empty or table is None or compare is None:
        return f"{text}; {_ALIKE}."
    others = [name for name in result.parameters if name in gains and name in table]
    both = gains.merge(
        table[[*others, compare.of, "capacity"]],
        left_on=[*others, "baseline"],
        right_on=[*others, compare.of],
    )
    half = 0.5 * (both["gain_high"] - both["gain_low"])
    wide = int((~(half <= rule.relative_width * both["capacity"].abs())).sum())
    missed = f"; {wide} of {counted(len(gains), 'difference')} did not reach this" if wide else ""
    return f"{text}{missed}; {_ALIKE}."


def _rule_of_capacities(result: StudyResult, rule: Replications) -> str:
    """Return why capacities differ in their replications, and how many are not narrow enough."""
    if rule.of == "difference":
        return _rule_of_gains(result, rule)
    text = (
        f"Each capacity has {rule.least} to {rule.at_most} replications: they are added until its "
        f"interval is at most ±{format_percent(rule.relative_width, 0)}"
    )
    table = result.capacities
    if table is None or "capacity_low" not in table:
        return f"{text}."
    ends = table[["capacity", "capacity_low", "capacity_high"]].to_numpy(dtype=np.float64)
    narrow = 0.5 * (ends[:, 2] - ends[:, 1]) <= rule.relative_width * np.abs(ends[:, 0])
    wide = int((~narrow & ~np.isinf(ends[:, 0])).sum())
    which = counted(len(table), "capacity", "capacities")
    return f"{text}; {wide} of {which} did not reach this." if wide else f"{text}."


def _number(row: Mapping[Any, Any], name: str, default: float = math.nan) -> float:
    return float(row.get(name, default))


def _finished(result: StudyResult) -> pd.DataFrame:
    runs = result.runs
    if not {"status", "draw", "replication"} <= set(runs.columns):
        return runs.iloc[:0]
    return runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]


def _single_pairs(
    result: StudyResult, row: Mapping[Any, Any], metric: str, column: str
) -> Sequence[float]:
    """Return the differences of the pairs of runs of a row."""
    compare = result.study.spec.compare
    runs = _finished(result) if compare is not None else pd.DataFrame()
    if compare is None or metric not in runs or compare.of not in runs:
        return ()
    for name in result.parameters:
        if name in row and name != compare.of:
            runs = runs[runs[name] == row[name]]
    ours, theirs = (
        runs[runs[compare.of] == row[name]]
        .drop_duplicates("replication")
        .set_index("replication")[metric]
        .astype(np.float64)
        for name in ("system", "baseline")
    )
    apart = ours - theirs
    return list((apart / theirs if column == "relative" else apart).dropna())
