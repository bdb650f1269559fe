"""Reading a plan file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, named_in
from clustersim.files import validate
from clustersim.performance import World
from clustersim.planning.faults import plan_faults
from clustersim.planning.spec import PlanSpec
from clustersim.simulation.changes import change_items, key_of, split_path
from clustersim.simulation.file_names import full_path
from clustersim.simulation.scenario import read_version
from clustersim.simulation.worlds import draw_catalogue, open_world

__all__ = ["PlanQuestion", "define_plan", "load_plan"]


@dataclass(frozen=True)
class PlanQuestion:
    """A plan file, checked, with the chips and models that it names.

    Attributes
    ----------
    spec : PlanSpec
        What the file says.
    catalogue : Catalogue
    world : World
        Values of the performance core's coefficients.
    source : str
        Its file, for messages.
    folder : Path
        What file names in it are relative to.
    """

    spec: PlanSpec
    catalogue: Catalogue
    world: World
    source: str
    folder: Path


def load_plan(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | Sequence[str] = ()
) -> PlanQuestion:
    """Read a plan file.

    Parameters
    ----------
    path : str or Path
        The file.  ``extends: FILE`` in it takes all that it does not say from FILE.
    quick : bool
        Whether to apply what the file says under ``quick``.
    changes : mapping or sequence of str
        ``{"budget": "80e9 CNY"}`` or ``["budget=80e9 CNY"]``; paths have dots between.

    Raises
    ------
    InputError
        All faults of the file at once.
    """
    path = Path(path)
    fields, small = read_version(path, quick=quick)
    if small is not None:
        validate(PlanSpec, small, f"{path}: quick")
    for key, value in change_items(changes):
        _set(fields, key, value)
    return define_plan(fields, source=path, folder=path.parent)


def define_plan(
    fields: Mapping[str, Any], *, source: str | Path = "plan", folder: str | Path = "."
) -> PlanQuestion:
    """Check a plan that is already read.

    Parameters
    ----------
    fields : mapping
        In the format of :class:`~clustersim.planning.spec.PlanSpec`.
    source : str or Path
        What to call it in messages.
    folder : str or Path
        What file names in it are relative to.

    Raises
    ------
    InputError
        All faults at once.
    """
    folder = Path(folder)
    spec = validate(PlanSpec, fields, source)
    with named_in(source, "catalogue"):
        catalogue = load_catalogue(*(full_path(folder, own) for own in spec.catalogue))
    problems = plan_faults(spec, catalogue)
    if problems:
        raise InputError(source, problems)
    with named_in(source, "performance"):
        world = open_world(spec.performance, catalogue, folder)
        catalogue = draw_catalogue(spec.performance, catalogue)
    return PlanQuestion(spec, catalogue, world, str(source), folder)


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a path of a plan's data; None takes the field away."""
    *above, last = split_path(path)
    here = fields
    for part in above:
        key = key_of(here, part)
        below = here.get(key)
        if below is not None and not isinstance(below, dict):
            raise InputError(f"--set {path}", f"{part} has no fields")
        copied: dict[str, Any] = dict(below or {})
        here[key] = copied
        here = copied
    key = key_of(here, last)
    if value is None:
        here.pop(key, None)
    else:
        here[key] = value
