"""The cases to measure: a grid that takes five minutes on one chip, and a few quick cases."""

from __future__ import annotations

from clustersim.microbenchmarks.case import Case
from clustersim.microbenchmarks.operations import (
    attention_case,
    grouped_case,
    matmul_case,
    streaming_case,
)
from clustersim.microbenchmarks.training import layer_case, output_case, shape_of, step_case

__all__ = ["grid", "quick_grid"]

LLAMA = "swiglu"
SQUARE = (512, 1024, 2048, 4096, 8192, 16384)
WIDTHS = (2048, 4096, 8192, 16384)
"""Hidden sizes of models with about 1, 7, 70 and 400 billion parameters."""
RANKS = (1, 4, 8)
TOKENS = (2048, 8192)
SIZES = tuple(2**power for power in range(16, 31, 2))
PARAMETERS = tuple(2**power for power in range(22, 29, 2))


def grid() -> list[Case]:
    """Return the cases in the order of measurement, with training steps last."""
    return [
        *(
            streaming_case(kind, size)
            for kind in ("copy", "layer_norm", "softmax")
            for size in SIZES
        ),
        *(streaming_case("adam", size) for size in PARAMETERS),
        _launch(),
        *_products(),
        *_experts(),
        *_attention(),
        *_layers(),
        *_outputs(),
        _idle_step(),
        *_steps(),
    ]


def _launch() -> Case:
    return Case("launch", {"precision": "bf16", "elements": 256})


