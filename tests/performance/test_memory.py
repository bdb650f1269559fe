"""Memory by class against published formulas."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.performance import AcceleratorArrays, best_plans
from clustersim.performance.memory_overhead import overhead_of
from tests.performance.plain import HIDDEN, LAYERS, PARAMS, SEQ, chip, mixture, model, step

approx = pytest.approx
SBH = SEQ * HIDDEN
"""Tokens times width of one sequence."""
SCORES = 5 * 8 * SEQ**2
"""Bytes of scores, softmax and its mask of one layer (5 a s^2)."""


def memory(shape, plan, **keywords):
    found = step(shape, plan, **keywords).memory
    return {name: float(np.ravel(size)[0]) for name, size in found.items()}


def per_layer(plan, **keywords):
    return memory(model(), plan, **keywords)["activations"] / LAYERS


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"flash": [0]}, 34 * SBH + SCORES),  # equation 1
        ({"flash": [0], "tp": 4, "sequence_parallel": 0}, (10 + 24 / 4) * SBH + SCORES / 4),  # 2
        ({"flash": [0], "tp": 4}, (34 * SBH + SCORES) / 4),  # 4
        ({"tp": [1]}, 32 * SBH),  # fused attention keeps no scores; no masks of dropout
        ({"micro_batch": [2]}, 64 * SBH),
        ({"cp": [2]}, 16 * SBH),
    ],
)
def test_activations_of_a_gpt_layer(plan, expected):
    """Korthikanti et al. 2022 (arXiv 2205.05198)."""
    assert per_layer(plan, batch=2) == approx(expected)


def test_recompute_keeps_less():
    full = memory(model(), {"recompute": [2]})["activations"]
    assert full == approx(LAYERS * 2 * SBH + 32 * SBH)  # inputs, and the layer at work
    unfused = memory(model(), {"recompute": [2], "flash": 0})["activations"]
    assert unfused == approx(LAYERS * 2 * SBH + 34 * SBH + SCORES)  # its scores too
    norms_and_activation = 32 - 2 * (1 + 4)
    assert per_layer({"recompute": [1]}) == approx(norms_and_activation * SBH)
    assert per_layer({"recompute": [1], "flash": 0}) == approx(34 * SBH)  # all but the scores


def test_fp8_keeps_the_inputs_of_products_in_a_byte():
    fp8 = per_layer({"tp": [1]}, on=chip(fp8=True))
    assert fp8 == approx((32 - (2 + 1 + 4)) * SBH)
    selective = per_layer({"recompute": [1]}, on=chip(fp8=True))
    assert selective == approx((22 - 1) * SBH)  # of the kept inputs, the attention's output


def test_adapters_keep_fewer_inputs():
    """Frozen matrices need no inputs: only those of the adapted projections stay."""
    adapted = per_layer({"lora": [1]})
    assert adapted == approx((32 - 2 * (1 + 4)) * SBH)
    assert per_layer({"lora": [1]}, on=chip(fp8=True)) == approx(adapted)
    assert per_layer({"lora": [1], "recompute": 1}) == approx(adapted)
    assert per_layer({"lora": [1], "recompute": 2}) < adapted
    scores = per_layer({"lora": [1], "flash": 0})
    assert scores == approx(adapted + 2 * SBH + SCORES)


def test_gated_grouped_and_experts():
    gated = memory(model(mlp_matrices=3.0), {"tp": [1]})["activations"] / LAYERS
    assert gated == approx((32 + 2 * 4) * SBH)
    grouped = memory(model(kv_width=128.0), {"tp": [1]})["activations"] / LAYERS
    assert grouped == approx((32 - 2 * 2 * 7 / 8) * SBH)
    routed = memory(mixture(), {"tp": [1]})["activations"] / LAYERS
    assert routed == approx((32 + 2 * 2 * 4 + 2 * 2) * SBH)  # two experts, two copies of a token


def test_pipeline_keeps_a_micro_batch_a_stage():
    """The first stage keeps the activations of all layers, whatever the stages."""
    whole = 32 * SBH * LAYERS
    for pp in (2, 4, 8):
        held = memory(model(), {"pp": [pp]}, batch=32)["activations"]
        assert held == approx(whole)
    interleaved = memory(model(), {"pp": [4], "vpp": 3}, batch=32)["activations"]
    assert interleaved == approx(whole * (1 + 3 / (4 * 3)))
    few = memory(model(), {"pp": [8]}, batch=2)["activations"]
    assert few == approx(whole / 8 * 2)
    all_there_are = memory(model(), {"pp": [4], "vpp": 3}, batch=4)["activations"]
    assert all_there_are == approx(whole)  # four micro-batches of a stage, not five


def test_logits_weigh_on_the_last_stage():
    held = memory(model(vocab=512000.0), {"pp": [2]}, batch=2)["activations"]
    assert held == approx(32 * SBH * LAYERS / 2 + 6 * SEQ * 512000)


@pytest.mark.parametrize(("zero", "gigabytes"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_states_as_the_zero_paper_has_them(zero, gigabytes):
    """7.5 thousand million parameters on 64 chips (arXiv 1910.02054, figure 1): 16 bytes each."""
    layers = 7.5e9 / (12 * HIDDEN**2)
    shape = model(layers=round(layers), other_params=7.5e9 - round(layers) * 12 * HIDDEN**2)
    held = memory(shape, {"dp": [64], "zero": zero}, batch=64)
    states = held["weights"] + held["gradients"] + held["optimizer"]
    gathered = 3 * 2 * 7.5e9 / round(layers) if zero == 3 else 0.0  # weights, and a gradient
    assert states - gathered == approx(gigabytes * 1e9, rel=0.015)


def test_groups_split_less():
    held = memory(model(), {"dp": [64], "zero": 1, "zero_group": 8}, batch=64)
    assert held["optimizer"] == approx(12 * PARAMS / 8)
    assert held["weights"] == approx(2 * PARAMS)


def test_experts_are_split_over_those_that_hold_the_same():
    mlp = 8 * HIDDEN**2
    held = memory(mixture(), {"dp": [16], "ep": 8, "zero": 1}, batch=16)
    dense = 4 * HIDDEN**2 + 8 * HIDDEN
    assert held["weights"] == approx(2 * LAYERS * (dense + mlp))
    assert held["optimizer"] == approx(12 * LAYERS * (dense / 16 + mlp / 2))


def test_mixtures_that_are_computed_again_keep_their_input():
    """Two experts' outputs before and after the activation (2 x 2 x 4 h) and inputs (2 h) go."""
    for recompute, each in ((0, 2 * (8 + 8 + 2)), (1, 2 * (8 + 2))):
        plan = {"recompute": [recompute], "pp": 4}
        kept = [
            memory(mixture(), plan | {"moe_recompute": again}, batch=8)["activations"]
            for again in (0, 1)
        ]
        in_flight = LAYERS / 4 * 4
        at_work = 2 * (8 + 8 + 2) + (2 if recompute else 0)  # and a norm's output
        assert kept[0] - kept[1] == approx(SEQ * HIDDEN * (in_flight * each - at_work))


