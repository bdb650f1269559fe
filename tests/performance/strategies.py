"""Any model, chip, plan and coefficients, for tests by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.performance import (
    PARAMETERS,
    AcceleratorArrays,
    Coefficients,
    ModelArrays,
    Plans,
    memory_rules,
)
from tests.performance.plain import columns

CATALOGUE = load_catalogue()
repeatable = settings(derandomize=True, deadline=None)


@st.composite
def models(draw):
    """Any shape: dense or a mixture, all layers or some, gated or not, with windows."""
    heads = draw(st.sampled_from([8, 12, 32, 40, 96]))
    width = draw(st.sampled_from([64.0, 80.0, 128.0]))
    hidden = draw(st.integers(2, 128)) * 128.0
    layers = draw(st.integers(1, 130))
    seq_len = draw(st.sampled_from([128.0, 2048.0, 4096.0, 8192.0, 65536.0]))
    kv_width = width * draw(st.sampled_from([1, heads // 4, heads]))
    experts = draw(st.sampled_from([0, 0, 8, 64, 256]))
    moe_layers = draw(st.integers(1, layers)) if experts else 0
    return columns(
        ModelArrays,
        {
            "layers": float(layers),
            "hidden": hidden,
            "attention_width": heads * width,
            "kv_width": kv_width,
            "heads": float(heads),
            "ffn_hidden": draw(st.integers(1, 400)) * 128.0,
            "mlp_matrices": draw(st.sampled_from([2.0, 3.0])),
            "vocab": draw(st.sampled_from([0.0, 32000.0, 151936.0])),
            "tied": draw(st.sampled_from([0.0, 1.0])),
            "seq_len": seq_len,
            "span": seq_len * draw(st.sampled_from([0.5, 1.0, 0.2])),
            "n_experts": float(experts),
            "top_k": draw(st.sampled_from([1.0, 2.0, 8.0])) if experts else 0.0,
            "shared_experts": draw(st.sampled_from([0.0, 1.0, 2.0])) if experts else 0.0,
            "moe_layers": float(moe_layers),
            "expert_ffn_hidden": draw(st.integers(1, 100)) * 128.0 if experts else 0.0,
            "attention_params": 2 * hidden * (heads * width + kv_width),
            "other_params": draw(st.sampled_from([0.0, 1e7, 3e9])),
        },
    )


@st.composite
def plans(draw):
    tp, cp = draw(st.sampled_from([1, 2, 3, 4, 8, 16])), draw(st.sampled_from([1, 1, 2, 4, 16]))
    dp, ep = draw(st.integers(1, 300)), draw(st.sampled_from([1, 1, 2, 8, 32]))
    etp = draw(st.sampled_from([0, 0, 1, 2, 3, 8]))
    if etp and tp * dp * cp % (ep * etp):
        etp = 0  # the ranks of an expert cannot lie across copies of it
    return Plans.of(
        tp=[tp],
        pp=draw(st.integers(1, 24)),
        dp=dp,
        cp=cp,
        ep=ep,
        etp=etp,
        micro_batch=draw(st.integers(1, 16)),
        recompute=draw(st.integers(0, 2)),
        zero=draw(st.integers(0, 3)),
        vpp=draw(st.integers(1, 5)),
        flash=draw(st.integers(0, 1)),
        sequence_parallel=draw(st.integers(0, 1)),
        zero_group=draw(st.sampled_from([0, 0, 2, 8, 64])),
        overlap=draw(st.integers(0, 1)),
        lora=draw(st.integers(0, 1)),
        moe_recompute=draw(st.sampled_from([0, 0, 1])),
        recompute_layers=draw(st.sampled_from([0, 0, 0, 1, 5])),
        dispatcher=draw(st.sampled_from([0, 0, 1, 2, 3])),
        cuda_graphs=draw(st.sampled_from([0, 0, 1])),
        host_optimizer=draw(st.sampled_from([0, 0, 50, 100])),
    )


@st.composite
def coefficients(draw):
    """Values within two prior standard deviations; the slowdown may even be a great gain."""
    values = []
    for parameter in PARAMETERS:
        reach = 2.0 * parameter.spread.get("base", 1.0)
        offset = draw(st.floats(-reach, reach))
        values.append(parameter.natural(np.array([parameter.centre + offset])))
    return Coefficients(*values, dispatcher=draw(st.sampled_from([1.0, 3.0])))


STACKS = ("", "Megatron-LM", "NeMo (MLPerf v5.0)", "DeepSpeed", "torchtitan", "PyTorch FSDP",
          "HF Trainer", "MindFormers 1.3.0", "LLM-Foundry", "HAI-LLM", "LitGPT",
          "Megatron-SWIFT")  # fmt: skip


@st.composite
def memory_options(draw):
    """Any options of the memory, most of them as the stack has them."""
    chosen = {
        "loss_fused": draw(st.sampled_from(["", "n", "kernel", "linear"])),
        "gradients": draw(st.sampled_from(["", "", "bf16", "fp32"])),
        "optimizer": draw(st.sampled_from(["", "", "adamw-8bit", "adamw-bf16", "muon"])),
        "weights": draw(st.sampled_from(["", "nf4", "fp32"])),
        "offload": draw(
            st.sampled_from(["", "", "optimizer", "activations", "activations:7+optimizer+weights"])
        ),
    }
    return {name: value for name, value in chosen.items() if value}


@st.composite
def rules(draw):
    """What any stack keeps on any chip with any options."""
    family = draw(st.sampled_from(["hopper", "ascend"]))
    return memory_rules([draw(st.sampled_from(STACKS))], [family], draw(memory_options()))


def chips(name, precision):
    return AcceleratorArrays.of([CATALOGUE.accelerator(name)], precision)


some_chips = st.builds(
    chips, st.sampled_from(sorted(CATALOGUE.accelerators)), st.sampled_from(["bf16", "fp8"])
)
