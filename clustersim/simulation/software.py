"""Software maturity: when jobs can run on a chip that they were not written for, and how fast.

The calibration measurements show how fast software matures. Each comparison uses the same chip,
number of chips, model, sequence length and batch size under two releases of one product, and the
smallest step time of each release:

- 910B, MindSpeed-LLM 1.0.RC2 to the next release 1.0.RC3 (both of 2024): six models run 1.033
  times as fast in the geometric mean, 0.967 to 1.081 times by model.
- H100 with NVIDIA's MLPerf submissions, Llama 2 70B LoRA, v4.0 to v4.1 (two rounds of 2024):
  1.13 times in the geometric mean of five sizes, 1.01 to 1.24.
- H100, NeMo 24.07 to 25.01-25.04: Llama 3 8B 1.14 times, GPT-3 175B 1.02 times.
- The speed of a model class that is new to a stack changes far more: Qwen3 30B-A3B on 16 H100
  runs 1.77 times as fast under Megatron-Bridge 26.02.01 as under 26.02, but half as fast under
  25.11 as under 25.09, so releases can also become slower.

The measurements state only the year of a release, and there are no published data on the initial
efficiency of a port to a stack other than CUDA. The initial `efficiency`, the `halving` and all
dates are therefore assumptions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from clustersim.array_types import Floats, Ints
from clustersim.calendar import UNDATED, Calendar
from clustersim.catalogue import Accelerator, Catalogue, Model
from clustersim.errors import InputError, shown, unknown_name
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster
from clustersim.units import Duration, format_duration
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "DatedPort",
    "Port",
    "Software",
    "dated_ports",
    "port_efficiency",
    "ports_of_jobs",
    "slip_purpose",
    "with_software",
]

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1)]


class Port(FileModel):
    """A port of software for some jobs to some chips: when it is available and how it matures."""

    name: Name = Field(description="name of the port, unique in the list")
    accelerators: Names | None = Field(None, description="chips of the catalogue; by default all")
    models: Names | None = Field(
        None, description="models of the catalogue that the jobs train; by default all jobs"
    )
    classes: Names | None = Field(None, description="job classes; by default all")
    at: Literal["never"] | Annotated[Duration, Field(ge=0)] = Field(
        "never",
        description="time from which these jobs can run on these chips; never if their software is "
        "tied to another stack",
    )
    slip: DurationDistribution | None = Field(None, description="delay of the port")
    efficiency: float = Field(
        1.0,
        gt=0,
        le=1,
        description="initial speed, as a share of the speed that the performance model estimates",
    )
    mature: float = Field(
        1.0, gt=0, le=1, description="long-term speed, as a share of the same estimate"
    )
    halving: Annotated[Duration, Field(gt=0)] | None = Field(
        None,
        description="time in which the gap to mature halves; by default the speed does not change",
    )
    source: str = Field("", description="source of the numbers, or assumption")

    @field_validator("at", mode="wrap")
    @classmethod
    def _one_message(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        try:
            return read(value)
        except ValidationError:
            raise ValueError(
                f"must be never, or a time such as 180 d, found {shown(value)}"
            ) from None

    @model_validator(mode="after")
    def _matures(self) -> Port:
        if self.mature < self.efficiency:
            raise ValueError(
                f"{self.name}: mature ({self.mature:g}) must be at least efficiency "
                f"({self.efficiency:g})"
            )
        if self.at == "never" and self.slip is not None:
            raise ValueError(f"{self.name}: `slip` needs a date, but `at` is never")
        return self


class Software(FileModel):
    """Ports of software to chips; software without a port is mature from the start."""

    ports: list[Port] = Field(
        default_factory=list,
        description="list of ports; if several apply to a job and a chip, the last one counts",
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Software:
        names = [port.name for port in self.ports]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"ports: names must be unique; found duplicates: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class DatedPort:
    """A port with its date in one replication.

    Attributes
    ----------
    port : Port
        The port, with the names of chips and models as spelled in the catalogue.
    at_s : float
        Time from which the port is available, seconds; infinite if it never is.
    calendar : Calendar
        Calendar of the run, used in messages.
    """

    port: Port
    at_s: float
    calendar: Calendar = UNDATED

    def efficiency(self, seconds: Floats) -> Floats:
        """Return the speed at given times as a share of the estimate; 0 before the port exists.

        The gap to `mature` halves every `halving`:
        ``mature - (mature - efficiency) * 2 ** (-(t - at) / halving)``.
        """
        return port_efficiency(self.port, seconds - self.at_s)

    def obstacle(self) -> str:
        """Return the reason why a job submitted before the port is available cannot run."""
        if math.isinf(self.at_s):
            return f"its software is not ported to this chip ({self.port.name})"
        at = format_duration(self.at_s)
        if self.calendar.is_dated:
            at += f" ({self.calendar.text(self.at_s)})"
        return f"its software runs on this chip only from {at} on ({self.port.name})"


def port_efficiency(port: Port, since_s: Floats) -> Floats:
    """Return the speed that a port gives, some seconds after it became available.

    It is a share of the estimate, and 0 before (`since_s` < 0); see :meth:`DatedPort.efficiency`.
    """
    there = since_s >= 0
    gap = port.mature - port.efficiency
    halvings = 0.0 if port.halving is None else np.where(there, since_s, 0.0) / port.halving
    return np.where(there, port.mature - gap * np.exp2(-halvings), 0.0)


def dated_ports(
    software: Software | None,
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    streams: Streams,
    calendar: Calendar = UNDATED,
) -> list[DatedPort]:
    """Check the names in the ports of a scenario, and draw the date of each port.

    Parameters
    ----------
    software : Software or None
    jobs : pandas.DataFrame
        A jobs table with the classes that ports may name.
    catalogue : Catalogue
    streams : Streams
        Provides a separate stream for the slip of each port.
    calendar : Calendar
        Calendar of the run, used in messages.

    Raises
    ------
    InputError
        If a chip or model is not in the catalogue, or a class is not in the jobs table.
    """
    if software is None:
        return []
    problems: list[str] = []
    classes = _classes(jobs)
    dated = []
    for port in software.ports:
        where = f"ports.{port.name}"
        chips = _names(port.accelerators, catalogue.accelerator, f"{where}.accelerators", problems)
        models = _names(port.models, catalogue.model, f"{where}.models", problems)
        problems += [
            f"{where}.classes: {unknown_name('job class', name, classes)}"
            for name in port.classes or ()
            if name not in classes
        ]
        named = port.model_copy(update={"accelerators": chips, "models": models})
        dated.append(DatedPort(named, _date_s(port, streams), calendar))
    if problems:
        raise InputError("software", problems)
    return dated


def _date_s(port: Port, streams: Streams) -> float:
    if port.at == "never":
        return math.inf
    slip_s = 0.0
    if port.slip is not None:
        chance = streams.stratified(slip_purpose(port))
        slip_s = float(port.slip.quantile(np.array([chance]))[0])
    return float(port.at) + slip_s


def slip_purpose(port: Port) -> str:
    """Return the text that identifies the random number of a port's delay."""
    return f"slip of port {port.name}"


