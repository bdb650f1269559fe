"""Fitted coefficients of the serving model, as ``clustersim fit --serving`` writes them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.inference.coefficients import Coefficients, ImageCoefficients
from clustersim.inference.intervals import Spread
from clustersim.inference.parameters import IMAGE_PARAMETERS, PARAMETERS, Parameter

__all__ = [
    "Effects",
    "Labels",
    "ServingCalibration",
    "coefficients_of",
    "default_serving",
    "image_coefficients_of",
    "load_serving",
]

DATA = Path(__file__).parent / "data" / "serving.json"
FORMAT = 1

Labels = Mapping[str, str]
"""Label of a row on each level: engine, chip, source, block."""
Key = tuple[str, str, str]
"""Parameter, level and label of an effect; level and label are empty for the base."""


@dataclass(frozen=True)
class Effects:
    """Offsets of the logarithms of coefficients.

    Attributes
    ----------
    offsets : mapping of (str, str, str) to float
        Offset by parameter, level and label. An effect that is not listed is 0.
    """

    offsets: Mapping[Key, float] = field(default_factory=dict)

    def values(
        self, parameters: Sequence[Parameter], labels: Sequence[Labels], *, new: bool = True
    ) -> list[Floats]:
        """Return the value of each parameter for rows with the given labels.

        Parameters
        ----------
        parameters : sequence of Parameter
        labels : sequence of Labels
        new : bool
            Whether the rows are of a new source, whose effects are unknown.
        """
        found = []
        for parameter in parameters:
            base = self.offsets.get((parameter.name, "", ""), 0.0)
            levels = [
                level for level in parameter.effects if not (new and level in ("source", "block"))
            ]
            total = [
                base
                + sum(
                    self.offsets.get((parameter.name, level, row.get(level, "")), 0.0)
                    for level in levels
                )
                for row in labels
            ]
            found.append(parameter.natural(np.array(total, dtype=np.float64)))
        return found


@dataclass(frozen=True)
class ServingCalibration:
    """Coefficients of language models and of images, and the spread of their errors.

    Attributes
    ----------
    language, images : Effects
    spread : Spread
    facts : mapping
        What was fitted: rows, sources, errors of left-out sources.

    Examples
    --------
    >>> from clustersim.inference.calibration import default_serving
    >>> default_serving().facts["sources"] > 10
    True
    """

    language: Effects
    images: Effects
    spread: Spread
    facts: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the content of the file."""
        parts = {
            name: [
                {"parameter": key[0], "level": key[1], "label": key[2], "offset": round(value, 5)}
                for key, value in sorted(effects.offsets.items())
            ]
            for name, effects in (("language", self.language), ("images", self.images))
        }
        content = {"format": FORMAT, **parts, "spread": self.spread.data(), "facts": {**self.facts}}
        lines = json.dumps(content, indent=1, ensure_ascii=False)
        return f"{lines}\n"


def coefficients_of(
    effects: Effects, labels: Sequence[Labels], *, new: bool = True
) -> Coefficients:
    """Return the coefficients of language models for rows with the given labels.

    Examples
    --------
    >>> found = coefficients_of(Effects(), [{"engine": "vllm", "chip": "hopper"}])
    >>> found.product.tolist()
    [1.0]
    """
    return Coefficients(*effects.values(PARAMETERS, labels, new=new))


def image_coefficients_of(
    effects: Effects, labels: Sequence[Labels], *, new: bool = True
) -> ImageCoefficients:
    """Return the coefficients of diffusion transformers; see :func:`coefficients_of`."""
    return ImageCoefficients(*effects.values(IMAGE_PARAMETERS, labels, new=new))


def parse_serving(text: str, source: str) -> ServingCalibration:
    """Read the content of a file that ``clustersim fit --serving`` wrote.

    Raises
    ------
    InputError
        If the text is something else.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError("format")
        parts = [
            Effects(
                {
                    (str(one["parameter"]), str(one["level"]), str(one["label"])): float(
                        one["offset"]
                    )
                    for one in content[name]
                }
            )
            for name in ("language", "images")
        ]
        spread = Spread.of(content["spread"])
        return ServingCalibration(parts[0], parts[1], spread, dict(content["facts"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = "is not a calibration that `clustersim fit --serving` wrote"
        raise InputError(source, f"{message} ({type(error).__name__})") from None


def load_serving(path: str | Path) -> ServingCalibration:
    """Read a calibration that ``clustersim fit --serving`` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or is something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise InputError(path, f"cannot be read: {reason}") from None
    return parse_serving(text, str(path))


@functools.cache
def default_serving() -> ServingCalibration:
    """Return the calibration that was fitted to the project's own rows."""
    return parse_serving(DATA.read_text(encoding="utf-8"), DATA.name)
