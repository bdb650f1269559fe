"""The table of a briefing: one row for each option of spending the budget."""

from __future__ import annotations

import pandas as pd

from clustersim.briefing.answer import BriefingAnswer
from clustersim.briefing.options import Option
from clustersim.report.of_briefing.headlines import changes_choice, days_text, rate
from clustersim.units import format_money, format_percent
from clustersim.units.formats import format_quantity

__all__ = ["HEADINGS", "case_rows", "missed_text", "option_rows", "option_table"]

HEADINGS = (
    "option",
    "chips bought",
    "chips and servers",
    "power with cooling",
    "training, last months",
    "gain per billion CNY",
    "days of {training}",
    "demand served",
    "P(miss)",
    "beats the best if …",
)


def option_rows(answer: BriefingAnswer) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows as texts, the best option first."""
    first = answer.file.spec.trainings[0].name
    order = sorted(answer.options, key=lambda each: -float(each.training.end.mean[0]))
    headings = tuple(each.format(training=first) for each in HEADINGS)
    return headings, [_row(answer, each) for each in order]


def _row(answer: BriefingAnswer, option: Option) -> tuple[str, ...]:
    end, missed = option.training.end, option.training.missed
    assert missed is not None, "a briefing has a target"
    chips = [f"{n:,} {answer.file.chip_of(pool)}" for pool, n in option.chips.items() if n]
    return (
        option.name,
        ", ".join(chips) or "none",
        format_money(float(f"{option.spent_cny:.3g}")),
        format_quantity(option.power_w, "power", 3),
        f"{rate(end.mean[0])} (P10 {_number(end.p10[0])}, P90 {_number(end.p90[0])})",
        _gain_per_billion(answer, option),
        days_text(option.days),
        format_percent(option.served_share, 0),
        missed_text(missed.probability),
        changes_choice(answer, option),
    )


def missed_text(probability: float) -> str:
    """Return a probability as text without decimals; small ones are not 0."""
    return format_percent(probability, 0) if probability >= 0.005 else "< 1 %"


def _gain_per_billion(answer: BriefingAnswer, option: Option) -> str:
    """Return the training that a billion yuan adds to the base."""
    if option.spent_cny <= 0:
        return ""
    gain = float(option.training.end.mean[0] - answer.base.end.mean[0])
    return rate(gain / option.spent_cny * 1e9)


def case_rows(answer: BriefingAnswer) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of the cases without purchases, the base first."""
    base = answer.base.end.mean[0]
    rows: list[tuple[str, ...]] = []
    for case in answer.cases.cases:
        assert case.missed is not None, "a briefing has a target"
        change = (
            ""
            if case is answer.base
            else format_percent(float(case.end.mean[0] / base - 1.0), 0, signed=True)
        )
        texts = rate(case.end.mean[0]), change, missed_text(case.missed.probability)
        rows.append((case.name, *texts))
    return ("if nothing is bought", "training, last months", "change", "P(miss)"), rows


def _number(flop_per_s: float) -> str:
    return rate(flop_per_s).split()[0]


def option_table(answer: BriefingAnswer) -> pd.DataFrame:
    """Return the options as numbers in SI units, in the order of the file."""
    rows = []
    for option in answer.options:
        end, missed = option.training.end, option.training.missed
        assert missed is not None, "a briefing has a target"
        against = option.against_best
        rows.append(
            {
                "option": option.name,
                **{f"chips.{pool}": n for pool, n in option.chips.items()},
                "spent_cny": option.spent_cny,
                "power_w": option.power_w,
                "mean_flop_per_s": end.mean[0],
                "mean_error_flop_per_s": end.mean_error[0],
                "p10_flop_per_s": end.p10[0],
                "p90_flop_per_s": end.p90[0],
                "model_low_flop_per_s": option.training.end_model_low,
                "model_high_flop_per_s": option.training.end_model_high,
                "days": option.days,
                "days_lo": option.days_lo,
                "days_hi": option.days_hi,
                "trains_on": option.trains_on,
                "served_share": option.served_share,
                "p_missed": missed.probability,
                "p_missed_low": missed.low,
                "p_missed_high": missed.high,
                "break_even_probability": None if against is None else against.probability,
            }
        )
    return pd.DataFrame(rows)
