"""The findings of a study as plain sentences, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import in_period, period_of
from clustersim.analysis.root_search import begins_overload
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.quick_mark import quick_note
from clustersim.plots.study_axes import (
    number_in_words,
    period_names,
    place_in_words,
    study_axes,
    system_name,
)
from clustersim.report.amounts import signed_amounts
from clustersim.report.answer_gains import is_clear_gain
from clustersim.report.identical import identical_systems, without_effect
from clustersim.report.no_capacity import beyond
from clustersim.report.of_study.answer_indices import index_sentences
from clustersim.report.of_study.difference_sentences import difference_sentences
from clustersim.report.of_study.early_stops import early_stop_sentences
from clustersim.report.of_study.log_words import log_sentences
from clustersim.report.of_study.overload_words import overload_sentences
from clustersim.report.of_study.places import places_in_words
from clustersim.report.words.irreplaceable import irreplaceable_blocks
from clustersim.source_code import changed_files, this_code
from clustersim.studies.meaning import load_notes, placement_notes
from clustersim.studies.search_spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import capital

__all__ = ["code_notes", "findings", "findings_table", "warnings"]


def findings(result: StudyResult) -> list[str]:
    """Return all findings of a study, one sentence each."""
    return [str(sentence) for sentence in findings_table(result)["finding"]]


def findings_table(result: StudyResult) -> pd.DataFrame:
    """Return all findings of a study.

    Returns
    -------
    pandas.DataFrame
        One row per finding: ``about`` (capacity, gain, difference or sensitivity) and ``finding``,
        a sentence.
    """
    axes = study_axes(result)
    kinds = {
        "capacity": _capacities,
        "gain": _gains,
        "difference": difference_sentences,
        "sensitivity": index_sentences,
    }
    rows = [(about, sentence) for about, find in kinds.items() for sentence in find(result, axes)]
    return pd.DataFrame(rows, columns=["about", "finding"])


def warnings(result: StudyResult) -> list[str]:
    """Return the warnings that a reader needs to judge the numbers, one sentence each."""
    axes = study_axes(result)
    sentences = quick_note(result)
    failed = int((result.runs["status"] == "failed").sum())
    if failed:
        sentences.append(f"{failed} of {len(result.runs)} runs failed; they are left out.")
    sentences += code_notes(result)
    points = result.points
    if points.empty:
        return [*sentences, "There are no runs yet.", *_notes(result)]
    for column, sentence in (
        ("overload", "Overload (the queue grows, waits have no steady value)"),
        (
            "rising",
            "Waits still clearly rising at the end of the runs (jobs that arrive late wait longer, "
            "so a longer run or log would show longer waits; elsewhere, a rise may be hidden by "
            "chance)",
        ),
    ):
        chosen = points[points[column].astype(bool)]
        if len(chosen):
            every = points.to_dict("records")
            places = places_in_words(result, chosen.to_dict("records"), every, axes)
            sentences.append(f"{sentence}{f': {places}' if places else ''}.")
    sentences += overload_sentences(result, why=True)
    finished = result.runs[result.runs["status"] == "finished"]
    if finished.empty:
        return [*sentences, "No run has finished.", *_notes(result)]
    unsettled = int((finished["warm_up_reached"] == 0).sum())
    if unsettled:
        sentences.append(
            f"In {unsettled} of {len(finished)} runs, MSER-5 found no steady state: they are "
            "too short, or overloaded."
        )
    sentences += log_sentences(result, finished, axes)
    sentences += early_stop_sentences(result)
    unfinished = int((finished["unfinished"] > 0.01).sum())
    if unfinished and (result.steady or _asks_for(result, "jct", "slowdown")):
        sentences.append(
            f"In {unfinished} of {len(finished)} runs, more than 1 % of the measured jobs had "
            "not finished at the horizon: JCT and slowdown exclude them and are therefore "
            "too low."
        )
    censored = int((finished["censored"] > 0.05).sum())
    if censored and (result.steady or _asks_for(result, "wait")):
        sentences.append(
            f"In {censored} of {len(finished)} runs, more than 5 % of the measured jobs were "
            "still waiting at the horizon: their waits are lower bounds."
        )
    return [
        *sentences,
        *without_effect(result),
        *_waiting_at_the_end(result, finished),
        *_notes(result),
    ]


def _notes(result: StudyResult) -> list[str]:
    """Return notes on the offered load if the fleet varies, and on the limits of placements."""
    ends = None
    if "jobs_per_day" in result.points and result.points["jobs_per_day"].notna().any():
        rates = result.points["jobs_per_day"]
        ends = float(rates.min()), float(rates.max())
    spec, tree = result.study.spec, result.study.base.tree
    return [*load_notes(spec, tree, ends), *placement_notes(spec, tree)]


def code_notes(result: StudyResult) -> list[str]:
    """Return notes on runs that were made by code other than the current code."""
    now = this_code()
    notes = []
    for made_by, count in result.runs["code"].value_counts(sort=False).items():
        if made_by == now.label:
            continue
        before = result.codes.get(str(made_by))
        what = "" if before is None else f" Differences: {changed_files(before, now)}."
        notes.append(
            f"Note: {count:,} of {len(result.runs):,} runs were made by "
            f"{before or f'code {made_by}'}, not by {now}, which wrote these tables.{what}"
        )
    if notes and result.runs["code"].nunique() > 1:
        notes.append("Note: the tables mix results of different code; see the column code.")
    return notes


def _waiting_at_the_end(result: StudyResult, finished: pd.DataFrame) -> Iterator[str]:
    """Yield a warning for each period with waits that are cut off by the horizon."""
    waits = [period_of(name) for name in result.metrics if "wait" in name]
    names, axes = period_names(result), study_axes(result)
    for period in sorted({period for _, period in waits if period is not None}):
        cut = finished[finished[in_period("censored", period)] > 0.05]
        if len(cut):
            rows = cut.drop_duplicates(result.parameters).to_dict("records")
            every = finished.drop_duplicates(result.parameters).to_dict("records")
            places = places_in_words(result, rows, every, axes) if result.parameters else ""
            where = f" ({places})" if places else ""
            yield (
                f"In {len(cut)} of {len(finished)} runs{where}, more than 5 % of the jobs of "
                f"{names[period - 1]} were still waiting at the horizon: their mean wait is a "
                "lower bound, and the 95th percentile is unknown. A mean over the other runs "
                "leaves them out and is too low."
            )


def _asks_for(result: StudyResult, *parts: str) -> bool:
    """Return whether the name of one of the study's metrics contains one of `parts`."""
    return any(part in name for name in result.metrics for part in parts)


