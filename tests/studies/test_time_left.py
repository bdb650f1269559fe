"""The time that a study still needs, from the durations of its finished runs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from clustersim.analysis.control_variates import Estimate, mean_estimate
from clustersim.analysis.root_search import RootSearch
from clustersim.studies.time_left import MARGIN, RequestState, TimedRun, TimeLeft, time_left


def one_after_the_other(walls: Iterable[float], start: float = 0.0) -> list[TimedRun]:
    """Runs of one worker without gaps."""
    runs = []
    for wall in walls:
        runs.append(TimedRun(start, wall))
        start += wall
    return runs


def point(walls: Iterable[float], total: int, most: int | None = None) -> RequestState:
    runs = one_after_the_other(walls)
    return RequestState(runs, total, total - len(runs), total if most is None else most)


def test_nothing_is_known_before_the_first_run() -> None:
    found = time_left([point([], 10)], workers=2)
    assert found == TimeLeft(0.0, math.inf)
    assert found.text == "time left unknown"


def test_nothing_is_left() -> None:
    assert time_left([point([1.0] * 4, 4)], workers=2) == TimeLeft(0.0, 0.0)


def test_the_first_run_of_a_worker_does_not_count() -> None:
    """It took 30 s because of imports; the others take 2 s."""
    found = time_left([point([30.0, 2.0, 2.0, 2.0], 10)], workers=1)
    assert found.low_s == pytest.approx(12 / MARGIN)
    assert found.high_s == pytest.approx(12 * MARGIN)
    assert found.text == "about 12 s left"


def test_only_first_runs_give_an_upper_end() -> None:
    found = time_left([point([30.0], 10)], workers=1)
    assert found == TimeLeft(0.0, pytest.approx(9 * 30 * MARGIN))
    assert found.text.startswith("up to ")


def test_each_point_has_its_own_duration() -> None:
    """The slow point has nine runs left, the fast one has none: the mean of all is 4 s."""
    fast, slow = point([9.0, *[2.0] * 9], 10), point([10.0], 10)
    found = time_left([fast, slow], workers=1)
    assert found.low_s == pytest.approx(9 * 10 / MARGIN)
    assert found.high_s == pytest.approx(9 * 10 * MARGIN)


def test_a_point_without_runs_may_be_as_slow_as_the_slowest() -> None:
    """Seven runs of 1 s and two of 5 s were made; a point of four runs follows."""
    made = point([1.0, *[1.0] * 6, 5.0, 5.0], 9)
    found = time_left([made, point([], 4)], workers=1)
    assert found.low_s == pytest.approx(4 * 2.0 / MARGIN)
    assert found.high_s == pytest.approx(4 * 5.0 * MARGIN)


def test_few_points_say_nothing_about_the_others() -> None:
    found = time_left([point([1.0] * 5, 5), *(point([], 5) for _ in range(9))], workers=1)
    assert found.low_s == pytest.approx(45 / MARGIN)
    assert found.high_s == math.inf
    assert found.text == "at least 36 s left"


def test_a_search_may_need_all_its_runs() -> None:
    """12 runs are known to be needed, and at most 30: 4 to 22 more of 3 s."""
    search = point([3.0] * 8, 12, most=30)
    found = time_left([search], workers=1)
    assert found.low_s == pytest.approx(4 * 3 / MARGIN)
    assert found.high_s == pytest.approx(22 * 3 * MARGIN)


def test_finished_searches_bound_the_others() -> None:
    """Two of three searches ended after 14 and 16 runs, so the third is not expected to need 30."""
    ended = [point([3.0] * 14, 14), point([3.0] * 16, 16)]
    found = time_left([*ended, point([3.0] * 8, 12, most=30)], workers=1)
    assert found.high_s == pytest.approx((16 - 8) * 3 * MARGIN, rel=1e-9)


def test_a_search_without_runs_has_no_upper_end() -> None:
    others = [point([1.0] * 4, 12, most=30), point([], 12, most=30)]
    assert time_left(others, workers=1).high_s == math.inf
    ended = [point([1.0] * 14, 14), point([1.0] * 14, 14)]
    assert time_left([*ended, point([], 12, most=30)], workers=1).high_s < math.inf


def test_workers_share_the_runs() -> None:
    runs = [TimedRun(2.0 * (k // 4), 2.0) for k in range(12)]
    found = time_left([RequestState(runs, 52, 40, 52)], workers=4)
    assert found.high_s == pytest.approx(40 * 2 / 4 * MARGIN)
    assert found.low_s == pytest.approx((40 - 3) * 2 / 4 / MARGIN), "three are almost done"
    last = time_left([RequestState(runs, 14, 2, 14)], workers=4)
    assert last.high_s == pytest.approx(2.0 * MARGIN), "two runs cannot use four workers"


def test_time_between_runs_counts() -> None:
    """Runs of 0.1 s, one each 0.25 s."""
    runs = [TimedRun(0.25 * k, 0.1) for k in range(20)]
    found = time_left([RequestState(runs, 120, 100, 120)], workers=1)
    assert found.low_s < 25 < found.high_s
    assert found.high_s > 20


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_range_holds_for_a_simulated_study(workers: int) -> None:
    """Points of different speed, slow first runs, scattered durations, a shared queue of workers.

    At 25 and 50 % of the runs, the time that the rest takes is in the range in most studies.
    """
    inside = 0
    studies = 60
    for seed in range(studies):
        draw = np.random.default_rng(seed)
        means = np.sort(draw.uniform(1.0, 4.0, 12))
        walls = [(p, m * draw.lognormal(0.0, 0.3)) for p, m in enumerate(means) for _ in range(8)]
        order = draw.permutation(len(walls))
        free = [draw.uniform(0.0, 0.1) for _ in range(workers)]
        first = [True] * workers
        runs = []
        for number in order:
            place, wall = walls[number]
            worker = int(np.argmin(free))
            wall += 6.0 * first[worker]
            first[worker] = False
            runs.append((free[worker] + wall, place, TimedRun(free[worker], wall)))
            free[worker] += wall
        runs.sort(key=lambda run: run[0])
        for share in (0.25, 0.5):
            count = int(share * len(runs))
            now = runs[count - 1][0]
            states = []
            for place in range(len(means)):
                mine = [run for _, p, run in runs[:count] if p == place]
                states.append(RequestState(mine, 8, 8 - len(mine), 8))
            found = time_left(states, workers=workers)
            inside += found.low_s <= runs[-1][0] - now <= found.high_s
    assert inside >= 0.8 * 2 * studies


def test_a_search_is_bounded_by_halving() -> None:
    """The search never needs more values than it said, as long as its curve is smooth."""
    for seed in range(20):
        draw = np.random.default_rng(seed)
        limit, scatter = draw.uniform(1.0, 8.0), draw.uniform(0.001, 0.3)
        search = RootSearch(at_most=limit, low=0.0, high=3.0, tolerance=0.05)
        tried: dict[float, Estimate] = {}
        said = []
        while values := search.next_values(tried):
            said.append(len(tried) + search.most_left(tried))
            factors = 1 + scatter * np.array([-1.0, 0.0, 1.0])
            tried |= {v: mean_estimate(v**2 * factors) for v in values}
        assert search.most_left(tried) == 0
        assert len(tried) <= said[0] == 2 + 6
