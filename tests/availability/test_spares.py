"""Hot spares: who takes over, by hand, and against a repairable system's theory."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import factorial

from clustersim.availability.failure_spec import FailureSource, Spares
from clustersim.availability.failures import failures
from clustersim.availability.spares import with_spares
from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool

DAY = 86400.0
FLEET = cluster(pool("gpu", 4, 8))


def spared(outages: list[NodeEvent], n: int, swap_s: float = 1.0) -> list[tuple[float, float]]:
    spares = validate(Spares, {"nodes": {"gpu": n}, "swap": f"{swap_s} s"}, "spares")
    return [(o.begin_s, o.end_s) for o in with_spares(outages, spares, FLEET)]


def test_a_spare_takes_over_and_what_is_mended_is_the_next() -> None:
    """One spare: the second failure waits for the first node's repair (at 50)."""
    outages = [NodeEvent(10, 50, 0, 0), NodeEvent(20, 90, 0, 1), NodeEvent(60, 95, 0, 2)]
    assert spared(outages, 1) == [(10, 11), (20, 51), (60, 91)]
    assert spared(outages, 3) == [(10, 11), (20, 21), (60, 61)]
    assert spared(outages, 0) == [(10, 50), (20, 90), (60, 95)]


def test_a_node_that_is_back_sooner_stays() -> None:
    assert spared([NodeEvent(10, 10.5, 0, 0), NodeEvent(20, 90, 0, 1)], 1) == [(10, 10.5), (20, 21)]


def test_without_spare_parts_the_stock_runs_out() -> None:
    outages = [
        NodeEvent(10, math.inf, 0, 0),
        NodeEvent(20, math.inf, 0, 1),
        NodeEvent(30, 80, 0, 2),
    ]
    assert spared(outages, 1) == [(10, 11), (20, math.inf), (30, 80)]


def test_planned_and_slow_ones_take_no_spare() -> None:
    outages = [
        NodeEvent(5, 50, 0, 0, kind=NodeEventKind.MAINTENANCE),
        NodeEvent(6, 60, 0, 1, kind=NodeEventKind.SLOWDOWN, slowdown=2),
        NodeEvent(7, 70, 0, 0),
        NodeEvent(8, 80, 0, 2),
    ]
    assert spared(outages, 1) == [(5, 50), (6, 60), (8, 9)], "a node that is out cannot fail"


def test_an_unknown_pool() -> None:
    with pytest.raises(InputError, match=r"failures: spares\.nodes: unknown pool 'gpus'"):
        with_spares([], Spares(nodes={"gpus": 1}), FLEET)


def test_the_gang_is_back_after_the_swap() -> None:
    spares = validate(Spares, {"nodes": {"gpu": 1}, "swap": "5 s"}, "spares")
    outages = with_spares([NodeEvent(30, 500, 0, 3)], spares, FLEET)
    result = simulate(
        jobs([(0, 32, 100)]), FLEET, Scheduling(placement="consolidate"), node_events=outages
    )
    assert result.jobs["finish_s"].tolist() == [30 + 5 + 100]


def test_places_without_a_node_by_the_machine_repair_model() -> None:
    """n places, s spares, exponential lives, a mechanic for every node: closed form.

    The number under repair is a birth-death chain: up at the rate of min(n, n + s - k) lives, down
    at that of k repairs; k - s places lack a node (Kleinrock, Queueing Systems I, 1975, 3.8).
    """
    n, s, life_s, repair_s = 40, 3, 20 * DAY, 2 * DAY
    source = {
        "name": "node",
        "time_to_failure": {"kind": "exponential", "average": f"{life_s} s"},
        "repair": {"kind": "exponential", "average": f"{repair_s} s"},
    }
    fleet = cluster(pool("gpu", n, 8))
    drawn = failures(fleet, [validate(FailureSource, source, "failures")], Streams(3))
    spares = validate(Spares, {"nodes": {"gpu": s}, "swap": "0 s"}, "spares")
    until_s = 20_000 * DAY
    known = itertools.takewhile(
        lambda o: o.begin_s < until_s, without_overlaps(with_spares(drawn, spares, fleet))
    )
    lacking = sum(min(o.end_s, until_s) - o.begin_s for o in known) / until_s
    k = np.arange(n + s + 1)
    up = np.minimum(n, n + s - k) / life_s
    weight = np.concatenate([[1.0], np.cumprod(up[:-1])]) * repair_s**k / factorial(k)
    expected = float((np.maximum(k - s, 0) * weight / weight.sum()).sum())
    print(f"places without a node: {lacking:.3f}, in theory {expected:.3f}")
    assert lacking == pytest.approx(expected, rel=0.05)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(1, 30)),
        max_size=12,
        unique_by=lambda row: row[:2],  # a place fails once at an instant
    ),
    st.integers(0, 3),
)
def test_spares_never_make_an_outage_longer_nor_serve_twice(
    rows: list[tuple[int, int, int]], n: int
) -> None:
    outages = sorted(NodeEvent(float(b), float(b + d), 0, node) for node, b, d in rows)
    spares = Spares(nodes={"gpu": n}, swap="0 s")
    found = list(with_spares(outages, spares, FLEET))
    repairs: dict[tuple[float, int], float] = {}
    for outage in outages:
        repairs.setdefault((outage.begin_s, outage.node), outage.end_s)
    assert all(o.end_s <= repairs[o.begin_s, o.node] for o in found)
    for at in np.arange(0, 75) + 0.5:
        under_repair = sum(o.begin_s < at < repairs[o.begin_s, o.node] for o in found)
        lacking = sum(o.begin_s < at < o.end_s for o in found)
        assert lacking >= under_repair - n, "no more serve than are whole"
