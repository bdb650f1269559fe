"""Planning assumptions for missing fields of a plan, and notes on removed fields."""

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
    """Fill in the missing fields of a plan from the planning assumptions.

    Returns
    -------
    spec : PlanSpec
    filled : frozenset of str
        Paths of the fields that were filled in.
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
        given = spec.electricity.model_fields_set
        filled |= {f"electricity.{name}" for name in ("price_per_kwh", "pue") if name not in given}
    return assumed(spec, assumptions).model_copy(update=update), frozenset(filled)


def removal_notes(spec: PlanSpec, removed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one note for each removed field of a plan file, which states what applies instead.

    Parameters
    ----------
    spec : PlanSpec
        The plan without the removed fields.
    removed : mapping of str to object
        Value of each removed field in the file, by path.
    """
    notes = []
    for path, was in removed.items():
        if path == "verify":
            notes.append(
                "the section `verify` of the file was removed. It simulates the plan and lowers "
                "the planning utilisation until the service meets its objective. Compare this plan "
                "only with plans at the same planning utilisation, here "
                f"{spec.planning_utilisation:g}. To use the value that a verification found, add "
                "--set planning_utilisation=VALUE"
            )
            continue
        shown = repr(was) if isinstance(was, str | int | float | bool) else "a section"
        notes.append(f"`{path}` was removed (in the file: {shown}); {_instead(spec, path)}")
    return tuple(notes)


def _instead(spec: PlanSpec, path: str) -> str:
    """Describe what applies instead of a field that is missing in the plan file."""
    if path == "depreciation":
        assert spec.depreciation is not None, "it is filled when the file is read"
        return f"the planning assumption applies: {spec.depreciation / SECONDS_PER_YEAR:.3g} years"
    here: Any = spec
    for part in split_path(path):
        here = here.get(part) if isinstance(here, Mapping) else getattr(here, part, None)
    if here is None or here in ("", [], {}):
        missing = {
            "budget": "there is no limit on spending",
            "electricity": "electricity is not counted",
            "limits.power": "there is no limit on power",
            "limits.rack_units": "there is no limit on rack units",
        }
        if path.endswith(".available"):
            return "any number can be bought"
        return missing.get(path, "nothing replaces it")
    if isinstance(here, str | int | float | bool):
        return f"the default applies: {here}"
    if isinstance(here, tuple) and len(here) == 2:
        return f"the default applies: {here[0]:,.10g} {here[1]}"
    return "the defaults of its fields apply"
