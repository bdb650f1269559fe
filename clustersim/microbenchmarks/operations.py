"""Single operations: matrix products, memory-bound kernels, attention, launches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from clustersim.microbenchmarks.case import Case, Work
from clustersim.microbenchmarks.device import Device
from clustersim.microbenchmarks.optimizer import MainWeightsAdam

__all__ = ["OPERATIONS", "attention_case", "grouped_case", "matmul_case", "streaming_case"]

ROW = 4096
"""Elements per row of layer norm and softmax."""
APART_BYTES = 256e6
"""Total size of the operands over which calls rotate, several times that of a last-level cache."""
MOST_COPIES = 32
LEAST_ADAM_BYTES = 28.0
"""Minimum traffic of AdamW in bytes per parameter: gradient (2 bytes), main weight and two moments
read and written (24), weight written (2)."""
HELD_ADAM_BYTES = 20.0
"""Memory of AdamW in bytes per parameter: weight and gradient (2 bytes each), main weight, its
gradient and two moments (4 each)."""
BYTES = MappingProxyType({"bf16": 2, "fp16": 2, "fp8": 1})


def matmul_case(m: int, n: int, k: int, *, precision: str = "bf16", layout: str = "TN") -> Case:
    """Return the case of a matrix product; its result always has two bytes per element."""
    moved = BYTES[precision] * (m * k + k * n) + 2.0 * m * n
    return Case(
        "matmul",
        {"precision": precision, "layout": layout, "m": m, "n": n, "k": k},
        flops=2.0 * m * n * k,
        least_bytes=moved,
        held_bytes=moved,
    )


def grouped_case(groups: int, m: int, n: int, k: int) -> Case:
    """Return the case of the products of `groups` experts, each with `m` tokens, in one call."""
    one = matmul_case(m, n, k)
    return Case(
        "grouped",
        {"precision": "bf16", "groups": groups, "m": m, "n": n, "k": k},
        flops=groups * one.flops,
        least_bytes=groups * one.least_bytes,
        held_bytes=groups * one.held_bytes,
    )


def streaming_case(kind: str, elements: int) -> Case:
    """Return the case of a memory-bound operation on BF16 elements or, for AdamW, parameters."""
    least, held = (LEAST_ADAM_BYTES, HELD_ADAM_BYTES) if kind == "adam" else (4.0, 4.0)
    return Case(
        kind,
        {"precision": "bf16", "elements": elements},
        least_bytes=least * elements,
        held_bytes=held * elements,
    )


def attention_case(
    micro_batch: int, seq_len: int, heads: int, head_dim: int, *, kv_heads: int = 0, direction: str
) -> Case:
    """Return the case of fused causal attention.

    The forward pass has ``2 b s^2 heads head_dim`` FLOPs, and the backward pass has 2.5 times as
    many (Dao 2023, arXiv 2307.08691, section 4.1).
    """
    kv_heads = kv_heads or heads
    forward = 2.0 * micro_batch * seq_len**2 * heads * head_dim
    moved = 2.0 * micro_batch * seq_len * head_dim * (2 * heads + 2 * kv_heads)
    passes = 1.0 if direction == "forward" else 3.5
    return Case(
        "attention",
        {
            "direction": direction,
            "precision": "bf16",
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": head_dim,
            "seq_len": seq_len,
            "micro_batch": micro_batch,
        },
        flops=passes * forward,
        least_bytes=(1.0 if direction == "forward" else 3.0) * moved,
        held_bytes=2.0 * moved,
    )


def _in_turn(make: Callable[[], Callable[[], object]], bytes_of_one: float) -> Work:
    """Make so many copies of a call and its operands that no cache can hold all of them.

    At most :data:`MOST_COPIES` are made. Operands below 8 MB may therefore still be found in a
    cache, but launching such calls takes longer than running them.
    """
    copies = min(MOST_COPIES, max(1, math.ceil(APART_BYTES / bytes_of_one)))
    return Work(tuple(make() for _ in range(copies)))


def _matmul(case: Case, device: Device) -> Work:
    torch = device.torch
    m, n, k = (case.number(column) for column in "mnk")
    precision, layout = str(case.shape["precision"]), str(case.shape["layout"])
    if precision == "fp8":
        return _in_turn(lambda: _fp8_product(device, m, n, k), case.least_bytes)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]

    def operand(rows: int, columns: int, transposed: bool) -> Any:
        shape = (columns, rows) if transposed else (rows, columns)
        made = torch.randn(shape, dtype=kind, device=device.kind)
        return made.t() if transposed else made

    def make() -> Callable[[], object]:
        # BLAS is column-major: its first letter refers to the right operand.
        left = operand(m, k, layout[1] == "T")
        right = operand(k, n, layout[0] == "T")
        result = torch.empty((m, n), dtype=kind, device=device.kind)
        return lambda: torch.mm(left, right, out=result)

    return _in_turn(make, case.least_bytes)


def _grouped(case: Case, device: Device) -> Work:
    torch = device.torch
    groups, m, n, k = (case.number(column) for column in ("groups", "m", "n", "k"))
    # The public name came with PyTorch 2.10, the private one with 2.8.
    product = getattr(torch.nn.functional, "grouped_mm", None) or torch._grouped_mm

    def make() -> Callable[[], object]:
        tokens = torch.randn((groups * m, k), dtype=torch.bfloat16, device=device.kind)
        # Each expert's weight is stored as by torch.nn.Linear, and read transposed.
        experts = torch.randn((groups, n, k), dtype=torch.bfloat16, device=device.kind)
        ends = torch.arange(m, groups * m + 1, m, dtype=torch.int32, device=device.kind)
        return lambda: product(tokens, experts.transpose(-2, -1), offs=ends)

    return _in_turn(make, case.least_bytes)


def _fp8_product(device: Device, m: int, n: int, k: int) -> Callable[[], object]:
    """Return a call that computes an FP8 product with a BF16 result.

    The tensor cores accumulate in their own precision, as in the forward passes of FP8 training
    (NVIDIA Transformer Engine, ``DelayedScaling``: `fp8_gemm_fprop` without split accumulation).
    """
    torch = device.torch
    left = torch.randn((m, k), device=device.kind).to(torch.float8_e4m3fn)
    right = torch.randn((n, k), device=device.kind).to(torch.float8_e4m3fn).t()
    scale = torch.ones((), device=device.kind)
    return lambda: torch._scaled_mm(
        left, right, scale, scale, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def _streaming(case: Case, device: Device) -> Work:
    torch = device.torch
    elements = case.number("elements")

    def make() -> Callable[[], object]:
        source = torch.randn(elements, dtype=torch.bfloat16, device=device.kind)
        if case.kind == "copy":
            target = torch.empty_like(source)
            return lambda: target.copy_(source)
        rows = source.view(-1, ROW)
        if case.kind == "softmax":
            target = torch.empty_like(rows)
            return lambda: torch.softmax(rows, dim=-1, out=target)
        weight = torch.ones(ROW, dtype=torch.bfloat16, device=device.kind)
        bias = torch.zeros(ROW, dtype=torch.bfloat16, device=device.kind)
        return lambda: torch.nn.functional.layer_norm(rows, (ROW,), weight, bias)

    return _in_turn(make, case.least_bytes)


def _adam(case: Case, device: Device) -> Work:
    torch = device.torch
    elements = case.number("elements")

    def make() -> Callable[[], object]:
        weight = torch.randn(elements, dtype=torch.bfloat16, device=device.kind)
        gradient = torch.randn_like(weight)
        weight.requires_grad_()
        optimizer = MainWeightsAdam([[weight]])

        def step() -> None:
            weight.grad = gradient
            optimizer.step()

        return step

    return _in_turn(make, case.held_bytes)


def _attention(case: Case, device: Device) -> Work:
    torch = device.torch
    batch, seq_len, width = (case.number(c) for c in ("micro_batch", "seq_len", "head_dim"))
    heads, kv_heads = case.number("heads"), case.number("kv_heads")
    learns = case.shape["direction"] != "forward"

    def make() -> Callable[[], object]:
        query, key, value = (
            torch.randn(
                (batch, count, seq_len, width),
                dtype=torch.bfloat16,
                device=device.kind,
                requires_grad=learns,
            )
            for count in (heads, kv_heads, kv_heads)
        )
        gradient = torch.randn_like(query) if learns else None

        def attend() -> None:
            result = torch.nn.functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=heads != kv_heads
            )
            if learns:
                torch.autograd.grad(result, (query, key, value), gradient)

        return attend

    return _in_turn(make, case.least_bytes)


def _launch(case: Case, device: Device) -> Work:
    torch = device.torch
    numbers = torch.ones(case.number("elements"), dtype=torch.bfloat16, device=device.kind)
    return Work((lambda: numbers.add_(1.0),))


OPERATIONS: Mapping[str, Callable[[Case, Device], Work]] = MappingProxyType(
    {
        "launch": _launch,
        "matmul": _matmul,
        "grouped": _grouped,
        "copy": _streaming,
        "layer_norm": _streaming,
        "softmax": _streaming,
        "adam": _adam,
        "attention": _attention,
    }
)
"""Functions that prepare the work of each kind of case."""
