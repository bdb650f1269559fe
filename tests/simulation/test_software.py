"""Software that is not there from the begin on, or not mature."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from fleets import cluster, jobs, pool

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.result import Result
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.simulation.software import DatedPort, Software, dated_ports, with_software
from clustersim.simulation.speeds import Speeds

CATALOGUE = load_catalogue()
DAY_S = 86400.0
FLEET = cluster(pool("gpu", 2, accelerator="H200"), pool("npu", 2, accelerator="910B"))


def ports(*entries: dict[str, Any], log: Any = None, replication: int = 0) -> list[DatedPort]:
    software = validate(Software, {"ports": list(entries)}, "software")
    log = jobs([(0, 8, 100)]) if log is None else log
    return dated_ports(software, log, CATALOGUE, Streams(1, replication=replication))


def simulated(log: Any, *entries: dict[str, Any]) -> Result:
    mature = find_runtimes(log, Speeds(FLEET, CATALOGUE))
    return simulate(
        log,
        FLEET,
        Scheduling(placement="consolidate"),
        catalogue=CATALOGUE,
        run_times=with_software(mature, log, FLEET, CATALOGUE, ports(*entries, log=log)),
        check=True,
    )


def test_efficiency_by_hand() -> None:
    """From 0.4 to 0.8: half the gap is closed after one halving, three quarters after two."""
    (port,) = ports(
        {"name": "npu", "at": "10 d", "efficiency": 0.4, "mature": 0.8, "halving": "100 d"}
    )
    days = np.array([0, 9.999, 10, 110, 210, 1e6]) * DAY_S
    np.testing.assert_allclose(port.efficiency(days), [0, 0, 0.4, 0.6, 0.7, 0.8], rtol=1e-12)
    (steady,) = ports({"name": "npu", "at": "0 d", "efficiency": 0.4})
    assert steady.efficiency(days).tolist() == [0.4] * 6
    (never,) = ports({"name": "npu"})
    assert never.efficiency(days).tolist() == [0.0] * 6


def test_run_times_are_those_of_the_software_at_submission() -> None:
    """Three gangs of a whole pool: the first finds no port, the others an immature one."""
    log = jobs([(0, 16, 1000), (0, 16, 1000), (100, 16, 1000), (300, 16, 1000)])
    entry = {"name": "npu", "accelerators": ["ascend 910b"], "at": "50 s", "efficiency": 0.5,
            "halving": "200 s"}  # fmt: skip
    result = simulated(log, entry)
    # 2^(-50/200) and 2^(-250/200) of the gap of 0.5 are left.
    speeds = 1 - 0.5 * 2 ** -np.array([0.25, 1.25])
    table = result.jobs
    assert table["pool"].tolist() == ["gpu", "gpu", "npu", "npu"]
    runs = (table["finish_s"] - table["start_s"]).to_numpy()
    np.testing.assert_allclose(runs, [1000, 1000, *(1000 / speeds)], rtol=1e-12)
    assert simulated(log).jobs["pool"].tolist() == ["gpu", "npu", "gpu", "npu"]


def test_a_port_concerns_the_jobs_and_chips_that_it_names() -> None:
    log = jobs([(0, 8, 100)] * 3, job_class=["a", "b", "c"])
    entries = [
        {"name": "all", "at": "0 s", "efficiency": 0.5},
        {"name": "a", "classes": ["a"], "accelerators": ["H200"], "at": "0 s"},
        {"name": "b", "classes": ["b"]},
    ]
    result = simulated(log, *entries)
    runs = (result.jobs["finish_s"] - result.jobs["start_s"]).tolist()
    assert runs[0] == 100, "the last port that concerns it"
    assert np.isnan(runs[1])
    assert runs[2] == 200, "the first concerns all"
    assert result.jobs["outcome"].tolist() == ["finished", "never runnable", "finished"]
    assert result.jobs["reason"].iloc[1] == (
        "gpu: its software is not ported to this chip (b); "
        "npu: its software is not ported to this chip (b)"
    )


def test_a_job_that_comes_too_early_for_its_only_chip() -> None:
    log = jobs([(0, 8, 100), (2 * DAY_S, 8, 0)], accelerators=["910B"] * 2)
    result = simulated(log, {"name": "cann", "accelerators": ["910B"], "at": "2 d"})
    assert result.jobs["outcome"].tolist() == ["never runnable", "finished"]
    assert "its software runs on this chip only from 2 d on (cann)" in result.jobs["reason"].iloc[0]


def test_slips_are_those_of_the_seed() -> None:
    entry = {"name": "npu", "at": "10 d", "slip": {"kind": "exponential", "average": "30 d"}}
    dates = [ports(entry, replication=k)[0].at_s / DAY_S for k in range(400)]
    assert ports(entry)[0].at_s == ports(entry)[0].at_s
    assert min(dates) >= 10
    assert np.mean(dates) == pytest.approx(40, abs=4 * 30 / np.sqrt(400))


MODELS = {
    "name": "diffusion",
    "weight": 1,
    "sizes": {16: 1},
    "model": "jimeng-class",
    "tokens": {"kind": "constant", "value": 1e8},
}
SCENARIO: dict[str, Any] = {
    "cluster": {
        "name": "two",
        "pools": {
            "gpu": {"accelerator": "H200", "nodes": 4},
            "npu": {"accelerator": "910B", "nodes": 4, "nic": "200 Gb/s"},
        },
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "1 h"},
            "classes": [MODELS, {**MODELS, "name": "language", "model": "llama3-8b"}],
        },
        "jobs": 60,
        "load": 1.6,
    },
    "software": {"ports": [{"name": "video", "accelerators": ["910B"], "models": ["jimeng"]}]},
    "scheduler": {"policy": "easy"},
    "seed": 3,
}


def test_a_port_that_is_removed_changes_the_answer() -> None:
    """Diffusion tied to CUDA stays on the H200; the same jobs come at the same times."""
    tied = run_scenario(define_scenario(SCENARIO)).jobs
    free = run_scenario(define_scenario(SCENARIO, {"software.ports": []})).jobs
    moved = run_scenario(define_scenario(SCENARIO, {"software.ports.video.at": "0 d"})).jobs
    np.testing.assert_array_equal(tied["submit_s"], free["submit_s"])
    np.testing.assert_array_equal(moved["finish_s"], free["finish_s"])
    of_video = tied["job_class"] == "diffusion"
    assert set(tied["pool"][of_video]) == {"gpu"}
    assert "npu" in set(tied["pool"][~of_video])
    assert "npu" in set(free["pool"][of_video])

    def mean_jct(table: Any) -> float:
        return float((table["finish_s"] - table["submit_s"])[of_video].mean())

    run_s = (free["finish_s"] - free["start_s"])[of_video].groupby(free["pool"]).mean()
    assert 3.5 < run_s["npu"] / run_s["gpu"] < 5.5, "waiting for the H200 pays"
    assert mean_jct(tied) < 0.98 * mean_jct(free)


BAD = {
    "a chip": ({"accelerators": ["910C9"]}, r"software: ports\.p\.accelerators: .*'910C9'"),
    "a model": ({"models": ["jimeg"]}, r"software: ports\.p\.models: .*did you mean"),
    "a class": ({"classes": ["langage"]}, r"ports\.p\.classes: .*did you mean 'language'"),
}


@pytest.mark.parametrize("case", BAD)
def test_names_that_are_not_known(case: str) -> None:
    fields, words = BAD[case]
    tree = copy.deepcopy(SCENARIO)
    tree["software"] = {"ports": [{"name": "p", **fields}]}
    with pytest.raises(InputError, match=words):
        run_scenario(define_scenario(tree))
