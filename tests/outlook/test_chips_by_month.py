"""Chips in service: draw k is what the supply gives in replication k."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clustersim.availability.supply import Embargo, Retirement, nodes_at
from clustersim.errors import InputError
from clustersim.outlook.monthly_chips import monthly_chips
from clustersim.outlook.stop import Stop, stop_dates_s
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.scenario import LoadedScenario
from clustersim.seeds import Streams
from tests.outlook.small_fleet import small

DAY_S = 86400.0
DRAWS = 24
CHANGES = {
    "as it is": {},
    "no memory limit": {"fleet.memory": None},
    "little memory": {"fleet.memory.stacks_per_month": 90},
    "an embargo": {
        "supply.embargoes": [{"pools": ["h200", "seedchip"], "at": "2026-03-20"}],
    },
    "all of it trains": {"fleet.training_share": 1},
}


def twin(
    loaded: LoadedScenario, platform: Platform, draw: int, times_s: list[float]
) -> list[list[int]]:
    """The chips of one replication, node by node."""
    supply = loaded.scenario.supply
    assert supply is not None
    streams = Streams(loaded.scenario.seed, replication=draw)
    nodes = [nodes_at(supply, platform.cluster, streams, platform.catalogue, t) for t in times_s]
    per_node = np.array([pool.chips_per_node for pool in platform.cluster.pools])
    return (np.array(nodes) * per_node).tolist()


def with_supply(loaded: LoadedScenario, **more: object) -> LoadedScenario:
    supply = loaded.scenario.supply
    assert supply is not None
    changed = supply.model_copy(update=more)
    scenario = loaded.scenario.model_copy(update={"supply": changed})
    return dataclasses.replace(loaded, scenario=scenario)


@pytest.mark.parametrize("name", CHANGES)
def test_each_draw_is_that_of_the_replication(name: str) -> None:
    loaded = small(CHANGES[name])
    platform = open_platform(loaded)
    found = monthly_chips(loaded, DRAWS, platform=platform)
    assert len(np.unique(found.chips.reshape(DRAWS, -1), axis=0)) > DRAWS / 2
    for draw in range(DRAWS):
        expected = twin(loaded, platform, draw, found.month_ends_s.tolist())
        assert found.chips[draw].tolist() == expected


def test_retired_nodes_are_the_first_to_arrive() -> None:
    gone = [
        Retirement(pool="h200", nodes=9, at="100 d"),
        Retirement(pool="seedchip", nodes=3, at="60 d"),
    ]
    loaded = with_supply(small(), retirements=gone)
    platform = open_platform(loaded)
    found = monthly_chips(loaded, DRAWS, platform=platform)
    for draw in range(DRAWS):
        assert found.chips[draw].tolist() == twin(
            loaded, platform, draw, found.month_ends_s.tolist()
        )


def test_a_drawn_stop_is_an_embargo_at_its_date() -> None:
    loaded = small()
    platform = open_platform(loaded)
    stop = Stop(("h200", "seedchip"), (50 * DAY_S, 90 * DAY_S), (0.3, 0.4))
    found = monthly_chips(loaded, DRAWS, stops=[stop], platform=platform)
    dates_s = stop_dates_s([stop], "h200", np.inf, Streams(loaded.scenario.seed), DRAWS)
    assert len(set(dates_s.tolist())) == 3
    for draw in range(DRAWS):
        own = loaded
        if np.isfinite(dates_s[draw]):
            embargo = Embargo(pools=["h200", "seedchip"], at=f"{dates_s[draw]} s")
            own = with_supply(loaded, embargoes=[embargo])
        assert found.chips[draw].tolist() == twin(own, platform, draw, found.month_ends_s.tolist())


def test_more_draws_do_not_change_the_first() -> None:
    few, many = (monthly_chips(small(), draws).chips for draws in (10, 300))
    assert np.array_equal(few, many[:10])


def test_probability_of_the_delivery_shows_in_the_draws() -> None:
    found = monthly_chips(small({"fleet.pools.h200.deliveries.first.slip": None}), 1024)
    arrived = found.chips[:, -1, found.pools.index("h200")] > 32
    assert arrived.mean() == pytest.approx(0.6, abs=1 / 1024)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supply.site": {"limits": [{"power": "1 GW"}]}}, "supply.site"),
        ({"horizon": None}, "horizon"),
    ],
)
def test_what_has_no_closed_form_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        monthly_chips(small(changes), 10)


def test_a_stop_of_an_unknown_pool_names_the_nearest() -> None:
    with pytest.raises(InputError, match="h200"):
        monthly_chips(small(), 10, stops=[Stop(("h20",), (0.0,), (1.0,))])
    with pytest.raises(InputError, match="at most 1"):
        Stop(("h200",), (0.0, 1.0), (0.6, 0.6))


def test_a_stop_may_name_a_pool_without_chips() -> None:
    none = {"fleet.pools.h200.stock": 0, "fleet.pools.h200.deliveries": {}}
    stop = Stop(("h200",), (0.0,), (1.0,))
    with_stop, without = (monthly_chips(small(none), 10, stops=s).chips for s in ([stop], []))
    assert np.array_equal(with_stop, without)
