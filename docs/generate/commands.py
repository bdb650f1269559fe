"""The page of the command line, generated from the help texts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

__all__ = ["commands_page", "parsers"]

WIDTH = 96


def commands_page(parser: argparse.ArgumentParser) -> str:
    """Return the page with the help of each command."""
    lines = ["# Command line\n", "The output of `clustersim COMMAND --help`.\n"]
    lines += ["| command | purpose |", "|---|---|"]
    commands = list(parsers(parser))
    lines += [f"| [`{name}`](#{name}) | {_cell(help_text)} |" for name, help_text, _ in commands]
    for name, _, command in commands:
        lines += [f"\n## {name} {{ #{name} }}\n", "```text", _help(command).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the name, the one-line help and the parser of each command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for listed in action._choices_actions:
                yield listed.dest, listed.help or "", action.choices[listed.dest]


def _help(parser: argparse.ArgumentParser) -> str:
    """Return the help text at a fixed width, without colours."""
    kept = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ.update(COLUMNS=str(WIDTH), NO_COLOR="1")
    try:
        return parser.format_help()
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("%%", "%")
