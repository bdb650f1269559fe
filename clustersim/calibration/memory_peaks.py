"""Fit of the memory overhead to published peaks, and its errors on sources that are left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.calibration.own_data import own_table
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, shown
from clustersim.estimation.assumed_inputs import CHIP
from clustersim.estimation.configuration_reader import read_configurations
from clustersim.estimation.configurations import Configurations
from clustersim.performance import default_calibration
from clustersim.performance.memory import memory_by_class
from clustersim.performance.memory_overhead import (
    FITS_FROM,
    GroupOverhead,
    MemoryOverhead,
    fit_probability,
)
from clustersim.performance.memory_rules import stack_entries, stack_memory
from clustersim.performance.shard import shard_of
from clustersim.units import format_percent

__all__ = ["FittedPeaks", "Peaks", "error_rows", "fit_peaks", "own_peaks", "read_peaks"]

PRIOR: Mapping[str, tuple[float, float]] = {
    "fragmentation": (0.10, 0.08), "states": (0.03, 0.03), "routed": (0.0, 8.0),
}  # fmt: skip
"""Prior mean and standard deviation of each part of the overhead. PyTorch's allocator usually
reserves 5 to 20 % more than activations need, and little more than long-lived states."""
UNBALANCED = ("megatron-swift",)
"""Groups whose mixtures are fine-tuned without balanced routing, so that tokens crowd on chips."""
USUAL_SCATTER, USUAL_ROWS = 0.13, 6.0
"""Scatter of a group without rows, and the number of rows that it counts as."""
FULL = 0.985
"""Of a peak of at least this share of the chip, only the outcome is fitted: the allocator keeps
freed memory until the chip is full, so such a peak can be larger than what the job needs."""
OF_ALLOCATOR = r"(?i)allocated|reserved|log line"
"""Measures of PyTorch's allocator: ``max_memory_allocated``, ``max_memory_reserved`` and the memory
in the log of torchtitan (``max_reserved_gib``)."""
ODD = 0.03
"""Share of outcomes that have nothing to do with the predicted peak (defects, mistakes)."""


@dataclass(frozen=True)
class Peaks:
    """Published configurations and their peaks; arrays have the shape (R,).

    Attributes
    ----------
    table : DataFrame
        Rows that could be read: id, family, outcome, quality, group, lora, chip_bytes, peak_bytes
        (nan if it is not published), unseen_bytes (memory of the driver, of the process and of
        communication, which a peak of PyTorch's allocator does not include; 0 for other peaks) and
        `used`: peak if the peak is fitted, below or above if only the outcome is (the peak was
        below the chip's memory, or would have been above), or empty. A run whose counted bytes
        exceed the chip's memory had other settings than the table says, so it is not fitted.
    counted, dynamic, states, routed : array
        Bytes without overhead, and the bytes to which each part of the overhead refers.
    unread : Series
        Why other rows could not be read, by position in the table.

    Examples
    --------
    >>> from clustersim.calibration import own_peaks, read_peaks
    >>> peaks = read_peaks(own_peaks())
    >>> len(peaks.counted), len(peaks.unread)
    (196, 0)
    """

    table: pd.DataFrame
    counted: Floats
    dynamic: Floats
    states: Floats
    routed: Floats
    unread: pd.Series[str]

    def predicted(self, overhead: Mapping[str, GroupOverhead]) -> Floats:
        """Return the predicted peaks in bytes with the overhead of each group.

        Examples
        --------
        >>> from clustersim.calibration import own_peaks, read_peaks
        >>> from clustersim.performance.memory_overhead import memory_overhead
        >>> peaks = read_peaks(own_peaks())
        >>> bool((peaks.predicted(memory_overhead().groups) >= peaks.counted).all())
        True
        """
        each = [overhead[group] for group in self.table["group"]]
        parts = {name: np.array([getattr(one, name) for one in each]) for name in PRIOR}
        return (
            self.counted
            + parts["fragmentation"] * self.dynamic
            + parts["states"] * self.states
            + parts["routed"] * self.routed
        )


@dataclass(frozen=True)
class FittedPeaks:
    """Result of :func:`fit_peaks`.

    Attributes
    ----------
    overhead : MemoryOverhead
    rows : DataFrame
        The table of :class:`Peaks` with predicted_bytes, ratio (to the sum of peak_bytes and
        unseen_bytes) and fit_probability, and with left_out_bytes, left_out_ratio and
        left_out_probability, for which the overhead was fitted without the row's source.

    Examples
    --------
    >>> from clustersim.calibration import fit_peaks, own_peaks, read_peaks
    >>> fit_peaks(read_peaks(own_peaks())).overhead.groups["fsdp"].rows
    19
    """

    overhead: MemoryOverhead
    rows: pd.DataFrame


def own_peaks() -> pd.DataFrame:
    """Return the project's table of published peaks (``data/memory.csv``) as texts.

    Examples
    --------
    >>> from clustersim.calibration import own_peaks
    >>> len(own_peaks())
    197
    """
    data = resources.files("clustersim.calibration") / "data" / "memory.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def own_outcomes() -> pd.DataFrame:
    """Return the published training runs with a complete configuration: all ran.

    Examples
    --------
    >>> from clustersim.calibration.memory_peaks import own_outcomes
    >>> set(own_outcomes()["outcome"])
    {'ran'}
    """
    runs = own_table()
    whole = runs[runs["config_complete"] == "1"].reset_index(drop=True)
    return whole.assign(outcome="ran", peak_memory_gb="")


def read_peaks(table: pd.DataFrame, catalogue: Catalogue | None = None) -> Peaks:
    """Read a table of runs with their peaks and outcomes.

    Parameters
    ----------
    table : DataFrame
        Columns of :data:`clustersim.estimation.COLUMNS`, and `family`, `outcome` (ran or oom),
        `peak_memory_gb` (decimal), `quality` and, optionally, `memory_measure` (what was measured,
        see :data:`OF_ALLOCATOR`). Rows whose plan must be searched for are left out.
    catalogue : Catalogue, optional

    Raises
    ------
    InputError
        If a column is missing or an outcome or a peak is not understood.

    Examples
    --------
    >>> from clustersim.calibration import own_peaks, read_peaks
    >>> read_peaks(own_peaks()).table["outcome"].value_counts().to_dict()
    {'ran': 130, 'oom': 66}
    """
    texts = table.astype(object).where(table.notna(), "").astype(str)
    _check(texts)
    catalogue = load_catalogue() if catalogue is None else catalogue
    rows = read_configurations(texts, catalogue, assumed=default_calibration())
    rows = rows.take(np.array([not rows.searched[place] for place in rows.index], dtype=bool))
    counted, inside = _bytes(rows), _bytes(rows, **dict.fromkeys(RESERVE, 0.0))
    given = texts.iloc[rows.index]
    chipless = np.array([CHIP in rows.unknown[place] for place in rows.index], dtype=bool)
    peak = pd.to_numeric(given["peak_memory_gb"].replace("", np.nan)).to_numpy(float) * 1e9
    measure = given["memory_measure"] if "memory_measure" in given else given["outcome"]
    of_allocator = measure.str.contains(OF_ALLOCATOR).to_numpy(dtype=bool)
    frame = pd.DataFrame(
        {
            "id": given["id"].to_numpy() if "id" in given else rows.index.astype(str),
            "family": given["family"].to_numpy(),
            "outcome": given["outcome"].to_numpy(),
            "quality": given["quality"].to_numpy() if "quality" in given else "",
            "group": [stack_memory(stack).group for stack in rows.stacks],
            "lora": rows.plans.lora > 0,
            "chip_bytes": np.where(chipless, np.nan, rows.chips.hbm_bytes),
            "peak_bytes": peak,
            "unseen_bytes": np.where(of_allocator, counted - inside, 0.0),
        }
    )
    known = np.array([not rows.unknown[place] for place in rows.index], dtype=bool)
    ran = (frame["outcome"] == "ran").to_numpy()
    exact = ran & (peak + frame["unseen_bytes"] < FULL * rows.chips.hbm_bytes)
    sure = (frame["quality"] == "A").to_numpy()
    possible = counted <= rows.chips.hbm_bytes
    frame["used"] = np.select(
        [~known, exact, ran & possible, ran, sure], ["", "peak", "below", "", "above"], ""
    )
    reasons = pd.Series(rows.reason, dtype=str)
    parts = {
        part: _bytes(rows, **{name: 1.0}) - counted
        for part, name in (
            ("dynamic", "fragmentation"), ("states", "state_share"), ("routed", "routed"),
        )
    }  # fmt: skip
    return Peaks(frame, counted, **parts, unread=reasons[reasons != ""])


def _check(texts: pd.DataFrame) -> None:
    problems = [
        f"{name}: the table has no such column"
        for name in ("family", "outcome", "peak_memory_gb")
        if name not in texts
    ]
    if not problems:
        wrong = sorted(set(texts["outcome"]) - {"ran", "oom"})
        problems += [f"outcome: must be ran or oom, found {shown(word)}" for word in wrong]
        numbers = pd.to_numeric(texts["peak_memory_gb"].replace("", "1"), errors="coerce")
        bad = texts["peak_memory_gb"][~(numbers > 0)].tolist()
        problems += [
            f"peak_memory_gb: must be a positive number, found {shown(text)}" for text in bad
        ]
    if problems:
        raise InputError("table of peaks", problems)


OVERHEAD = ("fragmentation", "state_share", "routed")
RESERVE = ("reserve_share", "reserve_bytes", "reserve_links")


def _bytes(rows: Configurations, **rules: float) -> Floats:
    """Return the bytes per chip of some rows; an overhead that is not given is 0."""
    given = {**dict.fromkeys(OVERHEAD, 0.0), **rules}
    memory = {name: np.asarray(value) for name, value in given.items()}
    changed = dataclasses.replace(rows.memory, **memory)
    shard = shard_of(rows.models, rows.plans, rows.global_batch)
    classes = memory_by_class(shard, rows.models, rows.chips, rows.plans, changed)
    total: Floats = np.sum([np.broadcast_to(size, len(rows)) for size in classes.values()], axis=0)
    return total


def fit_peaks(peaks: Peaks) -> FittedPeaks:
    """Fit the overhead of each group of stacks, and its scatter on sources that are left out.

    The overhead minimizes the squared logarithms of predicted over measured peaks, with less weight
    on large errors (soft L1) and on sources with many rows, and with the priors :data:`PRIOR`.
    Where only the outcome is known, the logarithm of its probability is used instead.

    The scatter of a group is the root mean square of the logarithms for left-out sources, each row
    of a source with n rows counted as ``n ** -0.5``; it includes :data:`USUAL_ROWS` rows of the
    usual scatter.

    Parameters
    ----------
    peaks : Peaks

    Examples
    --------
    >>> from clustersim.calibration import fit_peaks, own_peaks, read_peaks
    >>> found = fit_peaks(read_peaks(own_peaks()))
    >>> bool(0.9 < found.rows.loc[found.rows["used"] == "peak", "left_out_ratio"].median() < 1.1)
    True
    """
    groups = sorted({entry.group for entry in stack_entries()} | set(peaks.table["group"]))
    fitted = (peaks.table["used"] != "").to_numpy()
    family = peaks.table["family"].to_numpy()
    overhead = _fit(peaks, fitted, groups, dict.fromkeys(groups, USUAL_SCATTER))
    left_out = np.full(len(family), np.nan)
    for name in np.unique(family):
        mine = family == name
        touched = sorted(set(peaks.table["group"][mine & fitted]))
        without = _fit(peaks, fitted & ~mine, touched, dict.fromkeys(groups, USUAL_SCATTER))
        left_out[mine] = peaks.predicted({**overhead, **without})[mine]
    scatter = _scatter(peaks, left_out, groups)
    overhead = {
        name: one.model_copy(update={"scatter": scatter[name]}) for name, one in overhead.items()
    }
    each = np.array([scatter[group] for group in peaks.table["group"]])
    chip = peaks.table["chip_bytes"].to_numpy(float)
    predicted = peaks.predicted(overhead)
    peak = (peaks.table["peak_bytes"] + peaks.table["unseen_bytes"]).to_numpy(float)
    rows = peaks.table.assign(
        predicted_bytes=predicted,
        ratio=predicted / peak,
        fit_probability=fit_probability(predicted, chip, each),
        left_out_bytes=left_out,
        left_out_ratio=left_out / peak,
        left_out_probability=fit_probability(left_out, chip, each),
    )
    used = rows[rows["used"] == "peak"]
    facts: dict[str, float | str] = {
        "rows": float(len(used)),
        "sources": float(used["family"].nunique()),
        "outcomes": float(rows["used"].isin(["below", "above"]).sum()),
    }
    if len(used):
        near = used["left_out_ratio"].sub(1.0).abs() <= 0.2
        facts["median_left_out_ratio"] = round(float(used["left_out_ratio"].median()), 3)
        facts["left_out_within_20_percent"] = round(float(near.mean()), 3)
    return FittedPeaks(MemoryOverhead(groups=overhead, facts=facts), rows)


def _weights(family: np.ndarray, fitted: Bools) -> Floats:
    """Return the weights of the fitted rows; a source with n rows counts as n ** 0.5 rows."""
    names, inverse, counts = np.unique(family[fitted], return_inverse=True, return_counts=True)
    del names
    return np.asarray(counts[inverse] ** -0.5, dtype=np.float64)


def _fit(
    peaks: Peaks, fitted: Bools, groups: list[str], scatter: Mapping[str, float]
) -> dict[str, GroupOverhead]:
    from scipy.optimize import least_squares
    from scipy.special import ndtr

    table = peaks.table
    found = {}
    for group in groups:
        mine = fitted & (table["group"] == group).to_numpy()
        names = [name for name in PRIOR if name != "routed" or group in UNBALANCED]
        mean, spread = (np.array([PRIOR[name][k] for name in names]) for k in (0, 1))
        sizes = {"fragmentation": peaks.dynamic, "states": peaks.states, "routed": peaks.routed}
        design = np.array([sizes[name][mine] for name in names])
        counted, used = peaks.counted[mine], table["used"].to_numpy()[mine]
        weight = _weights(table["family"].to_numpy(), mine)
        peak = (table["peak_bytes"] + table["unseen_bytes"])[mine]
        limit = np.where(used == "peak", peak, table["chip_bytes"][mine])
        sign = np.select([used == "below", used == "above"], [-1.0, 1.0], 0.0)

        def residuals(
            values: Floats,
            parts: tuple[Floats, ...] = (design, counted, limit, sign, weight, mean, spread),
        ) -> Floats:
            design, counted, limit, sign, weight, mean, spread = parts
            error = np.log((counted + values @ design) / limit) / USUAL_SCATTER
            soft = np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
            outcome = np.sqrt(-2.0 * np.log(ODD + (1.0 - ODD) * ndtr(sign * error)))
            each = np.where(sign == 0, np.sign(error) * soft, outcome)
            return np.concatenate([np.sqrt(weight) * each, (values - mean) / spread])

        best = least_squares(residuals, np.maximum(mean, 1e-3), bounds=(0.0, np.inf)).x
        values = {name: round(float(value), 4) for name, value in zip(names, best, strict=True)}
        found[group] = GroupOverhead(
            **values,
            scatter=scatter[group],
            rows=int((used == "peak").sum()),
            outcomes=int((sign != 0).sum()),
            sources=table["family"][mine].nunique(),
        )
    return found


def _scatter(peaks: Peaks, left_out: Floats, groups: list[str]) -> dict[str, float]:
    table, found = peaks.table, {}
    for group in groups:
        mine = (table["used"] == "peak").to_numpy() & (table["group"] == group).to_numpy()
        peak = (table["peak_bytes"] + table["unseen_bytes"]).to_numpy(float)
        error = np.log(left_out[mine] / peak[mine])
        weight = _weights(table["family"].to_numpy(), mine)
        total = float(weight @ error**2) + USUAL_ROWS * USUAL_SCATTER**2
        found[group] = round(float(np.sqrt(total / (weight.sum() + USUAL_ROWS))), 3)
    return found


def error_rows(found: FittedPeaks) -> list[dict[str, str]]:
    """Return the errors of a fit by group, for left-out sources, as texts for a table.

    Examples
    --------
    >>> from clustersim.calibration import fit_peaks, own_peaks, read_peaks
    >>> rows = error_rows(fit_peaks(read_peaks(own_peaks())))
    >>> rows[-1]["group"], rows[-1]["peaks"]
    ('all', '123')
    """
    parts = [*found.rows.groupby("group", sort=True), ("all", found.rows)]
    return [{"group": str(name), **_errors(part)} for name, part in parts]


def _errors(rows: pd.DataFrame) -> dict[str, str]:
    said = rows["left_out_probability"]
    known = said.notna()
    ran, out = ((rows["outcome"] == word) & known for word in ("ran", "oom"))
    ratio = rows.loc[ran, "left_out_ratio"].dropna()
    return {
        "ran": str(int(ran.sum())),
        "said to fit": _percent(said[ran] >= FITS_FROM),
        "ran out": str(int(out.sum())),
        "said not to fit": _percent(said[out] < FITS_FROM),
        "peaks": str(len(ratio)),
        "median predicted / measured": f"{ratio.median():.2f}" if len(ratio) else "",
        "within 20 %": _percent(ratio.sub(1.0).abs() <= 0.2),
    }


def _percent(holds: pd.Series[bool]) -> str:
    return format_percent(float(holds.mean()), 0) if len(holds) else ""
