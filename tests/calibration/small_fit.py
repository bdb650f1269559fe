"""Fits that are made once and serve many tests: to few families, and to all."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from clustersim.calibration import Calibrated, calibrate, load_measurements
from clustersim.calibration.diagnostics import row_table

FAMILIES = ("korth22", "nemo2407", "nemo2407ft", "sc21t1")


@functools.cache
def small_fit() -> Calibrated:
    """Fit 27 runs of four families on two chips, with rows and families left out."""
    measured = load_measurements()
    return calibrate(measured.take(np.isin(measured.families, FAMILIES)))


@functools.cache
def whole_fit() -> Calibrated:
    """Fit all published runs, on 10 folds and on all but each of 17 sources (a minute)."""
    return calibrate(load_measurements())


@functools.cache
def small_rows() -> pd.DataFrame:
    """Its table of rows."""
    return row_table(small_fit())
