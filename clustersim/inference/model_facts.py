"""Facts of models for serving, by name; a table may replace or complete them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.catalogue.catalogue import key_of
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.inference.served_model import (
    DIFFUSION,
    ServedModel,
    of_catalogue,
    shape_by_size,
)

__all__ = ["known_model", "served_model", "with_given"]

DATA = Path(__file__).parent / "data" / "models.yaml"
_ENDINGS = (
    r"-(instruct|chat|it|base|hf|preview|dev|dynamic|(thinking-|instruct-)?2507"
    r"|fp8|bf16|nvfp4|fp4|mxfp4|awq|gptq|w8a8|w4a8|w4a16|int8|int4)$"
)
"""Endings of a model's name that do not change its shape."""


class ModelFacts(FileModel):
    """One entry of ``data/models.yaml``; numbers as in :class:`ServedModel`."""

    shape: str | None = None
    aliases: tuple[str, ...] = ()
    source: str
    kind: str | None = None
    layers: float | None = None
    hidden: float | None = None
    heads: float | None = None
    kv_heads: float | None = None
    head_dim: float | None = None
    params: float | None = None
    active_params: float | None = None
    vocab: float | None = None
    n_experts: float | None = None
    top_k: float | None = None
    moe_layers: float | None = None
    attention_layers: float | None = None
    latent: float | None = None
    latent_heads: float | None = None
    window: float | None = None
    windowed_layers: float | None = None
    sparse_tokens: float | None = None
    state_bytes: float | None = None
    weights: str | None = None
    stride: float | None = None
    time_stride: float | None = None
    text_tokens: float | None = None
    passes: float | None = None
    pass_flops: float | None = None
    linear: bool | None = None


class ModelFile(FileModel):
    """Content of ``data/models.yaml``."""

    models: dict[str, ModelFacts]


@functools.cache
def _facts() -> Mapping[str, tuple[str, ModelFacts]]:
    """Return name and facts by each normalised name and alias."""
    known = validate(ModelFile, read_yaml(DATA), DATA).models
    found = {key_of(alias): (name, one) for name, one in known.items() for alias in one.aliases}
    return {**found, **{key_of(name): (name, one) for name, one in known.items()}}


def _keys(name: str) -> list[str]:
    """Return the spellings under which a name is looked up, the most exact first."""
    key = key_of(name.rpartition("/")[2] if name.count("/") == 1 else name)
    keys = [key_of(name), key]
    while (shorter := re.sub(_ENDINGS, "", key)) != key:
        key = shorter
        keys.append(key)
    return list(dict.fromkeys(keys))


def known_model(name: str, catalogue: Catalogue | None = None) -> ServedModel | None:
    """Return a model by its name or alias, or None.

    Endings such as ``-Instruct`` or ``-FP8`` and the name of the publisher are ignored.

    Examples
    --------
    >>> from clustersim.inference.model_facts import known_model
    >>> known_model("Qwen/Qwen3-32B-FP8").layers, known_model("unheard-of")
    (64.0, None)
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    models = {key_of(n): m for m in catalogue.models.values() for n in (*m.aliases, m.name)}
    for key in _keys(name):
        own, facts = _facts().get(key, (key, None))
        shape = models.get(key_of(own if facts is None or facts.shape is None else facts.shape))
        if facts is None and shape is None:
            continue
        fields: dict[str, Any] = {} if shape is None else of_catalogue(shape)
        if facts is not None:
            given = facts.model_dump(exclude_none=True, exclude={"shape", "aliases", "source"})
            fields = {"kind": "language", **fields, **given, "name": own}
        fields.setdefault("attention_layers", fields["layers"])
        return ServedModel(**fields)
    return None


def served_model(name: str, catalogue: Catalogue | None = None) -> ServedModel:
    """Return a model by its name or alias.

    Raises
    ------
    InputError
        If there is no such model. The message suggests the nearest names.

    Examples
    --------
    >>> from clustersim.inference import served_model
    >>> served_model("gpt-oss-120b").weights
    'mxfp4'
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    found = known_model(name, catalogue)
    if found is None:
        names = sorted({*catalogue.models, *(own for own, _ in _facts().values())})
        raise InputError("model", unknown_name("model", name, names))
    return found


def with_given(
    known: ServedModel | None, given: Mapping[str, float], attention: str
) -> ServedModel:
    """Return a model with the numbers of a table, which take precedence over known ones.

    Parameters
    ----------
    known : ServedModel or None
        What is known of a model of this name.
    given : mapping of str to float
        Fields of :class:`ServedModel`; must contain `params` if `known` is None.
    attention : str
        The table's words for the kind of attention, such as ``MLA sparse`` or ``GQA``.
    """
    if known is not None:
        layers = given.get("layers", known.layers)
        if known.attention_layers == known.layers:
            given = {**given, "attention_layers": layers}
        return dataclasses.replace(known, **given)  # type: ignore[arg-type]
    params = given["params"]
    active = given.get("active_params", params)
    mixture = active < 0.9 * params or given.get("n_experts", 0.0) > 0
    fields: dict[str, Any] = {**shape_by_size(params, active, mixture=mixture), **given}
    if "hidden" in given and "heads" not in given:
        fields["heads"] = max(1.0, round(given["hidden"] / 128.0))
    if "MHA" in attention and "kv_heads" not in given:
        fields["kv_heads"] = fields["heads"]
    fields["active_params"] = active
    if mixture:
        fields = {"n_experts": 128.0, "top_k": 8.0, "moe_layers": fields["layers"], **fields}
    fields["attention_layers"] = fields["layers"]
    return ServedModel(**{"name": "unknown", "kind": "language", **fields, **_kind_of(attention)})


def _kind_of(attention: str) -> dict[str, float]:
    """Return the facts that a word for the kind of attention implies."""
    words = attention.lower()
    facts: dict[str, float] = {}
    if "mla" in words:
        facts |= {"latent": 576.0, "latent_heads": 320.0}
    if "sparse" in words:
        facts["sparse_tokens"] = 2048.0
    return facts


def is_diffusion(model: ServedModel) -> bool:
    """Whether a model makes images or videos."""
    return model.kind in DIFFUSION
