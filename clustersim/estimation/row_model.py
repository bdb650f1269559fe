"""The model shape of one row: the catalogue's shape, except for the values that the row states."""

from __future__ import annotations

import dataclasses
import re
from contextlib import suppress

import numpy as np

from clustersim.catalogue import Catalogue, Model
from clustersim.errors import InputError
from clustersim.estimation.remarks import mixture_layers_in, shared_experts_in
from clustersim.estimation.row import Row
from clustersim.performance import ModelArrays
from clustersim.performance.arrays import attended_tokens, mean_attended_tokens

__all__ = ["model_of_row", "named_model"]

GATED = ("swiglu", "geglu", "silu", "swish", "gated")
UNGATED = ("gelu", "relu", "relu2")
SHAPE = ("layers", "hidden", "heads", "ffn_hidden", "vocab")
_SIZE = re.compile(
    r"[\s_-]+(?P<number>\d+(?:\.\d+)?)(?P<unit>[BMT])(?:-A\d+(?:\.\d+)?B)?$", re.IGNORECASE
)
"""Parameters at the end of a model's name, as in ``Qwen3 235B-A22B``."""
LEADING = 0.2
"""Largest share of dense layers that counts as leading layers; a larger share is interleaved."""
SAME_WIDTH = 0.05
"""Accepted relative difference between the mean active width of a row and of the catalogue."""
MOST_APART = 0.2
"""Accepted difference between stated and counted parameters, as a fraction. Tied embeddings, for
example, change the count."""

ENCODER = 0.05
"""Smallest share of parameters beyond a stated shape that counts as a part of its own, such as an
image encoder."""


def model_of_row(row: Row, catalogue: Catalogue, notes: list[str]) -> dict[str, float]:
    """Return :class:`clustersim.performance.ModelArrays` fields of a row; empty if it has problems.

    Parameters
    ----------
    row : Row
        Problems are added to it.
    catalogue : Catalogue
    notes : list of str
        Notes on values that the column of remarks states are added to it.
    """
    known = _with_documents(row, _known_model(row, catalogue))
    model = _of_catalogue(row, known) if known is not None else _of_row(row)
    if model:
        if known is None or row.text("sliding_window"):
            _set_documents(row, model)
        _set_mixture(row, model, known, notes)
        _set_latent_attention(row, model)
        if known is None and not row.problems:
            _settle_by_params(row, model, notes)
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
        named_model(row, catalogue)
        message = f"model: {name!r} has another shape in the catalogue; correct the given columns"
    except InputError as error:
        message = f"model: {error.problems[0]}"
    row.problems[:] = [each for each in row.problems if each not in missing]
    row.problems.append(f"{message}; or give its {', '.join(absent)}")


def named_model(row: Row, catalogue: Catalogue) -> Model:
    """Look up the model of a row by its name without remarks, or else without the size in its name.

    Without the size, the name counts only if the size agrees with the model, or if the row gives
    its own widths, which the caller compares with those of the model.

    Raises
    ------
    InputError
        If the catalogue has no such model.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> named_model(Row({"model": "Llama3-8B (fine-tuning)"}), load_catalogue()).name
    'llama3-8b'
    """
    name, shaped = row.text("model"), bool(row.text("hidden") and row.text("heads"))
    plain = re.sub(r"\s*\(.*\)|\s+MoE$|\s+truncated.*|\s+(?:Q?LoRA|Instruct|Base)$", "", name)
    try:
        return catalogue.model(plain)
    except InputError:
        size = _SIZE.search(plain)
        if size is not None:
            with suppress(InputError):
                model = catalogue.model(plain[: size.start()])
                if shaped or abs(1e9 * _billions(size) / model.params - 1.0) < MOST_APART:
                    return model
        raise


def _billions(size: re.Match[str]) -> float:
    return float(size["number"]) * {"m": 1e-3, "b": 1.0, "t": 1e3}[size["unit"].lower()]


def _known_model(row: Row, catalogue: Catalogue) -> Model | None:
    """Return the catalogue's model that a row names; None if it is unknown or its shape differs.

    A row may give a mixture of experts fewer layers than the catalogue (a truncated model).
    """
    try:
        model = named_model(row, catalogue)
    except InputError:
        return None
    for column in ("hidden", "heads", "n_experts", "layers"):
        own = float(getattr(model, column))
        given = _plain_number(row, column, own)
        if given != own and not (column == "layers" and model.n_experts and given < own):
            return None
    return model


