"""`clustersim topology --links`: the names that faults of the network can use."""

from __future__ import annotations

import json

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
