"""Plain twins of shared storage: transfers one after the other, and jobs that save now and then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clustersim.array_types import Bools, Floats


def fair_rates(total: float, caps: Floats) -> Floats:
    """Return the max-min fair rates of transfers that share `total`, each at most its cap."""
    rates, left = np.zeros(len(caps)), total
    for place, at in enumerate(np.argsort(caps).tolist()):
        rates[at] = min(caps[at], left / (len(caps) - place))
        left -= rates[at]
    return rates


def ends_of_transfers(
    begin_s: Sequence[float], size: Sequence[float], rates: Callable[[list[int]], Floats]
) -> list[float]:
    """Return when transfers end, whose rates depend on which of them go on; seconds."""
    n = len(begin_s)
    left, ends = np.array(size, dtype=np.float64), [0.0] * n
    going: list[int] = []
    coming = sorted(range(n), key=lambda each: begin_s[each])
    now = 0.0
    while going or coming:
        rate = rates(going) if going else np.zeros(0)
        last = [now + left[each] / rate[at] for at, each in enumerate(going)]
        until = min([*last, *(begin_s[each] for each in coming[:1])])
        for at, each in enumerate(going):
            left[each] -= (until - now) * rate[at]
        now = until
        for each, end in zip(list(going), last, strict=True):
            if end == until:
                going.remove(each)
                ends[each] = now
        while coming and begin_s[coming[0]] <= now:
            going.append(coming.pop(0))
    return ends


class SavingJobs:
    """Jobs that work and save in turns, each save beside those of the others.

    Work between two saves varies by 5 %, so that jobs do not stay in step.  A job in `background`
    goes on while its state is written, until its next save is due.
    """

    def __init__(
        self, total: float, size: Floats, caps: Floats, period_s: Floats, background: Bools
    ) -> None:
        self.total, self.size, self.caps = total, size, caps
        self.period_s, self.background = period_s, background

    def cycles_s(self, cycles: int, rng: np.random.Generator) -> Floats:
        """Simulate about so many saves of each job; return its mean time from save to save."""
        n = len(self.size)
        work, left = self.period_s * rng.random(n), np.zeros(n)
        writes, stands = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        begun: list[list[float]] = [[] for _ in range(n)]
        now, until = 0.0, cycles * float(self.period_s.max())
        while now < until:
            rate = np.zeros(n)
            rate[writes] = fair_rates(self.total, self.caps[writes])
            due = np.where(stands, np.inf, work)
            done = np.divide(left, rate, out=np.full(n, np.inf), where=writes)
            step = min(due.min(), done.min())
            now += step
            work = np.where(stands, work, work - step)
            left -= rate * step
            job = int(np.argmin(np.minimum(due, done)))
            ends = bool(done[job] <= due[job])
            if ends:
                writes[job] = False
            begins = stands[job] if ends and self.background[job] else not ends
            if begins and writes[job]:
                stands[job] = True  # the save before is not written yet
            elif begins:
                begun[job].append(now)
                writes[job], left[job] = True, self.size[job]
                stands[job] = not self.background[job]
            elif not self.background[job]:
                stands[job] = False
            if not stands[job] and (ends != self.background[job] or begins):
                work[job] = self.period_s[job] * rng.uniform(0.95, 1.05)
        kept = [each[len(each) // 10 :] for each in begun]
        return np.array([(each[-1] - each[0]) / (len(each) - 1) for each in kept])
