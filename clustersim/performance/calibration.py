"""A calibration: the fitted effects, how sure they are, and on what they were fitted."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.brief import Brief
from clustersim.errors import InputError
from clustersim.notes import note
from clustersim.performance.coefficient_draw import CoefficientDraw, Key
from clustersim.performance.parameters import LEVELS, PARAMETERS
from clustersim.shipped import find_file
from clustersim.source_code import this_code
from clustersim.units import format_percent

__all__ = ["Calibration", "default_calibration", "default_draw", "load_calibration"]

Array = NDArray[np.float64]

FORMAT = 2
CHECKSUM = "checksum"
MODEL = ("calibration", "catalogue", "network", "performance")
"""Folders of the modules that give the coefficients their meaning."""
SPREADS = {parameter.name: parameter.spread for parameter in PARAMETERS}


@dataclass(frozen=True, repr=False)
class Calibration(Brief):
    """The posterior of the effects, and the scatter of measurements about it.

    In units of its prior spread each effect has a posterior mean `mean`; the covariance is
    ``I - V diag(1 - 1 / (1 + s)) V'`` for the eigenvalues `strength` s and eigenvectors `basis` V
    of what the measurements tell (Gauss-Newton: ``J'J`` of the weighted residuals).

    Attributes
    ----------
    keys : tuple of Key
        Parameter, level and label of each of the K effects.
    mean : array, shape (K,)
    centre : array, shape (K,)
        About what draws are made.  A step time is convex in many effects, so that draws about
        the mean would be too slow on average; about the centre they are not.
    strength : array, shape (R,)
    basis : array, shape (K, R)
    scatter : mapping of str to float
        Scatter of a measurement about the model (standard deviation of the logarithm) by
        product; ``"NeMo mixture"`` for its mixtures of experts, ``""`` for any other.
    reach : float
        Half width of a 90 % interval in standard deviations, as left-out rows need it.
    widening : float
        Factor on the posterior's spread: how much more the residuals scatter than was stated.
    facts : mapping
        On what it was fitted, and its errors (for provenance; JSON values).
    """

    keys: tuple[Key, ...]
    mean: Array
    centre: Array
    strength: Array
    basis: Array
    scatter: Mapping[str, float]
    reach: float
    widening: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        facts = self.facts
        error = facts.get("across_families", {}).get("median")
        return "Calibration", {
            "effects": f"{len(self.keys):,}",
            "measurements": f"{facts['rows']:,}" if "rows" in facts else "",
            "sources": f"{facts['families']:,}" if "families" in facts else "",
            "median error on sources left out": "" if error is None else format_percent(error),
        }

    @property
    def spreads(self) -> Array:
        """Prior standard deviation of each effect, shape (K,)."""
        return np.array([SPREADS[name][level] for name, level, _ in self.keys])

    def mean_draw(self) -> CoefficientDraw:
        """Return the posterior mean."""
        effects = self.spreads * self.mean
        return CoefficientDraw(dict(zip(self.keys, effects.tolist(), strict=True)))

    @property
    def stacks(self) -> list[str]:
        """Names of the products and releases that were measured."""
        return list(
            dict.fromkeys(label for _, level, label in self.keys if level in ("product", "release"))
        )

    def draw(self, draws: int = 0, seed: int = 0) -> CoefficientDraw:
        """Draw consistent coefficients from the posterior.

        Parameters
        ----------
        draws : int
            Number of draws held side by side; 0 for one, whose coefficients have no axis of draws.
        seed : int
            The same seed gives the same draws.
        """
        generator = np.random.default_rng(np.random.SeedSequence([seed, draws]))
        normal = generator.standard_normal((len(self.keys), draws or 1))
        shrink = 1.0 - 1.0 / np.sqrt(1.0 + self.strength)
        normal -= self.basis @ (shrink[:, None] * (self.basis.T @ normal))
        values = self.spreads[:, None] * (self.centre[:, None] + self.widening * normal)
        effects = values if draws else values[:, 0].tolist()
        return CoefficientDraw(dict(zip(self.keys, effects, strict=True)), draws=draws, seed=seed)

    def standard_errors(self) -> Array:
        """Posterior standard deviation of each effect on the unbounded scale, shape (K,)."""
        told = 1.0 - 1.0 / (1.0 + self.strength)
        return self.spreads * np.sqrt(np.maximum(1.0 - (self.basis**2) @ told, 0.0))

    def scatter_of(self, kinds: Sequence[str]) -> Array:
        """Scatter of measurements of these products, shape (len(kinds),)."""
        return np.array([self.scatter.get(kind, self.scatter[""]) for kind in kinds])

    def to_json(self) -> str:
        """Serialise; the matrix goes as single precision in base 64.

        The last field is a checksum of the others (:func:`checksum`).
        """
        content = {
            "format": FORMAT,
            "facts": dict(self.facts),
            "scatter": dict(self.scatter),
            "reach": self.reach,
            "widening": self.widening,
            "effects": [
                [*key, round(float(value), 6), round(float(centre), 6)]
                for key, value, centre in zip(self.keys, self.mean, self.centre, strict=True)
            ],
            "strength": [float(f"{value:.6g}") for value in self.strength],
            "basis": base64.b64encode(self.basis.astype("<f4").tobytes()).decode("ascii"),
        }
        content[CHECKSUM] = checksum(content)
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a calibration's file says, whatever its layout.

    Examples
    --------
    >>> checksum({"reach": 1.7, "widening": 1.0})[:16]
    '7c92f5b8785232e8'
    >>> checksum({"widening": 1.0, "checksum": "", "reach": 1.7})[:16]
    '7c92f5b8785232e8'
    """
    told = {name: value for name, value in content.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration that ``clustersim fit`` has written.

    A note says where it was fitted by another version of the performance model, or has no
    checksum, so that damage would not be seen.

    Raises
    ------
    InputError
        Where the file cannot be read, or is none or of another version, or is not as it was
        written: its checksum is another one.
    """
    place = find_file(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(str(place), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        told = "is damaged or no calibration: it is not UTF-8; run `clustersim fit` again"
        raise InputError(str(place), told) from None
    calibration = _parse(text, str(place))
    if json.loads(text).get(CHECKSUM) is None:
        note(
            f"{path} has no checksum: an earlier version wrote it, or it was edited by hand. Its "
            "numbers are used as they are; `clustersim fit` writes one that is checked."
        )
    fitted_by = calibration.facts.get("code")
    if fitted_by not in (None, this_code().modules_hash(*MODEL)):
        note(
            f"{path} was fitted by other code (the performance model was changed since, or the fit "
            "was made by another version); its coefficients are used as they are. Run "
            "`clustersim fit` again for coefficients of this code."
        )
    return calibration


def _parse(text: str, source: str) -> Calibration:
    try:
        content = json.loads(text)
        effects = content["effects"]
        keys = tuple((str(name), str(level), str(label)) for name, level, label, _, _ in effects)
        strength = np.array(content["strength"], dtype=np.float64)
        raw = np.frombuffer(base64.b64decode(content["basis"]), dtype="<f4")
        calibration = Calibration(
            keys=keys,
            mean=np.array([effect[3] for effect in effects], dtype=np.float64),
            centre=np.array([effect[4] for effect in effects], dtype=np.float64),
            strength=strength,
            basis=raw.astype(np.float64).reshape(len(keys), strength.size),
            scatter={str(name): float(value) for name, value in content["scatter"].items()},
            reach=float(content["reach"]),
            widening=float(content["widening"]),
            facts=dict(content["facts"]),
        )
        known = all(name in SPREADS and level in LEVELS for name, level, _ in keys)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        message = f"is no calibration as `clustersim fit` writes it ({type(error).__name__})"
        raise InputError(source, message) from None
    if content.get("format") != FORMAT or not known:
        raise InputError(
            source, "was written by another version of clustersim; run `clustersim fit` again"
        )
    told = content.get(CHECKSUM)
    if told is not None and told != checksum(content):
        raise InputError(
            source,
            "was changed or damaged since it was written: its checksum is another one; run "
            "`clustersim fit` again. If it was edited on purpose, take its field `checksum` out: "
            "it is then used with a note",
        )
    return calibration


@functools.cache
def default_calibration() -> Calibration:
    """Return the calibration on the project's own table of measurements."""
    data = resources.files("clustersim.performance") / "data" / "calibration.json"
    return _parse(data.read_text(encoding="utf-8"), "calibration.json")


@functools.cache
def default_draw() -> CoefficientDraw:
    """Return the posterior mean of the default calibration."""
    return default_calibration().mean_draw()
