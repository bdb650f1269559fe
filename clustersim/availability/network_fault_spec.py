"""The part ``network.faults`` of a scenario, and published rates of network faults by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import Field, model_validator

from clustersim.availability.component_failures import with_rate
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.topology import PartKind
from clustersim.units import Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "NetworkFaultEvent",
    "NetworkFaultSource",
    "NetworkFaults",
    "network_fault_sources",
    "published_network_faults",
]

SECONDS_PER_DAY = 86400.0
Name = Annotated[str, Field(min_length=1)]
_CAPACITY = "part of the rate that is left; 0: down"


class NetworkFaultEvent(FileModel):
    """A fault of named parts of the network."""

    name: Name | None = Field(
        None,
        description="name of the cause in tables, by which paths refer to the entry; by default "
        "the name of the part",
    )
    of: Name | list[Name] = Field(
        description="a switch (h200/leaf/3), a network port of a node (h200/node/5/nic/2), a link "
        "(h200/leaf/3-spine/7), one of its cables (h200/leaf/3-spine/7/1), all cables above a "
        "group of nodes (h200/unit/0/uplinks) or the connection of a pool to the others "
        "(h200/uplinks), or a list; `clustersim topology FILE --links` prints the names"
    )
    at: Duration = Field(ge=0, description="beginning")
    until: Duration | None = Field(
        None, description="end; by default it is not repaired, unless there is a duration"
    )
    duration: Duration | None = Field(None, gt=0, description="time from the beginning to the end")
    capacity: float = Field(0.0, ge=0, lt=1, description=_CAPACITY)

    @property
    def parts(self) -> list[str]:
        """Names of the parts."""
        return [self.of] if isinstance(self.of, str) else list(self.of)

    @property
    def title(self) -> str:
        """Name of the cause."""
        parts = self.parts
        return self.name or (parts[0] if len(parts) == 1 else f"{parts[0]} and others")

    @model_validator(mode="after")
    def _has_one_end(self) -> NetworkFaultEvent:
        if not self.parts:
            raise ValueError("of: must name at least one part of the network")
        if self.until is not None and self.duration is not None:
            raise ValueError(f"{self.title}: has either until or duration, not both")
        if self.until is not None and self.until <= self.at:
            raise ValueError(f"{self.title}: until must be after at")
        return self


class NetworkFaultSource(FileModel):
    """A source of random faults: one type of part, its failure rate and its repair time."""

    name: Name = Field(description="name of the source, unique in the list")
    of: PartKind = Field(
        description="nic: a network port of a node with its cable; link: a cable between switches "
        "(in a torus or mesh, between nodes); leaf: a switch to which nodes are connected; spine: "
        "a switch above these; switch: any switch"
    )
    time_to_failure: DurationDistribution = Field(
        description="time in service of one part until it fails"
    )
    repair: DurationDistribution = Field(description="time until it is back in service")
    capacity: float = Field(0.0, ge=0, lt=1, description=_CAPACITY)
    pools: list[str] | None = Field(None, description="pools affected; by default all")
    source: str = Field("", description="source of the numbers, or assumption")

    @property
    def found(self) -> None:
        """Faults are found at once."""
        return None


class NetworkFaults(FileModel):
    """Faults of links, switches and network ports."""

    events: list[NetworkFaultEvent] = Field(
        default_factory=list, description="faults of named parts at given times"
    )
    sources: Name | list[Name | NetworkFaultSource] = Field(
        [],
        description="random faults: name of published rates, such as alibaba-hpn, or a list of "
        "such names and user-defined sources; by default none",
    )
    rate: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="factor on the failure rates of all sources; 0: nothing fails at random",
    )

    @model_validator(mode="after")
    def _has_unique_names(self) -> NetworkFaults:
        names = [event.name for event in self.events if event.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"events: two have the name {twice[0]!r}; names must be unique")
        return self


class _Cause(FileModel):
    of: PartKind
    part_days: float = Field(gt=0)
    count: float = Field(gt=0)
    repair: DurationDistribution
    capacity: float = 0.0


class _Published(FileModel):
    source: str
    causes: dict[str, _Cause]


class _PublishedFile(FileModel):
    sets: dict[str, _Published]


def network_fault_sources(spec: NetworkFaults) -> list[NetworkFaultSource]:
    """Return the sources of random faults, with their failure rates multiplied by `rate`.

    There are none if the rate is 0.

    Raises
    ------
    InputError
        If the scenario names unknown published rates.
    """
    listed = [spec.sources] if isinstance(spec.sources, str) else spec.sources
    known = published_network_faults()
    sources: list[NetworkFaultSource] = []
    for item in listed:
        if isinstance(item, NetworkFaultSource):
            sources.append(item)
        elif item in known:
            sources += known[item]
        else:
            unknown = unknown_name("set of rates", item, known)
            raise InputError("network", f"faults.sources: {unknown}")
    if spec.rate == 0.0:
        return []
    return [
        source.model_copy(update={"time_to_failure": with_rate(source.time_to_failure, spec.rate)})
        for source in sources
    ]


@lru_cache(maxsize=1)
def published_network_faults() -> Mapping[str, list[NetworkFaultSource]]:
    """Return the published rates of network faults by name; each source states its origin.

    Examples
    --------
    >>> from clustersim.availability.network_fault_spec import published_network_faults
    >>> [(each.name, each.of) for each in published_network_faults()["alibaba-hpn"]]
    [('nic-tor link', 'nic'), ('tor switch', 'leaf')]
    """
    file = resources.files("clustersim") / "availability/data/network_faults.yaml"
    with resources.as_file(file) as path:
        read = validate(_PublishedFile, {"sets": read_yaml(path)}, path)
    return {
        name: [_source(cause, counted, published) for cause, counted in published.causes.items()]
        for name, published in read.sets.items()
    }


def _source(cause: str, counted: _Cause, published: _Published) -> NetworkFaultSource:
    average_s = counted.part_days / counted.count * SECONDS_PER_DAY
    fields = {
        "name": cause,
        "of": counted.of,
        "time_to_failure": {"kind": "exponential", "average": f"{average_s} s"},
        "repair": counted.repair,
        "capacity": counted.capacity,
        "source": published.source,
    }
    return NetworkFaultSource.model_validate(fields)
