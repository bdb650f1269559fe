"""The section ``windows`` of a scenario, and windows on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.on_request.whole_run import metrics_of_run
from clustersim.availability.windows import planned_windows
from clustersim.availability.windows_spec import WindowsSpec
from clustersim.calendar import Calendar
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.scenario.window_texts import windows_of_texts
from clustersim.topology import Cluster, Pool


def fleet() -> Cluster:
    """Six nodes in three pods, of which the first four belong to a virtual cluster; two others."""
    return Cluster("lab", (a_pool("gpu", 6, {"ml": 4}), a_pool("old", 2, {})))


def a_pool(name: str, nodes: int, owners: dict[str, int]) -> Pool:
    return Pool(
        name=name,
        accelerator="",
        n_nodes=nodes,
        chips_per_node=8,
        nic_Bps=float("inf"),
        scaleup_size=8,
        leaf_of_node=np.arange(nodes, dtype=np.int32),
        unit_of_node=np.arange(nodes, dtype=np.int32) // 2,
        virtual_clusters=owners,
    )


def plan(**section: Any) -> list[tuple[str, int, tuple[int, ...], float, float, float]]:
    spec = WindowsSpec.model_validate(section)
    return [
        (w.name, w.pool, w.nodes, w.begin_s, w.end_s, w.announced_s)
        for w in planned_windows(spec, fleet())
    ]


def test_whole_pools_and_ranges_of_nodes() -> None:
    both = plan(maintenance=[{"name": "power", "at": "1 h", "duration": "10 min"}])
    assert both == [
        ("power", 0, (0, 1, 2, 3, 4, 5), 3600, 4200, 0),
        ("power", 1, (0, 1), 3600, 4200, 0),
    ]
    some = {"pools": ["gpu"], "nodes": "0-1,5", "at": "1 h", "duration": "60 s", "notice": "10 min"}
    assert plan(maintenance=[some]) == [("maintenance", 0, (0, 1, 5), 3600, 3660, 3000)]


@pytest.mark.parametrize(
    ("each", "at_once", "groups"),
    [
        ("unit", 1, [((0, 1), 0), ((2, 3), 60), ((4, 5), 120)]),
        ("unit", 2, [((0, 1), 0), ((2, 3), 0), ((4, 5), 60)]),
        (4, 1, [((0, 1, 2, 3), 0), ((4, 5), 60)]),
        ("leaf", 4, [((0,), 0), ((1,), 0), ((2,), 0), ((3,), 0), ((4,), 60), ((5,), 60)]),
    ],
)
def test_rolling_by_pods(each: str | int, at_once: int, groups: list[tuple[Any, float]]) -> None:
    rolling = {"pools": ["gpu"], "at": "0 s", "duration": "60 s", "each": each, "at_once": at_once}
    found = plan(maintenance=[{**rolling, "name": "m"}])
    assert [(nodes, begin) for _, _, nodes, begin, _, _ in found] == groups
    assert [name for name, *_ in found] == [f"m {k + 1}" for k in range(len(groups))]


def test_reservations_take_the_last_nodes_that_are_not_taken() -> None:
    ann = {"pool": "gpu", "users": ["ann"], "at": "100 s"}
    found = plan(
        maintenance=[{"pools": ["gpu"], "nodes": 5, "at": "150 s", "duration": "10 s"}],
        reservations=[
            {**ann, "accelerators": 12, "until": "200 s"},
            {**ann, "accelerators": 8, "duration": "50 s"},
            {**ann, "accelerators": 8, "duration": "20 s", "owner": "ml", "name": "own"},
            {**ann, "nodes": "0", "duration": "20 s"},
        ],
    )
    # The maintenance of node 5 begins when the second reservation ends.
    assert [(name, nodes) for name, _, nodes, *_ in found] == [
        ("maintenance", (5,)),
        ("reservation", (3, 4)),
        ("reservation", (5,)),
        ("own", (2,)),
        ("reservation", (0,)),
    ]


MAINTENANCE = {"at": "0 s", "duration": "60 s"}
RESERVATION = {"pool": "gpu", "at": "0 s", "duration": "60 s", "users": ["ann"], "nodes": "0"}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"maintenance": [{**MAINTENANCE, "pools": ["gpus"]}]}, "pools: .*'gpus'.*gpu"),
        ({"maintenance": [{**MAINTENANCE, "nodes": "0-1"}]}, "nodes needs one pool"),
        ({"maintenance": [{**MAINTENANCE, "at_once": 2}]}, "at_once needs each"),
        ({"maintenance": [{**MAINTENANCE, "pools": ["old"], "nodes": "0-2"}]}, "are 0 to 1"),
        ({"maintenance": [{**MAINTENANCE, "pools": ["old"], "nodes": "a"}]}, "such as 0-15,20"),
        ({"maintenance": [{**MAINTENANCE, "duration": "0 s"}]}, "duration"),
        ({"reservations": [{**RESERVATION, "accelerators": 8}]}, "nodes or accelerators, not both"),
        ({"reservations": [{**RESERVATION, "until": "70 s"}]}, "until or duration, not both"),
        ({"reservations": [{**RESERVATION, "users": []}]}, "users, virtual_clusters or jobs"),
        (
            {"reservations": [{**RESERVATION, "nodes": None, "accelerators": 49}]},
            "49 need 7 nodes of gpu, but only 6",
        ),
        ({"heroes": {"share": 0}}, "share"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(section: dict[str, Any], words: str) -> None:
    log = pd.DataFrame({"job_id": [1], "submit_s": [0], "n_accelerators": [8], "duration_s": [60]})
    with pytest.raises(InputError, match=words):
        cs.replay(log.assign(user="ann"), policy="easy", cluster=fleet(), windows=section)


def test_windows_of_a_scenario_with_dates(tmp_path: Path) -> None:
    jobs = [{"job_id": k, "submit_s": 0, "n_accelerators": 256, "duration_s": 3000} for k in (1, 2)]
    pd.DataFrame(jobs).to_csv(tmp_path / "jobs.csv", index=False)
    result = cs.run(
        {
            "cluster": "mixed-small",
            "start": "2026-01-01",
            "workload": {"trace": str(tmp_path / "jobs.csv")},
            "scheduler": {"policy": "easy"},
            "windows": {
                "maintenance": [{"pools": ["h200"], "at": "2026-01-01T01:00", "duration": "1 h"}]
            },
        }
    )
    assert result.jobs["start_s"].tolist() == [0.0, 7200.0]
    assert result.outages is not None
    assert set(result.outages["begin_s"]) == {3600.0}
    result.save(tmp_path / "out")
    again = cs.Result.load(tmp_path / "out").windows
    assert result.windows is not None
    assert again is not None
    pd.testing.assert_frame_equal(again, result.windows)
    # From 3000 s to 3600 s, all 256 accelerators are free, and the second job wants them.
    assert again["drained_accelerator_s"].tolist() == [256 * 600]
    # Until 10,200 s, of the accelerators in service.
    share = metrics_of_run(result, ["drained_for_windows", "drained_for_heroes"])
    assert share["drained_for_heroes"] == 0.0
    assert 0 < share["drained_for_windows"] <= 256 * 600 / (256 * (10200 - 3600))


def test_replay_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "job_id,submit_s,n_accelerators,duration_s,user\n1,0,8,50,ann\n2,0,8,50,bo\n"
    (tmp_path / "jobs.csv").write_text(rows)
    words = [
        "replay",
        str(tmp_path / "jobs.csv"),
        "--policy",
        "easy",
        "--accelerators",
        "8",
        "--no-report",
    ]
    out = tmp_path / "out"
    options = ["--maintenance", "all@60s+40s", "--reserve", "pool:8@0s+50s=bo"]
    assert main([*words, *options, "--out", str(out)]) == 0
    assert cs.Result.load(out).jobs["start_s"].tolist() == [100.0, 0.0]
    text = capsys.readouterr().out
    # Free from 50 s to 60 s, while the first job waits.
    assert "1 maintenance window: 0 jobs stopped at their beginning; 0.02" in text
    assert main([*words, "--maintenance", "all@2d", "--out", str(tmp_path / "b")]) == 2
    assert "must be POOL@START+DURATION" in capsys.readouterr().err


def test_texts_that_are_no_windows() -> None:
    for maintenance, reserve, words in [
        (["gpu"], [], "must be POOL@START"),
        (["gpu@1d"], [], "must be POOL@START"),
        (["gpu@2026-01-01+8h"], [], "the date of time 0 is not known"),
        ([], ["gpu:64@1d+8h"], "must be as gpu:64@2d"),
        ([], ["gpu@1d=ann"], "must be POOL@START"),
        ([], ["gpu@1d+8h=ann"], "must be as gpu:64@2d"),
    ]:
        with pytest.raises(InputError, match=words):
            windows_of_texts(maintenance, reserve, Calendar())
