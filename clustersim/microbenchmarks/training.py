"""Layers, output layers and whole training steps as cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from clustersim.microbenchmarks.case import Case, Work
from clustersim.microbenchmarks.device import Device
from clustersim.microbenchmarks.operations import HELD_ADAM_BYTES
from clustersim.microbenchmarks.optimizer import MainWeightsAdam

if TYPE_CHECKING:
    from clustersim.microbenchmarks.transformer import Shape

__all__ = ["TRAINING", "layer_case", "output_case", "shape_of", "step_case"]

LOGIT_BYTES = 10.0
"""Minimum bytes per logit: its value in BF16 and in FP32, and its gradient in FP32."""


def shape_of(
    hidden: int,
    heads: int,
    *,
    layers: int = 1,
    kv_heads: int = 0,
    ffn_hidden: int = 0,
    mlp_type: str = "gelu",
    vocab: int = 0,
    seq_len: int = 0,
) -> dict[str, str | int]:
    """Return the columns of a model's shape; by default, the MLP is four times the hidden width."""
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads or heads,
        "head_dim": hidden // heads,
        "ffn_hidden": ffn_hidden or 4 * hidden,
        "mlp_type": mlp_type,
        "vocab": vocab,
        "seq_len": seq_len,
    }


def _layer_params(shape: Mapping[str, str | int]) -> float:
    """Return the number of parameters in the matrix products of one layer."""
    hidden, width = int(shape["hidden"]), int(shape["heads"]) * int(shape["head_dim"])
    kv_width = int(shape["kv_heads"]) * int(shape["head_dim"])
    matrices = 3 if shape["mlp_type"] == "swiglu" else 2
    return hidden * (2.0 * width + 2.0 * kv_width + matrices * int(shape["ffn_hidden"]))


def _layer_flops(shape: Mapping[str, str | int], tokens: float) -> float:
    """Return the forward FLOPs of one layer; causal attention counts as half of full attention."""
    attention = 2.0 * int(shape["seq_len"]) * int(shape["heads"]) * int(shape["head_dim"])
    return tokens * (2.0 * _layer_params(shape) + attention)


def _attention_again(shape: Mapping[str, str | int], tokens: float) -> float:
    """Return the backward FLOPs of fused attention in excess of twice its forward FLOPs."""
    return 0.5 * tokens * 2.0 * int(shape["seq_len"]) * int(shape["heads"]) * int(shape["head_dim"])


def layer_case(
    shape: Mapping[str, str | int], micro_batch: int, *, direction: str, recompute: str = "none"
) -> Case:
    """Return the case of one layer; `shape` has the columns of :func:`shape_of`."""
    tokens = float(micro_batch * int(shape["seq_len"]))
    forward = _layer_flops(shape, tokens)
    flops = forward if direction == "forward" else 3.0 * forward + _attention_again(shape, tokens)
    columns = {name: value for name, value in shape.items() if name not in ("vocab", "layers")}
    return Case(
        "layer",
        {
            "direction": direction,
            "precision": "bf16",
            **columns,
            "micro_batch": micro_batch,
            "recompute": recompute,
        },
        flops=flops,
        held_bytes=4.0 * _layer_params(shape) + 16.0 * tokens * int(shape["hidden"]),
    )


def output_case(hidden: int, vocab: int, seq_len: int, micro_batch: int) -> Case:
    """Return the case of an output layer with its loss, forward and backward."""
    tokens = float(micro_batch * seq_len)
    return Case(
        "output",
        {
            "direction": "forward+backward",
            "precision": "bf16",
            "hidden": hidden,
            "vocab": vocab,
            "seq_len": seq_len,
            "micro_batch": micro_batch,
        },
        flops=6.0 * tokens * hidden * vocab,
        held_bytes=4.0 * hidden * vocab + LOGIT_BYTES * tokens * vocab,
    )


