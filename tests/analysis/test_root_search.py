"""The root search against roots known by hand, by theory and by trying every value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.analysis.control_variates import Estimate, mean_estimate
from clustersim.analysis.root_search import Root, RootSearch
from clustersim.errors import InputError
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(100))

T_1, T_9 = 12.706204736432095, 2.2621571627409915
"""Student's t for 95 %, one and nine degrees of freedom."""


def estimated(measured):
    """Estimates over replications; overloaded if one of them is."""
    found = {}
    for value, numbers in measured.items():
        numbers = np.asarray(numbers, dtype=float)
        finite = bool(np.isfinite(numbers).all())
        found[value] = mean_estimate(numbers) if finite else Estimate(math.inf, math.inf, math.inf)
    return found


def find(search, measure, tried=()):
    """Drive a search; return what it found and all that was tried."""
    evaluated = estimated({value: measure(value) for value in tried})
    while values := search.next_values(evaluated):
        assert len(set(values)) == len(values)
        assert not set(values) & set(evaluated)
        assert all(search.low <= value <= search.high for value in values)
        evaluated |= estimated({value: measure(value) for value in values})
    return search.result(evaluated), evaluated


def alike(measure, replications=2):
    """Replications without any noise."""
    return lambda value: [measure(value)] * replications


# What to try next


def test_the_ends_of_the_range_come_first():
    search = RootSearch(at_most=60.0, low=0.5, high=0.9, tolerance=0.01)
    assert search.next_values({}) == (0.5, 0.9)
    assert search.next_values(estimated({0.9: [100.0], 0.7: [1.0]})) == (0.5,)


def test_next_to_overload_the_middle_is_tried():
    search = RootSearch(at_most=60.0, low=0.5, high=0.9, tolerance=0.01)
    for beyond in (math.inf, 1e6):
        tried = estimated({0.5: [0.0, 0.0], 0.9: [beyond, beyond]})
        assert search.next_values(tried) == (0.7,)
    nothing = Estimate(math.nan, math.nan, math.nan)
    assert search.next_values({**tried, 0.9: nothing}) == (0.7,)


def test_try_by_hand():
    # log((1 + v / 60) / 2) is -log 2 at 0 and log 4 at 0.4: it is 0 at 0.4 / 3 = 0.1333, moved
    # by 0.2 * 0.4**2 / 1 = 0.032 to the middle, in thousandths
    search = RootSearch(at_most=60.0, low=0.0, high=1.0, tolerance=0.01)
    tried = estimated({0.0: [0.0, 0.0], 1.0: [math.inf, math.inf], 0.4: [420.0, 420.0]})
    assert search.next_values(tried) == (0.165,)
    # just kept at 0, which is as near as a tenth of the bracket
    tried |= estimated({0.0: [60.0, 60.0]})
    assert search.next_values(tried) == (0.04,)


def test_a_search_may_start_near_the_root_and_moves_outwards():
    # An eighth of the range is 0.2; then the values tried so far are doubled in range.
    search = RootSearch(at_most=60.0, low=0.0, high=1.6, tolerance=0.05, start=0.9)
    assert search.next_values({}) == (0.9,)
    tried = estimated({0.9: [1.0, 2.0]})
    assert search.next_values(tried) == (1.1,)
    assert search.next_values(tried | estimated({1.1: [2.0, 3.0]})) == (1.3,)
    far = tried | estimated({1.1: [2.0, 3.0], 1.3: [4.0, 5.0]})
    assert search.next_values(far) == (1.6,)
    assert search.next_values(far | estimated({1.6: [5.0, 6.0]})) == ()
    assert search.next_values(estimated({0.9: [61.0, 65.0]})) == (0.7,)
    falling = RootSearch(60.0, 0.0, 1.6, 0.05, rising=False, start=0.9)
    assert falling.next_values(tried) == (0.7,)
    root, evaluated = find(search, alike(lambda x: 60 * x**3))
    assert root.value == pytest.approx(1.0, abs=0.01)
    assert 0.0 not in evaluated
    assert 1.6 not in evaluated
    assert min(evaluated) == 0.9


