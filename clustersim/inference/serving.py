"""Serving throughput of a model on chips, under a limit of latency or with a given batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Catalogue, load_catalogue
from clustersim.errors import InputError, shown
from clustersim.inference.calibration import (
    ServingCalibration,
    coefficients_of,
    default_serving,
)
from clustersim.inference.candidates import Candidate, candidate_plans
from clustersim.inference.engines import engine_of, engines
from clustersim.inference.intervals import bounds
from clustersim.inference.model_facts import is_diffusion, served_model
from clustersim.inference.precisions import PRECISIONS, compute_peak, precision_of
from clustersim.inference.row_plan import device_of
from clustersim.inference.rows import kind_of
from clustersim.inference.served_model import ServedModel
from clustersim.inference.serving_load import ServingLoad, load_problems
from clustersim.inference.settings import Instance, Settings
from clustersim.inference.step import PassTime
from clustersim.inference.throughput import Service, batch_for_tpot, serve
from clustersim.units import counted, format_duration

__all__ = ["ServingEstimate", "estimate_serving", "released_weights", "served_options"]

MOST_COUNT = 100_000


@dataclass(frozen=True, repr=False)
class ServingEstimate(Brief):
    """Throughput of one instance; rates are per chip.

    Attributes
    ----------
    model, accelerator : str
    count : int
    plan : str
    weights : str
    input_len, output_len : float
    batch : float
        Sequences decoded at once on all chips.
    memory_batch : float
        Sequences whose caches fit.
    tpot_s, first_token_s : float
        Time of one output token, and of a prefill without waiting.
    prefill_tokens_per_s, decode_tokens_per_s : float
        Prompt tokens of chips that only prefill, output tokens of chips that only decode.
    output_tokens_per_s : float
        Output tokens of chips that do both.
    low, high : float
        The 90 % interval of any of these rates, divided by the rate.
    decode_binds, prefill_binds : str
        What binds: memory bandwidth, compute, network, host or KV memory.
    decode_parts, prefill_parts : mapping of str to float
        Seconds of one pass by part.
    notes : tuple of str
    reason : str
        Why nothing can be served; otherwise empty.

    Examples
    --------
    >>> from clustersim.inference import estimate_serving
    >>> found = estimate_serving("llama3-70b", "H200", 4, input_len=1000, batch=64)
    >>> found.plan, found.decode_binds
    ('tp 4', 'memory bandwidth')
    """

    model: str
    accelerator: str
    count: int
    plan: str
    weights: str
    input_len: float
    output_len: float
    batch: float
    memory_batch: float
    tpot_s: float
    first_token_s: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    output_tokens_per_s: float
    low: float
    high: float
    decode_binds: str
    prefill_binds: str
    decode_parts: Mapping[str, float]
    prefill_parts: Mapping[str, float]
    notes: tuple[str, ...] = ()
    reason: str = ""

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Serving of {self.model} on {self.count} {self.accelerator}", {
            "prefill": f"{self.prefill_tokens_per_s:,.0f} tokens/s/chip",
            "decode": f"{self.decode_tokens_per_s:,.0f} tokens/s/chip",
            "binds": self.decode_binds,
            "reason": self.reason,
        }


def estimate_serving(
    model: str,
    accelerator: str,
    count: int,
    *,
    weights: str | None = None,
    kv: str | None = None,
    input_len: float = 4000.0,
    output_len: float = 1000.0,
    batch: float | None = None,
    tpot_s: float | None = None,
    tp: int | None = None,
    engine: str | None = None,
    draft: float = 0.0,
    tuned: bool = True,
    calibration: ServingCalibration | None = None,
    catalogue: Catalogue | None = None,
) -> ServingEstimate:
    """Estimate prefill and decode throughput of a language model on chips of one type.

    The plan is the one that serves most requests under the given batch or limit. Without either, as
    many sequences are decoded at once as memory holds.

    Parameters
    ----------
    model, accelerator : str
        Names in the catalogue, or of a model that is listed for serving.
    count : int
        Chips of the instance.
    weights, kv, input_len, output_len, batch, tpot_s, engine, draft, tuned
        As in :class:`ServingLoad`.
    tp : int, optional
        Tensor parallel size (default: the best).
    calibration : ServingCalibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional

    Raises
    ------
    InputError
        If a name is unknown, a number is out of range, or the model makes images or videos.

    Examples
    --------
    >>> from clustersim.inference import estimate_serving
    >>> found = estimate_serving("deepseek-v3", "H20", 16, tpot_s=0.05)
    >>> found.tpot_s <= 0.0501, found.decode_tokens_per_s > 100
    (True, True)
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    calibration = default_serving() if calibration is None else calibration
    load = ServingLoad(weights, kv, input_len, output_len, batch, tpot_s, engine, draft, tuned)
    shape, chip = served_model(model, catalogue), catalogue.accelerator(accelerator)
    problems = load_problems(load)
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= MOST_COUNT):
        problems.append(
            f"count: must be a whole number of 1 to {MOST_COUNT:,}, found {shown(count)}"
        )
    if is_diffusion(shape):
        problems.append(f"model: {shape.name} makes images or videos; this needs a language model")
    if problems:
        raise InputError("serving", problems)
    _, dies = device_of(chip)
    plans = [
        plan
        for plan in candidate_plans(shape, int(count * dies))
        if tp is None or plan.tp == tp * dies
    ]
    if not plans:
        raise InputError("serving", f"tp: no plan of {count} chips has tensor parallel size {tp}")
    options = served_options(shape, chip, [(int(count), plan) for plan in plans], load, calibration)
    return options.best(calibration)


