"""Parts of the answer card of a study: what matters most, chance, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.root_search import begins_overload
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.plots.study_axes import number_in_words, place_in_words, study_axes, value_name
from clustersim.report.amounts import signed
from clustersim.report.identical import identical_systems
from clustersim.report.spans import Span, span, value_spans
from clustersim.report.words.irreplaceable import longer_log
from clustersim.studies.search_spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital, counted

__all__ = [
    "CHECK",
    "SAME",
    "Effect",
    "Quantity",
    "are_apart",
    "as_good",
    "effects_of",
    "failures",
    "full_version",
    "most_matters",
    "next_steps",
    "number_text",
    "signed",
    "what_chance_does",
    "what_matters",
]

CHECK = "Check the assumptions below; then vary the ones that you doubt in a further study."
SAME = 1e-9
"""Numbers that differ by a smaller share are the same."""
_MOST_VALUES = 6
"""A numeric parameter with more values is split into quarters of its values."""

_ONE_UNIT = 1e4
_QUARTERS = ("lowest", "second", "third", "highest")


@dataclass(frozen=True)
class Quantity:
    """A number at each point (or search) of a study, in which a better and a worse end exist.

    Attributes
    ----------
    table : DataFrame
        Rows with a finite number.
    column : str
    axis : Axis
    parameters : list of str
        Parameters that vary in the table.
    more : bool
        Whether more is better.
    """

    table: pd.DataFrame
    column: str
    axis: Axis
    parameters: list[str]
    more: bool

    def ordered(self) -> pd.DataFrame:
        """Return the rows with the best first."""
        return self.table.sort_values(self.column, ascending=not self.more, kind="stable")

    @cached_property
    def fits(self) -> Axis:
        """The axis with the one unit that all texts have.

        It suits the best number other than 0, unless the largest is 10,000 times as large.
        """
        if self.axis.unit:
            return self.axis
        names = [self.column, f"{self.column}_low", f"{self.column}_high"]
        for name in names:
            column = self.ordered().get(name, pd.Series(dtype=float))
            sizes = np.abs(column.to_numpy(dtype=np.float64))
            sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
            if len(sizes):
                first, largest = float(sizes[0]), float(sizes.max())
                wide = largest > _ONE_UNIT * first
                return self.axis.fitted([math.sqrt(first * largest) if wide else first])
        return self.axis.fitted([0.0])

    def texts(self, *values: float) -> list[str]:
        """Return numbers as text with a unit, which is the same in the whole card."""
        if self.axis.dimension == "ratio" and self.column == "capacity":
            return [number_in_words(value, self.axis) for value in values]
        return [f"{self.fits.number(value)} {self.fits.unit}".strip() for value in values]

    def interval(self, result: StudyResult, row: Mapping[Any, Any]) -> str:
        """Return a text with the 95 % interval of a row, or that there is none."""
        if self.column == "capacity":
            ends = [
                float(row.get(f"{self.column}{end}", math.nan)) for end in ("", "_low", "_high")
            ]
            count = int(row.get("replications", 0))
            own = span(ends[0], ends[1], ends[2], (-math.inf, math.inf), count=count)
            if not all(map(math.isfinite, ends)):
                own = Span("none")
            elif begins_overload(str(row.get("note", ""))):
                own = Span("overload", ends[1], ends[2], count)
        else:
            (own,) = value_spans(result, pd.DataFrame([dict(row)]), self.column)

        def texts(low: float, high: float) -> tuple[str, str]:
            _, first, last = self.texts(float(row[self.column]), low, high)
            unit = first.partition(" ")[2]
            short = own.kind in ("both", "runs", "overload")
            return (first.removesuffix(unit).strip() if short else first), last

        return own.sentence(texts)


@dataclass(frozen=True)
class Effect:
    """How far the mean of a number moves with one parameter."""

    parameter: str
    low: float
    high: float
    at_low: str
    at_high: str
    clear: bool = True
    """Whether it is more than chance: some intervals at the two values do not overlap."""

    @property
    def size(self) -> float:
        return self.high - self.low


def effects_of(quantity: Quantity, axes: Mapping[str, Axis]) -> list[Effect]:
    """Return the effect of each parameter, averaged over the others, the largest first."""
    found = []
    for name in quantity.parameters:
        column = quantity.table[name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        axis = axes.get(name, axis_of(name))
        if numeric and column.nunique() > _MOST_VALUES:
            quarters = [f"the {word} quarter of its values" for word in _QUARTERS]
            groups = pd.qcut(column.rank(method="first"), 4, labels=quarters).astype(str)
        else:
            groups = column.map(lambda value, axis=axis: value_name(value, axis))
        means = quantity.table.groupby(groups, sort=False)[quantity.column].mean()
        if len(means) > 1:
            low, high = float(means.min()), float(means.max())
            if high - low > SAME * max(abs(low), abs(high)):
                ends = str(means.idxmin()), str(means.idxmax())
                clear = _is_clear(quantity, name, *(groups.astype(str) == end for end in ends))
                found.append(Effect(name, low, high, *ends, clear))
    return sorted(found, key=lambda effect: -effect.size)


def _is_clear(quantity: Quantity, name: str, low: pd.Series, high: pd.Series) -> bool:
    """Return whether intervals are apart at two values of a parameter, at equal other parameters.

    Rows without intervals count as exact.
    """
    others = [other for other in quantity.parameters if other != name]
    lowest, highest = (quantity.table[rows].to_dict("records") for rows in (low, high))
    at: dict[tuple[str, ...], list[dict[Any, Any]]] = {}
    for row in highest:
        at.setdefault(tuple(str(row[other]) for other in others), []).append(row)
    compared = False
    for row in lowest:
        for other in at.get(tuple(str(row[name]) for name in others), []):
            compared = True
            worst, best = (other, row) if not quantity.more else (row, other)
            if are_apart(quantity, best, worst) is not False:
                return True
    return not compared


def what_matters(
    quantity: Quantity, effects: Sequence[Effect], axes: Mapping[str, Axis]
) -> Iterator[str]:
    """Yield a sentence for each of the two parameters that matter most."""
    for effect in effects[:2]:
        label = axes.get(effect.parameter, axis_of(effect.parameter)).label
        low, high = quantity.texts(effect.low, effect.high)
        if low == high:
            continue
        others = ", averaged over the other parameters" if len(quantity.parameters) > 1 else ""
        yield (
            f"{capital(label)}: {quantity.axis.label} is {low} with {effect.at_low} and {high} "
            f"with {effect.at_high}{others}{'' if effect.clear else '; this may be chance'}."
        )


def most_matters(effects: Sequence[Effect], axes: Mapping[str, Axis], *, but: str = "") -> str:
    """Return the label of the parameter with the largest clear effect; "" if there is none."""
    for effect in effects:
        if effect.clear and effect.parameter != but:
            label = axes.get(effect.parameter, axis_of(effect.parameter)).label
            return f"what matters most: {label}"
    return ""


def as_good(quantity: Quantity, rows: Sequence[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    """Return the rows, ordered with the best first, that are as good as the first."""
    best = float(rows[0][quantity.column])
    near = SAME * max(abs(best), SAME)
    return [row for row in rows if abs(float(row[quantity.column]) - best) <= near]


def number_text(quantity: Quantity, row: Mapping[Any, Any]) -> str:
    return quantity.texts(float(row[quantity.column]))[0]


def what_chance_does(
    result: StudyResult, quantity: Quantity, rows: Sequence[Mapping[Any, Any]]
) -> Iterator[str]:
    """Yield what chance does to the answer: replications, and whether the best is clearly best."""
    best = rows[0]
    own = result.runs[result.runs["status"] == "finished"]
    count = int(best["replications"]) if "replications" in best else own["replication"].nunique()
    few = ", too few for narrow intervals" if 1 < count <= FEW else ""
    text = f"Chance: {counted(count, 'replication')}{few}"
    others = rows[len(as_good(quantity, rows)) :]
    if others and (apart := are_apart(quantity, best, others[0])) is not None:
        second = place_in_words(result, others[0], study_axes(result))
        verb = "is clearly worse" if apart else "may be as good"
        text += f"; the second best, {second}, {verb} ({number_text(quantity, others[0])})"
    yield f"{text}."
    yield from failures(result)


def failures(result: StudyResult) -> list[str]:
    failed = int((result.runs["status"] == "failed").sum())
    return [f"Failures: {failed} of {len(result.runs)} runs failed and are left out."] * (
        failed > 0
    )


def are_apart(
    quantity: Quantity, best: Mapping[Any, Any], second: Mapping[Any, Any]
) -> bool | None:
    """Return whether the intervals of two rows do not overlap; None without intervals."""
    ends = [float(row.get(f"{quantity.column}{end}", math.nan))
            for row in (best, second) for end in ("_low", "_high")]  # fmt: skip
    if any(map(math.isnan, ends)):
        return None
    return ends[0] > ends[3] if quantity.more else ends[1] < ends[2]


def next_steps(
    result: StudyResult,
    quantity: Quantity,
    rows: Sequence[Mapping[Any, Any]],
    *,
    clear: bool | None = None,
) -> Iterator[str]:
    """Yield what to do next."""
    spec = result.study.spec
    if (result.runs["status"] == "failed").any():
        yield "Read the error of the failed runs (below), correct it, and continue with --resume."
    yield from full_version(result)
    apart = clear
    if clear is None and len(others := rows[len(as_good(quantity, rows)) :]):
        apart = are_apart(quantity, rows[0], others[0])
    most = int(result.points["replications"].max())
    quick = spec.preview is not None
    if longer := longer_log(result.runs):
        yield longer
    elif most < 2:
        yield "Set replications to 2 or more: one replication has no interval between runs."
    elif most <= FEW and not quick and not _all_identical(result):
        yield f"Add replications (replications: N, then --resume): {most} give wide intervals."
    elif apart is False and not quick and not _all_identical(result):
        yield "Add replications (replications: N, then --resume) to separate the best points."
    if spec.objective is not None and quantity.column != "capacity":
        yield from _towards_the_limit(result, quantity)
    if quantity.column == "capacity" and not quick and _at_an_edge(result, rows):
        yield "Widen the range of the search: a capacity is at its edge."
    if apart is not False and most > FEW and not quick:
        yield CHECK


def _all_identical(result: StudyResult) -> bool:
    """Return whether no compared system differs from the baseline in any run."""
    compare = result.study.spec.compare
    same = identical_systems(result)
    return compare is not None and bool(same) and len(same) + 1 >= result.runs[compare.of].nunique()


def _towards_the_limit(result: StudyResult, quantity: Quantity) -> Iterator[str]:
    """Yield what to change if all points, or none, meet the objective; overload misses it."""
    objective, points = result.study.spec.objective, result.points
    assert objective is not None
    tried = points[points["replications"] > 0]
    met = tried[quantity.column].astype(np.float64) <= objective.limit
    if not met.any():
        yield "Add capacity, reduce the load, or relax the objective: no point meets it."
    elif met.all():
        yield "Increase the load or reduce the fleet to find where the objective is missed."


def _at_an_edge(result: StudyResult, rows: Sequence[Mapping[Any, Any]]) -> bool:
    """Return whether a capacity is at an end of its range that can be moved.

    An offered load cannot exceed 1, and there is no capacity beyond the value at which overload
    begins.
    """
    search = result.study.spec.capacity
    assert search is not None
    low, high = search.between
    fixed = search.of == LOAD and high >= 1.0
    return any(
        float(row["capacity"]) <= low
        or (
            float(row["capacity"]) >= 0.98 * high
            and not fixed
            and not begins_overload(str(row.get("note", "")))
        )
        for row in rows
    )


def full_version(result: StudyResult) -> list[str]:
    """Return the first step after a quick version of a study."""
    if result.study.spec.preview is None:
        return []
    return ["Run the study without --quick before you use its numbers."]
