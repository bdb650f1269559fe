"""Sections of the scenario file: scheduler, workload and performance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.performance import MEMORY_OPTIONS, parse_memory
from clustersim.scheduling import PLACEMENTS, POLICIES, SPEED_NOTE
from clustersim.units import Duration
from clustersim.workload import FORMATS, WorkloadSpec
from clustersim.workload.log_resample import Blocks
from clustersim.workload.log_scale import LogScale

__all__ = ["MemoryOptions", "Performance", "ScenarioWorkload", "Scheduler", "Text"]

Text = Annotated[str, Field(min_length=1)]


class Scheduler(FileModel):
    """The scheduling of jobs: policy, placement, and choice among pools."""

    policy: str = Field("fcfs", description=f"{', '.join(POLICIES)}, or FILE.py:ClassName")
    placement: str = Field(
        "consolidate",
        description=f"{', '.join(PLACEMENTS)}, or FILE.py:ClassName; {SPEED_NOTE}",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the policy; `clustersim policies` lists them"
    )
    placement_options: dict[str, Any] = Field(
        default_factory=dict, description="options of the placement"
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
    span_pools: Literal["equal", "proportional"] | None = Field(
        None,
        description="lets a job that does not fit on one of its pools run on several of them at "
        "once: each accelerator does an equal share of the work, at the pace of the slowest, or "
        "as much as it can",
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
    chains: bool = Field(
        False,
        description="let jobs that a log shows as a chain wait for the one before: at least three "
        "jobs of one user, size and limit, submitted one after the other before the one before had "
        "ended, that never ran at the same time",
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
        elif self.chains:
            raise ValueError("chains applies to trace, not to generate")
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
