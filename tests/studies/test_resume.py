"""A study goes on with what its folder has, whatever else was changed in its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conducted import CAPACITY, GRID, QUEUE, SEQUENTIAL, conduct, exact, policy_file, rows_in

from clustersim.errors import InputError
from clustersim.files import read_yaml
from clustersim.studies.execution import Progress, make_runs
from clustersim.studies.study import define_study
from tests.full_counts import first_of

SMALL = {**GRID, "parameters": {"workload.load": [0.5, 0.7]}, "replications": 2}


def made_by(calls: list[str], fields: dict[str, Any], out: Path) -> tuple[int, pd.DataFrame]:
    """How many runs a study makes in a folder, and its table."""
    calls.clear()
    runs = conduct(fields, out, workers=1, resume=True)
    assert len(set(calls)) == len(calls), "no run is made twice"
    assert set(calls) <= set(runs["run"]), "none that the study does not need"
    return len(calls), runs


@pytest.mark.parametrize(
    "fields", first_of([GRID, SEQUENTIAL, CAPACITY]), ids=lambda study: study["name"]
)
def test_nothing_is_made_again(calls: list[str], tmp_path: Path, fields: dict[str, Any]) -> None:
    n_first, first = made_by(calls, fields, tmp_path)
    assert n_first == len(first)
    message: list[Progress] = []
    calls.clear()
    conduct(fields, tmp_path, workers=1, resume=True, progress=message.append)
    n_again, again = made_by(calls, fields, tmp_path)
    assert n_again == 0
    assert exact(again) == exact(first)
    assert (message[-1].done, message[-1].reused, message[-1].planned) == (
        n_first,
        n_first,
        n_first,
    )


CHANGES: dict[str, tuple[dict[str, Any], int]] = {
    "a value more": ({"parameters": {"workload.load": [0.5, 0.6, 0.7]}}, 2),
    "values in another order": ({"parameters": {"workload.load": [0.7, 0.5]}}, 0),
    "more replications": ({"replications": 5}, 6),
    "fewer replications": ({"replications": 1}, 0),
    "until an interval is narrow": ({"replications": {"at_most": 3, "relative_width": 1e-6}}, 2),
    "another metric": ({"metrics": ["p99_wait_s"]}, 0),
    "an objective": ({"objective": {"at_most": "5 min"}}, 0),
    "a plot and a label": (
        {
            "plots": [{"kind": "curve", "x": "workload.load", "y": "waited"}],
            "labels": {"waited": "late"},
        },
        0,
    ),
    "another question": ({"question": "why?"}, 0),
    "a parameter more": (
        {"parameters": {"workload.load": [0.5, 0.7], "scheduler.policy": ["fcfs", "sjf"]}},
        4,
    ),
    "a draws' draw": ({"draws": 1}, 2),
    "what is measured": ({"window": {"warm_up": 0.3}}, 4),
    "the seed": ({"base": {**QUEUE, "seed": 6}}, 4),
    "a name in the scenario": ({"base": {**QUEUE, "name": "n", "description": "d"}}, 0),
    "a default written out": ({"set": {"scheduler.choose": "fastest"}}, 0),
}


@pytest.mark.parametrize("change", first_of(CHANGES, 5))
def test_changed_study_makes_what_is_new(calls: list[str], tmp_path: Path, change: str) -> None:
    conduct(SMALL, tmp_path / "out", workers=1)
    fields, n_new = CHANGES[change]
    n_made, runs = made_by(calls, {**SMALL, **fields}, tmp_path / "out")
    assert n_made == n_new
    assert exact(runs) == exact(conduct({**SMALL, **fields}, tmp_path / "fresh", workers=1))


def test_wider_search_reuses_runs(calls: list[str], tmp_path: Path) -> None:
    coarse = {**CAPACITY, "parameters": {}, "draws": 1}
    n_first, _ = made_by(calls, coarse, tmp_path)
    finely = {"between": [0.3, 1.0], "tolerance": 0.01}
    n_more, finer = made_by(calls, {**coarse, "capacity": finely}, tmp_path)
    assert 0 < n_more < n_first
    assert len(finer) > n_more


def test_changed_policy_is_another_run(calls: list[str], tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", "pass")
    fields = {**SMALL, "parameters": {"scheduler.policy": ["fcfs", own]}}
    assert made_by(calls, fields, tmp_path / "out")[0] == 4
    policy_file(tmp_path / "own.py", "self.changed = True")
    n_made, runs = made_by(calls, fields, tmp_path / "out")
    assert (n_made, len(runs), rows_in(tmp_path / "out")) == (2, 4, 6)


def test_equal_points_are_made_once(calls: list[str], tmp_path: Path) -> None:
    """Two files of one content are one cluster, made once, and both have their rows."""
    message: list[Progress] = []
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(
            "{name: one, pools: {gpu: {accelerator: H200, nodes: 1, chips_per_node: 8}}}"
        )
    files = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    fields = {**SMALL, "parameters": {"cluster": files, "workload.load": [0.5, 0.7]}}
    runs = conduct(fields, tmp_path / "out", workers=1, progress=message.append)
    assert len(calls) == len(set(calls)) == 4
    assert message[-1].done == message[-1].planned == 4
    assert len(runs) == 8
    assert runs["cluster"].tolist() == ["a.yaml"] * 4 + ["b.yaml"] * 4
    assert runs["run"].tolist()[:4] == runs["run"].tolist()[4:]
    assert runs["point"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_folder_is_never_taken_by_mistake(tmp_path: Path) -> None:
    out = tmp_path / "out"
    conduct(SMALL, out, workers=1)
    study = define_study(SMALL)
    with pytest.raises(
        InputError, match="contains the study 'grid'; continue it with --resume, or"
    ):
        make_runs(study, out, workers=1)
    other = define_study({**SMALL, "name": "other"})
    with pytest.raises(
        InputError, match="contains the study 'grid', not 'other'; choose another fold"
    ):
        make_runs(other, out, workers=1, resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("a")
    for resume in (False, True):
        with pytest.raises(InputError, match="exists and is not the folder of a study; choose a n"):
            make_runs(study, tmp_path / "mine", workers=1, resume=resume)
        with pytest.raises(InputError, match="exists and is not a folder"):
            make_runs(study, tmp_path / "mine" / "thesis.txt", workers=1, resume=resume)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="workers: must be 1 or more, found 0"):
        make_runs(study, tmp_path / "new", workers=0)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("left", [[], ["study.lock"], ["study.lock", ".runs.draft.sqlite"]])
def test_folder_of_a_study_killed_as_it_began(tmp_path: Path, left: list[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in left:
        (out / name).touch()
    assert len(conduct(SMALL, out, workers=1, resume=True)) == 4


def test_study_is_written_as_it_is_resolved(tmp_path: Path) -> None:
    conduct({**SMALL, "set": {"workload.jobs": 40}}, tmp_path, workers=1)
    written = read_yaml(tmp_path / "study.yaml")
    assert written["base"]["workload"]["jobs"] == 40
    assert exact(conduct(written, tmp_path, workers=1, resume=True)) == exact(
        conduct({**SMALL, "set": {"workload.jobs": 40}}, tmp_path, workers=1, resume=True)
    )
