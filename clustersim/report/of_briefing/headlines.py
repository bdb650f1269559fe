"""The headline sentences of a briefing, with numbers and intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from clustersim.briefing.answer import BriefingAnswer
from clustersim.briefing.options import Option
from clustersim.frontier import best_assignment
from clustersim.outlook.fan import Fan, Missed
from clustersim.outlook.outlook import CaseOutlook
from clustersim.training.result import PUBLISHED_RATIOS
from clustersim.units import format_money, format_number, format_percent, listed
from clustersim.units.formats import format_quantity

__all__ = ["briefing_caveats", "changes_choice", "days_text", "headlines", "rate"]

MOST_SAMPLING_ERROR = 0.03
"""Sampling error of a mean, relative to it, above which the page says so."""
TRILLION = 1e12
ASSUMPTION = "assumption"


def rate(flop_per_s: float) -> str:
    """Return useful FLOP/s as text with three digits."""
    return format_quantity(flop_per_s, "flop rate", 3)


def days_text(days: float) -> str:
    """Return a number of days as text."""
    return "never" if math.isinf(days) else f"{format_number(days, 3)} days"


def headlines(answer: BriefingAnswer) -> tuple[str, ...]:
    """Return the sentences of a briefing, the first one about what the fleet can do."""
    return (
        _capacity(answer),
        _purchase(answer),
        _days(answer),
        _serving(answer),
        _stop(answer),
    )


def _months(case: CaseOutlook, months: int) -> str:
    last = case.months[-months:]
    return last[0] if months == 1 else f"{last[0]} to {last[-1]}"


def _mean(end: Fan) -> str:
    return f"{rate(end.mean[0])} ± {format_percent(end.mean_error[0] / end.mean[0])}"


def _missed(missed: Missed | None) -> str:
    assert missed is not None, "a briefing has a target"
    if missed.probability == 0:
        return f"less than {format_percent(missed.high, 2)}"
    low, high = (format_percent(each, 0) for each in (missed.low, missed.high))
    return f"{format_percent(missed.probability, 0)} (sampling: {low} to {high})"


def _capacity(answer: BriefingAnswer) -> str:
    base, target = answer.base, answer.file.spec.target
    when, end = _months(base, target.months), base.end
    return (
        f"From {when}, the fleet trains {_mean(end)} of useful work on average "
        f"(P10 {rate(end.p10[0])}, P90 {rate(end.p90[0])}); it misses the target of "
        f"{rate(target.capacity)} with a probability of {_missed(base.missed)}{_model(base)}."
    )


def _model(case: CaseOutlook) -> str:
    """Return the probability at the ends of the interval of the performance model."""
    if math.isnan(case.missed_model_low):
        return ""
    low, high = (
        format_percent(each, 0) for each in (case.missed_model_low, case.missed_model_high)
    )
    return f"; it is {low} or {high} with the performance model at the ends of its 90 % interval"


def _purchase(answer: BriefingAnswer) -> str:
    best, budget = answer.best, answer.file.budget_cny
    others = sorted(
        (each for each in answer.options if each is not best),
        key=lambda each: -float(each.training.end.mean[0]),
    )
    gain = float(best.training.end.mean[0] / answer.base.end.mean[0] - 1.0)
    left = budget - best.spent_cny
    text = (
        f"With {_billions(budget)}, “{best.name}” gives most of {len(answer.options)} options: "
        f"{_mean(best.training.end)}, "
        f"{format_percent(gain, 0)} more than without purchases, for {_billions(best.spent_cny)}"
    )
    if left > 0.01 * budget:
        shares, file = answer.file.spec.options[best.name], answer.file
        text += (
            f"; supply limits it, not money: {_billions(left)} are left because no more of its "
            "chips can be bought"
            if file.chips_bought(shares) != file.chips_bought(shares, limited=False)
            else f"; {_billions(left)} are not spent"
        )
    return f"{text}. Next is “{others[0].name}” with {_mean(others[0].training.end)}."


def _stop(answer: BriefingAnswer) -> str:
    divided, stop = answer.divided, answer.file.spec.stop
    first, second = (answer.file.chip_of(pool) for pool in divided.pools)
    found = divided.break_even
    known = f"(assumed: {format_percent(stop.probability, 0)})"
    if found.better_below == "neither":
        return (
            f"If supply had no limit and all money went to one chip, {first} and {second} give "
            f"the same whether the supply stops on {stop.at} or not {known}."
        )
    if math.isnan(found.probability):
        better = first if found.better_below == "a" else second
        return (
            f"If supply had no limit and all money went to one chip, {better} gives more than "
            f"{second if better == first else first} whether the supply stops on {stop.at} or not "
            f"{known}."
        )
    low, high = (format_percent(each, 0) for each in (found.low, found.high))
    better = first if found.better_below == "a" else second
    return (
        f"If supply had no limit and all money went to one chip, {better} is the better purchase "
        f"than {second if better == first else first} as long as a stop on {stop.at} is less "
        f"probable than {format_percent(found.probability, 0)} ({low} to {high}) {known}."
    )


def _days(answer: BriefingAnswer) -> str:
    first = answer.file.spec.trainings[0]
    least = min(answer.options, key=lambda each: each.spent_cny)
    best = min(answer.options, key=lambda each: each.days)
    tokens = f"{format_number(first.tokens / TRILLION, 3)} trillion tokens"
    text = f"A training of {first.name} ({tokens}) takes {_interval(least)}"
    if least.spent_cny > 0:
        text += f" with “{least.name}”"
    if best.days < least.days:
        text += f", and with “{best.name}” {_interval(best)}"
        if best.days_hi > least.days_lo:
            text += ", which is within the uncertainty"
    low, _, high = PUBLISHED_RATIOS
    return (
        f"{text}; published trainings took {low:.1f} to {high:.1f} times as long as such estimates."
    )


def _billions(amount_cny: float) -> str:
    return format_money(float(f"{amount_cny:.3g}"))


def _interval(option: Option) -> str:
    if math.isinf(option.days):
        return "forever: it is not possible on any pool"
    low, high = format_number(option.days_lo, 3), format_number(option.days_hi, 3)
    return f"{days_text(option.days)} ({low} to {high}) on {option.trains_on}"


def _serving(answer: BriefingAnswer) -> str:
    equal, front = answer.equal, answer.frontier
    first = answer.file.spec.served[0]
    growth = format_number(float(1.0 / answer.demand[0]), 2)
    text = (
        f"At the end, the chips that do not train serve {format_percent(equal.served, 0)} of the "
        f"demand for {listed([each.name for each in answer.file.spec.served])} (that of "
        f"{first.name} is assumed to grow by a factor of {growth} from {first.at} on)"
    )
    at_equal = float(front.trained(np.array([min(equal.served, front.most_served)]))[0])
    gain = at_equal / equal.trained_flops_per_s - 1.0 if equal.trained_flops_per_s > 0 else 0.0
    text += (
        f"; if each chip does what it does best, the fleet trains {format_percent(gain, 0)} more "
        f"at the same service. All chips together would serve "
        f"{format_percent(front.most_served, 0)}"
    )
    low, high = _served_interval(answer)
    text += f" ({format_percent(low, 0)} to {format_percent(high, 0)}, by the model of serving)"
    if front.most_served < 1:
        text += f": the demand, above all for {first.name}, is larger than this fleet"
    return f"{text}."


def _served_interval(answer: BriefingAnswer) -> tuple[float, float]:
    """Return the most that is served with the ends of the 90 % intervals of all serving rates."""
    rates = answer.fleet.rates
    low, high = (
        best_assignment(
            replace(rates, serving=serving), training_weight=0.0, served_weight=1.0
        ).served
        for serving in (answer.fleet.low, answer.fleet.high)
    )
    return low, high


def changes_choice(answer: BriefingAnswer, option: Option) -> str:
    """Return at which probabilities of the stop an option is better than the best one."""
    found = option.against_best
    if found is None:
        return "(the best)"
    if math.isnan(found.probability):
        equal = found.better_below == "neither"
        return "never: equal" if equal else "never: less with and without a stop"
    side = "above" if found.better_below == "a" else "below"
    return f"P(stop) {side} {format_percent(found.probability, 0)}"


def briefing_caveats(answer: BriefingAnswer) -> tuple[str, ...]:
    """Return what the reader has to know: assumptions, kinds of uncertainty, and what is flagged.

    The first one has the date of the facts.
    """
    spec, base = answer.file.spec, answer.base
    found = [f"Facts as of {spec.facts}; what was reported later is not in these numbers."]
    if answer.quick:
        found.append("A quick version: few draws and runs; the numbers are not for decisions.")
    found += spec.caveats
    found.append("Days to train are those without a stop.")
    loss = answer.cases.loss
    found.append(
        f"± and intervals of probabilities are 95 % from sampling ({answer.cases.draws:,} draws). "
        "The performance model is uncertain apart from that: with its coefficients, the median of "
        f"the first number is {rate(base.end_model_low)} to {rate(base.end_model_high)} (90 %)."
    )
    found.append(
        f"Queues, gangs and failures leave {format_percent(loss.factor)} "
        f"({format_percent(loss.low)} to {format_percent(loss.high)}) of the capacity without "
        "them, from full simulations"
        + (f"; not constant: {'; '.join(loss.problems)}." if loss.problems else ".")
    )
    for case in answer.cases.cases:
        if case.sampling_error > MOST_SAMPLING_ERROR:
            found.append(f"The sampling error of {case.name} is above 3 %.")
    sources = {
        "target": spec.target.source,
        "stop": spec.stop.source,
        **{f"demand for {each.name}": each.source for each in spec.served},
    }
    without = [name for name, source in sources.items() if source in ("", ASSUMPTION)]
    if without:
        found.append(f"Assumptions without a source: {listed(without)}.")
    found += [
        f"{name[:1].upper()}{name[1:]}: {source}."
        for name, source in sources.items()
        if name not in without
    ]
    return (*found, *answer.notes)
