"""The HTML page of a question about a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.analysis.size_waits import ENOUGH_JOBS
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.what_if import draw_what_if
from clustersim.report.amounts import common_unit, in_unit, percent
from clustersim.report.cells import Format
from clustersim.report.made_with import made_with, reproduction
from clustersim.report.of_what_if.answer import metric_label, what_if_answer
from clustersim.report.of_what_if.prices import price_table
from clustersim.report.of_what_if.text import energy_text
from clustersim.report.page import Figure, Listing, Page, Section, Table
from clustersim.report.words.definitions import policy_terms, terms_of
from clustersim.simulation.result import versions
from clustersim.units import capital, counted, format_count, format_money, format_percent
from clustersim.whatif.groups import TIMES
from clustersim.whatif.result import WhatIf

__all__ = ["groups_table", "what_if_page"]

_KIND = {"all": "all jobs", "partition": "partition", "size": "accelerators of the job"}
_WORDS = {"before": "before", "load": "with the load", "after": "after"}
_INTERVAL = (
    "In parentheses: the 95 % interval of another period like the log, from replications that draw "
    "its weeks or days again; ∞: longer than the log, which cannot show such waits."
)
_LOST = (
    " Stops and time lost are those of the whole run; time lost is the share of the accelerator "
    "time of jobs that was lost work or restarts."
)
_FEW = f"Groups with fewer than {ENOUGH_JOBS} jobs have no 95th percentile."


def what_if_page(found: WhatIf, prices: pd.DataFrame, command: str = "") -> Page:
    """Return the page of a question.

    Parameters
    ----------
    found : WhatIf
    prices : pandas.DataFrame
        See :func:`~clustersim.report.of_what_if.prices.prices_of`.
    command : str
        The command that made it.
    """
    answer = what_if_answer(found)
    question = found.question
    sections = [
        Section("Waits by partition and size", [*_waits(found)]),
        Section("Utilisation, energy and cost", [*_use(found, prices)]),
        Section("What the answer hinges on", [*_hinges(found)]),
        Section("Assumptions and notes", [*_notes(found)]),
        Section("Reproduction", [*_reproduction(found, command)]),
    ]
    jobs = counted(len(question.log.jobs), "job")
    return Page(
        title=f"What if: {question.systems[-1].name}",
        question=f"What changes for the {jobs} of {_name(found)} with {question.changed}?",
        lead=[],
        sections=sections,
        footer=made_with(versions(), question.systems[0].tree.get("seed")),
        answer=answer,
    )


def _name(found: WhatIf) -> str:
    return Path(found.question.log.source).name


def _columns(found: WhatIf) -> dict[str, str]:
    """Return the words for each system, by its key."""
    return {system.key: _WORDS[system.key] for system in found.question.systems}


def groups_table(found: WhatIf, *metrics: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table of these metrics by group and system, and the labels of its columns."""
    groups = found.groups.assign(kind=found.groups["kind"].map(_KIND))
    names, labels = ["kind", "group", "jobs"], {"kind": "", "group": "group"}
    for metric in metrics:
        if groups[[f"{key}_{metric}" for key in _columns(found)]].isna().all(axis=None):
            continue
        for key, word in _columns(found).items():
            column = f"{key}_{metric}"
            names.append(column)
            if metric in (*TIMES, "utilisation"):
                names += [f"{column}_low", f"{column}_high"]
            labels[column] = f"{_METRICS[metric]}, {word}"
    return groups[names], labels


_METRICS: Mapping[str, str] = {
    **TIMES,
    "utilisation": "share of the fleet",
    "energy_j": "energy",
    "cost_cny": "cost",
}


def _waits(found: WhatIf) -> Iterator[str | Figure | Table]:
    systems = {system.key: system.name for system in found.question.systems}
    figure = draw_what_if(found.groups, systems, metric=found.metric)
    title = f"{capital(_METRICS[found.metric])} by group"
    yield Figure(title, page_picture(figure), figure.caption)
    for metric in _shown(found):
        waits, labels = groups_table(found, metric)
        few = f" {_FEW}" if metric.startswith("p95") else ""
        first = " until the first start" if metric in ("mean_wait_s", "p95_wait_s") else ""
        yield Table(
            f"{capital(_METRICS[metric])}{first}",
            waits,
            f"{_systems_text(found)} {_INTERVAL}{few}",
            labels=labels,
            formats=_in_one_unit(waits),
            file="groups.csv",
            groups=1,
        )


def _shown(found: WhatIf) -> list[str]:
    """Return the times of the page: that of the answer, mean and 95th percentile of the wait.

    If jobs are stopped, these are waits over all attempts, with the mean until the first start and
    the mean completion time.
    """
    names = ["p95_wait_s", "mean_wait_s"]
    if found.stops:
        names = ["p95_total_wait_s", "mean_total_wait_s", "mean_wait_s", "mean_jct_s"]
    return [*dict.fromkeys((found.metric, *names))]


