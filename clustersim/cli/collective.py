"""``clustersim collective``: the time of a collective, and the errors of the model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, number, whole_number
from clustersim.console import plain_notes, write_json
from clustersim.errors import InputError
from clustersim.text_table import table
from clustersim.units import (
    format_bit_rate,
    format_bytes,
    format_count,
    format_duration,
    format_percent,
    format_rate,
    parse_quantity,
)

if TYPE_CHECKING:
    from clustersim.array_types import Floats
    from clustersim.catalogue import Accelerator
    from clustersim.network.chip_collectives import CollectiveTime
    from clustersim.network.operation_fit import Accuracy

__all__ = ["add_parser", "run"]

EPILOG = """\
more:
  $ clustersim collective --op all_to_all --size 64MB --accelerator H200 --count 64 --copies 8
  $ clustersim collective --op all_gather --size 1GB --accelerator 910B2 --count 4 --algorithm ring
  $ clustersim collective --errors

example: clustersim collective --op all_reduce --size 1GB --accelerator H200 --count 64"""
JOB = ("op", "size", "accelerator", "count")
"""Options that one collective needs."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "collective",
        help="time and bandwidth of a collective, by algorithm",
        description="Estimate the time, algorithm bandwidth and bus bandwidth of a collective "
        "among neighbouring chips, with the constants that step times use (docs/collectives.md).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--op",
        metavar="NAME",
        help="all_reduce, reduce_scatter, all_gather, broadcast, all_to_all or point_to_point (to "
        "the last chip)",
    )
    parser.add_argument(
        "--size",
        metavar="BYTES",
        help="size of the whole tensor, such as 1GB or 64MiB; for an all-to-all, what one chip "
        "sends",
    )
    parser.add_argument("--accelerator", metavar="NAME", help="chip in the catalogue")
    parser.add_argument("--count", type=whole_number, metavar="N", help="number of chips")
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        help="auto, ring, tree, hierarchical, in_switch, in_network, direct or deepep (default: "
        "auto, the library's choice, beside all others that are possible)",
    )
    parser.add_argument(
        "--fabric",
        metavar="NAME",
        help="fabric between nodes: infiniband, roce, efa or tcpx (default: infiniband)",
    )
    parser.add_argument("--network", metavar="RATE", help="network rate per chip, such as 400Gb/s")
    parser.add_argument(
        "--no-in-switch",
        action="store_true",
        help="the switch does not sum (NCCL_NVLS_ENABLE=0)",
    )
    parser.add_argument(
        "--copies", type=number, metavar="N", help="experts per token, for deepep (default: 8)"
    )
    parser.add_argument(
        "--errors",
        action="store_true",
        help="print the errors of the model on published measurements by chip and operation",
    )
    add_catalogue(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    given = [name for name in JOB if getattr(args, name) is not None]
    if args.errors:
        others = ("algorithm", "fabric", "network", "copies")
        given += [name for name in others if getattr(args, name) is not None]
        if given:
            options = ", ".join(f"--{name}" for name in given)
            raise InputError("--errors", f"takes no collective, found {options}")
        return _print_errors()
    missing = [f"--{name}" for name in JOB if name not in given]
    if missing:
        raise InputError("collective", f"needs {', '.join(missing)}; or --errors")
    if args.copies is not None and args.op != "all_to_all":
        raise InputError("--copies", f"is only for --op all_to_all, found --op {args.op}")
    return _print_times(args)


def _quantity(option: str, text: str, dimension: str) -> float:
    try:
        return parse_quantity(text, dimension)
    except ValueError as error:
        raise InputError(option, str(error)) from None


def _print_times(args: argparse.Namespace) -> int:
    from clustersim.catalogue import hypothetical_note, load_catalogue
    from clustersim.network.chip_collectives import (
        AUTO,
        algorithms_for,
        chip_links,
        estimate_collective,
    )
    from clustersim.network.fabrics import fabric_of

    chip = load_catalogue(*args.catalogue).accelerator(args.accelerator)
    size = _quantity("--size", args.size, "bytes")
    nic_Bps = None if args.network is None else _quantity("--network", args.network, "bandwidth")
    fabric = fabric_of(chip.transport if args.fabric is None else args.fabric)
    in_switch = not args.no_in_switch

    def time_of(algorithm: str) -> CollectiveTime:
        return estimate_collective(
            args.op,
            size,
            chip,
            args.count,
            algorithm=algorithm,
            fabric=fabric.name,
            nic_Bps=nic_Bps,
            in_switch=in_switch,
            copies=8.0 if args.copies is None else args.copies,
        )

    names = [args.algorithm or AUTO]
    found = [time_of(names[0])]
    if args.algorithm is None:
        links = chip_links(chip, fabric, found[0].nic_Bps, in_switch=in_switch)
        found += [time_of(name) for name in algorithms_for(args.op, links, fabric.name)[1:]]
    notes = _notes(chip, found[0], fabric.nic_Bps, fabric.title, nic_Bps is not None)
    hypothetical = hypothetical_note([chip])
    if hypothetical is not None:
        notes.append(hypothetical)
    print(_text(found, size, args.count, fabric.title, notes))
    write_json(_data(found, size, args.count, plain_notes(notes)))
    return 0


def _notes(
    chip: Accelerator, first: CollectiveTime, usual_Bps: float, title: str, given: bool
) -> list[str]:
    """Return what is odd about the assumptions."""
    if given or first.nic_Bps <= usual_Bps:
        return []
    return [
        f"Note: {title} usually has {format_bit_rate(usual_Bps)} per chip; --network sets it "
        f"(assumed: {format_bit_rate(first.nic_Bps)}, as the catalogue says for {chip.name})"
    ]


def _text(
    found: list[CollectiveTime], size: float, count: int, fabric: str, notes: list[str]
) -> str:
    first = found[0]
    domain = format_count(first.scaleup_size)
    head = (
        f"{first.operation} of {format_bytes(size)} on {format_count(count)} {first.accelerator}: "
        f"{format_duration(float(first.seconds))}\n"
        f"scale-up {format_rate(first.scaleup_Bps)} per chip among {domain} chips, "
        f"network {format_bit_rate(first.nic_Bps)} per chip ({fabric})"
    )
    rows = [
        [
            each.algorithm,
            format_duration(float(each.seconds)),
            _rate(each.algbw_Bps),
            _rate(each.busbw_Bps),
        ]
        for each in found
    ]
    return "\n\n".join([head, table(rows, ["algorithm", "time", "algbw", "busbw"]), *notes])


def _rate(rate: Floats) -> str:
    return format_rate(float(rate)) if rate > 0 else ""


def _data(found: list[CollectiveTime], size: float, count: int, notes: list[str]) -> dict[str, Any]:
    first = found[0]
    rates = ("algorithm", "seconds", "algbw_Bps", "busbw_Bps")

    def numbers(each: CollectiveTime) -> dict[str, Any]:
        return {
            name: value if isinstance(value := getattr(each, name), str) else float(value)
            for name in rates
        }

    return {
        "operation": first.operation,
        "size_bytes": size,
        "accelerator": first.accelerator,
        "count": count,
        "fabric": first.fabric,
        "scaleup_Bps": first.scaleup_Bps,
        "scaleup_size": first.scaleup_size,
        "nic_Bps": first.nic_Bps,
        **numbers(first),
        "algorithms": [numbers(each) for each in found],
        "notes": notes,
    }


def _print_errors() -> int:
    from clustersim.network.operation_fit import errors_of_all_rows, errors_without_own_source

    fitted, held_out = errors_of_all_rows(), errors_without_own_source()
    rows = _error_rows(fitted, held_out)
    shown = [
        [
            *(row[name] for name in ("accelerator", "operation")),
            format_count(row["rows"]),
            *(_percent(row[name]) for name in ("median_error", "worst_error")),
            format_count(row["held_out_rows"]),
            _percent(row["held_out_median_error"]),
        ]
        for row in rows
    ]
    headers = ["accelerator", "operation", "rows", "median |error|", "worst", "held out"]
    print("Predicted time divided by published time, minus 1")
    print(table(shown, [*headers, "median |error| held out"]))
    print(
        "\nHeld out: rows predicted by a fit without their own publication, where another\n"
        "publication measured the same type of link. Large: 64 MiB or more."
    )
    write_json({"errors": rows})
    return 0


def _percent(share: float) -> str:
    return "" if share != share else format_percent(share)


def _error_rows(fitted: Accuracy, held_out: Accuracy) -> list[dict[str, Any]]:
    """Return one row for each chip and operation, and rows for all, large and small messages."""
    import numpy as np

    def row(name: str, operation: str, mask: Any) -> dict[str, Any]:
        errors, others = fitted.error[mask], held_out.error[mask]
        others = others[~np.isnan(others)]
        return {
            "accelerator": name,
            "operation": operation,
            "rows": int(errors.size),
            "median_error": float(np.median(np.abs(errors))),
            "worst_error": float(errors[np.argmax(np.abs(errors))]),
            "held_out_rows": int(others.size),
            "held_out_median_error": (
                float(np.median(np.abs(others))) if others.size else float("nan")
            ),
        }

    chips, kinds = (np.array(c) for c in (fitted.rows.accelerator, fitted.rows.collective))
    large = fitted.rows.size_bytes >= LARGE_BYTES
    return [
        *(row(chip, kind, (chips == chip) & (kinds == kind)) for chip, kind in fitted.groups()),
        row("all", "large", large),
        row("all", "small", ~large),
        row("all", "all", np.ones(large.size, dtype=bool)),
    ]


LARGE_BYTES = 2.0**26
"""Messages from this size on are limited by bandwidth, not by start-up times."""
