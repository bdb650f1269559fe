"""A plain twin of the flow simulation: exact fractions, one link at a time, every flow anew.

Written from the definition of max-min fairness; it does not import the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["plain_ends", "plain_rates"]


def plain_rates(
    capacity: Sequence[float], paths: Sequence[Sequence[int]], weight: Sequence[float]
) -> list[Fraction]:
    """Return max-min fair rates; no path is empty."""
    left = [Fraction(each) for each in capacity]
    share = [Fraction(each) for each in weight]
    rates: dict[int, Fraction] = {}
    while len(rates) < len(paths):
        levels = {}
        for link in range(len(left)):
            using = sum(
                share[flow] * path.count(link)
                for flow, path in enumerate(paths)
                if flow not in rates
            )
            if using:
                levels[link] = left[link] / using
        full = min(levels, key=lambda link: levels[link])
        for flow, path in enumerate(paths):
            if flow not in rates and full in path:
                rates[flow] = share[flow] * levels[full]
                for link in path:
                    left[link] -= rates[flow]
    return [rates[flow] for flow in range(len(paths))]


def plain_ends(
    capacity: Sequence[float],
    paths: Sequence[Sequence[int]],
    start: Sequence[float],
    size: Sequence[float],
    latency: Sequence[float],
    weight: Sequence[float],
) -> list[float]:
    """Return when each flow ends."""
    enters = [
        Fraction(begin) + sum(Fraction(latency[link]) for link in path)
        for begin, path in zip(start, paths, strict=True)
    ]
    left = [Fraction(each) for each in size]
    ends = [
        enter if not path or not bytes_ else None
        for enter, path, bytes_ in zip(enters, paths, left, strict=True)
    ]
    now = min(enters, default=Fraction(0))
    while None in ends:
        active = [flow for flow, end in enumerate(ends) if end is None and enters[flow] <= now]
        rates = plain_rates(
            capacity, [paths[flow] for flow in active], [weight[flow] for flow in active]
        )
        instants = [enter for enter in enters if enter > now]
        instants += [now + left[flow] / rate for flow, rate in zip(active, rates, strict=True)]
        then = min(instants)
        for flow, rate in zip(active, rates, strict=True):
            left[flow] -= rate * (then - now)
            if not left[flow]:
                ends[flow] = then
        now = then
    return [float(end) for end in ends if end is not None]
