"""Options shared by several commands."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clustersim.errors import InputError, shown
from clustersim.units import number_or_nan

__all__ = [
    "add_catalogue",
    "add_changes",
    "add_checkpoints",
    "add_formats",
    "add_network",
    "add_no_report",
    "add_output",
    "add_plugins",
    "add_policy_options",
    "add_quick",
    "add_renamed",
    "add_run_files",
    "add_span_pools",
    "catalogue_arguments",
    "checkpoint_arguments",
    "checkpoint_changes",
    "network_changes",
    "number",
    "picture_file",
    "policy_option_arguments",
    "policy_options",
    "whole_number",
]


def add_catalogue(parser: argparse._ActionsContainer, what: str = "chips") -> None:
    """Add ``--catalogue``, which may be repeated, for files that define the user's `what`.

    A command that reads a file with a key ``catalogue`` applies the files of the option after those
    that the key lists.
    """
    parser.add_argument(
        "--catalogue",
        action="append",
        default=[],
        metavar="USER.yaml",
        help=f"file with your own {what} (may be repeated)",
    )


def catalogue_arguments(files: Sequence[str]) -> list[str]:
    """Return the arguments that give the same ``--catalogue`` files again.

    Examples
    --------
    >>> catalogue_arguments(["my-chips.yaml"])
    ['--catalogue', 'my-chips.yaml']
    """
    return [word for file in files for word in ("--catalogue", file)]


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``--json`` and ``--quiet``, which every command has."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--json",
        action="store_true",
        help="print the result as JSON in SI units, and nothing else on stdout",
    )
    output.add_argument(
        "--quiet",
        action="store_true",
        help="print no text and no progress; stderr keeps errors and notes about something wrong",
    )


def add_renamed(parser: argparse.ArgumentParser, old: str, new: str) -> None:
    """Refuse an option of earlier versions with a message that gives its new name.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_renamed(parser, "--file", "--catalogue")
    >>> parser.parse_args(["--file", "my.yaml"])
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: --file: is now called '--catalogue'
    """
    parser.add_argument(
        old,
        action=_Renamed,
        nargs="?",
        default=argparse.SUPPRESS,
        metavar=new,
        help=argparse.SUPPRESS,
    )


class _Renamed(argparse.Action):
    """Raises an error with the new name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        raise InputError(self.option_strings[0], f"is now called {self.metavar!r}")


def add_changes(parser: argparse._ActionsContainer, what: str) -> None:
    """Add ``--set``, which may be repeated; `what` completes its help text."""
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="a.b.c=value",
        help=f"change a field{what}; may be repeated",
    )


def add_policy_options(parser: argparse._ActionsContainer, of: str = "the policy") -> None:
    """Add ``--option`` (of a policy) and ``--placement-option``, which may be repeated."""
    for name, what in (("--option", of), ("--placement-option", "the placement")):
        parser.add_argument(
            name,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"option of {what}, see `clustersim policies`; may be repeated",
        )


def policy_option_arguments(args: argparse.Namespace) -> list[str]:
    """Return the arguments that give the options of :func:`add_policy_options` again.

    Examples
    --------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_policy_options(parser)
    >>> policy_option_arguments(parser.parse_args(["--option", "ageing=2"]))
    ['--option', 'ageing=2']
    """
    given = ("--option", args.option), ("--placement-option", args.placement_option)
    return [word for option, pairs in given for pair in pairs for word in (option, pair)]


def add_span_pools(parser: argparse._ActionsContainer) -> None:
    """Add ``--span-pools``."""
    parser.add_argument(
        "--span-pools",
        choices=("equal", "proportional"),
        help="let a job that fits on none of its pools run on several at once; each accelerator "
        "does an equal share of its work, at the pace of the slowest, or as much as it can",
    )


