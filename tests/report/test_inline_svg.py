"""Pictures within a page: own ids, own style, nothing from outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from clustersim.errors import InputError
from clustersim.report.inline_svg import inline_svg
from tests.report.sample_page import curves

OPEN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 36">'


def test_picture_of_matplotlib_keeps_its_references_under_its_own_key():
    source = curves("utilisation", "share")
    text = inline_svg(source, key="figure-1", label="Use")
    root = ElementTree.fromstring(text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("figure-1") for name in ids)
    links = [element.get("href") for element in root.iter() if element.get("href")]
    clips = re.findall(r"url\(#([^)]+)\)", text)
    assert links
    assert clips
    assert {*clips, *(link[1:] for link in links)} <= set(ids)
    assert len(list(root.iter("path"))) == source.count("<path")
    assert not list(root.iter("metadata"))
    assert "http" not in text


def test_style_sheet_is_nested_and_size_follows_the_page():
    text = inline_svg(
        f'{OPEN}<style>*{{fill: url("#g")}}</style><g id="g"/></svg>',
        key="k",
        label='a "b"',
        described_by="d",
    )
    root = ElementTree.fromstring(text)
    assert root.find("style").text == "#k { *{fill: url(#k-g)} }"
    assert root.find("g").get("id") == "k-g"
    assert root.attrib == {
        "viewBox": "0 0 72 36",
        "id": "k",
        "role": "img",
        "aria-label": 'a "b"',
        "aria-describedby": "d",
        "style": "max-width: 96px",
    }


def test_embedded_pixels_stay():
    text = inline_svg(f'{OPEN}<image href="data:image/png;base64,AA=="/></svg>', key="k", label="")
    assert 'href="data:image/png;base64,AA=="' in text


@pytest.mark.parametrize(
    ("svg", "told"),
    [
        ("no picture", "is not an SVG picture: syntax error"),
        ("<html/>", "is not an SVG picture but <html>"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "without a viewBox"),
        (f"{OPEN}<script/></svg>", "contains a <script>"),
        (f"{OPEN}<foreignObject/></svg>", "contains a <foreignObject>"),
        (f'{OPEN}<g onclick="x()"/></svg>', "contains a script, onclick='x\\(\\)'"),
        (f'{OPEN}<a href="http://x.org/"/></svg>', "refers to 'http://x.org/', outside"),
        (f'{OPEN}<a href="javascript:x()"/></svg>', "refers to 'javascript:x"),
        (f'{OPEN}<g style="fill: url(http://x.org/a)"/></svg>', "refers to 'url\\(http://x"),
        (f'{OPEN}<style>@import "a.css";</style></svg>', "contains an @import"),
    ],
)
def test_pictures_that_a_page_cannot_hold(svg, told):
    with pytest.raises(InputError, match=f"^figure-1: .*{told}"):
        inline_svg(svg, key="figure-1", label="")
