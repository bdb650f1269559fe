"""`clustersim measure`: microbenchmarks of the local accelerator."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, whole_number
from clustersim.console import repeat, shows_progress, write_json
from clustersim.interrupts import check, held, taken
from clustersim.text_table import table

if TYPE_CHECKING:
    from clustersim.microbenchmarks.case import Case
    from clustersim.microbenchmarks.device import Device
    from clustersim.microbenchmarks.session import Measured

__all__ = ["add_parser", "run"]

SEED = 0
MOST_FAULTS = 10


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    from clustersim.microbenchmarks.schema import KINDS

    parser = commands.add_parser(
        "measure",
        help="measure a chip for `clustersim fit`",
        description="Time matrix products, memory-bound operations, attention, transformer layers, "
        "whole training steps and, with several devices, collectives. Needs PyTorch for the "
        "device. Takes about four minutes on one H200.",
        epilog="kinds: " + ", ".join(KINDS) + "\n"
        "Each case is written to the file as soon as it is measured; Ctrl-C keeps finished cases.\n"
        "`clustersim fit` reads the file.\n"
        "example: clustersim measure --out my-chip.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, metavar="MEASUREMENTS.csv", help="new file")
    parser.add_argument(
        "--device",
        metavar="NAME",
        default="",
        help="cuda, npu or cpu (default: the first available)",
    )
    parser.add_argument(
        "--accelerator",
        metavar="CHIP",
        help="name of the chip in the catalogue (default: from the name of the device)",
    )
    parser.add_argument(
        "--kinds", nargs="+", default=[], metavar="KIND", help="measure only these (default: all)"
    )
    parser.add_argument(
        "--ranks",
        type=whole_number,
        metavar="N",
        help="processes of the collectives, one per device (default: all devices of the machine)",
    )
    parser.add_argument("--quick", action="store_true", help="a few small cases, half a minute")
    add_catalogue(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.errors import InputError
    from clustersim.microbenchmarks.collectives import collective_cases, measure_collectives
    from clustersim.microbenchmarks.device import open_device
    from clustersim.microbenchmarks.grid import grid, quick_grid
    from clustersim.microbenchmarks.session import chosen, measure, new_measurement_file
    from clustersim.microbenchmarks.timing import Pace

    _check(args)
    device = open_device(args.device)
    accelerator = _accelerator(args, device)
    environment = device.environment(accelerator)
    pace = Pace(warm_s=0.02, repetition_s=0.005, total_s=0.05) if args.quick else Pace()
    cases = chosen(quick_grid() if args.quick else grid(), args.kinds)
    groups = chosen(collective_cases(_ranks(args, device), quick=args.quick), args.kinds)
    total = len(cases) + len(groups)
    if not total:
        message = f"{', '.join(args.kinds)}: needs two devices or more, found 1"
        raise InputError("--kinds", f"{message} (on a CPU: --ranks 2)")
    device.torch.manual_seed(SEED)
    rows: list[Measured] = []
    print(f"{environment['device']} ({environment['framework']}, {environment['runtime']})")
    with new_measurement_file(args.out, environment) as file, _progress(total) as (starts, ends):

        def report(_: Case, row: Measured) -> None:
            with held():
                file.write(row)
                rows.append(row)
                ends()
            check()

        try:
            measure(cases, device, pace, report, starts)
            measure_collectives(device, groups, pace, report, starts)
        except KeyboardInterrupt:
            taken()
            print(f"interrupted: {len(rows)} of {total} cases are kept", file=sys.stderr)
            print("\n".join(_summary(rows, args.out) if rows else []))
            write_json(_data(environment, rows, args.out, interrupted=True))
            return 130
    print("\n".join(_summary(rows, args.out)))
    for line in _fault_lines(rows):
        repeat(line.strip())
    write_json(_data(environment, rows, args.out, interrupted=False))
    return 0


def _data(
    environment: Mapping[str, str], rows: list[Measured], out: str, *, interrupted: bool
) -> dict[str, Any]:
    """Return the measurements as plain data, with the columns of the file."""
    return {**environment, "measurements": rows, "interrupted": interrupted, "files": [out]}


def _check(args: argparse.Namespace) -> None:
    from clustersim.errors import InputError, unknown_name
    from clustersim.microbenchmarks.device import DEVICES
    from clustersim.microbenchmarks.schema import KINDS

    problems = [
        f"--kinds: {unknown_name('kind', kind, KINDS)}" for kind in args.kinds if kind not in KINDS
    ]
    if args.device and args.device not in DEVICES:
        problems.append(f"--device: must be one of {', '.join(DEVICES)}, found {args.device!r}")
    if problems:
        raise InputError("measure", problems)


def _ranks(args: argparse.Namespace, device: Device) -> int:
    """Return the number of processes of the collectives; on a CPU, as many as requested."""
    from clustersim.errors import InputError

    if args.ranks is None:
        return device.count
    if args.ranks < 1 or (device.kind != "cpu" and args.ranks > device.count):
        most = "" if device.kind == "cpu" else f" to {device.count}, the number of devices"
        raise InputError("--ranks", f"must be 1{most or ' or more'}, found {args.ranks}")
    return int(args.ranks)


def _accelerator(args: argparse.Namespace, device: Device) -> str:
    """Return the chip's name: as given, as in the catalogue, or as the device reports it."""
    from clustersim.catalogue import load_catalogue
    from clustersim.microbenchmarks.device import name_in_catalogue

    catalogue = load_catalogue(*args.catalogue)
    found = name_in_catalogue(device.name, catalogue)
    if args.accelerator:
        chip = catalogue.accelerator(args.accelerator).name
        if found not in (None, chip):
            print(f"Note: {device.name!r} seems to be {found}, not {chip}", file=sys.stderr)
        return chip
    if found is None:
        print(
            f"Note: the catalogue has no chip {device.name!r}. To fit to these measurements, "
            "describe the chip in a file (README, 'A chip of your own') and give its name with "
            "--accelerator here or in the column accelerator.",
            file=sys.stderr,
        )
    return found or device.name


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[Case], None], Callable[[], object]]]:
    """Show a bar on a terminal, otherwise a line for each kind of case; nothing with --quiet.

    Yields a function to call before each case, and one to call after it.
    """
    from tqdm import tqdm

    if not shows_progress():
        yield (lambda case: None), lambda: None
        return
    if sys.stderr.isatty():
        with tqdm(total=total, unit="case", leave=False) as bar:
            yield (lambda case: bar.set_postfix_str(case.text()[:40])), bar.update
        return
    kinds: list[str] = []

    def say(case: Case) -> None:
        if case.kind not in kinds:
            kinds.append(case.kind)
            print(f"measuring: {case.kind}", file=sys.stderr, flush=True)

    yield say, lambda: None


