"""`clustersim time-to-train`: days, energy and cost of a training on chips or on a fleet."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from clustersim.cli.estimate import (
    add_cost_options,
    add_step_options,
    open_inputs,
    prices_of,
    quantity_of,
)
from clustersim.cli.options import add_catalogue, add_changes, number, whole_number
from clustersim.console import repeat, write_json
from clustersim.errors import InputError, shown

if TYPE_CHECKING:
    from clustersim.training.largest import LargestModel
    from clustersim.training.result import TimeToTrain

__all__ = ["add_parser", "listed_counts", "run"]

DAY_S = 86400.0
DESCRIPTION = """\
Estimate how many days a training takes, failures included, with a 90 % interval, its energy and its
cost: on each chip of --accelerator with each number of --count, or on each pool of the fleet of a
scenario as it is at a date (--fleet, --at). With --largest-within, search for the largest model of
the same family that trains in a time.
Exit code 1: no plan fits anywhere, or no model trains in the time; 2: the input cannot be used."""
EXAMPLES = """\
example:
  clustersim time-to-train --model doubao-class --accelerator H20,H200 --count 4096 --tokens 12T
  clustersim time-to-train --model doubao-class --fleet experiments/fleet_2026.yaml --at 270d
  clustersim time-to-train --model llama3-70b --accelerator H20 --count 512 --largest-within 90d"""
FLEET_ONLY = ("at", "pool_share", "supply_draws")
"""Options that need --fleet; so does --set."""
SHARED = (
    *("plan", "global_batch", "seq_len", "document_tokens", "precision", "stack", "memory"),
    *("tokens", "seed", "failure_rate"),
)
"""Options that are arguments of the functions, under the same name."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "time-to-train",
        help="days, energy and cost of a training on chips or on a fleet at a date",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job = parser.add_argument_group("training")
    job.add_argument("--model", metavar="NAME", help="model in the catalogue")
    add_step_options(job)
    _add_where(parser)
    largest = parser.add_argument_group("largest model")
    largest.add_argument(
        "--largest-within",
        metavar="TIME",
        help="search for the largest model like --model that trains within a time, such as 90d",
    )
    largest.add_argument(
        "--tokens-per-parameter",
        type=number,
        metavar="X",
        help="tokens of each model tried, by its parameters (default: 20, or --tokens for all)",
    )
    _add_failures(parser)
    add_cost_options(
        parser.add_argument_group(
            "tokens and prices",
            "`clustersim catalogue --assumptions` prints the planning assumptions with their "
            "sources; with --fleet, the scenario replaces them",
        )
    )
    other = parser.add_argument_group("other options")
    other.add_argument("--out", metavar="TABLE.csv", help="new file for the table")
    other.add_argument("--list-columns", action="store_true", help="print the columns of the table")
    other.add_argument("--seed", type=whole_number, metavar="N", help="seed (default: 0)")
    other.add_argument("--calibration", metavar="FILE", help="calibration from `clustersim fit`")
    add_catalogue(other, "chips and models")
    parser.set_defaults(run=run)


