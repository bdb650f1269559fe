"""Step times of jobs by placement and by the rate that the network leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats, Ints
from clustersim.catalogue import Accelerator, Model
from clustersim.errors import InputError
from clustersim.network.contention import NetworkResponse
from clustersim.network.response import INVERSE_SHARES
from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.best import SIZES, BestPlans, best_plans, rows_of
from clustersim.performance.blocks import in_blocks
from clustersim.performance.calibration import default_draw
from clustersim.performance.coefficient_draw import CoefficientDraw
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.memory_options import parse_memory
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.traffic.job_traffic import traffic_columns
from clustersim.performance.traffic.streams import PATTERNS

__all__ = ["PlacedResponse", "PlacedResponses", "placed_responses"]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedResponse:
    """How one job on one placement responds to the network.

    Attributes
    ----------
    response : NetworkResponse
        Slowdown and duty by inverse share. A slowdown is relative to the ideal placement.
    pattern_weights : array of float, shape (3,)
        Shares of the patterns ring, all-to-all and neighbours in the bytes over the network; zeros
        if there are none.
    nic_Bps : float
        Bytes/s that a chip sends at a share of 1 while it communicates: the duty times the share
        times this rate is its mean rate.
    stages : int
        Number of stages of its pipeline.

    Examples
    --------
    >>> placed = PlacedResponse.of_share(0.2, nic_Bps=50e9)
    >>> placed.response.slowdown[3].round(2).tolist(), placed.pattern_weights.tolist()
    (1.2, [1.0, 0.0, 0.0])
    >>> PlacedResponse.alone().response.slowdown.max().tolist()
    1.0
    """

    response: NetworkResponse
    pattern_weights: Floats
    nic_Bps: float
    stages: int = 1

    @classmethod
    def of_share(cls, communication_share: float, nic_Bps: float) -> PlacedResponse:
        """Return the response of a job of which only the share of communication is known.

        It communicates in a ring, and never while it computes.
        """
        response = NetworkResponse.of_share(communication_share)
        return cls(response, np.array([1.0, 0.0, 0.0]), nic_Bps)

    @classmethod
    def alone(cls) -> PlacedResponse:
        """Return the response of a job that sends nothing over the network."""
        n = INVERSE_SHARES.size
        return cls(NetworkResponse(np.ones(n), np.zeros(n)), np.zeros(len(PATTERNS)), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedResponses:
    """Responses of R jobs on the grid of G inverse shares.

    Attributes
    ----------
    plans : BestPlans
        The fastest plan of each job at the ideal placement.
    step_time_s : array, shape (R, G)
        Seconds per step; inf if no plan fits.
    slowdown : array, shape (R, G)
        `step_time_s` divided by the step time at the ideal placement and a share of 1. At least 1,
        and ascending.
    duty : array, shape (R, G)
        Time in which the network interfaces send divided by the step time, whether or not
        computation hides it.
    pattern_weights : array, shape (R, 3)
    nic_Bps : array, shape (R,)
        As in :class:`PlacedResponse`; 0 if nothing is sent over the network.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance.traffic import placed_responses
    >>> catalogue = cs.load_catalogue()
    >>> model, chip = catalogue.model("llama3-8b"), catalogue.accelerator("H200")
    >>> found = placed_responses(model, chip, 64, inside=[8, 1])
    >>> found.slowdown[:, 0].round(2).tolist(), found.of(1).response.slowdown[3].round(2).tolist()
    ([1.0, 1.05], 1.12)
    """

    plans: BestPlans
    step_time_s: Floats
    slowdown: Floats
    duty: Floats
    pattern_weights: Floats
    nic_Bps: Floats

    def of(self, row: int) -> PlacedResponse:
        """Return the response of one job.

        Raises
        ------
        InputError
            If no plan fits.
        """
        if self.plans.reason[row]:
            raise InputError("placed_responses", self.plans.reason[row])
        return PlacedResponse(
            NetworkResponse(self.slowdown[row], self.duty[row]),
            self.pattern_weights[row],
            float(self.nic_Bps[row]),
            int(self.plans.pp[row]),
        )


def placed_responses(
    models: Model | Sequence[Model],
    accelerators: Accelerator | Sequence[Accelerator],
    counts: ArrayLike,
    inside: ArrayLike,
    *,
    path_latency_s: ArrayLike = 0.0,
    global_batch: ArrayLike | None = None,
    port_Bps: ArrayLike | None = None,
    scaleup_size: ArrayLike | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    memory: str | Mapping[str, object] | None = None,
    draw: CoefficientDraw | None = None,
) -> PlacedResponses:
    """Return step time and duty of jobs by the share of the network's rate that they have.

    The plan of each job is the fastest at the ideal placement: whole scale-up domains, and network
    interfaces at their full rate. A job keeps it on every placement, although another plan may then
    be faster. The slowdown is therefore an upper bound. It is not below 1, not lower at a lower
    share, and not lower than that with more chips inside a domain; where the model of collectives
    says otherwise (a start-up within a domain may take longer than one between nodes, by
    microseconds), the larger value holds. A step takes at least the time in which its network
    interfaces send.

    Parameters
    ----------
    models, accelerators, counts, global_batch, scaleup_size, precision, stack, memory, draw
        As for :func:`clustersim.performance.best_plans`.
    inside : array_like of int
        Chips of the job that share a scale-up domain
        (:func:`clustersim.performance.traffic.chips_inside`). The placement is ideal from the
        smaller of `counts` and `scaleup_size` on.
    path_latency_s : array_like of float
        What paths between nodes add to the latency of the ideal placement (seconds).
    port_Bps : array_like, optional
        Network bandwidth of a chip that sends alone in bytes/s (default: each chip's own).

    Returns
    -------
    PlacedResponses
        On the grid :data:`clustersim.network.contention.INVERSE_SHARES`.

    Raises
    ------
    InputError
        If `inside` is below 1 or a latency is negative, or as
        :func:`clustersim.performance.best_plans` does.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance.traffic import placed_responses
    >>> catalogue = cs.load_catalogue()
    >>> model, chip = catalogue.model("llama3-8b"), catalogue.accelerator("H200")
    >>> found = placed_responses(model, chip, 8, inside=[8, 1])
    >>> found.duty[:, 0].round(2).tolist(), found.pattern_weights[1].tolist()
    ([0.0, 0.02], [1.0, 0.0, 0.0])
    """
    shapes = [models] if isinstance(models, Model) else list(models)
    chips = [accelerators] if isinstance(accelerators, Accelerator) else list(accelerators)
    held, latency = _checked(inside, path_latency_s)
    draw = default_draw() if draw is None else draw
    shared = np.broadcast_shapes(held.shape, latency.shape, np.atleast_1d(counts).shape)
    counted = np.broadcast_to(np.atleast_1d(counts), shared)
    given = (shapes, chips, counted, global_batch, port_Bps, scaleup_size)
    rows = rows_of("placed_responses", *given)
    plans = best_plans(
        shapes,
        chips,
        counted,
        global_batch=global_batch,
        nic_Bps=port_Bps,
        scaleup_size=scaleup_size,
        precision=precision,
        stack=stack,
        memory=memory,
        draw=draw,
    )
    of_model, of_chip = rows.matrix[:, 0].astype(np.int64), rows.matrix[:, 1].astype(np.int64)
    host = float(host_optimizer({**draw.memory, **parse_memory(memory)}))
    jobs = _Jobs(
        models=ModelArrays.of(rows.models).take(of_model),
        chips=replace(
            AcceleratorArrays.of(rows.chips, precision).take(of_chip),
            nic_Bps=rows.matrix[:, 4],
            scaleup_size=rows.matrix[:, 5],
        ),
        plans=_plans(plans, host),
        batch=rows.matrix[:, 3],
        coefficients=draw.for_chips(rows.chips, stack, precision).take(of_chip),
    )
    n = len(rows.matrix)
    return _respond(
        jobs, plans, rows.matrix[:, 2], np.broadcast_to(held, n), np.broadcast_to(latency, n)
    )


def _checked(inside: ArrayLike, path_latency_s: ArrayLike) -> tuple[Floats, Floats]:
    held = np.atleast_1d(np.asarray(inside, dtype=np.float64))
    latency = np.atleast_1d(np.asarray(path_latency_s, dtype=np.float64))
    problems = []
    if not np.all((held >= 1) & (held % 1 == 0)):
        problems.append("inside: must be whole numbers of at least 1")
    if not np.all((latency >= 0) & np.isfinite(latency)):
        problems.append("path_latency_s: must be finite and not negative")
    if problems:
        raise InputError("placed_responses", problems)
    return held, latency


def _plans(best: BestPlans, host: float) -> Plans:
    """Return the plans as arrays; a job without a plan has sizes of 1."""
    sizes = {name: np.where(best.fits, getattr(best, name), 1) for name in SIZES}
    return Plans.of(**sizes, host_optimizer=host)


@dataclass(frozen=True, slots=True)
class _Jobs:
    """Jobs at the ideal placement, one element each."""

    models: ModelArrays
    chips: AcceleratorArrays
    plans: Plans
    batch: Floats
    coefficients: Coefficients

    def columns(
        self, job: Ints, inside: Floats, inverse: Floats, latency: Floats
    ) -> dict[str, Floats]:
        """Return the traffic of some jobs on some placements at some inverse shares."""
        chips = self.chips.take(job)
        placed = replace(
            chips, nic_Bps=chips.nic_Bps / inverse, scaleup_size=inside, path_latency_s=latency
        )
        return in_blocks(
            traffic_columns,
            self.models.take(job),
            placed,
            self.plans.take(job),
            self.batch[job],
            self.coefficients.take(job),
        )


def _respond(
    jobs: _Jobs, plans: BestPlans, counts: Floats, inside: Floats, latency: Floats
) -> PlacedResponses:
    """Evaluate every job on its placement and on those with more chips inside a domain."""
    n, grid = counts.size, INVERSE_SHARES
    whole = jobs.chips.scaleup_size
    ideal = inside >= np.minimum(counts, whole)
    # Candidates of a job: its own number of chips inside, every larger one, and whole domains.
    least = np.where(ideal, whole, inside)
    most = np.where(ideal, whole, np.minimum(counts, whole))
    n_candidates = (most - least).astype(np.int64) + 1
    starts = np.cumsum(n_candidates) - n_candidates
    job = np.repeat(np.arange(n), n_candidates)
    chosen = least[job] + np.arange(job.size) - starts[job]
    chosen = np.where(chosen >= most[job], whole[job], chosen)
    points = np.repeat(np.arange(job.size), grid.size)
    # The last rows are the ideal placements.
    case = np.concatenate([job[points], np.arange(n)])
    columns = jobs.columns(
        case,
        np.concatenate([chosen[points], whole]),
        np.concatenate([np.tile(grid, job.size), np.ones(n)]),
        np.concatenate([latency[job][points], np.zeros(n)]),
    )
    seconds = np.maximum(columns["step_time_s"], columns["nic_seconds"])
    by_candidate = seconds[: points.size].reshape(job.size, grid.size)
    step = np.maximum.accumulate(np.maximum.reduceat(by_candidate, starts, axis=0), axis=1)
    own = np.arange(grid.size) + (starts * grid.size)[:, None]
    # The same numbers at another place of an array may differ in the last digit.
    same = ideal & (latency == 0)
    reference = np.where(same, step[:, 0], seconds[points.size :])
    slowdown = np.maximum(step / reference[:, None], 1.0)
    duty = np.minimum(columns["nic_seconds"][own] / (reference[:, None] * slowdown), 1.0)
    first = own[:, 0]
    sent = np.stack([columns[pattern][first] for pattern in PATTERNS], axis=1)
    total, busy = sent.sum(axis=1), columns["nic_seconds"][first]
    fits = plans.fits
    return PlacedResponses(
        plans=plans,
        step_time_s=plans.step_time_s[:, None] * slowdown,
        slowdown=np.where(fits[:, None], slowdown, 1.0),
        duty=np.where(fits[:, None], duty, 0.0),
        pattern_weights=np.where(
            ((total > 0) & fits)[:, None], sent / np.where(total > 0, total, 1.0)[:, None], 0.0
        ),
        nic_Bps=np.where((busy > 0) & fits, total / np.where(busy > 0, busy, 1.0), 0.0),
    )
