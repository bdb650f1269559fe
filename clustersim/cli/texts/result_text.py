"""The summary of a result as text."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clustersim.console import plain_notes, wrapped_note
from clustersim.text_table import table
from clustersim.units import (
    SECONDS_PER_YEAR,
    counted,
    format_duration,
    format_money,
    format_number,
    format_percent,
    format_quantity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clustersim.analysis.columns.column import Column
    from clustersim.array_types import Bools
    from clustersim.catalogue import Catalogue
    from clustersim.costs.money import MoneySpec
    from clustersim.scenario.platform import Platform
    from clustersim.simulation.result import Result
    from clustersim.studies.spec import StudySpec

__all__ = [
    "exit_code",
    "plugins_metrics",
    "plugins_text",
    "result_data",
    "result_text",
    "window_metrics",
    "window_text",
    "wrong_lines",
]

_MOST_REASONS = 5
_MOST_NOTES = 5
_MILLION, _PFLOP_DAY = 1e6, 1e15 * 86400.0


def result_text(result: Result) -> str:
    """Summarise a result: a line for each pool, and why jobs did not finish or never ran."""
    from clustersim.analysis.columns.run_columns import SUMMARY
    from clustersim.engine.node_events import LAST_S
    from clustersim.simulation.scopes import without_repeats
    from clustersim.simulation.tables import serves

    shown = [each for each in SUMMARY if each.heading and each.name in result.summary]
    rows = [
        tuple(_cell(row[each.name], each) for each in shown)
        for row in without_repeats(result.summary).to_dict("records")
    ]
    lines = [table(rows, [each.heading for each in shown])]
    if result.outages is not None and result.attempts is not None:
        there = result.outages[~result.outages["absent"] & ~serves(result.outages)]
        times = int((there["slowdown"] == math.inf).sum())
        lines.append(
            f"nodes went out of service {counted(times, 'time')}; {_restarts_text(result)}"
        )
        if float(result.provenance["simulated_s"]) == LAST_S:
            lines.append(
                f"Note: the run was ended after {LAST_S / SECONDS_PER_YEAR:g} simulated years"
            )
    if result.network_faults is not None:
        lines += _network_text(result)
    if result.windows is not None:
        lines += _windows_text(result.windows)
    if result.attempts is not None:
        lines += _preempted_text(result)
        lines += _waits_text(result.summary.iloc[0])
    if result.serving is not None:
        share = result.summary["served"].iloc[0]
        lines.append(
            f"services had {format_percent(share, 2)} of the accelerators that they needed"
        )
    lines += _costs_text(result)
    lines += [
        textwrap.fill(str(line), 100, subsequent_indent="  ")
        for name in ("assumptions", "topology")
        for line in result.provenance.get(name, ())
    ]
    for outcome in ("unfinished", "never runnable"):
        reasons = result.jobs.loc[result.jobs["outcome"] == outcome, "reason"].value_counts()
        for reason, count in reasons.head(_MOST_REASONS).items():
            lines.append(f"{outcome}: {count:,} x {reason}")
        if len(reasons) > _MOST_REASONS:
            lines.append(
                f"{outcome}: {len(reasons) - _MOST_REASONS} more reasons, see jobs.parquet"
            )
    lines += _problems_text(result)
    lines += _notes_text(result.provenance.get("notes", ()))
    return "\n".join([*lines, *_interrupted_text(result)])


def wrong_lines(result: Result) -> list[str]:
    """Return the parts of :func:`result_text` about something wrong."""
    log = result.provenance.get("log", ())[1:]
    lines = [*log, *_problems_text(result), *_interrupted_text(result)]
    return [" ".join(line.split()) for line in lines]


def result_data(result: Result) -> dict[str, Any]:
    """Return the summary of a result as plain data, with the columns of its tables."""
    facts = result.provenance
    scenario = facts.get("scenario")
    reasons = result.jobs[["outcome", "reason"]].value_counts().reset_index(name="jobs")
    return {
        "name": scenario.get("name") if isinstance(scenario, Mapping) else None,
        "seed": facts.get("seed"),
        "interrupted": result.interrupted,
        "simulated_s": facts.get("simulated_s"),
        "summary": result.summary,
        "costs": result.costs,
        "reasons": reasons[reasons["reason"] != ""],
        "assumptions": [*facts.get("assumptions", ()), *facts.get("topology", ())],
        "notes": plain_notes([*facts.get("notes", ()), *wrong_lines(result)]),
    }


def _interrupted_text(result: Result) -> list[str]:
    if not result.interrupted:
        return []
    end_s = float(result.provenance["simulated_s"])
    done = format_duration(end_s)
    if result.calendar.is_dated:
        done += f" ({result.calendar.text(end_s)})"
    return [f"interrupted at simulated time {done}; results up to then are kept"]


def _problems_text(result: Result) -> list[str]:
    """Return notes on jobs that can never run, and on jobs without progress."""
    from clustersim.simulation.no_progress import progress_notes

    lines = progress_notes(result.jobs, result.attempts)
    return [
        *_never_text(result),
        *(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines),
    ]


def _network_text(result: Result) -> list[str]:
    """Say how often parts of the network failed, and what it meant for nodes and jobs."""
    from clustersim.engine.attempts import StopCause
    from clustersim.engine.node_events import NodeEventKind
    from clustersim.simulation.tables import STOPS

    faults, outages, attempts = result.network_faults, result.outages, result.attempts
    assert faults is not None
    assert outages is not None
    assert attempts is not None
    if faults.empty:
        return ["network: no part of it failed"]
    down = int((faults["capacity"] == 0.0).sum())
    gone = int((outages["kind"] == NodeEventKind.CUT_OFF.label).sum())
    stopped = int((attempts["stopped"] == STOPS[StopCause.NETWORK]).sum())
    cut_off = "no node was cut off"
    if gone:
        times = counted(stopped, "time") if stopped else "never"
        cut_off = f"nodes were cut off {counted(gone, 'time')}, which stopped jobs {times}"
    lost_s = float((attempts["network_s"] * attempts["n_accelerators"]).sum())
    held_s = float(((attempts["end_s"] - attempts["start_s"]) * attempts["n_accelerators"]).sum())
    text = (
        f"network: {counted(len(faults), 'fault')} ({down:,} down, {len(faults) - down:,} "
        f"degraded); {cut_off}; {format_percent(lost_s / held_s if held_s else 0.0)} of the "
        "accelerator time was lost to placement, other jobs and faults in the network together"
    )
    return [textwrap.fill(text, 100, subsequent_indent="  ")]


def _windows_text(windows: pd.DataFrame) -> list[str]:
    """Say what windows and hero jobs cost, by kind."""
    lines = []
    for kind, what in _KINDS.items():
        own = windows[windows["kind"] == kind]
        if own.empty:
            continue
        hours = float(own["drained_accelerator_s"].sum()) / 3600
        stopped = int(own["stopped"].sum())
        stops = "" if kind == "hero" else f"{counted(stopped, 'job')} stopped at their beginning; "
        lines.append(
            f"{counted(len(own), *what)}: {stops}{format_number(hours)} accelerator-hours kept "
            "free for them while others waited"
        )
    return lines


_KINDS = {
    "maintenance": ("maintenance window", "maintenance windows"),
    "reservation": ("reservation", "reservations"),
    "hero": ("hero job that waited", "hero jobs that waited"),
}


def _restarts_text(result: Result) -> str:
    """Describe how often jobs were restarted, and why."""
    from clustersim.analysis.restarts import restart_causes
    from clustersim.simulation.attempt_parts import attempts_by_pool

    assert result.attempts is not None
    assert result.outages is not None
    parts = attempts_by_pool(result.attempts, result.allocation_ranges)
    causes = restart_causes(parts, result.outages)
    total = sum(causes.values())
    restarts = f"{total:,} restart{'' if total == 1 else 's'} of jobs"
    if not causes:
        return restarts
    if len(causes) == 1:
        return f"{restarts} {next(iter(causes))}"
    return f"{restarts}: {', '.join(f'{count:,} {why}' for why, count in causes.items())}"


def exit_code(result: Result) -> int:
    """Return the exit code of a command that simulates; if it is 1, print the reason on stderr.

    Returns
    -------
    int
        130 after an interrupt, 1 if no job can ever run, else 0.
    """
    if result.interrupted:
        return 130
    if not _cannot_run(result).all():
        return 0
    print(f"clustersim: no job can run: {_commonest(result.jobs['reason'])}", file=sys.stderr)
    return 1


def _cannot_run(result: Result) -> Bools:
    from clustersim.simulation.unfinished import can_never_run

    return can_never_run(result.jobs)


def _never_text(result: Result) -> list[str]:
    """Return a note on the jobs that can never run, if other jobs can run."""
    from clustersim.simulation.unfinished import waits_for_ever

    never = _cannot_run(result) | waits_for_ever(result.jobs)
    count = int(never.sum())
    if not 0 < count < len(never):
        return []
    why = _commonest(result.jobs.loc[never, "reason"])
    ran = int(result.jobs.loc[never, "start_s"].notna().sum())
    again = f" ({ran:,} of them ran before but cannot continue)" if ran else ""
    return [wrapped_note(f"{count:,} of {len(never):,} jobs can never run{again}: {why}")]


def _commonest(reasons: pd.Series[Any]) -> str:
    """Return the most frequent reason, and the number of jobs with other reasons."""
    counts = reasons.value_counts()
    others = int(counts.iloc[1:].sum())
    more = " (1 job has another reason)" if others == 1 else ""
    if others > 1:
        more = f" ({others:,} jobs have other reasons)"
    return f"{counts.index[0]}{more}"


def _cell(value: Any, column: Column) -> str:
    """Format a number of the summary by its dimension; a dash if there is none."""
    if isinstance(value, float) and math.isnan(value):
        return "" if column.only else "-"
    if column.dimension == "duration":
        return format_duration(value)
    if column.dimension == "ratio":
        return format_number(value, 3)
    if column.dimension == "share":
        return format_percent(value)
    return f"{value:,}" if column.dimension == "count" else str(value)


def _notes_text(notes: Sequence[str]) -> list[str]:
    """Return the first notes on assumptions and unusual plans of jobs."""
    lines = [wrapped_note(note) for note in notes[:_MOST_NOTES]]
    more = len(notes) - _MOST_NOTES
    if more > 0:
        lines.append(f"Note: {more:,} more notes, see `notes` in provenance.json")
    return lines


def _preempted_text(result: Result) -> list[str]:
    """Describe how often the policy stopped jobs, and what this cost."""
    if "preemptions" not in result.jobs:
        return []
    attempts = result.attempts
    assert attempts is not None
    preempted = result.jobs["preemptions"]
    stopped = attempts[attempts["stopped"].astype(str).str.startswith(("preempted", "cancelled"))]
    lost_s = float((stopped["lost_s"] * stopped["n_accelerators"]).sum())
    held_s = float(((attempts["end_s"] - attempts["start_s"]) * attempts["n_accelerators"]).sum())
    again_s = float((attempts["restart_s"] * attempts["n_accelerators"]).sum())
    jobs = counted(int((preempted > 0).sum()), "job")
    return [
        f"the policy preempted {jobs} {counted(int(preempted.sum()), 'time')}: "
        f"{format_percent(lost_s / held_s)} of the accelerator time was lost work, "
        f"{format_percent(again_s / held_s)} restarts"
    ]


def _waits_text(whole: pd.Series[Any]) -> list[str]:
    """Describe the waits over all attempts, if some jobs were stopped and waited again."""
    if not whole["mean_total_wait_s"] > whole["mean_wait_s"]:
        return []
    total, first = (
        f"mean {format_duration(whole[f'mean_{kind}_s'])}, "
        f"p95 {format_duration(whole[f'p95_{kind}_s'])}"
        for kind in ("total_wait", "wait")
    )
    return [f"wait over all attempts: {total}; until the first start, as in the table: {first}"]


def _costs_text(result: Result) -> list[str]:
    """Describe the energy use and the cost of the run in suitable units."""
    if result.costs is None:
        return []
    whole = result.summary.iloc[0]
    by_use = result.costs.drop(columns="pool").groupby("use").sum(numeric_only=True)
    borne: dict[Any, Any] = (by_use.loc["allocated"] / by_use.sum()).to_dict()
    lines = []
    if "energy_j" in whole:
        lines.append(
            f"energy: {format_quantity(whole['energy_j'], 'energy')}, "
            f"{format_percent(borne['energy_j'], 0)} by jobs; "
            f"{format_money(whole['electricity_cny'])}, "
            f"{format_quantity(whole['carbon_kg'], 'mass')} of carbon dioxide"
        )
    if "cost_cny" in whole:
        lines.append(
            f"cost: {format_money(whole['cost_cny'])}, "
            f"{format_percent(borne['cost_cny'], 0)} by jobs{_unit_costs_text(whole)}"
        )
    return lines


def _unit_costs_text(whole: pd.Series[Any]) -> str:
    """Return the cost per unit of each kind of work that the run did."""
    units = (
        ("cost_per_job_cny", 1.0, "per job"),
        ("cost_per_token_cny", _MILLION, "per million tokens"),
        ("cost_per_flop_cny", _PFLOP_DAY, "per useful PFLOP/s-day"),
    )
    costs = [
        f"{format_money(whole[name] * size)} {words}"
        for name, size, words in units
        if not math.isnan(whole[name])
    ]
    return f"; {', '.join(costs)}" if costs else ""


def window_metrics(result: Result, spec: StudySpec, catalogue: Catalogue) -> dict[str, float]:
    """Return the metrics that a study measures in its window of a run."""
    from clustersim.analysis.measures import measure

    measured = measure(
        result,
        **spec.window.measured,
        catalogue=catalogue,
        plugins=spec.plugins,
        groups=spec.measured_groups,
        asked=spec.asked,
    ).metrics
    objective = [] if spec.objective is None else [spec.objective.metric]
    names = dict.fromkeys([*objective, *spec.metrics])
    return {name: measured[name] for name in names if name in measured}


def window_text(metrics: Mapping[str, float]) -> str:
    """Return the metrics that a study measures in its window of a run, as text."""
    return f"within the study's window, as in its runs.csv: {_values_text(metrics)}"


def _values_text(metrics: Mapping[str, float]) -> str:
    from clustersim.plots.axis import axis_of

    values = ((axis_of(name), value) for name, value in metrics.items())
    return ", ".join(f"{axis.label} {axis.text(value)}" for axis, value in values)


def plugins_metrics(
    result: Result, plugins: Sequence[str], platform: Platform, money: MoneySpec | None
) -> dict[str, float]:
    """Return the user-defined metrics of a whole run."""
    from clustersim.analysis.measures import fleet_facts, measure
    from clustersim.analysis.metrics import METRICS
    from clustersim.analysis.part import FleetView
    from clustersim.analysis.registry import load_plugins

    own = [each.name for plugin in load_plugins(plugins) for each in plugin.of(METRICS)]
    if not own:
        return {}
    found = measure(
        result, warm_up=0.0, cool_down=0.0, catalogue=platform.catalogue, plugins=plugins
    ).metrics
    found |= fleet_facts(FleetView(platform, money), plugins=plugins)
    return {name: value for name, value in found.items() if name.partition(".")[0] in own}


def plugins_text(metrics: Mapping[str, float]) -> str:
    """Return the user-defined metrics of a whole run as text."""
    if not metrics:
        return "the plugins register no metric; plots apply to studies only"
    return f"over the whole run: {_values_text(metrics)}"
