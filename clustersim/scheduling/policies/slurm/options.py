"""Options of the policy ``multifactor``, in Slurm's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from clustersim.errors import InputError
from clustersim.scheduling.options import options_of
from clustersim.scheduling.policies.slurm.job_priorities import PriorityRules
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.scheduling.slurm import (
    BackfillOptions,
    PreemptionRules,
    Qos,
    SlurmPartition,
    Weights,
)

__all__ = ["SlurmOptions"]

_WEIGHTS = tuple(f"weight_{name}" for name in ("age", "fair_share", "job_size", "partition", "qos"))
_MAPPINGS = (
    *("account_shares", "user_shares", "billing", "qos_priority", "partition_priority"),
    "partition_tier",
)
"""Options of which no value may be negative."""
_LIMITS = options_of(PreemptionOptions)
"""Options that need preemption, and their defaults."""


class SlurmOptions(PreemptionOptions):
    """Options of ``multifactor``, and the rules that follow from them.

    Attributes
    ----------
    weight_age : float
        ``PriorityWeightAge``: points of priority for a factor of 1, as for all weights.
    weight_fair_share : float
        ``PriorityWeightFairshare``.
    weight_job_size : float
        ``PriorityWeightJobSize``: of the accelerators and nodes of a job, in parts of the cluster.
    weight_partition : float
        ``PriorityWeightPartition``.
    weight_qos : float
        ``PriorityWeightQOS``.
    max_age : float
        ``PriorityMaxAge``: waiting time from which the age factor is 1, seconds.
    half_life : float
        ``PriorityDecayHalfLife``: time after which half of the usage counts, seconds; 0: all of it
        counts forever.
    calc_period : float
        ``PriorityCalcPeriod``: time between two computations of all priorities, seconds; 0: in
        every pass. A job that arrives in between has the fair share of the last one.
    fair_share : {"fair_tree", "classic"}
        The algorithm of the fair-share factor; ``classic`` is ``NO_FAIR_TREE``.
    dampening : float
        ``FairShareDampeningFactor`` of ``classic``.
    account_shares : mapping of str to float
        Shares of accounts among each other; 1 by default.
    user_shares : mapping of str to float
        Shares of users in their account; 1 by default.
    billing : mapping of str to float
        Usage of an accelerator of each pool for a second; 1 by default.
    favor_small : bool
        ``PriorityFavorSmall``: small jobs have the large job size factor.
    small_relative_to_time : bool
        ``SMALL_RELATIVE_TO_TIME``: the size factor is accelerators by minute of the estimate.
    qos_priority : mapping of str to float
        Priority of each QoS; its factor is this, divided by the largest. 0 by default.
    partition_priority : mapping of str to float
        ``PriorityJobFactor`` of each partition, likewise.
    partition_tier : mapping of str to int
        ``PriorityTier`` of each partition; 1 by default.
    site_column : str or None
        Column of the jobs table with the site's factor; none: no such factor.
    bf_interval : float
        Time between two backfilling passes, seconds; 0: in every pass.
    bf_window : float
        How far into the future jobs are planned, in minutes as in Slurm. A job that can only start
        later reserves nothing, so that jobs behind it may delay it.
    bf_max_job_test : int
        Number of waiting jobs, in order, that a backfilling pass considers.
    preempt_type : {"none", "qos", "partition_prio"}
        ``PreemptType``.
    preempt_mode : {"off", "requeue", "suspend", "cancel"}
        ``PreemptMode``: how a job is preempted.
    preempt_mode_of : mapping of str to {"off", "requeue", "suspend", "cancel"}
        The same for jobs of a QoS or a partition, whichever is the type.
    preempt_exempt_time : float
        ``PreemptExemptTime``: run time before which a job is not requeued or cancelled, seconds.
    preempt_youngest_first : bool
        Whether the job that started last is the first victim.
    qos_preempts : mapping of str to tuple of str
        The QoS whose jobs each QoS may preempt.
    cost : float or None
        Time that a preemption costs a job when it starts again, seconds. By default that of a
        restart, if the run has checkpoints, and otherwise none.
    """

    weight_age: float = 0.0
    weight_fair_share: float = 0.0
    weight_job_size: float = 0.0
    weight_partition: float = 0.0
    weight_qos: float = 0.0
    max_age: float = 7 * 86400.0
    half_life: float = 7 * 86400.0
    calc_period: float = 300.0
    fair_share: Literal["fair_tree", "classic"] = "fair_tree"
    dampening: float = 1.0
    account_shares: Mapping[str, float] = MappingProxyType({})
    user_shares: Mapping[str, float] = MappingProxyType({})
    billing: Mapping[str, float] = MappingProxyType({})
    favor_small: bool = False
    small_relative_to_time: bool = False
    qos_priority: Mapping[str, float] = MappingProxyType({})
    partition_priority: Mapping[str, float] = MappingProxyType({})
    partition_tier: Mapping[str, int] = MappingProxyType({})
    site_column: str | None = "priority"
    bf_interval: float = 30.0
    bf_window: float = 1440.0
    bf_max_job_test: int = 500
    preempt_type: Literal["none", "qos", "partition_prio"] = "none"
    preempt_mode: Literal["off", "requeue", "suspend", "cancel"] = "off"
    preempt_mode_of: Mapping[str, Literal["off", "requeue", "suspend", "cancel"]] = (
        MappingProxyType({})
    )
    preempt_exempt_time: float = 0.0
    preempt_youngest_first: bool = False
    qos_preempts: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    cost: float | None = None

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        for name in ("calc_period", "half_life", "preempt_exempt_time", "cost"):
            value = getattr(cls, name)
            if value is not None and not 0 <= value < math.inf:
                return f"option {name}: must be a number of at least 0, found {value}"
        for name in ("max_age", "dampening"):
            if not 0 < getattr(cls, name) < math.inf:
                return f"option {name}: must be a number above 0, found {getattr(cls, name)}"
        for name in _MAPPINGS:
            for key, value in getattr(cls, name).items():
                if not 0 <= value < math.inf:
                    return f"option {name}: must be 0 or more, found {value} for {key!r}"
        for name in _WEIGHTS:
            if not 0 <= getattr(cls, name) < math.inf:
                return f"option {name}: must be 0 or more, found {getattr(cls, name)}"
        try:
            cls.backfill_options()
        except InputError as error:
            return f"options of {error}"
        return cls._preemption_problem() or cls.limits_problem()

    @classmethod
    def _preemption_problem(cls) -> str:
        modes = {cls.preempt_mode, *cls.preempt_mode_of.values()}
        if cls.preempt_type == "none":
            given = [name for name in ("preempt_mode_of", "qos_preempts") if getattr(cls, name)]
            given += ["preempt_mode"] if cls.preempt_mode != "off" else []
            given += [name for name in _LIMITS if getattr(cls, name) != _LIMITS[name]]
            return f"option {given[0]}: has no effect without preempt_type" if given else ""
        if modes == {"off"}:
            return "option preempt_type: needs a preempt_mode: requeue, suspend or cancel"
        if cls.preempt_type == "qos" and not cls.qos_preempts:
            return "option preempt_type: qos needs qos_preempts, such as high:normal+low"
        if cls.preempt_type == "partition_prio" and not cls.partition_tier:
            return "option preempt_type: partition_prio needs partition_tier, such as urgent:2"
        return ""

    @classmethod
    def priority_rules(cls) -> PriorityRules:
        """Return how priorities are computed."""
        weights = Weights(
            age=cls.weight_age,
            fair_share=cls.weight_fair_share,
            job_size=cls.weight_job_size,
            partition=cls.weight_partition,
            qos=cls.weight_qos,
        )
        return PriorityRules(
            weights=weights,
            max_age_s=cls.max_age,
            half_life_s=cls.half_life,
            period_s=cls.calc_period,
            fair_share=cls.fair_share,
            dampening=cls.dampening,
            favor_small=cls.favor_small or cls.small_relative_to_time,
            relative_to_time=cls.small_relative_to_time,
            account_shares=cls.account_shares,
            user_shares=cls.user_shares,
            qos_priority=cls.qos_priority,
            partition_priority=cls.partition_priority,
            billing=cls.billing,
            site_column=cls.site_column,
        )

    @classmethod
    def backfill_options(cls) -> BackfillOptions:
        """Return the options of backfilling."""
        given = {"bf_window": cls.bf_window, "bf_max_job_test": cls.bf_max_job_test}
        if cls.bf_interval:
            given["bf_interval"] = cls.bf_interval
        return BackfillOptions.of_slurm(given)

    @classmethod
    def preemption_rules(cls) -> PreemptionRules:
        """Return the rules of preemption."""
        by_qos = cls.preempt_type == "qos"
        modes_of_qos = cls.preempt_mode_of if by_qos else {}
        modes_of_partitions = {} if by_qos else cls.preempt_mode_of
        qos = {
            name: Qos(
                cls.qos_priority.get(name, 0.0),
                frozenset(cls.qos_preempts.get(name, ())),
                modes_of_qos.get(name),
            )
            for name in [*cls.qos_priority, *cls.qos_preempts, *modes_of_qos]
        }
        partitions = {
            name: SlurmPartition(cls.partition_tier.get(name, 1), modes_of_partitions.get(name))
            for name in [*cls.partition_tier, *modes_of_partitions]
        }
        return PreemptionRules(
            cls.preempt_type,
            cls.preempt_mode,
            partitions=partitions,
            qos=qos,
            exempt_s=cls.preempt_exempt_time,
            youngest_first=cls.preempt_youngest_first,
        )
