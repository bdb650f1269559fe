"""Named cases of a scenario: alternative sets of changes, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel, validate
from clustersim.scenario.changes import set_path

__all__ = ["Cases", "apply_case", "changed_cases"]

KEYS = ("cases", "case")
Name = Annotated[str, Field(min_length=1)]


class Cases(FileModel):
    """Alternatives within one scenario file."""

    cases: dict[Name, dict[Name, Any]] | None = Field(
        None,
        description="changes by name of the case: a mapping of paths to values, as for --set",
    )
    case: Name | None = Field(None, description="name of the chosen case; by default none")


def apply_case(tree: dict[str, Any], source: str | Path, folder: Path) -> None:
    """Apply the chosen case to a scenario's data, and remove all cases from the data.

    The remaining data depend only on the chosen case; edits to other cases have no effect.

    Parameters
    ----------
    tree : dict
        Data of a scenario, changed in place.
    source : str or Path
        The scenario's file, for messages.
    folder : Path
        Folder to which file names are relative.

    Raises
    ------
    InputError
        If the case or one of its paths does not exist.
    """
    given = validate(Cases, {key: tree.pop(key) for key in KEYS if key in tree}, source)
    if given.case is None:
        return
    if given.case not in (given.cases or {}):
        raise InputError(source, f"case: {unknown_name('case', given.case, given.cases or ())}")
    assert given.cases is not None, "it has the case"
    for path, value in given.cases[given.case].items():
        where = f"cases.{given.case}: {path}"
        if path == "plugins":
            raise InputError(source, f"{where}: plugins must be the same in every case")
        if path in KEYS:
            raise InputError(source, f"{where}: a case cannot change the keys cases and case")
        try:
            set_path(tree, path, value, folder)
        except InputError as error:
            raise InputError(
                source, [f"{where}: {problem}" for problem in error.problems]
            ) from None


def changed_cases(
    tree: Mapping[str, Any], over: Mapping[str, Any], written: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """Return the cases and the chosen case of a scenario's data, with further changes applied last.

    Parameters
    ----------
    tree : mapping
        Data of a scenario.
    over : mapping of str to object
        Changes by path that apply in every case.
    written : callable
        Function that maps a path and its value to the value to write into the case.
    """
    kept = {key: tree[key] for key in KEYS if tree.get(key) is not None}
    last = {path: value for path, value in over.items() if path not in KEYS}
    if isinstance(kept.get("cases"), dict):
        kept["cases"] = {
            name: _laid_over(own, last, written) if isinstance(own, dict) else own
            for name, own in kept["cases"].items()
        }
    return kept


def _laid_over(
    own: Mapping[str, Any], last: Mapping[str, Any], written: Callable[[str, Any], Any]
) -> dict[str, Any]:
    first = {path: value for path, value in own.items() if path not in last}
    return {path: written(path, value) for path, value in {**first, **last}.items()}
