"""A briefing as a PDF of one A4 page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.fonts import FontFace, TTFFont

from clustersim.outputs import replacing
from clustersim.plots.style import style
from clustersim.report.of_briefing.content import Content
from clustersim.report.of_briefing.pictures import Drawn

__all__ = ["write_pdf"]

MARGIN, GAP = 10.0, 4.0
"""Millimetres."""
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
"""Factors on all sizes of type and figures, which are tried until the page is full but not two."""
_MUTED = (92, 100, 109)
_FAMILY = "DejaVu"


def write_pdf(content: Content, path: Path) -> None:
    """Write a briefing as a PDF; the same content gives the same bytes.

    The type becomes smaller until all is on one page; if the smallest is too large, there are more
    pages.
    """
    for scale in SCALES:
        pdf = _pages(content, scale)
        made, one = bytes(pdf.output()), pdf.page_no() == 1
        # The library leaves the files of the fonts open.
        for font in pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()
        if one:
            break
    with replacing(path) as draft:
        draft.write_bytes(made)


def _pages(content: Content, scale: float) -> FPDF:
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(1970, 1, 1, tzinfo=UTC))
    pdf.set_title(content.title)
    pdf.set_margin(MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf.add_font(_FAMILY, "", fonts / "DejaVuSans.ttf")
    pdf.add_font(_FAMILY, "B", fonts / "DejaVuSans-Bold.ttf")
    pdf.add_page()
    _line(pdf, content.title, 13 * scale, bold=True)
    _line(pdf, content.subtitle, 7 * scale, muted=True)
    pdf.ln(1.5 * scale)
    for number, sentence in enumerate(content.headlines, 1):
        _line(pdf, f"{number}. {sentence}", 8 * scale, bold=number == 1)
        pdf.ln(0.7 * scale)
    pdf.ln(1.0 * scale)
    for pair in (content.figures[:2], content.figures[2:]):
        _figures(pdf, pair, scale)
    _table(pdf, content.headings, content.rows, 6.2 * scale)
    pdf.ln(1.5 * scale)
    _table(pdf, content.case_headings, content.case_rows, 6.2 * scale, width=0.6 * pdf.epw)
    pdf.ln(1.5 * scale)
    for text in (*content.caveats, content.made_with):
        _line(pdf, f"· {text}", 6 * scale, muted=True)
    return pdf


def _line(pdf: FPDF, text: str, size: float, *, bold: bool = False, muted: bool = False) -> None:
    pdf.set_font(_FAMILY, "B" if bold else "", size)
    pdf.set_text_color(*(_MUTED if muted else (0, 0, 0)))
    pdf.multi_cell(0, size * 0.46, text, align="L", new_x="LMARGIN", new_y="NEXT")


def _figures(pdf: FPDF, pair: Sequence[Drawn], scale: float) -> None:
    width = (pdf.epw - GAP) / 2
    top, bottom = pdf.get_y(), 0.0
    for number, drawn in enumerate(pair):
        left = MARGIN + number * (width + GAP)
        pdf.set_xy(left, top)
        pdf.set_font(_FAMILY, "B", 7.5 * scale)
        pdf.set_text_color(0, 0, 0)
        pdf.multi_cell(width, 3.6 * scale, drawn.title, align="L")
        shown = width * scale
        inches_wide, inches_high = drawn.picture.get_size_inches()
        height = shown * inches_high / inches_wide
        pdf.image(_png(drawn), x=left, y=pdf.get_y(), w=shown, h=height)
        pdf.set_xy(left, pdf.get_y() + height)
        pdf.set_font(_FAMILY, "", 6 * scale)
        pdf.set_text_color(*_MUTED)
        pdf.multi_cell(width, 2.8 * scale, drawn.caption, align="L")
        bottom = max(bottom, pdf.get_y())
    pdf.set_xy(MARGIN, bottom + 1.5 * scale)


def _png(drawn: Drawn) -> BytesIO:
    data = BytesIO()
    with style():
        drawn.picture.savefig(data, format="png", dpi=220, metadata={"Software": None})
    data.seek(0)
    return data


def _table(
    pdf: FPDF,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    size: float,
    *,
    width: float | None = None,
) -> None:
    pdf.set_font(_FAMILY, "", size)
    pdf.set_text_color(0, 0, 0)
    pdf.set_draw_color(200, 205, 210)
    with pdf.table(
        borders_layout="HORIZONTAL_LINES",
        col_widths=_widths(headings, rows),
        headings_style=FontFace(emphasis="BOLD"),
        line_height=size * 0.46,
        padding=(0.5, 0.8),
        text_align="LEFT",
        width=width,
        align="LEFT",
    ) as table:
        for number, cells in enumerate((headings, *rows)):
            row = table.row(style=FontFace(emphasis="BOLD") if number == 1 else None)
            for cell in cells:
                row.cell(cell)


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return widths in proportion to the texts, between those of 9 and 30 characters."""
    longest = (
        max(2.0 * max(len(word) for word in heading.split()), *(len(row[k]) for row in rows))
        for k, heading in enumerate(headings)
    )
    return tuple(float(min(30, max(9, each))) for each in longest)
