"""Embed matplotlib pictures in an HTML page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from clustersim.errors import InputError

__all__ = ["inline_svg"]

_REFERENCE = re.compile(r"""url\(\s*(["']?)(#?)([^)"']*)\1\s*\)""")
_POINT_PX = 4 / 3
"""CSS pixels per point."""


def inline_svg(svg: str, *, key: str, label: str, described_by: str = "") -> str:
    """Convert an SVG file for embedding in an HTML page with other such pictures.

    matplotlib uses the same ids in every figure, and its style sheet would apply to the whole
    page.  Therefore ids and references get the prefix `key`, and the style sheet is nested under
    the picture's id.  Metadata is removed.  The size follows the page, up to the width that the
    figure was drawn for.

    Parameters
    ----------
    svg : str
        An SVG file with a ``viewBox`` in points.
    key : str
        The id of the picture, unique in the page.
    label : str
        Text alternative for readers who cannot see the picture.
    described_by : str
        The id of the page element that describes the picture.

    Raises
    ------
    InputError
        If it is not an SVG, runs a script, or refers to anything outside itself.
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
    """Remove the namespaces of an element (HTML has none) and prefix its ids with `key`."""
    element.tag = _local(element.tag)
    if element.tag in ("script", "foreignObject"):
        raise InputError(key, f"contains a <{element.tag}>, which is not allowed in a page")
    attributes = {_local(name): value for name, value in element.attrib.items()}
    element.attrib.clear()
    for name, value in attributes.items():
        if name.startswith("on"):
            raise InputError(key, f"contains a script, {name}={value!r}")
        element.set(name, _own_references(name, value, key))
    if element.tag == "style":
        rules = element.text or ""
        if "@import" in rules:
            raise InputError(key, "contains an @import of a style sheet outside the page")
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
    raise InputError(key, f"refers to {value!r}, outside the page")


def _own_urls(value: str, key: str) -> str:
    def own(match: re.Match[str]) -> str:
        if not match[2]:
            raise InputError(key, f"refers to {match[0]!r}, outside the page")
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
