"""The part of a scenario that tells what fails, and published rates by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.units import Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = ["Checkpointing", "FailureSource", "Failures", "failure_sources", "published_failures"]

SECONDS_PER_DAY = 86400.0


class FailureSource(FileModel):
    """One kind of component that fails."""

    name: Annotated[str, Field(min_length=1)]
    of: Literal["node", "leaf", "unit"] = Field(
        "node",
        description="what has one: a node, or all nodes of a first switch or a scalable unit",
    )
    time_to_failure: DurationDistribution = Field(description="of one of them, in service")
    repair: DurationDistribution = Field(description="until it serves again")
    pools: list[str] | None = Field(None, description="by default all")
    source: str = Field("", description="where the numbers are from, or assumption")


class Checkpointing(FileModel):
    """How jobs save their state."""

    interval: Literal["optimal", "never"] | Annotated[Duration, Field(gt=0)] = Field(
        "optimal", description="work between checkpoints; optimal is Daly's, by size of the gang"
    )
    cost: Duration = Field(60.0, gt=0, description="how long a job stands still for one")
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


class Failures(FileModel):
    """What fails, and how jobs come back."""

    sources: (
        Annotated[str, Field(min_length=1)] | Annotated[list[FailureSource], Field(min_length=1)]
    ) = Field(description="published rates by name, such as meta-llama3, or a list")
    rate: float = Field(
        1.0, gt=0, le=1e6, description="how many times as often as the sources say all fails"
    )
    checkpoints: Checkpointing = Checkpointing()


class _Cause(FileModel):
    count: float = Field(gt=0)
    repair: DurationDistribution


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
    named = spec.sources
    if isinstance(named, str):
        known = published_failures()
        if named not in known:
            raise InputError("failures", f"sources: {unknown_name('set of rates', named, known)}")
        sources = known[named]
    else:
        sources = named
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
    with resources.as_file(resources.files("clustersim") / "simulation/data/failures.yaml") as path:
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
        "source": published.source,
    }
    return FailureSource.model_validate(fields)
