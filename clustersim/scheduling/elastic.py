"""Jobs with a range of sizes, and how fast they are at each.

The speed of a job at a size comes from a *curve*: speeds at given sizes (:class:`SpeedCurve`), or
Amdahl's law (:class:`Amdahl`), which without a serial share is proportional to the size. A job
waits, runs and is resized only within its range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError

__all__ = ["Amdahl", "Curve", "Elastic", "SpeedCurve", "usual_sizes"]

_EVERY_NODE = 16
"""Largest number of whole nodes up to which every number is usual."""


def usual_sizes(chips_per_node: int, n_accelerators: int) -> list[int]:
    """Return the sizes that elastic jobs usually have on a pool.

    Powers of two up to a node, and whole nodes, as in Sia (Jayaram Subramanya et al., SOSP 2023,
    section 3.3); beyond 16 nodes, powers of two of them, and the whole pool.

    Examples
    --------
    >>> usual_sizes(8, 32), usual_sizes(6, 6)
    ([1, 2, 4, 8, 16, 24, 32], [1, 2, 4, 6])
    """
    nodes = n_accelerators // chips_per_node
    counts = set(range(1, min(nodes, _EVERY_NODE) + 1)) | {nodes}
    counts |= {2**k for k in range(nodes.bit_length())}
    in_node = {2**k for k in range(chips_per_node.bit_length())}
    return sorted({*in_node, *(chips_per_node * n for n in counts if n)})


class Curve(Protocol):
    """The speed of a job by its number of accelerators, in any unit."""

    def speed(self, size: int) -> float:
        """Return the speed at a size; 0 if the job cannot run so."""


@dataclass(frozen=True, slots=True)
class Amdahl:
    """Speed by Amdahl's law: ``1 / (serial + (1 - serial) / size)``.

    Attributes
    ----------
    serial : float
        Share of the work of one accelerator that further ones do not make faster, 0 to 1.

    Examples
    --------
    >>> Amdahl(0.0).speed(8), Amdahl(0.5).speed(3)
    (8.0, 1.5)
    """

    serial: float = 0.0

    def speed(self, size: int) -> float:
        """Return the speed at a size, relative to one accelerator."""
        return 1.0 / (self.serial + (1.0 - self.serial) / size)


@dataclass(frozen=True, slots=True)
class SpeedCurve:
    """Speeds at some sizes.

    Between two sizes, the logarithm of the speed is linear in that of the size. Below the smallest
    and above the largest one, the job cannot run.

    Attributes
    ----------
    sizes : tuple of int
        Ascending.
    speeds : tuple of float
        0 or more; 0 at a size at which the job cannot run.
    between : bool
        Whether the job can run at sizes between the given ones.

    Examples
    --------
    >>> curve = SpeedCurve((1, 4), (1.0, 4.0))
    >>> round(curve.speed(2), 9), curve.speed(8)
    (2.0, 0.0)
    """

    sizes: tuple[int, ...]
    speeds: tuple[float, ...]
    between: bool = True

    def speed(self, size: int) -> float:
        """Return the speed at a size; 0 if the job cannot run so."""
        if size in self.sizes:
            return self.speeds[self.sizes.index(size)]
        above = next((at for at, own in enumerate(self.sizes) if own > size), 0)
        if not self.between or above == 0:
            return 0.0
        low, high = self.speeds[above - 1], self.speeds[above]
        if low <= 0.0 or high <= 0.0:
            return 0.0
        share = math.log(size / self.sizes[above - 1])
        share /= math.log(self.sizes[above] / self.sizes[above - 1])
        return math.exp((1.0 - share) * math.log(low) + share * math.log(high))


@dataclass(frozen=True, slots=True)
class Elastic:
    """The sizes at which the jobs of a run can run, and how fast they are.

    Attributes
    ----------
    asked, smallest, largest : int array (jobs,)
        Number of accelerators that each job asks for, and its range.
    curve_of : int array (jobs,)
        Index of each job's curves.
    curves : sequence of sequence of Curve
        The distinct curves of jobs, each by pool.

    Raises
    ------
    InputError
        If a job asks for a size outside its range.

    Examples
    --------
    A job asks for 8 accelerators and can have 2 to 16; the second pool does not scale beyond 8.

    >>> import numpy as np
    >>> from clustersim.scheduling.elastic import Amdahl, Elastic, SpeedCurve
    >>> curves = [(Amdahl(), SpeedCurve((2, 8, 16), (1.0, 3.0, 3.0)))]
    >>> elastic = Elastic(np.array([8]), np.array([2]), np.array([16]), np.array([0]), curves)
    >>> elastic.range(0), elastic.pace(0, 0, 4), elastic.pace(0, 0, 32)
    ((2, 16), 0.5, 0.0)
    >>> elastic.paces(np.array([0]), 1, [2, 8, 16]).round(3).tolist()
    [[0.333, 1.0, 1.0]]
    """

    asked: Ints
    smallest: Ints
    largest: Ints
    curve_of: Ints
    curves: Sequence[Sequence[Curve]]
    _known: dict[tuple[int, int, int], float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        wrong = (self.smallest > self.asked) | (self.asked > self.largest) | (self.smallest < 1)
        if wrong.any():
            job = int(np.argmax(wrong))
            raise InputError(
                "elastic",
                f"job {job} (counted from 0) asks for {self.asked[job]} accelerators and can have "
                f"{self.smallest[job]} to {self.largest[job]}",
            )

    def range(self, job: int) -> tuple[int, int]:
        """Return the smallest and the largest number of accelerators of a job."""
        return int(self.smallest[job]), int(self.largest[job])

    def pace(self, job: int, pool: int, size: int) -> float:
        """Return the speed of a whole job at a size, relative to that at the size it asks for.

        Parameters
        ----------
        job, pool, size : int

        Returns
        -------
        float
            0 if the job cannot run so.
        """
        asked = int(self.asked[job])
        if size == asked:
            return 1.0
        if not self.smallest[job] <= size <= self.largest[job]:
            return 0.0
        curve = int(self.curve_of[job])
        base = self._speed(curve, pool, asked)
        return self._speed(curve, pool, size) / base if base > 0.0 else 0.0

    def paces(self, jobs: npt.ArrayLike, pool: int, sizes: npt.ArrayLike) -> Floats:
        """Return the paces of jobs at several sizes, with the shape (jobs, sizes)."""
        rows, columns = np.asarray(jobs).tolist(), np.asarray(sizes).tolist()
        paces = [[self.pace(job, pool, size) for size in columns] for job in rows]
        return np.array(paces, dtype=np.float64).reshape(len(rows), len(columns))

    def of_jobs(self, rows: npt.ArrayLike) -> Elastic:
        """Return the ranges of only some jobs."""
        kept = np.asarray(rows)
        return Elastic(
            self.asked[kept],
            self.smallest[kept],
            self.largest[kept],
            self.curve_of[kept],
            self.curves,
        )

    def _speed(self, curve: int, pool: int, size: int) -> float:
        key = curve, pool, size
        if key not in self._known:
            self._known[key] = self.curves[curve][pool].speed(size)
        return self._known[key]
