"""Read and check plan files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.brief import Brief
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, named_in, shown
from clustersim.extended import read_extended, read_version
from clustersim.files import validate
from clustersim.performance import CoefficientDraw
from clustersim.procurement.assumed import assumed_plan, removal_notes
from clustersim.procurement.checks import check_plan
from clustersim.procurement.from_fleet import FLEET, with_fleet, with_rest_of_probability
from clustersim.procurement.spec import PlanSpec
from clustersim.scenario.catalogue_files import catalogue_paths, with_catalogue
from clustersim.scenario.changes import change_items, key_of, split_path
from clustersim.scenario.draws import draw_catalogue, open_draw
from clustersim.scenario.file_names import full_path
from clustersim.scenario.written import with_plain_scenario
from clustersim.shipped import existing_file

__all__ = ["PlanQuestion", "define_plan", "load_plan"]


@dataclass(frozen=True, repr=False)
class PlanQuestion(Brief):
    """A checked plan file with the chips and models that it names.

    Attributes
    ----------
    spec : PlanSpec
        The content of the file.
    catalogue : Catalogue
    draw : CoefficientDraw
        Values of the performance model's coefficients.
    source : str
        Name of the plan file, for messages.
    folder : Path
        Folder to which file names in the plan are relative.
    assumed : frozenset of str
        Paths of the fields that were filled in from the planning assumptions.
    notes : tuple of str
        Notes on the changes that were applied to the plan file.
    quick : mapping or None
        The section ``quick`` of the file if it was applied.

    Examples
    --------
    >>> import clustersim as cs
    >>> question = cs.load_plan("plan_2026")
    >>> question.spec.quarters, list(question.spec.chips)
    (4, ['h200', 'h20', '910b', '910c', 'seedchip'])
    """

    spec: PlanSpec
    catalogue: Catalogue
    draw: CoefficientDraw
    source: str
    folder: Path
    assumed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    quick: Mapping[str, Any] | None = None

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        spec = self.spec
        return f"PlanQuestion {spec.name!r}", {
            "quarters": str(spec.quarters),
            "chips": ", ".join(spec.chips),
            "demand": ", ".join(spec.demand),
            "scenarios": ", ".join(spec.scenarios),
        }


def load_plan(
    path: str | Path,
    *,
    quick: bool = False,
    changes: Mapping[str, Any] | Sequence[str] = (),
    catalogue: Sequence[str | Path] = (),
) -> PlanQuestion:
    """Read a plan file.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a file in the folder ``experiments`` of the user or the package.
        If it contains ``extends: FILE``, the keys that it lacks are taken from FILE.
    quick : bool
        Whether to apply the changes under ``quick``.
    changes : mapping or sequence of str
        Changes by path, such as ``{"budget": "80e9 CNY"}`` or ``["budget=80e9 CNY"]``; the parts of
        a path are separated by dots.
    catalogue : sequence of str or Path
        Files with chips, models and planning assumptions, in addition to those that the plan
        lists; relative to the current folder.

    Raises
    ------
    InputError
        If the plan has problems; the error lists all of them.

    Examples
    --------
    >>> import clustersim as cs
    >>> question = cs.load_plan("plan_2026", changes={"budget": "80e9 CNY"})
    >>> question.spec.budget
    (80000000000.0, 'CNY')
    """
    named, path = path, existing_file(path, within="experiments")
    fields, small = read_version(path, quick=quick)
    if small is not None:
        whole = with_rest_of_probability(with_fleet(small, path, path.parent))
        validate(PlanSpec, whole, f"{path}: quick")
    removed: dict[str, Any] = {}
    items = change_items(changes)
    of_fleet = [each for each in items if split_path(each[0])[0] == FLEET]
    for key, value in of_fleet:
        _set(fields, key, value)
    fields = with_fleet(fields, path, path.parent)
    for key, value in (each for each in items if each not in of_fleet):
        was = _set(fields, key, value)
        if value is None and was is not None:
            removed[key] = was
    fields = with_catalogue(fields, catalogue_paths(catalogue))
    question = _checked(fields, path, path.parent)
    notes = (
        *_preview_notes(question.spec, named, quick=quick),
        *removal_notes(question.spec, removed),
    )
    applied = read_extended(path)["quick"] if quick else None
    return dataclasses.replace(question, notes=notes, quick=applied)


def _preview_notes(spec: PlanSpec, path: str | Path, *, quick: bool) -> Iterator[str]:
    """Yield a note on the limits of the quick version of a plan; none if `quick` is False."""
    if not quick:
        return
    count = 0 if spec.verify is None else spec.verify.replications
    runs = f"{count} replication{'' if count == 1 else 's'} of each simulated scenario"
    worth = "so it has no intervals" if count == 1 else "so its intervals are wide"
    limits = f" with {runs}, {worth}" if count else ""
    yield (
        f"this is a preview (--quick){limits}; before a decision, run clustersim plan {path} "
        "--out DIR without --quick"
    )


def define_plan(
    fields: str | Path | Mapping[str, Any] | PlanQuestion,
    *,
    source: str | Path = "plan",
    folder: str | Path = ".",
) -> PlanQuestion:
    """Check a plan that is given as a mapping, and load the chips and models that it names.

    Parameters
    ----------
    fields : mapping, str, Path or PlanQuestion
        Fields of :class:`~clustersim.procurement.spec.PlanSpec`; ``verify.base`` may also be a
        loaded scenario.  A path is read as by :func:`load_plan`.  A question is returned unchanged.
    source : str or Path
        Name of the plan in messages.
    folder : str or Path
        Folder to which file names in the plan are relative.

    Raises
    ------
    InputError
        If the plan has problems; the error lists all of them.

    Examples
    --------
    >>> import clustersim as cs
    >>> question = cs.define_plan(
    ...     {
    ...         "name": "one chip",
    ...         "quarters": 1,
    ...         "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
    ...         "demand": {
    ...             "tuning": {
    ...                 "model": "llama3-8b",
    ...                 "accelerators": 8,
    ...                 "job_tokens": 1.0e9,
    ...                 "tokens": 1.0e13,
    ...                 "must_meet": 1,
    ...             }
    ...         },
    ...     }
    ... )
    >>> question.spec.quarters, list(question.spec.chips)
    (1, ['h200'])
    """
    if isinstance(fields, PlanQuestion):
        return fields
    if isinstance(fields, str | Path):
        return load_plan(fields)
    if not isinstance(fields, Mapping):
        problem = "must be a path, a mapping or the result of load_plan"
        raise InputError("plan", f"{problem}, found {shown(fields)}")
    if isinstance(fields.get("verify"), Mapping):
        fields = {**fields, "verify": with_plain_scenario(fields["verify"], "base")}
    return _checked(with_fleet(fields, source, Path(folder)), source, Path(folder))


def _checked(fields: Mapping[str, Any], source: str | Path, folder: Path) -> PlanQuestion:
    """Check a plan whose fleet file has been read."""
    given = validate(PlanSpec, with_rest_of_probability(fields), source)
    own = [full_path(folder, each) for each in given.catalogue]
    given = given.model_copy(update={"catalogue": own})
    with named_in(source, "catalogue"):
        catalogue = load_catalogue(*own)
    spec, filled = assumed_plan(given, catalogue.assumptions)
    problems = check_plan(spec, catalogue)
    if problems:
        raise InputError(source, problems)
    with named_in(source, "performance"):
        draw = open_draw(spec.performance, catalogue, folder)
        catalogue = draw_catalogue(spec.performance, catalogue)
    return PlanQuestion(spec, catalogue, draw, str(source), folder, filled)


def _set(fields: dict[str, Any], path: str, value: Any) -> Any:
    """Set the value at a path of a plan's data (None removes it); return the former value."""
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
    was = here.get(key)
    if value is None:
        here.pop(key, None)
    else:
        here[key] = value
    return was
