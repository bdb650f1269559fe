"""The time of one pass against the roofline, worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clustersim.inference.step import attended, expert_share, pass_seconds
from clustersim.network.collectives import all_reduce_seconds
from tests.inference.neutral_instances import (
    ATTENTION,
    DENSE,
    MIXTURE,
    PEAK,
    STREAM,
    coefficients_with,
    settings_of,
)

ONE = np.ones(1)


def test_decoding_one_sequence_takes_as_long_as_reading_the_weights() -> None:
    found = pass_seconds(ONE, ONE, 1.0 * ONE, settings_of(), coefficients_with(), decode=True)
    assert found.weights == pytest.approx(2 * 1e9 / STREAM)
    assert found.total == pytest.approx(found.weights, rel=1e-3)


def test_a_long_prefill_takes_as_long_as_its_products_and_scores() -> None:
    tokens = 1e6 * ONE
    found = pass_seconds(tokens, ONE, 500 * ONE, settings_of(), coefficients_with(), decode=False)
    products = 2 * 1e6 * 1e9 / PEAK
    # Each token meets 500 others in 10 layers, with 8 heads of 100 for scores and for values.
    scores = 2 * 1e6 * 500 * 10 * (2 * 8 * 100) / ATTENTION
    assert found.products == pytest.approx(products)
    assert found.scores == pytest.approx(scores)
    assert found.cache == 0
    assert found.total == pytest.approx(products + scores, rel=1e-3)


def test_decoding_reads_the_cache_of_every_sequence() -> None:
    found = pass_seconds(
        64 * ONE, 64 * ONE, 1000 * ONE, settings_of(), coefficients_with(), decode=True
    )
    assert found.cache == pytest.approx(64 * 1000 * 10 * (2 * 2 * 100) * 2 / STREAM)


def test_latent_attention_reads_compressed_keys_on_every_chip() -> None:
    latent = dataclasses.replace(DENSE, latent=576.0, latent_heads=320.0)
    for tp in (1.0, 4.0):
        found = pass_seconds(
            64 * ONE,
            64 * ONE,
            1000 * ONE,
            settings_of(latent, tp=tp),
            coefficients_with(),
            decode=True,
        )
        assert found.cache == pytest.approx(64 * 1000 * 10 * 576 * 2 / STREAM)
        assert found.scores == pytest.approx(2 * 64 * 1000 * 10 * 8 * 1088 / tp / ATTENTION)


def test_experts_that_a_batch_needs() -> None:
    models = settings_of(MIXTURE).models
    assert expert_share(ONE, models) == pytest.approx(8 / 64)
    assert expert_share(2 * ONE, models) == pytest.approx(1 - (56 / 64) ** 2)
    assert expert_share(1e4 * ONE, models) == pytest.approx(1)
    # Draws of experts without replacement agree.
    random = np.random.default_rng(0)
    hit = [
        len({*np.concatenate([random.choice(64, 8, replace=False) for _ in range(16)])}) / 64
        for _ in range(400)
    ]
    assert expert_share(16 * ONE, models) == pytest.approx(np.mean(hit), abs=0.01)
    assert expert_share(ONE, settings_of().models) == pytest.approx(1)


def test_a_mixture_reads_only_the_experts_that_are_needed() -> None:
    found = pass_seconds(ONE, ONE, ONE, settings_of(MIXTURE), coefficients_with(), decode=True)
    dense = 8.9e9 - 8e9 - 0.1e9
    assert found.weights == pytest.approx(2 * (dense + 8e9 * 8 / 64) / STREAM)


def test_experts_of_distributed_replicas_are_hit_by_all_their_tokens() -> None:
    settings = settings_of(MIXTURE, expert_chips=8.0, distributed=1.0)
    found = pass_seconds(ONE, ONE, ONE, settings, coefficients_with(), decode=True)
    share = 1 - (56 / 64) ** 8
    assert found.weights == pytest.approx(2 * (0.8e9 + share * 8e9 / 8) / STREAM)


def test_tensor_parallelism_sums_twice_a_layer() -> None:
    settings = settings_of(tp=2.0)
    found = pass_seconds(ONE, ONE, ONE, settings, coefficients_with(), decode=True)
    each = all_reduce_seconds(2 * 1000 * ONE, 2 * ONE, ONE, settings.chips.links)
    assert found.network == pytest.approx(20 * each)
    alone = pass_seconds(ONE, ONE, ONE, settings_of(), coefficients_with(), decode=True)
    assert alone.network == 0
    assert found.weights == pytest.approx(alone.weights / 2)


def test_windows_and_sparse_attention_limit_what_is_read_but_not_what_is_held() -> None:
    windowed = dataclasses.replace(DENSE, window=128.0, windowed_layers=5.0)
    models = settings_of(windowed).models
    assert attended(1000 * ONE, models) == pytest.approx(5 * 1000 + 5 * 128)
    assert attended(100 * ONE, models) == pytest.approx(10 * 100)
    sparse = settings_of(dataclasses.replace(DENSE, sparse_tokens=200.0)).models
    assert attended(1000 * ONE, sparse) == pytest.approx(10 * 200)
    assert attended(1000 * ONE, sparse, sparse=False) == pytest.approx(10 * 1000)


def test_host_and_launches_are_added() -> None:
    c = coefficients_with(step_s=1e-3, sequence_s=1e-5, layer_s=1e-6, mixture_s=2e-6)
    found = pass_seconds(64 * ONE, 64 * ONE, ONE, settings_of(MIXTURE), c, decode=True)
    assert found.host == pytest.approx(1e-3 + 64e-5 + 10e-6 + 20e-6)


def test_small_products_of_experts_take_longer() -> None:
    many, few = 6400 * ONE, 64 * ONE
    c = coefficients_with(few_rows=8.0)
    for tokens, rows in ((many, 800.0), (few, 8.0)):
        found = pass_seconds(tokens, ONE, ONE, settings_of(MIXTURE), c, decode=False)
        plain = pass_seconds(
            tokens, ONE, ONE, settings_of(MIXTURE), coefficients_with(), decode=False
        )
        dense_s = 2 * tokens * 0.8e9 / PEAK
        ratio = (found.products - dense_s) / (plain.products - dense_s)
        assert ratio == pytest.approx(1 + 8 / rows, rel=1e-3)
