"""Rules for plans that training frameworks refuse and for unusual plans: one table for all callers.

:data:`RULES` judges the plans of ``estimate --plan``, ``estimate --table``, the plan search, the
run times of simulated jobs and the rows of a fit. A rule *refuses* a plan if frameworks stop at the
start of such a run. It *notes* a plan if such runs exist; the plan is then evaluated as given and
the note is shown. The plan search never tries a plan that a rule refuses.

================================================  =======  ========================================
rule                                              verdict  why
================================================  =======  ========================================
tp pp cp divides the chips, dp is the rest        refused  Megatron-Core, torchtitan: the world size
dp is given and differs, but tp is not given      note     published runs that do not state their tp
tp divides the heads                              refused  Megatron-Core ``TransformerConfig``
tp divides key-value heads, or they divide tp     refused  the same; some frameworks copy heads
tp is more than the key and value heads           note     each head is copied
tp is larger than a scale-up domain               note     runs exist; the search does not try it
pp is at most the layers                          refused  a stage would be empty
pp vpp divides the layers                         note     Llama 3 405B: 126 layers on 16 stages
vpp is at most the layers of a stage, needs pp    refused  Megatron-LM ``validate_args``
micro-batches are a multiple of pp if vpp > 1     note     Megatron-LM refuses, newer cores do not
cp divides the sequence                           refused  Megatron-LM ``validate_args``
2 cp divides the sequence under a causal mask     note     Megatron-LM refuses, plain rings do not
ep divides the experts                            refused  Megatron-Core ``TransformerConfig``
ep etp divides tp dp cp, the chips of a stage     refused  Megatron-Core ``parallel_state``
etp divides the width of an expert                refused  Megatron-Core, column-parallel layers
ep, etp, moe_recompute, dispatcher need experts   refused  Megatron-LM ``validate_args`` (for ep)
moe_recompute with full recompute                 note     full recompute includes the mixtures
ep > 1 and tp > 1 need sequence parallelism       note     Megatron-LM refuses, DeepSpeed does not
micro-batch is at most a rank's share             refused  no framework can fill it
dp x micro-batch divides the batch                note     Megatron-LM refuses, samplers pad or drop
ZeRO 2 or 3 with a pipeline                       note     DeepSpeed refuses, PyTorch FSDP does not
zero_group needs ZeRO 1 to 3, divides dp cp       refused  Megatron-Core ``parallel_state``
zero_group tp is a multiple of ep etp             refused  the same, for the experts' optimizer
FP8 on a chip without FP8                         note     it computes in BF16
================================================  =======  ========================================

The experts of a layer are spread over ``ep etp`` neighbours among the ``tp dp cp`` chips of a
stage, regardless of the dimension to which they belong (MoE parallel folding, arXiv 2504.14960):
the experts are divided into `ep` shares, and each expert's matrices are split by `etp` (expert
tensor parallel size). ``tp dp cp / (ep etp)`` chips hold the same experts. If a plan does not set
`etp`, it is 1 (experts are not split) with ``ep > 1``, and `tp` with ``ep = 1``, where experts are
split like any other matrix (:func:`clustersim.performance.arrays.default_expert_tp`).
Megatron-Core's own default is `tp` in both cases; give `etp` for runs that use that default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.plan_terms import Terms, kv_heads_fit, terms_of

__all__ = [
    "RULES",
    "Rule",
    "Verdicts",
    "judge",
    "precision_note",
    "switch_problems",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about plans.

    Attributes
    ----------
    name : str
        The field of a plan that the rule is about.
    refuses : bool
        True if a plan that breaks the rule is refused, False if it gets a note.
    broken : callable
        Function of :class:`Terms` that returns which plans break the rule.
    text : callable
        Function of the terms of one plan that returns the message.
    needs_dp : bool
        Whether the rule is skipped if `dp` is unknown.
    """

    name: str
    refuses: bool
    broken: Callable[[Terms], Any]
    text: Callable[[Terms], str]
    needs_dp: bool = False


