"""Comparison of chips on the same jobs: step time and cost per token, with intervals."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Catalogue, load_catalogue
from clustersim.estimation.cost import JOULES_PER_KWH, Prices
from clustersim.estimation.estimate import estimate
from clustersim.estimation.estimate_result import Estimate
from clustersim.performance import Calibration, Plans
from clustersim.performance.plans import describe_plan

__all__ = ["compare_chips"]


DRAWS = 2000
NORMAL_COVERAGE_FACTOR = 1.645
MILLION = 1e6


def compare_chips(
    jobs: Mapping[str, int],
    accelerators: Sequence[str],
    *,
    precision: str = "bf16",
    prices: Prices | None = None,
    calibration: Calibration | None = None,
    catalogue: Catalogue | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate jobs on each of several chips, each job with its best plan.

    The intervals of the step time are the 90 % intervals of :func:`clustersim.estimation.estimate`,
    for the best plan of the posterior mean. For a hypothetical chip, they include the range of its
    specification. The intervals of the cost are quantiles over draws of the step time, of the price
    between its low and high value, and of the power if only a range of it is known.

    Parameters
    ----------
    jobs : mapping of str to int
        Number of chips of each job, by the name of its model.
    accelerators : sequence of str
    precision : {"bf16", "fp8"}
    prices : Prices, optional
        Default: the planning assumptions. A price given here replaces the price range of each chip.
    calibration, catalogue : optional
        Default: the project's own.
    seed : int
        Seed of all draws.

    Returns
    -------
    DataFrame
        One row per job and chip: ``model, accelerator, chips, hypothetical, precision,
        step_time_s, lo_s, hi_s`` (90 %), ``mfu, tokens_per_s_per_chip``, ``cny_per_mtoken`` (cost
        of one million tokens at the catalogue's price), ``lo_cny, hi_cny`` (90 %),
        ``electricity_share`` of the cost, ``plan``, and ``reason`` (why no plan fits; the numbers
        are then nan).

    Examples
    --------
    >>> import clustersim as cs
    >>> table = cs.estimation.compare_chips({"llama3-8b": 8}, ["H200", "H20"])
    >>> table.sort_values("cny_per_mtoken")["accelerator"].to_list()
    ['H200', 'H20']
    """
    known = load_catalogue() if catalogue is None else catalogue
    money = Prices.of(known.assumptions) if prices is None else prices
    records = []
    for model, count in jobs.items():
        for name in accelerators:
            found = estimate(
                model,
                name,
                count,
                precision=precision,
                calibration=calibration,
                catalogue=known,
                seed=seed,
            )
            records.append(_record(found, money, seed))
    return pd.DataFrame(records)


def _record(found: Estimate, prices: Prices, seed: int) -> dict[str, object]:
    chip, best = found.accelerator, found.best
    record: dict[str, object] = {
        "model": found.model.name,
        "accelerator": chip.name,
        "chips": found.count,
        "hypothetical": chip.hypothetical,
        "precision": found.precision,
    }
    if best is None:
        return {**record, "reason": found.reason}
    per_step = _cny_per_chip_second(chip, prices, None)
    tokens = found.tokens_per_step / MILLION
    half = np.log(best.hi_s / best.step_time_s) / NORMAL_COVERAGE_FACTOR
    key = zlib.crc32(f"{found.model.name}\t{chip.name}".encode())
    generator = np.random.default_rng(np.random.SeedSequence([seed, key]))
    seconds = best.step_time_s * np.exp(half * generator.standard_normal(DRAWS))
    drawn = sum(_cny_per_chip_second(chip, prices, generator)) * seconds * found.count / tokens
    low, high = np.quantile(drawn, (0.05, 0.95))
    total = sum(per_step) * best.step_time_s * found.count / tokens
    plan = Plans.of(**{name: [float(value)] for name, value in best.plan.items()})
    return {
        **record,
        "step_time_s": best.step_time_s,
        "lo_s": best.lo_s,
        "hi_s": best.hi_s,
        "mfu": best.mfu,
        "tokens_per_s_per_chip": best.tokens_per_s / found.count,
        "cny_per_mtoken": float(total),
        "lo_cny": float(low),
        "hi_cny": float(high),
        "electricity_share": float(per_step[1] / sum(per_step)),
        "plan": describe_plan(plan, 0),
        "reason": found.reason,
    }


def _cny_per_chip_second(
    chip: Accelerator, prices: Prices, generator: np.random.Generator | None
) -> tuple[Floats, Floats]:
    """Return the capital and electricity cost in CNY per second of a chip with its server.

    If `generator` is given, each cost is an array of DRAWS draws. The power of the chip may be
    known only as a range. The power of its host is taken from the planning assumptions.
    """
    low, value, high = prices.range_cny(chip) or (np.nan, np.nan, np.nan)
    least, most = chip.ranges.get("power_w", (chip.power_w, chip.power_w))
    if generator is None:
        price, extra = np.array(value), np.zeros(())
    else:
        price = low + (high - low) * generator.random(DRAWS)
        extra = least + (most - least) * generator.random(DRAWS) - chip.power_w
    power = prices.power_w(chip) + prices.assumptions.load_factor * extra
    bought = price * prices.capital_per_second()
    return bought, power * prices.pue * prices.tariff_cny_per_kwh / JOULES_PER_KWH