def test_near_a_root_of_a_coarser_search():
    search = RootSearch(at_most=60.0, low=0.0, high=1.6, tolerance=0.05)
    coarse = estimated({0.0: [0.0, 0.0], 1.6: [180.0, 180.0]})
    assert search.near(search.result(coarse)) == 0.8  # log(2 / 1) of log(4 / 1)
    kept, missed = estimated({0.0: [1.0, 2.0]}), estimated({0.0: [61.0, 62.0]})
    assert search.near(search.result(kept)) == 1.6
    assert search.near(search.result(missed)) == 0.0
    falling = RootSearch(60.0, 0.0, 1.6, 0.05, rising=False)
    assert falling.near(falling.result(kept)) == 0.0
    assert falling.near(falling.result(missed)) == 1.6


def test_a_line_extends_the_curve_by_the_distance_of_two_values():
    # log((1 + v / 60) / 2) is log(3/4), log(7/8) and log(2) at these waits.
    waits = {30.0: math.log(0.75), 45.0: math.log(0.875), 180.0: math.log(2)}
    search = RootSearch(at_most=60.0, low=0.0, high=2.0, tolerance=0.5)
    low, high = waits[30.0], waits[45.0]
    tried = estimated({0.0: [29.0, 31.0], 0.5: [44.0, 46.0]})
    assert search.result(tried).value == math.inf
    at = 0.5 * -low / (high - low)
    assert 0.5 < at < 1.0
    found = search.result(tried, extend=True)
    assert found.value == pytest.approx(at)
    assert found.low < found.value < found.high
    assert search.result(estimated({0.0: [30.0, 30.0], 0.5: [31.0, 31.0]}), extend=True).value == (
        math.inf
    )
    missed = estimated({1.0: [89.0, 91.0], 2.0: [179.0, 181.0]})
    below = search.result(missed, extend=True).value
    assert below == pytest.approx(1.0 - math.log(1.25) / (math.log(2) - math.log(1.25)))


def test_no_more_values_than_allowed():
    tried = estimated({x: [10 * x - 1, 10 * x + 1] for x in (0.0, 3.0, 4.0, 6.0, 7.0, 10.0)})
    (value,) = RootSearch(50.0, 0.0, 10.0, 0.1, most_values=7).next_values(tried)
    assert 4 < value < 6
    assert RootSearch(50.0, 0.0, 10.0, 0.1, most_values=6).next_values(tried) == ()


@repeatable
@given(st.permutations(range(6)))
def test_the_order_of_what_was_tried_does_not_matter(order):
    search = RootSearch(at_most=50.0, low=0.0, high=10.0, tolerance=0.1)
    values = [(0.0, 3.0, 4.0, 6.0, 7.0, 10.0)[index] for index in order]
    shuffled, ordered = (
        estimated({x: [10 * x - 1, 10 * x + 1] for x in each}) for each in (values, sorted(values))
    )
    assert search.next_values(shuffled) == search.next_values(ordered)
    assert search.result(shuffled) == search.result(ordered)


# What was found


def test_crossing_is_interpolated_in_the_logarithm():
    # log(1 + v / 60): 0 at 0.5 and log 4 at 0.7; the objective's log 2 lies half way
    search = RootSearch(at_most=60.0, low=0.5, high=0.7, tolerance=0.5)
    tried = estimated({0.5: [0.0, 0.0], 0.7: [180.0, 180.0]})
    assert search.next_values(tried) == ()
    found = search.result(tried)
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.6, 0.6))


