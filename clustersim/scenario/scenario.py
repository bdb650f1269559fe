"""The scenario file: a cluster, a workload, a scheduler and a seed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from clustersim.availability.failure_spec import Failures
from clustersim.availability.serving_spec import Serving
from clustersim.availability.supply import Supply
from clustersim.brief import Brief
from clustersim.costs.energy import EnergySpec
from clustersim.costs.money import MoneySpec
from clustersim.errors import InputError, shown, unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.performance import MEMORY_OPTIONS, parse_memory
from clustersim.scenario.cases import Cases, apply_case
from clustersim.scenario.catalogue_files import (
    catalogue_paths,
    changes_with_files,
    with_catalogue,
)
from clustersim.scenario.changes import change_items, set_path
from clustersim.scenario.dates import with_dates
from clustersim.scenario.run_calendar import Start, TimeZone, run_calendar
from clustersim.scheduling import POLICIES, SPEED_NOTE
from clustersim.shipped import existing_file, find_file, missing_file
from clustersim.simulation.software import Software
from clustersim.units import Duration
from clustersim.workload import FORMATS, WorkloadSpec
from clustersim.workload.log_resample import Blocks
from clustersim.workload.log_scale import LogScale

__all__ = [
    "Performance",
    "Scenario",
    "ScenarioWorkload",
    "Scheduler",
    "as_loaded",
    "define_scenario",
    "load_scenario",
]

DEEPEST_EXTENDS = 20
Text = Annotated[str, Field(min_length=1)]


class Scheduler(FileModel):
    """The scheduling of jobs: policy, placement, and choice among pools."""

    policy: str = Field("fcfs", description=f"{', '.join(POLICIES)}, or FILE.py:ClassName")
    placement: str = Field(
        "consolidate",
        description=f"pooled, consolidate, spread, or FILE.py:ClassName; {SPEED_NOTE}",
    )
    choose: Literal["fastest", "best_value", "listed"] = Field(
        "fastest",
        description="which pool with room a job uses: the one with the shortest run time, the one "
        "with the lowest run time x price of a chip with its server (by the planning assumptions), "
        "or the first in the job's list",
    )
    wait_for_best: bool = Field(
        False, description="whether a job waits for its preferred pool instead of using another one"
    )
    estimates: Literal["user", "exact"] = Field(
        "user", description="whether policies see the jobs' estimates or their real run times"
    )


class ScenarioWorkload(FileModel):
    """Jobs from a log or from a workload model."""

    trace: Text | None = Field(None, description="file of a log of jobs")
    format: str | None = Field(None, description="format of the log; by default detected")
    sort: bool = Field(False, description="whether to sort a log by submission time")
    generate: Text | WorkloadSpec | None = Field(
        None, description="a workload model: a name, a file, or the model itself"
    )
    jobs: int | None = Field(None, ge=1, le=100_000_000, description="number of jobs to generate")
    duration: Duration | None = Field(None, description="time until which jobs are submitted")
    load: float | None = Field(
        None,
        gt=0,
        le=100,
        description="offered load of a workload model: the work that arrives per second "
        "divided by the work that the fleet can do per second; a larger fleet therefore gets more "
        "jobs. By default the model's own arrival rate",
    )
    jobs_per_day: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="mean arrival rate of a workload model, independent of the fleet; use it "
        "instead of load. If arrivals grow, this is the rate at time 0",
    )
    scale: Annotated[float, Field(gt=0, le=1000)] | LogScale | None = Field(
        None,
        description="more or less load of a log, such as {load: 1.2, method: superpose}; a number "
        "is short for {load: NUMBER, method: compress}: the times between submissions are divided "
        "by it, which also shifts the hours of the day. Durations do not change",
    )
    resample: Blocks = Field(
        "auto",
        description="blocks of a log that replications draw again, with replacement: week, day or "
        "none. Replication 0 is always the log as it happened. auto is week for a log of four "
        "weeks or more, day for a shorter one (the same day of the week if there are two weeks), "
        "and none for a log of less than two days; with none, all replications have the same jobs",
    )
    reference_accelerator: str | None = Field(
        None, description="chip on which the durations of jobs without a model were measured"
    )
    reference_models: dict[str, str] = Field(
        default_factory=dict,
        description="model that represents the jobs of each class on other chips; the key "
        "'default' applies to all other classes",
    )

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str | None) -> str | None:
        if name is not None and name not in FORMATS:
            raise ValueError(unknown_name("format", name, FORMATS))
        return name

    @model_validator(mode="after")
    def _one_source(self) -> ScenarioWorkload:
        if (self.trace is None) == (self.generate is None):
            raise ValueError("needs either trace or generate, not both")
        if self.generate is not None and self.jobs is None and self.duration is None:
            raise ValueError("generate needs jobs (the number of jobs) or duration")
        if self.trace is not None:
            scale = "; scale changes the arrival rate of a log"
            hints = {"jobs": "", "duration": "", "load": scale, "jobs_per_day": scale}
            for name, hint in hints.items():
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} applies to generate, not to trace{hint}")
        elif self.scale is not None:
            raise ValueError(
                "scale applies to trace, not to generate; load and jobs_per_day set the arrival "
                "rate of a workload model"
            )
        elif self.resample != "auto":
            raise ValueError(
                "resample applies to trace, not to generate; replications of a workload model "
                "have different jobs"
            )
        if self.load is not None and self.jobs_per_day is not None:
            raise ValueError(
                f"load ({self.load:g}) and jobs_per_day ({self.jobs_per_day:g}) both set the "
                "arrival rate; remove one of them, or set it to null if another file sets it"
            )
        if self.generate is not None and (self.format is not None or self.sort):
            raise ValueError("format and sort apply to trace, not to generate")
        return self


class MemoryOptions(FileModel):
    """Data that jobs keep in the memory of their chips; by default as in their software stack."""

    loss_fused: Literal["n", "kernel", "linear"] | None = Field(
        None, description=MEMORY_OPTIONS["loss_fused"]
    )
    gradients: Literal["bf16", "fp32"] | None = Field(None, description=MEMORY_OPTIONS["gradients"])
    optimizer: (
        Literal["adamw", "adamw-8bit", "adamw-bf16", "muon", "lion", "sgd", "adafactor"] | None
    ) = Field(None, description="optimizer, which determines the moments and main weights kept")
    offload: Text | None = Field(None, description=MEMORY_OPTIONS["offload"])

    @field_validator("offload")
    @classmethod
    def _is_offload(cls, value: str | None) -> str | None:
        try:
            return None if value is None else parse_memory({"offload": value})["offload"]
        except InputError as error:
            raise ValueError(error.problems[0].removeprefix("offload: ")) from None


class Performance(FileModel):
    """Inputs of the performance model, which estimates step times."""

    stack: Text | dict[str, Text] | None = Field(
        None,
        description="software stack of all chips, or by chip ('default' for all others), such as "
        "NeMo 24.07, or unknown; by default NeMo 25.01-25.04 on NVIDIA, MindSpeed-LLM 1.0.RC3 on "
        "Ascend, and unknown (the mean of all stacks) on others",
    )
    precision: Literal["bf16", "fp8"] = Field(
        "bf16", description="precision of matrix products; chips without FP8 compute in BF16"
    )
    memory: MemoryOptions | None = Field(
        None,
        description="data that jobs keep in the memory of their chips; by default as in their "
        "software stack",
    )
    calibration: Text | None = Field(
        None, description="file written by `clustersim fit`; by default the built-in calibration"
    )
    draw: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="number of a draw from the posterior of the calibration and from the ranges "
        "of hypothetical chips; by default their means",
    )


class Scenario(Cases):
    """One run, with everything that its result depends on."""

    name: str = Field("", description="name of the scenario")
    description: str = Field("", description="description of the scenario")
    catalogue: list[Text | dict[str, Any]] = Field(
        default_factory=list,
        description="user-defined accelerators and models: files, or their content",
    )
    plugins: list[Text] | None = Field(
        None,
        description="user-defined Python files that register metrics or plots: `clustersim run` "
        "prints these metrics, and studies of this scenario can name them",
    )
    start: Start | None = Field(
        None,
        description="date and local time at time 0, such as 2026-01-01, 2026-01-01T08:00 or "
        "2026-01-01T08:00+08:00; it replaces the clock of a log. The hours of prices, carbon, "
        "arrivals and services, the months of costs and the quarters of a study depend on it, and "
        "dates may stand for times (2026-04-01, 2026-04 or Q2 in `at`, `until`, `horizon` and "
        "`workload.duration`); by "
        "default the clock of the log or, without a log, midnight of a Monday and days of 24 hours",
    )
    time_zone: TimeZone | None = Field(
        None,
        description="time zone of all local hours, with daylight saving time: a name of the IANA "
        "time zone database such as Asia/Shanghai, or an offset such as UTC+08:00; by default the "
        "zone of `start` or of the log; without a zone, days have 24 hours",
    )
    cluster: Text | dict[str, Any] = Field(
        description="a topology: a name, a file, or the topology itself"
    )
    workload: ScenarioWorkload
    scheduler: Scheduler = Scheduler()
    performance: Performance = Performance()
    failures: Failures | None = Field(
        None, description="failures of nodes, and how jobs recover; by default no node fails"
    )
    supply: Supply | None = Field(
        None,
        description="nodes that arrive and leave, and limits of the site; by default all nodes "
        "are present all the time",
    )
    energy: EnergySpec | None = Field(
        None, description="power and electricity; by default not computed"
    )
    money: MoneySpec | None = Field(
        None,
        description="cost of the fleet, with electricity if there is an energy section; by default "
        "not computed",
    )
    software: Software | None = Field(
        None,
        description="time from which jobs can run on some chips, and their speed there; by default "
        "all software is mature",
    )
    serving: Serving | None = Field(
        None, description="inference services that reserve nodes by the hour; needs a horizon"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all random numbers")
    replication: int = Field(0, ge=0, lt=2**63, description="number of the independent repetition")
    horizon: Duration | None = Field(
        None,
        gt=0,
        description="time at which the simulation stops; by default when all jobs have ended",
    )

    @model_validator(mode="after")
    def _has_a_calendar(self) -> Scenario:
        if self.workload.trace is None or self.start is not None:
            try:
                run_calendar(self.start, self.time_zone, source="")
            except InputError as error:
                field = error.source.removeprefix(": ")
                raise ValueError(f"{field}: {error.problems[0]}") from None
        return self


@dataclass(frozen=True, slots=True, repr=False)
class LoadedScenario(Brief):
    """A scenario and its origin.

    Attributes
    ----------
    scenario : Scenario
        The validated scenario, with `extends` and changes applied.
    source : str
        The scenario's file, for messages.
    folder : Path
        Folder to which the scenario's file names are relative.
    """

    scenario: Scenario
    source: str
    folder: Path

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        scenario = self.scenario
        named, jobs = scenario.cluster, scenario.workload
        cluster = named if isinstance(named, str) else str(named.get("name", ""))
        generated = jobs.generate if isinstance(jobs.generate, str) else "generated jobs"
        return f"Scenario {scenario.name or self.source!r}", {
            "source": self.source,
            "cluster": cluster,
            "workload": jobs.trace or generated,
            "policy": scenario.scheduler.policy,
            "seed": str(scenario.seed),
        }


def load_scenario(
    path: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    catalogue: Sequence[str | Path] = (),
) -> LoadedScenario:
    """Read a scenario file.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a file in the folder ``experiments`` of the user or of the package.
        With ``extends: FILE``, FILE supplies all missing fields.
    changes : mapping or sequence of str
        ``{"scheduler.policy": "easy"}`` or ``["scheduler.policy=easy"]``; see
        :func:`~clustersim.scenario.changes.set_path`.
    catalogue : sequence of str or Path
        Files with chips, models and planning assumptions, in addition to those that the scenario
        lists; relative to the current folder.

    Raises
    ------
    InputError
        If a file is invalid; the message lists all its problems.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.load_scenario("mixed_small", {"workload.load": 0.9})
    >>> scenario.scenario.workload.load
    0.9
    """
    path = existing_file(path, within="experiments")
    data = read_extended(path)
    return define_scenario(data, changes, source=path, folder=path.parent, catalogue=catalogue)


def as_loaded(
    given: str | Path | Mapping[str, Any] | Scenario | LoadedScenario,
    changes: Mapping[str, Any] | Sequence[str] = (),
) -> LoadedScenario:
    """Return a scenario in any form as a loaded scenario, with changes applied.

    Parameters
    ----------
    given : str, Path, mapping, Scenario or LoadedScenario
        A file, the content of a file, or the result of :func:`load_scenario`.
    changes : mapping or sequence of str
        See :func:`load_scenario`.

    Raises
    ------
    InputError
        If `given` is of another type or is invalid.
    """
    if isinstance(given, str | Path):
        return load_scenario(given, changes)
    if isinstance(given, Mapping):
        return define_scenario(given, changes)
    if isinstance(given, Scenario):
        given = LoadedScenario(given, "scenario", Path())
    if not isinstance(given, LoadedScenario):
        allowed = "must be a path, a mapping or the result of load_scenario"
        raise InputError("scenario", f"{allowed}, found {shown(given)}")
    if not changes:
        return given
    tree = given.scenario.model_dump(mode="json", exclude_none=True)
    return define_scenario(tree, changes, source=given.source, folder=given.folder)


def define_scenario(
    data: Mapping[str, Any],
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    source: str | Path = "scenario",
    folder: str | Path = ".",
    catalogue: Sequence[str | Path] = (),
) -> LoadedScenario:
    """Validate a scenario given as plain data; see :func:`load_scenario`.

    Examples
    --------
    >>> import clustersim as cs
    >>> scenario = cs.define_scenario(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...     },
    ...     {"scheduler.policy": "easy"},
    ... )
    >>> scenario.scenario.scheduler.policy
    'easy'
    """
    own = catalogue_paths(catalogue)
    tree = copy.deepcopy(with_catalogue(data, own))
    items = changes_with_files(change_items(changes), own)
    tree |= {key: value for key, value in items if key == "case"}
    apply_case(tree, source, Path(folder))
    for key, value in items:
        if key != "case":
            set_path(tree, key, value, Path(folder))
    scenario = validate(Scenario, with_dates(tree, source), source)
    return LoadedScenario(scenario, str(source), Path(folder))


def read_extended(path: Path, trail: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML file and the files that it `extends`.

    Raises
    ------
    InputError
        If one of the files cannot be read, or they extend each other in a circle.
    """
    if path.resolve() in trail or len(trail) > DEEPEST_EXTENDS:
        circle = " -> ".join(file.name for file in (*trail, path))
        raise InputError(path, f"extends: the files extend each other in a circle: {circle}")
    data = read_yaml(path)
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise InputError(path, f"extends: must be the name of a file, found {base!r}")
    beside = find_file(base, path.parent, within="experiments")
    if not beside.is_file():
        problem = (
            "is not a file"
            if beside.exists()
            else missing_file(base, path.parent, within="experiments")
        )
        raise InputError(path, f"extends: {beside}: {problem}")
    return merged(read_extended(beside, (*trail, path.resolve())), data)


def read_version(path: Path, *, quick: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read a YAML file and the files that it `extends`, with or without its ``quick`` section.

    Returns
    -------
    fields : dict
        The requested version.
    other : dict or None
        The quick version if it exists but was not requested, so that it can be checked too.

    Raises
    ------
    InputError
        If a file cannot be read, if ``quick`` is not a mapping, or if the quick version is
        requested but missing.
    """
    fields = read_extended(path)
    small = fields.pop("quick", None)
    if small is not None and not isinstance(small, dict):
        raise InputError(path, f"quick: must be a mapping of keys, found {small!r}")
    if quick and small is None:
        raise InputError(path, "quick: the file has no `quick:` section")
    other = None if small is None else merged(fields, small)
    return (other, None) if quick and other is not None else (fields, other)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with the keys of `over`; nested mappings are merged key by key."""
    both = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            both[key] = merged(base[key], value)
        else:
            both[key] = value
    return both