def _plain_number(row: Row, column: str, default: float) -> float:
    """Return a number without reporting a problem; the default if there is none."""
    given = Row(row.values).number(column, default, least=0.0, whole=False)
    return given if np.isfinite(given) else default


def _is_averaged(row: Row, known: Model) -> bool:
    """Whether a row describes a mixture by experts of equal width in every layer.

    Some tables have no columns for shared experts and for layers without experts. They count shared
    experts as selected ones (`topk`), or choose a width that gives each layer the mean number of
    active parameters. The catalogue's shape is then more accurate.
    """
    top_k = _plain_number(row, "topk", known.top_k)
    width = _plain_number(row, "ffn_hidden", known.expert_ffn_hidden)
    if (top_k, width) == (known.top_k, known.expert_ffn_hidden):
        return False
    share = known.moe_layers / known.layers
    active = share * (known.top_k + known.shared_experts) * known.expert_ffn_hidden
    active += (1.0 - share) * known.ffn_hidden
    return abs(top_k * width / active - 1.0) < SAME_WIDTH


def _of_catalogue(row: Row, known: Model) -> dict[str, float]:
    """Return the shape in the catalogue, updated with the values that the row gives."""
    own = ModelArrays.of([known])
    model = {field.name: float(getattr(own, field.name)[0]) for field in dataclasses.fields(own)}
    for name in ("hidden", "heads"):
        row.number(name, model[name])
    layers = row.number("layers", model["layers"])
    row.number("n_experts", model["n_experts"], least=0.0)
    model["vocab"] = row.number("vocab", model["vocab"])
    model["seq_len"] = row.number("seq_len", model["seq_len"])
    averaged = known.n_experts > 0 and _is_averaged(row, known)
    top_k = row.number("topk", model["top_k"], least=float(known.n_experts > 0))
    window = row.number("sliding_window", 0.0, least=0.0)
    if window:
        causal = known.kind == "language"
        model["span"] = attended_tokens(model["seq_len"], causal=causal, window=window)
    else:
        model["span"] = mean_attended_tokens(known, model["seq_len"])
    head_dim = row.number("head_dim", known.head_dim, whole=False)
    kv_heads = row.number("kv_heads", known.kv_heads)
    width = row.number("ffn_hidden", model["ffn_hidden"])
    if row.problems:
        return {}
    if layers != known.layers:
        _truncate(model, known, layers)
    plain = _attention_params(model) == model["attention_params"]
    if plain and (head_dim, kv_heads) != (known.head_dim, known.kv_heads):
        model["attention_width"] = known.heads * head_dim
        model["kv_width"] = kv_heads * head_dim
        model["attention_params"] = _attention_params(model)
    if not averaged:
        model["top_k"] = top_k
        if width not in (known.ffn_hidden, known.expert_ffn_hidden):
            model["expert_ffn_hidden" if known.n_experts else "ffn_hidden"] = width
    mlp = row.text("mlp_type").lower()
    if mlp in GATED or mlp in UNGATED:
        model["mlp_matrices"] = 3.0 if mlp in GATED else 2.0
    return model


def _truncate(model: dict[str, float], known: Model, layers: float) -> None:
    """Reduce the number of layers; leading dense layers are kept, other ones keep their share."""
    dense = known.layers - known.moe_layers
    kept = dense if dense <= LEADING * known.layers else dense * layers / known.layers
    model["moe_layers"] = max(layers - kept, 1.0)
    model["layers"] = layers
    model["other_params"] *= layers / known.layers


def _with_documents(row: Row, known: Model | None) -> Model | None:
    """Replace a model's own length of documents by the one that a row gives."""
    if known is None or not row.text("document_tokens"):
        return known
    return dataclasses.replace(
        known, document_tokens=round(_plain_number(row, "document_tokens", 0.0))
    )


def _set_documents(row: Row, model: dict[str, float]) -> None:
    """Reduce the attended tokens if documents of a sequence do not see each other."""
    tokens = row.number("document_tokens", model["seq_len"], whole=False)
    if not row.problems and tokens < model["seq_len"]:
        causal = model["span"] < model["seq_len"]
        model["span"] = min(model["span"], attended_tokens(tokens, causal=causal))


