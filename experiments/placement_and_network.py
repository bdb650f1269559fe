"""What does an oversubscribed network cost packed and scattered jobs, and what does it save?

Three studies: placements on 512 H200, a rail-optimised fabric and a fat tree of the same switches
for 1,024 H200, and the mixed fleet with networks of several prices.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from clustersim import load_catalogue, load_result, plots
from clustersim.plots.figure import DOUBLE, dress, study_figure
from clustersim.report import run_experiment
from clustersim.report.of_study.network_designs import network_designs
from clustersim.units import SECONDS_PER_YEAR, format_money, format_percent

HERE = Path(__file__).parent
STUDIES = ("placement_and_network", "rail_or_fat_tree", "network_designs")
LEAF = "cluster.pools.h200.fabric.oversubscription.leaf"
SETTING = "setting"
NAMES = {
    ("topology_aware", "adaptive"): "packed jobs",
    ("topology_aware", "ecmp"): "packed jobs, ECMP",
    ("random", "adaptive"): "random nodes",
}
"""Placement and load balancing in the study of the mixed fleet."""
OTHER_PRICES = {0.25: "a quarter", 0.5: "half", 2.0: "twice as much"}
RATIO = plots.Axis("oversubscription of the leaves", dimension="ratio", logarithmic=True)
AXES = {
    LEAF: RATIO,
    "oversubscription": RATIO,
    "network_loss": plots.Axis("accelerator time lost to the network", dimension="share"),
    "share": plots.Axis("goodput lost, price saved", dimension="share"),
    "unit_price": plots.Axis("price by goodput, relative to 1:1", dimension="share"),
}


def finish(folder: Path) -> None:
    """Draw the figure of the three studies, and print the answer."""
    placements, fabrics, fleet = (load_result(folder / name) for name in STUDIES)
    designs = network_designs(fleet)
    pairs = zip(designs["scheduler.placement"], designs["network.load_balancing"], strict=True)
    designs.insert(0, SETTING, [NAMES[pair] for pair in pairs])
    designs.to_csv(folder / "designs.csv", index=False, float_format="%.6g")
    figure = study_figure(4, width=DOUBLE, columns=2, panel_height=2.6)
    first, second, third, fourth = figure.panels
    plots.plot_curve(placements, LEAF, "network_loss", axes=AXES, ax=first)
    plots.plot_curve(fabrics, LEAF, "network_loss", axes=AXES, ax=second)
    draw_both_sides(designs, third)
    plots.plot_curve(designs, "oversubscription", "unit_price", by=SETTING, axes=AXES, ax=fourth)
    titles = (
        "512 H200, by placement",
        "1,024 H200, packed jobs, by fabric",
        "mixed fleet",
        "mixed fleet: servers and network",
    )
    for ax, letter, title in zip(figure.panels, "abcd", titles, strict=True):
        dress(ax, f"{letter}  {title}", x=ax.get_xlabel(), y=ax.get_ylabel(), capital=False)
    plots.save_figure(figure, folder / "placement-and-network")
    shown = designs[["case", SETTING, "network_cny", "saved", "lost", "unit_price"]]
    print(f"\n{shown.to_string(index=False, float_format='{:.3g}'.format)}\n")
    for line in (cost(placements.points, fabrics.points), saving(designs), other_prices(designs)):
        print(textwrap.fill(line, 100))
    print(f"figure: {folder / 'placement-and-network.png'}")


def draw_both_sides(designs: pd.DataFrame, ax: Axes) -> None:
    """Draw the goodput that is lost, by load balancing, and the price that is saved."""
    lost = designs.rename(columns={f"lost{end}": f"share{end}" for end in ("", "_low", "_high")})
    lost = lost.assign(what=[f"lost, {name}" for name in lost[SETTING]])
    saved = designs[designs[SETTING] == designs[SETTING].iloc[0]]
    saved = saved.assign(share=saved["saved"], what="saved")
    table = pd.concat([lost, saved], ignore_index=True)
    names = ["oversubscription", "what", "share", "share_low", "share_high"]
    plots.plot_curve(table[names], "oversubscription", "share", by="what", axes=AXES, ax=ax)


def cost(placements: pd.DataFrame, fabrics: pd.DataFrame) -> str:
    """Return what packed and scattered jobs lose, and what two fabrics of the same switches do."""

    def lost(points: pd.DataFrame, column: str, value: str) -> str:
        most = points[LEAF].max()
        (row,) = points[(points[column] == value) & (points[LEAF] == most)].to_dict("records")
        return interval(*(row[f"network_loss{end}"] for end in ("", "_low", "_high")))

    return (
        f"At {placements[LEAF].max():g}:1, packed jobs lose "
        f"{lost(placements, 'scheduler.placement', 'topology_aware')} of their accelerator time "
        f"to the network, and scattered ones "
        f"{lost(placements, 'scheduler.placement', 'random')}. At {fabrics[LEAF].max():g}:1, "
        f"packed jobs lose {lost(fabrics, 'case', 'rail-optimised')} on a rail-optimised fabric, "
        f"and {lost(fabrics, 'case', 'fat tree')} on a fat tree of the same switches."
    )


def saving(designs: pd.DataFrame) -> str:
    """Return which network is cheapest by unit of goodput for the mixed fleet."""
    first, *others = designs.groupby(SETTING, sort=False)
    best, base = cheapest(first[1]), first[1].iloc[0]
    saved_cny = base["network_cny"] - best["network_cny"]
    life_years = load_catalogue().assumptions.life / SECONDS_PER_YEAR
    less = interval(*(1.0 - best[f"unit_price{end}"] for end in ("", "_high", "_low")))
    lost = interval(*(best[f"lost{end}"] for end in ("", "_low", "_high")))
    rest = [
        f"; {name}: {row['case']}, {format_percent(row['lost'])} lost"
        for name, row in ((name, cheapest(own)) for name, own in others)
    ]
    return (
        f"For the mixed fleet, {best['case']} is cheapest by unit of goodput, {less} below "
        f"{base['case']}: the network costs {format_money(saved_cny)} less "
        f"({format_percent(best['saved'])} of servers and network, or "
        f"{format_money(saved_cny / life_years)} a year), and {lost} of the goodput is lost"
        f"{''.join(rest)}."
    )


def other_prices(designs: pd.DataFrame) -> str:
    """Return which design is cheapest by unit of goodput if the network has other prices."""
    found = []
    for factor, words in OTHER_PRICES.items():
        price = designs["servers_cny"] + factor * designs["network_cny"]
        by_goodput = designs.assign(unit_price=price / (1.0 - designs["lost"]))
        best = [
            f"{cheapest(own)['case']} ({name})"
            for name, own in by_goodput.groupby(SETTING, sort=False)
        ]
        found.append(f"if the network costs {words}, {', '.join(best)}")
    return f"Cheapest {'; '.join(found)}."


def cheapest(designs: pd.DataFrame) -> Mapping[str, Any]:
    """Return the design with the lowest price by goodput."""
    rows: list[dict[Any, Any]] = designs.to_dict("records")
    return min(rows, key=lambda row: float(row["unit_price"]))


def interval(value: float, low: float, high: float) -> str:
    """Return a share with its 95 % interval, of which nothing is below 0."""
    ends = f"{format_percent(max(low, 0.0)).removesuffix(' %')} to {format_percent(high)}"
    return f"{format_percent(value)} ({ends})" if low < high else format_percent(value)


if __name__ == "__main__":
    run_experiment([HERE / f"{name}.yaml" for name in STUDIES], __doc__, then=finish)
