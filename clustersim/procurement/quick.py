"""Text that marks the pictures and the page of a quick plan with what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.plots.parts.quick_mark import IN_TITLE, leaves, short_value
from clustersim.units import counted

__all__ = ["quick_mark", "quick_note"]

_COUNTS = {"verify.replications": "replication", "verify.rounds": "round"}
_SCALE = "verify.scale"


def quick_mark(changes: Mapping[str, Any] | None) -> str:
    """Return the mark for the titles of pictures; "" if the plan is not a quick version.

    Parameters
    ----------
    changes : mapping or None
        The section ``quick`` that was applied.

    Examples
    --------
    >>> quick_mark({"verify": {"scale": "1/24", "replications": 1, "rounds": 2}})
    'quick: simulated fleet at a scale of 1/24, 1 replication, 2 rounds'
    >>> quick_mark({"budget": "1e9 CNY"}), quick_mark(None)
    ('quick version', '')
    """
    if changes is None:
        return ""
    parts = [*_size(dict(leaves(changes)))][:IN_TITLE]
    return f"quick: {', '.join(parts)}" if parts else "quick version"


def quick_note(changes: Mapping[str, Any] | None) -> str:
    """Return a sentence about everything that the quick version changed; "" if it is not one.

    Examples
    --------
    >>> quick_note({"planning_utilisation": 0.6, "verify": {"rounds": 1}})
    'This is the quick version of the plan (--quick): 1 round; planning_utilisation 0.6. Run the \
plan without --quick before you use its numbers.'
    """
    if changes is None:
        return ""
    found = dict(leaves(changes))
    others = [f"{path} {short_value(value)}" for path, value in found.items()
              if path not in (*_COUNTS, _SCALE) and value is not None]  # fmt: skip
    removed = [f"without {path}" for path, value in found.items() if value is None]
    parts = "; ".join([*_size(found), *others, *removed])
    return (
        f"This is the quick version of the plan (--quick): {parts or 'no change'}. Run the plan "
        "without --quick before you use its numbers."
    )


def _size(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the size of the simulation."""
    if found.get(_SCALE) is not None:
        yield f"simulated fleet at a scale of {found[_SCALE]}"
    for path, word in _COUNTS.items():
        if isinstance(found.get(path), int):
            yield counted(found[path], word)
