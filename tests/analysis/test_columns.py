"""The column dictionary against real tables, and the document against the dictionary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.analysis.columns.column import Column
from clustersim.analysis.columns.column_page import TABLES, column_rows, columns_page
from clustersim.analysis.metrics import METRICS, find_metric, metric_names
from clustersim.cli.main import main
from clustersim.estimation.table import predict_table
from clustersim.procurement.output import plan_tables
from clustersim.report.study import write_results
from clustersim.simulation.simulate import replay
from clustersim.studies.execution import make_runs
from clustersim.studies.study import define_study
from clustersim.studies.study_result import StudyResult, load_result
from tests.analysis.small_run import small_run
from tests.analysis.test_measures import every_10_s
from tests.procurement.files import planned, queue, two_chips
from tests.studies.conducted import QUEUE, TRAINING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "columns.md"
AGREES: dict[str, list[str]] = {"unknown": [], "missing": []}


def undocumented(
    table: str, columns: Iterable[str], parameters: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Compare the columns of a real table with the dictionary.

    Returns
    -------
    dict of str to list of str
        ``unknown``: real columns that the dictionary does not have; ``missing``: columns of the
        dictionary that every such table has, and this one does not.  In order.
    """
    real, known = list(columns), TABLES[table].columns
    parameters = set(parameters)
    unknown = [name for name in real if not any(_is(c, name, parameters) for c in known)]
    missing = [
        column.name
        for column in known
        if not column.only and column.name not in real and not column.name.isupper()
    ]
    return {"unknown": unknown, "missing": missing}


def _is(column: Column, name: str, parameters: set[str]) -> bool:
    """Whether a real column is one of the dictionary."""
    if column.name == "PARAMETER":
        return name in parameters
    if column.name == "INPUT":
        return False
    if found := re.fullmatch(r"METRIC(_\w+)?", column.name):
        end = found[1] or ""
        return name.endswith(end) and find_metric(name.removesuffix(end)) is not None
    return name == column.name


def test_the_document_is_fresh() -> None:
    message = "docs/columns.md is outdated; run clustersim metrics --list-columns > docs/columns.md"
    assert PAGE.read_text(encoding="utf-8") == columns_page(), message


def test_tables_of_a_run_with_everything() -> None:
    result, _ = small_run()
    tables = {
        "jobs": result.jobs,
        "allocations": result.allocation_ranges,
        "allocations by node": result.allocations,
        "utilisation": result.utilisation,
        "summary": result.summary,
        "attempts": result.attempts,
        "outages": result.outages,
        "serving": result.serving,
        "costs": result.costs,
    }
    for name, table in tables.items():
        assert table is not None
        assert undocumented(name, table.columns) == AGREES, name
        documented = [column.name for column in TABLES[name].columns]
        assert [c for c in documented if c in table] == list(table.columns), f"order of {name}"


def test_tables_of_the_simplest_run() -> None:
    result = replay(every_10_s(20, 5), policy="fcfs", accelerators=1)
    for name in ("jobs", "utilisation", "summary"):
        assert undocumented(name, getattr(result, name).columns) == AGREES, name
    assert undocumented("allocations", result.allocation_ranges.columns) == AGREES
    own = result.jobs.assign(user="me").columns
    assert undocumented("jobs", own)["unknown"] == ["user"], "a column of the input"


def study(out: Path, **fields: Any) -> StudyResult:
    assert make_runs(define_study({"name": "columns", **fields}), out, workers=1)
    return load_result(out)


def check(result: StudyResult, *names: str) -> None:
    for name in names:
        table: pd.DataFrame | None = getattr(result, name)
        assert table is not None
        assert len(table), name
        assert undocumented(name, table.columns, result.parameters) == AGREES, name


def test_tables_of_a_study_with_a_search(tmp_path: Path) -> None:
    result = study(
        tmp_path / "out",
        base=TRAINING | {"workload": {**TRAINING["workload"], "jobs": 60}},
        parameters={"scheduler.policy": ["fcfs", "easy"]},
        replications=2,
        draws=2,
        objective={"metric": "mean_wait_s", "at_most": "5 min"},
        capacity={"between": [0.5, 0.9], "tolerance": 0.2},
        compare={"of": "scheduler.policy", "baseline": "fcfs"},
    )
    check(result, "runs", "points", "capacities", "gains")


