"""Figures of a fit: predicted against measured times, errors by publisher, and coefficients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from clustersim.errors import InputError, unknown_name
from clustersim.performance import PARAMETERS, Calibration
from clustersim.plots.style import COLOURS, colour, new_figure, style
from clustersim.units import format_percent

__all__ = [
    "draw_coefficients",
    "draw_validation",
    "plot_coefficient",
    "plot_predictions",
    "plot_publisher_errors",
    "plot_ratios",
]

LOOKS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "A100, A800": (COLOURS["blue"], "o", ("A100-80GB", "A100-40GB", "A800")),
    "H100, H800": (COLOURS["vermilion"], "s", ("H100", "H800")),
    "H200": (COLOURS["purple"], "D", ("H200", "H200-NVL")),
    "B200": (COLOURS["orange"], "^", ("B200",)),
    "910B": (COLOURS["green"], "v", ("910B2", "910B1", "910B3", "910B4")),
}
"""Colour and marker of each group of similar chips."""
OTHER = ("other", COLOURS["sky"], "P")
LEFT = {
    "within": "rows left out at random within families",
    "across": "publishers left out of the fit",
}
COEFFICIENTS = (
    ("matmul_efficiency", "architecture"),
    ("attention_efficiency", "product"),
    ("nic_factor", "product"),
    ("dp_overlap", "product"),
)
COEFFICIENT_NOTE = "Bars: 90 % posterior intervals. Grey: 90 % interval of the base's prior."
DRAWS = 2000
MINOR_SPAN = 6.0
"""If the ends of a logarithmic axis differ by less than this factor, it also needs labels between
powers of ten."""


def draw_validation(rows: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw the predictions of left-out rows against the measurements, and errors by publisher.

    Parameters
    ----------
    rows : DataFrame
        From :func:`clustersim.calibration.diagnostics.row_table`, with rows and publishers left
        out.
    note : str
        Text below the panels.
    """
    with style():
        figure = new_figure(12.0, 8.8)
        axes = figure.subplots(2, 2, gridspec_kw={"height_ratios": (1.0, 1.0)})
        plot_predictions(rows, ax=axes[0, 0])
        plot_publisher_errors(rows, ax=axes[0, 1])
        plot_ratios(rows, left="within", ax=axes[1, 0])
        plot_ratios(rows, left="across", ax=axes[1, 1])
        if note:
            figure.supxlabel(note, fontsize=8.5, color="#444444")
    return figure


def _axes(ax: Axes | None, height: float = 4.5) -> Axes:
    return new_figure(7.0, height).subplots() if ax is None else ax


def _looks(rows: pd.DataFrame) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Return the name, colour, marker and rows of each group of chips in the table."""
    known = [chip for _, _, chips in LOOKS.values() for chip in chips]
    found = [
        (name, ink, marker, rows[rows["chip"].isin(chips)])
        for name, (ink, marker, chips) in LOOKS.items()
    ]
    found.append((*OTHER, rows[~rows["chip"].isin(known)]))
    return [entry for entry in found if len(entry[-1])]


def plot_predictions(rows: pd.DataFrame, *, left: str = "within", ax: Axes | None = None) -> Axes:
    """Plot predicted against measured step times, with separate marks for left-out rows.

    Parameters
    ----------
    rows : DataFrame
        From :func:`clustersim.calibration.diagnostics.row_table`. If no rows were left out, only
        fitted points are drawn.
    left : {"within", "across"}
        Which predictions to plot: of rows left out within their families, or of publishers left out
        as a whole.
    ax : Axes, optional
    """
    with style():
        ax = _axes(ax)
        fitted = rows["measured_s"] * (1.0 + rows["fitted_error"])
        seen = f"{left}_s" in rows
        ax.plot(
            rows["measured_s"],
            fitted,
            linestyle="none",
            marker=".",
            color="black",
            markersize=1.8 if seen else 4.0,
            zorder=3,
        )
        for name, ink, marker, part in _looks(rows) if seen else ():
            _points(ax, part, left, name, ink, marker)
        spread = [rows["measured_s"].min() / 1.6, rows["measured_s"].max() * 1.6]
        ax.plot(spread, spread, color="#333333", lw=0.8, zorder=0)
        ax.set(xscale="log", yscale="log", xlim=spread, ylim=spread)
        _plain(ax.xaxis, spread[1] / spread[0])
        _plain(ax.yaxis, spread[1] / spread[0])
        ax.set_xlabel("measured step time (s)")
        ax.set_ylabel("predicted (s)")
        ax.set_title(_counted(rows), loc="left")
        ax.plot([], [], linestyle="none", marker=".", color="black", label="fitted")
        ax.legend(loc="upper left", handletextpad=0.2, borderpad=0.2, labelspacing=0.3)
        _say(ax, f"coloured: {LEFT[left]};\nbars: 90 % interval" if seen else "none left out")
    return ax


def _counted(rows: pd.DataFrame) -> str:
    """Return the numbers of published runs and of the user's runs as text."""
    published = int(rows["published"].sum())
    counts = ((published, "published run"), (len(rows) - published, "own run"))
    return ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts if count)


