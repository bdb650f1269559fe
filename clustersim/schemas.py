"""The file formats as JSON Schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clustersim.analysis.metrics import metric_schema
from clustersim.catalogue import CatalogueFile
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.procurement.spec import PlanSpec
from clustersim.scenario.scenario import Scenario
from clustersim.studies.plot_kinds import plot_kind_schema
from clustersim.studies.spec import StudySpec
from clustersim.topology import ClusterSpec
from clustersim.workload import WorkloadSpec

__all__ = ["FORMATS", "schema"]

FORMATS: dict[str, type[FileModel]] = {
    "scenario": Scenario,
    "study": StudySpec,
    "plan": PlanSpec,
    "topology": ClusterSpec,
    "catalogue": CatalogueFile,
    "workload": WorkloadSpec,
}
EXTENDING = ("scenario", "study", "plan")
"""Formats whose files can extend another file of the same format."""


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a file format.

    Parameters
    ----------
    name : {"scenario", "study", "plan", "topology", "catalogue", "workload"}
        Name of the format.

    Raises
    ------
    InputError
        If there is no such format.

    Examples
    --------
    >>> import clustersim as cs
    >>> "cluster" in cs.schema("scenario")["properties"]
    True
    """
    if name not in FORMATS:
        raise InputError("schema", unknown_name("format", name, FORMATS))
    tree: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **FORMATS[name].model_json_schema(),
    }
    if name in ("study", "plan"):
        _add_quick(tree)
    if name in EXTENDING:
        _add_extends(tree, name)
    names = {"MetricName": metric_schema(), "PlotKindName": plot_kind_schema()}
    for shared, alternatives in names.items():
        if _refer(tree, shared, alternatives):
            tree["$defs"][shared] = alternatives
    return tree


def _refer(node: Any, name: str, alternatives: dict[str, Any]) -> int:
    """Replace each copy of `alternatives` by a reference, and return the number of copies."""
    found = 0
    if isinstance(node, dict):
        if node.get("anyOf") == alternatives["anyOf"]:
            del node["anyOf"]
            node["$ref"] = f"#/$defs/{name}"
            found = 1
        parts: Iterable[Any] = node.values()
    else:
        parts = node if isinstance(node, list) else ()
    return found + sum(_refer(part, name, alternatives) for part in parts)


def _add_extends(tree: dict[str, Any], name: str) -> None:
    """Add the key `extends`; a file that has it may omit the required keys."""
    tree["properties"]["extends"] = {
        "type": "string",
        "description": f"a {name} file that provides the keys which this file omits",
    }
    required: list[str] = tree.pop("required")
    tree["anyOf"] = [{"required": required}, {"required": ["extends"]}]
    if name == "scenario":  # a fleet stands for the cluster
        instead = ["fleet" if key == "cluster" else key for key in required]
        tree["anyOf"].insert(1, {"required": instead})


def _add_quick(tree: dict[str, Any]) -> None:
    """Add the key `quick`, which changes fields or parts of fields to make a small version.

    The changes are merged into the fields, so no key is required in them.
    """
    definitions = tree["$defs"]
    parts = {f"Quick{name}": _part(node) for name, node in definitions.items()}
    tree["properties"]["quick"] = {
        "type": "object",
        "description": "changes that make a small version, for `--quick`",
        "properties": _part(dict(tree["properties"])),
        "additionalProperties": False,
    }
    definitions.update(parts)


def _part(node: Any) -> Any:
    """Return a copy of a schema in which no key is required."""
    if isinstance(node, list):
        return [_part(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _part(value) for key, value in node.items() if not _requires(key, value)}
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/$defs/", "#/$defs/Quick")
    return kept


def _requires(key: str, value: Any) -> bool:
    """Return whether a key is the JSON Schema keyword `required` rather than a field name."""
    return key == "required" and isinstance(value, list)