def layer_products(hidden: int, ranks: int) -> list[tuple[int, int]]:
    """Return the columns and depth of a GPT layer's four matrix products on one of `ranks` ranks.

    The ranks are tensor-parallel. The products are, in this order: queries, keys and values
    together; output projection; up projection; down projection. Tensor parallelism splits the
    columns of the first product of each pair and the rows of the second (Shoeybi et al. 2019, arXiv
    1909.08053, section 3).

    Examples
    --------
    >>> layer_products(4096, 8)
    [(1536, 4096), (4096, 512), (2048, 4096), (4096, 2048)]
    """
    inner = 4 * hidden // ranks
    return [
        (3 * hidden // ranks, hidden),
        (hidden, hidden // ranks),
        (inner, hidden),
        (hidden, inner),
    ]


def _products() -> list[Case]:
    shapes = [(size, size, size) for size in SQUARE]
    shapes += [
        (tokens, *product)
        for hidden in WIDTHS
        for ranks in RANKS
        for tokens in TOKENS
        for product in layer_products(hidden, ranks)
    ]
    shapes += [(8192, 32000, 4096), (8192, 128256 // 8, 8192)]  # output layers
    shapes = list(
        dict.fromkeys(shapes)
    )  # wide models on many ranks have the same products as narrow ones
    few = [shape for shape in shapes if shape[0] == TOKENS[-1]][::3]
    back = [
        case
        for tokens, width, depth in few
        for case in (
            matmul_case(tokens, depth, width, layout="NN"),
            matmul_case(width, depth, tokens, layout="NT"),
        )
    ]
    return [
        *(matmul_case(*shape) for shape in shapes),
        *back,
        *(matmul_case(*shape, precision="fp16") for shape in few),
        *(
            matmul_case(*shape, precision="fp8")
            for shape in dict.fromkeys([*shapes[: len(SQUARE)], *few])
        ),
    ]


def _experts() -> list[Case]:
    """Return the products of the experts on one rank, with few and with many tokens for each.

    Experts, hidden size and width are those of Mixtral 8x7B, Qwen3-30B-A3B on 8 and DeepSeek-V3 on
    32 expert-parallel ranks. The first product of an expert has a gate beside it, and so twice the
    width.
    """
    shapes = [(8, 4096, 14336), (16, 2048, 768), (8, 7168, 2048)]
    return [
        grouped_case(experts, tokens, columns, depth)
        for experts, hidden, width in shapes
        for tokens in (128, 1024, 4096)
        for columns, depth in ((2 * width, hidden), (hidden, width))
    ]


def _attention() -> list[Case]:
    """Return attention cases: various shapes with 16,384 tokens, and one with 32,768 tokens."""
    shapes = [(16384 // seq_len, seq_len, 16, 128, 0) for seq_len in (512, 1024, 2048, 8192, 16384)]
    shapes += [(16384 // seq_len, seq_len, 32, 64, 0) for seq_len in (1024, 4096, 16384)]
    shapes += [(4, 4096, 8, 256, 0), (8, 2048, 32, 80, 0)]
    shapes += [(4, 4096, 32, 128, 8), (2, 8192, 8, 128, 1), (1, 32768, 8, 128, 0)]
    return [
        attention_case(batch, seq_len, heads, width, kv_heads=kv_heads, direction=direction)
        for batch, seq_len, heads, width, kv_heads in shapes
        for direction in ("forward", "forward+backward")
    ]


def _layers() -> list[Case]:
    gpt, llama = "gelu", LLAMA
    shapes = [
        (shape_of(1024, 16, mlp_type=gpt, seq_len=1024), 16),
        (shape_of(2048, 16, mlp_type=gpt, seq_len=2048), 4),
        (shape_of(4096, 32, mlp_type=gpt, seq_len=2048), 4),
        (shape_of(12288, 96, mlp_type=gpt, seq_len=2048), 2),
        (shape_of(2048, 32, kv_heads=8, ffn_hidden=8192, mlp_type=llama, seq_len=4096), 2),
        (shape_of(4096, 32, ffn_hidden=11008, mlp_type=llama, seq_len=4096), 2),
        (shape_of(4096, 32, kv_heads=8, ffn_hidden=14336, mlp_type=llama, seq_len=8192), 1),
        (shape_of(8192, 64, kv_heads=8, ffn_hidden=28672, mlp_type=llama, seq_len=8192), 1),
    ]
    return [
        layer_case(shape, batch, direction=direction, recompute=recompute)
        for shape, batch in shapes
        for direction, recompute in (
            ("forward", "none"),
            ("forward+backward", "none"),
            ("forward+backward", "full"),
        )
    ]


def _outputs() -> list[Case]:
    return [
        output_case(hidden, vocab, seq_len, batch)
        for hidden, vocab, seq_len, batch in (
            (1024, 50304, 1024, 8),
            (4096, 32000, 4096, 2),
            (4096, 128256, 4096, 1),
            (8192, 128256, 8192, 1),
        )
    ]


def _idle_step() -> Case:
    shape = shape_of(64, 1, ffn_hidden=64, vocab=64, seq_len=16)
    return step_case("no work", shape, 1, kind="idle_step")


def _steps() -> list[Case]:
    """Return training steps that fit in 141 GB: small models, and a few layers of large models."""
    gpt = [
        ("GPT 0.35B", shape_of(1024, 16, layers=24, vocab=50304, seq_len=1024), 16),
        ("GPT 1.3B", shape_of(2048, 16, layers=24, vocab=50304, seq_len=2048), 8),
        ("GPT 2.7B", shape_of(2560, 32, layers=32, vocab=50304, seq_len=2048), 4),
        (
            "GPT 13B truncated to 8 layers",
            shape_of(5120, 40, layers=8, vocab=50304, seq_len=2048),
            4,
        ),
    ]
    llama = [
        ("Llama 1B", _llama(16, 2048, 32, 8, 8192, 128256, 4096), 4),
        ("Llama 3B", _llama(28, 3072, 24, 8, 8192, 128256, 4096), 2),
        ("Llama 8B truncated to 8 layers", _llama(8, 4096, 32, 8, 14336, 128256, 8192), 1),
        ("Llama 13B truncated to 10 layers", _llama(10, 5120, 40, 40, 13824, 32000, 4096), 2),
        ("Llama 70B truncated to 2 layers", _llama(2, 8192, 64, 8, 28672, 128256, 8192), 1),
    ]
    both = [
        step_case(name, shape, batch, recompute=recompute)
        for name, shape, batch in [*gpt, *llama]
        for recompute in ("none", "full")
    ]
    name, shape, batch = llama[1]
    return [
        *both,
        step_case(name, shape, batch, global_batch=4 * batch),
        step_case("Llama 7B", _llama(32, 4096, 32, 32, 11008, 32000, 4096), 1, recompute="full"),
        step_case("Llama 7B", _llama(32, 4096, 32, 32, 11008, 32000, 4096), 2, recompute="full"),
    ]


def _llama(
    layers: int, hidden: int, heads: int, kv_heads: int, ffn_hidden: int, vocab: int, seq_len: int
) -> dict[str, str | int]:
    return shape_of(
        hidden,
        heads,
        layers=layers,
        kv_heads=kv_heads,
        ffn_hidden=ffn_hidden,
        mlp_type=LLAMA,
        vocab=vocab,
        seq_len=seq_len,
    )


def quick_grid() -> list[Case]:
    """Return a few small cases of every kind; they take half a minute on a chip or two cores."""
    gpt = shape_of(256, 4, layers=2, vocab=1024, seq_len=256)
    llama = _llama(2, 256, 4, 2, 512, 1024, 256)
    directions = ("forward", "forward+backward")
    return [
        *(
            streaming_case(kind, 2**power)
            for kind in ("copy", "layer_norm", "softmax", "adam")
            for power in (16, 20, 22)
        ),
        _launch(),
        *(matmul_case(size, size, size) for size in (128, 256, 512)),
        *(matmul_case(256, *product) for product in layer_products(512, 8)),
        matmul_case(256, 512, 512, layout="NN"),
        matmul_case(512, 512, 256, layout="NT"),
        matmul_case(256, 256, 256, precision="fp16"),
        matmul_case(256, 256, 256, precision="fp8"),
        *(grouped_case(4, tokens, 256, 128) for tokens in (32, 128)),
        *(
            attention_case(1, 256, 4, width, kv_heads=kv_heads, direction=direction)
            for width, kv_heads in ((32, 4), (64, 2))
            for direction in directions
        ),
        *(
            layer_case(shape, 1, direction=direction)
            for shape in (gpt, llama)
            for direction in directions
        ),
        layer_case(llama, 1, direction="forward+backward", recompute="full"),
        output_case(256, 1024, 256, 1),
        _idle_step(),
        *(
            step_case(name, shape, 2, recompute=recompute)
            for name, shape in (("small GPT", gpt), ("small Llama", llama))
            for recompute in ("none", "full")
        ),
    ]
