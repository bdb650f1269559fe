"""Bytes by software stack and option, each worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import estimate
from clustersim.errors import InputError
from clustersim.estimation import predict_table
from clustersim.performance import (
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_draw,
    default_stack,
    describe_memory,
    evaluate,
    memory_rules,
    parse_memory,
    search_plans,
)
from clustersim.performance.memory_overhead import overhead_of
from clustersim.performance.memory_rules import _file, stack_memory
from clustersim.performance.stacks import PRODUCTS
from clustersim.performance.step_time import memory_of
from tests.examples import examples
from tests.performance.plain import HIDDEN, LAYERS, PARAMS, SEQ, chip, model, plain
from tests.performance.strategies import (
    CATALOGUE,
    STACKS,
    memory_options,
    models,
    plans,
    repeatable,
    some_chips,
)
from tests.performance.test_memory import SBH

approx = pytest.approx
GIB = 2.0**30
VOCAB = 131072.0
MILLION = {
    "accelerator": "H100", "n_accelerators": "8", "seq_len": "1048576", "global_batch": "1",
    "head_dim": "128", "vocab": "151936", "mlp_type": "swiglu", "cp": "8", "recompute": "full",
    "zero": "3", "framework": "DeepSpeed",
}  # fmt: skip
MILLION_COLUMNS = ("layers", "hidden", "heads", "kv_heads", "ffn_hidden", "n_experts", "topk")
MILLION_MODELS = (  # Qwen3 8B, 32B and 30B-A3B
    ("36", "4096", "32", "8", "12288", "", ""),
    ("64", "5120", "64", "8", "25600", "", ""),
    ("48", "2048", "32", "4", "768", "128", "8"),
)


def held(plan, *, stack="", shape=None, batch=64, family="", on=None, **options):
    """Bytes by class of one plan of the GPT of :mod:`tests.performance.plain`."""
    step = evaluate(
        model() if shape is None else shape,
        chip() if on is None else on,
        Plans.of(**{name: [value] for name, value in plan.items()}),
        global_batch=[float(batch)],
        coefficients=plain(),
        memory=memory_rules([stack], [family], options),
    )
    return {name: float(np.ravel(size)[0]) for name, size in step.memory.items()}


def states(plan, stack, **options):
    """Bytes per parameter of weights, gradients and optimizer, without what ZeRO 3 gathers."""
    found = held(plan, stack=stack, **options)
    gathered = 6.0 * PARAMS / LAYERS if plan.get("zero") == 3 else 0.0
    used = found["weights"] - gathered, found["gradients"], found["optimizer"]
    return tuple(size / PARAMS for size in used)


@pytest.mark.parametrize(
    ("stack", "zero", "expected"),
    [
        ("Megatron-LM", 0, (2, 4, 12)),  # 18 bytes
        ("Megatron-LM", 1, (2, 4, 12 / 16)),  # 6 + 12 / d
        ("NeMo 25.01-25.04 (DGX Cloud benchmarking recipe)", 1, (2, 2, 12 / 16)),
        ("ModelLink/MindSpeed-LLM 1.0.RC3", 1, (2, 4, 12 / 16)),
        ("MindFormers 1.3.0", 1, (2, 4 / 16, 12 / 16)),
        ("DeepSpeed", 1, (2, 2, 12 / 16)),
        ("DeepSpeed", 2, (2, 2 / 16, 12 / 16)),
        ("torchtitan 2025-06", 3, (4 / 16, 4 / 16, 8 / 16)),
        ("LLM-Foundry/Composer FSDP", 3, (4 / 16, 4 / 16, 8 / 16)),
        ("PyTorch FSDP", 2, (4, 4 / 16, 8 / 16)),
        ("HF Trainer", 0, (2, 8, 12)),  # 18 bytes, and 4 of buckets
        ("LitGPT", 0, (2, 2, 4)),
        ("HAI-LLM", 1, (2, 4, 8 / 16)),
        ("", 2, (2, 2 / 16, 12 / 16)),
        ("our own", 0, (2, 2, 12)),  # 16 bytes
    ],
)
def test_states_of_every_stack(stack, zero, expected):
    assert states({"dp": 16, "zero": zero}, stack) == approx(expected)


def test_llama_70b_on_eight_h200():
    """By hand: 18 bytes of 70.55e9 parameters over 8 chips are 147.8 GiB before activations."""
    found = estimate("llama3-70b", "H200", 8, plan="tp=8", stack="Megatron-LM")
    kept = sum(found.memory[name] for name in ("weights", "gradients", "optimizer"))
    assert kept / GIB == approx(18 * 70.55e9 / 8 / GIB, rel=2e-3)
    assert kept / GIB == approx(147.8, abs=0.2)
    assert not found.best.fits
    alone = estimate("llama3-70b", "H200", 8, stack="Megatron-LM")
    assert alone.best is None
    assert "needs at least" in alone.reason
    half = estimate("llama3-70b", "H200", 8, plan="tp=8,recompute=full", memory="gradients=bf16")
    assert half.memory["gradients"] == approx(found.memory["gradients"] / 2)


@pytest.mark.parametrize(
    ("stack", "options", "bytes_each"),
    [
        ("Megatron-LM", {}, 6),
        ("Megatron-LM", {"loss_fused": "kernel"}, 6),
        ("Megatron-SWIFT", {}, 6),
        ("torchtitan 2025-06", {}, 4),
        ("NeMo (MLPerf v5.0)", {}, 2),
        ("NeMo (MLPerf v5.0)", {"loss_fused": "n"}, 6),
        ("torchtitan", {}, 16),  # of a vocabulary that ranks split
        ("torchtitan", {"loss_fused": "kernel"}, 2),
        ("HF Trainer + DeepSpeed", {}, 12),
        ("LLM-Foundry", {}, 4),
        ("PyTorch FSDP + compile (fms-fsdp)", {}, 4),
        ("", {}, 6),
    ],
)
def test_logits(stack, options, bytes_each):
    plan = {"tp": 4, "dp": 2, "zero": 1}
    found = held(plan, stack=stack, shape=model(vocab=VOCAB), **options)
    bare = held(plan, stack=stack, **options)
    logits = bytes_each * SEQ * VOCAB / 4
    assert found["activations"] - bare["activations"] == approx(logits)


def test_a_fused_output_layer_stores_no_logits():
    """Liger: 8 bytes per element of its input, and a gradient of its table."""
    linear = {"loss_fused": "linear"}
    small, large = (
        held({"tp": 1}, stack="Megatron-LM", shape=model(vocab=vocab), **linear)
        for vocab in (VOCAB, 2 * VOCAB)
    )
    base = held({"tp": 1}, stack="Megatron-LM")["activations"]
    assert small["activations"] == approx(base + 8 * SBH + 2 * VOCAB * HIDDEN)
    assert large["activations"] - small["activations"] == approx(2 * VOCAB * HIDDEN)
    whole = held({"tp": 1}, stack="Megatron-LM", shape=model(vocab=VOCAB))["activations"]
    assert small["activations"] < whole


def test_logits_and_the_layer_at_work_are_not_held_at_once():
    """With full recompute the logits are gone when the first layer is recomputed."""
    found = held({"recompute": 2}, shape=model(vocab=VOCAB))["activations"]
    assert found == approx(LAYERS * 2 * SBH + 6 * SEQ * VOCAB)


def test_an_interleaved_pipeline_weighs_on_its_last_stage_too():
    """Megatron-LM: (vpp - 1) pp + 1 chunks of the last stage, 2 of 3 x 4 + 1 = 9 of 3 a stage."""
    found = held({"pp": 4, "vpp": 3}, shape=model(vocab=4 * VOCAB))["activations"]
    stage = 32 * SBH * LAYERS / 4
    assert found == approx(stage * (2 * 4 + 1) / 3 + 6 * SEQ * 4 * VOCAB)


def test_partial_recompute_of_torchtitan_keeps_every_second_product():
    """Half of 9 products' outputs, the attention's and the layer's input (2 + 2 + 9 h)."""
    found = held({"recompute": 1}, stack="torchtitan")["activations"]
    outputs = 1 + 2 + 1 + 4 + 1  # queries, keys and values, projection, MLP up and down
    assert found == approx(LAYERS * SBH * (2 + 2 + outputs))


