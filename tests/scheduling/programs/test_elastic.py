"""One option per job, Sia and Pollux, against enumeration and a dynamic program."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.programs import options as program
from clustersim.scheduling.programs.elastic import (
    Configurations,
    pollux,
    power_mean,
    restart_factors,
    sia,
    sia_utilities,
)
from clustersim.scheduling.programs.options import Options, choose
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(25))


@st.composite
def choices(draw: st.DrawFn) -> Options:
    """Draw up to eight options of up to four jobs on up to two pools."""
    jobs, pools, n = draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 8))

    def column(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    return Options(
        jobs=column(0, jobs - 1),
        pools=column(0, pools - 1),
        counts=column(1, 4),
        values=column(-2, 12) / 4.0,
        n_jobs=jobs,
        accelerators=np.array(draw(st.lists(st.integers(0, 6), min_size=pools, max_size=pools))),
    )


def used(options: Options, chosen: list[int]) -> np.ndarray:
    rows = [row for row in chosen if row >= 0]
    return np.bincount(
        options.pools[rows], options.counts[rows], minlength=len(options.accelerators)
    )


def best_by_enumeration(options: Options) -> float:
    each = [[-1, *np.flatnonzero(options.jobs == job)] for job in range(options.n_jobs)]
    return max(
        sum(float(options.values[row]) for row in chosen if row >= 0)
        for chosen in product(*each)
        if (used(options, list(chosen)) <= options.accelerators).all()
    )


def check_best(options: Options) -> None:
    found = choose(options)
    assert found.value == pytest.approx(best_by_enumeration(options), abs=1e-9)
    assert found.gap <= 1e-6
    chosen = found.option.tolist()
    assert (used(options, chosen) <= options.accelerators).all()
    assert all(options.jobs[row] == job for job, row in enumerate(chosen) if row >= 0)


@repeatable
@given(choices())
def test_best_choice(options: Options) -> None:
    check_best(options)


@settings(repeatable, max_examples=examples(25))
@given(options=choices())
def test_best_choice_with_all_reductions(options: Options) -> None:
    """The column generation and the second search are used for large programs only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_SMALL", 1)
        patch.setattr(program, "_CORE", 0)
        check_best(options)


