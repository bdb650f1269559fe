"""Plots of the purchases of a plan by quarter, and of the regret of plans."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from clustersim.plots.axis import Axis
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    dress,
    panel,
    plot_style,
    study_figure,
    type_size,
)
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.rows import name_rows
from clustersim.plots.style import colour
from clustersim.plots.ticks import set_axis

__all__ = ["draw_costs", "draw_purchases", "draw_regret", "plot_purchases"]

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")
_THOUSAND = 1000


def draw_purchases(purchases: pd.DataFrame, *, title: str = "") -> StudyFigure:
    """Draw the chips bought, with a panel per scenario; types that are never bought are left out.

    Parameters
    ----------
    purchases : DataFrame
        From :func:`clustersim.procurement.tables.purchase_table`.
    title : str
    """
    scenarios = list(dict.fromkeys(purchases["scenario"]))
    chips = list(dict.fromkeys(purchases["chip"]))
    columns = len(scenarios) if len(scenarios) <= 3 else 2 + len(scenarios) % 2
    figure = study_figure(len(scenarios), title=title, width=DOUBLE, columns=columns)
    totals = purchases.groupby(["scenario", "quarter"])["chips"].sum()
    most = 1.12 * float(totals.max()) or 1.0
    for ax, scenario in zip(figure.panels, scenarios, strict=True):
        plot_purchases(purchases[purchases["scenario"] == scenario], most=most, ax=ax)
    handles = [
        Patch(facecolor=colour(k), hatch=_HATCHES[k % len(_HATCHES)], edgecolor="white", label=name)
        for k, name in enumerate(chips)
        if (purchases.loc[purchases["chip"] == name, "chips"] > 0).any()
    ]
    if handles:
        with plot_style(DOUBLE):
            look: dict[str, Any] = {"loc": "outside upper right", "fontsize": type_size(DOUBLE)}
            figure.legend(handles=handles, ncols=min(5, len(handles)), **look)
    if set(purchases["decided"]) == {"first", "later"}:
        figure.describe("Left of the dashed line: decided before the scenario is known.")
    figure.describe("Numbers: all chips bought in the quarter.")
    return figure


def plot_purchases(
    purchases: pd.DataFrame, *, most: float | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the chips bought in one scenario, stacked by type.

    Parameters
    ----------
    purchases : DataFrame
        Rows of one scenario, from :func:`clustersim.procurement.tables.purchase_table`.
    most : float, optional
        Upper end of the vertical axis.
    ax : Axes, optional
    """
    chips = list(dict.fromkeys(purchases["chip"]))
    quarters = sorted(purchases["quarter"].unique())
    with plot_style(ax):
        ax = panel(ax)
        ax.grid(axis="x", visible=False)
        below = np.zeros(len(quarters))
        scale = _THOUSAND if (most or purchases["chips"].max()) >= 2 * _THOUSAND else 1
        for k, name in enumerate(chips):
            rows = purchases[purchases["chip"] == name].set_index("quarter")["chips"]
            height = rows.reindex(quarters).to_numpy(dtype=np.float64) / scale
            look: dict[str, Any] = {"color": colour(k), "hatch": _HATCHES[k % len(_HATCHES)]}
            ax.bar(quarters, height, 0.7, bottom=below, edgecolor="white", lw=0.4, **look)
            below += height
        for quarter, total in zip(quarters, below, strict=True):
            if total > 0:
                text = f"{total:,.0f}" if total >= 10 or scale == 1 else f"{total:.1f}"
                ax.annotate(text, (quarter, total), (0, 2), ha="center", textcoords="offset points")
        first = purchases[purchases["decided"] == "first"]["quarter"].max()
        if not pd.isna(first) and first < quarters[-1]:
            ax.axvline(first + 0.5, color="#777777", lw=0.9, ls="--")
        ax.set_xticks(quarters, [f"Q{quarter}" for quarter in quarters])
        if most is not None:
            ax.set_ylim(0, most / scale)
        unit = "thousand chips bought" if scale == _THOUSAND else "chips bought"
        dress(ax, str(purchases["scenario"].iloc[0]), x="quarter", y=unit)
    return ax


def draw_costs(costs: pd.DataFrame, *, title: str = "") -> StudyFigure:
    """Draw the cost of each scenario as a bar, divided into kinds of cost.

    Parameters
    ----------
    costs : DataFrame
        From :func:`clustersim.procurement.tables.cost_table`.
    title : str
    """
    kinds = [
        str(name)
        for name in costs
        if str(name).endswith("_cny") and name not in ("spending_cny", "cost_cny")
    ]
    kinds = [name for name in kinds if costs[name].any()]
    figure = study_figure(title=title, width=DOUBLE, panel_height=1.2 + 0.4 * len(costs))
    ax = figure.panels[0]
    axis = Axis("cost", dimension="money", logarithmic=False)
    with plot_style(DOUBLE):
        fits = set_axis(ax, "x", axis, [0.0, *costs["cost_cny"]], room=(0.0, 0.04))
        left = np.zeros(len(costs))
        for k, name in enumerate(kinds):
            width = costs[name].to_numpy(dtype=np.float64)
            look: dict[str, Any] = {"color": colour(k), "hatch": _HATCHES[k % len(_HATCHES)]}
            label = name.removesuffix("_cny").replace("_", " ")
            ax.barh(range(len(costs)), width, 0.6, left, label=label, edgecolor="white", lw=0.4,
                    **look)  # fmt: skip
            left += width
        name_rows(ax, [str(name) for name in costs["scenario"]])
        dress(ax, "cost charged to the plan, by scenario", x=fits.title)
        if kinds:
            size = type_size(DOUBLE)
            figure.legend(loc="outside upper right", ncols=min(4, len(kinds)), fontsize=size)
    return figure


def draw_regret(regret: pd.DataFrame, *, title: str = "") -> StudyFigure:
    """Draw how much more each plan costs than the best plan, in each scenario.

    Parameters
    ----------
    regret : DataFrame
        From :func:`clustersim.procurement.tables.regret_table`.
    title : str
    """
    table = regret.assign(regret_cny=regret["regret_cny"].replace(math.inf, math.nan))
    candidates = list(dict.fromkeys(table["candidate"]))
    figure = study_figure(title=title, width=DOUBLE, panel_height=1.3 + 0.36 * len(candidates))
    axes = {
        "candidate": Axis("first purchases"),
        "scenario": Axis("realised scenario"),
        "regret_cny": Axis("regret", dimension="money", logarithmic=False),
    }
    ordered = table.iloc[::-1].sort_values("scenario", kind="stable", key=_order_of(regret))
    ax = plot_heat_map(
        ordered, "scenario", "candidate", "regret_cny", axes=axes, ax=figure.panels[0]
    )
    title = "cost above that of the best purchases, by realised scenario"
    with plot_style(ax):
        dress(ax, title, x=axes["scenario"].label, y=axes["candidate"].label)
    if table["regret_cny"].isna().any():
        figure.describe(
            "Empty: an order cannot be delivered in this scenario, or a requirement is not met."
        )
    return figure


def _order_of(regret: pd.DataFrame) -> Callable[[pd.Series], pd.Series]:
    """Return a sort key for the order in which `regret` lists the scenarios."""
    order = {name: place for place, name in enumerate(dict.fromkeys(regret["scenario"]))}
    return lambda column: column.map(order)
