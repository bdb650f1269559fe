"""Microbenchmarks of an accelerator: what `clustersim measure` runs, and the file that it writes.

Without PyTorch, only :mod:`clustersim.microbenchmarks.schema` can be used.
"""

from clustersim.microbenchmarks.schema import COLUMNS, KINDS

__all__ = ["COLUMNS", "KINDS"]
