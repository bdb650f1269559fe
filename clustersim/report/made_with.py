"""Versions and command of a result, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.files import yaml_text
from clustersim.report.page import Listing

__all__ = ["made_with", "reproduction"]


def made_with(
    used: Mapping[str, Any], seed: object = None, *, page: Mapping[str, Any] | None = None
) -> str:
    """Return the footer of a page: the versions of the code and of Python, and the seed.

    Parameters
    ----------
    used : mapping
        Versions, see :func:`~clustersim.simulation.result.versions`; those of an earlier version
        may be incomplete.
    seed : int, optional
    page : mapping, optional
        Versions of the code that writes the page, if they can differ from those of the result.

    Examples
    --------
    >>> made_with({"clustersim": "1.0", "code": "0a1b", "python": "3.12"}, seed=7)
    'clustersim 1.0 (code 0a1b), Python 3.12, seed 7'
    """
    text = f"{_code(used)}, Python {used.get('python', '')}"
    text = text if seed is None else f"{text}, seed {seed}"
    if page is not None and _code(page) != _code(used):
        text = f"Computed with {text}; page written with {_code(page)}"
    return text


def reproduction(
    used: Mapping[str, Any],
    command: str,
    documents: Mapping[str, object],
    *,
    same: str,
    also: str = "",
) -> Iterator[str | Listing]:
    """Yield the command that makes the same result, and everything that it depends on.

    Parameters
    ----------
    used : mapping
        As for :func:`made_with`.
    command : str
        The command; "" if it is unknown.
    documents : mapping
        Titles of listings, each with a text, or with a mapping that is shown as YAML; those without
        content are left out.
    same : str
        What the command makes, such as ``the same plan``.
    also : str
        What else determines the result, as the rest of the sentence.
    """
    yield f"This command makes {same} with {_code(used)}{also}."
    listings = {"Command": command, **documents}
    for title, content in listings.items():
        if content:
            text = yaml_text(dict(content)) if isinstance(content, Mapping) else str(content)
            yield Listing(title, text, printed=title == "Command")
    if used:
        versions = "\n".join(f"{name} {version}" for name, version in used.items())
        yield Listing("Versions", versions, printed=False)


def _code(used: Mapping[str, Any]) -> str:
    return f"clustersim {used.get('clustersim', '')} (code {used.get('code', 'unknown')})"
