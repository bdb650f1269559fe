"""Max-min fair rates: cases by hand, the twin in fractions, and the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.network import max_min_rates
from tests.network.plain_flows import plain_rates


def test_three_links_in_a_row():
    """The middle link holds three flows; each of its neighbours has one more."""
    rates = max_min_rates([1.0, 1.0, 1.0], [[0], [0, 1], [1], [1, 2], [2]])
    assert rates == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3])


def test_parking_lot_of_three_links():
    """The long flow and one on each link: half of the narrowest link, and the rest of each."""
    capacity = [3.0, 2.0, 5.0]
    assert max_min_rates(capacity, [[0, 1, 2], [0], [1], [2]]).tolist() == [1.0, 2.0, 1.0, 4.0]


def test_a_chain_of_bottlenecks_is_filled_link_by_link():
    """Flow i crosses links i and i + 1. Link 0 gives flow 0 a rate of 1, link 1 what is left of 3
    to flow 1, that is 2, link 2 what is left of 5 to flow 2, and so on."""
    n = 50
    capacity = [1.0, *(2.0 * link + 1 for link in range(1, n)), 1e3]
    rates = max_min_rates(capacity, [[flow, flow + 1] for flow in range(n)])
    assert rates.tolist() == [flow + 1.0 for flow in range(n)]


def test_weights():
    rates = max_min_rates([6.0, 1.0], [[0], [0], [0, 1]], [1.0, 3.0, 2.0])
    # The third flow has 1 on its own link; the other two share 5 as 1 to 3.
    assert rates.tolist() == [1.25, 3.75, 1.0]


def test_a_flow_without_links_has_no_limit():
    assert max_min_rates([1.0], [[], [0]]).tolist() == [np.inf, 1.0]
    assert max_min_rates([], []).tolist() == []


def test_a_light_flow_keeps_at_least_the_level_of_those_that_left_its_link():
    """1,000 flows leave 1e-15 of a link to a light one; the sum of their rates rounds to all."""
    n, light = 1_000, 1e-12
    own = 1 / (n + light) * (1 - 1e-15)
    paths = [[0, 1 + flow] for flow in range(n)]
    rates = max_min_rates([1.0, *[own] * n], [*paths, [0]], [1.0] * n + [light])
    assert rates[:n].tolist() == [own] * n
    assert rates[n] >= light * own


def test_an_error_names_the_argument_and_the_index():
    with pytest.raises(InputError, match=r"^max_min_rates: capacity\[0\]: must be a finite number"):
        max_min_rates([0.0], [[0]])
    with pytest.raises(InputError, match=r"^max_min_rates: weight: must have one value for each"):
        max_min_rates([1.0], [[0]], [1.0, 1.0])


@st.composite
def shared_links(draw):
    """Random links and flows; capacities of very different size."""
    n_links = draw(st.integers(1, 12))
    path = st.lists(st.integers(0, n_links - 1), min_size=1, max_size=5)
    paths = draw(st.lists(path, min_size=1, max_size=25))
    values = st.floats(1e-3, 1e3)
    capacity = draw(st.lists(values, min_size=n_links, max_size=n_links))
    weight = draw(st.lists(values, min_size=len(paths), max_size=len(paths)))
    return capacity, paths, draw(st.sampled_from([weight, [1.0] * len(paths)]))


@given(shared_links())
def test_twin_in_fractions_has_the_same_rates(problem):
    expected = [float(rate) for rate in plain_rates(*problem)]
    assert max_min_rates(*problem) == pytest.approx(expected, rel=1e-9)


@given(shared_links())
def test_rates_fit_and_every_flow_has_a_bottleneck(problem):
    capacity, paths, weight = problem
    rates = max_min_rates(capacity, paths, weight)
    level = rates / weight
    used, highest = np.zeros(len(capacity)), np.zeros(len(capacity))
    for flow, path in enumerate(paths):
        for link in path:
            used[link] += rates[flow]
            highest[link] = max(highest[link], level[flow])
    assert np.all(used <= np.array(capacity) * (1 + 1e-12))
    full = used >= np.array(capacity) * (1 - 1e-12)
    for flow, path in enumerate(paths):
        assert any(full[link] and level[flow] >= highest[link] * (1 - 1e-9) for link in path)


@given(shared_links(), st.sampled_from([1e-9, 3.0, 1e12]))
def test_rates_scale_with_capacity_and_not_with_weights(problem, factor):
    capacity, paths, weight = problem
    rates = max_min_rates(capacity, paths, weight)
    faster = max_min_rates([factor * each for each in capacity], paths, weight)
    assert faster == pytest.approx(factor * rates, rel=1e-9)
    heavier = max_min_rates(capacity, paths, [factor * each for each in weight])
    assert heavier == pytest.approx(rates, rel=1e-9)
