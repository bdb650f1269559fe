"""Goodput of data-parallel training: throughput times statistical efficiency.

Source: A. Qiao et al., "Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep
Learning", OSDI 2021, sections 3.1 and 3.2; the efficiency follows from the gradient noise scale of
S. McCandlish et al., "An Empirical Model of Large-Batch Training", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = ["BestBatch", "StepTimes", "best_batch", "gain", "noise_scale"]


@dataclass(frozen=True, slots=True)
class StepTimes:
    """A model of the time of a step, from the batch of each accelerator and their number.

    ``t = ((alpha_c + beta_c b)^gamma + sync^gamma)^(1/gamma)``, where ``sync`` is 0 on one
    accelerator, ``alpha_r + beta_r max(n - 2, 0)`` in one node and
    ``alpha_n + beta_n max(n - 2, 0)`` on several.

    Attributes
    ----------
    alpha_c, beta_c : float
        Time of a gradient: at no batch, and per sample of the local batch; seconds.
    alpha_n, beta_n : float
        Time of synchronisation between nodes: with two accelerators, and for each further one.
    alpha_r, beta_r : float
        The same within a node.
    gamma : float
        1: gradient and synchronisation one after the other; large: they overlap.

    Raises
    ------
    InputError
        If gamma is below 1 or another number is negative.

    Examples
    --------
    >>> times = StepTimes(0.05, 0.001, 0.1, 0.01, 0.02, 0.002, 1.0)
    >>> times.step_s([1, 2, 4], 100, nodes=[1, 1, 2]).round(3).tolist()
    [0.15, 0.17, 0.27]
    """

    alpha_c: float
    beta_c: float
    alpha_n: float
    beta_n: float
    alpha_r: float
    beta_r: float
    gamma: float

    def __post_init__(self) -> None:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        least = {"gamma": 1.0}
        problems = [
            f"{name}: must be {least.get(name, 0.0):g} or more, found {value:g}"
            for name, value in values.items()
            if not value >= least.get(name, 0.0)
        ]
        if problems:
            raise InputError("step times", problems)

    def gradient_s(self, local_batch: npt.ArrayLike) -> Floats:
        """Return the time of the gradients of a local batch, seconds."""
        seconds: Floats = self.alpha_c + self.beta_c * np.asarray(local_batch, dtype=np.float64)
        return seconds

    def step_s(
        self,
        accelerators: npt.ArrayLike,
        local_batch: npt.ArrayLike,
        *,
        nodes: npt.ArrayLike = 1,
        accumulation: npt.ArrayLike = 0,
    ) -> Floats:
        """Return the time of a step, seconds.

        Parameters
        ----------
        accelerators, local_batch : array
            Number of accelerators, and samples on each at a time; they are broadcast.
        nodes : array of int
            Number of nodes.
        accumulation : array of int
            How many local batches are added up before the one that ends with a synchronisation.
        """
        n = np.asarray(accelerators)
        further = np.maximum(n - 2, 0)
        in_node = self.alpha_r + self.beta_r * further
        between = self.alpha_n + self.beta_n * further
        sync = np.where(n <= 1, 0.0, np.where(np.asarray(nodes) <= 1, in_node, between))
        gradient = self.gradient_s(local_batch)
        larger, smaller = np.maximum(gradient, sync), np.minimum(gradient, sync)
        ratio = np.divide(smaller, larger, out=np.zeros_like(larger), where=larger > 0)
        last = larger * (1 + ratio**self.gamma) ** (1 / self.gamma)
        result: Floats = last + np.asarray(accumulation) * gradient
        return result


def noise_scale(initial_batch: float, variance: npt.ArrayLike, square: npt.ArrayLike) -> Floats:
    """Return the gradient noise scale from the variance and the square of the gradient.

    Both are measured at the initial batch. The scale is in samples; infinite where the square is 0.

    Examples
    --------
    >>> noise_scale(128, 2.0, [1.0, 0.0]).tolist()
    [256.0, inf]
    """
    spread = np.asarray(variance, dtype=np.float64)
    signal = np.asarray(square, dtype=np.float64)
    spread, signal = np.broadcast_arrays(spread, signal)
    infinite = np.full(spread.shape, np.inf)
    ratio: Floats = np.divide(spread, signal, out=infinite, where=signal > 0)
    return initial_batch * ratio


def gain(initial_batch: float, batch: npt.ArrayLike, scale: npt.ArrayLike) -> Floats:
    """Return how many steps of the initial batch one step of a batch is worth.

    ``(phi / M0 + 1) / (phi / M + 1)``: M / M0 with infinite noise, 1 without noise.

    Parameters
    ----------
    initial_batch : float
        M0, samples.
    batch : array of float
        M, samples.
    scale : array of float
        Gradient noise scale phi, samples.

    Examples
    --------
    >>> gain(128, [128, 256, 1280], 1152).round(3).tolist()
    [1.0, 1.818, 5.263]
    >>> gain(128, 256, np.inf).item(), gain(128, 256, 0).item()
    (2.0, 1.0)
    """
    large, phi = np.broadcast_arrays(
        np.asarray(batch, dtype=np.float64), np.asarray(scale, dtype=np.float64)
    )
    inverse = np.divide(1.0, phi, out=np.full(phi.shape, np.inf), where=phi > 0)
    finite = np.where(np.isinf(inverse), 0.0, inverse)
    worth = (1 / initial_batch + finite) / (1 / large + finite)
    return np.where(np.isinf(inverse), 1.0, worth)


@dataclass(frozen=True, slots=True)
class BestBatch:
    """The batch of the largest goodput.

    Attributes
    ----------
    local_batch, accumulation : int
        Samples on each accelerator at a time, and local batches added up before the last.
    goodput : float
        Samples per second, each counted by what it is worth at the initial batch.
    """

    local_batch: int
    accumulation: int
    goodput: float


def best_batch(
    times: StepTimes,
    accelerators: int,
    local_batches: Sequence[int],
    *,
    initial_batch: float,
    scale: float,
    nodes: int = 1,
    most_accumulation: int = 0,
    largest_batch: float = np.inf,
) -> BestBatch | None:
    """Return the local batch, and the accumulation, with the largest goodput.

    Parameters
    ----------
    times : StepTimes
    accelerators, nodes : int
    local_batches : sequence of int
        Local batches to choose from.
    initial_batch, largest_batch : float
        The least and the largest batch over all accelerators, samples.
    scale : float
        Gradient noise scale, samples.
    most_accumulation : int
        Local batches that may be added up before the last.

    Returns
    -------
    BestBatch or None
        None if no batch is within the limits.

    Examples
    --------
    >>> times = StepTimes(0.05, 0.001, 0, 0, 0.02, 0.002, 1.5)
    >>> best = best_batch(times, 4, [32, 64, 128, 256], initial_batch=128, scale=1000)
    >>> best.local_batch, round(best.goodput, 2)
    (128, 2077.86)
    """
    local = np.asarray(local_batches, dtype=np.float64)[:, None]
    accumulation = np.arange(most_accumulation + 1)[None, :]
    batch = accelerators * local * (accumulation + 1)
    step_s = times.step_s(accelerators, local, nodes=nodes, accumulation=accumulation)
    goodput = initial_batch * gain(initial_batch, batch, scale) / step_s
    goodput = np.where((batch >= initial_batch) & (batch <= largest_batch), goodput, -np.inf)
    row, column = np.unravel_index(goodput.argmax(), goodput.shape)
    if goodput[row, column] == -np.inf:
        return None
    return BestBatch(int(local[row, 0]), int(column), float(goodput[row, column]))
