"""What a training run takes in days, chips and electricity."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.catalogue import Accelerator
from clustersim.errors import InputError

__all__ = ["Cost", "Prices", "cost_of"]

SECONDS_PER_YEAR = 365.25 * 86400.0
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Prices:
    """What money is assumed.

    Attributes
    ----------
    chip_cny : float or None
        Purchase price of one chip in CNY; None for the middle of the catalogue's range.
    depreciation_years : float
        Over which the price is spread, at full use. Four years: between the three to six that
        operators of such fleets state.
    tariff_cny_per_kwh : float
        Price of electricity. An assumption: industrial tariffs in China lie between 0.4 and 0.9.
    pue : float
        Power of the site over that of the chips' own. An assumption, for cooling and conversion.
    """

    chip_cny: float | None = None
    depreciation_years: float = 4.0
    tariff_cny_per_kwh: float = 0.6
    pue: float = 1.3

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


@dataclass(frozen=True)
class Cost:
    """Time and money for a number of tokens.

    Attributes
    ----------
    tokens : float
    seconds, lo_s, hi_s : float
        With the 90 % interval of the step time; no failures, restarts or evaluations.
    chips_cny : float or None
        Share of the purchase that the run uses up; None where no price is known.
    energy_kwh, energy_cny : float
        Of the chips at their thermal design power, times the site's overhead.
    prices : Prices
        What was assumed (with the price of the chip that was used).
    """

    tokens: float
    seconds: float
    lo_s: float
    hi_s: float
    chips_cny: float | None
    energy_kwh: float
    energy_cny: float
    prices: Prices

    @property
    def total_cny(self) -> float | None:
        """Chips and electricity; None where no price is known."""
        return None if self.chips_cny is None else self.chips_cny + self.energy_cny


def cost_of(
    accelerator: Accelerator,
    count: int,
    tokens: float,
    seconds_per_token: tuple[float, float, float],
    prices: Prices,
) -> Cost:
    """Work out days and money for a number of tokens.

    Parameters
    ----------
    accelerator : Accelerator
    count : int
        Chips of the job.
    tokens : float
    seconds_per_token : tuple of float
        Of the whole job: estimate, and bounds of its interval.
    prices : Prices

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> chip = load_catalogue().accelerator("H200")
    >>> cost = cost_of(chip, 8, 1e9, (1e-5, 9e-6, 1.1e-5), Prices(chip_cny=200_000))
    >>> round(cost.seconds), round(cost.chips_cny), round(cost.energy_kwh)
    (10000, 127, 20)
    """
    seconds, lo_s, hi_s = (tokens * each for each in seconds_per_token)
    price = accelerator.price if prices.chip_cny is None else prices.chip_cny
    share = seconds / (prices.depreciation_years * SECONDS_PER_YEAR)
    energy_kwh = count * accelerator.power_w * prices.pue * seconds / JOULES_PER_KWH
    return Cost(
        tokens=tokens,
        seconds=seconds,
        lo_s=lo_s,
        hi_s=hi_s,
        chips_cny=None if price is None else count * price * share,
        energy_kwh=energy_kwh,
        energy_cny=energy_kwh * prices.tariff_cny_per_kwh,
        prices=Prices(price, prices.depreciation_years, prices.tariff_cny_per_kwh, prices.pue),
    )
