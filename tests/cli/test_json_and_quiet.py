"""`--json` and `--quiet` of every command: what is on stdout, and what stays on stderr."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from clustersim import console
from clustersim.cli.main import COMMANDS, main
from tests.briefing.briefed_fleet import briefed_data
from tests.cli.small_inputs import PLAN, SCENARIO
from tests.outlook.small_fleet import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quiet")]

GOOD = "job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n2,5,8,60\n3,6,16,30\n"
STUDY: dict[str, Any] = {
    "name": "two policies",
    "question": "Which policy is faster?",
    "base": "scenario.yaml",
    "parameters": {"scheduler.policy": ["fcfs", "sjf"]},
    "metrics": ["mean_wait_s", "p95_wait_s"],
    "replications": 1,
    "plots": [{"kind": "curve", "x": "scheduler.policy", "y": "mean_wait_s"}],
}
OUTLOOK = ["--draws", "64", "--model-draws", "0", "--replications", "1", "--workers", "1"]
ARGUMENTS: dict[str, list[str]] = {
    "run": ["scenario.yaml", "--out", "run"],
    "replay": ["jobs.csv", "--policy", "easy", "--accelerators", "16", "--out", "replay"],
    "study": ["study.yaml", "--workers", "1", "--format", "svg", "--out", "study"],
    "plan": ["plan.yaml", "--format", "svg", "--out", "plan"],
    "outlook": ["fleet.yaml", *OUTLOOK, "--out", "outlook"],
    "briefing": ["briefed.yaml", "--quick", "--draws", "64", "--workers", "1", "--out", "briefing"],
    "report": ["study"],
    "estimate": ["--model", "llama3-8b", "--accelerator", "H200", "--count", "64"],
    "time_to_train": ["--model", "llama3-8b", "--accelerator", "H200", "--count", "64"],
    "serving": ["--model", "llama3-8b", "--accelerator", "H200", "--count", "1"],
    "traffic": ["--model", "llama3-8b", "--accelerator", "H200", "--count", "64"],
    "catalogue": ["H200"],
    "validate": ["jobs.csv", "--accelerators", "16", "--recorded-wait", "mean=9 s"],
    "what_if": ["jobs.csv", "--accelerators", "16", "--load", "2", "--out", "what_if"],
    "forecast": ["replay", "--at", "30 s"],
    "explain": ["replay", "--job", "3"],
    "topology": ["mixed-small"],
    "trace": ["jobs.csv", "--accelerators", "16"],
    "timeline": ["replay", "--out", "timeline.json"],
    "collective": ["--op", "all_reduce", "--size", "1GB", "--accelerator", "H200", "--count", "64"],
    "measure": ["--kinds", "collective", "--device", "cpu", "--out", "chip.csv"],
    "fit": ["--only", "runs.csv", "--no-validation", "--out", "mine.json"],
    "metrics": ["p95_wait_s"],
    "plots": [],
    "schema": ["plan"],
    "policies": ["las"],
    "check_policy": ["easy"],
}
"""Arguments of each command in small.  They run in this order in one folder."""
NEEDS_MORE = {"measure", "fit"}
"""Commands that take long or need PyTorch; tests/cli/test_measure.py and test_fit.py try them."""
DOCUMENTS = {"schema"}
"""Commands whose output is a document, which `--quiet` does not drop."""


def tried(name: str, *options: str) -> int:
    return main([name.replace("_", "-"), *ARGUMENTS[name], *options])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the commands run one after the other."""
    path, before = tmp_path_factory.mktemp("commands"), Path.cwd()
    os.chdir(path)
    Path("jobs.csv").write_text(GOOD)
    trees = {"scenario": SCENARIO, "study": STUDY, "plan": PLAN, "fleet": SMALL}
    trees |= {"briefed": briefed_data()}
    for name, tree in trees.items():
        YAML(typ="safe", pure=True).dump(tree, Path(f"{name}.yaml"))
    yield path
    os.chdir(before)


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """What each command writes with --json, by command."""
    found = {}
    for name in COMMANDS:
        if name not in NEEDS_MORE:
            found[name] = printed_json(name)
    return found


def printed_json(name: str) -> Any:
    """Run a command with --json; return the document, which is all that it prints on stdout."""
    with redirect_stdout(io.StringIO()) as out:
        assert tried(name, "--json") == 0
    return json.loads(out.getvalue(), parse_constant=lambda text: pytest.fail(text))


def test_every_command_has_both_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(ARGUMENTS) == set(COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name.replace("_", "-"), "--help"])
        text = capsys.readouterr().out
        assert "--json" in text
        assert "--quiet" in text


def test_results_have_the_columns_of_the_tables(results: dict[str, Any], folder: Path) -> None:
    for name in ("run", "replay"):
        summary = pd.read_parquet(folder / name / "summary.parquet")
        whole = results[name]["summary"][0]
        assert list(whole) == list(summary.columns)
        assert whole["mean_wait_s"] == summary["mean_wait_s"].iloc[0]
    study = results["study"]
    points = pd.read_csv(folder / "study" / "points.csv")
    assert list(study["points"][0]) == list(points.columns)
    assert [row["mean_wait_s"] for row in study["points"]] == points["mean_wait_s"].tolist()
    assert study["complete"]
    assert study["capacities"] is None
    plan = json.loads((folder / "plan" / "plan.json").read_text())
    assert "clustersim plan" in plan.pop("command")
    page = {"page": results["plan"]["page"]}
    assert page["page"].endswith("report.html")
    assert results["plan"] == {**plan, "meets": True, "folder": "plan", **page}