def policy_options(pairs: Sequence[str], option: str = "--option") -> dict[str, str]:
    """Return the options that were given as NAME=VALUE.

    Examples
    --------
    >>> policy_options(["attained=time", "thresholds=3250,7200"])
    {'attained': 'time', 'thresholds': '3250,7200'}
    >>> policy_options(["attained"])
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: --option: must be NAME=VALUE, found 'attained'
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(option, f"must be NAME=VALUE, found {shown(pair)}")
        if name.strip() in found:
            raise InputError(option, f"gives {name.strip()!r} twice")
        found[name.strip()] = value.strip()
    return found


def add_windows(parser: argparse._ActionsContainer) -> None:
    """Add ``--maintenance`` and ``--reserve``, which may be repeated."""
    parser.add_argument(
        "--maintenance",
        action="append",
        default=[],
        metavar="POOL@START+DURATION",
        help="close a pool, some of its nodes (gpu:0-15@2d+4h) or all pools (all@2d+8h) from a "
        "time or date on, such as gpu@2026-03-01T08:00+8h; may be repeated",
    )
    parser.add_argument(
        "--reserve",
        action="append",
        default=[],
        metavar="POOL:N@START+DURATION=USER",
        help="keep accelerators for a user or several (ann,bo), such as gpu:64@2d+4h=ann; may be "
        "repeated",
    )


def add_network(parser: argparse._ActionsContainer) -> None:
    """Add ``--network``, which may be repeated."""
    parser.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="simulate the network, with a setting of its section in a scenario, such as "
        "contention=true, load_balancing=ecmp or communication_share=0.3; may be repeated",
    )


def network_changes(pairs: Sequence[str]) -> list[str]:
    """Return the changes of a scenario that ``--network`` means.

    Examples
    --------
    >>> network_changes(["contention=false"])
    ['network.contention=false']
    >>> network_changes(["contention"])
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: --network: must be NAME=VALUE, found 'contention'
    """
    given = policy_options(pairs, "--network")
    return [f"network.{name}={value}" for name, value in given.items()]


def add_checkpoints(parser: argparse._ActionsContainer) -> None:
    """Add ``--checkpoints`` and ``--storage``, which may be repeated."""
    parser.add_argument(
        "--checkpoints",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="how jobs save their state and restart, with a setting of failures.checkpoints in a "
        "scenario, such as interval=30min or restart=5min; may be repeated",
    )
    parser.add_argument(
        "--storage",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="let all jobs share the storage of their checkpoints, with a setting of "
        "failures.checkpoints.storage in a scenario, such as write=1TB/s, client=25GB/s or "
        "checkpoint_per_accelerator=5GB; may be repeated",
    )


def checkpoint_changes(args: argparse.Namespace) -> list[str]:
    """Return the changes of a scenario that ``--checkpoints`` and ``--storage`` mean.

    Examples
    --------
    >>> args = argparse.Namespace(checkpoints=["restart=5min"], storage=["write=1TB/s"])
    >>> checkpoint_changes(args)
    ['failures.checkpoints.restart=5min', 'failures.checkpoints.storage.write=1TB/s']
    """
    found = []
    for option, place in (("checkpoints", "checkpoints"), ("storage", "checkpoints.storage")):
        given = policy_options(getattr(args, option), f"--{option}")
        found += [f"failures.{place}.{name}={value}" for name, value in given.items()]
    return found


def checkpoint_arguments(args: argparse.Namespace) -> list[str]:
    """Return ``--checkpoints`` and ``--storage`` as they were given."""
    words = [word for value in args.checkpoints for word in ("--checkpoints", value)]
    return words + [word for value in args.storage for word in ("--storage", value)]


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
        help="also write the tables as CSV, with local dates if the run has a start date",
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


def picture_file(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the path of a picture without its suffix, and its format; PNG without a suffix.

    Examples
    --------
    >>> picture_file(Path("fleet.SVG")), picture_file(Path("fleet"))
    ((PosixPath('fleet'), ('svg',)), (PosixPath('fleet'), ('png',)))
    """
    return path.with_suffix(""), (path.suffix.lstrip(".").lower() or "png",)


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
        value = number_or_nan(plain)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"must be a whole number, found {shown(text)}")
    return int(value)


def number(text: str) -> float:
    """Parse a finite number."""
    value = number_or_nan(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, found {shown(text)}")
    return value