def _plain(axis: Axis, span: float) -> None:
    """Label the ticks of a logarithmic axis with plain numbers, also between powers of ten."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}" if span < MINOR_SPAN else NullFormatter())


def _points(
    ax: Axes,
    part: pd.DataFrame,
    left: str,
    name: str,
    ink: str,
    marker: str,
    *,
    ratio: bool = False,
) -> None:
    """Draw predictions with their intervals, divided by the measured times if `ratio` is true."""
    measured = part["measured_s"]
    by = measured if ratio else 1.0
    low, middle, high = (part[f"{left}_{column}"] / by for column in ("lo_s", "s", "hi_s"))
    ax.vlines(measured, low, high, color=ink, lw=0.6, alpha=0.25)
    ax.plot(
        measured,
        middle,
        linestyle="none",
        marker=marker,
        color=ink,
        markersize=3.6,
        markeredgecolor="white",
        markeredgewidth=0.3,
        label=name,
    )


def _say(ax: Axes, text: str) -> None:
    ax.text(
        0.98,
        0.03,
        text,
        transform=ax.transAxes,
        ha="right",
        va="bottom",
        fontsize=8.5,
        color="#333333",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
    )


def plot_ratios(rows: pd.DataFrame, *, left: str = "within", ax: Axes | None = None) -> Axes:
    """Plot predicted divided by measured step times of left-out rows, with 90 % intervals.

    Parameters
    ----------
    rows, left, ax
        As for :func:`plot_predictions`.
    """
    with style():
        ax = _axes(ax)
        for name, ink, marker, part in _looks(rows):
            _points(ax, part, left, name, ink, marker, ratio=True)
        ax.axhline(1.0, color="#333333", lw=0.8)
        ax.axhspan(1 / 1.1, 1.1, color="#999999", alpha=0.18, lw=0)
        reach = max(2.0, 1.1 * float(np.exp(np.log1p(rows[f"{left}_error"]).abs().max())))
        ax.set(xscale="log", yscale="log", ylim=(0.6 / reach, reach))
        ax.yaxis.set_major_locator(
            FixedLocator((0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.4, 2, 3, 5, 10))
        )
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        _plain(ax.xaxis, rows["measured_s"].max() / rows["measured_s"].min())
        ax.set_xlabel("measured step time (s)")
        ax.set_ylabel("predicted / measured")
        ax.set_title(LEFT[left][0].upper() + LEFT[left][1:], loc="left")
        size, good = rows[f"{left}_error"].abs(), rows["complete"]
        covered = rows[f"{left}_covered"]
        others = {"within": "folds", "across": "publishers"}[left]
        best = f", {format_percent(size[good].median())} over {good.sum()} of quality A"
        _say(
            ax,
            f"{format_percent(covered.mean(), 0)} of {len(covered)} rows in their 90 % "
            f"interval,\nwith widths from the other {others}; grey: within 10 %\n"
            f"median error {format_percent(size.median())} over all {len(rows)}"
            f"{best if good.any() else ''}",
        )
    return ax


def plot_publisher_errors(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the mean absolute error of each publisher: with rows left out, and left out itself.

    Parameters
    ----------
    rows : DataFrame
        As for :func:`plot_predictions`, with rows and publishers left out.
    ax : Axes, optional
    """
    with style():
        ax = _axes(ax, 5.5)
        errors = rows.assign(
            within=rows["within_error"].abs(), across=rows["across_error"].abs()
        ).groupby("publisher")[["within", "across"]]
        means = errors.mean().sort_values("across", ascending=False, kind="stable")
        count = rows["publisher"].value_counts()
        place = np.arange(len(means))
        ax.hlines(place, means["within"], means["across"], color="#bbbbbb", lw=1.2, zorder=1)
        for name, ink, marker in (("within", "blue", "o"), ("across", "vermilion", "D")):
            ax.plot(
                means[name],
                place,
                linestyle="none",
                marker=marker,
                color=COLOURS[ink],
                markersize=4.5,
            )
        names = [f"{publisher} ({count[publisher]})" for publisher in means.index]
        ax.set_yticks(place, names, fontsize=8.5)
        ax.set_ylim(-0.7, len(means) + 0.9)
        ax.set_xlim(0.0, max(0.35, 1.1 * means.to_numpy().max()))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_percent(x, 0)))
        ax.set_xlabel("mean absolute error of step time")
        ax.set_title("Mean absolute error by publisher (number of rows)", loc="left")
        labels = ((0.02, "● rows left out", "blue"), (0.4, "◆ publisher left out", "vermilion"))
        for x, text, ink in labels:
            ax.text(
                x,
                len(means) + 0.1,
                text,
                color=COLOURS[ink],
                transform=ax.get_yaxis_transform(),
                fontsize=8.5,
                fontweight="bold",
                va="center",
            )
    return ax


