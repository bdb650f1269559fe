"""Files of a user's own metrics and plots that do not work: one clear message, exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.cli.main import main
from tests.bad_input.study_files import RUN, assert_one_line, write_study
from tests.full_counts import first_of

Refuse = Callable[..., str]
QUICK = [*RUN, "--format", "svg"]
ONE_PLOT = {"plots": [{"kind": "warm-up"}]}
IMPORT = "import clustersim\nfrom clustersim import Metric, PlotKind\n"
METRIC = (
    IMPORT + "clustersim.register_metric(Metric(name='own', label='own', definition='Own.', {}))\n"
)
PLOT = (
    IMPORT
    + "def panels(result, plot):\n    {}\n\n"
    + "clustersim.register_plot(PlotKind(name='own', title='Own', description='Own.', "
    + "panels=panels, takes=('x',)))\n"
)
GOOD = METRIC.format("compute=lambda part: 1.0")

NOT_LOADED = {
    "missing": (None, "mine.py: cannot be read: No such file"),
    "no Python": ("class X(:\n", "mine.py: fails to load: SyntaxError"),
    "registers nothing": ("x = 1\n", "mine.py: registers nothing; a plugin file must call"),
    "raises": ("raise ValueError('no')\n", "mine.py: fails to load: ValueError: no"),
    "leaves": ("import sys\nsys.exit(3)\n", "mine.py: fails to load: SystemExit"),
    "a built-in name": (
        GOOD.replace("'own', label", "'utilisation', label"),
        "mine.py: metric 'utilisation' is built in; choose another name",
    ),
    "a name of another column": (
        GOOD.replace("'own', label", "'horizon', label"),
        "mine.py: metric 'horizon': the tables already have a column of this name",
    ),
    "twice": (GOOD + GOOD.removeprefix(IMPORT), "mine.py: registers metric 'own' twice"),
    "no dimension": (
        METRIC.format("compute=len, dimension='time'"),
        "mine.py: fails to load: metric 'own': dimension: unknown dimension 'time'",
    ),
    "no such argument": (
        METRIC.format("compute=len, formula='x'"),
        "mine.py: fails to load: Metric: unknown field 'formula'",
    ),
    "no such argument of a plot": (
        PLOT.format("return []").replace("takes=", "take="),
        "mine.py: fails to load: PlotKind: unknown field 'take'; did you mean 'takes'?",
    ),
    "no direction": (
        METRIC.format("compute=len, better='lower'"),
        "metric 'own': better: unknown direction 'lower'; allowed: less, more, or \"\" if neither",
    ),
    "fails at a line": ("import math\nmath.nothing\n", "has no attribute 'nothing' (line 2)"),
    "no metric": (IMPORT + "clustersim.register_metric(3)\n", "needs a clustersim.Metric, found 3"),
    "a built-in plot": (
        PLOT.format("return []").replace("name='own'", "name='curve'"),
        "mine.py: plot kind 'curve' is built in",
    ),
}


@pytest.mark.parametrize("where", ["file", "option", "scenario", "metrics"])
@pytest.mark.parametrize("case", NOT_LOADED)
def test_file_that_registers_nothing(
    refuse: Refuse, write_scenario: Callable[..., None], case: str, where: str
) -> None:
    source, words = NOT_LOADED[case]
    if source is not None:
        Path("mine.py").write_text(source)
    write_study({"plugins": ["mine.py"]} if where == "file" else {})
    write_scenario({"plugins": ["mine.py"]})
    commands = {
        "file": RUN,
        "option": [*RUN, "--plugins", "mine.py"],
        "scenario": ["run", "scenario.yaml", "--out", "out"],
        "metrics": ["metrics", "--plugins", "mine.py"],
    }
    message = refuse(commands[where], "mine.py", words)
    assert_one_line(message)
    assert ("plugins: " in message) == (where != "metrics")


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"plugins": "mine.py"}, "plugins: input should be a list"),
        ({"plugins": ["mine.txt"]}, "its name must end in .py"),
        ({"plugins": [3]}, "plugins[0]: input should be"),
        ({"metrics": ["owm"], "plugins": ["mine.py"]}, "unknown metric 'owm'; did you mean 'own'"),
        (
            {"metrics": ["no_one"]},
            "for a metric of your own, list its file under plugins or in --plugins",
        ),
        ({"metrics": ["own@1"], "plugins": ["mine.py"]}, "unknown metric 'own@1'"),
        ({"metrics": ["own.a"], "plugins": ["mine.py"]}, "unknown metric 'own.a'"),
        (
            {"set": {"plugins": ["mine.py"]}},
            "set: plugins cannot be set; list them under `plugins` of the study",
        ),
        ({"plots": [{"kind": "owm"}]}, "plots[0].kind: unknown plot kind 'owm'"),
        (
            {"plots": [{"kind": "dots"}]},
            "for a plot kind of your own, list its file under plugins or in --plugins",
        ),
    ],
)
def test_names_in_a_study(refuse: Refuse, edits: dict[str, object], words: str) -> None:
    Path("mine.py").write_text(GOOD)
    write_study(edits)
    refuse(RUN, words)


def test_a_metric_that_another_study_registered(refuse: Refuse) -> None:
    Path("mine.py").write_text(GOOD)
    write_study({"plugins": ["mine.py"], "metrics": ["own"], **ONE_PLOT})
    assert main([*QUICK, "--out", "first"]) == 0
    write_study({"metrics": ["own"]})
    refuse(RUN, "metrics: own is registered by", "mine.py, which the study does not list under")


FAULTY = {
    "raises": ("compute=lambda part: 1 / 0", "line 3: ZeroDivisionError: division by zero"),
    "infinite": ("compute=lambda part: float('inf')", "must return a finite number or NaN"),
    "no number": ("compute=lambda part: 'many'", "a finite number or NaN, found 'many'"),
    "nothing": ("compute=lambda part: None", "found None"),
    "no such column": ("compute=lambda part: part.jobs['waits'].mean()", "KeyError: 'waits'"),
    "leaves": ("compute=lambda part: exit(3)", "SystemExit: 3"),
    "by pool": (
        "compute=lambda part: 1.0, by_pool=lambda part: [1.0]",
        "by_pool must return a mapping of pools to numbers, found [1.0]",
    ),
    "of a pool": (
        "compute=lambda part: 1.0, by_pool=lambda part: {'a': None}",
        "metric 'own.a': must return a finite number",
    ),
    "of a fleet": ("of_fleet=lambda view: view.chips", "line 3: AttributeError"),
}


@pytest.mark.parametrize(("case", "workers"), [("raises", "2"), *((case, "1") for case in FAULTY)])
def test_a_metric_that_fails_stops_a_study(
    capsys: pytest.CaptureFixture[str], case: str, workers: str
) -> None:
    fields, words = FAULTY[case]
    Path("mine.py").write_text(METRIC.format(fields))
    write_study({"plugins": ["mine.py"]})
    assert main([*RUN[:-1], workers]) == 2
    message = capsys.readouterr().err
    assert "mine.py: metric 'own" in message
    assert words in message
    assert "Traceback" not in message
    assert "finished runs are kept" in message


def test_a_study_goes_on_when_its_metric_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(METRIC.format("compute=lambda part: 1 / 0"))
    write_study({"plugins": ["mine.py"], "metrics": ["own"], **ONE_PLOT})
    assert main(RUN) == 2
    Path("mine.py").write_text(GOOD)
    assert main([*QUICK, "--resume"]) == 0
    assert "4 runs in" in capsys.readouterr().out


@pytest.mark.parametrize("case", ["raises", "infinite"])
def test_a_metric_that_fails_after_a_run(
    capsys: pytest.CaptureFixture[str], write_scenario: Callable[..., None], case: str
) -> None:
    fields, words = FAULTY[case]
    Path("mine.py").write_text(METRIC.format(fields))
    write_scenario({})
    assert main(["run", "scenario.yaml", "--out", "out", "--plugins", "mine.py"]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert Path("out/jobs.parquet").exists(), "the simulation was not in vain"


PLOTS = {
    "raises": ("1 / 0", "line 4: ZeroDivisionError"),
    "no list": ("return 3", "panels must return a list of functions, found 3"),
    "no panel": ("return []", "panels returned an empty list"),
    "a panel that fails": ("return [lambda ax: ax.bars()]", "line 4: AttributeError"),
}


@pytest.mark.parametrize("case", first_of(PLOTS, 2))
def test_a_plot_that_fails_is_left_out(capsys: pytest.CaptureFixture[str], case: str) -> None:
    body, words = PLOTS[case]
    Path("mine.py").write_text(PLOT.format(body))
    plots = [
        {"kind": "own", "x": "workload.load"},
        {"kind": "curve", "x": "workload.load", "y": "utilisation"},
    ]
    write_study({"plugins": ["mine.py"], "plots": plots})
    assert main(QUICK) == 1
    shown = capsys.readouterr()
    assert f"not drawn: plot 1 (own): {Path('mine.py').resolve()}: plot kind 'own': " in shown.out
    assert words in shown.out
    assert "Traceback" not in shown.out + shown.err
    assert Path("out/2-curve.svg").exists()
    assert main(["report", "out"]) == 0
    assert "Note: not drawn: plot 1 (own): " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ("lambda result, plot: 1 / 0", "ZeroDivisionError"),
        ("lambda result, plot: [3]", "pictures must return a list of plots, found [3]"),
    ],
)
def test_pictures_of_a_plot_that_fail(
    capsys: pytest.CaptureFixture[str], pictures: str, words: str
) -> None:
    source = PLOT.format("return []").replace("takes=", f"pictures={pictures}, takes=")
    Path("mine.py").write_text(source)
    write_study({"plugins": ["mine.py"], "plots": [{"kind": "own", "x": "workload.load"}]})
    assert main(QUICK) == 1
    shown = capsys.readouterr()
    assert "not drawn: plot 1 (own): " in shown.out
    assert words in shown.out
    assert "Traceback" not in shown.out + shown.err


def test_a_plot_that_takes_another_field(refuse: Refuse) -> None:
    Path("mine.py").write_text(PLOT.format("return []"))
    write_study({"plugins": ["mine.py"], "plots": [{"kind": "own", "y": "waited"}]})
    refuse(RUN, "plots[0].y: not allowed for kind own, which takes x")


def test_a_check_of_a_plot_that_fails(refuse: Refuse) -> None:
    source = PLOT.format("return []").replace("takes=", "check=lambda spec, plot: 1 / 0, takes=")
    Path("mine.py").write_text(source)
    write_study({"plugins": ["mine.py"], "plots": [{"kind": "own"}]})
    refuse(RUN, "mine.py: plot kind 'own': line 6: ZeroDivisionError")


def test_the_file_of_a_study_that_is_gone(refuse: Refuse) -> None:
    Path("mine.py").write_text(GOOD)
    write_study({"plugins": ["mine.py"], **ONE_PLOT})
    assert main(QUICK) == 0
    Path("mine.py").unlink()
    refuse(["report", "out"], "study.yaml: plugins: ", "mine.py: cannot be read")


def test_a_redone_run_takes_no_plugins(refuse: Refuse) -> None:
    refuse(["run", "--from", "out", "--run", "0", "--out", "o", "--plugins", "a.py"], "--plugins")


def test_a_case_changes_no_plugins(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({"cases": {"own": {"plugins": ["mine.py"]}}, "case": "own"})
    words = "cases.own: plugins: plugins must be the same in every case"
    refuse(["run", "scenario.yaml", "--out", "out"], words)
