"""The section ``failures`` of a scenario, and published failure rates by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from clustersim.availability.component_failures import with_rate
from clustersim.availability.storage_spec import SharedStorageSpec
from clustersim.errors import InputError, shown, unknown_name
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
Rate = Annotated[Bandwidth, Field(gt=0)]


def _is_shared(value: object) -> str:
    return "shared" if isinstance(value, Mapping | SharedStorageSpec) else "rate"


Storage = Annotated[
    Annotated[Rate, Tag("rate")] | Annotated[SharedStorageSpec, Tag("shared")],
    Discriminator(_is_shared),
]
"""The rate of each job for itself, or a system that all jobs share."""


class FailureSource(FileModel):
    """A source of failures: one type of component, its failure rate and its repair time."""

    name: Annotated[str, Field(min_length=1)] = Field(
        description="name of the source, unique in the list"
    )
    of: Literal["node", "leaf", "unit", "pool"] = Field(
        "node",
        description="what a failure affects: one node, all nodes of a leaf switch, all nodes of a "
        "scalable unit or pod, or all nodes of a pool (such as a power failure)",
    )
    time_to_failure: DurationDistribution = Field(
        description="time in service of one component until it fails"
    )
    repair: DurationDistribution = Field(description="time until it is back in service")
    spare_parts: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the repairs that are impossible under an embargo on spare parts",
    )
    slowdown: float | None = Field(
        None,
        gt=1,
        le=1e6,
        description="for a failure that slows jobs instead of stopping them: time per step divided "
        "by the time per step at full speed",
    )
    found: DurationDistribution | None = Field(
        None,
        description="with slowdown: time until the failure is found; then the jobs save their "
        "state and the node is out of service for the repair. Without this field the node is "
        "repaired while in service",
    )
    pools: list[str] | None = Field(None, description="pools affected; by default all")
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _only_slowdowns_are_found(self) -> FailureSource:
        if self.found is not None and self.slowdown is None:
            raise ValueError(
                f"{self.name}: `found` needs `slowdown`; a failure that stops jobs is found at once"
            )
        return self


class Checkpointing(FileModel):
    """How jobs save their state."""

    interval: Literal["optimal", "never"] | Annotated[Duration, Field(gt=0)] = Field(
        "optimal",
        description="work between checkpoints; optimal applies Daly's formula to each gang",
    )
    cost: Duration = Field(60.0, gt=0, description="time for which a checkpoint blocks a job")
    storage: Storage | None = Field(
        None,
        description="rate at which each job writes and reads its state, or a storage system that "
        "all jobs share. If set, the cost of jobs with a model follows from its number of "
        "parameters, and the time to read is added to restart",
    )
    asynchronous: bool = Field(
        False, description="with storage: only the copy to host memory blocks a job"
    )
    host_link: Bandwidth = Field(
        25e9,
        gt=0,
        description="with asynchronous: bandwidth from one chip to its host; assumption, half of "
        "PCIe 5",
    )
    restart: Duration = Field(
        600.0,
        ge=0,
        description="time from a failure to the next step: detection, scheduling, loading",
    )

    @field_validator("interval", mode="wrap")
    @classmethod
    def _one_message(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        try:
            return read(value)
        except ValidationError:
            raise ValueError(
                "must be optimal, never, or a duration above 0 such as 30 min, "
                f"found {shown(value)}"
            ) from None

    @model_validator(mode="after")
    def _asynchronous_needs_storage(self) -> Checkpointing:
        if self.asynchronous and self.storage is None:
            raise ValueError("`asynchronous` needs `storage`, such as 2 TB/s")
        return self


class Spares(FileModel):
    """Hot spares, which are nodes that replace failed nodes."""

    nodes: dict[str, Annotated[int, Field(ge=0, le=MOST_CHIPS)]] = Field(
        min_length=1, description="number of spares by pool, in addition to the pool's nodes"
    )
    swap: Duration = Field(
        300.0, ge=0, description="time until a spare has replaced a failed node; assumption"
    )


class Failures(FileModel):
    """Failures of nodes, and how jobs recover from them."""

    sources: PublishedName | list[PublishedName | FailureSource] = Field(
        [],
        description="name of published rates, such as meta-llama3, or a list of such names and "
        "user-defined sources; by default nothing fails, and checkpoints apply to preemptions",
    )
    rate: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="factor on the failure rates of all sources; 0: nothing fails",
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
    """Return the failure sources of a scenario, with their failure rates multiplied by `rate`.

    There are none if the rate is 0.

    Raises
    ------
    InputError
        If the scenario names unknown published rates.
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
    return [_faster(source, spec.rate) for source in sources] if spec.rate > 0.0 else []


def _faster(source: FailureSource, rate: float) -> FailureSource:
    """Return a source with its failure rate multiplied by `rate`."""
    life = with_rate(source.time_to_failure, rate)
    return source.model_copy(update={"time_to_failure": life})


@lru_cache(maxsize=1)
def published_failures() -> Mapping[str, list[FailureSource]]:
    """Return the published failure rates by name; each source states its origin."""
    with resources.as_file(
        resources.files("clustersim") / "availability/data/failures.yaml"
    ) as path:
        read = validate(_PublishedFile, {"sets": read_yaml(path)}, path)
    return {
        name: [_source(cause, counted, published) for cause, counted in published.causes.items()]
        for name, published in read.sets.items()
    }


def _source(cause: str, counted: _Cause, published: _Published) -> FailureSource:
    average_s = published.node_days / counted.count * SECONDS_PER_DAY
    fields = {
        "name": cause,
        "time_to_failure": {"kind": "exponential", "average": f"{average_s} s"},
        "repair": counted.repair,
        "spare_parts": counted.spare_parts,
        "slowdown": counted.slowdown,
        "found": counted.found,
        "source": published.source,
    }
    return FailureSource.model_validate(fields)
