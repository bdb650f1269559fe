"""Tables of training configurations: a row a run, as published measurements describe it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.plan_faults import plan_faults, plan_remarks
from clustersim.calibration.row import Row
from clustersim.calibration.row_model import model_of_row
from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError
from clustersim.performance import LEVELS, AcceleratorArrays, ModelArrays, Plans, labels_of
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.step_time import step_seconds
from clustersim.performance.world import UNKNOWN

__all__ = ["COLUMNS", "Configurations", "read_configurations"]

Array = NDArray[np.float64]

RECOMPUTE_MODES = {"none": 0.0, "selective": 1.0, "full": 2.0, "block": 2.0}
PRECISIONS = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "mxfp8": "fp8", "fp32": "bf16"}
KINDS = ("pretrain", "sft", "lora", "qlora", "rl-update")
ADAPTERS = ("lora", "qlora")

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
    notes : list of str
        For each row of the table, what is unusual of its plan; empty where nothing is.
    """

    models: ModelArrays
    chips: AcceleratorArrays
    plans: Plans
    global_batch: Array
    labels: list[tuple[str, ...]]
    accelerators: list[Accelerator]
    index: NDArray[np.intp]
    reason: list[str]
    notes: list[str] = field(default_factory=list)

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

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Labels of the rows that depend on a coefficient; one is of microbenchmarks alone."""
        return [] if parameter == "launch_s" else self.labels

    def log_seconds(self, coefficients: Coefficients) -> Array:
        """Logarithm of the step times, shape (R,), or with an axis of draws before."""
        return np.log(
            step_seconds(self.models, self.chips, self.plans, self.global_batch, coefficients)
        )

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
            self.notes,
        )


def read_configurations(
    frame: pd.DataFrame, catalogue: Catalogue, *, searched: bool = False
) -> Configurations:
    """Make arrays of a table whose columns are those of :data:`COLUMNS`.

    A row that names a model of the catalogue takes its shape (heads' width, experts, windows)
    where the given columns agree with it. Where the parameters (`params_b`) contradict the type of
    the MLP or the width of the experts, these follow from the parameters.

    Parameters
    ----------
    frame : DataFrame
        As read with ``dtype=str`` or with numbers; unknown columns are not looked at.
    catalogue : Catalogue
    searched : bool
        Whether rows with neither `tp` nor `pp` have their plan searched afterwards, so that what
        depends on the data-parallel size is not checked.

    Raises
    ------
    InputError
        Where the table has none of the columns.
    """
    if not set(COLUMNS) & set(frame.columns):
        raise InputError("table", f"has none of the columns {', '.join(COLUMNS)}")
    known = [name for name in COLUMNS if name in frame.columns]
    records = frame[known].to_dict("records")
    parsed, index, reason, notes = [], [], [], []
    for place, values in enumerate(records):
        row = Row({str(column): value for column, value in values.items()})
        entry = _parse(row, catalogue, searched)
        reason.append("; ".join(dict.fromkeys(row.problems)))
        if entry is not None and not row.problems:
            parsed.append(entry)
            index.append(place)
        notes.append("; ".join(entry.remarks) if entry is not None else "")
    return _stack(parsed, np.array(index, dtype=np.intp), reason, notes)


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
    remarks: list[str]


def _parse(row: Row, catalogue: Catalogue, searched: bool) -> _Entry | None:
    chip = _chip(row, catalogue)
    precision = PRECISIONS[row.choice("precision", "bf16", tuple(PRECISIONS))]
    model = model_of_row(row, catalogue)
    plan, remarks = _plan(row)
    batch = row.number("global_batch")
    if chip is None or row.problems:
        return None
    gbps = row.number("inter_node_gbps_per_device", chip.nic_Bps * 8e-9, least=1e-3, whole=False)
    domain = row.number("devices_per_node", float(chip.scaleup_size))
    if row.problems:
        return None
    labels = labels_of(chip, row.text("framework"), precision, row.text("family"))
    domain = min(domain, float(max(chip.scaleup_size, 1)))
    searched = searched and not (row.text("tp") or row.text("pp"))
    row.problems += plan_faults(plan | ({"dp": 0.0} if searched else {}), model, batch)
    if searched:
        remarks = []
    else:
        reach = 1.0 if chip.scaleup_shape == "none" else domain
        remarks += plan_remarks(plan, model["heads"], reach, batch)
    return _Entry(model, chip, precision, gbps / 8e-9, domain, plan, batch, labels, remarks)


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


def _plan(row: Row) -> tuple[dict[str, float], list[str]]:
    """Read a plan; what had to be changed in it."""
    plan = {name: row.number(name, 1.0) for name in ("tp", "pp", "cp", "ep", "vpp", "micro_batch")}
    inner = plan["tp"] * plan["pp"] * plan["cp"]
    dp = row.number("dp", 0.0, least=0.0)
    chips = row.number("n_accelerators", inner * dp if dp else None)
    remarks: list[str] = []
    if row.problems:
        return plan, remarks
    if not dp or inner * dp != chips:
        if chips % inner:
            row.problems.append(
                f"n_accelerators: must be a multiple of tp pp cp = {inner:g}, found {chips:g}"
            )
        if dp:
            remarks.append(
                f"dp {dp:g} is taken for {chips / inner:g}: n_accelerators {chips:g} over tp pp cp "
                f"{inner:g}"
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
        "lora": float(row.choice("kind", "pretrain", KINDS) in ADAPTERS),
    }
    return plan, remarks


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


def _stack(
    entries: list[_Entry], index: NDArray[np.intp], reason: list[str], notes: list[str]
) -> Configurations:
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
        notes=notes,
    )


def _chips(entries: list[_Entry]) -> AcceleratorArrays:
    arrays = chip_arrays([entry.chip for entry in entries], [entry.precision for entry in entries])
    return dataclasses.replace(
        arrays,
        nic_Bps=np.array([entry.nic_Bps for entry in entries]),
        scaleup_size=np.array([entry.domain for entry in entries]),
    )


def chip_arrays(chips: Sequence[Accelerator], precisions: Sequence[str]) -> AcceleratorArrays:
    """Make arrays of some chips, each with the peak of its own precision (bf16 or fp8)."""
    if not chips:
        fields = {field.name: np.zeros(0) for field in dataclasses.fields(AcceleratorArrays)}
        return AcceleratorArrays(**fields)  # type: ignore[arg-type]
    bf16, fp8 = (AcceleratorArrays.of(chips, precision) for precision in ("bf16", "fp8"))
    narrow = np.array([precision == "fp8" for precision in precisions], dtype=bool)
    return AcceleratorArrays(
        *(
            np.where(narrow, getattr(fp8, field.name), getattr(bf16, field.name))
            for field in dataclasses.fields(AcceleratorArrays)
        )
    )
