"""Load of trunks over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clustersim as cs
from clustersim.analysis.metrics import metric_of
from clustersim.analysis.part import MeasuredRun, Part
from clustersim.network import GangLinks, NetworkResponse, SharedTrunks, trunk_graph
from clustersim.simulation.networked.trunk_loads import MOST_SAMPLES, TrunkLoads
from tests.network.leaf_clusters import PORT_BPS, FarApart, leaf_cluster, leaf_pool
from tests.simulation.fleets import jobs

SCHEDULING = cs.Scheduling(placement=FarApart)


def test_the_table_has_each_change(tmp_path: Path) -> None:
    """One job fills the trunks for half of its step; two jobs meet there."""
    cluster = leaf_cluster(leaf_pool(nodes=8, leaf_nodes=4))
    table = jobs([(0, 16, 100), (40, 16, 20), (500, 8, 10)])
    network = {"communication_share": 0.5, "tolerance": 1e-9}
    result = cs.simulate(table, cluster, SCHEDULING, network=network)
    load = result.network_load
    assert load is not None
    leaf = load[load["group"] == 0]
    assert leaf["level"].tolist() == ["leaf"] * 4
    share = (5**0.5 - 1) / 2
    both = 2 * share / (1 + share)
    assert leaf["utilisation"].tolist() == pytest.approx([0.5, both, 0.5, 0.0])
    second_s = 40 + 20 * (0.5 + 0.5 / share)
    assert leaf["time_s"].tolist()[:3] == pytest.approx([0, 40, second_s])
    folder = result.save(tmp_path / "result")
    read = cs.Result.load(folder).network_load
    assert read is not None
    np.testing.assert_array_equal(read["utilisation"], load["utilisation"])
    alone = cs.simulate(table, cluster, SCHEDULING, network={"contention": False})
    assert alone.network_load is None


def test_many_changes_are_thinned() -> None:
    links = GangLinks(trunk_graph(leaf_cluster(leaf_pool())), [PORT_BPS], [8])
    trunks, loads = SharedTrunks(links.capacity_Bps), TrunkLoads()
    response = NetworkResponse.of_share(0.5)
    for change in range(10 * MOST_SAMPLES):
        loads.about_to_change(float(change), trunks)
        if change % 2:
            trunks.remove(change - 1)
        else:
            trunks.add(change, [0], [8 * PORT_BPS], response)
        trunks.settle()
        loads.changed(float(change), trunks)
    table = loads.table(links, ["gpu"])
    times_s = table["time_s"].unique()
    assert MOST_SAMPLES / 4 < len(times_s) <= MOST_SAMPLES
    assert times_s[0] == 0
    assert times_s[-1] > 9.9 * MOST_SAMPLES
    odd = times_s % 2 == 1
    on_first = table[table["group"] == 0]["utilisation"].to_numpy()
    np.testing.assert_allclose(on_first, np.where(odd, 0.0, 0.5))


def test_a_load_whose_change_is_left_out_is_recorded_while_it_lasts() -> None:
    """Each job fills half of the trunk for 1 s of 101 s."""
    links = GangLinks(trunk_graph(leaf_cluster(leaf_pool())), [PORT_BPS], [8])
    trunks, loads = SharedTrunks(links.capacity_Bps), TrunkLoads()
    response, n = NetworkResponse.of_share(0.5), 5 * MOST_SAMPLES
    for job in range(n):
        loads.about_to_change(101.0 * job, trunks)
        trunks.add(job, [0], [8 * PORT_BPS], response)
        trunks.settle()
        loads.changed(101.0 * job, trunks)
        loads.about_to_change(101.0 * job + 1.0, trunks)
        trunks.remove(job)
        trunks.settle()
        loads.changed(101.0 * job + 1.0, trunks)
    table = loads.table(links, ["gpu"])
    load = table[table["group"] == 0]
    assert MOST_SAMPLES / 2 < len(load) <= MOST_SAMPLES
    time_s, found = load["time_s"].to_numpy(), load["utilisation"].to_numpy()
    np.testing.assert_array_equal(found, np.where(time_s % 101.0 < 1.0, 0.5, 0.0))
    assert (time_s[0], time_s[-1], found[-1]) == (0.0, 101.0 * (n - 1) + 1.0, 0.0)
    mean = np.diff(time_s) @ found[:-1] / time_s[-1]
    assert mean < 0.05  # really 0.5 / 101


def test_metrics_of_the_time_lost_by_hand() -> None:
    """Alone on narrow trunks: 50 of 150 s are lost by 16 of the 24 accelerators."""
    cluster = leaf_cluster(leaf_pool(nodes=4, leaf_nodes=2))
    table = jobs([(0, 16, 100), (0, 8, 150)], job_class=["large", "small"])
    network = {"communication_share": 0.5, "contention": False}
    result = cs.simulate(table, cluster, SCHEDULING, network=network)
    part = Part(MeasuredRun(result, cs.load_catalogue()), 0, 2, 0.0, 1e9)
    lost = metric_of("network_loss")
    assert lost.compute is not None
    assert lost.compute(part) == pytest.approx(16 * 50 / (24 * 150))
    assert lost.by_pool is not None
    assert lost.by_pool(part) == {"gpu": pytest.approx(16 * 50 / (24 * 150))}
    mean = metric_of("mean_network_s")
    assert mean.compute is not None
    assert mean.compute(part) == pytest.approx(25)
    plain = cs.simulate(table, cluster, SCHEDULING)
    without = Part(MeasuredRun(plain, cs.load_catalogue()), 0, 2, 0.0, 1e9)
    assert [lost.compute(without), mean.compute(without)] == [0, 0]
