"""Measured step times, the fit of the model's coefficients, and the errors of its predictions."""

from clustersim.calibration.calibrate import Calibrated, calibrate
from clustersim.calibration.cross_validation import Errors, LeftOut
from clustersim.calibration.fit import Fit, fit
from clustersim.calibration.measurements import Measurements, load_measurements

__all__ = [
    "Calibrated",
    "Errors",
    "Fit",
    "LeftOut",
    "Measurements",
    "calibrate",
    "fit",
    "load_measurements",
]
