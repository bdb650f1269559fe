"""The section ``energy`` of a scenario: power of the fleet and cost of electricity."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from clustersim.calendar import UNDATED, Calendar
from clustersim.catalogue import Accelerator, PlanningAssumptions
from clustersim.catalogue.assumptions import BUILT_IN, AssumedSection, assumed
from clustersim.costs.integrals import HOURS, DailyRate, Rate
from clustersim.estimation.cost import JOULES_PER_KWH
from clustersim.files import FileModel
from clustersim.topology import Pool
from clustersim.units import Power

__all__ = ["EnergySpec", "PoolEnergy", "assumed_energy", "energy_rates"]

GRAMS_PER_KG = 1000.0
MOST_WATTS, MOST_PER_KWH = 1e6, 1e4
_FOR_POOL = "value for this pool; by default the value for all pools"


def _one_message(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        found = f"a list of {len(value)} values" if isinstance(value, list) else repr(value)
        raise ValueError(
            f"must be a number from 0 to {MOST_PER_KWH:g}, or a list of {HOURS} numbers (one per "
            f"hour), found {found}"
        ) from None


PerKWh = Annotated[float, Field(ge=0, le=MOST_PER_KWH)]
Hourly = Annotated[
    PerKWh | Annotated[list[PerKWh], Field(min_length=HOURS, max_length=HOURS)],
    WrapValidator(_one_message),
]
Watts = Annotated[Power, Field(le=MOST_WATTS)]


class PoolEnergy(FileModel):
    """Values for one pool, which replace the values for all pools."""

    pue: float | None = Field(None, ge=1, le=10, description=_FOR_POOL)
    idle_share: float | None = Field(None, ge=0, le=1, description=_FOR_POOL)
    load_factor: float | None = Field(None, ge=0, le=2, description=_FOR_POOL)
    host_idle: Watts | None = Field(None, description=_FOR_POOL)
    host_busy: Watts | None = Field(None, description=_FOR_POOL)
    out_of_service: float | None = Field(None, ge=0, le=1, description=_FOR_POOL)
    price_cny_per_kwh: Hourly | None = Field(None, description=_FOR_POOL)
    carbon_g_per_kwh: Hourly | None = Field(None, description=_FOR_POOL)
    source: str = Field("", description="source of the numbers, or `assumption`")


class EnergySpec(AssumedSection):
    """Power of accelerators and hosts, and cost of electricity.

    The power of a host lies between `host_idle` and `host_busy`, in proportion to the share of its
    accelerators that are allocated. The defaults are the planning assumptions (``clustersim
    catalogue --assumptions`` prints them with their sources); a file under ``catalogue`` can
    replace them.
    """

    renamed: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"price_cny_per_kwh": "tariff_cny_per_kwh"}
    )

    pue: float = Field(BUILT_IN.pue, ge=1, le=10, description=BUILT_IN.sources["pue"])
    idle_share: float = Field(
        BUILT_IN.idle_share,
        ge=0,
        le=1,
        description=BUILT_IN.sources["idle_share"],
    )
    load_factor: float = Field(
        BUILT_IN.load_factor, ge=0, le=2, description=BUILT_IN.sources["load_factor"]
    )
    host_idle: Watts = Field(BUILT_IN.host_idle, description=BUILT_IN.sources["host_idle"])
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
        description="one number, or one for each hour of the local day; "
        + BUILT_IN.sources["carbon_g_per_kwh"],
    )
    pools: dict[str, PoolEnergy] = Field(
        default_factory=dict, description="values for single pools, by name of the pool"
    )

    @model_validator(mode="after")
    def _idle_draws_less(self) -> EnergySpec:
        for name in ("", *self.pools):
            values, where = self.of(name), f"pools.{name}: " if name else ""
            for idle, busy in (("idle_share", "load_factor"), ("host_idle", "host_busy")):
                least, most = getattr(values, idle), getattr(values, busy)
                if least > most:
                    raise ValueError(f"{where}{idle} ({least:g}) is above {busy} ({most:g})")
        return self

    def of(self, pool: str) -> EnergySpec:
        """Return the values that apply to a pool."""
        own = self.pools.get(pool)
        if own is None:
            return self
        return self.model_copy(update=own.model_dump(exclude_none=True, exclude={"source"}))


def assumed_energy(spec: EnergySpec, assumptions: PlanningAssumptions) -> EnergySpec:
    """Return the section with missing values replaced by the planning assumptions."""
    return assumed(spec, assumptions, **EnergySpec.renamed)


def energy_rates(
    spec: EnergySpec, pool: Pool, chip: Accelerator, calendar: Calendar = UNDATED
) -> dict[str, dict[str, tuple[float, Rate]]]:
    """Return the rates of energy, electricity cost and carbon dioxide of one accelerator.

    They include the accelerator's share of the host and of the site.

    Parameters
    ----------
    spec : EnergySpec
    pool : Pool
    chip : Accelerator
        The chip of the pool.
    calendar : Calendar
        The local clock, for hourly prices and carbon intensities.

    Returns
    -------
    dict
        A factor and the rate that it multiplies, by use (``allocated``, ``idle``, ``out of
        service``) and by column (``energy_j``, ``electricity_cny``, ``carbon_kg``).

    Notes
    -----
    The power of a host rises in proportion to the share of its accelerators that are allocated
    (Fan, Weber & Barroso, "Power provisioning for a warehouse-sized computer", ISCA 2007, for the
    utilisation of processors). The power of one accelerator therefore does not depend on the
    others.
    """
    values = spec.of(pool.name)
    busy_w = values.load_factor * chip.power_w + values.host_busy / pool.chips_per_node
    idle_w = values.idle_share * chip.power_w + values.host_idle / pool.chips_per_node
    watts = {"allocated": busy_w, "idle": idle_w, "out of service": values.out_of_service * idle_w}
    second = DailyRate(1.0)
    price = DailyRate(values.price_cny_per_kwh, calendar)
    carbon = DailyRate(values.carbon_g_per_kwh, calendar)
    found: dict[str, dict[str, tuple[float, Rate]]] = {}
    for use, power_w in watts.items():
        site_w = values.pue * power_w
        found[use] = {
            "energy_j": (site_w, second),
            "electricity_cny": (site_w / JOULES_PER_KWH, price),
            "carbon_kg": (site_w / JOULES_PER_KWH / GRAMS_PER_KG, carbon),
        }
    return found