def test_a_search_that_ends_early_says_its_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight jobs of values that differ by little: without a tree, it is not proven optimal."""
    draw = np.random.default_rng(3)
    options = Options(
        jobs=np.repeat(np.arange(8), 3),
        pools=np.zeros(24, dtype=np.int64),
        counts=draw.integers(3, 9, 24),
        values=draw.uniform(1.0, 2.0, 24),
        n_jobs=8,
        accelerators=np.array([17]),
    )
    best = choose(options)
    assert best.gap <= 1e-9
    monkeypatch.setattr(program, "_CORE", 0)
    monkeypatch.setattr(program, "_SEARCHED", 0)
    early = choose(options)
    assert early.value <= best.value <= early.bound
    assert early.gap > 1e-3
    assert early.gap == pytest.approx((early.bound - early.value) / early.bound)
    assert (used(options, early.option.tolist()) <= options.accelerators).all()


def configurations(seed: int, jobs: int, counts: list[int], accelerators: list[int]) -> object:
    """Random concave goodputs, some jobs running."""
    random = np.random.default_rng(seed)
    pools = np.repeat(np.arange(len(accelerators)), len(counts))
    sizes = np.tile(counts, len(accelerators))
    power = random.uniform(0.4, 1.0, (jobs, 1))
    speed = random.uniform(0.5, 3.0, (jobs, len(accelerators)))
    return Configurations(
        pools=pools,
        counts=sizes,
        goodputs=speed[:, pools] * sizes**power * (random.random((jobs, len(pools))) > 0.1),
        accelerators=np.array(accelerators),
        current=np.where(random.random(jobs) < 0.5, random.integers(0, len(pools), jobs), -1),
        age_s=random.uniform(0, 5000, jobs),
        restarts=random.integers(0, 3, jobs).astype(float),
        restart_delay_s=random.uniform(10, 200, jobs),
    )


@pytest.mark.parametrize("fairness", [-0.5, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_sia_by_enumeration(seed: int, fairness: float) -> None:
    """The objective is added up job by job, penalties included."""
    given = configurations(seed, 4, [1, 2, 4], [4, 2])
    assert isinstance(given, Configurations)
    utilities = sia_utilities(given)

    def objective(chosen: tuple[int, ...]) -> float:
        total = 0.0
        for job, option in enumerate(chosen):
            running = given.current[job] >= 0
            if option < 0:
                total -= 1.1
            else:
                total += np.sign(fairness) * utilities[job, option] ** fairness
            total -= 0.01 * (running and option != given.current[job])
        return total

    def fits(chosen: tuple[int, ...]) -> bool:
        rows = [row for row in chosen if row >= 0]
        if any(row >= 0 and utilities[job, row] <= 0 for job, row in enumerate(chosen)):
            return False
        use = np.bincount(given.pools[rows], given.counts[rows], minlength=2)
        return bool((use <= given.accelerators).all())

    all_of_them = product(range(-1, len(given.pools)), repeat=4)
    best = max(objective(chosen) for chosen in all_of_them if fits(chosen))
    found = sia(given, fairness=fairness, gap=0.0)
    assert objective(tuple(found.option.tolist())) == pytest.approx(best, abs=1e-9)
    assert fits(tuple(found.option.tolist()))


def test_utilities_by_hand() -> None:
    """Goodputs 2 and 3 on 2 and 4: twice 1 and 1.5. A restart costs (900 - 100) / (900 + 100)."""
    given = Configurations(
        pools=np.array([0, 0]),
        counts=np.array([2, 4]),
        goodputs=np.array([[2.0, 3.0], [2.0, 3.0], [0.0, 0.0]]),
        accelerators=np.array([8]),
        current=np.array([0, -1, -1]),
        age_s=np.array([900.0, 0.0, 0.0]),
        restarts=np.array([1.0, 0.0, 0.0]),
        restart_delay_s=np.array([100.0, 100.0, 100.0]),
    )
    assert restart_factors(given).tolist() == [[1.0, 0.8], [1.0, 1.0], [1.0, 1.0]]
    assert sia_utilities(given)[:2] == pytest.approx(np.array([[2.0, 2.4], [2.0, 3.0]]))
    assert not sia_utilities(given)[2].any()


@pytest.mark.parametrize("power", [-1.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_pollux_by_a_dynamic_program(seed: int, power: float) -> None:
    given = configurations(seed, 6, [1, 2, 3, 4, 5, 6], [9])
    assert isinstance(given, Configurations)
    found = pollux(given, power=power, gap=0.0)
    sign = np.sign(power)
    alone = Configurations(**{**vars(given), "accelerators": np.array([9 * 6])})
    factors = restart_factors(alone)
    fair = np.where(given.counts <= 9 / 6, given.goodputs, 0.0).max(axis=1)
    smallest = np.array([row[row > 0][0] for row in given.goodputs])
    speedups = given.goodputs * factors / np.where(fair > 0, fair, smallest)[:, None]
    best = np.zeros(10)
    for row in speedups:
        before = best.copy()
        for count, speedup in zip(given.counts, row, strict=True):
            if speedup > 0:
                gain = sign * (speedup**power - 0.01**power)
                best[count:] = np.maximum(best[count:], before[: 10 - count] + gain)
    assert found.value == pytest.approx(best[9], rel=1e-9)


def test_fitness_is_a_power_mean() -> None:
    assert power_mean(np.array([2.0, 2.0 / 3.0])) == pytest.approx(1.0)
    assert power_mean(np.array([2.0, 0.0])) == 0.0
    assert power_mean(np.array([2.0, 0.0]), 1.0) == 1.0


def test_wrong_inputs() -> None:
    given = configurations(0, 2, [1], [1])
    assert isinstance(given, Configurations)
    with pytest.raises(InputError, match="fairness: is 0"):
        sia(given, fairness=0.0)
    with pytest.raises(InputError, match="idle_speedup: is 0"):
        pollux(given, idle_speedup=0.0)
    with pytest.raises(InputError, match=r"current: has the shape \(1,\); must be \(2,\)"):
        Configurations(**{**vars(given), "current": np.array([0])})
    with pytest.raises(InputError, match="counts: is 0; must be at least 1"):
        Options(
            jobs=np.array([0]),
            pools=np.array([0]),
            counts=np.array([0]),
            values=np.array([1.0]),
            n_jobs=1,
            accelerators=np.array([1]),
        )


@pytest.mark.slow
def test_three_thousand_jobs_on_four_pools() -> None:
    """The gap is as small as asked for, without a search over all 108,000 options."""
    given = configurations(0, 3000, [1, 2, 4, 8, 16, 32, 64, 128, 256], [4096, 2048, 2048, 1024])
    assert isinstance(given, Configurations)
    found = sia(given)
    rows = found.option[found.option >= 0]
    use = np.bincount(given.pools[rows], given.counts[rows], minlength=4)
    assert (use <= given.accelerators).all()
    assert found.gap <= 1e-4
