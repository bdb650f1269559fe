"""Format of workload model files: arrivals and classes of jobs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import Field, field_validator, model_validator

from clustersim.brief import Brief
from clustersim.errors import InputError, shown, unknown_name
from clustersim.files import FileModel, read_yaml, validate, yaml_text
from clustersim.outputs import new_file
from clustersim.shipped import find_file
from clustersim.units import MOST_CHIPS, format_duration
from clustersim.workload.arrivals import Arrivals
from clustersim.workload.distributions import DurationDistribution, NumberDistribution
from clustersim.workload.sessions import ClassSessions, Sessions

__all__ = ["JobClass", "WorkloadSpec", "load_workload", "save_workload", "workload_names"]

Key = TypeVar("Key", int, str)

_MODELS = resources.files("clustersim.workload") / "models"


class JobClass(FileModel):
    """A class of jobs with common properties.

    A class has either a ``duration`` (on the reference accelerator) or a ``model`` of the catalogue
    with a distribution of ``tokens``. The performance model computes the run time of jobs with a
    model.

    Examples
    --------
    >>> from clustersim.workload import JobClass
    >>> tokens = {"kind": "constant", "value": 1e9}
    >>> what = {"model": "llama3-8b", "tokens": tokens}
    >>> job_class = JobClass(name="tuning", weight=1, sizes={8: 3, 16: 1}, **what)
    >>> sorted(job_class.sizes)
    [8, 16]
    """

    name: str = Field(min_length=1, description="name of the class, unique in the workload")
    weight: float = Field(ge=1e-9, le=1e12, description="relative number of jobs")
    sizes: dict[int, float] = Field(description="accelerators -> relative number of jobs")
    duration: DurationDistribution | None = None
    model: str | None = Field(None, description="a model of the catalogue")
    tokens: NumberDistribution | None = Field(None, description="number of tokens to process")
    accelerators: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="chips that these jobs can run on, in order of preference; by default all",
    )
    preemptible: bool = Field(
        False, description="whether these jobs can also run on chips lent by a service"
    )
    estimate: NumberDistribution | None = Field(
        None,
        description="estimated run time divided by real run time, 1 or more; by default 1",
    )
    vcs: dict[str, float] | None = Field(
        None, description="virtual cluster -> relative number of jobs"
    )
    users: dict[str, float] | None = Field(None, description="user -> relative number of jobs")
    sessions: ClassSessions | None = Field(
        None,
        description="how users submit these jobs one after another, if the process of the arrivals "
        "is sessions; by default each job on its own",
    )

    @field_validator("sizes")
    @classmethod
    def _sizes_are_sizes(cls, sizes: dict[int, float]) -> dict[int, float]:
        if not sizes:
            raise ValueError("must have at least one size, such as {8: 1}")
        for size in sizes:
            if not 1 <= size <= MOST_CHIPS:
                found = shown(size)
                raise ValueError(f"{found} is not a number of accelerators (1 to {MOST_CHIPS:,})")
        return _weights(sizes)

    @field_validator("vcs", "users")
    @classmethod
    def _shares_are_weights(cls, shares: dict[str, float] | None) -> dict[str, float] | None:
        return shares if shares is None else _weights(shares)

    @model_validator(mode="after")
    def _one_kind_of_work(self) -> JobClass:
        if (self.duration is None) == (self.model is None):
            raise ValueError(f"class {self.name!r} needs either a duration or a model, not both")
        if (self.model is None) != (self.tokens is None):
            raise ValueError(f"class {self.name!r} must have both model and tokens, or neither")
        return self


def _weights(weights: dict[Key, float]) -> dict[Key, float]:
    for key, weight in weights.items():
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"{key}: the weight must be 0 or more, found {shown(weight)}")
    if not sum(weights.values()) > 0:
        raise ValueError("at least one weight must be more than 0")
    return weights


class WorkloadSpec(Brief, FileModel):
    """A stream of jobs: their arrivals and their classes.

    Examples
    --------
    >>> from clustersim.workload import WorkloadSpec
    >>> hour = {"kind": "constant", "value": "1 h"}
    >>> job_class = {"name": "tuning", "weight": 1, "sizes": {8: 1}, "duration": hour}
    >>> spec = WorkloadSpec(arrivals={"mean_interarrival": "5 min"}, classes=[job_class])
    >>> spec.arrivals.mean_interarrival
    300.0
    """

    name: str = Field("", description="name of the workload")
    description: str = Field("", description="description of the workload")
    reference_accelerator: str | None = Field(
        None, description="chip of the catalogue on which durations are measured"
    )
    arrivals: Arrivals
    classes: tuple[JobClass, ...]
    sources: dict[str, str] = Field(default_factory=dict, description="sources of the numbers")

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        every = format_duration(float(self.arrivals.mean_interarrival))
        return f"WorkloadSpec {self.name!r}", {
            "classes": f"{len(self.classes)} ({', '.join(each.name for each in self.classes)})",
            "arrivals": f"every {every} on average",
        }

    @model_validator(mode="after")
    def _class_names_are_unique(self) -> WorkloadSpec:
        if not self.classes:
            raise ValueError("classes: must have at least one class of jobs")
        names = [job_class.name for job_class in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes: names must be unique; found duplicates: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _sessions_fit_the_arrivals(self) -> WorkloadSpec:
        process = self.arrivals.process
        for job_class in self.classes:
            where = f"classes.{job_class.name}"
            if not isinstance(process, Sessions):
                if job_class.sessions is not None:
                    raise ValueError(
                        f"{where}.sessions: needs arrivals.process: {{kind: sessions}}, found the "
                        f"kind {process.kind}"
                    )
                continue
            if process.headroom is not None and job_class.duration is None:
                raise ValueError(
                    f"arrivals.process.headroom: needs a duration in each class; {where} has none"
                )
            level = None if job_class.sessions is None else job_class.sessions.level
            if level is not None and level not in process.levels:
                what = unknown_name("name in arrivals.process.levels", level, process.levels)
                raise ValueError(f"{where}.sessions.level: {what}")
        return self

    def models(self) -> tuple[str, ...]:
        """Return the distinct names of the catalogue models that the classes use.

        Examples
        --------
        >>> import clustersim as cs
        >>> cs.load_workload("large-model-lab").models()[:2]
        ('llama3-70b', 'gpt3-175b')
        """
        return tuple(dict.fromkeys(c.model for c in self.classes if c.model is not None))


def workload_names() -> tuple[str, ...]:
    """Return the names of the workload models in the package.

    Examples
    --------
    >>> from clustersim.workload import workload_names
    >>> "philly-2017" in workload_names()
    True
    """
    files = (Path(entry.name) for entry in _MODELS.iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".yaml"))


def load_workload(name_or_path: str | Path) -> WorkloadSpec:
    """Read a workload model from the package or from a YAML file.

    Parameters
    ----------
    name_or_path : str or Path
        A name from :func:`workload_names`, or the path of a file (with ``.yaml``).

    Raises
    ------
    InputError
        If the name is unknown, or the file is missing or invalid. The error lists all problems.

    Examples
    --------
    >>> import clustersim as cs
    >>> workload = cs.load_workload("philly-2017")
    >>> len(workload.classes)
    15
    """
    names = workload_names()
    if str(name_or_path) in names:
        with resources.as_file(_MODELS / f"{name_or_path}.yaml") as path:
            return validate(WorkloadSpec, read_yaml(path), path)
    path = find_file(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        raise InputError("workload", unknown_name("workload model", str(name_or_path), names))
    return validate(WorkloadSpec, read_yaml(path), path)


def save_workload(spec: WorkloadSpec, path: str | Path) -> None:
    """Write a workload model as a YAML file that :func:`load_workload` reads.

    Raises
    ------
    InputError
        If the file already exists or cannot be written.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.workload import save_workload
    >>> save_workload(cs.load_workload("philly-2017"), "my-workload.yaml")
    >>> cs.load_workload("my-workload.yaml") == cs.load_workload("philly-2017")
    True
    """
    data = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for entry, job_class in zip(data["classes"], spec.classes, strict=True):
        entry["sizes"] = dict(job_class.sizes)
        if job_class.sessions is not None:
            entry["sessions"]["jobs"] = dict(job_class.sessions.jobs)
    with new_file(path) as draft:
        draft.write_text(yaml_text(data, compact=True), encoding="utf-8")
