"""Predicted step times with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.estimation.configurations import Configurations
from clustersim.performance import (
    AcceleratorArrays,
    Calibration,
    CoefficientDraw,
    StepTime,
    evaluate,
)
from clustersim.performance.specification import draw_between
from clustersim.performance.step_time import step_seconds

__all__ = ["DRAWS", "Prediction", "draw_specifications", "predict", "sampled", "spread_of"]


DRAWS = 200
"""Number of draws for an interval; its width then has a standard error of about 6 %."""
NORMAL_SPAN = 3.29
"""Distance from the 5 % to the 95 % quantile of a normal distribution, in standard deviations."""
ROWS_AT_ONCE = 512
"""Number of rows that are evaluated together for all draws. It limits memory use."""
DRAWN_FIELDS = {
    "peak_flops": "peak_flops.{precision}",
    "bf16_flops": "peak_flops.bf16",
    "hbm_Bps": "hbm_Bps",
    "scaleup_Bps": "scaleup_Bps",
    "nic_Bps": "nic_Bps",
}
"""Fields of :class:`AcceleratorArrays` that are drawn, each with the key of its range in the
chip."""


@dataclass(frozen=True)
class Prediction:
    """Predicted step times of some rows; arrays have the shape (R,).

    Attributes
    ----------
    step : StepTime
        The estimate of the posterior mean, with its parts and memory.
    lo_s, hi_s : array
        Bounds of the 90 % interval of a measured step time.
    spread : array
        Standard deviation of the logarithm of the step time due to the model, without the scatter
        of a measurement.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import predict, read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([row])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> found = predict(rows, cs.performance.default_calibration())
    >>> found.spread.shape
    (1,)
    """

    step: StepTime
    lo_s: Floats
    hi_s: Floats
    spread: Floats


def predict(
    rows: Configurations, calibration: Calibration, *, draws: int = DRAWS, seed: int = 0
) -> Prediction:
    """Predict step times with 90 % intervals.

    The model's part of the interval is the spread over draws from the posterior (effects without
    measurements are drawn from their priors) and over the stated ranges of a hypothetical chip. The
    scatter of a measurement around the model is added in quadrature
    (:meth:`clustersim.performance.Calibration.half_width`). If a row does not name its stack, the
    estimate is that of the assumed stack, but the interval is that of an unknown stack.

    Parameters
    ----------
    rows : Configurations
    calibration : Calibration
    draws, seed : int

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import predict, read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([{**job, "count": 8}])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> found = predict(rows, cs.performance.default_calibration())
    >>> bool(found.lo_s[0] < found.step.step_time_s[0] < found.hi_s[0])
    True
    """
    draw = calibration.mean_draw()
    step = evaluate(
        rows.models,
        rows.chips,
        rows.plans,
        global_batch=rows.global_batch,
        coefficients=draw.coefficients(rows.labels),
        memory=rows.memory,
    )
    spread = spread_of(rows, sampled(calibration, draws, seed))
    half = calibration.half_width(spread, rows.interval_labels, rows.models.n_experts > 0)
    return Prediction(
        step, step.step_time_s * np.exp(-half), step.step_time_s * np.exp(half), spread
    )


_last_sample: tuple[Calibration, int, int, CoefficientDraw] | None = None


def sampled(calibration: Calibration, draws: int, seed: int) -> CoefficientDraw:
    """Return draws from the posterior.

    The last ones are kept, because drawing takes more time than estimating one configuration.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.estimation.prediction import sampled
    >>> known = cs.performance.default_calibration()
    >>> sampled(known, 10, 1) is sampled(known, 10, 1), sampled(known, 10, 2).seed
    (True, 2)
    """
    global _last_sample
    last = _last_sample
    if last is not None and last[0] is calibration and last[1:3] == (draws, seed):
        return last[3]
    found = calibration.draw(draws, seed)
    _last_sample = calibration, draws, seed, found
    return found


def spread_of(rows: Configurations, sampled: CoefficientDraw) -> Floats:
    """Return the standard deviation, over draws, of the logarithm of each row's step time.

    It is computed from the 5 % and 95 % quantiles, because a single draw with a large overhead can
    double the standard deviation of a few hundred draws.
    """
    spread = np.zeros(len(rows))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows.take(np.arange(start, min(start + ROWS_AT_ONCE, len(rows))))
        chips = draw_specifications(part.chips, part.accelerators, sampled)
        seconds = step_seconds(
            part.models,
            chips,
            part.plans,
            part.global_batch,
            sampled.coefficients(part.interval_labels),
        )
        low, high = np.quantile(np.log(seconds), [0.05, 0.95], axis=0)
        spread[start : start + len(part)] = (high - low) / NORMAL_SPAN
    return spread


def draw_specifications(
    chips: AcceleratorArrays, accelerators: Sequence[Accelerator], sampled: CoefficientDraw
) -> AcceleratorArrays:
    """Draw the unknown specifications of hypothetical chips, uniformly between their limits.

    The network bandwidth of a row is not drawn if it differs from that of the row's chip.

    Returns
    -------
    AcceleratorArrays
        Arrays whose drawn fields have the shape (draws, rows) if a chip is hypothetical; otherwise
        the given arrays.
    """
    if not sampled.draws or not any(chip.hypothetical for chip in accelerators):
        return chips
    changed = {}
    for name, key in DRAWN_FIELDS.items():
        nominal = getattr(chips, name)
        values = np.tile(nominal, (sampled.draws, 1))
        for row, chip in enumerate(accelerators):
            precision = "fp8" if chips.fp8[row] else "bf16"
            limits = chip.ranges.get(key.format(precision=precision))
            stated = name == "nic_Bps" and nominal[row] != chip.nic_Bps
            if chip.hypothetical and limits is not None and not stated:
                seed = sampled.seed or 0
                values[:, row] = draw_between(chip.name, key, limits, seed, sampled.draws)
        changed[name] = values
    return dataclasses.replace(chips, **changed)
