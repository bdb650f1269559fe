"""Files of the project by their paths and names, with an installation as a wheel makes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import clustersim as cs
from clustersim import shipped
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.procurement.load import define_plan
from clustersim.scenario.file_names import full_path
from clustersim.scenario.run import run_scenario
from tests.packaging.__main__ import SHIPPED
from tests.packaging.user import ROOT

FEW = ["--set", "workload.jobs=20"]
VARIED = "parameters: {workload.load: [0.5]}\n"


@pytest.fixture(autouse=True)
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with resources where a wheel has them, and no clone beside."""
    package = tmp_path / "site-packages" / "clustersim"
    for folder, endings in SHIPPED.items():
        place = package / "resources" / folder
        place.mkdir(parents=True)
        for ending in endings:
            for file in (ROOT / folder).glob(f"*{ending}"):
                shutil.copy(file, place)
    monkeypatch.setattr(shipped, "PACKAGE", package)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    forget_notes()
    return package


def note_of(name: str, file: str, wheel: Path) -> str:
    message = f"Note: {name} does not exist here; using the packaged file "
    return f"{message}{wheel / 'resources' / file}\n"


SCENARIO, TOPOLOGY = "experiments/mixed_small.yaml", "topologies/mixed-small.yaml"
LOG, PLAN = "experiments/sample_jobs.csv", "experiments/plan_2026.yaml"
COMMANDS: dict[str, tuple[list[str], str, str]] = {
    "run": (["run", SCENARIO, *FEW], SCENARIO, SCENARIO),
    "run, a file name": (["run", "mixed_small.yaml", *FEW], "mixed_small.yaml", SCENARIO),
    "run, another cluster": (
        ["run", SCENARIO, *FEW, "--set", "cluster=topologies/h200-superpod.yaml"],
        "topologies/h200-superpod.yaml",
        "topologies/h200-superpod.yaml",
    ),
    "run, a log": (["run", SCENARIO, "--set", f"workload={{trace: {LOG}}}"], LOG, LOG),
    "replay": (["replay", LOG, "--policy", "fcfs", "--accelerators", "512"], LOG, LOG),
    "replay, a cluster": (
        ["replay", LOG, "--policy", "fcfs", "--cluster", "topologies/philly-like"],
        "topologies/philly-like",
        "topologies/philly-like.yaml",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_commands(case: str, wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, name, file = COMMANDS[case]
    code = main([*arguments, "--out", "out"])
    message = capsys.readouterr().err
    assert code == 0, message
    assert note_of(name, file, wheel) in message
    assert message.count(f"Note: {name} does") == 1, "once a command"


@pytest.mark.parametrize(
    ("arguments", "name", "file"),
    [
        (["topology", TOPOLOGY], TOPOLOGY, TOPOLOGY),
        (["topology", "mixed-small.yaml"], "mixed-small.yaml", TOPOLOGY),
        (["trace", LOG, "--accelerators", "512"], LOG, LOG),
    ],
)
def test_commands_that_write_nothing(
    arguments: list[str], name: str, file: str, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert note_of(name, file, wheel) in capsys.readouterr().err


BARE = {
    "run": ["run", "mixed_small", *FEW, "--out", "out"],
    "run, a cluster": [
        *("run", "mixed_small", *FEW, "--out", "out"),
        *("--set", "cluster=h20-pod", "--set", "cluster.pools.h20.nodes=8"),
    ],
    "replay": ["replay", "sample_jobs", "--policy", "fcfs", "--accelerators=512", "--out", "out"],
    "topology": ["topology", "mixed-small"],
    "trace": ["trace", "sample_jobs", "--cluster", "mixed-small"],
}


@pytest.mark.parametrize("case", BARE)
def test_a_bare_name_needs_no_note(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BARE[case]) == 0
    assert "the packaged file" not in capsys.readouterr().err


def test_a_scenario_of_the_users_own_extends_one_of_the_package(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the README has it: the file says ``extends: experiments/mixed_small.yaml``."""
    text = "failures: {sources: meta-llama3, rate: 20}\nhorizon: 2 d\n"
    Path("living.yaml").write_text(f"extends: {SCENARIO}\n{text}")
    Path("more.yaml").write_text("extends: living.yaml\nscheduler: {policy: fcfs}\n")
    assert main(["run", "more.yaml", *FEW, "--out", "out"]) == 0
    assert note_of(SCENARIO, SCENARIO, wheel) in capsys.readouterr().err


def test_a_scenario_of_the_users_own_names_a_log(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trace in ("sample_jobs.csv", LOG):
        fields = {"cluster": "mixed-small", "workload": {"trace": trace}}
        Path("log.yaml").write_text(json.dumps(fields))
        assert len(cs.run("log.yaml").jobs) == 24
        assert note_of(trace, LOG, wheel) in capsys.readouterr().err


def test_studies(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {
        "name": "x",
        "base": SCENARIO,
        "set": {"workload.jobs": 20},
        "parameters": {"cluster": ["topologies/h20-pod.yaml", "mixed-small"]},
        "replications": 1,
    }
    Path("x.yaml").write_text(json.dumps(fields))
    assert main(["study", "x.yaml", "--workers", "1", "--out", "out"]) == 0
    message = capsys.readouterr().err
    assert note_of(SCENARIO, SCENARIO, wheel) in message
    assert note_of("topologies/h20-pod.yaml", "topologies/h20-pod.yaml", wheel) in message
    runs = cs.load_result("out").runs
    assert runs["cluster"].tolist() == ["h20-pod.yaml", "mixed-small"]
    assert runs["chips"].tolist() == [2048, 480]
    cases = {"cases": {"other": {"cluster": "topologies/h20-pod.yaml"}}, "extends": SCENARIO}
    Path("cases.yaml").write_text(json.dumps(cases))
    study = cs.define_study({**fields, "base": "cases.yaml", "parameters": {"case": ["other"]}})
    assert [*study.base.at(study.points[0].changes).identity["scenario"]["cluster"]["pools"]] == [
        "h20"
    ]


def test_python(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = cs.load_catalogue()
    for name in ("mixed-small", TOPOLOGY):
        assert cs.load_cluster(name, catalogue).name == "mixed-small"
    for name in ("mixed_small", SCENARIO):
        loaded = cs.load_scenario(name, ["workload.jobs=20"])
        assert loaded.folder == wheel / "resources" / "experiments"
    assert len(run_scenario(loaded).jobs) == 20
    for name in ("policy_comparison", "experiments/policy_comparison.yaml"):
        assert cs.load_study(name, quick=True).points
    for name in ("plan_2026", PLAN):
        assert cs.load_plan(name, quick=True).spec.chips
    assert len(cs.read_jobs(LOG).jobs) == 24
    assert cs.read_jobs("sample_jobs").jobs.equals(cs.read_jobs(LOG).jobs)
    message = capsys.readouterr().err
    assert note_of(PLAN, PLAN, wheel) in message
    assert "Note: sample_jobs" not in message


def test_data_files_of_the_package_by_their_paths(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths such as the README names, which are the package's own in every installation."""
    monkeypatch.undo()
    path = "clustersim/catalogue/data/models.yaml"
    found = shipped.find_file(path, "/")
    assert found.is_file()
    assert found.as_posix().endswith(path)


def test_a_file_of_the_users_own_comes_first(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = {"pools": {"own": {"accelerator": "H200", "nodes": 3}}}
    Path("topologies").mkdir()
    Path("topologies/mixed-small.yaml").write_text(json.dumps({"name": "mine", **pools}))
    Path("own.yaml").write_text(json.dumps({"name": "own", **pools}))
    catalogue = cs.load_catalogue()
    for name in ("mixed-small", "mixed-small.yaml", TOPOLOGY, "topologies/mixed-small"):
        assert cs.load_cluster(name, catalogue).name == "mine"
    for name in ("own", "own.yaml"):
        assert cs.load_cluster(name, catalogue).name == "own"
    assert capsys.readouterr().err == ""
    assert cs.load_cluster("h20-pod", catalogue).name == "h20-pod"
    assert capsys.readouterr().err == ""


def test_what_a_file_extends_is_beside_it_then_below_the_folder_then_of_the_package(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("deep/experiments").mkdir(parents=True)
    Path("deep/mine.yaml").write_text(f"extends: {SCENARIO}\n")

    def seed() -> int:
        return cs.load_scenario("deep/mine.yaml").scenario.seed

    packaged = cs.load_scenario(wheel / "resources" / SCENARIO).scenario
    assert seed() == packaged.seed
    assert note_of(SCENARIO, SCENARIO, wheel) in capsys.readouterr().err
    text = (wheel / "resources" / SCENARIO).read_text()
    other = text.replace(f"seed: {packaged.seed}", "seed: 71")
    assert other != text
    Path("experiments").mkdir()
    Path(SCENARIO).write_text(other)
    assert seed() == 71
    Path("deep", SCENARIO).write_text(other.replace("seed: 71", "seed: 72"))
    assert seed() == 72
    assert capsys.readouterr().err == ""


def test_a_folder_of_the_same_name_does_not_hide_a_name(wheel: Path) -> None:
    """Such as the folder of an earlier result."""
    Path("mixed-small").mkdir()
    Path("mixed_small").mkdir()
    assert cs.load_cluster("mixed-small", cs.load_catalogue()).name == "mixed-small"
    assert cs.load_scenario("mixed_small").scenario.cluster == "mixed-small"


def test_folders_beside_the_package_that_are_no_clone_are_not_taken(wheel: Path) -> None:
    """As another package may leave them in site-packages."""
    beside = wheel.parent / "topologies"
    beside.mkdir()
    (beside / "foreign.yaml").write_text("{}")
    assert "foreign" not in cs.topology.topology_names()
    shutil.rmtree(wheel / "resources")
    assert shipped.shipped_folder("topologies") is None
    (wheel.parent / "pyproject.toml").write_text("")
    assert cs.topology.topology_names() == ["foreign"]


def test_a_policy_or_a_model_is_no_file_of_the_package(wheel: Path) -> None:
    for name in ("easy", "mixed_small", "mixed-small", "philly-2017", "nothing.py:Mine", ""):
        assert full_path(".", name) == name


REFUSED: dict[str, tuple[list[str], str]] = {
    "topology": (
        ["topology", "mixed-smal"],
        "mixed-smal: no such topology file; did you mean 'mixed-small'? allowed: atlas-910b-pod, ",
    ),
    "scenario": (
        ["run", "experiments/mixed_smal.yaml", "--out", "o"],
        "experiments/mixed_smal.yaml: no such file; did you mean 'experiments/mixed_small.yaml'?\n",
    ),
    "a name": (
        ["run", "mixedsmall", "--out", "o"],
        "mixedsmall: no such file; did you mean 'mixed_small.yaml'?\n",
    ),
    "study": (["study", "nothing-near", "--out", "o"], "nothing-near: no such file; the package"),
    "plan": (["plan", "plan_2027.yaml", "--out", "o"], "did you mean 'plan_2026.yaml'?\n"),
    "log": (
        ["replay", "experiments/samples.csv", "--policy=fcfs", "--accelerators=8", "--out=o"],
        "did you mean 'experiments/sample_jobs.csv'?\n",
    ),
    "extends": (
        ["run", "own.yaml", "--out", "o"],
        "own.yaml: extends: experiments/mixd_small.yaml: no such file; did you mean "
        "'experiments/mixed_small.yaml'?\n",
    ),
    "base": (
        ["study", "study.yaml", "--out", "o"],
        "study.yaml: base: experiments/mixed_smal.yaml: no such file; did you mean 'experiments/m",
    ),
    "cluster": (
        ["run", SCENARIO, "--set", "cluster=h21-pod", "--out", "o"],
        "cluster: h21-pod: no such topology file; did you mean 'h20-pod'? allowed: ",
    ),
    "outside": (["run", "experiments/../../x.yaml", "--out", "o"], "x.yaml: no such file\n"),
    "no text": (["run", "a\0b", "--out", "o"], "no such file; the package has "),
    **{
        f"nearly, {name}": (
            ["run", name, "--out", "o"],
            f"{name}: no such file; did you mean {meant!r}?\n",
        )
        for name, meant in {
            "experiments/mixed_small.yml": SCENARIO,
            "Experiments/mixed_small.yaml": SCENARIO,
            "EXPERIMENTS/Mixed_Small.YAML": SCENARIO,
            "experiments/../experiments/mixed_small.yaml": SCENARIO,
            "experiments/none/../mixed_small.yml": SCENARIO,
            "mixed_small.yml": "mixed_small.yaml",
            "Own.yaml": "own.yaml",
            "own.yml": "own.yaml",
            "Sub/../OWN.YML": "own.yaml",
            "deep/file.yaml": "Deep/File.yml",
            "DEEP/../deep/file.yml": "Deep/File.yml",
        }.items()
    },
    "very long": (["topology", "x" * 5000], "no such topology file; allowed: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_there_is_said_with_what_is(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text("extends: experiments/mixd_small.yaml\n")
    Path("Deep").mkdir()
    Path("Deep/File.yml").write_text("name: x\n")
    Path("study.yaml").write_text("name: x\nbase: experiments/mixed_smal.yaml\n" + VARIED)
    arguments, message = REFUSED[case]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("o").exists()


def test_a_plan_of_the_users_own_is_verified_in_a_scenario_of_the_package(wheel: Path) -> None:
    from clustersim.procurement.fleet import open_base_scenario

    fields = cs.files.read_yaml(wheel / "resources" / PLAN)
    fields.pop("quick")
    fields["verify"]["base"] = "experiments/mixed_fleet.yaml"
    base = open_base_scenario(define_plan(fields))
    assert base is not None
    fields["verify"]["base"] = "experiments/mixed_flet.yaml"
    with pytest.raises(
        InputError, match=r"verify.base: experiments/mixed_flet.yaml: no such file; d"
    ):
        open_base_scenario(define_plan(fields))
