"""What concerns the whole run of the tests."""

import importlib.util
import os

import pytest

collect_ignore = []
if importlib.util.find_spec("torch") is None:  # no examples of modules that need PyTorch
    collect_ignore.append("clustersim/microbenchmarks/transformer.py")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker more than cores for the regular tests, some of which wait for processes."""
    if config.option.markexpr != "not slow":
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity else os.cpu_count() or 1) + 1
