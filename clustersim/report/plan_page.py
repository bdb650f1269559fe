"""The HTML page of a purchase plan, from the file ``plan.json`` in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.columns.plan_columns import PLAN_TABLES, amount_text, scale_text
from clustersim.analysis.metric import Metric
from clustersim.analysis.metrics import metric_of
from clustersim.catalogue import hypothetical_note, load_catalogue
from clustersim.errors import InputError
from clustersim.outputs import PAGE_FILE
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.purchases import (
    draw_costs,
    draw_purchases,
    draw_regret,
    draw_shortfall,
    has_regret,
    merged_candidates,
)
from clustersim.plots.style import FORMATS, save_figure
from clustersim.report.cells import Format
from clustersim.report.made_with import made_with, reproduction
from clustersim.report.page import Answer, Figure, Listing, Page, Section, Table, write_page
from clustersim.report.sources import source_tables
from clustersim.report.spans import span
from clustersim.simulation.result import versions
from clustersim.units import (
    find_quantity,
    format_number,
    format_percent,
    format_quantity,
    scale_of,
)

__all__ = ["PLAN_FILE", "binding_limits", "plan_page", "rewrite_plan", "write_plan_page"]

PLAN_FILE = "plan.json"
"""File with all tables of a plan."""
_TITLES = {
    "purchases": (
        "Purchases",
        "Nodes and chips bought, and totals then in place; rows without purchases are left out.",
    ),
    "costs": (
        "Costs",
        "Cost of each scenario. The price of the purchases is paid, but not part of the cost; "
        "their depreciation within the plan is.",
    ),
    "allocation": (
        "Allocation",
        "Nodes of each chip that run each class of jobs; “unmet” is demand that the plan does not "
        "meet.",
    ),
    "shadow_prices": (
        "Shadow prices",
        "Saving in expected cost per additional unit of a limit, for small changes; for a demand, "
        "the negative of its added cost. The unit is added in each of the scenarios listed, and "
        "the saving is the sum over them, weighted by probability. Limits that are not binding are "
        "left out; the file also has the part of each scenario.",
    ),
    "regret": (
        "Regret",
        "Cost above that of the best purchases, by realised scenario. Candidates that buy the same "
        "first are one row per scenario. “for X”: the best purchases if X were certain.",
    ),
    "rounds": (
        "Rounds of the simulation",
        "Wait or other objective of the simulated jobs, which are those of the demand that the "
        "plan meets: over the jobs of all replications together, with a 95 % interval. The last "
        "round (new) has replications that the search did not use.",
    ),
    "shortfall": ("Missing amounts", "Changes that would make a plan possible."),
    "inputs": (
        "Inputs of the plan file",
        "Numbers that decide what is bought. Change them in the file and plan "
        "again. Prices and powers of nodes are in a table below.",
    ),
    "assumptions": (
        "Prices, power and time",
        "Each with its origin; the sources of the planning assumptions are in the last table.",
    ),
    "reference_fleet": ("Fleet at the end of the plan", "Compared with the reference fleet."),
}
_LABELS = {
    "chip": "chip in the plan",
    "accelerator": "chip in the catalogue",
    "spending_cny": "price of the purchases",
    "unmet_cny": "penalty for unmet demand",
    "tokens": "tokens, trillion",
    "constraint": "limit",
    "candidate": "candidates",
    "grows": "what is changed",
    "relative": "share of the limit or demand",
    "helps": "makes a plan possible",
}
_LEFT_OUT = {"purchases": "nodes"}
"""Column by table; the page leaves out the rows in which the column is 0."""
_MOST_ROWS = 60
_ALL = "all"
"""Value of the column ``scenario`` of shadow prices if the limit is raised in every scenario."""
_SERVICE = "service"
_LIMITS = {"available": "supply", "rack_units": "rack units"}
"""Words for limits whose names in the file are not words."""
_INFINITE = {"inf": math.inf, "-inf": -math.inf, "infinite": math.inf}
"""Texts of infinite numbers in the file; the last one is that of earlier versions."""
_FORMER = {"mean": "value"}
"""Column of the rounds in files of earlier versions, with its present name."""
_NUMBERS = {
    *(each.name for table in PLAN_TABLES for each in table.columns if each.dimension),
    *("amount", "value", "low", "high"),
}
"""Columns of numbers that can be infinite."""


def write_plan_page(folder: str | Path) -> Path:
    """Write the page ``report.html`` into the folder of a plan.

    Raises
    ------
    InputError
        If the folder has no readable ``plan.json``, or the page cannot be written.
    """
    return write_page(plan_page(_content(Path(folder))), Path(folder) / PAGE_FILE)


def rewrite_plan(folder: Path) -> Path:
    """Write the pictures of a plan again, in the formats that are there, and its page.

    Raises
    ------
    InputError
        If the folder has no readable ``plan.json``, or a file cannot be written.
    """
    content = _content(folder)
    look = {
        "title": str(content["question"].get("name", "")),
        "mark": str(_preview(content).get("mark", "")),
    }
    for name, draw in (("purchases", draw_purchases), ("regret", draw_regret)):
        frame = _frame(content, name)
        formats = [each for each in FORMATS if (folder / f"{name}.{each}").is_file()]
        if frame is not None and formats:
            save_figure(draw(frame, **look), folder / name, formats)
    return write_page(plan_page(content), folder / PAGE_FILE)


def _content(folder: Path) -> Mapping[str, Any]:
    path = folder / PLAN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"cannot be read: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("question"), dict):
        raise InputError(path, "is not the file of a plan: it has no question")
    return content


def plan_page(content: Mapping[str, Any]) -> Page:
    """Return the page of a plan.

    Parameters
    ----------
    content : mapping
        Content of ``plan.json``.  Files of earlier versions have no ``answer``; their conclusion is
        shown instead.
    """
    question = content["question"]
    sections = [Section(title, parts) for title, parts in _sections(content) if parts]
    return Page(
        title=str(question.get("name", "Plan")),
        question=str(question.get("question", "")),
        lead=[
            *filter(None, [_preview(content).get("note")]),
            *(f"Warning: {text}." for text in content.get("warnings", ())),
        ],
        sections=[*sections, Section("Reproduction", [*_reproduction(content)])],
        footer=made_with(content.get("versions", {}), page=versions()),
        answer=_answer(content),
    )


def _answer(content: Mapping[str, Any]) -> Answer:
    found = content.get("answer")
    if not isinstance(found, Mapping):
        return Answer(str(content.get("conclusion", "The plan has no conclusion.")))
    return Answer(
        str(found["sentence"]),
        str(found["label"]),
        str(found["value"]),
        str(found["interval"]),
        [str(text) for text in found["hinges_on"]],
        [str(text) for text in found["next_steps"]],
    )


def _preview(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how a quick plan is marked; empty for a full plan, or one of an earlier version."""
    return content.get("preview") or {}


