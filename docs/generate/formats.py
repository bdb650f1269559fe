"""The pages of the file formats, generated from their JSON Schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["format_page", "keys", "quantities_page"]

Schema = Mapping[str, Any]

_SUFFIXES = {
    "_s": "s",
    "_cny": "CNY",
    "_bytes": "B",
    "_w": "W",
    "_j": "J",
    "_cny_per_kwh": "CNY/kWh",
    "_g_per_kwh": "g/kWh",
    "_per_month": "1/month",
    "_per_year": "1/year",
    "_per_s": "1/s",
    "_per_s_per_chip": "1/(s chip)",
}
"""Unit of a plain number by the suffix of its name."""

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxLength": "at most {} characters",
}


def format_page(title: str, schema: Schema) -> str:
    """Return the page of one format.

    Parameters
    ----------
    title : str
        Name of the format, such as ``scenario``.
    schema : mapping
        Its JSON Schema.

    Returns
    -------
    str
        Markdown: a table of keys for the file, and one for each kind of object in it.
    """
    parts = [
        f"# {title.capitalize()} file\n",
        f"`clustersim schema {title}` prints this format as a JSON Schema, which editors use to"
        " validate and complete a file. A key without a default is required. "
        "[Quantities](index.md#quantities) are written with their units.\n",
        _table(schema, schema),
    ]
    sourced: dict[str, str] = {}
    for name in _reached(schema):
        node = schema["$defs"][name]
        if (mapping := _sourced(node)) is not None:
            sourced[_sourced_title(mapping)] = _table(mapping, schema)
            continue
        parts.append(f"## {name} {{ #{_anchor(name)} }}\n")
        if node.get("description"):
            parts.append(_prose(node["description"]) + "\n")
        parts.append(_table(node, schema) if "properties" in node else f"{_type(node, schema)}\n")
    for title, table in sourced.items():
        parts += [f"## {title} {{ #{_anchor(title)} }}\n", table]
    return "\n".join(parts)


def quantities_page(units: Mapping[str, Iterable[str]], formats: Mapping[str, str]) -> str:
    """Return the page that lists the formats and the units of quantities.

    Parameters
    ----------
    units : mapping
        Names of the units of each dimension.
    formats : mapping
        Description of each format by its name.
    """
    lines = ["# File formats\n", "| file | content |", "|---|---|"]
    lines += [f"| [{name}]({name}.md) | {_cell(text)} |" for name, text in formats.items()]
    lines += [
        "\nFiles are YAML. Unknown keys are refused, all errors in a file are reported at once, and"
        " the nearest known key is suggested.\n",
        "## Quantities\n",
        "A quantity is a number with a unit, such as `30 min`, `4.8 TB/s` or `160e9 CNY`. Inside"
        " the simulator all quantities are in SI units.\n",
        "| dimension | units |",
        "|---|---|",
    ]
    lines += [
        f"| {dimension} | {', '.join(f'`{unit}`' for unit in names)} |"
        for dimension, names in units.items()
    ]
    return "\n".join(lines) + "\n"


def keys(node: Schema, schema: Schema) -> Iterator[dict[str, str]]:
    """Yield the rows of an object's table: key, type, unit, default and description."""
    required = set(node.get("required", ()))
    for branch in node.get("anyOf", ()):  # a file that extends another requires none of them
        if "$ref" not in branch:
            required |= set(branch.get("required", ())) - {"extends"}
    for key, field in node.get("properties", {}).items():
        yield {
            "key": key,
            "type": _type(field, schema),
            "unit": _unit(key, field, schema),
            "default": "required" if key in required else _default(field),
            "description": _description(field, schema),
        }


def _table(node: Schema, schema: Schema) -> str:
    head = "| key | type | unit | default | description |\n|---|---|---|---|---|\n"
    rows = (
        f"| `{row['key']}` | {row['type']} | {_cell(row['unit'])} | {_cell(row['default'])} "
        f"| {_cell(row['description'])} |\n"
        for row in keys(node, schema)
    )
    return head + "".join(rows)


def _reached(schema: Schema) -> list[str]:
    """Return the names of the definitions in the order in which a reader meets them."""
    found: list[str] = []
    waiting = [{key: node for key, node in schema["properties"].items() if key != "quick"}]
    while waiting:
        for name in _references(waiting.pop(0)):
            if name not in found:
                found.append(name)
                waiting.append(schema["$defs"][name])
    return found


