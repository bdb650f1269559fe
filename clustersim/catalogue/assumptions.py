"""Planning assumptions: the prices, lifetime, tariffs and power shared by all cost estimates.

The numbers are in ``data/planning_assumptions.yaml``, each with its source. `clustersim estimate`,
the energy and money sections of scenarios, the metrics of studies, and plans read the numbers from
the catalogue (:attr:`clustersim.catalogue.Catalogue.assumptions`). A section ``assumptions:`` in a
user's catalogue file therefore changes all of these results together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
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
    "AssumedSection",
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
    """A mapping with the key `value`; a file may contain the bare value instead of the mapping."""

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


class SourcedValue(ValueAlone, Generic[Value]):
    """A value and its source; a file may contain the bare value instead."""

    value: Value = Field(description="the assumed value")
    source: str | None = Field(
        None, min_length=1, description="source of the value, or a text starting with assumption:"
    )


Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Life = Annotated[Duration, Field(ge=86400.0, le=100 * SECONDS_PER_YEAR)]


def _at_most(most: float) -> AfterValidator:
    """Return a validator that rejects amounts of money above `most`."""

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
    """Section ``assumptions`` of a catalogue file; omitted fields keep their values."""

    cny_per_usd: SourcedValue[Rate] | None = Field(None, description="exchange rate, CNY per USD")
    host_price: SourcedValue[HostPrice] | None = Field(
        None,
        description="price of a node without its accelerators; "
        "added if the price of a chip excludes the server",
    )
    life: SourcedValue[Life] | None = Field(
        None, description="lifetime for straight-line depreciation"
    )
    residual_share: SourcedValue[Share] | None = Field(
        None, description="residual value at the end of the lifetime, as a share of the price"
    )
    interest_per_year: SourcedValue[Share] | None = Field(
        None, description="interest rate on the value not yet written off"
    )
    site_share: SourcedValue[Annotated[float, Field(ge=0, le=10)]] | None = Field(
        None, description="price of network and buildings divided by the price of the servers"
    )
    switch_price: SourcedValue[HostPrice] | None = Field(
        None, description="price of a switch with 64 ports of 400 Gb/s, for designs of networks"
    )
    link_price: SourcedValue[HostPrice] | None = Field(
        None,
        description="price of a link of 400 Gb/s with the transceivers at both ends, for designs "
        "of networks",
    )
    pue: SourcedValue[Annotated[float, Field(ge=1, le=10)]] | None = Field(
        None, description="power of the site divided by the power of its nodes"
    )
    electricity_per_kwh: SourcedValue[PerKWh] | None = Field(None, description="price of a kWh")
    carbon_g_per_kwh: SourcedValue[Annotated[float, Field(ge=0, le=1e4)]] | None = Field(
        None, description="carbon dioxide emitted per kWh, in grams"
    )
    host_factor: SourcedValue[Annotated[float, Field(ge=1, le=10)]] | None = Field(
        None,
        description="maximum power of a node divided by the thermal design power of its chips",
    )
    load_factor: SourcedValue[Annotated[float, Field(ge=0, le=2)]] | None = Field(
        None,
        description="mean power of an allocated accelerator divided by its thermal design power",
    )
    idle_share: SourcedValue[Share] | None = Field(
        None, description="power of an idle accelerator divided by its thermal design power"
    )
    host_busy: SourcedValue[Watts] | None = Field(
        None,
        description="power of a node without its accelerators while all of them are allocated",
    )
    host_idle: SourcedValue[Watts] | None = Field(
        None,
        description="power of a node without its accelerators while none of them is allocated",
    )
    out_of_service: SourcedValue[Share] | None = Field(
        None, description="power of a node out of service divided by the power of an idle node"
    )


class AssumedSection(FileModel):
    """A section of a scenario in which planning assumptions replace the fields that are not set.

    It is written without these fields.  A default that is written would count as given when the
    section is read again, and the assumptions of a user's catalogue would not apply.
    """

    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names of the assumptions by field, where they are different."""

    @model_serializer(mode="wrap")
    def _as_given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        own = self.model_fields_set
        replaced = {*AssumptionsSection.model_fields, *self.renamed}
        return {name: each for name, each in written.items() if name in own or name not in replaced}


