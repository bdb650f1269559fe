"""Models, accelerators and plans as structs of arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.catalogue import Accelerator, Model
from clustersim.network.constants import generation_of
from clustersim.network.fabrics import FABRIC_NAMES

__all__ = [
    "DISPATCHERS",
    "RECOMPUTE",
    "AcceleratorArrays",
    "ModelArrays",
    "Plans",
    "attended_tokens",
    "default_expert_tp",
    "mean_attended_tokens",
    "scaleup_domain",
]


BINARY_GIGABYTE = 2**30 / 1e9
"""Vendors count the gigabytes of a chip's memory in powers of two: nvidia-smi shows 81,559 MiB on
an 80 GB H100 and 143,771 MiB on a 141 GB H200; npu-smi shows 65,536 MiB on a 64 GB 910B."""

DISPATCHERS = ("default", "alltoall", "allgather", "deepep")
"""Names of the values of `dispatcher` of a plan. ``alltoall`` sends one copy of a token for each of
its experts, ``allgather`` gathers all tokens on all ranks, and ``deepep`` sends one copy to each
scale-up domain (DeepEP, arXiv 2412.19437, section 3.2.2; HybridEP does the same)."""

RECOMPUTE = ("none", "selective", "full")
"""Names of the recompute modes 0, 1 and 2 (Korthikanti et al. 2022, arXiv 2205.05198)."""


def attended_tokens(seq_len: float, *, causal: bool, window: float = 0.0) -> float:
    """Return the mean number of tokens that a token of a sequence attends to.

    Under a causal mask, the mean is ``seq_len / 2``. With a sliding window of w tokens, token i
    attends to ``min(i, w)`` tokens, and the mean is ``w (1 - w / (2 seq_len))``.

    Parameters
    ----------
    seq_len : float
        Tokens per sequence.
    causal : bool
    window : float
        Sliding window in tokens; 0 for no window.

    Examples
    --------
    >>> from clustersim.performance import attended_tokens
    >>> attended_tokens(8192, causal=True), attended_tokens(8192, causal=True, window=4096)
    (4096.0, 3072.0)
    """
    if not causal:
        return float(min(seq_len, 2.0 * window) if window else seq_len)
    if 0 < window < seq_len:
        return window * (1.0 - window / (2.0 * seq_len))
    return seq_len / 2.0


def mean_attended_tokens(model: Model, seq_len: float) -> float:
    """Return :func:`attended_tokens`, averaged over the layers with and without a window.

    If a sequence holds documents that attend only to themselves, their length limits the tokens.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance.arrays import mean_attended_tokens
    >>> catalogue = cs.load_catalogue()
    >>> [
    ...     mean_attended_tokens(catalogue.model(name), 4096)
    ...     for name in ("llama3-8b", "gpt-oss-120b", "flux-1")
    ... ]
    [2048.0, 1087.0, 4096.0]
    """
    causal = model.kind == "language"
    document = min(seq_len, model.document_tokens or seq_len)
    whole = attended_tokens(document, causal=causal)
    if not model.sliding_window:
        return whole
    some = attended_tokens(document, causal=causal, window=float(model.sliding_window))
    share = model.windowed_layers / model.layers
    return (1.0 - share) * whole + share * some


def scaleup_domain(chip: Accelerator) -> int:
    """Return the number of chips in one scale-up domain; 1 for a chip without a scale-up link."""
    return 1 if chip.scaleup_shape == "none" else chip.scaleup_size


def default_expert_tp(tp: ArrayLike, ep: ArrayLike) -> Floats:
    """Return the expert tensor parallel size of plans that do not set one.

    The size is 1 if experts are distributed (`ep` > 1), otherwise `tp`. Megatron-Core's own default
    is `tp` in both cases, but the software built on it sets 1: the configurations of NeMo,
    Megatron-Bridge and Megatron-MoE-ModelZoo set ``expert_tensor_parallel_size`` to 1, and
    DeepSpeed, MindFormers and PyTorch do not split experts.

    Examples
    --------
    >>> default_expert_tp([4, 4], [1, 8]).tolist()
    [4.0, 1.0]
    """
    return np.where(np.asarray(ep) > 1, 1.0, tp)


class Columns:
    """Base class of dataclasses whose fields are arrays of equal shape."""

    __slots__ = ()

    def take(self, index: NDArray[Any]) -> Self:
        """Return an object of the same class that contains only the rows `index`.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.performance import Plans
        >>> Plans.of(tp=[1, 2, 4]).take(np.array([0, 2])).tp.tolist()
        [1.0, 4.0]
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = (getattr(self, column.name) for column in fields)
        return type(self)(*(value[index] if np.ndim(value) else value for value in values))


