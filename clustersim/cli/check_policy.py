"""`clustersim check-policy`: test whether a policy or placement follows the rules."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clustersim.cli.options import add_policy_options, policy_options, whole_number
from clustersim.console import wrapped_note, write_json
from clustersim.text_table import table

if TYPE_CHECKING:
    from clustersim.simulation.check_policy import Finding

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check-policy",
        help="test a user-defined policy or placement",
        description="Run a policy or placement on small clusters and check that no accelerator is "
        "allocated twice, every job ends, nothing starts early, and the same input gives the same "
        "schedule. Exit code 1: a rule is broken, or the code raises an error in a trial; 2: the "
        "class cannot be loaded, or an option cannot be used.",
        epilog="example: clustersim check-policy my_policy.py:NarrowestFirst",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "policy",
        nargs="?",
        default="fcfs",
        metavar="POLICY",
        help="name of a built-in policy, or FILE.py:ClassName (default: fcfs)",
    )
    parser.add_argument(
        "--placement",
        default="consolidate",
        metavar="PLACEMENT",
        help="a name such as consolidate or pooled, or FILE.py:ClassName; it decides which nodes "
        "stay free, not how fast a job runs",
    )
    add_policy_options(parser)
    parser.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="seed of the random jobs"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; exit code 1 if a rule is broken."""
    from clustersim.scheduling.placements import SPEED_NOTE
    from clustersim.simulation.check_policy import check_policy

    options = policy_options(args.option)
    of_placement = policy_options(args.placement_option, "--placement-option")
    findings = check_policy(
        args.policy,
        args.placement,
        options=options,
        placement_options=of_placement,
        seed=args.seed,
    )
    print(f"policy {args.policy}, placement {args.placement}; checked: no accelerator allocated")
    print(
        "twice or lost, every job ends, nothing starts early, sizes kept, the same schedule twice"
    )
    print(table(_rows(findings), ["trials", "the first one", "finding"]))
    broken = any(finding.problem for finding in findings)
    if not broken:
        print(wrapped_note(f"{SPEED_NOTE}."))
    write_json(
        {
            "policy": args.policy,
            "placement": args.placement,
            "options": options,
            "placement_options": of_placement,
            "seed": args.seed,
            "passed": not broken,
            "findings": [{"trial": f.trial, "problem": f.problem or None} for f in findings],
            "notes": [f"{SPEED_NOTE}."],
        }
    )
    return 1 if broken else 0


def _rows(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """Return each finding once, with the number of its trials and the name of the first one.

    A message that differs in numbers only, such as those of jobs, is shown as the first trial had
    it.
    """
    trials: dict[str, list[Finding]] = {}
    for each in findings:
        trials.setdefault(re.sub(r"\d+", "0", each.problem), []).append(each)
    return [
        (f"{len(own)} of {len(findings)}", own[0].trial, own[0].problem or "ok")
        for own in trials.values()
    ]
