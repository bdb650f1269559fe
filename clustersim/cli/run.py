"""`clustersim run`: run a scenario."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from clustersim.cli.explain import add_explain, with_causes
from clustersim.cli.options import (
    add_catalogue,
    add_changes,
    add_checkpoints,
    add_network,
    add_plugins,
    add_run_files,
    catalogue_arguments,
    checkpoint_arguments,
    checkpoint_changes,
    network_changes,
    whole_number,
)
from clustersim.cli.progress import job_progress
from clustersim.cli.texts.result_json import write_last
from clustersim.cli.texts.result_text import (
    exit_code,
    plugins_metrics,
    plugins_text,
    result_data,
    result_text,
    window_metrics,
    window_text,
    wrong_lines,
)
from clustersim.console import plain_notes, repeat, warn
from clustersim.errors import InputError, named_in
from clustersim.interrupts import held, keeping
from clustersim.units import format_number

if TYPE_CHECKING:
    from clustersim.scenario.resolved import ResolvedScenario
    from clustersim.scenario.scenario import LoadedScenario
    from clustersim.simulation.result import Result
    from clustersim.studies.spec import StudySpec

__all__ = ["add_parser", "run"]

RUN_HELP = "hash of the run, as in the column `run` of runs.csv, or its first characters"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run a scenario",
        description="Run the scenario in a YAML file and write its result tables.",
        epilog="example: clustersim run experiments/mixed_small.yaml --out result "
        "--set workload.load=0.9 --set scheduler.policy=easy\n"
        "         clustersim run --from out/my-study --run 0f1e2d3c4b5a6978 --out redone",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", metavar="SCENARIO.yaml", nargs="?")
    parser.add_argument(
        "--from", dest="study", metavar="DIR", help="folder of a study, to redo one of its runs"
    )
    parser.add_argument("--run", dest="key", metavar="HASH", help=RUN_HELP)
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the result")
    parser.add_argument(
        "--seed", type=whole_number, metavar="N", help="replaces the seed of the scenario"
    )
    add_changes(parser, "")
    add_checkpoints(parser)
    add_network(parser)
    add_catalogue(parser, "chips, models and planning assumptions, besides those of the scenario")
    add_plugins(parser)
    parser.add_argument(
        "--check", action="store_true", help="check the invariants at every scheduling pass (slow)"
    )
    add_explain(parser)
    add_run_files(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.outputs import new_folder
    from clustersim.report.last_page import explained, page_later
    from clustersim.report.page import wrapped_answer
    from clustersim.report.run_files import RunFiles
    from clustersim.scenario.resolved import fields_named, resolve
    from clustersim.scenario.run import run_scenario
    from clustersim.simulation.no_progress import checkpoint_notes

    loaded, spec = _opened(args)
    dates_s = None if spec is None else _period_ends_s(loaded, spec)
    plugins = [] if spec is not None else _plugin_files(loaded, args.plugins)
    resolved = resolve(loaded)
    with fields_named(loaded):
        faults = resolved.network_faults
        stops = faults is not None and faults.stops_jobs
        notes = checkpoint_notes(loaded.scenario.failures, network_stops=stops)
    for line in notes:
        warn(textwrap.fill(line, 100, subsequent_indent="  "))
    with new_folder(args.out) as folder, keeping(), job_progress() as progress:
        result = run_scenario(
            resolved,
            cost_dates_s=dates_s,
            check=args.check,
            progress=progress,
        ).with_provenance({"command": _command(args)})
        result = with_causes(result, args.explain)
        result.write(folder)
    with held():
        files = RunFiles.of(result)
    _print_result(result)
    with explained(page_later(args.out)):
        further = _further_metrics(result, resolved, spec, plugins)
    remarks = [*_remarks(args.changes, result), *_chip_notes(resolved)]
    for line in remarks:
        print(textwrap.fill(line, 100, subsequent_indent="  "))
    print(wrapped_answer(files.answer))
    print(f"written to {args.out}")
    for line in wrong_lines(result):
        repeat(line)
    data = {"answer": files.answer, **result_data(result), **further}
    data["notes"] += plain_notes([*notes, *remarks])
    write_last(lambda: files.write(args.out, csv=args.csv, report=args.report), data, args.out)
    return exit_code(result)


def _opened(args: argparse.Namespace) -> tuple[LoadedScenario, StudySpec | None]:
    """Return the scenario to run, and the study that it is a run of.

    Raises
    ------
    InputError
        If options contradict each other, or a file cannot be used.
    """
    from clustersim.scenario.scenario import load_scenario

    changes = [*args.changes, *checkpoint_changes(args), *network_changes(args.network)]
    changes += [] if args.seed is None else [f"seed={args.seed}"]
    if (args.scenario is None) == (args.study is None):
        raise InputError("run", "needs either SCENARIO.yaml, or --from DIR with --run HASH")
    if (args.study is None) != (args.key is None):
        raise InputError("run", "--from DIR and --run HASH must be given together")
    if args.study is None:
        return load_scenario(args.scenario, changes, catalogue=args.catalogue), None
    unchanged = "cannot be used with --run, which redoes a run of a study unchanged"
    if changes:
        options = "--set, --checkpoints, --storage, --network and --seed"
        raise InputError("run", f"{options} {unchanged}")
    for option, value in (("--plugins", args.plugins), ("--catalogue", args.catalogue)):
        if value:
            raise InputError("run", f"{option} {unchanged}")
    from clustersim.studies.redo import load_run

    return load_run(args.study, args.key)


def _period_ends_s(loaded: LoadedScenario, spec: StudySpec) -> Callable[..., Any]:
    """Return the function that computes the ends of the study's periods."""
    from clustersim.calendar import period_ends_s

    return partial(period_ends_s, loaded.scenario.horizon, len(spec.window.period_names) or None)


