"""The fastest plan that fits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.performance import (
    PARTS,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_draw,
    evaluate,
    relative_speed,
)
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.plans import enumerate_plans
from clustersim.performance.search import search_plans
from tests.examples import examples

CATALOGUE = load_catalogue()
CHIPS, MODELS = CATALOGUE.accelerators, CATALOGUE.models
some_chips = st.sampled_from(["H200", "H20", "910B2", "SeedChip", "A100-80GB"])
some_models = st.sampled_from(["llama3-8b", "llama3-70b", "mixtral-8x7b", "jimeng-class"])
some_counts = st.sampled_from([1, 3, 8, 12, 24, 64, 100, 256])


def test_too_large_a_model_says_why():
    best = best_plans(MODELS["llama3-70b"], CHIPS["H200"], 1)
    assert best.step_time_s[0] == np.inf
    assert best.tokens_per_s[0] == 0
    assert best.mfu[0] == 0
    assert best.tp[0] == 0
    assert not best.fits[0]
    assert best.memory_bytes[0] > 141 * 2**30
    assert best.reason[0].startswith("llama3-70b on 1 H200 chip needs at least 1,08")
    assert best.reason[0].endswith("per chip; a chip has 141 GiB")
    assert best.describe(0) == best.reason[0]


def test_reported_plan_is_what_evaluate_gives():
    names = ["llama3-8b", "doubao-class", "jimeng-class", "gpt3-175b"]
    models = [MODELS[name] for name in names]
    chips = [CHIPS[name] for name in ("910B2", "H20", "SeedChip", "H200")]
    best = best_plans(models, chips, [24, 512, 64, 1000])
    assert best.reason == [""] * 4
    assert (best.tp * best.pp * best.dp * best.cp == [24, 512, 64, 1000]).all()
    sizes = ("tp", "pp", "dp", "cp", "ep", "etp", "micro_batch", "recompute", "zero", "vpp")
    step = evaluate(
        ModelArrays.of(models),
        AcceleratorArrays.of(chips),
        Plans.of(**{name: getattr(best, name) for name in sizes}),
        global_batch=[model.global_batch for model in models],
        coefficients=default_draw().for_chips(chips),
        memory=default_draw().memory_rules(chips),
    )
    assert step.fits.all()
    np.testing.assert_array_equal(step.step_time_s, best.step_time_s)
    np.testing.assert_array_equal(step.memory_bytes, best.memory_bytes)
    total = np.sum([best.parts[name] for name in PARTS], axis=0)
    np.testing.assert_allclose(total, best.step_time_s)
    np.testing.assert_allclose(best.tokens_per_s, best.tokens_per_step / best.step_time_s)
    assert "tp" in best.describe(0)
    assert "ZeRO-" in best.describe(0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12, 24, 100, 1000, 1009, 10000])
@pytest.mark.parametrize("chip", ["H200", "H20", "910B2", "SeedChip"])
def test_any_count_has_a_plan_for_a_small_model(chip, count):
    best = best_plans(MODELS["llama3-8b"], CHIPS[chip], count, global_batch=2048)
    if count >= 3:
        assert best.fits[0]
        assert 0.03 < best.mfu[0] < 0.8
    assert best.tp[0] * best.pp[0] * best.dp[0] * best.cp[0] in (0, count)


def test_ep_divides_experts_and_the_chips_of_a_stage():
    best = best_plans(MODELS["mixtral-8x7b"], CHIPS["H20"], [24, 64, 100])
    assert (best.ep > 0).all()
    assert (np.mod(8, best.ep) == 0).all()
    assert (np.mod(best.tp * best.dp * best.cp, best.ep) == 0).all()


@pytest.mark.parametrize(
    ("name", "count", "plan"),
    [
        ("llama3-405b", 512, {"tp": 8, "pp": 8, "cp": 2, "dp": 4, "vpp": 8}),
        ("llama3-70b", 64, {"tp": 4, "pp": 4, "cp": 2, "dp": 2, "vpp": 5}),
        ("gpt3-175b", 512, {"tp": 4, "pp": 8, "cp": 1, "dp": 16, "vpp": 6}),
        ("mixtral-8x22b", 256, {"tp": 2, "pp": 4, "cp": 1, "dp": 32, "ep": 8, "vpp": 14}),
        ("qwen3-235b-a22b", 256, {"tp": 2, "pp": 8, "cp": 1, "dp": 16, "ep": 32, "vpp": 4}),
        ("deepseek-v3", 2048, {"tp": 1, "pp": 16, "cp": 1, "dp": 128, "ep": 64, "vpp": 1}),
    ],
)
def test_usual_space_has_what_people_run(name, count, plan):
    """Plans of NVIDIA's NeMo recipes, and of the DeepSeek-V3 report (arXiv 2412.19437)."""
    model = MODELS[name]
    arrays = ModelArrays.of([model]), AcceleratorArrays.of([CHIPS["H100"]])
    numbers = np.array([float(count)]), np.array([float(model.global_batch)])
    plans = enumerate_plans(*arrays, *numbers).plans
    match = np.logical_and.reduce([getattr(plans, key) == size for key, size in plan.items()])
    assert set(plans.recompute[match & (plans.micro_batch == 1)]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "count", "sizes", "splits"),
    [
        # 8 experts over 4 chips, or 4 x 2: 8 chips can as well hold whole ones
        ("mixtral-8x7b", 64, {"tp": 2, "pp": 1, "ep": 4}, {1}),
        ("mixtral-8x7b", 64, {"tp": 2, "pp": 1, "ep": 8}, {1, 2}),
        ("mixtral-8x7b", 64, {"tp": 8, "pp": 1, "ep": 4}, {1, 8}),
        ("mixtral-8x7b", 64, {"tp": 8, "pp": 4, "ep": 4}, {1}),  # 16 chips a stage
        ("mixtral-8x7b", 64, {"tp": 2, "pp": 1, "ep": 1}, {2}),
        ("qwen3-235b-a22b", 512, {"tp": 2, "pp": 1, "ep": 64}, {1}),
        ("qwen3-235b-a22b", 512, {"tp": 2, "pp": 1, "ep": 128}, {1, 2}),
        ("llama3-70b", 64, {"tp": 2, "pp": 1, "ep": 1}, {0}),
    ],
)
def test_experts_are_split_where_whole_ones_cannot_spread_as_far(name, count, sizes, splits):
    arrays = ModelArrays.of([MODELS[name]]), AcceleratorArrays.of([CHIPS["H100"]])
    plans = enumerate_plans(*arrays, np.array([float(count)]), np.array([1024.0])).plans
    match = np.logical_and.reduce([getattr(plans, key) == size for key, size in sizes.items()])
    assert set(plans.etp[match]) == splits


