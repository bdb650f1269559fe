"""A calibration: the fitted effects, their uncertainty, and the measurements behind them."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.brief import Brief
from clustersim.errors import InputError
from clustersim.notes import note
from clustersim.performance.coefficient_draw import CoefficientDraw, Key, stratified_normals
from clustersim.performance.parameters import LEVELS, PARAMETERS
from clustersim.performance.runs import Runs
from clustersim.performance.scatter import Scatter, contributions_of
from clustersim.shipped import find_file
from clustersim.source_code import this_code
from clustersim.units import format_percent

__all__ = ["Calibration", "default_calibration", "default_draw", "load_calibration"]


FORMAT = 4
CHECKSUM = "checksum"
OTHER_VERSION = "was written by another version of clustersim; run `clustersim fit` again"
MODEL = ("calibration", "catalogue", "network", "performance")
"""Folders of the package whose code determines the meaning of the coefficients."""
_RENAMED = {"reach": "coverage_factor", "widening": "overdispersion"}
"""Attributes of earlier versions, with their current names."""
SPREADS = {parameter.name: parameter.spread for parameter in PARAMETERS}


@dataclass(frozen=True, repr=False)
class Calibration(Brief):
    """The posterior of the effects, and the scatter of measurements around it.

    The posterior mean of the effects, in units of their prior standard deviations, is `mean`. In
    the same units, their posterior covariance is ``I - V diag(1 - 1 / (1 + s)) V'`` for the
    eigenvalues `strength` s and eigenvectors `basis` V of the information in the measurements
    (Gauss-Newton: ``J'J`` of the weighted residuals).

    Attributes
    ----------
    keys : tuple of Key
        Parameter, level and label of each of the K effects.
    mean : array, shape (K,)
    centre : array, shape (K,)
        Centre of the draws. A step time is convex in many effects, so draws around the mean would
        be too slow on average; draws around this centre are not.
    strength : array, shape (R,)
    basis : array, shape (K, R)
    scatter : Scatter
        Scatter of a measurement around the model, by what is known about the job.
    coverage_factor : float
        Half width of a 90 % interval in standard deviations. It is chosen such that the intervals
        cover 90 % of the rows that were left out of a fit.
    overdispersion : float
        Factor on the posterior's spread: the scatter of the residuals divided by the stated
        scatter.
    facts : mapping
        Data and errors of the fit, as JSON values (for provenance).
    runs : Runs
        The measured runs.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> calibration = default_calibration()
    >>> calibration.coverage_factor > 1
    True
    >>> calibration.draw(draws=3, seed=1).draws
    3
    """

    keys: tuple[Key, ...]
    mean: Floats
    centre: Floats
    strength: Floats
    basis: Floats
    scatter: Scatter
    coverage_factor: float
    overdispersion: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    runs: Runs = field(default_factory=Runs)

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        facts = self.facts
        error = facts.get("left_out_publishers", {}).get("all", {}).get("median")
        return "Calibration", {
            "effects": f"{len(self.keys):,}",
            "measurements": f"{facts['rows']:,}" if "rows" in facts else "",
            "publishers": f"{facts['publishers']:,}" if "publishers" in facts else "",
            "median error on left-out publishers": "" if error is None else format_percent(error),
        }

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __getattr__(self, name: str) -> NoReturn:
            if name in _RENAMED:
                raise AttributeError(f"Calibration.{name} is now called {_RENAMED[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def spreads(self) -> Floats:
        """Prior standard deviation of each effect, as an array of shape (K,)."""
        return np.array([SPREADS[name][level] for name, level, _ in self.keys])

    def mean_draw(self) -> CoefficientDraw:
        """Return the posterior mean of the effects.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> len(calibration.mean_draw().effects) == len(calibration.keys)
        True
        """
        effects = self.spreads * self.mean
        return CoefficientDraw(dict(zip(self.keys, effects.tolist(), strict=True)))

    @property
    def stacks(self) -> list[str]:
        """Names of the products and releases with measurements."""
        return list(
            dict.fromkeys(label for _, level, label in self.keys if level in ("product", "release"))
        )

    def draw(self, draws: int = 0, seed: int = 0) -> CoefficientDraw:
        """Draw consistent sets of effects from the posterior.

        Single draws with the seeds 0, 1, 2, ... are stratified: the first 4, 8, 16, ... of them are
        Latin hypercubes (:func:`~clustersim.seeds.nested_uniforms`).

        Parameters
        ----------
        draws : int
            Number of draws; 0 for a single draw whose coefficients have no axis of draws.
        seed : int
            The same seed gives the same draws.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> one, same = calibration.draw(seed=3), calibration.draw(seed=3)
        >>> one.effects == same.effects
        True
        """
        if draws == 0:
            normal = stratified_normals(seed, (), len(self.keys))[:, None]
        else:
            generator = np.random.default_rng(np.random.SeedSequence([seed, draws]))
            normal = generator.standard_normal((len(self.keys), draws))
        shrink = 1.0 - 1.0 / np.sqrt(1.0 + self.strength)
        normal -= self.basis @ (shrink[:, None] * (self.basis.T @ normal))
        values = self.spreads[:, None] * (self.centre[:, None] + self.overdispersion * normal)
        effects = values if draws else values[:, 0].tolist()
        return CoefficientDraw(dict(zip(self.keys, effects, strict=True)), draws=draws, seed=seed)

    def standard_errors(self) -> Floats:
        """Return the posterior standard deviation of each effect on the unbounded scale.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> errors = calibration.standard_errors()
        >>> len(errors) == len(calibration.keys), bool((errors > 0).all())
        (True, True)
        """
        explained = 1.0 - 1.0 / (1.0 + self.strength)
        return self.spreads * np.sqrt(np.maximum(1.0 - (self.basis**2) @ explained, 0.0))

    def half_width(
        self, spread: Floats, labels: Sequence[tuple[str, ...]], mixture: Bools
    ) -> Floats:
        """Return the half width of the 90 % interval of the logarithm of measured step times.

        Parameters
        ----------
        spread : array, shape (R,)
            Standard deviation of the logarithm of each step time according to the posterior.
        labels : sequence of tuple of str
            As returned by :func:`clustersim.performance.labels_of`.
        mixture : array of bool
            Whether each model is a mixture of experts.

        Examples
        --------
        >>> import clustersim as cs
        >>> import numpy as np
        >>> calibration = cs.performance.default_calibration()
        >>> labels = cs.performance.labels_of(cs.load_catalogue().accelerator("H200"), "our own")
        >>> spread, kinds = np.full(2, 0.1), np.array([False, True])
        >>> dense, mixture = calibration.half_width(spread, [labels, labels], kinds)
        >>> bool(mixture > dense)
        True
        """
        weights = contributions_of(self.runs, labels, mixture)
        return self.coverage_factor * self.scatter.deviation(spread, weights)

    def to_json(self) -> str:
        """Serialise to JSON; `basis` is stored in single precision as Base64.

        The last field is a checksum of the other fields (:func:`checksum`).

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> import json
        >>> sorted(json.loads(calibration.to_json()))[:3]
        ['basis', 'checksum', 'coverage_factor']
        """
        content = {
            "format": FORMAT,
            "facts": dict(self.facts),
            "scatter": dict(self.scatter.contributions),
            "spread_factor": self.scatter.spread_factor,
            "mixture_spread_factor": self.scatter.mixture_spread_factor,
            "coverage_factor": self.coverage_factor,
            "overdispersion": self.overdispersion,
            "effects": [
                [*key, round(float(value), 6), round(float(centre), 6)]
                for key, value, centre in zip(self.keys, self.mean, self.centre, strict=True)
            ],
            "strength": [float(f"{value:.6g}") for value in self.strength],
            "basis": base64.b64encode(self.basis.astype("<f4").tobytes()).decode("ascii"),
            "runs": self.runs.to_lists(),
        }
        content[CHECKSUM] = checksum(content)
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content of a calibration file, regardless of its layout.

    Examples
    --------
    >>> checksum({"coverage_factor": 1.7, "overdispersion": 1.0})[:16]
    'e60ce3609f10c8cd'
    >>> checksum({"overdispersion": 1.0, "checksum": "", "coverage_factor": 1.7})[:16]
    'e60ce3609f10c8cd'
    """
    checked = {name: value for name, value in content.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(checked, sort_keys=True).encode()).hexdigest()


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration that ``clustersim fit`` wrote.

    A note is shown if the calibration was fitted by another version of the performance model, or if
    it has no checksum, in which case damage cannot be detected.

    Raises
    ------
    InputError
        If the file cannot be read, is not a calibration, was written by another version, or was
        changed since it was written (its checksum does not match).

    Examples
    --------
    >>> from pathlib import Path
    >>> from clustersim.performance import default_calibration, load_calibration
    >>> Path("calibration.json").write_text(default_calibration().to_json()) > 0
    True
    >>> load_calibration("calibration.json").keys == default_calibration().keys
    True
    """
    place = find_file(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(str(place), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        message = "is damaged or not a calibration: it is not UTF-8; run `clustersim fit` again"
        raise InputError(str(place), message) from None
    calibration = _parse(text, str(place))
    if json.loads(text).get(CHECKSUM) is None:
        note(
            f"{path} has no checksum: it was edited by hand. Its numbers are used without a check; "
            "`clustersim fit` writes a calibration with a checksum."
        )
    fitted_by = calibration.facts.get("code")
    if fitted_by not in (None, this_code().modules_hash(*MODEL)):
        note(
            f"{path} was fitted by another version of the performance model. Its coefficients are "
            "used as they are; run `clustersim fit` again for coefficients of this version."
        )
    return calibration


def _parse(text: str, source: str) -> Calibration:
    try:
        content = json.loads(text)
        written_as = content.get("format")
        if isinstance(written_as, int) and written_as != FORMAT:
            raise InputError(source, OTHER_VERSION)
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
            scatter=Scatter(
                {str(name): float(value) for name, value in content["scatter"].items()},
                float(content["spread_factor"]),
                float(content.get("mixture_spread_factor", content["spread_factor"])),
            ),
            coverage_factor=float(content["coverage_factor"]),
            overdispersion=float(content["overdispersion"]),
            facts=dict(content["facts"]),
            runs=Runs.from_lists(content["runs"]),
        )
        known = all(name in SPREADS and level in LEVELS for name, level, _ in keys)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        message = f"is not a calibration that `clustersim fit` wrote ({type(error).__name__})"
        raise InputError(source, message) from None
    if written_as != FORMAT or not known:
        raise InputError(source, OTHER_VERSION)
    stated = content.get(CHECKSUM)
    if stated is not None and stated != checksum(content):
        raise InputError(
            source,
            "was changed or damaged since it was written: its checksum does not match; run "
            "`clustersim fit` again. If it was edited on purpose, remove its field `checksum`; "
            "the file is then used, with a note",
        )
    return calibration


@functools.cache
def default_calibration() -> Calibration:
    """Return the calibration that was fitted to the project's own measurements.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> "Megatron-LM" in default_calibration().stacks
    True
    """
    data = resources.files("clustersim.performance") / "data" / "calibration.json"
    return _parse(data.read_text(encoding="utf-8"), "calibration.json")


@functools.cache
def default_draw() -> CoefficientDraw:
    """Return the posterior mean of the default calibration.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> chip, model = catalogue.accelerator("H200"), catalogue.model("llama3-8b")
    >>> draw = cs.performance.default_draw()
    >>> by_default = cs.best_plans(model, chip, 8)
    >>> cs.best_plans(model, chip, 8, draw=draw).step_time_s == by_default.step_time_s
    array([ True])
    """
    return default_calibration().mean_draw()
