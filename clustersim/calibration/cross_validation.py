"""Errors on rows that a fit did not use: left-out rows and left-out sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Floats, Ints
from clustersim.calibration.fit import fit
from clustersim.calibration.measurements import Measurements
from clustersim.estimation.prediction import spread_of
from clustersim.performance import Calibration
from clustersim.performance.step_time import step_seconds
from clustersim.units import format_percent

__all__ = [
    "SIBLINGS",
    "SOURCES",
    "Errors",
    "LeftOut",
    "folds_within_families",
    "leave_families_out",
    "left_out",
]


DRAWS = 200

SIBLINGS = (
    ("sc21t1", "sc21t2"),
    ("internevo", "internevoF"),
    ("asc-rc2", "asc-rc3"),
    ("nemo2407", "nemo2407ft", "nemolong"),
)
"""Families that are tables of one paper or of one project's performance pages. They are left out
together, because siblings share a cluster and software, and a new paper would have no sibling."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "asc-rc2": "MindSpeed-LLM RC2, 910B",
        "asc-rc3": "MindSpeed-LLM RC3, 910B",
        "bloom": "BigScience BLOOM",
        "dgxc": "DGX Cloud recipes",
        "flagperf": "FlagPerf reports",
        "internevo": "InternEvo, throughput table",
        "internevoF": "InternEvo, FLOPS table",
        "korth22": "Korthikanti 2022",
        "mbridge": "Megatron-Bridge",
        "megascale": "MegaScale NSDI'24",
        "mlperf-405b": "MLPerf Llama 405B",
        "mlperf-gpt3": "MLPerf GPT-3 175B",
        "mlperf-lora": "MLPerf Llama 70B LoRA",
        "mosaic": "LLM Foundry",
        "nemo2407": "NeMo 24.07",
        "nemo2407ft": "NeMo 24.07, fine-tuning",
        "nemoa100": "NeMo 23.08 on A100",
        "nemolong": "NeMo 24.03, long sequences",
        "pangu": "Pangu Ultra report",
        "sc21t1": "Megatron-LM SC'21, table 1",
        "sc21t2": "Megatron-LM SC'21, table 2",
        "simumax-b200": "SimuMax on B200",
    }
)
"""Descriptions of the families in the project's table (its README gives full references)."""


@dataclass(frozen=True)
class LeftOut:
    """Predictions of rows by fits that did not use them; arrays have the shape (R,).

    Attributes
    ----------
    log_error : array
        Logarithm of predicted over measured step time.
    spread : array
        Standard deviation of the logarithm according to the fit.
    fold : array of int
        Rows with the same number were left out together.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.calibration import LeftOut
    >>> spread, fold = np.array([0.05, 0.05]), np.array([0, 1])
    >>> left = LeftOut(np.array([0.0, 0.1]), spread, fold)
    >>> left.error.round(3).tolist()
    [0.0, 0.105]
    """

    log_error: Floats
    spread: Floats
    fold: Ints

    @property
    def error(self) -> Floats:
        """Predicted over measured step time, less 1."""
        return np.expm1(self.log_error)

    def standardised(self, scatter: Floats) -> Floats:
        """Return the size of each error in standard deviations of a predicted measurement.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.calibration import LeftOut
        >>> left = LeftOut(np.array([0.0, 0.1]), np.array([0.03, 0.03]), fold=np.array([0, 1]))
        >>> left.standardised(scatter=np.array([0.04, 0.04])).round(3).tolist()
        [0.0, 2.0]
        """
        return np.abs(self.log_error) / np.sqrt(self.spread**2 + scatter**2)


@dataclass(frozen=True, slots=True)
class Errors:
    """Summary of absolute relative errors (fractions).

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.calibration import Errors
    >>> errors = Errors.of(np.array([0.02, -0.04, 0.1]))
    >>> errors.median, errors.rows
    (0.04, 3)
    """

    rows: int
    median: float
    mean: float
    p90: float

    @classmethod
    def of(cls, error: Floats) -> Errors:
        """Summarise signed relative errors.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.calibration import Errors
        >>> Errors.of(np.array([0.02, -0.04, 0.1])).median
        0.04
        """
        size = np.abs(error)
        return cls(
            size.size, float(np.median(size)), float(size.mean()), float(np.quantile(size, 0.9))
        )

    def __str__(self) -> str:
        return (
            f"median {format_percent(self.median)}, mean {format_percent(self.mean)}, "
            f"90th percentile {format_percent(self.p90)} ({self.rows} rows)"
        )


def folds_within_families(families: NDArray[np.str_], folds: int, seed: int = 0) -> Ints:
    """Assign a fold to each row at random, such that every family is spread over all folds."""
    generator = np.random.default_rng(np.random.SeedSequence([seed, folds]))
    fold = np.zeros(families.size, dtype=np.int64)
    for family in np.unique(families):
        rows = np.flatnonzero(families == family)
        fold[rows] = (generator.permutation(rows.size) + generator.integers(folds)) % folds
    return fold


def leave_families_out(families: NDArray[np.str_]) -> Ints:
    """Assign a separate fold to each family, or to its :data:`SIBLINGS` together."""
    first = {family: siblings[0] for siblings in SIBLINGS for family in siblings}
    sources = [first.get(family, family) for family in families.tolist()]
    return np.unique(sources, return_inverse=True)[1].astype(np.int64)


def left_out(measured: Measurements, fold: Ints, start: Calibration) -> LeftOut:
    """Predict the rows of each fold with a fit to the rows of the other folds.

    Parameters
    ----------
    measured : Measurements
    fold : array of int, shape (R,)
    start : Calibration
        Starting point of each fit, which converges to its own optimum.
    """
    log_error, spread = np.zeros(len(measured)), np.zeros(len(measured))
    for number in np.unique(fold):
        held = fold == number
        known, unseen = measured.take(~held), measured.take(held)
        found = fit(*known.fitted, start=start).calibration
        rows = unseen.rows
        seconds = step_seconds(
            rows.models,
            rows.chips,
            rows.plans,
            rows.global_batch,
            found.mean_draw().coefficients(rows.labels),
        )
        log_error[held] = np.log(seconds / unseen.step_time_s)
        spread[held] = spread_of(rows, found.draw(DRAWS))
    return LeftOut(log_error, spread, fold)
