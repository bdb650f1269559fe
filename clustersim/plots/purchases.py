"""Plots of a plan: purchases by quarter, costs, regret, and what an impossible plan lacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from clustersim.analysis.columns.plan_columns import amount_text
from clustersim.array_types import Bools
from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    panel,
    plot_style,
    study_figure,
    type_size,
)
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import name_rows
from clustersim.plots.style import colour
from clustersim.units import capital, counted

__all__ = [
    "draw_costs",
    "draw_purchases",
    "draw_regret",
    "draw_shortfall",
    "has_regret",
    "merged_candidates",
    "plot_purchases",
]

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")
_THOUSAND = 1000
_LEGEND_COLUMNS = 3
"""A legend with more columns would reach beyond the edge of a narrow window."""
_DIGITS = 3
"""Significant digits of a regret, as in tables."""
_NO_REGRET_CNY = 1.0
"""Smaller regret is within the tolerance of the solver."""
_TOGETHER = "together"
"""Value of the column ``grows`` for the limits that are raised together."""
_MOST_CHANGES, _LARGEST_CHANGE = 16, 100.0
"""Number of changes to draw, and the largest one as a share of its limit: a limit that is almost 0
has no useful share."""
_BEFORE = "Left of the dashed line: decided before the scenario is known."


class HasPurchases(Protocol):
    """A plan with a table of purchases, which is None if no plan satisfies the limits."""

    @property
    def purchases(self) -> pd.DataFrame | None:
        """One row per scenario, quarter and chip."""


def draw_purchases(purchases: pd.DataFrame, *, title: str = "", mark: str = "") -> StudyFigure:
    """Draw the chips bought, with a panel per scenario; types that are never bought are left out.

    Parameters
    ----------
    purchases : DataFrame
        From :func:`clustersim.procurement.tables.purchase_table`.
    title, mark : str
        Texts above the panels; the mark says what limits the numbers.
    """
    scenarios = list(dict.fromkeys(purchases["scenario"]))
    columns = len(scenarios) if len(scenarios) <= 3 else 2 + len(scenarios) % 2
    figure = study_figure(len(scenarios), title=title, mark=mark, width=DOUBLE, columns=columns)
    totals = purchases.groupby(["scenario", "quarter"])["chips"].sum()
    most = 1.12 * float(totals.max()) or 1.0
    for ax, scenario in zip(figure.panels, scenarios, strict=True):
        plot_purchases(purchases, scenario=scenario, most=most, legend=False, ax=ax)
    if handles := _handles(purchases):
        with plot_style(DOUBLE):
            _legend_above(figure.panels[0], handles)
    figure.describe("Numbers: all chips bought in the quarter.")
    if node := _chips_per_node(purchases):
        figure.describe(node)
    figure.mark_below()
    return figure


def plot_purchases(
    purchases: pd.DataFrame | HasPurchases,
    *,
    scenario: str | None = None,
    most: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Plot the chips bought in one scenario, stacked by type.

    Parameters
    ----------
    purchases : DataFrame or PurchasePlan
        A plan, or its table of purchases (:attr:`clustersim.PurchasePlan.purchases`).
    scenario : str, optional
        Name of the scenario; not needed if there is only one.
    most : float, optional
        Upper end of the vertical axis (chips).
    legend : bool
        Whether to name the types above the axes.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as one column of a paper.

    Raises
    ------
    InputError
        If there are no purchases, the scenario is unknown, or one of several must be chosen.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> purchases = pd.DataFrame(
    ...     {
    ...         "scenario": "on time",
    ...         "quarter": [1, 1, 2, 2],
    ...         "decided": "first",
    ...         "chip": ["H200", "SeedChip", "H200", "SeedChip"],
    ...         "chips": [800, 0, 400, 1600],
    ...     }
    ... )
    >>> ax = cs.plots.plot_purchases(purchases)
    >>> [text.get_text() for text in ax.texts]
    ['800', '2,000']
    """
    purchases = _of_scenario(purchases, scenario)
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
            describe(ax, _BEFORE)
        ax.set_xticks(quarters, [f"Q{quarter}" for quarter in quarters])
        if most is not None:
            ax.set_ylim(0, most / scale)
        unit = "thousand chips bought" if scale == _THOUSAND else "chips bought"
        if legend:
            handles = _handles(purchases)
            place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.24)}
            ax.legend(handles=handles, ncols=3, fontsize=type_size(ax), **place)
        dress(ax, str(purchases["scenario"].iloc[0]), x="quarter", y=unit)
    return ax


