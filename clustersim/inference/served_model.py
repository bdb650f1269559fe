"""What serving reads of a model: parameters, the cache of keys and values, and attention."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.catalogue import Model

__all__ = ["DIFFUSION", "ServedModel", "diffusion_by_size", "of_catalogue", "shape_by_size"]

MOST_ROUTED = 0.99
"""Share of the parameters that are routed experts at most, whatever numbers are given."""
DIFFUSION = ("image-diffusion", "video-diffusion")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as a serving engine sees it.

    Attributes
    ----------
    name : str
    kind : {"language", "video-diffusion", "image-diffusion"}
    layers, hidden, heads, kv_heads, head_dim : float
    params, active_params : float
        All parameters, and those that process one token.
    vocab : float
        Size of the vocabulary. The input embedding is looked up, not multiplied.
    n_experts, top_k, moe_layers : float
        Routed experts of a layer, those of a token, and layers with experts; 0 for a dense model.
    attention_layers : float
        Layers whose cache grows with the context.
    latent : float
        Width of the compressed keys and values of a token and layer (MLA); 0 without compression.
    latent_heads : float
        Width of keys plus values of a head before compression.
    window, windowed_layers : float
        Length of the attention window, and layers that have it.
    sparse_tokens : float
        Most tokens that a query attends to; 0 for all.
    state_bytes : float
        State of one sequence in a layer without a growing cache (linear attention, Mamba).
    weights : str
        Precision in which the model was released.
    stride, time_stride : float
        Pixels (in each direction) and frames of one token of a diffusion transformer.
    text_tokens : float
        Text tokens that a diffusion transformer attends to with the image.
    passes : float
        Passes of the model in one denoising step.
    pass_flops : float
        FLOPs of one pass at 1,024 x 1,024; 0 if they are counted from the shape.
    linear : bool
        Whether attention is linear in the number of tokens.

    Examples
    --------
    >>> from clustersim.inference import served_model
    >>> model = served_model("DeepSeek-R1")
    >>> model.kv_elements, round(model.routed_params / 1e9)
    (576.0, 654)
    """

    name: str
    kind: str
    layers: float
    hidden: float
    heads: float
    kv_heads: float
    head_dim: float
    params: float
    active_params: float
    vocab: float = 128000.0
    n_experts: float = 0.0
    top_k: float = 0.0
    moe_layers: float = 0.0
    attention_layers: float = 0.0
    latent: float = 0.0
    latent_heads: float = 0.0
    window: float = 0.0
    windowed_layers: float = 0.0
    sparse_tokens: float = 0.0
    state_bytes: float = 0.0
    weights: str = "bf16"
    stride: float = 16.0
    time_stride: float = 4.0
    text_tokens: float = 0.0
    passes: float = 1.0
    pass_flops: float = 0.0
    linear: bool = False

    @property
    def kv_elements(self) -> float:
        """Elements of the cache for a token and layer with a growing cache."""
        return self.latent if self.latent else 2.0 * self.kv_heads * self.head_dim

    @property
    def prefill_width(self) -> float:
        """Multiplications of one query with one key and its value, over all heads."""
        return self.heads * (self.latent_heads if self.latent else 2.0 * self.head_dim)

    @property
    def decode_width(self) -> float:
        """The same in decoding; with MLA, queries meet the compressed keys (absorbed form)."""
        return self.heads * (2.0 * self.latent - 64.0) if self.absorbed else self.prefill_width

    @property
    def absorbed(self) -> bool:
        """Whether decoding computes with the compressed keys and values."""
        return self.latent >= 128.0

    @property
    def routed_params(self) -> float:
        """Parameters of all routed experts.

        They follow from ``params = d + r`` and ``active = d + r top_k / n_experts``.
        """
        if self.n_experts <= self.top_k:
            return 0.0
        share = self.top_k / self.n_experts
        found = (self.params - self.active_params) / (1.0 - share)
        return min(max(0.0, found), MOST_ROUTED * self.params)

    @property
    def expert_width(self) -> float:
        """Columns of the matrices of an expert, which has three; 1 for a dense model."""
        matrices = 3.0 * self.n_experts * self.moe_layers * self.hidden
        return max(1.0, self.routed_params / matrices) if matrices else 1.0

    @property
    def dense_params(self) -> float:
        """Parameters that every token multiplies: all but experts and the input embedding."""
        rest = self.params - self.routed_params
        return max(rest - self.vocab * self.hidden, 0.5 * rest)


def of_catalogue(model: Model) -> dict[str, object]:
    """Return the fields of :class:`ServedModel` that the catalogue knows."""
    return {
        "name": model.name,
        "kind": model.kind,
        "layers": float(model.layers),
        "hidden": float(model.hidden),
        "heads": float(model.heads),
        "kv_heads": float(model.kv_heads),
        "head_dim": float(model.head_dim),
        "params": float(model.params),
        "active_params": float(model.active_params),
        "vocab": float(model.vocab),
        "n_experts": float(model.n_experts),
        "top_k": float(model.top_k),
        "moe_layers": float(model.moe_layers),
        "window": float(model.sliding_window),
        "windowed_layers": float(model.windowed_layers),
    }


def diffusion_by_size(kind: str, params: float) -> ServedModel:
    """Return a usual diffusion transformer of which only the size is known.

    Its layers are as many and as wide as those of Wan2.1-14B (40 of 5,120), both scaled by the
    third root of the size, and each step takes two passes (guidance).

    Examples
    --------
    >>> model = diffusion_by_size("video-diffusion", 14e9)
    >>> model.layers, model.hidden, model.passes
    (40.0, 5120.0, 2.0)
    """
    scale = (params / 14e9) ** (1.0 / 3.0)
    heads = float(max(4, round(40.0 * scale)))
    return ServedModel(
        name="unknown",
        kind=kind,
        layers=float(max(4, round(40.0 * scale))),
        hidden=128.0 * heads,
        heads=heads,
        kv_heads=heads,
        head_dim=128.0,
        params=params,
        active_params=0.85 * params,
        passes=2.0,
    )


def shape_by_size(params: float, active_params: float, *, mixture: bool) -> dict[str, float]:
    """Return a usual shape for a model of which only the size is known.

    Depth and width follow those of Llama 3 and Qwen3: 32 layers of 4,096 at 8 billion, 80 layers of
    8,192 at 70 billion, which is ``layers = 32 (n / 8e9)^0.42`` and ``hidden = 4096 (n /
    8e9)^0.32``. Mixtures are as deep and wide as a dense model of the geometric mean of total and
    active parameters would be, but a third narrower (Qwen3-235B-A22B, GLM-4.5, DeepSeek-V3).

    Examples
    --------
    >>> shape = shape_by_size(8e9, 8e9, mixture=False)
    >>> shape["layers"], shape["hidden"]
    (32.0, 4096.0)
    """
    size = (params * active_params) ** 0.5 if mixture else params
    layers = float(max(4, round(32.0 * (size / 8e9) ** 0.42)))
    hidden = 4096.0 * (size / 8e9) ** 0.32 * (0.67 if mixture else 1.0)
    hidden = float(max(512, 128 * round(hidden / 128)))
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": float(max(8, round(hidden / 128))),
        "kv_heads": 8.0,
        "head_dim": 128.0,
    }
