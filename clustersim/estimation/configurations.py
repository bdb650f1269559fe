"""Tables of training configurations: one row per run, as in published measurements."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError
from clustersim.estimation.assumed_inputs import Filled, fill_missing
from clustersim.estimation.assumptions import PRECISIONS, precision_used, stack_used
from clustersim.estimation.given_plan import (
    DISPATCHER_WORDS,
    Given,
    completed,
    is_searched,
    read_dispatcher,
    read_recompute,
    read_zero,
)
from clustersim.estimation.memory_columns import MEMORY_COLUMNS, read_memory
from clustersim.estimation.remarks import dispatcher_in, expert_tp_in, mixtures_in
from clustersim.estimation.row import Row
from clustersim.estimation.row_model import model_of_row
from clustersim.performance import (
    LEVELS,
    AcceleratorArrays,
    Calibration,
    MemoryRules,
    ModelArrays,
    Plans,
    labels_of,
    memory_rules,
)
from clustersim.performance.arrays import DISPATCHERS, scaleup_domain
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.plan_rules import judge
from clustersim.performance.stacks import dispatcher_of
from clustersim.performance.step_time import step_seconds

__all__ = ["COLUMNS", "Configurations", "read_configurations"]


KINDS = ("pretrain", "sft", "lora", "qlora", "rl-update")
ADAPTERS = ("lora", "qlora")
SWITCH_COLUMNS = {
    "flash": "flash_attn",
    "sequence_parallel": "seq_parallel",
    "overlap": "comm_overlap",
}

COLUMNS: Mapping[str, str] = {
    "accelerator": "name of a chip in the catalogue",
    "n_accelerators": "number of chips of the job (default: tp x pp x dp x cp)",
    "devices_per_node": "chips in one scale-up domain (default: the chip's)",
    "inter_node_gbps_per_device": "network bandwidth per chip in Gb/s (default: the chip's)",
    "model": "name; a model in the catalogue fills in the parts of the shape that are not given",
    "params_b": "parameters in billions; settles how many matrices an MLP has, and counts what the "
    "shape lacks",
    "layers": "transformer layers",
    "hidden": "width of the hidden activations",
    "heads": "attention heads",
    "kv_heads": "key and value heads (default: heads)",
    "head_dim": "width of a head (default: hidden / heads)",
    "ffn_hidden": "width of the MLP, or of one expert in a mixture",
    "mlp_type": "swiglu, geglu, gelu, relu, relu2",
    "vocab": "size of the vocabulary",
    "seq_len": "tokens per sequence",
    "sliding_window": "length of the attention window in tokens (default: all)",
    "document_tokens": "tokens of a document, averaged over tokens, if documents are packed into a "
    "sequence and attend only to themselves (default: seq_len)",
    "n_experts": "experts per layer (default: none)",
    "topk": "routed experts per token",
    "shared_experts": "experts that process every token, each as wide as a routed one (default: "
    "the catalogue's, or the number in `notes`, as in `1 shared expert`; otherwise none)",
    "moe_layers": "layers with experts (default: the catalogue's, or as in `notes`: `first 3 "
    "layers dense`, `moe-layer-freq 2`; otherwise all)",
    "dense_ffn_hidden": "width of the MLP in layers without experts (default: ffn_hidden)",
    "kv_lora_rank": "width of the latent keys and values, for multi-head latent attention; "
    "head_dim is then the width of a query without rotary positions",
    "q_lora_rank": "width of the latent queries (default: queries are not compressed)",
    "qk_rope_head_dim": "width of the rotary part of a latent query or key (default: 64)",
    "v_head_dim": "width of a value in latent attention (default: head_dim)",
    "global_batch": "sequences per step",
    "micro_batch": "sequences per micro-batch (default: 1)",
    "tp": "tensor parallel size (default: 1; if a row gives none of tp, pp, dp, cp, ep, etp, "
    "vpp, micro_batch, recompute, zero and zero_group, its plan is searched for)",
    "pp": "pipeline stages (default: 1)",
    "vpp": "model chunks per stage (default: 1)",
    "dp": "data parallel size (default: chips / (tp x pp x cp))",
    "ep": "expert parallel size, over any chips of a stage (default: 1)",
    "etp": "expert tensor parallel size, chips per expert (default: the size in `notes`, as in "
    "`expert TP 2`; otherwise 1 if ep > 1, else tp)",
    "cp": "context parallel size (default: 1)",
    "precision": "bf16, fp16, fp8, mxfp8 or fp32 (default: bf16)",
    "recompute": "none, selective, full, or `block:N` and `block, N layers` for full recompute of "
    "N layers per stage (default: none; in predictions, that of the stack)",
    "recompute_layers": "layers per stage that full recompute repeats (default: all)",
    "moe_recompute": "0 or 1: mixtures of experts are recomputed (default: 1 if `recompute` or "
    "`notes` lists them, as in `recompute layernorm+moe`; otherwise 0)",
    "dispatcher": "alltoall, allgather, deepep or hybridep: how tokens reach experts (default: the "
    "one in `notes`, otherwise as usual for the stack)",
    "cuda_graphs": "0 or 1: kernels of a layer are launched as CUDA graphs, unlike in the "
    "measured runs of the stack (default: 0)",
    "zero": "0 to 3, fsdp, or 1(group=8) (default: 1, or 0 if no two ranks have the same weights)",
    "zero_group": "ranks over which ZeRO splits (default: all, or the group in zero)",
    "seq_parallel": "0 or 1 (default: 1 if tp > 1)",
    "flash_attn": "0 or 1 (default: 1)",
    "comm_overlap": "0 or 1 (default: 1)",
    "framework": "software stack (default: the chip's most frequently measured recent release)",
    "kind": "pretrain, SFT, LoRA or RL-update (default: pretrain)",
    "lora": "0 or 1: low-rank adapters (default: 1 if kind is LoRA or QLoRA)",
    "family": "table or paper of the row (optional; used only by `clustersim fit`)",
    "publisher": "who ran it (optional; `clustersim fit` leaves out all rows of one publisher "
    "together; default: the family)",
    **MEMORY_COLUMNS,
}
"""Columns that describe a run, with their defaults; other columns are kept as they are."""

REMARKS = "notes"
"""Column of free text, in which published tables state settings that have no column of their own
(:mod:`clustersim.estimation.remarks`)."""


@dataclass(frozen=True)
class Configurations:
    """Runs as arrays, and the reasons why other rows of a table cannot be evaluated.

    Attributes
    ----------
    models, chips, plans
        Structs of arrays of shape (R,) for the R rows that can be evaluated.
    global_batch : array, shape (R,)
    labels : list of tuple of str
        The labels of each row, for :meth:`clustersim.performance.CoefficientDraw.coefficients`.
    accelerators : list of Accelerator
        The chip of each row.
    index : array of int, shape (R,)
        Position of each row in the table.
    reason : list of str
        For each row of the table, why it is left out; empty if it is used.
    notes : list of list of str
        For each row of the table, what was assumed and what is unusual about its plan.
    memory_options : list of mapping of str to str
        Memory options of each of the R rows (:func:`clustersim.performance.parse_memory`); empty
        if all rows use those of their stack.
    searched : list of bool
        For each row of the table, whether its plan must be searched for; its own plan is then a
        placeholder without parallelism.
    timed : list of bool
        For each row of the table, whether enough is known for a step time, and not for memory only.
    unknown : list of frozenset of str
        For each row of the table, the settings that are not known and widen the distribution of its
        memory (:data:`clustersim.estimation.assumed_inputs.SPREADS`).
    stack_assumed : list of bool
        Whether the stack of each of the R rows is assumed; empty if none is.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([row])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> rows.plans.dp.tolist(), rows.reason
    ([8.0], [''])
    """

    models: ModelArrays
    chips: AcceleratorArrays
    plans: Plans
    global_batch: Floats
    labels: list[tuple[str, ...]]
    accelerators: list[Accelerator]
    index: NDArray[np.intp]
    reason: list[str]
    notes: list[list[str]] = field(default_factory=list)
    searched: list[bool] = field(default_factory=list)
    timed: list[bool] = field(default_factory=list)
    unknown: list[frozenset[str]] = field(default_factory=list)
    memory_options: list[Mapping[str, str]] = field(default_factory=list)
    stack_assumed: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def interval_labels(self) -> list[tuple[str, ...]]:
        """Labels that set the width of each row's interval: an assumed stack counts as unknown."""
        if not any(self.stack_assumed):
            return self.labels
        return [
            labels_of(chip, "", "fp8" if narrow else "bf16") if assumed else labels
            for labels, chip, narrow, assumed in zip(
                self.labels, self.accelerators, self.chips.fp8, self.stack_assumed, strict=True
            )
        ]

    @property
    def memory(self) -> MemoryRules:
        """Memory rules of each row, which depend on its stack, chip and options."""
        families = [chip.family for chip in self.accelerators]
        return memory_rules(self.stacks, families, self.memory_options)

    @property
    def stacks(self) -> list[str]:
        """Software stack of each row; ``""`` if it is unknown."""
        release = LEVELS.index("release")
        return ["" if labels[release] == UNKNOWN else labels[release] for labels in self.labels]

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Return the labels of the rows that depend on a coefficient; empty for ``launch_s``.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = read_configurations(pd.DataFrame([{**job, "count": 8}]), catalogue)
        >>> len(rows.labels_with("matmul_efficiency")), rows.labels_with("launch_s")
        (1, [])
        """
        return [] if parameter == "launch_s" else self.labels

    def log_seconds(self, coefficients: Coefficients) -> Floats:
        """Return the logarithms of the step times.

        The result is an array of shape (R,), or (draws, R) for several draws.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = read_configurations(pd.DataFrame([{**job, "count": 8}]), catalogue)
        >>> coefficients = cs.performance.default_draw().coefficients(rows.labels)
        >>> rows.log_seconds(coefficients).shape
        (1,)
        """
        return np.log(
            step_seconds(self.models, self.chips, self.plans, self.global_batch, coefficients)
        )

    def take(self, rows: NDArray[Any]) -> Configurations:
        """Return the rows at the given positions, in this order, or those that a mask selects.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> table = pd.DataFrame([{**job, "count": count} for count in (8, 16)])
        >>> rows = read_configurations(table, catalogue)
        >>> rows.take([1]).index.tolist()
        [1]
        """
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
            self.searched,
            self.timed,
            self.unknown,
            [self.memory_options[row] for row in chosen] if self.memory_options else [],
            [self.stack_assumed[row] for row in chosen] if self.stack_assumed else [],
        )


def read_configurations(
    frame: pd.DataFrame, catalogue: Catalogue, *, assumed: Calibration | None = None
) -> Configurations:
    """Build arrays from a table with the columns of :data:`COLUMNS`.

    If a row names a model in the catalogue, its missing columns (width of heads, experts, windows)
    are taken from this model, provided that the given columns agree with it. If the number of
    parameters (`params_b`) contradicts the type of the MLP or the width of the experts, these are
    computed from the parameters. A dense model with 5 to 20 % more parameters than its shape has
    another part, such as an image encoder, which is counted in memory.
    :data:`clustersim.performance.plan_rules.RULES` judges the plans.

    Parameters
    ----------
    frame : DataFrame
        As read with ``dtype=str`` or with numbers; unknown columns are ignored.
    catalogue : Catalogue
    assumed : Calibration, optional
        The calibration for a prediction. Values that a row does not give are then assumed as in
        :func:`clustersim.estimation.estimate.estimate`: the software stack, and the plan if none of
        its sizes is given. By default, rows are published runs and nothing is assumed: a stack that
        is not given is unknown, and a plan has the defaults of its columns.

    Raises
    ------
    InputError
        If the table has none of the columns.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([row])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> len(rows), rows.global_batch.tolist()
    (1, [512.0])
    """
    if not set(COLUMNS) & set(frame.columns):
        raise InputError("table", f"has none of the columns {', '.join(COLUMNS)}")
    known = [name for name in (*COLUMNS, REMARKS) if name in frame.columns]
    records = frame[known].to_dict("records")
    reader = _Reader(catalogue, assumed, {})
    entries, places = [], []
    reason: list[list[str]] = []
    for place, values in enumerate(records):
        row = Row({str(column): value for column, value in values.items()})
        filled = Filled(row, True, frozenset(), [])
        if assumed is not None:
            filled = fill_missing(row, catalogue)
            row = filled.row
        entry = reader.entry(row, filled)
        reason.append(row.problems)
        if entry is not None:
            entries.append(entry)
            places.append(place)
    notes: list[list[str]] = [[] for _ in records]
    searched, timed = [False] * len(records), [True] * len(records)
    unknown: list[frozenset[str]] = [frozenset()] * len(records)
    index = np.array(places, dtype=np.intp)
    rows = _stack(entries, index)
    verdicts = judge(rows.models, rows.chips, rows.plans, rows.global_batch)
    for place, entry, problems, unusual in zip(
        places, entries, verdicts.problems, verdicts.notes, strict=True
    ):
        reason[place] += problems
        searched[place], timed[place] = entry.searched, entry.timed
        unknown[place] = entry.unknown
        notes[place] = entry.notes + ([] if entry.searched else unusual)
    whole = np.array([not reason[place] for place in places], dtype=bool)
    return dataclasses.replace(
        rows.take(whole),
        reason=["; ".join(dict.fromkeys(lines)) for lines in reason],
        notes=notes,
        searched=searched,
        timed=timed,
        unknown=unknown,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """Values of one row that could be read; `model` and `plan` map names of fields to numbers."""

    model: dict[str, float]
    chip: Accelerator
    precision: str
    nic_Bps: float
    domain: float
    plan: dict[str, float]
    global_batch: float
    labels: tuple[str, ...]
    stack_assumed: bool
    notes: list[str]
    searched: bool
    memory: dict[str, str]
    memory_gb: float
    timed: bool
    unknown: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the rows of a table.

    `stacks` caches the known spelling and the notes for each pair of chip and stack.
    """

    catalogue: Catalogue
    assumed: Calibration | None
    stacks: dict[tuple[str, str], tuple[str, list[str]]]

    def entry(self, row: Row, filled: Filled) -> _Entry | None:
        """Read one row; return None if it has problems other than those of its plan."""
        notes = list(filled.notes)
        chip = _chip(row, self.catalogue)
        word = row.choice("precision", "bf16", tuple(PRECISIONS))
        model = model_of_row(row, self.catalogue, notes)
        given = _given(row, notes)
        searched = self.assumed is not None and is_searched(given)
        if not searched and model.get("n_experts", 0) > 0:
            _read_remarks(row, given, notes)
        batch = _global_batch(row, self.catalogue)
        count = _count(row, given)
        if chip is None or row.problems:
            return None
        gbps = row.number(
            "inter_node_gbps_per_device", chip.nic_Bps * 8e-9, least=1e-3, whole=False
        )
        domain = row.number("devices_per_node", float(scaleup_domain(chip)))
        memory_gb = row.number("chip_memory_gb", 0.0, whole=False)
        memory = read_memory(row, row.choice("kind", "pretrain", KINDS), notes)
        if row.problems:
            return None
        plan, problems, plan_notes = completed(given, count, experts=model["n_experts"] > 0)
        if searched and given["sequence_parallel"] is None:
            plan["sequence_parallel"] = 1.0
        row.problems += problems
        precision_notes: list[str] = []
        precision = precision_used(chip, word, precision_notes)
        plan["host_optimizer"] = float(host_optimizer(memory))
        stack, stack_notes = self.stack(row, chip)
        # A fit knows no stacks, so that the way of the stack is part of the plan.
        if model["n_experts"] > 0:
            plan["dispatcher"] = plan["dispatcher"] or float(dispatcher_of(stack))
        return _Entry(
            model=model,
            chip=chip,
            precision=precision,
            nic_Bps=gbps / 8e-9,
            domain=min(domain, float(scaleup_domain(chip))),
            plan=plan,
            global_batch=batch,
            labels=labels_of(chip, stack, precision),
            stack_assumed=self.assumed is not None and not row.text("framework"),
            notes=[*precision_notes, *stack_notes, *notes, *plan_notes],
            searched=searched,
            memory=memory,
            memory_gb=memory_gb,
            timed=filled.timed,
            unknown=filled.unknown,
        )

    def stack(self, row: Row, chip: Accelerator) -> tuple[str, list[str]]:
        """Return the software stack of a row, or else the chip's default, and the notes on it."""
        name = row.text("framework")
        if self.assumed is None:
            return name, []
        key = (chip.name, name)
        if key not in self.stacks:
            notes: list[str] = []
            stack = stack_used(chip, name or None, self.assumed, notes)
            self.stacks[key] = (stack, notes)
        return self.stacks[key]


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


