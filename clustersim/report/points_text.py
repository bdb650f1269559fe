"""The points of a study as a short table in the terminal."""

from __future__ import annotations

from clustersim.report.cells import Column, table_columns
from clustersim.report.grouped import grouped, repeats
from clustersim.report.of_study.tables import point_table
from clustersim.studies.study_result import StudyResult
from clustersim.text_table import table

__all__ = ["points_text"]

MOST_ROWS = 12
WIDTH = 100


def points_text(result: StudyResult) -> list[str]:
    """Return the metrics that a study requests at each point, and where to find the rest.

    Only the first points and the metrics that fit the width of a terminal are shown.  The points
    of a capacity search are not shown because they are trial values.
    """
    spec = result.study.spec
    asked = [*([spec.objective.metric] if spec.objective else []), *spec.metrics]
    metrics = [name for name in dict.fromkeys(asked) if name in result.points]
    if spec.capacity is not None or not metrics:
        return []
    given = point_table(result)
    ends = [f"{name}{end}" for name in metrics for end in ("_low", "_high")]
    names = [*result.parameters, *metrics, *(name for name in ends if name in result.points)]
    ordered, groups = grouped(result, result.points[names])
    shown = given.frame[[name for name in ordered if name in given.frame]]
    columns = table_columns(
        shown,
        labels=given.labels,
        formats=given.formats,
        intervals=True,
        prefixes=given.prefixes,
    )
    same = repeats(shown, groups)
    left = len(columns) - len(result.parameters)
    lines = _lines(columns, same)
    while left > 1 and max(map(len, lines)) > WIDTH:
        left -= 1
        lines = _lines(columns[: len(result.parameters) + left], same)
    hidden = [
        text
        for text, count in (
            ("point", len(result.points) - MOST_ROWS),
            ("metric", len(metrics) - left),
        )
        if count > 0
        for text in (f"{count:,} more {text}{'s' if count > 1 else ''}",)
    ]
    more = f" points.csv has {' and '.join(hidden)}." if hidden else ""
    return [*lines, f"{given.caption}{more}"]


def _lines(columns: list[Column], same: list[list[bool]]) -> list[str]:
    """Return the first rows as text; values that only repeat the group above are left out."""
    cells = [[cell.text for cell in column.cells[:MOST_ROWS]] for column in columns]
    for texts, repeated in zip(cells, same, strict=False):
        texts[:] = [
            "" if again else text for text, again in zip(texts, repeated[: len(texts)], strict=True)
        ]
    return table(zip(*cells, strict=True), [column.label for column in columns]).splitlines()
