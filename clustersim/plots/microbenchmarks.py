"""Plots of the efficiency of a chip according to microbenchmarks and as shipped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from clustersim.array_types import Floats
from clustersim.calibration.microbenchmarks import Microbenchmarks
from clustersim.catalogue import Accelerator
from clustersim.performance import (
    AcceleratorArrays,
    Calibration,
    Coefficients,
    default_calibration,
    default_stack,
    labels_of,
)
from clustersim.performance.matmul import matmul_seconds
from clustersim.performance.rates import rates_of
from clustersim.plots.style import COLOURS, MARKERS, colour, new_figure, style
from clustersim.units import format_percent

__all__ = ["draw_chip", "plot_attention", "plot_products", "plot_steps"]


DRAWS = 400
POINTS = 80
BYTES = 2.0
"""Bytes per element that the model assumes for the memory traffic of a matrix product, in every
precision."""
RATIOS = (
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.8,
    0.9,
    1.0,
    1.1,
    1.2,
    1.4,
    1.7,
    2,
    3,
    5,
    10,
    20,
    50,
)
LOW = 0.4
"""If all points are below this share of the peak, the legend is placed above them."""
WIDEST = 4.0
"""Error bars do not extend the axis of the steps beyond this factor."""
SHORT = 3.0
"""Measurements shorter than this number of launch times are drawn hollow."""
MEASURED, PUBLISHED = COLOURS["blue"], COLOURS["vermilion"]


def draw_chip(
    micro: Microbenchmarks, calibration: Calibration, steps: pd.DataFrame, chip: str
) -> Figure:
    """Draw the matrix products of a chip in BF16 and FP8, its attention, and its whole steps.

    Parameters
    ----------
    micro : Microbenchmarks
    calibration : Calibration
        A calibration fitted to the microbenchmarks.
    steps : DataFrame
        From :func:`clustersim.calibration.chip_tables.step_errors`.
    chip : str
        Name in the catalogue.
    """
    of_chip = steps[steps["chip"] == chip] if len(steps) else steps
    with style():
        figure = new_figure(12.0, 8.6)
        axes = figure.subplots(2, 2, width_ratios=(1.0, 0.85))
        plot_products(micro, calibration, chip, ax=axes[0, 0])
        plot_products(micro, calibration, chip, precision="fp8", ax=axes[0, 1])
        plot_attention(micro, calibration, chip, ax=axes[1, 0])
        plot_steps(of_chip, ax=axes[1, 1])
        figure.supxlabel(
            "Bands: 90 % interval of each calibration. The model describes a product only by its "
            "FLOPs and bytes, so its\nsurface over (m, n, k) is a curve over FLOPs per byte. "
            "Hollow: shorter than three launches, so bound by the host.",
            fontsize=8.5,
            color="#444444",
        )
    return figure


def _axes(ax: Axes | None) -> Axes:
    return new_figure().subplots() if ax is None else ax


def plot_products(
    micro: Microbenchmarks,
    calibration: Calibration,
    chip: str,
    *,
    precision: str = "bf16",
    ax: Axes | None = None,
) -> Axes:
    """Plot the efficiency of matrix products against their FLOPs per byte.

    Parameters
    ----------
    micro, calibration, chip
        As for :func:`draw_chip`.
    precision : {"bf16", "fp8"}
        FP16 is drawn with BF16, which has the same peak.
    ax : Axes, optional
    """
    names = np.array([accelerator.name for accelerator in micro.accelerators])
    fp8 = precision == "fp8"
    rows = np.flatnonzero((names == chip) & (micro.kind == "matmul") & (micro.chips.fp8 == fp8))
    with style():
        ax = _axes(ax)
        ax.set_title(f"Matrix products, {'FP8' if fp8 else 'BF16 and FP16'}", loc="left")
        if not rows.size:
            return _nothing(ax, "not measured")
        m, n, k = (micro.sizes[name][rows] for name in "mnk")
        flops = 2.0 * m * n * k
        intensity = flops / (BYTES * (m * k + k * n + m * n))
        reached = flops / micro.seconds[rows] / micro.chips.peak_flops[rows]
        launch = np.min(micro.seconds[(names == chip) & (micro.kind == "launch")], initial=np.inf)
        short = micro.seconds[rows] < SHORT * launch if np.isfinite(launch) else rows < 0
        kinds = micro.table["precision"].to_numpy(dtype=str)[rows]
        for kind, marker in (("bf16", "o"), ("fp16", "^"), ("fp8", "s")):
            for chosen, face in ((~short, MEASURED), (short, "white")):
                here = (kinds == kind) & chosen
                label = f"measured, {kind.upper()} ({(kinds == kind).sum()})"
                ax.plot(
                    intensity[here],
                    reached[here],
                    linestyle="none",
                    marker=marker,
                    markersize=4.5,
                    markerfacecolor=face,
                    markeredgecolor=MEASURED,
                    markeredgewidth=0.7,
                    label=label if here.any() and face == MEASURED else None,
                )
        grid = np.geomspace(intensity.min() / 1.2, intensity.max() * 1.2, POINTS)
        chip_of = micro.accelerators[int(rows[0])]
        _surfaces(ax, calibration, chip_of, micro.labels[int(rows[0])], precision, grid)
        ax.set(xscale="log", xlim=(grid[0], grid[-1]), ylim=(0.0, 1.0))
        _plain_logarithmic(ax, grid)
        ax.set_xlabel("FLOPs per byte, at 2 bytes per element")
        ax.set_ylabel("share of the peak")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: format_percent(x, 0)))
        ax.legend(loc="lower right" if reached.max() > LOW else "upper left", fontsize=8.5)
    return ax


def _surfaces(
    ax: Axes,
    calibration: Calibration,
    chip: Accelerator,
    labels: tuple[str, ...],
    precision: str,
    intensity: Floats,
) -> None:
    """Draw the efficiency of large products as two calibrations predict it."""
    stack = default_stack(chip.family)
    published = labels_of(chip, stack, precision)
    named = f"shipped calibration ({stack.split(' (')[0] or 'mean of all stacks'})"
    for known, own, ink, dashes, label in (
        (calibration, labels, MEASURED, "-", "fitted with microbenchmarks"),
        (default_calibration(), published, PUBLISHED, "--", named),
    ):
        middle = _efficiency(chip, precision, known.mean_draw().coefficients([own]), intensity)
        drawn = known.draw(DRAWS).coefficients([own])
        low, high = np.quantile(_efficiency(chip, precision, drawn, intensity), (0.05, 0.95), 0)
        ax.fill_between(intensity, low, high, color=ink, alpha=0.15, lw=0)
        ax.plot(intensity, middle, color=ink, linestyle=dashes, label=label)


def _efficiency(
    chip: Accelerator, precision: str, coefficients: Coefficients, intensity: Floats
) -> Floats:
    """Return the share of the peak that cubic products (m = n = k) reach, by FLOPs per byte.

    A product of side s has ``2 s^3`` FLOPs and ``6 s^2`` bytes.

    Returns
    -------
    array (..., intensities)
    """
    side = 3.0 * intensity
    chips = AcceleratorArrays.of([chip], precision)
    rates = rates_of(chips, coefficients)
    seconds = matmul_seconds(side, side, side, rates, coefficients)
    result: Floats = 2.0 * side**3 / seconds / chips.peak_flops
    return result


def plot_attention(
    micro: Microbenchmarks, calibration: Calibration, chip: str, *, ax: Axes | None = None
) -> Axes:
    """Plot the efficiency of fused attention, forward pass, against the sequence length.

    Parameters
    ----------
    micro, calibration, chip, ax
        As for :func:`plot_products`.
    """
    names = np.array([accelerator.name for accelerator in micro.accelerators])
    rows = np.flatnonzero((names == chip) & (micro.kind == "attention"))
    with style():
        ax = _axes(ax)
        ax.set_title("Fused causal attention", loc="left")
        if not rows.size:
            return _nothing(ax, "not measured")
        models = micro.models.take(rows)
        width = models.attention_width / models.heads
        forward = micro.forward_only[rows]
        flops = np.where(forward, 1.0, 3.5) * 4.0 * micro.sizes["micro_batch"][rows]
        flops = flops * models.seq_len * models.span * models.attention_width
        reached = flops / micro.seconds[rows] / micro.chips.bf16_flops[rows]
        own = calibration.mean_draw().coefficients([micro.labels[int(rows[0])]])
        for place, size in enumerate(np.unique(width)):
            ink, marker = colour(place), MARKERS[place % len(MARKERS)]
            for direction, face in ((True, ink), (False, "white")):
                here = (width == size) & (forward == direction)
                ax.plot(
                    models.seq_len[here],
                    reached[here],
                    linestyle="none",
                    marker=marker,
                    markerfacecolor=face,
                    markeredgecolor=ink,
                    label=f"heads of {size:g}" if direction and here.any() else None,
                )
            most = own.attention_efficiency / (1.0 + own.softmax_width / size)
            lengths, first = np.unique(models.seq_len[width == size], return_index=True)
            share = most / (1.0 + own.attention_ramp / models.span[width == size][first])
            ax.plot(lengths, share, color=ink, lw=1.2, alpha=0.8)
        ax.set(xscale="log", ylim=(0.0, 1.0))
        ax.xaxis.set_major_locator(FixedLocator([2**power for power in range(6, 21)]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("sequence length (tokens)")
        ax.set_ylabel("share of the BF16 peak (FLOPs of the causal half)")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: format_percent(x, 0)))
        ax.plot([], [], color="#555555", lw=1.2, label="fitted")
        ax.legend(
            loc="upper left", fontsize=8.5, ncols=2, title="filled: forward; hollow: both passes"
        )
    return ax


def plot_steps(steps: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot predicted / measured times of whole steps, for fits with and without microbenchmarks.

    Parameters
    ----------
    steps : DataFrame
        From :func:`clustersim.calibration.chip_tables.step_errors`.
    ax : Axes, optional
    """
    with style():
        ax = _axes(ax)
        ax.set_title("Whole steps, not used in the fit", loc="left")
        if not len(steps):
            return _nothing(ax, "none measured")
        place = np.arange(len(steps))[::-1]
        ax.axvspan(1 / 1.08, 1.08, color="#999999", alpha=0.18, lw=0)
        ax.axvline(1.0, color="#333333", lw=0.8)
        ax.plot(
            1.0 + steps["shipped_error"],
            place,
            linestyle="none",
            marker="D",
            markersize=4.0,
            color=PUBLISHED,
            label=_median("shipped calibration", steps["shipped_error"]),
        )
        measured = steps["measured_s"]
        ax.hlines(place, steps["lo_s"] / measured, steps["hi_s"] / measured, color=MEASURED, lw=0.8)
        ax.plot(
            1.0 + steps["error"],
            place,
            linestyle="none",
            marker="o",
            color=MEASURED,
            label=_median("with microbenchmarks", steps["error"]),
        )
        ax.set_yticks(place, _step_names(steps), fontsize=7.5)
        ax.set_ylim(-0.7, len(steps) + 0.16 * len(steps))
        points = 1.0 + steps[["error", "shipped_error"]].to_numpy(dtype=np.float64)
        ends = (steps[["lo_s", "hi_s"]].T / measured).to_numpy(dtype=np.float64)
        low = min(points.min(), max(ends.min(), 1.0 / WIDEST))
        high = max(points.max(), min(ends.max(), WIDEST))
        ax.set(xscale="log", xlim=(low / 1.04, high * 1.04))
        ax.xaxis.set_major_locator(FixedLocator(RATIOS))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("predicted / measured (bars: 90 %; grey: within 8 %)")
        ax.legend(loc="upper right", fontsize=8.5, borderaxespad=0.0, labelspacing=0.2)
    return ax


def _median(name: str, error: pd.Series[float]) -> str:
    return f"{name} (median error {format_percent(error.abs().median())})"


def _step_names(steps: pd.DataFrame) -> Sequence[str]:
    names = []
    for row in steps.to_dict("records"):
        model = str(row["model"]).replace(" truncated to ", ", ")
        again = ", recompute" if row["recompute"] == "full" else ""
        names.append(f"{model}, batch {row['global_batch']}{again}")
    return names


def _nothing(ax: Axes, why: str) -> Axes:
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", color="#555555")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def _plain_logarithmic(ax: Axes, grid: Floats) -> None:
    ticks = [10**power * step for power in range(0, 5) for step in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([x for x in ticks if grid[0] <= x <= grid[-1]]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
