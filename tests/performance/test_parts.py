"""Each part of a step by hand, with coefficients that make the arithmetic plain."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.performance import PARTS, attended_tokens
from tests.performance.plain import (
    ATTENTION,
    FAR_BPS,
    HIDDEN,
    LAYERS,
    MEMORY_BPS,
    MLP,
    NEAR_BPS,
    PARAMS,
    PEAK,
    SEQ,
    both,
    chip,
    mixture,
    model,
    near,
    parts,
    step,
)

ONE = {"tp": [1]}
approx = pytest.approx


def test_products_take_six_flops_a_parameter_and_token():
    assert parts(model(), ONE)["matmul"] == approx(6 * PARAMS * SEQ / PEAK)
    assert parts(model(), ONE, matmul_efficiency=0.5)["matmul"] == approx(12 * PARAMS * SEQ / PEAK)
    assert parts(model(), {"tp": [4]})["matmul"] == approx(6 * PARAMS * SEQ / PEAK / 4)
    gated = parts(model(mlp_matrices=3.0), ONE)["matmul"]
    assert gated == approx(6 * LAYERS * 16 * HIDDEN**2 * SEQ / PEAK)


def test_products_also_move_their_operands():
    """Query, key and value in one product, output, and the two of the MLP."""
    shapes = [(3072, 1024), (1024, 1024), (4096, 1024), (1024, 4096)]
    moved = sum(2 * (SEQ * (width + depth) + width * depth) for width, depth in shapes)
    seconds = parts(model(), ONE, matmul_traffic=1.5)["matmul"]
    assert seconds == approx(6 * PARAMS * SEQ / PEAK + 3 * LAYERS * 1.5 * moved / MEMORY_BPS)


def test_grouped_queries_make_the_projections_narrower():
    narrow = model(kv_width=128.0, attention_params=2 * HIDDEN * (1024 + 128.0))
    seconds = parts(narrow, ONE)
    assert seconds["matmul"] == approx(6 * LAYERS * (2 * HIDDEN * 1152 + MLP) * SEQ / PEAK)
    assert seconds["attention"] == approx(parts(model(), ONE)["attention"])


def test_fused_attention():
    """Backward is five products to the forward's two."""
    assert parts(model(), ONE)["attention"] == approx(3.5 * ATTENTION)
    assert parts(model(), {"tp": [2]})["attention"] == approx(3.5 * ATTENTION / 2)
    assert parts(model(), ONE, attention_efficiency=0.25)["attention"] == approx(14 * ATTENTION)
    both_ways = parts(model(span=2048.0), ONE)["attention"]
    assert both_ways == approx(7 * ATTENTION)
    # exponentials take as long as the products of a head of this width (128)
    assert parts(model(), ONE, softmax_width=128.0)["attention"] == approx(7 * ATTENTION)
    # half as fast if a token attends to as many tokens as `attention_ramp`: half of the 2,048
    short = parts(model(), ONE, attention_ramp=1024.0)["attention"]
    assert short == approx((2 + 2.5 * (1 + 415 / 240)) * ATTENTION)


def test_attended_tokens():
    assert attended_tokens(8192, causal=True) == 4096
    assert attended_tokens(8192, causal=False) == 8192
    seen = np.minimum(np.arange(8192), 1000)
    assert attended_tokens(8192, causal=True, window=1000) == approx(seen.mean(), rel=1e-3)
    assert attended_tokens(8192, causal=True, window=9000) == 4096
    assert attended_tokens(8192, causal=False, window=1000) == 2000


def test_attention_without_fusing_makes_the_square_and_moves_the_scores():
    seconds = parts(model(), ONE | {"flash": 0}, score_bytes=9.0)["attention"]
    square = 4 * SEQ * SEQ * HIDDEN / PEAK
    scores = 9 * 8 * SEQ * SEQ / MEMORY_BPS
    assert seconds == approx(3 * LAYERS * (square + scores))


def test_memory_bound_work():
    """14 passes over the hidden; with a gate, 3 over query, key and value, 2.5 over each matrix."""
    gpt = 2 * SEQ * (14 * 1024 + 2 * 4096) / MEMORY_BPS  # no rotary positions, one pass a matrix
    assert parts(model(), ONE)["elementwise"] == approx(3 * LAYERS * gpt)
    hidden, qkv, mlp = 14 * 1024, 3 * 3 * 1024, 2.5 * 3 * 4096
    llama = model(mlp_matrices=3.0)
    once = 2 * SEQ * (hidden + qkv + mlp) / MEMORY_BPS
    assert parts(llama, ONE)["elementwise"] == approx(3 * LAYERS * once)
    assert parts(llama, ONE, memory_efficiency=0.5)["elementwise"] == approx(6 * LAYERS * once)
    launches = parts(llama, ONE, layer_s=1e-3)["elementwise"]
    assert launches == approx(3 * LAYERS * (once + 1e-3))
    graphs = parts(llama, {"cuda_graphs": [1]}, layer_s=1e-3)["elementwise"]
    assert graphs == approx(3 * LAYERS * (once + 0.55e-3))
    split = 2 * SEQ * (hidden + qkv + mlp) / 4 / MEMORY_BPS
    assert parts(llama, {"tp": [4]})["elementwise"] == approx(3 * LAYERS * split)
    whole = 2 * SEQ * (hidden + (qkv + mlp) / 4) / MEMORY_BPS
    without = parts(llama, {"tp": [4], "sequence_parallel": 0})["elementwise"]
    assert without == approx(3 * LAYERS * whole)


