"""The rows of the table of a training on a fleet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.availability.failure_spec import Failures
from clustersim.estimation.cost import cost_of
from clustersim.estimation.given_plan import plan_text
from clustersim.training.fleet_at import FleetAt
from clustersim.training.gangs import Gang, Gangs, find_gangs
from clustersim.training.interruptions import find_interruptions
from clustersim.training.mixtures import QUANTILES, half_widths, mixture_quantiles
from clustersim.training.pool_days import PoolDays
from clustersim.training.spanning import Span
from clustersim.training.table import (
    COLUMNS,
    DAY_S,
    KWH_PER_MWH,
    SECONDS_PER_HOUR,
    Charge,
    training_table,
)
from clustersim.training.time_to_train import gang_notes
from clustersim.training.training import Training

__all__ = ["pool_rows", "span_row"]

DAYS = ("days_lo", "days", "days_hi")
COSTS = ("cost_lo_cny", "cost_cny", "cost_hi_cny")


def pool_rows(
    training: Training,
    fleet: FleetAt,
    pools: Sequence[PoolDays],
    failures: Failures | None,
    charges: Sequence[Charge],
    *,
    seed: int = 0,
) -> tuple[pd.DataFrame, list[str]]:
    """Return a row for each pool, and notes on what the estimates assume.

    The days and costs are quantiles over the draws; other numbers are those of the draw with the
    median time.
    """
    rows, notes = [], list[str]()
    for pool in pools:
        if not pool.fits.any():
            rows.append(_without_gang(training, fleet, pool))
            continue
        middle = pool.middle
        gang = pool.chosen[middle]
        charge = charges[pool.pool]
        found = find_gangs(training, [gang], seed=seed)
        notes += gang_notes(training, found)
        saved = find_interruptions(failures, [gang.pool], [gang.count], training.model.params)
        row = training_table(
            training, found, saved, [charge], software=pool.software[middle : middle + 1]
        )
        half, rate = _of_draws(training, pool, charge, seed)
        _set_quantiles(row, pool.wall_s, half, rate)
        rows.append(_described(row, fleet, pool))
    return pd.concat(rows, ignore_index=True), notes


def _of_draws(
    training: Training, pool: PoolDays, charge: Charge, seed: int
) -> tuple[Floats, Floats]:
    """Return the half width of the interval and the cost in CNY per second, for each draw."""
    used = np.unique(pool.choice[pool.fits])
    gangs = [pool.gangs[index] for index in used.tolist()]
    found = find_gangs(training, gangs, seed=seed)
    half, rate = np.zeros(len(pool.gangs)), np.zeros(len(pool.gangs))
    half[used] = half_widths(found.step_s, found.hi_s)
    rate[used] = [_cny_per_s(gang, charge) for gang in gangs]
    return half[pool.choice], rate[pool.choice]


def _cny_per_s(gang: Gang, charge: Charge) -> float:
    cost = cost_of(gang.chip, gang.count, 1.0, (1.0, 1.0, 1.0), charge.prices)
    return charge.total_cny(cost, gang.count, 1.0)


def _set_quantiles(row: pd.DataFrame, wall_s: Floats, half: Floats, cny_per_s: Floats) -> None:
    """Set the days and the costs of a row to their quantiles over the draws."""
    finite = np.isfinite(wall_s)
    for names, scale in ((DAYS, np.full(len(wall_s), 1.0 / DAY_S)), (COSTS, cny_per_s)):
        middle = np.full(len(wall_s), np.inf)
        middle[finite] = wall_s[finite] * scale[finite]
        row.loc[0, list(names)] = mixture_quantiles(middle, half)


def _described(row: pd.DataFrame, fleet: FleetAt, pool: PoolDays) -> pd.DataFrame:
    """Return a row with the columns that tell what is there."""
    name = fleet.platform.cluster.pools[pool.pool].name
    return _there(row, name, pool.chips, float(np.median(pool.software)), pool.fits)


def _there(
    row: pd.DataFrame, pool: str, chips: Ints, software: float, possible: Bools
) -> pd.DataFrame:
    """Return a row with the columns of :data:`FLEET_COLUMNS`."""
    low, middle, high = np.quantile(chips, QUANTILES, method="inverted_cdf")
    return row.assign(
        pool=pool,
        chips_there=int(middle),
        chips_there_lo=int(low),
        chips_there_hi=int(high),
        software=software,
        chance=float(possible.mean()),
    )


def _without_gang(training: Training, fleet: FleetAt, pool: PoolDays) -> pd.DataFrame:
    """Return the row of a pool on which the training is not possible in any draw."""
    name = fleet.platform.cluster.pools[pool.pool].accelerator
    chip = fleet.platform.catalogue.accelerator(name)
    most = int(pool.chips.max())
    if most == 0:
        reason = "no chips are there"
    elif not pool.software.any():
        reason = fleet.obstacles[pool.pool]
    elif not pool.gangs:
        reason = f"at most {most:,} chips are there"
    else:
        largest = find_gangs(training, [pool.gangs[-1]])
        reason = largest.reasons[0] or "it makes no progress: it fails too often"
    row = pd.DataFrame({column: [np.nan] for column in COLUMNS}).astype(object)
    row = row.assign(
        model=training.model.name,
        accelerator=chip.name,
        count=max((gang.count for gang in pool.gangs), default=0),
        tokens=training.tokens,
        fits=False,
        precision="",
        plan="",
        reason=reason,
    )
    return _described(row, fleet, pool)


def span_row(
    training: Training,
    fleet: FleetAt,
    span: Span,
    charges: Sequence[Charge],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the row of a training over several pools.

    The interval is that of pools whose errors are the same: the mean of those of the parts, by
    their shares of the work. Model FLOPs utilisation is not stated.
    """
    order = np.argsort(span.wall_s, kind="stable")
    middle = int(order[(int(np.isfinite(span.wall_s).sum()) - 1) // 2])
    half, rate = np.zeros(len(span.wall_s)), np.zeros(len(span.wall_s))
    energy_kwh, gangs = 0.0, list[Gang]()
    for part, share in zip(span.parts, span.shares, strict=True):
        charge = charges[part.pool]
        own_half, own_rate = _of_draws(training, part, charge, seed)
        half += share * own_half
        rate += np.where(share > 0, own_rate, 0.0)
        if share[middle] > 0:
            gang, wall_s = part.chosen[middle], float(span.wall_s[middle])
            per_token = (wall_s, wall_s, wall_s)
            energy_kwh += cost_of(gang.chip, gang.count, 1.0, per_token, charge.prices).energy_kwh
            gangs.append(gang)
    found = find_gangs(training, gangs, seed=seed)
    row = _of_parts(training, span, found, middle).assign(energy_mwh=energy_kwh / KWH_PER_MWH)
    _set_quantiles(row, span.wall_s, half, rate)
    chips = np.sum([part.chips for part in span.parts], axis=0)
    names = [fleet.platform.cluster.pools[part.pool].name for part in span.parts]
    return _there(row, " + ".join(names), chips, np.nan, np.isfinite(span.wall_s))


def _of_parts(training: Training, span: Span, found: Gangs, middle: int) -> pd.DataFrame:
    """Return the columns of a training over several pools, in the draw with the median time."""
    saved, wall_s = span.interruptions, float(span.wall_s[middle])
    count = sum(gang.count for gang in found.gangs)
    values: dict[str, object] = {
        **dict.fromkeys((*COLUMNS,), np.nan),
        "model": training.model.name,
        "accelerator": " + ".join(gang.chip.name for gang in found.gangs),
        "count": count,
        "tokens": training.tokens,
        "fits": True,
        "precision": " + ".join(dict.fromkeys(found.precisions)),
        "plan": "; ".join(plan_text(plan) for plan in found.plans if plan is not None),
        "memory_bytes": float(found.memory_bytes.max()),
        "fit_probability": float(found.fit_probability.min()),
        "mttf_s": saved.mttf_s[middle],
        "checkpoint_interval_s": saved.interval_s[middle],
        "interruptions": wall_s / saved.mttf_s[middle],
        "ettr": saved.ettr[middle],
        "chip_hours": count * wall_s / SECONDS_PER_HOUR,
        "reason": "",
    }
    return pd.DataFrame({name: [value] for name, value in values.items()})
