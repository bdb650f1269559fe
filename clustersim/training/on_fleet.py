"""Time to train a model on the chips that a fleet has at a date."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.availability.failure_spec import Failures
from clustersim.catalogue import Model
from clustersim.errors import InputError, shown
from clustersim.estimation.cost import Prices
from clustersim.performance import Calibration, default_calibration, load_calibration
from clustersim.scenario.file_names import beside
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.scenario import LoadedScenario, as_loaded
from clustersim.training.fleet_at import DRAWS, FleetAt, fleet_at
from clustersim.training.fleet_table import pool_rows, span_row
from clustersim.training.interruptions import failures_note, read_failures
from clustersim.training.pool_charges import pool_charges
from clustersim.training.pool_days import PoolDays, pool_days
from clustersim.training.result import PUBLISHED_NOTE, TimeToTrain
from clustersim.training.spanning import fastest_span
from clustersim.training.table import COLUMNS, FLEET_COLUMNS, Charge
from clustersim.training.training import Training, training_of
from clustersim.units import MOST_CHIPS, format_percent, listed

__all__ = ["Fleet", "ReadFleet", "open_fleet", "read_fleet", "time_to_train_on_fleet"]

MOST_DRAWS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet at a date, and what is asked of it.

    Attributes
    ----------
    there : FleetAt
    failures : Failures or None
    charges : tuple of Charge
        What the chips of each pool cost.
    share : float
        Share of the chips of a pool that the training gets.
    counts : tuple of int or None
        Numbers of chips of a gang; None for the fastest one of each pool.
    seed : int
        Seed of the draws from the calibration.
    notes : tuple of str
        Notes on the scenario.

    Examples
    --------
    >>> import clustersim as cs
    >>> model = cs.load_catalogue().model("llama3-8b")
    >>> loaded = cs.load_scenario("mixed_small")
    >>> there = fleet_at(loaded, open_platform(loaded), "0 d", model, draws=1)
    >>> fleet = Fleet(there, None, tuple(pool_charges(there.scenario, there.platform)))
    >>> training = training_of(model, there.platform.catalogue, default_calibration())
    >>> fleet.time(training).fastest["pool"]
    'h200'
    """

    there: FleetAt
    failures: Failures | None
    charges: tuple[Charge, ...]
    share: float = 1.0
    counts: tuple[int, ...] | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()

    def time(self, training: Training) -> TimeToTrain:
        """Return the time of a training on each pool, and on several if jobs may span pools."""
        every = range(len(self.there.platform.cluster.pools))
        sizes = [None] if self.counts is None else [(count,) for count in self.counts]
        rows, notes = [], list[str]()
        for size in sizes:
            found = pool_days(
                training, self.there, self.failures, every, share=self.share, counts=size
            )
            table, of_gangs = pool_rows(
                *(training, self.there, found, self.failures, self.charges), seed=self.seed
            )
            rows += [table, *self._together(training, found)]
            notes += of_gangs
        columns = [name for name in (*FLEET_COLUMNS, *COLUMNS) if name != "nearest_count"]
        table = pd.concat(rows, ignore_index=True)[columns]
        notes = [*self.notes, *notes, *_notes(self)]
        return TimeToTrain(training, table, tuple(dict.fromkeys(notes)), self.there.at)

    def _together(self, training: Training, found: Sequence[PoolDays]) -> Iterator[pd.DataFrame]:
        """Yield the row of a training over several pools, if the scenario allows it."""
        split = self.there.scenario.scheduler.span_pools
        if split is None or self.counts is not None:
            return
        span = fastest_span(found, split, self.failures, training.model.params)
        if span is not None:
            yield span_row(training, self.there, span, self.charges, seed=self.seed)


