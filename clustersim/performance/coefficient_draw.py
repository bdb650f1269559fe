"""Consistent values of all coefficients for all chips and stacks: one set, or many draws."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.memory_rules import MemoryRules, memory_rules
from clustersim.performance.parameters import LEVELS, PARAMETERS, Parameter
from clustersim.performance.stacks import default_stack, dispatcher_of, product_of
from clustersim.seeds import nested_uniforms

__all__ = [
    "UNKNOWN",
    "CoefficientDraw",
    "Key",
    "is_unknown",
    "labels_of",
    "stratified_normals",
    "stratified_uniforms",
]


Key = tuple[str, str, str]
"""Parameter, level and label of one effect."""


_RELEASE = LEVELS.index("release")
UNKNOWN = "unknown"
"""Label of a stack that is not named; no measurement has this label."""
UNMEASURED = 0.5
"""Spread of unmeasured chips around their architecture, divided by the spread of architectures."""
_STRATIFIED = 1024
"""Number of draws that are stratified."""
RELATIVES = {"hopper-h20": "hopper"}
"""Chip families without measurements, each mapped to the architecture of which it is a reduced
version."""


def labels_of(accelerator: Accelerator, stack: str, precision: str = "bf16") -> tuple[str, ...]:
    """Return the labels of one row, one for each level of :data:`LEVELS`.

    Parameters
    ----------
    accelerator : Accelerator
    stack : str
        Software stack, such as ``NeMo 24.07``; ``""`` for an unknown one.
    precision : str
        A chip without FP8 computes in BF16.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.performance import labels_of
    >>> labels_of(cs.load_catalogue().accelerator("H200"), "Megatron-LM")[:4]
    ('', 'hopper', 'H200', 'Megatron-LM')
    """
    product = product_of(stack) or UNKNOWN
    family = accelerator.family
    own = accelerator.name if family == "other" else family
    family = RELATIVES.get(own, own)
    number = "fp8" if precision == "fp8" and "fp8" in accelerator.peak_flops else "bf16"
    combined = f"{own} {product} {number}"
    return ("", family, accelerator.name, product, stack or UNKNOWN, combined)


def stratified_normals(number: int, key: tuple[int, ...], count: int = 1) -> Floats:
    """Return standard normal numbers of one draw, stratified over the numbers of the draws.

    Parameters
    ----------
    number : int
        Number of the draw.  Draws from number 1,024 on are independent of all others.
    key : tuple of int
        Identifies what is drawn.
    count : int
        Length of the result.
    """
    return np.asarray(special.ndtri(stratified_uniforms(number, key, count)))


def stratified_uniforms(number: int, key: tuple[int, ...], count: int = 1) -> Floats:
    """Return uniform numbers of one draw; see :func:`stratified_normals`."""
    if number >= _STRATIFIED:
        return np.random.default_rng(np.random.SeedSequence([number, *key])).random(count)
    generator = np.random.default_rng(np.random.SeedSequence([*key]))
    return nested_uniforms(generator, number + 1, count)[:, number]


def is_unknown(level: str, label: str) -> bool:
    """Whether a label from :func:`labels_of` stands for an unnamed stack."""
    if level == "combination":
        return label.split(" ")[1:-1] == [UNKNOWN]
    return label == UNKNOWN


@dataclass(frozen=True, repr=False)
class CoefficientDraw(Brief):
    """Values of all effects, from which the coefficients of any row are computed.

    Attributes
    ----------
    effects : mapping of Key to float or array of shape (draws,)
        Offsets on the unbounded scale of each parameter.
    draws : int
        0 for one set of values, otherwise the number of draws.
    seed : int or None
        None for the posterior mean, in which effects without measurements are 0. In a draw, such an
        effect is drawn from its prior; it depends only on this seed and its key.
    stacks : mapping of str to str
        Software stack by name of a chip or chip family; the key ``""`` applies to all other chips.
        Chips that match no key use :func:`clustersim.performance.default_stack`.
    memory : mapping of str to str
        Memory options of all jobs (:func:`clustersim.performance.parse_memory`).

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> chip, model = catalogue.accelerator("H200"), catalogue.model("llama3-8b")
    >>> draw = cs.performance.default_calibration().draw(seed=1)
    >>> cs.best_plans(model, chip, 8, draw=draw).step_time_s.shape
    (1,)
    """

    effects: Mapping[Key, float | Floats]
    draws: int = 0
    seed: int | None = None
    stacks: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, str] = field(default_factory=dict)
    _drawn: dict[Key, float | Floats] = field(default_factory=dict, repr=False, compare=False)

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        drawn = "" if self.draws == 0 else f"{self.draws:,}"
        return "CoefficientDraw", {"effects": f"{len(self.effects):,}", "draws": drawn}

    def stack_of(self, accelerator: Accelerator) -> str:
        """Return the software stack that a chip runs.

        Examples
        --------
        >>> import clustersim as cs
        >>> chip, draw = cs.load_catalogue().accelerator("H200"), cs.performance.default_draw()
        >>> draw.stack_of(chip)
        'NeMo 25.01-25.04 (DGX Cloud benchmarking recipe)'
        """
        for name in (accelerator.name, accelerator.family, ""):
            if name in self.stacks:
                return self.stacks[name]
        return default_stack(accelerator.family)

    def for_chips(
        self, accelerators: Sequence[Accelerator], stack: str | None = None, precision: str = "bf16"
    ) -> Coefficients:
        """Return the coefficients of the given chips, one element per chip.

        Parameters
        ----------
        accelerators : sequence of Accelerator
        stack : str, optional
            Software stack of all chips (default: :meth:`stack_of` for each chip).
        precision : str

        Examples
        --------
        >>> import clustersim as cs
        >>> chip, draw = cs.load_catalogue().accelerator("H200"), cs.performance.default_draw()
        >>> draw.for_chips([chip, chip], stack="unknown").matmul_efficiency.shape
        (2,)
        """
        return self.coefficients(
            [
                labels_of(chip, self.stack_of(chip) if stack is None else stack, precision)
                for chip in accelerators
            ]
        )

    def memory_rules(
        self,
        accelerators: Sequence[Accelerator],
        stack: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> MemoryRules:
        """Return the memory rules of jobs on the given chips, one element per chip.

        Parameters
        ----------
        accelerators : sequence of Accelerator
        stack : str, optional
            Software stack of all chips (default: :meth:`stack_of` for each chip).
        options : mapping of str to str, optional
            As returned by :func:`clustersim.performance.parse_memory`; they take precedence over
            `memory`.

        Examples
        --------
        >>> import clustersim as cs
        >>> chip, draw = cs.load_catalogue().accelerator("H200"), cs.performance.default_draw()
        >>> float(draw.memory_rules([chip], options={"optimizer": "sgd"}).optimizer)
        8.0
        """
        return memory_rules(
            [self.stack_of(chip) if stack is None else stack for chip in accelerators],
            [chip.family for chip in accelerators],
            {**self.memory, **(options or {})},
        )

    def coefficients(self, labels: Sequence[tuple[str, ...]]) -> Coefficients:
        """Return the coefficients of rows with the given labels.

        Returns
        -------
        Coefficients
            Arrays of shape (rows,), or (draws, rows) if this object contains several draws.

        Examples
        --------
        >>> import clustersim as cs
        >>> chip, draw = cs.load_catalogue().accelerator("H200"), cs.performance.default_draw()
        >>> labels = cs.performance.labels_of(chip, draw.stack_of(chip))
        >>> draw.coefficients([labels, labels]).matmul_efficiency.shape
        (2,)
        """
        distinct = list(dict.fromkeys(labels))
        drawn = self.seed is not None
        measured = {label for _, level, label in self.effects if drawn and level == "chip"}
        place = {label: index for index, label in enumerate(distinct)}
        rows = np.array([place[label] for label in labels], dtype=np.intp)
        values = []
        for parameter in PARAMETERS:
            columns = [self._unbounded(parameter, label, measured) for label in distinct]
            table = parameter.natural(np.stack(columns, axis=-1))
            values.append(table[..., rows])
        usual = np.array([dispatcher_of(label[_RELEASE]) for label in distinct], dtype=np.float64)
        return dataclasses.replace(Coefficients(*values), dispatcher=usual[rows])

    def _unbounded(
        self, parameter: Parameter, labels: tuple[str, ...], measured: set[str]
    ) -> Floats:
        shape = (self.draws,) if self.draws else ()
        total = np.full(shape, parameter.centre)
        for level, label in zip(LEVELS, labels, strict=True):
            spread = parameter.spread.get(level, 0.0)
            if level == "chip" and self.seed is not None and label not in measured:
                spread = max(spread, UNMEASURED * parameter.spread.get("architecture", 0.0))
            if spread > 0 and (label or level == "base"):
                total = total + self._effect((parameter.name, level, label), spread)
        return total

    def _effect(self, key: Key, spread: float) -> float | Floats:
        known = self.effects.get(key)
        if known is not None:
            return known
        if self.seed is None:
            return 0.0
        if key not in self._drawn:
            number = zlib.crc32("\t".join(key).encode())
            if self.draws == 0:
                self._drawn[key] = spread * float(stratified_normals(self.seed, (number,))[0])
                return self._drawn[key]
            generator = np.random.default_rng(np.random.SeedSequence([self.seed, number]))
            self._drawn[key] = spread * generator.standard_normal(self.draws)
        return self._drawn[key]
