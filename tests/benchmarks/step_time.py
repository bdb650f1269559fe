"""Speed of the performance core: configurations a second, and the full space of plans."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from clustersim.catalogue import load_catalogue
from clustersim.performance import (
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_draw,
    evaluate,
)

__all__ = ["step_time"]

CALCULON = 420
"""Configurations a second of Calculon on one core with its log switched off, at best (290 to 420;
README of the measurements)."""
ROWS = 400_000
PLAIN_BOUND = 400_000

FULL_SEARCH = """
import json, pathlib, time
from clustersim.catalogue import load_catalogue
from clustersim.performance import default_draw, search_plans
catalogue = load_catalogue()
default_draw()
began = time.perf_counter()
model, chip = catalogue.model("gpt3-175b"), catalogue.accelerator("A100-80GB")
found = search_plans(model, chip, 4096, space="full")
seconds = time.perf_counter() - began
status = pathlib.Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e6
print(json.dumps([found.looked_at, found.fitting, seconds, peak]))
"""


def step_time() -> list[tuple[object, ...]]:
    """Rows of the table of benchmarks."""
    return [
        _configurations("step time, dense models in BF16", mixed=False),
        _configurations("step time, with MoE, CP, ZeRO-3, FP8", mixed=True),
        _full_search(),
        _best(),
    ]


def _least_seconds(work: Callable[[], object], turns: int) -> float:
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _row(
    name: str, count: int, seconds: float, measured: str, bound: str, kept: bool
) -> tuple[object, ...]:
    rate = f"{count / seconds:,.0f}"
    verdict = "ok" if kept else "MISSED"
    return (name, f"{count:,}", f"{seconds:.2f}", rate, measured, bound, verdict)


def _configurations(name: str, *, mixed: bool) -> tuple[object, ...]:
    """Every row has a model, a chip and a plan of its own, as columns of one length."""
    draw = np.random.default_rng(1)
    catalogue = load_catalogue()
    models = [model for model in catalogue.models.values() if mixed or not model.n_experts]
    chips = list(catalogue.accelerators.values())
    precision = "fp8" if mixed else "bf16"
    chip = draw.integers(len(chips), size=ROWS)

    def power(most: int) -> np.ndarray:
        return 2.0 ** draw.integers(0, most + 1, ROWS)

    options = {"cp": power(2), "ep": power(3), "flash": draw.integers(0, 2, ROWS)} if mixed else {}
    plans = Plans.of(
        tp=power(3),
        pp=power(3),
        dp=power(7),
        micro_batch=power(2),
        recompute=draw.integers(0, 3, ROWS),
        zero=draw.integers(0, 4 if mixed else 2, ROWS),
        vpp=power(1),
        **options,
    )
    shapes = ModelArrays.of(models).take(draw.integers(len(models), size=ROWS))
    accelerators = AcceleratorArrays.of(chips, precision).take(chip)
    coefficients = default_draw().for_chips(chips, None, precision).take(chip)
    batch = 64.0 * power(5)
    seconds = _least_seconds(
        lambda: evaluate(
            shapes, accelerators, plans, global_batch=batch, coefficients=coefficients
        ),
        3,
    )
    rate = ROWS / seconds
    bound = f">= {PLAIN_BOUND:,}/s"
    return _row(name, ROWS, seconds, f"{rate / CALCULON:,.0f} x peer", bound, rate >= PLAIN_BOUND)


def _full_search() -> tuple[object, ...]:
    """Run in a process of its own for its memory."""
    command = [sys.executable, "-c", FULL_SEARCH]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    looked_at, fitting, seconds, peak = json.loads(done.stdout)
    return _row(
        "all plans of GPT-3 175B on 4,096 A100",
        looked_at,
        seconds,
        f"{fitting:,} fit, {peak:.2f} GB",
        ">= 7.1 M, < 30 s, < 4 GB",
        looked_at >= 7.1e6 and seconds < 30 and peak < 4,
    )


def _best() -> tuple[object, ...]:
    catalogue = load_catalogue()
    rows = [
        (model, catalogue.accelerator(chip), count)
        for model in list(catalogue.models.values())[:11]
        for chip in ("H200", "H20", "910B2", "SeedChip")
        for count in (8, 24, 64, 100, 256, 512, 1000, 4096, 10000)
    ]
    models, chips, counts = zip(*rows, strict=True)
    seconds = _least_seconds(lambda: best_plans(models, chips, counts), 3)
    name = "best plan of a job (model, chip, count)"
    return _row(name, len(rows), seconds, "", "< 0.5 s", seconds < 0.5)
