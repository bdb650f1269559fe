"""Pages of the documentation that are made from schemas, help texts and the README."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import clustersim as cs
from clustersim.cli import main as command_line
from clustersim.schemas import FORMATS
from clustersim.units import known_units

ROOT = Path(__file__).resolve().parents[2]


def generator(name: str) -> ModuleType:
    """Load a module of docs/generate, which is no package."""
    spec = importlib.util.spec_from_file_location(
        f"docs_generate_{name}", ROOT / "docs" / "generate" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


formats, guide, commands = generator("formats"), generator("guide"), generator("commands")


@pytest.mark.parametrize("name", FORMATS)
def test_every_key_of_a_format_has_a_type_a_default_and_a_description(name: str) -> None:
    schema = cs.schema(name)
    nodes = {name: schema, **schema.get("$defs", {})}
    # A value may stand alone or in a mapping with its source.
    nodes |= {f"{k} mapping": part for k, node in nodes.items() for part in node.get("anyOf", ())}
    rows = [
        (where, row)
        for where, node in nodes.items()
        if not where.startswith("Quick")
        for row in formats.keys(node, schema)
    ]
    assert len(rows) >= 5
    lacking = [(where, row) for where, row in rows if not all(row[k] for k in row if k != "unit")]
    assert lacking == []


def test_a_table_of_keys_by_hand() -> None:
    schema = {
        "description": "A thing.",
        "properties": {
            "at": {"anyOf": [DURATION, {"type": "null"}], "default": None, "description": "when"},
            "wait": {**DURATION, "default": 60.0, "description": "how | long"},
            "nodes": {"type": "integer", "minimum": 1, "maximum": 2000, "description": "count"},
            "price_cny": {"type": "number", "default": 2, "description": "what it costs"},
            "part": {"$ref": "#/$defs/Part"},
            "kinds": {"type": "array", "items": {"enum": ["a", "b"]}, "description": "of it"},
        },
        "required": ["nodes", "part"],
        "$defs": {
            "Part": {
                "description": "A part.\n\nMore.",
                "properties": {"kind": {"const": "gear"}},
                "required": ["kind"],
            }
        },
    }
    page = formats.format_page("thing", schema)
    duration = "[duration](index.md#quantities)"
    assert page.splitlines()[6:12] == [
        f"| `at` | {duration} | s | none | when |",
        f"| `wait` | {duration} | s | `60 s` | how \\| long |",
        "| `nodes` | integer (at least 1, at most 2,000) |  | required | count |",
        "| `price_cny` | number | CNY | `2` | what it costs |",
        "| `part` | [Part](#part) |  | required | A part. |",
        "| `kinds` | list of `a` or `b` |  | empty | of it |",
    ]
    assert "## Part { #part }" in page
    assert page.rstrip().endswith("| `kind` | `gear` |  | required | kind of this entry |")


DURATION = {"type": ["string", "number"], "x-quantity": "duration", "x-unit": "s"}


def test_no_default_needs_a_file_to_have_what_it_extends() -> None:
    """A scenario may take its cluster from another, and yet a cluster is required."""
    schema = cs.schema("scenario")
    message = {row["key"]: row["default"] for row in formats.keys(schema, schema)}
    assert (message["cluster"], message["workload"], message["extends"]) == (
        "required",
        "required",
        "none",
    )


def test_each_kind_of_object_has_a_section_that_something_leads_to() -> None:
    page = formats.format_page("scenario", cs.schema("scenario"))
    anchors = set(re.findall(r"\{ #(\w+) \}", page))
    links = set(re.findall(r"\(#(\w+)\)", page))
    assert anchors == links
    assert {"failures", "checkpointing", "supply", "lognormalduration"} <= anchors


def test_units_of_quantities_are_those_that_are_read() -> None:
    page = formats.quantities_page(known_units(), {"scenario": "A run."})
    (durations,) = (line for line in page.splitlines() if line.startswith("| duration"))
    for unit in re.findall("`([^`]+)`", durations):
        assert cs.units.parse_quantity(f"1 {unit}", "duration") > 0


def test_the_command_line_page_has_the_help_of_every_command() -> None:
    parser = command_line.make_parser()
    page = commands.commands_page(parser)
    names = [name.replace("_", "-") for name in command_line.COMMANDS]
    assert re.findall(r"^## (\S+) ", page, re.MULTILINE) == names
    for option in ("--resume", "--keep-old", "--set ", "--accelerator "):
        assert option in page
    assert "\x1b" not in page


def test_sections_are_split_at_headings_outside_of_code() -> None:
    text = "# Top\n\nBegin.\n\n## One\n\n```sh\n## no heading\n```\n\n### Part\n\n## Two\n\nEnd.\n"
    found = guide.sections(text)
    assert [section.title for section in found] == ["Top", "One", "Two"]
    assert found[1].text == "```sh\n## no heading\n```\n\n### Part\n"


def test_links_lead_to_pages_and_unknown_ones_are_refused() -> None:
    text = "[a](docs/a.md#part) ![b](x/b.png) [c](https://example.org) [d](#here)"
    places = {"docs/a.md": "a.md", "x/b.png": "figures/b.png"}
    assert guide.linked(text, places) == (
        "[a](a.md#part) ![b](figures/b.png) [c](https://example.org) [d](#here)"
    )
    with pytest.raises(KeyError, match=r"other\.md"):
        guide.linked("[e](other.md)", places)
