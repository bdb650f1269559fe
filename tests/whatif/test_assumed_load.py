"""A load on top of an assumed scale of the log."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.whatif.question import ask


def table(submit_s: list[float], **columns: Any) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": np.arange(1, len(submit_s) + 1), "submit_s": submit_s})
    return jobs.assign(**{"n_accelerators": 8, "duration_s": 3600.0, **columns})


@pytest.mark.parametrize(
    ("present", "product"),
    [
        (1.5, 1.8),
        (1.0, {"load": 1.2, "method": "superpose"}),
        ({"load": 1.5}, {"load": 1.8, "method": "superpose"}),
        ({"load": 0.5, "by": "vc"}, {"load": 0.6, "method": "superpose", "by": "vc"}),
    ],
)
def test_a_load_multiplies_an_assumed_scale(present: Any, product: Any) -> None:
    jobs = table([0.0, 60.0, 120.0], vc=["a", "b", "b"])
    question = ask(jobs, accelerators=16, load=1.2, assume={"workload.scale": present})
    before, after = (system.tree["workload"].get("scale") for system in question.compared)
    assert after == product
    assert question.changed == "20 % more load"
    if present != 1.0:
        of = (each["load"] if isinstance(each, dict) else each for each in (before, after))
        words = "1.2 times the assumed workload.scale of {:g}: {:g} times".format(*of)
        assert words in " ".join(question.notes)


@pytest.mark.parametrize(
    ("present", "method", "words"),
    [
        ({"load": 1.5, "where": {"accelerators": "8+"}}, "superpose", "some jobs (where)"),
        ({"load": 1.5}, "compress", "has the method superpose"),
    ],
)
def test_a_load_that_an_assumed_scale_excludes(present: Any, method: str, words: str) -> None:
    with pytest.raises(cs.InputError, match=re.escape(words)):
        ask(
            table([0.0, 60.0]),
            accelerators=16,
            load=1.2,
            method=method,
            assume={"workload.scale": present},
        )


def test_a_scale_that_replaces_an_assumed_one_is_not_a_factor() -> None:
    question = ask(
        table([0.0, 60.0]),
        accelerators=16,
        assume={"workload.scale": 1.5},
        changes={"workload.scale": {"load": 1.2}},
    )
    assert question.changed == "workload.scale = {load: 1.2}"
