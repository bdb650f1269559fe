"""Measured step times and microbenchmarks: the project's own and a user's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats
from clustersim.calibration.measured_runs import SCATTER, Part, qualities, read_table, usable_runs
from clustersim.calibration.microbenchmark_rows import (
    file_notes,
    is_microbenchmarks,
    read_microbenchmarks,
)
from clustersim.calibration.microbenchmarks import Microbenchmarks
from clustersim.calibration.own_data import (
    own_table,
    published_kernels,
    shipped_microbenchmarks,
)
from clustersim.calibration.timed import Joint, Timed
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.estimation.configuration_reader import read_configurations
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.given_plan import PLAN_KEYS, plan_text
from clustersim.microbenchmarks.schema import CHECKSUM
from clustersim.microbenchmarks.schema import COLUMNS as MICRO_COLUMNS
from clustersim.notes import note
from clustersim.performance import LEVELS
from clustersim.performance.runs import Run, Runs, params_of

__all__ = [
    "Measurements",
    "load_measurements",
]


KERNELS = "kernels"
"""Name of the published kernels among the microbenchmarks."""
INCOMPLETE = 2.0
"""Factor on the uncertainty if a part of the configuration is assumed."""


@dataclass(frozen=True)
class Measurements:
    """Runs with their measured step time; arrays have the shape (R,).

    Attributes
    ----------
    rows : Configurations
    step_time_s : array
    scatter : array
        Uncertainty of each measurement (standard deviation of the logarithm).
    complete : array of bool
        Whether a row is of quality A with a complete configuration.
    whole : array of bool
        Whether the configuration is complete, with any quality.
    table : DataFrame
        The R rows of the input tables.
    left_out : list of str
        The rows that cannot be used, each with its reason.
    notes : list of str
        Messages about columns that were renamed or seem to be misspelt.
    micro : Microbenchmarks or None
        Microbenchmarks that are fitted together with the runs.
    steps : Measurements or None
        Whole steps in the user's files of microbenchmarks, which are not used in the fit.
    user_chips : tuple of str
        Chips in the user's files of microbenchmarks.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.calibration import load_measurements
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512, "step_time_s": 46.0}
    >>> pd.DataFrame([row]).to_csv("mine.csv", index=False)
    >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
    >>> len(measured), measured.families.tolist()
    (1, ['mine'])
    """

    rows: Configurations
    step_time_s: Floats
    scatter: Floats
    complete: Bools
    whole: Bools
    table: pd.DataFrame
    left_out: list[str]
    notes: list[str] = field(default_factory=list)
    micro: Microbenchmarks | None = None
    steps: Measurements | None = None
    user_chips: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def families(self) -> NDArray[np.str_]:
        """Table or paper of each row."""
        return self.table["family"].to_numpy(dtype=str)

    @property
    def publishers(self) -> NDArray[np.str_]:
        """Who ran each row; for a user's rows, their family unless the table says otherwise."""
        return self.table["publisher"].to_numpy(dtype=str)

    @property
    def runs(self) -> Runs:
        """The runs as a calibration stores them."""
        rows = self.rows
        if not len(rows):
            return Runs()
        given = self.table.reindex(columns=["model", "link", "source", "family"])
        names = [name for name in PLAN_KEYS if name != "dp"]
        plans = np.stack([getattr(rows.plans, name) for name in names], axis=1).astype(int)
        texts = given.astype(object).fillna("").astype(str).to_dict("records")
        product, release = (LEVELS.index(level) for level in ("product", "release"))
        return Runs(
            tuple(
                Run(
                    chip=chip.name,
                    product=labels[product],
                    release=labels[release],
                    mixture=bool(experts > 0),
                    precision="fp8" if narrow else "bf16",
                    model=text["model"] or "unnamed model",
                    params=float(size),
                    count=int(count),
                    source=text["link"] or text["source"] or text["family"],
                    plan=plan_text(dict(zip(names, plan, strict=True))),
                )
                for chip, labels, experts, narrow, text, size, count, plan in zip(
                    rows.accelerators,
                    rows.labels,
                    rows.models.n_experts.tolist(),
                    rows.chips.fp8.tolist(),
                    texts,
                    params_of(rows.models).tolist(),
                    rows.plans.chips.tolist(),
                    plans.tolist(),
                    strict=True,
                )
            )
        )

    @property
    def fitted(self) -> tuple[Timed, Floats, Floats]:
        """Data of a fit: rows, their seconds, and the uncertainty of each."""
        if self.micro is None:
            return self.rows, self.step_time_s, self.scatter
        return (
            Joint((self.rows, self.micro)),
            np.concatenate([self.step_time_s, self.micro.seconds]),
            np.concatenate([self.scatter, self.micro.scatter]),
        )

    @property
    def of_user_chips(self) -> Bools:
        """Mask of the microbenchmarks of chips in the user's files."""
        accelerators = [] if self.micro is None else self.micro.accelerators
        mine = [chip.name in self.user_chips for chip in accelerators]
        return np.array(mine, dtype=bool)

    def take(self, chosen: Bools) -> Measurements:
        """Return the runs where `chosen` is true, with all microbenchmarks.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from clustersim.calibration import load_measurements
        >>> row = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = [{**row, "count": 8, "step_time_s": step_s} for step_s in (46.0, 47.0)]
        >>> pd.DataFrame(rows).to_csv("mine.csv", index=False)
        >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
        >>> measured.take(np.array([True, False])).step_time_s.tolist()
        [46.0]
        """
        return replace(
            self,
            rows=self.rows.take(chosen),
            step_time_s=self.step_time_s[chosen],
            scatter=self.scatter[chosen],
            complete=self.complete[chosen],
            whole=self.whole[chosen],
            table=self.table[chosen].reset_index(drop=True),
        )


