"""Without a network, placement does not change a job's speed, and what offers one says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli.main import main
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.schemas import schema
from clustersim.studies.meaning import placement_notes
from clustersim.studies.study import define_study, load_study

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def scenario(placement: str = "consolidate") -> dict[str, Any]:
    """Gangs of 12 on a pool behind narrow links, so that a network that counted would show."""
    fabric = {"type": "rail-optimised", "unit_nodes": 2, "oversubscription": {"leaf": 8}}
    pool = {"accelerator": "H200", "nodes": 16, "nic": "10 Gb/s", "fabric": fabric}
    return {
        "cluster": {"name": "c", "pools": {"a": pool}},
        "workload": {
            "generate": {
                "name": "w",
                "arrivals": {"mean_interarrival": "1 h"},
                "classes": [
                    {
                        "name": "job",
                        "weight": 1,
                        "sizes": {16: 1},
                        "model": "llama3-8b",
                        "tokens": {"kind": "constant", "value": 1e9},
                    }
                ],
            },
            "jobs": 12,
        },
        "scheduler": {"placement": placement},
    }


def test_the_note_is_true() -> None:
    """If this fails, placements change speeds: remove the note everywhere."""
    tables = [
        run_scenario(define_scenario(scenario(name))).jobs
        for name in ("pooled", "consolidate", "spread")
    ]
    times = [(table["finish_s"] - table["start_s"]).round(6).tolist() for table in tables]
    assert times[0] == times[1] == times[2]


def test_with_a_network_it_is_not() -> None:
    times = []
    for name in ("consolidate", "spread"):
        tree = scenario(name) | {"network": {"contention": False}}
        table = run_scenario(define_scenario(tree)).jobs
        times.append((table["finish_s"] - table["start_s"]).mean())
    assert times[0] < times[1]


def test_schema_help_and_check_policy_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    field = schema("scenario")["$defs"]["Scheduler"]["properties"]["placement"]
    assert "how fast a job runs does not depend" in field["description"]
    for command in ("check-policy", "replay"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "not how fast a job runs" in " ".join(capsys.readouterr().out.split())
    assert main(["check-policy", "fcfs"]) == 0
    assert "Note: placement decides which nodes stay free" in capsys.readouterr().out


def notes(**fields: Any) -> list[str]:
    made = define_study({"name": "s", "replications": 1, "base": scenario(), **fields}, check=False)
    return placement_notes(made.spec, made.base.tree)


def test_studies_of_placements_and_policies_say_it() -> None:
    (note,) = notes(parameters={"scheduler.placement": ["consolidate", "spread"]})
    assert note.startswith("Note: placement decides")
    assert notes(parameters={"scheduler.policy": ["fcfs", "easy"]}) == [note]
    assert notes(parameters={"workload.jobs": [5, 6]}) == []
    placements = {"scheduler.placement": ["consolidate", "spread"]}
    assert notes(base=scenario() | {"network": {}}, parameters=placements) == []
    assert notes(parameters=placements | {"network.contention": [True, False]}) == []
    study = load_study(EXPERIMENTS / "policy_comparison.yaml", quick=True)
    assert placement_notes(study.spec, study.base.tree) == [note]


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    fields = {
        "name": "s",
        "base": scenario(),
        "parameters": {"scheduler.placement": ["consolidate", "spread"]},
        "replications": 1,
    }
    file.write_text(json.dumps(fields))
    assert main(["study", str(file), "--out", str(tmp_path / "o"), "--workers", "1"]) == 0
    assert "Note: placement decides which nodes stay free" in capsys.readouterr().out
