"""A study that goes on with other code than it was begun with never mixes results silently."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conducted import CAPACITY, GRID, QUEUE, SEQUENTIAL, conduct, exact, policy_file

import clustersim
import clustersim.studies.executors
from clustersim import source_code
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.source_code import Code, changed_files, code_in, this_code
from clustersim.studies.redo import load_run
from clustersim.studies.run_key import code_hash, scenario_hash
from clustersim.studies.study import define_study
from clustersim.studies.study_result import load_result
from clustersim.studies.worker import make_run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("changed code")]

PACKAGE = Path(clustersim.__file__).parent
ENGINE = "engine/engine.py"
SMALL = {
    **GRID,
    "parameters": {"workload.load": [0.5, 0.7]},
    "replications": 2,
    "base": {**QUEUE, "workload": {**QUEUE["workload"], "jobs": 40}},
}
MORE = {**SMALL, "parameters": {"workload.load": [0.5, 0.6, 0.7]}}
Edit = Callable[..., Code]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Let this process take itself for code of which some files are other ones."""
    copy = tmp_path / "package" / "clustersim"

    def edited(*files: str) -> Code:
        if not copy.exists():
            shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file in files:
            with (copy / file).open("a", encoding="utf-8") as text:
                text.write("\n")
        monkeypatch.setattr(source_code, "PACKAGE", copy if files else PACKAGE)
        this_code.cache_clear()
        forget_notes()
        return this_code()

    yield edited
    monkeypatch.undo()
    this_code.cache_clear()


# --- The hash of the code -----------------------------------------------------------


def test_the_hash_is_of_the_files_and_not_of_their_place(edit: Edit, tmp_path: Path) -> None:
    here = this_code()
    edit(ENGINE)
    copy = tmp_path / "package" / "clustersim"
    shutil.copyfile(PACKAGE / ENGINE, copy / ENGINE)
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.py").write_text("1")
    (copy / "engine" / "engine.py~").write_text("1")
    assert code_in(copy) == here
    assert code_in(copy).hash == here.hash


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        (ENGINE, True),
        ("performance/data/calibration.json", True),
        ("catalogue/data/accelerators.yaml", True),
        ("workload/readers/swf.py", True),
        ("version.py", True),
        ("plots/curves.py", False),
        ("report/page.py", False),
        ("cli/study.py", False),
        ("calibration/data/training.csv", False),
    ],
)
def test_a_file_that_a_result_may_depend_on_changes_the_hash(
    edit: Edit, file: str, matters: bool
) -> None:
    before = this_code()
    assert (edit(file).hash != before.hash) == matters


def test_what_changed() -> None:
    old = Code("1.0", {"a.py": "1", "b.py": "2", "c.py": "3"})
    new = Code("1.0", {"a.py": "1", "b.py": "9", "d.py": "3"})
    assert changed_files(old, new) == "changed b.py; new d.py; removed c.py"
    assert changed_files(old, Code("1.1", old.files)) == "version 1.0 -> 1.1"
    assert changed_files(old, old) == "nothing"
    many = Code("1.0", {f"{k:02}.py": "0" for k in range(12)})
    assert changed_files(Code("1.0", {}), many).endswith("06.py, 07.py and 4 more")
    assert Code("1.0", old.files).hash != Code("1.1", old.files).hash


OPENED = """
import json, sys
from pathlib import Path
package, opened = Path(sys.argv[1]), set()

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(str(package)):
        opened.add(Path(arguments[0]).relative_to(package))

sys.addaudithook(watch)
import clustersim as cs
from clustersim.source_code import SUFFIXES
from clustersim.studies.study import define_study
from clustersim.studies.worker import make_run

for fields in json.loads(sys.argv[2]):
    study = define_study(fields)
    run = study.base.at(study.points[0].changes).run(0, 0)
    outcome = make_run(run.key, study.base.tree, run.written, study.base.window.measured, run.files)
    assert not outcome.error, outcome.error
modules = {Path(m.__file__) for n, m in sys.modules.items() if n.startswith("clustersim")}
files = {path.relative_to(package) for path in modules} | opened
print(json.dumps(sorted(path.as_posix() for path in files if path.suffix in SUFFIXES)))
"""


