"""The fitted constants of links against their measurements."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.network.collectives import all_gather_seconds, all_reduce_seconds
from clustersim.network.constants import (
    FABRICS,
    GENERATIONS,
    fitted_values,
    generation_of,
    link_constants,
    links_of_constants,
)
from clustersim.network.fit import LinkFit, fit_links, predicted_seconds, read_collectives
from clustersim.units import format_percent

GB = 1e9


@pytest.fixture(scope="module")
def fit():
    return fit_links()


def chips(family, *, scaleup, nic=50.0, mesh=False, fabric="rdma"):
    return links_of_constants(
        fitted_values(),
        scaleup_Bps=np.array(scaleup * GB),
        nic_Bps=np.array(nic * GB),
        scaleup_size=np.array(8.0),
        mesh=np.array(mesh),
        mesh_peers=np.array(7.0),
        generation=np.array(generation_of(family, mesh=mesh)),
        fabric=np.array(FABRICS.index(fabric)),
    )


def rate(collective, ranks, links, size=2.0**32):
    """Algorithm bandwidth in GB/s."""
    return size / collective(np.array(size), np.array(float(ranks)), np.array(1.0), links) / GB


def test_refit_gives_the_stored_constants():
    constants = fit_links().constants
    stored = link_constants()
    assert list(stored) == list(constants)
    for key, constant in constants.items():
        assert stored[key].value == pytest.approx(constant.value, rel=1e-6), key
        assert stored[key].standard_error == pytest.approx(constant.standard_error, rel=1e-4), key


def median_error(fit, link=None):
    return np.median(
        [abs(e) for e, of in zip(fit.error, fit.link, strict=True) if link in (None, of)]
    )


def test_errors_of_the_measured_rows(fit):
    """Median absolute errors: what is reported, and no worse."""
    assert len(fit.error) == 170
    assert median_error(fit) < 0.04
    bounds = {"nvlink3": 0.06, "nvlink4": 0.035, "nvlink5": 0.045, "mesh": 0.06}
    bounds |= {"rdma": 0.10, "efa": 0.03, "tcpx": 0.03}
    assert {link for link in bounds if median_error(fit, link) > bounds[link]} == set()
    assert max(abs(e) for e in fit.error) < 0.55
    large = read_collectives().size_bytes >= 2**28
    assert np.median(np.abs(np.array(fit.error)[large])) < 0.025


def test_stored_constants_predict_the_rows(fit):
    rows = read_collectives()
    values = {key: constant.value for key, constant in link_constants().items()}
    assert predicted_seconds(rows, values) / rows.seconds - 1 == pytest.approx(fit.error, abs=1e-5)


def test_mesh_of_the_910b():
    """18, 30 and 72 GB/s of all-reduce, 38, 64 and 149 of all-gather, on 2, 4 and 8 chips."""
    mesh = chips("ascend", scaleup=196, mesh=True)
    reduced = [rate(all_reduce_seconds, n, mesh) for n in (2, 4, 8)]
    assert reduced == pytest.approx([18, 30, 72], rel=0.2)
    assert reduced[::2] == pytest.approx([18, 72], rel=0.03)
    gathered = [rate(all_gather_seconds, n, mesh) for n in (2, 4, 8)]
    assert gathered == pytest.approx([38, 64, 149], rel=0.12)


def test_reduction_in_the_switch_passes_the_ring_and_the_link():
    """Bus bandwidth of 8 H200: 473 GB/s in the switch, 366 by a ring, 450 of link."""
    switch = chips("hopper", scaleup=450)
    bus = 2 * 7 / 8 * rate(all_reduce_seconds, 8, switch)
    assert bus == pytest.approx(473, rel=0.03)
    ring = dataclasses.replace(switch, reduce_cost=np.inf)
    assert 2 * 7 / 8 * rate(all_reduce_seconds, 8, ring) == pytest.approx(366, rel=0.03)
    # 5 to 7 chips, NVLS on
    for ranks, measured in ((5, 414.2), (6, 435.6), (7, 460.0)):
        bus = 2 * (ranks - 1) / ranks * rate(all_reduce_seconds, ranks, switch)
        assert bus == pytest.approx(measured, rel=0.05)


def test_a800_on_eight_chips():
    """89 GB/s of all-reduce on 400 GB/s (both directions) of NVLink."""
    assert rate(all_reduce_seconds, 8, chips("ampere", scaleup=200)) == pytest.approx(89, rel=0.03)


def test_fabrics_differ():
    """Two nodes of H100 sum 64 MiB in 0.47 ms over InfiniBand and 1.26 ms over TCPX."""
    size = 2.0**26
    seconds = {
        fabric: size / rate(all_reduce_seconds, 16, chips("hopper", scaleup=450, nic=nic,
                                                            fabric=fabric), size) / GB
        for fabric, nic in (("rdma", 50), ("tcpx", 25))
    }  # fmt: skip
    assert seconds["rdma"] == pytest.approx(466e-6, rel=0.2)
    assert seconds["tcpx"] == pytest.approx(1262e-6, rel=0.1)


def test_constants_of_every_kind():
    constants = link_constants()
    for kind in (*GENERATIONS, *FABRICS):
        assert 0 < constants[kind, "efficiency"].value < 1
        assert constants[kind, "latency_s"].value < 1e-3
        for name in ("efficiency", "latency_s", "slope", "step_s"):
            assert constants[kind, name].standard_error > 0


def test_an_unmeasured_ring_is_less_certain_than_a_measured_one(fit):
    error = {kind: fit.constants[kind, "efficiency"].standard_error for kind in GENERATIONS}
    assert error["nvlink5"] > 2 * error["nvlink4"]
    assert error["switch"] > 2 * error["nvlink4"]


def test_one_odd_row_hardly_moves_the_fit(fit):
    rows = read_collectives()
    seconds = rows.seconds.copy()
    odd = rows.id.index("c128")
    seconds[odd] *= 10
    moved = fit_links(dataclasses.replace(rows, seconds=seconds)).constants["nvlink4", "efficiency"]
    usual = fit.constants["nvlink4", "efficiency"]
    assert abs(moved.value - usual.value) < usual.standard_error


def test_a_fit_survives_json(fit):
    again = LinkFit.from_dict(json.loads(json.dumps(fit.to_dict())))
    assert again == fit
    assert again.report() == fit.report()


def test_parts_that_are_missing_are_named(fit):
    with pytest.raises(InputError, match="rows: is missing"):
        LinkFit.from_dict({"constants": []})
    data = fit.to_dict()
    data["constants"] = [c for c in data["constants"] if c["kind"] != "efa"]
    with pytest.raises(InputError, match="slope of efa is missing"):
        LinkFit.from_dict(data)


def test_report_names_constants_and_errors(fit):
    text = fit.report()
    assert "nvlink4          reduce_efficiency" in text
    assert "910B" in text
    assert format_percent(median_error(fit)) in text


def test_rows_are_those_of_the_table_of_measurements(shared_data):
    """Times and bandwidths are as in the table, and the rows not used are those of the README."""
    with open(shared_data / "measurements" / "collectives.csv", encoding="utf-8") as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    rows = read_collectives()
    ours = {name: i for i, name in enumerate(rows.id)}
    unused = {"c042", "c044", "c046", "c096", "c101", "c159", "c161"}
    unused |= {f"c{i}" for i in range(166, 174)}
    assert set(table) - set(ours) == unused
    for name in set(table) & set(ours):
        if table[name]["time_us"]:
            assert rows.seconds[ours[name]] == pytest.approx(1e-6 * float(table[name]["time_us"]))
        if table[name]["size_bytes"]:
            assert rows.size_bytes[ours[name]] == float(table[name]["size_bytes"])
        assert rows.ranks[ours[name]] == float(table[name]["n_devices"])
