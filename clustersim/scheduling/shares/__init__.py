"""Ways to divide accelerators and other resources among users and jobs, each a small function."""

from clustersim.scheduling.shares.elastic import divide_by_gain, minimum_share
from clustersim.scheduling.shares.fluid import (
    finish_time_ratios,
    least_attained_service,
    processor_sharing,
)
from clustersim.scheduling.shares.max_min import jain_index, max_min
from clustersim.scheduling.shares.several_resources import (
    Filling,
    asset_fairness,
    competitive_equilibrium,
    dominant_shares,
    fill_by_dominant_share,
)

__all__ = [
    "Filling",
    "asset_fairness",
    "competitive_equilibrium",
    "divide_by_gain",
    "dominant_shares",
    "fill_by_dominant_share",
    "finish_time_ratios",
    "jain_index",
    "least_attained_service",
    "max_min",
    "minimum_share",
    "processor_sharing",
]
