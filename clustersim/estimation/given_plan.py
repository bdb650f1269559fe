"""A plan as a user writes it: ``tp=8,pp=4,recompute=full``, or columns of a row.

The same rules apply everywhere. If none of the :data:`SIZES` of a plan is given, the plan is
searched for. Otherwise a size that is not given is 1, unless :data:`PLAN_KEYS` states another
default. A switch (:data:`SWITCHES`) alone does not define a plan: the search keeps it fixed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clustersim.errors import InputError, nearest_hint, shown
from clustersim.estimation.row import Row
from clustersim.performance import RECOMPUTE
from clustersim.performance.arrays import DISPATCHERS
from clustersim.performance.plans import unusual_expert_tp
from clustersim.performance.search import SWITCHES

__all__ = [
    "PLAN_KEYS",
    "SIZES",
    "USUAL",
    "is_searched",
    "plan_text",
    "read_dispatcher",
    "read_plan",
    "read_recompute",
    "read_zero",
    "unusual_etp",
]

PLAN_KEYS: Mapping[str, str] = {
    "tp": "tensor parallel size",
    "pp": "pipeline stages",
    "dp": "data parallel size (default: chips / (tp x pp x cp))",
    "cp": "context parallel size",
    "ep": "expert parallel size, over any chips of a stage (tp x dp x cp)",
    "etp": "expert tensor parallel size, chips per expert (default: 1 if ep > 1, else tp)",
    "vpp": "model chunks per stage",
    "micro_batch": "sequences per micro-batch",
    "recompute": "none, selective, full, or block:N for full recompute of N layers per stage",
    "recompute_layers": "layers per stage that full recompute repeats (default: all)",
    "zero": "ZeRO stage 0 to 3 (default: 1, or 0 if no two ranks have the same weights); fsdp is 3",
    "zero_group": "ranks over which ZeRO splits (default: all)",
    "flash": "fused attention, 1 or 0",
    "sequence_parallel": "1 or 0",
    "overlap": "overlap of communication with computation, 1 or 0",
    "lora": "low-rank adapters, 1 or 0 (default)",
    "moe_recompute": "recompute of mixtures of experts, 1 or 0 (default)",
    "dispatcher": "how tokens reach experts: alltoall, allgather, deepep or hybridep (default: as "
    "usual for the stack)",
    "cuda_graphs": "CUDA graphs, which the measured runs of the stack do not use, 1 or 0 (default)",
    "host_optimizer": "percentage of the optimizer step on the processors of the host (default: as "
    "the memory option offload says)",
}
"""Keys of a plan. By default a size is 1 and a switch is on, unless stated otherwise."""
ZERO_BY_DEFAULT = ("zero_group", "lora", "moe_recompute", "recompute_layers", "dispatcher",
                   "cuda_graphs", "host_optimizer")  # fmt: skip
USUAL = ("tp", "pp", "dp", "micro_batch", "zero")
"""Keys that are always shown."""
NO_FLAGS = ("dispatcher", "host_optimizer")
"""Switches with other values than 0 and 1."""
SIZES = tuple(name for name in PLAN_KEYS if name not in SWITCHES)
"""Keys that define a plan; if none of them is given, the plan is searched for."""

ALIASES = {
    "mbs": "micro_batch",
    "seq_parallel": "sequence_parallel",
    "sp": "sequence_parallel",
    "recompute_num_layers": "recompute_layers",
    "flash_attn": "flash",
    "comm_overlap": "overlap",
    "expert_tp": "etp",
    "cuda_graph": "cuda_graphs",
    "expert_tensor_parallel_size": "etp",
}
DISPATCHER_WORDS = {**{name: name for name in DISPATCHERS}, "hybridep": "deepep", "flex": "deepep"}
NUMBERS = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "zero_group",
           "recompute_layers")  # fmt: skip
BLOCK = re.compile(
    r"(?:(?:block|full)\s*[:=/(]|block\s)\s*([1-9]\d{0,4})\b|\b([1-9]\d{0,4})\s+layers?\b"
)
UNIFORM = re.compile(r"uniform|every")
"""Every layer is recomputed, in groups of the given size."""
RECOMPUTE_MODES = {"none": 0.0, "selective": 1.0, "full": 2.0, "block": 2.0}
BLOCK_NOTE = (
    "recompute block without a number of layers is treated as recompute of all layers (full)."
)

Given = dict[str, float | None]
"""Values of :data:`PLAN_KEYS`; None for a value that is not given."""


def read_plan(plan: str | Mapping[str, object], notes: list[str]) -> Given:
    """Parse a plan; append notes on the interpretation of its words to `notes`.

    Parameters
    ----------
    plan : str or mapping
        ``"tp=8,pp=4"`` or ``{"tp": 8, "pp": 4}``, with keys of :data:`PLAN_KEYS`.
    notes : list of str
        Notes are appended to this list.

    Raises
    ------
    InputError
        If keys are unknown or values are not allowed. All problems are reported at once.

    Examples
    --------
    >>> given = read_plan("tp=8,recompute=full", [])
    >>> given["tp"], given["recompute"], given["pp"]
    (8.0, 2.0, None)
    """
    problems: list[str] = []
    items = _items(plan, problems) if isinstance(plan, str) else list(plan.items())
    texts: dict[str, object] = {}
    for key, value in items:
        name = ALIASES.get(key.lower(), key.lower())
        if name not in PLAN_KEYS:
            hint = nearest_hint(key, PLAN_KEYS, most=len(PLAN_KEYS))
            problems.append(f"{key}: unknown key of a plan; {hint}")
        elif name in texts:
            problems.append(f"{key}: is given more than once")
        elif not str(value).strip():
            problems.append(f"{key}: has no value")
        else:
            texts[name] = value
    row = Row(texts)
    given: Given = {name: _number(row, name) for name in NUMBERS}
    given["recompute"], block = read_recompute(row, notes)
    if given["recompute_layers"] is None:
        given["recompute_layers"] = block
    stage, group = read_zero(row)
    given["zero"] = stage
    if given["zero_group"] is None:
        given["zero_group"] = group
    for name in SWITCHES:
        given[name] = row.flag(name, 0.0) if row.text(name) and name not in NO_FLAGS else None
    given["dispatcher"] = read_dispatcher(row)
    given["host_optimizer"] = read_host_optimizer(row)
    problems += row.problems
    if problems:
        raise InputError("plan", problems)
    return {name: given[name] for name in PLAN_KEYS}


def _items(text: str, problems: list[str]) -> list[tuple[str, str]]:
    items = []
    for part in re.split(r",(?![^(]*\))", text.replace(" ", "").strip(",")):
        key, equals, value = part.partition("=")
        if not equals:
            problems.append(f"{part!r}: must be written as key=value, for example tp=8,pp=4")
        else:
            items.append((key, value))
    return items


def _number(row: Row, name: str) -> float | None:
    if not row.text(name):
        return None
    zero_is_default = ("dp", "etp", "zero_group", "recompute_layers")
    return row.number(name, least=0.0 if name in zero_is_default else 1.0) or None


def read_recompute(row: Row, notes: list[str]) -> tuple[float | None, float | None]:
    """Read a recompute mode, as a word or number, and the number of layers of a block.

    None stands for what is not given.

    Examples
    --------
    >>> read_recompute(Row({"recompute": "full"}), [])
    (2.0, None)
    >>> read_recompute(Row({"recompute": "block, 10 layers"}), [])
    (2.0, 10.0)
    """
    text = row.text("recompute")
    if not text:
        return None, None
    if text in ("0", "1", "2", "0.0", "1.0", "2.0"):
        return float(text), None
    word = row.choice("recompute", "none", tuple(RECOMPUTE_MODES))
    layers = None if UNIFORM.search(text.lower()) else BLOCK.search(text.lower())
    if layers and RECOMPUTE_MODES[word] == RECOMPUTE_MODES["full"]:
        return RECOMPUTE_MODES[word], float(layers[1] or layers[2])
    if word == "block" and not row.text("recompute_layers"):
        notes.append(BLOCK_NOTE)
    return RECOMPUTE_MODES[word], None


def read_host_optimizer(row: Row) -> float | None:
    """Read the percentage of the optimizer step on the host; None if it is not given."""
    if not row.text("host_optimizer"):
        return None
    share = row.number("host_optimizer", least=0.0)
    if share > 100:
        row.problems.append(f"host_optimizer: must be at most 100, found {share:g}")
    return share


def read_dispatcher(row: Row) -> float | None:
    """Read how tokens reach experts, an index into ``DISPATCHERS``; None if it is not given.

    The plans that an estimate returns have the index.

    Parameters
    ----------
    row : Row
        A row, or the keys of a plan; a word that is not known is added to its problems.

    Examples
    --------
    >>> read_dispatcher(Row({"dispatcher": "alltoall"})), read_dispatcher(Row({"dispatcher": "3"}))
    (1.0, 3.0)
    >>> read_dispatcher(Row({"tp": "2"}))
    """
    text = row.text("dispatcher")
    if not text:
        return None
    if text in [str(number) for number in range(len(DISPATCHERS))]:
        return float(text)
    word = row.choice("dispatcher", "default", tuple(DISPATCHER_WORDS))
    return float(DISPATCHERS.index(DISPATCHER_WORDS[word]))


def read_zero(row: Row) -> tuple[float | None, float | None]:
    """Read a ZeRO stage and its group: ``3``, ``fsdp``, ``1(group=8)``, ``1(group=dp)``.

    None stands for what is not given.

    Examples
    --------
    >>> read_zero(Row({"zero": "fsdp"})), read_zero(Row({"zero": "1(group=8)"}))
    ((3.0, None), (1.0, 8.0))
    """
    text = row.text("zero").lower()
    if not text:
        return None, None
    if text.startswith(("fsdp", "hsdp")):
        return (2.0 if "zero2" in text else 3.0), None
    if text in ("none", "ddp", "no"):
        return 0.0, None
    match = re.fullmatch(r"(?:zero[- ]?)?([0-3])(?:\.0)?(?:\(group=(\d+|dp)\))?", text)
    if match is None:
        row.problems.append(
            f"zero: must be 0 to 3, fsdp, or of the form 1(group=8), found {shown(text)}"
        )
        return None, None
    group = match.group(2)
    return float(match.group(1)), (float(group) or None) if group and group != "dp" else None


def is_searched(given: Given) -> bool:
    """Whether a plan gives only switches or nothing, so that the best plan is searched for.

    Examples
    --------
    >>> is_searched(read_plan("flash=0", [])), is_searched(read_plan("tp=2", []))
    (True, False)
    """
    return all(given[name] is None for name in SIZES)


def plan_text(plan: Mapping[str, int]) -> str:
    """Return a plan in the syntax of ``--plan``: the usual keys, and values that are not defaults.

    Examples
    --------
    >>> plan_text({"tp": 8, "pp": 1, "dp": 4, "micro_batch": 2, "recompute": 2, "zero": 1})
    'tp=8,pp=1,dp=4,micro_batch=2,recompute=full,zero=1'
    >>> plan_text({"tp": 2, "pp": 1, "dp": 4, "ep": 4, "etp": 1})
    'tp=2,pp=1,dp=4,ep=4,etp=1'
    >>> plan_text({"tp": 2, "pp": 1, "dp": 4, "ep": 1, "etp": 2})
    'tp=2,pp=1,dp=4'
    """
    parts = []
    for name, value in plan.items():
        usual = 0 if name in ZERO_BY_DEFAULT else 1
        if name == "dispatcher":
            parts += [f"dispatcher={DISPATCHERS[value]}"] if value else []
        elif name == "recompute":
            parts.append(f"recompute={RECOMPUTE[value]}")
        elif name == "etp":
            # Otherwise, the default differs from that of Megatron-Core.
            known = plan["tp"] == 1 or plan["ep"] == 1
            parts += [f"etp={value}"] if unusual_etp(plan) or (value and not known) else []
        elif name in USUAL or (
            value != usual and not (name == "sequence_parallel" and plan["tp"] == 1)
        ):
            parts.append(f"{name}={value}")
    return ",".join(parts)


def unusual_etp(plan: Mapping[str, int]) -> float:
    """Return the expert tensor parallel size of a plan if it is not the default; else 0."""
    return unusual_expert_tp(plan["tp"], plan["ep"], plan["etp"])
