"""The registries of metrics and plot kinds, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import clustersim
from clustersim.analysis.metric import DIMENSIONS, Metric
from clustersim.analysis.metrics import (
    METRICS,
    find_metric,
    in_period,
    is_constant,
    is_metric,
    is_service,
    metric_names,
    metric_of,
    pool_of,
)
from clustersim.analysis.registry import SESSION, Registry, load_plugins
from clustersim.errors import InputError
from clustersim.plots.axis import axis_of
from clustersim.studies.plot_kinds import PlotKind
from clustersim.units import SCALES

FIELDS: dict[str, Any] = {
    "name": "own",
    "label": "own metric",
    "definition": "A metric of one's own.",
    "compute": lambda part: 0.0,
}


def test_a_metric_by_name_pool_and_period() -> None:
    whole = metric_of("utilisation")
    assert whole is metric_of("utilisation.h200") is metric_of("utilisation.h200@4")
    assert (whole.dimension, whole.better, whole.least, whole.most) == ("share", "more", 0, 1)
    for name in ("utilisation.", "waited.h200", "makespan_s@1", "utilisation@0", "@1", ""):
        assert find_metric(name) is None, name
    assert pool_of("utilisation.a.b@4") == "a.b"
    assert in_period("utilisation.h200", 4) == "utilisation.h200@4"


def test_an_unknown_metric_has_a_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown metric 'p95_wait'; did you mean 'p95_wait_s'"):
        metric_of("p95_wait")


def test_facts_and_services() -> None:
    assert is_constant("chips.h200")
    assert is_constant("fleet_power_w")
    assert not is_constant("offered_load")
    assert is_service("p95_wait_s")
    assert not is_service("p95_wait_s@1"), "a period has no steady state"
    assert not is_service("p95_wait_s_at_least")


def test_every_built_in_metric_says_what_it_is() -> None:
    for each in METRICS.built_in.values():
        assert each.definition.endswith("."), each.name
        assert each.unit, each.name
        assert axis_of(each.name).label == each.label
        if each.dimension == "duration":
            assert each.name.endswith(("_s", "_half", "_least", "_most"))
    assert len(metric_names()) == len(set(metric_names()))
    assert set(metric_names(per_period=True)) < set(metric_names())


def test_dimensions_are_those_that_pictures_can_write() -> None:
    assert DIMENSIONS.keys() == SCALES.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a.b"}, "name must consist of letters"),
        ({"name": "a@1"}, "name must consist of letters"),
        ({"name": ""}, "name must consist of letters"),
        ({"label": " "}, "label must be a non-empty string"),
        ({"definition": ""}, "definition must be a non-empty string"),
        ({"dimension": "time"}, "unknown dimension 'time'"),
        ({"better": "higher"}, "unknown direction 'higher'"),
        ({"compute": None}, "must have exactly one of compute and of_fleet"),
        ({"of_fleet": lambda view: 0.0}, "must have exactly one of compute and of_fleet"),
        ({"compute": 3}, "compute must be a function, found 3"),
        ({"compute": None, "of_fleet": len, "per_period": True}, "per_period needs compute"),
        ({"least": 1.0, "most": 0.0}, "least must be less than most"),
    ],
)
def test_a_metric_that_cannot_be(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Metric(**{**FIELDS, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Bars"}, "name must consist of lower-case letters"),
        ({"title": ""}, "title must be a non-empty string"),
        ({"panels": None}, "panels must be a function"),
        ({"takes": ("z",)}, "unknown field in takes 'z'"),
        ({"takes": ("x",), "needs": ("y",)}, "needs: y must also be listed in takes"),
    ],
)
def test_a_plot_kind_that_cannot_be(change: dict[str, Any], words: str) -> None:
    fields = {"name": "bars", "title": "Bars", "description": "Bars.", "panels": list}
    with pytest.raises(InputError, match=words):
        PlotKind(**{**fields, **change})


def test_a_metric_of_a_session() -> None:
    clustersim.register_metric(Metric(**FIELDS, dimension="duration"))
    assert metric_of("own").file == SESSION
    assert metric_of("own").unit == "s"
    assert axis_of("own").title == "own metric"
    assert metric_names()[-1] == "own"
    assert (metric_of("own").least, metric_of("own").most) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("utilisation", "metric 'utilisation' is built in"),
        ("replications", "the tables already have a column of this name"),
        ("cluster", "the tables already have a column of this name"),
        ("own_low", "a name must not end in"),
    ],
)
def test_names_that_are_taken(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        clustersim.register_metric(Metric(**{**FIELDS, "name": name}))
    with pytest.raises(InputError, match=r"needs a clustersim\.Metric"):
        clustersim.register_metric({"name": name})  # type: ignore[arg-type]


def metric_file(path: Path, name: str, value: float = 0.0) -> Path:
    path.write_text(
        "import clustersim\n"
        f"clustersim.register_metric(clustersim.Metric(name={name!r}, label='own', "
        f"definition='Own.', compute=lambda part: {value}))\n"
    )
    return path


def test_a_file_is_read_again_where_its_content_changed(tmp_path: Path) -> None:
    file = metric_file(tmp_path / "own.py", "own", 1.0)
    first = load_plugins([file])[0].of(METRICS)
    assert load_plugins([file])[0].of(METRICS)[0].compute is first[0].compute, "executed once"
    metric_file(file, "own", 2.0)
    assert metric_value(load_plugins([file])[0].of(METRICS)[0]) == 2.0
    metric_file(file, "own", 1.0)
    assert metric_value(load_plugins([file])[0].of(METRICS)[0]) == 1.0, "as it was at first"
    assert metric_value(metric_of("own")) == 1.0


def metric_value(metric: Metric) -> float:
    assert metric.compute is not None
    return metric.compute(None)  # type: ignore[arg-type]


def test_two_files_with_one_name(tmp_path: Path) -> None:
    files = [metric_file(tmp_path / f"{name}.py", "own") for name in "ab"]
    with pytest.raises(InputError, match=r"b\.py: registers metric 'own' although .*a\.py"):
        load_plugins(files)
    load_plugins(files[:1])
    load_plugins(files[1:])
    assert metric_of("own").file.endswith("b.py"), "the file that was loaded last"


def test_a_policy_file_may_register_too(tmp_path: Path) -> None:
    from clustersim.scheduling import find_policy

    file = metric_file(tmp_path / "both.py", "own")
    file.write_text(file.read_text() + "\nclass Mine(clustersim.Policy):\n    pass\n")
    find_policy("both.py", folder=tmp_path)
    assert not is_metric("own"), "as a policy it is no plugin"
    assert [each.name for each in load_plugins([file])[0].of(METRICS)] == ["own"]


def test_a_registry_refuses_two_built_in_items_of_one_name() -> None:
    twice = [Metric(**FIELDS), Metric(**FIELDS)]
    with pytest.raises(AssertionError, match="two metrics have the same name"):
        Registry("metric", lambda: twice).get("own")
