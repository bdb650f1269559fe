"""The four figures of a briefing, with titles and captions."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure as Picture

from clustersim.briefing.answer import BriefingAnswer
from clustersim.plots.briefing import draw_days, draw_divided_budget, draw_fan, draw_frontier
from clustersim.report.of_outlook.tables import month_table
from clustersim.units import format_percent

__all__ = ["Drawn", "briefing_pictures"]


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """A figure of a briefing.

    Attributes
    ----------
    name : str
        Name of its file, without suffix.
    title, caption : str
    picture : matplotlib.figure.Figure
    """

    name: str
    title: str
    caption: str
    picture: Picture


def briefing_pictures(answer: BriefingAnswer) -> tuple[Drawn, ...]:
    """Return the figures of a briefing."""
    spec, divided, equal = answer.file.spec, answer.divided, answer.equal
    first, stop = spec.trainings[0], spec.stop
    chips = tuple(answer.file.chip_of(pool) for pool in divided.pools)
    stopped = ", ".join(answer.file.chip_of(pool) for pool in stop.pools)
    corners = answer.frontier.corners
    return (
        Drawn(
            "capacity",
            f"Useful training capacity by month, {answer.base.name}",
            "Band: what may be delivered or stopped. Dotted: uncertainty of the performance model.",
            draw_fan(month_table(answer.cases), answer.base.name, spec.target.capacity),
        ),
        Drawn(
            "days",
            f"Days to train {first.name}, by chip and number of chips",
            "With failures and restarts; hollow marks are chips without a published specification.",
            draw_days(answer.trainings, first.name),
        ),
        Drawn(
            "budget",
            f"The budget divided between {chips[0]} and {chips[1]}",
            f"A stop on {stop.at} ends the supply of {stopped}; what is paid for later lots is "
            "lost. Limits on the number of chips are left out here.",
            draw_divided_budget(
                (chips[0], chips[1]),
                divided.shares,
                divided.with_stop,
                divided.without_stop,
                divided.expected,
                break_even=divided.break_even.probability,
                probability=stop.probability,
            ),
        ),
        Drawn(
            "frontier",
            "Training against serving, all chips at the end",
            "All services are served in equal shares of their demand. The dot has the training "
            f"share of the file and serves {format_percent(equal.served)}.",
            draw_frontier(
                [each.served for each in corners],
                [each.trained_flops_per_s for each in corners],
                (equal.served, equal.trained_flops_per_s),
                list(zip(answer.demand_dates, answer.demand, strict=True)),
            ),
        ),
    )