@dataclass(frozen=True, slots=True)
class ServedOptions:
    """Plans of one model on one chip with their throughput; see :func:`served_options`."""

    model: ServedModel
    chip: Accelerator
    dies: float
    counts: list[int]
    plans: list[Candidate]
    weights: str
    load: ServingLoad
    settings: Settings
    service: Service
    limited: Floats
    notes: tuple[str, ...]

    @property
    def fits(self) -> Bools:
        """Whether a plan serves at least one sequence within the limits."""
        return (self.service.memory_batch >= 1.0) & (self.limited > 0)

    @property
    def rate(self) -> Floats:
        """Requests per second and chip of chips that do both."""
        devices = self.settings.plans.tp / self.dies
        return np.where(self.fits, 1.0 / self.service.request_s / devices, 0.0)

    def best(self, calibration: ServingCalibration) -> ServingEstimate:
        """Return the plan that serves most, or the reason why none does."""
        return self.estimate(int(np.argmax(self.rate)), calibration)

    def estimate(self, place: int, calibration: ServingCalibration) -> ServingEstimate:
        """Return the estimate of one plan."""
        service, plans = self.service, self.settings.plans
        reason = self._reason(place)
        chips = float(plans.tp[place]) / self.dies
        replicas = self.counts[place] / chips
        batch, step_s = float(service.batch[place]), float(service.decode_s[place])
        tpot_s = step_s / float(service.tokens[place])
        full = self.load.batch is None and batch >= 0.99 * float(service.memory_batch[place])
        known = {label for _, level, label in calibration.language.offsets if level == "chip"}
        family = self.chip.name if self.chip.family == "other" else self.chip.family
        guessed = set() if family in known else {"chip"}
        if self.load.engine is None:
            guessed.add("engine")
        spread = calibration.spread.of_row(kind_of(self.chip), guessed)
        low, high = bounds(np.ones(1), np.array([spread]))
        return ServingEstimate(
            model=self.model.name,
            accelerator=self.chip.name,
            count=self.counts[place],
            plan=self.plans[place].text + (", in dies" if self.dies > 1 else ""),
            weights=self.weights,
            input_len=self.load.input_len,
            output_len=self.load.output_len,
            batch=batch * replicas,
            memory_batch=float(service.memory_batch[place]) * replicas,
            tpot_s=tpot_s,
            first_token_s=float(service.prefill_s[place]),
            prefill_tokens_per_s=self.load.input_len / float(service.prefill_s[place]) / chips,
            decode_tokens_per_s=batch / tpot_s / chips,
            output_tokens_per_s=self.load.output_len / float(service.request_s[place]) / chips,
            low=float(low[0]),
            high=float(high[0]),
            decode_binds="KV memory" if full else binding_part(service.decode, place),
            prefill_binds=binding_part(service.prefill, place),
            decode_parts=parts_of(service.decode, place),
            prefill_parts=parts_of(service.prefill, place),
            notes=self.notes,
            reason=reason,
        )

    def _reason(self, place: int) -> str:
        if self.fits[place]:
            return ""
        if not np.any(self.service.memory_batch >= 1.0):
            size = self.model.params * PRECISIONS[self.weights].weight_bytes / 1e9
            chips = counted(self.counts[place], "chip")
            return (
                f"the weights in {self.weights} ({size:,.0f} GB) and the cache of one sequence do "
                f"not fit into the memory of {chips}"
            )
        alone = float(np.min(self.service.decode_s / self.service.tokens))
        limit = format_duration(self.load.tpot_s or 0.0)
        return f"a token takes {format_duration(alone)} even with the smallest batch, over {limit}"


