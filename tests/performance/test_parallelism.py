"""Communication and the pipeline's bubble by hand, with plain coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.network.constants import GENERATIONS
from clustersim.performance import Plans
from clustersim.performance.memory import memory_by_class
from clustersim.performance.shard import shard_of
from tests.performance.plain import (
    ATTENTION,
    CONSTANTS,
    FAR_BPS,
    HIDDEN,
    LAYERS,
    MLP,
    NEAR_BPS,
    PARAMS,
    PEAK,
    SEQ,
    both,
    chip,
    far,
    mixture,
    model,
    near,
    parts,
    step,
)

ONE = {"tp": [1]}
approx = pytest.approx


class TestTensorParallel:
    size = 2 * SEQ * HIDDEN

    def test_two_all_reduces_a_layer_and_pass(self):
        once = 2 * near(2 * 7 / 8 * self.size / NEAR_BPS)
        plan = {"tp": [8], "sequence_parallel": 0}
        assert parts(model(), plan)["tensor_parallel"] == approx(2 * LAYERS * once)
        again = parts(model(), plan | {"recompute": 2})["tensor_parallel"]
        assert again == approx(3 * LAYERS * once)
        # sequence parallelism: the same volume, and one gather more in the backward pass
        assert parts(model(), {"tp": [8]})["tensor_parallel"] == approx(2.25 * LAYERS * once)
        assert parts(model(), ONE)["tensor_parallel"] == 0

    def test_overlap(self):
        plan = {"tp": [8]}
        whole = parts(model(), plan)["tensor_parallel"]
        hidden = parts(model(), plan, tp_overlap=0.5)["tensor_parallel"]
        assert hidden == approx(whole / 2)
        known_not_to = parts(model(), plan | {"overlap": 0}, tp_overlap=0.5)["tensor_parallel"]
        assert known_not_to == approx(0.9 * whole)

    def test_a_mesh_gives_a_pair_one_of_seven_links(self):
        plan = {"tp": [2], "sequence_parallel": 0}
        seconds = parts(model(), plan, on=chip(mesh=True))["tensor_parallel"]
        assert seconds == approx(4 * LAYERS * near(self.size / (NEAR_BPS / 7)))

    def test_a_switch_that_reduces(self):
        nvlink4 = chip(link_generation=GENERATIONS.index("nvlink4"), scaleup_Bps=450e9)
        plan = {"tp": [8], "sequence_parallel": 0}
        seconds = parts(model(), plan, on=nvlink4, scaleup_factor=1.0)["tensor_parallel"]
        wire = 9 / 8 * self.size / (450e9 * CONSTANTS["nvlink4", "reduce_efficiency"])
        switch = min(CONSTANTS["nvlink4", "slope"] * wire, CONSTANTS["nvlink4", "step_s"])
        assert seconds == approx(4 * LAYERS * (wire + switch))

    def test_over_two_servers_a_tree(self):
        plan = {"tp": [16], "sequence_parallel": 0}
        seconds = parts(model(), plan)["tensor_parallel"]
        once = both(2 * 15 / 16 * self.size / NEAR_BPS, self.size / 8 / FAR_BPS)
        assert seconds == approx(4 * LAYERS * once)

    def test_start_up(self):
        plan = {"tp": [8], "sequence_parallel": 0}
        started = parts(model(), plan, latency_factor=2.0)["tensor_parallel"]
        extra = 4 * LAYERS * 2 * CONSTANTS["switch", "latency_s"]
        assert started - parts(model(), plan)["tensor_parallel"] == approx(extra)


class TestPipeline:
    @pytest.mark.parametrize(("pp", "vpp"), [(2, 1), (4, 1), (8, 1), (4, 3), (8, 3)])
    def test_bubble(self, pp, vpp):
        """Idle over busy: (pp - 1) / (vpp m), for m micro-batches."""
        seconds = parts(model(), {"pp": [pp], "vpp": vpp}, batch=32)
        busy = sum(seconds[name] for name in ("matmul", "attention", "elementwise", "recompute"))
        assert seconds["bubble"] / busy == approx((pp - 1) / (vpp * 32))

    def test_doubling_the_stages_at_fixed_micro_batches(self):
        """(pp - 1) of twice the layers: the bubble's share goes from 3/16 to 7/16 of the work."""
        share = {}
        for pp in (4, 8):
            seconds = parts(model(), {"pp": [pp]}, batch=16)
            share[pp] = seconds["bubble"] / (
                seconds["matmul"] + seconds["attention"] + seconds["elementwise"]
            )
        assert share[8] / share[4] == approx(7 / 3)

    def test_transfers(self):
        """Forward and backward of each chunk; scatter-gather splits by tp."""
        size = 2 * SEQ * HIDDEN
        inside = parts(model(), {"pp": [4]}, batch=8)["pipeline"]
        assert inside == approx(2 * 11 * near(size / NEAR_BPS))
        plan = {"tp": [8], "pp": 4, "vpp": 2}
        between = parts(model(), plan, batch=8, pp_overlap=0.5)["pipeline"]
        assert between == approx(0.5 * 2 * (2 * 8 + 3) * far(size / 8 / FAR_BPS))
        on_mesh = parts(model(), {"pp": [4]}, batch=8, on=chip(mesh=True))["pipeline"]
        assert on_mesh == approx(2 * 11 * near(size / (NEAR_BPS / 7)))
        assert parts(model(), ONE)["pipeline"] == 0

    def test_uneven_layers_and_batch_round_up(self):
        even = parts(model(), {"pp": [4]}, batch=8)["matmul"]
        uneven = parts(model(layers=21.0), {"pp": [4]}, batch=8)["matmul"]
        assert uneven == approx(even)
        chunks = parts(model(layers=21.0), {"pp": [4], "vpp": 4}, batch=8)["matmul"]
        assert chunks == approx(even * 8 / 6)
        assert parts(model(), {"pp": [4], "micro_batch": 3}, batch=8)["matmul"] == approx(
            even * 9 / 8
        )


