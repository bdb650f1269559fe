"""Checks that pools are large enough for the gangs planned on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.notes import note
from clustersim.procurement.fleet import chips_per_node
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.solve import Schedule

__all__ = ["LEAST_SHARE", "check_scale", "gangs_without_room"]

LEAST_SHARE = 1e-3
"""Smallest share of a class's busy nodes at which a chip counts as used for the class."""
LEAST_SIMULATED = 0.01
"""Smallest share of a class's busy nodes at which a scaled pool must keep room for its gangs."""
NO_NODE = 1e-6
"""Number of nodes below which the solver's result is treated as 0."""
MOST_ROUNDING = 0.05
"""Largest relative rounding error allowed in the number of nodes of a scaled pool."""


def gangs_without_room(question: PlanQuestion, schedule: Schedule) -> list[str]:
    """Return one message for each class planned on a pool that has too few chips for a gang.

    The linear program does not detect this problem, because it uses averages: in it, half a gang
    does half the work.
    """
    spec, problem = question.spec, schedule.problem
    chips, gangs = _chips(question, schedule.nodes), _gangs(question)
    lacks = _uses(schedule) & (chips < gangs)
    problems = []
    for c, k in zip(*np.nonzero(lacks.any(axis=(0, 1))), strict=True):
        most = int(chips[:, :, 0, k][lacks[:, :, c, k]].max())
        where = "; ".join(_quarters(problem.scenarios, lacks[:, :, c, k]))
        name, gang = problem.classes[c], spec.demand[problem.classes[c]].accelerators
        problems.append(
            f"{name} is planned on {most:,} chips of {problem.chips[k]}, too few for a gang of "
            f"{gang:,} ({where})"
        )
    return problems


def check_scale(
    question: PlanQuestion, schedule: Schedule, scenarios: Sequence[int], scale: float
) -> None:
    """Refuse a scale that changes the fleet of a plan too much.

    A pool that carries less than 1 % of a class may lose the room for its gangs; a note says so.

    Parameters
    ----------
    question : PlanQuestion
    schedule : Schedule
    scenarios : sequence of int
        Indices of the scenarios that are simulated.
    scale : float
        Scale of the simulated fleet, at most 1.

    Raises
    ------
    InputError
        If rounding changes a pool in use by more than 5 %, or leaves too few chips in it for a gang
        that is planned on it.
    """
    nodes, uses = schedule.nodes[list(scenarios)], _uses(schedule)[list(scenarios)]
    much = _uses(schedule, LEAST_SIMULATED)[list(scenarios)]
    faulty = _changed(question, nodes, uses, much, scale)
    if not faulty.any():
        _note_small_pools(question, schedule, nodes, uses & ~much, scale)
        return
    parts = range(math.floor(1 / scale), 0, -1)
    enough = next(n for n in parts if not _changed(question, nodes, uses, much, 1 / n).any())
    s, quarter, k = (int(found[0]) for found in np.nonzero(faulty))
    have = float(nodes[s, quarter, k])
    raise InputError(
        question.source,
        f"verify.scale: {scale:g} turns {have:,.0f} nodes of {schedule.problem.chips[k]} into "
        f"{np.rint(have * scale):,.0f} (quarter {quarter + 1}, scenario "
        f"{schedule.problem.scenarios[scenarios[s]]!r}). The rounding error exceeds "
        f"{100 * MOST_ROUNDING:g} %, or a gang has too little room. The smallest scale allowed is "
        f"{f'1/{enough}' if enough > 1 else '1'}",
    )


def _note_small_pools(
    question: PlanQuestion, schedule: Schedule, nodes: Floats, little: Bools, scale: float
) -> None:
    """Say which pools carry little of a class, and nothing of it in the scaled fleet."""
    lost = (little & _loses_room(question, nodes, np.rint(nodes * scale))).any(axis=(0, 1))
    for c, k in zip(*np.nonzero(lost), strict=True):
        note(
            f"At scale {scale:g}, the pool of {schedule.problem.chips[k]} has too few chips for a "
            f"job of {schedule.problem.classes[c]}. The simulated fleet lacks this part of the "
            f"plan, less than {100 * LEAST_SIMULATED:g} % of the nodes that the class uses."
        )


def _changed(
    question: PlanQuestion, nodes: Floats, uses: Bools, much: Bools, scale: float
) -> Bools:
    """Return whether a scale changes a pool in use too much.

    The result is an array of shape (scenarios, quarters, chips).
    """
    exact = nodes * scale
    scaled = np.rint(exact)
    rounded = uses.any(axis=2) & (np.abs(scaled - exact) > MOST_ROUNDING * exact)
    lost = much & _loses_room(question, nodes, scaled)
    return np.asarray(rounded | lost.any(axis=2))


def _loses_room(question: PlanQuestion, nodes: Floats, scaled: Floats) -> Bools:
    """Return whether a pool has room for a gang of a class, and has none once it is scaled.

    The result is an array of shape (scenarios, quarters, classes, chips).
    """
    gangs = _gangs(question)
    return (_chips(question, scaled) < gangs) & (_chips(question, nodes) >= gangs)


def _uses(schedule: Schedule, share: float = LEAST_SHARE) -> Bools:
    """Return whether a chip has more than a share of the busy nodes of a class.

    The result is an array of shape (scenarios, quarters, classes, chips).
    """
    busy = schedule.busy
    return np.asarray(busy > share * busy.sum(axis=3, keepdims=True) + NO_NODE)


def _chips(question: PlanQuestion, nodes: Floats) -> Floats:
    """Return the number of chips in each pool.

    The result is an array of shape (scenarios, quarters, 1, chips).
    """
    return (nodes * list(chips_per_node(question).values()))[:, :, None, :]


def _gangs(question: PlanQuestion) -> Ints:
    """Return the number of chips per job of each class, as an array of shape (classes, 1)."""
    return np.array([[demand.accelerators] for demand in question.spec.demand.values()])


def _quarters(scenarios: Sequence[str], where: Bools) -> Iterator[str]:
    for name, quarters in zip(scenarios, where, strict=True):
        if quarters.any():
            yield f"{name}: {', '.join(f'Q{quarter + 1}' for quarter in np.flatnonzero(quarters))}"
