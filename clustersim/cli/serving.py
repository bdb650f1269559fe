"""`clustersim serving`: tokens, images and videos per second of a model on chips."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, number, whole_number
from clustersim.console import repeat, warn, write_json
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.inference import ServingCalibration

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Estimate prefill and decode throughput of a language model, either of one instance (--model,
--accelerator, --count) or for every row of a table (--table ROWS.csv --out PREDICTED.csv), which
may also have rows of image and video models. docs/serving.md has the model and its errors.
Exit code 1: the weights do not fit, no batch keeps the limit, or no row could be predicted; 2: the
input cannot be used."""
EXAMPLES = """\
more:
  $ clustersim serving --table serving-rows.csv --out predicted.csv   # --list-columns
  $ clustersim serving --model llama3-70b --accelerator H200 --count 4 --input 1000 --batch 64

example: clustersim serving --model deepseek-v3 --accelerator H20 --count 16 --tpot 50ms"""
ONE_ONLY = (
    *("model", "accelerator", "count", "weights", "kv", "input", "output", "batch", "tpot"),
    *("tp", "engine", "draft", "as_installed"),
)
"""Options that a table does not accept, because its columns replace them."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serving",
        help="prefill and decode throughput of a model on chips",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    table = parser.add_argument_group("table of measurements")
    table.add_argument("--table", metavar="ROWS.csv", help="table of serving configurations")
    table.add_argument("--out", metavar="PREDICTED.csv", help="new file for the predictions")
    table.add_argument("--list-columns", action="store_true", help="print the columns")
    _add_one(parser.add_argument_group("one instance"))
    both = parser.add_argument_group("common options")
    both.add_argument(
        "--calibration", metavar="FILE", help="calibration from `clustersim fit --serving`"
    )
    add_catalogue(both, "chips and models")
    parser.set_defaults(run=run)


def _add_one(one: argparse._ArgumentGroup) -> None:
    one.add_argument(
        "--model", metavar="NAME", help="model in the catalogue, or listed for serving"
    )
    one.add_argument("--accelerator", metavar="NAME", help="chip in the catalogue")
    one.add_argument("--count", type=whole_number, metavar="N", help="chips of the instance")
    one.add_argument(
        "--weights",
        metavar="PRECISION",
        help="bf16, fp8, int8, fp4, mxfp4, int4 or w4a8 (default: that of the release)",
    )
    one.add_argument("--kv", metavar="PRECISION", help="precision of the cache (default: bf16)")
    one.add_argument(
        "--input", type=number, metavar="N", help="tokens of a prompt (default: 4,000)"
    )
    one.add_argument(
        "--output", type=number, metavar="N", help="tokens of an answer (default: 1,000)"
    )
    one.add_argument(
        "--batch", type=number, metavar="N", help="sequences decoded at once on all chips"
    )
    one.add_argument(
        "--tpot", metavar="TIME", help="limit of the time per output token, such as 50ms"
    )
    one.add_argument(
        "--tp", type=whole_number, metavar="N", help="tensor parallel size (default: the best)"
    )
    one.add_argument("--engine", metavar="NAME", help="such as vllm, sglang or tensorrt-llm")
    one.add_argument(
        "--draft", type=whole_number, metavar="N", help="draft tokens of speculative decoding"
    )
    one.add_argument(
        "--as-installed",
        action="store_true",
        default=None,
        help="a deployment that nobody tuned",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    given = [name for name in ONE_ONLY if getattr(args, name) is not None]
    if args.list_columns:
        _print_columns()
        return 0
    if args.table is not None or args.out is not None:
        _refuse_options(args, given)
        return _run_table(args)
    missing = [f"--{name}" for name in ("model", "accelerator", "count") if name not in given]
    if missing:
        raise InputError(
            "serving", f"needs {', '.join(missing)} for one instance, or --table and --out"
        )
    return _run_one(args)


def _refuse_options(args: argparse.Namespace, given: list[str]) -> None:
    problems = [f"--{name} is missing" for name in ("table", "out") if getattr(args, name) is None]
    problems += [
        f"--{name.replace('_', '-')} applies to one instance, not to a table" for name in given
    ]
    if problems:
        raise InputError("serving", problems)


def _calibration(args: argparse.Namespace) -> ServingCalibration:
    from clustersim.inference import default_serving
    from clustersim.inference.calibration import load_serving

    return default_serving() if args.calibration is None else load_serving(args.calibration)


def _run_table(args: argparse.Namespace) -> int:
    from clustersim.catalogue import load_catalogue
    from clustersim.estimation.table import misspelt_columns, read_csv_as_text, write_csv
    from clustersim.inference.rows import COLUMNS
    from clustersim.inference.table import predict_serving
    from clustersim.interrupts import held
    from clustersim.outputs import refuse_existing
    from clustersim.units import counted, format_count

    refuse_existing(args.out)
    calibration, catalogue = _calibration(args), load_catalogue(*args.catalogue)
    table = read_csv_as_text(args.table)
    found = predict_serving(table, calibration, catalogue=catalogue, source=args.table)
    with held():
        write_csv(found.table, args.out)
    unknown = [name for name in table.columns if name not in COLUMNS]
    near = misspelt_columns(unknown, set(table.columns), tuple(COLUMNS))
    notes = [
        f"column {name!r} is unknown; did you mean {meant!r}?"
        for name, meant in near.items()
        if name not in MEASURED
    ]
    for note in notes:
        warn(f"Note: {note}")
    missing = len(table) - found.predicted
    print(f"{counted(found.predicted, 'row')} predicted, {format_count(missing)} not", end="")
    print(" (column reason)" if missing else "")
    print(f"written to {args.out}")
    write_json(
        {
            "predicted": found.predicted,
            "missing": missing,
            "files": [args.out],
            "notes": notes,
        }
    )
    return 0 if found.predicted else 1


MEASURED = ("ttft_ms", "value", "id", "year", "quality", "locator")
"""Columns of a table of measurements that are not read."""


def _print_columns() -> None:
    from clustersim.inference.rows import COLUMNS
    from clustersim.inference.table import ADDED
    from clustersim.text_table import table

    headers = ["column", "meaning"]
    print("Input columns")
    print(table(COLUMNS.items(), headers))
    print("\nAdded columns")
    print(table(ADDED.items(), headers))
    write_json(
        {
            kind: [dict(zip(headers, item, strict=True)) for item in columns.items()]
            for kind, columns in (("input", COLUMNS), ("added", ADDED))
        }
    )


def _run_one(args: argparse.Namespace) -> int:
    from clustersim.catalogue import load_catalogue
    from clustersim.cli.texts.serving_text import serving_text
    from clustersim.inference import estimate_serving

    names = {"input": "input_len", "output": "output_len"}
    options: dict[str, Any] = {
        names.get(name, name): getattr(args, name)
        for name in ("weights", "kv", "input", "output", "batch", "tp", "engine", "draft")
        if getattr(args, name) is not None
    }
    if args.tpot is not None:
        options["tpot_s"] = _seconds(args.tpot)
    found = estimate_serving(
        args.model,
        args.accelerator,
        args.count,
        tuned=not args.as_installed,
        calibration=_calibration(args),
        catalogue=load_catalogue(*args.catalogue),
        **options,
    )
    print(serving_text(found))
    write_json(dataclasses.asdict(found))
    if not found.reason:
        return 0
    repeat(f"clustersim: {found.reason}")
    return 1


def _seconds(text: str) -> float:
    from clustersim.units import parse_quantity

    try:
        return parse_quantity(text, "duration")
    except ValueError as error:
        raise InputError("--tpot", str(error)) from None
