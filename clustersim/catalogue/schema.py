"""File format of the catalogue: accelerators and models with their sources."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from clustersim.catalogue.assumptions import AssumptionsSection
from clustersim.catalogue.hbm import HBM_GENERATIONS
from clustersim.files import FileModel
from clustersim.units import Bandwidth, Bytes, FlopRate, Money, Power

__all__ = [
    "AcceleratorEntry",
    "CatalogueEntry",
    "CatalogueFile",
    "ModelEntry",
    "PriceRange",
    "Sourced",
    "accelerator_schema",
]

Confidence = Literal["official", "press", "estimate"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Sourced(FileModel):
    """A number with its range, confidence and source; a file may write the number alone."""

    value: float
    low: float | None = None
    high: float | None = None
    confidence: Confidence = "estimate"
    source: Text | None = None

    least: ClassVar[float] = 0.0
    most: ClassVar[float] = float("inf")
    most_text: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"value": data}

    @field_validator("value", "low", "high")
    @classmethod
    def _plausible(cls, number: float | None) -> float | None:
        if number is not None and not cls.least < number <= cls.most:
            raise ValueError(
                f"must be more than 0 and at most {cls.most_text}, found {number:g} (SI)"
            )
        return number

    @model_validator(mode="after")
    def _ordered(self) -> Sourced:
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not low <= self.value <= high:
            raise ValueError(
                f"needs low <= value <= high, found {low:g}, {self.value:g}, {high:g} (SI)"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [schema["properties"]["value"], schema]}


class PeakRate(Sourced):
    """A dense peak, up to 100 PFLOP/s."""

    value: FlopRate
    low: FlopRate | None = None
    high: FlopRate | None = None
    most: ClassVar[float] = 1e17
    most_text: ClassVar[str] = "100 PFLOP/s"


class MemorySize(Sourced):
    """A capacity, up to 4 TB."""

    value: Bytes
    low: Bytes | None = None
    high: Bytes | None = None
    most: ClassVar[float] = 4e12
    most_text: ClassVar[str] = "4 TB"


class MemoryRate(Sourced):
    """A memory bandwidth, up to 100 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = None
    high: Bandwidth | None = None
    most: ClassVar[float] = 1e14
    most_text: ClassVar[str] = "100 TB/s"


class LinkRate(Sourced):
    """A link's bandwidth in one direction, up to 10 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = None
    high: Bandwidth | None = None
    most: ClassVar[float] = 1e13
    most_text: ClassVar[str] = "10 TB/s"


class ChipPower(Sourced):
    """A power, up to 20 kW."""

    value: Power
    low: Power | None = None
    high: Power | None = None
    most: ClassVar[float] = 2e4
    most_text: ClassVar[str] = "20 kW"


class PriceRange(FileModel):
    """What one chip costs."""

    low: Money
    value: Money | None = Field(None, description="what counts; by default the middle of the range")
    high: Money
    basis: str = ""
    with_host: bool = Field(False, description="whether the chip's share of its server is in it")
    confidence: Confidence = "estimate"
    source: Text | None = None

    @model_validator(mode="after")
    def _ordered(self) -> PriceRange:
        if self.low[1] != self.high[1]:
            raise ValueError(
                f"low and high need one currency, found {self.low[1]} and {self.high[1]}"
            )
        if not 0 < self.low[0] <= self.high[0] <= 1e8:
            raise ValueError("needs 0 < low <= high <= 1e8")
        if self.value is not None:
            if self.value[1] != self.low[1]:
                raise ValueError(
                    f"value and low need one currency, found {self.value[1]} and {self.low[1]}"
                )
            if not self.low[0] <= self.value[0] <= self.high[0]:
                raise ValueError("needs low <= value <= high")
        return self


class CatalogueEntry(FileModel):
    """What accelerators and models share; `source` is that of every field without its own."""

    extends: Text | None = None
    aliases: list[Text] = Field(default_factory=list)
    source: Text | None = None


class AcceleratorEntry(CatalogueEntry):
    """One accelerator. With `extends`, only what differs from the accelerator named."""

    vendor: Text | None = None
    family: Text | None = None
    year: Annotated[int, Field(ge=2000, le=2100)] | None = None
    hypothetical: bool = False
    reference_only: bool = False
    peak_flops: dict[Literal["bf16", "fp8"], PeakRate] | None = None
    hbm_type: str | None = None
    hbm_stacks: Annotated[int, Field(ge=1, le=16)] | None = None
    hbm_stacks_source: Text | None = None
    hbm_capacity: MemorySize | None = None
    hbm_bandwidth: MemoryRate | None = None
    scaleup_shape: Literal["switch", "mesh", "none"] | None = None
    scaleup_bandwidth: LinkRate | None = None
    scaleup_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    scaleup_source: Text | None = None
    nic_bandwidth: LinkRate | None = None
    chips_per_node: Annotated[int, Field(ge=1, le=1024)] | None = None
    chips_per_node_source: Text | None = None
    power: ChipPower | None = None
    price: PriceRange | None = None
    export_status: Text | None = None
    export_source: Text | None = None

    @field_validator("hbm_type")
    @classmethod
    def _known_spelling(cls, name: str | None) -> str | None:
        spelling = {key.lower(): key for key in HBM_GENERATIONS}
        return None if name is None else spelling.get(name.lower(), name)


Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]


class ModelEntry(CatalogueEntry):
    """One model. With `extends`, only what differs from the model named."""

    kind: Literal["language", "video-diffusion"] | None = None
    sources: dict[str, Text] = Field(default_factory=dict)
    layers: Annotated[int, Field(ge=1, le=2000)] | None = None
    hidden: Annotated[int, Field(ge=8, le=1_000_000)] | None = None
    heads: Annotated[int, Field(ge=1, le=10_000)] | None = None
    kv_heads: Annotated[int, Field(ge=1, le=10_000)] | None = None
    head_dim: Annotated[int, Field(ge=1, le=10_000)] | None = None
    ffn_hidden: Positive | None = None
    gated_mlp: bool | None = None
    vocab: Count | None = None
    tied_embeddings: bool | None = None
    seq_len: Positive | None = None
    n_experts: Annotated[int, Field(ge=0, le=100_000)] | None = None
    top_k: Annotated[int, Field(ge=0, le=10_000)] | None = None
    shared_experts: Annotated[int, Field(ge=0, le=1_000)] | None = None
    moe_layers: Annotated[int, Field(ge=0, le=2000)] | None = None
    expert_ffn_hidden: Count | None = None
    attention_params_per_layer: Annotated[float, Field(gt=0, le=1e13)] | None = None
    params: Annotated[float, Field(gt=0, le=1e15)] | None = None
    active_params: Annotated[float, Field(gt=0, le=1e15)] | None = None
    global_batch: Positive | None = None


class CatalogueFile(FileModel):
    """A catalogue: accelerators and models by name, and what all estimates of cost assume."""

    assumptions: AssumptionsSection | None = None
    prices: dict[Text, PriceRange] = Field(
        default_factory=dict, description="of chips of the catalogue, instead of their own"
    )
    accelerators: dict[Text, AcceleratorEntry] = Field(default_factory=dict)
    models: dict[Text, ModelEntry] = Field(default_factory=dict)


def accelerator_schema() -> dict[str, Any]:
    """Return the JSON Schema of a catalogue file.

    Examples
    --------
    >>> sorted(accelerator_schema()["properties"])
    ['accelerators', 'assumptions', 'models', 'prices']
    """
    return CatalogueFile.model_json_schema()
