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
from clustersim.units import Bandwidth, Bytes, FlopRate, Money, Power, parse_quantity

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
    """A number with its range, confidence and source; a file may contain the bare number."""

    value: float
    low: float | None = None
    high: float | None = None
    confidence: Confidence = Field("estimate", description="quality of the source")
    source: Text | None = Field(
        None, description="source of the numbers, or a text starting with assumption:"
    )

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
                f"must satisfy low <= value <= high, found {low:g}, {self.value:g}, {high:g} (SI)"
            )
        return self


class PeakRate(Sourced):
    """The dense peak rate of a chip, up to 100 PFLOP/s."""

    value: FlopRate
    low: FlopRate | None = Field(None, description="low end of the range; by default the value")
    high: FlopRate | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e17
    most_text: ClassVar[str] = "100 PFLOP/s"


class MemorySize(Sourced):
    """The memory capacity of a chip, up to 4 TB.

    Vendors write GB for 2**30 bytes, and so does the catalogue: 180 GB and 180 GiB are the same.
    """

    value: Bytes
    low: Bytes | None = Field(None, description="low end of the range; by default the value")
    high: Bytes | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 4e12
    most_text: ClassVar[str] = "4 TB"

    @field_validator("value", "low", "high", mode="before")
    @classmethod
    def _in_vendor_units(cls, size: object) -> object:
        if isinstance(size, str) and size.strip().endswith("iB"):
            return f"{parse_quantity(size, 'bytes') / 2**30!r} GB"
        return size