def _capacities(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    spec, table = result.study.spec, result.capacities
    if table is None or spec.capacity is None or spec.objective is None:
        return
    metric, of = axis_of(spec.objective.metric), spec.capacity.of
    searched = axes.get(of, axis_of(of))
    limit = f"{metric.label} ≤ {metric.text(spec.objective.limit)}"
    bound = "up to" if spec.capacity.more_is == "worse" else "from"
    for row in table.to_dict("records"):
        place = place_in_words(result, row, axes)
        head = f"{place}: {limit}" if place else capital(limit)
        kind = next((kind for kind in ("kept", "missed") if kind in row["note"]), "")
        if kind and not math.isfinite(row["capacity"]):
            more = f"the capacity is {beyond(result, axes, kind)}"
            yield f"{head} is {row['note']}; {more} ({row['runs']} runs)."
            continue
        if not math.isfinite(row["capacity"]):
            failed = row["note"] == "every run failed"
            yield (
                f"{head}: no capacity, because every run failed."
                if failed
                else (f"{head} is {row['note']}.")
            )
            continue
        if begins_overload(row["note"]):
            yield f"{head} is kept {bound} overload; {row['note']} ({row['runs']} runs)."
            continue
        fits = searched.fitted([row["capacity"]])  # one unit for the number and its intervals
        number, low, high = (
            number_in_words(row[name], fits)
            for name in ("capacity", "capacity_low", "capacity_high")
        )
        known = math.isfinite(row["capacity_low"]) and math.isfinite(row["capacity_high"])
        interval = f"95 % interval {low} to {high}" if known else "no 95 % interval"
        if not known and result.of_log:
            interval += f": {_why_unknown(result, row)}"
        sentence = f"{head} is kept {bound} {searched.label} {number} ({interval}"
        if of == LOAD:
            sentence += f"; {row['jobs_per_day']:,.0f} jobs a day"
        sentence += f"; {row['runs']} runs)"
        if "capacity_draw_low" in row:
            low, high = (
                number_in_words(row[f"capacity_draw_{end}"], fits) for end in ("low", "high")
            )
            sentence += (
                f"; over {spec.draws} draws of the calibration {low} to {high} (5th to 95th "
                "percentile)"
            )
        yield sentence + (f". Note: {row['note']}." if row["note"] else ".")


def _why_unknown(result: StudyResult, row: Mapping[Any, Any]) -> str:
    """Return why a capacity of a log has no interval."""
    runs = result.runs[result.runs["status"] == "finished"]
    searched = result.study.spec.capacity
    for name in result.parameters:
        if name in row and searched is not None and name != searched.of:
            runs = runs[runs[name] == row[name]]
    if reason := irreplaceable_blocks(runs):
        return reason
    if runs["replication"].nunique() < 2:
        return "one replication shows no other period"
    return "its weeks or days differ too much"


def _gains(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    search, table = result.study.spec.capacity, result.gains
    if search is None or table is None:
        return
    searched = axes.get(search.of, axis_of(search.of))
    same = identical_systems(result)
    ends = ("gain", "gain_low", "gain_high")
    for row in table.to_dict("records"):
        values = [float(row[name]) for name in ends]
        if row["system"] in same or not all(map(math.isfinite, values)):
            continue
        place = place_in_words(result, {k: v for k, v in row.items() if k != "system"}, axes)
        where = f" at {place}" if place else ""
        basis = "On the same jobs," if row["same_jobs"] else "On the same random numbers,"
        number, low, high = signed_amounts(values, searched)
        less = "less" if search.of in (LOAD, "workload.scale", "workload.scale.load") else "fewer"
        change = f"{number[1:]} {'more' if row['gain'] >= 0 else less}"
        system, baseline = (system_name(result, row[name], axes) for name in ("system", "baseline"))
        verb = "carries" if search.more_is == "worse" else "needs"
        interval = f"between {low} and {high}" if row["note"] else f"95 % interval {low} to {high}"
        clearly = "" if is_clear_gain(row) else " (no clear difference)"
        yield (
            f"{basis} {system} {verb} {change} {searched.label} than {baseline}{where}{clearly} "
            f"({interval}; {row['pairs']} replications)."
        )
