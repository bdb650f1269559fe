"""Goodput as the product of scheduling, runtime and program goodput, by pool, size and class.

The split is that of Google's ML productivity goodput (Wongpanich et al., "Machine Learning Fleet
Efficiency: Analyzing and Optimizing Large-Scale Google TPU Systems with ML Productivity Goodput",
arXiv 2502.06982, section 3):

- *scheduling*: share of the capacity (accelerators in service that do not serve requests) that is
  allocated to whole gangs
- *runtime*: share of the allocated time that makes progress that is kept
- *program*: model FLOPs of that progress, divided by the peak FLOPs of that time (the MFU)

In a fleet of several chips, an accelerator counts with its peak FLOP/s in all three; otherwise the
product would not be the share of the fleet's peak that does useful work.  If the peak of a chip is
unknown, all accelerators count the same, and there is no program goodput.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.policy.names import name_codes
from clustersim.array_types import Floats, Ints
from clustersim.catalogue import Catalogue
from clustersim.costs.unit_costs import work_done
from clustersim.errors import InputError
from clustersim.simulation.attempt_parts import attempts_by_pool
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.workload.describe import size_bins

__all__ = ["GoodputSplit", "Split", "goodput_table", "peak_flops", "pools_of"]


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of goodput of some attempts.

    Attributes
    ----------
    accelerator_s : float
        Accelerator-seconds allocated.
    scheduling, runtime, program : float
        See the module; NaN if there is nothing to divide by.  `program` refers to jobs with a
        model.
    """

    accelerator_s: float
    scheduling: float
    runtime: float
    program: float

    @property
    def goodput(self) -> float:
        """The product of the three parts."""
        return self.scheduling * self.runtime * self.program


def pools_of(result: Result) -> Mapping[str, Mapping[str, Any]]:
    """Return what is known of each pool of a run by name; empty for results of earlier versions."""
    pools = result.provenance.get("fleet", {}).get("pools")
    if pools is None:  # written by an earlier version
        scenario = result.provenance.get("scenario", {})
        cluster = scenario.get("cluster") if isinstance(scenario, Mapping) else None
        pools = cluster.get("pools", {}) if isinstance(cluster, Mapping) else {}
    return {name: own for name, own in pools.items() if isinstance(own, Mapping)}


def peak_flops(result: Result, catalogue: Catalogue) -> dict[str, float]:
    """Return the peak FLOP/s of an accelerator of each pool; NaN if the chip is not known.

    The precision is that of the scenario, bfloat16 by default.
    """
    scenario = result.provenance.get("scenario", {})
    performance = scenario.get("performance", {}) if isinstance(scenario, Mapping) else {}
    precision = str(performance.get("precision", "bf16"))
    found = {}
    for name, pool in pools_of(result).items():
        try:
            peaks = catalogue.accelerator(str(pool.get("accelerator", ""))).peak_flops
        except InputError:
            peaks = {}
        found[name] = float(peaks.get(precision, peaks.get("bf16", math.nan)))
    return found


