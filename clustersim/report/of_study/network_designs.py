"""What designs of a network cost and lose: a table from a study that compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.statistics import mean_interval
from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import server_price_cny
from clustersim.costs.network_price import network_price
from clustersim.errors import InputError
from clustersim.scenario.platform import open_platform
from clustersim.scenario.scenario import define_scenario
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.study_result import StudyResult
from clustersim.topology import ClusterSpec, summarise

__all__ = ["kept_goodput", "network_designs"]

_LOSS, _WORK = "network_loss", "useful_flop_per_s"
_FACTS = ("oversubscription", "network_cny", "servers_cny")


def kept_goodput(work: Mapping[str, Floats], loss: Mapping[str, Floats]) -> Floats:
    """Return the goodput of a fleet as a share of what an ideal network would leave it.

    Parameters
    ----------
    work : mapping of str to float64 array (runs,)
        Useful FLOP/s of each pool.
    loss : mapping of str to float64 array (runs,)
        Share of the accelerator time of each pool that is lost to the network. Without the loss,
        the pool would do ``work / (1 - loss)`` in the same accelerator time. NaN, of a pool
        without an attempt that ended in the time interval, counts as 0.

    Examples
    --------
    >>> work = {"fast": np.array([9.0]), "slow": np.array([1.0])}
    >>> kept_goodput(work, {"fast": np.array([0.1]), "slow": np.array([0.5])}).round(3)
    array([0.833])
    """
    ideal = np.sum([work[pool] / (1.0 - np.nan_to_num(loss[pool])) for pool in work], axis=0)
    return np.asarray(np.sum([*work.values()], axis=0) / ideal)


def network_designs(result: StudyResult) -> pd.DataFrame:
    """Return what the network of each point of a study costs, and the goodput that it loses.

    Parameters
    ----------
    result : StudyResult
        A study with the metrics ``network_loss.POOL`` and ``useful_flop_per_s.POOL`` of each pool.
        `compare` names the parameter that stands for the design, and its baseline.

    Returns
    -------
    pandas.DataFrame
        One row per point: its parameters, ``oversubscription`` (in total; of all pools alike, or
        the mean over their chips), ``network_cny`` and ``servers_cny`` (purchase prices), ``saved``
        (price of the network below that of the baseline, as a share of the price of the baseline's
        servers and network), ``lost`` (share of the goodput that is lost to the network), and
        ``unit_price`` (price of servers and network by unit of goodput, relative to the baseline).
        The last two have 95 % intervals over the replications (``_low``, ``_high``).

    Raises
    ------
    InputError
        If the study has no comparison, or lacks a metric or a price.
    """
    compare, runs = result.study.spec.compare, result.runs
    if compare is None:
        raise InputError(result.study.source, "compare: is needed for the baseline of the designs")
    runs = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    designs: dict[str, tuple[float, float, float]] = {}
    rows: list[dict[str, Any]] = []
    kept: list[pd.Series] = []
    for point in result.study.points:
        own = runs[runs["point"] == point.index]
        if own.empty:
            raise InputError(result.study.source, f"no run of point {point.index} has finished")
        name = str(point.columns[compare.of])
        platform = open_platform(define_scenario(result.study.base.tree, point.changes))
        if name not in designs:
            designs[name] = _design(platform.spec, platform.catalogue)
        rows.append({**point.columns, **dict(zip(_FACTS, designs[name], strict=True))})
        kept.append(_kept(own, list(platform.spec.pools), result.study.source))
    table = pd.DataFrame(rows)
    return table.assign(**_compared(table, kept, compare.of, str(compare.baseline)))


def _design(spec: ClusterSpec, catalogue: Catalogue) -> tuple[float, float, float]:
    """Return oversubscription, price of the network and price of the servers of a cluster."""
    pools = summarise(spec).pools
    ratios = [pool.oversubscription for pool in pools]
    servers = 0.0
    for name, pool in spec.pools.items():
        chip = catalogue.accelerator(pool.accelerator)
        price = server_price_cny(chip, catalogue.assumptions, chips_per_node=pool.chips_per_node)
        if price is None:
            raise InputError("prices", f"the price of {chip.name} (pool {name}) is unknown")
        servers += pool.endpoints().chips * price[1]
    mean = float(np.average(ratios, weights=[pool.chips for pool in pools]))
    return mean, float(network_price(spec, catalogue.assumptions)["price_cny"].sum()), servers


def _kept(runs: pd.DataFrame, pools: list[str], source: str) -> pd.Series:
    """Return the goodput that the network leaves, by replication."""
    names = [f"{metric}.{pool}" for metric in (_LOSS, _WORK) for pool in pools]
    if missing := [name for name in names if name not in runs]:
        raise InputError(source, f"metrics: {', '.join(missing)}: needed for the designs")
    loss, work = (
        {pool: runs[f"{metric}.{pool}"].to_numpy(dtype=np.float64) for pool in pools}
        for metric in (_LOSS, _WORK)
    )
    return pd.Series(kept_goodput(work, loss), runs["replication"].to_numpy()).sort_index()


def _compared(
    table: pd.DataFrame, kept: list[pd.Series], of: str, baseline: str
) -> dict[str, list[float]]:
    """Return the columns that compare each row with the baseline at the same other parameters."""
    others = [name for name in map(str, table) if name not in (of, *_FACTS)]
    rest = [tuple(row[name] for name in others) for row in table.to_dict("records")]
    named = table[of].astype(str).tolist()
    bases = {rest[row]: row for row, name in enumerate(named) if name == baseline}
    prices = (table["network_cny"] + table["servers_cny"]).to_numpy(dtype=np.float64)
    found: dict[str, list[float]] = {"saved": []}
    for row, key in enumerate(rest):
        base = bases[key]
        found["saved"].append(float(1.0 - prices[row] / prices[base]))
        pairs = pd.concat([kept[row], kept[base]], axis=1, join="inner").to_numpy()
        unit = np.log(prices[row] / prices[base]) + np.log(pairs[:, 1]) - np.log(pairs[:, 0])
        for name, values in (
            ("lost", mean_interval(1.0 - kept[row].to_numpy())),
            ("unit_price", tuple(np.exp(mean_interval(unit)))),
        ):
            ends = zip(("", "_low", "_high"), values, strict=True)
            for suffix, value in ends:
                found.setdefault(f"{name}{suffix}", []).append(float(value))
    found["lost_low"] = np.clip(found["lost_low"], 0.0, 1.0).tolist()
    return found
