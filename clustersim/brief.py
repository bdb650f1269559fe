"""Objects that show themselves in a line: on the console, and as a small table in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping

__all__ = ["Brief"]

_MOST_CHARACTERS = 200
"""Of a value; names of files and reasons may be long."""


class Brief:
    """Base of what shows its main numbers instead of all its fields.

    A dataclass that has it as a base is declared with ``repr=False``, and says in :meth:`_brief`
    what it is and its main numbers, as texts with their units.

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
        """Return what it is, and its main numbers by name; empty values are left out."""
        raise NotImplementedError

    def __repr__(self) -> str:
        title, facts = self._brief()
        told = [f"{name} {_short(value)}" for name, value in facts.items() if value]
        return f"{title}: {'; '.join(told)}" if told else title

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
    """One line of a value, cut where it is long."""
    line = " ".join(value.split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 3] + "..."
