"""Speeds of models on the pools of a cluster; each distinct case is evaluated once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import names_former_arguments
from clustersim.performance import CoefficientDraw, best_plans, default_draw, relative_speed
from clustersim.performance.plan_rules import precision_note
from clustersim.performance.relative import MOST_DOUBLINGS
from clustersim.performance.traffic import PlacedResponse, placed_responses
from clustersim.topology import Cluster, Pool

__all__ = ["ModelSpeed", "PlacedJob", "RunTimeModel", "Speeds", "chip_of_pool"]


@dataclass(frozen=True, slots=True)
class RunTimeModel:
    """Settings for computing run times: references, coefficients and precision.

    Attributes
    ----------
    reference_accelerator : str, optional
        The chip on which the recorded durations were measured.
    reference_models : mapping of str to str
        Maps a job class to the model of the catalogue that represents the jobs of this class that
        name no model; the key ``default`` applies to all other classes. Without these two
        attributes, durations are the same on every chip.
    draw : CoefficientDraw, optional
        Coefficients of the performance model; by default the posterior mean of the built-in
        calibration.
    precision : {"bf16", "fp8"}
        Precision of matrix products; a chip without FP8 computes in BF16.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> jobs = cs.generate_jobs(cs.load_workload("philly-2017"), cs.Streams(1), n_jobs=20)
    >>> models = {"default": "llama3-8b"}
    >>> model = cs.RunTimeModel(reference_accelerator="H200", reference_models=models)
    >>> result = cs.simulate(jobs, cluster, run_times=model)
    >>> len(result.jobs)
    20
    """

    reference_accelerator: str | None = None
    reference_models: Mapping[str, str] = field(default_factory=dict)
    draw: CoefficientDraw | None = None
    precision: str = "bf16"


RunTimeModel.__init__ = names_former_arguments(  # type: ignore[method-assign]
    world="draw=..."
)(RunTimeModel.__init__)


class ModelSpeed(NamedTuple):
    """Training speed of a model on a given number of chips of each pool, with the best plan.

    Attributes
    ----------
    seconds_per_token : float64 array (pools,)
        Infinite if no plan fits.
    obstacles : tuple of str (pools,)
        The reason why no plan fits; empty if a plan fits.
    notes : tuple of tuple of str (pools,)
        Unusual features of the plan (:mod:`clustersim.performance.plan_rules`).
    """

    seconds_per_token: Floats
    obstacles: tuple[str, ...]
    notes: tuple[tuple[str, ...], ...]


class PlacedJob(NamedTuple):
    """A job on a placement, as far as its response to the network depends on these.

    Attributes
    ----------
    model : str or None
        The job's model, or the one that represents it; None if there is none.
    size : int
        Number of chips.
    pool : int
        Index of the pool.
    inside : int
        Chips of the job that share a scale-up domain
        (:func:`clustersim.performance.traffic.chips_inside`).
    path_latency_s : float
        What paths between its nodes add to the latency of the ideal placement.
    """

    model: str | None
    size: int
    pool: int
    inside: int
    path_latency_s: float = 0.0


class Speeds:
    """Speeds of models on the pools of a cluster.

    A speed depends on the model, the pool and the number of chips, not on the job. It is computed
    at the first request. The offered load, the run, and all runs of a study on the same cluster
    share one object, so that the search for a plan is never repeated.

    Parameters
    ----------
    cluster : Cluster
        Pools with their chips and links.
    catalogue : Catalogue, optional
        Chips and models; without it, durations are the same on every chip.
    model : RunTimeModel, optional
        Coefficients, precision and references.

    Raises
    ------
    InputError
        If the reference accelerator is not in the catalogue.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.topology import compile_cluster, load_cluster
    >>> catalogue = load_catalogue()
    >>> speeds = Speeds(compile_cluster(load_cluster("mixed-small", catalogue)), catalogue)
    >>> [speed] = speeds.of_models([("llama3-8b", 8)])
    >>> bool((speed.seconds_per_token < 1e-3).all())
    True
    """

    def __init__(
        self,
        cluster: Cluster,
        catalogue: Catalogue | None = None,
        model: RunTimeModel | None = None,
    ) -> None:
        self.cluster = cluster
        self.catalogue = catalogue
        self.model = model or RunTimeModel()
        self._draw = self.model.draw or default_draw()
        self._of_models: dict[tuple[str, int], ModelSpeed] = {}
        self._slowdowns: dict[tuple[str, int], Floats] = {}
        self._responses: dict[PlacedJob, PlacedResponse] = {}
        self._reference: Accelerator | None = None
        named = self.model.reference_accelerator
        if catalogue is not None and named is not None and self.model.reference_models:
            self._reference = catalogue.accelerator(named)

    @cached_property
    def _chips(self) -> list[Accelerator]:
        assert self.catalogue is not None, "chips need a catalogue"
        return [chip_of_pool(pool, self.catalogue) for pool in self.cluster.pools]

    @property
    def scales_durations(self) -> bool:
        """Whether recorded durations are scaled from the reference chip to other chips."""
        return self._reference is not None

    @property
    def precision_notes(self) -> list[str]:
        """Notes on the precision of each pool's chip.

        A note is empty if the chip computes in the requested precision.
        """
        return [precision_note(chip, self.model.precision) for chip in self._chips]

    @property
    def reference_note(self) -> str:
        """A note if the reference chip does not compute in the requested precision, else empty."""
        assert self._reference is not None, "scaled durations need a reference accelerator"
        return precision_note(self._reference, self.model.precision)

    def chip_name(self, pool: int) -> str:
        """Name of a pool's chip as spelled in the catalogue."""
        return self._chips[pool].name

    def slowdowns(self, name: str, sizes: Sequence[int]) -> Floats:
        """Return run times of a model relative to the reference chip.

        The result is an array of shape (pools, sizes).

        Raises
        ------
        InputError
            If the model is not in the catalogue.
        """
        missing = [size for size in dict.fromkeys(sizes) if (name, size) not in self._slowdowns]
        if missing:
            assert self.catalogue is not None, "models need a catalogue"
            assert self._reference is not None, "scaled durations need a reference accelerator"
            model = self.catalogue.model(name)
            found = np.ones((len(self._chips), len(missing)))
            for row, (pool, chip) in enumerate(zip(self.cluster.pools, self._chips, strict=True)):
                if chip.name != self._reference.name:
                    found[row] = 1.0 / relative_speed(
                        model,
                        chip,
                        self._reference,
                        missing,
                        nic_Bps=(pool.nic_Bps, None),
                        scaleup_size=(pool.scaleup_size, None),
                        precision=self.model.precision,
                        draw=self._draw,
                    )
            self._slowdowns |= {
                (name, size): found[:, column] for column, size in enumerate(missing)
            }
        return np.stack([self._slowdowns[name, size] for size in sizes], axis=1)

    def of_models(self, pairs: Sequence[tuple[str, int]]) -> list[ModelSpeed]:
        """Return the speed for each pair of a model name and a number of chips.

        Raises
        ------
        InputError
            If a model is not in the catalogue.
        """
        missing = [pair for pair in dict.fromkeys(pairs) if pair not in self._of_models]
        if missing:
            self._of_models |= zip(missing, self._evaluated(missing), strict=True)
        return [self._of_models[pair] for pair in pairs]

    def _evaluated(self, pairs: Sequence[tuple[str, int]]) -> list[ModelSpeed]:
        """Find the best plan for each pair on each pool, all in one call."""
        assert self.catalogue is not None, "models need a catalogue"
        models = {name: self.catalogue.model(name) for name in dict.fromkeys(n for n, _ in pairs)}
        pools, n_pairs = self.cluster.pools, len(pairs)
        plans = best_plans(
            [models[name] for _ in pools for name, _ in pairs],
            [chip for chip in self._chips for _ in pairs],
            np.tile([size for _, size in pairs], len(pools)),
            nic_Bps=np.repeat([pool.nic_Bps for pool in pools], n_pairs),
            scaleup_size=np.repeat([pool.scaleup_size for pool in pools], n_pairs),
            precision=self.model.precision,
            draw=self._draw,
        )
        rate = np.asarray(plans.tokens_per_s).reshape(len(pools), n_pairs)
        fits = np.isfinite(np.asarray(plans.step_time_s)).reshape(len(pools), n_pairs)
        with np.errstate(divide="ignore", invalid="ignore"):
            seconds_per_token = np.where(fits, 1.0 / rate, np.inf)
        rows = [range(pair, len(pools) * n_pairs, n_pairs) for pair in range(n_pairs)]
        return [
            ModelSpeed(
                seconds_per_token[:, pair],
                tuple(plans.reason[row] for row in rows[pair]),
                tuple(plans.notes[row] for row in rows[pair]),
            )
            for pair in range(n_pairs)
        ]

    def responses(
        self, jobs: Sequence[PlacedJob], *, communication_share: float
    ) -> list[PlacedResponse]:
        """Return how jobs respond to the network, each relative to its ideal placement.

        At the ideal placement, network interfaces have the rate of their ports, before
        oversubscription. A job within one scale-up domain sends nothing over the network. If no
        plan of a model fits, the response is that on the smallest ``size * 2**k`` chips on which
        one does, as for :meth:`slowdowns`.

        Parameters
        ----------
        jobs : sequence of PlacedJob
        communication_share : float
            Share of the run time that jobs without a model spend in communication at the ideal
            placement.

        Raises
        ------
        InputError
            If a model is not in the catalogue, or fits on no number of chips.

        Examples
        --------
        Eight chips on one node, and on eight nodes:

        >>> from clustersim.catalogue import load_catalogue
        >>> from clustersim.topology import compile_cluster, load_cluster
        >>> catalogue = load_catalogue()
        >>> speeds = Speeds(compile_cluster(load_cluster("mixed-small", catalogue)), catalogue)
        >>> jobs = [PlacedJob("llama3-8b", 8, 0, inside) for inside in (8, 1)]
        >>> together, apart = speeds.responses(jobs, communication_share=0.2)
        >>> together.response.slowdown[0] < apart.response.slowdown[0]
        np.True_
        """
        missing = [
            job
            for job in dict.fromkeys(jobs)
            if job.model is not None and job not in self._responses and not self._is_inside(job)
        ]
        self._responses |= self._placed(missing)
        return [
            self._responses[job]
            if job in self._responses
            else self._simple(job, communication_share)
            for job in jobs
        ]

    def _is_inside(self, job: PlacedJob) -> bool:
        """Return whether a job is within one scale-up domain."""
        return job.inside >= job.size <= self.cluster.pools[job.pool].scaleup_size

    def _simple(self, job: PlacedJob, communication_share: float) -> PlacedResponse:
        """Return the response of a job that needs no search for a plan."""
        if self._is_inside(job):
            return PlacedResponse.alone()
        port_Bps = self.cluster.pools[job.pool].port_Bps
        return PlacedResponse.of_share(communication_share, port_Bps)

    def _placed(self, jobs: list[PlacedJob]) -> dict[PlacedJob, PlacedResponse]:
        """Evaluate the responses of jobs with a model, all in one call for each doubling."""
        found: dict[PlacedJob, PlacedResponse] = {}
        left = jobs
        for doublings in range(MOST_DOUBLINGS + 1):
            if not left:
                break
            assert self.catalogue is not None, "models need a catalogue"
            names = {job: self.catalogue.model(job.model) for job in left if job.model}
            pools = [self.cluster.pools[job.pool] for job in left]
            placed = placed_responses(
                [names[job] for job in left],
                [self._chips[job.pool] for job in left],
                [job.size * 2**doublings for job in left],
                [job.inside for job in left],
                path_latency_s=[job.path_latency_s for job in left],
                port_Bps=[pool.port_Bps for pool in pools],
                scaleup_size=[pool.scaleup_size for pool in pools],
                precision=self.model.precision,
                draw=self._draw,
            )
            last = doublings == MOST_DOUBLINGS
            fits = [bool(fit) or last for fit in placed.plans.fits]
            found |= {job: placed.of(row) for row, job in enumerate(left) if fits[row]}
            left = [job for row, job in enumerate(left) if not fits[row]]
        return found


def chip_of_pool(pool: Pool, catalogue: Catalogue) -> Accelerator:
    """Return the pool's chip, with the links that the topology defines for it.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.topology import compile_cluster, load_cluster
    >>> catalogue = load_catalogue()
    >>> pool = compile_cluster(load_cluster("mixed-small", catalogue)).pools[0]
    >>> chip_of_pool(pool, catalogue).name
    'H200'
    """
    chip = catalogue.accelerator(pool.accelerator)
    return replace(
        chip,
        scaleup_Bps=chip.scaleup_Bps if pool.scaleup_Bps is None else pool.scaleup_Bps,
        scaleup_shape=pool.scaleup_shape or chip.scaleup_shape,
        transport=pool.transport or chip.transport,
    )
