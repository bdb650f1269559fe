"""How long a call takes: warm-up, repetitions, median and spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clustersim.microbenchmarks.case import Work
from clustersim.microbenchmarks.device import Device
from clustersim.units import format_duration

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
    least: int = 5
    most: int = 12
    longest_s: float = 4.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one call over the repetitions, and what was read after them, still at work."""

    median_s: float
    low_s: float
    high_s: float
    repetitions: int
    calls: int
    readings: dict[str, float]

    def columns(self) -> dict[str, float | int]:
        """Return the values by column of :data:`clustersim.microbenchmarks.schema.RESULTS`."""
        return {
            "median_s": self.median_s,
            "low_s": self.low_s,
            "high_s": self.high_s,
            "repetitions": self.repetitions,
            "calls": self.calls,
            **self.readings,
        }


class TooSlowError(Exception):
    """One call takes longer than the pace allows."""


def time_work(
    work: Work, device: Device, pace: Pace, agree: Callable[[float], float] = float
) -> Timing:
    """Measure a piece of work.

    The device is waited for before and after each repetition only, so that launches overlap with
    computation within it as they do in training; a repetition is long against the waiting.

    Parameters
    ----------
    work : Work
    device : Device
    pace : Pace
    agree : callable
        Makes of this process's seconds those that count: where several processes work together,
        the slowest one's, so that all of them call equally often.

    Raises
    ------
    TooSlowError
        Where a call takes longer than `pace.longest_s`.
    """

    def seconds_of(calls: int) -> float:
        return agree(device.seconds_of(work.calls, calls))

    seconds_of(1)  # libraries load, choose kernels and take memory
    once = seconds_of(1)
    if once > pace.longest_s:
        longest = format_duration(pace.longest_s)
        raise TooSlowError(f"one call took {format_duration(once)}, over {longest}")
    calls = 1 if work.alone else max(1, math.ceil(pace.repetition_s / once))
    # The second call may still have been slower than those to come.
    once = min(once, seconds_of(calls) / calls)
    calls = 1 if work.alone else max(1, math.ceil(pace.repetition_s / once))
    for _ in range(math.ceil(pace.warm_s / (once * calls))):
        seconds_of(calls)
    fitting = round(pace.total_s / (once * calls))
    repetitions = min(max(fitting, pace.least), pace.most)
    seconds = [seconds_of(calls) / calls for _ in range(repetitions)]
    low, median, high = np.quantile(seconds, (0.1, 0.5, 0.9))
    readings = _read(work, device, calls)
    return Timing(float(median), float(low), float(high), repetitions, calls, readings)


def _read(work: Work, device: Device, calls: int) -> dict[str, float]:
    """Read clock and power while once more as much work is under way."""
    for place in range(calls):
        work.calls[place % len(work.calls)]()
    readings = device.readings()
    device.synchronize()
    return readings
