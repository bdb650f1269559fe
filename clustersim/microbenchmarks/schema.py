"""The file of measurements: one row per case, with its shape, results and environment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CHECKSUM", "COLUMNS", "ENVIRONMENT", "KINDS", "RESULTS", "SHAPE", "row_checksum"]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "launch": "many consecutive launches of a kernel with almost no work",
        "copy": "copy of a tensor",
        "layer_norm": "layer norm over rows of 4,096 elements, forward",
        "softmax": "softmax over rows of 4,096 elements, forward",
        "adam": "AdamW with FP32 main weights, for `elements` parameters in BF16",
        "matmul": "product of an m x k and a k x n matrix",
        "grouped": "products of `groups` pairs of an m x k and a k x n matrix, as of experts",
        "attention": "fused causal attention, without its projections",
        "layer": "one transformer layer",
        "output": "output layer and its loss, forward and backward",
        "idle_step": "training step of a model so small that only kernel launches take time",
        "step": "one whole training step: forward, backward, optimizer",
        "all_reduce": "sum over `ranks` devices of `size_bytes` on each",
        "all_gather": "each of `ranks` devices gets all `size_bytes`",
        "reduce_scatter": "sum of `size_bytes` on each of `ranks` devices, split among them",
    }
)
"""Kinds of cases. A ``step`` is never used in a fit; it shows how good a fit to the other kinds
is."""

SHAPE: Mapping[str, str] = MappingProxyType(
    {
        "kind": "one of KINDS",
        "direction": "forward, or forward+backward",
        "precision": "bf16, fp16 or fp8",
        "layout": "transposition of the operands of a product, in BLAS letters: TN (forward), NN "
        "(gradient of inputs), NT (gradient of weights)",
        "groups": "products in one call",
        "m": "rows of the result",
        "n": "columns of the result",
        "k": "summed dimension",
        "elements": "elements of one operand, or parameters",
        "size_bytes": "message size of a collective, as nccl-tests counts it",
        "ranks": "devices of a collective",
        "model": "name of the model shape",
        "layers": "transformer layers",
        "hidden": "width of the hidden activations",
        "heads": "attention heads",
        "kv_heads": "key and value heads",
        "head_dim": "width of a head",
        "ffn_hidden": "width of the MLP",
        "mlp_type": "gelu (GPT) or swiglu (Llama)",
        "vocab": "size of the vocabulary",
        "seq_len": "tokens per sequence",
        "micro_batch": "sequences per micro-batch",
        "global_batch": "sequences per step",
        "recompute": "none, or full (of each layer)",
    }
)
"""Columns that describe the case. Model columns are named as in a table of training runs."""

RESULTS: Mapping[str, str] = MappingProxyType(
    {
        "median_s": "seconds per call: median of the repetitions",
        "low_s": "10th percentile of the repetitions",
        "high_s": "90th percentile of the repetitions",
        "repetitions": "number of timed repetitions, after a warm-up",
        "calls": "consecutive calls in one repetition",
        "flops": "floating-point operations per call, without recompute",
        "bytes": "minimum memory traffic per call: operands read once and results written once",
        "peak_memory_bytes": "peak memory allocated by the framework",
        "clock_Hz": "core clock after the repetitions, while the device is still busy",
        "power_W": "power at that time",
        "temperature_C": "temperature at that time",
        "fault": "reason why no time was measured; otherwise empty",
    }
)
"""Columns with the results; a value that cannot be read is empty."""

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "accelerator": "name of the chip in the catalogue, or the name that the device reports",
        "device": "name that the device reports",
        "framework": "software that ran the case",
        "runtime": "CUDA, CANN or none, with its version",
        "driver": "version of the driver",
        "host": "processor, operating system and Python",
        "measured_on": "day (UTC)",
        "clustersim": "version of clustersim that made the measurement",
    }
)
"""Columns that describe where a row was measured. All rows of a run repeat the same values, so that
files can be joined."""

CHECKSUM = "checksum"
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        **SHAPE,
        **RESULTS,
        **ENVIRONMENT,
        CHECKSUM: "checksum of the row without its accelerator, whose name may be changed",
    }
)


def row_checksum(row: Mapping[str, object]) -> str:
    """Return the checksum of the non-empty columns of a row; their order has no effect.

    Parameters
    ----------
    row : mapping
        Values by column; None, NaN and empty texts are equivalent.

    Examples
    --------
    >>> row_checksum({"kind": "copy", "m": "", "accelerator": "H100"})
    'sha-d657f8171555'
    >>> row_checksum({"accelerator": "mine", "kind": " copy"}) == row_checksum({"kind": "copy"})
    True
    """
    texts = {
        name: str(row[name]).strip()
        for name in COLUMNS
        if name not in (CHECKSUM, "accelerator") and row.get(name) not in (None, "")
    }
    filled = [f"{name}={text}" for name, text in texts.items() if text and text != "nan"]
    return f"sha-{hashlib.sha256(chr(10).join(filled).encode()).hexdigest()[:12]}"
