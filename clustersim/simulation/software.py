"""Software maturity: from when jobs can run on a chip they were not written for, and how well.

How fast software matures, by the published runs of the calibration's table (same chip, number
of chips, model, sequence and batch under two releases of one product, smallest step time each):

- 910B, MindSpeed-LLM 1.0.RC2 to the next release 1.0.RC3 (both of 2024): six models run 1.033
  times as fast in the geometric mean, 0.967 to 1.081 times by model.
- H100 with NVIDIA's MLPerf submissions, Llama 2 70B LoRA, v4.0 to v4.1 (two rounds of 2024):
  1.13 times in the geometric mean of five sizes, 1.01 to 1.24.
- H100, NeMo 24.07 to 25.01-25.04: Llama 3 8B 1.14 times, GPT-3 175B 1.02 times.
- A model class that is new to a stack moves far more: Qwen3 30B-A3B on 16 H100 runs 1.77 times
  as fast under Megatron-Bridge 26.02.01 as under 26.02, and half as fast under 25.11 as under
  25.09: releases also fall back.

The table tells the year of a release only, and nobody publishes how a port to a stack other
than CUDA begins.  An `efficiency` at the start, a `halving`, and any date are assumptions.
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

from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, Calendar
from clustersim.catalogue import Accelerator, Catalogue, Model
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster
from clustersim.units import Duration, format_duration
from clustersim.workload.distributions import DurationDistribution

__all__ = ["DatedPort", "Port", "Software", "dated_ports", "with_software"]

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1)]


class Port(FileModel):
    """Some jobs on some chips: from when their software is there, and how it matures."""

    name: Name = Field(description="name of the port, unique in the list")
    accelerators: Names | None = Field(None, description="chips of the catalogue; by default all")
    models: Names | None = Field(
        None, description="models of the catalogue that jobs train; by default jobs of all"
    )
    classes: Names | None = Field(None, description="job classes; by default all")
    at: Literal["never"] | Annotated[Duration, Field(ge=0)] = Field(
        "never", description="from when these jobs run on these chips; never: tied to another stack"
    )
    slip: DurationDistribution | None = Field(None, description="how much later than said it comes")
    efficiency: float = Field(
        1.0, gt=0, le=1, description="speed at first, over that of the performance core's estimate"
    )
    mature: float = Field(1.0, gt=0, le=1, description="speed in the end, over the same")
    halving: Annotated[Duration, Field(gt=0)] | None = Field(
        None, description="time in which the gap to mature halves; by default nothing changes"
    )
    source: str = Field("", description="where the numbers are from, or assumption")

    @field_validator("at", mode="wrap")
    @classmethod
    def _one_message(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        try:
            return read(value)
        except ValidationError:
            told = f"must be never, or a time such as 180 d, found {value!r}"
            raise ValueError(told) from None

    @model_validator(mode="after")
    def _matures(self) -> Port:
        if self.mature < self.efficiency:
            raise ValueError(
                f"{self.name}: mature ({self.mature:g}) is below efficiency ({self.efficiency:g})"
            )
        if self.at == "never" and self.slip is not None:
            raise ValueError(f"{self.name}: slip goes with a date (at), which never has none")
        return self


class Software(FileModel):
    """What software there is for which chips; what no port names is mature from the begin on."""

    ports: list[Port] = Field(
        default_factory=list, description="where several concern a job and a chip, the last counts"
    )

    @model_validator(mode="after")
    def _ports_are_told_apart(self) -> Software:
        names = [port.name for port in self.ports]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"ports: more than one is named {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class DatedPort:
    """A port with the date that it has in one replication.

    Attributes
    ----------
    port : Port
        Chips and models by their names in the catalogue.
    at_s : float
        From when it is there, seconds; infinite if never.
    calendar : Calendar
        Of the run, for messages.
    """

    port: Port
    at_s: float
    calendar: Calendar = UNDATED

    def efficiency(self, seconds: Floats) -> Floats:
        """Speed over that of mature software at some times; 0 before the port is there.

        The gap to `mature` halves every `halving`:
        ``mature - (mature - efficiency) * 2 ** (-(t - at) / halving)``.
        """
        port, since = self.port, seconds - self.at_s
        there = since >= 0
        gap = port.mature - port.efficiency
        halvings = 0.0 if port.halving is None else np.where(there, since, 0.0) / port.halving
        return np.where(there, port.mature - gap * np.exp2(-halvings), 0.0)

    def obstacle(self) -> str:
        """Why a job cannot run that is submitted before the port is there."""
        if math.isinf(self.at_s):
            return f"its software is not ported to this chip ({self.port.name})"
        at = format_duration(self.at_s)
        if self.calendar.is_dated:
            at += f" ({self.calendar.text(self.at_s)})"
        return f"its software runs on this chip only from {at} on ({self.port.name})"


def dated_ports(
    software: Software | None,
    jobs: pd.DataFrame,
    catalogue: Catalogue,
    streams: Streams,
    calendar: Calendar = UNDATED,
) -> list[DatedPort]:
    """Check the names in a scenario's ports, and draw their dates.

    Parameters
    ----------
    software : Software or None
    jobs : pandas.DataFrame
        A jobs table, whose classes ports may name.
    catalogue : Catalogue
    streams : Streams
        Each port's slip has one of its own.
    calendar : Calendar
        Of the run, for messages.

    Raises
    ------
    InputError
        If a chip or model is not in the catalogue, or no job is of a class.
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
        slip_s = float(port.slip.quantile(streams(f"slip of port {port.name}").random(1))[0])
    return float(port.at) + slip_s


