"""Duration, chip cost and electricity of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, PlanningAssumptions
from clustersim.catalogue.assumptions import (
    BUILT_IN,
    busy_power_w,
    server_price_cny,
)
from clustersim.errors import InputError
from clustersim.units import (
    SECONDS_PER_YEAR,
    format_duration,
    format_money,
    format_number,
    format_quantity,
)

__all__ = ["JOULES_PER_KWH", "Cost", "Prices", "cost_of"]

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Prices:
    """Prices and other assumptions about cost.

    Attributes
    ----------
    chip_cny : float or None
        Purchase price of one chip with its share of the server in CNY; None for the price in the
        planning assumptions.
    depreciation_years : float
        Period over which the price is spread, at full use.
    tariff_cny_per_kwh : float
        Electricity price.
    pue : float
        Power of the site divided by the power of its nodes, for cooling and conversion.
    assumptions : PlanningAssumptions
        Everything else: servers, network and buildings, interest, power of chips and hosts. The
        defaults of the other attributes are those of the built-in assumptions; :meth:`of` uses
        those of a catalogue.
    """

    chip_cny: float | None = None
    depreciation_years: float = BUILT_IN.life / SECONDS_PER_YEAR
    tariff_cny_per_kwh: float = BUILT_IN.tariff_cny_per_kwh
    pue: float = BUILT_IN.pue
    assumptions: PlanningAssumptions = BUILT_IN

    def __post_init__(self) -> None:
        values = {
            "price": 1.0 if self.chip_cny is None else self.chip_cny,
            "depreciation_years": self.depreciation_years,
            "tariff": self.tariff_cny_per_kwh,
            "pue": self.pue,
        }
        least = {"price": 0.0, "depreciation_years": 0.01, "tariff": 0.0, "pue": 1.0}
        problems = [
            f"{name}: must be {least[name]:g} or more, and at most 1e9, found {value:g}"
            for name, value in values.items()
            if not least[name] <= value <= 1e9
        ]
        if problems:
            raise InputError("prices", problems)

    @classmethod
    def of(cls, assumptions: PlanningAssumptions, **given: Any) -> Prices:
        """Return the prices from planning assumptions, with some values replaced by `given`."""
        assumed = {
            "depreciation_years": assumptions.life / SECONDS_PER_YEAR,
            "tariff_cny_per_kwh": assumptions.tariff_cny_per_kwh,
            "pue": assumptions.pue,
        }
        return cls(**{**assumed, **given}, assumptions=assumptions)

    def range_cny(self, chip: Accelerator) -> tuple[float, float, float] | None:
        """Return the low, assumed and high price of a chip with its share of the server."""
        if self.chip_cny is not None:
            return self.chip_cny, self.chip_cny, self.chip_cny
        return server_price_cny(chip, self.assumptions)

    def capital_per_second(self) -> float:
        """Return the cost of one second of use, divided by the price of a chip.

        The cost is the depreciation of the servers, their share of network and buildings, and
        interest on the mean value over the lifetime.
        """
        assumed = self.assumptions
        mean_held = 0.5 * (1.0 + assumed.residual_share)
        a_year = (1.0 - assumed.residual_share) / self.depreciation_years
        interest = assumed.interest_per_year * mean_held
        return (1.0 + assumed.site_share) * (a_year + interest) / SECONDS_PER_YEAR

    def power_w(self, chip: Accelerator) -> float:
        """Return the power of a busy chip with its share of the host, without cooling."""
        return busy_power_w(chip, self.assumptions)


@dataclass(frozen=True, repr=False)
class Cost(Brief):
    """Duration and cost of training on a number of tokens.

    Attributes
    ----------
    tokens : float
    seconds, lo_s, hi_s : float
        Duration with the 90 % interval of the step time; without failures, restarts or evaluations.
    chips_cny : float or None
        Share of the purchase price of chips and servers that the run uses up; None if no price is
        known.
    site_cny, interest_cny : float or None
        The same share for network and buildings, and interest on both.
    energy_kwh, energy_cny : float
        Energy of the busy chips and their hosts, multiplied by the overhead of the site (`pue`),
        and the cost of this energy.
    prices : Prices
        The assumed prices, including the chip price that was used.
    """

    tokens: float
    seconds: float
    lo_s: float
    hi_s: float
    chips_cny: float | None
    site_cny: float | None
    interest_cny: float | None
    energy_kwh: float
    energy_cny: float
    prices: Prices

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        total = self.total_cny
        return "Cost", {
            "tokens": format_number(self.tokens),
            "time": format_duration(self.seconds),
            "electricity": format_quantity(3.6e6 * self.energy_kwh, "energy"),
            "total": "" if total is None else format_money(total),
        }

    @property
    def total_cny(self) -> float | None:
        """Total cost; None if no price is known."""
        if self.chips_cny is None or self.site_cny is None or self.interest_cny is None:
            return None
        return self.chips_cny + self.site_cny + self.interest_cny + self.energy_cny


def cost_of(
    accelerator: Accelerator,
    count: int,
    tokens: float,
    seconds_per_token: tuple[float, float, float],
    prices: Prices,
) -> Cost:
    """Compute duration and cost for a number of tokens.

    Parameters
    ----------
    accelerator : Accelerator
    count : int
        Chips of the job.
    tokens : float
    seconds_per_token : tuple of float
        Seconds per token of the entire job: estimate and bounds of its interval.
    prices : Prices

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> chip = load_catalogue().accelerator("H200")
    >>> cost = cost_of(chip, 8, 1e9, (1e-5, 9e-6, 1.1e-5), Prices(chip_cny=200_000))
    >>> round(cost.seconds), round(cost.chips_cny), round(cost.energy_kwh)
    (10000, 127, 25)
    """
    seconds, lo_s, hi_s = (tokens * each for each in seconds_per_token)
    assumed = prices.assumptions
    known = prices.range_cny(accelerator)
    price = None if known is None else known[1]
    depreciation_s = prices.depreciation_years * SECONDS_PER_YEAR
    lived = seconds * (1.0 - assumed.residual_share) / depreciation_s
    chips = None if price is None else count * price * lived
    site = None if chips is None else chips * assumed.site_share
    interest = None
    if price is not None and chips is not None and site is not None:
        interest = count * price * prices.capital_per_second() * seconds - chips - site
        interest = interest if assumed.interest_per_year > 0 else 0.0
    energy_kwh = count * prices.power_w(accelerator) * prices.pue * seconds / JOULES_PER_KWH
    return Cost(
        tokens=tokens,
        seconds=seconds,
        lo_s=lo_s,
        hi_s=hi_s,
        chips_cny=chips,
        site_cny=site,
        interest_cny=interest,
        energy_kwh=energy_kwh,
        energy_cny=energy_kwh * prices.tariff_cny_per_kwh,
        prices=replace(prices, chip_cny=price),
    )
