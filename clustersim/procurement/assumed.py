"""Planning assumptions where a plan's file says nothing, and what changes took away from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.catalogue import PlanningAssumptions
from clustersim.catalogue.assumptions import assumed
from clustersim.procurement.spec import PlanSpec
from clustersim.scenario.changes import split_path
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["assumed_plan", "removal_notes"]


def assumed_plan(
    spec: PlanSpec, assumptions: PlanningAssumptions
) -> tuple[PlanSpec, frozenset[str]]:
    """Return a plan in which the planning assumptions stand for what it does not say.

    Returns
    -------
    spec : PlanSpec
    filled : frozenset of str
        Paths of the fields that they have filled.
    """
    filled = {name for name in ("cny_per_usd", "host_price") if name not in spec.model_fields_set}
    update: dict[str, Any] = {}
    if spec.depreciation is None:
        update["depreciation"] = assumptions.life
        filled.add("depreciation")
    if spec.electricity is not None:
        update["electricity"] = assumed(
            spec.electricity, assumptions, price_per_kwh="electricity_per_kwh"
        )
        told = spec.electricity.model_fields_set
        filled |= {f"electricity.{name}" for name in ("price_per_kwh", "pue") if name not in told}
    return assumed(spec, assumptions).model_copy(update=update), frozenset(filled)


def removal_notes(spec: PlanSpec, removed: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what holds instead of fields that changes took away from a plan's file.

    Parameters
    ----------
    spec : PlanSpec
        The plan without them.
    removed : mapping of str to object
        What the file said, by path.
    """
    notes = []
    for path, was in removed.items():
        if path == "verify":
            notes.append(
                "the file's `verify` was taken away, which simulates the plan and lowers the "
                "planning utilisation until the service meets its objective. Compare this plan "
                "only with plans at the same planning utilisation; here it is "
                f"{spec.planning_utilisation:g}. To use the one that a verification found, give "
                "--set planning_utilisation=VALUE"
            )
            continue
        shown = repr(was) if isinstance(was, str | int | float | bool) else "a section"
        notes.append(f"`{path}` was taken away (the file says {shown}); {_instead(spec, path)}")
    return tuple(notes)


def _instead(spec: PlanSpec, path: str) -> str:
    """Say what holds at a path of a plan whose file says nothing there."""
    if path == "depreciation":
        assert spec.depreciation is not None, "it is filled where the file is read"
        return f"the planning assumption holds: {spec.depreciation / SECONDS_PER_YEAR:.3g} years"
    here: Any = spec
    for part in split_path(path):
        here = here.get(part) if isinstance(here, Mapping) else getattr(here, part, None)
    if here is None or here in ("", [], {}):
        missing = {
            "budget": "purchases have no limit of money",
            "electricity": "electricity costs nothing",
            "limits.power": "power has no limit",
            "limits.rack_units": "room has no limit",
        }
        if path.endswith(".available"):
            return "any number can be bought"
        return missing.get(path, "nothing holds instead")
    if isinstance(here, str | int | float | bool):
        return f"the default holds: {here}"
    if isinstance(here, tuple) and len(here) == 2:
        return f"the default holds: {here[0]:,.10g} {here[1]}"
    return "the defaults of its fields hold"
