"""Step time and memory of training jobs, vectorised over models, accelerators and plans."""

from clustersim.performance.arrays import RECOMPUTE, AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.best import BestPlans, best_plans
from clustersim.performance.coefficients import DEFAULT, FAMILIES, Coefficients
from clustersim.performance.relative import relative_speed
from clustersim.performance.step_time import PARTS, StepTime, evaluate

__all__ = [
    "DEFAULT",
    "FAMILIES",
    "PARTS",
    "RECOMPUTE",
    "AcceleratorArrays",
    "BestPlans",
    "Coefficients",
    "ModelArrays",
    "Plans",
    "StepTime",
    "best_plans",
    "evaluate",
    "relative_speed",
]
