"""The capacity plot with its cases divided among panels, above their paired differences."""

from __future__ import annotations

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.report.study_figures import draw_plots
from clustersim.studies import define_study
from tests.report.test_study_answer import BASE, result_of

CASES = ["now", "more chips", "without backfilling"]
GROUPS = {"Fleets": CASES[:2], "Policies": [CASES[0], CASES[2]]}
FIELDS = {
    "base": {
        **BASE,
        "cases": {
            "now": {},
            "more chips": {"cluster.pools.h20.nodes": 4},
            "without backfilling": {"scheduler.policy": "fcfs"},
        },
    },
    "parameters": {"case": CASES},
    "objective": {"metric": "mean_wait_s", "at_most": "2 min"},
    "capacity": {"of": "workload.load", "between": [0.3, 1.0]},
    "compare": {"of": "case", "baseline": "now"},
    "plots": [{"kind": "capacity", "x": "case", "groups": GROUPS}],
}


def drawn(cases):
    """The picture of a study in which only some of the cases have been run."""
    table = pd.DataFrame({"case": CASES, "capacity": [0.7, 0.9, 0.6], "note": ""})
    table = table.assign(capacity_low=table["capacity"] - 0.05, capacity_high=0.95, runs=9)
    gains = pd.DataFrame({"system": CASES[1:], "gain": [0.2, -0.1], "note": "", "pairs": 4})
    gains = gains.assign(gain_low=gains["gain"] - 0.05, gain_high=gains["gain"] + 0.05)
    points = pd.DataFrame({"point": range(3), "case": CASES, "replications": 4, "overload": False})
    tables = {"points": points, "capacities": table, "gains": gains.assign(baseline="now")}
    kept = {
        name: rows[rows["system" if name == "gains" else "case"].isin(cases)]
        for name, rows in tables.items()
    }
    (figure,), problems = draw_plots(result_of(FIELDS, **kept))
    assert not problems
    panels = figure.figure.panels
    return panels, [
        [text.get_text().replace("\n", " ") for text in ax.get_xticklabels()] for ax in panels
    ]


def test_each_group_has_a_panel_and_its_differences_below():
    panels, shown = drawn(CASES)
    assert shown == [*GROUPS.values(), ["more chips"], ["without backfilling"]]
    assert [ax.get_title(loc="left") for ax in panels[:2]] == ["Fleets", "Policies"]
    for left, right in (panels[:2], panels[2:]):
        assert left.get_ylim() == right.get_ylim()
    assert all(text.get_visible() for ax in panels for text in ax.get_xticklabels())


def test_a_group_without_values_yet_says_so():
    panels, shown = drawn(CASES[:2])
    assert shown == [CASES[:2], CASES[:1], ["more chips"], []]
    assert [text.get_text() for text in panels[3].texts] == ["no values yet"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"Fleets": CASES[:2]}, "groups: without backfilling must be in a group"),
        ({"One": CASES[:1], "All": CASES}, "groups.One: needs at least two values of case"),
        ({"All": CASES, "New": ["now", "later"]}, "groups.New: unknown value 'later'"),
    ],
)
def test_groups_are_checked(groups, message):
    plots = [{"kind": "capacity", "x": "case", "groups": groups}]
    with pytest.raises(InputError, match=message):
        define_study({"name": "groups", "replications": 2, **FIELDS, "plots": plots})
    curve = [{"kind": "curve", "x": "workload.load", "groups": groups}]
    with pytest.raises(InputError, match="groups: not allowed for kind curve"):
        define_study({"name": "groups", "replications": 2, **FIELDS, "plots": curve})
