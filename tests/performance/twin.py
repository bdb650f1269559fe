"""A plain twin of the performance core: one plan, floats, nothing clever.

Written from the docstrings and the sources that they name, so that a slip in the arrays shows.
"""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np

from clustersim.network.constants import GENERATIONS, link_constants

CONSTANTS = {key: constant.value for key, constant in link_constants().items()}


def size_of(columns, field) -> int:
    """Elements of one column: 1 where one value is for all rows."""
    return np.size(getattr(columns, field.name))


def row_of(columns, row: int) -> SimpleNamespace:
    """One row of a struct of arrays, as floats."""
    return SimpleNamespace(
        **{
            field.name: float(np.ravel(getattr(columns, field.name))[row % size_of(columns, field)])
            for field in dataclasses.fields(columns)
        }
    )


class TwinLinks:
    """Seconds of collectives for one chip."""

    def __init__(self, chip, c):
        kind = GENERATIONS[int(chip.link_generation)]
        self.size, self.mesh, self.peers = chip.scaleup_size, chip.mesh > 0, chip.mesh_peers
        ring = CONSTANTS[kind, "efficiency"]
        self.near_Bps = chip.scaleup_Bps * c.scaleup_factor * ring
        self.plain_exchange = c.exchange_factor
        self.far_Bps = chip.nic_Bps * c.nic_factor * CONSTANTS["rdma", "efficiency"]
        reduced = CONSTANTS.get((kind, "reduce_efficiency"))
        self.reduce_cost = ring / reduced if reduced else math.inf
        self.near_start = CONSTANTS[kind, "latency_s"] * c.latency_factor
        self.far_start = CONSTANTS["rdma", "latency_s"] * c.latency_factor
        self.near_slope, self.near_step = CONSTANTS[kind, "slope"], CONSTANTS[kind, "step_s"]
        self.far_slope, self.far_step = CONSTANTS["rdma", "slope"], CONSTANTS["rdma", "step_s"]

    def inside(self, ranks, stride):
        return min(max(math.floor(self.size / stride), 1), ranks)

    def timed(self, near_bytes, far_bytes, ranks, inside):
        near, far = near_bytes / self.near_Bps, far_bytes / self.far_Bps
        doublings = math.log2(ranks / inside)
        start = doublings * self.far_start + (self.near_start if inside > 1 else 0.0)
        switch = min(self.near_slope * near, self.near_step)
        switch += min(self.far_slope * far, self.far_step * doublings)
        return max(near, far) + start + switch

    def gather(self, size, ranks, stride):
        k = self.inside(ranks, stride)
        near = far = 0.0
        if k > 1:
            near = max(k - 1, self.peers) / k if self.mesh else (ranks - 1) / ranks
        if ranks > k:
            far = (ranks - k) / (ranks * k) if self.mesh else (ranks - 1) / (ranks * k)
        return self.timed(near * size, far * size, ranks, k)

    def all_reduce(self, size, ranks, stride):
        k = self.inside(ranks, stride)
        domains = ranks / k
        near = far = 0.0
        if k > 1 and self.mesh:
            near = 2 * max(k - 1, self.peers) / k
        elif k > 1:
            near = 2 * (ranks - 1) / ranks
            if domains <= 2:
                near = min(near, self.reduce_cost * (k + 1) / k)
        if domains > 1 and self.mesh:
            far = 2 * (ranks - k) / (ranks * k)
        elif domains > 2:
            far = 2 * (ranks - 1) / (ranks * k)
        elif domains > 1:
            far = 1 / k
        return self.timed(near * size, far * size, ranks, k)

    def exchange(self, size, ranks, stride):
        k = self.inside(ranks, stride)
        near = 0.0
        if k > 1:
            near = (max(k - 1, self.peers) if self.mesh else k - 1) / ranks
        far = (ranks - k) / ranks / self.plain_exchange
        return self.timed(near * size, far * size, ranks, k)

    def exchange_once(self, size, copies, ranks, stride):
        """A token crosses the network once to each domain that has one of its experts."""
        k = self.inside(ranks, stride)
        domains = ranks / k
        near = 0.0
        if k > 1:
            near = copies * (max(k - 1, self.peers) if self.mesh else k - 1) / k
        far = (domains - 1) * (1 - (1 - 1 / domains) ** copies)
        return self.timed(near * size, far * size, ranks, k)

    def send(self, size, stride):
        if stride < self.size:
            wire = size / (self.near_Bps / self.peers if self.mesh else self.near_Bps)
            return wire + self.near_start + min(self.near_slope * wire, self.near_step)
        wire = size / self.far_Bps
        return wire + self.far_start + min(self.far_slope * wire, self.far_step)