def test_fp8():
    """Twice the peak for the products; attention and output layer stay; inputs are cast."""
    fp8, shape = chip(peak_flops=2 * PEAK, fp8=True), model(vocab=51200.0)
    seconds, bf16 = parts(shape, ONE, on=fp8, cast_traffic=3.0), parts(shape, ONE)
    assert seconds["matmul"] == approx(bf16["matmul"] / 2)
    assert seconds["attention"] == approx(bf16["attention"])
    assert seconds["vocabulary"] == approx(bf16["vocabulary"])
    casts = 3 * LAYERS * 2 * 3 * SEQ * (2 * 1024 + 1024 + 2 * 4096) / MEMORY_BPS
    assert seconds["elementwise"] == approx(bf16["elementwise"] + casts)
    less = parts(shape, ONE, on=fp8, fp8_efficiency=0.8)["matmul"]
    assert less == approx(seconds["matmul"] / 0.8)
    most = parts(shape, ONE, on=fp8, fp8_efficiency=1.3, matmul_efficiency=0.9)["matmul"]
    assert most == approx(seconds["matmul"])  # never above the peak


def test_vocabulary():
    shape = model(vocab=51200.0)
    product = 2 * SEQ * HIDDEN * 51200 / PEAK
    logits = 16 * SEQ * 51200 / MEMORY_BPS
    assert parts(shape, ONE, logit_bytes=16.0)["vocabulary"] == approx(3 * product + logits)
    assert parts(shape, {"tp": [2]})["vocabulary"] == approx(3 * product / 2)
    assert parts(shape, {"lora": [1]})["vocabulary"] == approx(2 * product)
    moved = 2 * (SEQ * (51200 + HIDDEN) + 51200 * HIDDEN) / MEMORY_BPS
    assert parts(shape, ONE, matmul_traffic=1.0)["vocabulary"] == approx(3 * (product + moved))
    assert parts(model(), ONE)["vocabulary"] == 0


