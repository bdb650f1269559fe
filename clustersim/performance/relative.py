"""The speed of one accelerator relative to another, for one model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Model
from clustersim.performance.best import best_plans
from clustersim.performance.coefficient_draw import CoefficientDraw

__all__ = ["relative_speed"]

MOST_DOUBLINGS = 12


def relative_speed(
    model: Model,
    accelerator: Accelerator,
    reference: Accelerator,
    counts: ArrayLike,
    *,
    global_batch: ArrayLike | None = None,
    nic_Bps: tuple[float | None, float | None] = (None, None),
    scaleup_size: tuple[int | None, int | None] = (None, None),
    precision: str = "bf16",
    stack: str | None = None,
    draw: CoefficientDraw | None = None,
) -> Floats:
    """Return the throughput of `accelerator` relative to `reference`, each with its best plan.

    If the model does not fit on `counts` chips of both types, the ratio refers to the smallest
    count ``counts * 2**k`` on which it fits for both.

    Parameters
    ----------
    model, accelerator, reference
    counts : array_like of int
        Chips of the jobs, shape (R,) or a scalar.
    global_batch : array_like, optional
        Sequences per step (default: the model's own).
    nic_Bps : pair of float or None
        Network bandwidth per chip of `accelerator` and of `reference` (default: their own).
    scaleup_size : pair of int or None
        Chips in one scale-up domain of each (default: their own).
    precision, stack, draw : optional
        As for :func:`best_plans`.

    Returns
    -------
    array, shape (R,)
        2.0 means that `accelerator` is twice as fast; nan if there is no such count up to ``counts
        * 4096``.

    Examples
    --------
    >>> from clustersim.performance import relative_speed
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> h20, h200 = catalogue.accelerator("H20"), catalogue.accelerator("H200")
    >>> bool(relative_speed(catalogue.model("llama3-8b"), h20, h200, 64)[0] < 0.4)
    True
    """
    asked = np.atleast_1d(np.asarray(counts, dtype=np.float64))
    batch = np.broadcast_to(
        np.asarray(model.global_batch if global_batch is None else global_batch, dtype=np.float64),
        asked.shape,
    )
    speeds = np.full(asked.shape, np.nan)
    left = np.arange(asked.size)
    for doublings in range(MOST_DOUBLINGS + 1):
        if not left.size:
            break
        tried = asked[left] * 2.0**doublings
        both = [
            best_plans(
                model,
                chip,
                tried,
                global_batch=batch[left],
                nic_Bps=nic,
                scaleup_size=size,
                precision=precision,
                stack=stack,
                draw=draw,
            )
            for chip, nic, size in zip((accelerator, reference), nic_Bps, scaleup_size, strict=True)
        ]
        fits = both[0].fits & both[1].fits
        speeds[left[fits]] = both[0].tokens_per_s[fits] / both[1].tokens_per_s[fits]
        left = left[~fits]
    return speeds
