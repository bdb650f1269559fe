"""Models of one family: a model of the catalogue, made deeper and wider in proportion."""

from __future__ import annotations

import dataclasses
import math

from clustersim.catalogue import Model
from clustersim.errors import InputError, shown

__all__ = ["LARGEST", "SMALLEST", "layer_range", "with_layers"]

SMALLEST, LARGEST = 0.25, 4.0
"""Limits on the number of layers of a scaled model, as a factor on that of the original."""
MOST_UNIT = 128
"""Widths are multiples of the largest power of two up to this one that divides the original."""


def with_layers(model: Model, layers: int) -> Model:
    """Return a model of the same family with another number of layers.

    Depth and width grow in proportion, so that the parameters outside of the vocabulary grow with
    the third power of the layers: hidden size, width of the MLPs and of the experts, and the number
    of heads follow the number of layers, rounded to multiples that accelerators like (128 where the
    original has such). What stays: the number of experts, how many of them process a token, the
    number of dense layers of a mixture, the width of a head, key-value heads that heads share,
    vocabulary, sequence length and batch. Parameters are counted from the shape, times the ratio of
    the stated to the counted parameters of the original.

    Parameters
    ----------
    model : Model
    layers : int

    Raises
    ------
    InputError
        If the number of layers is outside of :func:`layer_range`.

    Examples
    --------
    >>> import clustersim as cs
    >>> model = cs.load_catalogue().model("doubao-class")
    >>> with_layers(model, model.layers) == model
    True
    >>> large = with_layers(model, 2 * model.layers)
    >>> large.hidden, large.heads, large.n_experts, round(large.params / model.params, 1)
    (8192, 128, 128, 8.1)
    """
    least, most = layer_range(model)
    if not least <= layers <= most:
        raise InputError(
            "family",
            f"layers of {model.name}: must be from {least} to {most}, found {shown(layers)}",
        )
    if layers == model.layers:
        return model
    factor = layers / model.layers
    heads, kv_heads = _heads(model, factor)
    hidden = _width(model.hidden, factor)
    shape = dataclasses.replace(
        model,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        ffn_hidden=_width(model.ffn_hidden, factor),
        expert_ffn_hidden=_width(model.expert_ffn_hidden, factor),
        moe_layers=max(layers - model.layers + model.moe_layers, 1) if model.n_experts else 0,
        windowed_layers=round(model.windowed_layers * factor),
        attention_params_per_layer=_attention(model, hidden, heads, kv_heads),
    )
    counted, own = shape.count_params(), model.count_params()
    return dataclasses.replace(
        shape,
        params=model.params * counted[0] / own[0],
        active_params=model.active_params * counted[1] / own[1],
    )


def layer_range(model: Model) -> tuple[int, int]:
    """Return the smallest and the largest number of layers of a scaled model.

    Examples
    --------
    >>> import clustersim as cs
    >>> layer_range(cs.load_catalogue().model("doubao-class"))
    (15, 240)
    """
    dense = model.layers - model.moe_layers if model.n_experts else 0
    least = max(1, dense + 1, math.ceil(SMALLEST * model.layers))
    return least, int(LARGEST * model.layers)


def _width(width: int, factor: float) -> int:
    """Return a width times a factor, rounded to a multiple that divides the original."""
    if not width:
        return 0
    unit = min(MOST_UNIT, width & -width)
    return max(1, round(width * factor / unit)) * unit


def _heads(model: Model, factor: float) -> tuple[int, int]:
    """Return the numbers of heads and of key-value heads.

    Key-value heads that several heads share stay as many, and divide the heads; with one for each
    head, they follow the heads, which are then a multiple of up to 8.
    """
    shared = model.kv_heads < model.heads
    unit = model.kv_heads if shared else min(8, model.heads & -model.heads)
    heads = max(1, round(model.heads * factor / unit)) * unit
    return heads, model.kv_heads if shared else heads


def _attention(model: Model, hidden: int, heads: int, kv_heads: int) -> float:
    """Return the parameters of a layer's attention.

    They follow those of the original with hidden size and heads, as projections do.
    """
    projections = hidden * (heads + kv_heads)
    own = model.hidden * (model.heads + model.kv_heads)
    return model.attention_params_per_layer * projections / own
