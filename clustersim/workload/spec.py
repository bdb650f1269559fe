"""A workload model as a file: arrivals and classes of jobs."""

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

__all__ = ["JobClass", "WorkloadSpec", "load_workload", "save_workload", "workload_names"]

Key = TypeVar("Key", int, str)

_MODELS = resources.files("clustersim.workload") / "models"


class JobClass(FileModel):
    """Jobs of one kind.

    A class has either a ``duration`` (on the reference accelerator) or a ``model``
    of the catalogue with a distribution of ``tokens``; what such a job's run time
    is, the performance core says.
    """

    name: str = Field(min_length=1, description="name of the class, unique in the workload")
    weight: float = Field(ge=1e-9, le=1e12, description="relative number of jobs")
    sizes: dict[int, float] = Field(description="accelerators -> relative number of jobs")
    duration: DurationDistribution | None = None
    model: str | None = Field(None, description="a model of the catalogue")
    tokens: NumberDistribution | None = Field(None, description="tokens to be processed")
    accelerators: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="chips that these jobs may run on, the preferred first; by default all",
    )
    preemptible: bool = Field(
        False, description="whether these jobs also run on chips that a service lends"
    )
    estimate: NumberDistribution | None = Field(
        None, description="estimated over real run time, 1 or more; without it exact"
    )
    vcs: dict[str, float] | None = Field(None, description="virtual cluster -> relative number")
    users: dict[str, float] | None = Field(None, description="user -> relative number")

    @field_validator("sizes")
    @classmethod
    def _sizes_are_sizes(cls, sizes: dict[int, float]) -> dict[int, float]:
        if not sizes:
            raise ValueError("needs at least one size, such as {8: 1}")
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
            raise ValueError(f"class {self.name!r} needs either a duration or a model")
        if (self.model is None) != (self.tokens is None):
            raise ValueError(f"class {self.name!r}: model and tokens belong together")
        return self


def _weights(weights: dict[Key, float]) -> dict[Key, float]:
    for key, weight in weights.items():
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"{key}: the weight {weight!r} is not 0 or more")
    if not sum(weights.values()) > 0:
        raise ValueError("the weights are all 0")
    return weights


class WorkloadSpec(Brief, FileModel):
    """A stream of jobs: when they arrive and what they are."""

    name: str = Field("", description="name of the workload")
    description: str = Field("", description="what the workload is")
    reference_accelerator: str | None = Field(
        None, description="the chip of the catalogue that durations are measured on"
    )
    arrivals: Arrivals
    classes: tuple[JobClass, ...]
    sources: dict[str, str] = Field(default_factory=dict, description="where numbers come from")

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        every = format_duration(float(self.arrivals.mean_interarrival))
        return f"WorkloadSpec {self.name!r}", {
            "classes": f"{len(self.classes)} ({', '.join(each.name for each in self.classes)})",
            "arrivals": f"every {every} on average",
        }

    @model_validator(mode="after")
    def _classes_are_told_apart(self) -> WorkloadSpec:
        if not self.classes:
            raise ValueError("classes: needs at least one class of jobs")
        names = [job_class.name for job_class in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes: more than one is named {', '.join(twice)}")
        return self

    def models(self) -> tuple[str, ...]:
        """Names of the catalogue's models that the classes use, each once."""
        return tuple(dict.fromkeys(c.model for c in self.classes if c.model is not None))


def workload_names() -> tuple[str, ...]:
    """Names of the workload models that come with clustersim.

    Examples
    --------
    >>> "philly-2017" in workload_names()
    True
    """
    files = (Path(entry.name) for entry in _MODELS.iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".yaml"))


def load_workload(name_or_path: str | Path) -> WorkloadSpec:
    """Read a workload model: one that comes with clustersim, or a YAML file.

    Parameters
    ----------
    name_or_path : str or Path
        A name of :func:`workload_names`, or the path of a file (with ``.yaml``).

    Raises
    ------
    InputError
        For an unknown name, a missing file, or a file with problems (all at once).
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
        If the file exists already or cannot be written.
    """
    data = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for entry, job_class in zip(data["classes"], spec.classes, strict=True):
        entry["sizes"] = dict(job_class.sizes)
    with new_file(path) as draft:
        draft.write_text(yaml_text(data, compact=True), encoding="utf-8")
