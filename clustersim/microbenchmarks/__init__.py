"""Microbenchmarks of an accelerator: what `clustersim measure` runs, and the file it writes.

Only :mod:`clustersim.microbenchmarks.schema` can be used without PyTorch.
"""

from clustersim.microbenchmarks.schema import COLUMNS, KINDS

__all__ = ["COLUMNS", "KINDS"]
