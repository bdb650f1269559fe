"""Shapes, chips and coefficients that make the arithmetic of a step plain.

The model is a GPT of 24 layers of width 1,024 with 8 heads; its chip makes 1e15 FLOP/s, streams
2 TB/s, and has 400 GB/s to the seven others of its server and 50 GB/s to other servers.
"""

from __future__ import annotations

import numpy as np

from clustersim.network.constants import GENERATIONS, fitted_values
from clustersim.performance import (
    PARAMETERS,
    AcceleratorArrays,
    Coefficients,
    ModelArrays,
    Plans,
    evaluate,
)

LAYERS, HIDDEN, SEQ = 24, 1024, 2048
LAYER_PARAMS = 12 * HIDDEN**2
PARAMS = LAYERS * LAYER_PARAMS
PEAK, MEMORY_BPS, NEAR_BPS, FAR_BPS = 1e15, 2e12, 400e9, 50e9
ATTENTION = 4 * SEQ * 1024 * HIDDEN * LAYERS / PEAK
"""Seconds of the forward pass of attention."""
MLP = 2 * 4 * HIDDEN**2
"""Parameters of the MLP of one layer."""
CONSTANTS = fitted_values()
NOTHING = (
    *(
        "matmul_traffic",
        "softmax_width",
        "attention_ramp",
        "cast_traffic",
        "layer_s",
        "score_bytes",
    ),
    "logit_bytes",
    "grouped_traffic",
    *("latency_factor", "hop_latency_s", "tp_overlap", "dp_overlap", "zero3_overlap", "ep_overlap"),
    *("cp_overlap", "pp_overlap", "fixed_s", "straggling", "expert_s", "mixture_s"),
    *("permutation_traffic", "balance"),
)


def columns(kind, values):
    return kind(**{name: np.array([value]) for name, value in values.items()})


def model(**changes):
    """Arrays of one model; a dense GPT without vocabulary unless changed."""
    shape = {
        "layers": 24.0, "hidden": 1024.0, "attention_width": 1024.0, "kv_width": 1024.0,
        "heads": 8.0, "ffn_hidden": 4096.0, "mlp_matrices": 2.0, "vocab": 0.0, "tied": 0.0,
        "seq_len": 2048.0, "span": 1024.0, "n_experts": 0.0, "top_k": 0.0, "shared_experts": 0.0,
        "moe_layers": 0.0, "expert_ffn_hidden": 0.0, "attention_params": 4.0 * HIDDEN**2,
        "other_params": 0.0,
    }  # fmt: skip
    return columns(ModelArrays, shape | changes)


def mixture(**changes):
    """Eight experts, each as wide as the MLP, two of them for a token."""
    experts = {"n_experts": 8.0, "top_k": 2.0, "moe_layers": 24.0, "expert_ffn_hidden": 4096.0}
    return model(**(experts | changes))


def chip(**changes):
    """Arrays of one chip."""
    shape = {
        "peak_flops": PEAK, "bf16_flops": PEAK, "fp8": False, "hbm_bytes": 80e9,
        "hbm_Bps": MEMORY_BPS, "scaleup_Bps": NEAR_BPS, "mesh": False, "mesh_peers": 7.0,
        "scaleup_size": 8.0, "nic_Bps": FAR_BPS,
        "link_generation": GENERATIONS.index("switch"),
        "fabric": 0,
    }  # fmt: skip
    return columns(AcceleratorArrays, shape | changes)


def plain(**changes):
    """Coefficients: factors and efficiencies 1, start-ups, overlaps and extra traffic 0."""
    values = {parameter.name: 1.0 for parameter in PARAMETERS} | dict.fromkeys(NOTHING, 0.0)
    values |= {
        "scaleup_factor": 1.0 / CONSTANTS["switch", "efficiency"],
        "nic_factor": 1.0 / CONSTANTS["rdma", "efficiency"],
        "gradient_bytes": 2.0,
    }
    return Coefficients(**{name: np.array([v]) for name, v in (values | changes).items()})


def step(shape, plan, *, batch=1, on=None, **changes):
    """Evaluate one plan with plain coefficients."""
    chips = chip() if on is None else on
    return evaluate(
        shape, chips, Plans.of(**plan), global_batch=[float(batch)], coefficients=plain(**changes)
    )


def parts(shape, plan, **keywords):
    """Seconds by part of one plan."""
    return {name: float(np.ravel(s)[0]) for name, s in step(shape, plan, **keywords).parts.items()}


def near(seconds):
    """Add the protocol switch to the time of the bytes inside a server."""
    switch = CONSTANTS["switch", "slope"] * seconds
    return seconds + min(switch, CONSTANTS["switch", "step_s"])


def far(seconds, doublings=1.0):
    """The same between servers, `doublings` apart."""
    switch = CONSTANTS["rdma", "slope"] * seconds
    return seconds + min(switch, CONSTANTS["rdma", "step_s"] * doublings)


def both(near_s, far_s, doublings=1.0):
    """Bytes inside a server and between servers at the same time."""
    switches = near(near_s) - near_s + far(far_s, doublings) - far_s
    return max(near_s, far_s) + switches