class TestDataParallel:
    size = 2 * PARAMS

    @pytest.mark.parametrize("zero", [0, 1, 2])
    def test_gradients_and_weights_once_a_step(self, zero):
        seconds = parts(model(), {"dp": [8], "zero": zero}, batch=32)["data_parallel"]
        assert seconds == approx(2 * near(7 / 8 * self.size / NEAR_BPS))

    def test_gradients_in_full_precision(self):
        seconds = parts(model(), {"dp": [8]}, batch=8, gradient_bytes=4.0)["data_parallel"]
        gather = near(7 / 8 * self.size / NEAR_BPS)
        assert seconds == approx(gather + near(7 / 8 * 2 * self.size / NEAR_BPS))

    def test_zero_3_gathers_twice_and_scatters_in_every_micro_batch(self):
        seconds = parts(model(), {"dp": [8], "zero": 3}, batch=32)["data_parallel"]
        assert seconds == approx(4 * 3 * near(7 / 8 * self.size / NEAR_BPS))
        lora = parts(model(), {"dp": [8], "zero": 3, "lora": 1}, batch=32)["data_parallel"]
        assert lora == approx(seconds * 2.003 / 3)

    def test_groups_gather_inside_a_server(self):
        over_all = both(63 / 64 * self.size / NEAR_BPS, 63 / 64 / 8 * self.size / FAR_BPS, 3)
        group = near(7 / 8 * self.size / NEAR_BPS)
        plan = {"dp": [64], "zero": 1}
        assert parts(model(), plan, batch=64)["data_parallel"] == approx(2 * over_all)
        hybrid = parts(model(), plan | {"zero_group": 8}, batch=64)["data_parallel"]
        servers = both(0.0, 2 * 7 / 8 * self.size / 8 / FAR_BPS, 3)
        assert hybrid == approx(2 * group + servers)
        wide = parts(model(), plan | {"zero_group": 999}, batch=64)["data_parallel"]
        assert wide == approx(2 * over_all)

    def test_two_groups_sum_by_a_tree_or_inside_a_server(self):
        group = near(7 / 8 * self.size / NEAR_BPS)
        plan = {"dp": [16], "zero": 1, "zero_group": 8}
        seconds = parts(model(), plan, batch=16)["data_parallel"]
        assert seconds == approx(2 * group + far(self.size / 8 / FAR_BPS))
        plan = {"dp": [8], "zero": 1, "zero_group": 4}
        seconds = parts(model(), plan, batch=8)["data_parallel"]
        summed = near(2 * 1 / 2 * self.size / 4 / NEAR_BPS)
        assert seconds == approx(2 * near(3 / 4 * self.size / NEAR_BPS) + summed)

    def test_groups_of_tensor_parallel_ranks_reach_further(self):
        """A group of 8 ranks, 2 chips apart, spans two servers; the next one starts 16 away."""
        plan = {"tp": [2], "dp": 16, "zero": 1, "zero_group": 8}
        size = self.size / 2
        group = both(7 / 8 * size / NEAR_BPS, 7 / 8 * size / 4 / FAR_BPS)
        seconds = parts(model(), plan, batch=16)["data_parallel"]
        assert seconds == approx(2 * group + far(size / 8 / FAR_BPS))

    def test_zero_3_in_groups(self):
        """Weights and gradients in the group for each micro-batch; the sum over groups once."""
        plan = {"dp": [64], "zero": 3, "zero_group": 8}
        each = 4 * 3 * near(7 / 8 * self.size / NEAR_BPS)
        across = both(0.0, 2 * 7 / 8 * self.size / 8 / FAR_BPS, 3)

        def seconds(more=(), **keywords):
            return parts(model(), plan | dict(more), batch=256, **keywords)["data_parallel"]

        assert seconds() == approx(each + across)
        assert seconds(dp_overlap=0.25) == approx(each + across)
        assert seconds(zero3_overlap=0.25) == approx(0.75 * (each + across))
        known_not_to = seconds({"overlap": 0}, dp_overlap=0.25, zero3_overlap=0.25)
        assert known_not_to == approx(each + across)
        one_group = parts(model(), plan | {"dp": [8]}, batch=32)["data_parallel"]
        assert one_group == approx(each)

    def test_zero_3_sum_over_groups_hides_behind_the_last_micro_batch(self):
        plan, slow = {"dp": [64], "zero": 3, "zero_group": 8}, chip(nic_Bps=1e8)
        whole = parts(model(), plan, batch=64, on=slow)["data_parallel"]
        seconds = parts(model(), plan, batch=64, on=slow, zero3_overlap=0.99)
        window = seconds["matmul"] + seconds["attention"] + seconds["elementwise"]
        assert seconds["data_parallel"] == approx(whole - window)

    def test_a_better_chip_is_never_slower_in_groups_on_slow_networks(self):
        plan = {"dp": [64], "zero": 3, "zero_group": 4}
        times = [
            sum(parts(model(), plan, batch=64, on=on, dp_overlap=0.9, zero3_overlap=0.9).values())
            for on in (chip(nic_Bps=1e8), chip(nic_Bps=1e8, peak_flops=4 * PEAK))
        ]
        assert times[1] <= times[0] * (1 + 1e-12)

    def test_groups_split_experts_too(self):
        """A group of one rank splits nothing: as ZeRO 0, in memory and in what is owned."""
        known = mixture()
        alone = Plans.of(dp=[64.0], zero=3, zero_group=1)
        whole = Plans.of(dp=[64.0], zero=0)
        shards = [shard_of(known, plan, np.array([64.0])) for plan in (alone, whole)]
        assert shards[0].expert_group == 1
        assert shards[0].expert_copies == 64
        memory = [
            memory_by_class(shard, known, chip(), plan)
            for shard, plan in zip(shards, (alone, whole), strict=True)
        ]
        assert memory[0]["optimizer"] == approx(memory[1]["optimizer"])
        assert memory[0]["gradients"] == approx(memory[1]["gradients"])

    def test_each_message_starts_a_ring_of_servers(self):
        plan = {"dp": [64], "zero": 1}
        starts = [
            parts(model(), plan | group, batch=64, hop_latency_s=1e-5, weight_messages=3.0)
            for group in ({}, {"zero_group": 16}, {"zero_group": 8})
        ]
        plain = [
            parts(model(), plan | group, batch=64)
            for group in ({}, {"zero_group": 16}, {"zero_group": 8})
        ]
        extra = [
            a["data_parallel"] - b["data_parallel"] for a, b in zip(starts, plain, strict=True)
        ]
        message = LAYERS * 3 * 1e-5
        assert extra == approx([7 * message, message, 0.0], abs=1e-12)

    def test_overlap_hides_a_share_but_no_more_than_lasts_the_backward_pass(self):
        plan, slow = {"dp": [16]}, chip(nic_Bps=1e9)
        whole = parts(model(), plan, batch=16)["data_parallel"]
        assert parts(model(), plan, batch=16, dp_overlap=0.5)["data_parallel"] == approx(whole / 2)
        known_not_to = plan | {"overlap": 0}
        assert parts(model(), known_not_to, batch=16, dp_overlap=0.5)["data_parallel"] == whole
        seconds = parts(model(), plan, batch=16, on=slow, dp_overlap=0.99)
        backward = seconds["matmul"] * 2 / 3 + seconds["attention"] * 2.5 / 3.5
        backward += seconds["elementwise"] * 2 / 3
        whole = parts(model(), plan, batch=16, on=slow)["data_parallel"]
        assert seconds["data_parallel"] == approx(whole - backward)

    def test_zero_3_overlap_is_with_its_micro_batch(self):
        plan = {"dp": [8], "zero": 3}
        whole = parts(model(), plan, batch=16)["data_parallel"]
        hidden = parts(model(), plan, batch=16, zero3_overlap=0.25)["data_parallel"]
        assert hidden == approx(0.75 * whole)

    def test_experts_reduce_among_those_that_hold_the_same(self):
        seconds = parts(mixture(), {"dp": [16], "ep": 8}, batch=16)["data_parallel"]
        dense = 2 * LAYERS * (4 * HIDDEN**2 + 8 * HIDDEN)
        experts = 2 * LAYERS * MLP
        shared = both(15 / 16 * dense / NEAR_BPS, 15 / 16 / 8 * dense / FAR_BPS)
        own = far(1 / 2 * experts / FAR_BPS)  # two copies, eight chips apart
        assert seconds == approx(2 * shared + 2 * own)

    def test_whole_experts_lie_over_tensor_parallel_ranks(self):
        """With tp = 4 and dp = 4 an expert of four stands on four chips, four apart."""
        plan = {"tp": [4], "dp": 4, "ep": 4}
        seconds = parts(mixture(), plan, batch=4)["data_parallel"]
        dense = 2 * LAYERS * (HIDDEN**2 + 8 * HIDDEN)
        experts = 2 * LAYERS * 2 * MLP
        shared = both(3 / 4 * dense / NEAR_BPS, 3 / 4 / 2 * dense / FAR_BPS)
        own = both(3 / 4 * experts / NEAR_BPS, 3 / 4 / 2 * experts / FAR_BPS)
        assert seconds == approx(2 * shared + 2 * own)
        split = parts(mixture(), {"tp": [4], "dp": 2}, batch=2)["data_parallel"]
        halves = near(1 / 2 * dense / NEAR_BPS) + near(1 / 2 * experts / NEAR_BPS)
        assert split == approx(2 * halves)  # experts split by tp: 8 / 4 of them, as with ep = 4

    def test_halves_of_experts_lie_beside_each_other(self):
        """tp 2, dp 8, ep 4, etp 2: what two chips hold that are eight apart."""
        plan = {"tp": [2], "dp": 8, "ep": 4, "etp": 2}
        seconds = parts(mixture(), plan, batch=8)["data_parallel"]
        dense = 2 * LAYERS * (2 * HIDDEN**2 + 8 * HIDDEN)
        shared = both(7 / 8 * dense / NEAR_BPS, 7 / 8 / 4 * dense / FAR_BPS)
        own = far(1 / 2 * 2 * LAYERS * MLP / FAR_BPS)
        assert seconds == approx(2 * shared + 2 * own)

    @pytest.mark.parametrize(("lora", "passes"), [(0, 3.0), (1, 2.003)])
    def test_zero_3_gathers_whole_experts(self, lora, passes):
        plan = {"dp": [8], "ep": 4, "zero": 3, "lora": lora}
        seconds = parts(mixture(), plan, batch=16)["data_parallel"]
        dense = near(7 / 8 * 2 * LAYERS * (4 * HIDDEN**2 + 8 * HIDDEN) / NEAR_BPS)
        experts = near(1 / 2 * 2 * LAYERS * 2 * MLP / NEAR_BPS)
        assert seconds == approx(2 * passes * (dense + experts))

    def test_adapters_reduce_their_own_parameters(self):
        seconds = parts(model(), {"dp": [8], "lora": 1}, batch=8)["data_parallel"]
        assert seconds == approx(2 * near(0.003 * 7 / 8 * self.size / NEAR_BPS))


