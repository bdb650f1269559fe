"""What is on the page of a briefing, as texts and figures."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.briefing.answer import BriefingAnswer
from clustersim.report.of_briefing.headlines import briefing_caveats, headlines
from clustersim.report.of_briefing.option_table import case_rows, option_rows
from clustersim.report.of_briefing.pictures import Drawn, briefing_pictures
from clustersim.version import __version__

__all__ = ["Content", "content_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Content:
    """The parts of the page, in their order.

    Attributes
    ----------
    title, subtitle : str
    headlines : tuple of str
    figures : tuple of Drawn
    headings : tuple of str
    rows : list of tuple of str
    case_headings : tuple of str
    case_rows : list of tuple of str
    caveats : tuple of str
    made_with : str
    """

    title: str
    subtitle: str
    headlines: tuple[str, ...]
    figures: tuple[Drawn, ...]
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    case_headings: tuple[str, ...]
    case_rows: list[tuple[str, ...]]
    caveats: tuple[str, ...]
    made_with: str


def content_of(answer: BriefingAnswer) -> Content:
    """Return the parts of the page of a briefing."""
    spec = answer.file.spec
    headings, rows = option_rows(answer)
    case_headings, cases = case_rows(answer)
    subtitle = f"{answer.file.path.name}, facts as of {spec.facts}"
    return Content(
        title=spec.title,
        subtitle=subtitle + (": a quick version, not for decisions" if answer.quick else ""),
        headlines=headlines(answer),
        figures=briefing_pictures(answer),
        headings=headings,
        rows=rows,
        case_headings=case_headings,
        case_rows=cases,
        caveats=briefing_caveats(answer),
        made_with=f"clustersim {__version__}: clustersim briefing {answer.file.path.name}",
    )
