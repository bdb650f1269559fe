"""Pictures of matplotlib as a part of an HTML page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from clustersim.errors import InputError

__all__ = ["inline_svg"]

_REFERENCE = re.compile(r"""url\(\s*(["']?)(#?)([^)"']*)\1\s*\)""")
_POINT_PX = 4 / 3
"""CSS pixels a point."""


def inline_svg(svg: str, *, key: str, label: str, described_by: str = "") -> str:
    """Make an SVG file a part of an HTML page that holds others like it.

    matplotlib uses the same ids in every figure, and its style sheet would reach the whole
    page: ids and references get `key` before them, the style sheet is nested under the
    picture's own id.  Metadata is left out, and the size follows the page up to the width
    that the figure was drawn for.

    Parameters
    ----------
    svg : str
        An SVG file with a ``viewBox`` in points.
    key : str
        The id of the picture, unique in the page.
    label : str
        What the picture shows, for those who do not see it.
    described_by : str
        The id of the element of the page that tells more.

    Raises
    ------
    InputError
        If it is no SVG, runs a script, or refers to anything outside itself.
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise InputError(key, f"is not an SVG picture: {error}") from None
    if _local(root.tag) != "svg":
        raise InputError(key, f"is not an SVG picture but <{_local(root.tag)}>")
    for child in [child for child in root if _local(child.tag) == "metadata"]:
        root.remove(child)
    for element in root.iter():
        _adapt(element, key)
    _name(root, key, label, described_by)
    root.tail = None
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _adapt(element: ElementTree.Element, key: str) -> None:
    """Take namespaces off an element (HTML has none) and make its ids those of this picture."""
    element.tag = _local(element.tag)
    if element.tag in ("script", "foreignObject"):
        raise InputError(key, f"holds a <{element.tag}>, which a picture of a page may not")
    attributes = {_local(name): value for name, value in element.attrib.items()}
    element.attrib.clear()
    for name, value in attributes.items():
        if name.startswith("on"):
            raise InputError(key, f"holds a script, {name}={value!r}")
        element.set(name, _own_references(name, value, key))
    if element.tag == "style":
        rules = element.text or ""
        if "@import" in rules:
            raise InputError(key, "holds an @import of a style sheet, outside of the page")
        element.text = f"#{key} {{ {_own_urls(rules, key)} }}"


def _own_references(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name != "href":
        return _own_urls(value, key)
    if value.startswith("#"):
        return f"#{key}-{value[1:]}"
    if value.startswith("data:image/"):
        return value
    raise InputError(key, f"refers to {value!r}, outside of the page")


def _own_urls(value: str, key: str) -> str:
    def own(match: re.Match[str]) -> str:
        if not match[2]:
            raise InputError(key, f"refers to {match[0]!r}, outside of the page")
        return f"url(#{key}-{match[3]})"

    return _REFERENCE.sub(own, value)


def _name(root: ElementTree.Element, key: str, label: str, described_by: str) -> None:
    size = root.get("viewBox", "").split()
    if len(size) != 4:
        raise InputError(key, "is an SVG picture without a viewBox")
    for name in ("width", "height", "id"):
        root.attrib.pop(name, None)
    root.set("id", key)
    root.set("role", "img")
    root.set("aria-label", label)
    if described_by:
        root.set("aria-describedby", described_by)
    root.set("style", f"max-width: {float(size[2]) * _POINT_PX:.0f}px")
