"""Load of the shared links of a run: of each trunk over the whole run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.errors import InputError, unknown_name
from clustersim.network.trunks import LEVELS
from clustersim.topology import ClusterSpec

__all__ = ["KEYS", "check_links", "link_loads"]

KEYS = ["pool", "level", "group"]
"""Columns that identify a trunk in the table ``network_load``."""


def link_loads(load: pd.DataFrame, end_s: float) -> pd.DataFrame:
    """Return the mean and the highest load of each trunk from time 0 to the end of a run.

    Parameters
    ----------
    load : pandas.DataFrame
        The table ``network_load`` of a result. Its load holds from its instant until the next one,
        and is 0 before the first one.
    end_s : float
        End of the run, seconds.

    Returns
    -------
    pandas.DataFrame
        One row per trunk, in the order of the table: ``pool``, ``level``, ``group``, and ``mean``
        and ``peak`` of its load divided by its capacity.

    Raises
    ------
    InputError
        If the instants are not those of all trunks.

    Examples
    --------
    >>> load = pd.DataFrame({"time_s": [0.0, 30.0], "pool": "gpu", "level": "leaf", "group": 0,
    ...                      "utilisation": [1.0, 0.2]})
    >>> link_loads(load, 100.0)[["mean", "peak"]].round(2).values.tolist()
    [[0.44, 1.0]]
    """
    if load.empty:
        return pd.DataFrame(columns=[*KEYS, "mean", "peak"])
    times_s = load["time_s"].unique()
    n = len(load) // len(times_s)
    trunks = load[KEYS].head(n).reset_index(drop=True)
    if n * len(times_s) != len(load) or trunks.duplicated().any():
        raise InputError("network_load", "each instant must have the same trunks, once each")
    values = load["utilisation"].to_numpy(dtype=np.float64).reshape(-1, n)
    lasts_s = np.diff(np.append(times_s, max(end_s, float(times_s[-1]))))
    length_s = max(end_s, float(times_s[-1])) or 1.0
    return trunks.assign(
        pool=trunks["pool"].astype(str),
        level=trunks["level"].astype(str),
        mean=lasts_s @ values / length_s,
        peak=values.max(axis=0),
    )


def check_links(spec: ClusterSpec, loads: pd.DataFrame, source: str) -> None:
    """Raise an error if a topology does not have the trunks of a run.

    Parameters
    ----------
    spec : ClusterSpec
    loads : pandas.DataFrame
        From :func:`link_loads`.
    source : str
        Name of the run, for the message.

    Raises
    ------
    InputError
        If a pool or a group is missing.

    Examples
    --------
    >>> import clustersim as cs
    >>> spec = cs.load_cluster("h20-pod", cs.load_catalogue())
    >>> check_links(spec, pd.DataFrame({"pool": ["h20"], "level": "leaf", "group": 7}), "run")
    """
    for key, own in loads.groupby("pool", sort=False):
        name = str(key)
        if name not in spec.pools:
            problem = unknown_name("pool", name, spec.pools)
            raise InputError(source, f"ran on another topology: {problem}")
        trunks = spec.pools[name].build_fabric().trunks()
        counts = dict(zip(LEVELS[2:], [trunk.n_groups for trunk in trunks], strict=False))
        for level, group in zip(own["level"], own["group"], strict=True):
            if level != LEVELS[-1] and group >= counts.get(level, 0):
                raise InputError(
                    source,
                    f"ran on another topology: pool {name} has {counts.get(level, 0)} groups of "
                    f"the level {level}, but the run has number {group}",
                )