def _sourced(node: Schema) -> Schema | None:
    """Return the mapping in a definition of a value that may be given alone or with its source."""
    branches = node.get("anyOf", ())
    if len(branches) == 2 and {"value", "source"} <= set(branches[1].get("properties", ())):
        return branches[1]
    return None


def _sourced_title(mapping: Schema) -> str:
    others = [key for key in mapping["properties"] if key != "value"]
    return "value with " + ", ".join(others)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _type(node: Schema, schema: Schema) -> str:
    """Describe the type of a value in Markdown."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        mapping = _sourced(schema["$defs"][name])
        if mapping is not None:
            title = _sourced_title(mapping)
            return (
                f"{_type(mapping['properties']['value'], schema)} or [{title}](#{_anchor(title)})"
            )
        return f"[{name}](#{_anchor(name)})"
    if "x-quantity" in node:
        return f"[{node['x-quantity']}](index.md#quantities)"
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    branches = node.get("anyOf") or node.get("oneOf")
    if branches and "properties" not in node:
        texts = dict.fromkeys(
            _type(part, schema) for part in branches if part.get("type") != "null"
        )
        return " or ".join(texts)
    kinds = node.get("type", "any value")
    if kinds == "array":
        items = node.get("items", {})
        return _bounded(f"list of {_type(items, schema)}" if items else "list", node)
    if kinds == "object":
        values = _values(node)
        if values is not None:
            return f"mapping of names to {_type(values, schema)}"
        return "mapping"
    names = [kinds] if isinstance(kinds, str) else kinds
    return _bounded(" or ".join("text" if name == "string" else name for name in names), node)


def _bounded(text: str, node: Schema) -> str:
    low, high = node.get("minItems"), node.get("maxItems")
    if low is not None and low == high:
        return f"{text} ({low} items)"
    limits = [
        words.format(_number(node[word]))
        for word, words in _BOUNDS.items()
        if word in node and not (word == "minItems" and node[word] == 1)
    ]
    return f"{text} ({', '.join(limits)})" if limits else text


def _number(value: float) -> str:
    whole = float(value).is_integer() and abs(value) < 1e9
    return f"{int(value):,}" if whole else f"{value:g}"


def _unit(key: str, node: Schema, schema: Schema) -> str:
    definitions = [schema["$defs"][name] for name in _references(node)]
    sourced = [mapping for mapping in map(_sourced, definitions) if mapping is not None]
    values = [node, *(mapping["properties"]["value"] for mapping in sourced)]
    parts = [part for value in values for part in _parts(value)]
    units = {part["x-unit"] for part in parts if "x-unit" in part}
    if units:
        return ", ".join(sorted(units))
    numeric = any(
        {"number", "integer"} & set(kind if isinstance(kind, list) else [kind])
        for kind in (part.get("type", "") for part in parts)
    )
    ends = [end for end in _SUFFIXES if key.endswith(end)]
    return _SUFFIXES[max(ends, key=len)] if numeric and ends else ""


def _parts(node: Any) -> Iterator[Schema]:
    """Yield a schema, its alternatives and the items of its lists."""
    if isinstance(node, Mapping):
        yield node
        for word in ("anyOf", "oneOf"):
            for part in node.get(word, ()):
                yield from _parts(part)
        yield from _parts(node.get("items"))
        yield from _parts(_values(node))


def _values(node: Schema) -> Schema | None:
    """Return the schema of the values of a mapping, whatever their names; None if it has none."""
    (values,) = node.get("patternProperties", {"": node.get("additionalProperties")}).values()
    return values if isinstance(values, Mapping) else None


def _default(node: Schema) -> str:
    if "default" not in node:
        if node.get("type") == "array":
            return "empty"
        return "empty" if node.get("type") == "object" else "none"
    value = node["default"]
    if value is None:
        return "none"
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, Mapping):
        # A section's defaults are in its own table.
        stated = [f"`{key}: {value[key]}`" for key in value if key == "kind"]
        return stated[0] if stated else "its defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    units = [part["x-unit"] for part in _parts(node) if "x-unit" in part]
    if units and isinstance(value, (int, float)):
        return f"`{value:g} {units[0]}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _description(node: Schema, schema: Schema) -> str:
    if node.get("description"):
        return str(node["description"])
    for name in _references(node):
        text = schema["$defs"][name].get("description", "")
        if text:
            return str(text).partition("\n\n")[0]
    return "kind of this entry" if "const" in node else ""


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _prose(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def _cell(text: str) -> str:
    """Return a text for a table cell."""
    return _prose(" ".join(text.split())).replace("|", "\\|").replace("<", "&lt;")