def _classes(jobs: pd.DataFrame) -> list[str]:
    """Names of the classes that jobs may have, also those of which there is no job."""
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
    """Names as the catalogue writes them; what it does not know goes to `problems`."""
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
    """Return run times with the software that there is when each job is submitted.

    Real and estimated run times are divided by the efficiency at the submission, and infinite where
    the job cannot run yet.  A job keeps the software with which it was submitted.

    Parameters
    ----------
    runtimes : Runtimes
        Of mature software.
    jobs : pandas.DataFrame
        A jobs table.  Ports that name models concern jobs with such a ``model``, not those that
        another model stands for; ports that name classes those of such a ``job_class``.
    cluster : Cluster
    catalogue : Catalogue
    ports : iterable of DatedPort
    """
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    models = _canonical_models(jobs, catalogue)
    classes = jobs["job_class"].astype(object).to_numpy() if "job_class" in jobs else None
    chips = [catalogue.accelerator(pool.accelerator).name for pool in cluster.pools]
    efficiency = np.ones_like(runtimes.run_s)
    port_of = np.full(runtimes.run_s.shape, -1, dtype=np.int64)
    obstacles = []
    for number, dated in enumerate(ports):
        port = dated.port
        concerned = np.ones(len(jobs), dtype=bool)
        for names, column in ((port.models, models), (port.classes, classes)):
            if names is not None:
                concerned &= False if column is None else np.isin(column, names)
        rows = np.flatnonzero(concerned)
        values = dated.efficiency(submit_s[rows])
        for pool, chip in enumerate(chips):
            if port.accelerators is None or chip in port.accelerators:
                efficiency[pool, rows] = values
                port_of[pool, rows] = number
        obstacles.append(dated.obstacle())
    with np.errstate(divide="ignore"):
        slowdown = np.where(efficiency > 0, 1.0 / efficiency, np.inf)
    # A job of no work at all cannot run either where there is no software for it.
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


def _canonical_models(jobs: pd.DataFrame, catalogue: Catalogue) -> npt.NDArray[np.object_] | None:
    if "model" not in jobs:
        return None
    codes, names = pd.factorize(jobs["model"].astype(object))
    known = np.array([catalogue.model(str(name)).name for name in names] + [""], dtype=object)
    return known[codes]
