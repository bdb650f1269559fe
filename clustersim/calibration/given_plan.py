"""A plan as a user writes it: ``tp=8,pp=4,recompute=full``."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.calibration.plan_faults import plan_faults
from clustersim.catalogue import Model
from clustersim.errors import InputError, nearest_hint
from clustersim.performance import RECOMPUTE

__all__ = ["PLAN_KEYS", "parse_plan"]

PLAN_KEYS: Mapping[str, str] = {
    "tp": "tensor parallel size",
    "pp": "pipeline stages",
    "dp": "data parallel size (default: what is left)",
    "cp": "context parallel size",
    "ep": "expert parallel size",
    "vpp": "model chunks of a stage",
    "micro_batch": "sequences of a micro-batch",
    "recompute": "none, selective or full",
    "zero": "ZeRO stage 0 to 3 (default: 1, 0 with dp=1); fsdp is 3",
    "zero_group": "ranks among which ZeRO splits (default: all)",
    "flash": "fused attention, 1 or 0",
    "sequence_parallel": "1 or 0",
    "overlap": "communication behind computation, 1 or 0",
    "lora": "low-rank adapters, 1 or 0 (default)",
}
"""Keys of a plan; a size that is not given is 1, a switch that is not given is on."""

ALIASES = {
    "mbs": "micro_batch",
    "seq_parallel": "sequence_parallel",
    "sp": "sequence_parallel",
    "flash_attn": "flash",
    "comm_overlap": "overlap",
}
DEFAULTS = {"recompute": 0, "zero_group": 0, "lora": 0}
WORDS = {
    "recompute": {name: number for number, name in enumerate(RECOMPUTE)},
    "zero": {"fsdp": 3},
}
LARGEST = {"recompute": 2, "zero": 3, "flash": 1, "sequence_parallel": 1, "overlap": 1, "lora": 1}
FROM_NOUGHT = {*LARGEST, "zero_group"}
MOST = 10_000_000


def parse_plan(
    plan: str | Mapping[str, object], model: Model, count: int, global_batch: int
) -> dict[str, int]:
    """Read a plan and check it against the model, the number of chips and the batch.

    Parameters
    ----------
    plan : str or mapping
        ``"tp=8,pp=4"`` or ``{"tp": 8, "pp": 4}``; keys of :data:`PLAN_KEYS`.
    model : Model
    count : int
        Chips of the job.
    global_batch : int
        Sequences of a step.

    Returns
    -------
    dict of str to int
        All of :data:`PLAN_KEYS`; `recompute` as a place in ``RECOMPUTE``.

    Raises
    ------
    InputError
        All faults at once: unknown keys, values that are no whole numbers or do not divide.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> found = parse_plan("tp=8,recompute=full", load_catalogue().model("gpt3-175b"), 32, 64)
    >>> found["dp"], found["recompute"], found["zero"]
    (4, 2, 1)
    """
    problems: list[str] = []
    items = _items(plan, problems) if isinstance(plan, str) else list(plan.items())
    given: dict[str, int] = {}
    for key, text in items:
        name = ALIASES.get(key.lower(), key.lower())
        if name not in PLAN_KEYS:
            hint = nearest_hint(key, PLAN_KEYS, most=len(PLAN_KEYS))
            problems.append(f"{key}: unknown key of a plan; {hint}")
        elif name in given:
            problems.append(f"{key}: given twice")
        else:
            value = _number(name, str(text), problems)
            given[name] = 1 if value is None else value
    if problems:
        raise InputError("plan", problems)
    values = {name: given.get(name, DEFAULTS.get(name, 1)) for name in PLAN_KEYS}
    problems = _faults(values, "dp" in given, model, count, global_batch)
    if problems:
        raise InputError("plan", problems)
    values["dp"] = count // (values["tp"] * values["pp"] * values["cp"])
    if "zero" not in given:
        values["zero"] = int(values["dp"] > 1)
    if "sequence_parallel" not in given:
        values["sequence_parallel"] = int(values["tp"] > 1)
    return values


def _items(text: str, problems: list[str]) -> list[tuple[str, str]]:
    items = []
    for part in text.replace(" ", "").strip(",").split(","):
        key, equals, value = part.partition("=")
        if not equals:
            problems.append(f"{part!r}: must be written as key=value, for example tp=8,pp=4")
        else:
            items.append((key, value))
    return items


def _number(name: str, text: str, problems: list[str]) -> int | None:
    word = WORDS.get(name, {}).get(text.lower())
    if word is not None:
        return word
    least, most = int(name not in FROM_NOUGHT), LARGEST.get(name, MOST)
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    words = ", ".join(WORDS.get(name, {}))
    kind = f"a whole number from {least} to {most}" + (f" or {words}" if words else "")
    problems.append(f"{name}: must be {kind}, found {text!r}")
    return None


def _faults(
    values: Mapping[str, int], with_dp: bool, model: Model, count: int, global_batch: int
) -> list[str]:
    """What does not divide or is too large, a line each."""
    tp, pp, cp, ep = (values[name] for name in ("tp", "pp", "cp", "ep"))
    inner = tp * pp * cp
    faults = []
    if count % inner:
        faults.append(f"tp, pp, cp: their product {inner} does not divide {count} chips")
    elif with_dp and values["dp"] * inner != count:
        right = count // inner
        faults.append(f"dp: must be {right} (count {count} over tp pp cp {inner}) or left out, "
                      f"found {values['dp']}")  # fmt: skip
    if model.heads % tp:
        faults.append(f"tp: must divide the {model.heads} heads of {model.name}, found {tp}")
    if values["vpp"] > 1 and pp == 1:
        faults.append(f"vpp: chunks need a pipeline (pp above 1), found {values['vpp']}")
    shape = {
        "layers": model.layers,
        "n_experts": model.n_experts,
        "top_k": model.top_k,
        "seq_len": model.seq_len,
    }
    if not faults:
        dp = count // inner
        if dp % ep and not (model.n_experts and model.n_experts % ep):
            faults.append(f"ep: must divide the data parallel size {dp}, found {ep}")
        return plan_faults({**values, "dp": dp}, shape, global_batch, model.name) + faults
    return faults + plan_faults({**values, "dp": 0}, shape, global_batch, model.name)
