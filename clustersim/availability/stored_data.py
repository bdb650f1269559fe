"""The sizes of checkpoints, and what jobs and services write to and read from shared storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.availability.serving_spec import Serving
from clustersim.availability.storage_spec import SharedStorageSpec, systems_of
from clustersim.catalogue import Catalogue
from clustersim.engine.storage_use import StorageUse
from clustersim.errors import InputError
from clustersim.notes import note
from clustersim.topology import Cluster
from clustersim.units import counted, format_bytes, format_duration
from clustersim.workload.jobs import texts_of
from clustersim.workload.log_links import named_jobs

if TYPE_CHECKING:
    from clustersim.availability.failure_spec import Checkpointing

__all__ = ["STATE_BYTES_PER_PARAMETER", "checkpoint_bytes", "storage_use"]

STATE_BYTES_PER_PARAMETER = 14.0
"""Bytes of a checkpoint per parameter: BF16 weights, FP32 master weights and two moments of Adam.
Gradients are not saved (Rajbhandari et al., "ZeRO", SC 2020, section 3.1, which counts 16 with
gradients)."""
_WEIGHTS = 2.0 / STATE_BYTES_PER_PARAMETER
"""The BF16 weights as a part of a checkpoint."""


def checkpoint_bytes(jobs: pd.DataFrame, catalogue: Catalogue) -> Floats:
    """Return the size of each job's checkpoint in bytes; 0 for a job without a model.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    catalogue : Catalogue
        Contains the models of the jobs.

    Raises
    ------
    InputError
        If a model is not in the catalogue.
    """
    if "model" not in jobs:
        return np.zeros(len(jobs))
    names, index = np.unique(texts_of(jobs["model"]).astype(str), return_inverse=True)
    params = [catalogue.model(str(name)).params if name else 0.0 for name in names]
    size: Floats = STATE_BYTES_PER_PARAMETER * np.array(params)[index]
    return size


def storage_use(
    checkpoints: Checkpointing,
    spec: SharedStorageSpec,
    cluster: Cluster,
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    serving: Serving | None = None,
) -> StorageUse:
    """Return what jobs and services write to and read from shared storage.

    Parameters
    ----------
    checkpoints : Checkpointing
        How jobs save their state.
    spec : SharedStorageSpec
        The storage.
    cluster : Cluster
    jobs : pandas.DataFrame
        A jobs table.
    catalogue : Catalogue
        Contains the models of the jobs.
    serving : Serving, optional
        Inference services; each node that begins to serve reads the weights.

    Raises
    ------
    InputError
        If a model is not in the catalogue, `pools` has an unknown name, or nothing uses the
        storage.
    """
    systems, at_once, system_of = systems_of(spec, cluster)
    size = checkpoint_bytes(jobs, catalogue)
    n = jobs["n_accelerators"].to_numpy(dtype=np.float64)
    modelled = int((size > 0).sum())
    if spec.checkpoint_per_accelerator is not None:
        size = np.where(size > 0, size, n * spec.checkpoint_per_accelerator)
    first = _first_bytes(spec, jobs, size)
    services = {} if serving is None else serving.services
    weights = {each.name: each.weights for each in services if each.weights}
    none = int((size == 0).sum())
    if none == len(jobs) and not first.any() and not weights:
        raise InputError(
            "failures",
            "checkpoints.storage: no job uses it, because none has a model; set "
            "checkpoint_per_accelerator, such as 5 GB",
        )
    if none:
        note(
            f"failures.checkpoints.storage: {counted(none, 'job')} without a model have no size of "
            "a checkpoint and do not use the storage; set checkpoint_per_accelerator"
        )
    for text in _unused(checkpoints, spec, jobs, modelled=modelled, without=none):
        note(f"failures.checkpoints.{text}")
    return StorageUse(
        systems=list(systems.values()),
        names=list(systems),
        system_of=system_of,
        restores_at_once=at_once,
        chips_per_node=[pool.chips_per_node for pool in cluster.pools],
        n_accelerators=jobs["n_accelerators"].tolist(),
        size_bytes=size.tolist(),
        first_bytes=first.tolist(),
        plain_cost_s=checkpoints.cost,
        files=spec.files_per_accelerator,
        copy_Bps=checkpoints.host_link if checkpoints.asynchronous else None,
        service_bytes=weights,
        tolerance=spec.tolerance,
    )


def _unused(
    checkpoints: Checkpointing,
    spec: SharedStorageSpec,
    jobs: pd.DataFrame,
    *,
    modelled: int,
    without: int,
) -> Iterator[str]:
    """Yield the settings, other than defaults, that change nothing, with the reason.

    `modelled` jobs have a model, and `without` jobs have no size of a checkpoint.
    """

    def is_set(given: Checkpointing | SharedStorageSpec, field: str) -> bool:
        value: object = getattr(given, field)
        return bool(value != type(given).model_fields[field].default)

    limits = [spec.metadata_rate, *(pool.metadata_rate for pool in spec.pools.values())]
    no_effect = "has no effect, because"
    if is_set(spec, "files_per_accelerator") and all(limit is None for limit in limits):
        yield (
            f"storage.files_per_accelerator: {spec.files_per_accelerator:g} {no_effect} "
            "metadata_rate is not set"
        )
    if spec.checkpoint_per_accelerator is not None and modelled == len(jobs):
        yield (
            f"storage.checkpoint_per_accelerator: {format_bytes(spec.checkpoint_per_accelerator)} "
            f"{no_effect} all jobs have a model"
        )
    if spec.dependents != "nothing" and (
        "after_ok" not in jobs or not texts_of(jobs["after_ok"]).any()
    ):
        yield f"storage.dependents: {spec.dependents} {no_effect} no job has after_ok"
    if is_set(checkpoints, "cost") and not without:
        yield (
            f"cost: {format_duration(checkpoints.cost)} {no_effect} all jobs save to the storage, "
            "and the time follows from the size of their checkpoints"
        )


def _first_bytes(spec: SharedStorageSpec, jobs: pd.DataFrame, size: Floats) -> Floats:
    """Return what each job reads when it first starts, bytes."""
    first = np.zeros(len(jobs))
    if "read_bytes" in jobs:
        read = pd.to_numeric(jobs["read_bytes"], errors="coerce")  # `check_jobs` refuses others
        first += read.fillna(0.0).to_numpy(dtype=np.float64)
    if spec.dependents == "nothing" or "after_ok" not in jobs:
        return first
    share = _WEIGHTS if spec.dependents == "weights" else 1.0
    row_of = {str(name): row for row, name in enumerate(jobs["job_id"].tolist())}
    for row, text in enumerate(texts_of(jobs["after_ok"]).tolist()):
        others = [row_of[name] for name in named_jobs(text) if name in row_of]
        first[row] += share * size[others].sum()
    return first