def test_operations_one_by_one_keep_more_of_gated_layers():
    """Twice an FP32 norm and its result (8 h), and the activation of the gate (2 x 4 h)."""
    gated = model(mlp_matrices=3.0)
    eager = held({"tp": 1}, stack="torchtitan", shape=gated)["activations"]
    fused = held({"tp": 1}, stack="Megatron-LM", shape=gated)["activations"]
    assert eager - fused == approx(LAYERS * SBH * (8 + 8))
    frozen = {"lora": 1}
    eager = held(frozen, stack="torchtitan", shape=gated)["activations"]
    fused = held(frozen, stack="Megatron-LM", shape=gated)["activations"]
    assert eager - fused == approx(LAYERS * SBH * (4 + 8))  # scales that are frozen need no result


def test_fp8_adapters_of_mlperf_keep_the_gate_in_a_byte():
    """Gate and up projection, 2 x 4 h elements a token; only FP8 runs with adapters."""
    gated, narrow = model(mlp_matrices=3.0), chip(fp8=True)
    for plan, on, bytes_saved in (
        ({"lora": 1}, narrow, 8),
        ({"lora": 1, "recompute": 1}, narrow, 8),
        ({"lora": 1, "recompute": 2}, narrow, 8),  # of the layer at work
        ({"lora": 1}, chip(), 0),
        ({"lora": 0}, narrow, 0),
    ):
        kept = [
            held(plan, stack=stack, shape=gated, on=on)["activations"]
            for stack in ("Megatron-Bridge 26.04", "NeMo (MLPerf v5.0)")
        ]
        layers = 1 if plan.get("recompute") == 2 else LAYERS
        assert kept[0] - kept[1] == approx(layers * SBH * bytes_saved), plan


