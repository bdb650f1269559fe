"""The findings of a study as plain sentences, with intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import in_period, is_constant, period_of
from clustersim.analysis.root_search import begins_overload
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.parts.determined import FEW
from clustersim.plots.parts.quick_mark import quick_note
from clustersim.plots.study_axes import number_in_words, period_names, place_in_words, study_axes
from clustersim.report.identical import identical_systems, without_effect
from clustersim.report.no_capacity import beyond
from clustersim.report.of_study.overload_words import overload_sentences
from clustersim.report.spans import change_spans
from clustersim.source_code import changed_files, this_code
from clustersim.studies.meaning import load_notes, placement_notes
from clustersim.studies.spec import LOAD
from clustersim.studies.study_result import StudyResult
from clustersim.units import format_percent

__all__ = ["code_notes", "findings", "findings_table", "warnings"]

MOST_NAMED = 4
MOST_PARAMETERS = 3
VAGUE = 0.5
"""An interval of a share that is wider than this contains almost no information."""


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
        "difference": _differences,
        "sensitivity": _indices,
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
        names = [place_in_words(result, row, axes) for row in chosen.to_dict("records")]
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            sentences.append(f"{sentence}: {'; '.join(names[:MOST_NAMED])}{more}.")
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
            places = [place for row in rows if (place := place_in_words(result, row, axes))]
            more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
            where = f" ({'; '.join(places[:MOST_NAMED])}{more})" if places else ""
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
        head = f"{place}: {limit}" if place else f"{limit[0].upper()}{limit[1:]}"
        kind = next((kind for kind in ("kept", "missed") if kind in row["note"]), "")
        if kind and not math.isfinite(row["capacity"]):
            more = f"the capacity is {beyond(result, axes, kind)}"
            yield f"{head} is {row['note']}; {more} ({row['runs']} runs)."
            continue
        if not math.isfinite(row["capacity"]):
            yield f"{head} is {row['note']}."
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


def _gains(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    search, table = result.study.spec.capacity, result.gains
    if search is None or table is None:
        return
    searched = axes.get(search.of, axis_of(search.of))
    for row in table.to_dict("records"):
        place = place_in_words(result, {k: v for k, v in row.items() if k != "system"}, axes)
        where = f" at {place}" if place else ""
        basis = "On the same jobs," if row["same_jobs"] else "On the same random numbers,"
        if not math.isfinite(row["gain_high"]):
            continue
        low, high = (f"{row[name]:+.3g}".replace("-", "−") for name in ("gain_low", "gain_high"))
        less = "less" if search.of in (LOAD, "workload.scale") else "fewer"
        change = f"{abs(row['gain']):.3g} {'more' if row['gain'] >= 0 else less}"
        system, baseline = (_compared(result, row[name], axes) for name in ("system", "baseline"))
        verb = "carries" if search.more_is == "worse" else "needs"
        kind = "between" if row["note"] else "95 % interval"
        clearly = "" if row["gain_low"] > 0 or row["gain_high"] < 0 else " (no clear difference)"
        yield (
            f"{basis} {system} {verb} {change} {searched.label} than {baseline}{where}{clearly} "
            f"({kind} {low} to {high}; {row['pairs']} replications)."
        )


def _differences(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    identical = identical_systems(result) if len(_by_metric(result.differences)) else []
    for row in _by_metric(result.differences):
        axis = axes.get(row["metric"], axis_of(row["metric"]))
        place = place_in_words(result, {k: v for k, v in row.items() if k != "system"}, axes)
        where = f" at {place}" if place else ""
        system, baseline = (_compared(result, row[name], axes) for name in ("system", "baseline"))
        head = f"{system} against {baseline}{where}: {axis.label}"
        pairs = f"{row['pairs']} pairs" if row["pairs"] != 1 else "1 pair"
        if math.isnan(row["difference"]):
            yield f"{head} cannot be compared (overload, or no pair of runs)."
            continue
        if math.isnan(row["relative"]):
            word = "less" if row["difference"] < 0 else "more"
            size = axis.text(abs(row["difference"]))
            yield f"{head} {size} {word} ({pairs}); no percentage, as the baseline's mean is 0."
            continue
        (own,) = change_spans(result, pd.DataFrame([dict(row)]), "relative", row["metric"])
        low, high = row["relative_low"], row["relative_high"]
        if row["pairs"] <= FEW and low < high and own.kind == "both":
            pairs += ", too few for a narrow interval"
        word = "less" if row["relative"] < 0 else "more"
        size = _percent(abs(row["relative"]))
        interval = f"95 % interval {own.inner(lambda a, b: (_signed(a), _signed(b)))}"
        if row["system"] in identical:
            yield f"{head} is identical to the baseline in every run ({pairs})."
        elif low == high == 0:
            yield f"{head} is the same ({pairs})."
        elif is_constant(row["metric"]):
            yield f"{head} {size} {word}."
        elif own.kind == "none" or (math.isinf(low) and row["relative_note"]):
            change = "shows no difference" if row["relative"] == 0 else f"{size} {word}"
            note = row["relative_note"] or "no interval"
            yield f"{head} {change} ({pairs}{_over_draws(row)}; no interval: {note})."
        elif own.kind in ("unknown", "runs"):
            yield (
                f"{head} does not clearly differ ({_signed(row['relative'])}; {interval}"
                f"{_over_draws(row)})."
            )
        elif low <= 0 <= high:
            yield (
                f"{head} does not clearly differ ({_signed(row['relative'])}, {interval}; {pairs}"
                f"{_over_draws(row)})."
            )
        else:
            yield f"{head} {size} {word} ({interval}; {pairs}{_over_draws(row)})."


def _by_metric(table: pd.DataFrame | None) -> list[Mapping[Hashable, Any]]:
    """Return the rows of a table of differences, grouped by metric in the order of the study.

    Only the first findings are printed. A study names its most important metric first, so the
    findings about this metric must come first.
    """
    if table is None or table.empty:
        return []
    order = {name: place for place, name in enumerate(table["metric"].unique())}
    return sorted(table.to_dict("records"), key=lambda row: order[row["metric"]])


def _compared(result: StudyResult, value: Any, axes: Mapping[str, Axis]) -> str:
    """Return a value of the compared parameter as text, with its unit if it is a number."""
    compare = result.study.spec.compare
    if compare is None or not isinstance(value, float):
        return str(value)
    return number_in_words(value, axes.get(compare.of, axis_of(compare.of)))


def _over_draws(row: Mapping[Hashable, Any]) -> str:
    """Return the range of a relative difference over draws as text, or "" without draws."""
    low, high = (row.get(f"relative_draw_{end}", math.nan) for end in ("low", "high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"; over draws of the calibration {_signed(low)} to {_signed(high)}"


def _percent(share: float) -> str:
    """Format a share as a percentage, with one decimal if it is below 10 %."""
    return format_percent(share, 0 if abs(share) >= 0.1 or share == 0 else 1)


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else '−' if share < 0 else ''}{_percent(abs(share))}"


def _indices(result: StudyResult, axes: Mapping[str, Axis]) -> Iterator[str]:
    table = result.indices
    if table is None:
        return
    for metric, rows in table.groupby("metric", sort=False):
        ordered = rows.sort_values("total", ascending=False)
        if ordered["total"].isna().all():
            yield f"The variance of {axis_of(str(metric)).label} could not be attributed."
            continue
        label = axis_of(str(metric)).label
        for row in ordered.head(MOST_PARAMETERS).to_dict("records"):
            name = axes.get(row["parameter"], axis_of(row["parameter"])).label
            low, high = _percent(row["first_low"]), _percent(row["first_high"])
            sentence = (
                f"{name} alone explains {_percent(row['first'])} of the variance of {label} (95 % "
                f"interval {low} to {high}); including interactions, {_percent(row['total'])}."
            )
            vague = row["first_high"] - row["first_low"] > VAGUE
            yield sentence + (" A larger sample would narrow this interval." if vague else "")
