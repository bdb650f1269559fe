"""What objects show of themselves: a line on the console, a small table in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.brief import Brief
from clustersim.estimation.table import predict_table
from clustersim.performance import default_calibration, default_draw, search_plans
from clustersim.scenario.resolved import resolve
from clustersim.scenario.scenario import define_scenario
from clustersim.studies.study_result import StudyResult

CATALOGUE = cs.load_catalogue()
SPEC = cs.load_cluster("mixed-small", CATALOGUE)
H200, LLAMA = CATALOGUE.accelerator("H200"), CATALOGUE.model("llama3-8b")
NASTY = "<script>alert('&')</script>"
SCENARIO: dict[str, Any] = {
    "name": NASTY,
    "cluster": "mixed-small",
    "workload": {"generate": "philly-2017", "jobs": 30},
}
PLAN: dict[str, Any] = {
    "name": NASTY,
    "quarters": 1,
    "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
    "demand": {
        "tuning": {
            "model": "llama3-8b",
            "accelerators": 8,
            "job_tokens": 1.0e9,
            "tokens": 1.0e13,
            "must_meet": 1,
        }
    },
}
ROW = {"accelerator": "H100", "model": "llama3-8b", "n_accelerators": "8", "global_batch": "128"}


def study() -> cs.Study:
    return cs.define_study(
        {"name": NASTY, "base": SCENARIO, "parameters": {"scheduler.policy": ["fcfs", "easy"]}}
    )


def study_result() -> StudyResult:
    runs = pd.DataFrame({"run": ["a", "b"], "status": ["finished", "failed"], "mean_wait_s": 1.0})
    return StudyResult(study(), runs)


MADE: dict[str, tuple[Any, list[str]]] = {
    "catalogue": (lambda: CATALOGUE, ["accelerators 53", "H200", "models 56"]),
    "cluster": (
        lambda: cs.compile_cluster(cs.load_cluster("mixed-small", CATALOGUE)),
        ["'mixed-small'", "pools 4", "480", "h200: 256 H200"],
    ),
    "result": (lambda: cs.run(SCENARIO), [NASTY, "jobs 30", "finished 30", "utilisation", " %"]),
    "loaded scenario": (lambda: define_scenario(SCENARIO), [NASTY, "mixed-small", "policy fcfs"]),
    "resolved scenario": (
        lambda: resolve(define_scenario(SCENARIO)),
        ["accelerators 480", "jobs 30", "jobs a day"],
    ),
    "platform": (lambda: resolve(define_scenario(SCENARIO)).platform, ["accelerators 480"]),
    "study": (study, [NASTY, "points 2", "scheduler.policy", "replications 5"]),
    "study result": (study_result, [NASTY, "runs 2", "failed 1"]),
    "estimate": (
        lambda: cs.estimate("llama3-70b", "H200", 512),
        ["llama3-70b on 512 H200", "tp=", "90 % interval", "tokens/s", "MFU", "GiB", "CNY"],
    ),
    "estimate of nothing": (
        lambda: cs.estimate("llama3-405b", "H20", 1),
        ["llama3-405b on 1 H20", "reason", "needs at least"],
    ),
    "estimate without a price": (lambda: cs.estimate("llama3-8b", "A800", 64), ["run 6"]),
    "plan of an estimate": (
        lambda: cs.estimate("llama3-70b", "H200", 512).plans[0],
        ["tp=", "step time", "90 % interval"],
    ),
    "predicted table": (
        lambda: predict_table(pd.DataFrame([ROW, {**ROW, "accelerator": "H1000"}])),
        ["rows 2", "predicted 1"],
    ),
    "best plans": (
        lambda: cs.best_plans(CATALOGUE.model("llama3-70b"), H200, [1, 64, 128]),
        ["rows 3", "that fits 2", "step time", "tp "],
    ),
    "no best plan": (
        lambda: cs.best_plans(CATALOGUE.model("llama3-405b"), H200, 1),
        ["rows 1", "that fits 0", "GiB"],
    ),
    "search": (lambda: search_plans(LLAMA, H200, 8), ["tried", "fitting", "fastest tp"]),
    "search without a plan": (
        lambda: search_plans(CATALOGUE.model("llama3-405b"), H200, 1),
        ["fitting 0", "reason"],
    ),
    "purchase plan": (
        lambda: cs.plan_purchases(PLAN),
        [NASTY, "h200 17 nodes", "1.913 million CNY", "optimal"],
    ),
    "no purchase plan": (lambda: cs.plan_purchases({**PLAN, "budget": "1 CNY"}), ["none"]),
    "question": (lambda: cs.define_plan(PLAN), ["quarters 1", "chips h200"]),
    "calibration": (default_calibration, ["measurements 748", "14.1 %"]),
    "draw": (default_draw, ["effects"]),
    "chip": (
        lambda: CATALOGUE.accelerator("SeedChip"),
        ["peak 200 TFLOP/s bf16", "HBM 96 GB at 3.2 TB/s", "power 400 W", "hypothetical"],
    ),
    "model": (lambda: LLAMA, ["8.03 billion", "layers 32", "8,192 tokens"]),
    "cost": (lambda: cs.estimate("llama3-8b", "H200", 8).cost, ["tokens", " MWh", " CNY"]),
    "topology": (lambda: SPEC, ["'mixed-small'", "h200: 32 nodes, H200"]),
    "topology in numbers": (lambda: cs.summarise(SPEC), ["nodes 60", "h200: 256 H200"]),
    "workload": (lambda: cs.load_workload("philly-2017"), ["classes 15", "every 86.4 s"]),
    "statistics": (
        lambda: cs.describe_jobs(cs.read_jobs("experiments/sample_jobs.csv").jobs),
        ["jobs 24", "jobs a day"],
    ),
    "log": (lambda: cs.read_jobs("experiments/sample_jobs.csv"), ["jobs 24", "csv"]),
}


class _Table(HTMLParser):
    """Texts and tags of a table; only tags of tables are allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("what", MADE)