def time_to_train_on_fleet(
    model: str | Model,
    fleet: str | Path | Mapping[str, Any] | LoadedScenario,
    at: str,
    *,
    changes: Mapping[str, Any] | Sequence[str] = (),
    pool_share: float = 1.0,
    counts: int | Sequence[int] | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    document_tokens: int | None = None,
    precision: str | None = None,
    stack: str | None = None,
    plan: str | Mapping[str, object] | None = None,
    memory: str | Mapping[str, object] | None = None,
    failures: str | Mapping[str, Any] | Failures | None = None,
    failure_rate: float = 1.0,
    prices: Prices | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> TimeToTrain:
    """Estimate how long a training takes on each pool of a fleet as it is at a date.

    Which chips are there follows from the `supply` of the scenario: deliveries, production,
    retirements, embargoes and the limits of the site, drawn with the delays of as many replications
    as `draws`. Chips that services hold in the week from the date on are left out. On each pool,
    the training gets the fastest number of chips that is there, and keeps it until it ends. Links,
    software, failures, prices and energy are those of the scenario.

    Parameters
    ----------
    model : str or Model
    fleet : str, Path, mapping or LoadedScenario
        A scenario, as for :func:`clustersim.run`.
    at : str
        Start of the training: a date, if the scenario has a `start`, or a time since time 0 such as
        ``180 d``.
    changes : mapping or sequence of str
        Changes of the scenario, such as ``["case=H200 stopped"]``.
    pool_share : float
        Share of the chips of a pool that this training gets.
    counts : int or sequence of int, optional
        Numbers of chips; by default the fastest number in each draw.
    tokens, global_batch, seq_len, document_tokens, stack, plan, memory, prices, seed : optional
        As for :func:`clustersim.time_to_train`.
    precision : str, optional
        Default: that of the scenario.
    failures, failure_rate : optional
        Default: the failures of the scenario.
    draws : int
        Number of draws of the supply and of the dates of software.

    Returns
    -------
    TimeToTrain
        With a row for each pool, and one for several pools together if
        ``scheduler.span_pools`` is set. The days are quantiles over the draws of the supply and of
        the step time; other numbers are those of the draw with the median time. Days are infinite
        if the gang is not possible in so many draws.

    Raises
    ------
    InputError
        If the scenario, the date or a value is invalid.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.time_to_train_on_fleet("llama3-8b", "mixed_small", "0 d", tokens=1e12)
    >>> found.fastest["pool"], found.table["pool"].tolist()
    ('h200', ['h200', 'h20', '910b', 'seedchip'])
    """
    asked = read_fleet(fleet, changes)
    training = asked.training(
        model,
        tokens=tokens,
        global_batch=global_batch,
        seq_len=seq_len,
        document_tokens=document_tokens,
        precision=precision,
        stack=stack,
        plan=plan,
        memory=memory,
    )
    opened = open_fleet(
        asked,
        at,
        training,
        pool_share=pool_share,
        counts=counts,
        failures=failures,
        failure_rate=failure_rate,
        prices=prices,
        draws=draws,
        seed=seed,
    )
    return opened.time(training)


@dataclasses.dataclass(frozen=True, slots=True)
class ReadFleet:
    """The scenario of a fleet, with what its estimates are based on.

    Attributes
    ----------
    loaded : LoadedScenario
        Without a draw of the coefficients.
    platform : Platform
    calibration : Calibration
    notes : tuple of str

    Examples
    --------
    >>> read_fleet("mixed_small").training("llama3-8b").precision
    'bf16'
    """

    loaded: LoadedScenario
    platform: Platform
    calibration: Calibration
    notes: tuple[str, ...]

    def training(
        self, model: str | Model, *, precision: str | None = None, **options: Any
    ) -> Training:
        """Return a training with the options of :func:`clustersim.training.training.training_of`.

        The default of the precision is that of the scenario, which also sets the software stacks.
        """
        own = self.loaded.scenario.performance.precision
        return training_of(
            model,
            self.platform.catalogue,
            self.calibration,
            precision=own if precision is None else precision,
            coefficients=self.platform.draw,
            **options,
        )


def read_fleet(
    fleet: str | Path | Mapping[str, Any] | LoadedScenario,
    changes: Mapping[str, Any] | Sequence[str] = (),
) -> ReadFleet:
    """Read the scenario of a fleet.

    Parameters
    ----------
    fleet, changes
        As for :func:`time_to_train_on_fleet`.

    Raises
    ------
    InputError
        If the scenario is invalid.

    Examples
    --------
    >>> [pool.name for pool in read_fleet("mixed_small").platform.cluster.pools]
    ['h200', 'h20', '910b', 'seedchip']
    """
    loaded, notes = _of_mean(as_loaded(fleet, changes))
    own = loaded.scenario.performance.calibration
    calibration = (
        default_calibration() if own is None else load_calibration(beside(loaded.folder, own))
    )
    return ReadFleet(loaded, open_platform(loaded), calibration, tuple(notes))


def open_fleet(
    asked: ReadFleet,
    at: str,
    training: Training,
    *,
    pool_share: float = 1.0,
    counts: int | Sequence[int] | None = None,
    failures: str | Mapping[str, Any] | Failures | None = None,
    failure_rate: float = 1.0,
    prices: Prices | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Fleet:
    """Return the fleet at a date; see :func:`time_to_train_on_fleet`.

    Examples
    --------
    >>> asked = read_fleet("mixed_small")
    >>> opened = open_fleet(asked, "0 d", asked.training("llama3-8b"))
    >>> opened.there.nodes.tolist()
    [[32, 12, 8, 8]]
    """
    _check(pool_share, counts, draws)
    there = fleet_at(asked.loaded, asked.platform, at, training.model, draws=draws)
    spec: Failures | None = there.scenario.failures
    if failures is not None or (spec is not None and failure_rate != 1):
        spec = read_failures(spec if failures is None else failures, failure_rate)
    charges = pool_charges(there.scenario, there.platform)
    if prices is not None:
        charges = [dataclasses.replace(charge, prices=prices) for charge in charges]
    sizes = None
    if counts is not None:
        sizes = tuple([counts] if isinstance(counts, int | np.integer) else counts)
    return Fleet(there, spec, tuple(charges), pool_share, sizes, seed, asked.notes)


def _check(pool_share: float, counts: int | Sequence[int] | None, draws: int) -> None:
    problems = []
    if not 0 < pool_share <= 1:
        problems.append(f"pool_share: must be above 0 and at most 1, found {shown(pool_share)}")
    if not (isinstance(draws, int | np.integer) and 1 <= draws <= MOST_DRAWS):
        problems.append(f"draws: must be from 1 to {MOST_DRAWS:,}, found {shown(draws)}")
    if counts is not None:
        sizes = [counts] if isinstance(counts, int | float | np.number) else list(counts)
        problems += [
            f"counts: must be whole numbers from 1 to {MOST_CHIPS:,}, found {shown(size)}"
            for size in sizes
            if not (isinstance(size, int | np.integer) and 1 <= size <= MOST_CHIPS)
        ]
        problems += [] if sizes else ["counts: at least one is needed"]
    if problems:
        raise InputError("time to train", problems)


def _of_mean(loaded: LoadedScenario) -> tuple[LoadedScenario, list[str]]:
    """Return the scenario without a draw of the coefficients, and a note if it had one."""
    performance = loaded.scenario.performance
    if performance.draw is None:
        return loaded, []
    mean = performance.model_copy(update={"draw": None})
    scenario = loaded.scenario.model_copy(update={"performance": mean})
    note = "performance.draw of the scenario is ignored: the interval covers all draws."
    return dataclasses.replace(loaded, scenario=scenario), [note]


def _notes(fleet: Fleet) -> Iterator[str]:
    """Yield notes on what is assumed about the fleet."""
    there = fleet.there
    n_draws = len(there.nodes)
    yield (
        f"The fleet of {there.loaded.source} at {there.at}, "
        + (
            f"in {n_draws:,} draws of what is late. "
            if n_draws > 1
            else "in which nothing is late. "
        )
        + (
            f"The training gets {format_percent(fleet.share, 0)} of each pool and keeps its chips "
            "until it ends."
        )
    )
    horizon = there.scenario.horizon
    if horizon is not None and there.at_s > horizon:
        yield "The date is after the horizon of the scenario."
    if there.unported:
        yield (
            f"The scenario ports other models to {listed(there.unported)}, but not this one; its "
            "software counts as mature there."
        )
    yield failures_note(fleet.failures)
    yield PUBLISHED_NOTE
