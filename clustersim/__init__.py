"""clustersim: a discrete-event simulator of heterogeneous AI datacenters.

The names in :data:`__all__` are the Python interface.  Each is imported on first use, so that
``import clustersim`` is fast.

Examples
--------
>>> import clustersim
>>> clustersim.load_catalogue().accelerator("H200").chips_per_node
8
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from clustersim.errors import RenamedError, no_attribute
from clustersim.version import __version__

if TYPE_CHECKING:
    from clustersim.analysis.metric import Metric
    from clustersim.analysis.metrics import register_metric
    from clustersim.analysis.part import FleetView, Part
    from clustersim.availability.supply import nodes_over_time
    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError
    from clustersim.estimation.estimate import estimate
    from clustersim.estimation.estimate_result import Estimate
    from clustersim.explanation.explain import explain
    from clustersim.explanation.job import JobWait
    from clustersim.explanation.summary import WaitCauses
    from clustersim.forecasting.forecast import forecast
    from clustersim.forecasting.result import Forecast
    from clustersim.performance import best_plans
    from clustersim.plots.axis import axis_of
    from clustersim.procurement import PurchasePlan, define_plan, load_plan, plan_purchases
    from clustersim.report import run_study, write_report
    from clustersim.report.of_validation.written import write_validation
    from clustersim.report.of_what_if.written import write_what_if
    from clustersim.scenario.run import run
    from clustersim.scenario.scenario import define_scenario, load_scenario
    from clustersim.scheduling import NodePlacement, Placement, Policy
    from clustersim.schemas import schema
    from clustersim.seeds import Streams
    from clustersim.simulation.check_policy import check_policy
    from clustersim.simulation.result import Result
    from clustersim.simulation.scheduling import Scheduling
    from clustersim.simulation.simulate import replay, simulate
    from clustersim.simulation.speeds import RunTimeModel
    from clustersim.studies.plot_kinds import PlotKind, register_plot
    from clustersim.studies.study import Study, define_study, load_study
    from clustersim.studies.study_result import StudyResult, load_result
    from clustersim.topology import (
        build_graph,
        compile_cluster,
        load_cluster,
        single_pool,
        summarise,
    )
    from clustersim.training.largest import LargestModel, largest_model
    from clustersim.training.on_fleet import time_to_train_on_fleet
    from clustersim.training.result import TimeToTrain
    from clustersim.training.time_to_train import time_to_train
    from clustersim.validation.result import Validation
    from clustersim.validation.validate import validate
    from clustersim.whatif.what_if import what_if
    from clustersim.workload import describe_jobs, generate_jobs, load_workload, read_jobs

__all__ = [
    "Estimate",
    "FleetView",
    "Forecast",
    "InputError",
    "JobWait",
    "LargestModel",
    "Metric",
    "NodePlacement",
    "Part",
    "Placement",
    "PlotKind",
    "Policy",
    "PurchasePlan",
    "Result",
    "RunTimeModel",
    "Scheduling",
    "Streams",
    "Study",
    "StudyResult",
    "TimeToTrain",
    "Validation",
    "WaitCauses",
    "__version__",
    "axis_of",
    "best_plans",
    "build_graph",
    "check_policy",
    "compile_cluster",
    "define_plan",
    "define_scenario",
    "define_study",
    "describe_jobs",
    "estimate",
    "explain",
    "forecast",
    "generate_jobs",
    "largest_model",
    "load_catalogue",
    "load_cluster",
    "load_plan",
    "load_result",
    "load_scenario",
    "load_study",
    "load_workload",
    "nodes_over_time",
    "plan_purchases",
    "read_jobs",
    "register_metric",
    "register_plot",
    "replay",
    "run",
    "run_study",
    "schema",
    "simulate",
    "single_pool",
    "summarise",
    "time_to_train",
    "time_to_train_on_fleet",
    "validate",
    "what_if",
    "write_report",
    "write_validation",
    "write_what_if",
]

_HOME = {
    "Estimate": "estimation.estimate_result",
    "FleetView": "analysis.part",
    "Forecast": "forecasting.result",
    "InputError": "errors",
    "JobWait": "explanation.job",
    "LargestModel": "training.largest",
    "Metric": "analysis.metric",
    "NodePlacement": "scheduling",
    "Part": "analysis.part",
    "Placement": "scheduling",
    "PurchasePlan": "procurement",
    "PlotKind": "studies.plot_kinds",
    "Policy": "scheduling",
    "Result": "simulation.result",
    "RunTimeModel": "simulation.speeds",
    "Scheduling": "simulation.scheduling",
    "Streams": "seeds",
    "Study": "studies.study",
    "StudyResult": "studies.study_result",
    "TimeToTrain": "training.result",
    "Validation": "validation.result",
    "WaitCauses": "explanation.summary",
    "axis_of": "plots.axis",
    "best_plans": "performance",
    "build_graph": "topology",
    "check_policy": "simulation.check_policy",
    "compile_cluster": "topology",
    "define_plan": "procurement",
    "define_scenario": "scenario.scenario",
    "define_study": "studies.study",
    "describe_jobs": "workload",
    "estimate": "estimation.estimate",
    "explain": "explanation.explain",
    "forecast": "forecasting.forecast",
    "generate_jobs": "workload",
    "largest_model": "training.largest",
    "load_catalogue": "catalogue",
    "load_cluster": "topology",
    "load_plan": "procurement",
    "load_result": "studies.study_result",
    "load_scenario": "scenario.scenario",
    "load_study": "studies.study",
    "load_workload": "workload",
    "plan_purchases": "procurement",
    "nodes_over_time": "availability.supply",
    "read_jobs": "workload",
    "register_metric": "analysis.metrics",
    "register_plot": "studies.plot_kinds",
    "replay": "simulation.simulate",
    "run": "scenario.run",
    "run_study": "report",
    "schema": "schemas",
    "simulate": "simulation.simulate",
    "single_pool": "topology",
    "summarise": "topology",
    "time_to_train": "training.time_to_train",
    "time_to_train_on_fleet": "training.on_fleet",
    "validate": "validation.validate",
    "what_if": "whatif.what_if",
    "write_report": "report",
    "write_validation": "report.of_validation.written",
    "write_what_if": "report.of_what_if.written",
}


_PACKAGES = (
    "analysis",
    "calibration",
    "catalogue",
    "estimation",
    "forecasting",
    "performance",
    "plots",
    "procurement",
    "report",
    "scheduling",
    "simulation",
    "sites",
    "studies",
    "topology",
    "training",
    "workload",
)


_RENAMED = {
    "Plan": "PurchasePlan",
    "conduct_study": "run_study, with report=True",
    "make_plan": "plan_purchases",
    "planning": "procurement",
}


class _RenamedModules:
    """Finds no module; an import of a module of an earlier version raises an error with its name.

    Python asks it last, so that it costs nothing otherwise.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        package, _, module = name.partition(".")
        if package == __name__ and module in _RENAMED:
            raise RenamedError(__name__, module, _RENAMED[module])


sys.meta_path.append(_RenamedModules)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _RENAMED:
        raise RenamedError(__name__, name, _RENAMED[name])
    if name not in _HOME:
        raise no_attribute(__name__, name, (*__all__, *_PACKAGES))
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
