"""Scheduling policies by name."""

from __future__ import annotations

from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.policies.conservative import Conservative
from clustersim.scheduling.policies.easy import Easy, EasySjbf
from clustersim.scheduling.policies.strict import Fcfs, Sjf

__all__ = ["POLICIES", "Conservative", "Easy", "EasySjbf", "Fcfs", "Policy", "Sjf"]

POLICIES: dict[str, type[Policy]] = {
    "fcfs": Fcfs,
    "sjf": Sjf,
    "easy": Easy,
    "easy_sjbf": EasySjbf,
    "conservative": Conservative,
}
