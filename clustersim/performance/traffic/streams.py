"""The communication of one optimizer step as streams: one collective each, with its repetitions.

The transfers are those from which the step time is computed, so bytes and times agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import Links, Transfer, point_to_point_seconds
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.moe import exchange_of
from clustersim.performance.parallel import (
    CONTEXT_PASSES,
    context_transfer,
    data_transfers,
    passes_of,
    pipeline_crossings,
    pipeline_messages,
    pipeline_transfer,
    tensor_reductions,
    tensor_transfer,
)
from clustersim.performance.shard import Shard

__all__ = ["KINDS", "PATTERNS", "Stream", "streams_of"]

KINDS = ("tensor", "context", "expert", "pipeline", "data", "hybrid")
"""Kinds of communication. ``data`` is the exchange of gradients and weights within the groups over
which ZeRO splits, ``hybrid`` the sum of gradients over the groups of hybrid sharding."""

PATTERNS = ("ring", "all_to_all", "neighbours")
"""Who sends to whom: each rank to the next of its group, to all of its group, or to the ranks of
the stages before and after it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One collective of a step, on the fullest pipeline stage.

    Attributes
    ----------
    kind, pattern : str
        Names from :data:`KINDS` and :data:`PATTERNS`.
    ranks, stride : array
        Size of a group, and the distance between its ranks in chips.
    transfer : Transfer
        Bytes of one repetition.
    times : array
        Repetitions in one step.
    messages : array
        Collective operations that a chip starts, or messages that it sends to another stage.
    seconds : array
        Time of all repetitions in one step, whether or not computation hides it, before the
        slowdown of the software stack.
    links : Links
        Links with the bandwidth that the collective reaches.
    """

    kind: str
    pattern: str
    ranks: Floats
    stride: Floats
    transfer: Transfer
    times: Floats
    messages: Floats
    seconds: Floats
    links: Links

    @property
    def nic_bytes(self) -> Floats:
        """Bytes that a chip sends over its network interface in one step."""
        return self.times * self.transfer.nic_bytes

    @property
    def scaleup_bytes(self) -> Floats:
        """Bytes that a chip sends within its scale-up domain in one step."""
        return self.times * self.transfer.scaleup_bytes

    @property
    def nic_seconds(self) -> Floats:
        """Time in which a network interface sends in one step."""
        return self.times * self.transfer.nic_seconds(self.links)


def streams_of(
    shard: Shard, models: ModelArrays, plans: Plans, links: Links, coefficients: Coefficients
) -> list[Stream]:
    """Return the streams of a step.

    Ranks are mapped to chips as Megatron maps them: tensor-parallel ranks are neighbours, then
    context-parallel and data-parallel ranks, then pipeline stages; experts are spread over the
    neighbouring chips of a stage.
    """
    return [
        *_layer_streams(shard, models, plans, links, coefficients),
        _pipeline_stream(shard, models, plans, links),
        *_data_streams(shard, plans, links, coefficients),
    ]


def _stream(
    kind: str,
    pattern: str,
    ranks: Floats,
    stride: Floats,
    transfer: Transfer,
    times: Floats,
    links: Links,
    *,
    messages: Floats | float = 1.0,
    start_s: Floats | float = 0.0,
) -> Stream:
    """Return a stream of collectives, each with a number of messages and an extra start-up."""
    return Stream(
        kind=kind,
        pattern=pattern,
        ranks=ranks,
        stride=stride,
        transfer=transfer,
        times=times,
        messages=np.where(ranks > 1, times * messages, 0.0),
        seconds=times * (transfer.seconds(links) + start_s),
        links=links,
    )


def _layer_streams(
    shard: Shard, models: ModelArrays, plans: Plans, links: Links, coefficients: Coefficients
) -> list[Stream]:
    """Return the streams of tensor, context and expert parallelism."""
    one = np.ones(())
    passes, layers = passes_of(models, plans), shard.micro_batches * shard.layers
    reduced = layers * passes.tensor * tensor_reductions(models, plans)
    halves = np.where(plans.sequence_parallel > 0, 2.0, 1.0)
    whole = tensor_transfer(shard.tokens, models, plans, links)
    context = context_transfer(shard.tokens, models, plans, links)
    found = [
        _stream("tensor", "ring", plans.tp, one, whole, reduced, links, messages=halves),
        _stream("context", "ring", plans.cp, plans.tp, context, layers * CONTEXT_PASSES, links),
    ]
    if not (np.any(plans.ep * plans.expert_tp > 1) and np.any(models.n_experts > 0)):
        return found
    exchange = exchange_of(shard.tokens, models, plans, links, coefficients)
    ways = 2.0 * layers * passes.exchange * (models.moe_layers / models.layers)
    plain = ~(exchange.is_once | exchange.is_whole)
    ep, etp = plans.ep, plans.expert_tp
    choices: tuple[tuple[str, Floats, Floats, Transfer | None, Bools, Links], ...] = (
        ("all_to_all", ep, etp, exchange.plain, plain, exchange.plain_links),
        ("all_to_all", ep, etp, exchange.once, exchange.is_once, links),
        ("ring", ep, etp, exchange.whole, exchange.is_whole, links),
        ("ring", etp, one, exchange.split, exchange.is_split, links),
    )
    return found + [
        _stream("expert", pattern, ranks, stride, transfer, np.where(used, ways, 0.0), to)
        for pattern, ranks, stride, transfer, used, to in choices
        if transfer is not None and np.any(used)
    ]


def _pipeline_stream(shard: Shard, models: ModelArrays, plans: Plans, links: Links) -> Stream:
    stride, messages = plans.tp * plans.cp * plans.dp, pipeline_messages(shard, plans)
    transfer = pipeline_transfer(shard, models, plans, links)
    once = point_to_point_seconds(transfer.size_bytes, stride, links)
    return Stream(
        kind="pipeline",
        pattern="neighbours",
        ranks=plans.pp,
        stride=stride,
        transfer=transfer,
        times=messages,
        messages=messages,
        seconds=np.where(plans.pp > 1, pipeline_crossings(shard, plans) * once, 0.0),
        links=links,
    )


def _data_streams(
    shard: Shard, plans: Plans, links: Links, coefficients: Coefficients
) -> list[Stream]:
    """Return the streams of data parallelism; gradients have as many messages as weights."""
    data = data_transfers(shard, plans, links, coefficients)
    fully = plans.zero >= 3
    late = np.where(fully, 0.0, 1.0)
    each = np.where(fully, shard.micro_batches * (2.0 + shard.trained), 0.0)
    some, always = shard.expert_params > 0, np.ones(())
    dense = (shard.group, plans.tp)
    across = (shard.ranks / shard.group, plans.tp * shard.group)
    apart = plans.ep * plans.expert_tp
    experts = (shard.expert_group, apart)
    experts_across = (shard.expert_copies / shard.expert_group, apart * shard.expert_group)
    few = shard.layers * coefficients.weight_messages
    many = shard.layers * coefficients.zero3_messages
    none = np.zeros(())
    choices = (
        ("data", dense, data.scatter, late, few, none),
        ("data", dense, data.gather, late, few, data.weight_start_s),
        ("data", dense, data.weights, each, many, data.zero3_start_s),
        ("hybrid", across, data.across, always, few, none),
        ("data", experts, data.expert_scatter, np.where(some, late, 0.0), few, none),
        ("data", experts, data.expert_gather, np.where(some, late, 0.0), few, none),
        ("data", experts, data.expert_weights, np.where(some, each, 0.0), many, none),
        ("hybrid", experts_across, data.expert_across, np.where(some, always, 0.0), few, none),
    )
    return [
        _stream(kind, "ring", *group, transfer, times, links, messages=messages, start_s=start_s)
        for kind, group, transfer, times, messages, start_s in choices
        if transfer is not None
    ]
