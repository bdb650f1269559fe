"""Predicted step time, memory and cost of training jobs, given as arguments or as table rows."""

from clustersim.estimation.chip_comparison import compare_chips
from clustersim.estimation.columns import COLUMNS
from clustersim.estimation.configuration_reader import read_configurations
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.estimate import estimate
from clustersim.estimation.estimate_result import Estimate, PlanEstimate
from clustersim.estimation.prediction import Prediction, predict
from clustersim.estimation.table import PREDICTED, PredictedTable, predict_table

__all__ = [
    "COLUMNS",
    "PREDICTED",
    "Configurations",
    "Estimate",
    "PlanEstimate",
    "PredictedTable",
    "Prediction",
    "compare_chips",
    "estimate",
    "predict",
    "predict_table",
    "read_configurations",
]
