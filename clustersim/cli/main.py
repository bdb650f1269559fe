# PYTHON_ARGCOMPLETE_OK
"""The command line: `clustersim COMMAND ...`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from clustersim import interrupts
from clustersim.cli.options import add_output
from clustersim.console import printing
from clustersim.errors import InputError
from clustersim.notes import forget_notes

__all__ = ["COMMANDS", "main", "make_parser"]

COMMANDS = (
    "run",
    "replay",
    "what_if",
    "validate",
    "study",
    "plan",
    "briefing",
    "outlook",
    "report",
    "explain",
    "estimate",
    "time_to_train",
    "serving",
    "traffic",
    "catalogue",
    "topology",
    "trace",
    "timeline",
    "forecast",
    "collective",
    "measure",
    "fit",
    "metrics",
    "plots",
    "schema",
    "policies",
    "check_policy",
)
EPILOG = """\
exit codes:
  0      success
  1      the answer is no: no plan fits or meets its objective, no job can run, no row can be
         predicted, a policy breaks a rule, a run of a study failed, or a requested plot cannot be
         drawn
  2      the input or an option cannot be used
  130    interrupted with Ctrl-C; the results so far are kept
  141    the program that reads the output ended, as in `clustersim ... | head`
  128+n  ended by signal n, for example 143 by SIGTERM

example: clustersim replay jobs.csv --policy easy --accelerators 512 --out result"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Returns
    -------
    int
        0 on success; 1 if the answer is no; 2 if the input cannot be used; 128 plus the signal
        number after a signal (130 after Ctrl-C); 141 if the reader of the output ended.
        :data:`EPILOG` gives the cases.
    """
    with interrupts.watched(*interrupts.SIGNALS, command=True):
        try:
            parser = make_parser()
            if "_ARGCOMPLETE" in os.environ:  # set by the shell, only to complete a line
                from clustersim.cli.completion import complete

                complete(parser)
            args = parser.parse_args(arguments)
            forget_notes()
            with printing(json=args.json, quiet=args.quiet):
                code: int = args.run(args)
            sys.stdout.flush()
            return interrupts.exit_code(code)
        except InputError as error:
            print(f"clustersim: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            interrupts.taken()
            print("clustersim: interrupted", file=sys.stderr)
            return interrupts.exit_code(130)
        except BrokenPipeError:
            sys.stderr.close()
            return 141


class _Parser(argparse.ArgumentParser):
    """Reports an unusable option value in the same way as other input errors."""

    def error(self, message: str) -> NoReturn:
        option, colon, problem = message.removeprefix("argument ").partition(": ")
        if problem == "expected one argument":
            problem += f"; write a value that begins with a minus sign as {option}=VALUE"
        if colon and message.startswith("argument ") and not problem.startswith("invalid choice"):
            raise InputError(option, problem)
        super().error(message)


class _Version(argparse.Action):
    """Prints the version and the hash of the code (which requires reading its files)."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_args: object) -> None:
        from clustersim.source_code import this_code

        print(this_code())
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="clustersim",
        description="Simulate training jobs on a datacenter with mixed accelerators.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action=_Version,
        default=argparse.SUPPRESS,
        help="show the version and exit",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"clustersim.cli.{name}").add_parser(commands)
    for command in commands.choices.values():
        add_output(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
