"""Notes to the user on stderr: what was assumed, ignored or taken from elsewhere."""

from __future__ import annotations

import sys

__all__ = ["forget_notes", "note"]

_TOLD: set[str] = set()


def note(text: str) -> None:
    """Print ``Note: text`` on stderr, the same text once a command."""
    if text not in _TOLD:
        _TOLD.add(text)
        print(f"Note: {text}", file=sys.stderr)


def forget_notes() -> None:
    """Let all notes be printed again, because a new command begins."""
    _TOLD.clear()
