"""One row of a table of serving measurements as an instance with its assumptions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import unknown_name
from clustersim.inference.benchmarks import benchmark_of
from clustersim.inference.engines import BINARY, engine_of, engines
from clustersim.inference.model_facts import is_diffusion, known_model, with_given
from clustersim.inference.precisions import PRECISIONS, compute_peak, precision_of
from clustersim.inference.served_model import ServedModel
from clustersim.inference.settings import Instance

__all__ = ["MEASURES", "ServedRow", "read_row"]

MEASURES = (
    "output tokens/s/chip",
    "prefill tokens/s/chip",
    "total tokens/s/chip",
    "TPOT ms",
    "TTFT ms",
    "seconds/video",
    "seconds/image",
    "images/s/chip",
    "samples/s/chip",
)
_MODEL_COLUMNS = {
    "total_params_b": ("params", 1e9),
    "active_params_b": ("active_params", 1e9),
    "layers": ("layers", 1.0),
    "hidden": ("hidden", 1.0),
    "heads": ("heads", 1.0),
    "kv_heads": ("kv_heads", 1.0),
    "experts": ("n_experts", 1.0),
    "topk": ("top_k", 1.0),
}
USUAL_LENGTHS = (1024.0, 1024.0)
_BURST = r"at once|requests at \d+/s|user report"
FULL_SHARE = 0.6
"""Share of the memory that weights may use where the plan is chosen here."""


@dataclass
class ServedRow:
    """A row that was read.

    Attributes
    ----------
    reason : str
        Why the row cannot be predicted; empty if it can.
    notes : list of str
        Assumptions.
    guessed : set of str
        What was assumed and moves the answer: lengths, batch, plan, precision, size.
    measure, phase : str
    chip : Accelerator or None
        The chip as listed in the catalogue.
    instance : Instance or None
    devices : float
        Devices of a chip that the engine sees (two dies of a 910C).
    engines_count : float
    """

    reason: str = ""
    notes: list[str] = field(default_factory=list)
    guessed: set[str] = field(default_factory=set)
    measure: str = ""
    phase: str = ""
    chip: Accelerator | None = None
    model: ServedModel | None = None
    instance: Instance | None = None
    engine: str = "other"
    devices: float = 1.0
    n_chips: float = 1.0
    servers: float = 1.0
    beams: float = 1.0
    tpot_s: float = np.nan
    at_once: float = np.nan
    pixels: tuple[float, float] = (0.0, 0.0)
    frames: float = 1.0
    steps: float = 0.0


class _Problem(Exception):
    pass


def _number(row: Mapping[str, str], name: str, notes: list[str]) -> float:
    text = str(row.get(name, "") or "").strip()
    if not text or text.lower() in ("nan", "none", "-", "?"):
        return np.nan
    found = re.fullmatch(r"(?:about|ca\.?|~|≈)?\s*([0-9][0-9,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*[a-zA-Z%]*", text)
    value = float(found[1].replace(",", "")) if found else np.nan
    if not np.isfinite(value) or value <= 0:
        notes.append(f"{name}: {text!r} is not a positive number and is ignored.")
        return np.nan
    return value


def read_row(row: Mapping[str, str], catalogue: Catalogue) -> ServedRow:
    """Read one row; what is blank is assumed, what cannot be known becomes a reason."""
    out = ServedRow()
    try:
        _read(row, catalogue, out)
    except _Problem as problem:
        out.reason = str(problem)
    return out


def _text(row: Mapping[str, str], name: str) -> str:
    value = row.get(name, "")
    text = "" if value is None else str(value).strip()
    return "" if text.lower() == "nan" else text


def _read(row: Mapping[str, str], catalogue: Catalogue, out: ServedRow) -> None:
    out.measure = _measure(row)
    out.phase = _phase(row, out)
    out.engine = engine_of(_text(row, "engine"))
    name = _text(row, "chip")
    if not name:
        raise _Problem("chip: missing")
    if not catalogue.has_accelerator(name):
        raise _Problem("chip: " + unknown_name("chip", name, catalogue.accelerators))
    out.chip = catalogue.accelerator(name)
    out.model = _model(row, catalogue, out)
    out.n_chips = _number(row, "n_chips", out.notes)
    out.tpot_s = _number(row, "tpot_ms", out.notes) / 1e3
    if is_diffusion(out.model):
        _read_images(row, out)
    else:
        _read_language(row, out)


def _measure(row: Mapping[str, str]) -> str:
    text = _text(row, "measure")
    if not text:
        raise _Problem("measure: missing; one of " + ", ".join(MEASURES))
    for measure in MEASURES:
        if text.lower().startswith(measure.lower()):
            return measure
    raise _Problem(unknown_name("measure", text, MEASURES))


def _phase(row: Mapping[str, str], out: ServedRow) -> str:
    phase = _text(row, "phase").lower()
    if phase in ("prefill", "decode", "both", "offline"):
        return phase
    by = {"prefill tokens/s/chip": "prefill", "TTFT ms": "prefill", "TPOT ms": "decode"}
    usual = by.get(out.measure, "both")
    out.notes.append(f"phase {phase!r}: taken as {usual}.")
    return usual


def _model(row: Mapping[str, str], catalogue: Catalogue, out: ServedRow) -> ServedModel:
    name = _text(row, "model")
    known = known_model(name, catalogue) if name else None
    given = {}
    for column, (attribute, scale) in _MODEL_COLUMNS.items():
        value = _number(row, column, out.notes)
        if np.isfinite(value):
            given[attribute] = value * scale
    if known is None and "params" not in given:
        size = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?:-[aA](\d+(?:\.\d+)?)[bB])?", name)
        if size is None:
            raise _Problem(
                f"model: {name or 'unnamed'!r} is not known and total_params_b is blank"
            )
        given["params"] = float(size[1]) * 1e9
        if size[2]:
            given.setdefault("active_params", float(size[2]) * 1e9)
        out.notes.append(f"The size {size[0]} is read from the name of the model.")
        out.guessed.add("size")
    if known is None:
        out.notes.append("The model is not listed; blank parts of its shape are usual ones.")
        out.guessed.add("shape")
    measured = out.measure.startswith(("seconds", "images"))
    if known is None and measured:
        raise _Problem(f"model: {name!r} is not a known model of images or videos")
    return with_given(known, given, _text(row, "attention"))


def _read_images(row: Mapping[str, str], out: ServedRow) -> None:
    text = _text(row, "resolution").lower()
    found = re.search(r"(\d+)\s*[x×*]\s*(\d+)", text)
    named = {"480p": (832.0, 480.0), "720p": (1280.0, 720.0), "1080p": (1920.0, 1080.0)}
    if found:
        out.pixels = (float(found[1]), float(found[2]))
    elif text in named:
        out.pixels = named[text]
    video = out.model is not None and out.model.kind == "video-diffusion"
    if out.pixels[0] == 0.0:
        out.pixels = (1280.0, 720.0) if video else (1024.0, 1024.0)
        out.notes.append(f"resolution: assumed {out.pixels[0]:g} x {out.pixels[1]:g}.")
        out.guessed.add("lengths")
    out.frames = _number(row, "frames", out.notes)
    if np.isnan(out.frames):
        out.frames = 81.0 if video else 1.0
        if video:
            out.notes.append("frames: assumed 81.")
            out.guessed.add("lengths")
    out.steps = _number(row, "steps", out.notes)
    if np.isnan(out.steps):
        sdxl = out.model is not None and out.model.name == "sdxl"
        out.steps = 50.0 if video else 20.0 if sdxl else 28.0
        out.notes.append(f"steps: assumed {out.steps:g}.")
        out.guessed.add("batch")
    if np.isnan(out.n_chips):
        out.n_chips = 1.0
        out.notes.append("n_chips: assumed 1.")
    out.instance = None


def _read_language(row: Mapping[str, str], out: ServedRow) -> None:
    chip, model = out.chip, out.model
    assert chip is not None and model is not None
    said = _text(row, "notes").lower()
    weights = _weights(row, out)
    number = {
        name: _number(row, name, out.notes)
        for name in (
            *("tp", "pp", "dp", "ep", "concurrency", "batch_per_chip"),
            *("input_len", "output_len"),
        )
    }
    if chip.name == "910C":
        chip = chip.at(
            peak_flops={k: v / 2 for k, v in chip.peak_flops.items()},
            hbm_bytes=chip.hbm_bytes / 2,
            hbm_Bps=chip.hbm_Bps / 2,
            scaleup_Bps=chip.scaleup_Bps / 2,
            nic_Bps=chip.nic_Bps / 2,
        )
        chip = dataclasses.replace(chip, scaleup_size=2 * chip.scaleup_size)
        out.devices = 2.0
        product = np.nan_to_num(number["tp"], nan=1.0) * np.nan_to_num(number["dp"], nan=1.0)
        plan = max(product * np.nan_to_num(number["pp"], nan=1.0), np.nan_to_num(number["ep"], nan=1.0))
        if np.isnan(out.n_chips) or plan <= out.n_chips:
            number["ep" if product <= 1 else "tp"] *= 2.0
    plan = _plan(number, chip, model, weights, out, said)
    input_len, output_len = _lengths(number, out)
    n = out.n_chips * out.devices
    tp, pp, expert_chips = plan
    replicas = max(1.0, n / (tp * pp))
    out.servers = max(1.0, n / (expert_chips * pp))
    batch = number["concurrency"] / replicas
    if np.isfinite(number["batch_per_chip"]):
        batch = number["batch_per_chip"] / out.devices * tp * pp
    out.at_once = number["concurrency"]
    limits = engines()[out.engine].limits(out.chip)
    sequences, chunk = limits.sequences, limits.chunk_tokens
    capped = re.search(r"(\d+) sequences (?:a dp rank )?at most", said)
    if capped:
        sequences = float(capped[1])
    if out.phase == "decode" and np.isfinite(batch):
        sequences = max(sequences, batch)
    if out.phase == "prefill":
        batch = np.nan if np.isnan(batch) else batch
    if np.isnan(batch) and out.phase in ("decode", "both") and np.isnan(out.tpot_s):
        out.notes.append("concurrency: assumed as many as engine and memory allow.")
        out.guessed.add("batch")
    burst = out.at_once / replicas if re.search(_BURST, said) else np.nan
    if re.search(_BURST, said) and np.isnan(burst):
        burst = 1000.0 / replicas
    draft, accepted = _draft(_text(row, "spec_decoding"))
    if out.beams > 1:
        output_len *= out.beams
    out.instance = Instance(
        chip=chip,
        model=model,
        weights=weights,
        kv_bytes=_kv_bytes(row, out, weights),
        tp=tp,
        pp=pp,
        expert_chips=expert_chips,
        distributed=float(np.nan_to_num(number["ep"], nan=1.0) > 1.0 or (expert_chips > tp and out.engine == "tensorrt-llm")),
        batch=batch,
        input_len=input_len,
        output_len=output_len,
        draft=draft,
        accepted=accepted,
        sequences=sequences,
        chunk_tokens=chunk,
        burst=burst,
        varied=float("sharegpt" in said),
        balanced=float("balance" in said and "simulated" in said),
        slower=_slower(out, said),
    )


def _slower(out: ServedRow, said: str) -> float:
    slower = 1.2 if "maxq" in said else 1.0
    return slower * (1.07 if "server scenario" in said else 1.0)


def _weights(row: Mapping[str, str], out: ServedRow) -> str:
    text = _text(row, "weight_precision")
    found = precision_of(text) if text else None
    chip, model = out.chip, out.model
    assert chip is not None and model is not None
    if found is None:
        found = model.weights
        n = 1.0 if np.isnan(out.n_chips) else out.n_chips
        if known_model(model.name) is None and model.n_experts and model.params >= 2e11:
            found = "fp8" if "fp8" in chip.peak_flops else "int8"
        submission = "submission" in _text(row, "engine").lower()
        for narrower in ("fp8", "fp4"):
            full = model.params * PRECISIONS[found].weight_bytes > 0.85 * n * chip.hbm_bytes
            better = PRECISIONS[narrower].weight_bytes < PRECISIONS[found].weight_bytes
            own = compute_peak(chip, narrower)[0] == narrower
            if better and (full or (submission and own)):
                found = narrower
        out.notes.append(f"weight_precision: assumed {found}.")
        out.guessed.add("precision")
        if text:
            out.notes.append(f"weight_precision {text!r} is unknown.")
    n = 1.0 if np.isnan(out.n_chips) else out.n_chips
    for narrower in ("fp8", "int4"):
        room = 0.97 * n * chip.hbm_bytes * BINARY
        if model.params * PRECISIONS[found].weight_bytes > room and np.isfinite(out.n_chips):
            out.notes.append(f"The weights do not fit in {found}; {narrower} is assumed.")
            out.guessed.add("precision")
            found = narrower
    if found == "int4" and chip.vendor.lower().startswith("huawei"):
        found = "w4a8"
    return found


def _kv_bytes(row: Mapping[str, str], out: ServedRow, weights: str) -> float:
    text = _text(row, "kv_precision")
    found = precision_of(text) if text else None
    if found is not None:
        return PRECISIONS[found].weight_bytes
    narrow = out.engine == "tensorrt-llm" and weights in ("fp8", "fp4")
    return 1.0 if narrow else 2.0


def _lengths(number: Mapping[str, float], out: ServedRow) -> tuple[float, float]:
    input_len, output_len = number["input_len"], number["output_len"]
    assert out.model is not None
    bench = benchmark_of(out.model.name)
    if out.measure == "samples/s/chip" and bench is not None:
        out.beams = bench.beams
    if np.isnan(input_len):
        needs = out.phase != "decode" or np.isnan(output_len)
        input_len = bench.input_len if bench else USUAL_LENGTHS[0]
        if needs:
            out.guessed.add("lengths")
            out.notes.append(f"input_len: assumed {input_len:g}.")
    if np.isnan(output_len):
        output_len = bench.output_len if bench else USUAL_LENGTHS[1]
        if out.phase in ("both", "offline"):
            out.guessed.add("lengths")
            out.notes.append(f"output_len: assumed {output_len:g}.")
        elif out.phase == "decode":
            output_len = 2.0
    return input_len, output_len


def _draft(text: str) -> tuple[float, float]:
    words = text.lower()
    if not words.startswith(("y", "mtp", "eagle", "draft")):
        return 0.0, np.nan
    accept = re.search(r"accept\w*\D*(\d+(?:\.\d+)?)", words)
    accepted = float(accept[1]) if accept else np.nan
    rest = words.replace("eagle3", "eagle").replace("eagle-3", "eagle")
    if accept:
        rest = rest.replace(accept[0], "")
    numbers = re.findall(r"(\d+)(?:\.\d+)?", rest)
    draft = float(numbers[0]) if numbers else 1.0
    if "tokens" in rest and accept:
        draft -= 1.0  # the count includes the token that is verified
    return min(draft, 16.0), accepted


def _plan(
    number: Mapping[str, float],
    chip: Accelerator,
    model: ServedModel,
    weights: str,
    out: ServedRow,
    said: str,
) -> tuple[float, float, float]:
    """Return chips of attention, pipeline stages, and chips among which experts are divided."""
    tp, pp, dp, ep = (number[name] for name in ("tp", "pp", "dp", "ep"))
    pp = 1.0 if np.isnan(pp) else pp
    size = model.params * PRECISIONS[weights].weight_bytes
    least = size / (FULL_SHARE * chip.hbm_bytes * BINARY)
    mixture = model.n_experts > 0
    if np.isnan(out.n_chips):
        n = max(np.nan_to_num(tp, nan=1.0) * np.nan_to_num(dp, nan=1.0) * pp, np.nan_to_num(ep, nan=1.0))
        if n == 1.0 and np.isnan(tp):
            n = 2.0 ** np.ceil(np.log2(max(1.0, least)))
            out.guessed.add("plan")
        out.n_chips = n / out.devices
        out.notes.append(f"n_chips: assumed {out.n_chips:g}.")
    n = out.n_chips * out.devices
    if np.isnan(tp):
        if np.isfinite(dp):
            tp = max(1.0, n / dp / pp)
        elif mixture and np.isfinite(ep) and ep > 1:
            tp = 1.0
        else:
            tp = min(max(1.0, n / pp), 2.0 ** np.ceil(np.log2(max(1.0, least / pp))))
            if mixture and n / pp > 8:
                ep = n / pp
            if tp < n / pp and out.engine != "tensorrt-llm":
                tp = min(n / pp, 8.0)
            if n > 1:
                out.guessed.add("plan")
                out.notes.append(f"tp: assumed {tp:g}.")
    tp = min(tp, n) if n >= 1 else tp
    alone = "attention data-parallel" in said or "dp attention" in said or "dp-attention" in said
    expert_chips = tp
    if mixture:
        if np.isfinite(ep) and ep > 1:
            expert_chips = max(tp, min(ep, max(n / pp, tp)))
        if alone:
            expert_chips, tp = max(expert_chips, tp), 1.0
    return tp, pp, expert_chips
