"""How much an estimate leans on measured runs: how many resemble the job, and the nearest one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clustersim.catalogue import load_catalogue
from clustersim.performance import Calibration
from clustersim.performance.runs import Run
from clustersim.units import counted, format_count, format_percent

__all__ = ["Evidence", "evidence_of"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measured runs behind an estimate.

    Attributes
    ----------
    chip : str
    mixture : bool
        Whether the model is a mixture of experts.
    on_chip, of_kind_on_chip, of_kind : int
        Number of runs on the chip, of these with a model of the same kind (dense or mixture of
        experts), and with a model of this kind on any chip.
    nearest : Run or None
        The nearest run (:meth:`clustersim.performance.runs.Runs.nearest`).
    left_out_error : float or None
        Median error of runs with models of this kind whose publisher was left out of the fit; None
        if publishers were not left out.
    left_out_row_error : float or None
        The same for runs that were left out at random, while others of their publisher stayed.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> found = evidence_of(default_calibration(), "H20", mixture=False, params=14e9, count=8)
    >>> found.on_chip >= found.of_kind_on_chip > 0
    True
    """

    chip: str
    mixture: bool
    on_chip: int
    of_kind_on_chip: int
    of_kind: int
    nearest: Run | None
    left_out_error: float | None
    left_out_row_error: float | None

    def __str__(self) -> str:
        return "; ".join(filter(None, (self.basis, self.error)))

    @property
    def kind(self) -> str:
        """Kind of the model."""
        return "mixtures of experts" if self.mixture else "dense models"

    @property
    def basis(self) -> str:
        """The number of runs, and the nearest one."""
        text = (
            f"based on {counted(self.on_chip, 'run')} on {self.chip}, "
            f"{format_count(self.of_kind_on_chip)} of {self.kind} ({format_count(self.of_kind)} on "
            "all chips)"
        )
        if self.nearest is not None:
            run = self.nearest
            published = "published " if run.source.startswith("https://") else ""
            adapters = ", adapters (LoRA)" if run.adapters else ""
            text += (
                f"; nearest {published}run: {run.model}{adapters} on {format_count(run.count)} "
                f"{run.chip} in {run.precision.upper()} with {run.release} ({run.source})"
            )
        return text

    @property
    def error(self) -> str:
        """The median errors of left-out runs and publishers; empty if they are not known."""
        if self.left_out_error is None or self.left_out_row_error is None:
            return ""
        return (
            f"median error for {self.kind} that were left out of the fit: "
            f"{format_percent(self.left_out_row_error, 0)} for single runs, "
            f"{format_percent(self.left_out_error, 0)} for all runs of a publisher"
        )

    def to_data(self) -> dict[str, Any]:
        """Return the evidence as plain data for JSON."""
        return dataclasses.asdict(self)


def evidence_of(
    calibration: Calibration,
    chip: str,
    *,
    mixture: bool,
    params: float,
    count: float,
    architecture: str = "",
    adapters: bool = False,
) -> Evidence:
    """Return the measured runs behind the estimate of one job.

    Parameters
    ----------
    calibration : Calibration
    chip : str
        Name of the chip.
    mixture : bool
    params : float
        Parameters of the model.
    count : float
        Chips of the job.
    architecture : str
        Family of the chip; runs on chips of the same family count as nearer than others.
    adapters : bool
        Whether low-rank adapters are trained instead of all weights.

    Examples
    --------
    >>> from clustersim.performance import default_calibration
    >>> job = {"mixture": True, "params": 47e9, "count": 64, "architecture": "hopper"}
    >>> found = evidence_of(default_calibration(), "H200", **job)
    >>> found.kind, found.nearest.mixture
    ('mixtures of experts', True)
    """
    known = load_catalogue().accelerators.values()
    related = [each.name for each in known if each.family == architecture]
    runs = calibration.runs
    kind = "mixture" if mixture else "dense"
    publishers, rows = (
        calibration.facts.get(name, {}).get(kind, {}).get("median")
        for name in ("left_out_publishers", "left_out_rows")
    )
    return Evidence(
        chip=chip,
        mixture=mixture,
        on_chip=runs.on(chip=chip),
        of_kind_on_chip=runs.on(chip=chip, mixture=mixture),
        of_kind=runs.on(mixture=mixture),
        nearest=runs.nearest(
            chip,
            mixture=mixture,
            params=params,
            count=count,
            related=related,
            adapters=adapters,
        ),
        left_out_error=None if publishers is None else float(publishers),
        left_out_row_error=None if rows is None else float(rows),
    )
