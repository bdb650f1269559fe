"""The part of a scenario that tells what a fleet costs to own or to rent."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from clustersim.calendar import Calendar
from clustersim.calibration.cost import SECONDS_PER_YEAR, Prices
from clustersim.catalogue import CNY_PER_USD, Accelerator
from clustersim.errors import InputError
from clustersim.files import FileModel
from clustersim.simulation.integrals import DailyRate, Rate
from clustersim.simulation.ownership import Span, capital_rates
from clustersim.topology import Pool
from clustersim.units import Duration, Money

__all__ = [
    "HOST_PRICE",
    "MoneySpec",
    "PoolMoney",
    "catalogue_price_cny",
    "money_rates",
    "purchase_price_cny",
]

SECONDS_PER_HOUR = 3600.0
MOST_CNY = 1e9
HOST_PRICE = (32_010.0, "USD")
"""Of a node besides its accelerators: SemiAnalysis' breakdown of a DGX H100, May 2023."""
MONTH = "month"
Life = Annotated[Duration, Field(ge=86400.0, le=100 * SECONDS_PER_YEAR)]


def _month_or_duration(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        told = f"must be {MONTH}, or a duration of at least 1 h such as 30 d, found {value!r}"
        raise ValueError(told) from None


Period = Annotated[
    Literal["month"] | Annotated[Duration, Field(ge=SECONDS_PER_HOUR)],
    WrapValidator(_month_or_duration),
]


class PoolMoney(FileModel):
    """What differs in one pool."""

    price: Money | None = Field(
        None, description="of one accelerator with its share of the server; else the catalogue's"
    )
    rent_per_hour: Money | None = Field(
        None, description="of one accelerator, used or not, in the place of all of ownership"
    )
    life: Life | None = None
    host_price: Money | None = None
    residual_share: float | None = Field(None, ge=0, le=1)
    age: Duration = Field(0.0, ge=0, description="of the nodes that are there from the begin")
    source: str = ""

    @model_validator(mode="after")
    def _bought_or_rented(self) -> PoolMoney:
        if self.rent_per_hour is not None:
            for name in ("price", "life", "host_price", "residual_share"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is of what is bought; it does not go with rent")
        for name in ("price", "rent_per_hour", "host_price"):
            _check_amount(name, getattr(self, name))
        return self


class MoneySpec(FileModel):
    """What accelerators, servers, network and buildings cost."""

    cny_per_usd: float = Field(
        CNY_PER_USD,
        gt=0,
        le=1000,
        description="of prices in dollars; the default is the ratio of the reports that the prices "
        "are from",
    )
    life: Life = Field(
        Prices.depreciation_years * SECONDS_PER_YEAR,
        description="over which the price is written off evenly; between the three to six years "
        "that operators state",
    )
    host_price: Money = Field(
        HOST_PRICE,
        description="of a node besides its accelerators, where the catalogue's price is the "
        "chip's alone; SemiAnalysis' breakdown of a DGX H100, May 2023",
    )
    site_share: float = Field(
        0.2,
        ge=0,
        le=10,
        description="price of network and buildings over that of the servers, written off with "
        "them; assumption",
    )
    residual_share: float = Field(
        0.0, ge=0, le=1, description="of the price that is left at the end of the life; assumption"
    )
    interest_per_year: float = Field(
        0.0, ge=0, le=1, description="on what is not written off yet; by default none"
    )
    period: Period = Field(
        MONTH,
        description="of a row of the table of costs, counted from time 0; month: a calendar month "
        "of the local clock where the run has a date (see `start`), else 365.25 / 12 days",
    )
    pools: dict[str, PoolMoney] = Field(default_factory=dict, description="what differs in a pool")

    @model_validator(mode="after")
    def _amounts(self) -> MoneySpec:
        _check_amount("host_price", self.host_price)
        return self

    def cny(self, money: tuple[float, str]) -> float:
        """Convert an amount with its currency."""
        return money[0] * (self.cny_per_usd if money[1] == "USD" else 1.0)

    def periods_s(self, end_s: float, calendar: Calendar) -> npt.NDArray[np.float64]:
        """Return when the periods of the table of costs begin, in a run that ends at `end_s`."""
        if self.period == MONTH and calendar.is_dated:
            return np.concatenate([[0.0], calendar.month_edges_s(end_s)])
        period_s = SECONDS_PER_YEAR / 12 if self.period == MONTH else float(self.period)
        periods = np.arange(max(1, int(np.ceil(end_s / period_s))), dtype=np.float64)
        return periods * period_s

    def of(self, pool: str) -> PoolMoney:
        """Return what holds in a pool alone."""
        return self.pools.get(pool, PoolMoney())


def _check_amount(name: str, money: tuple[float, str] | None) -> None:
    if money is not None and money[0] > MOST_CNY:
        raise ValueError(f"{name} must be at most {MOST_CNY:g}, found {money[0]:g} {money[1]}")


def purchase_price_cny(spec: MoneySpec, pool: Pool, chip: Accelerator) -> float:
    """Return the price of one accelerator of a pool with its share of the server; 0 if rented.

    Raises
    ------
    InputError
        If neither the scenario nor the catalogue knows it.
    """
    own = spec.of(pool.name)
    if own.rent_per_hour is not None:
        return 0.0
    if own.price is not None:
        return spec.cny(own.price)
    if chip.price is None:
        raise InputError(
            "money",
            f"the price of {chip.name} is not known; give money.pools.{pool.name}.price "
            "or rent_per_hour",
        )
    host = spec.host_price if own.host_price is None else own.host_price
    share_cny = spec.cny(host) / pool.chips_per_node
    return catalogue_price_cny(chip, cny_per_usd=spec.cny_per_usd, host_share_cny=share_cny)


def catalogue_price_cny(chip: Accelerator, *, cny_per_usd: float, host_share_cny: float) -> float:
    """Return the catalogue's price of an accelerator with its share of the server.

    Parameters
    ----------
    chip : Accelerator
        One that has a price.
    cny_per_usd : float
        Of prices in dollars.
    host_share_cny : float
        Its share of the server, where the catalogue's price is the chip's alone.
    """
    assert chip.price is not None, "the caller has looked"
    rate = cny_per_usd / CNY_PER_USD if chip.price_currency == "USD" else 1.0
    return chip.price * rate + (0.0 if chip.price_with_host else host_share_cny)


def money_rates(
    spec: MoneySpec, pool: Pool, chip: Accelerator, spans: list[Span]
) -> dict[str, tuple[float, Rate]]:
    """Return what one accelerator of a pool costs whether it is used or not.

    Parameters
    ----------
    spec : MoneySpec
    pool : Pool
    chip : Accelerator
        Of the pool.
    spans : list of Span
        When nodes of the pool were there.

    Returns
    -------
    dict
        By column (``depreciation_cny``, ``site_cny``, ``interest_cny``, ``rent_cny``), a factor and
        the rate that it multiplies.
    """
    own = spec.of(pool.name)
    life_s = spec.life if own.life is None else own.life
    residual = spec.residual_share if own.residual_share is None else own.residual_share
    price = purchase_price_cny(spec, pool, chip)
    rent = 0.0 if own.rent_per_hour is None else spec.cny(own.rent_per_hour) / SECONDS_PER_HOUR
    written_off, held = capital_rates(spans, life_s=life_s, residual_share=residual)
    interest = spec.interest_per_year / SECONDS_PER_YEAR
    return {
        "depreciation_cny": (price, written_off),
        "site_cny": (price * spec.site_share, written_off),
        "interest_cny": (price * (1.0 + spec.site_share) * interest, held),
        "rent_cny": (rent, DailyRate(1.0)),
    }
