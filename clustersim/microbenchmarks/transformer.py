"""GPT and Llama as plain PyTorch modules, on which training steps are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

__all__ = ["Layer", "Output", "Shape", "Transformer", "recomputed", "rotary_angles"]

ROTARY_BASE = 500_000.0
"""Base of the rotary positions, as in Llama 3 (Dubey et al. 2024, arXiv 2407.21783, section
3.2)."""


@dataclass(frozen=True)
class Shape:
    """Shape of a model; the fields are columns of :data:`clustersim.microbenchmarks.schema.SHAPE`.

    An `mlp_type` of ``swiglu`` means Llama (RMSNorm, rotary positions, no biases), ``gelu`` means
    GPT (layer norm, learned positions, biases).
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int
    mlp_type: str
    vocab: int
    seq_len: int

    @property
    def gated(self) -> bool:
        """Whether the model is a Llama, which has a gated MLP."""
        return self.mlp_type == "swiglu"


class Layer(nn.Module):
    """A pre-norm transformer layer.

    One matrix product computes queries, keys and values; another computes the gate and up
    projections.

    Parameters
    ----------
    shape : Shape
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        bias = not shape.gated
        norm = nn.RMSNorm if shape.gated else nn.LayerNorm
        self.widths = (width, kv_width, kv_width)
        self.attention_norm = norm(shape.hidden)
        self.into = nn.Linear(shape.hidden, width + 2 * kv_width, bias=bias)
        self.out = nn.Linear(width, shape.hidden, bias=bias)
        self.mlp_norm = norm(shape.hidden)
        self.up = nn.Linear(shape.hidden, (1 + shape.gated) * shape.ffn_hidden, bias=bias)
        self.down = nn.Linear(shape.ffn_hidden, shape.hidden, bias=bias)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor] | None) -> Tensor:
        """Apply the layer to activations of shape (sequences, tokens, hidden).

        Parameters
        ----------
        x : Tensor
        angles : tuple of Tensor or None
            Cosines and sines of :func:`rotary_angles`; None for learned positions.
        """
        x = x + self._attention(self.attention_norm(x), angles)
        return x + self._mlp(self.mlp_norm(x))

    def _attention(self, x: Tensor, angles: tuple[Tensor, Tensor] | None) -> Tensor:
        batch, tokens, _ = x.shape
        query, key, value = (
            part.view(batch, tokens, -1, self.shape.head_dim).transpose(1, 2)
            for part in self.into(x).split(self.widths, dim=-1)
        )
        if angles is not None:
            query, key = _rotate(query, *angles), _rotate(key, *angles)
        grouped = self.shape.heads != self.shape.kv_heads
        attended = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=grouped
        )
        result: Tensor = self.out(attended.transpose(1, 2).reshape(batch, tokens, -1))
        return result

    def _mlp(self, x: Tensor) -> Tensor:
        inner = self.up(x)
        if self.shape.gated:
            gate, up = inner.chunk(2, dim=-1)
            inner = functional.silu(gate) * up
        else:
            inner = functional.gelu(inner, approximate="tanh")
        result: Tensor = self.down(inner)
        return result


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


def rotary_angles(shape: Shape, device: str) -> tuple[Tensor, Tensor] | None:
    """Return cosines and sines of rotary positions (Su et al. 2021, arXiv 2104.09864), or None."""
    if not shape.gated:
        return None
    place = torch.arange(0, shape.head_dim, 2, device=device) / shape.head_dim
    turns = torch.outer(torch.arange(shape.seq_len, device=device), ROTARY_BASE**-place)
    angles = torch.cat((turns, turns), dim=-1)
    return angles.cos().to(torch.bfloat16), angles.sin().to(torch.bfloat16)


def recomputed(layer: Layer, x: Tensor, angles: tuple[Tensor, Tensor] | None) -> Tensor:
    """Apply a layer that keeps only its input and is recomputed in the backward pass.

    The whole layer is recomputed, as in Megatron-LM. By default, PyTorch would skip its last matrix
    product.
    """
    with set_checkpoint_early_stop(False):
        result: Tensor = checkpoint(layer, x, angles, use_reentrant=False)
    return result


class Output(nn.Module):
    """Last norm, output layer, and mean cross entropy in FP32."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = (nn.RMSNorm if shape.gated else nn.LayerNorm)(shape.hidden)
        self.logits = nn.Linear(shape.hidden, shape.vocab, bias=False)

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of activations for target tokens of shape (sequences, tokens)."""
        logits = self.logits(self.norm(x)).float()
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Transformer(nn.Module):
    """A complete model with untied embeddings.

    Parameters
    ----------
    shape : Shape
    device : str
    recompute : bool
        Whether each layer keeps only its input and is recomputed in the backward pass.
    """

    def __init__(self, shape: Shape, device: str, *, recompute: bool = False) -> None:
        super().__init__()
        self.recompute = recompute
        self.embedding = nn.Embedding(shape.vocab, shape.hidden)
        self.positions = None if shape.gated else nn.Embedding(shape.seq_len, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output = Output(shape)
        self.angles = rotary_angles(shape, device)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of tokens of shape (sequences, tokens)."""
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions.weight
        for layer in self.layers:
            x = recomputed(layer, x, self.angles) if self.recompute else layer(x, self.angles)
        loss: Tensor = self.output(x, targets)
        return loss

    def blocks(self) -> list[list[Any]]:
        """Return the weights in blocks: each embedding, each layer, and the output layer."""
        modules = [self.embedding, self.positions, *self.layers, self.output]
        return [list(module.parameters()) for module in modules if module is not None]
