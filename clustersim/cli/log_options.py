"""Options of the commands that read a job log: how to read it, and how to get it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.workload import JobLog

__all__ = ["add_log_options", "log_arguments", "read_log"]

_OPTIONS = ("log_format", "time_zone", "columns")


def add_log_options(parser: argparse._ActionsContainer, log: str = "LOG") -> None:
    """Add the options that say how to read a log; `log` is the name of its argument."""
    parser.add_argument(
        "--log-format",
        metavar="FORMAT",
        help=f"format of {log} (default: detected from the content)",
    )
    parser.add_argument("--sort", action="store_true", help=f"sort {log} by submission time")
    parser.add_argument(
        "--time-zone",
        metavar="ZONE",
        help="zone of times without one in the log of a site, such as Europe/Berlin",
    )
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="names of the columns of a log without a header (JobID,User,Submit,...), or what "
        "columns mean (submit=Submitted,gpus=GPUs,...)",
    )
    parser.add_argument(
        "--command",
        action=_SiteCommand,
        default=argparse.SUPPRESS,
        metavar="SCHEDULER",
        help="print the command that writes the log of sacct, kueue, pbs, lsf, ..., and stop",
    )


def read_log(path: str | Path, args: argparse.Namespace) -> JobLog:
    """Read a log with the options of :func:`add_log_options`.

    Raises
    ------
    InputError
        As in :func:`clustersim.read_jobs`.
    """
    from clustersim.workload import read_jobs

    return read_jobs(
        path,
        format=args.log_format,
        sort=args.sort,
        time_zone=args.time_zone,
        columns=args.columns,
    )


def log_arguments(args: argparse.Namespace) -> list[str]:
    """Return the arguments that give the options of :func:`add_log_options` again.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_log_options(parser)
    >>> log_arguments(parser.parse_args(["--sort", "--time-zone", "Europe/Berlin"]))
    ['--time-zone', 'Europe/Berlin', '--sort']
    """
    words = []
    for name in _OPTIONS:
        if (value := getattr(args, name)) is not None:
            words += [f"--{name.replace('_', '-')}", value]
    return [*words, *(["--sort"] if args.sort else [])]


class _SiteCommand(argparse.Action):
    """Prints the command that writes the log of a scheduler."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from clustersim.errors import unknown_name
        from clustersim.workload.readers.site_logs.commands import COMMANDS

        name = {"slurm": "sacct"}.get(values.lower(), values.lower())
        if name not in COMMANDS:
            raise InputError("--command", unknown_name("scheduler", values, list(COMMANDS)))
        print(COMMANDS[name])
        parser.exit()
