"""Inputs that a table row does not give, and that its memory can be predicted without.

Such a row gets no step time, or, where only a setting is unknown, a wider distribution of its peak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError
from clustersim.estimation.row import Row
from clustersim.estimation.row_model import named_model
from clustersim.performance.memory_rules import stack_memory
from clustersim.performance.stacks import back_end

__all__ = ["CHIP", "SEQ_LEN", "SHAPE", "SHAPE_SPREAD", "SPREADS", "Filled", "back_end_of",
           "fill_missing", "usual_recompute", "with_back_end"]  # fmt: skip

SEQ_LEN = 2048
"""Tokens per sequence of a model without a usual length, if a row does not give them: the most
frequent length of published fine-tuning runs."""
DOMAIN = 8
"""Chips of a server, if a row leaves its number of chips empty."""
SPREADS: Mapping[str, float] = {"micro_batch": 0.75, "seq_len": 0.7, "recompute": 0.7}
"""Standard deviations of the logarithm of the activations if a setting is unknown. For
`micro_batch`, that of the published runs in ``clustersim/calibration/data/memory.csv``."""
SHAPE = "shape"
"""Marks a row of which only the number of parameters of its model is known."""
CHIP = "accelerator"
"""Marks a row that gives neither a chip nor its memory."""
USUAL_GB = 80.0
SHAPE_SPREAD = 0.25
"""Standard deviation of the logarithm of its peak that the shape adds."""
SHAPE_COLUMNS = ("layers", "hidden", "heads", "ffn_hidden", "vocab")
PLAN_COLUMNS = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "recompute", "zero",
                "zero_group")  # fmt: skip
ASPECT = 128.0
"""Width over number of layers of usual transformers."""
VOCAB = 64_000.0


@dataclass(frozen=True, slots=True)
class Filled:
    """One row whose missing inputs are filled in.

    Attributes
    ----------
    row : Row
    timed : bool
        False if an input is missing without which there is no step time.
    unknown : frozenset of str
        Keys of :data:`SPREADS`, :data:`SHAPE` and :data:`CHIP` that are not known.
    notes : list of str
    """

    row: Row
    timed: bool
    unknown: frozenset[str]
    notes: list[str]


def fill_missing(row: Row, catalogue: Catalogue) -> Filled:
    """Fill in what the memory of a row can be predicted without.

    A chip is replaced by one of the stated memory (`chip_memory_gb`), the shape of an unknown model
    by a usual one of its size (`params_b`), the sequence length by :data:`SEQ_LEN`, the number of
    chips by a server, and the batch by one micro-batch per pipeline stage and data-parallel rank.
    Such a row has no step time. Recompute that a row does not say is that of its stack by default.
    An empty cell counts as unknown; a column that the table does not have counts as the default.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.row import Row
    >>> job = {"model": "llama3-8b", "chip_memory_gb": "80", "tp": "2", "dp": "4", "seq_len": ""}
    >>> found = fill_missing(Row(job), load_catalogue())
    >>> found.timed, found.row.text("global_batch"), sorted(found.unknown)
    (False, '4', ['seq_len'])
    """
    planned = any(row.text(name) for name in PLAN_COLUMNS)
    unknown = {name for name in SPREADS if planned and name in row.values and not row.text(name)}
    values, notes, missing = dict(row.values), list[str](), list[str]()
    reasons: list[str] = []
    chip = _chip(row, catalogue)
    if chip is not None:
        values["accelerator"] = chip.name
        if row.text("accelerator"):
            reasons.append(f"the chip {row.text('accelerator')!r} is not in the catalogue")
        else:
            missing.append("accelerator")
        nearest = ", the chip of the catalogue with the nearest memory"
        notes.append(f"{chip.name} is assumed{nearest if row.text('chip_memory_gb') else ''}.")
        if not row.text("chip_memory_gb"):
            unknown.add(CHIP)
            notes.append("Whether it fits is not known without chip_memory_gb.")
    shape = _shape(row, catalogue)
    if shape:
        values |= shape
        unknown.add(SHAPE)
        missing.append("the shape of the model")
        notes.append(
            f"The model {row.text('model')!r} is not in the catalogue, and its shape is not given; "
            f"a usual shape of {row.text('params_b')} billion parameters is assumed."
        )
    if not row.text("seq_len") and not _in_catalogue(row, catalogue):
        values["seq_len"] = str(SEQ_LEN)
        missing.append("seq_len")
        notes.append(f"seq_len {SEQ_LEN} is assumed.")
    usual = usual_recompute(values.get("framework", ""))
    if planned and usual and not row.text("recompute"):
        values["recompute"] = usual[0]
        notes.append(usual[1])
    server = row.text("devices_per_node")
    if not server and "n_accelerators" in row.values:
        server = str(DOMAIN)
    if server and not row.text("n_accelerators") and not row.text("dp"):
        values["n_accelerators"] = server
        missing.append("n_accelerators")
        notes.append(f"A job of one server is assumed: {server} chips.")
    if not row.text("global_batch"):
        missing.append("global_batch")
        values["global_batch"] = _batch(Row(values), planned=planned)
    if missing:
        have = "are" if len(missing) > 1 or missing[0].endswith("s") else "is"
        reasons.append(f"{' and '.join(missing)} {have} not given")
    if not reasons:
        return Filled(Row(values), True, frozenset(unknown), notes)
    notes.insert(0, f"Only the memory is predicted: {'; '.join(reasons)}.")
    return Filled(Row(values), False, frozenset(unknown), notes)


def with_back_end(row: Row, notes: list[str], *, searching: bool) -> Row:
    """Return a row whose stack is the back end that runs its plan, with a note if it has two.

    Parameters
    ----------
    row : Row
    notes : list of str
        A note on the back end is added.
    searching : bool
        Whether the best plan is searched for if the row gives none.

    Examples
    --------
    >>> from clustersim.estimation.row import Row
    >>> row = Row({"framework": "ms-swift 3.5", "tp": "2"})
    >>> with_back_end(row, [], searching=True).text("framework")
    'Megatron-SWIFT'
    """
    searched = searching and not any(row.text(name) for name in PLAN_COLUMNS)
    split = searched or any(_number(row, name, 1.0) > 1 for name in ("tp", "pp", "ep"))
    stack = back_end_of(row.text("framework"), notes, split=split)
    return row if stack == row.text("framework") else Row({**row.values, "framework": stack})


def back_end_of(stack: str, notes: list[str], *, split: bool) -> str:
    """Return :func:`clustersim.performance.stacks.back_end`, with a note if it is another name.

    Examples
    --------
    >>> notes = []
    >>> back_end_of("ms-swift", notes, split=True), len(notes)
    ('Megatron-SWIFT', 1)
    """
    found = back_end(stack, split=split)
    if found != stack:
        notes.append(
            f"{stack!r} is treated as {found}: DeepSpeed, its other back end, has no tensor, "
            "pipeline or expert parallelism."
        )
    return found


def usual_recompute(stack: str) -> tuple[str, str] | None:
    """Return the recompute mode that a stack uses by default, with a note; None if it uses none.

    Examples
    --------
    >>> usual_recompute("torchtitan")
    ('selective', 'recompute selective is assumed, the default of torchtitan.')
    """
    entry = stack_memory(stack)
    if entry.recompute == "none":
        return None
    return entry.recompute, f"recompute {entry.recompute} is assumed, the default of {entry.name}."


def _number(row: Row, name: str, default: float) -> float:
    probe = Row(row.values)
    value = probe.number(name, default, least=0.0, whole=False)
    return default if probe.problems or not value > 0 else value


def _batch(row: Row, *, planned: bool) -> str:
    """Return the smallest batch that fills a pipeline: one micro-batch per stage and rank."""
    count = _number(row, "n_accelerators", 0.0)
    if not planned:
        return f"{max(count, 1.0):.0f}"
    tp, pp, cp = (_number(row, name, 1.0) for name in ("tp", "pp", "cp"))
    dp = max(count / (tp * pp * cp), 1.0) if count else _number(row, "dp", 1.0)
    return f"{_number(row, 'micro_batch', 1.0) * math.ceil(dp) * pp:.0f}"


def _chip(row: Row, catalogue: Catalogue) -> Accelerator | None:
    """Return a chip of the memory that a row states if its own is not known.

    A row that names no chip and states no memory gets a usual one.
    """
    name, stated = row.text("accelerator"), row.text("chip_memory_gb")
    if (name and catalogue.has_accelerator(name)) or (name and not stated):
        return None
    memory_gb = _number(row, "chip_memory_gb", USUAL_GB)
    fp8 = "fp8" in row.text("precision").lower()
    chips = [
        chip
        for chip in catalogue.accelerators.values()
        if not chip.hypothetical and (not fp8 or "fp8" in chip.peak_flops)
    ]
    return min(chips, key=lambda chip: abs(math.log(chip.hbm_bytes / 1e9 / memory_gb)))


def _in_catalogue(row: Row, catalogue: Catalogue) -> bool:
    with suppress(InputError):
        named_model(row, catalogue)
        return True
    return False


def _shape(row: Row, catalogue: Catalogue) -> dict[str, str]:
    """Return a usual shape of `params_b` parameters if the model of a row is not known.

    A layer of width h has 12 h^2 parameters, and a model about h / 128 layers. Heads are 128 wide,
    and their number is a multiple of 8.
    """
    billions = _number(row, "params_b", 0.0)
    given = any(row.text(name) for name in SHAPE_COLUMNS)
    if not billions or given or _in_catalogue(row, catalogue):
        return {}
    params = 1e9 * billions
    heads = 8 * max(1, round((ASPECT * params / 12.0) ** (1.0 / 3.0) / 1024.0))
    hidden = 128 * heads
    layers = max(1, round((params - 2.0 * VOCAB * hidden) / (12.0 * hidden**2)))
    sizes = (layers, hidden, heads, 4 * hidden, int(VOCAB))
    return {name: str(size) for name, size in zip(SHAPE_COLUMNS, sizes, strict=True)}
