"""A rule that may stop the supply of some pools, with the probability of each date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.seeds import Streams

__all__ = ["Stop", "check_stops", "stop_dates_s"]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Stop:
    """A rule that may stop all deliveries to some pools, and the production for them.

    Attributes
    ----------
    pools : tuple of str
    at_s : tuple of float
        Dates on which the rule may take effect, seconds since time 0.
    probabilities : tuple of float
        Probability of each date; what is left of 1 is the probability that it never does.
    name : str
        Identifies the random numbers; two stops with the same name are drawn alike.

    Examples
    --------
    >>> stop = Stop(("h200",), (90 * 86400.0,), (0.25,))
    >>> stop.dates_s(Streams(1), 4).tolist().count(float("inf"))
    3
    """

    pools: tuple[str, ...]
    at_s: tuple[float, ...]
    probabilities: tuple[float, ...]
    name: str = "stop"

    def __post_init__(self) -> None:
        problems = []
        if not self.pools or not self.at_s or len(self.at_s) != len(self.probabilities):
            problems.append("needs pools, dates, and one probability for each date")
        if any(not each >= 0 for each in (*self.at_s, *self.probabilities)):
            problems.append("dates and probabilities must be 0 or more")
        if sum(self.probabilities) > 1 + _ROUNDING:
            problems.append(
                f"probabilities: their sum must be at most 1, found {sum(self.probabilities):g}"
            )
        if problems:
            raise InputError(f"stop {self.name}", problems)

    def dates_s(self, streams: Streams, draws: int) -> Floats:
        """Return the date on which the rule takes effect in each draw; infinite for never."""
        chance = streams.stratified_over(f"stop {self.name}", draws)
        edges = np.cumsum(self.probabilities)
        dates = np.array([*self.at_s, np.inf])
        return np.asarray(dates[np.searchsorted(edges, chance, side="right")], dtype=np.float64)


def check_stops(stops: Sequence[Stop], pools: Sequence[str]) -> None:
    """Check that the pools of all stops exist.

    Raises
    ------
    InputError
        If one does not; the message suggests the nearest name.
    """
    for stop in stops:
        for name in stop.pools:
            if name not in pools:
                raise InputError(f"stop {stop.name}", unknown_name("pool", name, pools))


def stop_dates_s(
    stops: Sequence[Stop], pool: str, embargo_s: float, streams: Streams, draws: int
) -> Floats:
    """Return when the supply of a pool stops in each draw, seconds.

    Parameters
    ----------
    stops : sequence of Stop
    pool : str
    embargo_s : float
        Start of the first embargo of the scenario on the pool; infinite without one.
    streams : Streams
    draws : int
    """
    dates_s = np.full(draws, embargo_s)
    for stop in stops:
        if pool in stop.pools:
            dates_s = np.minimum(dates_s, stop.dates_s(streams, draws))
    return dates_s
