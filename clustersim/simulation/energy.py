"""The part of a scenario that tells what power a fleet draws, and what electricity costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from clustersim.calendar import UNDATED, Calendar
from clustersim.calibration.cost import JOULES_PER_KWH, Prices
from clustersim.catalogue import Accelerator
from clustersim.files import FileModel
from clustersim.simulation.integrals import HOURS, DailyRate, Rate
from clustersim.topology import Pool
from clustersim.units import Power

__all__ = ["EnergySpec", "PoolEnergy", "energy_rates"]

GRAMS_PER_KG = 1000.0
MOST_WATTS, MOST_PER_KWH = 1e6, 1e4


def _one_message(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        found = f"a list of {len(value)}" if isinstance(value, list) else repr(value)
        told = f"must be a number from 0 to {MOST_PER_KWH:g}, or a list of {HOURS} (one an hour)"
        raise ValueError(f"{told}, found {found}") from None


PerKWh = Annotated[float, Field(ge=0, le=MOST_PER_KWH)]
Hourly = Annotated[
    PerKWh | Annotated[list[PerKWh], Field(min_length=HOURS, max_length=HOURS)],
    WrapValidator(_one_message),
]
Watts = Annotated[Power, Field(le=MOST_WATTS)]


class PoolEnergy(FileModel):
    """What differs in one pool."""

    pue: float | None = Field(None, ge=1, le=10)
    idle_share: float | None = Field(None, ge=0, le=1)
    load_factor: float | None = Field(None, ge=0, le=2)
    host_idle: Watts | None = None
    host_busy: Watts | None = None
    out_of_service: float | None = Field(None, ge=0, le=1)
    price_cny_per_kwh: Hourly | None = None
    carbon_g_per_kwh: Hourly | None = None
    source: str = ""


class EnergySpec(FileModel):
    """What power accelerators and hosts draw, and what electricity costs; of a server of eight
    A100, with the share of its accelerators that are allocated, in between.
    """

    pue: float = Field(
        Prices.pue,
        ge=1,
        le=10,
        description="power of the site over that of its servers; the limit for new large data "
        "centres in China (NDRC and others, December 2020)",
    )
    idle_share: float = Field(
        0.165,
        ge=0,
        le=1,
        description="power of an accelerator that is not allocated over its design power; A100 in "
        "Acme: 66 W of 400 W at the 25th percentile (arXiv 2403.07648, telemetry)",
    )
    load_factor: float = Field(
        0.9,
        ge=0,
        le=2,
        description="the same of one that is allocated; A100 in Acme: mean 371 W (Kalos) and 354 W "
        "(Seren) of those above 200 W",
    )
    host_idle: Watts = Field(
        1000.0,
        description="power of a node besides its accelerators, none of which is allocated; Acme's "
        "servers of eight A100: 1,512 W at the 10th percentile less eight idle A100",
    )
    host_busy: Watts = Field(
        1800.0,
        description="the same with all of them allocated; Acme: 4,284 to 5,418 W from the 75th to "
        "the 99th percentile less eight A100 of that percentile: 1,700 to 2,000 W",
    )
    out_of_service: float = Field(
        1.0,
        ge=0,
        le=1,
        description="power of a node that is there and out of service, over that of an idle one; "
        "assumption",
    )
    price_cny_per_kwh: Hourly = Field(
        Prices.tariff_cny_per_kwh,
        description="one number, or one for each hour of the local day (see `start` and "
        "`time_zone`); assumption: industrial tariffs in China lie between 0.4 and 0.9",
    )
    carbon_g_per_kwh: Hourly = Field(
        536.6,
        description="the same of carbon dioxide; mean of China's grids in 2022 (Ministry of "
        "Ecology and Environment, December 2024)",
    )
    pools: dict[str, PoolEnergy] = Field(default_factory=dict, description="what differs in a pool")

    @model_validator(mode="after")
    def _idle_draws_less(self) -> EnergySpec:
        for name in ("", *self.pools):
            told, where = self.of(name), f"pools.{name}: " if name else ""
            for idle, busy in (("idle_share", "load_factor"), ("host_idle", "host_busy")):
                least, most = getattr(told, idle), getattr(told, busy)
                if least > most:
                    raise ValueError(f"{where}{idle} ({least:g}) is above {busy} ({most:g})")
        return self

    def of(self, pool: str) -> EnergySpec:
        """Return what holds in a pool."""
        own = self.pools.get(pool)
        if own is None:
            return self
        return self.model_copy(update=own.model_dump(exclude_none=True, exclude={"source"}))


def energy_rates(
    spec: EnergySpec, pool: Pool, chip: Accelerator, calendar: Calendar = UNDATED
) -> dict[str, dict[str, tuple[float, Rate]]]:
    """Return what one accelerator of a pool draws, with its share of the host and of the site.

    Parameters
    ----------
    spec : EnergySpec
    pool : Pool
    chip : Accelerator
        Of the pool.
    calendar : Calendar
        What the local clock shows, for prices and carbon by the hour.

    Returns
    -------
    dict
        By use (``allocated``, ``idle``, ``out of service``), then by column (``energy_j``,
        ``electricity_cny``, ``carbon_kg``), a factor and the rate that it multiplies.

    Notes
    -----
    The power of a host rises in proportion to the share of its accelerators that are allocated
    (Fan, Weber & Barroso, "Power provisioning for a warehouse-sized computer", ISCA 2007, for the
    utilisation of processors), so that each accelerator has a power of its own.
    """
    told = spec.of(pool.name)
    busy_w = told.load_factor * chip.power_w + told.host_busy / pool.chips_per_node
    idle_w = told.idle_share * chip.power_w + told.host_idle / pool.chips_per_node
    watts = {"allocated": busy_w, "idle": idle_w, "out of service": told.out_of_service * idle_w}
    second = DailyRate(1.0)
    price = DailyRate(told.price_cny_per_kwh, calendar)
    carbon = DailyRate(told.carbon_g_per_kwh, calendar)
    found: dict[str, dict[str, tuple[float, Rate]]] = {}
    for use, power_w in watts.items():
        site_w = told.pue * power_w
        found[use] = {
            "energy_j": (site_w, second),
            "electricity_cny": (site_w / JOULES_PER_KWH, price),
            "carbon_kg": (site_w / JOULES_PER_KWH / GRAMS_PER_KG, carbon),
        }
    return found