def _print_result(result: Result) -> None:
    """Print what a log lost, the calendar and the summary of a result."""
    from clustersim.scenario.run_calendar import calendar_text

    for line in result.provenance.get("log", ()):
        print(line)
    for line in calendar_text(result.provenance):
        print(textwrap.fill(line, 100))
    print(result_text(result))


def _further_metrics(
    result: Result, resolved: ResolvedScenario, spec: StudySpec | None, plugins: Sequence[str]
) -> dict[str, Any]:
    """Print and return the metrics of the study's window, and those of plugin files."""
    window, own = None, None
    if spec is not None and not result.interrupted:
        window = window_metrics(result, spec, resolved.catalogue)
        print(textwrap.fill(window_text(window), 100, subsequent_indent="  "))
    if plugins and not result.interrupted:
        money = resolved.loaded.scenario.money
        own = plugins_metrics(result, plugins, resolved.platform, money)
        print(textwrap.fill(plugins_text(own), 100, subsequent_indent="  "))
    return {"window": window, "user_metrics": own}


def _remarks(changes: Sequence[str], result: Result) -> Iterator[str]:
    """Yield notes on what changes by --set mean."""
    from clustersim.scenario.changes import change_items
    from clustersim.scenario.parameter_paths import removal_notes

    yield from removal_notes(change_items(changes))
    yield from _load_note(changes, result)


def _chip_notes(resolved: ResolvedScenario) -> list[str]:
    """Return a note on hypothetical chips; none if there are none."""
    from clustersim.catalogue import hypothetical_note

    pools = resolved.cluster.pools
    note = hypothetical_note([resolved.catalogue.accelerator(pool.accelerator) for pool in pools])
    return [note] if note else []


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes the same tables in another folder."""
    words = ["clustersim", "run"]
    words += [args.scenario] if args.study is None else ["--from", args.study, "--run", args.key]
    for change in args.changes:
        words += ["--set", change]
    words += checkpoint_arguments(args)
    for setting in args.network:
        words += ["--network", setting]
    if args.seed is not None:
        words += ["--seed", str(args.seed)]
    words += catalogue_arguments(args.catalogue)
    for plugin in args.plugins:
        words += ["--plugins", plugin]
    words += ["--explain"] if args.explain else []
    return f"{shlex.join(words)} --out again"


def _plugin_files(loaded: LoadedScenario, others: Sequence[str]) -> list[str]:
    """Load the plugin files of a scenario and `others`; return the paths of all of them."""
    from clustersim.analysis.registry import load_plugins
    from clustersim.scenario.file_names import full_path

    own = [str(full_path(loaded.folder, name)) for name in loaded.scenario.plugins or ()]
    with named_in(loaded.source, "plugins"):
        load_plugins(own)
    return [plugin.file for plugin in load_plugins([*own, *others])]


def _load_note(changes: Sequence[str], result: Result) -> Iterator[str]:
    """Yield a note on the jobs per day at the offered load, if a change by --set affects them."""
    from clustersim.scenario.changes import change_items
    from clustersim.studies.meaning import paths_that_set_the_rate

    load = result.provenance["scenario"]["workload"].get("load")
    moved = paths_that_set_the_rate([path for path, _ in change_items(changes)])
    if load is not None and moved:
        rate = 86400.0 * float(result.provenance["arrival_rate_per_s"])
        yield (
            f"Note: the offered load of {load:g} (workload.load) means {format_number(rate)} jobs "
            f"per day on this fleet; {', '.join(moved)} changed this number. To submit the same "
            "jobs to another fleet, set workload.jobs_per_day instead"
        )
