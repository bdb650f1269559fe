"""What no plan on no chip can do, whatever the coefficients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from clustersim.performance import (
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_calibration,
    default_draw,
    evaluate,
)
from tests.examples import examples
from tests.performance.plain import chip, model, step
from tests.performance.strategies import (
    CATALOGUE,
    coefficients,
    models,
    plans,
    repeatable,
    some_chips,
)

BATCHES = st.integers(1, 8192)
ROUNDING = 1 + 1e-12
DRAWS = 16
SAMPLED = default_calibration().draw(DRAWS, seed=5)
some_models = st.sampled_from(sorted(CATALOGUE.models))
some_names = st.sampled_from(sorted(CATALOGUE.accelerators))


def least(shape, accelerator, plan, batch):
    """FLOPs over peaks: products in the run's precision, attention and output layer in BF16."""
    expert = shape.mlp_matrices * shape.hidden * shape.expert_ffn_hidden
    active = (shape.top_k + shape.shared_experts) * expert + shape.hidden * shape.n_experts
    multiplied = shape.layers * shape.attention_params + shape.moe_layers * active
    dense_layers = shape.layers - shape.moe_layers
    multiplied = multiplied + dense_layers * shape.mlp_matrices * shape.hidden * shape.ffn_hidden
    passes = np.where(plan.lora > 0, 4.0, 6.0)
    attention = 12.0 * shape.layers * shape.span * shape.attention_width
    seconds = passes * multiplied / accelerator.peak_flops
    seconds = seconds + (attention + passes * shape.vocab * shape.hidden) / accelerator.bf16_flops
    return batch * shape.seq_len * seconds / (plan.tp * plan.pp * plan.dp * plan.cp)


@settings(repeatable, max_examples=examples(300))
@given(models(), some_chips, plans(), BATCHES, coefficients())
def test_no_estimate_beats_the_roofline(model, chip, plan, batch, values):
    step = evaluate(model, chip, plan, global_batch=batch, coefficients=values)
    assert step.step_time_s[0] * ROUNDING >= least(model, chip, plan, batch)[0]
    assert all(np.all(part >= 0) for part in step.parts.values())
    assert all(np.all(part >= 0) for part in step.memory.values())
    total = sum(float(np.ravel(part)[0]) for part in step.parts.values())
    assert step.step_time_s[0] == pytest.approx(total, rel=1e-12)
    held = sum(float(np.ravel(part)[0]) for part in step.memory.values())
    assert step.memory_bytes[0] == pytest.approx(held, rel=1e-12)
    assert bool(step.fits[0]) == (step.memory_bytes[0] <= chip.hbm_bytes[0])


def test_the_roofline_holds_where_the_coefficients_do_not():
    """A slowdown of a tenth would make 10e15 FLOP/s of a chip of 1e15."""
    plan = Plans.of(tp=[2], dp=4)
    found = step(model(vocab=51200.0), {"tp": [2], "dp": 4}, batch=64, slowdown=0.1)
    floor = least(model(vocab=51200.0), chip(), plan, 64.0)[0]
    assert found.step_time_s[0] == pytest.approx(floor, rel=1e-12)
    assert found.mfu[0] == pytest.approx(1.0, rel=1e-12)
    adapted = step(model(), {"lora": [1]}, slowdown=0.1)
    assert adapted.mfu[0] == pytest.approx(1.0, rel=1e-12)  # of the FLOPs that adapters need
    assert adapted.step_time_s[0] == pytest.approx(
        least(model(), chip(), Plans.of(lora=[1]), 1.0)[0], rel=1e-12
    )


@settings(repeatable, max_examples=examples(150))
@given(some_models, some_names, plans(), BATCHES, st.sampled_from(["bf16", "fp8"]))
def test_no_draw_beats_the_roofline(model, name, plan, batch, precision):
    accelerator = CATALOGUE.accelerator(name)
    shape = ModelArrays.of([CATALOGUE.model(model)])
    chip = AcceleratorArrays.of([accelerator], precision)
    values = SAMPLED.for_chips([accelerator], precision=precision)
    step = evaluate(shape, chip, plan, global_batch=batch, coefficients=values)
    assert step.step_time_s.shape == (DRAWS, 1)
    assert np.all(step.step_time_s * ROUNDING >= least(shape, chip, plan, batch))
    total = sum(np.broadcast_to(part, (DRAWS, 1)) for part in step.parts.values())
    np.testing.assert_allclose(step.step_time_s, total, rtol=1e-12)


