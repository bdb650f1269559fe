"""Each part of a step by hand, with coefficients that make the arithmetic plain."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.performance import (
    DEFAULT,
    FAMILIES,
    PARTS,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    evaluate,
)
from clustersim.performance.attention import attention_flops, attention_seconds
from clustersim.performance.elementwise import elementwise_seconds
from clustersim.performance.matmul import matmul_seconds
from clustersim.performance.memory import activation_bytes_per_layer, memory_by_class
from clustersim.performance.moe import expert_exchange_seconds, expert_seconds
from clustersim.performance.parallel import (
    bubble_seconds,
    context_seconds,
    data_parallel_seconds,
    exposed_seconds,
    pipeline_seconds,
    tensor_seconds,
)
from clustersim.performance.shard import links_of, shard_of
from clustersim.performance.step_time import model_flops_per_token
from clustersim.performance.vocabulary import vocabulary_seconds

ONE = MappingProxyType(dict.fromkeys(FAMILIES, 1.0))
PLAIN = dataclasses.replace(
    DEFAULT,
    matmul_efficiency=ONE,
    attention_efficiency=ONE,
    memory_efficiency=ONE,
    half_tokens=0.0,
    half_width=0.0,
    scaleup_efficiency=1.0,
    mesh_efficiency=1.0,
    nic_efficiency=1.0,
    scaleup_latency_s=0.0,
    nic_latency_s=0.0,
    expert_imbalance=1.0,
)
CATALOGUE = load_catalogue()


def model(name="llama3-8b"):
    return ModelArrays.of([CATALOGUE.model(name)])


def chip(name="H100"):
    return AcceleratorArrays.of([CATALOGUE.accelerator(name)])


def tokens(value):
    return np.array([float(value)])


def test_matmul_is_bound_by_flops_or_by_bytes():
    h100 = chip()
    big = matmul_seconds(tokens(8192), tokens(4096), tokens(4096), tokens(4096**2), h100, PLAIN)
    assert big[0] == pytest.approx(2 * 8192 * 4096**2 / 989e12)
    thin = matmul_seconds(tokens(1), tokens(4096), tokens(4096), tokens(4096**2), h100, PLAIN)
    assert thin[0] == pytest.approx(2 * (4096**2 + 2 * 4096) / 3.35e12)


def test_small_products_are_less_efficient():
    half = dataclasses.replace(PLAIN, half_tokens=1000.0)
    args = (tokens(1000), tokens(8192), tokens(8192), tokens(8192**2), chip())
    assert matmul_seconds(*args, half)[0] == pytest.approx(2 * matmul_seconds(*args, PLAIN)[0])


def test_attention_causal_and_bidirectional():
    llama, jimeng = model(), model("jimeng-class")
    assert attention_flops(tokens(8192), llama)[0] == 4 * 8192 * 8192 * 4096 / 2
    assert attention_flops(tokens(32760), jimeng)[0] == 4 * 32760 * 32760 * 5120


def test_attention_forward_and_backward():
    forward, backward = attention_seconds(tokens(8192), model(), chip(), Plans.of(tp=[2]), PLAIN)
    assert forward[0] == pytest.approx(4 * 8192 * 8192 * 4096 / 2 / 2 / 989e12)
    assert backward[0] == pytest.approx(2.5 * forward[0])


def test_attention_without_fusing_moves_the_scores():
    plan = Plans.of(tp=[1], flash=0)
    forward, backward = attention_seconds(tokens(8192), model(), chip(), plan, PLAIN)
    square = 4 * 8192 * 8192 * 4096 / 989e12
    scores = PLAIN.score_bytes * 32 * 8192 * 8192 / 3.35e12
    assert forward[0] == pytest.approx(square + scores)
    assert backward[0] == pytest.approx(2 * forward[0])


def test_elementwise_splits_norms_only_with_sequence_parallelism():
    llama, h100 = model(), chip()
    split, whole = Plans.of(tp=[4]), Plans.of(tp=[4], sequence_parallel=0)
    seconds = [
        elementwise_seconds(shard_of(llama, plan, tokens(8)), llama, h100, plan, PLAIN)[0]
        for plan in (split, whole)
    ]
    norms = 2 * 8192 * PLAIN.norm_passes * 4096 / 3.35e12
    assert seconds[1] - seconds[0] == pytest.approx(norms * 3 / 4)


def test_vocabulary():
    seconds = vocabulary_seconds(tokens(8192), model(), chip(), Plans.of(tp=[1]), PLAIN)
    products = 3 * 2 * 8192 * 4096 * 128256 / 989e12
    traffic = PLAIN.logit_bytes * 8192 * 128256 / 3.35e12
    assert seconds[0] == pytest.approx(products + traffic)
    video = vocabulary_seconds(tokens(8192), model("jimeng-class"), chip(), Plans.of(tp=[1]), PLAIN)
    assert video[0] == 0


def test_experts_compute_for_the_chosen_tokens():
    mixtral = model("mixtral-8x7b")
    seconds = expert_seconds(tokens(65536), mixtral, chip(), Plans.of(ep=[1]), PLAIN)
    chosen = 2 * 65536 * 2 * 3 * 4096 * 14336 / 989e12
    router = 2 * (4096 * 8 + 65536 * (4096 + 8)) / 3.35e12
    assert seconds[0] == pytest.approx(chosen + router)
    spread = expert_seconds(tokens(65536), mixtral, chip(), Plans.of(ep=[8]), PLAIN)
    assert spread[0] == pytest.approx(seconds[0])
    assert expert_seconds(tokens(65536), model(), chip(), Plans.of(ep=[1]), PLAIN)[0] == 0


def test_expert_exchange():
    links = links_of(chip(), PLAIN)
    plan = Plans.of(ep=[8], dp=8)
    seconds = expert_exchange_seconds(tokens(4096), model("mixtral-8x7b"), plan, links)
    assert seconds[0] == pytest.approx(2 * 7 / 8 * (2 * 4096 * 2 * 4096) / 450e9)


def test_tensor_parallel_needs_links():
    llama, switch, mesh = model(), links_of(chip(), PLAIN), links_of(chip("910B"), PLAIN)
    size = 2 * 8192 * 4096
    two = Plans.of(tp=[2])
    assert tensor_seconds(tokens(8192), llama, two, switch)[0] == pytest.approx(2 * size / 450e9)
    # two chips of a mesh share one link of seven
    assert tensor_seconds(tokens(8192), llama, two, mesh)[0] == pytest.approx(2 * size / 28e9)
    eight = Plans.of(tp=[8])
    assert tensor_seconds(tokens(8192), llama, eight, mesh)[0] == pytest.approx(
        4 * 7 / 8 * size / 196e9
    )


def test_context_parallel_gathers_keys_and_values():
    plan = Plans.of(cp=[4])
    seconds = context_seconds(tokens(2048), model(), plan, links_of(chip(), PLAIN))
    assert seconds[0] == pytest.approx(3 / 4 * 2 * 2 * 8192 * 1024 / 450e9)


def test_pipeline_and_bubble():
    llama = model()
    plan = Plans.of(pp=[4], dp=8)
    shard = shard_of(llama, plan, tokens(128))
    assert shard.micro_batches[0] == 16
    assert shard.layers[0] == 8
    seconds = pipeline_seconds(shard, llama, plan, links_of(chip(), PLAIN), PLAIN)
    once = 2 * 8192 * 4096 / 50e9
    assert seconds[0] == pytest.approx(2 * 19 * once * (1 - PLAIN.pp_overlap))
    assert bubble_seconds(tokens(2), plan)[0] == 6
    assert bubble_seconds(tokens(2), Plans.of(pp=[4], vpp=2))[0] == 3


def test_uneven_batch_and_layers_round_up():
    shard = shard_of(model(), Plans.of(pp=[3], dp=5, micro_batch=2), tokens(64))
    assert shard.micro_batches[0] == 7  # 13 sequences in pairs
    assert shard.layers[0] == 11


def test_exposed_communication():
    assert exposed_seconds(tokens(10), 0.5, tokens(100))[0] == 5
    assert exposed_seconds(tokens(10), 0.9, tokens(2))[0] == 8


@pytest.mark.parametrize(("zero", "gathers", "times"), [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 2, 4)])
def test_data_parallel_by_zero_stage(zero, gathers, times):
    llama = model()
    plan = Plans.of(dp=[16], zero=zero)
    shard = shard_of(llama, plan, tokens(64))
    seconds = data_parallel_seconds(
        shard,
        plan,
        links_of(chip(), PLAIN),
        PLAIN,
        micro_batch_s=tokens(0),
        backward_s=tokens(0),
    )
    gather = max(7 / 8 * 2 * 8.03e9 / 450e9, 1 / 2 * 2 * 8.03e9 / 8 / 50e9)
    assert seconds[0] == pytest.approx(times * (gathers + 1) * gather, rel=1e-3)


def test_activations_of_a_gpt_layer():
    """34 bytes a token and hidden unit (arXiv 2205.05198, equation 1), 32 without the masks."""
    gpt = model("gpt3-175b")
    kept = {}
    for name, mode, flash in (("none", 0, 1), ("scores", 0, 0), ("full", 2, 1)):
        plan = Plans.of(recompute=[mode], flash=flash)
        shard = shard_of(gpt, plan, tokens(1))
        kept[name] = activation_bytes_per_layer(shard, gpt, chip(), plan)[0] / (2048 * 12288)
    assert kept["none"] == pytest.approx(32, abs=2)
    assert kept["scores"] - kept["none"] == pytest.approx(5 * 96 * 2048 / 12288)
    assert kept["full"] == 2


def test_memory_by_zero_stage():
    llama, h100 = model(), chip()
    params = 8.03e9
    totals = {}
    for zero in range(4):
        plan = Plans.of(dp=[8], zero=zero)
        shard = shard_of(llama, plan, tokens(8))
        totals[zero] = memory_by_class(shard, llama, h100, plan, PLAIN)
    assert totals[0]["optimizer"][0] == pytest.approx(12 * params, rel=1e-3)
    assert totals[1]["optimizer"][0] == pytest.approx(12 * params / 8, rel=1e-3)
    assert totals[1]["gradients"][0] == pytest.approx(2 * params, rel=1e-3)
    assert totals[2]["gradients"][0] == pytest.approx(2 * params / 8, rel=1e-3)
    assert totals[2]["weights"][0] == pytest.approx(2 * params, rel=1e-3)
    gathered = 2 * params / 32
    assert totals[3]["weights"][0] == pytest.approx(2 * (params / 8 + gathered), rel=1e-3)
    assert totals[0]["reserve"][0] == pytest.approx(0.02 * 80e9 + 1.5e9)


def test_parts_add_up_and_model_flops():
    llama = model("llama3-70b")
    step = evaluate(llama, chip("H200"), Plans.of(tp=[8], pp=4, dp=8), global_batch=1024)
    assert tuple(step.parts) == PARTS
    assert sum(part[0] for part in step.parts.values()) == pytest.approx(step.step_time_s[0])
    assert sum(part[0] for part in step.memory.values()) == pytest.approx(step.memory_bytes[0])
    # 6 N without the input embedding, and 6 x layers x seq x width for causal attention
    flops = 6 * (70.55e9 - 128256 * 8192) + 6 * 80 * 8192 * 8192
    assert model_flops_per_token(llama)[0] == pytest.approx(flops, rel=1e-3)
    tokens_per_step = 1024 * 8192
    assert step.tokens_per_step[0] == tokens_per_step
    expected = tokens_per_step * flops / (step.step_time_s[0] * 256 * 989e12)
    assert step.mfu[0] == pytest.approx(expected, rel=1e-3)


def test_fp8_is_faster_where_the_chip_has_it():
    shape, plan = model("llama3-8b"), Plans.of(dp=[8], zero=1)
    seconds = {}
    for name in ("H100", "A100"):
        for precision in ("bf16", "fp8"):
            chips = AcceleratorArrays.of([CATALOGUE.accelerator(name)], precision)
            seconds[name, precision] = evaluate(shape, chips, plan, global_batch=64).step_time_s[0]
    assert seconds["H100", "fp8"] < 0.8 * seconds["H100", "bf16"]
    assert seconds["A100", "fp8"] == seconds["A100", "bf16"]


def test_unknown_family_counts_as_other():
    strange = dataclasses.replace(CATALOGUE.accelerator("H100"), family="tpu")
    other = dataclasses.replace(CATALOGUE.accelerator("H100"), family="other")
    results = [
        evaluate(model(), AcceleratorArrays.of([c]), Plans.of(dp=[8]), global_batch=8).step_time_s
        for c in (strange, other)
    ]
    assert results[0] == results[1]
