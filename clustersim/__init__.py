"""clustersim: a discrete-event simulator of heterogeneous AI datacenters.

The names of :data:`__all__` are the Python interface.  Each is imported when it is
first used, so that ``import clustersim`` is quick.

Examples
--------
>>> import clustersim
>>> clustersim.load_catalogue().accelerator("H200").chips_per_node
8
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from clustersim.version import __version__

if TYPE_CHECKING:
    from clustersim.calibration.estimate import Estimate, estimate
    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError
    from clustersim.performance import best_plans
    from clustersim.report import run_load_sweep
    from clustersim.scheduling import NodePlacement, Placement, Policy
    from clustersim.seeds import Streams
    from clustersim.simulation.check_policy import check_policy
    from clustersim.simulation.result import Result
    from clustersim.simulation.run import run
    from clustersim.simulation.scenario import load_scenario
    from clustersim.simulation.schemas import schema
    from clustersim.simulation.simulate import Scheduling, replay, simulate
    from clustersim.studies.load_sweep import LoadSweep, Objective, load_sweep
    from clustersim.topology import (
        build_graph,
        compile_cluster,
        load_cluster,
        single_pool,
        summarise,
    )
    from clustersim.workload import describe_jobs, generate_jobs, load_workload, read_jobs

__all__ = [
    "Estimate",
    "InputError",
    "LoadSweep",
    "NodePlacement",
    "Objective",
    "Placement",
    "Policy",
    "Result",
    "Scheduling",
    "Streams",
    "__version__",
    "best_plans",
    "build_graph",
    "check_policy",
    "compile_cluster",
    "describe_jobs",
    "estimate",
    "generate_jobs",
    "load_catalogue",
    "load_cluster",
    "load_scenario",
    "load_sweep",
    "load_workload",
    "read_jobs",
    "replay",
    "run",
    "run_load_sweep",
    "schema",
    "simulate",
    "single_pool",
    "summarise",
]

_HOME = {
    "Estimate": "calibration.estimate",
    "InputError": "errors",
    "LoadSweep": "studies.load_sweep",
    "NodePlacement": "scheduling",
    "Objective": "studies.load_sweep",
    "Placement": "scheduling",
    "Policy": "scheduling",
    "Result": "simulation.result",
    "Scheduling": "simulation.simulate",
    "Streams": "seeds",
    "best_plans": "performance",
    "build_graph": "topology",
    "check_policy": "simulation.check_policy",
    "compile_cluster": "topology",
    "describe_jobs": "workload",
    "estimate": "calibration.estimate",
    "generate_jobs": "workload",
    "load_catalogue": "catalogue",
    "load_cluster": "topology",
    "load_scenario": "simulation.scenario",
    "load_sweep": "studies.load_sweep",
    "load_workload": "workload",
    "read_jobs": "workload",
    "replay": "simulation.simulate",
    "run": "simulation.run",
    "run_load_sweep": "report",
    "schema": "simulation.schemas",
    "simulate": "simulation.simulate",
    "single_pool": "topology",
    "summarise": "topology",
}


_PACKAGES = (
    "catalogue",
    "performance",
    "scheduling",
    "simulation",
    "studies",
    "topology",
    "workload",
)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
