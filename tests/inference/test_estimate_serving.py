"""The throughput of one instance, and the capacity of a chip."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.errors import InputError
from clustersim.inference import (
    ServingLoad,
    estimate_serving,
    served_model,
    serving_capacity,
    video_capacity,
)
from clustersim.inference.candidates import candidate_plans, usual_sizes

CATALOGUE = cs.load_catalogue()


def test_the_limit_sets_the_batch() -> None:
    found = estimate_serving("deepseek-v3", "H200", 16, tpot_s=0.04)
    assert found.tpot_s == pytest.approx(0.04, rel=0.01)
    assert found.decode_tokens_per_s == pytest.approx(found.batch / found.tpot_s / 16)
    same = estimate_serving("deepseek-v3", "H200", 16, batch=found.batch, tp=None)
    assert same.output_tokens_per_s >= found.output_tokens_per_s * 0.999


def test_without_batch_or_limit_memory_binds() -> None:
    found = estimate_serving("llama3-70b", "H200", 8)
    assert found.decode_binds == "KV memory"
    assert found.batch == pytest.approx(found.memory_batch)


def test_few_sequences_are_bound_by_the_memory_bandwidth() -> None:
    found = estimate_serving("llama3-70b", "A100-80GB", 4, batch=1, tp=4)
    assert found.decode_binds == "memory bandwidth"
    assert found.tpot_s > 2 * 70e9 / 4 / 2.04e12
    assert found.prefill_binds == "compute"
    assert 0 < found.low < 1 < found.high


def test_the_best_plan_serves_at_least_as_much_as_any_other() -> None:
    best = estimate_serving("qwen3-235b-a22b", "H20", 8, batch=128)
    for tp in (2, 4, 8):
        other = estimate_serving("qwen3-235b-a22b", "H20", 8, batch=128, tp=tp)
        assert other.reason or other.output_tokens_per_s <= best.output_tokens_per_s * (1 + 1e-9)


def test_what_is_not_possible_has_a_reason() -> None:
    small = estimate_serving("deepseek-v3", "H20", 4)
    assert "do not fit into the memory of 4 chips" in small.reason
    late = estimate_serving("llama3-70b", "910B2", 8, tpot_s=0.001)
    assert "even with the smallest batch" in late.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "nothing"}, "unknown model 'nothing'"),
        ({"accelerator": "H2000"}, "unknown accelerator 'H2000'"),
        ({"model": "wan-14b"}, "makes images or videos"),
        ({"count": 0}, "count: must be a whole number"),
        ({"weights": "fp9"}, "weights: unknown precision 'fp9'"),
        ({"kv": "fp9"}, "kv: unknown precision 'fp9'"),
        ({"input_len": 0.0}, "input_len: must be a number of 1"),
        ({"output_len": float("nan")}, "output_len: must be a number of 1"),
        ({"batch": 8.0, "tpot_s": 0.05}, "batch and tpot_s: give one of them"),
        ({"tp": 3}, "no plan of 8 chips has tensor parallel size 3"),
        ({"engine": "mine"}, "engine: unknown engine 'mine'"),
    ],
)
def test_input_that_cannot_be_used(changes: dict[str, Any], said: str) -> None:
    usual: dict[str, Any] = {"model": "llama3-70b", "accelerator": "H200", "count": 8}
    with pytest.raises(InputError, match=said):
        estimate_serving(**{**usual, **changes})


def test_a_package_of_two_dies_counts_as_one_chip() -> None:
    chip = CATALOGUE.accelerator("910C")
    half = dataclasses.replace(
        chip.at(
            peak_flops={"bf16": 376e12},
            hbm_bytes=64e9,
            hbm_Bps=1.6e12,
            scaleup_Bps=196e9,
            nic_Bps=25e9,
        ),
        name="die",
        scaleup_size=2 * chip.scaleup_size,
    )
    catalogue = CATALOGUE.with_accelerator(half)
    package = estimate_serving("qwen3-32b", "910C", 1, batch=8)
    dies = estimate_serving("qwen3-32b", "die", 2, batch=8, catalogue=catalogue)
    assert package.decode_tokens_per_s == pytest.approx(2 * dies.decode_tokens_per_s)


def test_candidate_plans_and_instance_sizes() -> None:
    mixture = served_model("deepseek-v3")
    plans = list(candidate_plans(mixture, 16))
    assert (16.0, 16.0, False) in plans
    assert (1.0, 16.0, True) in plans
    assert len(plans) == 10
    # 671 GB in FP8 need nine chips of 96 GB at 85 %, and so sixteen.
    assert usual_sizes(mixture, 96e9, 1.0) == [16, 32, 64]
    assert usual_sizes(served_model("llama3-8b"), 80e9, 2.0) == [1, 2, 4, 8]
    assert usual_sizes(mixture, 8e9, 1.0) == [128]


@settings(max_examples=15, deadline=None)
@given(
    model=st.sampled_from(["qwen3-32b", "doubao-class"]),
    limit=st.floats(0.02, 0.2),
    by=st.floats(1.0, 3.0),
)
def test_a_looser_limit_never_serves_less(model: str, limit: float, by: float) -> None:
    tight, loose = (
        serving_capacity([model], ["H200"], load=ServingLoad(tpot_s=one)).iloc[0]
        for one in (limit, limit * by)
    )
    if tight["reason"]:
        return
    assert loose["output_tokens_per_s"] >= tight["output_tokens_per_s"] * 0.99
    assert tight["tpot_s"] <= limit * 1.005


def test_capacity_by_model_and_chip() -> None:
    chips = ["H200", "H20", "910B2", "SeedChip"]
    found = serving_capacity(["doubao-class", "dola-class"], chips)
    assert found["accelerator"].tolist() == 2 * chips
    assert found["reason"].eq("").all()
    assert (found["low"] < found["output_tokens_per_s"]).all()
    assert (found["output_tokens_per_s"] < found["decode_tokens_per_s"]).all()
    # Per yuan of memory bandwidth H20 comes closer to H200 in decoding than in prefill.
    h200, h20 = found.iloc[0], found.iloc[1]
    prefill = h20["prefill_tokens_per_s"] / h200["prefill_tokens_per_s"]
    assert h20["decode_tokens_per_s"] / h200["decode_tokens_per_s"] > prefill
    # A chip whose architecture was never measured has a wider interval.
    width = found["high"] / found["low"]
    assert width[3] > width[0]


def test_capacity_for_videos() -> None:
    found = video_capacity(["jimeng-class", "wan-14b"], ["H200", "H20"], count=4)
    assert (found["seconds"] * found["videos_per_s"] * 4).to_numpy() == pytest.approx(np.ones(4))
    assert found["seconds"][0] < found["seconds"][1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: serving_capacity(["wan-14b"], ["H200"]), "makes images or videos"),
        (lambda: video_capacity(["qwen3-32b"], ["H200"]), "is a language model"),
        (lambda: video_capacity(["wan-14b"], ["H200"], steps=0), "steps: must be"),
        (
            lambda: serving_capacity(["qwen3-32b"], ["H200"], load=ServingLoad(batch=8)),
            "batch: the capacity of a chip follows from a limit",
        ),
    ],
)
def test_capacity_of_what_cannot_be_used(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
