"""Scheduling policies by name."""

from __future__ import annotations

from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.policies.conservative import Conservative
from clustersim.scheduling.policies.defragment import Defragment
from clustersim.scheduling.policies.drf import Drf
from clustersim.scheduling.policies.easy import Easy, EasySjbf
from clustersim.scheduling.policies.elastic_rounds import Pollux, Sia
from clustersim.scheduling.policies.first_fit import (
    EarliestDeadline,
    FirstFit,
    LargestFirst,
    SmallestFirst,
)
from clustersim.scheduling.policies.in_rounds import (
    FinishTimeFairness,
    Isolated,
    MaxMinFairness,
    MaxMinWaterFilling,
    MaxThroughput,
    MaxThroughputPerCost,
    MinMakespan,
)
from clustersim.scheduling.policies.kai import Kai
from clustersim.scheduling.policies.kueue import Kueue
from clustersim.scheduling.policies.las import Las
from clustersim.scheduling.policies.priority import Priority
from clustersim.scheduling.policies.qssf import Qssf
from clustersim.scheduling.policies.slurm import Multifactor
from clustersim.scheduling.policies.srtf import Srsf, Srtf
from clustersim.scheduling.policies.strict import Fcfs, Sjf

__all__ = [
    "POLICIES",
    "Conservative",
    "Defragment",
    "Drf",
    "EarliestDeadline",
    "Easy",
    "EasySjbf",
    "Fcfs",
    "FinishTimeFairness",
    "FirstFit",
    "Isolated",
    "Kai",
    "Kueue",
    "LargestFirst",
    "Las",
    "MaxMinFairness",
    "MaxMinWaterFilling",
    "MaxThroughput",
    "MaxThroughputPerCost",
    "MinMakespan",
    "Multifactor",
    "Policy",
    "Pollux",
    "Priority",
    "Qssf",
    "Sia",
    "Sjf",
    "SmallestFirst",
    "Srsf",
    "Srtf",
]

POLICIES: dict[str, type[Policy]] = {
    "fcfs": Fcfs,
    "first_fit": FirstFit,
    "largest_first": LargestFirst,
    "smallest_first": SmallestFirst,
    "sjf": Sjf,
    "earliest_deadline": EarliestDeadline,
    "easy": Easy,
    "easy_sjbf": EasySjbf,
    "conservative": Conservative,
    "priority": Priority,
    "multifactor": Multifactor,
    "srtf": Srtf,
    "srsf": Srsf,
    "qssf": Qssf,
    "drf": Drf,
    "las": Las,
    "kueue": Kueue,
    "kai": Kai,
    "max_min_fairness": MaxMinFairness,
    "max_min_water_filling": MaxMinWaterFilling,
    "finish_time_fairness": FinishTimeFairness,
    "min_makespan": MinMakespan,
    "max_throughput": MaxThroughput,
    "max_throughput_per_cost": MaxThroughputPerCost,
    "isolated": Isolated,
    "defragment": Defragment,
    "sia": Sia,
    "pollux": Pollux,
}
