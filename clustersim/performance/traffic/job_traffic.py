"""Bytes that the chips of a job send in one optimizer step, by kind and level of links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.blocks import in_blocks
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.layer import sum_of
from clustersim.performance.rates import rates_of
from clustersim.performance.shard import shard_of
from clustersim.performance.step_time import timed_parts, with_expert_tp, with_path_latency
from clustersim.performance.traffic.streams import KINDS, PATTERNS, streams_of

__all__ = ["Traffic", "traffic_columns", "traffic_of"]

PART_OF_KIND = {
    "tensor": "tensor_parallel",
    "context": "context_parallel",
    "expert": "expert_parallel",
    "pipeline": "pipeline",
    "data": "data_parallel",
    "hybrid": "data_parallel",
}
"""Parts of the step time (:data:`clustersim.performance.PARTS`) with the exposed communication."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Communication of one optimizer step, one element per plan.

    All bytes and messages are those of a chip on the fullest pipeline stage, averaged over the
    chips of a group. Mappings are by kind (:data:`clustersim.performance.traffic.KINDS`).

    Attributes
    ----------
    step_time_s : array
        Seconds per step, as :func:`clustersim.performance.evaluate` returns them.
    scaleup_bytes, nic_bytes : dict of str to array
        Bytes that a chip sends within its scale-up domain, and over its network interface.
    messages : dict of str to array
        Collective operations that a chip starts, or messages that it sends to another stage.
    seconds : dict of str to array
        Time of the communication, whether or not computation hides it.
    exposed_s : dict of str to array
        What of it is part of the step time. ``data`` and ``hybrid`` share what is hidden in
        proportion to their times.
    nic_seconds : array
        Time in which the network interface sends, in all kinds together.
    pattern_bytes : dict of str to array
        `nic_bytes` of all kinds by pattern: ``ring``, ``all_to_all``, ``neighbours``.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, default_draw
    >>> from clustersim.performance.traffic import traffic_of
    >>> catalogue = cs.load_catalogue()
    >>> h200 = catalogue.accelerator("H200")
    >>> traffic = traffic_of(
    ...     ModelArrays.of([catalogue.model("llama3-70b")]),
    ...     AcceleratorArrays.of([h200]),
    ...     Plans.of(tp=[8.0], dp=32, zero=1),
    ...     global_batch=1024,
    ...     coefficients=default_draw().for_chips([h200]),
    ... )
    >>> [kind for kind, sent in traffic.nic_bytes.items() if sent[0] > 0]
    ['data']
    """

    step_time_s: Floats
    scaleup_bytes: dict[str, Floats]
    nic_bytes: dict[str, Floats]
    messages: dict[str, Floats]
    seconds: dict[str, Floats]
    exposed_s: dict[str, Floats]
    nic_seconds: Floats
    pattern_bytes: dict[str, Floats]


_BY_KIND = ("scaleup_bytes", "nic_bytes", "messages", "seconds", "exposed_s")


def traffic_of(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    *,
    global_batch: ArrayLike,
    coefficients: Coefficients,
) -> Traffic:
    """Return what each chip sends in one step, with the volumes from which step times follow.

    Parameters
    ----------
    models, chips, plans, global_batch, coefficients
        As for :func:`clustersim.performance.evaluate`. ``chips.scaleup_size`` is the number of
        chips of the job that share a scale-up domain, for example 1 for a job that has a single
        chip on each of its nodes.

    Returns
    -------
    Traffic

    Examples
    --------
    The gradients and weights of 8 chips of a node do not leave it. With one chip on each of eight
    nodes, all of them do:

    >>> import dataclasses
    >>> import numpy as np
    >>> import clustersim as cs
    >>> from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, default_draw
    >>> from clustersim.performance.traffic import traffic_of
    >>> catalogue = cs.load_catalogue()
    >>> h200 = catalogue.accelerator("H200")
    >>> chips = AcceleratorArrays.of([h200, h200])
    >>> traffic = traffic_of(
    ...     ModelArrays.of([catalogue.model("llama3-8b")]),
    ...     dataclasses.replace(chips, scaleup_size=np.array([8.0, 1.0])),
    ...     Plans.of(dp=8.0, zero=1),
    ...     global_batch=128,
    ...     coefficients=default_draw().for_chips([h200]),
    ... )
    >>> traffic.nic_bytes["data"].round(-8).tolist()
    [0.0, 23600000000.0]
    """
    batch = np.asarray(global_batch, dtype=np.float64)
    columns = in_blocks(traffic_columns, models, chips, plans, batch, coefficients)
    by_kind = {name: {kind: columns[f"{kind}.{name}"] for kind in KINDS} for name in _BY_KIND}
    return Traffic(
        step_time_s=columns["step_time_s"],
        nic_seconds=columns["nic_seconds"],
        pattern_bytes={pattern: columns[pattern] for pattern in PATTERNS},
        **by_kind,
    )


def traffic_columns(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    batch: Floats,
    coefficients: Coefficients,
) -> dict[str, Floats]:
    """Return every column of :class:`Traffic` by name; names by kind are ``kind.name``."""
    plans = with_expert_tp(models, plans)
    shard = shard_of(models, plans, batch)
    parts, factor = timed_parts(shard, models, chips, plans, batch, coefficients)
    step_time = sum_of(parts)
    links = rates_of(chips, coefficients).links
    sums = {f"{kind}.{name}": np.zeros(()) for kind in KINDS for name in _BY_KIND[:-1]}
    sums |= {name: np.zeros(()) for name in (*PATTERNS, "nic_seconds")}
    for stream in streams_of(shard, models, plans, links, with_path_latency(chips, coefficients)):
        for name in _BY_KIND[:-1]:
            more = getattr(stream, name)
            key = f"{stream.kind}.{name}"
            sums[key] = sums[key] + (factor * more if name == "seconds" else more)
        sums[stream.pattern] = sums[stream.pattern] + stream.nic_bytes
        sums["nic_seconds"] = sums["nic_seconds"] + factor * stream.nic_seconds
    for kind, part in PART_OF_KIND.items():
        alike = [other for other, its in PART_OF_KIND.items() if its == part]
        whole = sum_of({other: sums[f"{other}.seconds"] for other in alike})
        share = np.where(whole > 0, sums[f"{kind}.seconds"] / np.where(whole > 0, whole, 1.0), 0.0)
        sums[f"{kind}.exposed_s"] = share * parts[part]
    sums["step_time_s"] = step_time
    return {name: np.broadcast_to(column, step_time.shape) for name, column in sums.items()}