def _refused(
    name: str,
    broken: Callable[[Terms], Any],
    text: Callable[[Terms], str],
    *,
    needs_dp: bool = False,
) -> Rule:
    return Rule(
        name,
        True,
        broken,
        lambda t: f"{name}: {text(t)}, found {getattr(t, name):.0f}",
        needs_dp,
    )


def _noted(
    name: str,
    broken: Callable[[Terms], Any],
    text: Callable[[Terms], str],
    *,
    needs_dp: bool = False,
) -> Rule:
    return Rule(name, False, broken, text, needs_dp)


def _share_text(t: Terms) -> str:
    over = f" over dp {t.dp:.0f}" if t.dp else ""
    return (
        f"must be at most {t.share:.0f}, a rank's share of the batch "
        f"({t.batch:.0f} sequences{over})"
    )


def _uneven_batch(t: Terms) -> str:
    step = t.dp * t.micro_batch
    if t.batch < t.dp:
        return (
            f"{t.batch:.0f} sequences are fewer than dp = {t.dp:.0f}; "
            f"{t.dp - t.batch:.0f} data-parallel ranks have nothing to compute."
        )
    return (
        f"{t.batch:.0f} sequences are not a multiple of dp x micro-batch = {step:.0f}; the "
        "last micro-batches are partly empty."
    )


def _uneven_layers(t: Terms) -> str:
    chunks = t.pp * t.vpp
    fullest = t.vpp * math.ceil(t.layers / chunks)
    return (
        f"{t.layers:.0f} layers are not a multiple of pp x vpp = {chunks:.0f} chunks; every stage "
        f"is timed as the fullest one, with {fullest:.0f} layers."
    )


