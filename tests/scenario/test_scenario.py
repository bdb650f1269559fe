"""Scenario files: what they are put together from, and that they can be run again."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from clustersim.catalogue import load_catalogue
from clustersim.files import validate
from clustersim.performance import relative_speed
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run, run_scenario
from clustersim.scenario.scenario import define_scenario, load_scenario
from clustersim.simulation.load import offered_work
from clustersim.simulation.result import Result
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import Cluster, compile_cluster, resolve_cluster
from clustersim.workload import WorkloadSpec

SCENARIO: dict[str, Any] = {
    "name": "base",
    "cluster": {
        "name": "two",
        "pools": {
            "fast": {"accelerator": "H200", "nodes": 4},
            "slow": {"accelerator": "H20", "nodes": 4, "virtual_clusters": {"x": {"nodes": 1}}},
        },
    },
    "workload": {
        "generate": {
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "5 min"},
            "classes": [
                {
                    "name": "train",
                    "weight": 3,
                    "sizes": {8: 2.0, 16: 1.0},
                    "model": "llama3-8b",
                    "tokens": {"kind": "lognormal", "median": 1.0e8, "sigma": 1.0},
                    "estimate": {"kind": "weibull", "scale": 2.0, "shape": 1.3},
                },
                {
                    "name": "small",
                    "weight": 1,
                    "sizes": {1: 1.0},
                    "duration": {"kind": "exponential", "average": "7.3 min"},
                    "vcs": {"x": 1.0, "y": 0.1},
                    "users": {"ann": 1, "bob": 2},
                },
            ],
        },
        "jobs": 200,
        "load": 0.7,
        "reference_models": {"small": "llama3-8b"},
    },
    "scheduler": {"policy": "easy"},
    "seed": 5,
}


def write(path: Path, tree: dict[str, Any]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    return path


def assert_same(one: Result, two: Result) -> None:
    for name in ("jobs", "allocations", "utilisation", "summary"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), check_exact=True)


# --- extends, changes, file names ---------------------------------------------------


def test_extends_merges_deeply_and_the_nearer_file_wins(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", SCENARIO)
    (tmp_path / "sub").mkdir()
    middle = {"extends": "../base.yaml", "scheduler": {"placement": "spread"}, "seed": 6}
    write(tmp_path / "sub" / "middle.yaml", middle)
    top = {"extends": "middle.yaml", "seed": 7, "workload": {"jobs": 10}}
    scenario = load_scenario(write(tmp_path / "sub" / "top.yaml", top)).scenario
    assert scenario.seed == 7
    assert scenario.workload.jobs == 10
    assert scenario.workload.load == 0.7
    assert scenario.scheduler.policy == "easy"
    assert scenario.scheduler.placement == "spread"
    assert scenario.name == "base"


def test_extends_replaces_lists_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", SCENARIO)
    only = SCENARIO["workload"]["generate"]["classes"][1]
    top = {"extends": "base.yaml", "workload": {"generate": {"classes": [only]}}}
    workload = load_scenario(write(tmp_path / "top.yaml", top)).scenario.workload.generate
    assert isinstance(workload, WorkloadSpec)
    assert [job_class.name for job_class in workload.classes] == ["small"]


def test_changes_lead_into_what_the_scenario_names(tmp_path: Path) -> None:
    named = {**SCENARIO, "cluster": "mixed-small"}
    named["workload"] = {"generate": "philly-2017", "jobs": 20}
    path = write(tmp_path / "named.yaml", named)
    changes = [
        "cluster.pools.h200.nodes=3",
        "workload.generate.arrivals.mean_interarrival=9 min",
        "workload.jobs=30",
        "scheduler.policy=fcfs",
    ]
    loaded = load_scenario(path, changes)
    fleet = resolve(loaded)
    plain = resolve(load_scenario(path))
    assert fleet.cluster.pools[0].n_nodes == 3
    assert [p.n_chips for p in fleet.cluster.pools[1:]] == [
        p.n_chips for p in plain.cluster.pools[1:]
    ]
    assert fleet.platform.workload is not None
    assert plain.platform.workload is not None
    assert fleet.platform.workload.arrivals.mean_interarrival == 540
    assert fleet.platform.workload.classes == plain.platform.workload.classes
    assert len(fleet.jobs) == 30
    assert fleet.log is None
    as_mapping: dict[str, Any] = dict(change.split("=") for change in changes)
    as_mapping |= {"workload.jobs": 30, "cluster.pools.h200.nodes": 3}
    assert load_scenario(path, as_mapping).scenario == loaded.scenario


def test_files_are_found_beside_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home / "cluster.yaml", SCENARIO["cluster"])
    write(home / "workload.yaml", SCENARIO["workload"]["generate"])
    write(home / "chips.yaml", {"accelerators": {"Mine": {"extends": "H20", "source": "a test"}}})
    (home / "mine.py").write_text(
        "from clustersim import NodePlacement, Policy\n"
        "class Order(Policy):\n"
        "    def schedule(self, now):\n"
        "        for job in list(self.waiting):\n"
        "            if not self.start(job):\n"
        "                break\n"
        "class FirstFit(NodePlacement):\n"
        "    def choose(self, n, node_free):\n"
        "        nodes = []\n"
        "        for node, free in enumerate(node_free.tolist()):\n"
        "            if n and free:\n"
        "                nodes.append((node, min(n, free)))\n"
        "                n -= min(n, free)\n"
        "        return None if n else nodes\n"
    )
    tree = copy.deepcopy(SCENARIO)
    tree |= {"cluster": "cluster.yaml", "catalogue": ["chips.yaml"]}
    tree["workload"]["generate"] = "workload.yaml"
    tree["scheduler"] = {"policy": "mine.py:Order", "placement": "mine.py:FirstFit"}
    write(home / "scenario.yaml", tree)
    monkeypatch.chdir(tmp_path)
    away = run("home/scenario.yaml")
    monkeypatch.chdir(home)
    assert_same(run("scenario.yaml"), away)
    tree["scheduler"] = {"policy": "fcfs", "placement": "mine.py"}
    write(home / "fcfs.yaml", tree)
    assert_same(run("fcfs.yaml"), away)


# --- Running again ------------------------------------------------------------------


@pytest.mark.parametrize("changes", [[], ["replication=2"], ["horizon=5 h"], ["workload.load=1.3"]])
def test_provenance_runs_again_to_the_same_bits(tmp_path: Path, changes: list[str]) -> None:
    result = run(write(tmp_path / "scenario.yaml", SCENARIO), changes)
    saved = Result.load(result.save(tmp_path / "out"))
    assert_same(saved, result)
    again = run_scenario(define_scenario(saved.provenance["scenario"]))
    assert_same(again, result)
    assert again.provenance["scenario"] == saved.provenance["scenario"]
    assert result.jobs["outcome"].eq("finished").sum() > 20


@pytest.mark.parametrize(
    "names", [("mixed-small", "doubao-jimeng-lab"), ("philly-like", "kth-sp2")]
)
def test_named_models_run_again_to_the_same_bits(tmp_path: Path, names: tuple[str, str]) -> None:
    tree = {"cluster": names[0], "workload": {"generate": names[1], "jobs": 60}}
    result = run(write(tmp_path / "scenario.yaml", tree))
    kept = json.loads(json.dumps(result.provenance["scenario"]))
    assert_same(run_scenario(define_scenario(kept)), result)


def test_a_log_and_files_run_again_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    rows = "1,0,8,60,train\n2,5,8,70,test\n3,6,16,30,train\n"
    (home / "jobs.csv").write_text("job_id,submit_s,n_accelerators,duration_s,job_class\n" + rows)
    (home / "mine.py").write_text(
        "from clustersim.scheduling.policies import Sjf\nclass Mine(Sjf):\n    pass\n"
    )
    tree = {
        "cluster": SCENARIO["cluster"],
        "workload": {
            "trace": "jobs.csv",
            "reference_accelerator": "H200",
            "reference_models": {"train": "llama3-8b", "default": "seed-oss-36b"},
        },
        "scheduler": {"policy": "mine.py:Mine"},
    }
    result = run(write(home / "scenario.yaml", tree))
    assert (result.jobs["outcome"] == "finished").all()
    monkeypatch.chdir(away)
    again = run_scenario(define_scenario(result.provenance["scenario"]))
    assert_same(again, result)
    assert os.listdir(away) == []


def test_replications_differ_and_each_is_repeatable(tmp_path: Path) -> None:
    path = write(tmp_path / "scenario.yaml", SCENARIO)
    first, second = run(path, ["replication=0"]), run(path, ["replication=1"])
    for column in ("submit_s", "tokens", "n_accelerators"):
        assert not first.jobs[column].equals(second.jobs[column])
    assert_same(run(path, ["replication=1"]), second)
    other_seed = run(path, ["seed=6"])
    assert not other_seed.jobs["submit_s"].equals(first.jobs["submit_s"])
    assert not other_seed.jobs["submit_s"].equals(second.jobs["submit_s"])


# --- Load ---------------------------------------------------------------------------


def jobs_at(tmp_path: Path, load: float, policy: str = "easy") -> pd.DataFrame:
    path = write(tmp_path / "scenario.yaml", SCENARIO)
    loaded = load_scenario(path, [f"workload.load={load}", f"scheduler.policy={policy}"])
    return resolve(loaded).jobs


def test_load_stretches_time_and_changes_nothing_else(tmp_path: Path) -> None:
    low, high = jobs_at(tmp_path, 0.5), jobs_at(tmp_path, 1.0)
    same = [name for name in low if name != "submit_s"]
    pd.testing.assert_frame_equal(low[same], high[same])
    np.testing.assert_allclose(low["submit_s"], 2 * high["submit_s"], rtol=1e-12)
    pd.testing.assert_frame_equal(jobs_at(tmp_path, 0.5, "fcfs"), low)


def test_offered_load_is_what_was_asked_for(tmp_path: Path) -> None:
    """Of many jobs of one duration on one pool, work arrives at the rate of the load."""
    tree = copy.deepcopy(SCENARIO)
    tree["cluster"] = {"name": "one", "pools": {"a": {"accelerator": "H200", "nodes": 4}}}
    kind = {"name": "k", "weight": 1, "sizes": {4: 1.0}}
    kind["duration"] = {"kind": "constant", "value": "10 min"}
    tree["workload"]["generate"]["classes"] = [kind]
    tree["workload"] |= {"reference_models": {}, "jobs": 100_000, "load": 0.8}
    loaded = load_scenario(write(tmp_path / "scenario.yaml", tree))
    jobs = resolve(loaded).jobs
    load = len(jobs) * 4 * 600 / (32 * jobs["submit_s"].iloc[-1])
    assert load == pytest.approx(0.8, rel=0.015)  # 4 standard errors of 1e5 exponential gaps


CATALOGUE = load_catalogue()


def fleet(**nodes: int) -> Cluster:
    pools = {chip.lower(): {"accelerator": chip, "nodes": n} for chip, n in nodes.items()}
    return compile_cluster(resolve_cluster({"name": "test", "pools": pools}, CATALOGUE))


def workload(*classes: dict[str, Any]) -> WorkloadSpec:
    data = {"arrivals": {"mean_interarrival": "60 s"}, "classes": list(classes)}
    return validate(WorkloadSpec, data, "test")


def kind(name: str, size: int, seconds: float, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    duration = {"kind": "constant", "value": f"{seconds} s"}
    return {"name": name, "weight": weight, "sizes": {size: 1.0}, "duration": duration, **more}


def test_rate_at_load_1_of_one_pool() -> None:
    """N / E[n x run]: 16 x 8 chips; E = (1/4) 8 x 100 + (3/4) (1/2) (1 + 4) x 40 = 275."""
    spec = workload(
        kind("a", 8, 100, weight=1),
        {**kind("b", 1, 40, weight=3), "sizes": {1: 2.0, 4: 2.0}},
    )
    assert offered_work(spec, Speeds(fleet(H200=16), CATALOGUE)).rate_per_s == pytest.approx(
        128 / 275, rel=1e-9
    )


def test_rate_at_load_1_leaves_out_jobs_that_can_never_run() -> None:
    """Of 32 chips only the half that is small enough counts: 32 / (0.5 x 8 x 100)."""
    spec = workload(kind("fits", 8, 100), kind("too large", 64, 100))
    assert offered_work(spec, Speeds(fleet(H200=4), CATALOGUE)).rate_per_s == pytest.approx(
        32 / 400, rel=1e-9
    )


@pytest.mark.parametrize(
    ("share", "rate"),
    [
        # x of the jobs may run on the 32 H200 only; all do 800 accelerator-seconds.
        (0.25, 96 / 800),  # 8 + 24 of 96 chips: all pools full
        (0.8, 32 / (0.8 * 800)),  # the H200 are full first
    ],
)
def test_rate_at_load_1_where_some_jobs_must_have_one_chip(share: float, rate: float) -> None:
    spec = workload(
        kind("picky", 8, 100, weight=share, accelerators=["H200"]),
        kind("any", 8, 100, weight=1 - share),
    )
    two = fleet(H200=4, H20=8)
    assert offered_work(spec, Speeds(two, CATALOGUE)).rate_per_s == pytest.approx(rate, rel=1e-9)


def speed(cluster: Cluster, model: str) -> float:
    """Speed of the second pool's chips relative to H200 at 8 chips."""
    pool = cluster.pools[1]
    chips = CATALOGUE.accelerator(pool.accelerator), CATALOGUE.accelerator("H200")
    ratio = relative_speed(CATALOGUE.model(model), *chips, 8, nic_Bps=(pool.nic_Bps, None))
    return float(ratio[0])


