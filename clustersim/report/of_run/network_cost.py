"""What the answer card of a run says of time lost to the network, if it is much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clustersim.analysis.network_slowdown import has_network, slowdowns_by_size
from clustersim.simulation.metrics import network_loss
from clustersim.simulation.result import Result
from clustersim.units import format_number, format_percent

__all__ = ["NetworkCost", "placement_of"]

_MUCH = 0.1
"""Share of the accelerator time lost to the network above which the card begins with it."""
_COMPACT = "topology_aware"
"""A placement that keeps the nodes of a job close together."""


@dataclass(frozen=True)
class NetworkCost:
    """Texts on what a run lost to the network; they are empty if it is at most a tenth.

    Attributes
    ----------
    sentence, hinges_on, next_step : str
        For the answer card; a sentence ends with a blank, to be followed by others.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 8, "duration_s": 60})
    >>> NetworkCost.of(cs.replay(jobs, policy="fcfs", accelerators=8)).sentence
    ''
    """

    sentence: str = ""
    hinges_on: str = ""
    next_step: str = ""

    @classmethod
    def of(cls, result: Result) -> NetworkCost:
        """Return the texts on a run."""
        if result.attempts is None or not has_network(result):
            return cls()
        share = network_loss(result.attempts)
        if not share > _MUCH:
            return cls()
        lost = format_percent(share)
        sizes = slowdowns_by_size(result)
        mean = "" if sizes.empty else format_number(float(sizes["mean"].iloc[0]), 3)
        slowdown = f"; finished jobs run {mean} times as long on average" if mean else ""
        placement = placement_of(result.provenance)
        named = f" ({placement})" if placement else ""
        if placement != _COMPACT:
            advice = (
                f"run again with a placement that keeps nodes close together ({_COMPACT}), "
                "and compare the slowdowns"
            )
        else:
            advice = "run again on a topology with less oversubscription, and compare the slowdowns"
        return cls(
            f"Jobs lose {lost} of their accelerator time to the network{slowdown}. ",
            f"The network: it takes {lost} of the accelerator time of jobs, which depends on the "
            f"placement{named}, on the oversubscription, on other jobs on the same links, and on "
            "how much jobs communicate (see the notes).",
            f"Reduce what the network costs before you compare policies: {advice}.",
        )


def placement_of(provenance: Mapping[str, Any]) -> str:
    """Return the placement of a run, as its user wrote it; "" if it is a default or unknown.

    Examples
    --------
    >>> placement_of({"replay": {"placement": "random"}})
    'random'
    """
    if "replay" in provenance:
        return str(provenance["replay"].get("placement") or "")
    scenario = provenance.get("scenario")
    scheduler = scenario.get("scheduler") if isinstance(scenario, Mapping) else None
    return str((scheduler or {}).get("placement") or "")
