"""Partial admission: with how many pods a job may start if it does not fit as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from clustersim.scheduling.kueue.state import PodSet

__all__ = ["search_counts"]

_Found = TypeVar("_Found")


def search_counts(
    podsets: Sequence[PodSet], attempt: Callable[[tuple[int, ...]], _Found | None]
) -> _Found | None:
    """Return the result of the largest counts of pods for which an attempt succeeds.

    Each pod set shrinks in proportion to what it may lose; the step is found by binary search, so
    the result is the largest only if fewer pods never fail where more succeed.

    Parameters
    ----------
    podsets : sequence of PodSet
    attempt : callable
        Returns a result for counts, None if they do not fit.

    Returns
    -------
    object or None
        None if no counts fit, or no pod set may shrink.

    Examples
    --------
    >>> podsets = [PodSet("a", 4, {}, min_count=2), PodSet("b", 4, {}, min_count=1)]
    >>> search_counts(podsets, lambda counts: counts if sum(counts) <= 6 else None)
    (3, 3)
    """
    spare = [0 if p.min_count is None else max(0, p.count - p.min_count) for p in podsets]
    total = sum(spare)
    if total == 0:
        return None
    found: _Found | None = None
    low, high = 0, total + 1
    while low < high:
        step = (low + high) // 2
        result = attempt(
            tuple(p.count - s * step // total for p, s in zip(podsets, spare, strict=True))
        )
        if result is None:
            low = step + 1
        else:
            found, high = result, step
    return found