def _add_where(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("chips")
    where.add_argument(
        "--accelerator", metavar="NAME,...", help="chips in the catalogue, such as H20,H200"
    )
    where.add_argument(
        "--count", type=listed_counts, metavar="N,...", help="numbers of chips, such as 1024,4096"
    )
    fleet = parser.add_argument_group("chips of a fleet, instead of --accelerator")
    fleet.add_argument("--fleet", metavar="SCENARIO.yaml", help="scenario with the fleet")
    fleet.add_argument(
        "--at",
        metavar="TIME",
        help="start of the training: a date such as 2026-10-01, or a time since the start of the "
        "scenario such as 270d (default: its start)",
    )
    fleet.add_argument(
        "--pool-share",
        type=number,
        metavar="X",
        help="share of the chips of a pool that this training gets (default: 1)",
    )
    fleet.add_argument(
        "--supply-draws",
        type=whole_number,
        metavar="N",
        help="number of draws of what is late (default: 256)",
    )
    add_changes(fleet, " of the scenario, such as case='H200 stopped'")


def _add_failures(parser: argparse.ArgumentParser) -> None:
    failures = parser.add_argument_group("failures and checkpoints")
    failures.add_argument(
        "--failures",
        metavar="NAME",
        help="published failure rates, such as meta-rsc-2, or none (default: meta-llama3; with "
        "--fleet, those of the scenario)",
    )
    failures.add_argument(
        "--failure-rate", type=number, metavar="X", help="factor on the failure rates (default: 1)"
    )
    failures.add_argument(
        "--storage",
        metavar="RATE",
        help="rate at which checkpoints are written and read (default: 2 TB/s)",
    )
    failures.add_argument(
        "--restart", metavar="TIME", help="time from a failure to the next step (default: 10 min)"
    )


def listed_counts(text: str) -> list[int]:
    """Parse numbers of chips that are separated by commas.

    Examples
    --------
    >>> listed_counts("256, 4096")
    [256, 4096]
    """
    parts = [part.strip() for part in text.split(",")]
    if any(len(part) > 1 and part.startswith("0") for part in parts):
        raise argparse.ArgumentTypeError(
            f"commas separate numbers of chips, which have no thousands separators; found "
            f"{shown(text)}"
        )
    return [whole_number(part) for part in parts]


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.outputs import refuse_existing

    if args.list_columns:
        return _print_columns()
    _check(args)
    if args.out is not None:
        refuse_existing(args.out)
    if args.largest_within is not None:
        return _run_largest(args)
    found = _time(args)
    from clustersim.cli.time_to_train.text import time_text

    print(time_text(found))
    files = _written(found, args.out)
    write_json({**found.to_data(), "files": files})
    if found.fastest is not None:
        return 0
    repeat(f"clustersim: no plan fits: {found.table['reason'].iloc[0]}")
    return 1


def _check(args: argparse.Namespace) -> None:
    """Raise an error about all options that are missing or do not go together."""
    problems = [] if args.model is not None else ["--model is missing"]
    if args.fleet is None:
        problems += [
            f"--{name} is missing (or --fleet)"
            for name in ("accelerator", "count")
            if getattr(args, name) is None
        ]
        given = [name for name in FLEET_ONLY if getattr(args, name) is not None]
        given += ["set"] if args.changes else []
        problems += [f"--{name.replace('_', '-')} needs --fleet" for name in given]
    else:
        alone = ("accelerator", "network", "calibration", "price", "depreciation", "tariff", "pue")
        problems += [
            f"--{name} cannot be used with --fleet, whose scenario sets it (change it with --set)"
            for name in alone
            if getattr(args, name) is not None
        ]
        if args.catalogue:
            problems.append("--catalogue cannot be used with --fleet; use --set catalogue=[FILE]")
    if args.tokens_per_parameter is not None and args.largest_within is None:
        problems.append("--tokens-per-parameter needs --largest-within")
    if problems:
        raise InputError("time-to-train", problems)


def _time(args: argparse.Namespace) -> TimeToTrain:
    from clustersim.training.on_fleet import time_to_train_on_fleet
    from clustersim.training.time_to_train import time_to_train

    if args.fleet is None:
        return time_to_train(args.model, **_chip_options(args), **_options(args))
    return time_to_train_on_fleet(
        args.model, args.fleet, _at(args), **_fleet_options(args), **_options(args)
    )


def _run_largest(args: argparse.Namespace) -> int:
    from clustersim.cli.time_to_train.text import largest_text
    from clustersim.training.largest import largest_model

    days = quantity_of(args.largest_within, "--largest-within", "duration") / DAY_S
    where = _chip_options(args)
    if args.fleet is not None:
        where = {"fleet": args.fleet, "at": _at(args), **_fleet_options(args)}
    found: LargestModel = largest_model(
        args.model,
        days=days,
        tokens_per_parameter=args.tokens_per_parameter,
        **where,
        **_options(args),
    )
    print(largest_text(found))
    files = [] if found.time is None else _written(found.time, args.out)
    write_json({**found.to_data(), "files": files})
    if found.time is not None:
        return 0
    repeat(f"clustersim: {found.reason}")
    return 1


def _at(args: argparse.Namespace) -> str:
    return "0 s" if args.at is None else str(args.at)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that hold on chips and on a fleet alike."""
    options = {name: getattr(args, name) for name in SHARED if getattr(args, name) is not None}
    failures = _failures(args)
    return options if failures is None else {**options, "failures": failures}


def _chip_options(args: argparse.Namespace) -> dict[str, Any]:
    calibration, catalogue = open_inputs(args)
    options: dict[str, Any] = {
        "accelerators": [name.strip() for name in (args.accelerator or "").split(",")],
        "counts": args.count,
        "prices": prices_of(args, catalogue),
        "calibration": calibration,
        "catalogue": catalogue,
    }
    if args.network is not None:
        options["nic_Bps"] = quantity_of(args.network, "--network", "bandwidth")
    return options


def _fleet_options(args: argparse.Namespace) -> dict[str, Any]:
    options = {"changes": args.changes, "counts": args.count}
    for name, argument in (("pool_share", "pool_share"), ("supply_draws", "draws")):
        if getattr(args, name) is not None:
            options[argument] = getattr(args, name)
    return options


def _failures(args: argparse.Namespace) -> Any:
    """Return the failures that the options give; None if they give none."""
    from clustersim.training.interruptions import DEFAULT_FAILURES

    if args.storage is None and args.restart is None:
        return args.failures
    if args.fleet is not None:
        raise InputError(
            "time-to-train",
            "--storage and --restart cannot be used with --fleet; use --set "
            "failures.checkpoints.storage=RATE",
        )
    given = {"storage": args.storage, "restart": args.restart}
    checkpoints = {**DEFAULT_FAILURES["checkpoints"], **{k: v for k, v in given.items() if v}}
    sources = DEFAULT_FAILURES["sources"] if args.failures is None else args.failures
    return {"sources": [] if sources == "none" else sources, "checkpoints": checkpoints}


def _written(found: TimeToTrain, path: str | None) -> list[str]:
    """Write the table if the user asked for it, and return the names of the files."""
    if path is None:
        return []
    from clustersim.outputs import new_file

    with new_file(path) as draft:
        found.table.to_csv(draft, index=False, float_format="%.6g", lineterminator="\n")
    print(f"written to {path}")
    return [path]


def _print_columns() -> int:
    from clustersim.text_table import table
    from clustersim.training.table import COLUMNS, FLEET_COLUMNS

    headers = ["column", "meaning"]
    for title, columns in (("Columns", COLUMNS), ("\nFurther columns of a fleet", FLEET_COLUMNS)):
        print(title)
        print(table(columns.items(), headers))
    write_json(
        {
            kind: [dict(zip(headers, item, strict=True)) for item in columns.items()]
            for kind, columns in (("columns", COLUMNS), ("fleet", FLEET_COLUMNS))
        }
    )
    return 0
