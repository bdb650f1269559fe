"""The Gantt chart: every bar where its job ran, nothing covered or cut, large runs refused."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.errors import InputError
from clustersim.plots.gantt import LEAST_WIDTH, plot_gantt
from clustersim.plots.style import COLOURS, new_figure, save_figure
from clustersim.simulation.simulate import Scheduling, replay, simulate
from tests.simulation.fleets import cluster, crowd, jobs, pool

FLEET = cluster(pool("h200", 2, 8), pool("910b", 1, 8))


@pytest.fixture(scope="module")
def result():
    """Shared nodes, waits, a job that never can run, some that run or wait at the end."""
    log = crowd(3, 40, largest=16)
    log["job_class"] = [f"class {'abc'[k % 3]}" for k in range(len(log))]
    log.loc[7, "n_accelerators"] = 1000
    return simulate(log, FLEET, Scheduling(policy="easy", placement="consolidate"), horizon_s=120.0)


def spans(ax):
    """Row, start and end of each bar."""
    bars = [bar for bar in ax.patches if isinstance(bar, Rectangle)]
    return [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_x() + bar.get_width())
        for bar in bars
    ]


@pytest.mark.parametrize("by", ["node", "job"])
def test_bars_of_a_row_do_not_overlap_and_are_the_allocations(result, by):
    ax = plot_gantt(result, by=by)
    drawn = spans(ax)
    for one, two in combinations(sorted(drawn), 2):
        assert one[0] != two[0] or one[2] <= two[1] + 1e-9
    rows = result.allocations if by == "node" else result.jobs.dropna(subset="start_s")
    assert len(drawn) == len(rows)
    ends = rows["end_s"] if by == "node" else rows["finish_s"].fillna(120.0)
    expected = sorted(zip(rows["start_s"], ends, strict=True))
    np.testing.assert_allclose(sorted((start, end) for _, start, end in drawn), expected)


def test_waits_and_jobs_that_never_can_run(result):
    ax = plot_gantt(result, by="job")
    (lines,) = ax.collections
    waits = {int(line[0][1]): (line[0][0], line[1][0]) for line in lines.get_segments()}
    for row, job in enumerate(result.jobs.to_dict("records")):
        end = job["start_s"] if job["start_s"] == job["start_s"] else 120.0
        if job["outcome"] == "never runnable" or end == job["submit_s"]:
            assert row not in waits
        else:
            assert waits[row] == pytest.approx((job["submit_s"], end))
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [list(line.get_ydata()) for line in crosses] == [[7]]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [f"job {job_id}" for job_id in result.jobs["job_id"]]


def test_rows_and_colours_by_hand():
    log = jobs([(0, 8, 60), (0, 4, 30), (0, 4, 90)], job_class=["a", "b", "b"])
    fleet = cluster(pool("gpu", 2, 8))
    result = simulate(log, fleet, Scheduling(placement="consolidate"))
    ax = plot_gantt(result)
    assert sorted(spans(ax)) == [(0, 0, 60), (1, 0, 30), (2, 0, 90)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["node 0", "node 1"]
    assert list(ax.get_yticks()) == [0, 1.5], "a node's name is in the middle of its lanes"
    inks = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert inks == {"1": 0, "2": 1, "3": 2}
    legend = {
        t.get_text(): p
        for t, p in zip(ax.get_legend().texts, ax.get_legend().get_patches(), strict=True)
    }
    assert list(legend) == ["b", "a"], "the most frequent class comes first"
    assert legend["b"].get_facecolor()[:3] == pytest.approx(_rgb(COLOURS["blue"]))
    assert ax.get_xlabel().startswith("simulated time (s)")


def _rgb(ink):
    return tuple(int(ink[k : k + 2], 16) / 255 for k in (1, 3, 5))


def legible(ax):
    figure = ax.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    names = [label for label in ax.get_yticklabels() if label.get_text()]
    legend = ax.get_legend()
    texts = [*ax.texts, *names, *(legend.texts if legend else ()), ax.xaxis.label]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for box in boxes:
        assert -0.5 <= box.x0 < box.x1 <= figure.bbox.width + 0.5
        assert -0.5 <= box.y0 < box.y1 <= figure.bbox.height + 0.5
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    bars = [bar.get_window_extent(renderer) for bar in ax.patches]
    for text in ax.texts:
        box = text.get_window_extent(renderer)
        assert any(bar.x0 <= box.x0 and box.x1 <= bar.x1 and bar.y0 <= box.y0 + 1 for bar in bars)


@pytest.mark.parametrize("by", ["node", "job"])
def test_no_text_is_cut_or_covers_another(result, by):
    legible(plot_gantt(result, by=by))


def test_many_classes_with_long_names_are_still_legible(result):
    table = result.jobs.copy()
    table["job_class"] = [f"{'a long name of a class ' * 2}{k % 9}" for k in range(len(table))]
    ax = plot_gantt(type(result)(table, result.allocations, result.utilisation, result.summary, {}))
    legible(ax)
    named = [text.get_text() for text in ax.get_legend().texts]
    assert len(named) == 9
    assert named[7:] == ["other classes", "still running at the end"]


def test_nodes_that_run_no_jobs_are_grey_and_an_attempt_that_ended_is_not_hatched():
    """Node 0 fails at 30 s and is back at 50 s; its job begins anew and still runs at 90 s."""
    outages = [NodeEvent(0, 60, 0, 1, "not delivered", kind=NodeEventKind.LATE_DELIVERY)]
    outages += [NodeEvent(30, 50, 0, 0, "gpu")]
    log = jobs([(0, 8, 100), (1, 8, 10)])
    placed = Scheduling(placement="consolidate")
    run = simulate(log, cluster(pool("h200", 2, 8)), placed, node_events=outages, horizon_s=90)
    ax = plot_gantt(run)
    hatched = {(bar.get_x(), bar.get_width()): bar.get_hatch() for bar in ax.patches}
    assert [hatched[start, width] is not None for start, width in ((0, 30), (50, 40))] == [
        False,
        True,
    ]
    grey = sorted(
        path.get_extents().intervalx.tolist() for c in ax.collections for path in c.get_paths()
    )
    assert grey == [[0, 60], [30, 50]]
    assert "out of service, absent, or serving" in [t.get_text() for t in ax.get_legend().texts]


def test_nodes_not_reported_apart_and_no_classes():
    ax = plot_gantt(replay(crowd(3, 30, largest=8), policy="easy", accelerators=24))
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [f"lane {k + 1}" for k in range(len(names))]
    assert ax.get_legend() is None
    legible(ax)


@pytest.mark.parametrize(("run_s", "unit"), [(60, "s"), (3600, "min"), (36_000, "h"), (1e6, "d")])
def test_unit_of_time(run_s, unit):
    ax = plot_gantt(replay(jobs([(0, 1, run_s)]), policy="fcfs", accelerators=1))
    assert f"({unit})" in ax.get_xlabel()
    assert 1 < ax.get_xlim()[1] < 200


def test_nothing_ran():
    result = simulate(jobs([(0, 100, 5)]), FLEET, Scheduling())
    for by in ("node", "job"):
        assert spans(plot_gantt(result, by=by)) == []


def test_a_large_run_is_refused():
    wide = replay(crowd(1, 500), policy="easy", accelerators=64)
    with pytest.raises(InputError, match=r"500 bars.*clustersim timeline"):
        plot_gantt(wide)
    tall = replay(crowd(1, 61), policy="easy", accelerators=64)
    with pytest.raises(InputError, match="61 rows"):
        plot_gantt(tall, by="job")
    with pytest.raises(InputError, match="did you mean 'node'"):
        plot_gantt(tall, by="nodes")


def test_the_first_jobs_of_a_large_run():
    tall = replay(crowd(1, 61), policy="easy", accelerators=64)
    ax = plot_gantt(tall, by="job", most_jobs=9)
    assert sorted(row for row, _, _ in spans(ax)) == list(range(9))
    last = tall.jobs["finish_s"][:9].max()
    assert ax.get_xlim()[1] == pytest.approx(last, rel=0.05)


def test_a_short_job_is_seen():
    log = jobs([(0, 1, 1), (0, 1, 100_000)])
    lengths = [end - start for _, start, end in spans(plot_gantt(simulate(log, FLEET)))]
    shortest, longest = sorted(lengths)
    assert shortest == pytest.approx(LEAST_WIDTH * longest)


def test_draws_into_the_axes_it_is_given(result):
    ax = new_figure().subplots()
    assert plot_gantt(result, ax=ax) is ax


def test_same_bytes(result, tmp_path):
    for name in ("one", "two"):
        save_figure(plot_gantt(result).figure, tmp_path / name)
    for suffix in (".png", ".svg"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
