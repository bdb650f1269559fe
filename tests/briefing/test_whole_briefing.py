"""A whole briefing of a small fleet: its numbers against each other, its files, its seeds."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from clustersim.briefing.answer import answer_briefing, briefing_loss
from clustersim.briefing.options import stop_of
from clustersim.briefing.service import demand_per_s, served_fleet
from clustersim.inference import ServingLoad, serving_capacity
from clustersim.report.of_briefing.headlines import headlines, rate
from clustersim.report.of_briefing.written import write_briefing
from tests.briefing.briefed_fleet import briefed

DRAWS = 2000


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    file = briefed(tmp_path_factory.mktemp("briefed"))
    return answer_briefing(
        file, briefing_loss(file, quick=True, workers=1), draws=DRAWS, quick=True
    )


def test_nothing_bought_is_the_base(answer):
    nothing = next(each for each in answer.options if each.name == "nothing")
    assert nothing.training.end.mean == pytest.approx(answer.base.end.mean, rel=1e-12)
    assert nothing.spent_cny == 0
    assert nothing.served_share == pytest.approx(answer.equal.served, rel=1e-9)


def test_ends_of_the_divided_budget_are_its_conditional_means(answer):
    """The stop draws are as many as asked: the expectation is the mixture of both ends."""
    divided = answer.divided
    found = divided.break_even
    assert divided.with_stop[-1] == found.a_with
    assert divided.without_stop[0] == found.b_without
    assert divided.expected == pytest.approx(0.25 * divided.with_stop + 0.75 * divided.without_stop)
    assert np.all(divided.without_stop >= divided.with_stop * (1 - 1e-12))
    # All money for 910C: the stop of H200 costs the H200 that were ordered before only.
    if not math.isnan(found.probability):
        q = found.probability
        a = q * found.a_with + (1 - q) * found.a_without
        b = q * found.b_with + (1 - q) * found.b_without
        assert a == pytest.approx(b)


def test_best_option_is_that_of_the_largest_mean_and_no_other_is_compared_with_itself(answer):
    means = {each.name: each.training.end.mean[0] for each in answer.options}
    assert answer.best.name == max(means, key=means.__getitem__)
    assert [each.name for each in answer.options if each.against_best is None] == [answer.best.name]


@pytest.mark.slow
def test_second_seed_is_within_the_intervals(answer):
    loss = answer.cases.loss
    other = answer_briefing(answer.file, loss, draws=DRAWS, seed=99, quick=True)
    for first, second in zip(answer.options, other.options, strict=True):
        a, b = first.training.end, second.training.end
        assert abs(a.mean[0] - b.mean[0]) <= a.mean_error[0] + b.mean_error[0]
        assert second.training.missed.low <= first.training.missed.high
        assert first.training.missed.low <= second.training.missed.high


def test_demand_doubles_in_a_year(answer):
    file = answer.file
    chat = file.spec.served[0]
    assert demand_per_s(file, chat, 0.0) == pytest.approx(1e11 / 86400)
    assert demand_per_s(file, chat, 365 * 86400.0) == pytest.approx(2e11 / 86400)


def test_rates_of_a_served_fleet_count_tokens_read_and_written(answer):
    found = served_fleet(answer.file, 180 * 86400.0, 0.9)
    load = ServingLoad(input_len=4000, output_len=1000, tpot_s=0.05)
    direct = serving_capacity(["llama3-8b"], ["H200"], load=load)
    h200 = found.pools.index("h200")
    assert found.rates.serving[h200, 0] == pytest.approx(5 * direct.output_tokens_per_s[0])
    assert found.rates.chips[h200] == pytest.approx(64 + 0.6 * 256 * 0.9, rel=0.05)
    assert np.all(found.low <= found.rates.serving)
    assert np.all(found.rates.serving <= found.high)


def test_files(answer, tmp_path):
    data = write_briefing(answer, tmp_path)
    page = (tmp_path / "briefing.html").read_text(encoding="utf-8")
    assert page.count("<li>") == len(data["headlines"]) + len(data["caveats"])
    assert page.count("<img ") == 4
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert json.loads((tmp_path / "briefing.json").read_text())["headlines"] == data["headlines"]
    assert data["caveats"][0].startswith("Facts as of 2026-05-01")
    pdf = (tmp_path / "briefing.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 1
    again = tmp_path / "again"
    again.mkdir()
    write_briefing(answer, again)
    for path in tmp_path.glob("*.*"):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_headlines_have_the_numbers_of_the_tables(answer):
    sentences = headlines(answer)
    assert len(sentences) == 5
    assert rate(answer.base.end.mean[0]) in sentences[0]
    assert f"“{answer.best.name}”" in sentences[1]
    assert "billion CNY" in sentences[1] or "million CNY" in sentences[1]
    assert "H200" in sentences[4]
    assert "910C" in sentences[4]


def test_options_have_the_loss_factor_of_the_base_if_it_is_not_constant(answer):
    loss = dataclasses.replace(
        answer.cases.loss, problems=("made up",), by_case={"as planned": 0.5}
    )
    found = answer_briefing(answer.file, loss, draws=64, quick=True)
    nothing = next(each for each in found.options if each.name == "nothing")
    assert found.base.loss.tolist() == nothing.training.loss.tolist() == [0.5] * 6
    assert nothing.training.end.mean == pytest.approx(found.base.end.mean, rel=1e-12)


def test_served_chips_are_fewer_with_a_stop(answer):
    """Most of the ordered H200 would come after the stop; other pools are not concerned."""
    file, end_s = answer.file, 181 * 86400.0
    usual = served_fleet(file, end_s, 1.0)
    stopped = served_fleet(file, end_s, 1.0, stops=[stop_of(file, certain=True)])
    h200 = usual.pools.index("h200")
    assert stopped.rates.chips[h200] < 0.75 * usual.rates.chips[h200]
    assert (
        np.delete(stopped.rates.chips, h200).tolist() == np.delete(usual.rates.chips, h200).tolist()
    )
    assert answer.fleet.rates.chips[h200] < usual.rates.chips[h200]


def test_second_sentence_says_why_money_is_left(answer):
    best = answer.best
    assert "supply limits it" not in headlines(_with_budget_left(answer, {"910c": 0.5}, best))[1]
    assert "are not spent" in headlines(_with_budget_left(answer, {"910c": 0.5}, best))[1]
    assert "supply limits it" in headlines(_with_budget_left(answer, {"h200": 1.0}, best))[1]


def _with_budget_left(answer, shares, best):
    """Return the answer with other shares of the budget for its best option."""
    spec = answer.file.spec
    options = {**spec.options, best.name: shares}
    file = dataclasses.replace(answer.file, spec=spec.model_copy(update={"options": options}))
    half = dataclasses.replace(best, spent_cny=0.5 * file.budget_cny)
    own = tuple(half if each is best else each for each in answer.options)
    return dataclasses.replace(answer, file=file, options=own)