def _sections(
    content: Mapping[str, Any],
) -> Iterator[tuple[str, list[str | Figure | Table | Listing]]]:
    purchases, costs = _frame(content, "purchases"), _frame(content, "costs")
    mark = str(_preview(content).get("mark", ""))
    first: list[str | Figure | Table | Listing] = []
    if purchases is not None:
        figure = draw_purchases(purchases, mark=mark)
        first.append(Figure("Chips bought by quarter", page_picture(figure), figure.caption))
    lacks = _frame(content, "shortfall")
    if lacks is not None and (missing := draw_shortfall(lacks)) is not None:
        first.append(Figure("Missing amounts", page_picture(missing), missing.caption))
    yield (
        "Purchases" if lacks is None else "Limits",
        [*first, *_tables(content, "shortfall", "purchases", "reference_fleet")],
    )
    drawn: list[str | Figure | Table | Listing] = []
    if costs is not None:
        figure = draw_costs(costs, mark=mark)
        drawn.append(Figure("Cost by scenario", page_picture(figure), figure.caption))
    yield "What the plan assumes", [*_tables(content, "inputs")]
    yield "Costs", [*drawn, *_tables(content, "costs", "allocation")]
    spread: list[str | Figure | Table | Listing] = []
    regret = _frame(content, "regret")
    several = regret is not None and regret["scenario"].nunique() > 1
    if regret is not None and several and not has_regret(regret):
        spread.append(
            "No candidate has any regret: the first purchases are among the best ones in every "
            "scenario."
        )
    elif regret is not None and several:
        figure = draw_regret(regret, mark=mark)
        spread.append(Figure("Regret by scenario", page_picture(figure), figure.caption))
    shown = ["regret"] if regret is None or not several or has_regret(regret) else []
    yield "Limits and scenarios", [*spread, *_tables(content, *shown, "shadow_prices")]
    yield "Service in simulation", [*_tables(content, "rounds")]
    yield "Assumptions and notes", [*_assumptions(content)]


