"""How the examples in docstrings are run, and what they share with the tests."""

import gc
import importlib.util
import sys

import pytest

collect_ignore = []
# Modules that need PyTorch are not searched for examples if it is not installed.
if importlib.util.find_spec("torch") is None:
    collect_ignore.append("clustersim/microbenchmarks/transformer.py")


@pytest.fixture(autouse=True)
def only_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the metrics and plot kinds that a test or an example registers."""
    from clustersim.analysis.metrics import METRICS
    from clustersim.studies.plot_kinds import PLOT_KINDS

    for registry in (METRICS, PLOT_KINDS):
        monkeypatch.setattr(registry, "_of_users", {})


@pytest.fixture(autouse=True)
def examples_write_elsewhere(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run an example in an empty folder, so that it may write files under short names."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
        monkeypatch.setattr(sys, "argv", list(sys.argv))


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected, millions of objects, from garbage collection."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests of coverage measured, even if they pass."""
    measured = [
        report
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and "coverage" in report.keywords and report.capstdout
    ]
    for report in measured:
        terminalreporter.section(f"coverage measured by {report.nodeid}")
        terminalreporter.write(report.capstdout)