def test_the_step_of_the_optimizer_may_be_the_peak():
    """DeepSpeed copies the gradients of a rank in BF16 and FP32; 1e9 at a time in stage 3."""
    big = model(other_params=40e9)
    whole = 40e9 + PARAMS
    second = held({"dp": 2, "zero": 2}, stack="DeepSpeed", shape=big)["activations"]
    assert second == approx((2 + 4) * whole / 2)  # flattened, and then converted
    third = held({"dp": 2, "zero": 3}, stack="DeepSpeed", shape=big)["activations"]
    assert third == approx((2 + 4) * 1e9)
    assert held({"dp": 2, "zero": 3}, stack="", shape=big)["activations"] < 2e9


@pytest.mark.parametrize(("stack", "bytes_each"), [("HF Trainer", 2), ("HAI-LLM", 0)])
@pytest.mark.parametrize("zero", [0, 1])
def test_an_optimizer_in_bf16_has_intermediates_in_bf16(stack, bytes_each, zero):
    """7e9 parameters in BF16 on one chip: AdamW of PyTorch needs 2 bytes of each in addition."""
    big, params = model(other_params=7e9), 7e9 + PARAMS
    plan = {"recompute": 2, "zero": zero}
    found = held(plan, stack=stack, shape=big, optimizer="adamw-bf16")
    assert (found["weights"], found["optimizer"]) == approx((2 * params, 4 * params))
    plain = held(plan, stack="HAI-LLM", shape=big)["activations"]
    assert found["activations"] == approx(max(bytes_each * params, plain))


def test_the_gradient_of_the_vocabulary_is_whole_before_it_is_split():
    shape = model(vocab=VOCAB)
    found = held({"dp": 16, "zero": 2}, stack="DeepSpeed", shape=shape)["gradients"]
    params = PARAMS + 2 * VOCAB * HIDDEN
    assert found == approx(2 * params / 16 + 2 * VOCAB * HIDDEN * 15 / 16)
    alone = held({"dp": 1, "zero": 2}, stack="DeepSpeed", shape=shape)["gradients"]
    assert alone == approx(2 * params)
    on_host = {"stack": "DeepSpeed", "shape": shape, "offload": "optimizer"}
    assert held({"dp": 16, "zero": 2}, **on_host)["gradients"] == 0.0


def test_products_with_4_bit_weights_keep_their_inputs():
    """Inputs of norms, outputs of both, queries to attention output, and 4 + 4 of the MLP."""
    plan = {"lora": 1}
    narrow = held(plan, stack="Megatron-LM", weights="nf4")["activations"]
    wide = held(plan, stack="Megatron-LM", weights="bf16")["activations"]
    assert narrow == approx(32 * SBH * LAYERS)
    assert wide == approx((32 - 2 - 8) * SBH * LAYERS)


