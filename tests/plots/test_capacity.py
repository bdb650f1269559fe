"""The capacity figure: legible, honest about overload, the same bytes each time."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clustersim.plots.capacity import draw_capacity_curves, plot_measure
from clustersim.plots.style import new_figure, save_figure
from clustersim.studies import LoadSweep, Objective, SweepResult

LOADS = (0.5, 0.7, 0.9, 1.1)


def made_up(policies: tuple[str, ...], replications: int = 3) -> SweepResult:
    rows = [
        {
            "load": load,
            "policy": policy,
            "replication": k,
            "mean_wait_s": 1200 * load**8 * (1 + 0.3 * k) / (1 + index),
            "p95_wait_s": 6000 * load**6 * (1 + 0.3 * k) / (1 + 0.1 * index),
            "mean_bounded_slowdown": 1 + 5 * load**8,
            "utilisation": min(load, 1.0),
            "wait_rise_s": 0.0,
            "backlog_growth": 0.1 + 0.001 * k if load > 1 else 0.0,
        }
        for load in LOADS
        for index, policy in enumerate(policies)
        for k in range(replications)
    ]
    return SweepResult(LoadSweep("", LOADS, policies, replications), pd.DataFrame(rows))


@pytest.mark.parametrize("policies", [("fcfs",), ("fcfs", "easy"), ("fcfs", "easy", "sjf")])
def test_no_text_is_cut_or_covers_another(policies):
    note = "A long line of a note that says what the bands and the triangles are. " * 3 + "\nB"
    figure = draw_capacity_curves(made_up(policies), Objective(), title="Title", note=note)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    for ax in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in ax.texts]
        for one, other in combinations(boxes, 2):
            assert not one.overlaps(other)
        for box in boxes:
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height
        assert ax.get_xlabel()
        assert ax.get_ylabel()


def test_overload_is_not_drawn_as_a_wait():
    ax = plot_measure(made_up(("fcfs",)).points(), "mean_wait_s")
    line = ax.lines[0]
    assert list(line.get_xdata()) == [0.5, 0.7, 0.9]
    assert np.isfinite(line.get_ydata()).all()
    assert any("overload" in text.get_text() for text in ax.texts)


def test_one_replication_is_drawn_without_a_band():
    ax = plot_measure(made_up(("fcfs",), replications=1).points(), "p95_wait_s")
    edges = ax.collections[0].get_paths()[0].vertices
    assert np.isfinite(edges).all()


def test_draws_into_the_axes_it_is_given():
    ax = new_figure().subplots()
    assert plot_measure(made_up(("fcfs",)).points(), "utilisation", ax=ax) is ax


def test_same_bytes(tmp_path):
    for name in ("one", "two"):
        figure = draw_capacity_curves(made_up(("fcfs", "easy")), Objective())
        save_figure(figure, tmp_path / name)
    for suffix in (".png", ".svg"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
