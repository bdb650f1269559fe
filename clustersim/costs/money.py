"""The section ``money`` of a scenario: cost of owning or renting the fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from clustersim.array_types import Floats
from clustersim.calendar import Calendar
from clustersim.catalogue import Accelerator
from clustersim.catalogue.assumptions import BUILT_IN, AssumedSection, server_price_cny
from clustersim.costs.depreciation import Span, capital_rates
from clustersim.costs.integrals import DailyRate, Rate
from clustersim.errors import InputError, shown
from clustersim.files import FileModel
from clustersim.topology import Pool
from clustersim.units import SECONDS_PER_YEAR, Duration, Money, format_number

__all__ = [
    "MoneySpec",
    "PoolMoney",
    "money_rates",
    "purchase_price_cny",
]

SECONDS_PER_HOUR = 3600.0
MOST_CNY = 1e9
MONTH = "month"
_FOR_POOL = "value for this pool; by default the value for all pools"
Life = Annotated[Duration, Field(ge=86400.0, le=100 * SECONDS_PER_YEAR)]


def _month_or_duration(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        raise ValueError(
            f"must be `{MONTH}` or a duration of at least 1 h, such as 30 d; found {shown(value)}"
        ) from None


Period = Annotated[
    Literal["month"] | Annotated[Duration, Field(ge=SECONDS_PER_HOUR)],
    WrapValidator(_month_or_duration),
]


class PoolMoney(FileModel):
    """Values for one pool, which replace the values for all pools."""

    price: Money | None = Field(
        None,
        description="price of one accelerator with its share of the server; by default the price "
        "in the catalogue",
    )
    rent_per_hour: Money | None = Field(
        None,
        description="rent of one accelerator, used or not; it replaces all costs of ownership",
    )
    life: Life | None = Field(None, description=_FOR_POOL)
    host_price: Money | None = Field(None, description=_FOR_POOL)
    residual_share: float | None = Field(None, ge=0, le=1, description=_FOR_POOL)
    age: Duration = Field(0.0, ge=0, description="age of the nodes present at the start")
    source: str = Field("", description="source of the numbers, or `assumption`")

    @model_validator(mode="after")
    def _bought_or_rented(self) -> PoolMoney:
        if self.rent_per_hour is not None:
            for name in ("price", "life", "host_price", "residual_share"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} applies only to bought chips; remove it or rent_per_hour"
                    )
        for name in ("price", "rent_per_hour", "host_price"):
            _check_amount(name, getattr(self, name))
        return self


class MoneySpec(AssumedSection):
    """Cost of accelerators, servers, network and buildings.

    The defaults are the planning assumptions (``clustersim catalogue --assumptions`` prints them
    with their sources); a file under ``catalogue`` can replace them.
    """

    cny_per_usd: float = Field(
        BUILT_IN.cny_per_usd,
        gt=0,
        le=1000,
        description=f"exchange rate for prices in dollars; {BUILT_IN.sources['cny_per_usd']}",
    )
    life: Life = Field(
        BUILT_IN.life,
        description=BUILT_IN.sources["life"],
    )
    host_price: Money = Field(BUILT_IN.host_price, description=BUILT_IN.sources["host_price"])
    site_share: float = Field(
        BUILT_IN.site_share, ge=0, le=10, description=BUILT_IN.sources["site_share"]
    )
    residual_share: float = Field(
        BUILT_IN.residual_share, ge=0, le=1, description=BUILT_IN.sources["residual_share"]
    )
    interest_per_year: float = Field(
        BUILT_IN.interest_per_year,
        ge=0,
        le=1,
        description=BUILT_IN.sources["interest_per_year"],
    )
    period: Period = Field(
        MONTH,
        description="length of a row of the cost table, counted from time 0; month is a calendar "
        "month of the local clock if the run has a date (see `start`), otherwise 365.25 / 12 days",
    )
    pools: dict[str, PoolMoney] = Field(
        default_factory=dict, description="values for single pools, by name of the pool"
    )

    @model_validator(mode="after")
    def _amounts(self) -> MoneySpec:
        _check_amount("host_price", self.host_price)
        return self

    def cny(self, money: tuple[float, str]) -> float:
        """Convert an amount with its currency to CNY."""
        return money[0] * (self.cny_per_usd if money[1] == "USD" else 1.0)

    def periods_s(self, end_s: float, calendar: Calendar) -> Floats:
        """Return the start (seconds) of each period of the cost table, for a run until `end_s`."""
        if self.period == MONTH and calendar.is_dated:
            return np.concatenate([[0.0], calendar.month_edges_s(end_s)])
        period_s = SECONDS_PER_YEAR / 12 if self.period == MONTH else float(self.period)
        periods = np.arange(max(1, int(np.ceil(end_s / period_s))), dtype=np.float64)
        return periods * period_s

    def of(self, pool: str) -> PoolMoney:
        """Return the values that the scenario sets for one pool."""
        return self.pools.get(pool, PoolMoney())


def _check_amount(name: str, money: tuple[float, str] | None) -> None:
    if money is not None and money[0] > MOST_CNY:
        found = f"{format_number(money[0], 6)} {money[1]}"
        raise ValueError(f"{name} must be at most {format_number(MOST_CNY, 6)}, found {found}")


def purchase_price_cny(spec: MoneySpec, pool: Pool, chip: Accelerator) -> float:
    """Return the price (CNY) of one accelerator with its share of the server; 0 if it is rented.

    Raises
    ------
    InputError
        If neither the scenario nor the catalogue has the price.
    """
    own = spec.of(pool.name)
    if own.rent_per_hour is not None:
        return 0.0
    if own.price is not None:
        return spec.cny(own.price)
    if chip.price is None:
        raise InputError(
            "money",
            f"the price of {chip.name} is unknown; set money.pools.{pool.name}.price "
            "or rent_per_hour",
        )
    host = spec.host_price if own.host_price is None else own.host_price
    assumptions = replace(BUILT_IN, cny_per_usd=spec.cny_per_usd, host_price=host)
    price = server_price_cny(chip, assumptions, chips_per_node=pool.chips_per_node)
    assert price is not None, "the chip has a price, see above"
    return price[1]


def money_rates(
    spec: MoneySpec, pool: Pool, chip: Accelerator, spans: list[Span]
) -> dict[str, tuple[float, Rate]]:
    """Return the cost rates of one accelerator of a pool, which do not depend on its use.

    Parameters
    ----------
    spec : MoneySpec
    pool : Pool
    chip : Accelerator
        The chip of the pool.
    spans : list of Span
        The spans in which nodes of the pool are present.

    Returns
    -------
    dict
        A factor and the rate that it multiplies, by column (``depreciation_cny``, ``site_cny``,
        ``interest_cny``, ``rent_cny``).
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