def test_liger_in_the_name_of_a_stack_fuses_loss_and_norms():
    shape, plan = model(mlp_matrices=3.0, vocab=VOCAB), {"dp": 64, "zero": 1}
    named = held(plan, stack="HF Trainer + Liger", shape=shape)
    assert named["activations"] < held(plan, stack="HF Trainer", shape=shape)["activations"]
    said = held(plan, stack="Megatron-LM", shape=shape, loss_fused="linear")
    assert named["activations"] == said["activations"]
    assert "logits never stored" in describe_memory("HF Trainer + Liger", {})
    kept = held(plan, stack="HF Trainer + Liger", shape=shape, loss_fused="n")
    assert kept["activations"] > named["activations"]


def test_what_is_gathered():
    """Two layers, a gradient and the table; DeepSpeed lets 1e9 parameters live."""
    big = model(other_params=40e9, vocab=VOCAB)
    table = VOCAB * HIDDEN
    layer = (40e9 + PARAMS + table) / LAYERS  # the input's table is with the first layer
    plan = {"dp": 64, "zero": 3}
    whole = 40e9 + PARAMS + 2 * table
    plain_states = held(plan, shape=big)["weights"]
    assert plain_states == approx(2 * whole / 64 + 2 * (3 * layer + table))
    found = held(plan, stack="DeepSpeed", shape=big)["weights"]
    assert found == approx(2 * whole / 64 + 2 * 1e9)


SHARDED = {"dp": 16, "zero": 3}


class TestOffload:
    def test_of_the_optimizer(self):
        deepspeed = held(SHARDED, stack="DeepSpeed", offload="optimizer")
        assert deepspeed["optimizer"] == deepspeed["gradients"] == 0
        half = held(SHARDED, stack="DeepSpeed", offload="optimizer:0.5")
        assert half["optimizer"] == approx(6 * PARAMS / 16)
        megatron = held({"dp": 16, "zero": 1}, stack="Megatron-LM", offload="optimizer")
        assert (megatron["optimizer"], megatron["gradients"]) == (0, approx(4 * PARAMS))

    def test_of_weights(self):
        """Only weights that ZeRO 3 splits can be away; what is gathered stays."""
        found = held(SHARDED, stack="DeepSpeed", offload="optimizer+weights")
        assert found["weights"] == approx(6 * PARAMS / LAYERS)
        second = held({"dp": 16, "zero": 2}, stack="DeepSpeed", offload="weights")
        assert second["weights"] == approx(2 * PARAMS)

    def test_of_activations(self):
        base = held({"tp": 1})["activations"]
        assert held({"tp": 1}, offload="activations")["activations"] == approx(
            base * 2 / LAYERS
        )  # the layer at work, and the one that moves
        some = held({"tp": 1}, offload="activations:10")["activations"]
        assert some == approx(base * (LAYERS - 10 + 2) / LAYERS)
        full = held({"recompute": 2}, offload="activations")["activations"]
        assert full == approx(2 * 2 * SBH + 32 * SBH)
        staged = held({"pp": 4}, offload="activations:4")["activations"]
        assert staged == approx(32 * SBH * (2 * 4 + 2))  # two layers of four micro-batches

    @pytest.mark.parametrize(
        ("model", "before", "measured"), [(0, 197, 56), (1, 299, 61), (2, 221, 46)]
    )
    def test_a_million_tokens(self, model, before, measured):
        """A public run on 8 H100 with cp = 8, full recompute and ZeRO-3 (GB a chip).

        Logits alone were 119 GB of what was counted. What the run kept on the host is not printed;
        32 thousand million parameters cannot have been trained otherwise.
        """
        row = MILLION | dict(zip(MILLION_COLUMNS, MILLION_MODELS[model], strict=True))
        tables = [row, row | {"loss_fused": "linear", "offload": "optimizer and activations"}]
        found = predict_table(pd.DataFrame(tables)).table
        assert found["reason"].tolist() == ["", ""]
        stored, host = found["predicted_memory_bytes"].astype(float) / 1e9
        assert found["fits"].tolist() == ["false", "true"]
        assert stored > before
        assert 0.6 * measured < host < 1.1 * measured


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adamw", (2, 4, 12)),
        ("adamw-8bit", (2, 4, 6)),
        ("adamw-bf16", (2, 2, 4)),
        ("adamw-bf16-moments", (2, 4, 8)),
        ("muon", (2, 4, 8)),
        ("adafactor", (2, 4, 4)),
    ],
)
def test_optimizers(optimizer, expected):
    assert states({"dp": 16, "zero": 0}, "Megatron-LM", optimizer=optimizer) == approx(expected)


