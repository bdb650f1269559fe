"""The section ``network`` of a scenario, and the option of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.cli.main import main
from clustersim.scenario.platform import open_platform
from clustersim.scenario.resolved import offered_work_of

FABRIC = {"type": "rail-optimised", "unit_nodes": 4, "oversubscription": {"leaf": 4}}
POOL = {"accelerator": "H200", "nodes": 16, "nic": "400 Gb/s", "fabric": FABRIC}
CLUSTER = {"name": "four to one", "pools": {"gpu": POOL}}


def tree(**fields: Any) -> dict[str, Any]:
    job_class = {
        "name": "job",
        "weight": 1,
        "sizes": {128: 1},
        "duration": {"kind": "constant", "value": "1 h"},
    }
    generate = {"arrivals": {"mean_interarrival": "1 h"}, "classes": [job_class]}
    return {"cluster": CLUSTER, "workload": {"generate": generate, "jobs": 5}, **fields}


def rate_per_s(**fields: Any) -> float:
    loaded = cs.define_scenario(tree(**fields))
    return offered_work_of(loaded, open_platform(loaded)).rate_per_s


def test_the_offered_load_is_that_of_the_typical_placement() -> None:
    """A ring of 8 NICs leaves each unit, whose trunk has the rate of 8 ports; with ECMP, of fewer.

    32 chips in a unit share 8 links: the slowdown is 0.8 + 0.2 / efficiency.
    """
    assert rate_per_s(network={}) == pytest.approx(rate_per_s(), rel=1e-12)
    slower = 0.8 + 0.2 / cs.network.ecmp_efficiency(32, 8)
    hashed = rate_per_s(network={"load_balancing": "ecmp"})
    assert hashed == pytest.approx(rate_per_s() / slower, rel=1e-9)


def test_options_and_sections_mean_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"plain.yaml": tree(), "network.yaml": tree(network={"load_balancing": "ecmp"})}
    for name, content in files.items():
        YAML(typ="safe", pure=True).dump(content, tmp_path / name)
    words = ["run", str(tmp_path / "plain.yaml"), "--no-report", "--quiet"]
    option = ["--network", "load_balancing=ecmp"]
    assert main([*words, *option, "--out", str(tmp_path / "a")]) == 0
    run = ["run", str(tmp_path / "network.yaml"), "--no-report", "--quiet"]
    assert main([*run, "--out", str(tmp_path / "b")]) == 0
    one, other = (cs.Result.load(tmp_path / name) for name in "ab")
    assert one.jobs.equals(other.jobs)
    assert one.provenance["scenario"]["network"]["load_balancing"] == "ecmp"
    slower = 0.8 + 0.2 / cs.network.ecmp_efficiency(32, 8)
    ran_s = one.jobs["finish_s"] - one.jobs["start_s"]
    assert ran_s.tolist() == pytest.approx([3600 * slower] * 5)
    capsys.readouterr()
    assert main([*words, "--network", "contentoin=true", "--out", "never"]) == 2
    assert "did you mean 'contention'" in capsys.readouterr().err
    pooled = ["--set", "scheduler.placement=pooled", *option]
    assert main([*words, *pooled, "--out", str(tmp_path / "c")]) == 2
    assert "network: needs a placement that tracks nodes" in capsys.readouterr().err


def test_replay_on_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster, log = tmp_path / "cluster.yaml", tmp_path / "log.csv"
    YAML(typ="safe", pure=True).dump(CLUSTER, cluster)
    log.write_text("job_id,submit_s,n_accelerators,duration_s\n1,0,128,1000\n")
    words = ["replay", str(log), "--policy", "fcfs", "--no-report", "--quiet"]
    words += ["--network", "contention=false", "--network", "load_balancing=ecmp"]
    words += ["--network", "communication_share=0.4"]
    assert main([*words, "--cluster", str(cluster), "--out", str(tmp_path / "o")]) == 0
    slower = 0.6 + 0.4 / cs.network.ecmp_efficiency(32, 8)
    assert cs.Result.load(tmp_path / "o").jobs["finish_s"].tolist() == pytest.approx(
        [1000 * slower]
    )
    assert main([*words, "--accelerators", "128", "--out", str(tmp_path / "p")]) == 2
    assert "network: pool pool has no topology" in capsys.readouterr().err
    words += ["--cluster", str(cluster), "--network", "storage.tolerance=0.1"]
    assert main([*words, "--out", str(tmp_path / "q")]) == 2
    assert "storage.tolerance: unknown key" in capsys.readouterr().err