@dataclass(frozen=True, slots=True)
class ModelArrays(Columns):
    """Transformer shapes, one element per model; see :class:`clustersim.catalogue.Model`.

    `span` is the mean number of tokens that a token attends to: half of the sequence under a causal
    mask, the whole sequence without a mask, and fewer tokens with a sliding window
    (:func:`attended_tokens`).

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import ModelArrays
    >>> models = ModelArrays.of([cs.load_catalogue().model("llama3-8b")])
    >>> models.layers.tolist()
    [32.0]
    """

    layers: Floats
    hidden: Floats
    attention_width: Floats
    kv_width: Floats
    heads: Floats
    ffn_hidden: Floats
    mlp_matrices: Floats
    vocab: Floats
    tied: Floats
    seq_len: Floats
    span: Floats
    n_experts: Floats
    top_k: Floats
    shared_experts: Floats
    moe_layers: Floats
    expert_ffn_hidden: Floats
    attention_params: Floats
    other_params: Floats

    @classmethod
    def of(cls, models: Sequence[Model]) -> ModelArrays:
        """Build the arrays of several models.

        `other_params` counts the stored parameters that the shape does not account for (never
        negative). These parameters use memory, are synchronised and updated, but compute nothing.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> models = cs.performance.ModelArrays.of([catalogue.model("llama3-8b")])
        >>> models.layers.tolist()
        [32.0]
        """
        rows = [
            (
                m.layers,
                m.hidden,
                m.heads * m.head_dim,
                m.kv_heads * m.head_dim,
                m.heads,
                m.ffn_hidden,
                3 if m.gated_mlp else 2,
                m.vocab,
                m.tied_embeddings,
                m.seq_len,
                mean_attended_tokens(m, m.seq_len),
                m.n_experts,
                m.top_k,
                m.shared_experts,
                m.moe_layers,
                m.expert_ffn_hidden,
                m.attention_params_per_layer,
                max(0.0, m.params - m.count_params()[0]),
            )
            for m in models
        ]
        return cls(*np.array(rows, dtype=np.float64).reshape(len(rows), -1).T)