def _chips_per_node(purchases: pd.DataFrame) -> str:
    """Return how many chips a node of each type has that is bought; "" if none is."""
    if "nodes" not in purchases:
        return ""
    bought = purchases[purchases["nodes"] > 0].drop_duplicates("chip")
    counts = (bought["chips"] // bought["nodes"]).tolist()
    if len(set(counts)) == 1:
        return f"A node has {counted(int(counts[0]), 'chip')}."
    texts = [f"{name} {count}" for name, count in zip(bought["chip"], counts, strict=True)]
    return f"Chips per node: {', '.join(texts)}." if texts else ""


def _of_scenario(purchases: pd.DataFrame | HasPurchases, scenario: str | None) -> pd.DataFrame:
    """Return the rows of a scenario."""
    source = "plot_purchases"
    table = purchases if isinstance(purchases, pd.DataFrame) else purchases.purchases
    if table is None:
        raise InputError(source, "there is nothing to draw: no plan satisfies the limits")
    names = list(dict.fromkeys(table["scenario"]))
    if scenario is None and len(names) != 1:
        raise InputError(source, f"scenario: must be one of {', '.join(map(str, names))}")
    if scenario is None:
        return table
    if scenario not in names:
        raise InputError(source, unknown_name("scenario", scenario, names))
    return table[table["scenario"] == scenario]


def _legend_above(ax: Axes, handles: Sequence[Any]) -> None:
    """Write a legend above the title of a panel, at its left, where narrow windows show it."""
    size = type_size(ax)
    texts = ax.get_title(loc="left"), ax.get_ylabel()
    lines = sum(text.count("\n") + 1 for text in texts if text)
    up = ScaledTranslation(0.0, (4.0 + 1.4 * size * lines) / 72.0, ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0)}
    place |= {"bbox_transform": ax.transAxes + up, "borderaxespad": 0.0, "fontsize": size}
    ax.legend(handles=handles, ncols=min(_LEGEND_COLUMNS, len(handles)), **place)


def _handles(purchases: pd.DataFrame) -> list[Patch]:
    """Return an entry of the legend for each type that is bought."""
    return [
        Patch(facecolor=colour(k), hatch=_HATCHES[k % len(_HATCHES)], edgecolor="white", label=name)
        for k, name in enumerate(dict.fromkeys(purchases["chip"]))
        if (purchases.loc[purchases["chip"] == name, "chips"] > 0).any()
    ]


def draw_costs(costs: pd.DataFrame, *, title: str = "", mark: str = "") -> StudyFigure:
    """Draw the cost of each scenario as a bar, divided into kinds of cost.

    Parameters
    ----------
    costs : DataFrame
        From :func:`clustersim.procurement.tables.cost_table`.
    title, mark : str
        Texts above the panels; the mark says what limits the numbers.
    """
    kinds = [
        str(name)
        for name in costs
        if str(name).endswith("_cny") and name not in ("spending_cny", "cost_cny")
    ]
    kinds = [name for name in kinds if costs[name].any()]
    figure = study_figure(title=title, mark=mark, width=DOUBLE, panel_height=1.2 + 0.4 * len(costs))
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
        heading = "cost charged to the plan, by scenario"
        dress(ax, heading if title else "", x=fits.title)
        if kinds:
            _legend_above(ax, ax.get_legend_handles_labels()[0])
    figure.entitle(capital(heading))
    if "unmet_cny" in kinds:
        figure.describe("Unmet: penalty for demand that the plan does not meet.")
    return figure


def has_regret(regret: pd.DataFrame) -> bool:
    """Return whether a candidate has regret above the tolerance of the solver, or fails.

    A picture without regret shows nothing.
    """
    amounts = regret["regret_cny"].to_numpy(dtype=np.float64)
    return bool((~(np.abs(amounts) <= _NO_REGRET_CNY)).any())


def merged_candidates(regret: pd.DataFrame) -> pd.DataFrame:
    """Return a table of regret with one candidate per decision.

    Candidates that buy the same first are one decision; its ``candidate`` has all their names,
    separated by commas. A table of an earlier version, without ``first_purchases``, is unchanged.

    Parameters
    ----------
    regret : DataFrame
        From :func:`clustersim.procurement.tables.regret_table`.

    Examples
    --------
    >>> regret = pd.DataFrame({"candidate": ["this plan", "for a"], "first_purchases": "h200 8"})
    >>> merged_candidates(regret).to_numpy().tolist()
    [['this plan, for a', 'h200 8']]
    """
    if "first_purchases" not in regret:
        return regret
    names = regret.groupby("first_purchases", sort=False)["candidate"].agg(
        lambda own: ", ".join(dict.fromkeys(own))
    )
    first = regret.groupby("first_purchases", sort=False)["candidate"].transform("first")
    kept = regret[regret["candidate"] == first]
    return kept.assign(candidate=kept["first_purchases"].map(names)).reset_index(drop=True)