def _frame(content: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """Return a table of the plan; None if the plan does not have it or it is empty.

    JSON has no infinity, so the file has texts for infinite numbers.  In a column of names, such a
    text is a name.
    """
    rows = content.get(name)
    if not isinstance(rows, list) or not rows:
        return None
    table = pd.DataFrame(rows)
    if name == "rounds":
        table = table.rename(columns=_FORMER)
    for column in _NUMBERS.intersection(table):
        if table[column].isin(list(_INFINITE)).any():
            table[column] = table[column].replace(_INFINITE).astype(np.float64)
    return table


def _tables(content: Mapping[str, Any], *names: str) -> Iterator[Table]:
    for name in names:
        frame = _frame(content, name)
        if frame is not None:
            title, caption = _TITLES[name]
            if name in _LEFT_OUT:
                frame = frame[frame[_LEFT_OUT[name]] != 0]
            table = Table(
                title,
                _SHOWN.get(name, _unchanged)(frame),
                caption,
                labels=_LABELS,
                formats={"tokens": format_number, "relative": format_percent},
                most_rows=_MOST_ROWS,
                file=f"{name}.csv",
            )
            yield _rounds(table, content["question"]) if name == "rounds" else table


def _unchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def _in_trillions(allocation: pd.DataFrame) -> pd.DataFrame:
    return allocation.assign(tokens=allocation["tokens"] / 1e12)


def binding_limits(prices: pd.DataFrame) -> pd.DataFrame:
    """Return the shadow prices of the binding limits, one row per limit and quarter.

    Parameters
    ----------
    prices : pandas.DataFrame
        See :func:`~clustersim.procurement.shadow_prices.shadow_prices`.

    Returns
    -------
    pandas.DataFrame
        ``constraint, of, quarter`` (text), ``binding in`` (the scenarios, or ``all``), ``unit,
        saves_cny`` (the sum over these scenarios). A limit that has a price only in single
        scenarios has a row for each of them.
    """
    saves, demand = prices["saves_cny"], prices["constraint"] == "demand"
    worth = pd.concat([prices[(saves > 0) & ~demand], prices[(saves < 0) & demand]])
    scenarios = prices.loc[prices["scenario"] != _ALL, "scenario"].nunique()
    rows = []
    for (_, _, quarter), group in worth.groupby(
        ["constraint", "of", "quarter"], sort=False, dropna=False
    ):
        whole = group["scenario"] == _ALL
        single = group["scenario"][~whole]
        binds = _ALL if len(single) in (0, scenarios) else ", ".join(single)
        for row in (group[whole] if whole.any() else group).to_dict("records"):
            where = binds if whole.any() else row["scenario"]
            when = _ALL if quarter is pd.NA or quarter != quarter else f"Q{quarter:.0f}"
            limit = _LIMITS.get(row["constraint"], row["constraint"])
            rows.append((limit, row["of"], when, where, row["unit"], row["saves_cny"]))
    columns = ["constraint", "of", "quarter", "binding in", "unit", "saves_cny"]
    return pd.DataFrame(rows, columns=columns)


def _results_first(purchases: pd.DataFrame) -> pd.DataFrame:
    """Return the purchases with their numbers before the other columns, for narrow screens."""
    order = ("scenario", "quarter", "chip", "nodes", "spending_cny")
    known = [name for name in order if name in purchases]
    return purchases[[*known, *(name for name in purchases if name not in known)]]


def _amounts_in_words(shortfall: pd.DataFrame) -> pd.DataFrame:
    """Return the missing amounts with their units."""
    amounts = [
        "" if pd.isna(amount) else amount_text(constraint, amount)
        for constraint, amount in zip(shortfall["constraint"], shortfall["amount"], strict=True)
    ]
    limits = shortfall["constraint"].replace(_LIMITS)
    return shortfall.assign(amount=amounts, constraint=limits)


_SHOWN = {
    "shortfall": _amounts_in_words,
    "purchases": _results_first,
    "allocation": _in_trillions,
    "shadow_prices": binding_limits,
    "regret": merged_candidates,
}
"""Function by table; the page shows what it returns."""


def _rounds(table: Table, question: Mapping[str, Any]) -> Table:
    """Return the table of the rounds, with a label for the metric and one unit for its values."""
    checked = question.get("verify") or {}
    scale = checked.get("scale", 1.0)
    if isinstance(scale, int | float) and 0 < scale < 1:
        caption = f"{table.caption} Fleet and demand were scaled to {scale_text(float(scale))}."
        table = replace(table, caption=caption)
    frame = table.frame
    names = list(frame["metric"].dropna()) if "metric" in frame else []
    if not names:
        return replace(table, frame=frame.drop(columns="fresh"))
    metric = metric_of(str(names[0]))
    numbers = frame[["value", "low", "high"]].astype(np.float64)
    frame = frame.assign(**numbers)
    bounds = metric.least, metric.most
    ends = numbers.to_numpy(dtype=np.float64).tolist()
    spans = [span(value, low, high, bounds) for value, low, high in ends]
    number = frame["round"].astype(int).astype(str).where(~frame["fresh"].astype(bool), "new")
    frame = frame.assign(round=number).rename(
        columns={"value": _SERVICE, "low": f"{_SERVICE}_low", "high": f"{_SERVICE}_high"}
    )
    known = "possible" in frame and not frame["possible"].all()
    left = ["fresh", "metric", *([] if known else ["possible"])]
    return replace(
        table,
        frame=frame.drop(columns=left, errors="ignore"),
        labels={_SERVICE: metric.label, "outcome": "objective"},
        formats={_SERVICE: _in_unit_of(checked.get("objective") or {}, metric, numbers)},
        prefixes={_SERVICE: [each.prefix for each in spans]},
    )


def _in_unit_of(objective: Mapping[str, Any], metric: Metric, numbers: pd.DataFrame) -> Format:
    """Return a format in the unit that suits the objective or, without one, the largest number."""
    if metric.dimension != "duration":
        return partial(format_quantity, dimension=metric.dimension)
    limit = find_quantity(objective.get("at_most"))
    sizes = numbers.to_numpy(dtype=np.float64).ravel() if limit is None else [limit.value]
    size, unit = scale_of("duration", sizes)
    return lambda value: f"{format_number(value / size, 3)} {unit}"


def _assumptions(content: Mapping[str, Any]) -> Iterator[str | Table | Listing]:
    """Yield notes, assumptions with their origins, and the sources of the chips."""
    yield from (f"Note: {note}." for note in content.get("notes", ()))
    yield from _tables(content, "assumptions")
    question = content["question"]
    chips = question.get("chips") or {}
    names = [str(chip["accelerator"]) for chip in chips.values() if "accelerator" in chip]
    try:
        catalogue = load_catalogue(*question.get("catalogue", ()))
        known = [catalogue.accelerator(name) for name in dict.fromkeys(names)]
    except InputError as error:
        yield f"The sources of the chips cannot be shown: {error}."
        return
    yield from source_tables(known, catalogue.assumptions)
    if note := hypothetical_note(known):
        yield note


def _reproduction(content: Mapping[str, Any]) -> Iterator[str | Listing]:
    """Yield the command that makes the same plan, its question and the versions."""
    yield from reproduction(
        content.get("versions", {}),
        content.get("command")
        or "# Write the question below to plan.yaml, then:\nclustersim plan plan.yaml --out again",
        {"Question": content["question"], "Conclusion": content.get("conclusion")},
        same="the same plan",
        also="; the seed is part of the question",
    )