def test_all_that_a_run_reads_is_in_the_hash() -> None:
    """Every module that is loaded and every data file that is opened, in runs with most features.

    Modules of the hash itself are opened too, to be hashed; so the test would find one that is
    loaded and not hashed, and a data file that is opened and not hashed.
    """
    living = {
        "failures": {"sources": "meta-llama3", "rate": 20},
        "energy": {"pue": 1.2},
        "money": {"life": "3 yr"},
        "serving": {
            "services": [
                {
                    "name": "chat", "pool": "h20", "peak_requests_per_s": 80, "input_tokens": 900,
                    "output_tokens": 150, "tokens_per_s_per_chip": 1200,
                    "shape": "servegen-m-small", "source": "assumption",
                }
            ]
        },
        "horizon": "2 d",
    }  # fmt: skip
    base = {
        "cluster": "mixed-small",
        "workload": {"generate": "large-model-lab", "jobs": 20, "load": 0.5},
        **living,
    }
    fields = [{"name": "living", "base": base, "parameters": {"workload.load": [0.5]}}]
    trace = {"name": "log", "base": {**base, "workload": {"trace": "sample_jobs.csv"}}}
    fields.append({**trace, "parameters": {"scheduler.policy": ["conservative"]}})
    message = subprocess.run(
        [sys.executable, "-c", OPENED, str(PACKAGE), json.dumps(fields)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert message.returncode == 0, message.stderr
    read = json.loads(message.stdout)
    assert {ENGINE, "performance/data/calibration.json", "availability/data/failures.yaml"} <= {
        *read
    }
    assert [path for path in read if path not in this_code().files] == []


# --- Going on with other code -------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [SMALL, pytest.param(SEQUENTIAL, marks=[pytest.mark.slow, pytest.mark.full])],
    ids=lambda study: study["name"],
)
def test_runs_of_other_code_are_made_again_and_it_is_said(
    edit: Edit,
    calls: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
) -> None:
    first = conduct(fields, tmp_path / "out", workers=1)
    before, now = this_code(), edit(ENGINE)
    calls.clear()
    again = conduct(fields, tmp_path / "out", workers=1, resume=True)
    message = capsys.readouterr().err
    assert f"Note: {len(first)} runs in {tmp_path / 'out'} were made by {before}" in message
    assert f"but this is {now}; differences: changed {ENGINE}. Runs that the" in message
    assert "are made again; use --keep-old to keep them" in message
    assert sorted(calls) == sorted(again["run"])
    assert set(again["code"]) == {now.label}
    assert [scenario_hash(key) for key in again["run"]] == [scenario_hash(k) for k in first["run"]]
    drop = ["run", "code"]
    assert exact(again.drop(columns=drop)) == exact(first.drop(columns=drop))
    calls.clear()
    conduct(fields, tmp_path / "out", workers=1, resume=True)
    assert calls == []
    assert capsys.readouterr().err == "", "all is of this code now"


@pytest.mark.parametrize(
    "fields",
    [SMALL, pytest.param(SEQUENTIAL, marks=[pytest.mark.slow, pytest.mark.full]), CAPACITY],
    ids=lambda study: study["name"],
)
def test_runs_of_other_code_are_kept_if_asked_for_and_marked(
    edit: Edit,
    calls: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
) -> None:
    first = conduct(fields, tmp_path / "out", workers=1)
    before = this_code()
    edit(ENGINE)
    calls.clear()
    kept = conduct(fields, tmp_path / "out", workers=1, resume=True, keep_old=True)
    assert calls == []
    assert exact(kept) == exact(first)
    assert set(kept["code"]) == {before.label}
    assert "kept because of --keep-old; the column code" in capsys.readouterr().err


def test_tables_and_page_mark_a_mixture(
    edit: Edit, calls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", tmp_path / "study.yaml"
    conduct(SMALL, out, workers=1)
    before, now = this_code(), edit(ENGINE, "errors.py")
    file.write_text(json.dumps(MORE))
    calls.clear()
    options = ["--resume", "--keep-old", "--workers", "1", "--out", str(out)]
    assert main(["study", str(file), *options]) == 0
    assert len(calls) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "6 runs, 4 of them reused (4 made by different code)" in printed
    assert f"4 of 6 runs were made by {before}, not by {now}" in printed
    runs, points = pd.read_csv(out / "runs.csv"), pd.read_csv(out / "points.csv")
    assert runs["code"].tolist() == [*[before.label] * 2, *[now.label] * 2, *[before.label] * 2]
    assert points["code"].tolist() == [before.label, now.label, before.label]
    assert main(["report", str(out)]) == 0
    note = f"Note: 4 of 6 runs were made by {before}, not by {now}"
    assert note in capsys.readouterr().err
    page = (out / "report.html").read_text()
    assert note in page
    assert f"changed {ENGINE}, errors.py" in page
    assert f"runs made by {before}" in page
    assert f"runs made by {now}" in page
    # Without the option the mixture ends.
    calls.clear()
    assert main(["study", str(file), *options[:1], *options[2:]]) == 0
    assert len(calls) == 4
    assert set(load_result(out).runs["code"]) == {now.label}
    assert "code" not in load_result(out).points


def test_the_old_code_finds_its_own_runs_again(
    edit: Edit, calls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = conduct(SMALL, tmp_path / "out", workers=1)
    edit(ENGINE)
    conduct(SMALL, tmp_path / "out", workers=1, resume=True)
    edit()
    calls.clear()
    capsys.readouterr()
    assert exact(conduct(SMALL, tmp_path / "out", workers=1, resume=True)) == exact(first)
    assert calls == []
    assert capsys.readouterr().err == ""


def test_the_newest_of_several_old_results_is_kept(edit: Edit, tmp_path: Path) -> None:
    conduct(SMALL, tmp_path / "out", workers=1)
    second = edit(ENGINE)
    conduct(SMALL, tmp_path / "out", workers=1, resume=True)
    edit("errors.py")
    kept = conduct(SMALL, tmp_path / "out", workers=1, resume=True, keep_old=True)
    assert set(kept["code"]) == {second.label}


def test_a_run_that_failed_is_not_kept(edit: Edit, calls: list[str], tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", "raise RuntimeError('broken')")
    fields = {**SMALL, "parameters": {"scheduler.policy": ["fcfs", own]}}
    first = conduct(fields, tmp_path / "out", workers=1, check=False)
    assert (first["status"] == "failed").sum() == 2
    now = edit(ENGINE)
    calls.clear()
    conduct(fields, tmp_path / "out", workers=1, resume=True, keep_old=True, check=False)
    assert [code_hash(key) for key in calls] == [now.hash] * 2


def test_a_run_of_other_code_is_not_redone_as_if_it_were_the_same(
    edit: Edit, tmp_path: Path
) -> None:
    first = conduct(SMALL, tmp_path / "out", workers=1)
    key = str(first["run"][0])
    before, now = this_code(), edit(ENGINE)
    message = f"was made by {before}, but this is {now}; differences: changed {ENGINE}"
    with pytest.raises(InputError) as caught:
        load_run(tmp_path / "out", key)
    assert message in str(caught.value)
    assert "study ... --resume" in str(caught.value)
    edit()
    assert load_run(tmp_path / "out", key)[1].name == "grid"


def test_a_worker_of_other_code_makes_no_run_for_it(edit: Edit) -> None:
    study = define_study(SMALL)
    run = study.base.at(study.points[0].changes).run(-1, 0)
    before, now = this_code(), edit(ENGINE)
    window = study.base.window.measured
    outcome = make_run(run.key, study.base.tree, run.written, window, run.files)
    assert outcome.error == (
        f"worker: has {now}, but the study was started by code {before.hash}; use the same code "
        "on all machines, and continue with --resume"
    )


def test_keep_old_goes_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps(SMALL))
    out = tmp_path / "out"
    assert main(["study", str(tmp_path / "s.yaml"), "--keep-old", "--out", str(out)]) == 2
    assert "--keep-old: is only allowed with --resume" in capsys.readouterr().err
    assert not out.exists()


def test_two_installations_one_after_the_other(tmp_path: Path) -> None:
    """In processes of their own, with worker processes, as after an upgrade."""
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        shutil.copytree(PACKAGE, folder / "clustersim")
    accounts = folders[1] / "clustersim" / "analysis" / "measures.py"
    accounts.write_text(accounts.read_text() + "\n# An edit.\n")
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(SMALL))

    def conducted(folder: Path, *options: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "clustersim.cli.main", "study", str(study), "--out",
             str(tmp_path / "out"), "--workers", "2", *options],
            env={**os.environ, "PYTHONPATH": str(folder)}, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return textwrap.dedent(ended.stderr)

    assert conducted(folders[0]) == ""
    assert "4 runs in " in (message := conducted(folders[1], "--resume"))
    assert "changed analysis/measures.py. Runs that the study needs are made again" in message
    codes = pd.read_csv(tmp_path / "out" / "runs.csv")["code"]
    assert set(codes) == {code_in(folders[1] / "clustersim").label}
