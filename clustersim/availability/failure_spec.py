"""The part of a scenario that tells what fails, and published rates by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.topology import MOST_CHIPS
from clustersim.units import Bandwidth, Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "Checkpointing",
    "FailureSource",
    "Failures",
    "Spares",
    "failure_sources",
    "published_failures",
]

SECONDS_PER_DAY = 86400.0
PublishedName = Annotated[str, Field(min_length=1)]


class FailureSource(FileModel):
    """One kind of component that fails."""

    name: Annotated[str, Field(min_length=1)] = Field(
        description="name of the source, unique in the list"
    )
    of: Literal["node", "leaf", "unit"] = Field(
        "node",
        description="what has one: a node, or all nodes of a first switch or of a scalable unit "
        "or pod",
    )
    time_to_failure: DurationDistribution = Field(description="of one of them, in service")
    repair: DurationDistribution = Field(description="until it serves again")
    spare_parts: float = Field(
        1.0, ge=0, le=1, description="share of the repairs that an embargo on parts stops"
    )
    slowdown: float | None = Field(
        None,
        gt=1,
        le=1e6,
        description="it does not stop its jobs: so many times as long as else they take meanwhile",
    )
    found: DurationDistribution | None = Field(
        None,
        description="of what slows: until it is found; then its jobs save their state, and it is "
        "out for its repair. Without it the repair is made while it serves",
    )
    pools: list[str] | None = Field(None, description="by default all")
    source: str = Field("", description="where the numbers are from, or assumption")

    @model_validator(mode="after")
    def _only_what_slows_is_found(self) -> FailureSource:
        if self.found is not None and self.slowdown is None:
            raise ValueError(f"{self.name}: found goes with slowdown; what is out is found at once")
        return self


class Checkpointing(FileModel):
    """How jobs save their state."""

    interval: Literal["optimal", "never"] | Annotated[Duration, Field(gt=0)] = Field(
        "optimal", description="work between checkpoints; optimal is Daly's, by size of the gang"
    )
    cost: Duration = Field(60.0, gt=0, description="how long a job stands still for one")
    storage: Bandwidth | None = Field(
        None,
        gt=0,
        description="at what rate a job writes and reads; with it the cost of jobs that have a "
        "model follows from its parameters, and reading is added to restart",
    )
    asynchronous: bool = Field(
        False, description="with storage: a job stands still for the copy to host memory alone"
    )
    host_link: Bandwidth = Field(
        25e9, gt=0, description="asynchronous: of one chip to its host; assumption, half of PCIe 5"
    )
    restart: Duration = Field(
        600.0, ge=0, description="from a failure to the next step: detection, scheduling, loading"
    )

    @field_validator("interval", mode="wrap")
    @classmethod
    def _one_message(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        try:
            return read(value)
        except ValidationError:
            told = f"must be optimal, never, or a duration above 0 such as 30 min, found {value!r}"
            raise ValueError(told) from None

    @model_validator(mode="after")
    def _asynchronous_to_something(self) -> Checkpointing:
        if self.asynchronous and self.storage is None:
            raise ValueError("asynchronous needs storage, such as 2 TB/s")
        return self


class Spares(FileModel):
    """Nodes that take over from those that fail."""

    nodes: dict[str, Annotated[int, Field(ge=0, le=MOST_CHIPS)]] = Field(
        min_length=1, description="by pool; they stand beside the pool's nodes"
    )
    swap: Duration = Field(
        300.0, ge=0, description="until one serves in the other's place; assumption"
    )


class Failures(FileModel):
    """What fails, and how jobs come back."""

    sources: PublishedName | Annotated[list[PublishedName | FailureSource], Field(min_length=1)] = (
        Field(
            description="published rates by name, such as meta-llama3, sources of one's own, or a "
            "list of both"
        )
    )
    rate: float = Field(
        1.0, gt=0, le=1e6, description="how many times as often as the sources say all fails"
    )
    checkpoints: Checkpointing = Checkpointing()
    spares: Spares | None = Field(None, description="hot spares; by default none")


class _Cause(FileModel):
    count: float = Field(gt=0)
    repair: DurationDistribution
    spare_parts: float = 1.0
    slowdown: float | None = None
    found: DurationDistribution | None = None


class _Published(FileModel):
    source: str
    node_days: float = Field(gt=0)
    causes: dict[str, _Cause]


class _PublishedFile(FileModel):
    sets: dict[str, _Published]


def failure_sources(spec: Failures) -> list[FailureSource]:
    """Return what fails by a scenario, its factor of the rate applied.

    Raises
    ------
    InputError
        If it names published rates that are not known.
    """
    listed = [spec.sources] if isinstance(spec.sources, str) else spec.sources
    known = published_failures()
    sources: list[FailureSource] = []
    for item in listed:
        if isinstance(item, FailureSource):
            sources.append(item)
        elif item in known:
            sources += known[item]
        else:
            raise InputError("failures", f"sources: {unknown_name('set of rates', item, known)}")
    return [_faster(source, spec.rate) for source in sources]


def _faster(source: FailureSource, rate: float) -> FailureSource:
    """Let a source fail so many times as often: its time to failure shrinks as a whole."""
    if rate == 1.0:
        return source
    life = source.time_to_failure
    scaled = {
        name: getattr(life, name) / rate
        for name in ("average", "scale", "median", "value", "at_least", "at_most")
        if getattr(life, name, None) is not None
    }
    if life.kind == "quantiles":
        scaled["values"] = tuple(value / rate for value in life.values)
    return source.model_copy(update={"time_to_failure": life.model_copy(update=scaled)})


@lru_cache(maxsize=1)
def published_failures() -> Mapping[str, list[FailureSource]]:
    """Return the rates that come with clustersim, by name; each tells where it is from."""
    with resources.as_file(
        resources.files("clustersim") / "availability/data/failures.yaml"
    ) as path:
        read = validate(_PublishedFile, {"sets": read_yaml(path)}, path)
    return {
        name: [_source(cause, told, published) for cause, told in published.causes.items()]
        for name, published in read.sets.items()
    }


def _source(cause: str, told: _Cause, published: _Published) -> FailureSource:
    average_s = published.node_days / told.count * SECONDS_PER_DAY
    fields = {
        "name": cause,
        "time_to_failure": {"kind": "exponential", "average": f"{average_s} s"},
        "repair": told.repair,
        "spare_parts": told.spare_parts,
        "slowdown": told.slowdown,
        "found": told.found,
        "source": published.source,
    }
    return FailureSource.model_validate(fields)