@pytest.mark.parametrize(
    ("weights", "bytes_each"), [("nf4", 4.5 / 8), ("int8", 1), ("fp32", 4 + 2), ("bf16", 2)]
)
def test_frozen_weights(weights, bytes_each):
    found = held({"lora": 1}, stack="HF Trainer", weights=weights)
    assert found["weights"] == approx(bytes_each * PARAMS)
    trained = held({"lora": 0}, stack="HF Trainer", weights=weights)
    assert trained["weights"] == approx(2 * PARAMS)


def test_reserve():
    """A 64 GB Ascend chip shows 62,432 MiB to a process, and MindFormers leaves 4 GiB or more."""
    ascend = chip(hbm_bytes=64 * GIB)
    found = held({"tp": 1}, family="ascend", on=ascend)["reserve"]
    over = overhead_bytes(held({"tp": 1}, family="ascend", on=ascend), "")
    assert found - over == approx((65536 - 62432) * 2**20 + 0.5e9, rel=1e-3)


@pytest.mark.parametrize(
    ("plan", "buffers"),
    [
        ({"dp": 1, "zero": 0}, 0.0),
        ({"dp": 2, "zero": 1}, 18 * PARAMS),
        ({"dp": 2, "zero": 3}, 2 * PARAMS),
        ({"dp": 2, "zero": 2, "lora": 1}, 18 * 0.003 * PARAMS),
    ],
)
def test_buffers_are_no_larger_than_what_is_trained(plan, buffers):
    """Buckets of 5e8 elements are larger than the small model of these tests."""
    assert 18 * PARAMS < 9e9
    found = held(plan, stack="DeepSpeed")
    gathered = 2 * (2 + (0.003 if plan.get("lora") else 1)) * PARAMS / LAYERS
    over = overhead_bytes(found, "DeepSpeed", gathered if plan["zero"] == 3 else 0.0)
    links = 0.7e9 if plan["dp"] > 1 else 0.0
    assert found["reserve"] == approx(0.012 * 80e9 + 0.5e9 + links + buffers + over)


def overhead_bytes(found, stack, gathered=0.0):
    """Shares of the activations and gathered weights, and of the states."""
    share = overhead_of(stack_memory(stack).group)
    states = found["weights"] + found["gradients"] + found["optimizer"] - gathered
    return share.fragmentation * (found["activations"] + gathered) + share.states * states


def test_litgpt_gathers_the_whole_model():
    found = held({"dp": 4, "zero": 3, "lora": 1}, stack="LitGPT")
    assert found["weights"] == approx(2 * PARAMS / 4 + 2 * PARAMS)


def test_fsdp_keeps_what_a_pipeline_has_gathered():
    """A stage has half of the layers; its BF16 weights and FP32 gradients stay whole."""
    plan = {"dp": 4, "pp": 2, "zero": 3}
    found = held(plan, stack="torchtitan")
    stage = PARAMS / 2
    assert found["weights"] == approx(4 * stage / 4 + 2 * stage)
    assert found["gradients"] == approx(4 * stage)
    assert found["optimizer"] == approx(8 * stage / 4)


def test_narrow_frozen_weights_leave_the_vocabulary_tables():
    shape = model(vocab=VOCAB)
    found = held({"lora": 1}, stack="HF Trainer", shape=shape, weights="nf4")
    tables = 2 * VOCAB * HIDDEN
    assert found["weights"] == approx(4.5 / 8 * PARAMS + 2 * tables)


def test_a_block_of_layers_is_computed_again():
    """Four of the layers keep their input; the others keep all, as without recompute."""
    block = {"recompute": 2, "recompute_layers": 4}
    none, some, full = (held(plan)["activations"] for plan in ({}, block, {"recompute": 2}))
    layer = none / LAYERS
    assert some == approx(4 * 2 * SBH + (LAYERS - 4) * layer + layer)
    assert full == approx(LAYERS * 2 * SBH + layer)
    assert held({**block, "recompute_layers": 1000})["activations"] == full


