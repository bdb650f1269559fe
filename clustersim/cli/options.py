"""Options that several commands have."""

from __future__ import annotations

import argparse

__all__ = ["add_catalogue", "add_changes", "add_formats", "add_quick"]


def add_catalogue(parser: argparse._ActionsContainer, what: str = "chips") -> None:
    """Add ``--catalogue``, which may be given several times, with `what` of the user's own."""
    parser.add_argument(
        "--catalogue",
        action="append",
        default=[],
        metavar="USER.yaml",
        help=f"file with {what} of your own (may be given again)",
    )


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


def add_quick(parser: argparse.ArgumentParser) -> None:
    """Add ``--quick``."""
    parser.add_argument(
        "--quick", action="store_true", help="the small version that the file gives under `quick`"
    )
