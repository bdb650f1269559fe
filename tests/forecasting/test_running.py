"""The partitions on which running jobs are placed, and what is said if there is no room."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.cli.main import main
from clustersim.engine.partitions import build_partitions
from clustersim.errors import InputError
from clustersim.forecasting.arrivals import arrivals_of
from clustersim.forecasting.inputs import read_state
from clustersim.forecasting.running import place_running
from clustersim.forecasting.snapshot import snapshot_of
from clustersim.report.of_forecast.answer import forecast_answer
from clustersim.scheduling import find_placement
from clustersim.topology import Cluster, Pool, compile_cluster, resolve_cluster
from tests.examples import examples
from tests.forecasting.test_forecast import HOUR, exact, running, starts, state, waiting


def pool(name: str, n_nodes: int, queues: tuple[str, ...]) -> Pool:
    zero = np.zeros(n_nodes, dtype=np.int32)
    return Pool(name, "", n_nodes, 8, float("inf"), 8, zero, zero, queues=queues)


OVERLAP = Cluster("overlap", (pool("a", 2, ("gpu", "long")), pool("b", 2, ("gpu",))))


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative"])
def test_jobs_that_can_use_one_pool_only_find_it_free(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """Partition gpu is on both pools, long on the first; both pools are full of running jobs."""
    exact(monkeypatch)
    jobs = state(
        *(running(f"g{at}", 8, 0.0, HOUR, partition="gpu") for at in range(2)),
        *(running(f"l{at}", 4, 0.0, 2 * HOUR, partition="long") for at in range(4)),
        waiting("1", 8, partition="long"),
        waiting("2", 8, partition="gpu"),
    )
    found = cs.forecast(jobs, cluster=OVERLAP, policy=policy, replications=2)
    assert found.without_room == ()
    assert starts(found) == {"1": 2 * HOUR, "2": HOUR}


TEAMS = Cluster("teams", (pool("a", 1, ("x/lq",)), pool("b", 1, ("y/lq", "z/lq", "own"))))


def test_queues_of_one_name_are_those_of_the_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lq` of x has a node until an hour has passed, that of y and z another until two have."""
    exact(monkeypatch)
    jobs = state(
        running("x/r", 8, 0.0, HOUR, partition="lq"),
        running("y/r", 8, 0.0, 2 * HOUR, partition="lq"),
        *(waiting(f"{space}/w", 8, partition="lq") for space in "xz"),
        waiting("x/o", 8, partition="own"),
    )
    found = cs.forecast(jobs, cluster=TEAMS, policy="fcfs", replications=2)
    assert starts(found) == {"x/w": HOUR, "z/w": 2 * HOUR, "x/o": 3 * HOUR}
    assert found.jobs["partition"].tolist() == ["x/lq", "z/lq", "own"]
    assert found.foreign == ()


@pytest.mark.parametrize(
    ("flavor", "partition", "wait_s"),
    [
        ("", "lq", 0.0),  # the first pool is assumed
        ("reserved", "lq", HOUR),
        ("b", "lq", HOUR),  # the name of the pool
        ("h200-zone-1", "lq", HOUR),  # its chip
        ("other", "lq", 0.0),
        ("reserved", "elsewhere", HOUR),  # a queue that the cluster does not have
    ],
)
def test_the_flavor_of_a_running_job_tells_its_pool(
    monkeypatch: pytest.MonkeyPatch, flavor: str, partition: str, wait_s: float
) -> None:
    """Two pools of a node; a job waits for the second one, on which the flavor's job may run."""
    exact(monkeypatch)
    nodes = {"nodes": 1, "chips_per_node": 8}
    pools = {
        "a": {"accelerator": "H100", **nodes, "queues": ["lq"], "flavors": ["spot"]},
        "b": {"accelerator": "H200", **nodes, "queues": ["lq", "own"], "flavors": ["reserved"]},
    }
    cluster = compile_cluster(resolve_cluster({"name": "two", "pools": pools}, cs.load_catalogue()))
    jobs = state(
        running("1", 8, 0.0, HOUR, partition=partition, flavor=flavor),
        waiting("2", 8, partition="own"),
    )
    found = cs.forecast(jobs, cluster=cluster, policy="fcfs", replications=1)
    assert starts(found) == {"2": wait_s}
    assert found.without_room == ()


def test_further_jobs_have_the_queues_of_their_namespaces() -> None:
    history = pd.DataFrame(
        {
            "job_id": ["x/1", "y/2", "y/3"],
            "submit_s": [0.0, 1.0, 2.0],
            "n_accelerators": 8,
            "duration_s": HOUR,
            "partition": ["lq", "lq", "own"],
        }
    )
    found = arrivals_of(
        history,
        TEAMS,
        find_placement("pooled"),
        window_s=1.0,
        now_s=None,
        unended={},
        default_limit_s=HOUR,
        catalogue=None,
    )
    assert found is not None
    assert [found.choices[at] for at in found.jobs.choice_of] == [(0,), (1,), (1,)]


