"""Named cases of a scenario: changes that are made together, and the choice of one."""

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
    """What else a scenario may be."""

    cases: dict[Name, dict[Name, Any]] | None = Field(
        None, description="name -> path of the scenario -> value, as --set would change it"
    )
    case: Name | None = Field(None, description="which of the cases holds; by default none")


def apply_case(tree: dict[str, Any], source: str | Path, folder: Path) -> None:
    """Make the changes of the case that a scenario's data names; its cases are then gone.

    What is left depends on the chosen case alone: other cases may change as they like.

    Parameters
    ----------
    tree : dict
        Data of a scenario, changed in place.
    source : str or Path
        Its file, for messages.
    folder : Path
        What file names are relative to.

    Raises
    ------
    InputError
        If there is no such case, or one of its paths leads nowhere.
    """
    told = validate(Cases, {key: tree.pop(key) for key in KEYS if key in tree}, source)
    if told.case is None:
        return
    if told.case not in (told.cases or {}):
        raise InputError(source, f"case: {unknown_name('case', told.case, told.cases or ())}")
    assert told.cases is not None, "it has the case"
    for path, value in told.cases[told.case].items():
        where = f"cases.{told.case}: {path}"
        if path == "plugins":
            raise InputError(source, f"{where}: plugins are the same in every case")
        if path in KEYS:
            raise InputError(source, f"{where}: a case changes other keys than cases and case")
        try:
            set_path(tree, path, value, folder)
        except InputError as error:
            raise InputError(
                source, [f"{where}: {problem}" for problem in error.problems]
            ) from None


def changed_cases(
    tree: Mapping[str, Any], over: Mapping[str, Any], written: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """Return the cases of a scenario's data, and its choice, where other changes come last.

    Parameters
    ----------
    tree : mapping
        Data of a scenario.
    over : mapping of str to object
        Changes by path that hold in every case.
    written : callable
        What stands for a value in the case, of its path and the value.
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
