"""The HTML page of a validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from clustersim.plots.figure import StudyFigure
from clustersim.plots.parts.page_picture import page_picture
from clustersim.report.amounts import percent
from clustersim.report.cells import Format
from clustersim.report.made_with import made_with, reproduction
from clustersim.report.of_validation.answer import validation_answer
from clustersim.report.of_validation.text import reduction_text
from clustersim.report.page import Figure, Listing, Page, Section, Table
from clustersim.report.words.definitions import policy_terms, terms_of
from clustersim.simulation.result import versions
from clustersim.units import (
    capital,
    counted,
    format_count,
    format_duration,
    format_number,
    listed,
)
from clustersim.validation.result import GRANTED, Validation
from clustersim.validation.together import LEAST_FURTHER, MOST_JOBS

__all__ = ["validation_page"]

_KIND = {
    "all": "all jobs",
    "partition": "partition",
    "size": "accelerators of the job",
    "hour": "hour of submission",
    "week": "week",
    "day": "day",
}
_SHARES = ("over_10_min", "over_1_h", "over_1_d", "recorded", "simulated", "ks")
_MOST_TOGETHER = 20
_DISTANCE = (
    "Distance: Wasserstein distance of order 1 (earth mover's distance) of the distributions of "
    "simulated and recorded waits within each partition and size class, averaged over jobs. It is "
    "the mean time by which waits would have to change."
)


def validation_page(
    found: Validation, figures: Mapping[str, StudyFigure], command: str = ""
) -> Page:
    """Return the page of a validation; `command` is the command that made it."""
    name = Path(found.case.source).name
    jobs = counted(int(found.case.compared.sum()), "job")
    sections = [
        Section("Recorded and simulated waits", [*_policies(found, figures)]),
        Section("What the simulation lacks", [*_mechanisms(found, figures), *_together(found)]),
        Section("Waits by group", [*_groups(found, figures)]),
        Section("Capacity in use", [*_use(found, figures)]),
        Section("Assumptions and notes", [*_notes(found)]),
        Section("Reproduction", [*_reproduction(command)]),
    ]
    return Page(
        title=f"Is the simulator like the site? {name}",
        question=f"Do replays of the {jobs} of {name} on "
        f"{format_count(found.case.cluster.n_chips)} accelerators wait as the site recorded?",
        lead=[],
        sections=[section for section in sections if section.parts],
        footer=made_with(versions()),
        answer=validation_answer(found),
    )


def _picture(figures: Mapping[str, StudyFigure], name: str) -> Iterator[Figure]:
    if name in figures:
        figure = figures[name]
        yield Figure(figure.heading, page_picture(figure), figure.caption)


def _formats() -> dict[str, Format]:
    return dict.fromkeys(_SHARES, percent) | {
        "explained": reduction_text,
        "further": reduction_text,
        "spearman": lambda value: format_number(value, 2),
    }


def _policies(
    found: Validation, figures: Mapping[str, StudyFigure]
) -> Iterator[str | Figure | Table]:
    yield from _picture(figures, "waits")
    yield Table(
        "Policies, the nearest first",
        found.policies.dropna(axis=1, how="all"),
        f"{_DISTANCE} Largest gap: largest difference of the cumulative distributions (statistic "
        "of Kolmogorov and Smirnov). Rank correlation (Spearman) and error are those of the waits "
        "of the same job.",
        labels={
            "waits": "waits",
            "mean_wait_s": "mean",
            "median_wait_s": "median",
            "p95_wait_s": "95th percentile",
            "over_10_min": "over 10 min",
            "over_1_h": "over 1 h",
            "over_1_d": "over 1 d",
            "distance_s": "distance",
            "wasserstein_s": "distance, all jobs together",
            "ks": "largest gap",
            "spearman": "rank correlation",
            "error_s": "mean error of a job",
        },
        formats=_formats(),
        file="policies.csv",
    )


def _mechanisms(
    found: Validation, figures: Mapping[str, StudyFigure]
) -> Iterator[str | Figure | Table]:
    if not found.tested:
        yield _why_untested(found)
        return
    yield (
        f"Each mechanism is granted to {listed(found.near)} by a replay in which this one thing is "
        "taken from the log and all else stays. What is nearest to the log is first. A mechanism "
        "that takes much from the log explains more by itself than one that takes little. "
        "Mechanisms overlap: their shares do not add up. Several policies are tested because one "
        "may be nearest only as it makes up for a mechanism that it lacks."
    )
    yield from _picture(figures, "mechanisms")
    labels = {
        "policy": "policy",
        "name": "mechanism granted",
        "explained": "less",
        "distance_s": "distance",
        "mean_wait_s": "mean wait",
        "trace": "trace",
        "recorded": "in the log",
        "simulated": "in the replay",
        "takes": "takes from the log",
        "untested": "not tested",
    }
    tested = found.mechanisms[found.mechanisms["untested"] == ""]
    names = ["policy", "name", "distance_s", "explained", "mean_wait_s", "recorded", "simulated"]
    yield Table(
        "Mechanisms, granted one at a time",
        tested[names].dropna(axis=1, how="all"),
        "Less: share by which the distance of the policy falls; worse if it grows. In the log, "
        "in the replay: how often the trace of the mechanism is seen without granting it.",
        labels=labels,
        formats=_formats(),
        file="mechanisms.csv",
    )
    about = found.mechanisms.drop_duplicates("name")
    yield Table(
        "What each mechanism takes from the log, and its trace",
        about[["name", "takes", "trace", "untested"]],
        labels=labels | {"name": "mechanism"},
        file="mechanisms.csv",
    )


def _why_untested(found: Validation) -> str:
    """Return why no mechanism was tested."""
    if found.unfinished:
        return "Mechanisms were not tested, because the command was interrupted."
    if found.agrees:
        return (
            "There is no difference to explain: the distance is at most "
            f"{format_duration(found.enough_s)}."
        )
    return "Mechanisms were not tested (--no-mechanisms)."


def _together(found: Validation) -> Iterator[str | Table]:
    """Yield what was granted on top of other mechanisms."""
    if not found.trials:
        return
    yield (
        "Then, mechanisms are granted together: the selection begins with the mechanisms that are "
        "best by themselves, and adds the one that brings the distance down most. It must be a "
        f"further {percent(LEAST_FURTHER)} or more of what is left, and more than chance "
        "(jackknife over 20 groups of jobs). Limits, days, hours and traces are then those of the "
        "waits that are left. What has no higher trace in the log than in the replay is not tried; "
        f"nor are, for a large log, replays of more than {MOST_JOBS:,} jobs in all."
    )
    labels = {
        "policy": "policy",
        "granted": "granted",
        "added": "granted on top",
        "before_s": "distance before",
        "distance_s": "distance",
        "further": "further less",
        "explained": "less in all",
        "recorded": "in the log",
        "simulated": "in the replay",
        "refused": "why it does not count",
    }
    tried = found.combinations.dropna(subset=["distance_s"])
    if not len(tried):
        return
    yield Table(
        "Mechanisms, granted together",
        tried[list(labels)].head(_MOST_TOGETHER),
        "Further less: share of the distance before that is gone. Less in all: share of the "
        "distance of the nearest policy. In the log, in the replay: the trace that is left. The "
        "file has all, also those that were not tried.",
        labels=labels,
        formats=_formats(),
        file="combinations.csv",
    )


def _groups(found: Validation, figures: Mapping[str, StudyFigure]) -> Iterator[Figure | Table]:
    for name in ("groups", "hours", "weeks"):
        yield from _picture(figures, name)
    nearest = found.nearest
    names = ["kind", "group", "date", "jobs"]
    labels = {"kind": "", "group": "group", "date": "begins"}
    names.append(f"{GRANTED}_mean_wait_s")
    labels[names[-1]] = "mean, granted"
    for who, word in (("recorded", "recorded"), (nearest, nearest)):
        for metric, short in (("mean", "mean"), ("median", "median"), ("p95", "p95")):
            names.append(f"{who}_{metric}_wait_s")
            labels[names[-1]] = f"{short}, {word}"
    names.append(f"{nearest}_distance_s")
    labels[names[-1]] = "distance"
    groups = found.groups[[name for name in names if name in found.groups]]
    yield Table(
        "Recorded and simulated waits by group",
        groups.assign(kind=groups["kind"].map(_KIND)).dropna(axis=1, how="all"),
        f"Simulated: {nearest} and, if any explain the difference, with the mechanisms of the "
        "answer granted. The file has all policies. Distance: Wasserstein "
        "distance of the waits of the group under the policy alone. Groups of fewer than 20 jobs "
        "have no 95th percentile.",
        labels=labels,
        file="groups.csv",
        groups=1,
    )


def _use(found: Validation, figures: Mapping[str, StudyFigure]) -> Iterator[Figure]:
    yield from _picture(figures, "capacity")


def _notes(found: Validation) -> Iterator[str]:
    for note in found.notes:
        yield f"{capital(note)}."
    if found.case.calendar.is_dated:
        yield f"Time 0 is {found.case.calendar}."
    else:
        yield "The log has no date: time 0 is taken as Monday, 00:00."
    yield (
        "Every job is submitted when it was, and runs for the time in the log. Users who react to "
        "shorter or longer waits would submit at other times."
    )
    if terms := terms_of(policy_terms(list(found.starts))):
        yield terms


def _reproduction(command: str) -> Iterator[str | Listing]:
    yield from reproduction(versions(), command, {}, same="the same tables")
