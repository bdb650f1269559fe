"""Experts spread over the chips of a stage: what a chip holds, and among whom it is exchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.network.collectives import Links, all_to_all_seconds
from clustersim.performance import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.memory import activation_bytes_per_layer, memory_by_class
from clustersim.performance.moe import expert_exchange_seconds
from clustersim.performance.shard import shard_of
from tests.performance.plain import (
    FAR_BPS,
    HIDDEN,
    NEAR_BPS,
    SEQ,
    mixture,
    model,
    parts,
    plain,
    step,
)
from tests.performance.strategies import repeatable
from tests.performance.twin import Twin, row_of

CATALOGUE = load_catalogue()
H100 = AcceleratorArrays.of([CATALOGUE.accelerator("H100")])
EXPERT = 3 * 4096 * 1536
"""Parameters of one expert of Qwen3-235B."""
LINKS = Links(
    scaleup_Bps=np.array([NEAR_BPS]), nic_Bps=np.array([FAR_BPS]), scaleup_size=np.array([8.0]),
    mesh=np.array([False]), mesh_peers=np.array([7.0]),
)  # fmt: skip


def shard(name, batch=1024, **sizes):
    plans = Plans.of(**{size: [value] for size, value in sizes.items()})
    models = ModelArrays.of([CATALOGUE.model(name)])
    return shard_of(models, plans, np.array([float(batch)])), models, plans


@pytest.mark.parametrize(
    ("sizes", "experts", "copies"),
    [
        # 128 experts and 12 of the 94 layers on a stage of 2 x 16 = 32 chips
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 32}, 4, 1),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 16}, 8, 2),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 2}, 64, 16),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 1}, 128 / 2, 16),
        ({"tp": 2, "pp": 8, "dp": 4, "cp": 4, "ep": 32}, 4, 1),
        ({"tp": 4, "pp": 8, "dp": 4, "cp": 2, "ep": 8}, 16, 4),
        # split over 2 and 4 chips too: as many as half and a quarter of the experts
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 16, "etp": 2}, 8 / 2, 1),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 4, "etp": 2}, 32 / 2, 4),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 2, "etp": 4}, 64 / 4, 4),
        # whole and on every chip
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 1, "etp": 1}, 128, 32),
        ({"tp": 2, "pp": 8, "dp": 16, "ep": 1, "etp": 2}, 128 / 2, 16),
    ],
)
def test_experts_of_a_chip_and_who_holds_the_same(sizes, experts, copies):
    found, _, _ = shard("qwen3-235b-a22b", **sizes)
    assert found.expert_params[0] == 12 * experts * EXPERT
    assert found.expert_copies[0] == found.expert_group[0] == copies
    ranks = sizes["dp"] * sizes.get("cp", 1)
    assert found.ranks[0] == ranks
    assert found.expert_params[0] * sizes["tp"] * ranks == 12 * 128 * EXPERT * copies


def test_mixtral_on_two_chips_a_stage_by_hand():
    """45.1e9 parameters of experts over 8 stages of 2 chips: 45 GB at 16 bytes each."""
    found, models, plans = shard("mixtral-8x7b", tp=2, pp=8, dp=1, ep=2, zero=1)
    assert found.expert_params[0] == 4 * 4 * 3 * 4096 * 14336
    assert 16 * found.expert_params[0] == pytest.approx(45.1e9, rel=1e-3)
    assert found.expert_copies[0] == 1
    memory = memory_by_class(found, models, H100, plans)
    least = sum(memory[name][0] for name in ("weights", "gradients", "optimizer"))
    assert least >= 16 * found.expert_params[0]


def test_split_experts_of_mixtral_by_hand():
    """Mixtral 8x22B on 128 chips, tp 2, pp 8, ep 4: 7 layers of 2 experts, or of 2 halves."""
    sizes = {"tp": 2, "pp": 8, "dp": 8, "ep": 4, "zero": 1}
    whole, models, plans = shard("mixtral-8x22b", **sizes)
    split, _, halves = shard("mixtral-8x22b", **sizes, etp=2)
    expert = 3 * 6144 * 16384
    assert whole.expert_params[0] == 7 * 2 * expert
    assert split.expert_params[0] == 7 * expert
    assert (whole.expert_copies[0], split.expert_copies[0]) == (4, 2)  # of 16 chips of a stage
    more, less = (
        memory_by_class(held, models, H100, plan)
        for held, plan in ((whole, plans), (split, halves))
    )
    assert more["weights"][0] - less["weights"][0] == 2 * 7 * expert
    assert more["gradients"][0] - less["gradients"][0] == 2 * 7 * expert
    # 8 chips hold the same: a quarter of 2 experts is as much as half of one
    assert more["optimizer"][0] == less["optimizer"][0]


def test_inputs_of_split_experts_are_gathered():
    """2 copies of each of the tokens of two ranks, not of one, in 2 bytes: kept of each layer."""
    sizes = {"tp": 2, "pp": 1, "dp": 8, "ep": 4}
    kept = []
    for etp in (1, 2):
        found, models, plans = shard("mixtral-8x7b", **sizes, etp=etp)
        kept.append(activation_bytes_per_layer(found, models, H100, plans)[0][0])
    tokens = models.seq_len[0]
    assert kept[1] - kept[0] == pytest.approx(2 * 2 * tokens / 2 * 4096)


def test_zero_splits_experts_over_those_that_hold_the_same():
    """tp 8, dp 1, ep 2: four chips hold the same experts, beside one data-parallel rank."""
    one, models, plans = shard("mixtral-8x7b", tp=8, dp=1, ep=2, zero=0)
    split, _, with_zero = shard("mixtral-8x7b", tp=8, dp=1, ep=2, zero=1)
    whole = memory_by_class(one, models, H100, plans)["optimizer"][0]
    less = memory_by_class(split, models, H100, with_zero)["optimizer"][0]
    each = whole / (one.dense_params[0] + one.expert_params[0])
    assert less == pytest.approx(each * (one.dense_params[0] + one.expert_params[0] / 4))


@pytest.mark.parametrize(
    ("sizes", "near", "far"),
    [
        # ranks are neighbours: 8 within a server of 8, or 32 over four of them
        ({"tp": 8, "dp": 4, "ep": 8}, 7 / 8, 0.0),
        ({"tp": 8, "dp": 4, "ep": 32}, 7 / 32, 24 / 32),
        ({"tp": 2, "dp": 16, "ep": 32}, 7 / 32, 24 / 32),
        ({"tp": 2, "dp": 2, "cp": 8, "ep": 16}, 7 / 16, 8 / 16),
    ],
)
def test_exchange_within_a_server_and_across(sizes, near, far):
    """Bytes of 2 experts a token, the share of a tensor-parallel rank, there and back."""
    plans = Plans.of(**{size: [value] for size, value in sizes.items()})
    tokens = np.array([float(SEQ)])
    seconds = expert_exchange_seconds(tokens, mixture(n_experts=32.0), plans, LINKS, plain())[0]
    size = 2 * SEQ * 2 * HIDDEN / sizes["tp"]
    assert seconds == pytest.approx(2 * max(near * size / NEAR_BPS, far * size / FAR_BPS))
    once = all_to_all_seconds(size, plans.ep, np.ones(()), LINKS)[0]
    assert seconds == pytest.approx(2 * once)


@pytest.mark.parametrize(
    ("sizes", "near", "far", "copies"),
    [
        # 4 experts' places every second chip of a server of 8, then of two servers
        ({"tp": 2, "dp": 4, "ep": 4, "etp": 2}, 3 / 4, 0.0, 2),
        ({"tp": 2, "dp": 8, "ep": 8, "etp": 2}, 3 / 8, 4 / 8, 2),
        ({"tp": 8, "dp": 4, "ep": 4, "etp": 8}, 0.0, 3 / 4, 2),
        # nothing is sent where all experts are on a chip; a token is gathered once
        ({"tp": 4, "dp": 2, "ep": 1, "etp": 2}, 0.0, 0.0, 1),
    ],
)
def test_tokens_of_split_experts_are_sent_and_gathered(sizes, near, far, copies):
    """All-to-all there and back, an all-gather and a reduce-scatter among the `etp` ranks."""
    plans = Plans.of(**{size: [value] for size, value in sizes.items()})
    seconds = expert_exchange_seconds(np.array([float(SEQ)]), mixture(), plans, LINKS, plain())[0]
    own, etp = 2 * SEQ * HIDDEN / sizes["tp"], sizes["etp"]
    sent = max(near * 2 * own / NEAR_BPS, far * 2 * own / FAR_BPS)
    gathered = (etp - 1) * copies * own / NEAR_BPS
    assert seconds == pytest.approx(2 * sent + 2 * gathered)


def test_gathered_tokens_are_not_copied_for_their_experts():
    """The ranks of split experts gather each of the `ep` ranks' tokens once, not `top_k` times."""
    plans = Plans.of(tp=[2], dp=8, ep=8, etp=2, dispatcher=2)
    shape = mixture(n_experts=32.0, top_k=4.0)
    seconds = expert_exchange_seconds(np.array([float(SEQ)]), shape, plans, LINKS, plain())[0]
    own = 2 * SEQ * HIDDEN / 2
    over_servers = own * max(7 / NEAR_BPS, 7 / 4 / FAR_BPS)  # by a ring through servers of 4 places
    assert seconds == pytest.approx(2 * over_servers + 2 * 8 * own / NEAR_BPS)


