"""What each case does: its FLOPs as PyTorch counts them, its operands and its parameters."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra measure (PyTorch)")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from clustersim.microbenchmarks.case import Case  # noqa: E402
from clustersim.microbenchmarks.device import Device  # noqa: E402
from clustersim.microbenchmarks.operations import (  # noqa: E402
    OPERATIONS,
    attention_case,
    grouped_case,
    matmul_case,
    streaming_case,
)
from clustersim.microbenchmarks.optimizer import MainWeightsAdam  # noqa: E402
from clustersim.microbenchmarks.training import (  # noqa: E402
    TRAINING,
    layer_case,
    output_case,
    shape_of,
    step_case,
)
from clustersim.microbenchmarks.transformer import Shape, Transformer, rotary_angles  # noqa: E402

GPT = shape_of(64, 4, layers=3, vocab=96, seq_len=32)
LLAMA = shape_of(
    64, 4, kv_heads=2, ffn_hidden=96, layers=3, mlp_type="swiglu", vocab=96, seq_len=32
)


def counted_flops(case: Case) -> int:
    """FLOPs of one call by PyTorch's own counter, with attention as plain products."""
    maker = {**OPERATIONS, **TRAINING}[case.kind]
    work = maker(case, Device("cpu"))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work.calls[0]()
    return counter.get_total_flops()


@pytest.mark.parametrize("layout", ["TN", "NN", "NT"])
def test_flops_of_products(layout):
    case = matmul_case(48, 32, 16, layout=layout)
    assert case.flops == counted_flops(case) == 2 * 48 * 32 * 16
    assert case.least_bytes == 2 * (48 * 16 + 16 * 32 + 48 * 32)


def test_products_of_experts():
    """As many products as experts: here 4 of 32 tokens each, in one call."""
    case = grouped_case(4, 32, 48, 64)
    work = OPERATIONS["grouped"](case, Device("cpu"))
    product = work.calls[0]()
    assert product.shape == (4 * 32, 48)
    assert case.flops == 4 * 2 * 32 * 48 * 64
    assert case.least_bytes == 4 * 2 * (32 * 64 + 64 * 48 + 32 * 48)


def half(micro_batch: int) -> float:
    """FLOPs of one layer's forward attention under a causal mask, half of the square.

    Plain products compute the whole square, and four of them in the backward pass: in all 6 halves
    where fused attention makes 1 + 2.5.
    """
    return 2.0 * micro_batch * 32**2 * 64


PLAIN_BEYOND_FUSED = 6.0 - 3.5


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_flops_of_attention(kv_heads):
    forward = attention_case(2, 32, 4, 16, kv_heads=kv_heads, direction="forward")
    assert forward.flops == half(2)
    assert counted_flops(forward) == 2 * forward.flops
    both = attention_case(2, 32, 4, 16, kv_heads=kv_heads, direction="forward+backward")
    assert both.flops == 3.5 * forward.flops


@pytest.mark.parametrize("shape", [GPT, LLAMA])
def test_flops_of_layers(shape):
    forward = layer_case(shape, 2, direction="forward")
    assert counted_flops(forward) - half(2) == forward.flops
    both = layer_case(shape, 2, direction="forward+backward")
    assert counted_flops(both) - PLAIN_BEYOND_FUSED * half(2) == both.flops


@pytest.mark.parametrize("shape", [GPT, LLAMA])
@pytest.mark.parametrize("global_batch", [2, 6])
def test_flops_of_steps(shape, global_batch):
    case = step_case("small", shape, 2, global_batch=global_batch)
    assert counted_flops(case) - 3 * PLAIN_BEYOND_FUSED * half(global_batch) == case.flops


@pytest.mark.parametrize("shape", [GPT, LLAMA])
def test_recompute_repeats_the_forward_layers(shape):
    plain = counted_flops(step_case("small", shape, 2))
    again = counted_flops(step_case("small", shape, 2, recompute="full"))
    layer = layer_case(shape, 2, direction="forward").flops
    assert again - plain == 3 * (layer + half(2)), "attention as plain products"