class TestExperts:
    projections = 4 * HIDDEN**2
    router = HIDDEN * 8
    scale = 6 * LAYERS * SEQ / PEAK

    def test_two_experts_of_a_token(self):
        active = self.projections + 2 * MLP + self.router
        assert parts(mixture(), ONE)["matmul"] == approx(self.scale * active)
        half = parts(mixture(moe_layers=12.0), ONE)["matmul"]
        mean = self.projections + (MLP + 2 * MLP + self.router) / 2
        assert half == approx(self.scale * mean)

    def test_imbalance_grouping_and_launches(self):
        fullest = self.projections + 1.5 * 1.2 * 2 * MLP + self.router
        seconds = parts(mixture(), ONE, expert_imbalance=1.5, grouped_slowdown=1.2)["matmul"]
        assert seconds == approx(self.scale * fullest)
        plain = parts(mixture(), ONE)["matmul"]
        launched = parts(mixture(), ONE, expert_s=1e-4)["matmul"]
        assert launched - plain == approx(3 * LAYERS * 8 * 1e-4)
        spread = parts(mixture(), {"dp": [8], "ep": 8}, batch=8, expert_s=1e-4)["matmul"]
        assert spread - plain == approx(3 * LAYERS * 1e-4)

    def test_shared_expert_sees_every_token(self):
        active = self.projections + 3 * MLP + self.router
        shared = parts(mixture(shared_experts=1.0), ONE, grouped_slowdown=1.0)["matmul"]
        assert shared == approx(self.scale * active)

    @pytest.mark.parametrize(
        ("sizes", "local", "rows", "width"),
        [
            ({"ep": 1}, 8, SEQ * 2 / 8, 1024),
            ({"ep": 8}, 1, SEQ * 2 / 4, 4096),
            ({"ep": 8, "etp": 4}, 1, SEQ * 2, 1024),
            ({"ep": 2, "etp": 2}, 4, SEQ * 2 / 8, 2048),
            ({"ep": 1, "etp": 1}, 8, SEQ * 2 / 8 / 4, 4096),
        ],
    )
    def test_tensor_parallel_ranks_split_matrices_or_tokens(self, sizes, local, rows, width):
        """Distributed experts are whole and their tokens split: more weights to read."""
        plan = {"tp": [4], "dp": 8, **sizes}
        seconds = [
            parts(mixture(), plan, batch=8, matmul_traffic=x, grouped_traffic=x)["matmul"]
            for x in (0.0, 1.0)
        ]
        shapes = [(rows, width, 1024), (rows, 1024, width)] * local
        shapes += [(SEQ, 768, 1024), (SEQ, 1024, 256)]
        moved = sum(2 * (r * (w + d) + w * d) for r, w, d in shapes)
        moved += 2 * (SEQ * (8 + 1024) + 8 * 1024) / 4  # router
        assert seconds[1] - seconds[0] == approx(3 * LAYERS * moved / MEMORY_BPS)

    def test_all_to_all(self):
        plan = {"dp": [8], "ep": 8}
        sent = 2 * SEQ * 2 * HIDDEN
        once = near(7 / 8 * sent / NEAR_BPS)
        assert parts(mixture(), plan, batch=8)["expert_parallel"] == approx(4 * LAYERS * once)
        half = parts(mixture(moe_layers=12.0), plan, batch=8)["expert_parallel"]
        assert half == approx(2 * LAYERS * once)
        hidden = parts(mixture(), plan, batch=8, ep_overlap=0.25)["expert_parallel"]
        assert hidden == approx(3 * LAYERS * once)
        again = parts(mixture(), plan | {"recompute": 2}, batch=8)["expert_parallel"]
        assert again == approx(6 * LAYERS * once)
        assert parts(mixture(), {"dp": [8]}, batch=8)["expert_parallel"] == 0

    def test_all_to_all_between_servers(self):
        """Whole experts are among neighbours, tensor-parallel ranks too; each sends its share."""
        seconds = parts(mixture(), {"tp": [8], "dp": 4, "ep": 4}, batch=4)["expert_parallel"]
        sent = 2 * SEQ * 2 * HIDDEN / 8
        assert seconds == approx(4 * LAYERS * near(3 / 4 * sent / NEAR_BPS))
        plan = {"tp": [8], "dp": 4, "ep": 32}
        seconds = parts(mixture(n_experts=32.0), plan, batch=4)["expert_parallel"]
        once = both(7 / 32 * sent / NEAR_BPS, 24 / 32 * sent / FAR_BPS, doublings=2)
        assert seconds == approx(4 * LAYERS * once)

    def test_permuting_the_copies_of_tokens(self):
        extra = [parts(mixture(), ONE, permutation_traffic=x)["elementwise"] for x in (0.0, 1.0)]
        copies = 2 * SEQ * 4 * 2 * HIDDEN / MEMORY_BPS
        assert extra[1] - extra[0] == approx(3 * LAYERS * copies)

    def test_ranks_that_split_an_expert_sort_what_they_gathered(self):
        """Two passes over the copies of its own tokens, two over those of both ranks."""
        plan = {"tp": [2], "dp": 4, "ep": 4, "etp": 2}
        extra = [
            parts(mixture(), plan, batch=4, permutation_traffic=x)["elementwise"]
            for x in (0.0, 1.0)
        ]
        copies = 2 * (SEQ / 2) * (2 + 2 * 2) * 2 * HIDDEN / MEMORY_BPS
        assert extra[1] - extra[0] == approx(3 * LAYERS * copies)


def test_recompute_of_mixtures():
    """Products, sorting and exchange of the 18 mixtures of 24 layers, once more."""
    shape = mixture(moe_layers=18.0, mlp_matrices=2.0)
    plan = {"dp": [8], "ep": 8}
    plain = parts(shape, plan, batch=8)
    again = parts(shape, plan | {"moe_recompute": 1}, batch=8)
    whole = parts(mixture(), plan, batch=8)["matmul"] / 3
    attention = parts(model(ffn_hidden=1e-9), plan | {"ep": 1}, batch=8)["matmul"] / 3
    streamed = (2 * 2 * 4096 * 2 * SEQ / MEMORY_BPS) * 18  # a pass over each matrix of two experts
    assert plain["recompute"] == 0
    assert again["recompute"] == approx(18 / 24 * (whole - attention) + streamed)
    assert again["expert_parallel"] == approx(1.5 * plain["expert_parallel"])
    for name in ("matmul", "attention", "elementwise", "tensor_parallel"):
        assert again[name] == plain[name]
    full = plan | {"recompute": 2}
    assert parts(shape, full, batch=8) == parts(shape, full | {"moe_recompute": 1}, batch=8)


