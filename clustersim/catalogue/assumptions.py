"""Planning assumptions: prices, life, tariffs and power that all estimates of cost share.

The numbers are in ``data/planning_assumptions.yaml``, each with its source. `clustersim estimate`,
the energy and money of scenarios, the metrics of studies and plans take them from the catalogue
(:attr:`clustersim.catalogue.Catalogue.assumptions`). A catalogue file of the user's own with a
section ``assumptions:`` therefore changes all of them together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from clustersim.catalogue.accelerator import Accelerator
from clustersim.errors import InputError
from clustersim.files import FileModel, read_yaml, validate
from clustersim.units import (
    SECONDS_PER_YEAR,
    Duration,
    Money,
    Power,
    format_duration,
    format_number,
)

__all__ = [
    "ASSUMPTIONS_FILE",
    "BUILT_IN",
    "CNY_PER_USD",
    "AssumptionsSection",
    "PlanningAssumptions",
    "assumed",
    "busy_power_w",
    "chip_price_cny",
    "full_power_w",
    "server_price_cny",
]

ASSUMPTIONS_FILE = Path(__file__).parent / "data" / "planning_assumptions.yaml"
Value = TypeVar("Value")
Spec = TypeVar("Spec", bound=FileModel)


class ValueAlone(FileModel):
    """A mapping with the key `value`, which a file may write alone."""

    @model_validator(mode="before")
    @classmethod
    def _value_alone(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"value": data}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [schema["properties"]["value"], schema]}


class Told(ValueAlone, Generic[Value]):
    """A value and its source; a file may write the value alone."""

    value: Value = Field(description="the value itself")
    source: str | None = Field(None, min_length=1, description="where it is from, or assumption")


Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Life = Annotated[Duration, Field(ge=86400.0, le=100 * SECONDS_PER_YEAR)]


def _at_most(most: float) -> AfterValidator:
    """Refuse more money than is sensible."""

    def check(money: tuple[float, str]) -> tuple[float, str]:
        if not money[0] <= most:
            found = f"{format_number(money[0], 6)} {money[1]}"
            raise ValueError(f"must be at most {format_number(most, 6)}, found {found}")
        return money

    return AfterValidator(check)


HostPrice = Annotated[Money, _at_most(1e9)]
PerKWh = Annotated[Money, _at_most(1e4)]
Watts = Annotated[Power, Field(ge=0, le=1e6)]


class AssumptionsSection(FileModel):
    """Section ``assumptions`` of a catalogue file; what it does not say stays as it was."""

    cny_per_usd: Told[Rate] | None = Field(None, description="yuan a dollar")
    host_price: Told[HostPrice] | None = Field(
        None, description="of a node besides its accelerators, where a price excludes the server"
    )
    life: Told[Life] | None = Field(None, description="of straight-line depreciation")
    residual_share: Told[Share] | None = Field(
        None, description="of the price that is left at the end of the life"
    )
    interest_per_year: Told[Share] | None = Field(
        None, description="on what is not written off yet"
    )
    site_share: Told[Annotated[float, Field(ge=0, le=10)]] | None = Field(
        None, description="price of network and buildings over that of the servers"
    )
    pue: Told[Annotated[float, Field(ge=1, le=10)]] | None = Field(
        None, description="power of the site over that of its nodes"
    )
    electricity_per_kwh: Told[PerKWh] | None = Field(None, description="price of a kWh")
    carbon_g_per_kwh: Told[Annotated[float, Field(ge=0, le=1e4)]] | None = Field(
        None, description="carbon dioxide of a kWh"
    )
    host_factor: Told[Annotated[float, Field(ge=1, le=10)]] | None = Field(
        None, description="most power of a node over the thermal design power of its chips"
    )
    load_factor: Told[Annotated[float, Field(ge=0, le=2)]] | None = Field(
        None, description="mean power of an allocated accelerator over its thermal design power"
    )
    idle_share: Told[Share] | None = Field(None, description="the same of one that is idle")
    host_busy: Told[Watts] | None = Field(
        None, description="power of a node besides its accelerators, all of them allocated"
    )
    host_idle: Told[Watts] | None = Field(None, description="the same, none of them allocated")
    out_of_service: Told[Share] | None = Field(
        None, description="power of a node out of service over that of an idle one"
    )


@dataclass(frozen=True, slots=True)
class PlanningAssumptions:
    """Prices, life, tariffs and power that all estimates of cost share.

    Attributes
    ----------
    cny_per_usd : float
    host_price, electricity_per_kwh : (float, str)
        Amount and currency; of a node besides its accelerators, and of a kWh.
    life : float
        Of straight-line depreciation, seconds.
    residual_share, interest_per_year, site_share, pue, carbon_g_per_kwh : float
    host_factor, load_factor, idle_share, out_of_service : float
    host_busy, host_idle : float
        W.
    sources : mapping of str to str
        By attribute.
    own : frozenset of str
        Attributes that a file of the user's own has replaced.
    """

    cny_per_usd: float
    host_price: tuple[float, str]
    life: float
    residual_share: float
    interest_per_year: float
    site_share: float
    pue: float
    electricity_per_kwh: tuple[float, str]
    carbon_g_per_kwh: float
    host_factor: float
    load_factor: float
    idle_share: float
    host_busy: float
    host_idle: float
    out_of_service: float
    sources: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def cny(self, money: tuple[float, str]) -> float:
        """Convert an amount with its currency to yuan."""
        return money[0] * (self.cny_per_usd if money[1] == "USD" else 1.0)

    @property
    def tariff_cny_per_kwh(self) -> float:
        """Price of a kWh in yuan."""
        return self.cny(self.electricity_per_kwh)

    def replaced(self, section: AssumptionsSection, name: str) -> PlanningAssumptions:
        """Return these with what a section of a user's file says.

        Parameters
        ----------
        section : AssumptionsSection
        name : str
            Of the file, for the source of what has none.

        Raises
        ------
        InputError
            If an idle chip or host would draw more than a busy one.
        """
        told = {key: getattr(section, key) for key in section.model_fields_set}
        told = {key: entry for key, entry in told.items() if entry is not None}
        default = f"assumption: {name} gives no source"
        changed = dataclasses.replace(
            self,
            **{key: entry.value for key, entry in told.items()},
            sources=MappingProxyType(
                {**self.sources, **{key: entry.source or default for key, entry in told.items()}}
            ),
            own=self.own | told.keys(),
        )
        for idle, busy in (("idle_share", "load_factor"), ("host_idle", "host_busy")):
            least, most = getattr(changed, idle), getattr(changed, busy)
            if least > most:
                raise InputError(
                    name, f"assumptions: {idle} ({least:g}) is above {busy} ({most:g})"
                )
        return changed

    def text(self, key: str) -> str:
        """Return a value with its unit.

        Examples
        --------
        >>> BUILT_IN.text("life"), BUILT_IN.text("host_price"), BUILT_IN.text("pue")
        ('4 yr', '32,010 USD', '1.3')
        """
        value = getattr(self, key)
        if isinstance(value, tuple):
            return f"{value[0]:,.10g} {value[1]}"
        if key == "life":
            years = value / SECONDS_PER_YEAR
            return f"{years:.3g} yr" if years >= 1 else format_duration(value)
        return (
            f"{value:,.6g} W" if key.startswith("host_") and key != "host_factor" else f"{value:g}"
        )


def _built_in() -> PlanningAssumptions:
    data = read_yaml(ASSUMPTIONS_FILE).get("assumptions", {})
    section = validate(AssumptionsSection, data, ASSUMPTIONS_FILE)
    told = {key: getattr(section, key) for key in AssumptionsSection.model_fields}
    return PlanningAssumptions(
        **{key: entry.value for key, entry in told.items()},
        sources=MappingProxyType({key: entry.source for key, entry in told.items()}),
    )


BUILT_IN = _built_in()
"""Of ``data/planning_assumptions.yaml``."""
CNY_PER_USD = BUILT_IN.cny_per_usd
"""At which the catalogue converts prices in dollars."""


def assumed(spec: Spec, assumptions: PlanningAssumptions, **names: str) -> Spec:
    """Return a part of a file in which assumptions stand for what it does not say.

    Parameters
    ----------
    spec : FileModel
    assumptions : PlanningAssumptions
    **names : str
        By field of `spec`, the attribute of the assumptions; by default that of the same name.
    """
    fields = {key: names.get(key, key) for key in type(spec).model_fields}
    values = {
        key: getattr(assumptions, name)
        for key, name in fields.items()
        if key not in spec.model_fields_set
        and (key in names or name in AssumptionsSection.model_fields)
    }
    return spec.model_copy(update=values)


def chip_price_cny(
    chip: Accelerator, assumptions: PlanningAssumptions
) -> tuple[float, float, float] | None:
    """Return the price of a chip as it is quoted: low, value, high (CNY); None if not known."""
    price = chip.price
    if price is None or chip.price_low is None or chip.price_high is None:
        return None
    rate = assumptions.cny_per_usd / CNY_PER_USD if chip.price_currency == "USD" else 1.0
    return chip.price_low * rate, price * rate, chip.price_high * rate


def server_price_cny(
    chip: Accelerator, assumptions: PlanningAssumptions, *, chips_per_node: int | None = None
) -> tuple[float, float, float] | None:
    """Return the price of a chip with its share of the server.

    Parameters
    ----------
    chip : Accelerator
    assumptions : PlanningAssumptions
        Of the host, where the price of the chip excludes its server, and of dollars.
    chips_per_node : int, optional
        By default the chip's own.

    Returns
    -------
    tuple of float or None
        Low, value, high (CNY); None where no price is known.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> [
    ...     round(server_price_cny(catalogue.accelerator(name), catalogue.assumptions)[1])
    ...     for name in ("H200", "SeedChip")
    ... ]
    [187500, 108809]
    """
    price = chip_price_cny(chip, assumptions)
    if price is None or chip.price_with_host:
        return price
    share = assumptions.cny(assumptions.host_price) / (chips_per_node or chip.chips_per_node)
    return price[0] + share, price[1] + share, price[2] + share


def busy_power_w(
    chip: Accelerator, assumptions: PlanningAssumptions, *, chips_per_node: int | None = None
) -> float:
    """Return the mean power of a chip that works with its share of the host, without cooling (W).

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> busy_power_w(load_catalogue().accelerator("H200"), BUILT_IN)  # 0.9 x 700 + 1,800 / 8
    855.0
    """
    share = assumptions.host_busy / (chips_per_node or chip.chips_per_node)
    return assumptions.load_factor * chip.power_w + share


def full_power_w(
    chip: Accelerator, assumptions: PlanningAssumptions, *, chips_per_node: int | None = None
) -> float:
    """Return the most power of a node, without cooling (W)."""
    return (chips_per_node or chip.chips_per_node) * chip.power_w * assumptions.host_factor
