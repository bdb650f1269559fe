"""Checks of a briefing that need its scenarios, before the simulations."""

from __future__ import annotations

from clustersim.briefing.fleet_file import FleetFile
from clustersim.briefing.service import served_fleet
from clustersim.errors import InputError, problems_of
from clustersim.outlook.monthly_chips import month_ends_s
from clustersim.scenario.platform import open_platform

__all__ = ["check_briefing"]


def check_briefing(file: FleetFile) -> None:
    """Check that dates are within the horizon, names are known, and all options can be built.

    Raises
    ------
    InputError
        If not.
    """
    spec, loaded = file.spec, file.version()
    ends_s, _ = month_ends_s(loaded)
    horizon_s = float(ends_s[-1])
    problems = []
    if spec.target.months > len(ends_s):
        problems.append(
            f"target.months: must be at most {len(ends_s)}, the months of the horizon, found "
            f"{spec.target.months}"
        )
    dates = {f"purchases.{pool}.at": each.at for pool, each in spec.purchases.items()}
    for name, date in {"stop.at": spec.stop.at, **dates}.items():
        if file.at_s(date, name) >= horizon_s:
            problems.append(f"{name}: {date} is not before the end of the horizon")
    catalogue = open_platform(loaded).catalogue
    for number, training in enumerate(spec.trainings):
        problems += problems_of(f"trainings[{number}].model", catalogue.model, training.model)
    for chip in spec.chips:
        problems += problems_of("chips", catalogue.accelerator, chip)
    if problems:
        raise InputError(file.path, [f"briefing.{problem}" for problem in problems])
    for shares in spec.options.values():
        file.version(changes=file.changes_of(shares))
    served_fleet(file, horizon_s, 1.0)