def _global_batch(row: Row, catalogue: Catalogue) -> float:
    """Read the sequences per step, which have no default because every measured run has its own."""
    if row.text("global_batch"):
        return row.number("global_batch")
    usual = ""
    with suppress(InputError):
        model = catalogue.model(row.text("model"))
        usual = f" ({model.global_batch:,} is usual for {model.name})"
    row.problems.append(f"global_batch: must be given, in {COLUMNS['global_batch']}{usual}")
    return math.nan


def _given(row: Row, notes: list[str]) -> Given:
    """Read the columns of a plan; None for a value that is not given."""
    given: Given = {
        name: row.number(name) if row.text(name) else None
        for name in ("tp", "pp", "cp", "ep", "vpp", "micro_batch")
    }
    for name in ("dp", "etp"):
        given[name] = row.number(name, 0.0, least=0.0) or None
    given["recompute"], block = read_recompute(row, notes)
    given["recompute_layers"] = row.number("recompute_layers", 0.0, least=0.0) or block
    given["zero"], said = read_zero(row)
    given["zero_group"] = row.number("zero_group", 0.0, least=0.0) or said
    for name, column in SWITCH_COLUMNS.items():
        given[name] = row.flag(column, 0.0) if row.text(column) else None
    given["moe_recompute"] = row.flag("moe_recompute", 0.0) if row.text("moe_recompute") else None
    given["dispatcher"] = read_dispatcher(row)
    given["cuda_graphs"] = row.flag("cuda_graphs", 0.0) if row.text("cuda_graphs") else None
    adapts = float(row.choice("kind", "pretrain", KINDS) in ADAPTERS)
    given["lora"] = row.flag("lora", adapts)
    given["host_optimizer"] = None
    return given


