"""Goodput: the work that is kept, in model FLOPs and in tokens, by pool and time interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.costs.unit_costs import work_done
from clustersim.simulation.attempt_parts import attempts_by_pool
from clustersim.simulation.result import Result

__all__ = ["Goodput", "goodput_of"]


@dataclass(frozen=True, slots=True)
class Goodput:
    """The part of each attempt's work that is kept, assumed to be spread evenly over the attempt.

    Attributes
    ----------
    attempts : pandas.DataFrame
        One row per attempt and pool, with ``pool``, ``begin_s``, ``end_s``, ``flop`` (tokens times
        the model's FLOPs per token,
        :func:`~clustersim.performance.step_time.model_flops_per_token`; 0 for a job without a
        model) and ``token``.
    """

    attempts: pd.DataFrame

    def within(self, begin_s: float, end_s: float) -> pd.DataFrame:
        """Return the FLOPs and tokens of each pool in a time interval.

        Returns
        -------
        pandas.DataFrame
            ``flop`` and ``token``, indexed by pool.
        """
        begin, end = (self.attempts[name].to_numpy() for name in ("begin_s", "end_s"))
        shared = np.clip(np.minimum(end, end_s) - np.maximum(begin, begin_s), 0.0, None)
        share = shared / np.where(end > begin, end - begin, np.inf)
        done = self.attempts[["flop", "token"]].mul(share, axis=0)
        return done.groupby(self.attempts["pool"], observed=False).sum()


def goodput_of(result: Result, catalogue: Catalogue | None = None) -> Goodput:
    """Return the kept work of a run, by attempt.

    Parameters
    ----------
    result : Result
    catalogue : Catalogue, optional
        Catalogue of the models that the jobs name; by default the built-in one.
    """
    work = work_done(result, load_catalogue() if catalogue is None else catalogue)
    parts, end = result.jobs, "finish_s"
    if result.attempts is not None:
        parts, end = attempts_by_pool(result.attempts, result.allocation_ranges), "end_s"
    end_s = parts[end].fillna(float(result.provenance["simulated_s"]))
    times = {"begin_s": parts["start_s"].to_numpy(), "end_s": end_s.to_numpy()}
    began = parts["start_s"].notna().to_numpy(dtype=bool)
    columns = {"pool": parts["pool"].array, **times}  # keeps the categories of idle pools
    return Goodput(work[["flop", "token"]].assign(**columns)[began])