def test_splitting_experts_that_could_be_whole_is_never_faster_nor_thriftier():
    """Why the usual space leaves it out: spread as far, whole experts move fewer bytes."""
    model, chip = MODELS["mixtral-8x22b"], CHIPS["H100"]
    plans = Plans.of(tp=[2.0, 2.0, 4.0, 4.0], pp=8, dp=8, ep=[4, 8, 2, 8], etp=[2, 1, 4, 1], zero=1)
    step = evaluate(
        ModelArrays.of([model]),
        AcceleratorArrays.of([chip]),
        plans,
        global_batch=256,
        coefficients=default_draw().for_chips([chip]),
    )
    for split, whole in ((0, 1), (2, 3)):
        assert step.step_time_s[whole] < step.step_time_s[split]
        assert step.memory_bytes[whole] <= step.memory_bytes[split]


def test_tensor_parallel_stays_in_the_domain():
    best = best_plans(MODELS["llama3-70b"], CHIPS["910B2"], [64, 128, 1024], scaleup_size=4)
    assert best.fits.all()
    assert (best.tp <= 4).all()


def test_h200_beats_h100_and_h20_is_far_behind():
    models = [MODELS["llama3-70b"]] * 3 + [MODELS["gpt3-175b"]] * 3
    chips = [CHIPS[name] for name in ("H100", "H200", "H20")] * 2
    speed = best_plans(models, chips, 512).tokens_per_s.reshape(2, 3)
    assert (speed[:, 1] >= 0.99 * speed[:, 0]).all()  # each chip has fitted effects of its own
    assert (speed[:, 2] < 0.35 * speed[:, 1]).all()
    assert (speed[:, 2] > 0.10 * speed[:, 1]).all()


def test_network_matters_to_the_910b():
    """InternEvo at 1,024 chips: less network, fewer tokens."""
    args = (MODELS["llama3-8b"], CHIPS["910B2"], 1024)
    fast, slow = best_plans(*args), best_plans(*args, nic_Bps=50e9 / 8)
    assert slow.tokens_per_s[0] < 0.95 * fast.tokens_per_s[0]


def test_precision():
    args = (MODELS["llama3-70b"], CHIPS["H200"], 256)
    assert best_plans(*args, precision="fp8").step_time_s < best_plans(*args).step_time_s
    with pytest.raises(InputError, match="bf16 or fp8"):
        best_plans(*args, precision="int4")


def test_equal_rows_give_equal_answers_in_any_order():
    models = [MODELS["llama3-8b"], MODELS["llama3-70b"], MODELS["llama3-8b"]]
    forth = best_plans(models, CHIPS["H20"], [8, 64, 8])
    back = best_plans(models[::-1], CHIPS["H20"], [8, 64, 8])
    np.testing.assert_array_equal(forth.step_time_s, back.step_time_s[::-1])
    assert forth.step_time_s[0] == forth.step_time_s[2]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"counts": 0}, "counts: must be finite and 1 or more"),
        ({"counts": 2.5}, "counts: must be whole numbers"),
        ({"counts": [1, 2, 3]}, "different lengths"),
        ({"global_batch": 0}, "global_batch: must be"),
        ({"nic_Bps": 0.0}, "nic_Bps: must be finite and more than 0"),
        ({"scaleup_size": float("nan")}, "scaleup_size: must be"),
    ],
)
def test_bad_arguments(change, text):
    arguments = {"counts": [8, 16], "global_batch": None, **change}
    with pytest.raises(InputError, match=text):
        best_plans([MODELS["llama3-8b"]] * 2, CHIPS["H20"], **arguments)


