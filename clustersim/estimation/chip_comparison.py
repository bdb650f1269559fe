"""One job on several chips: step time and cost per token, with their uncertainty."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.catalogue import Accelerator, Catalogue, load_catalogue
from clustersim.estimation.cost import JOULES_PER_KWH, Prices
from clustersim.estimation.estimate import Estimate, estimate
from clustersim.performance import Calibration, Plans
from clustersim.performance.plans import describe_plan

__all__ = ["compare_chips"]

Array = NDArray[np.float64]

DRAWS = 2000
NORMAL_REACH = 1.645
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
    """Estimate jobs on each of some chips with the best plan.

    The bands of the step time are the 90 % intervals of :func:`clustersim.estimation.estimate`
    with the plan of the posterior mean kept; a hypothetical chip's have the range of its
    specification in them. Those of the cost are quantiles over draws of the step time, of the
    price between its low and high, and of a power that is only known as a range.

    Parameters
    ----------
    jobs : mapping of str to int
        Model by name, and chips of the job.
    accelerators : sequence of str
    precision : {"bf16", "fp8"}
    prices : Prices, optional
        By default the planning assumptions; a price of its own replaces the chips' ranges.
    calibration, catalogue : optional
        Default: the project's own.
    seed : int
        Of all draws.

    Returns
    -------
    DataFrame
        A row a job and chip: ``model, accelerator, chips, hypothetical, precision, step_time_s,
        lo_s, hi_s`` (90 %), ``mfu, tokens_per_s_per_chip``, ``cny_per_mtoken`` (of one million
        tokens; at the price that the catalogue takes), ``lo_cny, hi_cny`` (90 %),
        ``electricity_share`` of the cost, ``plan`` and ``reason`` (why none fits; numbers are nan
        then).
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
    half = np.log(best.hi_s / best.step_time_s) / NORMAL_REACH
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
) -> tuple[Array, Array]:
    """Capital and electricity of one chip with its server and second, or draws of shape (DRAWS,).

    Of the chip's power alone the range is known; its share of the host is as assumed.
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