@pytest.mark.parametrize(
    ("changes", "sizes", "more"),
    [
        ({}, {"ep": 8}, 0.0),
        ({}, {"ep": 1}, 1.0),
        ({"shared_experts": 1.0}, {"ep": 8}, 1.0),
        ({"moe_layers": 12.0}, {"ep": 1}, 0.5),
    ],
)
def test_mixtures_computed_again_reduce_again(changes, sizes, more):
    plan = {"tp": [4], "dp": 8, "sequence_parallel": 0, **sizes}
    once = parts(model(), {"tp": [4], "dp": 8, "sequence_parallel": 0}, batch=8)["tensor_parallel"]
    found = [
        parts(mixture(**changes), plan | {"moe_recompute": again}, batch=8)["tensor_parallel"]
        for again in (0, 1)
    ]
    assert found[1] - found[0] == approx(more * once / 4)  # of two passes of two all-reduces


def test_recompute():
    forward = parts(model(), ONE)
    assert forward["recompute"] == 0
    again = parts(model(), ONE | {"recompute": 2})["recompute"]
    streaming = forward["elementwise"] / 3
    assert again == approx(forward["matmul"] / 3 + ATTENTION + streaming)
    assert parts(model(), ONE | {"recompute": 1})["recompute"] == approx(0.3 * streaming)
    plain = parts(model(), ONE | {"recompute": 1, "flash": 0}, score_bytes=9.0)
    assert plain["recompute"] == approx(plain["attention"] / 3)


def test_adapters_need_no_gradients_of_the_weights():
    trained, adapted = parts(model(), ONE), parts(model(), {"lora": [1]})
    assert adapted["matmul"] == approx(trained["matmul"] * 2 / 3)
    assert adapted["attention"] == approx(trained["attention"])
    assert adapted["optimizer"] == approx(0.003 * parts(model(), {"zero": [0]})["optimizer"])


def test_optimizer():
    seconds = [
        parts(model(), plan, batch=16, optimizer_bytes=30.0)["optimizer"]
        for plan in (
            {"dp": [16], "zero": 0},
            {"dp": [16], "zero": 1},
            {"dp": [16], "zero": 1, "zero_group": 8},
            {"tp": [2], "pp": 4, "dp": 16, "zero": 0},
        )
    ]
    whole = 30 * PARAMS / MEMORY_BPS
    assert seconds == approx([whole, whole / 16, whole / 8, whole / 8])
    experts = parts(mixture(), {"dp": [16], "ep": 8, "zero": 1}, batch=16, optimizer_bytes=30.0)
    owned = LAYERS * ((4 * HIDDEN**2 + 8 * HIDDEN) / 16 + MLP / 2)
    assert experts["optimizer"] == approx(30 * owned / MEMORY_BPS)


def test_stragglers_grow_with_each_doubling_beyond_a_server():
    waited = ("matmul", "attention", "elementwise", "vocabulary", "tensor_parallel", "bubble")
    for dp, doublings in ((1, 0), (2, 0), (8, 2)):
        seconds = parts(model(), {"tp": [2], "pp": 2, "dp": dp}, batch=dp, straggling=0.01)
        work = sum(seconds[name] for name in (*waited, "pipeline"))
        assert seconds["stragglers"] == approx(0.01 * doublings * work)


def test_fixed_and_slowdown():
    plain = parts(model(), ONE)
    assert plain["fixed"] == 0
    assert parts(model(), ONE, fixed_s=0.5)["fixed"] == 0.5
    slower = parts(model(), ONE, slowdown=1.1, fixed_s=0.5)
    assert slower["fixed"] == approx(0.55)
    assert slower["matmul"] == approx(1.1 * plain["matmul"])


def test_parts_add_up_and_utilisation():
    found = step(model(vocab=51200.0), {"tp": [2], "pp": 2, "dp": 4}, batch=32)
    assert tuple(found.parts) == PARTS
    assert sum(float(np.ravel(s)[0]) for s in found.parts.values()) == approx(found.step_time_s[0])
    assert found.tokens_per_step[0] == 32 * SEQ
    assert found.tokens_per_s[0] == approx(32 * SEQ / found.step_time_s[0])
    flops = 6 * (PARAMS + 51200 * HIDDEN) + 12 * LAYERS * (SEQ / 2) * HIDDEN
    assert found.mfu[0] == approx(32 * SEQ * flops / (found.step_time_s[0] * 16 * PEAK))
    adapted = step(model(vocab=51200.0), {"tp": [2], "pp": 2, "dp": 4, "lora": 1}, batch=32)
    flops = flops - 2 * (PARAMS + 51200 * HIDDEN)  # no gradients of the weights
    assert adapted.mfu[0] == approx(32 * SEQ * flops / (adapted.step_time_s[0] * 16 * PEAK))
