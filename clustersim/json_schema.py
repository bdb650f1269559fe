"""Look-up of places in the JSON Schema of a file format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file format, with the alternatives that its JSON Schema allows there."""

    definitions: Mapping[str, Any]
    nodes: Sequence[Mapping[str, Any]]

    @classmethod
    def top(cls, model: type[BaseModel]) -> Place:
        """Return the top level of a format."""
        schema = _schema(model)
        return cls(schema.get("$defs", {}), [schema])

    @property
    def fields(self) -> list[str]:
        """Names of the keys that the format defines here."""
        names: dict[str, None] = {}
        for node in self._alternatives():
            names |= dict.fromkeys(node.get("properties", {}))
            names |= dict.fromkeys(node.get("propertyNames", {}).get("enum", ()))
        return list(names)

    def at(self, field: str) -> Place:
        """Return the place of the value under the key `field`."""
        below = (node.get("properties", {}).get(field) for node in self._alternatives())
        found = [node for node in below if node is not None]
        return Place(self.definitions, found) if found else self.of_names

    @property
    def of_names(self) -> Place:
        """Place of the value under a key that the user chooses."""
        found = []
        for node in self._alternatives():
            below = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
            found += [child for child in below if isinstance(child, dict)]
        return Place(self.definitions, found)

    @property
    def of_elements(self) -> Place:
        """Place of the elements of a list."""
        items = (node.get("items") for node in self._alternatives())
        return Place(self.definitions, [node for node in items if isinstance(node, dict)])

    def follow(self, location: Sequence[str | int]) -> Place:
        """Return the place to which the location of a pydantic error leads.

        A location consists of keys, list indices, and tags of unions, which select an alternative.
        Other elements, such as the name of a validator, are skipped.
        """
        place = self
        for part in location:
            below = place.of_elements if isinstance(part, int) else place.at(part)
            place = below if below.nodes else place._tagged(part) or place
        return place

    def _tagged(self, tag: str | int) -> Place | None:
        tagged = [
            node
            for node in self._alternatives()
            if any(field.get("const") == tag for field in node.get("properties", {}).values())
        ]
        return Place(self.definitions, tagged) if tagged else None

    def _alternatives(self) -> Iterator[Mapping[str, Any]]:
        waiting = list(self.nodes)
        while waiting:
            node = waiting.pop(0)
            if "$ref" in node:
                waiting.insert(0, self.definitions[node["$ref"].rsplit("/", 1)[1]])
                continue
            yield node
            for kind in ("anyOf", "oneOf", "allOf"):
                waiting += node.get(kind, ())


@lru_cache(maxsize=8)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()
