"""The file formats as JSON Schemas."""

from __future__ import annotations

from typing import Any

from clustersim.catalogue import CatalogueFile
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.simulation.scenario import Scenario
from clustersim.topology import ClusterSpec
from clustersim.workload import WorkloadSpec

__all__ = ["FORMATS", "schema"]

FORMATS: dict[str, type[FileModel]] = {
    "scenario": Scenario,
    "topology": ClusterSpec,
    "catalogue": CatalogueFile,
    "workload": WorkloadSpec,
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a file format.

    Parameters
    ----------
    name : {"scenario", "topology", "catalogue", "workload"}
        Which format.

    Raises
    ------
    InputError
        If there is no such format.
    """
    if name not in FORMATS:
        raise InputError("schema", unknown_name("format", name, FORMATS))
    tree: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **FORMATS[name].model_json_schema(),
    }
    if name == "scenario":
        tree["properties"]["extends"] = {
            "type": "string",
            "description": "a scenario file to take from what this one does not say",
        }
    return tree
