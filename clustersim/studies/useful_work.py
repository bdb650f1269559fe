"""Work that is kept: when it was done and where, in FLOPs of the models and in tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.performance.arrays import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.simulation.result import Result

__all__ = ["UsefulWork", "useful_work"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UsefulWork:
    """Attempts at jobs and the work of each that is kept, spread evenly over its time.

    Attributes
    ----------
    begin_s, end_s : float64 arrays (attempts,)
    flop : float64 array (attempts,)
        Tokens times the model's FLOPs a token
        (:func:`~clustersim.performance.step_time.model_flops_per_token`); 0 of a job without a
        model.
    tokens : float64 array (attempts,)
    pool : int array (attempts,)
        Place in `pools`.
    pools : list of str
    """

    begin_s: Floats
    end_s: Floats
    flop: Floats
    tokens: Floats
    pool: npt.NDArray[np.integer[Any]]
    pools: list[str]

    def within(self, begin_s: float, end_s: float) -> tuple[Floats, float]:
        """Return the FLOPs of each pool and the tokens that were done in a stretch of time."""
        shared = np.minimum(self.end_s, end_s) - np.maximum(self.begin_s, begin_s)
        held = self.end_s - self.begin_s
        share = np.clip(shared, 0.0, None) / np.where(held > 0, held, np.inf)
        done = share * self.flop
        flop = np.array([done[self.pool == pool].sum() for pool in range(len(self.pools))])
        return flop, float((share * self.tokens).sum())


def useful_work(result: Result, catalogue: Catalogue | None = None) -> UsefulWork:
    """Return the work of a result that is kept.

    Parameters
    ----------
    result : Result
    catalogue : Catalogue, optional
        Of the models that its jobs name; by default the built-in one.
    """
    jobs = result.jobs
    attempts = _whole_jobs(result) if result.attempts is None else result.attempts
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(attempts["job_id"]))
    tokens = _tokens(jobs)[row] * attempts["done"].to_numpy(dtype=np.float64)
    pool = attempts["pool"].cat
    return UsefulWork(
        begin_s=attempts["start_s"].to_numpy(dtype=np.float64),
        end_s=attempts["end_s"].to_numpy(dtype=np.float64),
        flop=tokens * _flop_per_token(jobs, catalogue)[row],
        tokens=tokens,
        pool=pool.codes.to_numpy(),
        pools=[str(name) for name in pool.categories],
    )


def _whole_jobs(result: Result) -> pd.DataFrame:
    """Jobs that started, each in one attempt."""
    jobs = result.jobs[result.jobs["start_s"].notna()]
    end_s = jobs["finish_s"].fillna(float(result.provenance["simulated_s"]))
    return jobs[["job_id", "pool", "start_s", "done"]].assign(end_s=end_s)


def _tokens(jobs: pd.DataFrame) -> Floats:
    """Tokens of each job; 0 without a model."""
    if "model" not in jobs or "tokens" not in jobs:
        return np.zeros(len(jobs))
    told = jobs["tokens"].to_numpy(dtype=np.float64, na_value=0.0)
    return np.where(jobs["model"].notna().to_numpy(dtype=bool), np.nan_to_num(told), 0.0)


def _flop_per_token(jobs: pd.DataFrame, catalogue: Catalogue | None) -> Floats:
    """Model FLOPs a token of each job; 0 without a model."""
    if "model" not in jobs:
        return np.zeros(len(jobs))
    code, names = pd.factorize(jobs["model"])
    if not len(names):
        return np.zeros(len(jobs))
    catalogue = load_catalogue() if catalogue is None else catalogue
    models = [catalogue.model(str(name)) for name in names]
    per_token = np.asarray(model_flops_per_token(ModelArrays.of(models)), dtype=np.float64)
    return np.append(per_token, 0.0)[code]