def test_context_parallel_gathers_keys_and_values():
    seconds = parts(model(), {"cp": [4]})
    gathered = 2 * 2 * SEQ * HIDDEN
    once = near(3 / 4 * gathered / NEAR_BPS)
    assert seconds["context_parallel"] == approx(3 * LAYERS * once)
    assert seconds["attention"] == approx(3.5 * ATTENTION / 4)
    hidden = parts(model(), {"cp": [4]}, cp_overlap=0.05)["context_parallel"]
    assert hidden == approx(0.95 * 3 * LAYERS * once)
    most = parts(model(), {"cp": [4]}, cp_overlap=0.99)["context_parallel"]
    assert most == approx(max(0.01 * 3 * LAYERS * once, 3 * LAYERS * once - 3.5 * ATTENTION / 4))


class TestHiddenTime:
    """Computation hides one communication at a time."""

    FULLY = dict.fromkeys(("cp_overlap", "ep_overlap", "dp_overlap"), 0.999)
    NAMES = ("context_parallel", "expert_parallel", "data_parallel")

    def hidden(self, shape, plan, **keywords):
        """Seconds by part that computation hides on slow links, and the seconds by part."""
        slow = chip(scaleup_Bps=1e6, nic_Bps=1e6)
        exposed = parts(shape, plan, on=slow, **keywords, **self.FULLY)
        whole = parts(shape, plan, on=slow, **keywords)
        return [whole[name] - exposed[name] for name in self.NAMES], exposed

    def test_attention_that_hides_keys_hides_no_gradients(self):
        (keys, _, gradients), exposed = self.hidden(model(), {"cp": [2], "dp": 4}, batch=4)
        assert keys == approx(exposed["attention"], rel=1e-6)
        # Two thirds of the products and passes are those of the backward pass.
        assert gradients == approx(2 / 3 * (exposed["matmul"] + exposed["elementwise"]), rel=1e-6)

    def test_products_that_hide_tokens_hide_no_gradients(self):
        plan = {"ep": [8], "dp": 8}
        (_, tokens, gradients), exposed = self.hidden(mixture(), plan, batch=8)
        assert tokens == approx(exposed["matmul"] + exposed["attention"], rel=1e-6)
        assert gradients == approx(2 / 3 * exposed["elementwise"], rel=1e-6)

    def test_attention_that_hides_keys_hides_no_tokens(self):
        plan = {"ep": [8], "dp": 8, "cp": [2]}
        (keys, tokens, gradients), exposed = self.hidden(mixture(), plan, batch=8)
        assert keys == approx(exposed["attention"], rel=1e-6)
        assert tokens == approx(exposed["matmul"], rel=1e-6)
        assert gradients == approx(2 / 3 * exposed["elementwise"], rel=1e-6)

    def test_a_chip_that_waits_for_the_host_communicates(self):
        """Faster products are waited for longer, so the step is as long as before."""
        slow = {"scaleup_Bps": 1e6, "nic_Bps": 1e6}
        seconds = [
            step(mixture(), {"ep": [8], "dp": 8}, batch=8, on=on, mixture_s=1.0, **self.FULLY)
            for on in (chip(**slow), chip(peak_flops=2 * PEAK, bf16_flops=2 * PEAK, **slow))
        ]
        assert seconds[1].step_time_s[0] == approx(seconds[0].step_time_s[0], rel=1e-12)

    def test_weights_are_gathered_while_a_stage_waits_for_the_output_layer(self):
        shape, plan = model(layers=3.0, vocab=1e6), {"pp": [2], "dp": 8, "zero": 3}
        slow = {"scaleup_Bps": 1e9}
        with_loss = parts(shape, plan, batch=8, on=chip(**slow), zero3_overlap=0.999)
        whole = parts(shape, plan, batch=8, on=chip(**slow))
        busy = ("matmul", "attention", "elementwise", "vocabulary")
        hidden = whole["data_parallel"] - with_loss["data_parallel"]
        assert hidden == approx(sum(with_loss[name] for name in busy), rel=1e-6)
