"""Slowdowns by placement and by neighbours, against those that are published.

The set-ups are stated and no constant is fitted to the published figures, so tolerances are wide.
"""

from __future__ import annotations

import numpy as np
import pytest

import clustersim as cs
from clustersim.network import Communication, GangLinks, NetworkResponse, SharedTrunks, trunk_graph
from clustersim.performance.traffic import placed_responses
from tests.network.leaf_clusters import PORT_BPS, leaf_cluster, leaf_pool
from tests.network.on_off_jobs import mean_steps_s

NODES, LEAF_NODES, CHIPS = 64, 8, 8
ALWAYS = NetworkResponse.of_share(1.0)
"""A job that communicates all the time, so that its slowdown is that of its communication."""


def communication_times(ratio: float, load_balancing: str, *, scattered: bool, seed: int) -> float:
    """Return the mean time of the rings of gangs that fill a cluster, ideal placement = 1.

    All gangs send at the same time.  They have 2 to 16 nodes and are weighted by their chips.
    """
    pool = leaf_pool(nodes=NODES, leaf_nodes=LEAF_NODES, ratio=ratio, chips=CHIPS)
    graph = trunk_graph(leaf_cluster(pool))
    links = GangLinks(graph, [PORT_BPS], [CHIPS], load_balancing=load_balancing)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    trunks, sizes = SharedTrunks(links.capacity_Bps, tolerance=1e-6), []
    drawn = rng.choice([2, 3, 4, 6, 8, 12, 16], NODES)
    order = rng.permutation(NODES) if scattered else np.arange(NODES)
    while sum(sizes) < NODES:
        first = sum(sizes)
        sizes.append(min(int(drawn[len(sizes)]), NODES - first))
        gang = [(node, CHIPS) for node in sorted(order[first : first + sizes[-1]].tolist())]
        used, demand_Bps = links.demand(gang, CHIPS, Communication(ALWAYS))
        trunks.add(len(sizes), used, demand_Bps, ALWAYS)
    trunks.settle()
    times = [trunks.slowdown(job) for job in range(1, len(sizes) + 1)]
    return float(np.average(times, weights=sizes))


@pytest.mark.parametrize(
    ("ratio", "load_balancing", "packed", "scattered"),
    [
        # About 1.6 and about 6 times is said of 4:1; the publication was not found.
        pytest.param(4, "ecmp", 1.6, 6.0, id="hashed"),
        # A ring leaves a leaf once, and a leaf has the ends of two packed gangs at most. If all
        # nodes send to another leaf, each has a quarter of its rate; an eighth of them does not.
        pytest.param(4, "ideal", 1.0, 3.0, id="ideal"),
        pytest.param(1, "ideal", 1.0, 1.0, id="full bisection"),
    ],
)
def test_oversubscription_costs_packed_gangs_little_and_scattered_ones_much(
    ratio: float, load_balancing: str, packed: float, scattered: float
) -> None:
    """512 chips in leaves of 8 nodes, full of gangs that communicate at the same time."""
    for expected, apart in ((packed, False), (scattered, True)):
        times = [
            communication_times(ratio, load_balancing, scattered=apart, seed=seed)
            for seed in range(20)
        ]
        assert np.mean(times) == pytest.approx(expected, rel=0.1), f"scattered: {apart}"


SHARES = (0.3, 0.4, 0.5, 0.6)
"""Shares of communication of the smaller job, which is not published (an assumption)."""


def large_model() -> NetworkResponse:
    """Return the response of GPT-3 175B on 256 A100 with 100 Gb/s each, in steps of about 2 s."""
    catalogue = cs.load_catalogue()
    model, chip = catalogue.model("gpt3-175b"), catalogue.accelerator("A100-80GB")
    found = placed_responses(model, chip, 256, inside=[8], global_batch=32, port_Bps=12.5e9)
    assert 1.5 < found.step_time_s[0, 0] < 2.5
    return found.of(0).response


def slowdowns(links: tuple[int, int], share: float) -> tuple[float, float]:
    """Slowdowns of the large model and of another job, each on the uplink of this number."""
    trunks = SharedTrunks(np.ones(2), tolerance=1e-9)
    for job, response in enumerate((large_model(), NetworkResponse.of_share(share))):
        trunks.add(job, [links[job]], [1.0], response)
    trunks.settle()
    return trunks.slowdown(0), trunks.slowdown(1)


def test_a_large_model_beside_a_small_one_on_the_same_uplinks_slows_by_about_a_tenth() -> None:
    """Crux (Cao et al., SIGCOMM 2024, section 2.2): a GPT job beside a BERT job.

    Flows of both are hashed to the same uplinks.  The steps of GPT take 1.70 s instead of 1.53 s
    (11.0 % more), and BERT has 7.7 % less throughput (8.3 % more time).  The numbers are those of a
    summary of the paper (docs/network.md).  Plans, batches and links are not in it: here, how GPT
    communicates follows from a plan on 256 chips, and the share of BERT is varied.
    """
    assert slowdowns((0, 1), 0.5) == (1.0, 1.0), "on separate uplinks"
    large = [slowdowns((0, 0), share)[0] for share in SHARES]
    assert large == sorted(large)
    assert large[0] > 1.05
    assert large[-1] < 1.15
    assert slowdowns((0, 0), SHARES[0])[1] == pytest.approx(1.083, abs=0.02)


def test_so_do_two_jobs_that_compute_and_send_in_turns() -> None:
    """The same two jobs step by step, if computation hides none of their communication.

    Two regular jobs meet less often than by chance, so that they lose somewhat less.
    """
    duty, rng = float(large_model().duty[0]), np.random.default_rng(1)
    errors = []
    for share in SHARES:
        trunks = SharedTrunks(np.ones(1), tolerance=1e-9)
        for job, part in enumerate((duty, share)):
            trunks.add(job, [0], [1.0], NetworkResponse.of_share(part))
        trunks.settle()
        step_s = np.array([1.53, 0.4])
        sends_s = np.array([duty, share]) * step_s
        found_s = mean_steps_s(
            np.ones(1), np.ones((2, 1)), step_s - sends_s, sends_s, steps=400, rng=rng
        )
        slower = found_s / step_s
        assert 1.05 < slower[0] < 1.15
        errors += np.abs([trunks.slowdown(0), trunks.slowdown(1)] / slower - 1.0).tolist()
    assert np.mean(errors) < 0.03
