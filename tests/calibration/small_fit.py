"""Fits that are made once and serve many tests: to few families, and to all."""

from __future__ import annotations

import functools
import sys
from unittest import mock

import numpy as np
import pandas as pd

from clustersim.calibration import Calibrated, calibrate, load_measurements
from clustersim.calibration.diagnostics import row_table

FAMILIES = ("korth22", "nemo2407", "nemo2407ft", "sc21t1")


@functools.cache
def small_fit() -> Calibrated:
    """Fit 27 runs of four families on two chips; leave out rows in three folds, and families."""
    measured = load_measurements()
    with mock.patch.object(sys.modules["clustersim.calibration.calibrate"], "FOLDS", 3):
        return calibrate(measured.take(np.isin(measured.families, FAMILIES)))


@functools.cache
def whole_fit() -> Calibrated:
    """Fit all published runs, on 10 folds and on all but each of 17 sources (a minute)."""
    return calibrate(load_measurements())


@functools.cache
def small_rows() -> pd.DataFrame:
    """Its table of rows."""
    return row_table(small_fit())