def draw_regret(regret: pd.DataFrame, *, title: str = "", mark: str = "") -> StudyFigure:
    """Draw how much more each plan costs than the best plan, in each scenario.

    Parameters
    ----------
    regret : DataFrame
        From :func:`clustersim.procurement.tables.regret_table`.
    title, mark : str
        Texts above the panels; the mark says what limits the numbers.
    """
    table = merged_candidates(regret)
    table = table.assign(regret_cny=table["regret_cny"].replace(math.inf, math.nan))
    if "first_purchases" in table:
        own = table["candidate"].str.startswith("this plan").map({True: " (this plan)", False: ""})
        table["candidate"] = table["first_purchases"] + own
    candidates = list(dict.fromkeys(table["candidate"]))
    figure = study_figure(
        title=title, mark=mark, width=DOUBLE, panel_height=1.3 + 0.36 * len(candidates)
    )
    axes = {
        "candidate": Axis("first purchases"),
        "scenario": Axis("realised scenario"),
        "regret_cny": Axis("regret", dimension="money", logarithmic=False),
    }
    ordered = table.iloc[::-1].sort_values("scenario", kind="stable", key=_order_of(regret))
    ax = plot_heat_map(
        ordered,
        "scenario",
        "candidate",
        "regret_cny",
        digits=_DIGITS,
        axes=axes,
        ax=figure.panels[0],
    )
    title = "cost above that of the best purchases, by realised scenario"
    with plot_style(ax):
        dress(ax, title, x=axes["scenario"].label, y=axes["candidate"].label)
    if table["regret_cny"].isna().any():
        figure.describe(
            "Empty: an order cannot be delivered in this scenario, or a requirement is not met."
        )
    figure.mark_below()
    return figure


def _order_of(regret: pd.DataFrame) -> Callable[[pd.Series], pd.Series]:
    """Return a sort key for the order in which `regret` lists the scenarios."""
    order = {name: place for place, name in enumerate(dict.fromkeys(regret["scenario"]))}
    return lambda column: column.map(order)


def draw_shortfall(shortfall: pd.DataFrame) -> StudyFigure | None:
    """Draw by which share limits must rise, or demand must fall, to make a plan possible.

    Parameters
    ----------
    shortfall : DataFrame
        From :func:`clustersim.procurement.shortfall.find_shortfall`.

    Returns
    -------
    StudyFigure or None
        None if no change of a known share makes a plan possible.
    """
    known = shortfall["helps"].eq(True) & (shortfall["relative"] <= _LARGEST_CHANGE)
    table = shortfall[known].sort_values("relative", ascending=False, kind="stable")
    if (table["grows"] == _TOGETHER).sum() == 1 < len(table):
        same = table["constraint"] == table.loc[table["grows"] == _TOGETHER, "constraint"].item()
        if same.sum() > 1:  # this limit alone is enough
            table = table[table["grows"] != _TOGETHER]
    known_changes, table = len(table), table.head(_MOST_CHANGES)
    table = table.iloc[np.argsort(table["grows"] != _TOGETHER, kind="stable")]
    if table.empty:
        return None
    falls = (table["constraint"] == "demand").to_numpy()
    change = np.where(falls, -1.0, 1.0) * table["relative"].to_numpy(dtype=np.float64)
    together = (table["grows"] == _TOGETHER).to_numpy()
    figure = study_figure(width=DOUBLE, panel_height=0.9 + 0.3 * len(table))
    ax = figure.panels[0]
    with plot_style(ax):
        axis = Axis("change", dimension="share", logarithmic=False)
        ends = np.array([min(change.min() * 1.05, 0.0), max(change.max() * 1.3, 0.25)])
        fits = set_axis(ax, "x", axis, ends)
        places = np.arange(len(table))
        for chosen, ink in ((together, 0), (~together, 1)):
            ax.barh(places[chosen], change[chosen], 0.6, color=colour(ink))
        for place, row, share in zip(places, table.to_dict("records"), change, strict=True):
            sign = "−" if share < 0 else "+"
            text = f"{sign}{amount_text(row['constraint'], row['amount'])}"
            look: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points"}
            look |= {"va": "center", "fontsize": type_size(ax)}
            ax.annotate(text, (max(share, 0.0), place), **look)
        ax.axvline(0.0, color="black", lw=0.8)
        name_rows(ax, [_change_name(row) for row in table.to_dict("records")])
        dress(ax, "changes that make a plan possible", x=fits.title, y="")
        describe(ax, _groups_text(together))
    if known_changes > len(table):
        figure.describe(f"Smaller changes that are left out: {known_changes - len(table)}.")
    return figure


def _change_name(row: Mapping[Any, Any]) -> str:
    words = {"available": "supply", "rack_units": "rack units"}
    name = words.get(row["constraint"], row["constraint"])
    of = f" of {row['of']}" if row["of"] else ""
    when = "" if pd.isna(row["quarter"]) else f" in Q{int(row['quarter'])}"
    return f"{name}{of}{when}"


def _groups_text(together: Bools) -> str:
    """Return what the bars mean."""
    parts = []
    if together.any():
        parts.append("Blue: all these changes together; their sum is the smallest possible.")
    if not together.all():
        parts.append("Orange: the changes of one limit, or of the demand of one class, are enough.")
    return " ".join([*parts, "Shares of the limit or of the demand."])
