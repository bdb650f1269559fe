"""Names of compared systems and of other values of parameters, the same in all texts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import named_value
from clustersim.studies.study_result import StudyResult

__all__ = ["compared_axis", "listed", "system_name", "value_name"]


def value_name(value: Any, axis: Axis) -> str:
    """Return a value of a parameter as text, without the label of the parameter.

    Examples
    --------
    >>> value_name(43200.0, Axis("checkpoint interval", dimension="duration"))
    '12 h'
    >>> value_name(True, Axis("wait")), value_name("easy", Axis("policy"))
    ('yes', 'easy')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str) or not isinstance(value, SupportsFloat):
        return str(value)
    return axis.text(float(value), 6)


def compared_axis(result: StudyResult, axes: Mapping[str, Axis]) -> Axis:
    """Return the axis of the compared parameter."""
    compare = result.study.spec.compare
    return Axis("") if compare is None else axes.get(compare.of, axis_of(compare.of))


def system_name(result: StudyResult, value: Any, axes: Mapping[str, Axis]) -> str:
    """Return the name of a compared system for a sentence.

    A number, and yes or no, have the label of the parameter: ``checkpoint interval 12 h``.
    """
    compare, axis = result.study.spec.compare, compared_axis(result, axes)
    name = value_name(value, axis)
    return name if compare is None else named_value(compare.of, value, name, axis)


def listed(names: Sequence[str]) -> str:
    """Return names as a list in words.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
