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
from clustersim.catalogue import Accelerator, PlanningAssumptions
from clustersim.catalogue.assumptions import BUILT_IN, assumed
from clustersim.costs.integrals import HOURS, DailyRate, Rate
from clustersim.estimation.cost import JOULES_PER_KWH
from clustersim.files import FileModel
from clustersim.topology import Pool
from clustersim.units import Power

__all__ = ["EnergySpec", "PoolEnergy", "assumed_energy", "energy_rates"]

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

    pue: float | None = Field(
        None, ge=1, le=10, description="for this pool; by default that of all pools"
    )
    idle_share: float | None = Field(
        None, ge=0, le=1, description="for this pool; by default that of all pools"
    )
    load_factor: float | None = Field(
        None, ge=0, le=2, description="for this pool; by default that of all pools"
    )
    host_idle: Watts | None = Field(None, description="for this pool; by default that of all pools")
    host_busy: Watts | None = Field(None, description="for this pool; by default that of all pools")
    out_of_service: float | None = Field(
        None, ge=0, le=1, description="for this pool; by default that of all pools"
    )
    price_cny_per_kwh: Hourly | None = Field(
        None, description="for this pool; by default that of all pools"
    )
    carbon_g_per_kwh: Hourly | None = Field(
        None, description="for this pool; by default that of all pools"
    )
    source: str = Field("", description="where the numbers are from, or assumption")


class EnergySpec(FileModel):
    """What power accelerators and hosts draw, and what electricity costs; of a server of eight
    A100, with the share of its accelerators that are allocated, in between.

    The defaults are the planning assumptions (``clustersim catalogue --assumptions`` prints them
    with their sources), or what a file under ``catalogue`` says instead of them.
    """

    pue: float = Field(BUILT_IN.pue, ge=1, le=10, description=BUILT_IN.sources["pue"])
    idle_share: float = Field(
        BUILT_IN.idle_share,
        ge=0,
        le=1,
        description="power of an accelerator that is not allocated over its design power; "
        + BUILT_IN.sources["idle_share"],
    )
    load_factor: float = Field(
        BUILT_IN.load_factor, ge=0, le=2, description=BUILT_IN.sources["load_factor"]
    )
    host_idle: Watts = Field(
        BUILT_IN.host_idle,
        description="power of a node besides its accelerators, none of which is allocated; "
        + BUILT_IN.sources["host_idle"],
    )
    host_busy: Watts = Field(BUILT_IN.host_busy, description=BUILT_IN.sources["host_busy"])
    out_of_service: float = Field(
        BUILT_IN.out_of_service, ge=0, le=1, description=BUILT_IN.sources["out_of_service"]
    )
    price_cny_per_kwh: Hourly = Field(
        BUILT_IN.tariff_cny_per_kwh,
        description="one number, or one for each hour of the local day (see `start` and "
        "`time_zone`); " + BUILT_IN.sources["electricity_per_kwh"],
    )
    carbon_g_per_kwh: Hourly = Field(
        BUILT_IN.carbon_g_per_kwh,
        description="the same of carbon dioxide; " + BUILT_IN.sources["carbon_g_per_kwh"],
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


def assumed_energy(spec: EnergySpec, assumptions: PlanningAssumptions) -> EnergySpec:
    """Return energy in which the planning assumptions stand for what it does not say."""
    return assumed(spec, assumptions, price_cny_per_kwh="tariff_cny_per_kwh")


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
