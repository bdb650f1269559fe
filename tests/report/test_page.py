"""The page of a report: whole HTML, nothing from outside, nothing unescaped, the same bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.report.page import (
    Answer,
    Figure,
    Listing,
    Page,
    Section,
    Table,
    answer_text,
    render_page,
    write_page,
)
from tests.report.sample_page import curves, sample_page

VOID = {"meta", "link", "wbr", "input", "br", "img"}
HOSTILE = "<script>alert('x')</script> & \"quoted\" <b>"
REFERENCES = ("href", "src", "action", "srcset", "data", "poster", "xlink:href")


class Document(HTMLParser):
    """Elements, text and scripts of a page; fails at a tag that is not closed where it should."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open or tag in VOID, f"<{tag}/> is not closed in HTML"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(sample_page())


@pytest.fixture(scope="module")
def document(html) -> Document:
    return Document(html)


def page_of(*parts) -> Page:
    return Page("A title", "A question?", ["A finding."], [Section("A section", parts)])


def test_structure(html, document):
    assert html.startswith("<!DOCTYPE html>\n")
    assert document.text["title"] == ["What a fleet of 2,048 H100 can carry"]
    counts = Counter(tag for tag, _ in document.elements)
    assert counts["h1"] == counts["main"] == counts["nav"] == 1
    assert counts["h2"] == 3
    assert counts["img"] == 2
    assert counts["table"] == 3
    assert counts["details"] == 2
    assert counts["tbody"] == 3


def test_ids_are_unique_and_references_reach_one(html, document):
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) == 21
    linked = [a["href"] for _, a in document.elements if a.get("href", "").startswith("#")]
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            linked += [f"#{attributes[name]}"] if name in attributes else []
    assert {link[1:] for link in linked} <= set(ids)


def test_nothing_is_loaded_from_outside(html, document):
    for _, attributes in document.elements:
        for name in REFERENCES:
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")) or value in ("points.csv", "runs.csv")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)