def test_interval_by_hand():
    # error 1 of 50: on the logarithmic scale, the objective could be a factor exp(T_1 / 50) away
    search = RootSearch(at_most=50.0, low=0.0, high=10.0, tolerance=0.01)
    found, tried = find(search, lambda x: [max(0.0, 10 * x - 1), 10 * x + 1])
    assert found.value == pytest.approx(5.0, abs=0.01)
    # the curve is known at few values, so the ends are known to a part of their distance
    assert found.low == pytest.approx(5 * math.exp(-T_1 / 50), abs=0.2)
    assert found.high == pytest.approx(5 * math.exp(T_1 / 50), abs=0.2)
    assert found.freedom == 1
    assert T_1 * math.hypot(*found.influence) == pytest.approx((found.high - found.low) / 2)
    assert found.note == ""
    assert len(tried) <= 7


def test_a_monotone_curve_is_fitted_through_all_values():
    # isotonic regression: 40 and 60 in reverse order are the mean of their logarithms, below 50
    search = RootSearch(at_most=50.0, low=0.0, high=10.0, tolerance=5.0)
    wavy = {0.0: 0.0, 2.0: 20.0, 4.0: 52.0, 6.0: 40.0, 8.0: 80.0, 10.0: 90.0}
    tried = estimated({value: [level, level] for value, level in wavy.items()})
    found = search.result(tried)
    assert 6 < found.value < 8
    assert search.bracket(tried) == (6.0, 8.0)
    falling = RootSearch(at_most=50.0, low=-10.0, high=0.0, tolerance=5.0, rising=False)
    assert falling.result({-x: each for x, each in tried.items()}).value == -found.value


def test_kept_and_broken_everywhere():
    rising = RootSearch(at_most=10.0, low=0.25, high=1.0, tolerance=0.01)
    falling = RootSearch(at_most=10.0, low=0.25, high=1.0, tolerance=0.01, rising=False)
    nan, inf = math.nan, math.inf
    kept, broken = alike(lambda _: 1.0), alike(lambda _: inf)
    assert find(rising, kept)[0] == Root(inf, inf, inf, "kept at every value up to 1")
    assert find(falling, kept)[0] == Root(-inf, -inf, -inf, "kept at every value down to 0.25")
    for search, note in ((rising, "from 0.25"), (falling, "up to 1")):
        found, tried = find(search, broken)
        assert [found.value, found.low, found.high] == pytest.approx([nan] * 3, nan_ok=True)
        assert found.note == f"missed at every value {note}"
        assert len(tried) == 2
    # though with noise not surely broken: error of the mean 1
    search = RootSearch(at_most=50.0, low=5.5, high=10.0, tolerance=0.01)
    found, tried = find(search, lambda x: [10 * x - 1, 10 * x + 1])
    assert math.isnan(found.value)
    assert math.isnan(found.high)
    assert found.note == "missed at every value from 5.5"
    assert len(tried) == 2


def test_ends_of_the_interval_far_beyond_the_range_are_infinite():
    # the ends are 1.12 below and 1.45 above the value; one range is 1 wide, the other 0.2
    search = RootSearch(at_most=50.0, low=4.5, high=5.5, tolerance=0.01)
    found, _ = find(search, lambda x: [10 * x - 1, 10 * x + 1])
    assert found.value == pytest.approx(5.0, abs=0.01)
    assert found.low == pytest.approx(5 * math.exp(-T_1 / 50), abs=0.1)
    assert found.high == pytest.approx(5 * math.exp(T_1 / 50), abs=0.1)
    narrow = RootSearch(at_most=50.0, low=4.9, high=5.1, tolerance=0.01)
    found, _ = find(narrow, lambda x: [10 * x - 1, 10 * x + 1])
    assert (found.low, found.high, found.note) == (-math.inf, math.inf, "")
    # kept up to the end in the mean, but not surely
    search = RootSearch(at_most=50.0, low=0.0, high=4.5, tolerance=0.01)
    found, _ = find(search, lambda x: [max(0.0, 10 * x - 1), 10 * x + 1])
    assert (found.value, found.high) == (math.inf, math.inf)
    assert found.low == pytest.approx(5 * math.exp(-T_1 / 45), abs=0.2)
    assert found.note == "kept at every value up to 4.5"


