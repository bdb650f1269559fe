"""Flows over time: cases by hand, a plain twin in fractions, and what must always hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.network import max_min_rates, simulate_flows
from tests.network.plain_flows import plain_ends

GB = 1e9


def test_a_flow_alone_has_the_rate_of_its_narrowest_link():
    ends = simulate_flows([4.0, 2.0], [[0, 1]], [10.0], [6.0], latency=[0.25, 0.5])
    assert ends.tolist() == [10.0 + 0.75 + 3.0]


def test_parking_lot():
    """A long flow and one on each of two links of 10 and 20: rates 5, 5 and 15, then 10 and 20."""
    paths = [[0, 1], [0], [1]]
    ends = simulate_flows([10.0, 20.0], paths, [0.0] * 3, [10.0, 15.0, 30.0])
    # At 2 s, the long flow and the one on the second link end; 5 of the other are left, at 10.
    assert ends.tolist() == [2.0, 2.5, 2.0]


def test_a_flow_that_enters_later_slows_the_first():
    # 4 alone until 1 s; 2 each until the second ends after 4 s; then 4 again for 4 of 16.
    ends = simulate_flows([4.0], [[0], [0]], [0.0, 1.0], [16.0, 8.0])
    assert ends.tolist() == [6.0, 5.0]


def test_weights_divide_a_bottleneck():
    # 3 and 1 of 4; at 2 s, the first ends and the second has 4 left.
    ends = simulate_flows([4.0], [[0], [0]], [0.0, 0.0], [6.0, 6.0], weight=[3.0, 1.0])
    assert ends.tolist() == [2.0, 3.0]
    alike = simulate_flows([4.0], [[0], [0]], [0.0, 0.0], [6.0, 6.0], weight=[3e5, 1e5])
    assert alike.tolist() == [2.0, 3.0]


def test_flows_without_bytes_or_without_links_use_no_bandwidth():
    ends = simulate_flows([4.0], [[0], [0], []], [0.0, 1.0, 2.0], [8.0, 0.0, 1e9], latency=[0.5])
    assert ends.tolist() == [2.5, 1.5, 2.0]
    assert simulate_flows([], [], [], []).tolist() == []
    assert simulate_flows([1.0], [], [], []).tolist() == []


def test_a_link_that_occurs_twice_is_used_twice():
    assert simulate_flows([4.0], [[0, 0]], [0.0], [6.0], latency=[1.0]).tolist() == [5.0]


def test_a_start_long_after_the_epoch_costs_no_accuracy():
    """Events are compared by the time since the first start, not since the epoch."""
    epoch = 2.0**31
    ends = simulate_flows([1.0], [[0], [0]], [epoch, epoch], [2.0**-20, 2.0**-19])
    assert (ends - epoch).tolist() == [2.0**-19, 2.0**-20 + 2.0**-19]


def test_many_equal_flows_end_together():
    """Three rings of seven on one switch: every rate is the port's over the rings."""
    hosts = 7
    paths = [[host, hosts + (host + 1) % hosts] for _ in range(3) for host in range(hosts)]
    ends = simulate_flows([0.7 * GB] * (2 * hosts), paths, [0.0] * len(paths), [GB] * len(paths))
    assert ends == pytest.approx(3 / 0.7, rel=1e-15)


