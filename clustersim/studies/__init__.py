"""Studies: many runs, and what can be concluded from them."""

from clustersim.studies.load_sweep import Capacity, LoadSweep, Objective, SweepResult, load_sweep
from clustersim.studies.statistics import crossing, mean_interval
from clustersim.studies.steady_state import SteadyState, Window, measure

__all__ = [
    "Capacity",
    "LoadSweep",
    "Objective",
    "SteadyState",
    "SweepResult",
    "Window",
    "crossing",
    "load_sweep",
    "mean_interval",
    "measure",
]
