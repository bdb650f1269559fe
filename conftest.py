"""How the examples in docstrings are run."""

import importlib.util
from pathlib import Path

import pytest

collect_ignore = []
# Modules that need PyTorch are not searched for examples if it is not installed.
if importlib.util.find_spec("torch") is None:
    collect_ignore.append("clustersim/microbenchmarks/transformer.py")


@pytest.fixture(autouse=True)
def examples_write_elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run an example in an empty folder, so that it may write files under short names."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
