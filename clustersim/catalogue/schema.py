"""File format of the catalogue: accelerators and models with their sources."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from clustersim.catalogue.assumptions import AssumptionsSection, ValueAlone
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
]

Confidence = Literal["official", "press", "estimate"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Sourced(ValueAlone):
    """A number with its range, confidence and source; a file may write the number alone."""

    value: float
    low: float | None = None
    high: float | None = None
    confidence: Confidence = Field("estimate", description="how good the source is")
    source: Text | None = Field(None, description="where the numbers are from, or assumption")

    least: ClassVar[float] = 0.0
    most: ClassVar[float] = float("inf")
    most_text: ClassVar[str] = ""

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


class PeakRate(Sourced):
    """A dense peak, up to 100 PFLOP/s."""

    value: FlopRate
    low: FlopRate | None = Field(None, description="low end of the range; by default the value")
    high: FlopRate | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e17
    most_text: ClassVar[str] = "100 PFLOP/s"


class MemorySize(Sourced):
    """A capacity, up to 4 TB."""

    value: Bytes
    low: Bytes | None = Field(None, description="low end of the range; by default the value")
    high: Bytes | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 4e12
    most_text: ClassVar[str] = "4 TB"


class MemoryRate(Sourced):
    """A memory bandwidth, up to 100 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = Field(None, description="low end of the range; by default the value")
    high: Bandwidth | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e14
    most_text: ClassVar[str] = "100 TB/s"