class GoodputSplit:
    """The attempts of a run with their work, from which goodput is split for any interval.

    Parameters
    ----------
    result : Result
    catalogue : Catalogue
        Catalogue of the chips and models of the run.
    """

    def __init__(self, result: Result, catalogue: Catalogue) -> None:
        self._result = result
        table, ends = result.jobs, "finish_s"
        if result.attempts is not None:
            table, ends = attempts_by_pool(result.attempts, result.allocation_ranges), "end_s"
        start_s, last_s = (table[name].to_numpy(dtype=np.float64) for name in ("start_s", ends))
        began = np.isfinite(start_s)
        self._begin_s = start_s[began]
        last_s = np.where(np.isnan(last_s), float(result.provenance["simulated_s"]), last_s)
        self._end_s = last_s[began]
        held_s = self._end_s - self._begin_s
        kept_s = held_s
        self.row: Ints = np.flatnonzero(began).astype(np.int64)
        if result.attempts is not None:
            kept_s = table["kept_s"].to_numpy(dtype=np.float64)[began]
            known_ids = pd.Index(result.jobs["job_id"])
            self.row = known_ids.get_indexer(pd.Index(table["job_id"][began])).astype(np.int64)
        self._length_s = np.where(held_s > 0, held_s, np.inf)
        self._n = table["n_accelerators"].to_numpy(dtype=np.float64)[began]
        self._kept = kept_s / self._length_s
        self._flop = np.zeros(len(held_s))
        if "model" in result.jobs:
            work = work_done(_with_known_models(result, catalogue), catalogue)
            self._flop = work["flop"].to_numpy(dtype=np.float64)[began]
        self.pools = [str(name) for name in result.utilisation["pool"].unique()]
        codes, names = pd.factorize(table["pool"][began])
        place = pd.Index(self.pools).get_indexer(pd.Index([str(name) for name in names]))
        self.pool: npt.NDArray[np.intp] = place[codes]
        known = peak_flops(result, catalogue)
        peaks = np.array([known.get(name, math.nan) for name in self.pools])
        self.has_peaks = bool(len(peaks)) and bool(np.isfinite(peaks).all())
        self._weights = peaks if self.has_peaks else np.ones(len(peaks))

    def within(self, begin_s: float, end_s: float) -> Interval:
        """Return the allocated, kept and useful work of each attempt in a time interval."""
        held_s = np.minimum(self._end_s, end_s) - np.maximum(self._begin_s, begin_s)
        held_s = np.clip(held_s, 0.0, None)
        use = accelerator_seconds(self._result.utilisation, begin_s=begin_s, end_s=end_s)
        there = use["available"].reindex(self.pools).to_numpy(dtype=np.float64)
        return Interval(
            self,
            accelerator_s=held_s * self._n,
            weight=self._weights[self.pool],
            kept=self._kept,
            flop=self._flop * held_s / self._length_s,
            capacity=there * self._weights,
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """The work of all attempts in a time interval; arrays have the shape (attempts,).

    An attempt on several pools counts as one attempt for each of them.

    Attributes
    ----------
    of : GoodputSplit
    accelerator_s : float64 array
        Accelerator-seconds that each attempt held in the interval.
    weight, kept : float64 array
        Weight of its accelerators, and the share of its time that was kept progress.
    flop : float64 array
        Model FLOPs that it did in the interval and that are kept.
    capacity : float64 array (pools,)
        Weighted accelerator-seconds in service.
    """

    of: GoodputSplit
    accelerator_s: Floats
    weight: Floats
    kept: Floats
    flop: Floats
    capacity: Floats

    def split(self, pool: int | None = None) -> Split:
        """Return the split of all attempts, of the capacity of all pools or of one pool."""
        if pool is not None:
            return self.by(self.of.pool, len(self.of.pools), self.capacity)[pool]
        return self.by(np.zeros(len(self.flop), dtype=np.int64), 1)[0]

    def by(
        self, codes: npt.NDArray[np.integer], count: int, capacity: Floats | None = None
    ) -> list[Split]:
        """Return the split of each group of attempts.

        Parameters
        ----------
        codes : int array (attempts,)
            Group of each attempt; those of a negative group are left out.
        count : int
            Number of groups.
        capacity : float64 array (groups,), optional
            Capacity of each group; by default that of all pools.
        """
        if capacity is None:
            capacity = np.full(count, self.capacity.sum())
        allocated = self.accelerator_s * self.weight
        kept = allocated * self.kept
        own = (self.accelerator_s, allocated, kept, self.flop, np.where(self.flop > 0, kept, 0.0))
        known = codes >= 0
        held, of_all, of_kept, flop, of_models = (
            np.bincount(codes[known], each[known], minlength=count).tolist() for each in own
        )
        return [
            Split(
                held[k],
                scheduling=_ratio(of_all[k], capacity[k]),
                runtime=_ratio(of_kept[k], of_all[k]),
                program=_ratio(flop[k], of_models[k]) if self.of.has_peaks else math.nan,
            )
            for k in range(count)
        ]


def _with_known_models(result: Result, catalogue: Catalogue) -> Result:
    """Return a result whose jobs have no model if the catalogue does not know it.

    The run times of such jobs are those that were recorded.
    """
    models = result.jobs["model"]
    known = {name for name in models.dropna().unique() if _is_known(str(name), catalogue)}
    return replace(result, jobs=result.jobs.assign(model=models.where(models.isin(known))))


def _is_known(model: str, catalogue: Catalogue) -> bool:
    try:
        catalogue.model(model)
    except InputError:
        return False
    return True


def goodput_table(result: Result, catalogue: Catalogue) -> pd.DataFrame:
    """Return the split of a whole run: for all jobs, and by pool, size and class.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (``all``, ``pool``, ``size`` or ``class``), ``name``, ``accelerator_s``
        (allocated), ``scheduling``, ``runtime``, ``program`` and ``goodput`` (their product).  For
        a size or class, `scheduling` is its share of the capacity of all pools.

    Examples
    --------
    One job holds 4 of 8 accelerators, from the start to the end of the run:

    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 4, "duration_s": 60})
    >>> result = cs.replay(log, policy="fcfs", accelerators=8)
    >>> table = goodput_table(result, cs.load_catalogue())
    >>> table[["kind", "name", "scheduling", "runtime"]].to_numpy().tolist()
    [['all', 'all', 0.5, 1.0], ['pool', 'pool', 0.5, 1.0], ['size', '3-4', 0.5, 1.0]]
    """
    work = GoodputSplit(result, catalogue).within(0.0, float(result.provenance["simulated_s"]))
    rows = [
        {
            "kind": kind,
            "name": name,
            "accelerator_s": each.accelerator_s,
            "scheduling": each.scheduling,
            "runtime": each.runtime,
            "program": each.program,
            "goodput": each.goodput,
        }
        for kind, name, each in _rows(work, result)
    ]
    return pd.DataFrame(rows)


def _rows(work: Interval, result: Result) -> Iterator[tuple[str, str, Split]]:
    yield "all", "all", work.split()
    pools = work.by(work.of.pool, len(work.of.pools), work.capacity)
    for name, each in zip(work.of.pools, pools, strict=True):
        yield "pool", name, each
    if not len(work.flop):
        return
    index, labels = size_bins(result.jobs["n_accelerators"].to_numpy()[work.of.row])
    sizes = work.by(index, len(labels))
    for k in np.unique(index).tolist():
        yield "size", labels[k], sizes[k]
    codes, names = name_codes(result.jobs.get("job_class"), len(result.jobs))
    if names:
        classes = work.by(codes[work.of.row], len(names))
        for name, k in sorted((name, k) for k, name in enumerate(names)):
            yield "class", name, classes[k]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole > 0 else math.nan
