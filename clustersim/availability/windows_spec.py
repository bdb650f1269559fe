"""The section ``windows`` of a scenario: what is known in advance to close nodes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from clustersim.files import FileModel
from clustersim.units import Duration

__all__ = ["Heroes", "Maintenance", "ReservationAhead", "WindowsSpec"]

Name = Annotated[str, Field(min_length=1)]
NodeRanges = Annotated[int, Field(ge=0)] | Name
Running = Literal["stop", "finish"]
_RUNNING = (
    "what happens to jobs that still run when it begins: they save their state and wait again "
    "(stop), or go on to their end (finish)"
)
_NOTICE = "time before the beginning at which schedulers learn of it; by default from the start"


class Maintenance(FileModel):
    """A maintenance window, of all its nodes at once or of one group after the other."""

    name: Name = Field("maintenance", description="name, for tables and messages")
    pools: list[Name] | None = Field(None, description="pools; by default all")
    nodes: NodeRanges | None = Field(
        None, description="nodes of the pool, counted from 0, such as 0-15,20; by default all"
    )
    at: Duration = Field(ge=0, description="beginning")
    duration: Duration = Field(gt=0, description="time for which a node is out of service")
    notice: Duration | None = Field(None, ge=0, description=_NOTICE)
    each: Literal["node", "leaf", "unit"] | Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="rolling maintenance: one node, the nodes of a leaf switch or of a scalable "
        "unit or pod, or a number of nodes after the other; by default all at once",
    )
    at_once: int = Field(1, ge=1, description="with each: number of groups at the same time")
    running: Running = Field("stop", description=_RUNNING)

    @model_validator(mode="after")
    def _is_complete(self) -> Maintenance:
        if self.nodes is not None and (self.pools is None or len(self.pools) != 1):
            raise ValueError("nodes needs one pool in pools")
        if self.at_once > 1 and self.each is None:
            raise ValueError("at_once needs each, such as each: unit")
        return self


class ReservationAhead(FileModel):
    """Accelerators that only some jobs may use for a time."""

    name: Name = Field("reservation", description="name, for tables and messages")
    pool: Name = Field(description="pool")
    nodes: NodeRanges | None = Field(
        None, description="nodes of the pool, counted from 0, such as 0-7; or accelerators"
    )
    accelerators: int | None = Field(
        None,
        ge=1,
        description="number of accelerators, rounded up to whole nodes: the last ones that no "
        "other window takes at that time",
    )
    owner: Name | None = Field(
        None, description="with accelerators: virtual cluster that owns the nodes; by default any"
    )
    at: Duration = Field(ge=0, description="beginning")
    until: Duration | None = Field(None, description="end; or duration")
    duration: Duration | None = Field(None, gt=0, description="time for which it holds")
    notice: Duration | None = Field(None, ge=0, description=_NOTICE)
    users: list[Name] = Field(default_factory=list, description="users whose jobs may use it")
    virtual_clusters: list[Name] = Field(
        default_factory=list, description="virtual clusters or partitions whose jobs may use it"
    )
    jobs: list[str | int] = Field(default_factory=list, description="ids of jobs that may use it")
    running: Running = Field("stop", description=_RUNNING)

    @model_validator(mode="after")
    def _is_complete(self) -> ReservationAhead:
        if (self.nodes is None) == (self.accelerators is None):
            raise ValueError("needs either nodes or accelerators, not both")
        if (self.until is None) == (self.duration is None):
            raise ValueError("needs either until or duration, not both")
        if self.until is not None and self.until <= self.at:
            raise ValueError(f"until must be after at, found {self.at:g} s to {self.until:g} s")
        if self.owner is not None and self.accelerators is None:
            raise ValueError("owner needs accelerators")
        if not (self.users or self.virtual_clusters or self.jobs):
            raise ValueError("needs users, virtual_clusters or jobs that may use it")
        return self


class Heroes(FileModel):
    """Jobs for which nodes are drained, so that they start as soon as they can."""

    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the largest pool (or virtual cluster) that a job may use from which "
        "it is a hero job; so is a job whose column hero is true",
    )


class WindowsSpec(FileModel):
    """What is planned in advance: maintenance, reservations and hero jobs."""

    maintenance: list[Maintenance] = Field(default_factory=list, description="maintenance windows")
    reservations: list[ReservationAhead] = Field(
        default_factory=list, description="reservations in advance"
    )
    heroes: Heroes | None = Field(None, description="hero jobs; by default there are none")