class Twin:
    """Step time, by part, and memory of one plan."""

    def __init__(self, model, chip, plan, batch, c, rules=None):
        self.m, self.a, self.p, self.batch, self.c = model, chip, plan, batch, c
        self.r = rules
        self.links = TwinLinks(chip, c)
        relative = c.fp8_efficiency if chip.fp8 else 1.0
        self.loss = (chip.bf16_flops / chip.hbm_Bps / 250) ** c.balance
        efficiency = self.with_loss(c.matmul_efficiency)
        self.rate = chip.peak_flops * min(efficiency * relative, 1.0)
        self.bf16_rate = chip.bf16_flops * efficiency
        self.memory_Bps = chip.hbm_Bps * c.memory_efficiency
        self.tokens = plan.micro_batch * model.seq_len / plan.cp
        self.micro_batches = math.ceil(math.ceil(batch / plan.dp) / plan.micro_batch)
        self.layers = plan.vpp * math.ceil(model.layers / (plan.pp * plan.vpp))
        self.moe = model.moe_layers / model.layers
        self.chips = plan.tp * plan.pp * plan.dp * plan.cp
        self.selective = plan.recompute == 1
        self.full = 1.0 if plan.recompute == 2 else 0.0
        if plan.recompute == 2 and plan.recompute_layers:
            self.full = min(plan.recompute_layers / self.layers, 1.0)
        self.moe_again = plan.moe_recompute > 0 and not self.full
        self.norm_split = plan.tp if plan.sequence_parallel else 1.0
        self.trained = 0.003 if plan.lora else 1.0
        self.etp = plan.etp or (1.0 if plan.ep > 1 else plan.tp)
        self.count_params()

    def with_loss(self, efficiency):
        """An efficiency whose odds are divided by the loss of the chip's balance."""
        return efficiency / (efficiency + (1 - efficiency) * self.loss)

    @property
    def like_dense(self):
        """Whether experts are split by tensor-parallel ranks like any other matrix."""
        return self.p.ep == 1 and self.etp == self.p.tp

    def count_params(self):
        m, p = self.m, self.p
        mlp = m.mlp_matrices * m.hidden * m.ffn_hidden
        expert = m.mlp_matrices * m.hidden * m.expert_ffn_hidden
        layer = m.attention_params + m.other_params / m.layers + (1 - self.moe) * mlp
        layer = (layer + self.moe * m.shared_experts * expert) / p.tp
        layer += self.moe * m.hidden * m.n_experts  # the router is on every rank
        tables = 1 if p.pp > 1 else 2 - m.tied
        self.dense = self.layers * layer + tables * m.vocab * m.hidden / p.tp
        self.experts = self.layers * self.moe * m.n_experts / p.ep * expert / self.etp
        self.ranks = p.dp * p.cp
        self.group = min(p.zero_group, self.ranks) if p.zero_group else self.ranks
        copies = self.ranks * p.tp / (p.ep * self.etp)
        self.copies = max(copies, 1.0)
        self.expert_group = max(self.group * copies / self.ranks, 1.0)

    def matmul(self, rows, width, depth, rate=None):
        traffic = 2 * (rows * width + rows * depth + width * depth)
        seconds = 2 * rows * width * depth / (rate or self.rate)
        return seconds + self.c.matmul_traffic * traffic / self.memory_Bps

    def grouped(self, rows, width, depth):
        """A product of one of several experts."""
        c, rows = self.c, max(rows, 1.0)
        slower = c.grouped_slowdown * (c.grouped_fp8 if self.a.fp8 else 1.0)
        traffic = 2 * (rows * width + rows * depth + width * depth)
        seconds = slower * 2 * rows * width * depth / self.rate
        return seconds + c.grouped_traffic * traffic / self.memory_Bps

    def projections(self):
        m, tp = self.m, self.p.tp
        queries_keys_values = (m.attention_params / m.hidden - m.attention_width) / tp
        seconds = self.matmul(self.tokens, queries_keys_values, m.hidden)
        return seconds + self.matmul(self.tokens, m.hidden, m.attention_width / tp)

    def mlp(self, rows, width):
        m = self.m
        up = self.matmul(rows, (m.mlp_matrices - 1) * width, m.hidden)
        return up + self.matmul(rows, m.hidden, width)

    def expert_layer(self):
        m, p, c = self.m, self.p, self.c
        local = m.n_experts / p.ep
        own_tokens = self.tokens / p.tp
        rows = own_tokens * self.etp * p.ep * m.top_k / m.n_experts * c.expert_imbalance
        width = m.expert_ffn_hidden / self.etp
        gates = m.mlp_matrices - 1
        one = self.grouped(rows, gates * width, m.hidden) + self.grouped(rows, m.hidden, width)
        routed = local * (one + c.expert_s)
        router = self.matmul(self.tokens, m.n_experts, m.hidden) / p.tp
        shared = 0.0
        if m.shared_experts:
            shared = self.mlp(self.tokens, m.shared_experts * m.expert_ffn_hidden / p.tp)
        return routed + shared + router

    def products(self):
        seconds = self.projections()
        if self.moe < 1:
            seconds += (1 - self.moe) * self.mlp(self.tokens, self.m.ffn_hidden / self.p.tp)
        if self.moe:
            seconds += self.moe * self.expert_layer()
        return seconds

    def attention(self):
        """Forward and backward."""
        m, p, c, t = self.m, self.p, self.c, self.tokens
        if p.flash:
            rate = self.a.bf16_flops * self.with_loss(c.attention_efficiency)
            softmax = 1 + c.softmax_width * m.heads / m.attention_width
            whole = 4 * t * m.span * m.attention_width / p.tp / rate * softmax
            ramp = c.attention_ramp / m.span
            return whole * (1 + ramp), 2.5 * whole * (1 + 415 / 240 * ramp)
        square = 4 * t * m.seq_len * m.attention_width / p.tp / self.bf16_rate
        forward = square + c.score_bytes * m.heads / p.tp * t * m.seq_len / self.memory_Bps
        return forward, 2 * forward

    def active_width(self):
        m = self.m
        experts = (m.top_k + m.shared_experts) * m.expert_ffn_hidden
        return (1 - self.moe) * m.ffn_hidden + self.moe * experts

    @property
    def mlp_passes(self):
        return 2.5 if self.m.mlp_matrices > 2 else 1

    def mixture_streaming(self):
        m, p, c = self.m, self.p, self.c
        experts = (m.top_k + m.shared_experts) * m.expert_ffn_hidden
        mlp = m.mlp_matrices * self.moe * experts / p.tp
        sorts = 2 + 2 * self.etp if p.ep > 1 else 4
        copies = sorts * c.permutation_traffic * self.moe * m.top_k * m.hidden / self.norm_split
        elements = 2 * c.elementwise_traffic * (copies + self.mlp_passes * mlp)
        elements += 2 * c.cast_traffic * mlp if self.a.fp8 else 0.0
        return self.tokens * elements / self.memory_Bps

    def streaming(self):
        m, p, c = self.m, self.p, self.c
        hidden = m.hidden / self.norm_split
        qkv = (m.attention_width + 2 * m.kv_width) / p.tp
        mlp = m.mlp_matrices * self.active_width() / p.tp
        rotary = 3 * qkv if m.mlp_matrices > 2 else 0
        passes = 14 * hidden + rotary + self.mlp_passes * mlp
        sorts = 2 + 2 * self.etp if p.ep > 1 else 4
        passes += sorts * c.permutation_traffic * self.moe * m.top_k * hidden
        elements = 2 * c.elementwise_traffic * passes
        if m.span == m.seq_len:
            elements *= c.modulation
        if self.a.fp8:
            elements += 2 * c.cast_traffic * (2 * m.hidden + m.attention_width / p.tp + mlp)
        return self.tokens * elements / self.memory_Bps + (0.55 if p.cuda_graphs else 1) * c.layer_s

    def tensor(self):
        p = self.p
        if p.tp == 1:
            return 0.0
        once = self.links.all_reduce(2 * self.tokens * self.m.hidden, p.tp, 1)
        mixture_reduces = self.m.shared_experts > 0 or self.like_dense
        of_mixtures = self.moe if mixture_reduces else 0
        passes = 2 + self.full + (0.25 if p.sequence_parallel else 0.0)
        seconds = passes * (1 + (1 - self.moe) + of_mixtures) * once
        seconds += self.moe_again * of_mixtures * once
        return seconds * (1 - self.c.tp_overlap * (1.0 if p.overlap else 0.2))

    def context(self):
        """Three passes."""
        p = self.p
        if p.cp == 1:
            return 0.0
        size = 2 * 2 * self.tokens * p.cp * self.m.kv_width / p.tp
        return 3 * self.links.gather(size, p.cp, p.tp)

    def exchange(self):
        """All passes."""
        m, p = self.m, self.p
        if not self.moe or p.ep * self.etp == 1:
            return 0.0
        token = 2 * m.hidden
        own_tokens = self.tokens / p.tp
        way = p.dispatcher or self.c.dispatcher
        once = 2 * self.links.exchange(own_tokens * m.top_k * token, p.ep, self.etp)
        if way == 2:
            once = 2 * self.links.gather(own_tokens * token * p.ep, p.ep, self.etp)
        elif way == 3:
            once = 2 * self.links.exchange_once(own_tokens * token, m.top_k, p.ep, self.etp)
        if self.etp > 1 and not self.like_dense:
            copies = (p.ep if way == 2 else m.top_k) if p.ep > 1 else 1
            once += 2 * self.links.gather(own_tokens * self.etp * copies * token, self.etp, 1)
        return (2 + self.full + self.moe_again) * self.moe * once

    def parts(self):
        p, c = self.p, self.c
        products, streaming, (forward, backward) = (
            self.products(),
            self.streaming(),
            self.attention(),
        )
        back = (1.0 if p.lora else 2.0) * products
        again = 0.0
        if self.full:
            again = self.full * (products + forward + streaming)
        elif self.selective:
            again = 0.3 * streaming if p.flash else forward
        if self.moe_again:
            again += self.moe * self.expert_layer() if self.moe else 0.0
            again += self.mixture_streaming()
        host = (0.55 if p.cuda_graphs else 1) * c.mixture_s
        wait = self.moe * max(host - (products + forward + streaming), 0.0)
        wait_back = self.moe * max(2 * host - (back + backward + 2 * streaming), 0.0)
        gathered, hidden, hidden_back = self.context(), 0.0, 0.0
        if gathered:
            hidden = min(c.cp_overlap * gathered, forward + backward + wait + wait_back)
            hidden_back = hidden * (backward + wait_back) / (forward + backward + wait + wait_back)
        exchanged, others, others_back = self.exchange(), 0.0, 0.0
        if exchanged:
            left = products + back + forward + backward + wait + wait_back - hidden
            left_back = back + backward + wait_back - hidden_back
            others = min(c.ep_overlap * (1.0 if p.overlap else 0.2) * exchanged, left)
            others_back = others * left_back / left
        layer = {
            "matmul": products + back,
            "attention": forward + backward,
            "elementwise": 3 * streaming + wait + wait_back,
            "recompute": again,
            "tensor_parallel": self.tensor(),
            "context_parallel": gathered - hidden,
            "expert_parallel": exchanged - others,
        }
        micro_batch = self.layers * sum(layer.values())
        backward_s = back + backward + 2 * streaming + wait_back + again
        backward_s = self.layers * (backward_s - hidden_back - others_back)
        parts = {name: self.micro_batches * self.layers * s for name, s in layer.items()}
        parts["vocabulary"] = self.output(sum(layer.values()))
        parts["pipeline"] = self.pipeline()
        parts["bubble"] = (p.pp - 1) / p.vpp * micro_batch
        waiting = sum(parts.values())
        micro_batch += parts["vocabulary"] / self.micro_batches
        parts["data_parallel"] = self.data_parallel(micro_batch, backward_s)
        updated, host = self.split_from(1) * self.trained, p.host_optimizer / 100
        parts["optimizer"] = (1 - host) * c.optimizer_bytes * updated / self.memory_Bps
        parts["stragglers"] = c.straggling * max(math.log2(self.chips / 8), 0.0) * waiting
        parts["fixed"] = c.fixed_s
        factor = max(c.slowdown, self.roofline() / sum(parts.values()))
        timed = {name: factor * seconds for name, seconds in parts.items()}
        timed["optimizer"] += host * updated * (min(self.chips, 8) * 0.257e-9 + 4 / 25e9)
        return timed

    def output(self, layer_s):
        """The output layer; if stages are uneven, only what exceeds the even share of a stage."""
        seconds = self.micro_batches * self.vocabulary()
        if self.p.pp == 1 or self.m.layers % (self.p.pp * self.p.vpp) == 0:
            return seconds
        even = (self.micro_batches * self.m.layers * layer_s + seconds) / self.p.pp
        return max(even - self.micro_batches * self.layers * layer_s, 0.0)

    def vocabulary(self):
        m, width = self.m, self.m.vocab / self.p.tp
        if not m.vocab:
            return 0.0
        one = self.matmul(self.tokens, width, m.hidden, self.bf16_rate)
        loss = self.c.logit_bytes * self.tokens * width / self.memory_Bps
        return (2 if self.p.lora else 3) * one + loss

    def pipeline(self):
        p = self.p
        if p.pp == 1:
            return 0.0
        once = self.links.send(2 * self.tokens * self.m.hidden / p.tp, p.tp * p.cp * p.dp)
        crossings = 2 * (p.vpp * self.micro_batches + p.pp - 1)
        return crossings * once * (1 - self.c.pp_overlap)

    def hops(self, ranks, messages):
        domains = math.ceil(ranks / self.links.inside(ranks, self.p.tp))
        return self.layers * messages * (domains - 1) * self.c.hop_latency_s

    def data_parallel(self, micro_batch, backward):
        p, c, links, trained = self.p, self.c, self.links, self.trained
        stride = p.ep * self.etp
        replicas = self.ranks / self.group
        summed = c.gradient_bytes * self.dense * trained
        across = links.all_reduce(summed / self.group, replicas, p.tp * self.group)
        all_experts = trained_experts = 0.0
        if self.experts:
            group = self.expert_group
            all_experts = links.gather(2 * self.experts, group, stride)
            trained_experts = links.gather(2 * self.experts * trained, group, stride)
            gradients = c.gradient_bytes * self.experts * trained
            trained_experts += links.gather(gradients, group, stride)
            across += links.all_reduce(gradients / group, self.copies / group, stride * group)
        if p.zero == 3:
            gather = links.gather(2 * self.dense, self.group, p.tp)
            gather += self.hops(self.group, c.zero3_messages)
            each = (2 + trained) * (gather + all_experts)
            overlap = c.zero3_overlap if p.overlap else 0.0
            last = exposed(each + across, overlap, micro_batch)
            return (self.micro_batches - 1) * exposed(each, overlap, micro_batch) + last
        late = links.gather(summed, self.group, p.tp) + across
        late += links.gather(2 * self.dense * trained, self.group, p.tp)
        late += self.hops(self.group, c.weight_messages) + trained_experts
        return exposed(late, c.dp_overlap if p.overlap else 0.0, backward)

    def split_from(self, stage):
        if self.p.zero < stage:
            return self.dense + self.experts
        return self.dense / self.group + self.experts / self.expert_group

    def roofline(self):
        m = self.m
        expert = m.mlp_matrices * m.hidden * m.expert_ffn_hidden
        multiplied = m.layers * m.attention_params
        multiplied += (m.layers - m.moe_layers) * m.mlp_matrices * m.hidden * m.ffn_hidden
        active = (m.top_k + m.shared_experts) * expert + m.hidden * m.n_experts
        multiplied += m.moe_layers * active
        passes = 4 if self.p.lora else 6
        attention = 12 * m.layers * m.span * m.attention_width
        seconds = passes * multiplied / self.a.peak_flops
        seconds += (attention + passes * m.vocab * m.hidden) / self.a.bf16_flops
        return self.batch * m.seq_len * seconds / self.chips

    def bytes_per_layer(self):
        """Bytes that one micro-batch keeps of one layer, and that the layer at work has."""
        kept, at_work = self.bytes_with(self.active_width(), self.m.top_k)
        if self.moe_again:
            kept, _ = self.bytes_with((1 - self.moe) * self.m.ffn_hidden, 0)
        return kept, at_work

    def bytes_with(self, active_width, top_k):
        m, p, r = self.m, self.p, self.r
        hidden, attention_width = m.hidden / self.norm_split, m.attention_width / p.tp
        mlp = active_width / p.tp
        qkv = (m.attention_width + 2 * m.kv_width) / p.tp
        gathered = self.etp / p.tp if p.sequence_parallel else 1.0
        routed, gate = self.moe * top_k * m.hidden * gathered, m.mlp_matrices - 1
        other = qkv + attention_width + routed + gate * mlp
        if p.lora and not 0 < r.frozen < 1:
            whole = 2 * (3 * hidden + other)
        elif p.lora:
            whole = 2 * (4 * hidden + other + mlp)
        else:
            whole = 2 * (4 * hidden + other + mlp)
            whole -= (2 * hidden + attention_width + mlp) if self.a.fp8 else 0.0
        if r.eager and m.mlp_matrices == 3:
            whole += 2 * mlp + (4 if p.lora else 8) * hidden
        if r.products:
            outputs = qkv + hidden + gate * mlp + hidden
            some = 2 * (hidden + attention_width + routed) + outputs
        else:
            some = 2 * (3 * hidden + other) - (attention_width if self.a.fp8 else 0.0)
        if r.fp8_gate and self.a.fp8 and p.lora:
            whole, some = whole - gate * mlp, some - gate * mlp
        at_work, kept = whole, min(whole, some) if self.selective else whole
        if not p.flash:
            scores = 5 * m.heads * m.seq_len / p.tp
            at_work = whole + 2 * hidden + scores
            kept = at_work - (scores if self.selective else 0.0)
        if self.full:
            kept = self.full * 2 * hidden + (1 - self.full) * at_work
        return self.tokens * kept, self.tokens * at_work

    def on_chip(self, kept, in_flight):
        """Bytes of a stage that are not on the host."""
        away = min(self.r.offloaded_layers, self.layers)
        layers = (self.layers - away) * in_flight + min(away, 2)
        return kept * min(layers, self.layers * in_flight)

    def activations(self):
        m, p, r = self.m, self.p, self.r
        kept, at_work = self.bytes_per_layer()
        working = at_work if self.full else max(at_work - kept, 0.0) if self.moe_again else 0.0
        first, last = p.pp, 1.0
        if p.vpp > 1:
            first, last = p.pp + (p.pp - 1) / p.vpp, p.pp - (p.pp - 1) / p.vpp
        each = r.logits_split if p.tp > 1 else r.logits
        loss = each * self.tokens * m.vocab / p.tp
        if r.fused_hidden:
            loss += 8 * self.tokens * m.hidden + 2 * m.vocab * m.hidden / p.tp
        early = self.on_chip(kept, min(first, self.micro_batches)) + working
        late = self.on_chip(kept, min(last, self.micro_batches)) + max(working, loss)
        stepped = self.split_from(1) * self.trained
        if p.zero == 3:
            stepped = min(stepped, r.step_group)
        return max(early, late, (r.step_split if p.zero else r.step) * stepped)

    def memory(self):
        """Bytes by class; the reserve has the overhead."""
        m, p, r = self.m, self.p, self.r
        each = r.weights
        if p.lora:
            each = r.frozen or (1 if self.a.fp8 else 2)
        weights, gathered = each * self.split_from(3), 0.0
        keeps = r.pipeline_keeps and p.pp > 1 and p.zero == 3
        if p.zero == 3:
            table = m.vocab * m.hidden / p.tp
            layer = max(self.dense + self.experts - table, 0) / self.layers
            live = max(r.live, table)
            weights *= 1 - r.host_weights
            gathered = 2 * min(2 * layer + self.trained * layer + table, live)
            if r.gathers_all or keeps:
                gathered = 2 * (self.dense + self.experts)
        elif p.lora and r.frozen:
            tables = 1 if p.pp > 1 else 2 - m.tied
            weights += max(2 - r.frozen, 0) * tables * m.vocab * m.hidden / p.tp
        gradient, buffers = r.gradients, 0.0
        trained = (self.dense + self.experts) * self.trained
        if p.zero == 0:
            gradient += r.replicated + (r.bucket if self.ranks > 1 else 0.0)
        elif self.ranks > 1:
            buffers = min(r.buffers, 2 * trained) if p.zero == 3 else min(r.buckets, 18 * trained)
        held = trained if keeps else self.split_from(r.gradient_stage) * self.trained
        whole_table = 0.0
        if p.zero == 2 and r.gradients > 0:
            whole_table = 2 * m.vocab * m.hidden / p.tp * (1 - 1 / self.group)
        states = {
            "weights": weights,
            "gradients": gradient * held + whole_table * self.trained,
            "optimizer": r.optimizer * self.split_from(1) * self.trained,
        }
        activations = self.activations()
        reserve = r.reserve_share * self.a.hbm_bytes + r.reserve_bytes + buffers
        kinds = sum(size > 1 for size in (p.tp, p.pp, p.cp, p.dp, p.ep))
        reserve += r.reserve_links * (kinds + (kinds > 1))
        reserve += r.fragmentation * (activations + gathered)
        reserve += r.state_share * sum(states.values())
        if self.moe:
            copies = self.tokens * m.top_k / p.tp * self.etp
            width = 2 * m.hidden + m.mlp_matrices * m.expert_ffn_hidden / self.etp
            reserve += r.routed * 2 * copies * width
        states["weights"] += gathered
        return states | {"activations": activations, "reserve": reserve}


def exposed(communication, overlap, window):
    """What the share `overlap` and a `window` of computation do not hide."""
    return communication - min(overlap * communication, window)