def test_policy_allows_this_script_alone(document):
    (script,) = document.text["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (
        meta["content"]
        for meta in document.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_hostile_texts_are_shown_not_run():
    frame = pd.DataFrame({HOSTILE: [HOSTILE], "b": [1.0]})
    table = Table(HOSTILE, frame, HOSTILE, labels={"b": HOSTILE}, file=f"{HOSTILE}.csv")
    parts = [HOSTILE, table, Listing(HOSTILE, HOSTILE), Figure(HOSTILE, curves("utilisation", "$"))]
    page = Page(HOSTILE, HOSTILE, [HOSTILE], [Section(HOSTILE, parts)] * 2, HOSTILE)
    document = Document(render_page(page))
    counts = Counter(tag for tag, _ in document.elements)
    assert counts["script"] == 1
    assert counts["b"] == 0
    for tag in ("h1", "h2", "h3", "p", "li", "td", "summary", "code", "a", "footer", "title"):
        assert any(HOSTILE in text for text in document.text[tag]), tag
    assert {image["alt"] for image in document.all("img")} == {HOSTILE}


def test_the_answer_comes_first_and_is_escaped():
    answer = Answer(HOSTILE, HOSTILE, HOSTILE, HOSTILE, [HOSTILE, "b"], [HOSTILE])
    text = render_page(replace(page_of(HOSTILE), answer=answer))
    document = Document(text)
    assert Counter(tag for tag, _ in document.elements)["script"] == 1
    assert document.text["strong"] == [HOSTILE]
    order = ['class="answer"', "What the answer hinges on", "What to do next", "<nav", "<main"]
    places = [text.index(words) for words in order if words in text]
    assert places == sorted(places)
    assert len(places) == 4  # a page with one section has no table of contents
    bare = Document(render_page(replace(page_of("a"), answer=Answer("Yes."))))
    assert "strong" not in bare.text
    assert "Yes." in bare.text["p"]


def test_notes_follow_the_main_figure_and_the_card_leads_to_them():
    figure = Figure("f", curves("utilisation", "u"))
    page = replace(page_of(figure, "Rest."), answer=Answer("Yes."))
    text = render_page(page)
    order = ['href="#limits"', "<img", 'id="limits"', "Rest."]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    text = render_page(replace(page, sections=[Section("s", ["Rest.", figure])]))
    assert text.index('id="limits"') < text.index("Rest.")


def test_each_value_has_its_label_for_narrow_windows():
    hostile = '</style><script>"\\'
    table = Table("t", pd.DataFrame({"a": [1, 2], hostile: ["x", ""]}))
    text = render_page(page_of(table))
    document = Document(text)
    assert Counter(tag for tag, _ in document.elements)["style"] == 1
    assert '#table-1 td:nth-child(1) { --label: "a"; }' in text
    (label,) = re.findall(r'td:nth-child\(2\) { --label: "([^"]*)"; }', text)
    unescaped = re.sub(r"\\([0-9a-f]+) ", lambda code: chr(int(code[1], 16)), label)
    assert unescaped == hostile
    assert [cell.get("class") for cell in document.all("td")] == ["number", None, "number", "none"]


def test_print_spreads_wide_tables_and_leaves_out_what_the_folder_has():
    wide = pd.DataFrame({f"a long name {k}": ["12.5 min (11 to 14)"] for k in range(8)})
    for count, spread in ((8, True), (4, False)):
        text = render_page(page_of(Table("t", wide.iloc[:, :count])))
        assert ('class="rows spread"' in text) == spread
    text = render_page(page_of(Table("t", wide, printed=False), Listing("l", "t", printed=False)))
    assert '<figure id="table-1" class="screen">' in text
    assert '<details id="listing-1" class="screen">' in text


def test_an_answer_as_text():
    answer = Answer("Yes.", "load", "0.9", "0.8 to 1.0", ["policy"], ["more runs"])
    assert answer_text(answer) == [
        "Answer: Yes.",
        "  load: 0.9 (0.8 to 1.0)",
        "  hinges on: policy",
        "  next: more runs",
    ]
    assert answer_text(Answer("No.")) == ["Answer: No."]


def test_pictures_are_reported_of_and_fit_the_page(document):
    first, second = document.all("img")
    assert (first["alt"], second["alt"]) == ("Mean wait against load", "Utilisation")
    assert first["aria-describedby"] == "figure-1-caption"
    assert "aria-describedby" not in second
    kind, _, data = first["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == curves("mean_wait_s", "mean wait (s)")


def test_short_table_has_no_filter_and_long_one_says_where_the_rest_is():
    short = Document(render_page(page_of(Table("t", pd.DataFrame({"a": np.arange(25)})))))
    assert short.all("input") == []
    assert [row["class"] for row in short.all("div")] == ["rows"]
    frame = pd.DataFrame({"a": np.arange(1500)})
    cut = Document(render_page(page_of(Table("t", frame, most_rows=40, file="all rows.csv"))))
    assert len(cut.all("input")) == 1
    assert [row["class"] for row in cut.all("div")] == ["rows long"]
    assert len(cut.all("td")) == 40
    assert "The first 40 of 1,500 rows; all are in " in cut.text["p"]
    assert [link["href"] for link in cut.all("a")] == ["all%20rows.csv"]


def test_values_stand_behind_texts():
    frame = pd.DataFrame({"wait_s": [738.0, np.inf, -np.inf, np.nan], "note": ["", "x", "y", None]})
    cells = Document(render_page(page_of(Table("t", frame)))).all("td")
    keys = [cell.get("data-value") for cell in cells]
    assert keys == ["738.0", None, "Infinity", None, "-Infinity", None, "NaN", "NaN"]


def test_empty_table_and_page_without_sections():
    empty = render_page(page_of(Table("t", pd.DataFrame({"a": [], "note": []}))))
    assert len(Document(empty).all("th")) == 2
    bare = Document(render_page(Page("t", "", [], [])))
    assert bare.all("nav") == bare.all("ul") == bare.all("section") == bare.all("footer") == []


def test_same_page_same_bytes(html, tmp_path):
    first = write_page(sample_page(), tmp_path / "a" / "report.html")
    assert first.read_bytes() == html.encode()
    assert b"\r" not in first.read_bytes()


def test_failed_write_leaves_the_old_page_and_no_litter(tmp_path, monkeypatch):
    path = write_page(page_of("old"), tmp_path / "report.html")
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"report\.html: cannot be written: No space left"):
        write_page(page_of("new"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unprintable_name_does_not_stop_the_report(tmp_path):
    path = write_page(page_of("half a pair \ud800"), tmp_path / "report.html")
    assert "half a pair &#55296;" in path.read_text(encoding="utf-8")
