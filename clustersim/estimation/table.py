"""Predictions for a user's table of configurations."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim import interrupts
from clustersim.array_types import Bools
from clustersim.brief import Brief
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.estimation.assumptions import (
    chip_notes,
    close_notes,
    name_notes,
    unmeasured_notes,
)
from clustersim.estimation.column_names import twice, with_known_columns
from clustersim.estimation.columns import COLUMNS, KINDS
from clustersim.estimation.configuration_reader import read_configurations
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.evidence import Evidence, evidence_of
from clustersim.estimation.memory_fit import memory_probability
from clustersim.estimation.missing_plans import INTERRUPTED, find_plans
from clustersim.estimation.prediction import predict
from clustersim.estimation.row import Row
from clustersim.estimation.unknown_chips import (
    FOR_UNKNOWN_CHIPS,
    impossible_numbers,
    unknown_chip,
    unused_numbers,
)
from clustersim.meanings import same_meaning
from clustersim.outputs import new_file
from clustersim.performance import Calibration, default_calibration, describe_memory
from clustersim.performance.memory_overhead import FITS_FROM
from clustersim.performance.runs import params_of
from clustersim.plain_text import other_separator, what_is_not_utf8
from clustersim.shipped import find_file
from clustersim.spreadsheets import plain_cell

__all__ = [
    "FOR_UNKNOWN_CHIPS",
    "PREDICTED",
    "PredictedTable",
    "misspelt_columns",
    "predict_table",
    "read_csv_as_text",
    "write_csv",
]

PREDICTED: Mapping[str, str] = {
    "predicted_step_time_s": "seconds of one optimizer step",
    "predicted_lo_s": "lower bound of the 90 % interval of the step time",
    "predicted_hi_s": "upper bound of the 90 % interval of the step time",
    "predicted_memory_bytes": "memory of the fullest chip",
    "predicted_memory_basis": "software stack whose bytes are counted, and the type of loss",
    "fits": f"true if fit_probability is at least {FITS_FROM:g}",
    "fit_probability": "probability that the peak is at most the chip's memory",
    "reason": "why the row cannot be predicted; otherwise empty",
    "predicted_note": "assumptions other than column defaults; empty if there are none",
    "predicted_basis": "number of measured runs on the chip and with models of this kind, and the "
    "nearest one",
}
"""Columns that a prediction adds."""

BEHIND_THE_BEST = 0.21
"""How much longer a run with an unknown plan takes than with the best plan: root mean square of the
logarithm of the ratio, from 440 published pretraining runs whose plans were ignored."""
MOST_FAULTS = 10
NEAR = 0.8
"""An unknown column with at least this similarity to a known one is considered misspelt."""


@dataclass(frozen=True, repr=False)
class PredictedTable(Brief):
    """A table with its predictions.

    Attributes
    ----------
    table : DataFrame
        All rows and columns of the input and those of :data:`PREDICTED`, as texts.
    predicted : int
        Number of rows with a prediction.
    misspelt : mapping of str to str
        Unknown columns, each mapped to the known column that it seems to mean.
    renamed : tuple of str
        Messages about columns that were read under another name or ignored.
    memory_only : int
        Number of rows with a predicted memory but no step time.
    interrupted : int
        Number of rows left out because the search was interrupted before it reached them.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.estimation import PREDICTED, predict_table
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512}
    >>> table = pd.DataFrame([row])
    >>> found = predict_table(table)
    >>> found.predicted, set(PREDICTED) <= set(found.table)
    (1, True)
    """

    table: pd.DataFrame
    predicted: int
    misspelt: Mapping[str, str]
    renamed: tuple[str, ...] = ()
    interrupted: int = 0
    memory_only: int = 0

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return "PredictedTable", {
            "rows": f"{len(self.table):,}",
            "predicted": f"{self.predicted:,}",
            "memory only": f"{self.memory_only:,}" if self.memory_only else "",
            "left out by an interrupt": f"{self.interrupted:,}" if self.interrupted else "",
            "columns read under another name": ", ".join(self.renamed),
            "unknown columns": ", ".join(self.misspelt),
        }


def predict_table(
    table: pd.DataFrame,
    calibration: Calibration | None = None,
    *,
    catalogue: Catalogue | None = None,
    source: str = "table",
) -> PredictedTable:
    """Predict the step time and memory of every row that is complete enough.

    The memory of a row can be predicted without its batch, its chip (if `chip_memory_gb` is given)
    or the shape of its model (if `params_b` is given). Such a row gets no step time.

    After a KeyboardInterrupt during the search for plans, the column ``reason`` of the remaining
    rows states the interruption.

    Parameters
    ----------
    table : DataFrame
        A table with columns of :data:`clustersim.estimation.COLUMNS` in any order, also under
        other common names (:data:`clustersim.estimation.column_names.ALIASES`), with
        the columns :data:`clustersim.estimation.unknown_chips.FOR_UNKNOWN_CHIPS` for chips that are
        not in the catalogue, and with any other columns. Measured results are not used.
    calibration : Calibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional
    source : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        If the table has none of the known columns, has one of the columns to be added, or has no
        rows.

    Examples
    --------
    >>> from clustersim.estimation import predict_table
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"accelerator": ["H100", "H1000"], "model": "llama3-8b", "n_accelerators": "8",
    ...      "global_batch": "128", "tp": "2"}
    ... )
    >>> done = predict_table(table).table
    >>> done["fits"].tolist(), done["reason"][1][:40]
    (['true', ''], "accelerator: unknown accelerator 'H1000'")
    """
    texts = table.astype(object).where(table.notna(), "").astype(str)
    texts, renamed = with_known_columns(texts)
    _check_columns(table, texts, source)
    calibration = default_calibration() if calibration is None else calibration
    catalogue = load_catalogue() if catalogue is None else catalogue
    notes: list[list[str]] = [[] for _ in range(len(texts))]
    known, catalogue, lost = _with_unknown_chips(texts, catalogue, notes)
    known = _with_known_kinds(known, notes)
    rows = read_configurations(known, catalogue, assumed=calibration)
    rows, searched = find_plans(rows, calibration.mean_draw())
    reason = [lost.get(place, text) for place, text in enumerate(rows.reason)]
    for place, row_notes in enumerate(rows.notes):
        notes[place] += row_notes if not reason[place] else []
    cut = reason.count(INTERRUPTED)
    with interrupts.held() if cut else nullcontext():
        columns = _predicted_columns(rows, searched, calibration, reason, notes)
        added = pd.DataFrame(columns, index=table.index, dtype=object)
        known_names = {*COLUMNS, *FOR_UNKNOWN_CHIPS}
        unknown = [column for column in texts.columns if column not in known_names]
        return PredictedTable(
            pd.concat([table, added], axis=1),
            len(rows),
            misspelt_columns(unknown, set(texts.columns)),
            tuple(renamed),
            cut,
            sum(not rows.timed[place] for place in rows.index),
        )


def _check_columns(table: pd.DataFrame, texts: pd.DataFrame, source: str) -> None:
    problems = [
        f"{name}: the input already has a column of this name; rename or remove it"
        for name in PREDICTED
        if name in table.columns
    ]
    problems += twice(table.columns)
    if not set(COLUMNS) & set(texts.columns):
        problems.append(
            f"has none of the columns of a configuration: {', '.join(COLUMNS)}; "
            f"its header is {', '.join(map(str, table.columns))[:80]!r}"
        )
    if not problems and not len(table):
        problems.append("has no rows")
    if problems:
        raise InputError(source, problems)


def misspelt_columns(
    unknown: Sequence[str], present: Collection[str], known: Iterable[str] = tuple(COLUMNS)
) -> dict[str, str]:
    """Map unknown columns to the known, but missing, columns that they seem to mean."""
    missing = [name for name in known if name not in present]
    near = {}
    for column in unknown:
        letters = difflib.get_close_matches(str(column).lower(), missing, n=1, cutoff=NEAR)
        meant = letters[0] if letters else same_meaning(column, missing)
        if meant is not None:
            near[column] = meant
    return near


def _with_unknown_chips(
    texts: pd.DataFrame, catalogue: Catalogue, notes: list[list[str]]
) -> tuple[pd.DataFrame, Catalogue, dict[int, str]]:
    """Replace each unknown chip whose peak is given with a hypothetical chip.

    Returns
    -------
    DataFrame, Catalogue
        The table with the names of the hypothetical chips, and a catalogue that includes them.
    dict of int to str
        The rows whose chip remains unknown, with the reason.
    """
    if "accelerator" not in texts:
        return texts, catalogue, {}
    names = texts["accelerator"].to_list()
    extended, lost = catalogue, {}
    for place, row in enumerate(texts.to_dict("records")):
        name = names[place].strip()
        given = {str(column): str(value) for column, value in row.items()}
        for column, message in impossible_numbers(given).items():
            texts.loc[texts.index[place], column] = given[column] = ""
            notes[place].append(message)
        if not name or catalogue.has_accelerator(name):
            if name:
                unused = unused_numbers(catalogue.accelerator(name), given)
                notes[place] += [*name_notes(name, catalogue), *([unused] if unused else [])]
            continue
        precision = "fp8" if "fp8" in str(row.get("precision", "")).lower() else "bf16"
        made = unknown_chip(name, given, precision, catalogue)
        if made is None and given.get("chip_memory_gb", "").strip():
            continue  # its memory is enough for a prediction without step time
        if made is None:
            near = difflib.get_close_matches(name, catalogue.accelerators, n=1, cutoff=0.0)
            lost[place] = (
                f"accelerator: unknown accelerator {name!r}; did you mean {near[0]!r}? Otherwise "
                "give its dense peak in a column peak_tflops"
            )
            continue
        chip = made.accelerator
        if extended.has_accelerator(chip.name) and extended.accelerator(chip.name) != chip:
            chip = dataclasses.replace(chip, name=f"{chip.name}, row {place + 1}")
        extended = extended.with_accelerator(chip)
        names[place] = chip.name
        notes[place].append(f"{made.note}.")
    return texts.assign(accelerator=names), extended, lost


def _with_known_kinds(texts: pd.DataFrame, notes: list[list[str]]) -> pd.DataFrame:
    """Treat an unknown kind of training as pretraining: all weights are trained."""
    if "kind" not in texts:
        return texts
    kinds = texts["kind"].to_list()
    for place, kind in enumerate(kinds):
        row = Row({"kind": kind})
        row.choice("kind", "pretrain", KINDS)
        if row.problems:
            kinds[place] = ""
            notes[place].append(f"kind {kind.strip()!r} is treated as training of all weights.")
    return texts.assign(kind=kinds)


def _predicted_columns(
    rows: Configurations,
    searched: Bools,
    calibration: Calibration,
    reason: list[str],
    notes: list[list[str]],
) -> dict[str, list[str]]:
    columns = {name: [""] * len(reason) for name in PREDICTED}
    columns["reason"] = reason
    columns["predicted_note"] = [" ".join(texts) for texts in notes]
    if not len(rows):
        return columns
    found = predict(rows, calibration)
    probability = memory_probability(rows, found.step)
    for place, chip, used, chance in zip(
        rows.index, rows.accelerators, found.step.memory_bytes, probability, strict=True
    ):
        timed = rows.timed[place]
        notes[place] += close_notes(chance, fits=chance >= FITS_FROM)
        notes[place] += unmeasured_notes(chip, calibration) if timed else []
        notes[place] += chip_notes(chip, float(used))
        columns["predicted_note"][place] = " ".join(notes[place])
    upper = np.log(found.hi_s / found.step.step_time_s)
    behind = np.where(searched, calibration.coverage_factor * BEHIND_THE_BEST, 0.0)
    hi_s = found.step.step_time_s * np.exp(np.hypot(upper, behind))
    basis = _evidence(rows, calibration)
    numbers: dict[str, tuple[NDArray[Any], str]] = {
        "predicted_step_time_s": (found.step.step_time_s, ".6g"),
        "predicted_lo_s": (found.lo_s, ".6g"),
        "predicted_hi_s": (hi_s, ".6g"),
        "predicted_memory_bytes": (np.round(found.step.memory_bytes), ".0f"),
    }
    for place, row in enumerate(rows.index):
        for name, (values, form) in numbers.items():
            if rows.timed[row] or name == "predicted_memory_bytes":
                columns[name][row] = format(values[place], form)
        if rows.timed[row]:
            columns["predicted_basis"][row] = str(basis[place])
        columns["predicted_memory_basis"][row] = describe_memory(
            rows.stacks[place], rows.memory_options[place]
        )
        if np.isnan(probability[place]):
            continue
        columns["fits"][row] = "true" if probability[place] >= FITS_FROM else "false"
        columns["fit_probability"][row] = f"{probability[place]:.3f}"
    return columns


def _evidence(rows: Configurations, calibration: Calibration) -> list[Evidence]:
    """Return the measured runs on which the prediction of each row rests."""
    return [
        evidence_of(
            calibration,
            chip.name,
            mixture=mixture,
            params=params,
            count=count,
            architecture=chip.family,
            adapters=adapters > 0,
        )
        for chip, mixture, params, count, adapters in zip(
            rows.accelerators,
            (rows.models.n_experts > 0).tolist(),
            params_of(rows.models).tolist(),
            rows.plans.chips.tolist(),
            rows.plans.lora.tolist(),
            strict=True,
        )
    ]


def read_csv_as_text(path: str | Path) -> pd.DataFrame:
    """Read a CSV file without converting its values.

    Raises
    ------
    InputError
        If the file cannot be read, is not text, has a column twice, or has rows that are longer or
        shorter than its header.
    """
    source = os.fspath(path)
    try:
        with find_file(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise InputError(source, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(source, what_is_not_utf8(path, "a CSV table")) from None
    except (csv.Error, ValueError) as error:
        if "\0" not in str(path) and b"\0" in Path(path).read_bytes():
            raise InputError(source, what_is_not_utf8(path, "a CSV table")) from None
        raise InputError(source, f"is not a CSV table: {error}") from None
    if not lines:
        raise InputError(source, "is empty")
    header = lines[0][1]
    separator = other_separator(",".join(header))
    if separator is not None:
        raise InputError(source, separator)
    problems = [
        f"column {name!r}: is present twice in the header"
        for name in dict.fromkeys(header)
        if header.count(name) > 1
    ]
    problems += [
        f"line {number}: has {len(cells)} values, but the header has {len(header)}"
        for number, cells in lines[1:]
        if len(cells) != len(header)
    ][:MOST_FAULTS]
    if problems and any("\0" in cell for cell in header):
        raise InputError(source, what_is_not_utf8(path, "a CSV table"))
    if problems:
        raise InputError(source, problems)
    return pd.DataFrame([cells for _, cells in lines[1:]], columns=header, dtype=object)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of texts as CSV, either completely or not at all; never overwrite a file.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    """
    with new_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(plain_cell, table.columns))
        for row in table.itertuples(index=False, name=None):
            writer.writerow(map(plain_cell, row))
