"""Throughput of instances: memory, shares of requests, limits, and monotonicity."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.inference.calibration import coefficients_of, default_serving
from clustersim.inference.coefficients import Coefficients
from clustersim.inference.settings import Instance, Settings
from clustersim.inference.throughput import (
    RESERVED,
    accepted_tokens,
    batch_for_tpot,
    memory_batch,
    serve,
)
from tests.inference.neutral_instances import (
    DENSE,
    MEMORY,
    MIXTURE,
    STREAM,
    coefficients_with,
    faster,
    instance_of,
    settings_of,
)

ONE = np.ones(1)


def test_memory_holds_the_weights_and_the_caches() -> None:
    found = memory_batch(settings_of(output_len=200.0))
    weights = 2 * 1e9 + 2 * 0.1e9
    each = (1000 + 0.5 * 200) * 10 * 400 * 2
    assert found == pytest.approx((0.9 * MEMORY - RESERVED - weights) / each)
    assert memory_batch(settings_of(dataclasses.replace(DENSE, params=5e10))) == 0


def test_a_request_takes_its_prefill_and_its_share_of_the_steps() -> None:
    found = serve(settings_of(output_len=100.0), coefficients_with())
    assert found.batch == 64
    assert found.request_s == pytest.approx(found.prefill_s + 100 * found.decode_s / 64)


def test_mixed_steps_save_a_share_of_the_shorter_part() -> None:
    plain = serve(settings_of(output_len=100.0), coefficients_with())
    mixed = serve(settings_of(output_len=100.0), coefficients_with(overlap=0.25))
    decoding = 100 * plain.decode_s / 64
    saved = 0.25 * np.minimum(plain.prefill_s, decoding)
    assert mixed.request_s == pytest.approx(plain.request_s - saved)


def test_the_batch_is_limited_by_requests_engine_and_memory() -> None:
    c = coefficients_with()
    assert serve(settings_of(batch=64.0), c).batch == 64
    assert serve(settings_of(batch=1000.0), c).batch == 256
    assert serve(settings_of(batch=np.nan), c).batch == 256
    long = settings_of(batch=1000.0, input_len=1e5)
    assert serve(long, c).batch == pytest.approx(memory_batch(long))


def test_accepted_drafts_follow_the_geometric_sum() -> None:
    drafts = settings_of(draft=3.0)
    c = coefficients_with(draft=4.0)
    assert accepted_tokens(drafts, c) == pytest.approx(1 + 0.8 + 0.8**2 + 0.8**3)
    assert accepted_tokens(settings_of(draft=3.0, accepted=2.2), c) == pytest.approx(2.2)
    assert accepted_tokens(settings_of(), c) == pytest.approx(1)


def test_pipeline_stages_divide_the_layers_and_not_the_rate() -> None:
    whole = serve(settings_of(), coefficients_with())
    halves = serve(settings_of(pp=2.0), coefficients_with())
    assert halves.prefill_s == pytest.approx(whole.prefill_s / 2)
    # Either half of the batch reads all weights, one after another, on twice the chips.
    weights, cache = 2 * 1e9 / STREAM, whole.decode.cache
    assert halves.decode_s == pytest.approx(weights + cache / 2, rel=0.01)


def test_a_burst_waits_for_its_longest_answers() -> None:
    burst = settings_of(output_len=100.0, batch=64.0, burst=64.0, varied=1.0)
    long = serve(settings_of(output_len=100.0), coefficients_with())
    found = serve(burst, coefficients_with(longest=5.0))
    few = serve(settings_of(output_len=100.0, batch=3.2), coefficients_with())
    assert found.request_s == pytest.approx(long.request_s + 4 * 100 * few.decode_s / 64)


def test_the_batch_for_a_limit_keeps_it() -> None:
    c = coefficients_with()
    limit = np.full(1, 0.002)
    batch = batch_for_tpot(settings_of(sequences=1e9), c, limit)
    assert serve(settings_of(), c, batch).decode_s == pytest.approx(limit, rel=0.005)
    assert batch_for_tpot(settings_of(), c, np.full(1, 0.0009)) == 0
    most = batch_for_tpot(settings_of(), c, np.full(1, 100.0))
    assert most == pytest.approx(memory_batch(settings_of()))


CHIPS = ("H200", "H20", "910B2", "A100-80GB", "B200")


def _served(instance: Instance) -> tuple[Settings, Coefficients]:
    chip = instance.chip
    label = {"engine": "vllm", "chip": chip.family}
    return Settings.of([instance]), coefficients_of(default_serving().language, [label])


SHAPES = st.fixed_dictionaries(
    {
        "model": st.sampled_from([DENSE, MIXTURE]),
        "tp": st.sampled_from([1.0, 2.0, 8.0]),
        "batch": st.floats(1, 500),
        "input_len": st.floats(10, 30_000),
        "output_len": st.floats(1, 4000),
    }
)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(CHIPS), shape=SHAPES, by=st.floats(1.0, 4.0))
def test_more_bandwidth_or_compute_is_never_slower(
    name: str, shape: dict[str, float], by: float
) -> None:
    chip = cs.load_catalogue().accelerator(name)
    changes = {**shape, "expert_chips": shape["tp"]}
    model = changes.pop("model")
    slow = serve(*_served(instance_of(model, chip=chip, **changes)))
    for other in (faster(chip, bandwidth=by), faster(chip, flops=by)):
        fast = serve(*_served(instance_of(model, chip=other, **changes)))
        assert fast.decode_s <= slow.decode_s * (1 + 1e-9)
        assert fast.prefill_s <= slow.prefill_s * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(CHIPS), shape=SHAPES, by=st.floats(1.0, 4.0))
def test_a_larger_batch_takes_longer_and_yields_more(
    name: str, shape: dict[str, float], by: float
) -> None:
    chip = cs.load_catalogue().accelerator(name)
    changes = {**shape, "expert_chips": shape["tp"]}
    model, batch = changes.pop("model"), changes.pop("batch")
    found = [
        serve(*_served(instance_of(model, chip=chip, **changes)), np.full(1, size))
        for size in (batch, batch * by)
    ]
    assert found[1].decode_s >= found[0].decode_s * (1 - 1e-9)
    assert found[1].batch / found[1].decode_s >= found[0].batch / found[0].decode_s * (1 - 1e-9)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(CHIPS), shape=SHAPES, by=st.floats(1.0, 4.0))
def test_longer_requests_take_longer(name: str, shape: dict[str, float], by: float) -> None:
    chip = cs.load_catalogue().accelerator(name)
    changes = {**shape, "expert_chips": shape["tp"]}
    model = changes.pop("model")
    short = serve(*_served(instance_of(model, chip=chip, **changes)))
    for length in ("input_len", "output_len"):
        longer = {**changes, length: changes[length] * by}
        long = serve(*_served(instance_of(model, chip=chip, **longer)))
        assert long.request_s >= short.request_s * (1 - 1e-6)
