"""Errors on rows that a fit did not use: rows left out at random, and left-out publishers.

All rows of a publisher are left out together, because its tables share clusters, software and
people, and a user shares none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calibration.fit import fit
from clustersim.calibration.measurements import Measurements
from clustersim.calibration.scatter_fit import LeftOutErrors
from clustersim.estimation.prediction import spread_of
from clustersim.performance import Calibration
from clustersim.performance.scatter import contributions_of
from clustersim.performance.step_time import step_seconds
from clustersim.processes import cores, run_calls
from clustersim.units import format_percent

__all__ = [
    "SOURCES",
    "Errors",
    "LeftOut",
    "folds_within_families",
    "leave_publishers_out",
    "left_out",
]


DRAWS = 200
LEAST_FOR_WORKERS = 300
"""Number of runs from which on the fits of the folds are spread over the CPU cores."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "asc-rc1": "MindSpeed-LLM RC1, 910B",
        "asc-rc2": "MindSpeed-LLM RC2, 910B",
        "asc-rc3": "MindSpeed-LLM RC3, 910B",
        "automodel": "NeMo AutoModel",
        "awslabs": "AWS, distributed AI samples",
        "bloom": "BigScience BLOOM",
        "deepseek-isca": "DeepSeek-V3 at ISCA'25",
        "dgxc": "DGX Cloud recipes",
        "dgxc-llama4": "DGX Cloud recipes, Llama 4",
        "flagperf": "FlagPerf reports",
        "fms-fsdp": "IBM, fms-fsdp",
        "halo-b300": "White Circle, Halo",
        "internevo": "InternEvo, throughput table",
        "internevoF": "InternEvo, FLOPS table",
        "korth22": "Korthikanti 2022",
        "mbridge": "Megatron-Bridge",
        "mbridge-card": "Megatron-Bridge, verification cards",
        "mbridge-gb": "Megatron-Bridge on GB200, GB300, B300",
        "mcore-moe-report": "Megatron-Core MoE report",
        "megascale": "MegaScale NSDI'24",
        "megascale-moe": "MegaScale-MoE",
        "mindformers": "MindFormers 1.3, 910B",
        "mindspeed-mm-video": "MindSpeed-MM, video",
        "mlperf-405b": "MLPerf Llama 405B",
        "mlperf-gpt3": "MLPerf GPT-3 175B",
        "mlperf-lora": "MLPerf Llama 70B LoRA",
        "mlperf51-flux": "MLPerf FLUX.1",
        "modelzoo": "Megatron MoE ModelZoo",
        "modelzoo-mixtral": "Megatron MoE ModelZoo, Mixtral",
        "moe-folding": "MoE Parallel Folding",
        "mosaic": "LLM Foundry",
        "nemo2407": "NeMo 24.07",
        "nemo2407ft": "NeMo 24.07, fine-tuning",
        "nemoa100": "NeMo 23.08 on A100",
        "nemolong": "NeMo 24.03, long sequences",
        "nemolong-b200": "NeMo 25.04, long sequences, B200",
        "pangu": "Pangu Ultra report",
        "sc21t1": "Megatron-LM SC'21, table 1",
        "sc21t2": "Megatron-LM SC'21, table 2",
        "simumax-b200": "SimuMax on B200",
        "swift-a800": "ms-swift on A800",
        "swift-h20": "ms-swift on H20",
        "telechat2": "TeleChat2 report",
        "wan": "Wan 2.1, video",
        "xtuner-h800": "XTuner benchmark, H800",
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
    weights : tuple of mapping of str to float
        What the fit knew about each row
        (:func:`clustersim.performance.scatter.contributions_of`).
    half_width : array
        Half width of the 90 % interval of the logarithm; the errors of rows in the same fold did
        not influence it (:func:`clustersim.calibration.coverage.with_half_widths`). Empty if it was
        not computed.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.calibration import LeftOut
    >>> spread, fold = np.array([0.05, 0.05]), np.array([0, 1])
    >>> left = LeftOut(np.array([0.0, 0.1]), spread, fold, ({"base": 1.0},) * 2)
    >>> left.error.round(3).tolist()
    [0.0, 0.105]
    """

    log_error: Floats
    spread: Floats
    fold: Ints
    weights: Sequence[Mapping[str, float]]
    half_width: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def covered(self) -> Bools:
        """Whether each measured step time is in its 90 % interval."""
        return np.abs(self.log_error) <= self.half_width

    @property
    def errors(self) -> LeftOutErrors:
        """The errors as data of :func:`clustersim.calibration.scatter_fit.fit_scatter`."""
        return LeftOutErrors(self.log_error, self.spread, self.weights)

    @property
    def error(self) -> Floats:
        """Predicted over measured step time, less 1."""
        return np.expm1(self.log_error)


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


def leave_publishers_out(publishers: NDArray[np.str_]) -> Ints:
    """Assign a separate fold to each publisher.

    Examples
    --------
    >>> import numpy as np
    >>> leave_publishers_out(np.array(["NVIDIA", "Huawei", "NVIDIA"])).tolist()
    [1, 0, 1]
    """
    return np.unique(publishers, return_inverse=True)[1].astype(np.int64)


def left_out(measured: Measurements, fold: Ints, start: Calibration) -> LeftOut:
    """Predict the rows of each fold with a fit to the rows of the other folds.

    Many rows are fitted on all CPU cores; the result does not depend on their number.

    Parameters
    ----------
    measured : Measurements
    fold : array of int, shape (R,)
    start : Calibration
        Starting point of each fit, which converges to its own optimum.
    """
    folds = [fold == number for number in np.unique(fold)]
    if len(measured) < LEAST_FOR_WORKERS:
        parts = [_predicted(measured, held, start) for held in folds]
    else:
        with run_calls(min(cores(), len(folds)), ["clustersim.calibration"]) as run:
            parts = run([(_predicted, (measured, held, start)) for held in folds])
    log_error, spread = np.zeros(len(measured)), np.zeros(len(measured))
    weights: list[Mapping[str, float]] = [{}] * len(measured)
    for held, (error_of_part, spread_of_part, weights_of_part) in zip(folds, parts, strict=True):
        log_error[held], spread[held] = error_of_part, spread_of_part
        for place, of_row in zip(np.flatnonzero(held), weights_of_part, strict=True):
            weights[place] = of_row
    return LeftOut(log_error, spread, fold, tuple(weights))


def _predicted(
    measured: Measurements, held: Bools, start: Calibration
) -> tuple[Floats, Floats, list[dict[str, float]]]:
    """Predict some rows with a fit to the other rows: errors, spreads, and what the fit knew."""
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
    weights = contributions_of(known.runs, rows.labels, rows.models.n_experts > 0)
    return (
        np.log(seconds / unseen.step_time_s),
        spread_of(rows, found.draw(DRAWS)),
        [dict(of_row) for of_row in weights],
    )