@dataclass(frozen=True, slots=True)
class PlanningAssumptions:
    """Prices, lifetime, tariffs and power shared by all cost estimates.

    :class:`AssumptionsSection` describes each number.

    Attributes
    ----------
    cny_per_usd : float
    host_price, switch_price, link_price, electricity_per_kwh : (float, str)
        Amount and currency: the price of a node without its accelerators, of a switch, of a link
        between switches, and of a kWh.
    life : float
        Lifetime for straight-line depreciation, in seconds.
    residual_share, interest_per_year, site_share, pue, carbon_g_per_kwh : float
    host_factor, load_factor, idle_share, out_of_service : float
    host_busy, host_idle : float
        Power in W.
    sources : mapping of str to str
        Source by attribute.
    own : frozenset of str
        Attributes that a user's file has replaced.

    Examples
    --------
    >>> import clustersim as cs
    >>> cs.load_catalogue().assumptions.pue
    1.3
    """

    cny_per_usd: float
    host_price: tuple[float, str]
    life: float
    residual_share: float
    interest_per_year: float
    site_share: float
    switch_price: tuple[float, str]
    link_price: tuple[float, str]
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
        """Convert an amount and its currency to yuan (CNY).

        Examples
        --------
        >>> import clustersim as cs
        >>> shown = cs.load_catalogue().assumptions
        >>> shown.cny((100.0, "CNY")), shown.cny((100.0, "USD")) == 100.0 * shown.cny_per_usd
        (100.0, True)
        """
        return money[0] * (self.cny_per_usd if money[1] == "USD" else 1.0)

    @property
    def tariff_cny_per_kwh(self) -> float:
        """Price of a kWh in yuan."""
        return self.cny(self.electricity_per_kwh)

    def replaced(self, section: AssumptionsSection, name: str) -> PlanningAssumptions:
        """Return a copy with the values that a section of a user's file sets.

        Parameters
        ----------
        section : AssumptionsSection
        name : str
            Name of the file; cited as the source of values without a source.

        Raises
        ------
        InputError
            If an idle chip or host would draw more power than a busy one.

        Examples
        --------
        >>> import clustersim as cs
        >>> file = cs.catalogue.CatalogueFile(assumptions={"pue": 1.15})
        >>> cs.load_catalogue().assumptions.replaced(file.assumptions, "mine.yaml").pue
        1.15
        """
        given = {key: getattr(section, key) for key in section.model_fields_set}
        given = {key: entry for key, entry in given.items() if entry is not None}
        default = f"assumption: {name} gives no source"
        changed = dataclasses.replace(
            self,
            **{key: entry.value for key, entry in given.items()},
            sources=MappingProxyType(
                {**self.sources, **{key: entry.source or default for key, entry in given.items()}}
            ),
            own=self.own | given.keys(),
        )
        for idle, busy in (("idle_share", "load_factor"), ("host_idle", "host_busy")):
            least, most = getattr(changed, idle), getattr(changed, busy)
            if least > most:
                raise InputError(
                    name, f"assumptions: {idle} ({least:g}) is above {busy} ({most:g})"
                )
        return changed

    def text(self, key: str) -> str:
        """Return the value of an assumption as text, with its unit.

        Examples
        --------
        >>> from clustersim.catalogue.assumptions import BUILT_IN
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
    given = {key: getattr(section, key) for key in AssumptionsSection.model_fields}
    return PlanningAssumptions(
        **{key: entry.value for key, entry in given.items()},
        sources=MappingProxyType({key: entry.source for key, entry in given.items()}),
    )


BUILT_IN = _built_in()
"""The assumptions of ``data/planning_assumptions.yaml``."""
CNY_PER_USD = BUILT_IN.cny_per_usd
"""Exchange rate (CNY per USD) at which the catalogue converts prices in dollars."""


def assumed(spec: Spec, assumptions: PlanningAssumptions, **names: str) -> Spec:
    """Return a section of a file with omitted fields set from the planning assumptions.

    Parameters
    ----------
    spec : FileModel
    assumptions : PlanningAssumptions
    **names : str
        Name of the assumption for each field of `spec` whose name is different.
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
    """Return the quoted price of a chip as (low, value, high) in CNY; None if no price is known."""
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
        Sets the exchange rate, and the price of the host if the chip's price excludes it.
    chips_per_node : int, optional
        Number of chips in a node; by default the `chips_per_node` of the chip.

    Returns
    -------
    tuple of float or None
        Low, value, high (CNY); None if no price is known.

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
    """Return the mean power of a busy chip with its share of the host, without cooling (W).

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
    """Return the maximum power of a node, without cooling (W)."""
    return (chips_per_node or chip.chips_per_node) * chip.power_w * assumptions.host_factor
