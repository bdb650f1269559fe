"""Metrics and plots of a user's own in studies."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import clustersim
from clustersim.analysis.measures import measure
from clustersim.analysis.metrics import METRICS as REGISTRY
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.files import read_yaml
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.simulate import replay
from clustersim.studies.plot_kinds import PLOT_KINDS
from clustersim.studies.run_key import scenario_hash
from clustersim.studies.study import define_study
from clustersim.studies.study_result import load_result
from tests.analysis.test_measures import every_10_s
from tests.studies.conducted import QUEUE, conduct, exact

METRICS = """
import numpy as np

import clustersim


def long_waits(part):
    return float((part.wait_s > LIMIT).mean()) if len(part.wait_s) else float("nan")


def long_waits_by_pool(part):
    pools = part.jobs["pool"].astype(str)
    return {pool: float((pools == pool).sum()) for pool in part.run.steps_by_pool}


clustersim.register_metric(
    clustersim.Metric(
        name="long_waits",
        label="jobs that waited long",
        definition="Share of the measured jobs that waited longer than a limit.",
        compute=long_waits,
        by_pool=long_waits_by_pool,
        per_period=True,
        dimension="share",
        better="less",
        least=0.0,
        most=1.0,
    )
)
clustersim.register_metric(
    clustersim.Metric(
        name="chips_per_node",
        label="chips per node",
        definition="Chips of a node of the first pool.",
        of_fleet=lambda view: view.fleet.cluster.pools[0].chips_per_node,
        dimension="count",
        constant=True,
    )
)
"""
PLOTS = """
import clustersim


def panels(result, plot):
    def bars(ax):
        table = result.points
        ax.bar(table[plot.x].map(str), table[plot.ys[0]])
        ax.set_title("bars of " + plot.ys[0])

    return [bars]


