"""The picture of a chip shows every product, attention and step that was measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import calibrate, load_measurements
from clustersim.calibration.chip_tables import step_errors
from clustersim.calibration.own_data import shipped_microbenchmarks
from clustersim.performance.rates import rates_of
from clustersim.plots.microbenchmarks import draw_chip, plot_attention, plot_products, plot_steps


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "h200.csv"
    shipped_microbenchmarks()["h200"].to_csv(path, index=False)
    calibrated = calibrate(load_measurements([path], own=False), validate=False)
    return calibrated, step_errors(calibrated)


def markers(ax):
    """Points of the axes that are drawn as markers without a line."""
    return [
        line.get_xydata()
        for line in ax.lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    ]


def test_every_measurement_is_drawn(fitted):
    calibrated, steps = fitted
    micro = calibrated.measured.micro
    figure = draw_chip(micro, calibrated.calibration, steps, "H200")
    products, fp8, attention, whole = figure.axes
    narrow = micro.chips.fp8
    assert sum(map(len, markers(products))) == ((micro.kind == "matmul") & ~narrow).sum()
    assert sum(map(len, markers(fp8))) == ((micro.kind == "matmul") & narrow).sum()
    assert sum(map(len, markers(attention))) == (micro.kind == "attention").sum()
    assert sum(map(len, markers(whole))) == 2 * len(steps)
    reached = np.concatenate(markers(products))[:, 1]
    assert (reached > 0).all()
    assert reached.max() < 0.8
    for ax in figure.axes:
        for points in markers(ax):
            low, high = ax.get_xlim()
            assert ((low <= points[:, 0]) & (points[:, 0] <= high)).all()


def test_heads_of_any_width_are_drawn(fitted):
    """Also of a width that no shipped file has."""
    calibrated, _ = fitted
    micro = calibrated.measured.micro
    heads = micro.models.heads.copy()
    heads[np.flatnonzero(micro.kind == "attention")[:2]] *= 4.0  # a quarter as wide
    odd = dataclasses.replace(micro, models=dataclasses.replace(micro.models, heads=heads))
    ax = plot_attention(odd, calibrated.calibration, "H200")
    assert sum(map(len, markers(ax))) == (micro.kind == "attention").sum()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "heads of 32" in labels


def test_lines_are_the_fitted_surface(fitted):
    """Large products reach the efficiency that the coefficients of the chip say."""
    calibrated, _ = fitted
    ax = plot_products(calibrated.measured.micro, calibrated.calibration, "H200")
    line = next(line for line in ax.lines if "micro" in str(line.get_label()))
    micro = calibrated.measured.micro
    chips, draw = micro.chips.take(np.array([0])), calibrated.calibration.mean_draw()
    rate = rates_of(chips, draw.coefficients(micro.labels[:1])).bf16_flops
    share = float(rate[0] / chips.bf16_flops[0])
    heights = line.get_ydata()
    assert (np.diff(heights) > 0).all()
    assert 0.9 * share < heights[-1] < share


def test_a_chip_that_lacks_a_kind(fitted):
    calibrated, _ = fitted
    figure = draw_chip(calibrated.measured.micro, calibrated.calibration, pd.DataFrame(), "H100")
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == ["not measured", "not measured", "not measured", "none measured"]
    assert plot_steps(pd.DataFrame()).texts[0].get_text() == "none measured"
