"""`clustersim estimate`: step time of one job, or of every row of a table."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, add_renamed, number, whole_number
from clustersim.console import repeat, warn, write_json
from clustersim.errors import InputError, shown
from clustersim.interrupts import held

if TYPE_CHECKING:
    from clustersim.catalogue import Catalogue
    from clustersim.estimation.cost import Prices
    from clustersim.performance import Calibration

__all__ = [
    "add_cost_options",
    "add_parser",
    "add_step_options",
    "open_inputs",
    "prices_of",
    "quantity_of",
    "run",
    "token_count",
]

DESCRIPTION = """\
Estimate the time of one training step with its 90 % interval, memory, training days and cost,
either for one job (--model, --accelerator, --count) or for every row of a table (--table
CONFIGS.csv --out PREDICTED.csv; --list-columns lists the columns). If none of the sizes of a plan
is given, the best plan is searched for; otherwise a size that is not given is 1.
Exit code 1: no plan fits, the given plan does not fit, or no row of the table could be
predicted; 2: the input cannot be used, or a rule refuses the given plan."""
EXAMPLES = """\
example:
  clustersim estimate --model llama3-70b --accelerator H200 --count 512
  clustersim estimate --model gpt3-175b --accelerator A100-80GB --count 1024 --plan tp=8,pp=8"""
JOB_ONLY = (
    *("model", "accelerator", "count", "plan", "global_batch", "seq_len", "precision", "stack"),
    *(
        "document_tokens",
        "memory",
        "network",
        "tokens",
        "price",
        "depreciation",
        "tariff",
        "pue",
        "draws",
    ),
)
"""Options that a table does not accept, because its columns replace them."""

OPTION_OF = {
    "price": "--price",
    "depreciation_years": "--depreciation (in years)",
    "tariff": "--tariff",
    "pue": "--pue",
}
"""Options by the names that messages use for their values."""
SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "estimate",
        help="step time, memory, days and cost of a training job",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    table = parser.add_argument_group("table of configurations")
    table.add_argument("--table", metavar="CONFIGS.csv", help="table of configurations")
    table.add_argument("--out", metavar="PREDICTED.csv", help="new file for the predictions")
    table.add_argument(
        "--list-columns",
        action="store_true",
        help="print input and output columns with their defaults",
    )
    add_renamed(parser, "--columns", "--list-columns")
    _add_job(parser.add_argument_group("single job"))
    add_cost_options(
        parser.add_argument_group(
            "days and cost of a single job",
            "`clustersim catalogue --assumptions` prints the planning assumptions with their "
            "sources; --catalogue with a section `assumptions` replaces them",
        )
    )
    both = parser.add_argument_group("common options")
    both.add_argument("--calibration", metavar="FILE", help="calibration from `clustersim fit`")
    add_catalogue(both, "chips and models")
    parser.set_defaults(run=run)


def _add_job(job: argparse._ArgumentGroup) -> None:
    job.add_argument("--model", metavar="NAME", help="model in the catalogue")
    job.add_argument("--accelerator", metavar="NAME", help="chip in the catalogue")
    job.add_argument("--count", type=whole_number, metavar="N", help="number of chips")
    add_step_options(job)
    job.add_argument(
        "--draws", type=whole_number, metavar="N", help="also make N draws from the posterior"
    )


def add_step_options(job: argparse._ArgumentGroup) -> None:
    """Add the options that determine a step of a job, apart from its model and its chips."""
    job.add_argument("--plan", metavar="tp=8,pp=4,...", help="plan (default: the best one found)")
    job.add_argument("--global-batch", type=whole_number, metavar="N", help="sequences per step")
    job.add_argument("--seq-len", type=whole_number, metavar="N", help="tokens per sequence")
    job.add_argument(
        "--document-tokens",
        type=whole_number,
        metavar="N",
        help="mean length of packed documents that attend only to themselves (default: the "
        "sequence)",
    )
    job.add_argument(
        "--precision",
        type=str.lower,
        metavar="bf16|fp8",
        help="bf16, fp16, fp8, mxfp8 or fp32 (default: bf16)",
    )
    job.add_argument("--stack", metavar="NAME", help="software stack, such as 'NeMo 24.07'")
    job.add_argument(
        "--memory",
        metavar="loss_fused=linear,...",
        help="memory options; --list-columns lists them (default: those of the stack)",
    )
    job.add_argument("--network", metavar="RATE", help="network rate per chip, such as 400Gb/s")


def add_cost_options(cost: argparse._ArgumentGroup) -> None:
    """Add the options for the tokens of a training and its prices."""
    cost.add_argument(
        "--tokens",
        type=token_count,
        metavar="N",
        help="training tokens, such as 15T (default: 20 per parameter)",
    )
    cost.add_argument(
        "--price",
        type=number,
        metavar="CNY",
        help="price of a chip with its share of the server (default: from the catalogue)",
    )
    cost.add_argument(
        "--depreciation",
        metavar="TIME",
        help="depreciation period (default: the planning assumption)",
    )
    cost.add_argument(
        "--tariff",
        type=number,
        metavar="CNY",
        help="electricity price per kWh (default: the planning assumption)",
    )
    cost.add_argument(
        "--pue",
        type=number,
        metavar="X",
        help="power of the site divided by that of its nodes (default: the planning assumption)",
    )


def token_count(text: str) -> float:
    """Parse a number of tokens, which may end in K, M, B or T.

    Examples
    --------
    >>> token_count("15T") == token_count("15e12") == 15e12
    True
    """
    scale = SUFFIXES.get(text[-1:].upper())
    try:
        return float(text[:-1]) * scale if scale else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number, such as 15e12 or 15T (K, M, B, T), found {shown(text)}"
        ) from None


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    given = [name for name in JOB_ONLY if getattr(args, name) is not None]
    if args.list_columns:
        _print_columns()
        return 0
    if args.table is not None or args.out is not None:
        _refuse_job_options(args, given)
        return _run_table(args)
    missing = [f"--{name}" for name in ("model", "accelerator", "count") if name not in given]
    if missing:
        raise InputError(
            "estimate",
            f"needs {', '.join(missing)} for one job, or --table and --out for a table",
        )
    return _run_job(args)


def _refuse_job_options(args: argparse.Namespace, given: list[str]) -> None:
    problems = [f"--{name} is missing" for name in ("table", "out") if getattr(args, name) is None]
    problems += [f"--{name.replace('_', '-')} applies to one job, not to a table" for name in given]
    if problems:
        raise InputError("estimate", problems)


def open_inputs(args: argparse.Namespace) -> tuple[Calibration, Catalogue]:
    """Open the calibration and the catalogue that the options name."""
    from clustersim.catalogue import load_catalogue
    from clustersim.performance import default_calibration, load_calibration

    calibration = (
        default_calibration() if args.calibration is None else load_calibration(args.calibration)
    )
    return calibration, load_catalogue(*args.catalogue)


def _run_table(args: argparse.Namespace) -> int:
    from clustersim.estimation.table import predict_table, read_csv_as_text, write_csv
    from clustersim.outputs import refuse_existing
    from clustersim.units import counted, format_count

    refuse_existing(args.out)
    calibration, catalogue = open_inputs(args)
    table = read_csv_as_text(args.table)
    found = predict_table(table, calibration, catalogue=catalogue, source=args.table)
    with held():
        write_csv(found.table, args.out)
    notes = [*found.renamed]
    for column, meant in found.misspelt.items():
        used = f" The predicted rows use the default of {meant}." if found.predicted else ""
        notes.append(f"column {column!r} is unknown; did you mean {meant!r}?{used}")
    for note in notes:
        warn(f"Note: {note}")
    missing = len(table) - found.predicted
    rows = counted(found.predicted, "row")
    only = f" ({format_count(found.memory_only)} memory only)" if found.memory_only else ""
    print(f"{rows} predicted{only}, {format_count(missing)} not", end="")
    print(" (column reason)" if missing else "")
    print(f"written to {args.out}")
    write_json(
        {
            "predicted": found.predicted,
            "memory_only": found.memory_only,
            "missing": missing,
            "interrupted": found.interrupted,
            "files": [args.out],
            "notes": notes,
        }
    )
    if found.interrupted:
        message = f"interrupted: {format_count(found.interrupted)} of the rows were not reached"
        print(f"{message}; see the column reason", file=sys.stderr)
        return 130
    return 0 if found.predicted else 1


def _print_columns() -> None:
    from clustersim.estimation import COLUMNS
    from clustersim.estimation.table import FOR_UNKNOWN_CHIPS, PREDICTED
    from clustersim.text_table import table

    given, headers = {**COLUMNS, **FOR_UNKNOWN_CHIPS}, ["column", "meaning"]
    print("Input columns")
    print(table(given.items(), headers))
    print("\nAdded columns")
    print(table(PREDICTED.items(), headers))
    write_json(
        {
            kind: [dict(zip(headers, item, strict=True)) for item in columns.items()]
            for kind, columns in (("input", given), ("added", PREDICTED))
        }
    )


def _run_job(args: argparse.Namespace) -> int:
    from clustersim.cli.texts.estimate_text import estimate_data, estimate_text
    from clustersim.estimation.estimate import estimate

    calibration, catalogue = open_inputs(args)
    options: dict[str, Any] = {
        name: getattr(args, name)
        for name in (
            *("plan", "global_batch", "seq_len", "precision", "stack", "memory", "tokens"),
            *("draws", "document_tokens"),
        )
        if getattr(args, name) is not None
    }
    if args.network is not None:
        options["nic_Bps"] = quantity_of(args.network, "--network", "bandwidth")
    found = estimate(
        args.model,
        args.accelerator,
        args.count,
        prices=prices_of(args, catalogue),
        calibration=calibration,
        catalogue=catalogue,
        **options,
    )
    print(estimate_text(found))
    write_json(estimate_data(found))
    if found.best is not None and found.best.fits:
        return 0
    repeat(f"clustersim: no plan fits: {found.reason}")
    return 1


def prices_of(args: argparse.Namespace, catalogue: Catalogue) -> Prices:
    """Return the prices that the options give, and those of the catalogue.

    Raises
    ------
    InputError
        If a price is out of range.
    """
    from clustersim.estimation.cost import Prices
    from clustersim.units import SECONDS_PER_YEAR

    given: dict[str, float] = {}
    if args.price is not None:
        given["chip_cny"] = args.price
    if args.depreciation is not None:
        seconds = quantity_of(args.depreciation, "--depreciation", "duration")
        given["depreciation_years"] = seconds / SECONDS_PER_YEAR
    if args.tariff is not None:
        given["tariff_cny_per_kwh"] = args.tariff
    if args.pue is not None:
        given["pue"] = args.pue
    try:
        return Prices.of(catalogue.assumptions, **given)
    except InputError as error:
        problems = [
            f"{option}{problem.removeprefix(name)}"
            for problem in error.problems
            for name, option in OPTION_OF.items()
            if problem.startswith(f"{name}:")
        ]
        raise InputError("estimate", problems) from None


def quantity_of(text: str, option: str, dimension: str) -> float:
    """Parse the value of an option with a unit.

    Raises
    ------
    InputError
        If it is not such a quantity.

    Examples
    --------
    >>> quantity_of("90 d", "--largest-within", "duration")
    7776000.0
    """
    from clustersim.units import parse_quantity

    try:
        return parse_quantity(text, dimension)
    except ValueError as error:
        raise InputError(option, str(error)) from None
