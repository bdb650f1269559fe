"""Options that several commands have."""

from __future__ import annotations

import argparse
import math
import re
from typing import Any

from clustersim.errors import shown
from clustersim.notes import note

__all__ = [
    "OldName",
    "add_catalogue",
    "add_changes",
    "add_formats",
    "add_plugins",
    "add_quick",
    "number",
    "whole_number",
]


def add_catalogue(parser: argparse._ActionsContainer, what: str = "chips") -> None:
    """Add ``--catalogue``, which may be given several times, with `what` of the user's own."""
    parser.add_argument(
        "--catalogue",
        action="append",
        default=[],
        metavar="USER.yaml",
        help=f"file with {what} of your own (may be given again)",
    )


class OldName(argparse.Action):
    """An option under its former name: it works, is not in the help, and a note says the new one.

    The new option must have the same `dest` and be of the kind ``append``.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add the value to those of the new option."""
        note(f"{option_string} is called --{self.dest} now")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])


def add_changes(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--set``, which may be given several times, for fields of `what`."""
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="a.b.c=value",
        help=f"change a field{what}; may be given several times",
    )


def add_formats(parser: argparse.ArgumentParser) -> None:
    """Add ``--format``, of pictures."""
    parser.add_argument(
        "--format",
        dest="formats",
        default="png,svg",
        metavar="png,svg,pdf",
        help="of the pictures (default: png,svg)",
    )


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugins``, which may be given several times."""
    parser.add_argument(
        "--plugins",
        action="append",
        default=[],
        metavar="FILE.py",
        help="file that registers metrics or plots of your own (may be given again)",
    )


def add_quick(parser: argparse.ArgumentParser) -> None:
    """Add ``--quick``."""
    parser.add_argument(
        "--quick", action="store_true", help="the small version that the file gives under `quick`"
    )


def whole_number(text: str) -> int:
    """Read a whole number, also as 1e3 or 1,024.

    Examples
    --------
    >>> whole_number("1e3"), whole_number("1,024")
    (1000, 1024)
    """
    plain = text.strip()
    if re.fullmatch(r"\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", "")
    try:
        return int(plain)
    except ValueError:
        value = _float(plain)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"must be a whole number, found {shown(text)}")
    return int(value)


def number(text: str) -> float:
    """Read a finite number."""
    value = _float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, found {shown(text)}")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
