"""Fits that are made once and serve many tests: to few families, and to all."""

from __future__ import annotations

import functools
import sys
from unittest import mock

import numpy as np
import pandas as pd

from clustersim.calibration import Calibrated, calibrate, load_measurements
from clustersim.calibration.diagnostics import row_table

FAMILIES = ("fms-fsdp", "korth22", "megascale", "nemo2407", "nemo2407ft", "sc21t1")


@functools.cache
def small_fit() -> Calibrated:
    """Fit 46 runs of three publishers; leave out rows in three folds, and publishers.

    Microbenchmarks are not used.
    """
    measured = load_measurements(shipped=[])
    with mock.patch.object(sys.modules["clustersim.calibration.calibrate"], "FOLDS", 3):
        return calibrate(measured.take(np.isin(measured.families, FAMILIES)))


@functools.cache
def whole_fit() -> Calibrated:
    """Fit all published runs, 10 folds, and all but each of 14 publishers (many minutes)."""
    return calibrate(load_measurements())


@functools.cache
def small_rows() -> pd.DataFrame:
    """Its table of rows."""
    return row_table(small_fit())
