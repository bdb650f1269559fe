"""Measured step times, the fit of the model's coefficients, and the errors of its predictions."""

from clustersim.calibration.calibrate import Calibrated, calibrate
from clustersim.calibration.cross_validation import Errors, LeftOut
from clustersim.calibration.fit import Fit, fit
from clustersim.calibration.measurements import Measurements, load_measurements
from clustersim.calibration.memory_peaks import FittedPeaks, Peaks, fit_peaks, own_peaks, read_peaks

__all__ = [
    "Calibrated",
    "Errors",
    "Fit",
    "FittedPeaks",
    "LeftOut",
    "Measurements",
    "Peaks",
    "calibrate",
    "fit",
    "fit_peaks",
    "load_measurements",
    "own_peaks",
    "read_peaks",
]
