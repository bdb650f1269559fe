"""Convert the roles of numpydoc docstrings to links."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Roles"]

_ROLE = re.compile(r":[a-z]+:`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Replaces ``:func:`~package.name` `` by an optional cross-reference.

    A name without a package is searched in the module of the docstring.
    """

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Change the docstring of a loaded object."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(lambda role: _link(role[1], role[2], obj), obj.docstring.value)
        # Two colons start a code block in reStructuredText; in Markdown its indentation does.
        obj.docstring.value = re.sub(r"::$(?=\n\n +)", ":", text, flags=re.MULTILINE)


def _link(short: str, name: str, obj: griffe.Object) -> str:
    label = name.rpartition(".")[2] if short else name
    if not name.startswith("clustersim"):
        home = obj if obj.is_class and name in obj.members else obj.module
        name = f"{home.path}.{name}"
    return f'<autoref optional identifier="{name}">`{label}`</autoref>'
