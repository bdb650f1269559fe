"""Step times, gains and the best batch of the goodput model."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.goodput import StepTimes, best_batch, gain, noise_scale

TIMES = StepTimes(0.05, 0.001, 0.3, 0.01, 0.02, 0.002, 1.0)


def test_step_times_by_hand() -> None:
    assert TIMES.step_s([1, 2, 8], 50).tolist() == pytest.approx([0.1, 0.12, 0.132])
    assert TIMES.step_s([2, 8], 50, nodes=2).tolist() == pytest.approx([0.4, 0.46])
    assert TIMES.step_s(8, 50, accumulation=3) == pytest.approx(0.132 + 3 * 0.1)
    squares = StepTimes(0.3, 0, 0.4, 0, 0, 0, 2.0)
    assert squares.step_s(2, 1, nodes=2) == pytest.approx(0.5)
    overlapping = StepTimes(0.3, 0, 0.4, 0, 0, 0, 200.0)
    assert overlapping.step_s(2, 1, nodes=2) == pytest.approx(0.4)
    with pytest.raises(InputError, match=r"gamma: must be 1 or more, found 0\.5"):
        StepTimes(0, 0, 0, 0, 0, 0, 0.5)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 512), st.floats(1, 64))
def test_a_gain_is_that_of_variance_and_square(v: float, g2: float, m0: int, ratio: float) -> None:
    batch = m0 * ratio
    found = gain(m0, batch, noise_scale(m0, v, g2)).item()
    assert found == pytest.approx((v + g2) / (v * m0 / batch + g2))
    assert 1 - 1e-9 <= found <= ratio + 1e-9


def test_the_best_batch_is_that_of_all() -> None:
    local = [8, 16, 32, 64]
    limits = {"initial_batch": 64, "scale": 500.0, "largest_batch": 1024}
    best = best_batch(TIMES, 4, local, nodes=2, most_accumulation=4, **limits)
    assert best is not None
    goodput = {}
    for size, extra in itertools.product(local, range(5)):
        batch = 4 * size * (extra + 1)
        if 64 <= batch <= 1024:
            step = 0.05 + 0.001 * size + 0.3 + 0.02 + extra * (0.05 + 0.001 * size)
            goodput[size, extra] = batch / step * (500 + 64) / (500 + batch)
    assert goodput[best.local_batch, best.accumulation] == max(goodput.values())
    assert best.goodput == pytest.approx(max(goodput.values()))
    assert best_batch(TIMES, 1, [8], initial_batch=64, scale=1.0) is None
