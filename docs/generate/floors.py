"""The figure of the layers, drawn from the import contract in pyproject.toml.

``python docs/generate/floors.py`` writes it to docs/floors.svg.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["layers", "picture"]

ROOT = Path(__file__).resolve().parents[2]
WIDTH, ROW, BOX, GAP, LETTER = 900, 46, 32, 10, 7.6
PER_LINE = 6


def layers(pyproject: str) -> list[list[str]]:
    """Return the packages of each layer, highest first.

    Parameters
    ----------
    pyproject : str
        Text of pyproject.toml.
    """
    contracts = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    # Parentheses mark an optional layer.
    return [re.split(r"\s*[|:]\s*", re.sub("[()]", "", layer)) for layer in found]


def picture(levels: list[list[str]]) -> str:
    """Draw the layers as an SVG, the highest at the top."""
    body: list[str] = []
    top = GAP
    for number, names in enumerate(levels):
        lines = [names[k : k + PER_LINE] for k in range(0, len(names), PER_LINE)]
        height = ROW * len(lines)
        shade = "#eef2f7" if number % 2 else "#f8fafc"
        body.append(f'<rect x="0" y="{top}" width="{WIDTH}" height="{height}" fill="{shade}"/>')
        for k, line in enumerate(lines):
            body += _boxes(line, top + k * ROW + (ROW - BOX) / 2)
        top += height
    arrow = f'<path d="M20 {GAP + 8} V{top - 14} m-6 -8 l6 8 l6 -8" fill="none" stroke="#475569"/>'
    turn = f"translate(38 {top / 2:g}) rotate(-90)"
    label = f'<text transform="{turn}" text-anchor="middle">imports</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + GAP}" '
            'font-family="sans-serif" font-size="14" role="img">',
            "<title>Packages by layer; each imports from lower layers only</title>",
            f'<rect width="{WIDTH}" height="{top + GAP}" fill="#ffffff"/>',
            *body,
            arrow,
            label,
            "</svg>\n",
        ]
    )


def _boxes(names: list[str], top: float) -> list[str]:
    """Return a centred row of boxes with names."""
    widths = [len(name) * LETTER + 24 for name in names]
    left = (WIDTH - sum(widths) - GAP * (len(names) - 1)) / 2
    drawn = []
    for name, width in zip(names, widths, strict=True):
        drawn.append(
            f'<rect x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{BOX}" rx="6" '
            'fill="#ffffff" stroke="#94a3b8"/>'
        )
        drawn.append(
            f'<text x="{left + width / 2:.1f}" y="{top + 21:g}" text-anchor="middle">{name}</text>'
        )
        left += width + GAP
    return drawn


if __name__ == "__main__":
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (ROOT / "docs" / "floors.svg").write_text(picture(layers(text)), encoding="utf-8")
