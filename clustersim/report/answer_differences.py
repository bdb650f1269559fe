"""The answer card of a study that compares systems with a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.plots.study_axes import place_in_words
from clustersim.report.answer_parts import (
    Quantity,
    capital,
    effects_of,
    failures,
    most_matters,
    next_steps,
    signed,
    what_matters,
)
from clustersim.report.identical import without_effect
from clustersim.report.of_study.controls import is_controlled
from clustersim.report.of_study.overload_words import overload_sentences
from clustersim.report.page import Answer
from clustersim.report.spans import change_spans
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, format_percent

__all__ = ["answer_of_differences", "answering_metric", "has_differences"]


_MOST_LISTED = 5
"""Number of systems that a sentence without a best system names."""


@dataclass(frozen=True)
class _Compared:
    """A system compared with the baseline.

    Attributes
    ----------
    name : str
    rows : DataFrame
        Its differences, one row per point.
    gain : float
        Mean of the relative differences, above 0 if it is an improvement; it orders the systems.
    better, worse : bool
        Whether the 95 % interval at some point is entirely on this side of 0.
    """

    name: str
    rows: pd.DataFrame
    gain: float
    better: bool
    worse: bool

    @property
    def ends(self) -> list[dict[Any, Any]]:
        """The rows with the smallest and the largest effect, or the only row."""
        rows = sorted(self.rows.to_dict("records"), key=lambda row: abs(row["relative"]))
        return [rows[0], rows[-1]] if len(rows) > 1 else rows

    @property
    def value(self) -> str:
        """The relative difference, or its range over the points."""
        texts = dict.fromkeys(signed(float(row["relative"])) for row in self.ends)
        return " to ".join(texts)


def _compared(rows: pd.DataFrame, sign: float) -> list[_Compared]:
    """Return the systems of a table of differences, the best first."""
    found = []
    for name, own in rows.groupby(rows["system"].map(str), sort=False):
        above, below = bool((own["relative_low"] > 0).any()), bool((own["relative_high"] < 0).any())
        better, worse = (above, below) if sign > 0 else (below, above)
        gain = sign * float(own["relative"].mean())
        found.append(_Compared(str(name), own, gain, better, worse))
    return sorted(found, key=lambda system: -system.gain)


def answer_of_differences(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study that compares systems with a baseline."""
    table = result.differences
    assert table is not None
    finite = table[np.isfinite(table["relative"].to_numpy(dtype=np.float64))]
    metric = answering_metric(result)
    rows = finite[finite["metric"] == metric]
    axis = axes.get(metric, axis_of(metric))
    sign, baseline = (1.0 if axis.better == "more" else -1.0), str(rows["baseline"].iloc[0])
    systems = _compared(rows, sign)
    verdict = _Verdict(result, axes, axis, sign, baseline)
    chosen, sentence = verdict.of(systems)
    points, label = _same_estimates(result, rows, metric, axis.label)
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    quantity = Quantity(known, metric, replace(axis, label=label), varying, sign > 0)
    effects = effects_of(quantity, axes) if len(known) else []
    clear = any(system.better or system.worse for system in systems)
    compare = result.study.spec.compare
    alone = compare is not None and varying == [compare.of]
    but = "" if compare is None or (clear and not alone) else compare.of
    if most := most_matters(effects, axes, but=but):
        sentence += f"; {most}"
    several = len(chosen.rows) > 1
    over = f", over {len(chosen.rows)} points" if several else ""
    ordered = quantity.ordered().to_dict("records")
    return Answer(
        f"{capital(sentence)}.",
        f"{axis.label}, {chosen.name} against {baseline}{over}",
        chosen.value,
        verdict.intervals(chosen, metric),
        (
            *without_effect(result),
            *overload_sentences(result),
            *what_matters(quantity, effects, axes),
            f"Chance: {_pairs(chosen.rows['pairs'])}, each pair on the same random numbers.",
            *failures(result),
        ),
        tuple(next_steps(result, quantity, ordered, clear=chosen.better or chosen.worse)),
    )


def answering_metric(result: StudyResult) -> str:
    """Return the metric whose differences are the answer."""
    table = result.differences
    assert table is not None
    finite = table[np.isfinite(table["relative"].to_numpy(dtype=np.float64))]
    return str(finite["metric"].iloc[0])


def _same_estimates(
    result: StudyResult, rows: pd.DataFrame, metric: str, label: str
) -> tuple[pd.DataFrame, str]:
    """Return the points with the kind of estimate that the differences have, and its label.

    If the differences are without control variates, so are the points: otherwise, the numbers of a
    card would contradict each other.
    """
    points = result.points
    plain = f"{metric}_plain"
    controlled = any(is_controlled(row, "relative") for row in rows.to_dict("records"))
    if controlled or plain not in points or not points[plain].notna().any():
        return points, label
    ends = {f"{metric}{end}": f"{plain}{end}" for end in ("", "_low", "_high")}
    changes = {own: points[other].fillna(points[own]) for own, other in ends.items()}
    return points.assign(**changes), f"{label} (without control variates)"


