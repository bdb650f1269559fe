"""The files of a briefing: HTML, PDF, tables and figures."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clustersim.briefing.answer import BriefingAnswer
from clustersim.json_values import rounded_rows
from clustersim.outputs import replacing, write_data, write_table
from clustersim.plots.style import save_figure, svg_text
from clustersim.report.of_briefing.content import Content, content_of
from clustersim.report.of_briefing.option_table import option_table
from clustersim.report.of_briefing.pdf import write_pdf
from clustersim.report.of_outlook.tables import case_table, month_table

__all__ = ["briefing_data", "write_briefing"]


def briefing_data(answer: BriefingAnswer, content: Content) -> dict[str, Any]:
    """Return the content of ``briefing.json``: sentences, and tables in SI units."""
    return {
        "title": content.title,
        "facts": answer.file.spec.facts,
        "headlines": list(content.headlines),
        "options": rounded_rows(option_table(answer)),
        "cases": rounded_rows(case_table(answer.cases)),
        "caveats": list(content.caveats),
        "notes": list(answer.notes),
    }


def write_briefing(answer: BriefingAnswer, folder: str | Path) -> dict[str, Any]:
    """Write a briefing into an existing folder, and return the content of ``briefing.json``.

    The files are ``briefing.html``, ``briefing.pdf``, ``briefing.json``, the tables ``options``,
    ``cases``, ``months``, ``days`` and ``frontier`` as CSV (SI units), and the four figures.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    folder = Path(folder)
    content = content_of(answer)
    write_table(option_table(answer), folder / "options.csv")
    write_table(case_table(answer.cases), folder / "cases.csv")
    write_table(month_table(answer.cases), folder / "months.csv")
    write_table(answer.trainings, folder / "days.csv")
    fleet = answer.fleet
    corners = answer.frontier.table(list(fleet.pools), list(fleet.services))
    write_table(corners, folder / "frontier.csv")
    for drawn in content.figures:
        save_figure(drawn.picture, folder / drawn.name)
    with replacing(folder / "briefing.html") as draft:
        draft.write_text(_html(answer, content), encoding="utf-8")
    write_pdf(content, folder / "briefing.pdf")
    data = briefing_data(answer, content)
    write_data(data, folder / "briefing.json")
    return data


def _html(answer: BriefingAnswer, content: Content) -> str:
    environment = Environment(
        loader=PackageLoader("clustersim.report", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    css, _, _ = environment.loader.get_source(environment, "briefing.css")  # type: ignore[union-attr]
    figures = [
        {"title": each.title, "caption": each.caption, "source": _data_uri(svg_text(each.picture))}
        for each in content.figures
    ]
    return environment.get_template("briefing.html").render(
        title=content.title,
        subtitle=content.subtitle,
        headlines=content.headlines,
        figures=figures,
        headings=content.headings,
        rows=content.rows,
        case_headings=content.case_headings,
        case_rows=content.case_rows,
        caveats=content.caveats,
        made_with=content.made_with,
        css=Markup(css),
    )


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
