"""The table of trainings: days, interruptions, energy and cost of each gang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.estimation.cost import Cost, Prices, cost_of
from clustersim.estimation.given_plan import plan_text
from clustersim.training.gangs import Gangs
from clustersim.training.interruptions import Interruptions
from clustersim.training.training import Training

__all__ = ["COLUMNS", "FLEET_COLUMNS", "Charge", "training_table"]

DAY_S = 86400.0
SECONDS_PER_HOUR = 3600.0
KWH_PER_MWH = 1000.0

COLUMNS: Mapping[str, str] = {
    "model": "model that is trained",
    "accelerator": "chip",
    "count": "chips that train together",
    "tokens": "training tokens",
    "fits": "whether there is a plan that fits in memory; without one, numbers are missing",
    "days": "time to train including failures (median); infinite if the gang makes no progress",
    "days_lo": "lower end of the 90 % interval of the days",
    "days_hi": "upper end of the 90 % interval of the days",
    "step_time_s": "seconds per optimizer step",
    "mfu": "share of the peak of the chips that a step uses (MFU)",
    "precision": "precision of the matrix products",
    "plan": "parallelism plan",
    "memory_bytes": "memory of the fullest chip",
    "fit_probability": "probability that this is at most the memory of a chip",
    "mttf_s": "mean time between failures of the gang",
    "checkpoint_interval_s": "work between checkpoints",
    "interruptions": "expected number of failures during the training",
    "ettr": "expected effective training time ratio: kept work divided by time",
    "chip_hours": "accelerator-hours, failures included",
    "energy_mwh": "energy of the busy chips, their hosts and the site",
    "cost_cny": "depreciation, interest, network and buildings, electricity and rent of this time",
    "cost_lo_cny": "cost at the lower end of the interval of the days",
    "cost_hi_cny": "cost at the upper end of the interval of the days",
    "nearest_count": "number of chips nearest to `count` on which a plan fits, if none fits here",
    "reason": "why no plan fits",
}
"""Columns of the table with their meanings."""
FLEET_COLUMNS: Mapping[str, str] = {
    "pool": "pool, or pools that train together",
    "chips_there": "chips at the date that services do not hold (median over the draws)",
    "chips_there_lo": "5 % quantile of these chips over the draws",
    "chips_there_hi": "95 % quantile of these chips over the draws",
    "software": "speed of the software at the date as a share of its speed when mature (median)",
    "chance": "share of the draws in which a plan fits on the chips that are there",
}
"""Further columns of a training on a fleet."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What the chips of a gang cost.

    Attributes
    ----------
    prices : Prices
    rent_cny_per_s : float
        Rent of one chip; 0 for chips that are bought.

    Examples
    --------
    >>> import clustersim as cs
    >>> chip, prices = cs.load_catalogue().accelerator("H200"), Prices(chip_cny=0.0)
    >>> cost = cost_of(chip, 8, 1.0, (3600.0, 3600.0, 3600.0), prices)
    >>> Charge(prices, 20 / 3600).total_cny(cost, 8, 3600.0) - cost.energy_cny
    160.0
    """

    prices: Prices
    rent_cny_per_s: float = 0.0

    def total_cny(self, cost: Cost, count: int, wall_s: float) -> float:
        """Return the cost of ownership, electricity and rent; NaN if a price is unknown."""
        own = np.nan if cost.total_cny is None else cost.total_cny
        return own + count * self.rent_cny_per_s * wall_s


def training_table(
    training: Training,
    found: Gangs,
    interruptions: Interruptions,
    charges: Sequence[Charge],
    *,
    software: Floats | None = None,
) -> pd.DataFrame:
    """Return one row for each gang, with the columns in :data:`COLUMNS` but `nearest_count`.

    Parameters
    ----------
    training : Training
    found : Gangs
    interruptions : Interruptions
        Of the same gangs.
    charges : sequence of Charge
        Of the same gangs.
    software : array, shape (R,), optional
        Speed of the software as a share of the estimate (default: 1).

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.gangs import Gang, find_gangs
    >>> from clustersim.training.interruptions import find_interruptions
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-8b", catalogue, cs.performance.default_calibration())
    >>> gangs = [Gang.of(catalogue.accelerator("H200"), 64)]
    >>> none = find_interruptions(None, [gangs[0].pool], [64], training.model.params)
    >>> charge = Charge(Prices.of(catalogue.assumptions))
    >>> table = training_table(training, find_gangs(training, gangs), none, [charge])
    >>> low, days, high = table[["days_lo", "days", "days_hi"]].iloc[0]
    >>> bool(low < days < high), table["ettr"].tolist()
    (True, [1.0])
    """
    speed = np.ones(len(found)) if software is None else software
    with np.errstate(divide="ignore"):
        middle, low, high = (
            interruptions.wall_s(training.steps * seconds / speed)
            for seconds in (found.step_s, found.lo_s, found.hi_s)
        )
    counts = np.array([gang.count for gang in found.gangs], dtype=np.int64)
    known = found.fits & np.isfinite(middle)
    columns: dict[str, object] = {
        "model": training.model.name,
        "accelerator": [gang.chip.name for gang in found.gangs],
        "count": counts,
        "tokens": training.tokens,
        "fits": found.fits,
        "days": middle / DAY_S,
        "days_lo": low / DAY_S,
        "days_hi": high / DAY_S,
        "step_time_s": found.step_s / speed,
        "mfu": found.mfu * speed,
        "precision": list(found.precisions),
        "plan": ["" if plan is None else plan_text(plan) for plan in found.plans],
        "memory_bytes": found.memory_bytes,
        "fit_probability": found.fit_probability,
        "mttf_s": np.where(found.fits, interruptions.mttf_s, np.nan),
        "checkpoint_interval_s": np.where(found.fits, interruptions.interval_s, np.nan),
        "interruptions": np.where(known, interruptions.count(middle), np.nan),
        "ettr": np.where(found.fits, interruptions.ettr, np.nan),
        "chip_hours": counts * middle / SECONDS_PER_HOUR,
        **_costs(training, found, charges, np.stack([middle, low, high], axis=1), known),
        "reason": list(found.reasons),
    }
    return pd.DataFrame(columns, index=range(len(found)))


def _costs(
    training: Training, found: Gangs, charges: Sequence[Charge], wall_s: Floats, known: Bools
) -> dict[str, Floats]:
    """Return energy and cost of each gang; NaN where the time is not known.

    `wall_s` has the shape (gangs, 3): the median of the time and the ends of its interval.
    """
    names = ("cost_cny", "cost_lo_cny", "cost_hi_cny")
    columns = {name: np.full(len(found), np.nan) for name in ("energy_mwh", *names)}
    for row in np.flatnonzero(known).tolist():
        gang, charge = found.gangs[row], charges[row]
        for name, seconds in zip(names, wall_s[row].tolist(), strict=True):
            per_token = (seconds / training.tokens,) * 3
            cost = cost_of(gang.chip, gang.count, training.tokens, per_token, charge.prices)
            columns[name][row] = charge.total_cny(cost, gang.count, seconds)
            if name == "cost_cny":
                columns["energy_mwh"][row] = cost.energy_kwh / KWH_PER_MWH
    return columns
