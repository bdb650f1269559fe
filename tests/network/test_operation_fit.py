"""The factors of operations and the errors of the model on all published rows."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from clustersim.network.constants import FABRICS, fitted_values, link_constants
from clustersim.network.fabrics import (
    DEFAULT_FABRIC,
    FABRIC_NAMES,
    constants_of,
    fabric_of,
    fabrics,
    step_factor,
)
from clustersim.network.fit import fit_links, predicted_seconds, read_collectives
from clustersim.network.operation_fit import (
    FILES,
    all_measured,
    chosen_rows,
    errors_of_all_rows,
    errors_without_own_source,
    fit_factors,
    source_name,
)
from clustersim.network.operations import PLAIN, OperationFactors, fitted_factors


def test_refit_gives_the_stored_factors():
    found, stored = fit_factors(), fitted_factors()
    for field in dataclasses.fields(OperationFactors):
        expected = pytest.approx(getattr(stored, field.name), rel=1e-6)
        assert getattr(found, field.name) == expected, field.name


def test_the_factor_of_a_mesh_lies_between_its_rows_by_hand():
    """18, 30, 72 and 63.6 GB/s are 18, 15, 18 and 15.9 GB/s per link; the middle is sqrt(18 15)."""
    link = 28 * fitted_values()["mesh", "efficiency"]
    middle = np.sqrt(18 * 15)
    assert fitted_factors().mesh_all_reduce == pytest.approx(middle / link, rel=0.01)


def test_errors_by_chip_and_operation():
    accuracy = errors_of_all_rows()
    assert len(accuracy.error) == 192
    assert np.median(np.abs(accuracy.error)) < 0.04
    worst = {key: np.median(np.abs(errors)) for key, errors in accuracy.groups().items()}
    assert max(worst.values()) < 0.12
    assert sum(map(len, accuracy.groups().values())) == 192


def test_errors_without_the_own_publication():
    """Large messages are predicted for new systems, start-up times only to about a third."""
    accuracy = errors_without_own_source()
    known = ~np.isnan(accuracy.error)
    large = accuracy.rows.size_bytes >= 2.0**26
    assert 110 <= known.sum() <= 140
    assert np.median(np.abs(accuracy.error[known & large])) < 0.05
    assert np.median(np.abs(accuracy.error[known & ~large])) < 0.45
    only = {
        (accuracy.rows.accelerator[i], accuracy.rows.collective[i]) for i in np.flatnonzero(~known)
    }
    assert ("Ascend-910B", "all_gather") in only
    assert ("H20", "all_reduce") not in only


def test_the_later_rows_hardly_move_the_constants_of_the_links():
    rows = all_measured()
    exchange = np.isin(rows.collective, ("all_to_all", "token_exchange"))
    moved = fit_links(chosen_rows(rows, ~exchange)).constants
    steps = {
        key: abs(moved[key].value - old.value) / old.standard_error
        for key, old in link_constants().items()
    }
    assert 0.1 < max(steps.values()) < 0.65, steps


def test_without_factors_an_all_to_all_is_predicted_too_fast():
    rows = read_collectives(FILES[1])
    exchange = chosen_rows(rows, np.array(rows.collective) == "all_to_all")
    plain = predicted_seconds(exchange, fitted_values(), PLAIN) / exchange.seconds
    fitted = predicted_seconds(exchange, fitted_values(), fitted_factors()) / exchange.seconds
    assert np.all(plain < 0.8)
    assert fitted == pytest.approx(1.0, abs=0.05)


def test_a_factor_without_rows_is_one():
    rows = all_measured()
    rings = chosen_rows(rows, np.array(rows.collective) == "reduce_scatter")
    assert fit_factors(rings) == PLAIN


def test_publications():
    assert source_name("NVIDIA/nccl issue 1374") == "NVIDIA/nccl issue 1374"
    assert source_name("deepseek-ai/DeepEP README (V2): 90 GB/s") == "deepseek-ai/DeepEP"


def test_rows_are_those_of_the_second_table_of_measurements(shared_data):
    with open(shared_data / "measurements" / "collectives_2026.csv", encoding="utf-8") as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    rows = read_collectives(FILES[1])
    for i, name in enumerate(rows.id):
        given = table[name.replace("d", "c")]
        assert rows.ranks[i] == float(given["n_chips"] or rows.ranks[i])
        if given["unit"] == "us":
            assert rows.seconds[i] == pytest.approx(1e-6 * float(given["value"]))
        if given["size_bytes"]:
            assert rows.size_bytes[i] == float(given["size_bytes"])
        if given["busbw_GBps"] and rows.collective[i] == "all_reduce":
            factor = 2 * (rows.ranks[i] - 1) / rows.ranks[i]
            rate = factor * rows.size_bytes[i] / rows.seconds[i] / 1e9
            assert rate == pytest.approx(float(given["busbw_GBps"]), rel=1e-3)


def test_fabrics():
    assert tuple(fabrics()) == FABRIC_NAMES
    assert FABRIC_NAMES[0] == DEFAULT_FABRIC
    assert constants_of(np.arange(4)).tolist() == [
        0,
        0,
        FABRICS.index("efa"),
        FABRICS.index("tcpx"),
    ]
    starts = {"rdma": 10.0, "efa": 120.0, "tcpx": 100.0}
    factors = {name: step_factor(fabric_of(name), starts) for name in FABRIC_NAMES}
    assert factors == pytest.approx({"infiniband": 1, "roce": 5.6 / 3.7, "efa": 12, "tcpx": 10})
    assert all(fabric.source for fabric in fabrics().values())
