"""The picture of a figure for a page that shows its title and its caption as text."""

from __future__ import annotations

import re

from clustersim.plots.figure import StudyFigure
from clustersim.plots.style import svg_text

__all__ = ["page_picture"]

_HEADER = re.compile(
    r'(<svg[^>]*?) width="([\d.]+)pt" height="([\d.]+)pt" viewBox="0 0 ([\d.]+) ([\d.]+)"'
)


def page_picture(figure: StudyFigure, svg: str = "") -> str:
    """Return the SVG text of a figure without its title and caption, which a page shows itself.

    Panels keep their titles, unless the figure has one panel and no title of its own.  The mark of
    a quick version stays in the picture.

    Parameters
    ----------
    figure : StudyFigure
    svg : str
        The text of its SVG file, if this has been written already.

    Examples
    --------
    >>> from clustersim.plots import study_figure
    >>> figure = study_figure(caption="Dots: runs.")
    >>> "viewBox" in page_picture(figure)
    True
    """
    text = svg or svg_text(figure)
    top, bottom = figure.drawn
    header = _HEADER.search(text)
    if header is None or bottom <= top:
        return text
    start, width, high = header[1], header[4], float(header[5])
    height = f"{high * (bottom - top):.2f}"
    shown = (
        f'{start} width="{width}pt" height="{height}pt" '
        f'viewBox="0 {high * top:.2f} {width} {height}"'
    )
    return text[: header.start()] + shown + text[header.end() :]
