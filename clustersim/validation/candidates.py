"""The policies that a validation compares, each with the options that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from clustersim.errors import InputError, nearest_hint, shown
from clustersim.scheduling import Policy, find_policy, option_texts
from clustersim.units import listed

__all__ = ["POLICIES", "candidates", "notes_on_options", "with_own_options"]

POLICIES = ("fcfs", "sjf", "easy", "conservative")
"""Candidates by default."""


def with_own_options(name: str, options: Mapping[str, Any]) -> type[Policy]:
    """Return a policy with those of some options that it has.

    Examples
    --------
    >>> from clustersim.validation.candidates import with_own_options
    >>> with_own_options("easy", {"attained": "time"}).__name__
    'Easy'
    >>> with_own_options("las", {"attained": "time"}).attained
    'time'
    """
    known = option_texts(find_policy(name))
    return find_policy(name, options={key: own for key, own in options.items() if key in known})


def candidates(
    policies: Sequence[str] | None, options: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """Return the names of the policies to compare; by default `POLICIES`.

    Parameters
    ----------
    policies : sequence of str, optional
    options : mapping of str to object
        Options, each for the policies that have it.

    Raises
    ------
    InputError
        If a policy does not exist, no policy has an option, or a value does not suit its type.

    Examples
    --------
    >>> candidates(["easy", "las"], {"attained": "time"})
    ['easy', 'las']
    >>> candidates(["easy"], {"attained": "time"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: --option: no candidate (easy) has an option 'attained'; ...
    """
    if isinstance(policies, str):
        raise InputError(
            "policies", f"must be a list such as ['fcfs', 'easy'], found {shown(policies)}"
        )
    names = list(POLICIES) if policies is None else [str(name).strip() for name in policies]
    if not names or "" in names:
        raise InputError("policies", "must name one policy or more, such as fcfs,easy")
    names = list(dict.fromkeys(names))
    known = {each: None for name in names for each in option_texts(find_policy(name))}
    if unknown := [each for each in options if each not in known]:
        none = f"no candidate ({listed(names)}) has an option"
        problems = [f"{none} {each!r}; {nearest_hint(each, known)}" for each in unknown]
        raise InputError("--option", problems)
    for name in names:
        with_own_options(name, options)
    return names


def notes_on_options(names: Sequence[str], options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note for each option that some of the candidates do not have.

    Examples
    --------
    >>> list(notes_on_options(["easy", "las"], {"attained": "time"}))
    ['option attained applies to las only']
    """
    for option in options:
        having = [name for name in names if option in option_texts(find_policy(name))]
        if len(having) < len(names):
            yield f"option {option} applies to {listed(having)} only"
