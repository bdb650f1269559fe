"""The storage to which jobs save their state, in the section ``failures`` of a scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.network import StorageSystem
from clustersim.topology import Cluster
from clustersim.units import Bandwidth, Bytes

__all__ = ["SHARED", "PoolStorage", "SharedStorageSpec", "rates_Bps", "systems_of"]

SHARED = "shared"
"""Name of the system of all pools that have none of their own."""

Positive = Annotated[float, Field(gt=0, le=1e15)]
Share = Annotated[float, Field(gt=0, le=1)]
Clients = Annotated[int, Field(ge=1, le=10_000_000)]


class PoolStorage(FileModel):
    """The storage system of one pool; what is not set is as for the others."""

    write: Bandwidth | None = Field(None, gt=0, description="bandwidth of the system for writes")
    read: Bandwidth | None = Field(None, gt=0, description="bandwidth of the system for reads")
    client: Bandwidth | None = Field(
        None, gt=0, description="bandwidth between a node and the system"
    )
    metadata_rate: Positive | None = Field(
        None, description="files that the system creates or opens per second"
    )
    efficiency: dict[Clients, Share] | None = Field(
        None,
        description="share of the bandwidth that is left if so many nodes write or read at the "
        "same time, such as {64: 1, 1024: 0.3}; it must not rise",
    )
    restores_at_once: int | None = Field(
        None, ge=1, description="largest number of jobs that load their state at the same time"
    )

    @field_validator("efficiency")
    @classmethod
    def _does_not_rise(cls, efficiency: dict[int, float] | None) -> dict[int, float] | None:
        if efficiency is None:
            return None
        ordered = dict(sorted(efficiency.items()))
        for (few, before), (many, after) in pairwise(ordered.items()):
            if after > before:
                raise ValueError(
                    f"must not rise with the number of clients, found {before:g} at {few:,} and "
                    f"{after:g} at {many:,}; `client` limits what a few clients can do"
                )
        return ordered


class SharedStorageSpec(PoolStorage):
    """A storage system that all jobs share which save, restore or read at the same time.

    Examples
    --------
    >>> from clustersim.availability.storage_spec import SharedStorageSpec
    >>> SharedStorageSpec(write="1 TB/s", client="25 GB/s").dependents
    'nothing'
    """

    write: Bandwidth = Field(gt=0, description="bandwidth of the system for writes")
    read: Bandwidth | None = Field(
        None, gt=0, description="bandwidth of the system for reads; by default that for writes"
    )
    client: Bandwidth | None = Field(
        None,
        gt=0,
        description="bandwidth between a node and the system (its network interface); by default "
        "only the system limits",
    )
    metadata_rate: Positive | None = Field(
        None,
        description="files that the system creates or opens per second; by default it is no limit",
    )
    files_per_accelerator: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="files of a checkpoint for each accelerator of the job; the default is that of "
        "one file for each rank",
    )
    checkpoint_per_accelerator: Bytes | None = Field(
        None,
        gt=0,
        description="size of the checkpoint of a job without a model, for each of its "
        "accelerators; by default such a job does not use the storage, and a checkpoint takes "
        "`cost`",
    )
    dependents: Literal["nothing", "weights", "state"] = Field(
        "nothing",
        description="what a job with `after_ok` reads at its first start of each job for which it "
        "waits: the weights (2 of the 14 bytes per parameter of a checkpoint) or the whole state",
    )
    tolerance: float = Field(
        0.02,
        gt=0,
        le=0.2,
        description="a running job gets a new pace if the time of its saves changes by more than "
        "this part",
    )
    pools: dict[str, PoolStorage] = Field(
        default_factory=dict,
        description="pools with a system of their own, and how it differs; the others share one",
    )

    @model_validator(mode="after")
    def _files_are_created(self) -> SharedStorageSpec:
        limits = [self.metadata_rate, *(pool.metadata_rate for pool in self.pools.values())]
        if self.files_per_accelerator == 0 and any(limit is not None for limit in limits):
            raise ValueError("metadata_rate has no effect if files_per_accelerator is 0")
        return self


def rates_Bps(storage: float | SharedStorageSpec) -> tuple[float, float]:
    """Return the rates at which a gang that is alone writes and reads, in bytes/s.

    Of shared storage, these are the rates of the system; limits of clients and of single pools are
    left out.

    Examples
    --------
    >>> rates_Bps(SharedStorageSpec(write="1 GB/s", read="2 GB/s"))
    (1000000000.0, 2000000000.0)
    """
    if isinstance(storage, SharedStorageSpec):
        return storage.write, storage.write if storage.read is None else storage.read
    return storage, storage


def systems_of(
    spec: SharedStorageSpec, cluster: Cluster
) -> tuple[dict[str, StorageSystem], list[int | None], list[int]]:
    """Return the storage systems of a cluster.

    Returns
    -------
    systems : dict of str to StorageSystem
        By name: that of all pools without one of their own, and those of other pools.
    at_once : list of int or None
        Largest number of restores at the same time, by system.
    system_of : list of int
        The system of each pool.

    Raises
    ------
    InputError
        If `pools` has a name that the cluster does not have.
    """
    names = [pool.name for pool in cluster.pools]
    for name in spec.pools:
        if name not in names and name not in cluster.empty_pools:
            problem = unknown_name("pool", name, names)
            raise InputError("failures", f"checkpoints.storage.pools.{name}: {problem}")
    systems = {SHARED: _system(spec, PoolStorage())}
    at_once = [spec.restores_at_once]
    system_of = []
    for name in names:
        own = spec.pools.get(name)
        system_of.append(0 if own is None else len(systems))
        if own is not None:
            systems[name if name != SHARED else f"{name} (pool)"] = _system(spec, own)
            limit = spec.restores_at_once if own.restores_at_once is None else own.restores_at_once
            at_once.append(limit)
    return systems, at_once, system_of


def _system(spec: SharedStorageSpec, own: PoolStorage) -> StorageSystem:
    """Return the system of a pool, or that of all others."""
    write = spec.write if own.write is None else own.write
    reads: Sequence[float | None] = (own.read, spec.read, own.write)
    read = next((each for each in reads if each is not None), spec.write)
    client = spec.client if own.client is None else own.client
    metadata = spec.metadata_rate if own.metadata_rate is None else own.metadata_rate
    efficiency = spec.efficiency if own.efficiency is None else own.efficiency
    return StorageSystem(
        write_Bps=write,
        read_Bps=read,
        client_Bps=math.inf if client is None else client,
        metadata_per_s=math.inf if metadata is None else metadata,
        efficiency=tuple((float(n), share) for n, share in (efficiency or {}).items()),
    )
