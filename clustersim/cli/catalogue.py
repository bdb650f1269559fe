"""``clustersim catalogue``: accelerators and models with their sources."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, add_renamed
from clustersim.console import plain_notes, write_json
from clustersim.text_table import table

if TYPE_CHECKING:
    from clustersim.catalogue import Accelerator, Catalogue, Model

__all__ = ["add_parser", "run"]

WIDTH = 110
LEGEND = (
    "Peaks are dense TFLOP/s. Links and networks are per chip and direction. Columns: type: memory "
    "type; shape: scale-up link; node: chips per node; kCNY: quoted price range in thousand yuan "
    "(--assumptions: prices with servers); params, active: parameters in total and per token, "
    "in billions; tokens: per sequence; batch: sequences per step. * hypothetical. `clustersim "
    "catalogue NAME` prints each field with its source."
)
REFERENCES = "Reference chips of published training runs (BF16: FP16 on chips without BF16)"


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "catalogue",
        help="print accelerators and models, with a source for every number",
        description="Print the catalogue as tables, or one accelerator or model in full.",
        epilog=(
            "example:\n"
            "  clustersim catalogue\n"
            "  clustersim catalogue H200\n"
            "  clustersim catalogue --all\n"
            "  clustersim catalogue --assumptions\n"
            "  clustersim catalogue --catalogue my-chips.yaml MyChip\n"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="an accelerator or a model")
    add_catalogue(parser, "chips, models and planning assumptions")
    add_renamed(parser, "--file", "--catalogue")
    parser.add_argument(
        "--sources", action="store_true", help="print every entry in full, with its sources"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also list chips that serve only as references for published training runs",
    )
    parser.add_argument(
        "--assumptions",
        action="store_true",
        help="print the planning assumptions of all cost estimates, with their sources",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the requested part of the catalogue."""
    from clustersim.catalogue import Accelerator, hypothetical_note, load_catalogue, report
    from clustersim.errors import InputError, shown

    catalogue = load_catalogue(*args.catalogue)
    if args.assumptions and args.name is not None:
        raise InputError("catalogue", f"--assumptions takes no name, found {shown(args.name)}")
    if args.assumptions:
        print(_assumptions(catalogue))
        write_json(report.assumptions_data(catalogue))
        return 0
    chips = [c for c in catalogue.accelerators.values() if args.all or not c.reference_only]
    items: list[Accelerator | Model]
    if args.name is not None:
        items = [catalogue.find(args.name)]
    else:
        items = [*chips, *catalogue.models.values()]
    if args.name is not None or args.sources:
        print("\n\n\n".join(_in_full(item) for item in items))
    else:
        print(_as_tables(catalogue, with_references=args.all))
    note = hypothetical_note(item for item in items if isinstance(item, Accelerator))
    if note:
        print(f"\n{textwrap.fill(note, WIDTH)}")
    write_json(
        {
            "accelerators": [item for item in items if isinstance(item, Accelerator)],
            "models": [item for item in items if not isinstance(item, Accelerator)],
            "notes": plain_notes([note] if note else []),
        }
    )
    return 0


def _assumptions(catalogue: Catalogue) -> str:
    """Format planning assumptions and prices as tables, each followed by its sources."""
    from clustersim.catalogue import report

    parts = []
    for rows, headers in (
        (report.assumption_rows(catalogue.assumptions), report.ASSUMPTION_HEADERS),
        (report.price_rows(catalogue), report.PRICE_HEADERS),
    ):
        lines = [table([row[:-1] for row in rows], headers), "", "Sources"]
        for name, *_, source in rows:
            text = f"{name}: {source}"
            lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _as_tables(catalogue: Catalogue, *, with_references: bool) -> str:
    from clustersim.catalogue import report

    chips = [chip for chip in catalogue.accelerators.values() if not chip.reference_only]
    references = [chip for chip in catalogue.accelerators.values() if chip.reference_only]
    parts = [table(report.accelerator_rows(chips), report.ACCELERATOR_HEADERS)]
    if with_references:
        parts += [
            REFERENCES,
            table(report.accelerator_rows(references), report.ACCELERATOR_HEADERS),
        ]
    parts.append(table(report.model_rows(catalogue.models.values()), report.MODEL_HEADERS))
    parts.append(textwrap.fill(LEGEND, WIDTH))
    if not with_references:
        text = f"{len(references)} more chips are references for published training runs: --all."
        parts.append(textwrap.fill(text, WIDTH))
    return "\n\n".join(parts)


def _in_full(item: Accelerator | Model) -> str:
    """Format all fields as a table, followed by each source with the fields that it supports."""
    from clustersim.catalogue import Accelerator, report

    headers: tuple[str, ...]
    if isinstance(item, Accelerator):
        fields, headers = report.accelerator_fields(item), report.FIELD_HEADERS
        title = f"{item.name} ({item.vendor}, {item.year})"
        ending = [f"Export to China: {item.export_status} [{item.sources['export_status']}]"]
    else:
        fields, headers = report.model_fields(item), report.MODEL_FIELD_HEADERS
        title, ending = f"{item.name} ({item.kind})", []
    by_source: dict[str, list[str]] = {}
    for row, source in fields:
        by_source.setdefault(source, []).append(row[0])
    lines = [title, "", table([row for row, _ in fields], headers), "", "Sources"]
    for source, names in by_source.items():
        text = f"{', '.join(names)}: {source}"
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    lines += [line for text in ending for line in ("", *textwrap.wrap(text, WIDTH))]
    return "\n".join(lines)
