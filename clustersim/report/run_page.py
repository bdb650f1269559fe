"""The HTML page of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.analysis.columns.run_columns import SUMMARY
from clustersim.analysis.policy.shares import scheduler_options
from clustersim.analysis.size_waits import ENOUGH_JOBS
from clustersim.catalogue import Catalogue, hypothetical_note, load_catalogue
from clustersim.errors import InputError
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.runs import draw_recorded_waits, draw_run, draw_size_waits
from clustersim.report.cells import Format
from clustersim.report.made_with import made_with, reproduction
from clustersim.report.of_run.fleet import fleet_table, offered_load_text
from clustersim.report.of_run.network_section import network_section
from clustersim.report.of_run.sharing import preemptions, who_got_what
from clustersim.report.of_run.waiting import why_jobs_waited
from clustersim.report.page import Answer, Figure, Listing, Page, Section, Table
from clustersim.report.run_answer import UsePeriod, policy_of, run_answer
from clustersim.report.run_tables import RunTables, table_file
from clustersim.report.sources import source_tables
from clustersim.report.words.definitions import (
    JCT,
    LOAD,
    SLOWDOWN,
    UTILISATION,
    policy_terms,
    terms_of,
)
from clustersim.scenario.run_calendar import calendar_text
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result, versions
from clustersim.simulation.scopes import without_repeats
from clustersim.topology import ALL
from clustersim.units import capital, counted, format_duration, format_percent, format_quantity

__all__ = ["run_page"]

_MOST_REASONS = 20
_EARLY = "utilisation_of_arrivals"
_FEW = (
    f"High percentiles of fewer than {ENOUGH_JOBS} jobs are left out, because they lie between the "
    "two longest waits."
)
_RENAMED = {"format": "log_format"}
"""Arguments of `replay` in earlier versions, with the names that they have now."""
_WAIT_LABELS = {
    "size": "accelerators of the job",
    "waiting": "still waiting",
    "waited": "share that waited",
    "mean_wait_s": "mean",
    "median_wait_s": "median",
    "p90_wait_s": "90th percentile",
    "p95_wait_s": "95th percentile",
    "most_wait_s": "longest",
}
_RECORDED_LABELS = {
    "size": "accelerators of the job",
    "jobs": "jobs compared",
    **{
        f"{kind}_{name}_wait_s": f"{label}, {kind}"
        for kind in ("recorded", "simulated")
        for name, label in (
            ("median", "median"),
            ("p90", "90th percentile"),
            ("p95", "95th percentile"),
            ("most", "longest"),
        )
    },
}


def run_page(
    result: Result,
    tables: RunTables | None = None,
    answer: Answer | None = None,
    *,
    folder: Path | None = None,
) -> Page:
    """Return the page of a run.

    Parameters
    ----------
    result : Result
    tables : RunTables, optional
        The tables derived from the result, if they are known already.
    answer : Answer, optional
        The answer of the run, if it is known already.
    folder : Path, optional
        Folder of the run; if it has CSV files, the page links to them instead of Parquet files.
    """
    tables = RunTables.of(result) if tables is None else tables
    answer = run_answer(result, tables) if answer is None else answer
    facts = result.provenance
    sections = [
        Section("Waits", _waits(tables, folder)),
        Section("Queue and utilisation", _over_time(result, tables, folder)),
    ]
    if not _any_wait(tables):
        sections.reverse()
    if parts := why_jobs_waited(result):
        sections.append(Section("Why jobs waited", parts))
    if parts := network_section(result, folder):
        sections.append(Section("Network", parts))
    if parts := who_got_what(tables.shares, folder, quotas="quotas" in scheduler_options(result)):
        sections.append(Section("Who got what", parts))
    if parts := preemptions(result):
        sections.append(Section("Preemptions", parts))
    if tables.recorded_waits is not None:
        sections.append(
            Section("Comparison with the log", _recorded(tables.recorded_waits, folder))
        )
    if unfinished := [*_unfinished(result)]:
        sections.append(Section("Jobs that did not finish", unfinished))
    sections.append(Section("Assumptions and notes", [*_assumptions(result, answer)]))
    sections.append(Section("Reproduction", [*_reproduction(facts)]))
    return Page(
        title=_title(facts),
        question=_question(result),
        lead=[],
        sections=sections,
        footer=made_with(facts.get("versions", {}), facts.get("seed"), page=versions()),
        answer=answer,
    )


def _scenario(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    scenario = facts.get("scenario")
    return scenario if isinstance(scenario, Mapping) else {}


def _title(facts: Mapping[str, Any]) -> str:
    if "replay" in facts:
        return f"Replay of {Path(str(facts['replay'].get('jobs', 'a log'))).name}"
    return str(_scenario(facts).get("name") or "Run")


def _question(result: Result) -> str:
    policy = policy_of(result.provenance)
    under = f" under the policy {policy}" if policy else ""
    jobs = len(result.jobs)
    return (
        f"How long do{'es' * (jobs == 1)} {counted(jobs, 'job')} wait{under}, and how busy is the "
        "fleet?"
    )


def _waits(tables: RunTables, folder: Path | None) -> list[str | Figure | Table]:
    waits = tables.waits_by_size
    if waits.empty:
        return ["No job that can run was submitted before the end of the run."]
    table = Table(
        "Waits until the first start, by job size",
        _without_rare_percentiles(waits),
        f"For a job that had not started, the wait is counted until the end of the run. {_FEW}",
        labels=_WAIT_LABELS,
        formats={"waited": format_percent},
        file=table_file("waits_by_size", folder),
    )
    if not _any_wait(tables):
        return ["No job waits: every job starts when it is submitted.", table]
    figure = draw_size_waits(waits)
    return [Figure("Waits by job size", page_picture(figure), figure.caption), table]


def _any_wait(tables: RunTables) -> bool:
    """Return whether any job waits, or there are no jobs."""
    waits = tables.waits_by_size
    return waits.empty or bool((waits[["most_wait_s", "waiting"]] > 0).any(axis=None))


def _without_rare_percentiles(waits: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in waits if "p90_" in str(name) or "p95_" in str(name)]
    return waits.assign(**{str(n): waits[n].where(waits["jobs"] >= ENOUGH_JOBS) for n in names})


_INTERVAL = (
    "The interval of the 95th percentile uses order statistics of every k-th job of this run; k is "
    "so large that their waits are nearly independent. It does not contain the differences between "
    "runs with other random numbers."
)


_BOTH = "Utilisation and queue length over time"


def _over_time(
    result: Result, tables: RunTables, folder: Path | None
) -> list[str | Figure | Table]:
    figure = draw_run(tables.queue_length, result.utilisation, calendar=result.calendar)
    return [
        Figure(figure.heading or _BOTH, page_picture(figure), figure.caption),
        _terms(result),
        _summary(result, folder),
    ]


def _terms(result: Result) -> str:
    """Return the definitions of the terms on the page of a run."""
    load = [LOAD] if offered_load_text(result) else []
    policy = policy_terms([policy_of(result.provenance)])
    return terms_of([JCT, SLOWDOWN, UTILISATION, *load, *policy])


def _summary(result: Result, folder: Path | None) -> Table:
    """Return the summary by pool and virtual cluster, as printed, with its energy and costs."""
    headings = {each.name: each.heading for each in SUMMARY if each.heading}
    extra = {
        each.name: each.name.removesuffix("_cny").removesuffix("_j").removesuffix("_kg")
        for each in SUMMARY
        if each.dimension in ("energy", "money", "mass") and not each.heading
    }
    labels = {**headings, **{name: text.replace("_", " ") for name, text in extra.items()}}
    formats: dict[str, Format] = {}
    for each in SUMMARY:
        if each.dimension in ("duration", "share", "energy", "money", "mass"):
            formats[each.name] = partial(format_quantity, dimension=each.dimension)
    table = without_repeats(result.summary)
    table = table[[name for name in labels if name in table]]
    use = UsePeriod.of(result)
    covers = f"Utilisation is that from the first arrival until {use.end}."
    if use.is_arrivals:
        found = accelerator_seconds(result.utilisation, begin_s=use.begin_s, end_s=use.stop_s)
        shares = found["allocated"].div(found["available"]).to_dict()
        early = table["scope"].map({ALL: use.share, **shares})
        table.insert(list(table).index("utilisation"), _EARLY, early.astype("float64"))
        labels |= {_EARLY: "utilisation until the last arrival", "utilisation": "until the end"}
        formats[_EARLY] = format_percent
        covers = (
            "Utilisation is that from the first to the last arrival "
            f"({_when(use.last_s, result)}), and until {use.end} ({_when(use.end_s, result)})."
        )
    return Table(
        "Pools",
        table,
        f"Waits are those of jobs that started. Jobs that never ran belong to no pool. {covers}",
        labels=labels,
        formats=formats,
        file=table_file("summary", folder),
    )


def _when(time_s: float, result: Result) -> str:
    """Return a time of the run as text: its date if that is known, else a duration."""
    if result.calendar.is_dated:
        return f"on {result.calendar.text(time_s)}"
    return f"at {format_duration(time_s, whole=True)}"


def _recorded(waits: pd.DataFrame, folder: Path | None) -> list[str | Figure | Table]:
    figure = draw_recorded_waits(waits)
    table = Table(
        "Simulated and recorded waits by job size",
        _without_rare_percentiles(waits),
        "Only jobs that started in the simulation and whose start the log recorded are compared. "
        f"{_FEW}",
        labels=_RECORDED_LABELS,
        file=table_file("recorded_waits", folder),
    )
    return [Figure("Simulated and recorded waits", page_picture(figure), figure.caption), table]


def _unfinished(result: Result) -> Iterator[str | Table]:
    """Yield a table of the reasons why jobs did not finish or can never run."""
    jobs = result.jobs[result.jobs["reason"].notna()]
    if jobs.empty:
        return
    counts = jobs.groupby(["outcome", "reason"], observed=True).size()
    table = counts.sort_values(ascending=False, kind="stable").rename("jobs").reset_index()
    yield Table("Reasons", table, most_rows=_MOST_REASONS)


def _assumptions(result: Result, answer: Answer) -> Iterator[str | Table | Listing]:
    """Yield what the result assumes: sources, notes, and what was dropped from a log."""
    facts = result.provenance
    scenario = _scenario(facts)
    if answer.interval.startswith("95 % interval"):
        yield _INTERVAL
    if scenario.get("description"):
        yield f"Scenario: {scenario['description']}"
    yield from (f"{capital(line)}." for line in calendar_text(facts))
    if "replay" in facts:
        asked = facts["replay"]
        if asked.get("accelerators"):
            yield (
                f"The fleet is one pool of {asked['accelerators']:,} accelerators without a "
                "topology. Every job runs for the time in the log."
            )
        else:
            yield f"The fleet is {asked.get('cluster')}. Every job runs for the time in the log."
    for name in ("assumptions", "topology"):
        yield from (f"{line}." for line in facts.get(name, ()))
    yield from (f"Note: {note}." for note in facts.get("notes", ()))
    if facts.get("log"):
        yield Listing("Log", "\n".join(map(str, facts["log"])))
    yield fleet_table(result)
    names = [str(pool["accelerator"]) for pool in _pools(scenario) if "accelerator" in pool]
    if not names:
        return
    try:
        catalogue = load_catalogue(*scenario.get("catalogue", ()))
        yield from _sources(catalogue, list(dict.fromkeys(names)), scenario)
    except InputError as error:
        yield f"The sources of the chips cannot be shown: {error}."


def _pools(scenario: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cluster = scenario.get("cluster")
    pools = cluster.get("pools") if isinstance(cluster, Mapping) else None
    return [pool for pool in (pools or {}).values() if isinstance(pool, Mapping)]


def _sources(
    catalogue: Catalogue, names: Sequence[str], scenario: Mapping[str, Any]
) -> Iterator[str | Table]:
    """Yield the numbers of the chips and the planning assumptions, with their sources."""
    chips = [catalogue.accelerator(name) for name in names]
    costs = bool(scenario.get("money") or scenario.get("energy"))
    yield from source_tables(chips, catalogue.assumptions if costs else None)
    if note := hypothetical_note(chips):
        yield note


def _reproduction(facts: Mapping[str, Any]) -> Iterator[str | Listing]:
    """Yield the command that makes the same tables, and everything that it depends on."""
    yield from reproduction(
        facts.get("versions", {}),
        _command(facts),
        {"Resolved scenario": _scenario(facts)},
        same="the same tables",
        also=f" and the seed {facts['seed']}" if "seed" in facts else "",
    )


def _command(facts: Mapping[str, Any]) -> str:
    """Return the command of a run; "" if it is unknown."""
    if facts.get("command"):
        return str(facts["command"])
    if "replay" in facts:
        return _replay_command(facts["replay"])
    if _scenario(facts):
        return (
            "# Write the resolved scenario below to scenario.yaml, then:\n"
            "clustersim run scenario.yaml --out again"
        )
    return ""


def _replay_command(asked: Mapping[str, Any]) -> str:
    """Return the command of a replay from its arguments, which its provenance contains."""
    words = ["clustersim", "replay", str(asked.get("jobs"))]
    for name, value in asked.items():
        option = f"--{_RENAMED.get(name, name).replace('_', '-')}"
        if name == "jobs" or value is None or value is False:
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [option] if each is True else [option, str(each)]
    return f"{shlex.join(words)} --out again"
