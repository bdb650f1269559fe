"""Power and space of the site: nodes that come wait for room, first come, first served."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.availability.site import Site, node_power_w
from clustersim.availability.supply import Supply, nodes_over_time, supplied
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.report.marks import outage_marks
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster
from tests.simulation.fleets import cluster, jobs, pool, scenario

H200 = cluster(pool("h200", 4, 8, accelerator="H200"))
BOTH = cluster(H200.pools[0], pool("910b", 4, 8, accelerator="910B"))
POWER_W = {"h200": 5600, "910b": 3200}
"""Of the eight chips of a node."""
BARE = {"pue": 1, "host_factor": 1}
"""A node takes what its chips take."""
Span = tuple[float, float, int, int, str]


def limits(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"limits": list(entries), **BARE}


def delivery(nodes: int, at: float, name: str = "h200") -> dict[str, Any]:
    return {"pool": name, "nodes": nodes, "at": f"{at} s"}


def supply(**fields: Any) -> Supply:
    return validate(Supply, fields, "supply")


def spans(spec: Supply, fleet: Cluster = H200, cause: str = "no power or space") -> list[Span]:
    return [
        (o.begin_s, o.end_s, o.pool, o.node, o.cause)
        for o in supplied(spec, fleet, Streams(1))
        if cause in o.cause
    ]


def waits(spec: Supply, fleet: Cluster = H200) -> list[tuple[float, float, int, int]]:
    return [span[:4] for span in spans(spec, fleet)]


def test_nodes_wait_for_power_until_there_is_more() -> None:
    spec = supply(
        deliveries=[delivery(3, 10)],
        site=limits({"power": "11.2 kW"}, {"at": "50 s", "power": "16.8 kW"}),
    )
    assert spans(spec, cause="") == [
        (0, 10, 0, 1, "not delivered"),
        (0, 10, 0, 2, "not delivered"),
        (0, 10, 0, 3, "not delivered"),
        (10, 50, 0, 2, "no power or space"),
        (10, math.inf, 0, 3, "no power or space"),
    ]
    table = nodes_over_time(spec, H200, Streams(1))
    assert table[["time_s", "nodes"]].to_numpy().tolist() == [[0, 1], [10, 2], [50, 3]]


def test_what_is_retired_makes_room() -> None:
    spec = supply(
        deliveries=[delivery(3, 10)],
        retirements=[{"pool": "h200", "nodes": 1, "at": "30 s"}],
        site=limits({"nodes": 2}),
    )
    assert waits(spec) == [(10, 30, 0, 2), (10, math.inf, 0, 3)]
    # One that is retired while it waits waits no more, and one that comes too late never does.
    retired = [{"pool": "h200", "nodes": 3, "at": "30 s"}]
    spec = supply(deliveries=[delivery(4, 10)], retirements=retired, site=limits({"nodes": 2}))
    assert waits(spec) == [(10, 30, 0, 2), (10, 30, 0, 3)]
    spec = supply(deliveries=[delivery(4, 40)], retirements=retired, site=limits({"nodes": 0}))
    assert waits(spec) == [(40, math.inf, 0, 3)]
    assert nodes_over_time(spec, H200, Streams(1))["nodes"].tolist() == [0]


def test_those_behind_wait_too() -> None:
    """A 910B would fit beside another in 8 kW, but an H200 was there before it."""
    deliveries = [delivery(4, 10), delivery(3, 20, "910b")]
    spec = supply(deliveries=deliveries, site=limits({"power": "8 kW"}))
    assert {span[:2] for span in waits(spec, BOTH) if span[2] == 1} == {(20, math.inf)}
    alone = supply(deliveries=[delivery(4, 30), deliveries[1]], site=limits({"power": "8 kW"}))
    assert [span[3] for span in waits(alone, BOTH) if span[2] == 1] == [2, 3]


def test_those_that_came_last_are_switched_off_where_a_limit_falls() -> None:
    spec = supply(
        deliveries=[delivery(2, 10)],
        site=limits({"nodes": 4}, {"at": "20 s", "nodes": 1}, {"at": "30 s", "nodes": 3}),
    )
    assert waits(spec) == [(20, 30, 0, 1), (20, 30, 0, 2), (20, math.inf, 0, 3)]


def test_a_limit_that_says_one_thing_leaves_the_other() -> None:
    spec = supply(
        deliveries=[delivery(4, 10)],
        site=limits({"nodes": 2, "power": "11.2 kW"}, {"at": "20 s", "nodes": 4}),
    )
    assert waits(spec) == [(10, math.inf, 0, 2), (10, math.inf, 0, 3)]
    later = supply(site=limits({"at": "5 s", "nodes": 3}))
    assert waits(later) == [(5, math.inf, 0, 3)], "no limit before the first"


def test_power_of_a_node() -> None:
    site = validate(Site, {"limits": [{"power": "1 MW"}]}, "site")
    found = node_power_w(site, BOTH, load_catalogue())
    assert found == pytest.approx([8 * 700 * 1.8 * 1.3, 8 * 400 * 1.8 * 1.3], rel=1e-12)


def test_production_waits_too() -> None:
    """Two nodes a day, and space for one more in a day and a half."""
    made = {"pool": "h200", "foundry": "A", "chips_per_month": 16 * 365.25 / 12, "at": "0 d"}
    spec = supply(production=[made], site=limits({"nodes": 1}, {"at": "1.5 d", "nodes": 2}))
    found = [(begin / 86400, end / 86400, node) for begin, end, _, node in waits(spec)]
    assert found == [
        pytest.approx(each) for each in [(1, 1.5, 1), (1.5, math.inf, 2), (2, math.inf, 3)]
    ]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["h200", "910b"]), st.integers(1, 2), st.integers(0, 9)), max_size=4
)
LIMITS = st.lists(
    st.tuples(
        st.sampled_from([None, 0, 4000, 9000, 20000, 40000]),
        st.sampled_from([None, 0, 1, 3, 5]),
    ).filter(any),
    min_size=1,
    max_size=3,
)


@given(deliveries=EVENTS, retirements=EVENTS, limits_then=LIMITS, first=st.integers(1, 5))
def test_at_any_time_those_are_on_that_came_first_and_fit(
    deliveries: list[tuple[str, int, int]],
    retirements: list[tuple[str, int, int]],
    limits_then: list[tuple[int | None, int | None]],
    first: int,
) -> None:
    """Against the rule itself, node by node, at every instant of change and between."""
    fleet = cluster(pool("h200", 8, 8, accelerator="H200"), pool("910b", 8, 8, accelerator="910B"))
    steps = [
        {"at": f"{first + 3 * k} s"}
        | ({} if power is None else {"power": f"{power} W"})
        | ({} if nodes is None else {"nodes": nodes})
        for k, (power, nodes) in enumerate(limits_then)
    ]
    own = {
        "deliveries": [delivery(n, at, name) for name, n, at in deliveries],
        "retirements": [delivery(n, at, name) for name, n, at in retirements],
    }
    on = nodes_over_time(supply(**own, site=limits(*steps)), fleet, Streams(1))
    comes, leaves = np.zeros((2, 8)), np.full((2, 8), math.inf)
    for outage in supplied(supply(**own), fleet, Streams(1)):
        if outage.cause == "retired":
            leaves[outage.pool, outage.node] = outage.begin_s
        else:
            comes[outage.pool, outage.node] = outage.end_s
    for now in np.arange(0, 16, 0.5):
        most_w = most = math.inf
        for k, (power, nodes) in enumerate(limits_then):
            if first + 3 * k <= now:
                most_w = most_w if power is None else power
                most = most if nodes is None else nodes
        line = sorted(
            (comes[p, n], p) for p in (0, 1) for n in range(8) if comes[p, n] <= now < leaves[p, n]
        )
        counts, used = [0, 0], 0
        for _, p in line:
            used += POWER_W[fleet.pools[p].name]
            if used > most_w or sum(counts) == most:
                break
            counts[p] += 1
        held = on[on["time_s"] <= now].groupby("pool")["nodes"].last()
        assert [held["h200"], held["910b"]] == counts, now


def run(spec: Supply, policy: str, rows: list[tuple[float, int, float]]) -> Result:
    return simulate(
        jobs(rows),
        H200,
        Scheduling(policy=policy, placement="consolidate"),
        node_events=supplied(spec, H200, Streams(1)),
        check=True,
    )


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_jobs_wait_for_power_and_are_saved_when_it_falls(policy: str) -> None:
    """A gang of four nodes runs from 50 to 70 s, and goes on when there is power again."""
    spec = supply(
        deliveries=[delivery(3, 10)],
        site=limits(
            {"power": "11.2 kW"},
            {"at": "50 s", "power": "22.4 kW"},
            {"at": "70 s", "power": "11.2 kW"},
            {"at": "90 s", "power": "22.4 kW"},
        ),
    )
    result = run(spec, policy, [(0, 32, 40), (55, 8, 5)])
    assert result.jobs["start_s"].tolist() == [50, 110 if policy == "fcfs" else 70]
    attempts = result.attempts[result.attempts["job_id"] == 1]
    assert attempts[["start_s", "end_s", "kept_s"]].to_numpy().tolist() == [
        [50, 70, 20],
        [90, 110, 20],
    ]
    use = result.utilisation
    plan = nodes_over_time(spec, H200, Streams(1))
    for time, installed in zip(use["time_s"][:-1], use["installed"][:-1], strict=True):
        assert installed == 8 * plan["nodes"][plan["time_s"] <= time].iloc[-1]
    assert set(result.outages["cause"]) == {"not delivered", "no power or space"}
    marks = [(m.time_s, m.kind) for m in outage_marks(result.outages)]
    assert marks == [
        (10, "delivered: 3 nodes"),
        (10, "no power or space: 2 nodes"),
        (70, "no power or space: 2 nodes"),
        (50, "switched on: 2 nodes"),
        (90, "switched on: 2 nodes"),
    ]


def test_power_changes_a_scenario_by_path() -> None:
    base = scenario(jobs=60, load=0.5, sizes={8: 2, 16: 1}, average="1 h")
    site = {"limits": [{"name": "grid", "power": "60 kW"}]}
    own = {"deliveries": [{"pool": "gpu", "nodes": 5, "at": "1 h"}], "site": site}
    tree = {**base, "supply": own}

    def mean_wait_s(**changes: Any) -> float:
        result = run_scenario(define_scenario(tree, changes))
        return float((result.jobs["start_s"] - result.jobs["submit_s"]).mean())

    waits = [
        mean_wait_s(**{"supply.site": None}),
        mean_wait_s(),
        mean_wait_s(**{"supply.site.pue": 1.5}),
        mean_wait_s(**{"supply.site.limits.grid.power": "40 kW"}),
    ]
    assert waits[0] < waits[1] < waits[2] == waits[3], "room for 4 nodes; for 3, by either way"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no power from the start": (
        limits({"power": "20 kW"}),
        r"supply: site.limits: the 4 nodes present at the start need 22.4 kW "
        r"\(PUE 1, host_factor 1\), which is 2.4 kW more than the limit at 0 s",
    ),
    "no space from the start": (
        limits({"nodes": 3}),
        "are 1 more than the limit of 3 nodes at 0 s",
    ),
    "limits nothing": (limits({"at": "1 s"}), r"limits\[0\]: needs power, nodes, or both"),
    "not in order": (limits({"nodes": 9}, {"nodes": 9}), "limits: must be in order of time"),
    "PUE below 1": ({"limits": [{"nodes": 9}], "pue": 0.9}, "pue: .* greater than or equal to 1"),
}


def test_those_that_leave_at_once_need_no_room() -> None:
    gone = [{"pool": "h200", "nodes": 1, "at": "0 s"}]
    assert waits(supply(retirements=gone, site=limits({"nodes": 3}))) == []
    with pytest.raises(InputError, match=r"the 3 nodes .* 1 more than the limit of 2 nodes at 0 s"):
        waits(supply(retirements=gone, site=limits({"nodes": 2})))


@pytest.mark.parametrize("case", BAD)
def test_bad_site(case: str) -> None:
    fields, words = BAD[case]
    with pytest.raises(InputError, match=words):
        waits(supply(site=fields))