def test_adapters_train_few_parameters():
    held = memory(model(), {"lora": [1]})
    assert held["weights"] == approx(2 * PARAMS)
    assert held["gradients"] == approx(0.003 * 2 * PARAMS)
    assert held["optimizer"] == approx(0.003 * 12 * PARAMS)
    fp8 = memory(model(), {"lora": [1]}, on=chip(fp8=True))
    assert fp8["weights"] == approx(PARAMS)  # frozen weights in a byte
    assert memory(model(), {"lora": [0]}, on=chip(fp8=True))["weights"] == approx(2 * PARAMS)


def test_embeddings_and_tensor_parallel_split_the_weights():
    both = memory(model(vocab=51200.0), {"tp": [4]})["weights"]
    assert both == approx(2 * (PARAMS + 2 * 51200 * HIDDEN) / 4)
    tied = memory(model(vocab=51200.0, tied=1.0), {"tp": [4]})["weights"]
    assert tied == approx(2 * (PARAMS + 51200 * HIDDEN) / 4)
    staged = memory(model(vocab=51200.0), {"pp": [2]})["weights"]
    assert staged == approx(2 * (PARAMS / 2 + 51200 * HIDDEN))


def test_reserve():
    """1.2 % of the chip, 0.5 GB, 0.7 GB for each communicator, and the stack's overhead."""
    found = overhead_of("megatron")
    held = memory(model(), {"tp": [1]})
    states = held["weights"] + held["gradients"] + held["optimizer"]
    overhead = found.fragmentation * held["activations"] + found.states * states
    assert held["reserve"] == approx(0.012 * 80e9 + 0.5e9 + overhead)
    held = memory(model(), {"dp": [2]}, batch=2)
    assert held["reserve"] == approx(0.012 * 80e9 + 1.2e9 + overhead)


@pytest.mark.parametrize(
    ("plan", "communicators"),
    [
        ({"tp": [1]}, 0),
        ({"dp": [16]}, 1),
        ({"tp": [2], "dp": [2]}, 3),  # tensor, data, and all chips
        ({"tp": [2], "pp": [2], "dp": [2]}, 4),
        ({"tp": [2], "pp": [2], "cp": [2], "dp": [2]}, 5),
    ],
)
def test_each_kind_of_parallelism_has_a_communicator(plan, communicators):
    held = memory(model(), plan, batch=16)
    found = overhead_of("megatron")
    states = held["weights"] + held["gradients"] + held["optimizer"]
    overhead = found.fragmentation * held["activations"] + found.states * states
    links = held["reserve"] - overhead - 0.012 * 80e9 - 0.5e9
    assert links == approx(0.7e9 * communicators, abs=1.0)


def test_fits_to_the_byte():
    need = float(step(model(), {"tp": [1]}).memory_bytes[0])
    states = need - 0.012 * 80e9  # the chip of these tests has its bytes as given
    for size, fits in ((states / 0.988 * 1.000001, True), (states / 0.988 * 0.999999, False)):
        found = step(model(), {"tp": [1]}, on=chip(hbm_bytes=size))
        assert bool(found.fits[0]) is fits
        assert np.isfinite(found.step_time_s[0])


def test_gigabytes_of_memory_are_binary():
    """An H100 of 80 GB has 81,559 MiB, an H200 of 141 GB 143,771 MiB (nvidia-smi)."""
    names = ("H100", "H200", "910B2")
    chips = AcceleratorArrays.of([load_catalogue().accelerator(name) for name in names])
    assert chips.hbm_bytes == approx([80 * 2**30, 141 * 2**30, 64 * 2**30])
    assert chips.hbm_bytes[:2] == approx([81559 * 2**20, 143771 * 2**20], rel=0.006)


def test_a_model_that_does_not_fit_says_so():
    catalogue = load_catalogue()
    found = best_plans(catalogue.model("llama3-70b"), catalogue.accelerator("H200"), [1, 256])
    assert found.fits.tolist() == [False, True]
    assert found.step_time_s[0] == np.inf
    assert found.memory_bytes[0] > 141 * 2**30
    assert "llama3-70b on 1 H200" in found.reason[0]
    assert "a chip has 141 GiB" in found.reason[0]
    assert found.reason[1] == ""
    small = dataclasses.replace(catalogue.accelerator("H200"), hbm_bytes=1e9)
    assert not best_plans(catalogue.model("llama3-8b"), small, 4096).fits[0]
