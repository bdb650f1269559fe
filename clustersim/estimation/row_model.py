"""The model shape of one row: the catalogue's shape, except for the values that the row states."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from clustersim.catalogue import Catalogue, Model
from clustersim.errors import InputError
from clustersim.estimation.row import Row
from clustersim.performance import ModelArrays
from clustersim.performance.arrays import attended_tokens

__all__ = ["model_of_row"]

GATED = ("swiglu", "geglu", "silu", "swish", "gated")
UNGATED = ("gelu", "relu", "relu2")
SHAPE = ("layers", "hidden", "heads", "ffn_hidden", "vocab")
MOST_APART = 0.2
"""Accepted difference between stated and counted parameters, as a fraction. Tied embeddings, for
example, change the count."""


def model_of_row(row: Row, catalogue: Catalogue) -> dict[str, float]:
    """Return :class:`clustersim.performance.ModelArrays` fields of a row; empty if it has problems.

    Parameters
    ----------
    row : Row
        Problems are added to it.
    catalogue : Catalogue
    """
    known = _known_model(row, catalogue)
    model = _of_catalogue(row, known) if known is not None else _of_row(row)
    if known is None:
        _name_unknown(row, catalogue)
    heads, kv_heads = row.number("heads", known.heads if known else 0), row.number("kv_heads", 0)
    if not row.problems and kv_heads and heads % kv_heads:
        row.problems.append(f"kv_heads: must divide the {heads:g} heads, found {kv_heads:g}")
    return {} if row.problems else model


def _name_unknown(row: Row, catalogue: Catalogue) -> None:
    """Replace the problems about missing parts of a shape with one about the unknown model."""
    missing = [f"{name}: missing" for name in (*SHAPE, "seq_len")]
    name = row.text("model")
    absent = [line.partition(":")[0] for line in row.problems if line in missing]
    if not name or not absent:
        return
    try:
        _catalogue_model(name, catalogue)
        message = f"model: {name!r} has another shape in the catalogue; correct the given columns"
    except InputError as error:
        message = f"model: {error.problems[0]}"
    row.problems[:] = [each for each in row.problems if each not in missing]
    row.problems.append(f"{message}; or give its {', '.join(absent)}")


def _catalogue_model(name: str, catalogue: Catalogue) -> Model:
    return catalogue.model(re.sub(r"\s*\(.*\)|\s+MoE$|\s+truncated.*", "", name))


def _known_model(row: Row, catalogue: Catalogue) -> Model | None:
    """Return the catalogue's model that a row names; None if it is unknown or its shape differs."""
    name = row.text("model")
    try:
        model = _catalogue_model(name, catalogue)
    except InputError:
        return None
    for column in ("layers", "hidden", "heads", "n_experts"):
        given = Row(row.values).number(column, float(getattr(model, column)), least=0.0)
        if np.isfinite(given) and given != getattr(model, column):
            return None
    return model


def _of_catalogue(row: Row, known: Model) -> dict[str, float]:
    """Return the shape in the catalogue, updated with the values that the row gives."""
    own = ModelArrays.of([known])
    model = {field.name: float(getattr(own, field.name)[0]) for field in dataclasses.fields(own)}
    for name in ("layers", "hidden", "heads"):
        row.number(name, model[name])
    row.number("n_experts", model["n_experts"], least=0.0)
    model["vocab"] = row.number("vocab", model["vocab"])
    model["seq_len"] = row.number("seq_len", model["seq_len"])
    model["top_k"] = row.number("topk", model["top_k"], least=float(known.n_experts > 0))
    window = row.number("sliding_window", 0.0, least=0.0)
    causal = known.kind == "language"
    model["span"] = attended_tokens(model["seq_len"], causal=causal, window=window)
    head_dim = row.number("head_dim", known.head_dim, whole=False)
    kv_heads = row.number("kv_heads", known.kv_heads)
    width = row.number("ffn_hidden", model["ffn_hidden"])
    if row.problems:
        return {}
    if (head_dim, kv_heads) != (known.head_dim, known.kv_heads):
        plain = _attention_params(model) == model["attention_params"]
        model["attention_width"] = known.heads * head_dim
        model["kv_width"] = kv_heads * head_dim
        if plain:  # latent attention keeps the parameters of the catalogue
            model["attention_params"] = _attention_params(model)
    if width not in (known.ffn_hidden, known.expert_ffn_hidden):
        model["expert_ffn_hidden" if known.n_experts else "ffn_hidden"] = width
    mlp = row.text("mlp_type").lower()
    if mlp in GATED or mlp in UNGATED:
        model["mlp_matrices"] = 3.0 if mlp in GATED else 2.0
    return model


def _attention_params(model: dict[str, float]) -> float:
    return 2.0 * model["hidden"] * (model["attention_width"] + model["kv_width"])


def _of_row(row: Row) -> dict[str, float]:
    """Return the shape that the row itself gives."""
    given = {name: row.number(name) for name in SHAPE}
    heads, hidden = given["heads"], given["hidden"]
    seq_len = row.number("seq_len")
    experts = row.number("n_experts", 0.0, least=0.0)
    if row.problems:
        return {}
    head_dim = row.number("head_dim", hidden / heads, whole=False)
    kv_heads = row.number("kv_heads", heads)
    window = row.number("sliding_window", 0.0, least=0.0)
    model = {
        "layers": given["layers"],
        "hidden": hidden,
        "attention_width": heads * head_dim,
        "kv_width": kv_heads * head_dim,
        "heads": heads,
        "ffn_hidden": given["ffn_hidden"],
        "mlp_matrices": 3.0 if row.text("mlp_type").lower() in GATED else 2.0,
        "vocab": given["vocab"],
        "tied": 0.0,
        "seq_len": seq_len,
        "span": attended_tokens(seq_len, causal=True, window=window),
        "n_experts": experts,
        "top_k": row.number("topk", 0.0 if experts == 0 else None),
        "shared_experts": 0.0,
        "moe_layers": given["layers"] if experts else 0.0,
        "expert_ffn_hidden": given["ffn_hidden"] if experts else 0.0,
        "other_params": 0.0,
    }
    model["attention_params"] = _attention_params(model)
    _settle_by_params(row, model)
    return model


def _settle_by_params(row: Row, model: dict[str, float]) -> None:
    """Use `params_b` to choose between two and three MLP matrices, or to set the expert width."""
    params = 1e9 * row.number("params_b", 0.0, least=0.0, whole=False)
    if not params > 0:
        return
    layers, hidden = model["layers"], model["hidden"]
    rest = layers * model["attention_params"] + model["vocab"] * hidden
    experts = max(model["n_experts"], 1.0)
    mlp = params - rest
    if mlp <= 0:
        return
    width = model["expert_ffn_hidden"] or model["ffn_hidden"]
    counted = {matrices: layers * experts * matrices * hidden * width for matrices in (2.0, 3.0)}
    if model["n_experts"] and abs(counted[3.0] / mlp - 1.0) > MOST_APART:
        model["expert_ffn_hidden"] = mlp / (layers * experts * model["mlp_matrices"] * hidden)
    elif not model["n_experts"]:
        other = 5.0 - model["mlp_matrices"]
        said, instead = (abs(counted[n] / mlp - 1.0) for n in (model["mlp_matrices"], other))
        if said > MOST_APART > instead:
            model["mlp_matrices"] = other
