"""Reads a table of training configurations: one row per run, as in published measurements."""

from __future__ import annotations

import dataclasses
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError
from clustersim.estimation.assumed_inputs import Filled, fill_missing, with_back_end
from clustersim.estimation.assumptions import PRECISIONS, precision_used, size_notes, stack_used
from clustersim.estimation.columns import COLUMNS, KINDS, REMARKS
from clustersim.estimation.configurations import Configurations, chip_arrays
from clustersim.estimation.given_plan import is_searched
from clustersim.estimation.memory_columns import read_memory
from clustersim.estimation.row import Row
from clustersim.estimation.row_model import model_of_row
from clustersim.estimation.row_plan import (
    chips_of_row,
    plan_of_row,
    read_expert_remarks,
)
from clustersim.estimation.settled_plan import completed
from clustersim.performance import AcceleratorArrays, Calibration, ModelArrays, Plans, labels_of
from clustersim.performance.arrays import scaleup_domain
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.plan_rules import judge
from clustersim.performance.stacks import dispatcher_of

__all__ = ["read_configurations"]


def read_configurations(
    frame: pd.DataFrame, catalogue: Catalogue, *, assumed: Calibration | None = None
) -> Configurations:
    """Build arrays from a table with the columns of :data:`clustersim.estimation.COLUMNS`.

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
        back_end: list[str] = []
        row = Row({str(column): value for column, value in values.items()})
        row = with_back_end(row, back_end, searching=assumed is not None)
        filled = Filled(row, True, frozenset(), [])
        if assumed is not None:
            filled = fill_missing(row, catalogue)
            filled.notes[:0] = back_end
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
        given = plan_of_row(row, notes)
        searched = self.assumed is not None and is_searched(given)
        if not searched and model.get("n_experts", 0) > 0:
            read_expert_remarks(row, given, notes)
        batch = _global_batch(row, self.catalogue)
        count = chips_of_row(row, given)
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
        notes += size_notes(batch, model["seq_len"])
        plan, problems, plan_notes = completed(given, count, experts=model["n_experts"] > 0)
        if searched and given["sequence_parallel"] is None:
            plan["sequence_parallel"] = 1.0
        row.problems += problems
        precision_notes: list[str] = []
        precision = precision_used(chip, word, precision_notes)
        plan["host_optimizer"] = float(host_optimizer(memory))
        stack, stack_notes = self.stack(row, chip)
        # A fit does not read stack names, so the dispatcher of the stack must be in the plan.
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