def test_one_replication_has_no_interval():
    search = RootSearch(at_most=50.0, low=0.0, high=10.0, tolerance=0.01)
    found, _ = find(search, lambda x: [10 * x])
    assert found.value == pytest.approx(5.0, abs=0.01)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_next_to_overload_the_bracket_is_reported():
    search = RootSearch(at_most=60.0, low=0.0, high=1.0, tolerance=0.01)
    found, tried = find(search, alike(lambda x: 1.0 if x < 0.3337 else math.inf))
    assert found.low < 0.3337 <= found.high
    assert found.high - found.low <= 0.01
    assert found.value == pytest.approx(0.5 * (found.low + found.high))
    assert {found.low, found.high} <= set(tried)
    assert len(tried) == 2 + 7  # 2**-7 is the first below 0.01


def test_values_tried_before_are_used_even_beyond_the_range():
    search = RootSearch(at_most=50.0, low=4.0, high=6.0, tolerance=0.5)
    before = (2.0, 4.9, 5.1, 9.0)
    found, tried = find(search, alike(lambda x: 10 * x), before)
    assert set(tried) == {*before, 4.0, 6.0}
    assert found.value == pytest.approx(5.0, abs=0.01)
    beyond = RootSearch(at_most=50.0, low=6.0, high=8.0, tolerance=0.1)
    assert beyond.result(estimated({4.0: [40.0, 40.0], 6.0: [60.0, 60.0]})).value == pytest.approx(
        5, abs=0.1
    )


def test_a_search_that_is_stopped_says_so():
    search = RootSearch(at_most=50.0, low=0.0, high=10.0, tolerance=1e-6, most_values=5)
    found, tried = find(search, alike(lambda x: x**3))
    assert len(tried) == 5
    assert found.note == "not converged after 5 values"
    assert found.value == pytest.approx(50 ** (1 / 3), abs=0.5)


# Whole numbers and falling measures


@repeatable
@given(
    st.lists(st.integers(0, 40), min_size=3, max_size=200),
    st.integers(1, 2000),
    st.booleans(),
)
def test_whole_numbers_against_trying_them_all(steps, at_most, rising):
    levels = np.cumsum(steps)
    levels = levels if rising else levels[::-1]
    values = np.arange(len(levels))
    search = RootSearch(
        at_most, 0, len(levels) - 1, 0.5, whole=True, rising=rising, most_values=100
    )
    found, tried = find(search, alike(lambda value: float(levels[int(value)])))
    kept = values[levels <= at_most]
    if len(kept) == 0:
        assert math.isnan(found.value)
    elif len(kept) == len(values):
        assert found.value == (math.inf if rising else -math.inf)
    else:
        expected = kept.max() if rising else kept.min()
        assert found.value == expected
        assert found.low <= expected <= found.high <= found.low + 1
        assert len(tried) <= 2 + 2.5 * math.log2(len(values))


def test_interval_of_a_fleet_by_hand():
    # 1000 / n - 1 and 1000 / n + 1: error 1 of 50, so 20 exp(+-T_1 / 50) bound n: 15.5 and 25.8
    search = RootSearch(50.0, 1, 100, 1.0, whole=True, rising=False)
    found, _ = find(search, lambda n: [1000 / n - 1, 1000 / n + 1])
    assert (found.value, found.note) == (20.0, "")
    assert found.low == pytest.approx(15, abs=1)
    assert found.high == pytest.approx(26, abs=1)


@repeatable
@given(st.floats(0.05, 0.95), st.floats(0.1, 5.0), st.integers(0, 99))
def test_falling_is_rising_mirrored(root, power, seed):
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(6)

    def measure(x):
        return 100 * (x / root) ** power * np.exp(0.1 * noise)

    rising = RootSearch(at_most=100.0, low=0.0, high=1.0, tolerance=0.003)
    falling = RootSearch(at_most=100.0, low=-1.0, high=0.0, tolerance=0.003, rising=False)
    found, tried = find(rising, measure)
    mirrored, also_tried = find(falling, lambda x: measure(-x))
    assert {-x for x in also_tried} == set(tried)
    assert (mirrored.value, mirrored.low, mirrored.high) == (-found.value, -found.high, -found.low)


