"""Options of policies and placements: annotated class attributes with a default.

A class that derives from a policy or a placement has one option for each of its own attributes that
is annotated, public and has a value::

    class Ageing(Policy):
        weight: float = 1.0

An annotation as ``ClassVar`` is not an option.  Values are converted to the annotated type.  On the
command line, a tuple is written ``1,2,3``, a mapping ``high:1000,normal:0``, and a mapping to
tuples ``high:normal+low``.  An option of type ``Path`` is a file, relative to the folder of the
scenario.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from clustersim.errors import InputError, nearest_hint, shown

__all__ = ["option_texts", "options_of", "with_options"]

Plugin = TypeVar("Plugin")


def options_of(plugin: type) -> dict[str, Any]:
    """Return the options of a policy or a placement with their values.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy, options_of
    >>> options_of(find_policy("las"))["thresholds"]
    (3250.0, 7200.0)
    """
    return {name: getattr(plugin, name) for name in _types_of(plugin)}


def with_options(
    plugin: type[Plugin], options: Mapping[str, Any], source: str, folder: str | Path = "."
) -> type[Plugin]:
    """Return the class with other values of its options.

    Parameters
    ----------
    plugin : type
        A policy or a placement.
    options : mapping of str to object
        New values by name. A text is read as on the command line: parts of a tuple or a mapping
        have commas between them.
    source : str
        What the options belong to, for messages, such as ``policy las``.
    folder : str or Path
        Folder to which the files that options name are relative.

    Raises
    ------
    InputError
        If an option does not exist, or its value does not suit its type.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy, with_options
    >>> las = with_options(find_policy("las"), {"thresholds": "600,7200"}, "policy las")
    >>> las.thresholds
    (600.0, 7200.0)
    >>> slurm = find_policy("multifactor")
    >>> with_options(slurm, {"qos_priority": "high:10,low:1"}, "policy multifactor").qos_priority
    {'high': 10.0, 'low': 1.0}
    >>> with_options(las, {"treshold": 5}, "policy las")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: policy las: has no option 'treshold'; did you mean 'thresholds'...
    """
    if not options:
        return plugin
    types, values, problems = _types_of(plugin), {}, []
    for name, value in options.items():
        if name not in types:
            problems.append(_unknown(str(name), types))
            continue
        try:
            given = _converted(value, types[name])
            values[name] = Path(folder, given) if isinstance(given, Path) else given
        except ValidationError as error:
            what = "; ".join(_words(each["msg"]) for each in error.errors())
            problems.append(f"option {name}: found {shown(value)}: {what}")
    if problems:
        raise InputError(source, problems)
    inherited = {"__module__": plugin.__module__, "__doc__": plugin.__doc__}
    bound = type(plugin.__name__, (plugin,), {**inherited, **values})
    check = getattr(bound, "check_options", None)
    if check is not None and (problem := check()):
        raise InputError(source, problem)
    return bound


def option_texts(plugin: type) -> dict[str, str]:
    """Return the options of a class with their defaults and types, as text.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy, option_texts
    >>> option_texts(find_policy("las"))["attained"]
    'accelerator_time (accelerator_time or time)'
    """
    return {
        name: f"{_value_text(getattr(plugin, name))} ({_type_text(kind)})"
        for name, kind in _types_of(plugin).items()
    }


def _types_of(plugin: type) -> dict[str, Any]:
    """Return the types of the options, those of base classes first."""
    hints = get_type_hints(plugin, include_extras=True)
    annotated = [inspect.get_annotations(cls) for cls in reversed(plugin.__mro__)]
    fixed = {name for own in annotated for name, kind in own.items() if _is_class_var(kind)}
    return {
        name: hints[name]
        for own in annotated
        for name in own
        if name not in fixed and not name.startswith("_") and hasattr(plugin, name)
    }


def _is_class_var(annotation: object) -> bool:
    """Return whether an annotation, which may be a text, is ``ClassVar``."""
    if isinstance(annotation, str):
        return annotation.removeprefix("typing.").startswith("ClassVar")
    return get_origin(annotation) is ClassVar or annotation is ClassVar


def _converted(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and _is_mapping(kind):
        value = _pairs(value, kind)
    elif isinstance(value, str) and _is_tuple(kind):
        value = _parts(value, ",")
    elif isinstance(value, (int, float)) and _is_tuple(kind):
        value = [value]
    if isinstance(value, str) and value.lower() in ("none", "null", ""):
        value = None if type(None) in get_args(kind) else value
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=True)).validate_python(value)


def _is_tuple(kind: Any) -> bool:
    return any(get_origin(each) is tuple for each in (kind, *get_args(kind)))


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (dict, Mapping)


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _pairs(text: str, kind: Any) -> Any:
    """Return the mapping of a text such as ``high:1000,normal:0``; other texts as they are."""
    pairs = [part.rpartition(":") for part in _parts(text, ",")]
    if not all(name.strip() and colon and value.strip() for name, colon, value in pairs):
        return text
    names = [name.strip() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        return text
    several = _is_tuple(get_args(kind)[1])
    values = [_parts(value, "+") if several else value.strip() for _, _, value in pairs]
    return dict(zip(names, values, strict=True))


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    if not known:
        return f"has no options, found {shown(name)}"
    return f"has no option {name!r}; {nearest_hint(name, known)}"


def _words(message: str) -> str:
    return message[:1].lower() + message[1:]


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{_value_text(each)}" for name, each in value.items()) or "none"
    if isinstance(value, tuple):
        return ",".join(_value_text(each) for each in value) or "none"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)


def _type_text(kind: Any) -> str:
    arguments = get_args(kind)
    if _is_mapping(kind):
        several = _is_tuple(arguments[1])
        return f"pairs NAME:{'NAME+NAME' if several else 'VALUE'} with commas between them"
    if get_origin(kind) is tuple:
        return f"{_type_text(arguments[0])} values with commas between them"
    if get_origin(kind) is dict:
        return "a mapping"
    if kind in _WORDS:
        return _WORDS[kind]
    if arguments and all(isinstance(each, str) for each in arguments):
        return " or ".join(arguments)
    return " or ".join(_type_text(each) for each in arguments) if arguments else str(kind)


_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    Path: "a file",
    type(None): "none",
}