@settings(max_examples=examples(25), deadline=None)
@given(st.data())
def test_running_jobs_that_fit_are_placed(data: st.DataObject) -> None:
    """Jobs are drawn onto full pools; each may use its own pool, and others besides."""
    partitions = build_partitions(
        Cluster("three", tuple(pool(name, 1, ()) for name in "abc")), find_placement("pooled")
    )
    sizes, allowed = [], []
    for own in range(3):
        for n in data.draw(st.sampled_from([[8], [4, 4], [1, 2, 5], [3, 5], [2, 2, 2, 2]])):
            others = data.draw(st.sets(st.integers(0, 2)))
            sizes.append(n)
            allowed.append(tuple(sorted({own, *others})))
    order = data.draw(st.permutations(range(len(sizes))))
    places = place_running(
        np.array(sizes)[order], [allowed[at] for at in order], partitions, [""] * len(sizes)
    )
    assert all(places[at][0].partition in allowed[job] for at, job in enumerate(order))
    assert sum(each.placement.free for each in partitions) == 0


def test_the_pool_of_a_saved_run_is_that_of_the_run() -> None:
    parts = build_partitions(OVERLAP, find_placement("pooled"))
    both = [(0, 1)] * 3
    places = place_running(np.array([8, 8, 8]), both, parts, ["b", "", "b"])
    assert [place.partition for (place,) in places] == [1, 0, 1]
    log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": 8})
    result = cs.replay(log.assign(duration_s=60), policy="fcfs", accelerators=8)
    given = read_state(
        result, at_s=30.0, time_zone=None, taken_at=None, columns=(), gpus_per_node=None
    )
    name = result.allocation_ranges["pool"].iloc[0]
    assert snapshot_of(given.state).running["pool"].tolist() == [name]


def test_running_jobs_without_room_stand_in_the_answer() -> None:
    jobs = state(
        running("1", 8, 0.0, HOUR, partition="a"),
        running("2", 4, 0.0, HOUR, partition="a"),
        waiting("3", 8, partition="a"),
    )
    found = cs.forecast(jobs, accelerators={"a": 8, "b": 8}, replications=2)
    answer = forecast_answer(found)
    assert "1 running job of partition 'a' with 4 accelerators found no room" in answer.hinges_on[0]
    assert answer.next_steps[0].startswith("Correct the cluster")


def test_partitions_that_the_cluster_lacks_come_first_in_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["JOBID|PARTITION|STATE|TRES_PER_NODE|NODES|REASON"]
    rows += [f"{at}|h100|PENDING|gres/gpu:4|1|Priority" for at in range(3)]
    rows += ["9|a|PENDING|gres/gpu:4|1|JobHeldUser", "10|a|PENDING|gres/gpu:4|1|Priority"]
    (tmp_path / "queue.txt").write_text("\n".join(rows) + "\n")
    words = ["forecast", str(tmp_path / "queue.txt"), "--replications", "2", "--json"]
    assert main([*words, "--accelerators", "a=8,b=8"]) == 0
    text = json.loads(capsys.readouterr().out)["answer"]
    assert text.startswith(
        "3 of 5 waiting jobs can never run, because the cluster does not have the partitions of "
        "these jobs ('h100'): its own are 'a' and 'b'. 5 jobs wait"
    )
    found = cs.forecast(tmp_path / "queue.txt", accelerators={"a": 8, "b": 8}, replications=2)
    answer = forecast_answer(found)
    assert answer.sentence == text
    assert answer.next_steps[0].startswith("Name the partitions")
    few = cs.forecast(tmp_path / "queue.txt", accelerators={"h100": 8}, replications=2)
    assert few.foreign[0].startswith("2 of 5 waiting jobs can never run")


def test_a_topology_without_any_partition_of_the_queue_is_shared(tmp_path: Path) -> None:
    """As in a replay of the log of the same site."""
    rows = ["JOBID|PARTITION|STATE|TRES_PER_NODE|NODES|REASON"]
    rows += [f"{at}|user-queue|PENDING|gres/gpu:4|1|Priority" for at in range(3)]
    (tmp_path / "queue.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "gke.yaml").write_text(
        "name: gke\npools:\n  h100: {accelerator: H100, nodes: 1, queues: [h100-pool]}\n"
    )
    found = cs.forecast(tmp_path / "queue.txt", cluster=tmp_path / "gke.yaml", replications=2)
    assert found.foreign == ()
    assert (found.start_s[:, :2] == 0.0).all()
    assert np.isfinite(found.start_s).all()
    assert any("3 jobs name 1 partition, such as 'user-queue'" in x for x in found.assumptions)


@pytest.mark.parametrize(
    "text",
    [
        "JobID|User|Partition|State|Elapsed|AllocTRES\n1|a|gpu|PENDING|00:00:00|gres/gpu=8\n",
        '{"jobs": [{"job_id": 1, "state": {"current": ["PENDING"]}, "time": {"elapsed": 0}}]}',
    ],
)
def test_accounting_is_not_a_queue(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"of sacct.*squeue -a --json > queue.json.*--history"):
        cs.forecast(path, accelerators=8)
