"""Options shared by several commands."""

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
    "add_no_report",
    "add_plugins",
    "add_quick",
    "add_run_files",
    "number",
    "whole_number",
]


def add_catalogue(parser: argparse._ActionsContainer, what: str = "chips") -> None:
    """Add ``--catalogue``, which may be repeated, for files that define the user's `what`."""
    parser.add_argument(
        "--catalogue",
        action="append",
        default=[],
        metavar="USER.yaml",
        help=f"file with your own {what} (may be repeated)",
    )


class OldName(argparse.Action):
    """A deprecated option name that still works but is not in the help; a note gives the new name.

    The new option must have the same `dest` and the action ``append``.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Append the value to those of the new option."""
        note(f"{option_string} is deprecated; use --{self.dest}")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])


def add_changes(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--set``, which may be repeated, for fields of `what`."""
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="a.b.c=value",
        help=f"change a field{what}; may be repeated",
    )


def add_formats(parser: argparse.ArgumentParser) -> None:
    """Add ``--format`` for the formats of figures."""
    parser.add_argument(
        "--format",
        dest="formats",
        default="png,svg",
        metavar="png,svg,pdf",
        help="formats of the figures (default: png,svg)",
    )


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugins``, which may be repeated."""
    parser.add_argument(
        "--plugins",
        action="append",
        default=[],
        metavar="FILE.py",
        help="file that registers user-defined metrics or plots, relative to the current folder "
        "(may be repeated)",
    )


def add_quick(parser: argparse.ArgumentParser) -> None:
    """Add ``--quick``."""
    parser.add_argument(
        "--quick", action="store_true", help="use the small version from the section `quick`"
    )


def add_run_files(parser: argparse.ArgumentParser) -> None:
    """Add ``--csv`` and ``--no-report``, for what a run writes beside its tables."""
    parser.add_argument(
        "--csv",
        action="store_true",
        help="also write the tables as CSV, with the wait of each job and, if the run has a start "
        "date, local dates",
    )
    add_no_report(parser)


def add_no_report(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-report``."""
    parser.add_argument(
        "--no-report",
        dest="report",
        action="store_false",
        help="do not write the page report.html",
    )


def whole_number(text: str) -> int:
    """Parse a whole number; 1e3 and 1,024 are allowed.

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
    """Parse a finite number."""
    value = _float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, found {shown(text)}")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
