"""Plots of studies on paper: nothing cut, nothing over another, no type below 7 points."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.direct_labels import spread_out
from clustersim.plots.figure import study_figure, text_width, wrap
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.pareto import plot_pareto
from clustersim.plots.periods import plot_periods
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.style import save_figure
from clustersim.plots.warm_up import plot_warm_up
from tests.full_counts import REPEATED, first_of
from tests.plots.study_tables import (
    LOADS,
    capacity_table,
    difference_table,
    fleet_table,
    index_table,
    period_table,
    point_table,
    wait_series,
)

LOAD, POLICY, NODES = "workload.load", "scheduler.policy", "cluster.pools.seedchip.nodes"
H200 = "cluster.pools.h200.nodes"
LONG = ("our_own_policy_with_a_very_long_name", "easy", "plugin.module:ShortestRemainingTime")
CASES = ("status quo", "H200 stopped", "SeedChip late", "HBM halved", "all 910B")
QUARTERS = ("Q1", "Q2", "Q3", "Q4")
POLICIES = ("fcfs", "easy", "easy_sjbf", "conservative")
PLOTS = {
    "curve": lambda ax: plot_curve(
        point_table(POLICIES), LOAD, "mean_wait_s", by=POLICY, objective=3600.0, ax=ax
    ),
    "one line": lambda ax: plot_curve(
        point_table(("easy",), draw=False), LOAD, "mean_bounded_slowdown", ax=ax
    ),
    "one point": lambda ax: plot_curve(
        point_table(("easy",)).iloc[:1], LOAD, "p95_wait_s", by=POLICY, ax=ax
    ),
    "all overloaded": lambda ax: plot_curve(
        point_table(("a", "b")).query("overload"), LOAD, "mean_wait_s", by=POLICY, ax=ax
    ),
    "nothing known": lambda ax: plot_curve(
        point_table(("easy",)).assign(mean_wait_s=np.nan, overload=False),
        LOAD,
        "mean_wait_s",
        ax=ax,
    ),
    "long names": lambda ax: plot_curve(
        point_table(LONG), LOAD, "p95_wait_s", by=POLICY, objective=(3600.0, "promised"), ax=ax
    ),
    "long categories": lambda ax: plot_curve(
        point_table(LONG).query(f"`{LOAD}` == {LOADS[0]}"), POLICY, "p95_wait_s", ax=ax
    ),
    "categories and lines": lambda ax: plot_curve(
        point_table(POLICIES), POLICY, "mean_wait_s", by=LOAD, ax=ax
    ),
    "capacity": lambda ax: plot_capacity(
        capacity_table(), NODES, by=POLICY, objective="a mean wait of 1 h", ax=ax
    ),
    "capacity of categories": lambda ax: plot_capacity(
        capacity_table(), POLICY, by=NODES, value="jobs_per_day", ax=ax
    ),
    "differences": lambda ax: plot_differences(difference_table(), "mean_wait_s", x=LOAD, ax=ax),
    "rows of differences": lambda ax: plot_differences(
        difference_table().query(f"`{LOAD}` == 0.9"), "mean_wait_s", relative=False, ax=ax
    ),
    "differences over draws": lambda ax: plot_differences(
        difference_table()
        .query(f"`{LOAD}` == 0.9")
        .assign(relative_draw_low=-0.9, relative_draw_high=0.6),
        "mean_wait_s",
        ax=ax,
    ),
    "periods": lambda ax: plot_periods(
        period_table(CASES), "useful_flop_per_s", QUARTERS, by="case", ax=ax
    ),
    "periods with a gap": lambda ax: plot_periods(
        period_table(CASES[:2]), "p95_wait_s", QUARTERS, by="case", ax=ax
    ),
    "twelve periods": lambda ax: plot_periods(
        period_table(CASES, 12), "useful_flop_per_s", [*map(str, range(1, 13))], by="case", ax=ax
    ),
    "one case": lambda ax: plot_periods(
        period_table(("now",)), "useful_flop_per_s", QUARTERS, ax=ax
    ),
    "trade-off": lambda ax: plot_pareto(
        fleet_table(), "fleet_cost_cny", "p95_wait_s", by=POLICY, ax=ax
    ),
    "heat map": lambda ax: plot_heat_map(
        fleet_table().query(f"`{POLICY}` == 'fcfs'"), NODES, H200, "p95_wait_s", ax=ax
    ),
    "long heat map": lambda ax: plot_heat_map(
        point_table(LONG), POLICY, LOAD, "mean_wait_s", objective=600.0, ax=ax
    ),
    "indices": lambda ax: plot_indices(index_table(), "p95_wait_s", ax=ax),
    "warm-up": lambda ax: plot_warm_up(wait_series(), warm_up=[0.2, 0.25, 0.3], ax=ax),
}

ONE_OF_EACH = (
    "curve",
    "capacity",
    "differences",
    "periods",
    "trade-off",
    "heat map",
    "indices",
    "warm-up",
)


def written(figure) -> list[Text]:
    """All texts that are seen; of ticks only those within the axes."""
    texts = [*figure.texts, figure._suptitle, figure._supxlabel]
    for ax in figure.axes:
        texts += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for line, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = min(low, high), max(low, high)
            texts += [
                tick.label1 if line is ax.xaxis or tick.label1.get_visible() else tick.label2
                for tick in line.get_major_ticks()
                if low <= tick.get_loc() <= high
            ]
    seen = {id(text): text for text in texts if text is not None}
    return [text for text in seen.values() if text.get_visible() and text.get_text().strip()]


def assert_legible(figure) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    figure.draw(renderer)
    texts = written(figure)
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        where = f"{text.get_text()!r} at {box}"
        assert text.get_fontsize() >= 7.0, where
        assert box.x0 >= -0.5, where
        assert box.y0 >= -0.5, where
        assert box.x1 <= figure.bbox.width + 0.5, where
        assert box.y1 <= figure.bbox.height + 0.5, where
    level = [k for k, text in enumerate(texts) if text.get_rotation() in (0.0, 90.0)]
    for one, other in combinations(level, 2):
        shrunk = boxes[one].padded(-0.6)
        assert not shrunk.overlaps(boxes[other]), (
            f"{texts[one].get_text()!r} and {texts[other].get_text()!r}"
        )


@pytest.mark.parametrize("width", [3.3, pytest.param(7.0, marks=REPEATED)])
@pytest.mark.parametrize("name", PLOTS)
def test_a_panel_is_legible(name, width):
    figure = study_figure(1, width=width, title="How much work the mixed fleet carries, by policy")
    PLOTS[name](figure.panels[0])
    assert figure.get_figwidth() == width
    assert_legible(figure)


@pytest.mark.parametrize(
    "names",
    [
        ("curve", "heat map"),
        ("capacity", "differences"),
        ("long names", "trade-off"),
        ("warm-up", "capacity of categories"),
        ("indices", "one line", "categories and lines"),
    ],
)
def test_panels_side_by_side_are_legible(names):
    figure = study_figure(len(names), width=7.0, title="A title of several panels, " * 6)
    for name, ax in zip(names, figure.panels, strict=True):
        PLOTS[name](ax)
    assert_legible(figure)


@pytest.mark.parametrize("name", first_of(PLOTS, 8))
def test_every_plot_is_complete_alone(name):
    ax = PLOTS[name](None)
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    assert_legible(ax.figure)


@pytest.mark.parametrize(
    "name",
    [name if name in ONE_OF_EACH else pytest.param(name, marks=pytest.mark.slow) for name in PLOTS],
)
def test_same_bytes(tmp_path, name):
    for copy in ("one", "two"):
        save_figure(PLOTS[name](None).figure, tmp_path / copy)
    for suffix in (".png", ".svg"):
        first, second = ((tmp_path / f"{copy}{suffix}").read_bytes() for copy in ("one", "two"))
        assert first == second


def test_a_caption_is_wrapped_and_the_figure_grows():
    small, large = study_figure(1), study_figure(1, caption="What the bands are. " * 20)
    assert large.get_figheight() > small.get_figheight() + 0.5
    assert_legible(large)


@given(
    st.lists(
        st.tuples(st.floats(-50, 150), st.floats(1, 9)).map(lambda pair: pair),
        min_size=1,
        max_size=10,
    )
)
def test_spread_labels_do_not_overlap_and_stay_in_the_room(pairs):
    wanted, sizes = (np.array(column) for column in zip(*pairs, strict=True))
    places = spread_out(wanted, sizes, 0.0, 100.0)
    order = np.argsort(places, kind="stable")
    low, high = (places - sizes / 2)[order], (places + sizes / 2)[order]
    assert (low[1:] >= high[:-1] - 1e-9).all()
    assert low[0] >= -1e-9
    assert high[-1] <= 100.0 + 1e-9


def test_labels_with_room_stay_where_they_are():
    np.testing.assert_allclose(spread_out([10, 50, 90], [8, 8, 8], 0, 100), [10, 50, 90])


@given(st.text(alphabet="abc ._-1%", max_size=60), st.floats(20, 200))
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    lines = wrap(text, width, 7.5)
    assert lines.replace("\n", "").replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, 7.5) <= width for line in lines.split("\n") if len(line) > 1)


@pytest.mark.parametrize(
    ("column", "values", "title"),
    [
        ("workload.load", [0.5, 1.0], "offered load"),
        ("mean_wait_s", [0.0, 40.0], "mean wait, s"),
        ("p95_wait_s", [3e5, 6e5], "95th percentile of wait, d"),
        ("utilisation.h200", [0.2, 0.9], "utilisation of pool h200, %"),
        ("chips.seedchip", [64, 512], "chips of pool seedchip"),
        ("fleet_cost_cny", [1.2e9, 9e9], "purchase price of the servers, billion CNY"),
        ("fleet_power_w", [2e7], "power of the chips, MW"),
        ("cluster.pools.h200.nic", [5e10, 1e11], "NIC bandwidth of pool h200, GB/s"),
        ("catalogue.MyChip.peak_flops.bf16.value", [6e14], "BF16 peak of MyChip, TFLOP/s"),
        ("cluster.datacenter_network.rate", [2e11], "bandwidth between pools, GB/s"),
        ("some.unheard_of.think_time_s", [7200.0], "think time, h"),
        ("anything", [3.0], "anything"),
    ],
)
def test_axes_have_words_and_units(column, values, title):
    assert axis_of(column).fitted(values).title == title


def test_axes_can_be_overridden():
    axes = {LOAD: Axis("share of the fleet", "%", 0.01), "mean_wait_s": Axis("delay", "s")}
    ax = plot_curve(point_table(("easy",)), LOAD, "mean_wait_s", axes=axes)
    assert ax.get_xlabel() == "share of the fleet, %"
    assert ax.get_ylabel() == "delay, s"
    ax.figure.draw_without_rendering()
    assert {"60", "80", "100"} <= {label.get_text() for label in ax.get_xticklabels()}
    assert axis_of("x", label="y", dimension="duration").fitted([9e4, 2e5]).title == "y, d"
    with pytest.raises(InputError, match="did you mean 'bandwidth'"):
        axis_of("x", dimension="bandwith")
