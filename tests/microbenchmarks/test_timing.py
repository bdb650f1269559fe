"""How a time is taken, on a device whose clock is scripted."""

from __future__ import annotations

import pytest

from clustersim.microbenchmarks.case import Work
from clustersim.microbenchmarks.timing import Pace, TooSlowError, time_work

PACE = Pace(warm_s=0.1, repetition_s=0.02, total_s=0.2, least=3, most=12, longest_s=2.0)


class ScriptedDevice:
    """Each call takes `first` seconds once, then as many as `later` says in turn."""

    def __init__(self, first: float, later: list[float]) -> None:
        self.first, self.later = first, later
        self.batches: list[int] = []

    def seconds_of(self, calls, count):
        for place in range(count):
            calls[place % len(calls)]()
        self.batches.append(count)
        if len(self.batches) == 1:
            return self.first * count
        return self.later[len(self.batches) % len(self.later)] * count

    def synchronize(self):
        pass

    def readings(self):
        return {"power_W": 500.0}


def test_short_calls_are_repeated_in_a_row():
    device, made = ScriptedDevice(1.0, [1e-4]), []
    timing = time_work(Work((lambda: made.append(0), lambda: made.append(1))), device, PACE)
    assert timing.calls == 200
    assert timing.repetitions == 10
    assert timing.median_s == timing.low_s == timing.high_s == pytest.approx(1e-4)
    assert device.batches[:2] == [1, 1]  # the first call, which loads libraries, does not count
    warm = device.batches[3 : -timing.repetitions]
    assert sum(warm) * 1e-4 >= PACE.warm_s
    assert timing.readings == {"power_W": 500.0}
    assert 0.45 < sum(made) / len(made) < 0.55  # operands in turn


def test_spread_of_repetitions():
    device = ScriptedDevice(0.1, [0.10, 0.11, 0.12])
    timing = time_work(Work((lambda: None,)), device, Pace(total_s=1.2, repetition_s=0.01))
    assert timing.calls == 1
    assert timing.repetitions == 12
    assert timing.low_s == pytest.approx(0.10)
    assert timing.median_s == pytest.approx(0.11)
    assert timing.high_s == pytest.approx(0.12)


@pytest.mark.parametrize(("seconds", "repetitions"), [(1.0, 3), (0.04, 5), (0.001, 12)])
def test_repetitions_of_work_that_is_done_alone(seconds, repetitions):
    device = ScriptedDevice(seconds, [seconds])
    timing = time_work(Work((lambda: None,), alone=True), device, PACE)
    assert timing.repetitions == repetitions
    assert timing.calls == 1


def test_a_call_that_takes_too_long():
    with pytest.raises(TooSlowError, match=r"one call took 2\.5 s; the limit is 2 s"):
        time_work(Work((lambda: None,)), ScriptedDevice(2.5, [2.5]), PACE)
