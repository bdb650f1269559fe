"""What cannot be, and what is unusual, of a plan for a model on a chip."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["plan_faults", "plan_remarks"]


def plan_faults(
    plan: Mapping[str, float], model: Mapping[str, float], global_batch: float, name: str = ""
) -> list[str]:
    """Return what no run can do, a line each.

    Parameters
    ----------
    plan : mapping of str to float
        pp, cp, ep, vpp, micro_batch, zero_group, dp; a `dp` of 0 is not known yet.
    model : mapping of str to float
        layers, n_experts, top_k, seq_len.
    global_batch : float
    name : str
        What to call the model.

    Examples
    --------
    >>> model = {"layers": 32, "n_experts": 0, "top_k": 0, "seq_len": 8192}
    >>> plan = {"pp": 64, "cp": 3, "ep": 1, "vpp": 1, "micro_batch": 1, "zero_group": 0, "dp": 2}
    >>> plan_faults(plan, model, 64)
    ['pp: must be at most the 32 layers, found 64', 'cp: must divide the 8192 tokens of a \
sequence, found 3']
    """
    pp, cp, ep, dp = (plan[key] for key in ("pp", "cp", "ep", "dp"))
    layers, experts, length = model["layers"], model["n_experts"], model["seq_len"]
    of = f" of {name}" if name else ""
    faults = []
    if pp > layers:
        faults.append(f"pp: must be at most the {layers:.0f} layers{of}, found {pp:.0f}")
    elif plan["vpp"] > math.ceil(layers / pp):
        faults.append(
            f"vpp: must be at most the {math.ceil(layers / pp)} layers of a stage, found "
            f"{plan['vpp']:.0f}"
        )
    if ep > 1 and not experts:
        faults.append(f"ep: {name or 'the model'} has no experts, found {ep:.0f}")
    elif experts and (ep > experts or experts % ep):
        faults.append(f"ep: must divide the {experts:.0f} experts, found {ep:.0f}")
    if experts and model["top_k"] > experts:
        faults.append(
            f"topk: must be at most the {experts:.0f} experts, found {model['top_k']:.0f}"
        )
    if length % cp:
        faults.append(f"cp: must divide the {length:.0f} tokens of a sequence, found {cp:.0f}")
    group, ranks = plan["zero_group"], dp * cp
    if group and ranks and ranks % group:
        faults.append(
            f"zero_group: must divide the {ranks:.0f} data-parallel ranks (dp cp), found "
            f"{group:.0f}"
        )
    share = math.ceil(global_batch / dp) if dp else global_batch
    if plan["micro_batch"] > share:
        over = f" over dp {dp:.0f}" if dp else ""
        faults.append(
            f"micro_batch: must be at most a rank's share of the batch, {share:.0f} "
            f"({global_batch:.0f} sequences{over}), found {plan['micro_batch']:.0f}"
        )
    return faults


def plan_remarks(
    plan: Mapping[str, float], heads: float, domain: float, global_batch: float
) -> list[str]:
    """Return what is unusual, a line each: runs do it, and it is evaluated as it stands.

    Parameters
    ----------
    plan : mapping of str to float
        tp, dp, micro_batch.
    heads : float
    domain : float
        Chips of a scale-up domain.
    global_batch : float
        Sequences of a step.
    """
    remarks = []
    tp, ranks = plan["tp"], plan["dp"] * plan["micro_batch"]
    if tp > domain:
        remarks.append(
            f"tp {tp:.0f} reaches beyond the {domain:.0f} chips of a scale-up domain; no plan that "
            "is searched does"
        )
    if heads % tp:
        remarks.append(f"tp {tp:.0f} does not divide the {heads:.0f} heads")
    if global_batch % ranks:
        remarks.append(
            f"{global_batch:.0f} sequences are no multiple of dp x micro-batch = {ranks:.0f}; the "
            "last micro-batches are partly empty"
        )
    return remarks