def test_an_object_shows_itself_in_a_line(what: str) -> None:
    make, words = MADE[what]
    shown = make()
    assert isinstance(shown, Brief)
    text = repr(shown)
    assert str(shown) == text
    assert "\n" not in text
    assert len(text) < 700
    for word in words:
        assert word in text
    assert "nan" not in text.split()


@pytest.mark.parametrize("what", MADE)
def test_an_object_is_a_small_table_in_a_notebook(what: str) -> None:
    make, _ = MADE[what]
    shown = make()
    table = _Table()
    table.feed(shown._repr_html_())
    assert set(table.tags) <= {"table", "caption", "tr", "th", "td"}
    title, facts = shown._brief()
    assert table.texts[0] == title
    assert table.tags.count("tr") == sum(map(bool, facts.values()))


def test_a_long_value_is_cut_and_an_empty_one_left_out() -> None:
    class Long(Brief):
        def _brief(self) -> tuple[str, dict[str, str]]:
            return "Long", {"text": "word " * 1000, "nothing": "", "lines": "a\n b"}

    text = repr(Long())
    assert text.startswith("Long: text word word")
    assert text.endswith("...; lines a b")
    assert len(text) < 240
    assert "nothing" not in text


def test_an_empty_result_can_be_shown() -> None:
    jobs = pd.DataFrame({"job_id": [1], "submit_s": 0.0, "n_accelerators": [99], "duration_s": 5.0})
    result = cs.simulate(jobs, cs.single_pool(8))
    assert "jobs 1" in repr(result)
    assert "nan" not in repr(result)
    bare = cs.Result(jobs, jobs.assign(nodes=""), jobs, pd.DataFrame(), {})
    assert repr(bare) == "Result: jobs 1"
