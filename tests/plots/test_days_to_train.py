"""The figure of days to train: a mark, an interval or a cross for each row of its table."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.plots.training.days_to_train import draw_days_to_train, plot_days_to_train
from clustersim.training.named_trainings import NamedTrainings, compare_trainings


@lru_cache(maxsize=1)
def table() -> pd.DataFrame:
    """Two trainings on two chips and two numbers, one of which does not fit."""
    spec = {
        "name": "two",
        "trainings": [
            {"name": "small", "model": "llama3-8b", "tokens": 1e12},
            {"name": "large", "model": "llama3-405b", "tokens": 1e12},
        ],
        "accelerators": ["H200", "SeedChip"],
        "counts": [8, 1024],
    }
    return compare_trainings(validate(NamedTrainings, spec, "two"))[0]


@pytest.mark.parametrize("training", ["small", "large"])
def test_marks_intervals_and_crosses_are_those_of_the_table(training: str) -> None:
    ax = plot_days_to_train(table(), training)
    rows = table()[table()["training"] == training]
    fits = rows["fits"].to_numpy()
    marks = [line for line in ax.lines if line.get_marker() not in ("None", "x")]
    found = sorted(float(line.get_xdata()[0]) for line in marks)  # type: ignore[index]
    assert found == pytest.approx(sorted(rows["days"][fits]))
    segments = [
        each.get_segments()[0][:, 0].tolist()
        for each in ax.collections
        if isinstance(each, LineCollection)
    ]
    expected = rows[["days_lo", "days_hi"]][fits].to_numpy().tolist()
    assert sorted(segments) == sorted(expected)
    crosses = [line for line in ax.lines if line.get_gid() == "no plan fits"]
    assert len(crosses) == int((~fits).sum())
    right = ax.get_xlim()[1]
    assert all(line.get_xdata()[0] == right for line in crosses)  # type: ignore[index]


def test_a_guess_is_hollow_and_named() -> None:
    ax = plot_days_to_train(table(), "small")
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() in ("o", "s")]
    assert faces.count("white") == 2
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "H200",
        "SeedChip\n(hypothetical)",
    ]


def test_the_axis_is_logarithmic_in_times_that_people_use() -> None:
    ax = plot_days_to_train(table(), "large")
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    days = table()[["days_lo", "days_hi"]].to_numpy(float)
    assert low < np.nanmin(days)
    assert high > np.nanmax(days)
    ticks = dict(
        zip(ax.get_xticks(), (each.get_text() for each in ax.get_xticklabels()), strict=True)
    )
    assert ticks[90.0] == "90 d"
    assert ticks[365.0] == "1 yr"


def test_a_panel_for_each_training_and_one_legend() -> None:
    figure = draw_days_to_train(table(), note="assumed")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["small, 1,000 billion tokens", "large, 1,000 billion tokens"]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["8 chips", "1,024 chips", "does not fit in memory"]
    alone = draw_days_to_train(table()[table()["training"] == "small"])
    assert [text.get_text() for text in alone.legends[0].get_texts()] == ["8 chips", "1,024 chips"]


def test_an_unknown_training_is_said() -> None:
    with pytest.raises(InputError, match="unknown training 'smal'; did you mean 'small'"):
        plot_days_to_train(table(), "smal")
