"""`clustersim briefing`: the page for a decision about a fleet."""

from __future__ import annotations

import argparse
import sys

from clustersim.cli.options import add_changes, whole_number
from clustersim.cli.progress import progress_of
from clustersim.console import write_json

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Write one page about a fleet, as HTML and PDF, from the sections `fleet` and `briefing` of a file:
five sentences with numbers and intervals, four figures, a table of what the budget can buy, and
caveats. docs/briefing.md describes the section and the method."""
EXAMPLES = """\
example:
  clustersim briefing experiments/fleet_2026.yaml --out out/briefing
  clustersim briefing fleet_2026 --quick --out out/quick-briefing"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "briefing",
        help="one page about a fleet: what it trains, at what risk, and what to buy",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", metavar="FILE", help="a scenario with the sections `fleet` and `briefing`"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the page")
    parser.add_argument(
        "--draws", type=whole_number, metavar="N", help="default: 10,000 (400 with --quick)"
    )
    parser.add_argument("--seed", type=whole_number, metavar="N", help="default: that of the file")
    parser.add_argument(
        "--quick", action="store_true", help="few draws and runs, for a look at the page"
    )
    parser.add_argument(
        "--workers", type=whole_number, metavar="N", help="worker processes (default: all cores)"
    )
    add_changes(parser, " of the file, such as briefing.stop.probability=0.5")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.briefing.answer import answer_briefing, briefing_loss
    from clustersim.briefing.fleet_file import read_fleet_file
    from clustersim.outputs import new_folder
    from clustersim.report.of_briefing.written import write_briefing

    file = read_fleet_file(args.file, args.changes)
    with new_folder(args.out) as folder:
        with progress_of("run", "runs") as progress:
            loss = briefing_loss(file, quick=args.quick, workers=args.workers, progress=progress)
        answer = answer_briefing(file, loss, draws=args.draws, seed=args.seed, quick=args.quick)
        data = write_briefing(answer, folder)
        files = sorted(path.name for path in folder.iterdir())
    for number, sentence in enumerate(data["headlines"], 1):
        print(f"{number}. {sentence}")
    problems = (f"loss factor: {each}" for each in loss.problems)
    for note in (*answer.notes, *problems):
        print(f"Note: {note}", file=sys.stderr)
    print(f"page: {args.out}/briefing.html (and briefing.pdf)")
    write_json({**data, "files": [f"{args.out}/{name}" for name in files]})
    return 0
