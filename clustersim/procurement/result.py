"""A purchase plan: solution, shadow prices, regret, and verification by simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim import interrupts
from clustersim.brief import Brief
from clustersim.errors import names_former_arguments
from clustersim.outputs import new_folder
from clustersim.procurement.fleet import open_base_scenario, throughput
from clustersim.procurement.gangs import gangs_without_room
from clustersim.procurement.kept_runs import KeptRuns
from clustersim.procurement.load import PlanQuestion, define_plan
from clustersim.procurement.problem import Problem, problem_of
from clustersim.procurement.program import build_program
from clustersim.procurement.reference import reference_table
from clustersim.procurement.regret import Regret, find_regret
from clustersim.procurement.shadow_prices import shadow_prices
from clustersim.procurement.shortfall import find_shortfall
from clustersim.procurement.solve import Effort, Schedule, solve, solve_relaxed
from clustersim.procurement.tables import purchase_table
from clustersim.procurement.verify import Verified, verify
from clustersim.units import format_money

__all__ = ["PurchasePlan", "plan_purchases"]


@dataclass(frozen=True, repr=False)
class PurchasePlan(Brief):
    """A purchase plan: purchases, costs, sensitivity to limits and scenarios, and verification.

    Attributes
    ----------
    question : PlanQuestion
    problem : Problem
        The numeric form of the question, with the planning utilisation of this plan.
    schedule : Schedule or None
        The purchases; None if no plan satisfies the limits.
    bound : float
        Lower bound on the expected cost (yuan) from the linear relaxation; NaN without a plan.
    shadow_prices : DataFrame or None
        See :func:`~clustersim.procurement.shadow_prices.shadow_prices`.
    regret : Regret or None
    shortfall : DataFrame or None
        None if there is a plan; see :func:`~clustersim.procurement.shortfall.find_shortfall`.
    verified : Verified or None
        None if the plan has no section `verify`.
    reference : DataFrame or None
        See :func:`~clustersim.procurement.reference.reference_table`.

    Examples
    --------
    >>> import clustersim as cs
    >>> chips = {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}}
    >>> job = {"model": "llama3-8b", "accelerators": 8, "job_tokens": 1e9, "tokens": 1e13}
    >>> demand = {"tuning": {**job, "must_meet": 1}}
    >>> plan = cs.plan_purchases(
    ...     {"name": "one chip", "quarters": 1, "chips": chips, "demand": demand}
    ... )
    >>> plan.meets
    True
    >>> plan.purchases[["quarter", "chip", "nodes", "chips"]]
       quarter  chip  nodes  chips
    0        1  h200     17    136
    """

    question: PlanQuestion
    problem: Problem
    schedule: Schedule | None
    bound: float
    shadow_prices: pd.DataFrame | None
    regret: Regret | None
    shortfall: pd.DataFrame | None
    verified: Verified | None
    reference: pd.DataFrame | None = None

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title = f"PurchasePlan {self.question.spec.name!r}"
        if self.schedule is None:
            return title, {"purchases": "none: no plan satisfies the limits"}
        bought = self.schedule.bought.sum(axis=1)
        nodes = []
        for column, chip in enumerate(self.question.spec.chips):
            low, high = int(bought[:, column].min()), int(bought[:, column].max())
            nodes.append(f"{chip} {low:,}" + (f" to {high:,}" if high > low else ""))
        served = "" if self.verified is None else self.verified.outcome
        return title, {
            "purchases": f"{', '.join(nodes)} nodes",
            "expected cost": format_money(self.schedule.expected_cost),
            "search": self.schedule.status,
            "service in simulation": served,
            "missing": ", ".join(self.missing),
        }

    def save(self, folder: str | Path, formats: Sequence[str] = ("png", "svg")) -> Path:
        """Write tables, plots, ``plan.json`` and the simulated scenarios to a new folder.

        Raises
        ------
        InputError
            If `folder` is not empty or cannot be created; nothing is overwritten.

        Examples
        --------
        >>> import clustersim as cs
        >>> job = {"model": "llama3-8b", "accelerators": 8, "job_tokens": 1.0e9}
        >>> plan = cs.plan_purchases(
        ...     {
        ...         "name": "one chip",
        ...         "quarters": 1,
        ...         "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
        ...         "demand": {"tuning": {**job, "tokens": 1.0e13, "must_meet": 1}},
        ...     }
        ... )
        >>> folder = plan.save("out", formats=())
        >>> (folder / "plan.json").is_file()
        True
        """
        from clustersim.procurement.output import write_plan

        with new_folder(folder) as path:
            write_plan(self, path, formats)
        return path

    @property
    def purchases(self) -> pd.DataFrame | None:
        """The purchases, one row per scenario, quarter and chip; None without a plan.

        See :func:`~clustersim.procurement.tables.purchase_table` for the columns.
        """
        return None if self.schedule is None else purchase_table(self, self.schedule)

    @property
    def meets(self) -> bool:
        """Whether there is a plan and its simulated service, if any, meets the objective.

        Only means over replications are considered; `verified.outcome` also considers intervals.
        """
        return self.schedule is not None and (self.verified is None or self.verified.meets)

    @property
    def missing(self) -> list[str]:
        """Parts that an interrupt prevented: the verification, the regret, or both."""
        parts = []
        if self.verified is not None and not self.verified.complete:
            parts.append(f"the verification by simulation ({self.verified.note})")
        if self.schedule is not None and self.regret is None:
            parts.append("the regret of the purchases in each scenario")
        return parts

    @property
    def notes(self) -> list[str]:
        """Notes to consider when this plan is compared with others."""
        spec, notes = self.question.spec, list(self.question.notes)
        if self.missing:
            notes.append(
                f"this plan is incomplete because it was interrupted. It lacks "
                f"{' and '.join(self.missing)}. Continue it with the same command and --resume; "
                "finished runs are not repeated"
            )
        if spec.verify is None and self.schedule is not None:
            stated = "planning_utilisation" in spec.model_fields_set
            notes.append(
                f"the planning utilisation of {self.problem.utilisation:g} "
                f"{'comes from the plan file' if stated else 'is the default'} and is not "
                "verified: the plan has no section `verify`, so no simulation shows whether queues "
                "stay short"
            )
        if spec.electricity is None:
            notes.append("electricity is not counted: the plan has no section `electricity`")
        return notes

    @property
    def warnings(self) -> list[str]:
        """Problems that the averages of the plan do not show."""
        return [] if self.schedule is None else gangs_without_room(self.question, self.schedule)


@names_former_arguments(told="report=...")
def plan_purchases(
    question: str | Path | Mapping[str, Any] | PlanQuestion,
    *,
    workers: int | None = None,
    report: Callable[[str], None] | None = None,
    kept: KeptRuns | None = None,
    state: Callable[[PurchasePlan], None] | None = None,
) -> PurchasePlan:
    """Find the purchases with the least expected cost, and verify them if the plan requests it.

    Parameters
    ----------
    question : PlanQuestion, str, Path or mapping
        As for :func:`~clustersim.procurement.define_plan`.
    workers : int, optional
        Number of processes for simulations; by default one per core.
    report : callable, optional
        Called with a line of text after each round of the verification.
    kept : KeptRuns, optional
        Finished runs of the verification; see
        :class:`~clustersim.procurement.kept_runs.KeptRuns`.
    state : callable, optional
        Called with the incomplete plan as soon as its purchases are known, and again after each
        further step.

    Returns
    -------
    PurchasePlan
        The plan.  After a KeyboardInterrupt, it is incomplete if its purchases were already known;
        see `missing`.

    Raises
    ------
    InputError
        If a class of the demand cannot run on any of its chips, or the base scenario is invalid.

    Examples
    --------
    >>> from clustersim import plan_purchases
    >>> chips = {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}}
    >>> job = {"model": "llama3-8b", "accelerators": 8, "job_tokens": 1e9, "tokens": 1e13}
    >>> demand = {"tuning": {**job, "must_meet": 1}}
    >>> question = {"name": "one chip", "quarters": 1, "chips": chips, "demand": demand}
    >>> plan = plan_purchases(question)
    >>> int(plan.schedule.bought.sum())
    17
    >>> plan  # doctest: +ELLIPSIS
    PurchasePlan 'one chip': purchases h200 17 nodes; expected cost 1.913 million CNY; ...
    """
    question = define_plan(question)
    spec = question.spec
    effort = Effort(spec.gap, spec.search_nodes)
    base = open_base_scenario(question)
    problem = problem_of(question, throughput(question, base))
    schedule = solve(problem, effort=effort)
    if schedule is None:
        shortfall = find_shortfall(problem, effort)
        return PurchasePlan(question, problem, None, float("nan"), None, None, shortfall, None)

    def so_far(schedule: Schedule, verified: Verified | None) -> None:
        if state is not None:
            with interrupts.held():
                state(_plan_of(question, schedule, verified, None))
            interrupts.check()

    verified = regret = None
    with interrupts.watched():
        try:
            if base is not None:
                verified = verify(
                    question,
                    base,
                    problem,
                    schedule,
                    workers=workers,
                    report=report,
                    kept=kept,
                    state=lambda verified: so_far(verified.schedule, verified),
                )
                schedule = verified.schedule
            if verified is None or verified.complete:
                so_far(schedule, verified)
                regret = find_regret(schedule.problem, schedule, effort)
        except KeyboardInterrupt:
            interrupts.taken()
        with interrupts.held():
            return _plan_of(question, schedule, verified, regret)


def _plan_of(
    question: PlanQuestion, schedule: Schedule, verified: Verified | None, regret: Regret | None
) -> PurchasePlan:
    """Return the plan of a schedule, with its bound and the prices of its limits."""
    program = build_program(schedule.problem)
    relaxed = solve_relaxed(program)
    return PurchasePlan(
        question=question,
        problem=schedule.problem,
        schedule=schedule,
        bound=float(relaxed.fun) * program.money_unit + schedule.problem.fixed_cost,
        shadow_prices=shadow_prices(program, relaxed),
        regret=regret,
        shortfall=None,
        verified=verified,
        reference=reference_table(question, schedule),
    )