def _set_mixture(row: Row, model: dict[str, float], known: Model | None, notes: list[str]) -> None:
    """Set shared experts and dense layers from their columns, or else from the remarks.

    Remarks do not change a model of the catalogue, which is more complete.
    """
    columns = [name for name in ("shared_experts", "moe_layers", "dense_ffn_hidden")
               if row.text(name)]  # fmt: skip
    if not model["n_experts"]:
        row.problems += [f"{name}: can only be given with n_experts" for name in columns]
        return
    shared = row.number("shared_experts", model["shared_experts"], least=0.0, whole=False)
    layers = row.number("moe_layers", model["moe_layers"])
    dense = row.number("dense_ffn_hidden", model["ffn_hidden"])
    if row.problems:
        return
    if layers > model["layers"]:
        row.problems.append(
            f"moe_layers: must be at most the {model['layers']:g} layers, found {layers:g}"
        )
    remark = row.text("notes")
    if known is None and not row.text("shared_experts") and (said := shared_experts_in(remark)):
        shared = float(said[0])
        notes.append(f"shared_experts {said[0]} is taken from the column notes ({said[1]}).")
    if (
        known is None
        and not row.text("moe_layers")
        and (said := mixture_layers_in(remark, model["layers"]))
    ):
        layers = float(said[0])
        notes.append(f"moe_layers {said[0]} is taken from the column notes ({said[1]}).")
    model["shared_experts"], model["moe_layers"], model["ffn_hidden"] = shared, layers, dense


def _set_latent_attention(row: Row, model: dict[str, float]) -> None:
    """Replace the attention by multi-head latent attention if the row gives its ranks.

    The projections are those of DeepSeek-V2 (arXiv 2405.04434, section 2.1).
    """
    others = ("q_lora_rank", "qk_rope_head_dim", "v_head_dim")
    if not row.text("kv_lora_rank"):
        row.problems += [
            f"{name}: can only be given with kv_lora_rank" for name in others if row.text(name)
        ]
        return
    rank = row.number("kv_lora_rank")
    queries = row.number("q_lora_rank", 0.0, least=0.0)
    plain = row.number("head_dim", 128.0)
    rotary = row.number("qk_rope_head_dim", 64.0, least=0.0)
    value = row.number("v_head_dim", plain)
    if row.problems:
        return
    hidden, heads = model["hidden"], model["heads"]
    score = heads * (plain + rotary)
    model["attention_params"] = (
        (hidden * queries + queries * score if queries else hidden * score)
        + hidden * (rank + rotary)
        + rank * heads * (plain + value)
        + heads * value * hidden
    )
    model["attention_width"] = heads * (plain + rotary + value) / 2.0
    model["kv_width"] = model["attention_width"]


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
    return model


def _settle_by_params(row: Row, model: dict[str, float], notes: list[str]) -> None:
    """Use `params_b` for the number of MLP matrices, the expert width or other parameters.

    Other parameters of a dense model, such as those of an image encoder, use memory and are
    updated, but compute nothing.
    """
    params = 1e9 * row.number("params_b", 0.0, least=0.0, whole=False)
    if not params > 0:
        return
    layers, hidden = model["layers"], model["hidden"]
    rest = layers * model["attention_params"] + model["vocab"] * hidden
    mixtures = model["moe_layers"]
    mlps = layers
    if mixtures:
        rest += (layers - mixtures) * model["mlp_matrices"] * hidden * model["ffn_hidden"]
        mlps = mixtures * (model["n_experts"] + model["shared_experts"])
    mlp = params - rest
    if mlp <= 0:
        return
    width = model["expert_ffn_hidden"] or model["ffn_hidden"]
    counted = {matrices: mlps * matrices * hidden * width for matrices in (2.0, 3.0)}
    if mixtures and abs(counted[3.0] / mlp - 1.0) > MOST_APART:
        model["expert_ffn_hidden"] = mlp / (mlps * model["mlp_matrices"] * hidden)
    elif not model["n_experts"]:
        other = 5.0 - model["mlp_matrices"]
        said, instead = (abs(counted[n] / mlp - 1.0) for n in (model["mlp_matrices"], other))
        if said > MOST_APART > instead:
            model["mlp_matrices"] = other
        tables = (2.0 - model["tied"]) * model["vocab"] * hidden
        whole = layers * model["attention_params"] + tables + counted[model["mlp_matrices"]]
        if ENCODER < params / whole - 1.0 <= MOST_APART:
            model["other_params"] = params - whole
            notes.append(
                f"params_b has {model['other_params'] / 1e9:.3g} billion parameters more than the "
                "shape; they take memory and are synchronised and updated, but compute nothing."
            )
