"""Step time and memory of training jobs, vectorised over models, accelerators and plans."""

from typing import NoReturn

from clustersim.errors import RenamedError, no_attribute
from clustersim.performance.arrays import (
    RECOMPUTE,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    attended_tokens,
)
from clustersim.performance.best import BestPlans, best_plans
from clustersim.performance.calibration import (
    Calibration,
    default_calibration,
    default_draw,
    load_calibration,
)
from clustersim.performance.coefficient_draw import CoefficientDraw, labels_of
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.memory_options import MEMORY_OPTIONS, parse_memory
from clustersim.performance.memory_overhead import fit_probability
from clustersim.performance.memory_rules import MemoryRules, describe_memory, memory_rules
from clustersim.performance.parameters import LEVELS, PARAMETERS, Parameter
from clustersim.performance.relative import relative_speed
from clustersim.performance.search import PlanSearch, search_plans
from clustersim.performance.stacks import default_stack, product_of
from clustersim.performance.step_time import PARTS, StepTime, evaluate

__all__ = [
    "LEVELS",
    "MEMORY_OPTIONS",
    "PARAMETERS",
    "PARTS",
    "RECOMPUTE",
    "AcceleratorArrays",
    "BestPlans",
    "Calibration",
    "CoefficientDraw",
    "Coefficients",
    "MemoryRules",
    "ModelArrays",
    "Parameter",
    "PlanSearch",
    "Plans",
    "StepTime",
    "attended_tokens",
    "best_plans",
    "default_calibration",
    "default_draw",
    "default_stack",
    "describe_memory",
    "evaluate",
    "fit_probability",
    "labels_of",
    "load_calibration",
    "memory_rules",
    "parse_memory",
    "product_of",
    "relative_speed",
    "search_plans",
]

_RENAMED = {"World": "CoefficientDraw", "default_world": "default_draw"}


def __getattr__(name: str) -> NoReturn:
    if name in _RENAMED:
        raise RenamedError(__name__, name, _RENAMED[name])
    raise no_attribute(__name__, name, __all__)
