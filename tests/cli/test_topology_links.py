"""`clustersim topology --links`: the names that faults of the network can use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clustersim.cli.main import main


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["topology", "h200-superpod", *words]) == 0
    return capsys.readouterr().out


def test_the_names_of_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "--links")
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "switch (leaf) 32 2,048 400 Gb/s h200/leaf/0 h200/leaf/31" in rows
    assert "uplinks (unit) 4 1,024 400 Gb/s h200/unit/0/uplinks h200/unit/3/uplinks" in rows
    found = json.loads(shown(capsys, "--links", "--json"))
    assert [part["first"] for part in found["parts"]][:2] == ["h200/node/0/nic/0", "h200/leaf/0"]
    assert found["chips"] == 1024
    assert "Names for network.faults" not in shown(capsys)
    assert "parts" not in json.loads(shown(capsys, "--json"))


def test_the_links_of_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "--links-of", "h200/node/5")
    assert [line.split()[0] for line in text.splitlines() if line.startswith("h200/")] == [
        f"h200/node/5-leaf/{rail}" for rail in range(8)
    ]
    found = json.loads(shown(capsys, "--links-of", "h200/spine/3", "--json"))["links_of"]
    assert found["name"] == "h200/spine/3"
    assert len(found["links"]) == 32
    assert found["links"][7] == {"name": "h200/leaf/7-spine/3", "cables": 2, "rate_Bps": 50e9}


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topology", "h200-superpod", "--links-of", "h200/laef/1"]) == 2
    assert "--links-of: h200/laef/1: unknown kind of switch 'laef'; did you mean 'leaf'?" in (
        capsys.readouterr().err
    )
    assert main(["topology", "--from", "nodes.txt", "--links"]) == 2
    assert "--links: is only allowed with FILE" in capsys.readouterr().err


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the same short run: with the network, without it, and with a lost table."""
    folder = tmp_path_factory.mktemp("runs")
    log = folder / "jobs.csv"
    log.write_text("job_id,submit_s,n_accelerators,duration_s\n1,0,16,100\n2,10,16,100\n")
    words = ["replay", str(log), "--policy", "fcfs", "--cluster", "h20-pod", "--quiet"]
    words += ["--placement", "random"]
    assert main([*words, "--out", str(folder / "flat")]) == 0
    assert main([*words, "--network", "contention=true", "--out", str(folder / "network")]) == 0
    shutil.copytree(folder / "network", folder / "lost")
    (folder / "lost" / "network_load.parquet").unlink()
    (folder / "empty").mkdir()
    return folder


def test_the_load_of_a_run_is_shown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topology", "--load", str(runs / "network")]) == 0
    assert "Load of shared links" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--load", "flat"], "flat has no load of links: the run did not simulate the network"),
        (["--load", "lost"], "lost: has no network_load.parquet"),
        (["--load", "empty"], "empty: has no provenance.json"),
        (["--load", "none"], "none: no such folder of results"),
        (["h20-pod", "--load", "network"], "says on which topology it ran; leave out FILE"),
        (
            ["h20-pod", "--links-of", "h20/node/999"],
            "there is no h20/node/999; allowed: h20/node/0",
        ),
        (["--load", "network", "--plot", "x.gif"], "cannot save a figure as 'gif'; allowed: png"),
        (["h20-pod", "--links-of", "h02/node/1"], "unknown pool 'h02'"),
    ],
)
def test_what_is_missing_is_said(
    runs: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(runs)
    assert main(["topology", *words]) == 2
    shown = capsys.readouterr()
    assert message in " ".join(shown.err.split())
    assert shown.err.count("error:") == 1
    assert not shown.out
