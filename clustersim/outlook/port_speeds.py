"""The speed of software on each pool by date, in many draws of the dates of its ports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.scenario.platform import Platform
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import LoadedScenario
from clustersim.seeds import Streams
from clustersim.simulation.software import (
    Port,
    dated_ports,
    port_efficiency,
    ports_of_jobs,
    slip_purpose,
)

__all__ = ["PortSpeeds", "open_ports"]


@dataclass(frozen=True, slots=True)
class PortSpeeds:
    """The ports of software of a scenario, and to which jobs and pools they apply.

    Attributes
    ----------
    ports : tuple of Port
    port_of : int64 array (pools, kinds)
        Index of the port that counts; -1 if the software is mature.
    """

    ports: tuple[Port, ...]
    port_of: Ints

    def at(self, times_s: Floats, draws: int, streams: Streams) -> Floats:
        """Return the speed that each port gives, as a share of the estimate.

        Parameters
        ----------
        times_s : float64 array (times,)
            Seconds.
        draws : int
        streams : Streams

        Returns
        -------
        float64 array (draws, times, ports + 1)
            The last column is that of mature software: 1.
        """
        found = np.ones((draws, len(times_s), len(self.ports) + 1))
        for number, port in enumerate(self.ports):
            since_s = times_s - self._date_s(port, draws, streams)[:, None]
            found[:, :, number] = port_efficiency(port, since_s)
        return found

    @staticmethod
    def _date_s(port: Port, draws: int, streams: Streams) -> Floats:
        if port.at == "never":
            return np.full(draws, math.inf)
        late_s: Floats | float = 0.0
        if port.slip is not None:
            late_s = port.slip.quantile(streams.stratified_over(slip_purpose(port), draws))
        return np.full(draws, float(port.at)) + late_s


def open_ports(loaded: LoadedScenario, platform: Platform, kinds: pd.DataFrame) -> PortSpeeds:
    """Return the ports of a scenario for some kinds of jobs.

    Raises
    ------
    InputError
        If a port names an unknown chip, model or class.
    """
    scenario = loaded.scenario
    calendar = run_calendar(scenario.start, scenario.time_zone, source=loaded.source).calendar
    dated = dated_ports(
        scenario.software, kinds, platform.catalogue, Streams(scenario.seed), calendar
    )
    ports: Sequence[Port] = [each.port for each in dated]
    port_of = ports_of_jobs(kinds, platform.cluster, platform.catalogue, ports)
    return PortSpeeds(tuple(ports), port_of)