def test_the_data_file():
    """Every entry has a source, no word is in vain, and every product of the fit has an entry."""
    entries = _file().stacks
    words = [word for entry in entries for word in entry.words]
    assert len(words) == len(set(words))
    assert all(len(entry.source) > 30 for entry in entries)
    for entry in entries:
        for word in entry.words:
            assert word == word.lower()
            assert stack_memory(word) == entry, word
    for product, known in PRODUCTS:
        for word in known:
            assert stack_memory(word).words, (product, word)
    assert [entry.family for entry in _file().reserves][-1] == ""
    assert not entries[-1].words


def test_default_stacks_have_bytes_of_their_own():
    for accelerator in CATALOGUE.accelerators.values():
        stack = default_stack(accelerator.family)
        assert bool(stack_memory(stack).words) == bool(stack)
    draw = default_draw()
    rules = draw.memory_rules([CATALOGUE.accelerator(name) for name in ("H100", "910B2")])
    assert rules.gradients.tolist() == [2, 4]
    one = draw.memory_rules([CATALOGUE.accelerator("H100")], options={"gradients": "fp32"})
    assert float(one.gradients) == 4


@settings(repeatable, max_examples=examples(200))
@given(models(), some_chips, plans(), st.integers(1, 512), st.sampled_from(STACKS))
def test_options_that_save_memory_never_cost_any(shape, on, plan, batch, stack):
    def used(**options):
        rules = memory_rules([stack], [""], options)
        return float(memory_of(shape, on, plan, np.array([float(batch)]), rules)[0])

    for what in ("optimizer", "activations", "activations:3", "weights"):
        assert used(offload=what) <= used() * (1 + 1e-12)
    assert used(offload="activations") <= used(offload="activations:3") * (1 + 1e-12)
    assert used(optimizer="adamw-8bit") <= used(optimizer="adamw")
    assert used(gradients="bf16") <= used(gradients="fp32")
    assert used(loss_fused="kernel") <= used(loss_fused="n")


@settings(repeatable, max_examples=examples(50))
@given(memory_options(), st.sampled_from(STACKS))
def test_options_read_back_and_are_described(options, stack):
    text = ",".join(f"{name}={value}" for name, value in options.items())
    assert parse_memory(text or None) == parse_memory(options) == options
    message = describe_memory(stack, options)
    assert message.startswith(f"{stack_memory(stack).name}: weights ")
    assert ("on the host" in message) == ("offload" in options)
    assert ("never stored" in message) == (options.get("loss_fused") == "linear")


def test_rows_of_unlike_stacks_are_as_each_alone():
    names = ["Megatron-LM", "DeepSpeed", "", "torchtitan"]
    together = memory_rules(names, ["hopper", "ascend", "", "ascend"], [{}, {}, {}, {}])
    shapes = ModelArrays.of([CATALOGUE.model("llama3-8b")])
    on = AcceleratorArrays.of([CATALOGUE.accelerator("H100")])
    plan = Plans.of(dp=[8.0, 8, 8, 8], zero=1)
    batch = np.array([64.0])
    used = memory_of(shapes, on, plan, batch, together)
    for row, (name, family) in enumerate(
        zip(names, ["hopper", "ascend", "", "ascend"], strict=True)
    ):
        alone = memory_rules([name], [family])
        assert used[row] == memory_of(shapes, on, plan.take(np.array([row])), batch, alone)[0]
        assert dataclasses.astuple(together.take(np.array([row]))) == approx(
            dataclasses.astuple(alone)
        )


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ("los_fused=n", ["los_fused: unknown memory option", "loss_fused"]),
        ("loss_fused=liger", ["loss_fused: must be one of n, kernel, linear", "'liger'"]),
        ("loss_fused", ["'loss_fused'", "key=value"]),
        ("offload=gradients", ["offload: must be none, or any of activations", "'gradients'"]),
        ("offload=activations:0", ["activations:30", "'activations:0'"]),
        ("offload=optimizer+optimizer", ["'optimizer+optimizer'"]),
        ("gradients=bf16,gradients=fp32", ["gradients: is given more than once"]),
        ({"optimizer": 8}, ["optimizer: must be one of adamw", "'8'"]),
    ],
)
def test_faults(memory, words):
    llama, h100 = CATALOGUE.model("llama3-8b"), CATALOGUE.accelerator("H100")
    for search in (best_plans, search_plans):
        with pytest.raises(InputError) as caught:
            search(llama, h100, 8, memory=memory)
        for word in words:
            assert word in str(caught.value)
