"""`clustersim metrics`: the available metrics, those of finished runs, the columns of tables."""

from __future__ import annotations

import argparse
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_plugins, add_renamed
from clustersim.console import warn, write_document, write_json
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.simulation.result import Result

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "metrics",
        help="list the metrics that studies can measure, with unit and definition",
        description="List the metrics that studies can measure, or the columns of all tables; "
        "measure them in the folders of finished runs, and compare these.",
        epilog="example: clustersim metrics p95_wait_s\n"
        "         clustersim metrics --plugins my_metrics.py\n"
        "         $ clustersim metrics fragmentation p99_jct_s --of out/las\n"
        "         $ clustersim metrics out/fcfs out/easy out/las\n"
        "         $ clustersim metrics p95_network_slowdown out/packed out/random --plot slow.png\n"
        "         clustersim metrics --list-columns > columns.md\n"
        "         clustersim metrics --list-columns input > jobs.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="METRIC|DIR",
        help="list only these metrics (default: all), or measure them in the runs of these folders",
    )
    parser.add_argument(
        "--list-columns",
        action="store_true",
        help="print the columns of all tables that clustersim writes, in Markdown; with the name "
        "input, those of a table of jobs that it reads",
    )
    add_renamed(parser, "--columns", "--list-columns")
    parser.add_argument(
        "--of",
        metavar="DIR",
        nargs="+",
        default=[],
        help="measure the named metrics over the whole runs in these folders: by default those on "
        "request; of several runs the main ones, and what each differs from the first run",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="OUT",
        help="draw the distribution over the jobs of each run to OUT.png, OUT.svg or OUT.pdf: of "
        "the waits and completion times, or of the quantities of the named metrics",
    )
    add_plugins(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.analysis.columns.column_page import column_rows, columns_page
    from clustersim.analysis.metric_list import chosen_metrics, metric_lines, metric_rows
    from clustersim.analysis.metrics import find_metric
    from clustersim.analysis.registry import load_plugins, registered_text
    from clustersim.simulation.result import Result
    from clustersim.workload.input_columns import INPUT_COLUMNS, input_columns_page

    plugins = load_plugins(args.plugins)
    if args.list_columns:
        if args.names == ["input"]:
            write_json([asdict(column) for column in INPUT_COLUMNS])
            if not args.json:
                write_document(input_columns_page())
            return 0
        if args.names:
            only = f"--list-columns takes no name but input, found {args.names[0]!r}"
            raise InputError("metrics", only)
        if args.json:
            write_json(column_rows())
        else:
            write_document(columns_page())
        return 0
    others = [name for name in args.names if find_metric(name) is None]
    named = [name for name in others if "/" in name or Path(name).is_dir()]
    names = [name for name in args.names if name not in named]
    metrics = chosen_metrics(names)
    folders = [*named, *args.of]
    if folders:
        labels = _run_names(folders)
        runs = {label: Result.load(folder) for label, folder in zip(labels, folders, strict=True)}
        show = _measure if len(runs) == 1 else _compare
        found = show(runs, dict(zip(labels, folders, strict=True)), names, args.plugins)
        files = [] if args.plot is None else _plot(runs, names, args.plugins, args.plot)
        write_json({**found, **({"files": files} if files else {})})
        return 0
    if args.plot is not None:
        raise InputError("--plot", "needs the folder of at least one run")
    print("\n".join(metric_lines(metrics)))
    if plugins:
        print("\n".join(["", *registered_text(plugins)]))
    write_json(metric_rows(metrics))
    return 0


def _measure(
    runs: Mapping[str, Result], _: Mapping[str, str], names: Sequence[str], plugins: Sequence[str]
) -> dict[str, Any]:
    """Print metrics over a whole run, from its first to its last event, and return them."""
    from clustersim.analysis.metric_list import by_heading
    from clustersim.analysis.on_request.whole_run import metrics_of_run
    from clustersim.plots.axis import axis_of
    from clustersim.text_table import table

    (result,) = runs.values()
    known = [each for _, listed in by_heading() for each in listed]
    asked = names or [each.name for each in known if each.on_request]
    found = metrics_of_run(result, asked, plugins=plugins)
    rows = [[name, _text(name, value), axis_of(name).label] for name, value in found.items()]
    print(table(rows, ["metric", "value", "meaning"]))
    return {**found}


def _plot(
    runs: Mapping[str, Result], names: Sequence[str], plugins: Sequence[str], out: Path
) -> list[Path]:
    """Draw the distributions over jobs of the quantities of some metrics."""
    from clustersim.analysis.metrics import jobs_statistic
    from clustersim.analysis.network_slowdown import has_network
    from clustersim.cli.options import picture_file
    from clustersim.plots.distribution import draw_distributions
    from clustersim.plots.style import save_figure

    shown = list(names) or ["mean_wait_s", "mean_jct_s"]
    if not names and any(map(has_network, runs.values())):
        shown.append("mean_network_slowdown")
    over_jobs = [name for name in shown if jobs_statistic(name) is not None]
    if not over_jobs:
        raise InputError(
            "--plot",
            f"{', '.join(shown)}: no statistic over jobs, such as p95_wait_s; only these have a "
            "distribution",
        )
    files = save_figure(draw_distributions(runs, over_jobs, plugins=plugins), *picture_file(out))
    for path in files:
        print(f"\nwrote {path}")
    return files


def _text(name: str, value: float, *, signed: bool = False) -> str:
    """Return the value of a metric with its unit; with its sign if it is a difference.

    Examples
    --------
    >>> _text("utilisation", 0.5), _text("utilisation", -0.012, signed=True)
    ('50 %', '−1.2 points')
    """
    from clustersim.plots.axis import axis_of

    if math.isnan(value):
        return "unknown"
    text = axis_of(name).text(value)
    if not signed:
        return text
    sign = "+" if value > 0 else ""
    return sign + (f"{text.removesuffix(' %')} points" if text.endswith(" %") else text)


def _compare(
    runs: Mapping[str, Result],
    folders: Mapping[str, str],
    names: Sequence[str],
    plugins: Sequence[str],
) -> dict[str, Any]:
    """Print the metrics of several runs side by side, and their differences from the first."""
    from clustersim.analysis.on_request.compared_runs import compared_runs
    from clustersim.json_values import rounded_rows
    from clustersim.text_table import table

    labels = list(runs)
    found = compared_runs(runs, names, plugins=plugins)
    rows = [
        [name, *(_text(str(name), value) for value in own)]
        for name, own in zip(found.values.index, found.values.to_numpy(), strict=True)
    ]
    print(table(rows, ["metric", *labels]))
    if len(found.differences):
        compared = _compared_text([int(n) for n in found.differences["jobs"]], found.jobs)
        print(f"\nDifference from {labels[0]}, {compared} (95 % interval)")
        by_metric = found.differences.groupby("metric", sort=False)
        others = [label for label in labels[1:] if label not in found.other_jobs]
        print(
            table(
                [[name, *map(_difference_text, own.to_dict("records"))] for name, own in by_metric],
                ["metric", *others],
            )
        )
        print(
            "Intervals: blocks of successive jobs are drawn again, the same in both runs. None for "
            "metrics of the fleet,\nfor fewer than 400 jobs, and where successive blocks are not "
            "independent."
        )
    for label in found.other_jobs:
        warn(f"Note: {label} has other jobs than {labels[0]}: no paired difference")
    return {
        "runs": dict(folders),
        "metrics": {str(name): own.to_dict() for name, own in found.values.items()},
        "differences": rounded_rows(found.differences),
        "jobs": found.jobs,
        "other_jobs": list(found.other_jobs),
    }


def _compared_text(compared: Sequence[int], n_jobs: int) -> str:
    """Return on how many jobs runs are compared, and how many are left out.

    Examples
    --------
    >>> _compared_text([600, 600], 600), _compared_text([4976, 5000], 5000)
    ('on the same 600 jobs', 'on the 4,976 to 5,000 of 5,000 jobs that both runs measured; up to \
24 are left out, which a run did not start or finish')
    """
    least, most = min(compared), max(compared)
    if least == n_jobs:
        return f"on the same {n_jobs:,} jobs"
    span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    left = f"{'' if least == most else 'up to '}{n_jobs - least:,}"
    return (
        f"on the {span} of {n_jobs:,} jobs that both runs measured; {left} are left out, which a "
        "run did not start or finish"
    )


def _difference_text(row: dict[Hashable, Any]) -> str:
    name = str(row["metric"])
    texts = [_text(name, row[key], signed=True) for key in ("difference", "low", "high")]
    return texts[0] if math.isnan(row["low"]) else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _run_names(folders: Sequence[str]) -> list[str]:
    """Return a name for each folder: its last part or, if two are the same, the whole path.

    Examples
    --------
    >>> _run_names(["out/fcfs", "out/easy/"]), _run_names(["a/out", "b/out"])
    (['fcfs', 'easy'], ['a/out', 'b/out'])
    """
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    if len(set(folders)) < len(folders):
        twice = next(folder for folder in folders if folders.count(folder) > 1)
        raise InputError("metrics", f"{twice} is named twice")
    return list(folders)