def test_a_token_crosses_the_network_once_for_all_its_experts_in_a_server():
    """Eight experts on four servers: 3 (1 - (3 / 4)^8) of the other three have one, not 6."""
    tokens, shape = np.array([float(SEQ)]), mixture(n_experts=32.0, top_k=8.0)

    def seconds(way, **changes):
        plans = Plans.of(tp=[1], dp=32, ep=32, dispatcher=way)
        return expert_exchange_seconds(tokens, shape, plans, LINKS, plain(**changes))[0]

    size = 2 * SEQ * HIDDEN / FAR_BPS
    assert seconds(1) == pytest.approx(2 * 6 * size)
    assert seconds(3) == pytest.approx(2 * 3 * (1 - 0.75**8) * size)
    assert seconds(2) == pytest.approx(2 * 31 / 8 * size)  # every token to every rank, by rings
    assert seconds(0) == seconds(1)
    assert seconds(0, dispatcher=3.0) == seconds(3)
    assert seconds(1, exchange_factor=0.5) == pytest.approx(2 * seconds(1))
    assert seconds(3, exchange_factor=0.5) == seconds(3)


def test_an_exchange_is_hidden_by_products_only():
    plan = {"tp": [1], "dp": 32, "ep": 32}
    shape = mixture(n_experts=32.0, top_k=8.0)
    whole = parts(shape, plan, batch=32)["expert_parallel"]
    less = parts(shape, plan, batch=32, ep_overlap=0.1)["expert_parallel"]
    assert less == pytest.approx(0.9 * whole)
    none = parts(shape, plan | {"overlap": 0}, batch=32, ep_overlap=0.1)["expert_parallel"]
    assert none == pytest.approx(0.98 * whole)
    step = parts(shape, plan, batch=32, ep_overlap=1.0)
    hidden = step["matmul"] + step["attention"]
    assert step["expert_parallel"] == pytest.approx(max(whole - hidden, 0.0))


