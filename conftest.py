"""Modules that need PyTorch are not searched for examples where it is not installed."""

import importlib.util

collect_ignore = []
if importlib.util.find_spec("torch") is None:
    collect_ignore.append("clustersim/microbenchmarks/transformer.py")
