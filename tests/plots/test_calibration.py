"""Pictures of a fit show the numbers of the fit, where they belong."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clustersim.network.fit import fit_links, predicted_seconds, read_collectives
from clustersim.performance import default_calibration
from clustersim.plots.calibration import (
    draw_coefficients,
    draw_validation,
    plot_coefficient,
    plot_predictions,
    plot_publisher_errors,
    plot_ratios,
)
from clustersim.plots.collectives import draw_collectives, plot_busbw, plot_mesh
from clustersim.plots.style import COLOURS, new_figure, save_figure
from tests.calibration.small_fit import small_fit, small_rows

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("small fit")]


@pytest.fixture(scope="module")
def links():
    return fit_links()


def markers_in(ax, ink, marker):
    """Points of one look, as a set."""
    return {
        (round(float(x), 9), round(float(y), 9))
        for line in ax.lines
        if line.get_marker() == marker and line.get_color() == ink
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def pairs(x, y):
    return {(round(float(a), 9), round(float(b), 9)) for a, b in zip(x, y, strict=True)}


@pytest.mark.parametrize("left", ["within", "across"])
def test_predictions_are_where_they_belong(left):
    rows = small_rows()
    ax = plot_predictions(rows, left=left)
    h100 = rows[rows["chip"] == "H100"]
    assert markers_in(ax, COLOURS["vermilion"], "s") == pairs(h100["measured_s"], h100[f"{left}_s"])
    a100 = rows[rows["chip"] == "A100-80GB"]
    assert markers_in(ax, COLOURS["blue"], "o") == pairs(a100["measured_s"], a100[f"{left}_s"])
    fitted = rows["measured_s"] * (1 + rows["fitted_error"])
    assert markers_in(ax, "black", ".") == pairs(rows["measured_s"], fitted)
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xscale() == ax.get_yscale() == "log"
    bars = np.concatenate([part.get_segments() for part in ax.collections])
    ends = sorted(bars[:, :, 1].tolist())
    assert ends == sorted(rows[[f"{left}_lo_s", f"{left}_hi_s"]].to_numpy().tolist())


def test_without_validation_only_fitted_points_are_drawn():
    rows = small_rows().filter(regex="^(?!within|across)")
    ax = plot_predictions(rows)
    assert len(ax.collections) == 0
    assert len(markers_in(ax, "black", ".")) == len(rows)
    assert any("none left out" in text.get_text() for text in ax.texts)


def test_ratios_and_what_is_said_of_them():
    rows = small_rows()
    ax = plot_ratios(rows, left="across")
    h100 = rows[rows["chip"] == "H100"]
    expected = pairs(h100["measured_s"], 1 + h100["across_error"])
    assert markers_in(ax, COLOURS["vermilion"], "s") == expected
    low, high = ax.get_ylim()
    ratios = 1 + rows["across_error"]
    assert low < ratios.min()
    assert ratios.max() < high
    said = " ".join(text.get_text() for text in ax.texts)
    assert f"median error {100 * rows['across_error'].abs().median():.1f} % over all 46" in said
    assert f"{100 * rows['across_covered'].mean():.0f} % of 46 rows in their 90 %" in said


def test_title_counts_own_and_published_runs_apart():
    rows = small_rows().assign(published=[True] * 45 + [False])
    assert plot_predictions(rows).get_title(loc="left") == "45 published runs, 1 own run"


def test_ticks_of_a_short_axis_are_plain_numbers():
    figure = new_figure()
    plot_predictions(small_rows().head(1), ax=figure.subplots())
    FigureCanvasAgg(figure).draw()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels(which="both")]
    assert any(labels)
    assert all(float(label) > 0 for label in labels if label)


def test_publisher_errors_are_sorted_means():
    rows = small_rows()
    ax = plot_publisher_errors(rows)
    labels = [text.get_text().rsplit(" (", 1)[0] for text in ax.get_yticklabels()]
    means = rows.assign(e=rows["across_error"].abs()).groupby("publisher")["e"].mean()
    assert labels == means.sort_values(ascending=False).index.tolist()
    diamonds = markers_in(ax, COLOURS["vermilion"], "D")
    assert diamonds == {(round(means[name], 9), float(at)) for at, name in enumerate(labels)}


def test_coefficient_with_its_interval_and_prior():
    calibration = default_calibration()
    ax = plot_coefficient(calibration, "matmul_efficiency", "architecture")
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert sorted(labels) == ["ampere", "ascend", "blackwell", "hopper"]
    bars = {
        label: part.get_segments()[0][:, 0]
        for label, part in zip(labels, ax.collections, strict=True)
    }
    draw = calibration.draw(4000, seed=1).effects
    for label, (low, high) in bars.items():
        unbounded = np.log(0.72 / 0.28) + draw["matmul_efficiency", "base", ""]
        values = unbounded + draw["matmul_efficiency", "architecture", label]
        values = 1 / (1 + np.exp(-values))
        assert np.quantile(values, (0.05, 0.95)) == pytest.approx([low, high], abs=0.01)
    prior = ax.patches[0].get_extents()
    inverse = ax.transData.inverted().transform(prior.get_points())[:, 0]
    expected = [1 / (1 + np.exp(-(np.log(0.72 / 0.28) + z * 0.3))) for z in (-1.645, 1.645)]
    assert inverse == pytest.approx(expected)


def test_bus_bandwidth_of_eight_h100(links):
    ax = plot_busbw(read_collectives(), links)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["8 A100-80GB", "8 B200", "8 H100"]
    measured = read_collectives()
    chosen = [
        row
        for row, chip in enumerate(measured.accelerator)
        if chip == "H100-SXM" and measured.nodes[row] == 1
    ]
    assert len(chosen) == 23
    busbw = 2e-9 * 7 / 8 * measured.size_bytes[chosen] / measured.seconds[chosen]
    ink = ax.get_legend().get_lines()[2].get_color()
    assert markers_in(ax, ink, "^") == pairs(measured.size_bytes[chosen], busbw)


def test_lines_of_collectives_are_the_model(links):
    measured = read_collectives()
    values = {key: constant.value for key, constant in links.constants.items()}
    ax = plot_mesh(measured, links)
    mesh = np.array(measured.accelerator) == "Ascend-910B"
    reduced = mesh & (np.array(measured.collective) == "all_reduce")
    order = np.flatnonzero(reduced)[np.argsort(measured.ranks[reduced])]
    model = 1e-9 * (measured.size_bytes / predicted_seconds(measured, values))[order]
    assert any(
        list(line.get_xdata()) == [2, 4, 8] and line.get_ydata() == pytest.approx(model)
        for line in ax.lines
        if line.get_linestyle() != "None"
    )
    found = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert found[1].get_ydata() == pytest.approx([18, 30, 72], rel=0.02), "as was measured"


def test_no_text_is_cut_or_covers_another(links):
    figures = (
        draw_validation(small_rows(), note="A note."),
        draw_coefficients(small_fit().calibration),
        draw_collectives(read_collectives(), links),
    )
    for figure in figures:
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        for ax in figure.axes:
            assert ax.get_title(loc="left")
            assert ax.get_xlabel()
            boxes = [text.get_window_extent(renderer) for text in ax.texts]
            for one, other in combinations(boxes, 2):
                assert not one.overlaps(other)
            for box in [*boxes, ax.get_tightbbox(renderer)]:
                assert box.x0 >= -1
                assert box.x1 <= figure.bbox.width + 1
                assert box.y0 >= -1


def test_draws_into_the_axes_it_is_given():
    ax = new_figure().subplots()
    assert plot_ratios(small_rows(), ax=ax) is ax


def test_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_figure(draw_validation(small_rows()), tmp_path / name, ("png",))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
