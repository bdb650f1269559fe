"""Step times by placement and by the rate of the network: bounds, monotone, and by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.network.contention import INVERSE_SHARES
from clustersim.performance import (
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_draw,
    evaluate,
)
from clustersim.performance.best import SIZES
from clustersim.performance.traffic import placed_responses
from tests.examples import examples

CATALOGUE = load_catalogue()
MODELS = ("llama3-8b", "llama3-70b", "gpt3-175b", "deepseek-v3", "mixtral-8x7b")
CHIPS = ("H200", "910B2", "H20", "A100-80GB")
ROUNDING = 1 + 1e-12


def respond(model, chip, counts, inside, **options):
    return placed_responses(
        CATALOGUE.model(model), CATALOGUE.accelerator(chip), counts, inside, **options
    )


def test_eight_chips_on_one_node_and_on_eight():
    found = respond("llama3-8b", "H200", 8, [8, 1])
    assert found.slowdown[0].tolist() == [1.0] * INVERSE_SHARES.size
    assert found.duty[0].tolist() == [0.0] * INVERSE_SHARES.size
    assert found.pattern_weights.tolist() == [[0.0] * 3, [1.0, 0.0, 0.0]]
    assert found.slowdown[1, 0] > 1.0
    assert np.all(np.diff(found.slowdown[1]) > 0)


def test_step_times_are_those_of_the_performance_core():
    """The plan of the ideal placement, evaluated with 2 chips inside and a slower interface."""
    model, chip = CATALOGUE.model("llama3-70b"), CATALOGUE.accelerator("H200")
    found = respond("llama3-70b", "H200", 256, 2)
    plan = Plans.of(**{name: getattr(found.plans, name) for name in SIZES})
    chips = AcceleratorArrays.of([chip])
    for place in (0, 3, 6):
        slower = dataclasses.replace(
            chips, nic_Bps=chips.nic_Bps / INVERSE_SHARES[place], scaleup_size=np.array([2.0])
        )
        step = evaluate(
            ModelArrays.of([model]),
            slower,
            plan,
            global_batch=float(model.global_batch),
            coefficients=default_draw().for_chips([chip]),
        )
        assert found.step_time_s[0, place] == pytest.approx(step.step_time_s[0], rel=1e-12)
    ideal = best_plans(model, chip, 256).step_time_s[0]
    assert respond("llama3-70b", "H200", 256, 8).step_time_s[0, 0] == ideal


def test_mean_rate_is_that_of_the_bytes():
    """Duty x share x rate x step time is what a chip sends, at every share while it may wait."""
    found = respond("llama3-8b", "H200", 64, [8, 2])
    sent = found.duty / INVERSE_SHARES * found.nic_Bps[:, None] * found.step_time_s
    free = found.duty < 1.0
    for row in (0, 1):
        bytes_of_row = sent[row][free[row]]
        assert bytes_of_row == pytest.approx(bytes_of_row[0], rel=1e-9)
    assert found.nic_Bps[0] < CATALOGUE.accelerator("H200").nic_Bps


@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.sampled_from(CHIPS),
    st.sampled_from([2, 8, 12, 16, 64, 96, 256, 1024]),
    st.sampled_from([0.0, 1e-6, 2e-5]),
)
def test_slowdowns_are_monotone(model, chip, count, latency):
    """In the share, in the chips inside a domain, and in the latency of paths."""
    size = CATALOGUE.accelerator(chip).scaleup_size
    inside = np.arange(1, size + 1)
    near = respond(model, chip, count, inside)
    if not near.plans.fits.any():
        return
    far = respond(model, chip, count, inside, path_latency_s=latency)
    for found in (near, far):
        assert np.all(found.slowdown >= 1.0)
        assert np.all(np.diff(found.slowdown, axis=1) >= 0)
        assert np.all(found.slowdown[1:] <= found.slowdown[:-1] * ROUNDING)
        assert np.all((found.duty >= 0) & (found.duty <= 1))
        # A step does not take longer by more than the network is slower.
        assert np.all(found.slowdown <= INVERSE_SHARES * found.slowdown[:, :1] * ROUNDING)
    assert np.all(near.slowdown <= far.slowdown * ROUNDING)
    whole = inside >= min(count, size)
    assert near.slowdown[whole, 0].tolist() == [1.0] * np.count_nonzero(whole)
    sums = near.pattern_weights.sum(axis=1)
    assert sums == pytest.approx(np.where(near.nic_Bps > 0, 1.0, 0.0))


def test_many_jobs_in_one_call_are_each_as_alone():
    models = [CATALOGUE.model(name) for name in ("llama3-8b", "deepseek-v3", "llama3-8b")]
    chips = [CATALOGUE.accelerator(name) for name in ("H200", "H200", "910B2")]
    together = placed_responses(models, chips, [64, 512, 16], [4, 8, 1])
    for row, (model, chip, count, inside) in enumerate(
        zip(models, chips, [64, 512, 16], [4, 8, 1], strict=True)
    ):
        alone = placed_responses(model, chip, count, inside)
        assert together.slowdown[row] == pytest.approx(alone.slowdown[0], rel=1e-12)
        assert together.duty[row] == pytest.approx(alone.duty[0], rel=1e-12)


def test_a_job_without_a_plan_has_no_response():
    found = respond("llama3-405b", "H200", [8, 1024], 8)
    assert not found.plans.fits[0]
    assert np.isinf(found.step_time_s[0]).all()
    with pytest.raises(InputError, match="needs at least"):
        found.of(0)
    assert found.of(1).response.slowdown[0] == 1.0


@pytest.mark.parametrize(
    ("inside", "latency", "problem"),
    [
        (0, 0.0, "inside: must be"),
        (1.5, 0.0, "inside: must be"),
        (1, -1e-6, "path_latency_s: must"),
    ],
)
def test_unusable_arguments_are_refused(inside, latency, problem):
    with pytest.raises(InputError, match=problem):
        respond("llama3-8b", "H200", 8, inside, path_latency_s=latency)