# Theory


def waits(scale):
    """Mean waits of queues that are overloaded from 1 on."""
    return lambda x: scale * x**8 / (1 - x) if x < 1 else np.full(len(scale), math.inf)


@repeatable
@given(st.floats(0.3, 0.97), st.floats(0.0005, 0.05), st.integers(0, 99))
def test_crossings_are_known_as_well_as_asked(root, tolerance, seed):
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(10)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    spread = 0.1
    measure = waits(1 + spread * noise)
    search = RootSearch(root**8 / (1 - root), 0.25, 1.05, tolerance)
    found, tried = find(search, measure)
    assert found.note == ""
    assert abs(found.value - root) <= tolerance
    # the error at the root, t s / sqrt n, moves the objective by as much; between trial values the
    # curve is known less well, so an end may be up to twice as far away
    x = np.linspace(0.2, 0.9999, 200_001)
    curve = x**8 / (1 - x) / search.at_most
    half = T_9 * spread / math.sqrt(10)
    for end, factor in ((found.low, math.exp(-half)), (found.high, math.exp(half))):
        exact = np.interp(factor, curve, x)
        far = abs(exact - root)
        assert 0.5 * far - 2 * tolerance <= abs(end - root) <= 2.2 * far + 2 * tolerance
    assert len(tried) <= 24


@pytest.mark.parametrize("share_of_additive_noise", [0.0, 0.5])
def test_interval_covers_the_root_with_few_values(share_of_additive_noise):
    covered, tried_values = [], []
    for seed in range(400):
        normal, other = np.random.Generator(np.random.PCG64(seed)).standard_normal((2, 10))

        def measure(x, normal=normal, other=other):
            mean = waits(np.ones(10))(x)
            part = share_of_additive_noise
            noise = (1 - part) * normal + part * np.sin(9 * x) * other
            return mean * (1 + 0.2 * noise)

        search = RootSearch(at_most=0.8**8 / 0.2, low=0.3, high=1.0, tolerance=0.005)
        found, tried = find(search, measure)
        assert found.low <= found.value <= found.high
        covered.append(found.low <= 0.8 <= found.high)
        tried_values.append(len(tried))
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(tried_values) < 9
    assert max(tried_values) <= 11


@pytest.mark.parametrize(
    "measure",
    [
        lambda x: 1e9 if x > 0.61 else 0.0,
        lambda x: 1e3 * x / (1.001 - x) ** 3 if x <= 1 else math.inf,
        lambda x: math.exp(20 * x),
        lambda x: 1e4 * math.tanh(200 * (x - 0.6)) + 1e4,
        lambda x: 4000 * x**0.05,
        lambda x: 3000.0 if x < 0.7 else 3001.0 + x,
    ],
)
def test_hard_shapes_take_less_than_twice_the_values_of_bisection(measure):
    search = RootSearch(at_most=3600.0, low=0.0, high=1.0, tolerance=0.001)
    found, tried = find(search, alike(measure))
    grid = np.linspace(0, 1, 100_001)
    above = [x for x in grid if measure(float(x)) > 3600.0]
    if above:
        assert abs(found.value - above[0]) <= 0.001
    else:
        assert found.value == math.inf
    assert len(tried) <= 2 + 2 * 10  # 2**-10 is the first below 0.001


# What cannot be


def test_all_problems_are_reported_at_once():
    with pytest.raises(InputError) as message:
        RootSearch(at_most=0.0, low=2.0, high=1.0, tolerance=-1.0, most_values=1)
    assert len(message.value.problems) == 4
    with pytest.raises(InputError, match=r"low, high: must be integers, found 0\.5 and 3"):
        RootSearch(at_most=1.0, low=0.5, high=3, tolerance=1.0, whole=True)
    with pytest.raises(InputError, match="no value was tried"):
        RootSearch(at_most=1.0, low=0.5, high=3, tolerance=1.0).result({})
