"""The steps of a validation: what is at work, and how much time the rest takes at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from clustersim.units import format_duration

__all__ = ["MOST_REPLAYS", "Steps"]

MOST_REPLAYS = {
    "start order": 1,
    "capacity": 1,
    "partitions": 2,
    "limits of users": 4,
    "dependencies": 1,
    "hours": 7,
    "estimates": 1,
    "nodes": 1,
    "initial state": 1,
}
"""Replays that the test of a mechanism takes at most."""


class Steps:
    """Says each step before it begins, with its number and the time that is left at most.

    Parameters
    ----------
    policies : int
        Number of candidates.
    progress : callable, optional
        Called with the text of each step.
    clock : callable, optional
        Returns the time in seconds.

    Examples
    --------
    >>> now = iter([0.0, 10.0, 10.0, 40.0])
    >>> steps = Steps(2, print, clock=lambda: next(now))
    >>> for name in ("fcfs", "easy"):
    ...     steps.replay(name)
    ...     steps.replayed(name)
    replay under fcfs (policy 1 of 2)
    replay under easy (policy 2 of 2)
    >>> steps.tests([("fcfs", "capacity"), ("easy", "hours")], together=2.0)
    >>> steps.test("fcfs: capacity")
    fcfs: capacity (test 1 of 2; at most about 4.67 min left)
    >>> steps.test("easy: hours")
    easy: hours (test 2 of 2; at most about 4.5 min left)
    """

    def __init__(
        self,
        policies: int,
        progress: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policies, self.progress, self.clock = policies, progress, clock
        self.replay_s: dict[str, float] = {}
        self.left: list[tuple[str, str]] = []
        self.count = 0
        self.together_s = 0.0
        self._began_s = 0.0

    def replay(self, policy: str) -> None:
        """Say that the replay of a policy begins."""
        self._began_s = self.clock()
        self._say(f"replay under {policy} (policy {len(self.replay_s) + 1} of {self.policies})")

    def replayed(self, policy: str) -> None:
        """Take the time of the replay that has ended."""
        self.replay_s[policy] = self.clock() - self._began_s

    def tests(
        self,
        tests: Iterable[tuple[str, str]],
        together: float,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Set the tests that follow, and the replays that granting mechanisms together takes.

        Parameters
        ----------
        tests : iterable of (str, str)
            Policy and name of each test, in this order.
        together : float
            The most replays of combinations.
        counts : mapping of str to int, optional
            Policies of which a replay counts as several.
        """
        self.left = list(tests)
        self.count = len(self.left)
        own = {policy: self.replay_s[policy] for policy, _ in self.left}
        counts = {} if counts is None else counts
        slowest_s = max((each / counts.get(name, 1) for name, each in own.items()), default=0.0)
        self.together_s = together * slowest_s

    def test(self, text: str) -> None:
        """Say that the next test begins."""
        number = self.count - len(self.left) + 1
        left_s = self.together_s + sum(
            MOST_REPLAYS[name] * self.replay_s[policy] for policy, name in self.left
        )
        del self.left[:1]
        self._say(f"{text} (test {number} of {self.count}; {_at_most(left_s)})")

    def combination(self, text: str) -> None:
        """Say that a combination of mechanisms is tried."""
        self._say(f"{text} (mechanisms granted together; {_at_most(self.together_s)} in all)")

    def _say(self, text: str) -> None:
        if self.progress is not None:
            self.progress(text)


def _at_most(seconds: float) -> str:
    return f"at most about {format_duration(max(seconds, 1.0))} left"
