"""The answer card of a study that compares systems with a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.plots.study_axes import place_in_words, system_name, value_name
from clustersim.report.amounts import percent, signed
from clustersim.report.answer_parts import (
    Effect,
    Quantity,
    effects_of,
    failures,
    most_matters,
    next_steps,
    what_matters,
)
from clustersim.report.identical import without_effect
from clustersim.report.of_study.compared import (
    Compared,
    compared_systems,
    not_compared,
    points_of_rows,
)
from clustersim.report.of_study.draws_words import over_draws
from clustersim.report.of_study.estimates import (
    cut_off_waits,
    is_plain,
    two_estimates,
    wider_relative,
)
from clustersim.report.of_study.overload_words import overload_sentences
from clustersim.report.page import Answer
from clustersim.report.spans import change_spans
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, counted, listed

__all__ = ["answer_of_differences", "answering_metric", "has_differences"]


def answer_of_differences(result: StudyResult, axes: Mapping[str, Axis]) -> Answer:
    """Return the answer of a study that compares systems with a baseline."""
    table, compare = result.differences, result.study.spec.compare
    assert table is not None
    assert compare is not None
    metric = answering_metric(result)
    rows = table[table["metric"] == metric]
    axis = axes.get(metric, axis_of(metric))
    sign = 1.0 if axis.better == "more" else -1.0
    baseline = system_name(result, rows["baseline"].iloc[0], axes)
    systems = compared_systems(result, rows, sign, axes)
    verdict = _Verdict(result, rows, axes, axis, sign, baseline)
    chosen, sentence = verdict.of(systems)
    points, label = _same_estimates(result, metric, axis.label)
    known = points[np.isfinite(points[metric].astype(np.float64).to_numpy())]
    varying = [name for name in result.parameters if known[name].map(str).nunique() > 1]
    quantity = Quantity(known, metric, replace(axis, label=label), varying, sign > 0)
    effects = effects_of(quantity, axes) if len(known) else []
    effects = [_paired(effect, compare.of, axes, systems, baseline) for effect in effects]
    clear = any(system.is_clear for system in systems)
    but = compare.of if not clear or varying == [compare.of] else ""
    if most := most_matters(effects, axes, but=but):
        sentence += f"; {most}"
    several = len(chosen.rows) > 1
    over = f", over {len(chosen.rows)} points" if several else ""
    ordered = quantity.ordered().to_dict("records")
    sure = len(chosen.better) == len(chosen.rows) or len(chosen.worse) == len(chosen.rows)
    return Answer(
        " ".join([*_before(result, metric, axes), f"{capital(sentence)}."]),
        f"{axis.label}, {chosen.name} against {baseline}{over}",
        chosen.number,
        verdict.intervals(chosen, metric),
        (
            *without_effect(result),
            *overload_sentences(result),
            *what_matters(quantity, effects, axes),
            *filter(None, [two_estimates(result, metric)]),
            f"Chance: {_pairs(rows['pairs'])}.",
            *wider_relative(chosen.ends, chosen.name, metric, axes),
            *cut_off_waits(result, metric),
            *over_draws(result, verdict.named(chosen.ends), "relative", _signed_ends),
            *failures(result),
        ),
        tuple(next_steps(result, quantity, ordered, clear=sure)),
    )


def _signed_ends(low: float, high: float) -> tuple[str, str]:
    return signed(low), signed(high)


def _before(result: StudyResult, metric: str, axes: Mapping[str, Axis]) -> list[str]:
    """Return why the metrics that the study names first are not the answer."""
    table = result.differences
    assert table is not None
    names = list(dict.fromkeys(map(str, table["metric"])))
    return [
        sentence
        for name in names[: names.index(metric)]
        for sentence in not_compared(result, table[table["metric"] == name], name, axes)
    ]


def _paired(
    effect: Effect,
    of: str,
    axes: Mapping[str, Axis],
    systems: Sequence[Compared],
    baseline: str,
) -> Effect:
    """Return the effect of the compared parameter, which is clear if its paired difference is.

    Pairs share their random numbers, so their differences show more than intervals of two systems.
    """
    if effect.parameter != of:
        return effect
    axis = axes.get(of, axis_of(of))
    own = {value_name(system.value, axis): system for system in systems}
    ends = [own[name] for name in (effect.at_low, effect.at_high) if name in own]
    if len(ends) != 1:
        return effect  # neither end is the baseline
    return replace(effect, clear=ends[0].is_clear)


def answering_metric(result: StudyResult) -> str:
    """Return the metric whose differences are the answer."""
    table = result.differences
    assert table is not None
    finite = table[np.isfinite(table["relative"].to_numpy(dtype=np.float64))]
    return str(finite["metric"].iloc[0])


def _same_estimates(result: StudyResult, metric: str, label: str) -> tuple[pd.DataFrame, str]:
    """Return the points with the kind of estimate that the differences have, and its label.

    If the differences are without control variates, so are the points: otherwise, the numbers of a
    card would contradict each other.
    """
    points = result.points
    plain = f"{metric}_plain"
    if not is_plain(result, metric):
        return points, label
    ends = {f"{metric}{end}": f"{plain}{end}" for end in ("", "_low", "_high")}
    changes = {own: points[other].fillna(points[own]) for own, other in ends.items()}
    return points.assign(**changes), f"{label} (without control variates)"


def _pairs(pairs: pd.Series[Any]) -> str:
    """Return the number of pairs of runs as text, with both ends if it differs by point."""
    least, most = int(pairs.min()), int(pairs.max())
    number = counted(most, "pair") if least == most else f"{least} to {counted(most, 'pair')}"
    few = ", too few for narrow intervals" if 1 < least <= FEW else ""
    each = "each pair on" if most > 1 else "on"
    return f"{number} of runs{few}, {each} the same random numbers"


@dataclass(frozen=True)
class _Verdict:
    """Writes the sentence that states which system is best."""

    result: StudyResult
    rows: pd.DataFrame
    axes: Mapping[str, Axis]
    axis: Axis
    sign: float
    baseline: str

    def of(self, systems: Sequence[Compared]) -> tuple[Compared, str]:
        """Return the system whose number is shown, and the sentence on all systems."""
        shown, text = self._of(systems)
        return shown, "; ".join([text, *self._overload(systems)])

    def _of(self, systems: Sequence[Compared]) -> tuple[Compared, str]:
        axis, baseline = self.axis, self.baseline
        measured = [system for system in systems if system.rows]
        largest = max(measured, key=lambda system: abs(system.gain))
        clear = [system for system in measured if system.is_clear]
        unclear = [system.name for system in measured if not system.is_clear]
        rest = f"; no clear effect: {listed(unclear)}" if clear and unclear else ""
        better = [s for s in clear if s.gain > 0 and s.is_better and not s.is_worse]
        if better and axis.better:
            best, noun = better[0], axis.noun or axis.label
            head = self._best_where(best, systems)
            return best, (
                f"{head}: {best.name}, with {self._size(best, noun)} than {baseline}"
                f"{self._where_clear(best, best.better)}{rest}"
            )
        if clear and not axis.better:
            shown = max(clear, key=lambda system: abs(system.gain))
            where = self._where_clear(shown, [*shown.better, *shown.worse])
            size = self._size(shown, axis.label)
            return shown, f"{shown.name} has {size} than {baseline}{where}{rest}"
        if clear and all(system.is_worse and not system.is_better for system in clear):
            shown = clear[-1]
            named = listed([f"{each.name} ({each.number})" for each in reversed(clear)])
            sure = "clearly " if unclear else ""
            return shown, (
                f"no system is {sure}better than {baseline} in {axis.label}; clearly worse: "
                f"{named}{rest}"
            )
        if clear:
            named = "; ".join(map(self._mixed, clear))
            return clear[-1], (
                f"no system is better than {baseline} in {axis.label} at all points; {named}{rest}"
            )
        text = f"no system clearly differs from {baseline} in {axis.label}"
        if largest.gain and len(systems) > 1:
            text += f"; the largest difference is that of {largest.name}"
        return largest, text

    def _mixed(self, system: Compared) -> str:
        """Return where a system is clearly better and where it is clearly worse."""
        parts = [
            f"{word} at {self._points(rows)}"
            for word, rows in (("better", system.better), ("worse", system.worse))
            if rows
        ]
        overloaded = [f"overloaded at {self._points(system.lost)}"] * bool(system.lost)
        return f"{system.name} is {listed([*parts, *overloaded])} ({system.number})"

    def _points(self, rows: Sequence[dict[Any, Any]]) -> str:
        return points_of_rows(self.result, rows, self.rows, self.axes) or "this point"

    def _where_clear(self, system: Compared, clear: Sequence[dict[Any, Any]]) -> str:
        """Return at which points a difference is clear, if it is not clear at all of them."""
        if len(clear) == len(system.rows):
            return ""
        return f"; clear only at {self._points(clear)}" if clear else "; not clear at any point"

    def _overload(self, systems: Sequence[Compared]) -> Iterator[str]:
        """Yield at which points systems cannot be compared, because of overload."""
        for system in systems:
            if system.lost:
                yield (
                    f"{system.name} is overloaded at {self._points(system.lost)}, and "
                    f"{self.baseline} is not"
                )
            if system.kept:
                yield (
                    f"{self.baseline} is overloaded at {self._points(system.kept)}, and "
                    f"{system.name} is not"
                )
        for kind, why in (("both", "all are overloaded"), ("without", "there is no number")):
            names: dict[str, list[str]] = {}
            for system in systems:
                if rows := getattr(system, kind):
                    names.setdefault(self._points(rows), []).append(system.name)
            for place, own in names.items():
                which = "" if len(own) == len(systems) else f"{listed(own)} "
                some = why if not which else why.replace("all", "both")
                yield f"{which}not compared at {place}, where {some}"

    def _best_where(self, best: Compared, systems: Sequence[Compared]) -> str:
        """Return ``best``, with the points at which the system is the best."""
        count, missing = len(best.rows), bool(best.kept or best.both or best.without)
        if count == 1:
            return f"best at {self._points(best.rows)}" if missing else "best"
        others = [name for name in self.result.parameters if name in best.rows[0]]
        gains: dict[tuple[str, ...], dict[str, float]] = {}
        for system in systems:
            for row in system.rows:
                place = tuple(str(row[name]) for name in others)
                gains.setdefault(place, {})[system.name] = self.sign * row["relative"]
        own = [place for place in gains.values() if best.name in place]
        first = all(place[best.name] == max(*place.values(), 0.0) for place in own)
        every = "both" if count == 2 else f"all {count}"
        points = "points with a number" if missing else "points"
        if first:
            return f"best at {every} {points}"
        return f"best on average over {count} {points}"

    def _size(self, system: Compared, noun: str) -> str:
        """Return how much more or less of a quantity a system has, with a range over points."""
        ends = system.ends
        sizes = [percent(abs(float(row["relative"]))) for row in ends]
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

    def named(self, rows: Sequence[dict[Any, Any]]) -> list[tuple[str, dict[Any, Any]]]:
        """Return rows with their places, or the only row without."""
        return [(self._place(row) if len(rows) > 1 else "", row) for row in rows]

    def intervals(self, system: Compared, metric: str) -> str:
        """Return the interval of the shown number, or of both ends of its range."""
        ends = system.ends
        spans = change_spans(self.result, pd.DataFrame(ends), "relative", metric)
        if len(ends) == 1:
            return spans[0].sentence(_signed_ends)
        texts = dict.fromkeys(own.sentence(_signed_ends) for own in spans)
        if len(texts) == 1:
            return f"at all points: {next(iter(texts))}"
        pairs = zip(ends, spans, strict=True)
        return "; ".join(
            f"at {self._place(row)}: {own.sentence(_signed_ends)}" for row, own in pairs
        )


def has_differences(result: StudyResult) -> bool:
    table = result.differences
    return table is not None and bool(np.isfinite(table["relative"].astype(float)).any())