def step_case(
    name: str,
    shape: Mapping[str, str | int],
    micro_batch: int,
    *,
    global_batch: int = 0,
    recompute: str = "none",
    kind: str = "step",
) -> Case:
    """Return the case of a whole training step of a model, by default with one micro-batch."""
    layers, hidden, vocab = (int(shape[c]) for c in ("layers", "hidden", "vocab"))
    batch = global_batch or micro_batch
    tokens = float(batch * int(shape["seq_len"]))
    layer = 3.0 * _layer_flops(shape, tokens) + _attention_again(shape, tokens)
    params = layers * _layer_params(shape) + 2.0 * hidden * vocab
    return Case(
        kind,
        {
            "direction": "forward+backward",
            "precision": "bf16",
            "model": name,
            **shape,
            "micro_batch": micro_batch,
            "global_batch": batch,
            "recompute": recompute,
        },
        flops=layers * layer + 6.0 * tokens * hidden * vocab,
        held_bytes=(HELD_ADAM_BYTES - 4.0) * params
        + LOGIT_BYTES * micro_batch * int(shape["seq_len"]) * vocab,
    )


def _shape(case: Case) -> Shape:
    from clustersim.microbenchmarks.transformer import Shape

    given = {"layers": 1, "vocab": 0, **case.shape}
    return Shape(**{field.name: given[field.name] for field in dataclasses.fields(Shape)})  # type: ignore[arg-type]


def _layer(case: Case, device: Device) -> Work:
    from clustersim.microbenchmarks.transformer import Layer, recomputed, rotary_angles

    torch = device.torch
    shape = _shape(case)
    with torch.device(device.kind):
        layer = Layer(shape).to(torch.bfloat16)
    size = (case.number("micro_batch"), shape.seq_len, shape.hidden)
    x = torch.randn(size, dtype=torch.bfloat16, device=device.kind)
    angles = rotary_angles(shape, device.kind)
    if case.shape["direction"] == "forward":

        def forward() -> None:
            with torch.no_grad():
                layer(x, angles)

        return Work((forward,))
    x.requires_grad_()
    gradient = torch.randn_like(x)

    def learn() -> None:
        if case.shape["recompute"] == "full":
            result = recomputed(layer, x, angles)
        else:
            result = layer(x, angles)
        result.backward(gradient)
        layer.zero_grad(set_to_none=True)
        x.grad = None

    return Work((learn,))


def _output(case: Case, device: Device) -> Work:
    from clustersim.microbenchmarks.transformer import Output, Shape

    torch = device.torch
    hidden, vocab, seq_len = (case.number(c) for c in ("hidden", "vocab", "seq_len"))
    with torch.device(device.kind):
        output = Output(Shape(0, hidden, 1, 1, hidden, 0, "swiglu", vocab, seq_len))
    output = output.to(torch.bfloat16)
    size = (case.number("micro_batch"), seq_len)
    x = torch.randn((*size, hidden), dtype=torch.bfloat16, device=device.kind, requires_grad=True)
    targets = torch.randint(vocab, size, device=device.kind)

    def learn() -> None:
        output(x, targets).backward()
        output.zero_grad(set_to_none=True)
        x.grad = None

    return Work((learn,))


def _step(case: Case, device: Device) -> Work:
    from clustersim.microbenchmarks.transformer import Transformer

    torch = device.torch
    shape = _shape(case)
    with torch.device(device.kind):
        model = Transformer(shape, device.kind, recompute=case.shape["recompute"] == "full")
    model = model.to(torch.bfloat16)
    optimizer = MainWeightsAdam(model.blocks())
    rounds = case.number("global_batch") // case.number("micro_batch")
    size = (case.number("micro_batch"), shape.seq_len + 1)
    text = torch.randint(shape.vocab, size, device=device.kind)
    tokens, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()

    def step() -> float:
        for _ in range(rounds):
            loss = model(tokens, targets) / rounds
            loss.backward()
        optimizer.step()
        return float(loss.item())

    return Work((step,), alone=True)


TRAINING: Mapping[str, Callable[[Case, Device], Work]] = MappingProxyType(
    {"layer": _layer, "output": _output, "idle_step": _step, "step": _step}
)
"""Functions that prepare the work of each kind of case."""
