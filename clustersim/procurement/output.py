"""The output folder of a plan: a JSON file, tables, plots, and scenarios that can be run again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clustersim.analysis.columns.plan_columns import PLAN_TABLES
from clustersim.errors import InputError
from clustersim.files import yaml_text
from clustersim.json_values import plain
from clustersim.notes import note
from clustersim.outputs import PAGE_FILE, new_folder, replacing, write_errors
from clustersim.plots.purchases import draw_purchases, draw_regret, has_regret
from clustersim.plots.style import FORMATS, save_figure
from clustersim.procurement.answer import plan_answer
from clustersim.procurement.assumption_table import assumption_table
from clustersim.procurement.input_table import input_table
from clustersim.procurement.kept_runs import FILE as KEPT_RUNS
from clustersim.procurement.kept_runs import KeptRuns, question_of
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.quick import quick_mark, quick_note
from clustersim.procurement.simulated_check import SimulatedCheck, simulated_check_jobs
from clustersim.procurement.summary_text import conclusion
from clustersim.procurement.tables import (
    allocation_table,
    cost_table,
    purchase_table,
    regret_table,
)
from clustersim.simulation.result import versions
from clustersim.spreadsheets import plain_cells

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan

__all__ = ["plan_content", "plan_folder", "write_plan"]

PLAN_FILE = "plan.json"
_TABLES = tuple(table.file.removesuffix(".csv") for table in PLAN_TABLES)
_PICTURES = ("purchases", "regret")
_WORTH = {
    "expected_cost_with_foresight_cny": "expected_with_foresight",
    "value_of_perfect_information_cny": "value_of_perfect_information",
    "value_of_stochastic_solution_cny": "value_of_stochastic_solution",
}
"""Values of information in ``plan.json``, and the attributes that have them."""


@contextmanager
def plan_folder(
    folder: str | Path, question: PlanQuestion, *, resume: bool = False
) -> Iterator[tuple[Path, KeptRuns]]:
    """Open the output folder of a plan and the verification runs that it contains.

    The runs are kept until the plan is complete.

    Parameters
    ----------
    folder : str or Path
        A new or empty folder; with `resume`, also the folder of an interrupted plan.
    question : PlanQuestion
    resume : bool
        Whether to continue an interrupted plan.

    Raises
    ------
    InputError
        If the folder is not empty, unless `resume` is set and the folder contains an interrupted
        plan of this question.  Also if another process is making this plan.
    """
    path = Path(folder)
    asked = question.spec.model_dump(mode="json", exclude_none=True)
    if not _is_interrupted(path):
        if resume and (path / PLAN_FILE).exists():
            _refuse_to_resume(path)
        with new_folder(path) as made:
            kept = KeptRuns(made / KEPT_RUNS, asked)
            with closing(kept):
                yield made, kept
        return
    if not resume:
        raise InputError(
            path, "contains an interrupted plan; continue it with --resume, or choose a new folder"
        )
    held = _question(path)
    if held is None:
        note(
            f"{path / PLAN_FILE} and the first line of {KEPT_RUNS} are damaged, so the question of "
            "the plan is unknown; runs that fit this question are reused"
        )
    elif changed := [key for key in {**held, **asked} if held.get(key) != asked.get(key)]:
        raise InputError(
            path,
            f"contains a plan for another question, which differs in {', '.join(changed)}; choose "
            "a new folder",
        )
    with write_errors(path), closing(KeptRuns(path / KEPT_RUNS, asked)) as kept:
        kept.begin()
        yield path, kept


def _is_interrupted(folder: Path) -> bool:
    """Return whether a folder has kept runs, or a plan file that lists missing parts."""
    return (folder / KEPT_RUNS).is_file() or bool(_plan_file(folder).get("missing"))


def _refuse_to_resume(folder: Path) -> None:
    if "question" in _plan_file(folder):
        raise InputError(folder, "contains no interrupted plan; there is nothing to resume")
    raise InputError(
        folder / PLAN_FILE,
        f"is damaged, and there is no {KEPT_RUNS} to continue from; choose a new folder",
    )


def _question(folder: Path) -> Mapping[str, Any] | None:
    """Return the question of an interrupted plan; None if none of its files can be read."""
    found = question_of(folder / KEPT_RUNS) if (folder / KEPT_RUNS).is_file() else None
    if found is None:
        found = _plan_file(folder).get("question")
    return found if isinstance(found, dict) else None


def _plan_file(folder: Path) -> Mapping[str, Any]:
    """Return the content of ``plan.json``; empty if the file cannot be read."""
    try:
        data = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def write_plan(
    plan: PurchasePlan,
    folder: Path,
    formats: Sequence[str] = ("png", "svg"),
    *,
    command: str = "",
) -> None:
    """Write a plan to an existing folder, which is empty or contains this plan.

    ``plan.json`` is written last, and the kept runs are deleted only after that.  A folder with
    kept runs therefore contains an interrupted plan, even if the process was killed.

    Parameters
    ----------
    plan : PurchasePlan
    folder : Path
    formats : sequence of str
        File formats of the plots; without formats, only the tables are written.
    command : str
        The command that makes the same plan in another folder, for ``plan.json``.
    """
    for name in (PAGE_FILE, *(f"{name}.{end}" for name in _PICTURES for end in FORMATS)):
        (folder / name).unlink(missing_ok=True)  # those of the plan before --resume
    tables = plan_tables(plan)
    for name, table in tables.items():
        plain_cells(table).to_csv(folder / f"{name}.csv", index=False)
    asked = {"command": command} if command else {}
    content = {**asked, **plan_content(plan)}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    if "purchases" in tables and formats:
        look = {"title": plan.question.spec.name, "mark": quick_mark(plan.question.quick)}
        figure = draw_purchases(tables["purchases"], **look)
        save_figure(figure, folder / "purchases", formats)
        if "regret" in tables and len(plan.problem.scenarios) > 1 and has_regret(tables["regret"]):
            figure = draw_regret(tables["regret"], **look)
            save_figure(figure, folder / "regret", formats)
    if plan.verified is not None and plan.verified.complete:
        replication = plan.verified.replication
        for number, check in enumerate(plan.verified.checks, 1):
            name = f"{number}-{_file_name(check.scenario)}"
            _write_check(check, replication, folder / "scenarios", name)
    with replacing(folder / PLAN_FILE) as draft:
        draft.write_text(text + "\n", encoding="utf-8")
    if not plan.missing:
        (folder / KEPT_RUNS).unlink(missing_ok=True)


def plan_content(plan: PurchasePlan) -> dict[str, Any]:
    """Return the content of ``plan.json``: the question, the conclusion and all tables.

    The keys are always the same; what a plan does not have is None.
    """
    tables = {**dict.fromkeys(_TABLES), **plan_tables(plan)}
    content: dict[str, Any] = plain({**_facts(plan), **tables})
    return content


def plan_tables(plan: PurchasePlan) -> dict[str, pd.DataFrame]:
    """Return the tables of a plan by file name."""
    tables: dict[str, pd.DataFrame] = {}
    if plan.schedule is not None:
        tables["purchases"] = purchase_table(plan, plan.schedule)
        tables["costs"] = cost_table(plan.schedule)
        tables["allocation"] = allocation_table(plan.schedule)
    tables["inputs"] = input_table(plan.question, plan.problem)
    tables["assumptions"] = assumption_table(plan.question, plan.problem)
    if plan.reference is not None:
        tables["reference_fleet"] = plan.reference
    if plan.shadow_prices is not None:
        tables["shadow_prices"] = plan.shadow_prices
    if plan.regret is not None:
        tables["regret"] = regret_table(plan.regret, plan.problem.scenarios)
    if plan.shortfall is not None:
        tables["shortfall"] = plan.shortfall
    if plan.verified is not None and len(plan.verified.rounds):
        tables["rounds"] = plan.verified.rounds
    return tables


def _facts(plan: PurchasePlan) -> dict[str, Any]:
    spec = plan.question.spec.model_dump(mode="json", exclude_none=True)
    facts: dict[str, Any] = {"question": spec, "versions": dict(versions())}
    schedule, regret = plan.schedule, plan.regret
    facts["answer"] = plan_answer(plan)
    changes = plan.question.quick
    facts["quick"] = changes is not None
    facts["preview"] = None
    if changes is not None:
        facts["preview"] = {"mark": quick_mark(changes), "note": quick_note(changes)}
    facts["conclusion"] = conclusion(plan)
    facts["warnings"] = plan.warnings
    facts["notes"] = plan.notes
    facts["status"] = "no plan" if schedule is None else schedule.status
    facts["missing"] = plan.missing
    facts |= {
        "planning_utilisation": None if schedule is None else plan.problem.utilisation,
        "expected_cost_cny": None if schedule is None else schedule.expected_cost,
        "gap": None if schedule is None else schedule.gap,
        "lp_bound_cny": None if schedule is None else plan.bound,
    }
    known = None if schedule is None else regret
    for name, field in _WORTH.items():
        facts[name] = None if known is None else getattr(known, field)
    facts["verified"] = None
    if plan.verified is not None:
        names = ("meets", "outcome", "note")
        facts["verified"] = {name: getattr(plan.verified, name) for name in names}
    return facts


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def _write_check(check: SimulatedCheck, replication: int, folder: Path, name: str) -> None:
    """Write a simulated scenario and its jobs as files that can be run; do nothing without jobs."""
    jobs = simulated_check_jobs(check, replication)
    if jobs.empty:
        return
    folder.mkdir(exist_ok=True)
    jobs.to_parquet(folder / f"{name}.parquet", index=False)
    workload = {"trace": f"{name}.parquet", "resample": "none"}
    tree = {**check.tree, "workload": workload, "replication": replication}
    (folder / f"{name}.yaml").write_text(yaml_text(tree), encoding="utf-8")