WRONG = {
    "capacity[1]: must be a finite number above 0, found 0": {"capacity": [1.0, 0.0]},
    "capacity[0]: must be a finite number above 0, found inf": {"capacity": [np.inf, 1.0]},
    "capacity[1]: must be a number, found '1 GB/s'": {"capacity": [1, "1 GB/s"]},
    "capacity: must be a list of numbers, found 5": {"capacity": 5},
    "paths[1][0]: unknown link 2; allowed: 0 to 1": {"paths": [[0, 1], [2]]},
    "paths[0][1]: unknown link -1; allowed: 0 to 1": {"paths": [[0, -1], [1]]},
    "paths[1][0]: must be the number of a link, found 1.0": {"paths": [[], [1.0]]},
    "paths[1]: must be a list of link numbers, found 1": {"paths": [[0], 1]},
    "paths: must be a list of paths, found None": {"paths": None},
    "start[1]: must be a finite number, found nan": {"start": [0.0, np.nan]},
    "start: must have one value for each flow, that is 2, found 3": {"start": [0, 0, 0]},
    "size[0]: must be a finite number of at least 0, found -1": {"size": [-1, 1]},
    "size[1]: the flow takes longer than the largest float64": {"size": [1, 1e308]},
    "latency[1]: must be a finite number of at least 0, found -1": {"latency": [0, -1.0]},
    "latency: must have one value for each link, that is 2, found 1": {"latency": [0]},
    "weight[0]: must be a finite number above 0, found 0": {"weight": [0, 1]},
    "weight[1]: must be a finite number above 0, found -2": {"weight": [1, -2]},
    "weight[1]: must be at least 1e-12 of the largest weight 1, found 1e-13": {
        "weight": [1, 1e-13]
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_the_argument_and_the_index(message):
    right = {"capacity": [1e-3, 1.0], "paths": [[0, 1], [0]], "start": [0, 0], "size": [1, 1]}
    with pytest.raises(InputError) as caught:
        simulate_flows(**{**right, **WRONG[message]})
    assert str(caught.value).startswith(f"simulate_flows: {message}")


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(InputError) as caught:
        simulate_flows([1.0], [[0]], [np.inf], [-1.0], latency=[-1.0], weight=[0.0])
    named = [problem.partition("[")[0] for problem in caught.value.problems]
    assert named == ["start", "size", "latency", "weight"]


@st.composite
def problems(draw, *, most_flows=7):
    """Few links and flows, whole numbers: many ties, shared bottlenecks and simultaneous events."""
    n_links = draw(st.integers(1, 5))
    whole = st.integers(1, 6).map(float)
    path = st.lists(st.integers(0, n_links - 1), min_size=0, max_size=n_links, unique=True)
    paths = draw(st.lists(path, min_size=1, max_size=most_flows))

    def each(values, count):
        return draw(st.lists(values, min_size=count, max_size=count))

    return {
        "capacity": each(whole, n_links),
        "paths": paths,
        "start": each(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0]), len(paths)),
        "size": each(st.sampled_from([0.0, 1.0, 2.0, 6.0, 7.0]), len(paths)),
        "latency": each(st.sampled_from([0.0, 0.0, 0.5, 1.0]), n_links),
        "weight": each(st.sampled_from([1.0, 1.0, 2.0, 5.0]), len(paths)),
    }


@given(problems())
def test_twin_in_fractions_has_the_same_ends(problem):
    assert simulate_flows(**problem) == pytest.approx(plain_ends(**problem), rel=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_flows_and_links_does_not_matter(problem, random):
    n_flows, n_links = len(problem["paths"]), len(problem["capacity"])
    flows = random.sample(range(n_flows), n_flows)
    links = random.sample(range(n_links), n_links)
    shuffled = {name: [problem[name][flow] for flow in flows] for name in FLOW_ARGUMENTS}
    shuffled |= {name: [problem[name][link] for link in links] for name in LINK_ARGUMENTS}
    new = {old: place for place, old in enumerate(links)}
    shuffled["paths"] = [[new[link] for link in path] for path in shuffled["paths"]]
    ends = simulate_flows(**problem)
    assert simulate_flows(**shuffled) == pytest.approx(ends[flows], rel=1e-12)


FLOW_ARGUMENTS = ("paths", "start", "size", "weight")
LINK_ARGUMENTS = ("capacity", "latency")


@given(problems(), st.sampled_from([1e-6, 3.0, 1e9]), st.sampled_from([1e-3, 7.0, 1e9]))
def test_units_of_time_and_bytes_do_not_matter(problem, second, byte):
    other = dict(problem)
    for name, unit in (
        ("capacity", byte / second),
        ("start", second),
        ("size", byte),
        ("latency", second),
    ):
        other[name] = [value * unit for value in problem[name]]
    ends = simulate_flows(**problem)
    assert simulate_flows(**other) == pytest.approx(second * ends, rel=1e-12)


@given(problems(most_flows=12))
def test_the_integral_of_the_rate_is_the_size(problem):
    """The rates follow from who is there between two events; each flow drains exactly."""
    ends = simulate_flows(**problem)
    paths, latency = problem["paths"], problem["latency"]
    enters = np.array(problem["start"]) + [sum(latency[link] for link in path) for path in paths]
    instants = np.unique([*enters, *ends])
    drained = np.zeros(len(paths))
    for begin, end in pairwise(instants):
        there = np.flatnonzero((enters <= begin) & (ends >= end) & (ends > enters))
        rates = max_min_rates(
            problem["capacity"],
            [paths[flow] for flow in there],
            [problem["weight"][flow] for flow in there],
        )
        drained[there] += rates * (end - begin)
    sent = [size if path else 0.0 for size, path in zip(problem["size"], paths, strict=True)]
    assert drained == pytest.approx(sent, rel=1e-9, abs=1e-9)


@given(problems())
def test_a_set_of_flows_apart_changes_nothing(problem):
    """Twice the same problem on links of its own ends at the same times, bit for bit."""
    n_links = len(problem["capacity"])
    twice = {name: values * 2 for name, values in problem.items()}
    twice["paths"] = problem["paths"] + [
        [n_links + link for link in path] for path in problem["paths"]
    ]
    ends = simulate_flows(**problem).tolist()
    assert simulate_flows(**twice).tolist() == ends * 2
