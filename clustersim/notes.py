"""Notes to the user on stderr about anything assumed, ignored or taken from another place."""

from __future__ import annotations

import sys

__all__ = ["forget_notes", "note"]

_TOLD: set[str] = set()


def note(text: str) -> None:
    """Print ``Note: text`` on stderr; each text appears once per command."""
    if text not in _TOLD:
        _TOLD.add(text)
        print(f"Note: {text}", file=sys.stderr)


def forget_notes() -> None:
    """Allow all notes to be printed again, because a new command starts."""
    _TOLD.clear()
