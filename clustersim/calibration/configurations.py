"""Tables of training configurations: a row a run, as published measurements describe it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.row import Row
from clustersim.catalogue import Accelerator, Catalogue, Model
from clustersim.errors import InputError
from clustersim.performance import LEVELS, AcceleratorArrays, ModelArrays, Plans, labels_of
from clustersim.performance.arrays import attended_tokens
from clustersim.performance.world import UNKNOWN

__all__ = ["COLUMNS", "Configurations", "read_configurations"]

Array = NDArray[np.float64]

GATED = ("swiglu", "geglu", "silu", "swish", "gated")
RECOMPUTE_MODES = {"none": 0.0, "selective": 1.0, "full": 2.0, "block": 2.0}
PRECISIONS = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "mxfp8": "fp8", "fp32": "bf16"}
KINDS = ("pretrain", "sft", "lora", "rl-update")
SHAPE = ("layers", "hidden", "heads", "ffn_hidden", "vocab")

COLUMNS: Mapping[str, str] = {
    "accelerator": "name of a chip of the catalogue",
    "n_accelerators": "chips of the job (default: tp pp dp cp)",
    "devices_per_node": "chips of one scale-up domain (default: the chip's)",
    "inter_node_gbps_per_device": "network of a chip in Gb/s (default: the chip's)",
    "model": "name; a model of the catalogue fills in a shape that is not given",
    "params_b": "parameters in thousand millions; settles how many matrices an MLP has",
    "layers": "transformer layers",
    "hidden": "width",
    "heads": "attention heads",
    "kv_heads": "key and value heads (default: heads)",
    "head_dim": "width of a head (default: hidden / heads)",
    "ffn_hidden": "width of the MLP, of one expert in a mixture",
    "mlp_type": "swiglu, geglu, gelu, relu, relu2",
    "vocab": "size of the vocabulary",
    "seq_len": "tokens of a sequence",
    "sliding_window": "tokens that attention looks back (default: all)",
    "n_experts": "experts of a layer (default: none)",
    "topk": "experts of a token",
    "global_batch": "sequences of a step",
    "micro_batch": "sequences of a micro-batch (default: 1)",
    "tp": "tensor parallel size (default: 1)",
    "pp": "pipeline stages (default: 1)",
    "vpp": "model chunks of a stage (default: 1)",
    "dp": "data parallel size (default: what is left)",
    "ep": "expert parallel size (default: 1)",
    "cp": "context parallel size (default: 1)",
    "precision": "bf16, fp16 or fp8 (default: bf16)",
    "recompute": "none, selective or full (default: none)",
    "zero": "0 to 3, fsdp, or 1(group=8) (default: 1)",
    "seq_parallel": "0 or 1 (default: 1 where tp > 1)",
    "flash_attn": "0 or 1 (default: 1)",
    "comm_overlap": "0 or 1 (default: 1)",
    "framework": "software stack (default: unknown)",
    "kind": "pretrain, SFT, LoRA or RL-update (default: pretrain)",
    "family": "source of the row (optional)",
}
"""Columns that describe a run, with their defaults; all others are carried along."""


@dataclass(frozen=True)
class Configurations:
    """Runs as arrays, and why the others of a table cannot be evaluated.

    Attributes
    ----------
    models, chips, plans
        Structs of arrays of shape (R,) for the R rows that are complete enough.
    global_batch : array, shape (R,)
    labels : list of tuple of str
        What each row belongs to, for :meth:`clustersim.performance.World.coefficients`.
    accelerators : list of Accelerator
        The chip of each row.
    index : array of int, shape (R,)
        Place of each row in the table.
    reason : list of str
        For each row of the table, why it is left out; empty where it is not.
    """

    models: ModelArrays
    chips: AcceleratorArrays
    plans: Plans
    global_batch: Array
    labels: list[tuple[str, ...]]
    accelerators: list[Accelerator]
    index: NDArray[np.intp]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kinds(self) -> list[str]:
        """What scatters alike: the product, and whether the model is a mixture of experts."""
        product = LEVELS.index("product")
        names = ["" if labels[product] == UNKNOWN else labels[product] for labels in self.labels]
        return [
            f"{name} mixture".strip() if experts else name
            for name, experts in zip(names, self.models.n_experts > 0, strict=True)
        ]

    def take(self, rows: NDArray[Any]) -> Configurations:
        """Return some of the rows, in that order."""
        rows = np.asarray(rows)
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Configurations(
            self.models.take(chosen),
            self.chips.take(chosen),
            self.plans.take(chosen),
            self.global_batch[chosen],
            [self.labels[row] for row in chosen],
            [self.accelerators[row] for row in chosen],
            self.index[chosen],
            self.reason,
        )


def read_configurations(frame: pd.DataFrame, catalogue: Catalogue) -> Configurations:
    """Make arrays of a table whose columns are those of :data:`COLUMNS`.

    A row that names a model of the catalogue takes its shape (heads' width, experts, windows)
    where the given columns agree with it. Where the parameters (`params_b`) contradict the type of
    the MLP or the width of the experts, these follow from the parameters.

    Parameters
    ----------
    frame : DataFrame
        As read with ``dtype=str`` or with numbers; unknown columns are not looked at.
    catalogue : Catalogue

    Raises
    ------
    InputError
        Where the table has none of the columns.
    """
    if not set(COLUMNS) & set(frame.columns):
        raise InputError("table", f"has none of the columns {', '.join(COLUMNS)}")
    known = [name for name in COLUMNS if name in frame.columns]
    records = frame[known].to_dict("records")
    parsed, index, reason = [], [], []
    for place, values in enumerate(records):
        row = Row({str(column): value for column, value in values.items()})
        entry = _parse(row, catalogue)
        reason.append("; ".join(dict.fromkeys(row.problems)))
        if entry is not None and not row.problems:
            parsed.append(entry)
            index.append(place)
    return _stack(parsed, np.array(index, dtype=np.intp), reason)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row that is complete: numbers by field of each struct of arrays."""

    model: dict[str, float]
    chip: Accelerator
    precision: str
    nic_Bps: float
    domain: float
    plan: dict[str, float]
    global_batch: float
    labels: tuple[str, ...]


def _parse(row: Row, catalogue: Catalogue) -> _Entry | None:
    chip = _chip(row, catalogue)
    precision = PRECISIONS[row.choice("precision", "bf16", tuple(PRECISIONS))]
    model = _model(row, catalogue)
    plan = _plan(row)
    batch = row.number("global_batch")
    if chip is None or row.problems:
        return None
    gbps = row.number("inter_node_gbps_per_device", chip.nic_Bps * 8e-9, least=1e-3, whole=False)
    domain = row.number("devices_per_node", float(chip.scaleup_size))
    if row.problems:
        return None
    labels = labels_of(chip, row.text("framework"), precision, row.text("family"))
    domain = min(domain, float(max(chip.scaleup_size, 1)))
    return _Entry(model, chip, precision, gbps / 8e-9, domain, plan, batch, labels)


def _chip(row: Row, catalogue: Catalogue) -> Accelerator | None:
    name = row.text("accelerator")
    if not name:
        row.problems.append("accelerator: missing")
        return None
    try:
        return catalogue.accelerator(name)
    except InputError as error:
        row.problems.append(f"accelerator: {error.problems[0]}")
        return None


def _model(row: Row, catalogue: Catalogue) -> dict[str, float]:
    known = _known_model(row, catalogue)
    given = {name: row.number(name, getattr(known, name, None)) for name in SHAPE}
    heads, hidden = given["heads"], given["hidden"]
    seq_len = row.number("seq_len", known.seq_len if known else None)
    experts = row.number("n_experts", known.n_experts if known else 0.0, least=0.0)
    if row.problems:
        return {}
    head_dim = row.number("head_dim", known.head_dim if known else hidden / heads, whole=False)
    kv_heads = row.number("kv_heads", known.kv_heads if known else heads)
    window = row.number("sliding_window", 0.0, least=0.0)
    attention_width, kv_width = heads * head_dim, kv_heads * head_dim
    model = {
        "layers": given["layers"],
        "hidden": hidden,
        "attention_width": attention_width,
        "kv_width": kv_width,
        "heads": heads,
        "ffn_hidden": given["ffn_hidden"],
        "mlp_matrices": 3.0 if row.text("mlp_type").lower() in GATED else 2.0,
        "vocab": given["vocab"],
        "tied": float(known.tied_embeddings) if known else 0.0,
        "seq_len": seq_len,
        "span": attended_tokens(seq_len, causal=True, window=window),
        "n_experts": experts,
        "top_k": row.number("topk", known.top_k if known else (0.0 if experts == 0 else None)),
        "shared_experts": 0.0,
        "moe_layers": given["layers"] if experts else 0.0,
        "expert_ffn_hidden": given["ffn_hidden"] if experts else 0.0,
        "attention_params": 2.0 * hidden * (attention_width + kv_width),
        "other_params": 0.0,
    }
    if known is not None:
        model |= {
            "mlp_matrices": 3.0 if known.gated_mlp else 2.0,
            "shared_experts": float(known.shared_experts),
            "moe_layers": float(known.moe_layers),
            "expert_ffn_hidden": float(known.expert_ffn_hidden),
            "attention_params": known.attention_params_per_layer,
        }
    else:
        _settle_by_params(row, model)
    return model


def _known_model(row: Row, catalogue: Catalogue) -> Model | None:
    """Return the model of the catalogue that the row names, unless its shape is another."""
    name = row.text("model")
    try:
        model = catalogue.model(re.sub(r"\s*\(.*\)|\s+MoE$|\s+truncated.*", "", name))
    except InputError:
        return None
    for column in ("layers", "hidden", "heads", "n_experts"):
        given = Row(row.values).number(column, float(getattr(model, column)), least=0.0)
        if np.isfinite(given) and given != getattr(model, column):
            return None
    return model


def _settle_by_params(row: Row, model: dict[str, float]) -> None:
    """Let `params_b` decide between two and three matrices, and the width of experts."""
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


MOST_APART = 0.2
"""Parameters may differ by this share from those counted (embeddings tied or not)."""


def _plan(row: Row) -> dict[str, float]:
    plan = {name: row.number(name, 1.0) for name in ("tp", "pp", "cp", "ep", "vpp", "micro_batch")}
    inner = plan["tp"] * plan["pp"] * plan["cp"]
    dp = row.number("dp", 0.0, least=0.0)
    chips = row.number("n_accelerators", inner * dp if dp else None)
    if row.problems:
        return plan
    if not dp or inner * dp != chips:
        if chips % inner:
            row.problems.append(
                f"n_accelerators: must be a multiple of tp pp cp = {inner:g}, found {chips:g}"
            )
        dp = chips / inner
    zero, group = _zero(row)
    plan |= {
        "dp": dp,
        "recompute": RECOMPUTE_MODES[row.choice("recompute", "none", tuple(RECOMPUTE_MODES))],
        "zero": zero,
        "zero_group": group,
        "flash": row.flag("flash_attn", 1.0),
        "sequence_parallel": row.flag("seq_parallel", float(plan["tp"] > 1)),
        "overlap": row.flag("comm_overlap", 1.0),
        "lora": float(row.choice("kind", "pretrain", KINDS) == "lora"),
    }
    return plan


def _zero(row: Row) -> tuple[float, float]:
    """Read a ZeRO stage and its group: ``3``, ``fsdp``, ``1(group=8)``, ``1(group=dp)``."""
    text = row.text("zero").lower()
    if not text:
        return 1.0, 0.0
    if text.startswith(("fsdp", "hsdp")):
        return (2.0 if "zero2" in text else 3.0), 0.0
    if text in ("none", "ddp", "no"):
        return 0.0, 0.0
    match = re.fullmatch(r"(?:zero[- ]?)?([0-3])(?:\.0)?(?:\(group=(\d+|dp)\))?", text)
    if match is None:
        row.problems.append(f"zero: must be 0, 1, 2, 3, fsdp or like 1(group=8), found {text!r}")
        return 1.0, 0.0
    group = match.group(2)
    return float(match.group(1)), float(group) if group and group != "dp" else 0.0


def _stack(entries: list[_Entry], index: NDArray[np.intp], reason: list[str]) -> Configurations:
    def columns(rows: list[dict[str, float]], kind: type[Any]) -> Any:
        names = [field.name for field in dataclasses.fields(kind)]
        return kind(*(np.array([row[name] for row in rows]) for name in names))

    return Configurations(
        models=columns([entry.model for entry in entries], ModelArrays),
        chips=_chips(entries),
        plans=columns([entry.plan for entry in entries], Plans),
        global_batch=np.array([entry.global_batch for entry in entries]),
        labels=[entry.labels for entry in entries],
        accelerators=[entry.chip for entry in entries],
        index=index,
        reason=reason,
    )


def _chips(entries: list[_Entry]) -> AcceleratorArrays:
    fields: dict[str, Any]
    if not entries:
        fields = {field.name: np.zeros(0) for field in dataclasses.fields(AcceleratorArrays)}
        return AcceleratorArrays(**fields)
    by_precision = {
        precision: AcceleratorArrays.of([entry.chip for entry in entries], precision)
        for precision in ("bf16", "fp8")
    }
    fp8 = np.array([entry.precision == "fp8" for entry in entries], dtype=bool)
    fields = {
        field.name: np.where(
            fp8,
            getattr(by_precision["fp8"], field.name),
            getattr(by_precision["bf16"], field.name),
        )
        for field in dataclasses.fields(AcceleratorArrays)
    }
    fields["nic_Bps"] = np.array([entry.nic_Bps for entry in entries])
    fields["scaleup_size"] = np.array([entry.domain for entry in entries])
    return AcceleratorArrays(**fields)