def _pairs(pairs: pd.Series[Any]) -> str:
    """Return the number of pairs of runs as text, with both ends if it differs by point."""
    least, most = int(pairs.min()), int(pairs.max())
    number = counted(most, "pair") if least == most else f"{least} to {counted(most, 'pair')}"
    return f"{number} of runs{', too few for narrow intervals' if 1 < least <= FEW else ''}"


@dataclass(frozen=True)
class _Verdict:
    """Says which system is best, in words."""

    result: StudyResult
    axes: Mapping[str, Axis]
    axis: Axis
    sign: float
    baseline: str

    def of(self, systems: Sequence[_Compared]) -> tuple[_Compared, str]:
        """Return the system whose number is shown, and the sentence on all systems."""
        axis, baseline, best = self.axis, self.baseline, systems[0]
        largest = max(systems, key=lambda system: abs(system.gain))
        clear = [system for system in systems if system.better or system.worse]
        unclear = [system.name for system in systems if not (system.better or system.worse)]
        rest = f"; no clear effect: {_listed(unclear)}" if clear and unclear else ""
        if best.gain > 0 and best.better and axis.better:
            noun = axis.noun or axis.label
            head = f"{self._best_where(best, systems)}: {best.name}, with {self._size(best, noun)}"
            return best, f"{head} than {baseline}{rest}"
        if clear and not axis.better:
            shown = max(clear, key=lambda system: abs(system.gain))
            return shown, f"{shown.name} has {self._size(shown, axis.label)} than {baseline}{rest}"
        if clear and all(system.worse and not system.better for system in clear):
            shown = clear[-1]
            named = _listed([f"{each.name} ({each.value})" for each in reversed(clear)])
            sure = "clearly " if unclear else ""
            return shown, (
                f"no system is {sure}better than {baseline} in {axis.label}; clearly worse: "
                f"{named}{rest}"
            )
        if clear:
            shown = clear[-1]
            named = _listed([f"{each.name} ({each.value})" for each in clear])
            return shown, (
                f"no system is clearly better than {baseline} in {axis.label} at all points; clear "
                f"at some points: {named}{rest}"
            )
        text = f"no system clearly differs from {baseline} in {axis.label}"
        if largest.gain and len(systems) > 1:
            text += f"; the largest difference is that of {largest.name}"
        return largest, text

    def _best_where(self, best: _Compared, systems: Sequence[_Compared]) -> str:
        """Return ``best``, with the points at which the system is the best."""
        count = len(best.rows)
        if count == 1:
            return "best"
        others = [name for name in self.result.parameters if name in best.rows]
        gains: dict[tuple[str, ...], dict[str, float]] = {}
        for system in systems:
            for row in system.rows.to_dict("records"):
                place = tuple(str(row[name]) for name in others)
                gains.setdefault(place, {})[system.name] = self.sign * row["relative"]
        own = [place for place in gains.values() if best.name in place]
        first = all(place[best.name] == max(*place.values(), 0.0) for place in own)
        every = "both" if count == 2 else f"all {count}"
        return f"best at {every} points" if first else f"best on average over {count} points"

    def _size(self, system: _Compared, noun: str) -> str:
        """Return how much more or less of a quantity a system has, with a range over points."""
        ends = system.ends
        sizes = [format_percent(abs(float(row["relative"])), 0) for row in ends]
        words = ["more" if row["relative"] > 0 else "less" for row in ends]
        if len(dict.fromkeys(zip(sizes, words, strict=True))) == 1:
            return f"{sizes[0]} {words[0]} {noun}"
        places = [self._place(row) for row in ends]
        if len(set(words)) == 1:
            return f"{sizes[0]} ({places[0]}) to {sizes[1]} ({places[1]}) {words[0]} {noun}"
        both = [f"{size} {word} ({place})"
                for size, word, place in zip(sizes, words, places, strict=True)]  # fmt: skip
        return f"{' to '.join(both)} {noun}"

    def _place(self, row: Mapping[Any, Any]) -> str:
        others = {name: value for name, value in row.items() if name != "system"}
        return place_in_words(self.result, others, self.axes) or "elsewhere"

    def intervals(self, system: _Compared, metric: str) -> str:
        """Return the interval of the shown number, or of both ends of its range."""
        ends = system.ends
        spans = change_spans(self.result, pd.DataFrame(ends), "relative", metric)

        def texts(low: float, high: float) -> tuple[str, str]:
            return signed(low), signed(high)

        if len(ends) == 1:
            return spans[0].sentence(texts)
        pairs = zip(ends, spans, strict=True)
        return "; ".join(f"at {self._place(row)}: {own.sentence(texts)}" for row, own in pairs)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{', '.join(names[:_MOST_LISTED])}{more}"


def has_differences(result: StudyResult) -> bool:
    table = result.differences
    return table is not None and bool(np.isfinite(table["relative"].astype(float)).any())