def test_rate_at_load_1_of_two_speeds() -> None:
    """A slower chip counts by its speed: (N1 + s N2) / E[n x run on the reference]."""
    two = fleet(H200=4, H20=8)
    s = speed(two, "llama3-8b")
    assert 0.1 < s < 0.9
    rate = offered_work(
        workload(kind("a", 8, 100)),
        Speeds(two, CATALOGUE, RunTimeModel("H200", {"default": "llama3-8b"})),
    ).rate_per_s
    assert rate == pytest.approx((32 + 64 * s) / 800, rel=1e-6)


def test_rate_at_load_1_sends_jobs_where_they_are_relatively_fast() -> None:
    """Two classes of equal number and work w = 800, two pools of N1 = 32 and N2 = 64.

    On the second pool they run at the speeds s > t.  The linear program gives it to the
    first class alone as long as that class fills it: with the rate r of all jobs, r/2 w
    = s N2 + (what the first class takes of pool 1), the second class r/2 w on pool 1:
    r w = N1 + s N2, which holds while r/2 w >= s N2, that is N1 >= s N2.  Otherwise the
    first class leaves room y on pool 2 for the second: r/2 w (1/s) + y = N2 and
    r/2 w = N1 + t y, so r/2 w = (N1 + t N2) / (1 + t/s).
    """
    two = fleet(H200=4, H20=8)
    speeds = {model: speed(two, model) for model in ("llama3-8b", "deepseek-v3")}
    assert abs(speeds["llama3-8b"] - speeds["deepseek-v3"]) > 0.01
    (slow, t), (quick, s) = sorted(speeds.items(), key=lambda item: item[1])
    n1, n2, w = 32, 64, 800
    each = (n1 + s * n2) / 2 if n1 >= s * n2 else (n1 + t * n2) / (1 + t / s)
    rate = offered_work(
        workload(kind("quick", 8, 100), kind("slow", 8, 100)),
        Speeds(two, CATALOGUE, RunTimeModel("H200", {"quick": quick, "slow": slow})),
    ).rate_per_s
    assert rate == pytest.approx(2 * each / w, rel=1e-6)


def test_the_scenario_says_which_chip_durations_are_of(tmp_path: Path) -> None:
    """Its reference accelerator counts for the load as it does for the run times."""
    tree = copy.deepcopy(SCENARIO)
    tree["workload"]["generate"]["classes"] = [kind("small", 8, 600)]
    rates = {}
    for chip in ("H200", "H20"):
        tree["workload"]["reference_accelerator"] = chip
        loaded = load_scenario(write(tmp_path / f"{chip}.yaml", tree))
        rates[chip] = 1 / resolve(loaded).jobs["submit_s"].mean()
    two = resolve(loaded).cluster
    s = speed(two, "llama3-8b")
    # On reference H20 the same seconds are less work: 32 (1/s) + 32 chips against 32 + 32 s.
    assert rates["H20"] / rates["H200"] == pytest.approx(1 / s, rel=1e-6)