class LinkRate(Sourced):
    """A link's bandwidth in one direction, up to 10 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = Field(None, description="low end of the range; by default the value")
    high: Bandwidth | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e13
    most_text: ClassVar[str] = "10 TB/s"


class ChipPower(Sourced):
    """A power, up to 20 kW."""

    value: Power
    low: Power | None = Field(None, description="low end of the range; by default the value")
    high: Power | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 2e4
    most_text: ClassVar[str] = "20 kW"


class PriceRange(FileModel):
    """What one chip costs."""

    low: Money = Field(description="low end of the range")
    value: Money | None = Field(None, description="what counts; by default the middle of the range")
    high: Money = Field(description="high end of the range")
    basis: str = Field(
        "", description="what the price is of, such as one chip of a server of eight"
    )
    with_host: bool = Field(False, description="whether the chip's share of its server is in it")
    confidence: Confidence = Field("estimate", description="how good the source is")
    source: Text | None = Field(None, description="where the numbers are from, or assumption")

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

    extends: Text | None = Field(
        None, description="an entry to take from what this one does not say"
    )
    aliases: list[Text] = Field(default_factory=list, description="other names of the entry")
    source: Text | None = Field(
        None, description="where the numbers without a source of their own are from"
    )


class AcceleratorEntry(CatalogueEntry):
    """One accelerator. With `extends`, only what differs from the accelerator named."""

    vendor: Text | None = Field(None, description="who designs the chip")
    family: Text | None = Field(None, description="chips whose measured efficiency is alike")
    year: Annotated[int, Field(ge=2000, le=2100)] | None = Field(None, description="of its release")
    hypothetical: bool = Field(False, description="whether the chip has no published specification")
    reference_only: bool = Field(
        False, description="whether the chip is only a reference for published training runs"
    )
    peak_flops: dict[Literal["bf16", "fp8"], PeakRate] | None = Field(
        None, description="peak of dense products, by precision"
    )
    hbm_type: str | None = Field(None, description="generation of the memory, such as HBM3E")
    hbm_stacks: Annotated[int, Field(ge=1, le=16)] | None = Field(
        None, description="stacks of memory on a chip"
    )
    hbm_stacks_source: Text | None = Field(None, description="where the number of stacks is from")
    hbm_capacity: MemorySize | None = Field(None, description="memory of a chip")
    hbm_bandwidth: MemoryRate | None = Field(None, description="bandwidth of that memory")
    scaleup_shape: Literal["switch", "mesh", "none"] | None = Field(
        None, description="how the chips of a scale-up domain are connected"
    )
    scaleup_bandwidth: LinkRate | None = Field(
        None, description="of a chip within its scale-up domain, in one direction"
    )
    scaleup_size: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None, description="chips of a scale-up domain"
    )
    scaleup_source: Text | None = Field(None, description="where the scale-up numbers are from")
    nic_bandwidth: LinkRate | None = Field(
        None, description="of a chip on the network between nodes, in one direction"
    )
    chips_per_node: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="accelerators of a server"
    )
    chips_per_node_source: Text | None = Field(None, description="where chips_per_node is from")
    power: ChipPower | None = Field(None, description="thermal design power of a chip")
    price: PriceRange | None = Field(None, description="price of a chip")
    export_status: Text | None = Field(None, description="under which export rules the chip is")
    export_source: Text | None = Field(None, description="where the export status is from")

    @field_validator("hbm_type")
    @classmethod
    def _known_spelling(cls, name: str | None) -> str | None:
        spelling = {key.lower(): key for key in HBM_GENERATIONS}
        return None if name is None else spelling.get(name.lower(), name)


Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]


class ModelEntry(CatalogueEntry):
    """One model. With `extends`, only what differs from the model named."""

    kind: Literal["language", "video-diffusion"] | None = Field(
        None, description="architecture of the model"
    )
    sources: dict[str, Text] = Field(
        default_factory=dict, description="where single numbers are from, by their key"
    )
    layers: Annotated[int, Field(ge=1, le=2000)] | None = Field(
        None, description="transformer layers"
    )
    hidden: Annotated[int, Field(ge=8, le=1_000_000)] | None = Field(
        None, description="width of the residual stream"
    )
    heads: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="attention heads"
    )
    kv_heads: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="heads of keys and values; fewer than heads with grouped-query attention"
    )
    head_dim: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="width of a head"
    )
    ffn_hidden: Positive | None = Field(None, description="inner width of the feed-forward network")
    gated_mlp: bool | None = Field(
        None, description="whether the feed-forward network has a gate (three matrices)"
    )
    vocab: Count | None = Field(None, description="tokens of the vocabulary")
    tied_embeddings: bool | None = Field(
        None, description="whether the output layer shares the embedding matrix"
    )
    seq_len: Positive | None = Field(None, description="tokens of a training sequence")
    n_experts: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None, description="experts of a mixture-of-experts layer"
    )
    top_k: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        None, description="experts that each token is sent to"
    )
    shared_experts: Annotated[int, Field(ge=0, le=1_000)] | None = Field(
        None, description="experts that every token passes"
    )
    moe_layers: Annotated[int, Field(ge=0, le=2000)] | None = Field(
        None, description="layers that have experts"
    )
    expert_ffn_hidden: Count | None = Field(None, description="inner width of an expert")
    attention_params_per_layer: Annotated[float, Field(gt=0, le=1e13)] | None = Field(
        None,
        description="attention parameters of a layer, where they do not follow from the widths",
    )
    params: Annotated[float, Field(gt=0, le=1e15)] | None = Field(
        None, description="parameters, where they do not follow from the widths"
    )
    active_params: Annotated[float, Field(gt=0, le=1e15)] | None = Field(
        None, description="parameters that a token passes, where they do not follow"
    )
    global_batch: Positive | None = Field(None, description="sequences of an optimizer step")


class CatalogueFile(FileModel):
    """A catalogue: accelerators and models by name, and what all estimates of cost assume."""

    assumptions: AssumptionsSection | None = None
    prices: dict[Text, PriceRange] = Field(
        default_factory=dict, description="of chips of the catalogue, instead of their own"
    )
    accelerators: dict[Text, AcceleratorEntry] = Field(default_factory=dict)
    models: dict[Text, ModelEntry] = Field(default_factory=dict)
