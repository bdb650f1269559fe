"""How long a call takes: warm-up, repetitions, median and spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clustersim.microbenchmarks.case import Work
from clustersim.microbenchmarks.device import Device

__all__ = ["Pace", "Timing", "TooSlowError", "time_work"]


@dataclass(frozen=True)
class Pace:
    """How thoroughly to measure.

    Attributes
    ----------
    warm_s : float
        Least seconds of work before a time counts, for clocks and power to settle.
    repetition_s : float
        Least seconds of one repetition: short calls are repeated in it.
    total_s : float
        Seconds of all repetitions, where that leaves from `least` to `most` of them.
    least, most : int
        Repetitions.
    longest_s : float
        A case of which one call takes longer is left out.
    """

    warm_s: float = 0.1
    repetition_s: float = 0.02
    total_s: float = 0.25
    least: int = 3
    most: int = 12
    longest_s: float = 4.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one call over the repetitions, and what was read during the last of them."""

    median_s: float
    low_s: float
    high_s: float
    repetitions: int
    calls: int
    readings: dict[str, float]


class TooSlowError(Exception):
    """One call takes longer than the pace allows."""


def time_work(work: Work, device: Device, pace: Pace) -> Timing:
    """Measure a piece of work.

    The device is waited for before and after each repetition only, so that launches overlap with
    computation within it as they do in training; a repetition is long against the waiting.

    Raises
    ------
    TooSlowError
        Where a call takes longer than `pace.longest_s`.
    """
    device.seconds_of(work.calls, 1)  # libraries load, choose kernels and take memory
    once = device.seconds_of(work.calls, 1)
    if once > pace.longest_s:
        raise TooSlowError(f"one call took {once:.3g} s, over {pace.longest_s:g} s")
    calls = 1 if work.alone else max(1, math.ceil(pace.repetition_s / once))
    # The second call may still have been slower than those to come.
    once = min(once, device.seconds_of(work.calls, calls) / calls)
    calls = 1 if work.alone else max(1, math.ceil(pace.repetition_s / once))
    for _ in range(math.ceil(pace.warm_s / (once * calls))):
        device.seconds_of(work.calls, calls)
    fitting = round(pace.total_s / (once * calls))
    repetitions = min(max(fitting, pace.least), pace.most)
    seconds = [device.seconds_of(work.calls, calls) / calls for _ in range(repetitions - 1)]
    last, readings = _spend_and_read(work, device, calls)
    low, median, high = np.quantile([*seconds, last / calls], (0.1, 0.5, 0.9))
    return Timing(float(median), float(low), float(high), repetitions, calls, readings)


def _spend_and_read(work: Work, device: Device, calls: int) -> tuple[float, dict[str, float]]:
    """Do the same, then read clocks while once more as much work is under way."""
    spent = device.seconds_of(work.calls, calls)
    for place in range(calls):
        work.calls[place % len(work.calls)]()
    readings = device.readings()
    device.synchronize()
    return spent, readings
