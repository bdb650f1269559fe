"""The parts of a question about a log as its folder stores them, and its page from them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.calendar import Calendar
from clustersim.errors import InputError
from clustersim.files import parse_yaml, yaml_text
from clustersim.outputs import PAGE_FILE
from clustersim.report.of_what_if.page import what_if_page
from clustersim.report.of_what_if.prices import PRICES
from clustersim.report.page import write_page
from clustersim.spreadsheets import written_text
from clustersim.time_zones import parse_zone, zone_name
from clustersim.whatif.groups import FLEET, TIMES, Asked
from clustersim.whatif.question import Question, System
from clustersim.whatif.result import WhatIf
from clustersim.workload import JobLog

__all__ = ["DATA_FILE", "JOBS", "rewrite_what_if", "stored_parts"]

DATA_FILE = "what_if.json"
JOBS = "jobs.parquet"
_STORED = "stored"
"""Key of `DATA_FILE` with what the tables beside it do not tell."""


def stored_parts(found: WhatIf) -> dict[str, Any]:
    """Return what the tables of a question do not tell, as plain data."""
    log = found.question.log
    return {
        "changed": found.question.changed,
        "asked": asdict(found.question.asked),
        "question_notes": list(found.question.notes),
        "blocks": found.blocks,
        "calendar": _moment(found.calendar.start),
        "once_cny": None if math.isnan(found.once_cny) else found.once_cny,
        "trees": {system.key: yaml_text(dict(system.tree)) for system in found.question.systems},
        "log": {
            "rows_read": log.rows_read,
            "source": str(log.source),
            "format": log.format,
            "dropped": dict(log.dropped),
            "notes": list(log.notes),
            "origin": _moment(log.origin),
        },
    }


def _moment(time: datetime | None) -> list[str | None] | None:
    """Return a time and the name of its zone."""
    return None if time is None else [time.isoformat(), zone_name(time.tzinfo)]


def _time(stored: list[str | None] | None) -> datetime | None:
    if stored is None:
        return None
    time = datetime.fromisoformat(str(stored[0]))
    return time if stored[1] is None else time.astimezone(parse_zone(stored[1]))


def rewrite_what_if(folder: Path) -> Path:
    """Write the page of a question again, from the tables in its folder.

    Raises
    ------
    InputError
        If a file is missing or damaged, or if an earlier version wrote the folder.
    """
    try:
        data = json.loads((folder / DATA_FILE).read_text(encoding="utf-8"))
        found = _found(folder, data)
        prices = pd.read_csv(folder / PRICES, dtype=str, keep_default_na=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            folder / DATA_FILE,
            f"cannot be read ({what}); it may be from an earlier version: run `clustersim what-if` "
            "again",
        ) from None
    page = what_if_page(found, prices.map(written_text), str(data.get("command", "")))
    return write_page(page, folder / PAGE_FILE)


def _found(folder: Path, data: Mapping[str, Any]) -> WhatIf:
    stored = data[_STORED]
    names = data["systems"]
    log = stored["log"]
    question = Question(
        log=JobLog(
            pd.read_parquet(folder / JOBS),
            log["rows_read"],
            log["source"],
            log["format"],
            log["dropped"],
            tuple(log["notes"]),
            _time(log["origin"]),
        ),
        systems=tuple(
            System(key, names[key], parse_yaml(text)) for key, text in stored["trees"].items()
        ),
        changed=stored["changed"],
        notes=tuple(stored["question_notes"]),
        asked=Asked(**stored["asked"]),
    )
    return WhatIf(
        question,
        _with_columns(_table(folder, "replications"), TIMES),
        _with_columns(_table(folder, "fleets"), FLEET),
        _table(folder, "hinges"),
        stored["blocks"],
        tuple(data["notes"]),
        Calendar(_time(stored["calendar"])),
        math.nan if stored["once_cny"] is None else float(stored["once_cny"]),
    )


def _with_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return a table that has some columns.

    Raises
    ------
    KeyError
        If it lacks one, as in a folder of an earlier version.
    """
    for name in names:
        table[name]
    return table


_TEXTS = ("system", "kind", "group", "key", "what", "why_never")


def _table(folder: Path, name: str) -> pd.DataFrame:
    """Return a table with the very numbers that were written."""
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    for column in table:
        read = written_text if column in _TEXTS else _number
        table[column] = [read(text) for text in table[column]]
    return table


def _number(text: str) -> float | bool:
    if text in ("True", "False"):
        return text == "True"
    return int(text) if text.lstrip("-").isdigit() else float(text or "nan")
