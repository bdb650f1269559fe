"""The examples of a Markdown text: fenced blocks, and commands in the running text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Example", "examples"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:clustersim |cs\.)[^`]+)`")
_FILE_NAME = re.compile(r"^# ([\w.-]+\.(?:yaml|py))$")


@dataclass(frozen=True)
class Example:
    """Something that a reader does.

    Attributes
    ----------
    line : int
        Where it is in the text; the first is 1.
    kind : str
        ``command``, ``python`` (a program), ``file``, or ``snippet`` (a part of a YAML file).
    text : str
        The command, or the content.
    name : str
        Of a file.
    """

    line: int
    kind: str
    text: str
    name: str = ""


def examples(text: str) -> list[Example]:
    """Return the examples of a text in their order.

    A block of YAML or Python whose first line is a comment with a file name is that file.  In the
    running text, what is in backquotes is an example if it is a command with arguments, or an
    expression that begins with ``cs.`` and calls something.
    """
    found: list[Example] = []
    prose = text
    for block in _FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        found += _of_block(block[1], block[2], line)
        blank = "\n" * block[0].count("\n")
        prose = prose.replace(block[0], blank + " " * (len(block[0]) - len(blank)), 1)
    for inline in _INLINE.finditer(prose):
        line = prose.count("\n", 0, inline.start()) + 1
        message = " ".join(inline[1].split())
        if message.startswith("cs.") and "(" in message:
            found.append(Example(line, "python", f"import clustersim as cs\n\n{message}\n"))
        elif len(message.split()) > 2:
            found.append(Example(line, "command", message))
    return sorted(found, key=lambda example: example.line)


def _of_block(language: str, content: str, line: int) -> Iterator[Example]:
    if language in ("sh", "bash", "shell", "console"):
        yield from _commands(content, line)
    elif language in ("yaml", "python", "py"):
        name = _FILE_NAME.match(content.split("\n")[0])
        if name is not None:
            yield Example(line, "file", content, name[1])
        else:
            yield Example(line, "snippet" if language == "yaml" else "python", content)


def _commands(content: str, line: int) -> Iterator[Example]:
    """Yield the commands of a block for a shell, without comments and line breaks."""
    at, rest = line, ""
    for number, own in enumerate(content.split("\n"), start=line):
        at = at if rest else number
        rest += own
        if rest.endswith("\\"):
            rest = rest[:-1] + " "
            continue
        words = shlex.split(rest, comments=True)
        if words:
            yield Example(at, "command", shlex.join(words))
        rest = ""
