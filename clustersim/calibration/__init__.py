"""Calibration of the performance core: configurations, measurements, fit and its errors."""

from clustersim.calibration.calibrate import Calibrated, calibrate
from clustersim.calibration.configurations import COLUMNS, Configurations, read_configurations
from clustersim.calibration.cross_validation import Errors, LeftOut
from clustersim.calibration.estimate import Estimate, PlanEstimate, estimate
from clustersim.calibration.fit import Fit, fit
from clustersim.calibration.measurements import Measurements, load_measurements
from clustersim.calibration.prediction import Prediction, predict
from clustersim.calibration.table import PREDICTED, PredictedTable, predict_table

__all__ = [
    "COLUMNS",
    "PREDICTED",
    "Calibrated",
    "Configurations",
    "Errors",
    "Estimate",
    "Fit",
    "LeftOut",
    "Measurements",
    "PlanEstimate",
    "PredictedTable",
    "Prediction",
    "calibrate",
    "estimate",
    "fit",
    "load_measurements",
    "predict",
    "predict_table",
    "read_configurations",
]
