"""`clustersim outlook`: what a fleet can train by month, as probabilities."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from clustersim.cli.options import (
    add_catalogue,
    add_changes,
    add_formats,
    number,
    whole_number,
)
from clustersim.cli.progress import progress_of
from clustersim.console import write_json
from clustersim.errors import InputError, shown

if TYPE_CHECKING:
    from clustersim.outlook.stop import Stop
    from clustersim.scenario.scenario import LoadedScenario

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Draw the deliveries, delays, stops, yields and production of a scenario's fleet many times, turn the
chips into useful FLOP/s (fluid capacity times the loss factor of full simulations), and write P10,
P50 and P90 by month, the probability that a target is missed, and the probability of a stop at
which two cases are equally good. docs/outlook.md has the method and its tests."""
EXAMPLES = """\
example:
  clustersim outlook experiments/fleet_2026.yaml --case "as reported" --out out/outlook
  clustersim outlook fleet_2026 --target "8 EFLOP/s" --stop h200@2026-09-01 --out out/stop"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "outlook",
        help="useful capacity of a fleet by month, and the probability of missing a target",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", metavar="FILE", help="a scenario with a fleet or a supply")
    parser.add_argument(
        "--case",
        dest="cases",
        action="append",
        default=[],
        metavar="NAME",
        help="case of the scenario; may be repeated, the first one is in the answer (default: all)",
    )
    parser.add_argument(
        "--target",
        metavar="RATE",
        help="useful capacity that the last months should reach on average, such as '12 EFLOP/s'",
    )
    parser.add_argument(
        "--target-months",
        type=whole_number,
        default=3,
        metavar="N",
        help="number of months at the end that the average covers (default: 3)",
    )
    parser.add_argument(
        "--stop",
        dest="stops",
        action="append",
        default=[],
        metavar="POOLS@DATE[:P]",
        help="a rule that stops the supply of pools (separated by commas) from a date on, with the "
        "probability P (h200@2026-09-01:0.3); without P (at most once), the break-even probability "
        "of the first case and each other one is computed",
    )
    _add_sampling(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the result")
    parser.add_argument(
        "--workers", type=whole_number, metavar="N", help="worker processes (default: all cores)"
    )
    add_formats(parser)
    add_changes(parser, " of the scenario, in every case")
    add_catalogue(parser, "chips and models")
    parser.set_defaults(run=run)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of draws and runs, and the seed."""
    parser.add_argument(
        "--draws", type=whole_number, default=10_000, metavar="N", help="default: 10,000"
    )
    parser.add_argument(
        "--model-draws",
        type=whole_number,
        default=19,
        metavar="N",
        help="draws of the coefficients of the performance model (default: 19; 0 for none)",
    )
    parser.add_argument(
        "--replications",
        type=whole_number,
        default=4,
        metavar="N",
        help="full runs of each case for the loss factor (default: 4)",
    )
    parser.add_argument(
        "--seed", type=whole_number, metavar="N", help="default: that of the scenario"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.outlook.outlook import Target, outlook
    from clustersim.outputs import new_folder
    from clustersim.plots.style import picture_formats
    from clustersim.report.of_outlook.text import outlook_text
    from clustersim.report.of_outlook.written import outlook_data, write_outlook

    formats = picture_formats(args.formats, "--format")
    cases = _cases(args)
    stops, event = _stops(args.stops, next(iter(cases.values())))
    with new_folder(args.out) as folder:
        with progress_of("run", "runs") as progress:
            found = outlook(
                cases,
                draws=args.draws,
                seed=args.seed,
                target=Target(_target(args.target), args.target_months),
                stops=stops,
                event=event,
                replications=args.replications,
                model_draws=args.model_draws,
                workers=args.workers,
                progress=progress,
            )
        write_outlook(found, folder, formats=formats)
        files = sorted(path.name for path in folder.iterdir())
    text = outlook_text(found)
    print(text, end="")
    print(f"The tables and the figure are in {args.out}.")
    write_json({**outlook_data(found), "files": [f"{args.out}/{name}" for name in files]})
    return 0


def _cases(args: argparse.Namespace) -> dict[str, LoadedScenario]:
    """Return the cases that are asked for, or all; without cases, the scenario itself."""
    from clustersim.extended import read_extended
    from clustersim.scenario.scenario import load_scenario
    from clustersim.shipped import existing_file

    path = existing_file(args.scenario, within="experiments")
    named = read_extended(path).get("cases")
    names = args.cases or (list(named) if isinstance(named, dict) else [])
    if not names:
        loaded = load_scenario(path, args.changes, catalogue=args.catalogue)
        return {loaded.scenario.name or path.stem: loaded}
    return {
        name: load_scenario(path, [*args.changes, f"case={name}"], catalogue=args.catalogue)
        for name in names
    }


def _target(text: str | None) -> float:
    from clustersim.units import parse_quantity

    if text is None:
        return math.nan
    try:
        return parse_quantity(text, "flop rate")
    except ValueError as error:
        raise InputError("--target", str(error)) from None


def _stops(texts: list[str], loaded: LoadedScenario) -> tuple[list[Stop], Stop | None]:
    """Return the stops with a probability, and the one without."""
    from clustersim.outlook.stop import Stop
    from clustersim.scenario.dates import time_s
    from clustersim.scenario.run_calendar import run_calendar

    scenario = loaded.scenario
    calendar = run_calendar(scenario.start, scenario.time_zone, source=loaded.source).calendar
    stops: list[Stop] = []
    event = None
    for text in texts:
        pools, at, when = text.partition("@")
        date, colon, chance = when.rpartition(":") if ":" in when else (when, "", "")
        if not at or not pools or not date:
            raise InputError("--stop", f"must be POOLS@DATE or POOLS@DATE:P, found {shown(text)}")
        listed = tuple(name.strip() for name in pools.split(","))
        at_s = time_s(date, calendar, "--stop")
        if colon:
            try:
                share = number(chance)
            except (argparse.ArgumentTypeError, ValueError):
                raise InputError(
                    "--stop", f"the probability must be a number, found {shown(chance)}"
                ) from None
            stops.append(Stop(listed, (at_s,), (share,), name=text))
        elif event is not None:
            raise InputError("--stop", "only one of them can be without a probability")
        else:
            event = Stop(listed, (at_s,), (1.0,), name=text)
    return stops, event
