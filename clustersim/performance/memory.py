"""Memory of one chip by class, and whether a plan fits in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.memory_rules import MemoryRules, plain_rules
from clustersim.performance.shard import Shard, fully_recomputed

__all__ = ["CLASSES", "activation_bytes_per_layer", "memory_by_class"]


CLASSES = ("weights", "gradients", "optimizer", "activations", "reserve")
"""Names of the memory classes."""
PRODUCT_BYTES = 2.0
"""Bytes per weight or gradient in the precision of the matrix products, in which ZeRO 3 gathers the
weights of a layer."""
BUFFER_BYTES = 2.0
"""Bytes in the communication buffer of ZeRO 3 per trained parameter, at most."""
BUCKET_BYTES = 18.0
"""Bytes in the buckets of ZeRO 1 and 2 per trained parameter, at most: 4.5 copies of two buckets of
two-byte elements (Transformers, DeepSpeed, ``overlap_comm``)."""
LAYERS_AT_WORK = 2.0
"""Number of layers whose activations stay on the chip when activations are offloaded to the host:
the current layer and the layer in transfer."""


def activation_bytes_per_layer(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules | None = None,
) -> tuple[Floats, Floats]:
    """Return the activation bytes of a micro-batch: kept per layer, and used by the current layer.

    The counts follow Korthikanti et al. 2022 (arXiv 2205.05198, equations 2 to 6). Each tensor is
    counted separately, so that grouped queries, gated MLPs and experts are also covered.

    Without recompute, a layer keeps the inputs of both norms, of the projections and of the MLP (4
    hidden), queries, keys, values and attention output, and the MLP activations: ``32 tokens
    hidden`` bytes for a GPT layer. Stacks without fused attention also keep the dropout masks (``34
    tokens hidden``) and, unless they recompute selectively, the scores (5 bytes each). With fused
    attention, selective recompute repeats the norms and the activation function of the MLP. Full
    recompute keeps only the layer's input; if it repeats only a block of layers, the result is the
    mean of all layers.

    With FP8, the inputs of the matrix products are kept in one byte. Frozen matrices (LoRA) need
    these inputs only for the adapted projections, and some stacks then keep the input of the MLP's
    activation function in one byte as well; products with 4-bit weights keep all inputs
    (``MatMul4Bit`` of bitsandbytes). If tensor-parallel ranks split the tokens, each of the
    `etp` ranks that split an expert keeps all token copies that these ranks gathered. Recomputed
    mixtures of experts keep only their input.

    Stacks that run each operation separately keep more for gated models: each RMSNorm keeps an FP32
    copy of its input and the result before scaling, and each gate keeps its activation in addition
    to the product (``LlamaRMSNorm`` and ``LlamaMLP`` of Transformers). If selective recompute keeps
    matrix products instead, it keeps every second product, the attention output and the layer's
    input (``apply_ac`` of torchtitan).
    """
    rules = plain_rules() if rules is None else rules
    if np.any(plans.moe_recompute > 0):
        others = dataclasses.replace(plans, moe_recompute=np.zeros(()))
        nothing = np.zeros(models.layers.shape)
        empty = dataclasses.replace(models, top_k=nothing, shared_experts=nothing)
        kept, at_work = activation_bytes_per_layer(shard, models, chips, others, rules)
        less, _ = activation_bytes_per_layer(shard, empty, chips, others, rules)
        return np.where((plans.moe_recompute > 0) & (plans.recompute < 2), less, kept), at_work
    layer = _layer_tensors(models, plans)
    none = _kept_without_recompute(layer, models, chips, plans, rules)
    some = _kept_selectively(layer, models, chips, plans, rules)
    full = 2.0 * models.hidden / layer.split
    kept = np.where(plans.recompute >= 1, np.minimum(some, none), none)
    if np.any(plans.flash <= 0):
        unfused = none + 2.0 * models.hidden / layer.split  # dropout masks
        scores = 5.0 * models.heads * models.seq_len / plans.tp
        at_work = np.where(plans.flash > 0, none, unfused + scores)
        scores = np.where(plans.recompute >= 1, 0.0, scores)
        kept = np.where(plans.flash > 0, kept, unfused + scores)
    else:
        at_work = none
    if np.any(plans.recompute_layers > 0):
        share = fully_recomputed(models, plans)
        full = share * full + (1.0 - share) * at_work
    kept = np.where(plans.recompute >= 2, full, kept)
    return shard.tokens * kept, shard.tokens * at_work


@dataclass(frozen=True, slots=True)
class _LayerTensors:
    """Elements per token of one layer on a chip that several counts of bytes share.

    The tokens of norms are divided by `split`. `mlp` is the width of the activations of the MLP
    before tensor parallelism, `gate` the number of its matrices that multiply the input. `common`
    is what a layer keeps apart from the norms and the input of the last product.
    """

    split: Floats
    mlp: Floats
    gate: Floats
    attention: Floats
    routed: Floats
    norms: Floats
    common: Floats


def _layer_tensors(models: ModelArrays, plans: Plans) -> _LayerTensors:
    split = np.where(plans.sequence_parallel > 0, plans.tp, 1.0)
    moe = models.moe_layers / models.layers
    active = models.top_k + models.shared_experts
    mlp = (1.0 - moe) * models.ffn_hidden + moe * active * models.expert_ffn_hidden
    attention = 2.0 * (models.attention_width + models.kv_width) / plans.tp
    routed: Floats = np.zeros(())
    if np.any(models.n_experts > 0):
        gathered = np.where(plans.sequence_parallel > 0, plans.expert_tp / plans.tp, 1.0)
        routed = moe * models.top_k * models.hidden * gathered
    gate = models.mlp_matrices - 1.0
    return _LayerTensors(
        split=split,
        mlp=mlp,
        gate=gate,
        attention=attention,
        routed=routed,
        norms=4.0 * models.hidden / split,
        common=attention + gate * mlp / plans.tp + routed,
    )


def _kept_without_recompute(
    layer: _LayerTensors,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules,
) -> Floats:
    """Return the bytes per token of a layer with fused attention."""
    inputs = 2.0 * models.hidden / layer.split + (models.attention_width + layer.mlp) / plans.tp
    whole = 2.0 * (layer.norms + layer.common + layer.mlp / plans.tp)
    kept = whole - np.where(chips.fp8, inputs, 0.0)
    adapted = 2.0 * (0.75 * layer.norms + layer.common)
    if np.any(rules.frozen > 0):
        four_bits = (rules.frozen > 0) & (rules.frozen < 1)
        adapted = np.where(four_bits, whole, adapted)
    kept = np.where(plans.lora > 0, adapted, kept)
    if np.any(rules.eager > 0):
        apart = np.where(plans.lora > 0, 1.0, 2.0) * layer.norms + 2.0 * layer.mlp / plans.tp
        kept = kept + rules.eager * (models.mlp_matrices - 2.0) * apart
    return _with_narrow_gate(kept, layer, chips, plans, rules)


def _kept_selectively(
    layer: _LayerTensors,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules,
) -> Floats:
    """Return the bytes per token of a layer with fused attention and selective recompute."""
    kept = 2.0 * (0.75 * layer.norms + layer.common)
    kept = kept - np.where(chips.fp8, models.attention_width / plans.tp, 0.0)
    if np.any(rules.products > 0):
        outputs = (
            layer.attention
            + layer.gate * layer.mlp / plans.tp
            + 2.0 * models.hidden / layer.split
            - (models.attention_width / plans.tp)
        )
        second = models.hidden / layer.split + models.attention_width / plans.tp + 0.5 * outputs
        kept = np.where(rules.products > 0, 2.0 * (second + layer.routed), kept)
    return _with_narrow_gate(kept, layer, chips, plans, rules)


def _with_narrow_gate(
    kept: Floats,
    layer: _LayerTensors,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules,
) -> Floats:
    """Reduce the bytes of stacks that keep the input of the activation function in one byte."""
    if not np.any(rules.fp8_gate > 0):
        return kept
    narrow = rules.fp8_gate * (chips.fp8 & (plans.lora > 0))
    return kept - narrow * layer.gate * layer.mlp / plans.tp


def memory_by_class(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules | None = None,
) -> dict[str, Floats]:
    """Return the bytes per chip: ``weights, gradients, optimizer, activations, reserve``.

    `rules` gives the bytes per parameter and per logit (default: :func:`plain_rules`). ZeRO splits
    the optimizer (stage 1), gradients (2) and weights (3) over the data-parallel ranks (Rajbhandari
    et al. 2020), and those of experts over the ranks that hold the same experts. Stage 3 also keeps
    the gathered weights of two layers, the gradients of one layer, and the gathered vocabulary
    table. Together these are at most the largest number of parameters that the stack gathers at a
    time. Some stacks gather the whole model; others keep gathered weights and whole gradients until
    a pipeline has processed all micro-batches. Frozen weights in 4 or 8 bits leave the vocabulary
    tables in 16 bits.

    The memory for activations is the largest of three peaks. The first pipeline stage keeps up to
    `pp` micro-batches, or ``pp + (pp - 1) / vpp`` when interleaved (Korthikanti et al. 2022,
    appendix C), but never more micro-batches than a step has. The last stage keeps one micro-batch,
    or ``pp - (pp - 1) / vpp`` when interleaved, and the logits while it computes the loss. At the
    end of a step, only the intermediate results of the optimizer remain. With ZeRO 2, the gradient
    of the vocabulary table is whole until it is reduced. With full recompute, or
    with recompute of mixtures, the activations of one layer are added. Activation offload leaves
    the activations of two layers on the chip.

    The reserve has the context of the process, the communicators, buckets (at most as large as the
    trained parameters require), and the fitted overhead of the stack
    (:mod:`clustersim.performance.memory_overhead`).
    """
    rules = plain_rules() if rules is None else rules
    params = _Params(
        whole=shard.dense_params + shard.expert_params,
        sharded=shard.dense_params / shard.group + shard.expert_params / shard.expert_group,
        zero=plans.zero,
    )
    at_rest, gathered = _weights(params, shard, models, chips, plans, rules)
    per_rank = _gradients(params, shard, models, plans, rules) * shard.trained
    states = params.split_from(1) * shard.trained
    at_optimizer = rules.optimizer * states
    peak = _activation_peak(shard, models, chips, plans, rules)
    if np.any(rules.step + rules.step_split > 0):
        stepped = np.where(plans.zero >= 3, np.minimum(states, rules.step_group), states)
        peak = np.maximum(peak, np.where(plans.zero >= 1, rules.step_split, rules.step) * stepped)
    reserve = _fixed_reserve(params, shard, chips, plans, rules)
    reserve = reserve + rules.fragmentation * (peak + gathered)
    if np.any(rules.state_share > 0):
        held = at_rest - gathered + per_rank + at_optimizer
        reserve = reserve + rules.state_share * held
    if np.any(rules.routed > 0) and np.any(models.n_experts > 0):
        reserve = reserve + rules.routed * _routed_bytes(shard, models, plans)
    return {
        "weights": at_rest,
        "gradients": per_rank,
        "optimizer": at_optimizer,
        "activations": peak,
        "reserve": reserve,
    }


@dataclass(frozen=True, slots=True)
class _Params:
    """Parameters of a chip, and its share of them if ZeRO splits them over the ranks."""

    whole: Floats
    sharded: Floats
    zero: Floats

    def split_from(self, stage: Floats | float) -> Floats:
        """Return the parameters of a chip for data that ZeRO splits from a stage on."""
        return np.where(self.zero >= stage, self.sharded, self.whole)


def _weights(
    params: _Params,
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules,
) -> tuple[Floats, Floats]:
    """Return the bytes of weights on a chip, and those of them that ZeRO 3 has gathered."""
    whole = params.whole
    frozen = np.where(rules.frozen > 0, rules.frozen, np.where(chips.fp8, 1.0, 2.0))
    weight_bytes = np.where(plans.lora > 0, frozen, rules.weights)
    at_rest, gathered = weight_bytes * params.split_from(3), np.zeros(())
    if np.any(rules.frozen > 0):
        tables = np.where(plans.pp > 1, 1.0, 2.0 - models.tied) * models.vocab * models.hidden
        narrow = (plans.lora > 0) & (rules.frozen > 0) & (plans.zero < 3)
        wider = np.where(narrow, np.maximum(PRODUCT_BYTES - rules.frozen, 0.0), 0.0)
        at_rest = at_rest + wider * tables / plans.tp
    if np.any(plans.zero >= 3):
        table = models.vocab * models.hidden / plans.tp
        layer = np.maximum(whole - table, 0.0) / shard.layers
        units = (2.0 + shard.trained) * layer + table
        units = np.minimum(units, np.maximum(rules.live, table))
        if np.any(rules.gathers_all > 0):
            units = np.where(rules.gathers_all > 0, whole, units)
        if np.any(rules.pipeline_keeps > 0):
            units = np.where((rules.pipeline_keeps > 0) & (plans.pp > 1), whole, units)
        gathered = np.where(plans.zero >= 3, PRODUCT_BYTES * units, 0.0)
        on_chip = weight_bytes * params.sharded * (1.0 - rules.host_weights) + gathered
        at_rest = np.where(plans.zero >= 3, on_chip, at_rest)
    return at_rest, gathered


def _gradients(
    params: _Params, shard: Shard, models: ModelArrays, plans: Plans, rules: MemoryRules
) -> Floats:
    """Return the bytes of gradients on a chip if all parameters are trained."""
    per_gradient = rules.gradients
    if np.any(rules.replicated + rules.bucket > 0):
        copies = rules.replicated + np.where(shard.ranks > 1, rules.bucket, 0.0)
        per_gradient = per_gradient + np.where(plans.zero < 1, copies, 0.0)
    gradients = per_gradient * params.split_from(rules.gradient_stage)
    second = plans.zero == 2
    if np.any(second):
        table = PRODUCT_BYTES * models.vocab * models.hidden / plans.tp
        rest = np.where(rules.gradients > 0, 1.0 - 1.0 / shard.group, 0.0)
        gradients = gradients + np.where(second, table * rest, 0.0)
    if np.any(rules.pipeline_keeps > 0):
        kept_whole = (rules.pipeline_keeps > 0) & (plans.pp > 1) & (plans.zero >= 3)
        gradients = np.where(kept_whole, per_gradient * params.whole, gradients)
    return gradients


def _activation_peak(
    shard: Shard,
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    rules: MemoryRules,
) -> Floats:
    """Return the peak of the bytes of activations and logits of the first and the last stage."""
    per_layer, at_work = activation_bytes_per_layer(shard, models, chips, plans, rules)
    working = np.where(plans.recompute >= 2, at_work, np.zeros(()))
    if np.any(plans.moe_recompute > 0):
        partly = (plans.moe_recompute > 0) & (plans.recompute < 2)
        working = np.where(partly, np.maximum(at_work - per_layer, 0.0), working)
    first, last = _in_flight(shard, plans)
    each = rules.logits
    if np.any(rules.logits_split != rules.logits):
        each = np.where(plans.tp > 1, rules.logits_split, rules.logits)
    logits = each * shard.tokens * models.vocab / plans.tp
    if np.any(rules.fused_hidden > 0):
        logits = logits + rules.fused_hidden * _fused_loss_bytes(shard, models, plans)
    first_stage = _on_chip(per_layer, shard.layers, first, rules) + working
    last_stage = _on_chip(per_layer, shard.layers, last, rules) + np.maximum(working, logits)
    return np.maximum(first_stage, last_stage)


def _fixed_reserve(
    params: _Params, shard: Shard, chips: AcceleratorArrays, plans: Plans, rules: MemoryRules
) -> Floats:
    """Return the bytes of the process, the communicators and their buffers."""
    reserve = rules.reserve_share * chips.hbm_bytes + rules.reserve_bytes
    reserve = reserve + _communicators(plans) * rules.reserve_links
    if np.any(rules.buffers > 0):
        trained = params.whole * shard.trained
        gathers = np.minimum(rules.buffers, BUFFER_BYTES * trained)
        reduces = np.minimum(rules.buckets, BUCKET_BYTES * trained)
        buffers = np.where(plans.zero >= 3, gathers, reduces)
        reserve = reserve + np.where((plans.zero >= 1) & (shard.ranks > 1), buffers, 0.0)
    return reserve


def _communicators(plans: Plans) -> Floats:
    """Return the number of communicators of a chip.

    There is one for each kind of parallelism with several ranks, and one of all chips if there are
    several kinds.
    """
    kinds = np.add(plans.tp > 1, plans.pp > 1, dtype=np.int8)
    for size in (plans.cp, plans.dp, plans.ep):
        kinds = np.add(kinds, size > 1, dtype=np.int8)
    return np.add(kinds, kinds > 1, dtype=np.float64)


def _routed_bytes(shard: Shard, models: ModelArrays, plans: Plans) -> Floats:
    """Return the bytes of the token copies of one mixture: inputs, outputs and MLP activations."""
    copies = shard.tokens * models.top_k / plans.tp * plans.expert_tp
    width = 2.0 * models.hidden + models.mlp_matrices * models.expert_ffn_hidden / plans.expert_tp
    return np.where(models.moe_layers > 0, 2.0 * copies * width, 0.0)


def _in_flight(shard: Shard, plans: Plans) -> tuple[Floats, Floats]:
    """Return the largest numbers of micro-batches kept on the first and on the last stage.

    With interleaving, a number is fractional if only some chunks of a stage have a micro-batch.
    """
    spread = np.where(plans.vpp > 1, (plans.pp - 1.0) / plans.vpp, np.zeros(()))
    first = np.minimum(shard.micro_batches, plans.pp + spread)
    last = np.where(plans.vpp > 1, plans.pp - spread, 1.0)
    return first, np.minimum(shard.micro_batches, last)


def _on_chip(per_layer: Floats, layers: Floats, in_flight: Floats, rules: MemoryRules) -> Floats:
    """Return the activation bytes of a stage on the chip, without those offloaded to the host."""
    if not np.any(rules.offloaded_layers > 0):
        return per_layer * layers * in_flight
    away = np.minimum(rules.offloaded_layers, layers)
    left = (layers - away) * in_flight + np.minimum(away, LAYERS_AT_WORK)
    return per_layer * np.minimum(left, layers * in_flight)


def _fused_loss_bytes(shard: Shard, models: ModelArrays, plans: Plans) -> Floats:
    """Return the memory in bytes of a loss that is fused with the output layer.

    The loss is computed in chunks of tokens. The logits of a chunk take as much memory as the
    layer's input and are stored in 16 and in 32 bits. The gradients of the input and of the
    vocabulary table are computed at the same time (Liger, arXiv 2410.10989, section 3.2: 2 + 4 + 2
    bytes per element of the input, and 2 per element of the table).
    """
    return 8.0 * shard.tokens * models.hidden + 2.0 * models.vocab * models.hidden / plans.tp
