"""Time to train a model on numbers of chips, with failures, energy and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.availability.failure_spec import Failures
from clustersim.catalogue import Accelerator, Catalogue, Model, load_catalogue
from clustersim.errors import InputError, check_kind
from clustersim.estimation.arguments import check_arguments
from clustersim.estimation.assumptions import chip_notes, name_notes, unmeasured_notes
from clustersim.estimation.cost import Prices
from clustersim.performance import Calibration, default_calibration
from clustersim.training.gangs import Gang, Gangs, find_gangs
from clustersim.training.interruptions import (
    failures_note,
    find_interruptions,
    read_failures,
)
from clustersim.training.nearest_fit import nearest_fit
from clustersim.training.result import PUBLISHED_NOTE, TimeToTrain
from clustersim.training.table import COLUMNS, Charge, training_table
from clustersim.training.training import Training, training_of
from clustersim.units import listed

__all__ = ["MOST_GANGS", "OpenGangs", "gang_notes", "open_gangs", "time_to_train"]

MOST_GANGS = 10_000
"""Largest number of combinations of a chip and a number of chips."""


def time_to_train(
    model: str | Model,
    accelerators: str | Accelerator | Sequence[str | Accelerator],
    counts: int | Sequence[int],
    *,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    document_tokens: int | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    plan: str | Mapping[str, object] | None = None,
    memory: str | Mapping[str, object] | None = None,
    nic_Bps: float | None = None,
    failures: str | Mapping[str, Any] | Failures | None = None,
    failure_rate: float = 1.0,
    prices: Prices | None = None,
    calibration: Calibration | None = None,
    catalogue: Catalogue | None = None,
    seed: int = 0,
) -> TimeToTrain:
    """Estimate how long a training takes on numbers of chips, and what it costs.

    The time is that of all steps divided by the expected effective training time ratio
    (:func:`clustersim.availability.checkpointing.expected_ettr`). Its 90 % interval is that of the
    step time, as :func:`clustersim.estimate` states it; failures and prices enter with their
    expectations.

    Parameters
    ----------
    model : str or Model
        A name in the catalogue, or the model itself.
    accelerators : str or Accelerator or sequence of them
    counts : int or sequence of int
        Numbers of chips; each is combined with each accelerator.
    tokens : float, optional
        Default: 20 per parameter (Hoffmann et al. 2022).
    global_batch, seq_len, document_tokens, precision, stack, memory, nic_Bps : optional
        As for :func:`clustersim.estimate`.
    plan : str or mapping, optional
        As for :func:`clustersim.estimate`. By default, the fastest plan that fits is searched for,
        for each gang.
    failures : str, mapping or Failures, optional
        Failures and checkpoints, as :func:`clustersim.training.interruptions.read_failures` reads
        them. By default, a node fails as often as in the training of Llama 3 405B, whatever its
        chips are.
    failure_rate : float
        Factor on the failure rates.
    prices : Prices, optional
        Default: those of the catalogue's planning assumptions.
    calibration : Calibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional
    seed : int
        Seed of the draws from the calibration.

    Returns
    -------
    TimeToTrain

    Raises
    ------
    InputError
        If a name is unknown (the nearest one is suggested), a value is out of range, or a rule
        refuses the plan on all gangs.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.time_to_train("doubao-class", ["H200", "H20"], [1024, 4096], tokens=12e12)
    >>> found.table.sort_values("days")[["accelerator", "count"]].values.tolist()
    [['H200', 4096], ['H200', 1024], ['H20', 4096], ['H20', 1024]]
    """
    known = load_catalogue() if catalogue is None else catalogue
    training = training_of(
        model,
        known,
        default_calibration() if calibration is None else calibration,
        tokens=tokens,
        global_batch=global_batch,
        seq_len=seq_len,
        document_tokens=document_tokens,
        precision=precision,
        stack=stack,
        plan=plan,
        memory=memory,
    )
    opened = open_gangs(
        training,
        accelerators,
        counts,
        nic_Bps=nic_Bps,
        failures=failures,
        failure_rate=failure_rate,
        prices=prices,
        catalogue=known,
        seed=seed,
    )
    return opened.time(training, nearest=True)


@dataclass(frozen=True, slots=True)
class OpenGangs:
    """Gangs of which the time of a training is asked.

    Attributes
    ----------
    gangs : tuple of Gang
    failures : Failures
    charge : Charge
        What the chips cost.
    seed : int
        Seed of the draws from the calibration.
    notes : tuple of str
        Notes on the names of the chips.

    Examples
    --------
    >>> training = training_of("llama3-8b", load_catalogue(), default_calibration())
    >>> opened = open_gangs(training, ["H200", "H20"], [8, 64])
    >>> opened.time(training).table["count"].tolist()
    [8, 64, 8, 64]
    """

    gangs: tuple[Gang, ...]
    failures: Failures
    charge: Charge
    seed: int
    notes: tuple[str, ...]

    def time(self, training: Training, *, nearest: bool = False) -> TimeToTrain:
        """Return the time of a training on each gang.

        `nearest` says whether to search for the nearest number of chips on which a plan fits, for
        gangs on which none does.
        """
        gangs = self.gangs
        found = find_gangs(training, gangs, seed=self.seed)
        saved = find_interruptions(
            self.failures,
            [gang.pool for gang in gangs],
            [gang.count for gang in gangs],
            training.model.params,
        )
        table = training_table(training, found, saved, [self.charge] * len(gangs))
        table["nearest_count"] = pd.array(
            _nearest(training, found) if nearest else [None] * len(gangs), dtype="Int64"
        )
        chips = list({gang.chip.name: gang.chip for gang in gangs}.values())
        notes = [
            *(*self.notes, *gang_notes(training, found), failures_note(self.failures)),
            *_rate_notes(self.failures, chips),
            *_price_notes(table),
            PUBLISHED_NOTE,
        ]
        return TimeToTrain(training, table[list(COLUMNS)], tuple(dict.fromkeys(notes)))


def open_gangs(
    training: Training,
    accelerators: str | Accelerator | Sequence[str | Accelerator] | None,
    counts: int | Sequence[int] | None,
    *,
    nic_Bps: float | None = None,
    failures: str | Mapping[str, Any] | Failures | None = None,
    failure_rate: float = 1.0,
    prices: Prices | None = None,
    catalogue: Catalogue | None = None,
    seed: int = 0,
) -> OpenGangs:
    """Return the gangs of each accelerator with each number of chips; see :func:`time_to_train`.

    `training` is only needed to check the numbers.
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    notes: list[str] = []
    chips = _chips(accelerators, catalogue, notes)
    sizes = _sizes(counts, len(chips), training, seed, nic_Bps)
    return OpenGangs(
        gangs=tuple(Gang.of(chip, count, nic_Bps) for chip in chips for count in sizes),
        failures=read_failures(failures, failure_rate),
        charge=Charge(Prices.of(catalogue.assumptions) if prices is None else prices),
        seed=seed,
        notes=tuple(notes),
    )


