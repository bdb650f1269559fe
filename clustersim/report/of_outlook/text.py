"""The summary of an outlook; its first sentence is the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator

from clustersim.outlook.outlook import CaseOutlook, Outlook
from clustersim.units import counted, format_percent
from clustersim.units.formats import format_quantity

__all__ = ["MOST_SAMPLING_ERROR", "outlook_notes", "outlook_text"]

MOST_SAMPLING_ERROR = 0.03
"""Sampling error of a mean, relative to it, above which a note asks for more draws."""


def outlook_text(found: Outlook) -> str:
    """Return the summary as a paragraph for the answer, one line per case, and the notes."""
    lines = [_answer(found), ""]
    lines += [_line(case, found) for case in found.cases]
    pairs = list(_pairs(found))
    lines += ["", *pairs] if pairs else []
    lines += ["", _loss(found), _sampling(found)]
    return "\n".join([*lines, *(f"Note: {note}" for note in outlook_notes(found))]) + "\n"


def _rate(flop_per_s: float) -> str:
    return format_quantity(flop_per_s, "flop rate", 3)


def _end(found: Outlook) -> str:
    months = found.cases[0].months[-found.target.months :]
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _answer(found: Outlook) -> str:
    first = found.cases[0]
    text = (
        f"In {_end(found)}, the fleet can train {_rate(first.end.mean[0])} of useful work on "
        f"average if things go as in the case {first.name!r}, and between "
        f"{_rate(first.end.p10[0])} (P10) and {_rate(first.end.p90[0])} (P90)"
    )
    if first.missed is None:
        return f"{text}."
    return (
        f"{text}; it misses the target of {_rate(found.target.flop_per_s)} with a probability of "
        f"{format_percent(first.missed.probability)}."
    )


def _line(case: CaseOutlook, found: Outlook) -> str:
    end = case.end
    text = (
        f"{case.name}: mean {_rate(end.mean[0])} (sampling ±{format_percent(case.sampling_error)})"
        f", P10 {_rate(end.p10[0])}, P50 {_rate(end.p50[0])}, P90 {_rate(end.p90[0])}"
    )
    if not math.isnan(case.end_model_low):
        text += (
            f"; model uncertainty of P50, 90 %: {_rate(case.end_model_low)} to "
            f"{_rate(case.end_model_high)}"
        )
    if case.missed is None:
        return text
    text += (
        f"; P(missed) {format_percent(case.missed.probability)} (sampling "
        f"{format_percent(case.missed.low)} to {format_percent(case.missed.high)}"
    )
    if not math.isnan(case.missed_model_low):
        text += (
            f", model {format_percent(case.missed_model_low)} to "
            f"{format_percent(case.missed_model_high)}"
        )
    return f"{text})"


def _pairs(found: Outlook) -> Iterator[str]:
    if found.event is None:
        return
    for (a, b), pair in found.break_even.items():
        names = {"a": repr(a), "b": repr(b)}
        if pair.better_below == "neither":
            yield f"{a!r} and {b!r} are expected to give the same with and without the stop."
        elif math.isnan(pair.probability):
            best = names.pop(pair.better_below)
            (other,) = names.values()
            yield f"{best} is at least as good as {other} whether the stop happens or not."
        else:
            best = names.pop(pair.better_below)
            (other,) = names.values()
            yield (
                f"{best} is better than {other} if the stop has a probability below "
                f"{format_percent(pair.probability)} (sampling {format_percent(pair.low)} to "
                f"{format_percent(pair.high)})."
            )


def _loss(found: Outlook) -> str:
    loss = found.loss
    text = (
        f"Loss factor {loss.factor:.3f} ({loss.low:.3f} to {loss.high:.3f}) from "
        f"{counted(len(loss.runs), 'full run')}: trend over the months "
        f"{format_percent(loss.trend, signed=True)}, standard deviation between months "
        f"{format_percent(loss.months)}"
    )
    if not math.isnan(loss.replications):
        text += f" and between replications {format_percent(loss.replications)}"
    if not math.isnan(loss.r_squared):
        text += f"; R² of the fluid capacity {loss.r_squared:.3f} over all runs"
    if not math.isnan(loss.r_squared_within):
        text += f", {loss.r_squared_within:.2f} within cases"
    return f"{text}."


def _sampling(found: Outlook) -> str:
    worst = max(case.sampling_error for case in found.cases)
    return (
        f"Sampling error of the means with {found.draws:,} draws: at most "
        f"±{format_percent(worst)} (95 %). Model uncertainty is stated apart: "
        f"{found.model_draws} draws of the coefficients, without the scatter of single "
        "measurements."
    )


def outlook_notes(found: Outlook) -> list[str]:
    """Return what a reader must know before using the numbers."""
    notes = [f"the loss factor is not constant: {each}" for each in found.loss.problems]
    if notes:
        notes.append(
            "each case therefore has its own factor, along a line over the months where it has a "
            "trend"
        )
    for case in found.cases:
        if case.sampling_error > MOST_SAMPLING_ERROR:
            notes.append(
                f"{case.name}: the sampling error of the mean is "
                f"±{format_percent(case.sampling_error)}; draw more (--draws)"
            )
        wide = (case.end.p50_high[0] - case.end.p50_low[0]) / 2
        if case.end.p50[0] > 0 and wide / case.end.p50[0] > MOST_SAMPLING_ERROR:
            notes.append(
                f"{case.name}: the median lies in a gap between two outcomes (a delivery that "
                f"happens or not), {_rate(case.end.p50_low[0])} to {_rate(case.end.p50_high[0])}; "
                "use the mean, P10 and P90"
            )
    return notes
