"""`clustersim policies`: list the policies and placements with their options and papers."""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap

from clustersim.console import write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "policies",
        help="list policies and placements with their options",
        description="List the policies and placements, what they do, their options with defaults, "
        "and where they were published.",
        epilog="example: clustersim policies las",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="only these, or FILE.py:ClassName of your own; by default all",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.scheduling import PLACEMENTS, POLICIES, find_placement, find_policy
    from clustersim.scheduling.options import option_texts

    plugins: list[tuple[str, str, type]]
    if args.names:
        plugins = [
            ("placement", name, find_placement(name))
            if name in PLACEMENTS
            else ("policy", name, find_policy(name))
            for name in args.names
        ]
    else:
        plugins = [("policy", name, cls) for name, cls in POLICIES.items()]
        plugins += [("placement", name, cls) for name, cls in PLACEMENTS.items()]
    data = []
    for kind, name, plugin in plugins:
        text, options = documented(plugin), option_texts(plugin)
        print(f"{kind} {name}")
        published = [part for part in text[1:] if re.search(r"\b(?:19|20)\d\d\b", part)]
        for paragraph in text if args.names else [*text[:1], *published]:
            print(textwrap.fill(paragraph, 98, initial_indent="  ", subsequent_indent="  "))
        for option, value in options.items():
            meaning = option_meaning(plugin, option)
            line = (
                f"--option {option}={value}: {meaning}" if meaning else f"--option {option}={value}"
            )
            print(textwrap.fill(line, 98, initial_indent="    ", subsequent_indent="      "))
        data.append({"kind": kind, "name": name, "text": text, "options": options})
    write_json({"policies": data})
    return 0


def documented(plugin: type) -> list[str]:
    """Return the paragraphs of a class's docstring, without its sections.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> documented(find_policy("fcfs"))
    ['First come, first served: if the first job cannot start, all jobs behind it wait.']
    """
    text = inspect.cleandoc(plugin.__doc__ or "")
    body = re.split(r"\n\n[A-Z][a-z]+\n-+\n", text)[0]
    paragraphs = [" ".join(part.split()) for part in body.split("\n\n") if part.strip()]
    return [_plain(paragraph) for paragraph in paragraphs]


def _plain(text: str) -> str:
    """Return a text without the markup of docstrings.

    >>> _plain("see :class:`~clustersim.scheduling.decisions.Preempt` and ``fcfs``")
    'see Preempt and fcfs'
    """
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text).replace("``", "")


def option_meaning(plugin: type, option: str) -> str:
    """Return what the docstring of a class, or of a base class, says of an option.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> option_meaning(find_policy("las"), "attained")
    'What a job attains: run time x accelerators, or run time.'
    """
    for cls in plugin.__mro__:
        lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
        for at, line in enumerate(lines):
            if re.match(rf"{re.escape(option)} : ", line):
                rest = lines[at + 1 :]
                end = next(
                    (i for i, each in enumerate(rest) if not each.startswith(" ")), len(rest)
                )
                return _plain(" ".join(" ".join(rest[:end]).split()))
    return ""
