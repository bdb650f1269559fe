"""The findings of a comparison: one sentence for each system and metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import is_constant
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.plots.study_axes import place_in_words, system_name
from clustersim.report.amounts import NOTHING, percent, signed, signed_amounts
from clustersim.report.identical import identical_systems
from clustersim.report.of_study.compared import ABOVE, BELOW, is_steady, points_of_rows, side
from clustersim.report.spans import change_spans
from clustersim.studies.study_result import StudyResult

__all__ = ["difference_sentences"]

Row = Mapping[Any, Any]


def difference_sentences(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    """Yield the differences of each system from the baseline, with their range over the points.

    The metric that the study names first comes first.  Systems that are identical to the baseline
    in every run have no sentence here; a warning names them.
    """
    table = result.differences
    if table is None or table.empty:
        return
    same = identical_systems(result)
    for metric, rows in table.groupby("metric", sort=False):
        for system, own in rows.groupby("system", sort=False):
            if system in same:
                continue
            records = own.to_dict("records")
            words = _Words(result, axes, str(metric), rows)
            yield words.of_one(records[0]) if len(records) == 1 else words.of_several(records)


class _Words:
    """Sentences on one metric."""

    def __init__(
        self, result: StudyResult, axes: Mapping[str, Axis], metric: str, rows: pd.DataFrame
    ):
        self.result, self.axes, self.metric, self.rows = result, axes, metric, rows
        self.axis = axes.get(metric, axis_of(metric))

    def _head(self, row: Row) -> str:
        names = (system_name(self.result, row[name], self.axes) for name in ("system", "baseline"))
        return " against ".join(names)

    def _spans(self, rows: Sequence[Row]) -> list[str]:
        """Return the 95 % intervals of relative differences, without the words before them."""
        spans = change_spans(self.result, pd.DataFrame(map(dict, rows)), "relative", self.metric)
        return [each.inner(lambda low, high: (signed(low), signed(high))) for each in spans]

    def of_one(self, row: Row) -> str:
        """Return the sentence on a system that is compared at one point."""
        place = place_in_words(
            self.result, {k: v for k, v in row.items() if k != "system"}, self.axes
        )
        head = f"{self._head(row)}{f' at {place}' if place else ''}: {self.axis.label}"
        pairs = f"{row['pairs']} pairs" if row["pairs"] != 1 else "1 pair"
        if math.isnan(row["difference"]):
            return f"{head} cannot be compared (overload, or no pair of runs)."
        if math.isnan(row["relative"]):
            return f"{head} {self._without_percentage(row, pairs)}."
        (own,) = change_spans(self.result, pd.DataFrame([dict(row)]), "relative", self.metric)
        relative, low, high = (float(row[f"relative{end}"]) for end in ("", "_low", "_high"))
        if row["pairs"] <= FEW and low < high and own.kind == "both":
            pairs += ", too few for a narrow interval"
        word = "less" if relative < 0 else "more"
        interval = f"95 % interval {self._spans([row])[0]}"
        draws = _over_draws(row)
        nothing = abs(relative) < NOTHING
        if is_constant(self.metric):
            return f"{head} {'is the same' if nothing else f'{percent(abs(relative))} {word}'}."
        if nothing and not (high - low > NOTHING and math.isfinite(high - low)):
            known = math.isfinite(low) or not row["relative_note"]
            note = "" if known else f"; no interval: {row['relative_note']}"
            return f"{head} {'is the same' if known else 'shows no difference'} ({pairs}{note})."
        if own.kind == "none" or (math.isinf(low) and row["relative_note"]):
            note = row["relative_note"] or "no interval"
            if is_steady(row):
                return (
                    f"{head} {percent(abs(relative))} {word} ({pairs}{draws}; no interval: {note})."
                )
            return (
                f"{head}: no clear difference ({signed(relative)}; {pairs}{draws}; no interval: "
                f"{note})."
            )
        if own.kind in ("unknown", "runs"):
            return f"{head} does not clearly differ ({signed(relative)}; {interval}{draws})."
        if low <= 0 <= high:
            return (
                f"{head} does not clearly differ ({signed(relative)}, {interval}; {pairs}{draws})."
            )
        return f"{head} {percent(abs(relative))} {word} ({interval}; {pairs}{draws})."

    def _without_percentage(self, row: Row, pairs: str) -> str:
        """Return an absolute difference with its interval, for a baseline of 0."""
        size, word = abs(float(row["difference"])), "less" if row["difference"] < 0 else "more"
        ends = [float(row.get(f"difference_{end}", math.nan)) for end in ("low", "high")]
        value, *texts = signed_amounts(
            [size, *(end for end in ends if math.isfinite(end))], self.axis
        )
        known = len(texts) == 2
        interval = f"95 % interval {texts[0]} to {texts[1]}; " if known else ""
        unsure = " (no clear difference)" if known and ends[0] <= 0 <= ends[1] else ""
        return (
            f"{value.removeprefix('+')} {word}{unsure} ({interval}{pairs}); no percentage, because "
            "that of the baseline is 0"
        )

    def of_several(self, rows: Sequence[Row]) -> str:
        """Return the sentence on a system that is compared at several points."""
        known = [row for row in rows if math.isfinite(row["relative"])]
        lost = [row for row in rows if not math.isfinite(row["relative"])]
        exact = is_constant(self.metric)
        same = [row for row in known if _is_same(row)]
        parts = []
        for sign, word in ((BELOW, "less"), (ABOVE, "more")):
            chosen = [
                row
                for row in known
                if row not in same and (row["relative"] * sign > 0 if exact else side(row) == sign)
            ]
            if chosen:
                parts.append(self._clear(chosen, word, rows, exact=exact))
        unclear = [row for row in known if row not in same and not exact and side(row) == 0.0]
        if unclear:
            sizes = _ends(unclear)
            texts = dict.fromkeys(signed(float(row["relative"])) for row in sizes)
            verb = "does not clearly differ" if not parts else "no clear difference"
            parts.append(f"{verb} at {self._points(unclear, rows)} ({' to '.join(texts)})")
        if same:
            parts.append(f"{'' if parts else 'is '}the same at {self._points(same, rows)}")
        if lost:
            verb = "not compared" if parts else "cannot be compared"
            zero = all(math.isfinite(row["difference"]) for row in lost)
            why = "the baseline is 0" if zero else "overload, or no pair of runs"
            parts.append(f"{verb} at {self._points(lost, rows)} ({why})")
        least, most = (int(end(row["pairs"] for row in rows)) for end in (min, max))
        pairs = f"{most} pairs" if least == most else f"{least} to {most} pairs"
        text = f"{self._head(rows[0])}: {self.axis.label} {'; '.join(parts)}"
        return f"{text}." if exact else f"{text}. Each point has {pairs} of runs."

    def _clear(self, chosen: list[Row], word: str, rows: Sequence[Row], *, exact: bool) -> str:
        ends = _ends(chosen)
        sizes = list(dict.fromkeys(percent(abs(float(row["relative"]))) for row in ends))
        first = sizes[0].removesuffix(" %") if len(sizes) > 1 else sizes[0]
        size = f"{first} to {sizes[1]}" if len(sizes) > 1 else first
        text = f"{size} {word} at {self._points(chosen, rows)}"
        if exact:
            return text
        spans = self._spans(ends)
        if len(ends) == 1:
            return f"{text} (95 % interval {spans[0]})"
        places = [self._points([row], rows) for row in ends]
        both = "; ".join(f"{own} at {at}" for own, at in zip(spans, places, strict=True))
        return f"{text} (95 % intervals {both})"

    def _points(self, chosen: Sequence[Row], rows: Sequence[Row]) -> str:
        if len(chosen) == len(rows):
            return "both points" if len(rows) == 2 else f"all {len(rows)} points"
        return points_of_rows(self.result, [dict(row) for row in chosen], self.rows, self.axes)


def _is_same(row: Row) -> bool:
    sizes = [abs(float(row[f"relative{end}"])) for end in ("", "_low", "_high")]
    return max(sizes) < NOTHING


def _ends(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the smallest and the largest effect, or the only row."""
    ordered = sorted(rows, key=lambda row: abs(row["relative"]))
    return [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered


def _over_draws(row: Row) -> str:
    """Return the range of a relative difference over draws as text, or "" without draws."""
    low, high = (float(row.get(f"relative_draw_{end}", math.nan)) for end in ("low", "high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"; over draws of the calibration {signed(low)} to {signed(high)}"
