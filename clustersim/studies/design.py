"""The points of a study, derived from its parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.analysis.sensitivity import sobol_design
from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.studies.spec import Range, Sample, StudySpec
from clustersim.units import Quantity, find_quantity

__all__ = ["Point", "column_value", "design"]

Change = tuple[str, Any]
Axis = list[tuple[Change, ...]]
MOST_POINTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of parameter values.

    Attributes
    ----------
    index : int
        Number of the point in the order of the design, from 0.
    changes : dict of str to object
        Values by their path in the scenario, as written in a scenario file.
    """

    index: int
    changes: Mapping[str, Any]

    @property
    def columns(self) -> dict[str, Any]:
        """Values by path as shown in tables, with quantities in SI units."""
        return {path: column_value(value) for path, value in self.changes.items()}


def column_value(value: Any) -> Any:
    """Return a value as shown in tables: quantities in SI units, files without their folder.

    Examples
    --------
    >>> column_value("2 TB/s"), column_value("fcfs"), column_value("/my/policy.py:Mine")
    (2000000000000.0, 'fcfs', 'policy.py:Mine')
    """
    quantity = find_quantity(value)
    if quantity is not None:
        return quantity.value
    if isinstance(value, str) and value.startswith("/"):
        return value.rpartition("/")[2]
    return value


def design(spec: StudySpec, *, seed: int) -> list[Point]:
    """Return the points of a study.

    Parameters
    ----------
    spec : StudySpec
        All combinations of lists and of ranges with steps are used, in the order of the file; the
        last parameter advances fastest.  Lists of a paired group advance together.  Ranges without
        steps are drawn jointly by `sample`, and every draw is run at each combination of the other
        parameters.  Equal draws of whole numbers count as one point.
    seed : int
        Seed of the draws.

    Raises
    ------
    InputError
        If a range of whole numbers has more steps than numbers, or there are more than a million
        points.
    """
    _check_size(spec)
    axes: list[Axis] = []
    for path, values in spec.parameters.items():
        if isinstance(values, Range):
            if values.steps is not None:
                axes.append([((path, value),) for value in _stepped(path, values)])
        else:
            axes.append([((path, value),) for value in values])
    axes += [[tuple(row) for row in _advancing(group)] for group in spec.paired]
    if spec.sample is not None:
        ranges = {path: spec.parameters[path] for path in spec.sampled}
        drawn = _sampled(spec.sample, ranges, Streams(seed)("design of the study"))
        if spec.sample.method != "sobol-indices":  # its estimators need the complete design
            drawn = list(dict.fromkeys(drawn))
        axes.append(drawn)
    return [
        Point(index, dict(itertools.chain.from_iterable(combination)))
        for index, combination in enumerate(itertools.product(*axes))
    ]


def _check_size(spec: StudySpec) -> None:
    sizes = [
        (values.steps or 1) if isinstance(values, Range) else len(values)
        for values in spec.parameters.values()
    ]
    sizes += [len(next(iter(group.values()))) for group in spec.paired]
    if spec.sample is not None:
        blocks = len(spec.sampled) + 2 if spec.sample.method == "sobol-indices" else 1
        sizes.append(spec.sample.points * blocks)
    if math.prod(sizes) > MOST_POINTS:
        factors = " x ".join(f"{size:,}" for size in sizes if size > 1)
        raise InputError(
            "parameters",
            f"{factors} combinations make {math.prod(sizes):,} points, but at most {MOST_POINTS:,} "
            "are allowed",
        )


def _advancing(group: Mapping[str, Sequence[Any]]) -> Iterator[list[Change]]:
    """Yield the changes that are made together, for each row of the lists."""
    for row in zip(*group.values(), strict=True):
        yield list(zip(group, row, strict=True))


def _stepped(path: str, values: Range) -> list[Any]:
    assert values.steps is not None, "a range without steps is drawn"
    shares = np.linspace(0.0, 1.0, values.steps)
    begin, end, unit = _ends(values)
    numbers = _between(begin, end, values.spacing, shares).tolist()
    if not values.whole:
        # Rounded, so that a step at 0.3 is the same run as 0.3 in a list.
        inner = [float(f"{number:.12g}") for number in numbers[1:-1]]
        return [_as_written(number, unit) for number in (begin, *inner, end)]
    whole = [round(number) for number in numbers]
    if len(set(whole)) < len(whole):
        raise InputError(
            f"parameters.{path}",
            f"needs {values.steps} distinct whole numbers, but {values.begin} to {values.end} has "
            f"fewer; use fewer steps, or write {float(begin)} and {float(end)} for fractions",
        )
    return whole


def _sampled(sample: Sample, ranges: Mapping[str, Any], generator: np.random.Generator) -> Axis:
    from scipy.stats import qmc  # slow to import

    if sample.method == "sobol-indices":
        shares = sobol_design(len(ranges), sample.points, generator)
    elif sample.method == "sobol":
        shares = qmc.Sobol(len(ranges), rng=generator).random(sample.points)
    else:
        shares = qmc.LatinHypercube(len(ranges), rng=generator).random(sample.points)
    drawn = {path: _drawn(values, shares[:, k]) for k, (path, values) in enumerate(ranges.items())}
    return [tuple(row) for row in _advancing(drawn)]


def _drawn(values: Range, shares: Floats) -> list[Any]:
    begin, end, unit = _ends(values)
    if values.whole:
        # Every whole number gets an equal part of the range (or of its logarithm).
        numbers = np.floor(_between(begin, end + 1, values.spacing, shares))
        return [int(number) for number in np.clip(numbers, begin, end)]
    return [_as_written(float(x), unit) for x in _between(begin, end, values.spacing, shares)]


def _between(begin: float, end: float, spacing: str, shares: Floats) -> Floats:
    if spacing == "log":
        drawn: Floats = begin * (end / begin) ** shares
        return drawn
    return begin + (end - begin) * shares


def _ends(values: Range) -> tuple[float, float, str]:
    first, last = find_quantity(values.begin), find_quantity(values.end)
    if first is None or last is None:
        return float(values.begin), float(values.end), ""
    return first.value, last.value, first.unit


def _as_written(number: float, unit: str) -> float | str:
    """Return a number as written in a scenario file, with its unit if it has one."""
    return str(Quantity(number, "", unit)) if unit else number