RULES: tuple[Rule, ...] = (
    _refused(
        "tp",
        lambda t: np.mod(t.heads, t.tp) != 0,
        lambda t: f"must divide the {t.heads:.0f} heads",
    ),
    _refused(
        "tp",
        lambda t: (np.mod(t.heads, t.tp) == 0) & ~kv_heads_fit(t.kv_heads, t.tp),
        lambda t: f"must divide the {t.kv_heads:.0f} key and value heads or be a multiple of them",
    ),
    _refused(
        "pp", lambda t: t.pp > t.layers, lambda t: f"must be at most the {t.layers:.0f} layers"
    ),
    _refused("vpp", lambda t: (t.vpp > 1) & (t.pp == 1), lambda _: "must be 1 if pp is 1"),
    _refused(
        "vpp",
        lambda t: (t.pp > 1) & (t.pp <= t.layers) & (t.vpp > t.stage_layers),
        lambda t: f"must be at most the {t.stage_layers:.0f} layers of a stage",
    ),
    _refused(
        "ep",
        lambda t: (t.ep > 1) & (t.n_experts == 0),
        lambda _: "must be 1 because the model has no experts",
    ),
    _refused(
        "ep",
        lambda t: (t.n_experts > 0) & (np.mod(t.n_experts, t.ep) != 0),
        lambda t: f"must divide the {t.n_experts:.0f} experts",
    ),
    _refused(
        "ep",
        lambda t: (t.n_experts > 0) & (np.mod(t.stage, t.ep) != 0),
        lambda t: f"must divide the {t.stage:.0f} chips of a stage (tp dp cp)",
        needs_dp=True,
    ),
    _refused(
        "etp",
        lambda t: (t.etp > 1) & (t.n_experts == 0),
        lambda _: "must be 1 because the model has no experts",
    ),
    _refused(
        "etp",
        lambda t: (
            (t.n_experts > 0)
            & (np.mod(t.expert_ffn, 1.0) == 0)  # a width that follows from parameters is not whole
            & (np.mod(t.expert_ffn, t.etp) != 0)
            & ((t.etp != t.tp) | ((np.mod(t.heads, t.tp) == 0) & kv_heads_fit(t.kv_heads, t.tp)))
        ),
        lambda t: f"must divide the expert width of {t.expert_ffn:.0f}",
    ),
    _refused(
        "etp",
        lambda t: (
            (t.n_experts > 0) & (np.mod(t.stage, t.ep) == 0) & (np.mod(t.stage, t.ep * t.etp) != 0)
        ),
        lambda t: (
            f"its product with ep {t.ep:.0f} must divide the {t.stage:.0f} chips of a stage "
            "(tp dp cp)"
        ),
        needs_dp=True,
    ),
    _refused(
        "moe_recompute",
        lambda t: (t.moe_recompute > 0) & (t.n_experts == 0),
        lambda _: "must be 0 because the model has no experts",
    ),
    Rule(
        "dispatcher",
        True,
        lambda t: (t.dispatcher > 0) & (t.n_experts == 0),
        lambda _: "dispatcher: cannot be given because the model has no experts",
    ),
    _noted(
        "moe_recompute",
        lambda t: (t.moe_recompute > 0) & (t.n_experts > 0) & (t.recompute >= 2),
        lambda _: "moe_recompute has no effect with full recompute, which includes mixtures.",
    ),
    _noted(
        "recompute_layers",
        lambda t: (t.recompute_layers > 0) & (t.recompute < 2),
        lambda _: "recompute_layers has no effect without full recompute.",
    ),
    _noted(
        "recompute_layers",
        lambda t: (t.recompute >= 2) & (t.recompute_layers > t.stage_layers),
        lambda t: (
            f"recompute_layers {t.recompute_layers:.0f} is more than the "
            f"{t.stage_layers:.0f} layers of a stage; all are recomputed."
        ),
    ),
    Rule(
        "topk",
        True,
        lambda t: (t.n_experts > 0) & (t.top_k > t.n_experts),
        lambda t: f"topk: must be at most the {t.n_experts:.0f} experts, found {t.top_k:.0f}",
    ),
    _refused(
        "cp",
        lambda t: np.mod(t.seq_len, t.cp) != 0,
        lambda t: f"must divide the {t.seq_len:.0f} tokens of a sequence",
    ),
    _refused(
        "zero_group",
        lambda t: (t.zero_group > 0) & (t.zero == 0),
        lambda _: "must be 0 if ZeRO is off (stage 0)",
    ),
    _refused(
        "zero_group",
        lambda t: (t.zero_group > 0) & (np.mod(t.ranks, np.maximum(t.zero_group, 1.0)) != 0),
        lambda t: f"must divide the {t.ranks:.0f} data-parallel ranks (dp cp)",
        needs_dp=True,
    ),
    _refused(
        "zero_group",
        lambda t: (
            (t.zero_group > 0)
            & (t.n_experts > 0)
            & (np.mod(t.zero_group * t.tp, t.ep * t.etp) != 0)
        ),
        lambda t: (
            f"its product with tp {t.tp:.0f} must be a multiple of ep {t.ep:.0f}"
            + (f" x etp {t.etp:.0f}" if t.etp > 1 else "")
        ),
    ),
    _refused("micro_batch", lambda t: t.micro_batch > t.share, _share_text),
    _noted(
        "tp",
        lambda t: t.tp > t.domain,
        lambda t: (
            f"tp {t.tp:.0f} is larger than a scale-up domain of {t.domain:.0f} chips; the plan "
            "search does not try such plans."
        ),
    ),
    _noted(
        "tp",
        lambda t: t.tp > t.kv_heads,
        lambda t: (
            f"tp {t.tp:.0f} is more than the {t.kv_heads:.0f} key and value heads; each is copied "
            f"to {t.tp / t.kv_heads:g} ranks, and the copies are not counted."
        ),
    ),
    _noted("pp", lambda t: np.mod(t.layers, t.pp * t.vpp) != 0, _uneven_layers),
    _noted(
        "vpp",
        lambda t: (t.vpp > 1) & (np.mod(t.micro_batches, t.pp) != 0),
        lambda t: (
            f"{t.micro_batches:.0f} micro-batches are not a multiple of pp {t.pp:.0f}; Megatron-LM "
            "refuses this with vpp above 1."
        ),
        needs_dp=True,
    ),
    _noted(
        "cp",
        lambda t: (
            (t.cp > 1)
            & (t.causal > 0)
            & (np.mod(t.seq_len, t.cp) == 0)
            & (np.mod(t.seq_len, 2.0 * t.cp) != 0)
        ),
        lambda t: (
            f"{t.seq_len:.0f} tokens are not a multiple of 2 cp = {2 * t.cp:.0f}; under a causal "
            "mask the ranks have unequal work, which is not counted."
        ),
    ),
    _noted(
        "sequence_parallel",
        lambda t: (t.ep > 1) & (t.tp > 1) & (t.sequence_parallel == 0),
        lambda t: (
            f"ep {t.ep:.0f} and tp {t.tp:.0f} without sequence parallelism: Megatron-LM refuses "
            "this; the exchange is timed as if the tensor-parallel ranks split the tokens."
        ),
    ),
    _noted(
        "micro_batch",
        lambda t: np.mod(t.batch, np.maximum(t.dp, 1.0) * t.micro_batch) != 0,
        _uneven_batch,
        needs_dp=True,
    ),
    _noted(
        "zero",
        lambda t: (t.zero >= 2) & (t.pp > 1),
        lambda t: (
            f"ZeRO-{t.zero:.0f} with a pipeline: DeepSpeed refuses this, but PyTorch FSDP does "
            "not; the plan search does not try it."
        ),
    ),
)
"""All rules about a single plan. The number of chips is checked by
:func:`clustersim.estimation.settled_plan.data_parallel_size`, and the precision by
:func:`precision_note`."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Problems of plans, and notes on plans, with one list of lines for each plan.

    Attributes
    ----------
    problems : list of list of str
        Why a plan is refused, as ``key: what it must be, found value``.
    notes : list of list of str
        Unusual properties of the plan, as sentences.
    """

    problems: list[list[str]]
    notes: list[list[str]]


