"""What the fleets of a study's points rest on: assumptions, and chips with their sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.analysis.metrics import find_metric
from clustersim.catalogue import Accelerator, Catalogue, hypothetical_note
from clustersim.costs.money import MoneySpec
from clustersim.errors import InputError
from clustersim.scenario.assumed import assumption_lines
from clustersim.scenario.platform import Platform
from clustersim.scenario.scenario import LoadedScenario
from clustersim.studies.study_result import StudyResult
from clustersim.studies.worker import open_changed

__all__ = ["FleetFacts"]

_MOST_FLEETS = 16
_MOST_ASSUMED = 3


@dataclass(frozen=True)
class FleetFacts:
    """Facts about the fleets of the first 16 points and of the last point of a study.

    Attributes
    ----------
    notes : tuple of str
        Notes on cost assumptions, simplified networks and hypothetical chips.
    chips : tuple of Accelerator
        The chips of these fleets.
    catalogue : Catalogue or None
        The catalogue of the first fleet; None if no scenario can be opened.
    shows_costs : bool
        Whether a metric of the study rests on prices.
    """

    notes: tuple[str, ...]
    chips: tuple[Accelerator, ...]
    catalogue: Catalogue | None
    shows_costs: bool

    @classmethod
    def of(cls, result: StudyResult) -> FleetFacts:
        """Open the fleets of a study, each once."""
        chips: dict[str, Accelerator] = {}
        built: dict[str, None] = {}
        assumed: dict[str, None] = {}
        catalogue: Catalogue | None = None
        asked = {name for _, name in result.study.spec.named_metrics}
        costs = any(_rests_on_prices(name) for name in asked)
        for loaded, fleet in _fleets(result):
            catalogue = catalogue or fleet.catalogue
            for pool in fleet.cluster.pools:
                chips.setdefault(pool.accelerator, fleet.catalogue.accelerator(pool.accelerator))
                built |= dict.fromkeys(f"Note: pool {pool.name}: {note}." for note in pool.notes)
            scenario = loaded.scenario
            if "fleet_cost_cny" in asked and scenario.money is None:
                scenario = scenario.model_copy(update={"money": MoneySpec()})
            if costs:
                assumed |= dict.fromkeys(assumption_lines(scenario, fleet.cluster, fleet.catalogue))
        lines = [f"{line}." for line in _without_repeats([*assumed])]
        if len(lines) > _MOST_ASSUMED:
            more = f"Note: {len(lines) - _MOST_ASSUMED} more such lines apply to other points."
            lines = [*lines[:_MOST_ASSUMED], more]
        notes = (*lines, *built, *filter(None, [hypothetical_note(chips.values())]))
        return cls(notes, tuple(chips.values()), catalogue, costs)


def _without_repeats(lines: Sequence[str]) -> list[str]:
    """Return the lines whose facts are not all part of another line.

    Examples
    --------
    >>> _without_repeats(["money assumes a; b; c", "money assumes a; c", "energy assumes a"])
    ['money assumes a; b; c', 'energy assumes a']
    """
    facts = []
    for line in lines:
        about, _, rest = line.partition(" assumes ")
        facts.append({(about, fact) for fact in rest.split("; ")})
    return [
        line
        for line, own in zip(lines, facts, strict=True)
        if not any(own < other for other in facts)
    ]


def _fleets(result: StudyResult) -> Iterator[tuple[LoadedScenario, Platform]]:
    """Yield the scenario and the platform of the first points and of the last one."""
    points = result.study.points
    for point in [*points[:_MOST_FLEETS], *points[max(_MOST_FLEETS, len(points) - 1) :]]:
        try:
            yield open_changed(result.study.base.tree, point.changes)
        except InputError:
            continue  # its runs failed with this error, or a file has been removed since


def _rests_on_prices(name: str) -> bool:
    metric = find_metric(name)
    return metric is not None and metric.rests_on_prices
