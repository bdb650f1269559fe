"""Assignments and frontiers by hand, against a grid of assignments, and their invariants."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clustersim.errors import InputError
from clustersim.frontier import FleetRates, best_assignment, frontier, proportional


def rates_of(chips, training, serving, demand, mix=None):
    training = np.array(training, float)
    mix = np.ones(training.shape[1]) if mix is None else np.array(mix, float)
    return FleetRates(
        np.array(chips, float), training, mix, np.array(serving, float), np.array(demand, float)
    )


def test_chips_go_to_what_they_do_best_by_comparison():
    """B is worse at both, but loses less at serving: it serves first."""
    rates = rates_of([10, 10], [[10], [1]], [[3], [2]], [10])
    found = frontier(rates)
    assert [each.served for each in found.corners] == pytest.approx([0, 2, 5])
    assert [each.trained_flops_per_s for each in found.corners] == pytest.approx([110, 100, 0])
    middle = found.corners[1]
    assert middle.training_chips[:, 0] == pytest.approx([10, 0])
    assert middle.serving_chips[:, 0] == pytest.approx([0, 10])
    # The same half of every pool would serve 25 tokens/s and train 55 FLOP/s.
    halves = proportional(rates, 0.5)
    assert (halves.served, halves.trained_flops_per_s) == pytest.approx((2.5, 55))
    assert found.trained(np.array([2.5]))[0] == pytest.approx(100 - 0.5 * 10 / 3 * 10)


def test_classes_keep_the_proportions_of_the_mix():
    """Each chip trains one class only; with 2:1 of FLOPs, 20 chips of 1 FLOP/s hold back 20."""
    rates = rates_of([20, 20], [[1, 0], [0, 1]], [[0], [1]], [10], mix=[2, 1])
    found = best_assignment(rates)
    assert found.trained_flops_per_s == pytest.approx(30)
    assert found.training_chips == pytest.approx(np.array([[20, 0], [0, 10]]))
    # The chips without training serve at no cost.
    first = frontier(rates).corners[0]
    assert (first.served, first.trained_flops_per_s) == pytest.approx((1, 30))
    assert frontier(rates).trained(np.array([0.5]))[0] == pytest.approx(30)


def test_more_than_the_fleet_serves_is_not_a_number():
    rates = rates_of([10], [[1]], [[1]], [10])
    assert np.isnan(frontier(rates).trained(np.array([1.01]))[0])


def test_corners_are_above_all_assignments_of_a_grid():
    rates = rates_of([6, 4], [[3, 1], [1, 2]], [[2, 1], [1, 3]], [4, 5], mix=[1, 2])
    found = frontier(rates)
    steps = np.linspace(0, 1, 13)
    for share in np.stack(np.meshgrid(*[steps] * 6), -1).reshape(-1, 3, 2)[::37]:
        # Shares of each pool: trains, first class, first model.
        train = rates.chips * share[0]
        serve = rates.chips - train
        first, second = train * share[1], train * (1 - share[1])
        trained = min(first @ rates.training[:, 0] * 3, second @ rates.training[:, 1] * 1.5)
        one, other = serve * share[2], serve * (1 - share[2])
        served = min(one @ rates.serving[:, 0] / 4, other @ rates.serving[:, 1] / 5)
        assert trained <= found.trained(np.array([served]))[0] * (1 + 1e-9)


_amounts = st.floats(0.1, 100)


@st.composite
def fleets(draw):
    pools = draw(st.integers(1, 4))
    classes, models = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return FleetRates(
        draw(arrays(float, pools, elements=_amounts)),
        draw(arrays(float, (pools, classes), elements=_amounts)),
        draw(arrays(float, classes, elements=_amounts)),
        draw(arrays(float, (pools, models), elements=_amounts)),
        draw(arrays(float, models, elements=_amounts)),
    )


@given(fleets(), st.floats(0, 1))
def test_frontier_falls_is_concave_and_bounds_equal_shares(rates, share):
    found = frontier(rates)
    served = np.array([each.served for each in found.corners])
    trained = np.array([each.trained_flops_per_s for each in found.corners])
    assert np.all(np.diff(served) > 0)
    assert np.all(np.diff(trained) <= 1e-9 * trained[0])
    slopes = np.diff(trained) / np.diff(served)
    assert all(b <= a + 1e-6 * abs(a) for a, b in pairwise(slopes))
    for each in found.corners:
        used = each.training_chips.sum(axis=1) + each.serving_chips.sum(axis=1)
        assert np.all(used <= rates.chips * (1 + 1e-9) + 1e-9)
    equal = proportional(rates, share)
    most = found.trained(np.array([min(equal.served, found.most_served)]))[0]
    assert equal.trained_flops_per_s <= most * (1 + 1e-6) + 1e-9


@given(fleets(), st.floats(0, 1))
def test_a_point_of_the_frontier_is_the_optimum_of_its_own_program(rates, at):
    found = frontier(rates)
    served = at * found.most_served
    direct = best_assignment(rates, least_served=served)
    expected = found.trained(np.array([served]))[0]
    assert direct.trained_flops_per_s == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serving": [[0.0]]}, "no chip serves"),
        ({"training": [[1.0, 2.0]]}, "shape must be"),
        ({"chips": [-1.0]}, "finite and not negative"),
        ({"mix": [0.0]}, "above 0"),
    ],
)
def test_bad_rates_are_refused(change, message):
    given_rates = {
        "chips": [1.0],
        "training": [[1.0]],
        "mix": [1.0],
        "serving": [[1.0]],
        "demand": [1.0],
    }
    with pytest.raises(InputError, match=message):
        FleetRates(**{name: np.array(value) for name, value in {**given_rates, **change}.items()})


def test_nothing_to_serve_has_no_frontier():
    with pytest.raises(InputError, match="no model has a demand"):
        frontier(rates_of([1], [[1]], [[1]], [0]))


def test_asking_for_too_much_is_refused():
    with pytest.raises(InputError, match="the fleet cannot do"):
        best_assignment(rates_of([1], [[1]], [[1]], [1]), least_served=2.0)


def test_each_pool_may_train_with_a_share_of_its_own() -> None:
    """The first pool trains 4 FLOP/s a chip, the second serves 1 token/s a chip."""
    rates = FleetRates(
        chips=np.array([10.0, 10.0]),
        training=np.array([[4.0], [1.0]]),
        mix=np.array([1.0]),
        serving=np.array([[1.0], [1.0]]),
        demand=np.array([10.0]),
    )
    found = proportional(rates, np.array([1.0, 0.0]))
    assert (found.served, found.trained_flops_per_s) == (1.0, 40.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        proportional(rates, np.array([0.5, 1.1]))
