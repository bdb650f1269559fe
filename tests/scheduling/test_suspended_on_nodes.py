"""Which jobs run together on nodes if a suspended one goes on where it was."""

from __future__ import annotations

import pytest

from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
from clustersim.scheduling.together import places_that_fit
from clustersim.scheduling.together_on_nodes import chosen_on_nodes


def on_three_nodes(sizes: list[int], running: dict[int, list[tuple[int, int]]]) -> Queue:
    """Return a queue of three nodes of 8, with running jobs; job 0 is suspended on node 0."""
    pool = Partition(0, 0, "a", "", 0, Consolidate(n_nodes=3, chips_per_node=8))
    columns = JobColumns(sizes, [[60.0] * len(sizes)], [(0,)], [0] * len(sizes))
    queue = Queue([pool], [0], columns, lambda *_: None, looks_ahead=False, tracks_running=True)
    for job, nodes in running.items():
        pool.placement.take_these(nodes, 8 * len(nodes))
        pool.nodes_of[job] = nodes
        queue.start_taken(job, pool, nodes)
    queue.own_nodes[0] = pool, [(0, 8)]
    return queue


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2]])
def test_no_job_starts_on_the_nodes_of_a_suspended_one_that_goes_on(order: list[int]) -> None:
    queue = on_three_nodes([8, 8, 8], {2: [(2, 8)]})
    chosen = places_that_fit(queue, order)
    assert [*chosen] == order
    assert chosen[0] is None
    assert chosen[1] is not None
    assert chosen[1].nodes == ((1, 8),)


def test_no_job_starts_on_nodes_that_another_one_leaves_to_a_suspended_one() -> None:
    queue = on_three_nodes([8, 8, 8], {1: [(0, 8)]})
    chosen = places_that_fit(queue, [0, 2, 1])
    assert [*chosen] == [0, 2]
    assert chosen[2] is not None
    assert chosen[2].nodes == ((1, 8),)


def test_a_job_whose_node_goes_to_a_suspended_one_holds_no_other_back() -> None:
    # Job 1 needs node 0 and cannot stay, so job 3 gets its other node, and job 2 keeps its own.
    queue = on_three_nodes([8, 16, 8, 8], {1: [(0, 8), (1, 8)], 2: [(2, 8)]})
    chosen = chosen_on_nodes(queue, [0, 3, 1, 2])
    assert [*chosen] == [0, 3, 2]
    assert chosen[3] is not None
    assert chosen[3].nodes == ((1, 8),)