def test_answer_and_page_have_the_same_names(results: dict[str, Any], folder: Path) -> None:
    for name in ("run", "replay", "study", "plan", "what_if"):
        found = results[name]
        assert found["folder"] == name
        assert found["page"] == f"{name}/report.html"
        assert (folder / found["page"]).is_file()
        assert {"sentence", "label", "value", "interval", "hinges_on", "next_steps"} == set(
            found["answer"]
        )
        assert found["answer"]["sentence"]


def test_results_of_commands_that_print(results: dict[str, Any], folder: Path) -> None:
    assert results["report"] == {"folder": "study", "page": "study/report.html"}
    assert results["estimate"]["plans"][0]["step_time_s"] > 0
    assert results["time_to_train"]["rows"][0]["days"] > 0
    (chip,) = results["catalogue"]["accelerators"]
    assert chip["hbm_bytes"] == 141e9
    assert chip["sources"]["hbm_bytes"]
    assert results["topology"]["chips"] == 480
    assert sum(pool["chips"] for pool in results["topology"]["pools"]) == 480
    trace = results["trace"]
    assert trace["jobs"] == 3
    assert trace["duration_quantiles_s"]["0.5"] == 60.0
    assert trace["offered_load"] == pytest.approx(1440 / 6 / 16)
    assert results["timeline"]["slices"] == 3
    assert len(results["outlook"]["months"]) == 6
    assert "outlook/months.csv" in results["outlook"]["files"]
    assert results["explain"]["waited_s"] == 59.0
    assert results["explain"]["intervals"][0]["cause"] == "accelerators"
    assert [row["name"] for row in results["metrics"]] == ["p95_wait_s"]
    assert "curve" in [row["name"] for row in results["plots"]]
    assert results["schema"]["$schema"].startswith("https://json-schema.org/")
    (policy,) = results["policies"]["policies"]
    assert policy["name"] == "las"
    assert "attained" in policy["options"]
    assert results["check_policy"]["passed"] is True
    assert results["check_policy"]["findings"][0]["problem"] is None


def test_quiet(results: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed if nothing is wrong, but documents and JSON are."""
    of_folders = {"run", "replay", "study", "plan", "outlook", "briefing", "what_if", "timeline"}
    for name in set(results) - of_folders:
        assert tried(name, "--quiet") == 0
        printed = capsys.readouterr()
        assert bool(printed.out) == (name in DOCUMENTS), name
        assert printed.err == "", name
        assert tried(name, "--quiet", "--json") == 0
        assert json.loads(capsys.readouterr().out) == results[name]
    for name in ("run", "replay", "study", "what_if", "outlook"):
        assert tried(name, "--quiet", "--out", f"quiet-{name}") == 0
        printed = capsys.readouterr()
        assert printed == ("", ""), name


def test_lists_of_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "--list-columns", "--json"]) == 0
    lists = json.loads(capsys.readouterr().out)
    assert {"column", "meaning"} == set(lists["input"][0]) == set(lists["added"][0])
    assert main(["estimate", "--list-columns", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["metrics", "--list-columns", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("# "), "a document is always written"


def test_what_is_wrong_stays_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that can never run, a column that is ignored, and one that is misspelt."""
    header, *rows = GOOD.splitlines()
    wide = [f"{header},reservation", *(f"{row},x" for row in rows), "4,7,64,30,x", ""]
    Path("wrong.csv").write_text("\n".join(wide))
    Path("configs.csv").write_text(
        "model,accelerator,n_accelerators,pecision\nllama3-8b,H200,64,fp8\n"
    )
    log = ["wrong.csv", "--policy", "fcfs", "--accelerators", "16"]
    configs = ["--table", "configs.csv"]
    cases = (
        ("replay", log, ("reservation", "1 of 4 jobs can never run")),
        ("estimate", configs, ("'pecision' is unknown; did you mean 'precision'",)),
        (
            "estimate",
            ["--model", "llama3-405b", "--accelerator", "H20", "--count", "8"],
            ("no plan fits",),
        ),
    )
    for number, (command, arguments, words) in enumerate(cases):
        for option in ("--quiet", "--json"):
            out = ["--out", f"wrong{number}{option}"] if "--model" not in arguments else []
            assert main([command, *arguments, *out, option]) in (0, 1)
            printed = capsys.readouterr()
            for word in words:
                assert word in printed.err
            assert bool(printed.out) == (option == "--json")


def test_an_error_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "H201", "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("clustersim: error: ")


def test_what_a_users_file_prints_is_not_in_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "loud.py"
    mine.write_text(
        "from clustersim import Policy\n\n\nclass Loud(Policy):\n    def schedule(self, now):\n"
        "        for job in list(self.waiting):\n            print('loud')\n"
        "            if not self.start(job):\n                break\n"
    )
    assert main(["check-policy", f"{mine}:Loud", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]


def test_the_mode_ends_with_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    with console.printing(quiet=True):
        assert not console.shows_progress()
        print("dropped")
        console.warn("kept")
    assert console.shows_progress()
    console.warn("text")
    console.repeat("not repeated")
    console.write_json({"not": "asked"})
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("text\n", "kept\n")


@pytest.mark.parametrize(("option", "shown"), [("--json", True), ("--quiet", False)])
def test_progress_is_on_stderr_or_nowhere(
    folder: Path,
    option: str,
    shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("clustersim.report.of_study.progress_display.SHOW_EVERY_S", 0.0)
    assert tried("study", option, "--out", f"progress{option}") == 0
    printed = capsys.readouterr()
    assert ("2 of 2 runs, all done" in printed.err) == shown
    assert bool(printed.err) == shown
    assert "2 of 2" not in printed.out
