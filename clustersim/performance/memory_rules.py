"""Memory use of software stacks on a chip: bytes by class, loss, offload, and the reserve.

``data/memory.yaml`` lists the numbers of each stack with their sources. A job can change some of
them (:mod:`clustersim.performance.memory_options`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.array_types import Floats
from clustersim.files import FileModel, read_yaml, validate
from clustersim.performance.memory_options import GRADIENTS, OPTIMIZERS, WEIGHTS, offloads_of
from clustersim.performance.memory_overhead import overhead_of
from clustersim.performance.stacks import holds_word, product_of

__all__ = [
    "MemoryRules",
    "StackMemory",
    "describe_memory",
    "memory_rules",
    "plain_rules",
    "stack_entries",
    "stack_memory",
]


DATA = Path(__file__).parent / "data" / "memory.yaml"


class StackMemory(FileModel):
    """One entry of ``data/memory.yaml``; that file explains the fields.

    Examples
    --------
    Stacks of one group share a fitted overhead
    (:func:`clustersim.performance.memory_overhead.overhead_of`):

    >>> stack_memory("torchtitan").group, stack_memory("NeMo 24.07").group
    ('fsdp', 'megatron')
    """

    name: str
    words: list[str]
    group: str = "megatron"
    weights: float = Field(ge=0)
    gradients: float = Field(ge=0)
    gradient_stage: Literal[1, 2] = 2
    optimizer: float = Field(ge=0)
    step: float = Field(0.0, ge=0)
    step_split: float = Field(0.0, ge=0)
    replicated: float = Field(0.0, ge=0)
    bucket: float = Field(0.0, ge=0)
    logits: float = Field(gt=0)
    kernel: float = Field(2.0, gt=0)
    logits_split: float = Field(0.0, ge=0)
    loss_fused: Literal["n", "kernel", "linear"] = "n"
    eager: bool = False
    fp8_gate: bool = False
    selective: Literal["norms", "products"] = "norms"
    gathers: Literal["layers", "model"] = "layers"
    pipeline_keeps: bool = False
    recompute: Literal["none", "selective", "full"] = "none"
    host_gradients: bool = False
    buffers: float = Field(0.0, ge=0)
    buckets: float = Field(0.0, ge=0)
    live: float = Field(0.0, ge=0)
    step_group: float = Field(0.0, ge=0)
    source: str = Field(min_length=1)


class Reserve(FileModel):
    """Memory that tensors cannot use on the chips of one family."""

    family: str
    share: float = Field(ge=0, lt=1)
    bytes: float = Field(ge=0)
    links: float = Field(ge=0)
    source: str = Field(min_length=1)


class MemoryFile(FileModel):
    """Content of ``data/memory.yaml``."""

    stacks: list[StackMemory]
    reserves: list[Reserve]


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """Rules for the memory use of jobs: one element per job, or one value for all jobs.

    Attributes
    ----------
    weights, gradients, optimizer : array
        Bytes per parameter.
    gradient_stage : array
        ZeRO stage from which gradients are split.
    replicated, bucket : array
        Additional bytes per gradient without ZeRO; `bucket` applies only if there are several
        ranks.
    step, step_split : array
        Bytes per parameter that the optimizer's step needs in addition to its states, without ZeRO
        and with it.
    frozen : array
        Bytes per frozen weight if adapters are trained; 0 means FP8 in FP8 runs and BF16 otherwise.
    host_weights : array
        1 if the weights that ZeRO 3 splits are on the host.
    logits, logits_split : array
        Bytes per logit while the loss is computed: where one chip has the whole vocabulary, and
        where tensor-parallel ranks split it.
    fused_hidden : array
        1 if logits are never stored.
    eager : array
        1 if norms and gates run as separate operations.
    fp8_gate : array
        1 if FP8 runs with adapters keep the input of the MLP's activation function in one byte.
    products : array
        1 if selective recompute keeps every second matrix product.
    gathers_all : array
        1 if ZeRO 3 gathers the weights of the whole model instead of those of two layers.
    pipeline_keeps : array
        1 if ZeRO 3 keeps gathered weights and whole gradients between the micro-batches of a
        pipeline.
    offloaded_layers : array
        Layers per stage whose activations are on the host; may be infinite.
    live, step_group : array
        Largest numbers of parameters that ZeRO 3 gathers and updates at a time; may be infinite.
    buffers, buckets : array
        Largest communication buffers (bytes) of ZeRO 3, and of ZeRO 1 and 2.
    fragmentation, state_share, routed : array
        Fitted overhead: shares of the activations and gathered weights, and of weights, gradients
        and optimizer, and multiples of the bytes that a mixture of experts routes.
    scatter : array
        Standard deviation of the logarithm of measured over predicted peaks.
    reserve_share, reserve_bytes, reserve_links : array
        The rest of the reserve as a share of the chip's memory and as bytes, and the additional
        bytes of each communicator.

    Examples
    --------
    >>> from clustersim.performance import memory_rules
    >>> rules = memory_rules(["Megatron-LM"], ["hopper"])
    >>> float(rules.weights), float(rules.optimizer)
    (2.0, 12.0)
    """

    weights: Floats
    gradients: Floats
    optimizer: Floats
    gradient_stage: Floats
    replicated: Floats
    bucket: Floats
    step: Floats
    step_split: Floats
    frozen: Floats
    host_weights: Floats
    logits: Floats
    logits_split: Floats
    fused_hidden: Floats
    eager: Floats
    fp8_gate: Floats
    products: Floats
    gathers_all: Floats
    pipeline_keeps: Floats
    offloaded_layers: Floats
    live: Floats
    step_group: Floats
    buffers: Floats
    buckets: Floats
    fragmentation: Floats
    state_share: Floats
    routed: Floats
    scatter: Floats
    reserve_share: Floats
    reserve_bytes: Floats
    reserve_links: Floats

    def take(self, index: NDArray[Any]) -> MemoryRules:
        """Return the rows `index`; a value that all rows share is kept as it is.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.performance import memory_rules
        >>> rules = memory_rules(["Megatron-LM", "FSDP"], ["hopper", "hopper"])
        >>> np.shape(rules.take(np.array([0])).weights)
        (1,)
        """
        values = (getattr(self, column.name) for column in dataclasses.fields(self))
        return MemoryRules(*(value[index] if np.ndim(value) else value for value in values))


@functools.cache
def _file() -> MemoryFile:
    return validate(MemoryFile, read_yaml(DATA), DATA)


def stack_entries() -> list[StackMemory]:
    """Return all entries of ``data/memory.yaml``, in the order in which they are tried."""
    return _file().stacks


@functools.lru_cache(maxsize=1024)
def stack_memory(stack: str) -> StackMemory:
    """Return the entry of a software stack, or else of the product that it runs on.

    An unknown stack gets the values of the ZeRO paper.

    Examples
    --------
    >>> found = stack_memory("Megatron-LM")
    >>> found.weights + found.gradients, found.optimizer
    (6.0, 12.0)
    >>> stack_memory("HF Trainer + DeepSpeed").name, stack_memory("our own").name
    ('DeepSpeed', 'mixed precision')
    >>> stack_memory("verl").name
    'PyTorch FSDP'
    """
    entries = _file().stacks
    for name in (stack, product_of(stack)):
        for entry in entries:
            if any(holds_word(name, word) for word in entry.words):
                return entry
    return next(entry for entry in entries if not entry.words)


def _reserve(family: str) -> Reserve:
    return next(entry for entry in _file().reserves if entry.family in (family, ""))


def memory_rules(
    stacks: Sequence[str],
    families: Sequence[str],
    options: Sequence[Mapping[str, str]] | Mapping[str, str] = (),
) -> MemoryRules:
    """Return the memory rules of the given jobs.

    Parameters
    ----------
    stacks : sequence of str
        Software stack of each job; ``""`` for an unknown one.
    families : sequence of str
        Chip family of each job.
    options : mapping, or sequence of mappings
        As returned by :func:`clustersim.performance.parse_memory`: one mapping for all jobs, or one
        per job.

    Returns
    -------
    MemoryRules
        A field that has the same value for all jobs is a scalar.

    Examples
    --------
    >>> from clustersim.performance import memory_rules
    >>> rules = memory_rules(["Megatron-LM", "DeepSpeed"], ["hopper", "hopper"])
    >>> rules.gradients.tolist(), float(rules.weights)
    ([4.0, 2.0], 2.0)
    """
    each = [options] * len(stacks) if isinstance(options, Mapping) else list(options)
    each = each or [{}] * len(stacks)
    rows = [
        _resolved(stack, family, tuple(sorted(chosen.items())))
        for stack, family, chosen in zip(stacks, families, each, strict=True)
    ]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(_COLUMNS)).T
    return MemoryRules(
        *(column[0] if column.size and np.all(column == column[0]) else column
          for column in columns)
    )  # fmt: skip


_COLUMNS = tuple(column.name for column in dataclasses.fields(MemoryRules))


@functools.lru_cache(maxsize=4096)
def _resolved(stack: str, family: str, items: tuple[tuple[str, str], ...]) -> tuple[float, ...]:
    """Return the values of one job in the order of the fields of :class:`MemoryRules`."""
    entry, reserve, chosen = stack_memory(stack), _reserve(family), dict(items)
    found = overhead_of(entry.group)
    loss = chosen.get("loss_fused", _loss_of(stack))
    offload = offloads_of(chosen.get("offload", "none"))
    weights, optimizer = entry.weights, entry.optimizer
    step, step_split = entry.step, entry.step_split
    gradients, replicated = entry.gradients, entry.replicated
    kind = chosen.get("optimizer", "adamw")
    optimizer += OPTIMIZERS[kind] - OPTIMIZERS["adamw"]
    if kind == "adamw-bf16":
        weights, gradients, replicated, optimizer = 2.0, 2.0, 0.0, OPTIMIZERS[kind]
        # Intermediates have the precision of the weights.
        step, step_split = min(step, 2.0), min(step_split, 2.0)
    if "gradients" in chosen:
        gradients, replicated = GRADIENTS[chosen["gradients"]], 0.0
    left = 1.0
    if "optimizer" in offload:
        left = 1.0 - min(offload["optimizer"], 1.0)
        optimizer, step = optimizer * left, step * left
        if entry.host_gradients:
            gradients, replicated = gradients * left, replicated * left
    logits = {"n": entry.logits, "kernel": entry.kernel, "linear": 0.0}[loss]
    values = {
        "weights": weights,
        "gradients": gradients,
        "optimizer": max(optimizer, 0.0),
        "gradient_stage": entry.gradient_stage,
        "replicated": replicated,
        "bucket": entry.bucket,
        "step": step,
        "step_split": step_split * left or step,
        "frozen": WEIGHTS.get(chosen.get("weights", ""), 0.0),
        "host_weights": "weights" in offload,
        "logits": logits,
        "logits_split": (loss == "n" and entry.logits_split) or logits,
        "fused_hidden": loss == "linear",
        "eager": entry.eager and not _liger(stack),
        "fp8_gate": entry.fp8_gate,
        "products": entry.selective == "products",
        "gathers_all": entry.gathers == "model",
        "pipeline_keeps": entry.pipeline_keeps,
        "offloaded_layers": offload.get("activations", 0.0),
        "live": entry.live or math.inf,
        "step_group": entry.step_group or math.inf,
        "buffers": entry.buffers,
        "buckets": entry.buckets or entry.buffers,
        "fragmentation": found.fragmentation,
        "state_share": found.states,
        "routed": found.routed,
        "scatter": found.scatter,
        "reserve_share": reserve.share,
        "reserve_bytes": reserve.bytes,
        "reserve_links": reserve.links,
    }
    return tuple(float(values[name]) for name in _COLUMNS)


def _liger(stack: str) -> bool:
    """Return whether the norms, gates and loss of a stack are the kernels of Liger.

    Their loss never stores logits, and the others fuse what `eager` counts (arXiv 2410.10989).
    """
    return holds_word(stack, "liger")


def _loss_of(stack: str) -> str:
    return "linear" if _liger(stack) else stack_memory(stack).loss_fused


@functools.cache
def plain_rules() -> MemoryRules:
    """Return the rules of the ZeRO paper: 16 bytes per parameter, and stored logits."""
    return memory_rules([""], [""])


def describe_memory(stack: str, options: Mapping[str, str]) -> str:
    """Describe the bytes that are counted for a stack.

    Examples
    --------
    >>> from clustersim.performance import describe_memory
    >>> describe_memory("Megatron-LM", {})
    'Megatron-Core: weights 2, gradients 4, optimizer 12 bytes per parameter; logits stored, \
6 bytes each'
    """
    entry = stack_memory(stack)
    values = dict(zip(_COLUMNS, _resolved(stack, "", tuple(sorted(options.items()))), strict=True))
    gradients = values["gradients"] + values["replicated"]
    split = "" if gradients == values["gradients"] else f" ({gradients:g} without ZeRO)"
    if values["fused_hidden"]:
        loss = "logits never stored"
    else:
        kernel = options.get("loss_fused", _loss_of(stack)) == "kernel"
        loss = f"{'fused loss on stored logits' if kernel else 'logits stored'}, "
        loss += f"{values['logits']:g} bytes each"
        if values["logits_split"] != values["logits"]:
            loss += f" ({values['logits_split']:g} if tensor parallelism splits the vocabulary)"
    words = [
        f"{entry.name}: weights {values['weights']:g}, gradients {values['gradients']:g}{split}, "
        f"optimizer {values['optimizer']:g} bytes per parameter",
        loss,
    ]
    offload = options.get("offload", "none")
    if offload != "none":
        words.append(f"{offload.replace('+', ', ')} on the host")
    return "; ".join(words)
