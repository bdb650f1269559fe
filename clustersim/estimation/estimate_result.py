"""The result of an estimate: predicted plans, memory by class, cost, notes and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Model
from clustersim.estimation.cost import Cost
from clustersim.estimation.evidence import Evidence
from clustersim.estimation.selection import Selection
from clustersim.performance.memory_overhead import CLOSE
from clustersim.units import (
    format_duration,
    format_memory,
    format_money,
    format_number,
    format_percent,
)

__all__ = ["Estimate", "PlanEstimate"]


@dataclass(frozen=True, repr=False)
class PlanEstimate(Brief):
    """Estimate of one plan.

    Attributes
    ----------
    plan : mapping of str to int
        Values by key of :data:`clustersim.estimation.given_plan.PLAN_KEYS`; `etp` is 0 without
        experts.
    step_time_s, lo_s, hi_s : float
        Seconds per step with the bounds of its 90 % interval.
    tokens_per_s, mfu : float
    memory_bytes : float
        Memory of the fullest chip.
    fits : bool
    fit_probability : float
        Probability that the peak is at most the chip's memory. `fits` is true if it is at least
        :data:`clustersim.performance.memory_overhead.FITS_FROM`.
    notes : tuple of str
        Unusual properties of the plan (:mod:`clustersim.performance.plan_rules`).

    Examples
    --------
    >>> import clustersim as cs
    >>> best = cs.estimate("llama3-8b", "H200", 8).best
    >>> best.fits, best.lo_s < best.step_time_s < best.hi_s
    (True, True)
    """

    plan: Mapping[str, int]
    step_time_s: float
    lo_s: float
    hi_s: float
    tokens_per_s: float
    mfu: float
    memory_bytes: float
    fits: bool
    fit_probability: float = 1.0
    notes: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        sizes = [
            f"{name}={value}" for name, value in self.plan.items() if value > 1 or name == "tp"
        ]
        return "PlanEstimate", {"plan": ",".join(sizes), **self._numbers()}

    @property
    def fits_only_just(self) -> bool:
        """Whether the plan is said to fit, but with a probability below :data:`CLOSE`."""
        return self.fits and self.fit_probability < CLOSE

    def _how_it_fits(self) -> str:
        if not self.fits:
            return " (does not fit)"
        probability = format_percent(self.fit_probability)
        return f" (fits only just: {probability})" if self.fits_only_just else ""

    def _numbers(self) -> dict[str, str]:
        low, high = format_duration(self.lo_s), format_duration(self.hi_s)
        return {
            "step time": f"{format_duration(self.step_time_s)} (90 % interval {low} to {high})",
            "throughput": f"{format_number(self.tokens_per_s)} tokens/s",
            "MFU": format_percent(self.mfu),
            "memory": format_memory(self.memory_bytes) + self._how_it_fits(),
        }


@dataclass(frozen=True, repr=False)
class Estimate(Brief):
    """Estimate of one job.

    Attributes
    ----------
    model : Model
    accelerator : Accelerator
    count : int
        Number of chips.
    precision, stack : str
        The given or assumed value; `notes` states which values are assumed.
    global_batch : int
        Sequences per step.
    nic_Bps : float
        Network bandwidth per chip in bytes/s.
    plans : tuple of PlanEstimate
        The given plan, or the fastest plans that fit, in ascending order of step time; empty if no
        plan fits.
    searched : tuple of int, or None
        Number of plans tried and number of those that fit; None if a plan was given.
    parts : mapping of str to float
        Seconds per step by part, for the first plan.
    memory : mapping of str to float
        Bytes on the fullest chip by class, for the first plan.
    memory_basis : str
        The software stack whose bytes are counted, and the type of loss.
    reason : str
        Why the given plan does not fit, or why no plan fits; otherwise empty.
    cost : Cost or None
        Duration and cost, for the first plan.
    notes : tuple of str
        What was assumed, and what is unusual about the first plan.
    evidence : Evidence
        The measured runs behind the estimate.
    selection : Selection or None
        The best plan of a search next to a published plan; None if a plan was given, or if no
        published plan is possible and slower.
    drawn_s : array, shape (draws,)
        Step times of the first plan for draws from the calibration, without the scatter of a
        measurement around the model.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.estimate("llama3-8b", "H200", 8)
    >>> found.best.plan["dp"]
    8
    >>> len(found.plans)
    5
    """

    model: Model
    accelerator: Accelerator
    count: int
    precision: str
    stack: str
    global_batch: int
    nic_Bps: float
    plans: tuple[PlanEstimate, ...]
    searched: tuple[int, int] | None
    parts: Mapping[str, float]
    memory: Mapping[str, float]
    memory_basis: str
    reason: str
    cost: Cost | None
    notes: tuple[str, ...]
    evidence: Evidence
    selection: Selection | None
    drawn_s: Floats

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title = f"Estimate of {self.model.name} on {self.count:,} {self.accelerator.name}"
        facts = {"reason": self.reason}
        if self.plans:
            facts = {**self.plans[0]._brief()[1], **facts}
        if self.cost is not None:
            days = (
                f"{format_duration(self.cost.seconds)} for {format_number(self.cost.tokens)} tokens"
            )
            cny = self.cost.total_cny
            cost = "" if cny is None else format_money(cny)
            facts |= {"run": days, "cost": cost}
        return title, facts

    @property
    def best(self) -> PlanEstimate | None:
        """The given plan, or the fastest plan that fits; None if no plan fits."""
        return self.plans[0] if self.plans else None

    @property
    def tokens_per_step(self) -> int:
        """Tokens per step."""
        return self.global_batch * self.model.seq_len
