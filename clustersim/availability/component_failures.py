"""Failures of components that are alike: when each fails, and how long its repair takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import Any, Protocol, TypeVar

import numpy as np

from clustersim.array_types import Floats
from clustersim.availability.failure_times import CHUNK, order_statistics, poisson_times
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.units import format_duration
from clustersim.workload.distributions import Distribution, Exponential, QuantileTable

__all__ = [
    "ComponentStreams",
    "FailingComponent",
    "check_rate",
    "component_failures",
    "is_memoryless",
    "with_rate",
]

Life = TypeVar("Life", bound=Distribution)

_LEAST_BETWEEN_S = 1.0
"""Smallest allowed mean time between two failures of a source in a pool, seconds."""


class FailingComponent(Protocol):
    """A type of component that fails."""

    @property
    def name(self) -> str:
        """Name of the source of failures."""

    @property
    def time_to_failure(self) -> Distribution:
        """Time in service of one component until it fails, seconds."""

    @property
    def repair(self) -> Distribution:
        """Time until it is back in service, seconds."""

    @property
    def found(self) -> Distribution | None:
        """Time until a failure is found, seconds; None if it is found at once."""


class ComponentStreams:
    """Random numbers of one source in one pool."""

    def __init__(self, purpose: str, streams: Streams) -> None:
        self.purpose, self.streams = purpose, streams
        self.generator = streams(purpose)


def check_rate(
    source: FailingComponent,
    count: int,
    pool: str,
    *,
    section: str = "failures",
    field: str = "sources",
) -> None:
    """Raise an error if failures are so frequent that a run would not finish.

    Parameters
    ----------
    source : FailingComponent
    count : int
        Number of components in the pool.
    pool : str
        Name of the pool, for the message.
    section, field : str
        Where a scenario has the source, for the message.
    """
    between_s = source.time_to_failure.mean() / count
    if between_s < _LEAST_BETWEEN_S:
        raise InputError(
            section,
            f"{field}.{source.name}: pool {pool} would have a failure every "
            f"{format_duration(between_s)} on average; the mean time between failures must be at "
            f"least {format_duration(_LEAST_BETWEEN_S)}",
        )


def with_rate(life: Life, rate: float) -> Life:
    """Return a distribution of times to failure, with the failure rate multiplied by `rate`.

    Examples
    --------
    >>> from clustersim.workload.distributions import Exponential
    >>> with_rate(Exponential(kind="exponential", average=60.0), 2.0).mean()
    30.0
    """
    if rate == 1.0:
        return life
    scaled: dict[str, Any] = {
        name: getattr(life, name) / rate
        for name in ("average", "scale", "median", "value", "at_least", "at_most")
        if getattr(life, name, None) is not None
    }
    if isinstance(life, QuantileTable):
        scaled["values"] = tuple(value / rate for value in life.values)
    return life.model_copy(update=scaled)


def component_failures(
    source: FailingComponent,
    count: int,
    random: ComponentStreams,
    until_s: float,
    gone_s: Callable[[], Floats],
) -> Iterator[tuple[float, float, float, int]]:
    """Yield the failures of components that are alike, in order of time.

    Parameters
    ----------
    source : FailingComponent
    count : int
        Number of components.
    random : ComponentStreams
    until_s : float
        No failure begins at this time (seconds) or later.
    gone_s : callable
        Returns the time at which each component leaves for ever (seconds), as a float64 array
        (components,).

    Yields
    ------
    (float, float, float, int)
        The time of a failure, the times at which it is found and repaired (seconds), and the index
        of the component.
    """
    draw = _poisson if is_memoryless(source) else _renewals
    return draw(source, count, random, until_s, gone_s)


def is_memoryless(source: FailingComponent) -> bool:
    """Whether the components of a source do not age, so that their failures are a Poisson process.

    Examples
    --------
    >>> from clustersim.availability.failure_spec import published_failures
    >>> all(is_memoryless(source) for source in published_failures()["meta-llama3"])
    True
    """
    life = source.time_to_failure
    return isinstance(life, Exponential) and life.at_least == 0 and life.at_most is None


def _poisson(
    source: FailingComponent,
    count: int,
    random: ComponentStreams,
    until_s: float,
    gone_s: Callable[[], Floats],
) -> Iterator[tuple[float, float, float, int]]:
    """Yield the failures of components that do not age, drawn as one Poisson process.

    Each item contains the time of a failure, the times at which it is found and repaired, and the
    index of the component.
    """
    mean_s, now, generator = source.time_to_failure.mean() / count, 0.0, random.generator
    chunks = poisson_times(mean_s, random.purpose, random.streams, generator)
    while now < until_s and now < (last_s := gone_s()).max():
        times = next(chunks)
        repair_s = source.repair.quantile(generator.random(CHUNK))
        places = generator.integers(count, size=CHUNK)
        found = times + _unfound_s(source, CHUNK, generator)
        columns = (times, found, found + repair_s, places)
        kept = (times < until_s) & (times < last_s[places])
        yield from zip(*(column[kept].tolist() for column in columns), strict=True)
        now = float(times[-1])


def _renewals(
    source: FailingComponent,
    count: int,
    random: ComponentStreams,
    until_s: float,
    gone_s: Callable[[], Floats],
) -> Iterator[tuple[float, float, float, int]]:
    """Yield the failures of components that age, as :func:`_poisson` does.

    Each component has its own lifetime and is new at the start.
    """
    generator = random.generator
    first = order_statistics(count, random.purpose, random.streams, generator)
    lives = source.time_to_failure.quantile(first)
    coming = list(zip(lives.tolist(), generator.permutation(count).tolist(), strict=True))
    heapify(coming)
    asked, last_s = 0, gone_s()
    while coming and coming[0][0] < until_s:
        begin_s, place = coming[0]
        asked += 1
        if asked % CHUNK == 0:
            last_s = gone_s()
        if begin_s >= last_s[place]:
            heappop(coming)
            continue
        repair_s, life_s = (
            float(part.quantile(generator.random(1))[0])
            for part in (source.repair, source.time_to_failure)
        )
        found_s = begin_s + float(_unfound_s(source, 1, generator)[0])
        end_s = found_s + repair_s
        yield begin_s, found_s, end_s, place
        heapreplace(coming, (end_s + life_s, place))


def _unfound_s(source: FailingComponent, count: int, generator: np.random.Generator) -> Floats:
    """Draw the time until each failure is found, seconds; 0 for failures that stop jobs."""
    if source.found is None:
        return np.zeros(count)
    unfound_s: Floats = source.found.quantile(generator.random(count))
    return unfound_s