def judge(
    models: ModelArrays,
    chips: AcceleratorArrays,
    plans: Plans,
    global_batch: Floats,
    rules: Sequence[Rule] = RULES,
) -> Verdicts:
    """Apply rules to plans and collect the problems and notes.

    Parameters
    ----------
    models, chips, plans
        Structs of arrays that broadcast with each other, one element per plan. A `dp` of 0 means
        that it is unknown; rules that depend on it are skipped.
    global_batch : array
        Sequences per step.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> found = judge(
    ...     ModelArrays.of([catalogue.model("mixtral-8x7b")]),
    ...     AcceleratorArrays.of([catalogue.accelerator("H100")]),
    ...     Plans.of(tp=[2.0], pp=8, dp=1, ep=8),
    ...     np.array([512.0]),
    ... )
    >>> found.problems
    [['ep: must divide the 2 chips of a stage (tp dp cp), found 8']]
    """
    terms = terms_of(models, chips, plans, global_batch)
    size = len(terms.tp)
    found = Verdicts([[] for _ in range(size)], [[] for _ in range(size)])
    known = terms.dp > 0
    for rule in rules:
        broken = np.asarray(rule.broken(terms), dtype=bool)
        if rule.needs_dp:
            broken = broken & known
        for place in np.flatnonzero(broken):
            lines = (found.problems if rule.refuses else found.notes)[place]
            lines.append(rule.text(terms.row(int(place))))
    return found


def switch_problems(
    model: ModelArrays, chip: AcceleratorArrays, switches: Mapping[str, float | None]
) -> list[str]:
    """Return the problems of switches that are impossible in any plan of a model on a chip.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> catalogue = load_catalogue()
    >>> model = ModelArrays.of([catalogue.model("gpt3-5b")])
    >>> chip = AcceleratorArrays.of([catalogue.accelerator("H100")])
    >>> switch_problems(model, chip, {"moe_recompute": 1.0})
    ['moe_recompute: must be 0 because the model has no experts, found 1']
    """
    given = {name: value for name, value in switches.items() if value is not None}
    rules = [rule for rule in RULES if rule.refuses and rule.name in given]
    return judge(model, chip, Plans.of(tp=[1.0], dp=0, **given), np.ones(1), rules).problems[0]


def precision_note(chip: Accelerator, precision: str) -> str:
    """Return a note if a chip does not support the requested precision, otherwise an empty text."""
    if precision == "fp8" and "fp8" not in chip.peak_flops:
        return f"{chip.name} has no FP8; it computes in BF16."
    return ""
