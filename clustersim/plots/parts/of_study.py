"""Plots of study results: which table a plot draws, and with which labels.

A plot function that is given a :class:`~clustersim.StudyResult` draws what a study file with the
same entry of ``plots`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from matplotlib.axes import Axes

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.studies.plot_kinds import find_plot_kind
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["plot_of_study"]


def plot_of_study(
    source: str,
    kind: str,
    result: StudyResult,
    fields: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    y: str = "y",
    ax: Axes | None,
) -> Axes:
    """Draw the single panel of a plot kind.

    Parameters
    ----------
    source : str
        Name of the plot function, for messages.
    kind : str
        Name of a built-in plot kind.
    result : StudyResult
    fields : mapping
        Fields of the entry of ``plots``, such as ``{"x": "workload.load", "y": ["mean_wait_s"]}``.
    options : mapping
        Further arguments of the plot function; None leaves the choice to the study.
    y : str
        Name of the function's argument for the field `y`.
    ax : Axes or None
        Where to draw; None for a new figure.

    Raises
    ------
    InputError
        If a name is unknown, the study lacks the data, or the plot needs several panels.
    """
    plot = validate(Plot, {"kind": kind, **fields}, source)
    found = find_plot_kind(kind)
    assert found is not None, "the kind is built in"
    problems = [_with_argument(each, y) for each in found.problems(result.study.spec, plot)]
    if problems:
        raise InputError(source, problems)
    panels = found.drawn_panels(result, plot)
    if len(panels) != 1:
        raise InputError(
            source,
            f"this study needs {len(panels)} panels; choose one parameter with `by`, or pass rows "
            "of its table of points",
        )
    given = {name: value for name, value in options.items() if value is not None}
    if "axes" in given and isinstance(panels[0], partial):
        given["axes"] = {**(panels[0].keywords.get("axes") or {}), **given["axes"]}
    return cast(Axes, panels[0](ax=ax, **given))


def _with_argument(problem: str, y: str) -> str:
    """Return the problem of an entry with the name of the argument instead of the field."""
    field, _, text = problem.removeprefix(".").partition(": ")
    return f"{y if field == 'y' else field}: {text}" if field else text