@pytest.mark.parametrize(("ep", "etp"), [(1, 1), (1, 4), (8, 1)])
def test_experts_on_a_chip_or_like_a_dense_mlp_gather_nothing_more(ep, etp):
    plans = Plans.of(tp=[4], dp=8, ep=ep, etp=etp)
    seconds = expert_exchange_seconds(np.array([float(SEQ)]), mixture(), plans, LINKS, plain())[0]
    assert (seconds > 0) == (ep > 1)


@pytest.mark.parametrize(
    ("changes", "sizes", "reduces"),
    [
        ({}, {"ep": 1}, 2.0),
        ({}, {"ep": 1, "etp": 4}, 2.0),
        ({}, {"ep": 1, "etp": 1}, 1.0),
        ({}, {"ep": 8}, 1.0),
        ({}, {"ep": 8, "etp": 4}, 1.0),
        ({"moe_layers": 18.0}, {"ep": 8}, 1.25),  # 6 of 24 layers have a dense MLP
        ({"shared_experts": 1.0}, {"ep": 8}, 2.0),
    ],
)
def test_only_what_tensor_parallel_ranks_split_is_reduced(changes, sizes, reduces):
    plan = {"tp": [4], "dp": 8, "sequence_parallel": 0}
    attention = parts(model(ffn_hidden=1e-9), plan, batch=8)["tensor_parallel"] / 2
    found = parts(mixture(**changes), plan | sizes, batch=8)["tensor_parallel"]
    assert found == pytest.approx(reduces * attention)


def test_sizes_not_given_are_those_by_default():
    for ep, etp in ((1, 4), (8, 1)):
        plan = {"tp": [4], "dp": 8, "ep": ep}
        given = step(mixture(shared_experts=1.0), plan | {"etp": etp}, batch=8)
        default = step(mixture(shared_experts=1.0), plan, batch=8)
        assert given.step_time_s == default.step_time_s
        assert given.memory_bytes == default.memory_bytes


def test_gradients_of_experts_that_one_chip_holds_are_not_exchanged():
    """ep over all 8 chips of the stage: only the dense weights are summed, among dp = 4."""
    folded = parts(mixture(), {"tp": [2], "dp": 4, "ep": 8, "zero": 1}, batch=4)
    without = parts(
        mixture(expert_ffn_hidden=1e-9), {"tp": [2], "dp": 4, "ep": 8, "zero": 1}, batch=4
    )
    assert folded["data_parallel"] == pytest.approx(without["data_parallel"], rel=1e-6)
    shared = parts(mixture(), {"tp": [2], "dp": 4, "ep": 4, "zero": 1}, batch=4)
    assert shared["data_parallel"] > folded["data_parallel"]
    assert shared["optimizer"] == pytest.approx(folded["optimizer"])


@repeatable
@given(
    st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 16]), st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 4]), st.integers(0, 5), st.integers(0, 3), st.sampled_from([0, 1, 2, 8]),
)  # fmt: skip
def test_all_chips_together_hold_every_expert(tp, dp, cp, pp, power, zero, etp):
    """Chips times what each holds, over the copies, is the model; as the twin."""
    ep = 2**power
    if (tp * dp * cp) % (ep * max(etp, 1)):
        return
    sizes = {"tp": tp, "pp": pp, "dp": dp, "cp": cp, "ep": ep, "etp": etp, "zero": zero}
    found, models, plans = shard("qwen3-235b-a22b", **sizes)
    layers = found.layers[0] * pp
    held = found.expert_params[0] * tp * dp * cp * pp / found.expert_copies[0]
    assert held == pytest.approx(layers * 128 * EXPERT)
    twin = Twin(row_of(models, 0), row_of(H100, 0), row_of(plans, 0), 1024, row_of(plain(), 0))
    assert (twin.experts, twin.copies, twin.expert_group) == (
        found.expert_params[0],
        found.expert_copies[0],
        found.expert_group[0],
    )