clustersim.register_plot(
    clustersim.PlotKind(
        name="bars",
        title="Bars",
        description="A metric by a parameter, as bars.",
        panels=panels,
        takes=("x", "y"),
        needs=("x", "y"),
    )
)
"""
STUDY: dict[str, Any] = {
    "name": "own",
    "base": {**QUEUE, "horizon": "40 min"},
    "parameters": {"workload.load": [0.7, 0.95]},
    "replications": 2,
    "window": {"periods": 2, "warm_up": 0, "cool_down": 0},
    "metrics": ["long_waits", "long_waits.gpu", "long_waits@1", "p95_wait_s"],
    "plots": [
        {"kind": "bars", "x": "workload.load", "y": "long_waits"},
        {"kind": "periods", "y": "long_waits"},
    ],
}


def write(folder: Path, limit: float = 60.0, **changes: Any) -> Path:
    (folder / "my_metrics.py").write_text(METRICS.replace("LIMIT", str(limit)))
    (folder / "my_plots.py").write_text(PLOTS)
    with (folder / "study.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump({**STUDY, **changes}, file)
    return folder / "study.yaml"


@pytest.mark.slow
def test_a_study_of_own_metrics_and_plots_on_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, plugins=["my_metrics.py", "my_plots.py"])
    monkeypatch.chdir(tmp_path)
    command = ["study", "study.yaml", "--format", "svg"]
    assert main([*command, "--out", "two", "--workers", "2"]) == 0
    assert "figure: two/1-bars.svg" in capsys.readouterr().out
    assert main([*command, "--out", "one", "--workers", "1"]) == 0
    two, one = (load_result(tmp_path / name) for name in ("two", "one"))
    assert exact(two.runs) == exact(one.runs)
    assert two.runs["long_waits"].between(0, 1).all()
    assert (two.runs["long_waits"] > 0).any()
    started = two.runs["jobs"] * (1 - two.runs["censored"])
    assert two.runs["long_waits.gpu"].tolist() == pytest.approx(started.tolist())
    assert (two.runs["chips_per_node"] == 8).all()
    # Jobs that come in the first half of the horizon and those in the second are all there are.
    assert two.runs[["long_waits@1", "long_waits@2"]].notna().all(axis=None)
    points = two.points
    assert (points["long_waits_low"] >= 0).all(), "an interval ends where its metric does"
    assert "chips_per_node_low" not in points, "a fact has no interval"
    assert "bars of long_waits" in (tmp_path / "two" / "1-bars.svg").read_text()
    # The periods' picture has the label and the unit of the metric.
    assert "jobs that waited long" in (tmp_path / "two" / "2-periods.svg").read_text()
    assert main(["report", "two"]) == 0
    assert "jobs that waited long" in (tmp_path / "two" / "report.html").read_text()


def test_a_run_alone_has_the_metric_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, plugins=["my_metrics.py", "my_plots.py"])
    monkeypatch.chdir(tmp_path)
    assert main(["study", "study.yaml", "--out", "out", "--workers", "1", "--format", "svg"]) == 0
    row = load_result("out").runs.iloc[-1]
    capsys.readouterr()
    assert main(["run", "--from", "out", "--run", row["run"], "--out", "redone"]) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert f"jobs that waited long {100 * row['long_waits']:.3g}" in message
    (tmp_path / "my_metrics.py").write_text(METRICS.replace("LIMIT", "5.0"))
    assert main(["run", "--from", "out", "--run", row["run"], "--out", "again"]) == 2
    assert "policy or plugin has changed" in capsys.readouterr().err


def test_a_scenario_names_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with Path("scenario.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump({**STUDY["base"], "plugins": ["my_metrics.py"]}, file)
    assert main(["run", "scenario.yaml", "--out", "run"]) == 0
    assert "over the whole run: jobs that waited long " in capsys.readouterr().out
    # A study of the scenario knows its metrics, and names the file by its full path.
    study = define_study({**STUDY, "base": "scenario.yaml", "plots": []}, folder=tmp_path)
    assert study.document()["plugins"] == [str(tmp_path / "my_metrics.py")]
    assert "plugins" not in study.document()["base"]
    assert main(["run", "scenario.yaml", "--out", "other", "--plugins", "my_plots.py"]) == 0
    capsys.readouterr()


def keys(study: Any) -> list[str]:
    return [study.base.at(point.changes).run(-1, 0).key for point in study.points]


def test_what_a_metric_file_says_is_part_of_the_hash_of_a_run(tmp_path: Path) -> None:
    def of(limit: float, **changes: Any) -> list[str]:
        write(tmp_path, limit)
        fields = {**STUDY, "plots": [], "plugins": ["my_metrics.py"], **changes}
        return keys(define_study(fields, folder=tmp_path))

    assert of(60.0) == of(60.0)
    assert not set(of(60.0)) & set(of(61.0)), "another content, another run"
    metrics = ["p95_wait_s"]
    without = of(60.0, plugins=[], metrics=metrics)
    assert not set(without) & set(of(60.0, metrics=metrics))
    only_plots = of(60.0, plugins=["my_plots.py"], metrics=metrics)
    assert only_plots == without, "no number depends on a plot"


def test_a_study_without_plugins_has_the_hash_that_it_always_had() -> None:
    study = define_study({**STUDY, "metrics": ["p95_wait_s"], "plots": []})
    base = study.base
    assert base.measured == base.window.measured
    assert "plugins" not in study.document()
    scenario = define_scenario(base.tree).scenario.model_dump(mode="json", exclude_none=True)
    assert "plugins" not in scenario


def test_runs_of_other_metric_code_are_made_again(tmp_path: Path) -> None:
    def runs(limit: float, *, resume: bool) -> Any:
        write(tmp_path, limit)
        fields = {**STUDY, "plots": [], "plugins": [str(tmp_path / "my_metrics.py")]}
        return conduct(fields, tmp_path / "out", workers=1, resume=resume)

    before = runs(1e9, resume=False)
    assert (before["long_waits"] == 0).all()
    after = runs(-1.0, resume=True)
    assert (after["long_waits"] == 1).all()
    assert not set(before["run"]) & set(after["run"])
    back = runs(1e9, resume=True)
    assert exact(back) == exact(before)


def test_a_file_that_changes_while_a_study_runs_is_noticed(tmp_path: Path) -> None:
    from clustersim.studies.worker import make_run

    write(tmp_path)
    file = str(tmp_path / "my_metrics.py")
    study = define_study({**STUDY, "plots": [], "plugins": [file]})
    run = study.base.at(study.points[0].changes).run(-1, 0)
    assert run.files[file]
    write(tmp_path, 61.0)
    outcome = make_run(run.key, study.base.tree, run.written, study.base.measured, run.files)
    assert "my_metrics.py: was changed while the study ran" in outcome.error
    assert scenario_hash(run.key) == scenario_hash(outcome.key)


def test_measures_of_a_result(tmp_path: Path) -> None:
    # Job k of 100 waits 10 k s: with a quarter and a tenth left out, jobs 25 to 89 are measured.
    (tmp_path / "my.py").write_text(METRICS.replace("LIMIT", "499.0"))
    result = replay(every_10_s(100, 20), policy="fcfs", accelerators=1)
    found = measure(result, plugins=[str(tmp_path / "my.py")]).metrics
    assert found["long_waits"] == pytest.approx(40 / 65)
    assert found["long_waits.pool"] == 65
    assert list(found)[-2:] == ["long_waits", "long_waits.pool"]
    assert "long_waits" not in measure(result).metrics


def test_an_objective_in_a_metric_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path)
    fields = {
        **{key: value for key, value in STUDY.items() if key not in ("window", "plots")},
        "plugins": [str(tmp_path / "my_metrics.py")],
        "metrics": ["long_waits"],
        "replications": {
            "at_least": 2,
            "at_most": 3,
            "relative_width": 0.5,
            "metric": "long_waits",
        },
        "objective": {"metric": "long_waits", "at_most": 0.2},
    }
    runs = conduct(fields, tmp_path / "out", workers=1)
    assert np.isfinite(runs["long_waits"]).all()
    with pytest.raises(InputError, match=r"long_waits needs a number such as 0\.1 or 10 %"):
        define_study({**fields, "objective": {"metric": "long_waits", "at_most": "1 h"}})


def test_the_list_and_the_schema_know_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["metrics", "--plugins", "my_metrics.py"]) == 0
    message = capsys.readouterr().out
    head = "Registered by my_metrics.py\n  long_waits[.POOL][@k] (1, less is better, mean over the "
    assert head in message
    assert message.endswith("\nmy_metrics.py registers metrics long_waits, chips_per_node\n")
    plugins = ["--plugins", "my_metrics.py", "--plugins", "my_plots.py"]
    assert main(["plots", *plugins]) == 0
    message = capsys.readouterr().out
    assert "\n  curve (x, [y], [by]): Curves\n" in message
    assert "Registered by my_plots.py\n  bars (x, y): Bars\n    A metric by a param" in message
    assert message.endswith(
        "\nmy_metrics.py registers metrics long_waits, chips_per_node\n"
        "my_plots.py registers plot kind bars\n"
    )
    assert main(["plots", "--json", *plugins]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(PLOT_KINDS.items)
    assert (rows["bars"]["file"], rows["curve"]["file"]) == ("my_plots.py", None)
    assert main(["schema", "study", *plugins]) == 0
    schema = capsys.readouterr().out
    assert '"const": "long_waits"' in schema
    assert '"const": "bars"' in schema


def test_the_folder_says_which_files_it_needs(tmp_path: Path) -> None:
    write(tmp_path)
    fields = {**STUDY, "plots": [], "plugins": [str(tmp_path / "my_metrics.py")]}
    conduct(fields, tmp_path / "out", workers=1)
    assert read_yaml(tmp_path / "out" / "study.yaml")["plugins"] == fields["plugins"]
    with (tmp_path / "out" / "runs.csv").open("w") as file:
        csv.writer(file)  # the tables are not the study: it can still be read
    assert len(load_result(tmp_path / "out").runs) == 4


def test_a_study_takes_no_metric_of_the_session_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_of_users", {})
    clustersim.register_metric(
        clustersim.Metric(name="own", label="own", definition="Own.", compute=lambda part: 1.0)
    )
    with pytest.raises(InputError, match="metrics: own is registered only in this session"):
        define_study({**STUDY, "metrics": ["own"], "plots": []})
