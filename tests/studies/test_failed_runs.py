"""Runs that fail, and one run of a study again, alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conducted import CAPACITY, GRID, QUEUE, conduct, exact, policy_file

from clustersim.analysis.controls.metrics import CONTROLS
from clustersim.analysis.measures import measure
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.plots.axis import axis_of
from clustersim.scenario.run import run_scenario
from clustersim.simulation.result import Result
from clustersim.studies.execution import Progress
from clustersim.studies.redo import load_run
from clustersim.studies.store_file import open_store
from clustersim.studies.study_result import load_result
from tests.full_counts import REPEATED


def with_own(own: str) -> dict[str, Any]:
    varied = {"workload.load": [0.5, 0.8], "scheduler.policy": ["fcfs", own, "easy"]}
    return {**GRID, "parameters": varied, "replications": 2}


@pytest.mark.parametrize(
    ("body", "words", "workers"),
    [
        ("raise ValueError('no such luck')", "ValueError: no such luck", 1),
        pytest.param("self.me = self.me", "AttributeError", 1, marks=REPEATED),
        pytest.param("sys.exit(0)", "SystemExit: 0", 1, marks=REPEATED),
        ("sys.exit(0)", "SystemExit: 0", 2),
    ],
)
def test_policy_that_raises(tmp_path: Path, workers: int, body: str, words: str) -> None:
    own = policy_file(tmp_path / "own.py", body)
    message: list[Progress] = []
    runs = conduct(with_own(own), tmp_path / "out", workers=workers, progress=message.append)
    bad = runs["scheduler.policy"] == own.rpartition("/")[2]
    assert (runs["status"] == "failed").tolist() == bad.tolist()
    assert runs.loc[bad, "error"].str.contains(words, regex=False).all()
    assert runs.loc[bad, "error"].str.contains("own.py").all()
    assert (runs.loc[~bad, "error"] == "").all()
    assert runs.loc[bad, "mean_wait_s"].isna().all()
    assert runs.loc[~bad, "mean_wait_s"].notna().all()
    assert (message[-1].done, message[-1].failed, message[-1].planned) == (12, 4, 12)


@pytest.mark.parametrize(
    ("path", "bad", "good", "words"),
    [
        ("horizon", "1 s", "1 h", "window: none of the "),
        ("workload.jobs", -1, 50, "workload.jobs: input should be greater than or equal to 1"),
        ("scheduler.placement", "poled", "pooled", "did you mean 'pooled'?"),
        ("cluster.pools.gpu.accelerator", "H2000", "H200", "did you mean 'H200'?"),
    ],
)
def test_input_that_cannot_run(tmp_path: Path, path: str, bad: Any, good: Any, words: str) -> None:
    fields = {**GRID, "parameters": {path: [bad, good]}, "replications": 2}
    runs = conduct(fields, tmp_path / "out", workers=1, check=False)
    assert runs["status"].tolist() == ["failed", "failed", "finished", "finished"]
    for error in runs["error"][:2]:
        assert words in error
        assert "\n" not in error, "one clear line, no traceback"


def test_resume_tries_what_failed_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    own = policy_file(tmp_path / "own.py", f"assert not os.path.exists({str(broken)!r})")
    fields = with_own(own)
    whole = conduct(fields, tmp_path / "whole", workers=1)
    broken.touch()
    conduct(fields, tmp_path / "out", workers=1)
    message: list[Progress] = []
    still = conduct(fields, tmp_path / "out", workers=1, resume=True, progress=message.append)
    assert (still["status"] == "failed").sum() == 4
    assert [(now.reused, now.failed) for now in message[-1:]] == [(8, 4)]
    broken.unlink()
    mended = conduct(fields, tmp_path / "out", workers=1, resume=True, progress=message.append)
    assert [(now.reused, now.failed) for now in message[-1:]] == [(8, 0)]
    assert exact(mended) == exact(whole)


def test_searches_and_stopping_rules_end_where_all_runs_fail(tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", "raise ValueError('no')")
    rule = {"at_most": 9, "relative_width": 0.1, "metric": "mean_wait_s"}
    search = {
        "parameters": {"scheduler.policy": ["fcfs", own]},
        "objective": {"metric": "mean_bounded_slowdown", "at_most": 4},
        "capacity": {"tolerance": 0.1},
    }
    for changes in ({**with_own(own), "replications": rule}, {**GRID, **search}):
        runs = conduct({**changes, "name": "n"}, tmp_path / f"{'capacity' in changes}", workers=1)
        bad = runs["scheduler.policy"] == own.rpartition("/")[2]
        assert (runs["status"] == "failed").tolist() == bad.tolist()
        assert bad.any()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, str]:
    """The folder, table and policy of a study of draws."""
    folder = tmp_path_factory.mktemp("made")
    own = policy_file(folder / "own.py", "pass")
    fields = {
        **CAPACITY,
        "parameters": {"scheduler.policy": ["fcfs", own]},
        "capacity": {"between": [0.3, 0.9], "tolerance": 0.3},
        "window": {"warm_up": 0.1},
        "draws": 1,
    }
    return folder / "out", conduct(fields, folder / "out", workers=1), own


def same(message: float, again: float) -> bool:
    return message == again or (math.isnan(message) and math.isnan(again))


def test_run_again_is_the_same_run(made: tuple[Path, pd.DataFrame, str]) -> None:
    folder, runs, own = made
    chosen = runs[
        (runs["scheduler.policy"] == own.rpartition("/")[2]) | (runs["workload.load"] == 0.3)
    ]
    chosen = chosen.groupby(["draw", "scheduler.policy"]).tail(1)
    assert len(chosen) == 4
    for row in chosen.to_dict("records"):
        result = run_scenario(load_run(folder, row["run"])[0])
        measured = measure(result, warm_up=0.1).metrics
        left_out = {"relaxation_times", *CONTROLS, *(f"expected_{name}" for name in CONTROLS)}
        known = {k: v for k, v in measured.items() if k not in left_out}
        assert all(same(row[name], value) for name, value in known.items()), row
        assert len(measured) > 20


def test_command_runs_again(
    made: tuple[Path, pd.DataFrame, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, runs, _ = made
    row = runs.iloc[-1]
    out = tmp_path / "redone"
    assert main(["run", "--from", str(folder), "--run", row["run"], "--out", str(out)]) == 0
    assert measure(Result.load(out), warm_up=0.1).metrics["p95_wait_s"] == row["p95_wait_s"]
    message = " ".join(capsys.readouterr().out.split())
    shown = axis_of("p95_wait_s").text(row["p95_wait_s"])
    assert "within the study's window, as in its runs.csv: " in message
    assert f"95th percentile of wait {shown}" in message


def test_failed_run_fails_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = policy_file(tmp_path / "own.py", "raise ValueError('no such luck')")
    runs = conduct(with_own(own), tmp_path / "out", workers=1)
    key = runs.loc[runs["status"] == "failed", "run"].iloc[0]
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--from", "out", "--run", key, "--out", "redone"]) != 0
    assert "no such luck" in capsys.readouterr().err
    Path("study.yaml").write_text(json.dumps(with_own(own)))
    assert main(["study", "study.yaml", "--out", "again", "--workers", "1"]) == 1


def test_policy_that_was_changed_since(made: tuple[Path, pd.DataFrame, str]) -> None:
    folder, runs, own = made
    mine = runs.loc[runs["scheduler.policy"] == own.rpartition("/")[2], "run"].iloc[0]
    other = runs.loc[runs["scheduler.policy"] == "fcfs", "run"].iloc[0]
    file = Path(own.partition(":")[0])
    policy_file(file, "self.changed = True")
    with pytest.raises(InputError, match="policy or plugin has changed"):
        load_run(folder, mine)
    load_run(folder, other)
    file.unlink()
    with pytest.raises(InputError, match="has changed"):
        load_run(folder, mine)
    policy_file(file, "pass")
    load_run(folder, mine)


def test_run_that_is_not_there(made: tuple[Path, pd.DataFrame, str]) -> None:
    folder, runs, _ = made
    key = str(runs["run"].iloc[3])
    typo = f"{key[:5]}{'0' if key[5] != '0' else '1'}{key[6:]}"
    with pytest.raises(InputError, match=f"has no run '{typo}'; did you mean .*{key}"):
        load_run(folder, typo)
    some = ", ".join(sorted(runs["run"])[:3])
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    for nothing in ("zzzz", "", "%", "_" * 24):
        with pytest.raises(InputError) as caught:
            load_run(folder, nothing)
        assert str(caught.value) == (
            f"{folder}: has no run {nothing!r}; its runs are {some}{more}; see the column `run` of "
            "runs.csv"
        )
    with pytest.raises(InputError, match=r"has no runs.sqlite; is it the folder of a study\?"):
        load_run(folder.parent, key)


def test_each_kind_of_folder_says_what_reads_it(
    made: tuple[Path, pd.DataFrame, str], tmp_path: Path
) -> None:
    folder, runs, _ = made
    key = str(runs["run"].iloc[3])
    run_scenario(load_run(folder, key)[0]).save(tmp_path / "run")
    message = r"run: is the folder of a run, not of a study; read it with clustersim\.Result\.load"
    with pytest.raises(InputError, match=message):
        load_result(tmp_path / "run")
    with pytest.raises(InputError, match=r"no runs\.sqlite; this is the folder of a run, not of a"):
        load_run(tmp_path / "run", key)
    message = (
        r"is the folder of a study, not of a run; read it with clustersim\.load_result\(folder\)"
    )
    with pytest.raises(InputError, match=message):
        Result.load(folder)
    with pytest.raises(InputError, match="is it the folder of a study"):
        load_result(tmp_path)
    with pytest.raises(InputError, match="is it a folder of results"):
        Result.load(tmp_path)


def test_first_characters_of_a_run_stand_for_it(made: tuple[Path, pd.DataFrame, str]) -> None:
    folder, runs, _ = made
    key = str(runs["run"].iloc[3])
    assert load_run(folder, key[:12])[0].scenario == load_run(folder, key)[0].scenario
    with open_store(folder) as store:
        for length in range(1, 24):
            alike = sorted(run for run in runs["run"] if run.startswith(key[:length]))
            if alike == [key]:
                assert store.run_named(key[:length]) == key
                continue
            with pytest.raises(InputError) as caught:
                store.run_named(key[:length])
            assert f"{len(alike)} runs begin with {key[:length]!r}: {alike[0]}" in str(caught.value)


def test_run_of_a_study_that_was_changed_since(tmp_path: Path) -> None:
    fields = with_own("sjf")
    before = conduct(fields, tmp_path / "out", workers=1)
    base = {**QUEUE, "seed": 6}
    conduct({**fields, "base": base}, tmp_path / "out", workers=1, resume=True)
    row = before.iloc[-1]
    result = run_scenario(load_run(tmp_path / "out", row["run"])[0])
    assert result.provenance["seed"] == 5
    assert measure(result).metrics["mean_wait_s"] == row["mean_wait_s"]
