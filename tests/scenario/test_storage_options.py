"""Options of commands about checkpoints and storage mean what the section ``failures`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.cli.main import main
from clustersim.files import read_yaml
from clustersim.scenario.parameter_paths import check_path

CLUSTER = {"name": "one", "pools": {"gpu": {"accelerator": "H200", "nodes": 4}}}
LOG = "job_id,submit_s,n_accelerators,duration_s,read_bytes\n1,0,8,100,1e12\n2,0,8,100,1e12\n"
SYSTEM = {"write": "100 GB/s", "checkpoint_per_accelerator": "125 GB"}
OPTIONS = ["--storage", "write=100GB/s", "--storage", "checkpoint_per_accelerator=125GB"]
EVERY = ["--checkpoints", "interval=20s"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(LOG)
    dump(CLUSTER, "cluster.yaml")
    plain: dict[str, Any] = {"cluster": CLUSTER, "workload": {"trace": "log.csv"}}
    dump(plain, "plain.yaml")
    checkpoints = {"interval": "20 s", "storage": SYSTEM}
    dump({**plain, "failures": {"checkpoints": checkpoints}}, "shared.yaml")


def dump(tree: dict[str, Any], name: str) -> None:
    YAML(typ="safe", pure=True).dump(tree, Path(name))


def finishes(folder: str) -> list[float]:
    return cs.Result.load(folder).jobs["finish_s"].tolist()


def test_options_and_the_section_mean_the_same() -> None:
    quiet = ["--no-report", "--quiet"]
    assert main(["run", "plain.yaml", *EVERY, *OPTIONS, *quiet, "--out", "a"]) == 0
    assert main(["run", "shared.yaml", *quiet, "--out", "b"]) == 0
    one, other = (cs.Result.load(name) for name in "ab")
    assert one.jobs.equals(other.jobs)
    assert one.storage_load is not None
    assert one.provenance["scenario"]["failures"] == other.provenance["scenario"]["failures"]
    words = ["replay", "log.csv", "--policy", "fcfs", *EVERY, *OPTIONS, *quiet]
    assert main([*words, "--cluster", "cluster.yaml", "--out", "c"]) == 0
    assert finishes("c") == finishes("a")
    # Without nodes, each accelerator is a client; the system is the limit all the same.
    assert main([*words, "--accelerators", "32", "--out", "d"]) == 0
    assert finishes("d") == pytest.approx(finishes("a"))
    assert main([*words, "--accelerators", "32", "--storage", "client=1GB/s", "--out", "e"]) == 0
    assert finishes("e")[0] > finishes("d")[0] + 100


def test_both_sides_of_what_if_share_storage(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["what-if", "log.csv", "--cluster", "cluster.yaml", "--add-nodes", "4", "--quiet"]
    words += ["--replications", "1", "--metric", "mean_jct_s"]
    assert main([*words, *EVERY, *OPTIONS, "--out", "a"]) in (0, 1)
    capsys.readouterr()
    wrong = ["--storage", "writes=1TB/s", "--out", "b"]
    assert main([*words, *wrong]) == 2
    assert "failures.checkpoints.storage.writes: unknown key" in capsys.readouterr().err


def test_what_is_wrong_with_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    replay = ["replay", "log.csv", "--policy", "fcfs", "--accelerators", "32", "--out", "x"]
    for option, message in (
        ("--storage=write", "--storage: must be NAME=VALUE, found 'write'"),
        ("--storage=read=1TB/s", "checkpoints.storage.write: is required but absent"),
        ("--checkpoints=intervall=1h", "checkpoints.intervall: unknown key; did you mean"),
        ("--storage=pools.gpu.write=1TB/s", "checkpoints.storage.write: is required but absent"),
    ):
        assert main([*replay, option]) == 2
        assert message in capsys.readouterr().err
    Path("log.csv").write_text(LOG.replace("1e12", "-1"))
    assert main([*replay, *OPTIONS]) == 2
    assert "read_bytes: 2 rows with a negative value" in capsys.readouterr().err


def test_studies_vary_the_storage() -> None:
    tree = read_yaml("shared.yaml")
    assert check_path(tree, "failures.checkpoints.storage.write", Path()) == "100 GB/s"
    for rate, finish_s in (("100 GB/s", 20 + 100), ("200 GB/s", 10 + 100)):
        changed = {"failures.checkpoints.storage.write": rate,
                   "failures.checkpoints.interval": "never"}  # fmt: skip
        result = cs.run("shared.yaml", changed)
        assert result.jobs["finish_s"].tolist() == pytest.approx([finish_s] * 2)
