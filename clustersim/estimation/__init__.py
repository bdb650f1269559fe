"""Predicted step time, memory and cost of training jobs, given as arguments or as table rows."""

from clustersim.estimation.chip_comparison import compare_chips
from clustersim.estimation.configurations import COLUMNS, Configurations, read_configurations
from clustersim.estimation.estimate import Estimate, PlanEstimate, estimate
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
