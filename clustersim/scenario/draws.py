"""The performance coefficients of a scenario: its calibration, software stacks and draw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.performance import (
    Calibration,
    CoefficientDraw,
    default_calibration,
    load_calibration,
    parse_memory,
)
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.specification import draw_accelerator
from clustersim.scenario.file_names import beside
from clustersim.scenario.sections import Performance

__all__ = ["draw_catalogue", "open_draw"]


def open_draw(performance: Performance, catalogue: Catalogue, folder: Path) -> CoefficientDraw:
    """Return the coefficients of the performance model for a scenario.

    Raises
    ------
    InputError
        If the calibration cannot be read, a stack was never measured (and is not ``unknown``), or a
        chip is not in the catalogue.
    """
    calibration = default_calibration()
    if performance.calibration is not None:
        calibration = load_calibration(beside(folder, performance.calibration))
    stacks = _stacks(performance, calibration, catalogue)
    draw = calibration.mean_draw()
    if performance.draw is not None:
        draw = calibration.draw(seed=performance.draw)
    given = performance.memory
    memory = {} if given is None else parse_memory(given.model_dump(exclude_none=True))
    return dataclasses.replace(draw, stacks=stacks, memory=memory)


def draw_catalogue(performance: Performance, catalogue: Catalogue) -> Catalogue:
    """Return the catalogue, with drawn values of hypothetical chips if `performance` has a draw."""
    if performance.draw is None:
        return catalogue
    for accelerator in catalogue.accelerators.values():
        if accelerator.hypothetical:
            catalogue = catalogue.with_accelerator(draw_accelerator(accelerator, performance.draw))
    return catalogue


def _stacks(
    performance: Performance, calibration: Calibration, catalogue: Catalogue
) -> Mapping[str, str]:
    """Check the software stacks and return them by chip; the key "" applies to all other chips."""
    given = performance.stack
    if given is None:
        return {}
    named = {"default": given} if isinstance(given, str) else given
    known = {name.lower(): name for name in calibration.stacks}
    stacks, problems = {}, []
    for chip, stack in named.items():
        where = "stack" if isinstance(given, str) else f"stack.{chip}"
        if stack.lower() not in known and stack != UNKNOWN:
            problem = unknown_name("software stack", stack, [*known.values(), UNKNOWN])
            problems.append(f"{where}: {problem}")
            continue
        try:
            name = "" if chip == "default" else catalogue.accelerator(chip).name
        except InputError as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
            continue
        stacks[name] = "" if stack == UNKNOWN else known[stack.lower()]
    if problems:
        raise InputError("performance", problems)
    return stacks
