"""`clustersim schema`: the JSON Schema of a file format."""

from __future__ import annotations

import argparse
import json

from clustersim.cli.options import add_plugins
from clustersim.console import write_document

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a file format",
        description="Print the JSON Schema of a file format, for editors to validate and complete.",
        epilog="example: clustersim schema scenario > scenario.schema.json\n"
        "and in the first line of a scenario, for editors with the YAML language server:\n"
        "  # yaml-language-server: $schema=scenario.schema.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "format", choices=["scenario", "study", "plan", "topology", "catalogue", "workload"]
    )
    add_plugins(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.analysis.registry import load_plugins
    from clustersim.schemas import schema

    load_plugins(args.plugins)
    write_document(json.dumps(schema(args.format), indent=2) + "\n")
    return 0
