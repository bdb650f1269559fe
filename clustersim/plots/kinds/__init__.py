"""Built-in plot kinds of studies. Each module of this package defines one kind as ``KIND``."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from clustersim.studies.plot_kinds import PlotKind

__all__ = ["built_in_kinds"]


def built_in_kinds() -> list[PlotKind]:
    """Return the kinds of all modules in this package, sorted by name."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    kinds = [import_module(f"{__name__}.{name}").KIND for name in names]
    return sorted(kinds, key=lambda kind: kind.name)