def test_flops_of_output_layer():
    case = output_case(64, 96, 32, 2)
    assert case.flops == counted_flops(case)


@pytest.mark.parametrize("kind", ["copy", "layer_norm", "softmax"])
def test_streaming_results(kind):
    work = OPERATIONS[kind](streaming_case(kind, 2 * 4096), Device("cpu"))
    result = work.calls[0]().float().view(2, 4096)
    if kind == "softmax":
        assert torch.allclose(result.sum(dim=-1), torch.ones(2), atol=2e-2)
    if kind == "layer_norm":
        assert torch.allclose(result.std(dim=-1), torch.ones(2), atol=2e-2)
    assert result.isfinite().all()


def test_calls_in_turn_have_operands_that_no_cache_holds():
    work = OPERATIONS["copy"](streaming_case("copy", 2**22), Device("cpu"))
    assert len(work.calls) * streaming_case("copy", 2**22).least_bytes > 250e6


def test_optimizer_equals_adamw_in_full_precision():
    """The main weights follow AdamW on FP32 weights, and the BF16 weights are those, rounded."""
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(8, 4, generator=generator).to(torch.bfloat16) for _ in range(3)]
    plain = [weight.float().requires_grad_() for weight in weights]
    reference = torch.optim.AdamW(plain, lr=1e-5, weight_decay=0.1)
    for weight in weights:
        weight.requires_grad_()
    ours = MainWeightsAdam([weights[:2], weights[2:]])
    for _ in range(5):
        for weight, full in zip(weights, plain, strict=True):
            gradient = torch.randn(8, 4, generator=generator).to(torch.bfloat16)
            weight.grad, full.grad = gradient, gradient.float()
        ours.step()
        reference.step()
    for weight, full in zip(weights, plain, strict=True):
        assert torch.equal(weight, full.detach().to(torch.bfloat16))
        assert weight.grad is None


@pytest.mark.parametrize(("shape", "matrices"), [(GPT, 2), (LLAMA, 3)])
def test_parameters_of_the_products(shape, matrices):
    model = Transformer(Shape(**shape), "cpu")
    kv_width = shape["kv_heads"] * 16
    layer = 64 * (2 * 64 + 2 * kv_width + matrices * shape["ffn_hidden"])
    products = [weight for weight in model.layers.parameters() if weight.ndim == 2]
    assert sum(weight.numel() for weight in products) == 3 * layer
    assert sum(len(block) for block in model.blocks()) == len(list(model.parameters()))


@pytest.mark.parametrize("shape", [GPT, LLAMA])
def test_no_token_sees_a_later_one(shape):
    torch.manual_seed(0)
    model = Transformer(Shape(**shape), "cpu")
    tokens = torch.randint(96, (1, 32))
    later = tokens.clone()
    later[0, 20:] = (later[0, 20:] + 1) % 96

    def activations(text):
        x = model.embedding(text)
        x = x if model.positions is None else x + model.positions.weight
        for layer in model.layers:
            x = layer(x, model.angles)
        return x[0, :20]

    assert torch.allclose(activations(tokens), activations(later), atol=1e-5)


def test_a_model_learns():
    torch.manual_seed(0)
    model = Transformer(Shape(**LLAMA), "cpu", recompute=True).to(torch.bfloat16)
    optimizer = MainWeightsAdam(model.blocks())
    for adam in optimizer._adams:
        adam.param_groups[0]["lr"] = 1e-2
    tokens = torch.randint(96, (2, 32))
    losses = []
    for _ in range(30):
        loss = model(tokens, tokens)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_rotary_positions_turn_queries_by_their_place():
    """The first pair of a head turns by one radian a token."""
    cosines, sines = rotary_angles(Shape(**LLAMA), "cpu")
    place = torch.arange(32.0)
    assert torch.allclose(cosines[:, 0].float(), place.cos(), atol=1e-2)
    assert torch.allclose(sines[:, 0].float(), place.sin(), atol=1e-2)