def _read_remarks(row: Row, given: Given, notes: list[str]) -> None:
    """Read settings for experts from remarks if no column gives them."""
    remark = row.text(REMARKS)
    if given["moe_recompute"] is None and (found := mixtures_in(row.text("recompute"), remark)):
        given["moe_recompute"] = 1.0
        notes.append(f"moe_recompute 1 is taken from the column {found[0]} ({found[1]}).")
    if given["dispatcher"] is None and (way := dispatcher_in(remark)):
        given["dispatcher"] = float(DISPATCHERS.index(DISPATCHER_WORDS[way[0]]))
        notes.append(f"dispatcher {way[0]} is taken from the column {REMARKS} ({way[1]}).")
    if given["etp"] is None and (size := expert_tp_in(remark)):
        given["etp"] = float(size[0])
        notes.append(f"etp {size[0]} is taken from the column {REMARKS} ({size[1]}).")


def _count(row: Row, given: Given) -> float:
    """Read the number of chips of a job (default: the product of the given sizes)."""
    inner = 1.0
    for name in ("tp", "pp", "cp"):
        inner *= given[name] or 1.0
    dp = given["dp"]
    default = inner * dp if dp and np.isfinite(inner * dp) else None
    return row.number("n_accelerators", default)


def _stack(entries: list[_Entry], index: NDArray[np.intp]) -> Configurations:
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
        reason=[],
        memory_options=[entry.memory for entry in entries],
        stack_assumed=[entry.stack_assumed for entry in entries],
    )


def _chips(entries: list[_Entry]) -> AcceleratorArrays:
    arrays = chip_arrays([entry.chip for entry in entries], [entry.precision for entry in entries])
    memory_gb = np.array([entry.memory_gb for entry in entries])
    return dataclasses.replace(
        arrays,
        nic_Bps=np.array([entry.nic_Bps for entry in entries]),
        scaleup_size=np.array([entry.domain for entry in entries]),
        hbm_bytes=np.where(memory_gb > 0, memory_gb * 2.0**30, arrays.hbm_bytes),
    )


def chip_arrays(chips: Sequence[Accelerator], precisions: Sequence[str]) -> AcceleratorArrays:
    """Build the arrays of several chips, each with the peak of its precision (bf16 or fp8)."""
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
