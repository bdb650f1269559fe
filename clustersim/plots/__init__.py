"""Figures of results. Each plot function draws the data of a table that its caller chooses.

Each function draws into the axes given as `ax`, or into a new figure, and returns the axes.
Functions that draw the tables of a study also take its :class:`~clustersim.StudyResult`.  Each name
is imported on first use, so that ``import clustersim.plots`` does not import matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clustersim.errors import no_attribute

if TYPE_CHECKING:
    from clustersim.plots.axis import Axis, axis_of
    from clustersim.plots.calibration import plot_coefficient
    from clustersim.plots.capacity_at import plot_capacity
    from clustersim.plots.chips import plot_chips
    from clustersim.plots.curves import plot_curve
    from clustersim.plots.differences import plot_differences
    from clustersim.plots.distribution import plot_distribution
    from clustersim.plots.fabric.load_over_time import plot_busiest_links, plot_link_load
    from clustersim.plots.fabric.topology import plot_topology
    from clustersim.plots.figure import StudyFigure, study_figure
    from clustersim.plots.forecast import plot_forecast
    from clustersim.plots.gantt import plot_gantt
    from clustersim.plots.heat_map import plot_heat_map
    from clustersim.plots.pareto import plot_pareto
    from clustersim.plots.periods import plot_periods
    from clustersim.plots.purchases import plot_purchases
    from clustersim.plots.runs import plot_queue, plot_size_waits, plot_utilisation
    from clustersim.plots.scatter import plot_scatter
    from clustersim.plots.sensitivity import plot_indices
    from clustersim.plots.style import save_figure
    from clustersim.plots.trace import plot_arrivals, plot_durations, plot_sizes, plot_week
    from clustersim.plots.training.days_to_train import plot_days_to_train
    from clustersim.plots.warm_up import plot_warm_up

__all__ = [
    "Axis",
    "StudyFigure",
    "axis_of",
    "plot_arrivals",
    "plot_busiest_links",
    "plot_capacity",
    "plot_chips",
    "plot_coefficient",
    "plot_curve",
    "plot_days_to_train",
    "plot_differences",
    "plot_distribution",
    "plot_durations",
    "plot_forecast",
    "plot_gantt",
    "plot_heat_map",
    "plot_indices",
    "plot_link_load",
    "plot_pareto",
    "plot_periods",
    "plot_purchases",
    "plot_queue",
    "plot_scatter",
    "plot_size_waits",
    "plot_sizes",
    "plot_topology",
    "plot_utilisation",
    "plot_warm_up",
    "plot_week",
    "save_figure",
    "study_figure",
]

_HOME = {
    "Axis": "axis",
    "StudyFigure": "figure",
    "axis_of": "axis",
    "plot_arrivals": "trace",
    "plot_busiest_links": "fabric.load_over_time",
    "plot_capacity": "capacity_at",
    "plot_chips": "chips",
    "plot_coefficient": "calibration",
    "plot_curve": "curves",
    "plot_days_to_train": "training.days_to_train",
    "plot_differences": "differences",
    "plot_distribution": "distribution",
    "plot_durations": "trace",
    "plot_forecast": "forecast",
    "plot_gantt": "gantt",
    "plot_heat_map": "heat_map",
    "plot_indices": "sensitivity",
    "plot_link_load": "fabric.load_over_time",
    "plot_pareto": "pareto",
    "plot_periods": "periods",
    "plot_purchases": "purchases",
    "plot_queue": "runs",
    "plot_scatter": "scatter",
    "plot_size_waits": "runs",
    "plot_sizes": "trace",
    "plot_topology": "fabric.topology",
    "plot_utilisation": "runs",
    "plot_warm_up": "warm_up",
    "plot_week": "trace",
    "save_figure": "style",
    "study_figure": "figure",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise no_attribute(__name__, name, __all__)
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
