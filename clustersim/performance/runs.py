"""The runs to which a calibration was fitted: how many resemble a job, and the nearest one."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats
from clustersim.performance.arrays import ModelArrays, Plans
from clustersim.performance.shard import shard_of

__all__ = ["Run", "Runs", "params_of"]


@dataclass(frozen=True, slots=True)
class Run:
    """One measured training run.

    Attributes
    ----------
    chip, product, release : str
        Labels of :func:`clustersim.performance.labels_of`.
    mixture : bool
        Whether the model is a mixture of experts.
    precision : {"bf16", "fp8"}
    model : str
    params : float
        Parameters of the model.
    count : int
        Chips of the job.
    source : str
        Where the run is published, as a link if the source has one; otherwise a text.
    plan : str
        The plan in the syntax of ``clustersim estimate --plan``, without its data parallel size.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> run = default_calibration().runs.nearest("H20", mixture=False, params=8e9, count=8)
    >>> run.chip
    'H20'
    """

    chip: str
    product: str
    release: str
    mixture: bool
    precision: str
    model: str
    params: float
    count: int
    source: str
    plan: str

    @property
    def adapters(self) -> bool:
        """Whether low-rank adapters were trained instead of all weights."""
        return "lora=1" in self.plan.split(",")


@dataclass(frozen=True)
class Runs:
    """The measured runs of a calibration.

    Attributes
    ----------
    runs : tuple of Run

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> runs = default_calibration().runs
    >>> runs.on(chip="H20") < runs.on(chip="H100")
    True
    """

    runs: tuple[Run, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    @functools.cached_property
    def _counts(self) -> Counter[tuple[str, str, bool | None]]:
        counts: Counter[tuple[str, str, bool | None]] = Counter()
        for run in self.runs:
            for field in ("chip", "product", "release"):
                counts[field, getattr(run, field), None] += 1
                counts[field, getattr(run, field), run.mixture] += 1
        return counts

    @functools.cached_property
    def _columns(self) -> tuple[NDArray[np.str_], Bools, Floats, Floats]:
        """Chip, kind of model, parameters and number of chips of each run."""
        return (
            np.array([run.chip for run in self.runs]),
            np.array([run.mixture for run in self.runs]),
            np.array([run.params for run in self.runs]),
            np.array([run.count for run in self.runs], dtype=np.float64),
        )

    def on(
        self,
        *,
        chip: str | None = None,
        product: str | None = None,
        release: str | None = None,
        mixture: bool | None = None,
    ) -> int:
        """Return the number of runs with one label and kind of model; None for any.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> runs = default_calibration().runs
        >>> dense, experts = (runs.on(chip="H100", mixture=kind) for kind in (False, True))
        >>> dense + experts == runs.on(chip="H100")
        True
        """
        given = {"chip": chip, "product": product, "release": release}
        for field, label in given.items():
            if label is not None:
                return self._counts[field, label, mixture]
        return sum(mixture in (None, run.mixture) for run in self.runs)

    def by_distance(
        self,
        chip: str,
        *,
        mixture: bool,
        params: float,
        count: float,
        related: Collection[str] = (),
        chip_first: bool = True,
    ) -> list[Run]:
        """Return all runs in the order of their distance from a job.

        Runs are compared by kind of model (dense or mixture of experts), then by chip (the same
        one, `related` ones, others), then by the ratio of the parameters, then by the ratio of the
        numbers of chips. If `chip_first` is false, the chip is compared last. Equal runs keep their
        order.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> runs = default_calibration().runs
        >>> found = runs.by_distance("H200", mixture=False, params=70e9, count=8)
        >>> found[0].chip, len(found) == len(runs)
        ('H200', True)
        """
        if not self.runs:
            return []
        chips, kinds, sizes, counts = self._columns
        size = np.abs(np.log(sizes / params)).round(2)
        chip_ratio = np.abs(np.log(counts / count)).round(2)
        other = np.where(chips == chip, 0, np.where(np.isin(chips, list(related)), 1, 2))
        keys = [chip_ratio, size]
        keys = [*keys, other] if chip_first else [other, *keys]
        order = np.lexsort([*keys, kinds != mixture])
        return [self.runs[place] for place in order.tolist()]

    def nearest(
        self,
        chip: str,
        *,
        mixture: bool,
        params: float,
        count: float,
        related: Collection[str] = (),
        adapters: bool = False,
    ) -> Run | None:
        """Return the first run of :meth:`by_distance` that trains the same; None without runs.

        Runs that train adapters count for other jobs, and the reverse, only if there are no others.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> runs = default_calibration().runs
        >>> runs.nearest("H200", mixture=False, params=70e9, count=8).chip
        'H200'
        """
        found = self.by_distance(chip, mixture=mixture, params=params, count=count, related=related)
        same = (run for run in found if run.adapters == adapters and run.mixture == mixture)
        return next(same, found[0] if found else None)

    def to_lists(self) -> dict[str, Any]:
        """Return the runs as lists for JSON; texts that repeat are stored once.

        A row lists, separated by commas, the places of its texts, and then `mixture`, `params` and
        `count`.

        Examples
        --------
        >>> from clustersim.performance import default_calibration
        >>> runs = default_calibration().runs
        >>> runs == type(runs).from_lists(runs.to_lists())
        True
        """
        texts = {name: sorted({getattr(run, name) for run in self.runs}) for name in TEXTS}
        place = {name: {text: at for at, text in enumerate(texts[name])} for name in TEXTS}
        rows = [
            ",".join(
                [
                    *(str(place[name][getattr(run, name)]) for name in TEXTS),
                    str(int(run.mixture)),
                    f"{run.params:.4g}",
                    str(run.count),
                ]
            )
            for run in self.runs
        ]
        return {"texts": texts, "rows": rows}

    @classmethod
    def from_lists(cls, content: dict[str, Any]) -> Runs:
        """Return the runs that :meth:`to_lists` wrote."""
        texts = [[str(text) for text in content["texts"][name]] for name in TEXTS]
        made = []
        for row in content["rows"]:
            *places, mixture, params, count = str(row).split(",")
            names = (texts[at][int(place)] for at, place in enumerate(places))
            made.append(
                Run(
                    **dict(zip(TEXTS, names, strict=True)),
                    mixture=mixture == "1",
                    params=float(params),
                    count=int(count),
                )
            )
        return cls(tuple(made))


def params_of(models: ModelArrays) -> Floats:
    """Return the number of parameters of each model.

    Examples
    --------
    >>> import clustersim as cs
    >>> models = ModelArrays.of([cs.load_catalogue().model("llama3-8b")])
    >>> params_of(models).round(-7).tolist()
    [8030000000.0]
    """
    rows = models.layers.size
    whole = shard_of(models, Plans.of(tp=np.ones(rows)), np.ones(rows))
    return np.broadcast_to(whole.dense_params + whole.expert_params, rows)


TEXTS: Sequence[str] = ("chip", "product", "release", "precision", "model", "source", "plan")
"""Fields of :class:`Run` that are texts."""
