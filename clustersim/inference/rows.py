"""One row of a table of serving measurements as an instance or an image task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import unknown_name
from clustersim.inference.calibration import Labels
from clustersim.inference.engines import engine_of, engines
from clustersim.inference.images import ImageTask
from clustersim.inference.model_facts import is_diffusion
from clustersim.inference.outcomes import LANGUAGE_MEASURES, MEASURES, PHASES
from clustersim.inference.row_load import draft_of, lengths_of_row, run_of_row
from clustersim.inference.row_model import cache_bytes, model_of_row, weights_of_row
from clustersim.inference.row_plan import device_of, layout_of_row
from clustersim.inference.row_values import RowError, RowValues
from clustersim.inference.served_model import ServedModel
from clustersim.inference.settings import Instance

__all__ = ["COLUMNS", "ServedRow", "read_row"]

COLUMNS: Mapping[str, str] = {
    "chip": "name in the catalogue",
    "n_chips": "chips of the instance; blank: as many as the plan, or the weights, need",
    "model": "name; what is known of it replaces blank columns of its shape",
    "total_params_b": "parameters in billions; needed for a model that is not listed",
    "active_params_b": "parameters that process one token, in billions",
    "layers": "layers",
    "hidden": "width",
    "heads": "attention heads",
    "kv_heads": "heads of keys and values",
    "attention": "MHA, GQA, MLA or MLA sparse, for a model that is not listed",
    "experts": "routed experts of a layer",
    "topk": "routed experts of a token",
    "weight_precision": "bf16, fp8, int8, fp4, mxfp4, int4 or w4a8; blank: that of the release",
    "kv_precision": "precision of the cache; blank: 16 bits",
    "phase": f"{', '.join(PHASES[:-1])} or {PHASES[-1]}",
    "tp": "tensor parallel size; blank: a node, or what the weights need",
    "pp": "pipeline parallel size; blank: 1",
    "dp": "replicas of attention; blank: the chips divided by tp and pp",
    "ep": "chips among which whole experts are placed; blank: experts are split like attention",
    "concurrency": "requests in flight; blank: as many as engine and memory allow",
    "batch_per_chip": "sequences of a chip, instead of concurrency",
    "input_len": "tokens of a prompt; blank: 1,024, in MLPerf's submissions those of its data set",
    "output_len": "tokens of an answer; blank: as for input_len",
    "resolution": "width x height of an image or video",
    "frames": "frames of a video",
    "steps": "denoising steps",
    "measure": ", ".join(MEASURES),
    "tpot_ms": "time per output token, which sets the batch of a decode row without one",
    "engine": "serving engine and version",
    "source": "blogs, papers, READMEs and submissions show tuned deployments",
    "spec_decoding": "n, or y (kind, draft tokens, accept tokens)",
    "notes": "read: attention data-parallel, sent at once, ShareGPT, N sequences at most, MaxQ",
}
"""Columns that a prediction reads."""

_NAMED_SIZES = {"480p": (832.0, 480.0), "720p": (1280.0, 720.0), "1080p": (1920.0, 1080.0)}
_USUAL_SIZE = {"video-diffusion": (1280.0, 720.0), "image-diffusion": (1024.0, 1024.0)}
_USUAL_STEPS = {"video-diffusion": 50.0, "image-diffusion": 28.0}
USUAL_FRAMES = 81.0
SDXL_STEPS = 20.0
"""Steps of Stable Diffusion XL in MLPerf Inference."""


@dataclass(frozen=True, slots=True)
class ServedRow:
    """A row that can be predicted.

    Attributes
    ----------
    measure, phase : str
        From :data:`MEASURES` and :data:`PHASES`.
    task : Instance or ImageTask
    devices : float
        Devices of one chip; 2 for the dies of a 910C.
    labels : mapping of str to str
        Label on each level of effects.
    tpot_s : float
        Stated time per output token that sets the batch; nan if the batch is known.
    notes : tuple of str
        Assumptions.
    guessed : frozenset of str
        Keys of :data:`clustersim.inference.intervals.GUESSES`.
    """

    measure: str
    phase: str
    task: Instance | ImageTask
    devices: float
    labels: Labels
    tpot_s: float
    notes: tuple[str, ...]
    guessed: frozenset[str]

    @property
    def kind(self) -> str:
        """Kind of row, from :data:`clustersim.inference.intervals.KINDS`."""
        if isinstance(self.task, ImageTask):
            return "videos" if self.task.frames > 1 else "images"
        return kind_of(self.task.chip) if np.isnan(self.task.burst) else "burst"


def kind_of(chip: Accelerator) -> str:
    """Return the kind of row for a language model in the long run on a chip."""
    return "steady" if chip.vendor == "NVIDIA" else "other"


def read_row(values: Mapping[str, Any], catalogue: Catalogue) -> ServedRow:
    """Read one row; what is blank is assumed.

    Raises
    ------
    RowError
        If nothing sensible can be said: the chip, the model or the measure is unknown.
    """
    row = RowValues(values)
    measure = _measure(row)
    images = measure not in LANGUAGE_MEASURES
    chip = _chip(row, catalogue)
    model = model_of_row(row, catalogue, images=images)
    if is_diffusion(model) != images:
        kind = "images or videos" if is_diffusion(model) else "text"
        raise RowError(f"measure: {measure!r} is not a measure of {model.name}, a model of {kind}")
    phase = _phase(row, measure)
    engine = engine_of(row.text("engine"))
    if engine == "other" and not images:
        row.assume("engine", "The engine is not listed; a usual one is assumed.")
    labels = _labels(row, chip, engine, model, images=images)
    if images:
        task: Instance | ImageTask = _image_task(row, chip, model, measure)
        devices, tpot_s = 1.0, np.nan
    else:
        task, devices, tpot_s = _instance(row, chip, model, measure, phase, engine)
    return ServedRow(
        measure, phase, task, devices, labels, tpot_s, tuple(row.notes), frozenset(row.guessed)
    )


def _measure(row: RowValues) -> str:
    text = row.text("measure")
    if not text:
        raise RowError(f"measure: blank; must be one of {', '.join(MEASURES)}")
    for measure in MEASURES:
        if text.lower().startswith(measure.lower()):
            return measure
    raise RowError(f"measure: {unknown_name('measure', text, MEASURES)}")


def _chip(row: RowValues, catalogue: Catalogue) -> Accelerator:
    name = row.text("chip")
    if not name:
        raise RowError("chip: blank")
    shorter = (name, re.sub(r"\s*\(.*", "", name), re.split(r"[/,;]", name)[0], name.split("-")[0])
    for text in shorter:
        if text and catalogue.has_accelerator(text):
            if text != name:
                row.notes.append(f"chip: {name!r} is read as {text}.")
            return catalogue.accelerator(text)
    raise RowError(f"chip: {unknown_name('chip', name, catalogue.accelerators)}")


def _phase(row: RowValues, measure: str) -> str:
    phase = row.text("phase").lower()
    if phase in PHASES:
        return phase
    usual = {"prefill tokens/s/chip": "prefill", "TTFT ms": "prefill", "TPOT ms": "decode"}
    found = usual.get(measure, "both")
    row.notes.append(f"phase: {phase or 'blank'!r} is read as {found}.")
    return found


def _labels(
    row: RowValues, chip: Accelerator, engine: str, model: ServedModel, *, images: bool
) -> Labels:
    family = chip.name if chip.family == "other" else chip.family
    source = row.text("family")
    block = f"{source} {model.name}" if images else f"{source} {chip.name} {engine}"
    return {"engine": engine, "chip": family, "source": source, "block": block}


def _instance(
    row: RowValues, chip: Accelerator, model: ServedModel, measure: str, phase: str, engine: str
) -> tuple[Instance, float, float]:
    device, count = device_of(chip)
    n_chips = row.number("n_chips")
    weights = weights_of_row(row, device, model, n_chips * count)
    layout = layout_of_row(
        row,
        n_chips,
        device,
        model,
        weights,
        count=count,
        engine=engine,
        apart=phase in ("prefill", "decode"),
    )
    input_len, output_len = lengths_of_row(row, model, phase, measure)
    replicas = max(1.0, layout.devices / (layout.tp * layout.pp))
    run = run_of_row(row, replicas)
    batch = row.number("concurrency") / replicas
    per_chip = row.number("batch_per_chip")
    if np.isfinite(per_chip):
        batch = per_chip / count * layout.tp * layout.pp
    limits = engines()[engine].limits(chip)
    sequences = limits.sequences if np.isnan(run.most_sequences) else run.most_sequences
    tpot_s = np.nan
    if phase == "decode" and np.isfinite(batch):
        sequences = max(sequences, batch)
    elif phase == "decode" and measure != "TPOT ms":
        tpot_s = row.number("tpot_ms") / 1e3
    if np.isnan(batch) and np.isnan(tpot_s) and phase in ("decode", "both"):
        row.assume("batch", "concurrency: as many as engine and memory allow.")
    draft, accepted = draft_of(row.text("spec_decoding"))
    instance = Instance(
        chip=device,
        model=model,
        weights=weights,
        kv_bytes=cache_bytes(row, engine, weights),
        tp=layout.tp,
        pp=layout.pp,
        expert_chips=layout.expert_chips,
        distributed=float(layout.distributed),
        batch=batch,
        input_len=input_len,
        output_len=output_len,
        draft=draft,
        accepted=accepted,
        sequences=sequences,
        chunk_tokens=limits.chunk_tokens,
        burst=run.burst,
        varied=float(run.varied),
        balanced=float(run.balanced),
        tuned=float(run.tuned),
        slower=run.slower,
    )
    return instance, count, tpot_s


def _image_task(row: RowValues, chip: Accelerator, model: ServedModel, measure: str) -> ImageTask:
    text = row.text("resolution").lower()
    found = re.search(r"(\d+)\s*[x×*]\s*(\d+)", text)
    size = (float(found[1]), float(found[2])) if found else _NAMED_SIZES.get(text)
    if size is None or min(size) <= 0:
        size = _USUAL_SIZE[model.kind]
        row.assume("task", f"resolution: {size[0]:g} x {size[1]:g} is assumed.")
    frames, steps = row.number("frames"), row.number("steps")
    if model.kind != "video-diffusion":
        frames = 1.0
    elif np.isnan(frames):
        frames = USUAL_FRAMES
        row.assume("task", f"frames: {frames:g} is assumed.")
    submitted = "submission" in row.text("engine").lower()
    if np.isnan(steps):
        steps = SDXL_STEPS if model.name == "sdxl" else _USUAL_STEPS[model.kind]
        row.assume("lengths" if submitted else "task", f"steps: {steps:g} is assumed.")
    n_chips = row.number("n_chips")
    if np.isnan(n_chips):
        n_chips = 1.0
        row.assume("plan", "n_chips: 1 is assumed.")
    if submitted and model.name == "sdxl" and not text:
        row.guessed.discard("task")  # the size and steps of the benchmark are known
    return ImageTask(
        chip=chip,
        model=model,
        n_chips=1.0 if measure == "images/s/chip" else n_chips,
        width=size[0],
        height=size[1],
        frames=frames,
        steps=steps,
        compiled=0.0 if "eager" in row.text("engine").lower() else 1.0,
        narrow=float(submitted and "fp8" in chip.peak_flops),
        slower=run_of_row(row, 1.0).slower,
    )