@dataclass(frozen=True, slots=True)
class AcceleratorArrays(Columns):
    """Chips, one element per chip; see :class:`clustersim.catalogue.Accelerator`.

    `peak_flops` is the peak in the requested precision, and `fp8` says whether that precision is
    FP8. `hbm_bytes` counts a stated gigabyte as a binary one (:data:`BINARY_GIGABYTE`).
    `mesh_peers` is the number of links over which a mesh chip divides its scale-up bandwidth.
    `link_generation` is an index into :data:`clustersim.network.constants.GENERATIONS`, and
    `fabric` one into :data:`clustersim.network.fabrics.FABRIC_NAMES`. `path_latency_s` is what the
    path between two nodes adds to the latency of nodes on one switch.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import AcceleratorArrays
    >>> catalogue = cs.load_catalogue()
    >>> chips = AcceleratorArrays.of([catalogue.accelerator("H200"), catalogue.accelerator("H20")])
    >>> chips.hbm_bytes.tolist()
    [151397597184.0, 103079215104.0]
    """

    peak_flops: Floats
    bf16_flops: Floats
    fp8: Bools
    hbm_bytes: Floats
    hbm_Bps: Floats
    scaleup_Bps: Floats
    mesh: Bools
    mesh_peers: Floats
    scaleup_size: Floats
    nic_Bps: Floats
    link_generation: Ints
    fabric: Ints
    path_latency_s: Floats | float = 0.0

    @classmethod
    def of(cls, chips: Sequence[Accelerator], precision: str = "bf16") -> AcceleratorArrays:
        """Build the arrays of several chips; a chip without FP8 computes in BF16.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> chips = [catalogue.accelerator(name) for name in ("H200", "910B2")]
        >>> cs.performance.AcceleratorArrays.of(chips, precision="fp8").fp8.tolist()
        [True, False]
        """
        floats = np.array(
            [
                (
                    chip.peak_flops.get(precision, chip.peak_flops["bf16"]),
                    chip.peak_flops["bf16"],
                    chip.hbm_bytes * BINARY_GIGABYTE,
                    chip.hbm_Bps,
                    chip.scaleup_Bps,
                    scaleup_domain(chip),
                    chip.nic_Bps,
                )
                for chip in chips
            ],
            dtype=np.float64,
        ).reshape(len(chips), -1)
        peak, bf16, hbm, hbm_Bps, scaleup, size, nic = floats.T
        return cls(
            peak_flops=peak,
            bf16_flops=bf16,
            fp8=np.array([precision == "fp8" and "fp8" in chip.peak_flops for chip in chips]),
            hbm_bytes=hbm,
            hbm_Bps=hbm_Bps,
            scaleup_Bps=scaleup,
            mesh=np.array([chip.scaleup_shape == "mesh" for chip in chips]),
            mesh_peers=np.maximum(size - 1.0, 1.0),
            scaleup_size=size,
            nic_Bps=nic,
            link_generation=np.array(
                [generation_of(c.family, mesh=c.scaleup_shape == "mesh") for c in chips],
                dtype=np.int64,
            ),
            fabric=np.array([FABRIC_NAMES.index(c.transport) for c in chips], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Plans(Columns):
    """Parallelism plans for ``tp * pp * dp * cp`` chips.

    The experts of a layer are spread over ``ep * etp`` chips of a pipeline stage.

    Attributes
    ----------
    tp, pp, dp, cp, ep : array
        Tensor, pipeline, data, context and expert parallel sizes.
    etp : array
        Expert tensor parallel size: the number of chips that split each expert's matrices. 0 means
        the default (:attr:`expert_tp`) and is used for models without experts.
    micro_batch : array
        Sequences per micro-batch.
    recompute : array
        0 none, 1 selective, 2 full.
    zero : array
        ZeRO stage 0 to 3.
    vpp : array
        Model chunks per pipeline rank (1: plain 1F1B).
    flash : array
        1 with fused attention, otherwise 0.
    sequence_parallel : array
        1 if the tensor-parallel ranks also split the norms, otherwise 0.
    zero_group : array
        Ranks over which ZeRO splits (hybrid sharding); 0 for all data-parallel ranks.
    overlap : array
        1 if the stack overlaps communication with computation, 0 if it is known not to do so.
    lora : array
        1 if low-rank adapters are trained while the weights are frozen.
    moe_recompute : array
        1 if mixture-of-experts layers are recomputed in the backward pass, regardless of
        `recompute` (``recompute_modules = ["moe"]`` in Megatron-Core).
    recompute_layers : array
        Layers of a pipeline stage that full recompute repeats, the others being kept; 0 for all
        (``recompute_method = "block"`` and ``recompute_num_layers`` in Megatron-Core).
    dispatcher : array
        How tokens reach the experts on other chips, an index into :data:`DISPATCHERS`; 0 for the
        software stack's usual way (:func:`clustersim.performance.stacks.dispatcher_of`).
    cuda_graphs : array
        1 if the kernels of a layer are replayed as a graph, unlike in the measured runs of the
        software stack.
    host_optimizer : array
        Percentage of the optimizer step that the processors of the host compute.

    Examples
    --------
    >>> from clustersim.performance import Plans
    >>> plans = Plans.of(tp=[1.0, 2.0], dp=[8.0, 4.0])
    >>> plans.tp.tolist(), plans.pp.tolist()
    ([1.0, 2.0], [1.0, 1.0])
    """

    tp: Floats
    pp: Floats
    dp: Floats
    cp: Floats
    ep: Floats
    etp: Floats
    micro_batch: Floats
    recompute: Floats
    zero: Floats
    vpp: Floats
    flash: Floats
    sequence_parallel: Floats
    zero_group: Floats
    overlap: Floats
    lora: Floats
    moe_recompute: Floats
    recompute_layers: Floats
    dispatcher: Floats
    cuda_graphs: Floats
    host_optimizer: Floats

    @classmethod
    def of(
        cls,
        *,
        tp: ArrayLike = 1,
        pp: ArrayLike = 1,
        dp: ArrayLike = 1,
        cp: ArrayLike = 1,
        ep: ArrayLike = 1,
        etp: ArrayLike = 0,
        micro_batch: ArrayLike = 1,
        recompute: ArrayLike = 0,
        zero: ArrayLike = 0,
        vpp: ArrayLike = 1,
        flash: ArrayLike = 1,
        sequence_parallel: ArrayLike = 1,
        zero_group: ArrayLike = 0,
        overlap: ArrayLike = 1,
        lora: ArrayLike = 0,
        moe_recompute: ArrayLike = 0,
        recompute_layers: ArrayLike = 0,
        dispatcher: ArrayLike = 0,
        cuda_graphs: ArrayLike = 0,
        host_optimizer: ArrayLike = 0,
    ) -> Plans:
        """Build plans from numbers or arrays that broadcast with each other.

        Examples
        --------
        >>> from clustersim.performance import Plans
        >>> plans = Plans.of(tp=[1, 2], pp=4)
        >>> plans.tp.tolist(), plans.pp.tolist()
        ([1.0, 2.0], [4.0, 4.0])
        """
        given = (
            *(tp, pp, dp, cp, ep, etp, micro_batch, recompute, zero, vpp, flash),
            *(sequence_parallel, zero_group, overlap, lora, moe_recompute),
            *(recompute_layers, dispatcher, cuda_graphs, host_optimizer),
        )
        columns = [np.asarray(column, dtype=np.float64) for column in given]
        return cls(*np.broadcast_arrays(*columns))

    @property
    def chips(self) -> Floats:
        """Number of chips in the job."""
        return self.tp * self.pp * self.dp * self.cp

    @property
    def expert_tp(self) -> Floats:
        """Chips that split each expert; if `etp` is 0, :func:`default_expert_tp` applies."""
        if np.all(self.etp > 0):
            return self.etp
        return np.where(self.etp > 0, self.etp, default_expert_tp(self.tp, self.ep))
