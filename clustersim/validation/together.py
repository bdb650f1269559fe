"""Mechanisms granted together: a greedy forward selection.

The best mechanism is granted, then the best second one on top of it, and so on, while the distance
falls by a tenth or more of what was left and by more than chance.  As the mechanism that is best by
itself may only make up for another one, the selection is begun from several of them.

What is looked for on top of a mechanism is looked for again, in the waits that this one does not
explain: traces, limits, hours and days on which capacity was missing are those of jobs that had
room and were not held.  What has no higher trace in the log than in the replay is not granted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from clustersim.units import counted
from clustersim.validation.case import Case
from clustersim.validation.distance import is_surely_less
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.mechanisms import KEYS, TESTS
from clustersim.validation.order import initial_state

__all__ = [
    "LEAST_FURTHER",
    "MOST_JOBS",
    "MOST_TOGETHER",
    "SLOW",
    "Trial",
    "selected",
    "trials_table",
]

LEAST_FURTHER = 0.1
"""A further mechanism must bring the distance that is left down by this share."""
MOST_TOGETHER, MOST_BEGUN = 3, 5
"""The most mechanisms that are granted together, and from how many the selection is begun."""
MOST_JOBS = 500_000
"""The most jobs that are replayed in all, so that 30,000 jobs take about half a minute."""
_LEAST_TRACE = 0.01
"""By so much the trace of a further mechanism must be higher in the log than in the replay."""
SLOW = {"conservative": 2}
"""Policies whose replays take longer, and how many times as long."""
_ROUNDS_OF_HOURS = 3
_NOT_WITH = {
    frozenset(("order", "estimates")): "the start order replaces the policy, which looks at limits",
    frozenset(("hours", "estimates")): "the hours are found from the limits of the log",
    frozenset(("partitions", "nodes")): "partitions of their own are granted without nodes",
    frozenset(("capacity", "nodes")): "missing capacity is granted without nodes",
}
"""Pairs that make no sense."""


@dataclass(frozen=True)
class Trial:
    """A mechanism that was granted on top of others, or not.

    Attributes
    ----------
    before : tuple of Mechanism
        What was granted before, in this order.
    added : Mechanism
        What was added; its `base_s` is the distance before, and its traces are those that are left.
    refused : str
        Why it does not count, or was not tried; "" if it counts.
    """

    before: tuple[Mechanism, ...]
    added: Mechanism
    refused: str = ""

    @property
    def was_tried(self) -> bool:
        """Whether it was granted."""
        return not self.added.untested


@dataclass(eq=False)
class _Selection:
    case: Case
    singles: Sequence[Mechanism]
    enough_s: float
    progress: Callable[[str], None] | None
    jobs_left: int = MOST_JOBS
    trials: list[Trial] = field(default_factory=list)

    def further(self, chain: tuple[Mechanism, ...]) -> list[tuple[Mechanism, ...]]:
        """Return the chain with each further mechanism that counts."""
        last = chain[-1]
        assert last.setting is not None
        assert last.start_s is not None
        tested = Tested(last.setting, last.start_s, partial(self._gate, chain))
        found: list[Mechanism] = []
        for name, test in sorted(TESTS, key=lambda each: self._promise(last.policy, each[0])):
            reasons = [_excluded(key, chain) for key in KEYS[name]]
            if test is initial_state or all(reasons):
                found += self._not_tried(chain, name, reasons)
                continue
            if self.progress is not None:
                self.progress(f"{last.policy}: {' + '.join(m.key for m in chain)} + {name}")
            found += [
                replace(each, policy=last.policy)
                for each in test(tested)
                if _excluded(each.key, chain) != _GRANTED
            ]
        tried = sum(not each.untested for each in found)
        own = [Trial(chain, each, self._refused(last, each, tried)) for each in found]
        self.trials += own
        return [(*chain, trial.added) for trial in own if not trial.refused]

    def _not_tried(
        self, chain: tuple[Mechanism, ...], name: str, reasons: Sequence[str]
    ) -> list[Mechanism]:
        """Return a mechanism that makes no sense on top of a chain, with the reason."""
        is_moot = name == "nodes" and self.case.placement == "pooled"
        if is_moot or all(reason in ("", _GRANTED) for reason in reasons):
            return []
        own = Mechanism(KEYS[name][0], name, untested=max(reasons), policy=chain[-1].policy)
        return [own]

    def _promise(self, policy: str, name: str) -> float:
        """Return minus what the mechanisms of a test explain by themselves under a policy."""
        own = [
            each.explained
            for each in self.singles
            if each.policy == policy and each.key in KEYS[name] and not each.untested
        ]
        return -max(own, default=0.0)

    def _gate(self, chain: tuple[Mechanism, ...], added: Mechanism, replays: int) -> str:
        """Return why a mechanism is not granted on top of a chain; "" if it is."""
        if reason := _excluded(added.key, chain):
            return reason
        if added.recorded < added.simulated + _LEAST_TRACE:
            return "its trace is then not higher in the log than in the replay"
        setting = chain[-1].setting
        assert setting is not None
        times = 1 if setting.order_s is not None else SLOW.get(setting.policy, 1)
        if "hours" in (added.key, *(each.key for each in chain)):
            times *= _ROUNDS_OF_HOURS
        cost = replays * times * len(self.case.jobs)
        if cost > self.jobs_left:
            return f"a log of {counted(len(self.case.jobs), 'job')} would take too long"
        self.jobs_left -= cost
        return ""

    def _refused(self, last: Mechanism, added: Mechanism, tried: int) -> str:
        if added.untested:
            return added.untested
        if not added.distance_s <= (1.0 - LEAST_FURTHER) * last.distance_s:
            return "brings the distance that is left down by less than a tenth"
        case = self.case
        assert added.start_s is not None
        assert last.start_s is not None
        before, after = (
            (start_s - case.submit_s)[case.compared] for start_s in (last.start_s, added.start_s)
        )
        recorded, stratum = case.wait_s[case.compared], case.stratum[case.compared]
        if not is_surely_less(recorded, before, after, stratum, tried):
            return "may bring the distance down by chance"
        return ""

    def rank(self, chain: tuple[Mechanism, ...]) -> tuple[float, int]:
        """Return the distance, 0 if there is hardly one, and how much is taken from the log."""
        distance = chain[-1].distance_s
        left = 0.0 if distance <= self.enough_s else round(distance, 3)
        return left, sum(each.taken for each in chain)


_GRANTED = "granted already"


def _excluded(key: str, chain: tuple[Mechanism, ...]) -> str:
    """Return why a mechanism is not granted on top of a chain."""
    keys = [each.key for each in chain]
    if key in keys or (key in KEYS["partitions"] and set(keys) & set(KEYS["partitions"])):
        return _GRANTED
    pairs = [frozenset((key, own)) for own in keys]
    return next((_NOT_WITH[pair] for pair in pairs if pair in _NOT_WITH), "")


def selected(
    case: Case,
    singles: Sequence[Mechanism],
    *,
    nearest_s: float,
    enough_s: float,
    progress: Callable[[str], None] | None = None,
) -> tuple[tuple[Mechanism, ...], list[Trial]]:
    """Select mechanisms that are granted together.

    Parameters
    ----------
    case : Case
    singles : sequence of Mechanism
        Mechanisms that were granted by themselves.
    nearest_s : float
        The distance of the nearest policy without any (seconds).
    enough_s : float
        A distance that needs no further explanation (seconds).
    progress : callable, optional
        Called with the name of each test before it begins.

    Returns
    -------
    tuple of Mechanism
        What is granted together, in this order; empty if no combination is a tenth nearer than
        every mechanism by itself.
    list of Trial
        What was tried, and what was not, with the reason.
    """
    begun = [
        (each,)
        for each in singles
        if each.setting is not None and each.is_seen and each.explained >= LEAST_FURTHER
    ]
    search = _Selection(case, singles, enough_s, progress)
    begun.sort(key=search.rank)
    alone_s = min([nearest_s, *(chain[-1].distance_s for chain in begun)])
    if not begun or alone_s <= enough_s:
        return (), []
    found = [longer for chain in begun[:MOST_BEGUN] for longer in search.further(chain)]
    best: tuple[Mechanism, ...] = min(found, key=search.rank, default=())
    while best and len(best) < MOST_TOGETHER and best[-1].distance_s > enough_s:
        longer = min(search.further(best), key=search.rank, default=())
        if not longer:
            break
        best = longer
    is_nearer = bool(best) and best[-1].distance_s <= (1.0 - LEAST_FURTHER) * alone_s
    return (best if is_nearer else ()), search.trials


def trials_table(trials: Sequence[Trial], nearest_s: float) -> pd.DataFrame:
    """Return one row per trial, the nearest to the log first.

    Returns
    -------
    pandas.DataFrame
        ``policy``, ``granted`` (what was before), ``added`` and its ``key``, ``distance_s`` and
        ``before_s`` (with and without what was added), ``further`` (share of the distance before
        that is gone), ``explained`` (that of `nearest_s`, the nearest policy's), ``mean_wait_s``,
        ``recorded`` and ``simulated`` (the traces that are left), ``takes``, ``taken`` and
        ``refused``.
    """
    own = ("key", "distance_s", "mean_wait_s", "recorded", "simulated", "takes", "taken")
    names = [
        "policy", "granted", "added", "key", "distance_s", "before_s", "further", "explained",
        "mean_wait_s", "recorded", "simulated", "takes", "taken", "refused",
    ]  # fmt: skip
    rows = [
        {
            "policy": each.added.policy,
            "granted": " + ".join(one.name for one in each.before),
            "added": each.added.name,
            "before_s": each.before[-1].distance_s,
            "further": each.added.explained,
            "explained": 1.0 - each.added.distance_s / nearest_s,
            "refused": each.refused,
            **{name: getattr(each.added, name) for name in own},
        }
        for each in trials
    ]
    table = pd.DataFrame(rows, columns=names)
    return table.sort_values("distance_s", kind="stable", ignore_index=True)
