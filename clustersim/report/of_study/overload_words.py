"""Sentences on periods in which points of a study are overloaded."""

from __future__ import annotations

from typing import Any

from clustersim.plots.study_axes import study_axes
from clustersim.report.of_study.places import places_in_words
from clustersim.studies.overload import FULL, NEVER_START, WAIT_TO_THE_END
from clustersim.studies.study_result import StudyResult
from clustersim.units import format_percent

__all__ = ["overload_sentences"]


def overload_sentences(result: StudyResult, *, why: bool = False) -> list[str]:
    """Return which points are overloaded in which periods; empty if none is.

    Parameters
    ----------
    result : StudyResult
    why : bool
        Whether to define overload of a period, too.
    """
    points, axes = result.points, study_axes(result)
    if "overload_in" not in points:
        return []
    rows = points[points["overload_in"] != ""].to_dict("records")
    if not rows:
        return []
    groups: dict[str, list[dict[Any, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row["overload_in"]), []).append(row)
    every, named = points.to_dict("records"), []
    for periods, own in groups.items():
        place = places_in_words(result, own, every, axes)
        named.append(f"{place} ({periods})" if place else periods)
    text = f"Overload in some periods: {'; '.join(named)}."
    if not why:
        return [text]
    full, some, many = (format_percent(share, 0) for share in (FULL, WAIT_TO_THE_END, NEVER_START))
    return [
        f"{text} There, {full} or more of the fleet is allocated and more than {some} of the jobs "
        f"of the period have not started at the end of the run (or more than {many}, at any "
        "utilisation): the queue grows, and waits are much longer than those of the jobs that "
        "started."
    ]
