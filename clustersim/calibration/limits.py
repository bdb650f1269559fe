"""Configurations with few or no measurements, and how the model treats them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats
from clustersim.calibration.measurements import Measurements
from clustersim.catalogue import Catalogue
from clustersim.estimation.configurations import Configurations
from clustersim.performance import ModelArrays
from clustersim.performance.coefficient_draw import RELATIVES

__all__ = ["FEW", "count_limits"]


FEW = 20
"""Configurations with fewer rows than this number are listed in the report."""

LEANS = "uses the prior and measurements of related configurations, with their spread"


def count_limits(measured: Measurements, catalogue: Catalogue) -> pd.DataFrame:
    """Count the rows of configurations that matter for a fleet, sorted by count.

    Returns
    -------
    DataFrame
        ``what, rows, publishers, what the model does``.
    """
    rows = measured.rows
    found = [*_chips(measured, catalogue), *_models(rows), *_plans(rows), *_kinds(measured)]
    records = [
        {
            "what": what,
            "rows": int(chosen.sum()),
            "publishers": len(set(measured.publishers[chosen].tolist())),
            "what the model does": does,
        }
        for what, chosen, does in found
    ]
    return pd.DataFrame(records).sort_values("rows", kind="stable").reset_index(drop=True)


def _chips(measured: Measurements, catalogue: Catalogue) -> list[tuple[str, Bools, str]]:
    """Return the cases by chip: training; on measured chips, also experts and FP8.

    Reference chips are skipped. A case is a name, a mask of its rows, and what the model does.
    """
    rows = measured.rows
    names = np.array([chip.name for chip in rows.accelerators])
    families = np.array([_architecture(chip.family) for chip in rows.accelerators])
    mixture, training = rows.models.n_experts > 0, ~(_kind(measured) == "rl-update")
    found = []
    for chip in catalogue.accelerators.values():
        if chip.reference_only:
            continue
        here = training & (names == chip.name)
        relatives = int((families == _architecture(chip.family)).sum())
        found.append((f"training on {chip.name}", here, _chip_text(chip.hypothetical, relatives)))
        if here.any():
            text = "uses the expert coefficients of other chips and of its stack"
            found.append((f"mixture of experts on {chip.name}", here & mixture, text))
        if here.any() and "fp8" in chip.peak_flops:
            text = "uses the gain of FP8 over BF16 of other chips"
            found.append((f"FP8 on {chip.name}", here & rows.chips.fp8, text))
    return found


def _architecture(family: str) -> str:
    return RELATIVES.get(family, family)


def _chip_text(hypothetical: bool, relatives: int) -> str:
    if hypothetical:
        return "draws from the range of its specification and the spread of all chips"
    if relatives:
        return f"uses its peaks and links, and its architecture's efficiencies ({relatives} rows)"
    return "uses its peaks and links, and efficiencies with the spread of all chips"


def _kind(measured: Measurements) -> NDArray[np.str_]:
    if "kind" not in measured.table:
        return np.full(len(measured), "pretrain")
    return measured.table["kind"].fillna("pretrain").str.lower().to_numpy(dtype=str)


def _models(rows: Configurations) -> list[tuple[str, Bools, str]]:
    models: ModelArrays = rows.models
    dense = models.n_experts == 0
    half = models.seq_len / 2.0
    linear = "counts the FLOPs and bytes; uses the efficiencies of shorter sequences"
    return [
        ("sequences over 8,192 tokens", models.seq_len > 8192, linear),
        ("sequences over 32,768 tokens", models.seq_len > 32768, linear),
        ("sequences over 131,072 tokens", models.seq_len > 131072, linear),
        ("mixture of experts", ~dense, LEANS),
        ("mixture of over 64 experts", models.n_experts > 64, LEANS),
        (
            "shared experts",
            models.shared_experts > 0,
            "adds their matrix products to the products of the other experts",
        ),
        ("dense models over 200e9 parameters", dense & (_params(models) > 2e11), LEANS),
        ("sliding-window attention", models.span < half, "counts only the tokens in the window"),
        (
            "attention to the whole sequence (video diffusion)",
            models.span > half,
            "counts all tokens; uses the efficiencies of causal attention",
        ),
    ]


def _params(models: ModelArrays) -> Floats:
    """Return the number of parameters of the layers, without experts, and one vocabulary table."""
    mlp = models.mlp_matrices * models.hidden * models.ffn_hidden
    return models.layers * (models.attention_params + mlp) + models.vocab * models.hidden


def _plans(rows: Configurations) -> list[tuple[str, Bools, str]]:
    plans, chips = rows.plans, rows.chips
    size = plans.chips
    across = plans.expert_tp * plans.ep > chips.scaleup_size
    wire = "follows from bytes and links; the hidden share depends on the prior"
    return [
        ("over 4,096 chips", size > 4096, "extrapolates the growth per doubling of chips"),
        ("over 16,384 chips", size > 16384, "extrapolates the growth per doubling of chips"),
        ("network below 100 Gb/s per chip", chips.nic_Bps < 12.5e9, wire),
        ("tensor parallel groups over 8", plans.tp > 8, wire),
        ("pipelines of over 16 stages", plans.pp > 16, "follows from the schedule"),
        ("context parallelism", plans.cp > 1, wire),
        ("expert parallelism", plans.ep > 1, wire),
        ("expert parallelism across servers", (plans.ep > 1) & across, wire),
        ("distributed experts that are also split", (plans.ep > 1) & (plans.expert_tp > 1), wire),
        ("ZeRO-3 or FSDP", plans.zero >= 3, wire),
        ("ZeRO within groups (hybrid sharding)", plans.zero_group > 0, wire),
        ("no fused attention", plans.flash == 0, LEANS),
    ]


def _kinds(measured: Measurements) -> list[tuple[str, Bools, str]]:
    kind = _kind(measured)
    texts = (
        ("lora", "LoRA", "leaves out weight gradients"),
        ("sft", "SFT", "is treated as pretraining; padding and packing are not modelled"),
        (
            "rl-update",
            "updates in reinforcement learning",
            "is treated as pretraining; sample generation is not modelled",
        ),
    )
    return [(name, kind == label, text) for label, name, text in texts]
