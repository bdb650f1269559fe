"""The search of plan spaces, and blocks of rows."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.performance import (
    LEVELS,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_calibration,
    default_draw,
    evaluate,
    search_plans,
)
from clustersim.performance.blocks import ELEMENTS
from clustersim.performance.plans import enumerate_plans, full_space
from tests.examples import examples
from tests.full_counts import first_of

CATALOGUE = load_catalogue()
CHIPS, MODELS = CATALOGUE.accelerators, CATALOGUE.models
GPT3, A100 = MODELS["gpt3-175b"], CHIPS["A100-80GB"]
some_chips = st.sampled_from(["H200", "H20", "910B2", "SeedChip", "A100-40GB"])
some_models = st.sampled_from(["llama3-8b", "llama3-70b", "mixtral-8x7b", "jimeng-class"])
some_counts = st.sampled_from([1, 3, 8, 12, 64, 256, 1024])


def divisors(number):
    return [size for size in range(1, number + 1) if number % size == 0]


def columns(plans):
    given = [getattr(plans, field.name) for field in dataclasses.fields(Plans)]
    return np.column_stack(np.broadcast_arrays(*(np.atleast_1d(column) for column in given)))


def whole_space(model, chip, count, batch):
    """All rows of a full space, as a matrix."""
    arrays = ModelArrays.of([model]), AcceleratorArrays.of([chip])
    space = full_space(*arrays, count, batch)
    return space, np.concatenate([columns(plans) for plans in space.blocks(1000)])


@settings(max_examples=examples(40), deadline=None)
@given(some_models, some_chips, some_counts, st.sampled_from([64, 500]))
def test_best_plan_is_the_best_of_the_usual_space(model, chip, count, batch):
    args = (MODELS[model], CHIPS[chip], count)
    best = best_plans(*args, global_batch=batch)
    found = search_plans(*args, global_batch=batch)
    assert best.reason == [found.reason]
    if found.reason:
        assert len(found) == found.fitting == 0
        assert best.memory_bytes[0] == found.least_memory_bytes
        assert found.describe() == found.reason
    else:
        np.testing.assert_allclose(best.step_time_s[0], found.step.step_time_s[0], rtol=1e-12)
        assert best.describe(0) == found.describe()


@settings(max_examples=examples(40), deadline=None)
@given(some_models, some_chips, some_counts, st.integers(1, 8))
def test_runners_up_fit_differ_and_ascend(model, chip, count, keep):
    found = search_plans(MODELS[model], CHIPS[chip], count, keep=keep)
    seconds = found.step.step_time_s
    assert len(found) == min(keep, len(seconds)) <= found.fitting <= found.looked_at
    assert found.step.fits.all()
    assert (np.diff(seconds) > 1e-9 * seconds[1:]).all()
    plans = found.plans
    assert (plans.chips == count).all()
    assert (plans.tp <= CHIPS[chip].scaleup_size).all()
    assert (np.mod(MODELS[model].heads, plans.tp) == 0).all()
    assert len({found.describe(place) for place in range(len(found))}) == len(found)
    if found.fitting:
        assert found.least_memory_bytes <= found.step.memory_bytes.min()


def test_options_without_effect_are_left_out():
    """ZeRO 1 and 2 take the same time; only the first is listed."""
    found = search_plans(MODELS["llama3-8b"], CHIPS["H200"], 8, keep=1000)
    plans = columns(dataclasses.replace(found.plans, zero=np.minimum(found.plans.zero, 1)))
    stage = {tuple(row) for row in plans[found.plans.zero < 3]}
    assert len(stage) == np.count_nonzero(found.plans.zero < 3) > 10


def counted_by_hand(model, domain, count, batch):
    """Size of the full space of a dense causal model, by plain loops."""
    total = 0
    for tp, pp, cp in itertools.product(
        divisors(model.heads), range(1, model.layers + 1), divisors(model.seq_len // 2)
    ):
        if tp > domain or count % (tp * pp * cp):
            continue
        dp = count // (tp * pp * cp)
        ranks, share, stage = dp * cp, math.ceil(batch / dp), math.ceil(model.layers / pp)
        schedules = 0
        for micro_batch in range(1, share + 1):
            if micro_batch > 16 and share % micro_batch:
                continue
            full = pp > 1 and math.ceil(share / micro_batch) >= pp
            schedules += len(divisors(stage)) if full else 1
        zero = 1 if ranks == 1 else 1 + 3 * (1 + sum(1 < size < ranks for size in divisors(ranks)))
        total += schedules * zero * 3 * (1 + (tp > 1)) * (1 + (tp * ranks > 1)) * 2
    return total


def test_full_space_of_gpt3():
    """More than the 7.1 million configurations that Calculon counts for the same job."""
    arrays = ModelArrays.of([GPT3]), AcceleratorArrays.of([A100])
    space = full_space(*arrays, 4096, GPT3.global_batch)
    assert len(space) == counted_by_hand(GPT3, 8, 4096, GPT3.global_batch) == 9_180_516
    assert sum(plans.micro_batch.size for plans in space.blocks(65_536)) == len(space)


@pytest.mark.parametrize("count", [1, 8, 12])
def test_full_space_lists_each_plan_once(count):
    model = MODELS["gpt3-5b"]
    space, rows = whole_space(model, A100, count, 24)
    assert len(rows) == len(space) == counted_by_hand(model, 8, count, 24)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert (rows[:, :4].prod(axis=1) == count).all()


@pytest.mark.parametrize(
    ("name", "count"), first_of([("gpt3-5b", 16), ("jimeng-class", 24), ("mixtral-8x7b", 16)], 2)
)
def test_full_space_holds_the_usual_one(name, count):
    model, chip = MODELS[name], CHIPS["H200"]
    _, rows = whole_space(model, chip, count, 64)
    arrays = ModelArrays.of([model]), AcceleratorArrays.of([chip])
    usual = enumerate_plans(*arrays, np.array([float(count)]), np.array([64.0])).plans
    assert {tuple(row) for row in columns(usual)} <= {tuple(row) for row in rows}


def test_full_search_times_every_plan_that_fits():
    model = MODELS["gpt3-20b"]
    space, rows = whole_space(model, A100, 8, 32)
    step = evaluate(
        ModelArrays.of([model]),
        AcceleratorArrays.of([A100]),
        Plans(*rows.T),
        global_batch=32,
        coefficients=default_draw().for_chips([A100]),
        memory=default_draw().memory_rules([A100]),
    )
    found = search_plans(model, A100, 8, global_batch=32, space="full", keep=3)
    assert found.looked_at == len(space)
    assert 0 < found.fitting == np.count_nonzero(step.fits) < len(space)
    fitting = np.sort(step.step_time_s[step.fits])
    unlike = fitting[np.diff(fitting, prepend=0.0) > 1e-9 * fitting]
    np.testing.assert_allclose(found.step.step_time_s, unlike[:3], rtol=1e-12)
    usual = search_plans(model, A100, 8, global_batch=32)
    assert found.step.step_time_s[0] <= usual.step.step_time_s[0]


def test_why_nothing_fits():
    for space in ("usual", "full"):
        found = search_plans(MODELS["llama3-70b"], A100, 2, space=space, global_batch=4)
        assert "llama3-70b on 2 A100-80GB chips needs at least" in found.reason
        assert found.describe() == found.reason
        assert len(found) == found.step.step_time_s.size == found.fitting == 0
        assert found.looked_at > 0
        assert found.least_memory_bytes > 80e9


def test_options_of_the_job_count():
    args = (MODELS["llama3-70b"], CHIPS["H200"], 64)
    plain = search_plans(*args).step.step_time_s[0]
    assert search_plans(*args, nic_Bps=1e9).step.step_time_s[0] > plain
    assert search_plans(*args, precision="fp8").step.step_time_s[0] < plain
    assert search_plans(*args, global_batch=512).step.step_time_s[0] < 0.6 * plain
    assert (search_plans(*args, scaleup_size=2).plans.tp <= 2).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"space": "ful"}, "space: must be usual or full, found 'ful'; nearest: full"),
        ({"keep": 0}, "keep: must be a whole number of 1 or more, found 0"),
        ({"count": 0}, "counts: must be finite and 1 or more"),
        ({"count": [8, 16]}, "takes one job"),
        ({"nic_Bps": -1.0}, "nic_Bps: must be finite and more than 0"),
        ({"precision": "int4"}, "bf16 or fp8"),
    ],
)
def test_bad_arguments(change, text):
    arguments = {"count": 8, **change}
    with pytest.raises(InputError, match=text):
        search_plans(MODELS["llama3-8b"], CHIPS["H20"], **arguments)


def test_blocks_change_nothing():
    """Rows in several blocks are what they are in one, broadcast columns and draws included."""
    rows = 2 * ELEMENTS + 100
    chips = [CHIPS[name] for name in ("H100", "910B2")]
    chip = np.arange(rows) % 2
    plans = Plans.of(tp=4.0, pp=2.0 ** (np.arange(rows) % 5), dp=8.0, zero=np.arange(rows) % 4)
    arrays = ModelArrays.of([GPT3]), AcceleratorArrays.of(chips).take(chip)
    for draw in (default_draw(), default_calibration().draw(3, 1)):
        coefficients = draw.coefficients([("",) * len(LEVELS)])
        whole = evaluate(*arrays, plans, global_batch=256, coefficients=coefficients)
        assert whole.step_time_s.shape[-1] == rows
        assert all(held.shape == (rows,) for held in whole.memory.values())
        some = np.array([0, ELEMENTS - 1, ELEMENTS, 2 * ELEMENTS, rows - 1])
        part = evaluate(
            arrays[0],
            arrays[1].take(some),
            plans.take(some),
            global_batch=256,
            coefficients=coefficients,
        )
        for name in ("step_time_s", "memory_bytes", "fits", "mfu"):
            left, right = getattr(whole, name)[..., some], getattr(part, name)
            np.testing.assert_allclose(left, right, rtol=1e-14)
        for name, seconds in whole.parts.items():
            np.testing.assert_allclose(seconds[..., some], part.parts[name], rtol=1e-14)
