"""Conversion of a plan to scenarios that can be simulated: fleet, deliveries and jobs."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import metric_of
from clustersim.analysis.part import MeasuredRun, Part
from clustersim.analysis.samples import Sample
from clustersim.analysis.wait_metrics import SERIES
from clustersim.procurement.checks import supply_stops
from clustersim.procurement.fleet import BaseScenario, cluster_of
from clustersim.procurement.gangs import LEAST_SHARE
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.solve import Schedule
from clustersim.procurement.spec import QUARTER_S, Verification
from clustersim.scenario.file_names import full_path
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.result import Result
from clustersim.workload import WorkloadSpec, generate_jobs

__all__ = [
    "Service",
    "SimulatedCheck",
    "run_simulated_check",
    "simulated_check_jobs",
    "simulated_check_of",
]


@dataclass(frozen=True)
class SimulatedCheck:
    """A scenario of a plan in the form in which it is simulated.

    Attributes
    ----------
    scenario : str
        Name of the scenario in the plan.
    tree : dict
        The scenario as plain data, without its jobs.
    workloads : list of dict
        Workload model of each class, for each quarter.
    metric : str
        Metric that is measured in each quarter.
    """

    scenario: str
    tree: Mapping[str, Any]
    workloads: list[dict[str, Mapping[str, Any]]]
    metric: str


@dataclass(frozen=True, slots=True)
class Service:
    """The simulated service in each quarter.

    Attributes
    ----------
    values : list of float
        The metric; infinite if a job never ends, NaN if no job was submitted.
    jobs : list of int
        Number of submitted jobs.
    samples : list of Sample
        Distribution over these jobs of the quantity that the metric describes, such as the wait.
    """

    values: list[float]
    jobs: list[int]
    samples: list[Sample]


def simulated_check_of(
    question: PlanQuestion, base: BaseScenario, schedule: Schedule, scenario: int
) -> SimulatedCheck:
    """Create the simulated check of a plan in one of its scenarios.

    Each pool consists of the existing nodes and all nodes bought.  Bought nodes are delivered at
    the start of the quarter of their purchase.  The jobs of a quarter amount to the demand that the
    plan meets in it.  Fleet and demand are multiplied by `verify.scale`.
    """
    spec, verify = question.spec, base.verification
    scaled = np.rint(schedule.nodes[scenario] * verify.scale).astype(int)
    nodes = {name: int(scaled[-1, chip]) for chip, name in enumerate(spec.chips)}
    steps = np.diff(scaled, axis=0)
    deliveries = [
        {"pool": name, "nodes": int(steps[quarter - 1, chip]), "at": f"{quarter * QUARTER_S} s"}
        for quarter in range(1, spec.quarters)
        for chip, name in enumerate(spec.chips)
        if steps[quarter - 1, chip]
    ]
    tree = {
        **base.tree,
        "name": f"{spec.name}: {schedule.problem.scenarios[scenario]}",
        "catalogue": [full_path(question.folder, own) for own in spec.catalogue],
        "cluster": cluster_of(question, base, nodes),
        "performance": spec.performance.model_dump(mode="json", exclude_none=True),
        "supply": {
            "deliveries": deliveries,
            "embargoes": _embargoes(question, schedule, scenario),
        },
    }
    if "calibration" in tree["performance"]:
        path = full_path(question.folder, tree["performance"]["calibration"])
        tree["performance"]["calibration"] = path
    return SimulatedCheck(
        scenario=schedule.problem.scenarios[scenario],
        tree=tree,
        workloads=[
            _workloads(question, verify, schedule, scenario, quarter)
            for quarter in range(spec.quarters)
        ],
        metric=verify.objective.metric,
    )


def _embargoes(question: PlanQuestion, schedule: Schedule, scenario: int) -> list[dict[str, Any]]:
    """Return the embargoes after which chips with ``spare_parts: false`` are no longer repaired."""
    supply = question.spec.scenarios[schedule.problem.scenarios[scenario]].available
    stops = supply_stops(schedule.problem.available[scenario])
    return [
        {"pools": [name], "at": f"{stop * QUARTER_S} s"}
        for name, stop in zip(question.spec.chips, stops, strict=True)
        if stop is not None and name in supply and not supply[name].spare_parts
    ]


def _workloads(
    question: PlanQuestion,
    verify: Verification,
    schedule: Schedule,
    scenario: int,
    quarter: int,
) -> dict[str, Mapping[str, Any]]:
    """Return the workload model of each class in a quarter.

    Jobs arrive at the rate at which the plan processes them.
    """
    spec = question.spec
    models: dict[str, Mapping[str, Any]] = {}
    for index, (name, demand) in enumerate(spec.demand.items()):
        wanted = schedule.problem.demand[index, quarter]
        tokens = (wanted - schedule.unmet[scenario, quarter, index]) * verify.scale
        job = demand.job_tokens
        constant = isinstance(job, float | int)
        average = float(job) if isinstance(job, float | int) else float(job.mean())
        if tokens <= 1e-9 * average:
            continue
        one = {
            "name": name,
            "weight": 1,
            "sizes": {demand.accelerators: 1},
            "model": demand.model,
            "tokens": {"kind": "constant", "value": job} if constant else job,
            "accelerators": _accelerators(question, verify, schedule, (scenario, quarter, index)),
        }
        gap_s = QUARTER_S * average / tokens
        models[name] = {
            "arrivals": {"mean_interarrival": f"{gap_s} s", "process": verify.arrivals},
            "classes": [one],
        }
    return models


def _accelerators(
    question: PlanQuestion, verify: Verification, schedule: Schedule, place: tuple[int, int, int]
) -> list[str]:
    """Return the chips on which the jobs of a class may run, the most used first.

    `place` consists of the indices of the scenario, the quarter and the class.
    """
    busy = schedule.busy[place]
    chosen = [int(chip) for chip in np.argsort(-busy, kind="stable")]
    if verify.routing == "planned":
        chosen = [chip for chip in chosen if busy[chip] > LEAST_SHARE * busy.sum()]
    else:
        chosen = [chip for chip in chosen if schedule.problem.node_tokens[place[2], chip] > 0]
    names = list(question.spec.chips.values())
    return [question.catalogue.accelerator(names[chip].accelerator).name for chip in chosen]


class _PartStreams(Streams):
    """Random streams of one class in one quarter, independent of all other demand."""

    def __init__(self, whole: Streams, part: str) -> None:
        super().__init__(whole.seed, replication=whole.replication)
        self.part = part

    def __call__(self, purpose: str) -> np.random.Generator:
        return super().__call__(f"{purpose} of {self.part}")


def simulated_check_jobs(check: SimulatedCheck, replication: int) -> pd.DataFrame:
    """Draw the jobs of a check, in order of submission.

    The random numbers depend only on the seed and the replication.  Without jobs, the table has no
    columns.
    """
    streams = Streams(int(check.tree.get("seed", 0)), replication=replication)
    parts = []
    for quarter, models in enumerate(check.workloads):
        for name, model in models.items():
            jobs = generate_jobs(
                WorkloadSpec.model_validate(model),
                _PartStreams(streams, f"{name} in quarter {quarter + 1}"),
                horizon_s=QUARTER_S,
            )
            jobs["submit_s"] += quarter * QUARTER_S
            parts.append(jobs.astype({"job_class": "string"}))
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    table = table.sort_values("submit_s", kind="stable", ignore_index=True)
    table["job_id"] = np.arange(1, len(table) + 1)
    return table


def run_simulated_check(check: SimulatedCheck, replication: int) -> Service:
    """Simulate one replication of a check, and measure the service in each quarter.

    Without jobs, the service is NaN.

    Raises
    ------
    InputError
        If the scenario is invalid.
    """
    quarters = range(len(check.workloads))
    jobs = simulated_check_jobs(check, replication)
    if jobs.empty:
        return Service(
            [math.nan for _ in quarters], [0 for _ in quarters], [Sample.of([]) for _ in quarters]
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.parquet"
        jobs.to_parquet(path, index=False)
        # The jobs are those of this replication; a log would have its days drawn again.
        workload = {"trace": str(path), "resample": "none"}
        tree = {**check.tree, "workload": workload, "replication": replication}
        result = run_scenario(define_scenario(tree, source=f"scenario {check.scenario!r}"))
    if result.interrupted:
        raise KeyboardInterrupt
    measured = [_measured(result, check.metric, quarter) for quarter in quarters]
    values, counts, samples = zip(*measured, strict=True)
    return Service([*values], [*counts], [*samples])


def _measured(result: Result, metric: str, quarter: int) -> tuple[float, int, Sample]:
    """Return a metric of the jobs submitted in a quarter, their number and their distribution.

    The metric is NaN without jobs, and infinite if a job does not finish; the distribution is then
    empty.
    """
    jobs = result.jobs[result.jobs["submit_s"] // QUARTER_S == quarter]
    if jobs.empty:
        return math.nan, 0, Sample.of([])
    if jobs["finish_s"].isna().any():
        return math.inf, len(jobs), Sample.of([])
    own = MeasuredRun(dataclasses.replace(result, jobs=jobs))
    part = Part(own, 0, len(jobs), 0.0, math.inf)
    known = metric_of(metric)
    assert known.compute is not None, "the plan file was checked"
    assert known.of_jobs is not None, "a metric of the service is one of jobs"
    return known.compute(part), len(jobs), Sample.of(SERIES[known.of_jobs[0]](part))