def draw_coefficients(calibration: Calibration) -> Figure:
    """Draw four coefficients, each by architecture or by software product."""
    with style():
        figure = new_figure(9.0, 6.4)
        axes = figure.subplots(2, 2)
        for ax, (parameter, level) in zip(axes.flat, COEFFICIENTS, strict=True):
            plot_coefficient(calibration, parameter, level, ax=ax)
        figure.supxlabel(COEFFICIENT_NOTE, fontsize=8.5, color="#444444")
    return figure


def plot_coefficient(
    calibration: Calibration, parameter: str, level: str, *, ax: Axes | None = None
) -> Axes:
    """Plot a coefficient for each group of a level, with 90 % posterior intervals.

    Parameters
    ----------
    calibration : Calibration
    parameter : str
        A name in :data:`clustersim.performance.PARAMETERS`.
    level : str
        ``architecture``, ``chip``, ``product``, ``release``, ``combination`` or ``source``.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    InputError
        If the parameter or the level is unknown.

    Examples
    --------
    >>> import clustersim as cs
    >>> calibration = cs.performance.default_calibration()
    >>> ax = cs.plots.plot_coefficient(calibration, "matmul_efficiency", "architecture")
    >>> ax.get_xlabel()
    'share of the peak that large matrix products reach'
    """
    by_name = {entry.name: entry for entry in PARAMETERS}
    if parameter not in by_name:
        raise InputError("plot_coefficient", unknown_name("parameter", parameter, by_name))
    levels = {*by_name[parameter].spread} - {"base"}
    if level not in levels:
        raise InputError("plot_coefficient", unknown_name("level", level, levels))
    found = by_name[parameter]
    draw = calibration.draw(DRAWS)
    base = np.asarray(draw.effects.get((parameter, "base", ""), 0.0))
    labels = [key[2] for key in calibration.keys if key[:2] == (parameter, level)]
    draws = {
        label: found.natural(found.centre + base + draw.effects[parameter, level, label])
        for label in labels
    }
    draws = dict(sorted(draws.items(), key=lambda item: float(np.median(item[1]))))
    width = found.spread.get("base", 0.0)
    prior = [float(found.natural(np.array(found.centre + z * width))) for z in (-1.645, 1.645)]
    with style():
        ax = _axes(ax)
        ax.axvspan(*prior, color="#999999", alpha=0.18, lw=0)
        for place, values in enumerate(draws.values()):
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
            ax.hlines(place, low, high, color=colour(0), lw=1.6)
            ax.plot(middle, place, marker="o", color=colour(0), markersize=5)
        if not draws:
            ax.text(0.5, 0.5, "none measured", transform=ax.transAxes, ha="center")
        ax.set_yticks(range(len(draws)), list(draws))
        ax.set_ylim(-0.6, len(draws) - 0.4)
        ax.set_xlabel(found.meaning, fontsize=8.5)
        ax.set_title(f"{parameter.replace('_', ' ')}", loc="left")
    return ax
