"""Cost per job, per token and per useful FLOP in a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.array_types import Bools
from clustersim.catalogue import Catalogue
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.simulation.attempt_parts import attempts_by_pool
from clustersim.simulation.result import Result
from clustersim.simulation.scopes import WHOLE, Scope

__all__ = ["unit_costs", "work_done"]


def work_done(result: Result, catalogue: Catalogue) -> pd.DataFrame:
    """Return the kept work of each attempt, or of each job if there is no table of attempts.

    An attempt on several pools has a row for each of them, with the work that was done there.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``job`` (share of the job's work), ``token`` (tokens trained on) and ``flop``
        (model FLOPs for these tokens). The last two are 0 for a job without a model.
    """
    jobs = result.jobs
    tokens, flops = np.zeros(len(jobs)), np.zeros(len(jobs))
    modelled = _modelled(jobs)
    if modelled.any():
        model = jobs["model"].to_numpy(dtype=object)[modelled].astype(str)
        names, name_of = np.unique(model, return_inverse=True)
        models = ModelArrays.of([catalogue.model(str(name)) for name in names])
        tokens[modelled] = jobs["tokens"].to_numpy(dtype=np.float64)[modelled]
        flops[modelled] = tokens[modelled] * model_flops_per_token(models)[name_of]
    parts = jobs
    if result.attempts is not None:
        parts = attempts_by_pool(result.attempts, result.allocation_ranges)
    row = pd.Index(jobs["job_id"]).get_indexer(parts["job_id"])
    done = parts["done"].to_numpy()
    columns = {"job": done, "token": tokens[row] * done, "flop": flops[row] * done}
    return pd.DataFrame({"pool": parts["pool"].to_numpy(), **columns})


def unit_costs(
    cost_cny: Mapping[Scope, float], borne: pd.DataFrame, result: Result, catalogue: Catalogue
) -> dict[str, dict[Scope, float]]:
    """Return the cost of the fleet per unit of its work.

    The entire cost of a pool, except for services, is spread over its work. This includes the cost
    that no job bears. If only some jobs have a model, they receive the same share of the pool's
    cost as of the cost that jobs bear.

    Parameters
    ----------
    cost_cny : mapping of Scope to float
        Cost of all pools together and of each pool, without services.
    borne : pandas.DataFrame
        ``row`` (in the jobs table), ``pool`` and ``cost_cny`` of each allocation.
    result : Result
    catalogue : Catalogue

    Returns
    -------
    dict
        ``cost_per_job_cny``, ``cost_per_token_cny`` and ``cost_per_flop_cny``, each with the keys
        of `cost_cny`; NaN if no work of this kind was done.
    """
    work = work_done(result, catalogue)
    modelled = _modelled(result.jobs)[borne["row"].to_numpy()]
    found: dict[str, dict[Scope, float]] = {}
    for scope, total in cost_cny.items():
        whole_fleet, pool = scope == WHOLE, scope[1]
        own = np.full(len(borne), True) if whole_fleet else (borne["pool"] == pool).to_numpy()
        of_jobs = float(borne["cost_cny"][own].sum())
        of_models = float(borne["cost_cny"][own & modelled].sum())
        share = of_models / of_jobs if of_jobs > 0 else float("nan")
        done = work if whole_fleet else work[(work["pool"] == pool).to_numpy()]
        for unit, part in (("job", 1.0), ("token", share), ("flop", share)):
            whole = float(done[unit].sum())
            cost = total * part / whole if whole > 0 else float("nan")
            found.setdefault(f"cost_per_{unit}_cny", {})[scope] = cost
    return found


def _modelled(jobs: pd.DataFrame) -> Bools:
    """Return whether each job trains a model."""
    if "model" not in jobs or "tokens" not in jobs:
        return np.zeros(len(jobs), dtype=bool)
    return np.asarray(jobs["model"].notna(), dtype=bool)