def load_measurements(
    paths: Sequence[str | Path] = (),
    *,
    own: bool = True,
    catalogue: Catalogue | None = None,
    shipped: Sequence[str] | None = None,
) -> Measurements:
    """Load measured runs and microbenchmarks.

    Parameters
    ----------
    paths : sequence of path
        The user's tables. A table of runs has the columns of :data:`clustersim.estimation.COLUMNS`,
        ``step_time_s`` or ``tokens_per_s_per_device``, and optionally ``quality`` (A, B or C;
        default A), ``family`` (default: the name of the file) and ``publisher`` (default: the
        family). A table of microbenchmarks is written by ``clustersim measure``.
    own : bool
        Whether to also use the project's own table, its microbenchmarks of chips that are not in
        the user's files, and the published kernels.
    catalogue : Catalogue, optional
    shipped : sequence of str, optional
        Names of the :func:`shipped_microbenchmarks` to use, and ``kernels`` for the
        :func:`published_kernels` (default: as `own` says).

    Raises
    ------
    InputError
        If a file cannot be read, lacks columns, or has no usable row.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.calibration import load_measurements
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512, "step_time_s": 46.0}
    >>> pd.DataFrame([row]).to_csv("mine.csv", index=False)
    >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
    >>> measured.step_time_s.tolist()
    [46.0]
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    tables = [(os.fspath(path), read_table(path)) for path in paths]
    files = [(source, table) for source, table in tables if is_microbenchmarks(table)]
    parts = [usable_runs(own_table(), "training.csv", catalogue)] if own else []
    parts += [
        usable_runs(table, source, catalogue)
        for source, table in tables
        if not is_microbenchmarks(table)
    ]
    if not parts and not files:
        raise InputError("measurements", "no table is given; give a file, or set own=True")
    measured = _together(parts, catalogue)
    known = shipped_microbenchmarks() if own else {}
    mine = _chips_of(files, catalogue)
    chosen = {
        name: table
        for name, table in known.items()
        if (name in shipped if shipped is not None else not set(table["accelerator"]) & mine)
    }
    if own and (shipped is None or KERNELS in shipped):
        chosen[KERNELS] = published_kernels()
    if not files and not chosen:
        return measured
    return _with_microbenchmarks(measured, files, chosen, catalogue)


def _together(parts: Sequence[Part], catalogue: Catalogue) -> Measurements:
    none = own_table().iloc[:0].astype({"step_time_s": float})
    table = pd.concat([part[0] for part in parts] or [none], ignore_index=True)
    rows = read_configurations(table, catalogue)
    quality = qualities(table)
    whole = table["config_complete"].fillna("1").astype(str) != "0"
    scatter = np.array([SCATTER[letter] for letter in quality], dtype=np.float64)
    return Measurements(
        rows=rows,
        step_time_s=table["step_time_s"].to_numpy(dtype=np.float64),
        scatter=scatter * np.where(whole, 1.0, INCOMPLETE),
        complete=(quality == "A") & whole.to_numpy(dtype=bool),
        whole=whole.to_numpy(dtype=bool),
        table=table,
        left_out=[line for part in parts for line in part[1]],
        notes=[line for part in parts for line in part[2]],
    )


def _with_microbenchmarks(
    measured: Measurements,
    files: Sequence[tuple[str, pd.DataFrame]],
    shipped: Mapping[str, pd.DataFrame],
    catalogue: Catalogue,
) -> Measurements:
    """Add files of microbenchmarks; a measurement in more than one file is added once."""
    none = pd.DataFrame(columns=[*MICRO_COLUMNS, "family", "source", "row"], dtype=object)
    named = [_named(source, table) for source, table in files]
    own = pd.concat(named, ignore_index=True) if named else none
    for source, table in files:
        for line in file_notes(table):
            note(f"{source}: {line}")
    own = own.drop_duplicates([name for name in MICRO_COLUMNS if name != CHECKSUM])
    known = [_named(name, table) for name, table in shipped.items()]
    known = [table[table["fault"].isna()] for table in known]
    micro, left_out = read_microbenchmarks(pd.concat([*known, own], ignore_index=True), catalogue)
    steps = _whole_steps(own, catalogue)
    left_out += [] if steps is None else steps.left_out
    used = {*micro.table["source"], *([] if steps is None else steps.table["source"])}
    for source, table in files:
        again = len(table) > 0 and source not in set(own["source"])
        if source not in used and not again:
            reasons = [line for line in left_out if line.startswith(f"{source}, row ")]
            kinds = ", ".join(dict.fromkeys(table["kind"].dropna()))
            why = f"contains only kinds that are not fitted: {kinds}" if kinds else "has no rows"
            raise InputError(source, reasons[:10] or why)
    if not len(measured) and not len(micro):
        raise InputError("measurements", "contain only whole steps, which are not used in a fit")
    mine = micro.table["source"].isin([source for source, _ in files])
    chips = [chip.name for chip, own in zip(micro.accelerators, mine, strict=True) if own]
    return replace(
        measured,
        micro=micro,
        steps=steps,
        user_chips=tuple(dict.fromkeys(chips)),
        left_out=[*measured.left_out, *left_out],
    )


def _named(source: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of microbenchmarks with all columns, and the source and line of each row."""
    needed = ("kind", "median_s", "accelerator")
    lacking = [f"lacks the column {name}" for name in needed if name not in table]
    if lacking:
        raise InputError(source, lacking)
    whole = table.reindex(columns=list(MICRO_COLUMNS)).astype(object)
    line = (table.index + 2).astype(str)
    return whole.assign(family=Path(source).stem, source=source, row=line)


def _chips_of(files: Sequence[tuple[str, pd.DataFrame]], catalogue: Catalogue) -> set[str]:
    """Return the names of the chips in some files that are in the catalogue."""
    chips = set()
    for _, table in files:
        for name in dict.fromkeys(table.get("accelerator", ())):
            with suppress(InputError):
                chips.add(catalogue.accelerator(str(name)).name)
    return chips


def _whole_steps(table: pd.DataFrame, catalogue: Catalogue) -> Measurements | None:
    """Return the whole training steps in a table as runs on one chip; None if it has none."""
    steps = table[(table["kind"] == "step") & table["fault"].isna()]
    runs = steps.drop(columns="kind").rename(columns={"median_s": "step_time_s"})
    runs = runs.assign(n_accelerators="1", zero="0", id=runs["model"])
    parts, left_out = [], []
    for source, part in runs.groupby("source", sort=False):
        found = usable_runs(part.reset_index(drop=True), str(source), catalogue, required=False)
        left_out += found[1]
        parts += [found] if len(found[0]) else []
    if not parts:
        return None
    return replace(_together(parts, catalogue), left_out=left_out)
