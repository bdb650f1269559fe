"""Objects with a one-line representation on the console and a small table in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping

__all__ = ["Brief"]

_MOST_CHARACTERS = 200
"""Maximum number of characters of a value that are shown; file names and reasons may be long."""


class Brief:
    """Base class of objects whose representation shows their main numbers instead of all fields.

    A dataclass that derives from it must be declared with ``repr=False`` and must define
    :meth:`_brief`.

    Examples
    --------
    >>> class Rack(Brief):
    ...     def _brief(self):
    ...         return "Rack <7>", {"nodes": "4", "power": "40 kW"}
    >>> Rack()
    Rack <7>: nodes 4; power 40 kW
    >>> Rack()._repr_html_().split("<tr>")[:2]
    ['<table><caption>Rack &lt;7&gt;</caption>', '<th>nodes</th><td>4</td></tr>']
    """

    __slots__ = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        """Return the title and the main numbers by name, as texts; empty values are omitted."""
        raise NotImplementedError

    def __repr__(self) -> str:
        title, facts = self._brief()
        parts = [f"{name} {_short(value)}" for name, value in facts.items() if value]
        return f"{title}: {'; '.join(parts)}" if parts else title

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Return a small table for notebooks."""
        title, facts = self._brief()
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(_short(value))}</td></tr>"
            for name, value in facts.items()
            if value
        ]
        return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"


def _short(value: str) -> str:
    """Return a value as one line, cut if it is too long."""
    line = " ".join(value.split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 3] + "..."