def test_hundreds_of_rows_at_once():
    rows = [
        (model, CHIPS[chip], count)
        for model in MODELS.values()
        for chip in ("H200", "H20", "910B2", "SeedChip")
        for count in (8, 24, 64, 100, 256, 1000, 4096, 10000)
    ]
    models, chips, counts = zip(*rows, strict=True)
    best = best_plans(models, chips, counts)
    assert len(best.step_time_s) == len(rows) >= 700


def faster(chip, factor):
    return dataclasses.replace(
        chip,
        hbm_Bps=chip.hbm_Bps * factor[0],
        scaleup_Bps=chip.scaleup_Bps * factor[1],
        nic_Bps=chip.nic_Bps * factor[2],
        peak_flops={key: peak * factor[3] for key, peak in chip.peak_flops.items()},
    )


@settings(max_examples=examples(60), deadline=None)
@given(some_models, some_chips, some_counts, st.tuples(*[st.floats(1.0, 4.0)] * 4))
def test_a_better_chip_is_never_slower(model, chip, count, factor):
    both = [CHIPS[chip], faster(CHIPS[chip], factor)]
    best = best_plans([MODELS[model]] * 2, both, count)
    assert best.fits[0] == best.fits[1]
    if best.fits[0]:
        assert best.step_time_s[1] <= best.step_time_s[0] * (1 + 1e-12)


@settings(max_examples=examples(60), deadline=None)
@given(some_models, some_chips, some_counts, st.floats(1.0, 4.0))
def test_more_memory_never_unfits_or_slows(model, chip, count, factor):
    larger = dataclasses.replace(CHIPS[chip], hbm_bytes=CHIPS[chip].hbm_bytes * factor)
    best = best_plans([MODELS[model]] * 2, [CHIPS[chip], larger], count)
    assert best.step_time_s[1] <= best.step_time_s[0]


@settings(max_examples=examples(40), deadline=None)
@given(some_models, some_chips, some_counts)
def test_sane_numbers(model, chip, count):
    best = best_plans(MODELS[model], CHIPS[chip], count)
    assert best.memory_bytes[0] > 0
    if best.fits[0]:
        assert best.memory_bytes[0] <= CHIPS[chip].hbm_bytes * BINARY_GIGABYTE
        assert 0 < best.mfu[0] < 0.9
        assert all(part[0] >= 0 for part in best.parts.values())


def test_relative_speed():
    llama = MODELS["llama3-8b"]
    counts = np.array([8, 64, 512])
    same = relative_speed(llama, CHIPS["H200"], CHIPS["H200"], counts)
    np.testing.assert_array_equal(same, 1.0)
    ratio = relative_speed(llama, CHIPS["H20"], CHIPS["H200"], counts)
    back = relative_speed(llama, CHIPS["H200"], CHIPS["H20"], counts)
    assert ratio.shape == (3,)
    np.testing.assert_allclose(ratio * back, 1.0)
    direct = best_plans([llama] * 2, [CHIPS["H20"], CHIPS["H200"]], 64).tokens_per_s
    assert ratio[1] == direct[0] / direct[1]


def test_relative_speed_goes_up_to_a_count_that_fits():
    llama = MODELS["llama3-70b"]
    one = relative_speed(llama, CHIPS["910B2"], CHIPS["H200"], 1)
    first = next(
        count
        for count in 2 ** np.arange(12)
        if best_plans([llama] * 2, [CHIPS["910B2"], CHIPS["H200"]], count).fits.all()
    )
    assert first > 1
    np.testing.assert_array_equal(one, relative_speed(llama, CHIPS["910B2"], CHIPS["H200"], first))


def test_relative_speed_of_a_model_that_never_fits():
    tiny = dataclasses.replace(CHIPS["H20"], hbm_bytes=1e9)
    assert np.isnan(relative_speed(MODELS["llama3-8b"], tiny, CHIPS["H200"], 8)).all()


def test_an_optimizer_on_the_host_is_timed_by_every_search():
    job = (CATALOGUE.model("llama3-8b"), CATALOGUE.accelerator("H100"), 8)
    for memory, share in (("offload=optimizer", 100), ("offload=optimizer:0.5", 50), (None, 0)):
        found = search_plans(*job, memory=memory, keep=1)
        best = best_plans(*job, memory=memory)
        assert found.plans.host_optimizer.tolist() == [share]
        assert found.step.step_time_s[0] == pytest.approx(best.step_time_s[0], rel=1e-12)
