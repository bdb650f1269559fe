"""The result: a table of the time to train by chip and number of chips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.brief import Brief
from clustersim.json_values import plain_rows
from clustersim.training.training import Training
from clustersim.units import format_duration, format_number

__all__ = ["PUBLISHED_NOTE", "PUBLISHED_RATIOS", "TimeToTrain"]

DAY_S = 86400.0
PUBLISHED_RATIOS = (1.07, 1.54, 2.77)
"""Days of eleven published whole trainings divided by their estimates: least, median and largest.
The table is in ``docs/time-to-train.md``, and the sources are in its test."""
PUBLISHED_NOTE = (
    f"Published whole trainings took {PUBLISHED_RATIOS[0]:.1f} to {PUBLISHED_RATIOS[2]:.1f} times "
    f"as long as such an estimate, {PUBLISHED_RATIOS[1]:.1f} times in the median: the estimate has "
    "the fastest plan, software of the stated release, and no stops by hand."
)
"""Note on the bias of all estimates, which the interval does not contain."""


@dataclass(frozen=True, repr=False)
class TimeToTrain(Brief):
    """Time to train a model on one or more gangs.

    Attributes
    ----------
    training : Training
        The model, its tokens and its batch.
    table : pandas.DataFrame
        One row for each gang, with the columns of
        :data:`clustersim.training.table.COLUMNS`, and on a fleet also of
        :data:`clustersim.training.table.FLEET_COLUMNS`.
    notes : tuple of str
        What is assumed.
    at : str
        The date of a fleet, as text; empty without a fleet.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.time_to_train("llama3-8b", "H200", [64, 128], tokens=1e12)
    >>> found.fastest["count"], found.table["fits"].tolist()
    (128, [True, True])
    """

    training: Training
    table: pd.DataFrame
    notes: tuple[str, ...]
    at: str = ""

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title = f"Training of {self.training.model.name}" + (f" at {self.at}" if self.at else "")
        facts = {"tokens": format_number(self.training.tokens), "gangs": f"{len(self.table):,}"}
        best = self.fastest
        if best is None:
            return title, {**facts, "reason": self.table["reason"].iloc[0]}
        where = best.get("pool", best["accelerator"])
        low, middle, high = (
            format_duration(DAY_S * best[name]) for name in ("days_lo", "days", "days_hi")
        )
        fastest = f"{middle} (90 % interval {low} to {high}) on {best['count']:,} {where}"
        return title, {**facts, "fastest": fastest}

    @property
    def fastest(self) -> dict[str, Any] | None:
        """The row with the fewest days, by column; None if no plan fits anywhere.

        Examples
        --------
        >>> import clustersim as cs
        >>> cs.time_to_train("llama3-405b", "H200", 8, failures="none").fastest is None
        True
        """
        days = self.table["days"].to_numpy(dtype=np.float64)
        if not np.isfinite(days).any():
            return None
        row = self.table.iloc[int(np.nanargmin(days))]
        return {
            str(name): value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
        }

    def to_data(self) -> dict[str, Any]:
        """Return the result as plain data for JSON; columns as in the table.

        Examples
        --------
        >>> import clustersim as cs
        >>> data = cs.time_to_train("llama3-8b", "H200", 64).to_data()
        >>> data["rows"][0]["accelerator"], data["global_batch"]
        ('H200', 512)
        """
        return {
            "model": self.training.model.name,
            "params": self.training.model.params,
            "active_params": self.training.model.active_params,
            "tokens": self.training.tokens,
            "global_batch": self.training.batch,
            "seq_len": self.training.model.seq_len,
            **({"at": self.at} if self.at else {}),
            "rows": plain_rows(self.table),
            "notes": list(self.notes),
        }