def _classes(jobs: pd.DataFrame) -> list[str]:
    """Return the names of all job classes, including classes without jobs."""
    if "job_class" not in jobs:
        return []
    column = jobs["job_class"]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(name) for name in column.cat.categories]
    return [str(name) for name in column.dropna().unique()]


def _names(
    given: Sequence[str] | None,
    look_up: Callable[[str], Accelerator | Model],
    where: str,
    problems: list[str],
) -> list[str] | None:
    """Return names as spelled in the catalogue; for unknown names, add messages to `problems`."""
    if given is None:
        return None
    found = []
    for name in given:
        try:
            found.append(look_up(name).name)
        except InputError as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
    return found


def with_software(
    runtimes: Runtimes,
    jobs: pd.DataFrame,
    cluster: Cluster,
    catalogue: Catalogue,
    ports: Iterable[DatedPort],
) -> Runtimes:
    """Return run times that account for the software available when each job is submitted.

    Real and estimated run times are divided by the efficiency at the submission. They are infinite
    if the job cannot run yet. A job keeps the software that was available when it was submitted.

    Parameters
    ----------
    runtimes : Runtimes
        Run times with mature software.
    jobs : pandas.DataFrame
        A jobs table. Ports that name models apply to jobs with such a ``model``, not to jobs that a
        reference model represents. Ports that name classes apply to jobs of such a ``job_class``.
    cluster : Cluster
    catalogue : Catalogue
    ports : iterable of DatedPort
    """
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    dated = list(ports)
    port_of = ports_of_jobs(jobs, cluster, catalogue, [each.port for each in dated])
    efficiency = np.ones_like(runtimes.run_s)
    for number, each in enumerate(dated):
        concerned = port_of == number
        rows = np.flatnonzero(concerned.any(axis=0))
        values = np.zeros(len(jobs))
        values[rows] = each.efficiency(submit_s[rows])
        efficiency = np.where(concerned, values, efficiency)
    obstacles = [each.obstacle() for each in dated]
    with np.errstate(divide="ignore"):
        slowdown = np.where(efficiency > 0, 1.0 / efficiency, np.inf)
    # Without software, even a job of zero work cannot run: 0 * inf must be inf, not NaN.
    longer = [
        np.where(np.isinf(slowdown), np.inf, seconds * slowdown)
        for seconds in (runtimes.run_s, runtimes.estimate_s)
    ]
    missing = np.where(np.isinf(slowdown), port_of, -1)
    return dataclasses.replace(
        runtimes,
        run_s=longer[0],
        estimate_s=longer[1],
        missing_port=missing,
        port_obstacles=tuple(obstacles),
    )


def ports_of_jobs(
    jobs: pd.DataFrame, cluster: Cluster, catalogue: Catalogue, ports: Sequence[Port]
) -> Ints:
    """Return the port that counts for each job on each pool, of shape (pools, jobs).

    It is the index of the last port that applies; -1 if none does and the software is mature. For
    the parameters, see :func:`with_software`; names are spelled as in the catalogue.
    """
    models = _canonical_models(jobs, catalogue)
    classes = jobs["job_class"].astype(object).to_numpy() if "job_class" in jobs else None
    chips = [catalogue.accelerator(pool.accelerator).name for pool in cluster.pools]
    port_of = np.full((len(chips), len(jobs)), -1, dtype=np.int64)
    for number, port in enumerate(ports):
        concerned = np.ones(len(jobs), dtype=bool)
        for names, column in ((port.models, models), (port.classes, classes)):
            if names is not None:
                concerned &= False if column is None else np.isin(column, names)
        for pool, chip in enumerate(chips):
            if port.accelerators is None or chip in port.accelerators:
                port_of[pool, concerned] = number
    return port_of


def _canonical_models(jobs: pd.DataFrame, catalogue: Catalogue) -> npt.NDArray[np.object_] | None:
    if "model" not in jobs:
        return None
    codes, names = pd.factorize(jobs["model"].astype(object))
    known = np.array([catalogue.model(str(name)).name for name in names] + [""], dtype=object)
    return known[codes]