def test_tables_of_a_study_with_periods_and_differences(tmp_path: Path) -> None:
    result = study(
        tmp_path / "out",
        base={**QUEUE, "horizon": "40 min"},
        parameters={"workload.load": [0.7, 0.9], "scheduler.policy": ["fcfs", "easy"]},
        replications=2,
        metrics=["p95_wait_s", "utilisation.gpu@2", "waited", "chips.gpu"],
        window={"periods": 2, "warm_up": 0, "cool_down": 0},
        compare={"of": "scheduler.policy", "baseline": "fcfs", "metrics": ["waited"]},
    )
    check(result, "runs", "points", "differences")
    # The files have the same columns.
    write_results(result, tmp_path / "out", ("svg",))
    for name in ("runs", "points", "differences"):
        for table in (
            pd.read_csv(tmp_path / "out" / f"{name}.csv"),
            pd.read_parquet(tmp_path / "out" / f"{name}.parquet"),
        ):
            assert undocumented(name, table.columns, result.parameters) == AGREES
    metrics = [name for name in result.runs if "." not in name and "@" not in name]
    always = [name for name in metric_names() if not METRICS.items[name].on_request]
    assert [name for name in metrics if name in METRICS.built_in] == always[: len(metrics)]


def test_table_of_sobol_indices(tmp_path: Path) -> None:
    result = study(
        tmp_path / "out",
        base={**QUEUE, "workload": {**QUEUE["workload"], "jobs": 40}},
        parameters={
            "workload.load": {"from": 0.3, "to": 0.8},
            "workload.generate.classes.small.weight": {"from": 0.5, "to": 2.0},
        },
        sample={"method": "sobol-indices", "points": 2},
        replications=1,
    )
    check(result, "indices")


@pytest.mark.parametrize(
    ("fields", "tables"),
    [
        (
            two_chips(reference_fleet={"cluster": "mixed-small", "why": "a test"}),
            ("purchases", "costs", "allocation", "reference_fleet", "shadow_prices", "regret"),
        ),
        (two_chips(budget="1e6 CNY"), ("assumptions", "shortfall")),
        (queue(rounds=1, replications=2), ("rounds",)),
    ],
)
def test_tables_of_plans(fields: dict[str, Any], tables: tuple[str, ...]) -> None:
    real = plan_tables(planned(fields))
    assert set(tables) <= set(real)
    for name in tables:
        documented = "costs of a plan" if name == "costs" else name
        assert undocumented(documented, real[name].columns) == AGREES, name


def test_table_of_estimates() -> None:
    table = pd.DataFrame(
        {"accelerator": ["H100"], "model": "llama3-8b", "n_accelerators": "8", "global_batch": "64"}
    )
    assert undocumented("estimate", predict_table(table).table.columns) == AGREES


def test_what_does_not_agree_is_found() -> None:
    found = undocumented("points", ["point", "replications", "failed", "waited_low", "wait_low"])
    assert found == {"unknown": ["wait_low"], "missing": ["overload", "rising"]}


def test_every_column_says_what_it_is() -> None:
    for row in column_rows():
        assert row["meaning"], row
        assert row["table"] in TABLES
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)), table.name


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--list-columns"]) == 0
    assert capsys.readouterr().out == columns_page()
    assert main(["metrics", "--list-columns", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == column_rows()
    assert main(["metrics", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == metric_names()
    (row,) = (row for row in rows if row["name"] == "utilisation")
    assert (row["unit"], row["better"], row["by_pool"], row["per_period"]) == (
        "1",
        "more",
        True,
        True,
    )
    assert main(["metrics"]) == 0
    message = capsys.readouterr().out
    for name in metric_names():
        assert name in message
    assert max(map(len, message.splitlines())) <= 100
