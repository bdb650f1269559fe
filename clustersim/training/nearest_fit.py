"""The nearest number of chips on which a training fits."""

from __future__ import annotations

import math

import numpy as np

from clustersim.training.gangs import Gang, step_times
from clustersim.training.training import Training
from clustersim.units import MOST_CHIPS

__all__ = ["counts_near", "nearest_fit"]

NEAR_NODES = 32
"""Numbers of chips that differ by up to this many nodes are all tried."""
MANTISSAS = (8, 9, 10, 11, 12, 13, 14, 15)
"""Numbers of nodes farther away are these numbers times a power of two, divided by 8."""
MOST_RATIO = 1024
"""Numbers of chips that differ by a larger factor are not tried."""
AT_ONCE = 16
"""Number of candidates that are evaluated together."""


def nearest_fit(training: Training, gang: Gang) -> int | None:
    """Return the number of chips nearest to that of a gang on which some plan fits.

    The numbers that :func:`counts_near` lists are tried in order of their ratio to that of the
    gang.

    Parameters
    ----------
    training : Training
    gang : Gang
        A gang on which no plan fits.

    Returns
    -------
    int or None
        None if no plan fits on any of them.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-70b", catalogue, cs.performance.default_calibration())
    >>> nearest_fit(training, Gang.of(catalogue.accelerator("H200"), 8))
    16
    """
    tried = counts_near(gang.count, gang.chip.chips_per_node)
    for start in range(0, len(tried), AT_ONCE):
        block = tried[start : start + AT_ONCE]
        pool = gang.pool
        seconds = step_times(training, [Gang(gang.chip, count, pool) for count in block])
        fitting = np.flatnonzero(np.isfinite(seconds))
        if fitting.size:
            return block[int(fitting[0])]
    return None


def counts_near(count: int, chips_per_node: int) -> list[int]:
    """Return whole nodes' worth of chips in order of their ratio to a number of chips.

    Examples
    --------
    >>> counts_near(12, 8)[:4]
    [16, 8, 24, 32]
    """
    nodes = max(1, round(count / chips_per_node))
    near = range(max(1, nodes - NEAR_NODES), nodes + NEAR_NODES + 1)
    powers = range(-3, math.ceil(math.log2(MOST_CHIPS)) + 1)
    far = {mantissa * 2**power // 1 for mantissa in MANTISSAS for power in powers}
    allowed = {
        int(each) * chips_per_node
        for each in (*near, *far)
        if each >= 1 and each * chips_per_node <= MOST_CHIPS
    }
    within = {
        each
        for each in allowed
        if each != count and count / MOST_RATIO <= each <= count * MOST_RATIO
    }
    return sorted(within, key=lambda each: (abs(math.log(each / count)), each))
