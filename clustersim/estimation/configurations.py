"""Training configurations as arrays, one element per run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.performance import (
    LEVELS,
    AcceleratorArrays,
    MemoryRules,
    ModelArrays,
    Plans,
    labels_of,
    memory_rules,
)
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.step_time import step_seconds

__all__ = ["Configurations", "chip_arrays"]


@dataclass(frozen=True)
class Configurations:
    """Runs as arrays, and the reasons why other rows of a table cannot be evaluated.

    Attributes
    ----------
    models, chips, plans
        Structs of arrays of shape (R,) for the R rows that can be evaluated.
    global_batch : array, shape (R,)
    labels : list of tuple of str
        The labels of each row, for :meth:`clustersim.performance.CoefficientDraw.coefficients`.
    accelerators : list of Accelerator
        The chip of each row.
    index : array of int, shape (R,)
        Position of each row in the table.
    reason : list of str
        For each row of the table, why it is left out; empty if it is used.
    notes : list of list of str
        For each row of the table, what was assumed and what is unusual about its plan.
    memory_options : list of mapping of str to str
        Memory options of each of the R rows (:func:`clustersim.performance.parse_memory`); empty
        if all rows use those of their stack.
    searched : list of bool
        For each row of the table, whether its plan must be searched for; its own plan is then a
        placeholder without parallelism.
    timed : list of bool
        For each row of the table, whether enough is known for a step time, and not for memory only.
    unknown : list of frozenset of str
        For each row of the table, the settings that are not known and widen the distribution of its
        memory (:data:`clustersim.estimation.assumed_inputs.SPREADS`).
    stack_assumed : list of bool
        Whether the stack of each of the R rows is assumed; empty if none is.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> from clustersim.estimation import read_configurations
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([{**job, "count": 8}])
    >>> rows = read_configurations(table, cs.load_catalogue())
    >>> rows.plans.dp.tolist(), rows.reason
    ([8.0], [''])
    """

    models: ModelArrays
    chips: AcceleratorArrays
    plans: Plans
    global_batch: Floats
    labels: list[tuple[str, ...]]
    accelerators: list[Accelerator]
    index: NDArray[np.intp]
    reason: list[str]
    notes: list[list[str]] = field(default_factory=list)
    searched: list[bool] = field(default_factory=list)
    timed: list[bool] = field(default_factory=list)
    unknown: list[frozenset[str]] = field(default_factory=list)
    memory_options: list[Mapping[str, str]] = field(default_factory=list)
    stack_assumed: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def interval_labels(self) -> list[tuple[str, ...]]:
        """Labels that set the width of each row's interval: an assumed stack counts as unknown."""
        if not any(self.stack_assumed):
            return self.labels
        return [
            labels_of(chip, "", "fp8" if narrow else "bf16") if assumed else labels
            for labels, chip, narrow, assumed in zip(
                self.labels, self.accelerators, self.chips.fp8, self.stack_assumed, strict=True
            )
        ]

    @property
    def memory(self) -> MemoryRules:
        """Memory rules of each row, which depend on its stack, chip and options."""
        families = [chip.family for chip in self.accelerators]
        return memory_rules(self.stacks, families, self.memory_options)

    @property
    def stacks(self) -> list[str]:
        """Software stack of each row; ``""`` if it is unknown."""
        release = LEVELS.index("release")
        return ["" if labels[release] == UNKNOWN else labels[release] for labels in self.labels]

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Return the labels of the rows that depend on a coefficient; empty for ``launch_s``.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = read_configurations(pd.DataFrame([{**job, "count": 8}]), catalogue)
        >>> len(rows.labels_with("matmul_efficiency")), rows.labels_with("launch_s")
        (1, [])
        """
        return [] if parameter == "launch_s" else self.labels

    def log_seconds(self, coefficients: Coefficients) -> Floats:
        """Return the logarithms of the step times.

        The result is an array of shape (R,), or (draws, R) for several draws.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = read_configurations(pd.DataFrame([{**job, "count": 8}]), catalogue)
        >>> coefficients = cs.performance.default_draw().coefficients(rows.labels)
        >>> rows.log_seconds(coefficients).shape
        (1,)
        """
        return np.log(
            step_seconds(self.models, self.chips, self.plans, self.global_batch, coefficients)
        )

    def take(self, rows: NDArray[Any]) -> Configurations:
        """Return the rows at the given positions, in this order, or those that a mask selects.

        Examples
        --------
        >>> import clustersim as cs
        >>> catalogue = cs.load_catalogue()
        >>> import pandas as pd
        >>> from clustersim.estimation import read_configurations
        >>> job = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> table = pd.DataFrame([{**job, "count": count} for count in (8, 16)])
        >>> rows = read_configurations(table, catalogue)
        >>> rows.take([1]).index.tolist()
        [1]
        """
        rows = np.asarray(rows)
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Configurations(
            self.models.take(chosen),
            self.chips.take(chosen),
            self.plans.take(chosen),
            self.global_batch[chosen],
            [self.labels[row] for row in chosen],
            [self.accelerators[row] for row in chosen],
            self.index[chosen],
            self.reason,
            self.notes,
            self.searched,
            self.timed,
            self.unknown,
            [self.memory_options[row] for row in chosen] if self.memory_options else [],
            [self.stack_assumed[row] for row in chosen] if self.stack_assumed else [],
        )


def chip_arrays(chips: Sequence[Accelerator], precisions: Sequence[str]) -> AcceleratorArrays:
    """Build the arrays of several chips, each with the peak of its precision (bf16 or fp8).

    Examples
    --------
    >>> import clustersim as cs
    >>> chip = cs.load_catalogue().accelerator("H200")
    >>> arrays = chip_arrays([chip, chip], ["bf16", "fp8"])
    >>> bool(arrays.peak_flops[1] > arrays.peak_flops[0])
    True
    """
    if not chips:
        fields = {field.name: np.zeros(0) for field in dataclasses.fields(AcceleratorArrays)}
        return AcceleratorArrays(**fields)  # type: ignore[arg-type]
    bf16, fp8 = (AcceleratorArrays.of(chips, precision) for precision in ("bf16", "fp8"))
    narrow = np.array([precision == "fp8" for precision in precisions], dtype=bool)
    return AcceleratorArrays(
        *(
            np.where(narrow, getattr(fp8, field.name), getattr(bf16, field.name))
            for field in dataclasses.fields(AcceleratorArrays)
        )
    )
