"""Price of a network: its switches, and its links with their transceivers.

Prices are those of 400 Gb/s (``switch_price``, ``link_price``, see ``clustersim catalogue
--assumptions``). Assumption: a switch costs in proportion to its ports and their rate, whether or
not all are used, and a link in proportion to its rate. Network interfaces belong to the servers,
and the network between pools is left out.
"""

from __future__ import annotations

import pandas as pd

from clustersim.catalogue.assumptions import BUILT_IN, PlanningAssumptions
from clustersim.topology import ClusterSpec, summarise

__all__ = ["network_price"]

_PORTS, _RATE_BPS = 64, 50e9
"""Ports of the switch that the assumptions price, and the rate of its ports and of a link."""


def network_price(spec: ClusterSpec, assumptions: PlanningAssumptions = BUILT_IN) -> pd.DataFrame:
    """Return the price of the switches and links of a cluster.

    Parameters
    ----------
    spec : ClusterSpec
    assumptions : PlanningAssumptions

    Returns
    -------
    pandas.DataFrame
        One row per pool and tier of switches or level of links: ``pool``, ``kind`` (``switch`` or
        ``link``), ``name`` (of the tier or level), ``count``, ``each_cny`` and ``price_cny``. Pools
        without a fabric have none.

    Examples
    --------
    1,024 H200 have 48 switches for 36,000 USD and 2,048 links for 1,280 USD:

    >>> import clustersim as cs
    >>> spec = cs.load_cluster("h200-superpod", cs.load_catalogue())
    >>> prices = network_price(spec).groupby("kind")["price_cny"].sum()
    >>> (prices / BUILT_IN.cny_per_usd).round().to_dict()
    {'link': 2621440.0, 'switch': 1728000.0}
    """
    switch_cny, link_cny = (
        assumptions.cny(price) for price in (assumptions.switch_price, assumptions.link_price)
    )
    rows = []
    for pool in summarise(spec).pools:
        if pool.fabric == "none":
            continue
        items = [
            ("switch", tier.kind, tier.switches,
             switch_cny * tier.ports / _PORTS * tier.port_Bps / _RATE_BPS)
            for tier in pool.tiers
        ]  # fmt: skip
        items += [
            ("link", level.name, level.links, link_cny * level.link_Bps / _RATE_BPS)
            for level in pool.levels
        ]
        rows += [(pool.name, *item, item[2] * item[3]) for item in items]
    return pd.DataFrame(rows, columns=["pool", "kind", "name", "count", "each_cny", "price_cny"])
