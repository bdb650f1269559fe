"""What a study leaves in its folder: no file of an earlier version, and every file of the user."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from clustersim.cli.main import main
from clustersim.report.findings import findings_table, warnings
from clustersim.report.fleets import FleetFacts
from clustersim.report.study_answer import study_answer
from clustersim.report.study_findings import StudyFindings
from clustersim.studies.study_result import load_result
from tests.report.test_study_report import FIELDS

METRICS = ["mean_wait_s", "utilisation.h20"]
STUDY: dict[str, Any] = {
    "name": "small",
    "base": FIELDS["base"],
    "parameters": {"workload.load": [0.5, 0.7]},
    "set": {"workload.jobs": 20},
    "metrics": METRICS,
    "replications": 1,
    "plots": [{"kind": "curve", "x": "workload.load", "y": METRICS}],
}
OURS = {"1-curve-mean_wait_s.svg", "1-curve-utilisation.h20.svg"}
STRANGERS = (
    "1-curve-annotated.svg",
    "1-curve-mean_wait_s-annotated.svg",
    "1-curve-utilisation.h20-mine.svg",
    "2-curve-mean_wait_s.svg",
    "my-report.html",
    "notes.csv",
)
COMMAND = ["study", "study.yaml", "--workers", "1", "--format", "svg", "--out", "out"]


def write(**changes: Any) -> None:
    Path("study.yaml").write_text(json.dumps({**STUDY, **changes}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its file."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write()
        assert main(COMMAND) == 0
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the study, to which the user added files."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in STRANGERS:
        Path("out", name).write_text("mine")
    return Path("out")


def test_files_of_the_user_stay_and_old_ones_go(out: Path) -> None:
    assert {path.name for path in out.glob("1-*.svg")} == OURS.union(STRANGERS[:3])
    write(plots=[{"kind": "curve", "x": "workload.load", "y": METRICS[0]}])
    assert main([*COMMAND, "--resume", "--no-report"]) == 0
    assert [(out / name).read_text() for name in STRANGERS] == ["mine"] * len(STRANGERS)
    left = {path.name for path in out.iterdir()} - set(STRANGERS)
    assert {name for name in left if name.endswith((".svg", ".html"))} == {"1-curve.svg"}
    # A list that was changed removes no other file.
    (out / ".pictures").write_text("notes.csv\n../study.yaml\n1-curve.svg\n")
    write(plots=[{"kind": "warm-up"}])
    assert main([*COMMAND, "--resume"]) == 0
    assert (out / "notes.csv").exists()
    assert Path("study.yaml").exists()
    assert not (out / "1-curve.svg").exists()
    assert (out / "report.html").is_file()


def test_no_page_stands_beside_tables_of_another_study(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clustersim.report.study.save_figure", interrupted)
    capsys.readouterr()
    assert main([*COMMAND, "--resume"]) == 130
    assert "all finished runs are in out; --resume writes" in capsys.readouterr().err
    assert not (out / "report.html").exists()


@pytest.mark.usefixtures("out")
def test_what_a_study_found_is_computed_once() -> None:
    functions: dict[str, Any] = {
        "findings": findings_table,
        "warnings": warnings,
        "answer": study_answer,
        "fleets": FleetFacts.of.__func__,  # type: ignore[attr-defined]
    }
    names = {function.__code__: name for name, function in functions.items()}
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in names:
            calls[names[frame.f_code]] += 1

    sys.setprofile(count)
    try:
        assert main([*COMMAND, "--resume", "--json"]) == 0
    finally:
        sys.setprofile(None)
    assert calls == dict.fromkeys(functions, 1)


def test_each_fleet_is_opened_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    from clustersim.report import fleets

    open_changed = fleets.open_changed

    def counted(tree: Any, changes: Any) -> Any:
        opened.append(dict(changes))
        return open_changed(tree, changes)

    monkeypatch.setattr(fleets, "open_changed", counted)
    found = StudyFindings.of(load_result(out))
    assert len(opened) == 2
    assert [chip.name for chip in found.fleets.chips] == ["H20"]
