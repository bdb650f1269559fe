"""Text that marks the pictures and the page of a quick study with what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.plots.axis import axis_of
from clustersim.plots.study_axes import study_axes
from clustersim.studies.spec import Preview
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted, find_quantity, format_duration

__all__ = ["IN_TITLE", "leaves", "quick_mark", "quick_note", "short_value"]

_DAY = 86400.0
IN_TITLE = 4
"""A title names at most this many changes."""
_SIZES = ("horizon", "workload.duration", "workload.jobs")
"""Changes of the base scenario that set the size of a run, the most important first."""


def quick_mark(result: StudyResult) -> str:
    """Return the mark for the titles of pictures, such as ``quick: 8,000 chips, 120 days``.

    It is empty if the study is not a quick version.
    """
    preview = result.study.spec.preview
    if preview is None:
        return ""
    parts = [*_size(preview), *_counts(preview)][:IN_TITLE]
    return f"quick: {', '.join(parts)}" if parts else "quick version"


def quick_note(result: StudyResult) -> list[str]:
    """Return a sentence about everything that the quick version changed."""
    preview = result.study.spec.preview
    if preview is None:
        return []
    parts = [*_size(preview), *_counts(preview), *_others(result, preview)]
    return [
        f"This is the quick version of the study (--quick): {'; '.join(parts)}. Run the study "
        "without --quick before you use its numbers."
    ]


def _size(preview: Preview) -> Iterator[str]:
    """Yield the size of the fleet and of the runs."""
    if preview.chips is not None:
        low, high = preview.chips
        yield f"{high:,} chips" if low == high else f"{low:,} to {high:,} chips"
    changed = preview.changes.get("set") or {}
    seen = set()
    for path in _SIZES:
        if path not in changed:
            continue
        value = changed[path]
        if path == "workload.jobs":
            yield counted(value, "job") if isinstance(value, int) else f"{value} jobs"
        elif value not in seen:
            seen.add(value)
            yield _days(value) if path == "horizon" else f"jobs of {_days(value)}"


def _days(value: object) -> str:
    quantity = find_quantity(value)
    if quantity is None:
        return str(value)
    days = quantity.value / _DAY
    return counted(int(days), "day") if days >= 1 and days == int(days) else str(value)


def _counts(preview: Preview) -> Iterator[str]:
    """Yield the numbers of replications, draws and sampled points."""
    changed = preview.changes
    count = changed.get("replications")
    if isinstance(count, int):
        yield counted(count, "replication")
    elif isinstance(count, dict):
        ends = [str(count[end]) for end in ("at_least", "at_most") if end in count]
        yield f"{' to '.join(ends)} replications"
    if isinstance(changed.get("draws"), int):
        yield counted(changed["draws"], "draw of the calibration", "draws of the calibration")
    if (changed.get("sample") or {}).get("points") is not None:
        yield counted(changed["sample"]["points"], "sampled point")


def _others(result: StudyResult, preview: Preview) -> Iterator[str]:
    """Yield all other changes."""
    axes = study_axes(result)
    changed = preview.changes
    for path, value in (changed.get("set") or {}).items():
        if path not in _SIZES:
            yield f"{axes.get(path, axis_of(path)).label} {short_value(value)}"
    for path, value in (changed.get("parameters") or {}).items():
        yield f"only {axes.get(path, axis_of(path)).label} {short_value(value)}"
    if isinstance(changed.get("base"), str):
        yield f"base scenario {changed['base']}"
    rest = {
        key: value
        for key, value in changed.items()
        if key not in ("set", "parameters", "base", "replications", "draws", "sample")
    }
    for name, value in leaves(rest):
        yield f"{name} {short_value(value)}"


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings, each with its path."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def short_value(value: object) -> str:
    """Return a value of a file as a short text."""
    if isinstance(value, list):
        return ", ".join(short_value(item) for item in value)
    quantity = find_quantity(value)
    if quantity is not None and quantity.dimension == "duration":
        return format_duration(quantity.value, whole=True)
    return str(value)
