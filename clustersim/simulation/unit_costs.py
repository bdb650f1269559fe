"""What a job, a token and a useful FLOP cost in a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.catalogue import Catalogue
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.simulation.result import Result
from clustersim.simulation.tables import FINISHED

__all__ = ["unit_costs", "work_done"]


def work_done(result: Result, catalogue: Catalogue) -> pd.DataFrame:
    """Return the work of each job that is done.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``job`` (the share of the job that is done), ``token`` and ``flop`` (those of its
        model that were trained for good; 0 without a model), ``modelled`` (whether it has one).
    """
    jobs = result.jobs
    done = (jobs["outcome"] == FINISHED).to_numpy(dtype=np.float64)
    tokens, flops = np.zeros(len(jobs)), np.zeros(len(jobs))
    modelled = np.full(len(jobs), False)
    if "model" in jobs and "tokens" in jobs:
        modelled = jobs["model"].notna().to_numpy(dtype=bool)
    if modelled.any():
        names, name_of = np.unique(jobs["model"].to_numpy(str)[modelled], return_inverse=True)
        models = ModelArrays.of([catalogue.model(str(name)) for name in names])
        tokens[modelled] = jobs["tokens"].to_numpy(np.float64)[modelled] * done[modelled]
        flops[modelled] = tokens[modelled] * model_flops_per_token(models)[name_of]
    columns = {"job": done, "token": tokens, "flop": flops, "modelled": modelled}
    return pd.DataFrame({"pool": jobs["pool"].to_numpy(), **columns})


def unit_costs(
    cost_cny: Mapping[str, float], borne: pd.DataFrame, work: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Return the cost of the fleet over the work that it did.

    All that a pool costs is spread over its work, also what no job bears.  Where only some jobs
    have a model, they take the share of it that they have in what jobs bear.

    Parameters
    ----------
    cost_cny : mapping of str to float
        Of all pools together (``all``) and of each.
    borne : pandas.DataFrame
        ``job`` (row of `work`), ``pool`` and ``cost_cny`` of each allocation.
    work : pandas.DataFrame
        See :func:`work_done`.

    Returns
    -------
    dict
        ``cost_per_job_cny``, ``cost_per_token_cny``, ``cost_per_flop_cny`` by the keys of
        `cost_cny`; NaN where there is no such work.
    """
    modelled = work["modelled"].to_numpy()[borne["job"].to_numpy()]
    found: dict[str, dict[str, float]] = {}
    for scope, total in cost_cny.items():
        own = np.full(len(borne), True) if scope == "all" else (borne["pool"] == scope).to_numpy()
        of_jobs = float(borne["cost_cny"][own].sum())
        of_models = float(borne["cost_cny"][own & modelled].sum())
        share = of_models / of_jobs if of_jobs > 0 else float("nan")
        done = work if scope == "all" else work[(work["pool"] == scope).to_numpy()]
        for unit, part in (("job", 1.0), ("token", share), ("flop", share)):
            whole = float(done[unit].sum())
            cost = total * part / whole if whole > 0 else float("nan")
            found.setdefault(f"cost_per_{unit}_cny", {})[scope] = cost
    return found