def _summary(rows: list[Measured], out: str) -> list[str]:
    """Return a table of the best value of each kind of case, and the cases that failed."""
    cells = []
    for kind in dict.fromkeys(str(row["kind"]) for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        timed = [row for row in of_kind if "median_s" in row]
        cells.append([kind, f"{len(timed)} of {len(of_kind)}", *_best(timed)])
    lines = [table(cells, ["kind", "measured", "shortest", "best rate"])]
    return [*lines, *_fault_lines(rows), f"measurements: {out}"]


def _fault_lines(rows: list[Measured]) -> list[str]:
    faults = [row for row in rows if "fault" in row]
    lines = [f"  {row['kind']}: {row['fault']}" for row in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        lines.append(f"  and {len(faults) - MOST_FAULTS} more, in the column fault")
    return lines


def _best(rows: list[Measured]) -> tuple[str, str]:
    if not rows:
        return "", ""
    shortest = f"{1e6 * min(float(row['median_s']) for row in rows):.4g} us"
    for column, unit, size in (("flops", "TFLOP/s", 1e12), ("bytes", "GB/s", 1e9)):
        rates = [float(row[column]) / float(row["median_s"]) for row in rows if column in row]
        if rates:
            return shortest, f"{max(rates) / size:.4g} {unit}"
    return shortest, ""