def _in_one_unit(waits: pd.DataFrame) -> dict[str, Format]:
    """Return formats that give all columns of waits the unit of the first row (all jobs)."""
    names = [name for name in map(str, waits) if name.endswith((*TIMES,))]
    unit = common_unit(waits[names].iloc[0].to_numpy(dtype=np.float64).tolist())
    return {} if unit is None else dict.fromkeys(names, lambda wait: in_unit([wait], unit))


def _systems_text(found: WhatIf) -> str:
    parts = [f"{_WORDS[system.key]}: {system.name}" for system in found.question.systems]
    text = "; ".join(parts)
    return f"{capital(text)}."


def _use(found: WhatIf, prices: pd.DataFrame) -> Iterator[str | Table]:
    use, labels = groups_table(found, "utilisation", "energy_j", "cost_cny")
    formats: dict[str, Format] = {
        name: percent if "utilisation" in name else energy_text
        for name in labels
        if "cost" not in name
    }
    amounts = [f"{name}{year}" for name in ("energy_j", "cost_cny") for year in ("", "_per_year")]
    once = found.question.plans_windows
    hidden = [name for name in amounts if name.endswith("_per_year") == once]
    hidden += [] if found.stops else ["stops", "time_lost", "unfinished"]
    of_year = ", of this period, because the change happens once" if once else ", scaled to a year"
    yield Table(
        "Fleet",
        found.fleet.drop(columns=["never", "why_never", *hidden]).dropna(axis=1, how="all"),
        "From the first to the last submission of the log as it happened. Energy and cost are "
        f"those of the whole fleet, busy or idle{of_year}.{_LOST if found.stops else ''}",
        labels={
            "system": "system",
            "power_w": "mean power",
            "energy_j": "energy",
            "cost_cny": "cost",
            "energy_j_per_year": "energy per year",
            "cost_cny_per_year": "cost per year",
            "backlog_at_end": "work that waits at the end",
            "stops": "stops of jobs",
            "time_lost": "time lost",
            "unfinished": "jobs that did not finish",
        },
        formats={
            "accelerators": format_count,
            **{name: format_money if "cost" in name else energy_text for name in amounts},
            "utilisation": format_percent,
            "backlog_at_end": format_percent,
            **dict.fromkeys(("stops", "unfinished"), format_count),
            "time_lost": format_percent,
        },
        file="fleet.csv",
    )
    if len(prices):
        yield price_table(prices)
    yield Table(
        "Use by partition and size",
        use,
        "Share of the fleet: accelerator time of these jobs as a share of that of the whole fleet "
        "(not of the nodes of their partition), between the first and the last submission. Energy "
        "and cost over the period of the log: "
        f"what the jobs bear while they hold accelerators. {_systems_text(found)}",
        labels=labels,
        formats=formats,
        file="groups.csv",
        groups=1,
    )


def _hinges(found: WhatIf) -> Iterator[str | Table]:
    if found.hinges.empty:
        yield "No alternative applies to this question."
        return
    yield (
        "Each alternative changes both sides in the same way, on the jobs of the log as it "
        "happened. The one that moves the answer most is first."
    )
    wait = metric_label(found)
    yield Table(
        "Alternatives",
        found.hinges.rename(columns={"changes_gain_s": "gain_s"}),
        "Moves the answer: value after, minus that of the answer. Changes the effect: effect of "
        "the change (after minus before), minus that of the answer.",
        labels={
            "key": "assumption",
            "what": "alternative",
            "before_s": f"{wait}, before",
            "after_s": f"{wait}, after",
            "moves_s": "moves the answer by",
            "gain_s": "changes the effect by",
            "more_never": "more jobs that can never run, after",
        },
        file="hinges.csv",
    )


def _notes(found: WhatIf) -> Iterator[str]:
    question = found.question
    yield from question.log.report().splitlines()
    for note in found.notes:
        yield f"{capital(note)}."
    if found.calendar.is_dated:
        yield f"Time 0 is {found.calendar}."
    policies = [str(system.tree["scheduler"]["policy"]) for system in question.systems]
    yield (
        "Every job runs for the time in the log; the waits are those of the simulated policy, not "
        "those that the site recorded. clustersim validate compares the two."
    )
    if terms := terms_of(policy_terms(policies)):
        yield terms


def _reproduction(found: WhatIf, command: str) -> Iterator[str | Listing]:
    documents = {f"{system.key}.yaml": dict(system.tree) for system in found.question.systems}
    yield from reproduction(versions(), command, documents, same="the same tables")