def served_options(
    model: ServedModel,
    chip: Accelerator,
    plans: Sequence[tuple[int, Candidate]],
    load: ServingLoad,
    calibration: ServingCalibration,
) -> ServedOptions:
    """Return the throughput of several plans of one model on one chip.

    Parameters
    ----------
    model : ServedModel
    chip : Accelerator
    plans : sequence of (int, Candidate)
        Chips of an instance, and its plan in devices.
    load : ServingLoad
    calibration : ServingCalibration
    """
    device, dies = device_of(chip)
    weights = released_weights(load.weights, device, model)
    notes = () if load.weights is not None else (f"weights: {weights} is assumed.",)
    engine = "other" if load.engine is None else engine_of(load.engine)
    limits = engines()[engine].limits(chip)
    kv_bytes = 2.0 if load.kv is None else PRECISIONS[precision_of(load.kv) or "bf16"].weight_bytes
    instances = [
        Instance(
            chip=device,
            model=model,
            weights=weights,
            kv_bytes=kv_bytes,
            tp=plan.tp,
            pp=1.0,
            expert_chips=plan.expert_chips,
            distributed=float(plan.distributed),
            batch=np.nan if load.batch is None else load.batch * plan.tp / (count * dies),
            input_len=load.input_len,
            output_len=load.output_len,
            draft=load.draft,
            accepted=np.nan,
            sequences=1e9,
            chunk_tokens=limits.chunk_tokens,
            tuned=float(load.tuned),
        )
        for count, plan in plans
    ]
    settings = Settings.of(instances)
    family = chip.name if chip.family == "other" else chip.family
    labels = [{"engine": engine, "chip": family}] * len(instances)
    c = coefficients_of(calibration.language, labels)
    limited = np.ones(len(instances))
    batch = None
    if load.tpot_s is not None:
        limited = batch_for_tpot(settings, c, np.full(len(instances), load.tpot_s))
        batch = np.maximum(limited, 1.0 / settings.plans.replicas)
    service = serve(settings, c, batch)
    counts = [count for count, _ in plans]
    return ServedOptions(
        model,
        chip,
        dies,
        counts,
        [plan for _, plan in plans],
        weights,
        load,
        settings,
        service,
        limited,
        notes,
    )


def released_weights(given: str | None, device: Accelerator, model: ServedModel) -> str:
    """Return the precision of the weights: as given, or that of the release.

    A chip without FP8 is served with weights converted to INT8, if it has that.
    """
    if given is not None:
        return precision_of(given) or "bf16"
    if model.weights != "fp8" or compute_peak(device, "fp8")[0] == "fp8":
        return model.weights
    return "int8" if compute_peak(device, "int8")[0] == "int8" else model.weights


_GROUPS = {
    "memory bandwidth": ("weights", "cache"),
    "compute": ("products", "scores"),
    "network": ("network",),
    "host": ("host",),
}


def parts_of(found: PassTime, place: int) -> dict[str, float]:
    """Return the seconds of one pass by part."""
    names = [name for group in _GROUPS.values() for name in group]
    return {
        name: float(np.broadcast_to(getattr(found, name), found.work.shape)[place])
        for name in names
    }


def binding_part(found: PassTime, place: int) -> str:
    """Return the resource that takes most of a pass."""
    parts = parts_of(found, place)
    return max(_GROUPS, key=lambda group: sum(parts[name] for name in _GROUPS[group]))
