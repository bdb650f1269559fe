"""Serving instances as arrays: one element per row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.inference.engines import BINARY
from clustersim.inference.precisions import PRECISIONS, compute_peak
from clustersim.inference.served_model import ServedModel
from clustersim.network.collectives import Links
from clustersim.performance import default_draw
from clustersim.performance.arrays import AcceleratorArrays
from clustersim.performance.rates import USUAL_BALANCE, rates_of

ROOM = 0.5
"""Products below the best size lose less on a chip with few FLOPs per byte: grouped products of H20
take 1.09 times as long as large dense ones and those of H800 1.27 times (gemm.csv), with an eighth
of the FLOPs per byte; so does the excess as the square root."""

__all__ = ["ROOM", "Chips", "Columns", "Instance", "Models", "Plans", "Settings"]


@dataclass(frozen=True, slots=True)
class Instance:
    """One serving instance in numbers.

    Attributes
    ----------
    chip : Accelerator
        The device that the engine sees; a die of a 910C.
    model : ServedModel
    weights : str
        A key of :data:`clustersim.inference.precisions.PRECISIONS`.
    kv_bytes : float
        Bytes of one element of the cache.
    tp, pp : float
        Chips that share the attention of a sequence, and pipeline stages.
    expert_chips : float
        Chips among which the experts of a layer are divided; `tp` for a dense model.
    distributed : float
        1 if whole experts are placed on chips (expert parallelism), 0 if each is split.
    batch : float
        Sequences in flight of one replica of `tp` x `pp` chips; nan for as many as possible.
    input_len, output_len : float
        Tokens of a request.
    draft : float
        Draft tokens of a step of speculative decoding; 0 without it.
    accepted : float
        Tokens accepted in a step, if known; nan otherwise.
    sequences, chunk_tokens : float
        Most sequences of a replica and most tokens of a step.
    burst : float
        Requests of a replica that arrive at once, if no others follow; nan in a steady state.
    varied : float
        1 if the lengths of outputs vary widely.
    balanced : float
        1 if tokens were spread evenly over the experts on purpose.
    tuned : float
        1 if the publisher tuned the deployment, 0 for a usual one.
    slower : float
        Known factor of time, such as a reduced power limit.
    """

    chip: Accelerator
    model: ServedModel
    weights: str
    kv_bytes: float
    tp: float
    pp: float
    expert_chips: float
    distributed: float
    batch: float
    input_len: float
    output_len: float
    draft: float
    accepted: float
    sequences: float
    chunk_tokens: float
    burst: float = np.nan
    varied: float = 0.0
    balanced: float = 0.0
    tuned: float = 0.0
    slower: float = 1.0


class Columns:
    __slots__ = ()

    def take(self, index: NDArray[Any]) -> Any:
        """Return the rows `index`."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = [getattr(self, one.name) for one in fields]
        return type(self)(
            *(
                value.take(index)
                if isinstance(value, Columns)
                else _links(value, index)
                if isinstance(value, Links)
                else value[index]
                for value in values
            )
        )


def _links(links: Links, index: NDArray[Any]) -> Links:
    values = {one.name: getattr(links, one.name) for one in dataclasses.fields(links)}
    return Links(**{k: v[index] if np.ndim(v) else v for k, v in values.items()})


@dataclass(frozen=True, slots=True)
class Chips(Columns):
    """Rates of the chips, with the efficiencies that training steps were fitted with.

    `product_flops` is the rate of large products in the precision of the weights, `narrow` is 1 if
    that has 8 bits or fewer, `attention_flops` the rate of fused attention, and `stream_Bps` that
    of streaming kernels.
    """

    product_flops: Floats
    narrow: Floats
    balance: Floats
    attention_flops: Floats
    stream_Bps: Floats
    hbm_bytes: Floats
    links: Links


@dataclass(frozen=True, slots=True)
class Models(Columns):
    """Shapes of the models; see :class:`clustersim.inference.ServedModel`.

    `weight_bytes` is the size of one parameter, `token_bytes` that of the cache of a token in one
    layer with a growing cache.
    """

    layers: Floats
    hidden: Floats
    attention_layers: Floats
    windowed_layers: Floats
    window: Floats
    sparse_tokens: Floats
    moe_layers: Floats
    n_experts: Floats
    top_k: Floats
    dense_params: Floats
    routed_params: Floats
    expert_width: Floats
    embedding_bytes: Floats
    weight_bytes: Floats
    token_bytes: Floats
    state_bytes: Floats
    prefill_width: Floats
    decode_width: Floats
    absorbed: Floats
    kv_heads: Floats


@dataclass(frozen=True, slots=True)
class Plans(Columns):
    """Plans and load of the instances; see :class:`Instance`."""

    tp: Floats
    pp: Floats
    expert_chips: Floats
    distributed: Floats
    batch: Floats
    input_len: Floats
    output_len: Floats
    draft: Floats
    accepted: Floats
    sequences: Floats
    chunk_tokens: Floats
    burst: Floats
    varied: Floats
    balanced: Floats
    tuned: Floats
    slower: Floats

    @property
    def replicas(self) -> Floats:
        """Replicas of attention that share one set of experts."""
        return self.expert_chips / self.tp


@dataclass(frozen=True, slots=True)
class Settings(Columns):
    """Chips, models and plans of the same rows."""

    chips: Chips
    models: Models
    plans: Plans

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> Settings:
        """Build the arrays of several instances."""
        return cls(_chips(instances), _models(instances), _plans(instances))


def _chips(instances: Sequence[Instance]) -> Chips:
    chips = [one.chip for one in instances]
    coefficients = default_draw().for_chips(chips, stack="unknown")
    rates = rates_of(AcceleratorArrays.of(chips), coefficients)
    peaks = [compute_peak(one.chip, one.weights) for one in instances]
    bf16 = np.array([chip.peak_flops["bf16"] for chip in chips])
    scale = np.array([peak for _, peak in peaks]) / bf16
    bits = {"bf16": 0.0, "fp8": 1.0, "int8": 1.0, "fp4": 2.0}
    return Chips(
        product_flops=rates.bf16_flops * scale,
        balance=(bf16 / np.array([chip.hbm_Bps for chip in chips]) / USUAL_BALANCE) ** ROOM,
        narrow=np.array([bits[name] for name, _ in peaks]),
        attention_flops=rates.attention_flops,
        stream_Bps=rates.memory_Bps,
        hbm_bytes=np.array([chip.hbm_bytes * BINARY for chip in chips]),
        links=rates.links,
    )


def _models(instances: Sequence[Instance]) -> Models:
    rows = [
        (
            m.layers,
            m.hidden,
            m.attention_layers,
            m.windowed_layers,
            m.window,
            m.sparse_tokens,
            m.moe_layers if m.n_experts else 0.0,
            max(m.n_experts, 1.0),
            max(m.top_k, 1.0),
            m.dense_params,
            m.routed_params,
            m.expert_width,
            2.0 * m.vocab * m.hidden,
            PRECISIONS[one.weights].weight_bytes,
            m.kv_elements * one.kv_bytes,
            m.state_bytes,
            m.prefill_width,
            m.decode_width,
            float(m.absorbed),
            1.0 if m.latent else m.kv_heads,
        )
        for one in instances
        for m in (one.model,)
    ]
    return Models(*np.array(rows, dtype=np.float64).reshape(len(rows), -1).T)


def _plans(instances: Sequence[Instance]) -> Plans:
    names = [one.name for one in dataclasses.fields(Plans)]
    rows = [[getattr(one, name) for name in names] for one in instances]
    return Plans(*np.array(rows, dtype=np.float64).reshape(len(rows), -1).T)