@settings(repeatable, max_examples=examples(300))
@given(models(), some_chips, plans(), BATCHES, coefficients())
def test_utilisation_is_at_most_one(model, chip, plan, batch, values):
    step = evaluate(model, chip, plan, global_batch=batch, coefficients=values)
    assert 0 < step.mfu[0] <= ROUNDING


@pytest.mark.parametrize(
    "fields",
    [
        ("hbm_Bps",),
        ("scaleup_Bps",),
        ("nic_Bps",),
        ("peak_flops",),
        ("bf16_flops", "peak_flops"),
        ("hbm_Bps", "scaleup_Bps", "nic_Bps", "bf16_flops", "peak_flops"),
    ],
)
@settings(repeatable, max_examples=examples(150))
@given(
    model=models(),
    chip=some_chips,
    plan=plans(),
    batch=BATCHES,
    values=coefficients(),
    factor=st.floats(1.0, 100.0),
)
def test_a_better_chip_is_never_slower(fields, model, chip, plan, batch, values, factor):
    better = dataclasses.replace(chip, **{name: getattr(chip, name) * factor for name in fields})
    seconds = [
        evaluate(model, each, plan, global_batch=batch, coefficients=values).step_time_s[0]
        for each in (chip, better)
    ]
    target(float(seconds[1] / seconds[0]))
    assert seconds[1] <= seconds[0] * ROUNDING


@settings(repeatable, max_examples=examples(300))
@given(models(), some_chips, plans(), BATCHES, coefficients())
def test_a_second_of_computation_hides_at_most_a_second_of_communication(
    model, chip, plan, batch, values
):
    plan = dataclasses.replace(plan, zero=np.minimum(plan.zero, 2.0))
    nothing = {name: np.zeros(1) for name in ("cp_overlap", "ep_overlap", "dp_overlap")}
    exposed, all_of_it = (
        _parts_before_slowdown(model, chip, plan, batch, each)
        for each in (values, dataclasses.replace(values, **nothing))
    )
    communication = ("context_parallel", "expert_parallel", "data_parallel")
    hidden = sum(all_of_it[name] - exposed[name] for name in communication)
    computation = ("matmul", "attention", "elementwise", "recompute")
    assert hidden <= sum(exposed[name] for name in computation) * (1 + 1e-9)


def _parts_before_slowdown(model, chip, plan, batch, values):
    parts = evaluate(model, chip, plan, global_batch=batch, coefficients=values).parts
    factor = parts["fixed"] / values.fixed_s
    return {name: float(np.ravel(seconds / factor)[0]) for name, seconds in parts.items()}


def test_each_bandwidth_matters_somewhere():
    """The property above would hold of a model that ignores the chip."""
    accelerator = CATALOGUE.accelerator("H100")
    shape = ModelArrays.of([CATALOGUE.model("llama3-70b")])
    chip, values = AcceleratorArrays.of([accelerator]), default_draw().for_chips([accelerator])
    plan = Plans.of(tp=[8], dp=16, zero=3)
    before = evaluate(shape, chip, plan, global_batch=64, coefficients=values).step_time_s[0]
    for name in ("hbm_Bps", "scaleup_Bps", "nic_Bps", "peak_flops"):
        slower = dataclasses.replace(chip, **{name: getattr(chip, name) / 10})
        after = evaluate(shape, slower, plan, global_batch=64, coefficients=values).step_time_s[0]
        assert after > 1.01 * before, name


@settings(repeatable, max_examples=examples(40))
@given(
    st.sampled_from(["llama3-8b", "llama3-70b", "mixtral-8x7b", "gpt3-175b"]),
    st.sampled_from(["H100", "H20", "910B2", "A100-40GB", "SeedChip"]),
    st.sampled_from([1, 8, 24, 64, 256]),
    st.floats(1.0, 4.0),
)
def test_more_memory_never_slows_the_best_plan(model, name, count, factor):
    chip = CATALOGUE.accelerator(name)
    larger = dataclasses.replace(chip, hbm_bytes=chip.hbm_bytes * factor)
    found = best_plans([CATALOGUE.model(model)] * 2, [chip, larger], count)
    assert found.step_time_s[1] <= found.step_time_s[0]
    sizes = AcceleratorArrays.of([chip, larger]).hbm_bytes
    for row, size in enumerate(sizes):
        assert found.memory_bytes[row] <= size or not found.fits[row]
        assert bool(found.reason[row]) != bool(found.fits[row])