class MemoryRate(Sourced):
    """The memory bandwidth of a chip, up to 100 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = Field(None, description="low end of the range; by default the value")
    high: Bandwidth | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e14
    most_text: ClassVar[str] = "100 TB/s"


class LinkRate(Sourced):
    """The bandwidth of a link in one direction, up to 10 TB/s."""

    value: Bandwidth
    low: Bandwidth | None = Field(None, description="low end of the range; by default the value")
    high: Bandwidth | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 1e13
    most_text: ClassVar[str] = "10 TB/s"


class ChipPower(Sourced):
    """The power of a chip, up to 20 kW."""

    value: Power
    low: Power | None = Field(None, description="low end of the range; by default the value")
    high: Power | None = Field(None, description="high end of the range; by default the value")
    most: ClassVar[float] = 2e4
    most_text: ClassVar[str] = "20 kW"


class PriceRange(FileModel):
    """Price range of one chip."""

    low: Money = Field(description="low end of the range")
    value: Money | None = Field(
        None, description="price used in estimates; by default the middle of the range"
    )
    high: Money = Field(description="high end of the range")
    basis: str = Field(
        "", description="what the price covers, such as one chip of an 8-chip server"
    )
    with_host: bool = Field(
        False, description="whether the price includes the chip's share of its server"
    )
    confidence: Confidence = Field("estimate", description="quality of the source")
    source: Text | None = Field(
        None, description="source of the numbers, or a text starting with assumption:"
    )

    @model_validator(mode="after")
    def _ordered(self) -> PriceRange:
        if self.low[1] != self.high[1]:
            raise ValueError(
                f"low and high must have the same currency, found {self.low[1]} and {self.high[1]}"
            )
        if not 0 < self.low[0] <= self.high[0] <= 1e8:
            raise ValueError("must satisfy 0 < low <= high <= 1e8")
        if self.value is not None:
            if self.value[1] != self.low[1]:
                raise ValueError(
                    "value and low must have the same currency, found "
                    f"{self.value[1]} and {self.low[1]}"
                )
            if not self.low[0] <= self.value[0] <= self.high[0]:
                raise ValueError("must satisfy low <= value <= high")
        return self


class CatalogueEntry(FileModel):
    """Fields shared by accelerators and models; `source` applies to fields without a source."""

    extends: Text | None = Field(
        None, description="name of an entry that supplies the fields omitted here"
    )
    aliases: list[Text] = Field(default_factory=list, description="other names of the entry")
    source: Text | None = Field(None, description="source of all numbers without a source")


class AcceleratorEntry(CatalogueEntry):
    """One accelerator; with `extends`, it sets only the fields that differ from the named entry."""

    vendor: Text | None = Field(None, description="company that designs the chip")
    family: Text | None = Field(
        None, description="architecture; chips of one family share measured efficiencies"
    )
    year: Annotated[int, Field(ge=2000, le=2100)] | None = Field(
        None, description="year of first delivery"
    )
    hypothetical: bool = Field(False, description="whether the chip has no published specification")
    reference_only: bool = Field(
        False, description="whether the chip is listed only to predict published training runs"
    )
    peak_flops: dict[Literal["bf16", "fp8"], PeakRate] | None = Field(
        None, description="dense peak by precision"
    )
    hbm_type: str | None = Field(None, description="generation of the memory, such as HBM3E")
    hbm_stacks: Annotated[int, Field(ge=1, le=16)] | None = Field(
        None, description="number of memory stacks on a chip"
    )
    hbm_stacks_source: Text | None = Field(None, description="source of the number of stacks")
    hbm_capacity: MemorySize | None = Field(
        None, description="memory capacity of a chip; GB and GiB both mean 2^30 bytes"
    )
    hbm_bandwidth: MemoryRate | None = Field(None, description="memory bandwidth of a chip")
    scaleup_shape: Literal["switch", "mesh", "none"] | None = Field(
        None, description="how the chips of a scale-up domain are connected"
    )
    scaleup_bandwidth: LinkRate | None = Field(
        None, description="bandwidth of a chip within its scale-up domain, in one direction"
    )
    scaleup_size: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None, description="number of chips in a scale-up domain"
    )
    scaleup_source: Text | None = Field(None, description="source of the scale-up shape and size")
    nic_bandwidth: LinkRate | None = Field(
        None, description="bandwidth of a chip on the network between nodes, in one direction"
    )
    chips_per_node: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="number of accelerators in a server"
    )
    chips_per_node_source: Text | None = Field(None, description="source of chips_per_node")
    power: ChipPower | None = Field(None, description="thermal design power of a chip")
    price: PriceRange | None = Field(None, description="price of a chip")
    export_status: Text | None = Field(None, description="export rules that apply to the chip")
    export_source: Text | None = Field(None, description="source of the export status")

    @field_validator("hbm_type")
    @classmethod
    def _known_spelling(cls, name: str | None) -> str | None:
        spelling = {key.lower(): key for key in HBM_GENERATIONS}
        return None if name is None else spelling.get(name.lower(), name)


Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]


class ModelEntry(CatalogueEntry):
    """One model; with `extends`, it sets only the fields that differ from the named entry."""

    kind: Literal["language", "video-diffusion", "image-diffusion"] | None = Field(
        None, description="architecture of the model"
    )
    sources: dict[str, Text] = Field(
        default_factory=dict, description="sources of single numbers, by key"
    )
    layers: Annotated[int, Field(ge=1, le=2000)] | None = Field(
        None, description="number of transformer layers"
    )
    hidden: Annotated[int, Field(ge=8, le=1_000_000)] | None = Field(
        None, description="width of the residual stream"
    )
    heads: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="number of attention heads"
    )
    kv_heads: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="number of key and value heads; fewer than heads for grouped-query attention",
    )
    head_dim: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="width of a head"
    )
    ffn_hidden: Positive | None = Field(None, description="inner width of the feed-forward network")
    gated_mlp: bool | None = Field(
        None, description="whether the feed-forward network has a gate (three matrices)"
    )
    vocab: Count | None = Field(None, description="size of the vocabulary in tokens")
    tied_embeddings: bool | None = Field(
        None, description="whether the output layer shares the embedding matrix"
    )
    seq_len: Positive | None = Field(None, description="length of a training sequence in tokens")
    sliding_window: Count | None = Field(
        None, description="length of the attention window in tokens, if a layer has one"
    )
    windowed_layers: Annotated[int, Field(ge=0, le=2000)] | None = Field(
        None, description="number of layers with an attention window; by default all"
    )
    document_tokens: Count | None = Field(
        None,
        description="mean length of the packed documents of a sequence in tokens, averaged over "
        "tokens, if tokens attend only to their own document",
    )
    n_experts: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None, description="number of routed experts in a mixture-of-experts layer"
    )
    top_k: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        None, description="number of routed experts that each token is sent to"
    )
    shared_experts: Annotated[int, Field(ge=0, le=1_000)] | None = Field(
        None, description="number of experts that process every token"
    )
    moe_layers: Annotated[int, Field(ge=0, le=2000)] | None = Field(
        None, description="number of layers with experts"
    )
    expert_ffn_hidden: Count | None = Field(None, description="inner width of an expert")
    attention_params_per_layer: Annotated[float, Field(gt=0, le=1e13)] | None = Field(
        None,
        description="attention parameters of a layer; by default derived from the widths",
    )
    params: Annotated[float, Field(gt=0, le=1e15)] | None = Field(
        None, description="total parameters; by default counted from the shape"
    )
    active_params: Annotated[float, Field(gt=0, le=1e15)] | None = Field(
        None, description="parameters that process one token; by default counted from the shape"
    )
    global_batch: Positive | None = Field(
        None, description="number of sequences per optimizer step"
    )


class CatalogueFile(FileModel):
    """A catalogue: accelerators and models by name, and assumptions shared by cost estimates.

    Examples
    --------
    >>> from clustersim.catalogue import CatalogueFile
    >>> file = CatalogueFile(accelerators={"MyChip": {"extends": "H200", "power": "600 W"}})
    >>> file.accelerators["MyChip"].extends
    'H200'
    """

    assumptions: AssumptionsSection | None = None
    prices: dict[Text, PriceRange] = Field(
        default_factory=dict, description="prices that replace the prices of chips in the catalogue"
    )
    accelerators: dict[Text, AcceleratorEntry] = Field(default_factory=dict)
    models: dict[Text, ModelEntry] = Field(default_factory=dict)
