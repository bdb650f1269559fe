"""A training over several pools at once, if the scenario lets jobs span pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.availability.failure_spec import Failures
from clustersim.scheduling.holding import Split
from clustersim.training.interruptions import Interruptions, find_interruptions, with_checkpoints
from clustersim.training.pool_days import PoolDays

__all__ = ["Span", "fastest_span"]


@dataclass(frozen=True, slots=True)
class Span:
    """A training over several pools in each draw; arrays have the shape (draws,).

    Attributes
    ----------
    parts : tuple of PoolDays
        The pools, the one with the fastest chips first.
    wall_s : array
        Expected time with failures, seconds; infinite where no part is possible.
    shares : array, shape (parts, draws)
        Share of the work that each part does; 0 in a draw in which it is not possible.
    interruptions : Interruptions
    """

    parts: tuple[PoolDays, ...]
    wall_s: Floats
    shares: Floats
    interruptions: Interruptions


def fastest_span(
    pools: Sequence[PoolDays], split: Split, failures: Failures | None, params: float
) -> Span | None:
    """Return the fastest training over several pools, each with its own fastest gang.

    The pools are added in order of the speed of one of their chips. With ``proportional``, each
    gang does as much of the work as it can, and the speeds add up; with ``equal``, each chip does
    the same share, at the pace of the slowest (as :mod:`clustersim.scheduling.holding`). A failure
    of any part stops all of them. As in a run, the network between the pools costs nothing.

    Parameters
    ----------
    pools : sequence of PoolDays
    split : {"equal", "proportional"}
    failures : Failures or None
    params : float
        Parameters of the model.

    Returns
    -------
    Span or None
        None if fewer than two pools have a gang in some draw.

    Examples
    --------
    Two gangs of 8 chips that take 100 s and 300 s: 75 s together if each does what it can, and
    150 s if the slower chips do half of the work.

    >>> import clustersim as cs
    >>> from clustersim.training.gangs import Gang
    >>> chip, one = cs.load_catalogue().accelerator("H200"), np.ones(1)
    >>> pools = [
    ...     PoolDays(k, np.array([8]), (Gang.of(chip, 8),), np.array([0]), t * one, t * one, one)
    ...     for k, t in enumerate((100.0, 300.0))
    ... ]
    >>> fastest_span(pools, "proportional", None, 1e9).wall_s.tolist()
    [75.0]
    >>> fastest_span(pools, "equal", None, 1e9).wall_s.tolist()
    [150.0]
    """
    able = [each for each in pools if each.fits.any()]
    able.sort(key=lambda each: each.work_s[each.middle] * each.chosen[each.middle].count)
    spans = [
        _together(able[:number], split, failures, params) for number in range(2, len(able) + 1)
    ]
    return min(spans, key=lambda span: float(np.median(span.wall_s)), default=None)


def _together(
    parts: Sequence[PoolDays], split: Split, failures: Failures | None, params: float
) -> Span:
    work_s = np.stack([part.work_s for part in parts])
    able = np.isfinite(work_s)
    chosen = [part.chosen for part in parts]
    counts = able * np.stack([[gang.count for gang in gangs] for gangs in chosen])
    with np.errstate(divide="ignore", invalid="ignore"):
        pace = np.where(able, 1.0 / (work_s * counts), np.inf)
    if split == "equal":
        pace = np.broadcast_to(pace.min(axis=0), pace.shape)
    rate = np.where(able, counts * np.where(able, pace, 0.0), 0.0)
    total = rate.sum(axis=0)
    fails = np.zeros(total.shape)
    for gangs, possible in zip(chosen, able, strict=True):
        alone = find_interruptions(
            failures, [gang.pool for gang in gangs], [gang.count for gang in gangs], params
        )
        fails += np.where(possible, 1.0 / alone.mttf_s, 0.0)
    with np.errstate(divide="ignore"):
        saved = with_checkpoints(failures, 1.0 / fails, counts.sum(axis=0), params)
        wall_s = saved.wall_s(1.0 / total)
    shares = np.divide(rate, total, out=np.zeros(rate.shape), where=total > 0)
    return Span(tuple(parts), wall_s, shares, saved)