def _chips(
    given: str | Accelerator | Sequence[str | Accelerator] | None,
    catalogue: Catalogue,
    notes: list[str],
) -> list[Accelerator]:
    """Return the chips, each once; `notes` gets a note on each name with several meanings."""
    listed = [given] if isinstance(given, str | Accelerator) else list(given or ())
    if not listed:
        raise InputError("time to train", "accelerators: at least one is needed")
    found: dict[str, Accelerator] = {}
    for each in listed:
        allowed = "names of chips in the catalogue, or Accelerator objects"
        check_kind("accelerators", each, (str, Accelerator), allowed)
        chip = catalogue.accelerator(each) if isinstance(each, str) else each
        found.setdefault(chip.name, chip)
        notes += name_notes(each, catalogue) if isinstance(each, str) else []
    return list(found.values())


def _sizes(
    counts: int | Sequence[int] | None,
    n_chips: int,
    training: Training,
    seed: int,
    nic_Bps: float | None,
) -> list[int]:
    """Return the numbers of chips, each once."""
    listed = [counts] if isinstance(counts, int | float | np.number) else list(counts or ())
    if not listed:
        raise InputError("time to train", "counts: at least one is needed")
    for each in listed:
        network = 1.0 if nic_Bps is None else nic_Bps
        check_arguments(
            *(each, training.batch, training.model.seq_len, 0, seed),
            *(training.precision, network, training.tokens),
        )
    sizes = list(dict.fromkeys(int(each) for each in listed))
    if n_chips * len(sizes) > MOST_GANGS:
        raise InputError(
            "time to train",
            f"at most {MOST_GANGS:,} combinations of accelerators and counts, found "
            f"{n_chips * len(sizes):,}",
        )
    return sizes


def _nearest(training: Training, found: Gangs) -> list[int | None]:
    """Return the nearest number of chips on which a plan fits, for gangs on which none does."""
    return [
        None if fits or not training.searched else nearest_fit(training, gang)
        for gang, fits in zip(found.gangs, found.fits, strict=True)
    ]


def gang_notes(training: Training, found: Gangs) -> list[str]:
    """Return notes on what the estimates of some gangs assume.

    Parameters
    ----------
    training : Training
    found : Gangs

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-8b", catalogue, cs.performance.default_calibration())
    >>> found = find_gangs(training, [Gang.of(catalogue.accelerator("SeedChip"), 64)])
    >>> any("SeedChip is hypothetical" in note for note in gang_notes(training, found))
    True
    """
    notes = list(found.notes)
    for chip in {gang.chip.name: gang.chip for gang in found.gangs}.values():
        notes += unmeasured_notes(chip, training.calibration) + chip_notes(chip, 0.0)
    if training.tokens < training.tokens_per_step:
        notes.append("The tokens of the training are fewer than those of one step.")
    return list(dict.fromkeys(notes))


def _rate_notes(spec: Failures, chips: Sequence[Accelerator]) -> Iterator[str]:
    """Yield a note on chips for which the default failure rate was not published."""
    others = [chip.name for chip in chips if not chip.family.startswith("hopper")]
    if others and spec.sources == "meta-llama3":
        yield (
            f"No failure rate of {listed(others)} is known: as many failures per node-day as on "
            "H100 are assumed."
        )


def _price_notes(table: pd.DataFrame) -> Iterator[str]:
    """Yield a note on chips whose price is unknown."""
    unknown = table[table["cost_cny"].isna() & np.isfinite(table["days"])]["accelerator"].unique()
    if len(unknown):
        yield f"The price of {listed(unknown.tolist())} is unknown, so their cost is not stated."
