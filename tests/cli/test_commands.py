"""Every command on small input, as a user types it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.cli.main import COMMANDS, main, make_parser
from clustersim.files import read_yaml
from clustersim.simulation.result import Result
from clustersim.units import format_money
from clustersim.version import __version__
from clustersim.workload import load_workload

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "experiments").glob("*.yaml"))
SCENARIOS = [path for path in FILES if not {"base", "quarters"} & set(read_yaml(path))]
GOOD = "job_id,submit_s,n_accelerators,duration_s,who\n1,0,8,60,a\n2,5,8,60,b\n3,6,16,30,c\n"
POLICY = """\
from clustersim import Policy


class NarrowestFirst(Policy):
    def schedule(self, now):
        for job in sorted(self.waiting, key=self.n_accelerators):
            self.start(job)
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must succeed; return what it printed."""
    code = main(list(arguments))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert captured.err == "", "progress is silent where there is no terminal"
    return captured.out


def write_long_log(path: Path) -> None:
    draw = np.random.default_rng(1)
    pd.DataFrame(
        {
            "job_id": np.arange(400),
            "submit_s": np.sort(draw.integers(0, 14 * 86400, 400)),
            "n_accelerators": draw.choice([1, 8, 16], 400),
            "duration_s": draw.integers(1, 20000, 400),
        }
    ).to_csv(path, index=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.csv"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "easy_sjbf", "conservative"])
def test_replay(capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, policy: str) -> None:
    out = tmp_path / "out"
    arguments = ["replay", str(log), "--policy", policy, "--accelerators", "16"]
    printed = call(capsys, *arguments, "--out", str(out))
    assert "3 rows, 3 jobs" in printed
    jobs = pd.read_parquet(out / "jobs.parquet")
    assert list(jobs.columns[:5]) == GOOD.split("\n")[0].split(",")
    assert jobs["start_s"].tolist() == [0, 5, 65]
    assert jobs["finish_s"].tolist() == [60, 65, 95]
    assert Result.load(out).provenance["replay"]["policy"] == policy


def test_replay_on_a_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path) -> None:
    out = tmp_path / "out"
    where = ["--cluster", "mixed-small", "--placement", "consolidate", "--out", str(out)]
    call(capsys, "replay", str(log), "--policy", "easy", *where)
    allocations = Result.load(out).allocations
    assert allocations.groupby("job_id")["n_accelerators"].sum().tolist() == [8, 8, 16]
    assert (allocations["node"] >= 0).all()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_run_of_each_scenario_in_small(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Path,
) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out"
    small = ["--set", "workload.jobs=50", "--set", "cluster=mixed-small", "--seed", "5"]
    small += ["--set", "supply=null", "--set", "fleet=null"]  # of its own cluster
    printed = call(capsys, "run", str(scenario), *small, "--out", str(out))
    result = Result.load(out)
    assert len(result.jobs) == 50
    assert result.provenance["seed"] == 5
    assert "SeedChip is hypothetical" in printed


def test_a_run_reports_its_energy_and_money(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["run", str(ROOT / "experiments" / "mixed_small.yaml"), "--out", str(out)]
    arguments += ["--set", "workload.jobs=50"]
    printed = call(capsys, *arguments, "--set", "energy={pue: 1.2}", "--set", "money={life: 3 yr}")
    result = Result.load(out)
    assert result.costs is not None
    mwh, cny = result.costs["energy_j"].sum() / 3.6e9, result.costs["cost_cny"].sum()
    assert f"energy: {mwh:.4g} MWh, " in printed
    assert f"cost: {format_money(cny)}, " in printed
    assert f"; {cny / 50:,.4g} CNY per job, " in printed


def test_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    printed = call(capsys, "catalogue")
    for name in ("H200", "910B2", "SeedChip", "deepseek-v3", "doubao-class"):
        assert name in printed
    assert "Sources" in call(capsys, "catalogue", "h200")
    assert "SeedChip is hypothetical" in call(capsys, "catalogue", "SeedChip")


def test_topology(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = call(capsys, "topology", "mixed-small")
    for word in ("480", "oversubscription", "bisection", "h200"):
        assert word in printed
    picture = tmp_path / "cluster.png"
    assert str(picture) in call(capsys, "topology", "mixed-small", "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_topology_explains_its_total_oversubscription(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "tree.yaml"
    fabric = "{type: fat-tree, k: 4, oversubscription: {edge: 2, aggregation: 3}}"
    path.write_text(
        f"name: tree\npools:\n  gpu: {{accelerator: H200, nodes: 16, fabric: {fabric}}}\n"
    )
    printed = call(capsys, "topology", str(path))
    assert "6:1  2:1 (edge of 2 nodes) x 3:1 (pod of 4 nodes)" in printed
    assert "It is the product of the levels." in printed


def test_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, model, picture = tmp_path / "jobs.csv", tmp_path / "model.yaml", tmp_path / "jobs.svg"
    write_long_log(log)
    arguments = ["--accelerators", "64", "--plot", str(picture), "--fit", str(model)]
    assert main(["trace", str(log), *arguments]) == 0
    printed, said = capsys.readouterr()
    assert all(line.startswith("Note: ") for line in said.splitlines()), "no progress"
    for word in ("400 jobs", "offered load on 64", "Sizes", "hour of the day", "KS"):
        assert word in printed
    assert "<svg" in picture.read_text()
    assert len(load_workload(model).classes) > 0


def test_check_policy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(POLICY)
    for name in (f"{mine}", f"{mine}:NarrowestFirst", "conservative"):
        printed = call(capsys, "check-policy", name)
        assert re.search(r"^8 of 8 .* ok$", printed, re.MULTILINE), "all trials agree, in one row"
        assert len(re.findall(r"^\d of \d ", printed, re.MULTILINE)) == 1


def test_interrupt_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clustersim.catalogue.load_catalogue", stop)
    assert main(["catalogue"]) == 130
    assert capsys.readouterr().err == "clustersim: interrupted\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert re.fullmatch(
        rf"clustersim {re.escape(__version__)} \(code [0-9a-f]{{8}}\)\n", capsys.readouterr().out
    )


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main([command.replace("_", "-"), "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


def examples(text: str) -> list[list[str]]:
    """Commands in a help text, without their redirection."""
    lines = re.findall(r"^(?:\s*example:)?\s*(clustersim [a-z].*)$", text, re.MULTILINE)
    return [shlex.split(line.split(" > ")[0])[1:] for line in lines]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Its options exist; `make package` runs it with the installed package."""
    text = help_of(command, capsys)
    assert "example:" in text
    found = examples(text)
    assert found
    for arguments in found:
        make_parser().parse_args(arguments)
