"""Columns of a table of training configurations, and the words that some of them allow."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.estimation.memory_columns import MEMORY_COLUMNS

__all__ = ["ADAPTERS", "COLUMNS", "KINDS", "REMARKS", "SWITCH_COLUMNS"]


KINDS = ("pretrain", "sft", "lora", "qlora", "rl-update")
"""Kinds of training."""
ADAPTERS = ("lora", "qlora")
"""Kinds of training with low-rank adapters."""
SWITCH_COLUMNS: Mapping[str, str] = {
    "flash": "flash_attn",
    "sequence_parallel": "seq_parallel",
    "overlap": "comm_overlap",
}
"""Switches of a plan whose column has another name."""

COLUMNS: Mapping[str, str] = {
    "accelerator": "name of a chip in the catalogue",
    "n_accelerators": "number of chips of the job (default: tp x pp x dp x cp)",
    "devices_per_node": "chips in one scale-up domain (default: the chip's)",
    "inter_node_gbps_per_device": "network bandwidth per chip in Gb/s (default: the chip's)",
    "model": "name; a model in the catalogue fills in the parts of the shape that are not given",
    "params_b": "parameters in billions; settles how many matrices an MLP has, and counts what the "
    "shape lacks",
    "layers": "transformer layers",
    "hidden": "width of the hidden activations",
    "heads": "attention heads",
    "kv_heads": "key and value heads (default: heads)",
    "head_dim": "width of a head (default: hidden / heads)",
    "ffn_hidden": "width of the MLP, or of one expert in a mixture",
    "mlp_type": "swiglu, geglu, gelu, relu, relu2",
    "vocab": "size of the vocabulary",
    "seq_len": "tokens per sequence",
    "sliding_window": "length of the attention window in tokens (default: all)",
    "document_tokens": "tokens of a document, averaged over tokens, if documents are packed into a "
    "sequence and attend only to themselves (default: the catalogue's, otherwise seq_len)",
    "n_experts": "experts per layer (default: none)",
    "topk": "routed experts per token",
    "shared_experts": "experts that process every token, each as wide as a routed one (default: "
    "the catalogue's, or the number in `notes`, as in `1 shared expert`; otherwise none)",
    "moe_layers": "layers with experts (default: the catalogue's, or as in `notes`: `first 3 "
    "layers dense`, `moe-layer-freq 2`; otherwise all)",
    "dense_ffn_hidden": "width of the MLP in layers without experts (default: ffn_hidden)",
    "kv_lora_rank": "width of the latent keys and values, for multi-head latent attention; "
    "head_dim is then the width of a query without rotary positions",
    "q_lora_rank": "width of the latent queries (default: queries are not compressed)",
    "qk_rope_head_dim": "width of the rotary part of a latent query or key (default: 64)",
    "v_head_dim": "width of a value in latent attention (default: head_dim)",
    "global_batch": "sequences per step",
    "micro_batch": "sequences per micro-batch (default: 1)",
    "tp": "tensor parallel size (default: 1; if a row gives none of tp, pp, dp, cp, ep, etp, "
    "vpp, micro_batch, recompute, zero and zero_group, its plan is searched for)",
    "pp": "pipeline stages (default: 1)",
    "vpp": "model chunks per stage (default: 1)",
    "dp": "data parallel size (default: chips / (tp x pp x cp))",
    "ep": "expert parallel size, over any chips of a stage (default: 1)",
    "etp": "expert tensor parallel size, chips per expert (default: the size in `notes`, as in "
    "`expert TP 2`; otherwise 1 if ep > 1, else tp)",
    "cp": "context parallel size (default: 1)",
    "precision": "bf16, fp16, fp8, mxfp8 or fp32 (default: bf16)",
    "recompute": "none, selective, full, or `block:N` and `block, N layers` for full recompute of "
    "N layers per stage (default: none; in predictions, that of the stack)",
    "recompute_layers": "layers per stage that full recompute repeats (default: all)",
    "moe_recompute": "0 or 1: mixtures of experts are recomputed (default: 1 if `recompute` or "
    "`notes` lists them, as in `recompute layernorm+moe`; otherwise 0)",
    "dispatcher": "alltoall, allgather, deepep or hybridep: how tokens reach experts (default: the "
    "one in `notes`, otherwise as usual for the stack)",
    "cuda_graphs": "0 or 1: kernels of a layer are launched as CUDA graphs, unlike in the "
    "measured runs of the stack (default: 0)",
    "zero": "0 to 3, fsdp, or 1(group=8) (default: 1, or 0 if no two ranks have the same weights)",
    "zero_group": "ranks over which ZeRO splits (default: all, or the group in zero)",
    "seq_parallel": "0 or 1 (default: 1 if tp > 1)",
    "flash_attn": "0 or 1 (default: 1)",
    "comm_overlap": "0 or 1 (default: 1)",
    "framework": "software stack (default: the chip's most frequently measured recent release)",
    "kind": "pretrain, SFT, LoRA or RL-update (default: pretrain)",
    "lora": "0 or 1: low-rank adapters (default: 1 if kind is LoRA or QLoRA)",
    "family": "table or paper of the row (optional; used only by `clustersim fit`)",
    "publisher": "who ran it (optional; `clustersim fit` leaves out all rows of one publisher "
    "together; default: the family)",
    **MEMORY_COLUMNS,
}
"""Columns that describe a run, with their defaults; other columns are kept as they are."""

REMARKS = "notes"
"""Column of free text, in which published tables state settings that have no column of their own
(:mod:`clustersim.estimation.remarks`)."""
