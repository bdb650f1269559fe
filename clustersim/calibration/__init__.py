"""Calibration of the performance core: configurations, measurements, fit and its errors."""

from clustersim.calibration.calibrate import Calibrated, calibrate
from clustersim.calibration.configurations import COLUMNS, Configurations, read_configurations
from clustersim.calibration.cross_validation import Errors, LeftOut
from clustersim.calibration.fit import Fit, fit
from clustersim.calibration.measurements import Measurements, load_measurements
from clustersim.calibration.prediction import Prediction, predict

__all__ = [
    "COLUMNS",
    "Calibrated",
    "Configurations",
    "Errors",
    "Fit",
    "LeftOut",
    "Measurements",
    "Prediction",
    "calibrate",
    "fit",
    "load_measurements",
    "predict",
    "read_configurations",
]
