"""A plan with its defaults, checked against the rules for plans.

:mod:`clustersim.estimation.given_plan` reads what a user gives of a plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError
from clustersim.estimation.given_plan import PLAN_KEYS, ZERO_BY_DEFAULT, Given
from clustersim.performance import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.arrays import default_expert_tp
from clustersim.performance.plan_rules import judge, switch_problems
from clustersim.performance.search import SWITCHES

__all__ = ["check_switches", "completed", "data_parallel_size", "default_zero", "settle_plan"]


def settle_plan(
    given: Given,
    model: Model,
    chip: Accelerator,
    count: int,
    global_batch: int,
    notes: list[str],
) -> dict[str, int]:
    """Complete a plan and check it against :data:`clustersim.performance.plan_rules.RULES`.

    Parameters
    ----------
    given : mapping
        As returned by :func:`clustersim.estimation.given_plan.read_plan`.
    model : Model
    chip : Accelerator
    count : int
        Chips of the job.
    global_batch : int
        Sequences per step.
    notes : list of str
        Notes on the plan are appended to this list.

    Returns
    -------
    dict of str to int
        Values of all :data:`clustersim.estimation.given_plan.PLAN_KEYS`; `recompute` is an index
        into ``RECOMPUTE``.

    Raises
    ------
    InputError
        If the plan is not allowed. All problems are reported at once.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.given_plan import read_plan
    >>> catalogue = load_catalogue()
    >>> job = (catalogue.model("gpt3-175b"), catalogue.accelerator("H100"), 32, 64)
    >>> found = settle_plan(read_plan("tp=8,recompute=full", []), *job, [])
    >>> found["dp"], found["recompute"], found["zero"]
    (4, 2, 1)
    """
    values, problems, size_notes = completed(given, count, experts=model.n_experts > 0)
    verdicts = judge(
        ModelArrays.of([model]),
        AcceleratorArrays.of([chip]),
        Plans.of(**{name: [value] for name, value in values.items()}),
        np.array([float(global_batch)]),
    )
    problems += verdicts.problems[0]
    if problems:
        raise InputError("plan", problems)
    notes += size_notes + verdicts.notes[0]
    return {name: int(value) for name, value in values.items()}


def check_switches(given: Given, model: Model, chip: Accelerator) -> None:
    """Check the switches that are given for a plan search.

    Parameters
    ----------
    given : mapping
        As returned by :func:`clustersim.estimation.given_plan.read_plan`.
    model : Model
    chip : Accelerator

    Raises
    ------
    InputError
        If a switch is impossible for the model. All problems are reported at once.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.given_plan import read_plan
    >>> catalogue = load_catalogue()
    >>> given = read_plan("moe_recompute=1", [])
    >>> check_switches(given, catalogue.model("mixtral-8x7b"), catalogue.accelerator("H100"))
    """
    problems = switch_problems(
        ModelArrays.of([model]),
        AcceleratorArrays.of([chip]),
        {name: given[name] for name in SWITCHES},
    )
    if problems:
        raise InputError("plan", problems)


def completed(
    given: Given, count: float, *, experts: bool
) -> tuple[dict[str, float], list[str], list[str]]:
    """Fill in the defaults of a plan.

    Parameters
    ----------
    given : mapping
        As returned by :func:`clustersim.estimation.given_plan.read_plan`.
    count : float
        Chips of the job.
    experts : bool
        Whether the model is a mixture of experts.

    Returns
    -------
    dict of str to float
        Fields of :class:`clustersim.performance.Plans`. `dp` is 0 if the sizes do not divide the
        chips, and `etp` is 0 without experts.
    list of str, list of str
        Problems with the size of the job, and notes.

    Examples
    --------
    >>> from clustersim.estimation.given_plan import read_plan
    >>> values, problems, notes = completed(read_plan("tp=2", []), 8, experts=False)
    >>> values["dp"], values["zero"], problems, notes
    (4.0, 1.0, [], [])
    """
    sizes = {name: given[name] for name in ("tp", "pp", "cp")}
    dp, problem, note = data_parallel_size(count, sizes, given["dp"])
    values = {name: 1.0 if given[name] is None else float(given[name] or 0.0) for name in PLAN_KEYS}
    values["dp"] = dp
    for name in (*ZERO_BY_DEFAULT, "recompute", "etp"):
        values[name] = given[name] or 0.0
    if experts and not values["etp"]:
        values["etp"] = float(default_expert_tp(values["tp"], values["ep"]))
    if given["zero"] is None:
        values["zero"] = default_zero(*(values[name] for name in ("tp", "dp", "cp", "ep", "etp")))
    if given["sequence_parallel"] is None:
        values["sequence_parallel"] = float(values["tp"] > 1)
    notes = [note] if note else []
    if experts and given["etp"] is None and values["ep"] > 1 and values["tp"] > 1:
        notes.append(
            "etp is not given and counts as 1 (whole experts); Megatron-Core's own default is tp = "
            f"{values['tp']:.0f}."
        )
    return values, [problem] if problem else [], notes


def data_parallel_size(
    count: float, sizes: Mapping[str, float | None], dp: float | None
) -> tuple[float, str, str]:
    """Return the data-parallel size of a job, a problem and a note; the texts may be empty.

    Parameters
    ----------
    count : float
        Chips.
    sizes : mapping of str to float or None
        `tp`, `pp` and `cp`. None means that a size is not given; it then counts as 1.
    dp : float or None
        The given value, if any.

    Returns
    -------
    float
        ``count / (tp pp cp)``; 0 if these do not divide the chips.
    str, str
        A problem if the sizes do not divide the chips, or if `dp` contradicts the result. If `tp`
        is not given, it may be the cause of the contradiction; a note is then returned instead.

    Examples
    --------
    >>> data_parallel_size(8, {"tp": 2, "pp": 1, "cp": 1}, None)
    (4.0, '', '')
    >>> data_parallel_size(8, {"tp": 2, "pp": 1, "cp": 1}, 2)[1]
    'dp: must be 4 (8 chips over tp pp cp 2) or left out, found 2'
    """
    inner = math.prod(1.0 if size is None else size for size in sizes.values())
    if count % inner:
        names = ", ".join(sizes)
        return 0.0, f"{names}: their product {inner:.0f} does not divide {count:.0f} chips", ""
    rest = count / inner
    if dp is None or dp == rest:
        return rest, "", ""
    if sizes["tp"] is None and rest % dp == 0:
        return (
            rest,
            "",
            f"dp {dp:.0f} is replaced by {rest:.0f} ({count:.0f} chips over tp pp cp {inner:.0f}): "
            "tp is not given and counts as 1.",
        )
    return (
        rest,
        f"dp: must be {rest:.0f} ({count:.0f} chips over tp pp cp {inner:.0f}) or left out, found "
        f"{dp:.0f}",
        "",
    )


def default_zero(tp: float, dp: float, cp: float, ep: float, etp: float) -> float:
    """Return the default ZeRO stage of a plan: 1 if several ranks hold the same weights, else 0.

    An `etp` of 0 means a model without experts.

    Examples
    --------
    >>> default_zero(tp=8, dp=4, cp=1, ep=1, etp=0), default_zero(tp=8, dp=1, cp=1, ep=1, etp=0)
    (1.0, 0.0)
    """
    copies = tp * dp * cp / (ep * etp) if etp else 1.0
    return float(max(dp * cp, copies) > 1)
