"""A plain twin of the vectorised evaluation: one plan, floats, nothing clever."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.performance import (
    DEFAULT,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    evaluate,
)

C = DEFAULT
CATALOGUE = load_catalogue()


class Twin:
    """Step time and memory of one plan in BF16 with fused attention and sequence parallelism."""

    def __init__(self, model, chip, plan, batch):
        self.m, self.a, self.p, self.batch = model, chip, plan, batch
        family = chip.family if chip.family in C.matmul_efficiency else "other"
        self.rate = chip.peak_flops["bf16"] * C.matmul_efficiency[family]
        self.attention_rate = chip.peak_flops["bf16"] * C.attention_efficiency[family]
        self.memory_Bps = chip.hbm_Bps * C.memory_efficiency[family]
        self.mesh = chip.scaleup_shape == "mesh"
        self.link = chip.scaleup_Bps * (C.mesh_efficiency if self.mesh else C.scaleup_efficiency)
        self.nic = chip.nic_Bps * C.nic_efficiency
        self.tokens = plan["micro_batch"] * model.seq_len / plan["cp"]
        self.micro_batches = math.ceil(math.ceil(batch / plan["dp"]) / plan["micro_batch"])
        self.layers = plan["vpp"] * math.ceil(model.layers / (plan["pp"] * plan["vpp"]))
        self.moe = model.moe_layers / model.layers
        self.matrices = 3 if model.gated_mlp else 2
        self._count_params()

    def _count_params(self):
        m, p = self.m, self.p
        mlp = self.matrices * m.hidden * m.ffn_hidden
        expert = self.matrices * m.hidden * m.expert_ffn_hidden
        extra = max(0.0, m.params - m.count_params()[0]) / m.layers
        layer = m.attention_params_per_layer + extra + (1 - self.moe) * mlp
        layer = (layer + self.moe * m.shared_experts * expert) / p["tp"]
        layer += self.moe * m.hidden * m.n_experts
        tables = 1 if p["pp"] > 1 else 2 - m.tied_embeddings
        self.dense = self.layers * layer + tables * m.vocab * m.hidden / p["tp"]
        self.experts = self.layers * self.moe * m.n_experts * expert / (p["tp"] * p["ep"])

    def product(self, rows, width, depth, params):
        if params == 0:
            return 0.0
        full = rows / (rows + C.half_tokens) * width / (width + C.half_width)
        full *= depth / (depth + C.half_width)
        compute = 2 * rows * params / (self.rate * full)
        return max(compute, 2 * (params + rows * (width + depth)) / self.memory_Bps)

    def inside(self, ranks, stride):
        return min(max(self.a.scaleup_size // stride, 1), ranks)

    def inside_Bps(self, members):
        peers = max(self.a.scaleup_size - 1, 1)
        return self.link * (min((members - 1) / peers, 1) if self.mesh else 1)

    def latency(self, ranks, members):
        domains = math.ceil(ranks / members)
        return (members > 1) * C.scaleup_latency_s + math.ceil(math.log2(domains)) * C.nic_latency_s

    def gather(self, size, ranks, stride):
        if ranks <= 1:
            return 0.0
        k = self.inside(ranks, stride)
        domains = math.ceil(ranks / k)
        local = (k - 1) / k * size / self.inside_Bps(k) if k > 1 else 0.0
        remote = (domains - 1) / domains * size / k / self.nic
        return max(local, remote) + self.latency(ranks, k)

    def exchange(self, size, ranks, stride):
        if ranks <= 1:
            return 0.0
        k = self.inside(ranks, stride)
        local = (k - 1) / ranks * size / self.inside_Bps(k) if k > 1 else 0.0
        return max(local, (ranks - k) / ranks * size / self.nic) + self.latency(ranks, k)

    def expert_layer(self):
        m, p, t = self.m, self.p, self.tokens
        if not m.n_experts:
            return 0.0
        width = m.expert_ffn_hidden / p["tp"]
        params = self.matrices * m.hidden * width
        local = m.n_experts / p["ep"]
        routed = self.product(t * m.top_k / local * C.expert_imbalance, width, m.hidden, params)
        shared = self.product(t, width, m.hidden, m.shared_experts * params)
        router = self.product(t, m.n_experts, m.hidden, m.hidden * m.n_experts)
        return local * routed + shared + router / p["tp"]

    def streaming(self):
        m, tp = self.m, self.p["tp"]
        mlp = (1 - self.moe) * m.ffn_hidden
        mlp += self.moe * (m.top_k + m.shared_experts) * m.expert_ffn_hidden
        elements = C.norm_passes * m.hidden + C.mlp_passes * self.matrices * mlp
        elements += C.attention_passes * m.head_dim * (m.heads + 2 * m.kv_heads)
        elements += 4 * self.moe * m.top_k * m.hidden
        return 2 * self.tokens * elements / tp / self.memory_Bps

    def seconds(self):
        m, p, t = self.m, self.p, self.tokens
        width = m.heads * m.head_dim / p["tp"]
        projections = self.product(t, width, m.hidden, m.attention_params_per_layer / p["tp"])
        ffn = m.ffn_hidden / p["tp"]
        mlp = self.product(t, ffn, m.hidden, self.matrices * m.hidden * ffn)
        products = projections + (1 - self.moe) * mlp + self.moe * self.expert_layer()
        causal = 0.5 if m.kind == "language" else 1.0
        attention = 4 * t * m.seq_len * width * causal / self.attention_rate
        streaming = self.streaming()
        again = {0: 0.0, 1: 0.5 * streaming, 2: products + attention + streaming}[p["recompute"]]
        passes = 3 if p["recompute"] == 2 else 2
        tensor = passes * 4 * self.gather(2 * t * m.hidden, p["tp"], 1) * (1 - C.tp_overlap)
        size = 2 * t * m.top_k * m.hidden / p["tp"]
        exchange = 2 * self.exchange(size, p["ep"], p["tp"] * p["cp"])
        exchange *= self.moe * passes * (1 - C.ep_overlap)
        kv = 4 * t * p["cp"] * m.kv_heads * m.head_dim / p["tp"]
        context = 3 * self.gather(kv, p["cp"], p["tp"])
        context = max((1 - C.cp_overlap) * context, context - 3.5 * attention)
        layer = 3 * products + 3.5 * attention + 3 * streaming + again + tensor + exchange + context
        micro_batch = self.layers * layer
        backward = self.layers * (2 * products + 2.5 * attention + 2 * streaming + again)
        return (
            self.micro_batches * (micro_batch + self.vocabulary())
            + (p["pp"] - 1) / p["vpp"] * micro_batch
            + self.pipeline()
            + self.data_parallel(micro_batch, backward)
            + self.optimizer()
            + C.fixed_s
        )

    def vocabulary(self):
        m, width = self.m, self.m.vocab / self.p["tp"]
        product = self.product(self.tokens, width, m.hidden, m.hidden * width)
        return 3 * product + C.logit_bytes * self.tokens * width / self.memory_Bps

    def pipeline(self):
        p = self.p
        if p["pp"] == 1:
            return 0.0
        within = p["tp"] * p["cp"] * p["dp"] < self.a.scaleup_size
        speed = self.inside_Bps(2) if within else self.nic
        once = 2 * self.tokens * self.m.hidden / p["tp"] / speed
        once += C.scaleup_latency_s if within else C.nic_latency_s
        return 2 * p["vpp"] * (self.micro_batches + p["pp"] - 1) * once * (1 - C.pp_overlap)

    def data_parallel(self, micro_batch, backward):
        p = self.p
        ranks = p["dp"] * p["cp"]
        total = 0.0
        gathers = 2 if p["zero"] == 3 else 1
        groups = (
            (self.dense, ranks, p["tp"]),
            (self.experts, max(ranks / p["ep"], 1), p["tp"] * p["ep"]),
        )
        for params, size, stride in groups:
            total += gathers * self.gather(C.weight_bytes * params, size, stride)
            total += self.gather(C.gradient_comm_bytes * params, size, stride)
        if p["zero"] == 3:
            exposed = max((1 - C.zero3_overlap) * total, total - micro_batch)
            return self.micro_batches * exposed
        return max((1 - C.dp_overlap) * total, total - backward)

    def split(self, stage):
        p = self.p
        if p["zero"] < stage:
            return self.dense + self.experts
        ranks = p["dp"] * p["cp"]
        return self.dense / ranks + self.experts / max(ranks / p["ep"], 1)

    def optimizer(self):
        return C.optimizer_bytes * self.split(1) / self.memory_Bps

    def memory(self):
        m, p, t = self.m, self.p, self.tokens
        weights = self.split(3)
        if p["zero"] == 3:
            weights += 2 * (self.dense + self.experts) / self.layers
        mlp = (1 - self.moe) * m.ffn_hidden
        mlp += self.moe * (m.top_k + m.shared_experts) * m.expert_ffn_hidden
        attention = 2 * m.head_dim * (m.heads + m.kv_heads)
        routed = self.moe * m.top_k * m.hidden
        kept = {
            0: 5 * m.hidden + attention + self.matrices * mlp + routed,
            1: 3 * m.hidden + attention + (self.matrices - 1) * mlp + routed,
            2: m.hidden,
        }[p["recompute"]]
        stage = 2 * t * kept / p["tp"] * self.layers
        working = 34 * t * m.hidden / p["tp"] if p["recompute"] == 2 else 0.0
        depth = min(self.micro_batches, p["pp"])
        depth *= 1 + (p["vpp"] > 1) * (p["pp"] - 1) / (p["pp"] * p["vpp"])
        last = stage + working + 6 * t * m.vocab / p["tp"]
        return (
            C.weight_bytes * weights
            + C.gradient_bytes * self.split(2)
            + C.optimizer_state_bytes * self.split(1)
            + max(stage * depth + working, last)
            + C.reserve_fraction * self.a.hbm_bytes
            + C.reserve_bytes
        )


@settings(max_examples=300, deadline=None)
@given(
    model=st.sampled_from(sorted(CATALOGUE.models)),
    chip=st.sampled_from(sorted(CATALOGUE.accelerators)),
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.integers(1, 16),
    dp=st.integers(1, 200),
    cp=st.sampled_from([1, 2, 4]),
    ep=st.sampled_from([1, 2, 4, 8]),
    vpp=st.sampled_from([1, 2, 3]),
    micro_batch=st.integers(1, 8),
    recompute=st.integers(0, 2),
    zero=st.integers(0, 3),
    batch=st.integers(1, 5000),
)
def test_twin_agrees(model, chip, tp, pp, dp, cp, ep, vpp, micro_batch, recompute, zero, batch):
    shape, accelerator = CATALOGUE.models[model], CATALOGUE.accelerators[chip]
    ep = ep if shape.n_experts and dp % ep == 0 else 1
    plan = {
        "tp": tp, "pp": pp, "dp": dp, "cp": cp, "ep": ep, "vpp": vpp, "micro_batch": micro_batch,
        "recompute": recompute, "zero": zero,
    }  # fmt: skip
    step = evaluate(
        ModelArrays.of([shape]),
        AcceleratorArrays.of([accelerator]),
        Plans.of(**{key: [value] for key, value in plan.items()}),
        global_batch=batch,
    )
    twin = Twin(shape, accelerator, plan, batch)
    assert step.step_time_s[0] == pytest.approx(twin.seconds(), rel=1e-9)
    assert step.memory_bytes[0] == pytest.approx(twin.memory(), rel=1e-9)


def test_best_plan_is_the_twin_s_minimum():
    """Search every plan of one small row with the twin: none that fits is faster."""
    shape, chip, count, batch = CATALOGUE.model("llama3-8b"), CATALOGUE.accelerator("910B"), 16, 64
    best = best_plans(shape, chip, count, global_batch=batch)
    fastest = np.inf
    for tp in (1, 2, 4, 8):
        for pp in (1, 2, 4, 8, 16):
            if count % (tp * pp):
                continue
            for micro_batch in (1, 2, 4, 8, 16):
                for recompute in (0, 1, 2):
                    for zero in (0, 1, 2, 3):
                        dp = count // (tp * pp)
                        if micro_batch > math.ceil(batch / dp) or (pp > 1 and zero > 1):
                            continue
                        stage = math.ceil(shape.layers / pp)
                        full = pp > 1 and math.ceil(math.ceil(batch / dp) / micro_batch) >= pp
                        vpp = 4 if stage % 4 == 0 else 2 if stage % 2 == 0 else 1
                        vpp = vpp if full else 1
                        plan = {
                            "tp": tp, "pp": pp, "dp": dp, "cp": 1, "ep": 1, "vpp": vpp,
                            "micro_batch": micro_batch, "recompute": recompute, "zero": zero,
                        }  # fmt: skip
                        twin = Twin(shape, chip, plan, batch)
                        if twin.memory() <= chip.hbm_bytes:
                            fastest = min(fastest, twin.seconds())
    assert best.step_time_s[0] == pytest.approx(fastest, rel=1e-9)
