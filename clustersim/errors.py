"""Errors that a user can correct.

Every problem with an input is raised as an :class:`InputError`; the command line prints it and
exits with code 2.  Any other error that reaches the command line is a bug in the simulator and
keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from clustersim.meanings import same_meaning

__all__ = [
    "ClusterSimError",
    "InputError",
    "RenamedError",
    "check_kind",
    "kind_text",
    "named_in",
    "names_former_arguments",
    "nearest_hint",
    "nearest_name",
    "new_name",
    "no_attribute",
    "problems_of",
    "shown",
    "unknown_name",
]


_MOST_COMPARED = 100
"""At most this many characters of a name are compared with the allowed names."""


_MOST_PROBLEMS = 100
"""Maximum number of lines in a message."""
_MOST_CHARACTERS = 1000
"""Maximum number of characters in a line of a message, which may quote very long values."""
_LONG_WORD = re.compile(r"\w{80,}")
"""Pattern of a number or word that is too long to print in full."""
_SHOWN_OF_WORD = 40
"""Number of characters that are printed of a word that is too long."""
Given = ParamSpec("Given")
Returned = TypeVar("Returned")
_BRIEF = reprlib.Repr()
"""Formatter that shows only a few levels and elements of a nested value."""


class ClusterSimError(Exception):
    """Base class of all errors that clustersim raises on purpose."""


class InputError(ClusterSimError):
    """A file, option or value that cannot be used.

    Parameters
    ----------
    source : str or Path
        The file, option or argument with the problem.
    problems : str or sequence of str
        One line for each problem: the field, what was found, what is allowed.  All
        problems of a source are reported at once.

    Examples
    --------
    >>> import clustersim as cs
    >>> try:
    ...     cs.run({"cluster": "mixed-small"})
    ... except cs.InputError as error:
    ...     print(error)
    scenario: workload: is required but absent
    """

    def __init__(self, source: str | Path, problems: str | Sequence[str]) -> None:
        self.source = str(source)
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__(self.source, self.problems)

    def __str__(self) -> str:
        source = _cut(self.source)
        if len(self.problems) == 1:
            return f"{source}: {_cut(self.problems[0])}"
        lines = [f"  - {_cut(problem)}" for problem in self.problems[:_MOST_PROBLEMS]]
        if len(self.problems) > _MOST_PROBLEMS:
            lines.append(f"  - and {len(self.problems) - _MOST_PROBLEMS:,} more")
        return "\n".join([f"{source}: {len(self.problems):,} problems", *lines])


def _cut(text: str) -> str:
    """Shorten very long words and cut the middle out of a text that is too long."""
    text = _LONG_WORD.sub(lambda word: f"{word[0][:_SHOWN_OF_WORD]}...", text)
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]} [...] {text[-half:]}"


@contextmanager
def named_in(source: str | Path, field: str) -> Iterator[None]:
    """Add the names of the file and the field to every :class:`InputError` raised in the block.

    Examples
    --------
    >>> with named_in("scenario.yaml", "cluster"):
    ...     raise InputError("my-cluster.yaml", "no such file")
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: scenario.yaml: cluster: my-cluster.yaml: no such file
    """
    try:
        yield
    except InputError as error:
        inner = "" if error.source in field.split(".") else f": {error.source}"
        raise InputError(f"{source}: {field}{inner}", error.problems) from error.__cause__


def problems_of(field: str, look_up: Callable[[str], object], name: str) -> list[str]:
    """Return the problems of a look-up of a name, with its field; an empty list without any.

    Examples
    --------
    >>> def find(name):
    ...     raise InputError("catalogue", f"unknown chip {name!r}")
    >>> problems_of("chips.fast", find, "H2000")
    ["chips.fast: unknown chip 'H2000'"]
    """
    try:
        look_up(name)
    except InputError as error:
        return [f"{field}: {problem}" for problem in error.problems]
    return []


def shown(value: object, *, most: int = 60) -> str:
    """Return the text of a value for a message, cut to `most` characters.

    A number of numpy is shown as a plain number.

    Examples
    --------
    >>> shown("x" * 100, most=12)
    "'xxxxxxxx..."
    >>> import numpy as np
    >>> shown(np.int64(0)), shown(np.float64(0.5))
    ('0', '0.5')
    """
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]
    text = _BRIEF.repr(value) if isinstance(value, (dict, list, tuple)) else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def check_kind(
    name: str,
    value: object,
    kinds: type | tuple[type, ...],
    wanted: str,
    instead: str = "",
) -> None:
    """Raise an error if an argument has the wrong type.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        The value that was passed.
    kinds : type or tuple of type
        Allowed types; True and False are always refused.
    wanted, instead : str
        Text for the message: what is allowed, and what to do instead.

    Raises
    ------
    InputError
        If `value` has another type.

    Examples
    --------
    >>> check_kind("cluster", "mixed-small", dict, "a mapping", "load it first")
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: cluster: must be a mapping, found 'mixed-small'; load it first
    """
    if isinstance(value, kinds) and not isinstance(value, bool):
        return
    end = f"; {instead}" if instead else ""
    raise InputError(name, f"must be {wanted}, found {kind_text(value)}{end}")


def kind_text(value: object) -> str:
    """Return the text of a simple value, and the type name of any other value.

    Examples
    --------
    >>> kind_text("easy"), kind_text([1, 2]), kind_text(None)
    ("'easy'", 'a list', 'None')
    """
    if value is None or isinstance(value, str | int | float | bool):
        return shown(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


_TYPO = 0.85
"""A name that is at least this similar to an allowed name is considered a typing error (ratio of
`difflib`)."""
_SIMILAR, _SIMILAR_SHORT, _SHORT = 0.55, 0.65, 5
"""Names that are less similar than the first number are considered unrelated.  The second number
applies to short names, which have fewer characters than the third."""


_NEAR_SHOWN = 3


def nearest_name(name: object, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that was most likely meant, or None if no name is similar.

    Candidates are tried in this order: a typing error, the same meaning, a name that contains the
    same word, a similar spelling.

    Examples
    --------
    >>> nearest_name("polcy", ["placement", "policy"]), nearest_name("log", ["load", "trace"])
    ('policy', 'trace')
    """
    by_lower = {str(item).lower(): str(item) for item in allowed}
    text = str(name)[:_MOST_COMPARED].lower()
    near = difflib.get_close_matches(text, by_lower, n=1, cutoff=_TYPO)
    if near:
        return by_lower[near[0]]
    meant = same_meaning(text, by_lower.values())
    if meant is not None:
        return meant
    with_word = [item for item in by_lower if text in re.split(r"[^a-z0-9]+", item)]
    if len(text) > 2 and with_word:
        return by_lower[min(with_word, key=len)]
    cutoff = _SIMILAR_SHORT if len(text) < _SHORT else _SIMILAR
    near = difflib.get_close_matches(text, by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def _several_near(name: object, allowed: Iterable[str]) -> list[str]:
    """Return the nearest name, if one is near, and up to two others that begin with its letters."""
    names = sorted(str(item) for item in allowed)
    text = str(name)[:_MOST_COMPARED].lower()
    first = re.match(r"[a-z]*", text)
    family = [
        each
        for each in names
        if first and first[0] and re.match(r"[a-z]*", each.lower())[0] == first[0]  # type: ignore[index]
    ]
    near = nearest_name(name, family or names)
    if near is None and not family:
        return []
    others = difflib.get_close_matches(text, family, n=_NEAR_SHOWN, cutoff=0.0)
    return list(dict.fromkeys([near, *others] if near else others))[:_NEAR_SHOWN]


def nearest_hint(name: object, allowed: Iterable[str], *, most: int = 12) -> str:
    """Return a hint with the allowed names and the one nearest to `name`.

    Returns
    -------
    str
        ``"did you mean 'fcfs'? allowed: easy, fcfs, sjf"``; the question is omitted if no name
        is near, and the list is cut after `most` names.
    """
    names = sorted(str(item) for item in allowed)
    if not names:
        return "none is defined"
    near = nearest_name(name, names)
    hint = "" if near is None else f"did you mean {near!r}? "
    shown = ", ".join(names[:most]) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )
    return f"{hint}allowed: {shown}"


