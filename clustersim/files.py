"""Read and validate the YAML files that users write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from clustersim.errors import InputError, nearest_hint, new_name, shown
from clustersim.json_schema import Place
from clustersim.plain_text import NOT_TEXT, not_utf8, other_content
from clustersim.shipped import missing_file

__all__ = [
    "FileModel",
    "not_required",
    "parse_yaml",
    "read_yaml",
    "validate",
    "yaml_text",
]

MOST_BYTES = 1_000_000
"""Size limit of a YAML file in bytes; jobs and measurements belong in CSV or Parquet files."""
MOST_VALUES = 100_000
"""Maximum number of values in a YAML file; values repeated by aliases count each time."""

Model = TypeVar("Model", bound=BaseModel)


def _without_examples(schema: dict[str, Any]) -> None:
    """Remove the examples in Python from the description of a file format."""
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\nExamples\n")[0]


class FileModel(BaseModel):
    """Base class of all file formats; unknown keys are refused, and instances are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=_without_examples
    )


def not_required(*names: str) -> ConfigDict:
    """Return the settings of a format whose fields `names` are filled in from elsewhere.

    Its JSON Schema, by which editors check a file, does not require them.
    """

    def relaxed(schema: dict[str, Any]) -> None:
        _without_examples(schema)
        schema["required"] = [each for each in schema.get("required", ()) if each not in names]

    return ConfigDict(json_schema_extra=relaxed)


class _PlainConstructor(SafeConstructor):
    """YAML constructor that reads dates as text, so that a file contains only plain data."""


class _TooManyValuesError(ValueError):
    def __init__(self) -> None:
        repeated = "values that aliases (*name) repeat count each time"
        super().__init__(f"it contains more than {MOST_VALUES:,} values ({repeated})")


class _BoundedComposer(Composer):
    """YAML composer that stops at the limit of values; composing takes most of the reading time."""

    n_values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.n_values += 1
        if self.n_values > MOST_VALUES:
            raise _TooManyValuesError
        return super().compose_node(parent, index)


_PlainConstructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Raises
    ------
    InputError
        If the file is missing, unreadable, larger than 1 MB, not UTF-8, not YAML, empty, or not a
        mapping at the top level.  Also if it has a duplicate key, a value that contains itself, or
        more than 100,000 values (a value that aliases repeat counts each time).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            limit = f"is larger than {MOST_BYTES / 1e6:g} MB, the limit for a YAML file"
            raise InputError(path, f"{limit}; jobs and measurements belong in a CSV file")
        what = other_content(content)
        if what not in (None, NOT_TEXT):
            expected = "" if what.startswith("is text") else "; a YAML file is expected"
            raise InputError(path, f"{what}{expected}")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, missing_file(path)) from None
    except IsADirectoryError:
        raise InputError(path, "is a folder, not a YAML file") from None
    except UnicodeDecodeError as error:
        message = f"{NOT_TEXT}; a YAML file is expected" if what else not_utf8(content, error.start)
        raise InputError(path, message) from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    try:
        data = parse_yaml(text)
    except DuplicateKeyError as error:
        raise InputError(path, _twice(error)) from None
    except YAMLError as error:
        raise InputError(path, f"is not valid YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise InputError(path, "cannot be used: it is nested too deeply") from None
    except ValueError as error:
        raise InputError(path, f"cannot be used: {error}") from None
    if data is None:
        raise InputError(path, "is empty")
    if not isinstance(data, dict):
        raise InputError(
            path, f"must contain a mapping of keys at the top level, not a {type(data).__name__}"
        )
    return data


def yaml_text(data: Mapping[str, Any], *, compact: bool = False) -> str:
    """Return plain data as YAML text, with the keys in the given order.

    Parameters
    ----------
    data : mapping
    compact : bool
        Whether to write each of the innermost lists and mappings on one line.

    Examples
    --------
    >>> print(yaml_text({"b": [1, 2], "a": "x"}, compact=True), end="")
    b: [1, 2]
    a: x
    """
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    if compact:
        yaml.width = 100
    else:
        yaml.default_flow_style = False
    yaml.dump(dict(data), text)
    return text.getvalue()


def parse_yaml(text: str) -> Any:
    """Parse a YAML text; dates remain text.

    Raises
    ------
    ruamel.yaml.error.YAMLError
        If the text is not valid YAML.
    ValueError
        If a value cannot be read or contains itself, or there are too many values.
    RecursionError
        If the text is nested too deeply.

    Examples
    --------
    >>> parse_yaml("start: 2026-01-01")
    {'start': '2026-01-01'}
    """
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer, yaml.Constructor = _BoundedComposer, _PlainConstructor
        data = yaml.load(text)
    except _TooManyValuesError:
        raise
    except ValueError as error:
        raise ValueError(f"a value cannot be read: {error}") from None
    if _n_values(data, {}) > MOST_VALUES:
        raise _TooManyValuesError
    return data


def _n_values(value: Any, known: dict[int, int | None]) -> int:
    """Return the number of nested values; a repeated value counts each time."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) in known:
        count = known[id(value)]
        if count is None:
            raise ValueError("a value contains itself (an alias within its own anchor)")
        return count
    known[id(value)] = None
    below = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    known[id(value)] = count = 1 + sum(_n_values(each, known) for each in below)
    return count


def _twice(error: DuplicateKeyError) -> str:
    key = re.search(r'found duplicate key "(.*?)" with value', error.problem or "")
    if key is None or error.problem_mark is None:
        return _yaml_problem(error)
    return (
        f"the key {key[1]!r} occurs twice (the second time in line {error.problem_mark.line + 1})"
    )


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        problem = (error.problem or "").split("\n")[0]
        return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
    return str(error).split("\n")[0]


def validate(model: type[Model], data: Mapping[str, Any], source: str | Path) -> Model:
    """Validate `data` against a file format.

    Raises
    ------
    InputError
        If `data` is invalid.  The error lists all problems, one line each: the path of the field,
        what was found, what is allowed, and the nearest valid name.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = _without_other_branches(error.errors(), data)
        problems = [_problem_line(each, model, data) for each in errors]
        raise InputError(source, list(dict.fromkeys(problems))) from None


_NEEDED = {
    "string_type": "a text",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "list_type": "a list",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""Description of the value that is needed instead, by type of pydantic error."""


def _without_other_branches(problems: Iterable[Any], data: Any) -> list[Any]:
    """Return only the errors in the branch of a union for which the value was meant.

    If a field accepts a text or a mapping, and an error is inside a mapping, the error "not a text"
    is dropped.  A value that matches no branch has one error, which lists what the branches need.
    """
    kept: list[Any] = []
    by_place: dict[tuple[Any, ...], list[Any]] = {}
    for problem in problems:
        by_place.setdefault(_keys_of(problem, data), []).append(problem)
    for place, group in by_place.items():
        other = [f for f in group if f["type"] not in _NEEDED or f["loc"][-1] == "[key]"]
        below = any(inner[: len(place)] == place and inner != place for inner in by_place)
        kept += other
        if not other and not below:
            needed = dict.fromkeys(_NEEDED[problem["type"]] for problem in group)
            kept.append({**group[0], "needed": " or ".join(needed)})
    return kept


_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$": "start with a letter or digit and contain only "
    "letters (a to z), digits, blanks and the characters _ . + -",
}
"""Descriptions of the patterns that names must match, for messages."""


def _problem_line(problem: Any, model: type[BaseModel], data: Any) -> str:
    location = tuple(problem["loc"])
    keys = _keys_of(problem, data)
    where = _dotted(keys)
    kind, found, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = sorted(Place.top(model).follow(location[:-1]).fields)
        if new := new_name(location[-1], allowed):
            return f"{where}: is now called {new!r}"
        return f"{where}: unknown key; {nearest_hint(location[-1], allowed)}"
    if kind == "missing":
        return f"{where}: is required but absent"
    if kind in ("literal_error", "enum"):
        allowed = [
            part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")
        ]
        return f"{where}: unknown value {shown(found)}; {nearest_hint(found, allowed)}"
    if kind == "union_tag_invalid":
        allowed = [part.strip(" '") for part in context["expected_tags"].split(",")]
        key = context["discriminator"].strip("'")
        return f"{where}.{key}: unknown value {shown(context['tag'])}; " + nearest_hint(
            context["tag"], allowed
        )
    if kind == "union_tag_not_found":
        return f"{where}: needs the key {context['discriminator']}"
    message = problem["msg"].removeprefix("Value error, ").replace(" after validation", "")
    if kind == "value_error":
        return f"{where}: {message}" if where else message
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        message = f"must {_PATTERNS[context['pattern']]}"
    if kind in _NEEDED:
        subject = "the key" if location[-1] == "[key]" else "input"
        message = f"{subject} should be {problem.get('needed', _NEEDED[kind])}"
    return f"{where}: {message[0].lower()}{message[1:]}, found {shown(found)}"


def _keys_of(problem: Any, data: Any) -> tuple[Any, ...]:
    """Return the keys that lead to an error (list indices as 1-tuples), without union tags."""
    keys: list[Any] = []
    here = data
    location = problem["loc"][:-2] if problem["loc"][-1:] == ("[key]",) else problem["loc"]
    for index, part in enumerate(location):
        absent = problem["type"] == "missing" and index == len(location) - 1
        if isinstance(here, list) and isinstance(part, int):
            keys.append((part,))
            here = here[part] if part < len(here) else None
        elif (isinstance(here, Mapping) and part in here) or absent:
            keys.append(part)
            here = here.get(part) if isinstance(here, Mapping) else None
    return tuple(keys)


def _dotted(keys: tuple[Any, ...]) -> str:
    """Write ``("classes", (0,), "name")`` as ``classes[0].name``."""
    parts = (f"[{key[0]}]" if isinstance(key, tuple) else f".{key}" for key in keys)
    return "".join(parts).lstrip(".")