RENAMED = {"effective_time": "ettr", "worlds": "draws"}
"""Keys and metrics of earlier versions, with their current names."""


class RenamedError(ImportError):
    """Raised for a Python name of an earlier version.

    It is an ImportError, because ``from ... import`` replaces the message of other errors.
    """

    def __init__(self, module: str, name: str, new: str) -> None:
        super().__init__(f"{module}.{name} is now called {new}", name=name)


def names_former_arguments(
    **former: str,
) -> Callable[[Callable[Given, Returned]], Callable[Given, Returned]]:
    """Decorate a function so that arguments of earlier versions raise an error.

    Parameters
    ----------
    former : str
        The replacement of each such argument, which the error names.

    Examples
    --------
    >>> @names_former_arguments(told="report=...")
    ... def plan(report=None):
    ...     return report
    >>> plan(told=print)
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: plan: told: was replaced by report=...
    """

    def decorated(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
        @wraps(function)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
            found = [f"{name}: was replaced by {former[name]}" for name in kwargs if name in former]
            if found:
                raise InputError(function.__qualname__.removesuffix(".__init__"), found)
            return function(*args, **kwargs)

        return checked

    return decorated


def new_name(name: object, allowed: Iterable[str]) -> str | None:
    """Return the current name of a key or metric of an earlier version; None if not renamed.

    Parameters
    ----------
    name : object
        The old name; a metric may have a suffix for one pool or period.
    allowed : iterable of str
        Names that are allowed; the result is None if the new name is not among them.

    Examples
    --------
    >>> new_name("effective_time.h200@2", ["ettr", "utilisation"])
    'ettr.h200@2'
    """
    base = re.split("[.@]", str(name), maxsplit=1)[0]
    new = RENAMED.get(base)
    return f"{new}{str(name)[len(base) :]}" if new is not None and new in allowed else None


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module does not have, with the nearest public name.

    Examples
    --------
    >>> no_attribute("clustersim", "run_studdy", ["run", "run_study"])
    AttributeError("module 'clustersim' has no attribute 'run_studdy'; did you mean 'run_study'?")
    """
    text = f"module {module!r} has no attribute {name!r}"
    # Python itself asks modules for names with underscores that they need not have.
    near = None if name.startswith("_") else nearest_name(name, known)
    return AttributeError(text if near is None else f"{text}; did you mean {near!r}?")


def unknown_name(kind: str, name: object, allowed: Iterable[str], *, listed_by: str = "") -> str:
    """Return a one-line message about a name of the given kind that is not in `allowed`.

    Parameters
    ----------
    kind : str
    name : object
    allowed : iterable of str
    listed_by : str
        Command that lists a long catalogue of allowed names; the message then has only the nearest
        ones.

    Examples
    --------
    >>> models = ["llama3-8b", "llama3-70b", "wan-14b"]
    >>> unknown_name("model", "Wan2.2 5B", models, listed_by="clustersim catalogue")
    "unknown model 'Wan2.2 5B'; did you mean 'wan-14b'? `clustersim catalogue` lists all 3 names"
    """
    allowed = list(allowed)
    if new := new_name(name, allowed):
        return f"{kind} {shown(name)} is now called {new!r}"
    if listed_by:
        near = _several_near(name, allowed)
        said = " or ".join(filter(None, [", ".join(map(repr, near[:-1])), *map(repr, near[-1:])]))
        hint = f"did you mean {said}? " if near else ""
        all_of = f"lists all {len(allowed)} names"
        return f"unknown {kind} {shown(name)}; {hint}`{listed_by}` {all_of}"
    return f"unknown {kind} {shown(name)}; {nearest_hint(name, allowed)}"
