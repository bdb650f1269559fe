"""Slurm's examples of priorities and its test of fair tree.

A case is read by its family and by the names of its inputs. Exceptions, by rule:

* Where the documentation and Slurm's program differ (tied accounts in fair tree), both variants are
  tested: ``rows`` as documented, ``rows_as_coded`` as programmed.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from clustersim.scheduling.slurm import (
    Associations,
    Factors,
    Weights,
    age_factor,
    billing,
    classic_fair_share,
    decay,
    fair_share_factor,
    fair_tree,
    job_size_factor,
    normalised,
    priority,
    priority_terms,
)
from tests.peers.slurm_cases import Case, family, unread

pytestmark = pytest.mark.peers

TOTALS = ("cluster_usage", "total_usage", "usage_total")
ROUNDED = 1e-6
"""The cases are rounded to six digits."""
NAMES = {
    "fairshare": "fair_share",
    "fair-share": "fair_share",
    "size": "job_size",
    "jobsize": "job_size",
    "assoc": "association",
}
"""Names of factors in the cases, where they differ from ours."""


def as_number(value: Any) -> float:
    """A number of a case; "inf" and null are infinite and NaN."""
    return math.nan if value is None else float(value)


def agree(found: float, expected: Any) -> None:
    assert found == pytest.approx(as_number(expected), rel=2e-6, abs=ROUNDED, nan_ok=True)


# --- Trees ----------------------------------------------------------------------------


def tree_of(rows: list[Case]) -> tuple[list[str], Associations]:
    """The names and the tree of a case."""
    index = {row["id"]: i for i, row in enumerate(rows)}
    names = [f"{row['account']}/{row['user']}" if "user" in row else row["account"] for row in rows]
    tree = Associations.of(
        [
            (
                index.get(row["parent"], -1),
                None if row["shares"] == "parent" else float(row["shares"]),
                "user" in row,
                float(row.get("usage", row.get("norm_usage", 0.0))) if "user" in row else 0.0,
            )
            for row in rows
        ]
    )
    return names, tree


@family("fair_tree")
def test_fair_tree(case: Case) -> None:
    if "tree" not in case["input"]:
        unread(case)
    names, tree = tree_of(case["input"]["tree"])
    expected = case["expected"]
    for key, merge in (("rows", True), ("rows_as_coded", False)):
        found = fair_tree(tree, merge_ties=merge)
        columns = {
            "norm_shares": found.shares,
            "usage": tree.usage,
            "norm_usage": found.usage_of_cluster,
            "effective_usage": found.usage_of_level,
            "factor": found.factor,
            "level_fs": found.level_fair_share,
        }
        for name, row in expected.get(key, expected["rows"]).items():
            i = names.index(name)
            for column in row.keys() & columns.keys():
                if name != names[0] or row[column] is not None:
                    agree(columns[column][i], row[column])


@family("fair_tree_level")
def test_level_of_a_fair_tree(case: Case) -> None:
    siblings = case["input"]["siblings"]
    assert case["input"]["parent_usage"] == sum(each["usage"] for each in siblings.values())
    rows = [
        (0, each["shares"] if each["shares"] != "parent" else None, each["is_user"], each["usage"])
        for each in siblings.values()
    ]
    found = fair_tree(Associations.of([(-1, 0, False, 0), *rows])).level_fair_share[1:]
    for name, level in zip(siblings, found, strict=True):
        agree(level, case["expected"]["level_fs"][name])


@family("classic_fairshare")
def test_classic_fair_share(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if "tree" in given and "users" in expected:
        names, tree = tree_of(given["tree"])
        stated = next((given[key] for key in TOTALS if key in given), None)
        as_parts = any("norm_usage" in row for row in given["tree"])
        check_users(names, tree, expected, 1.0 if as_parts else stated)
    elif "half_life_s" in given:
        usage = given["usage_t0"] * decay(given["after_s"], given["half_life_s"])
        assert usage.tolist() == pytest.approx(expected["usage"])
    elif any(key.endswith("_norm") for key in given) and "user_shares" in given:
        (norm,) = (value for key, value in given.items() if key.endswith("_norm"))
        users = given["user_shares"]
        rows = [(0, norm, False, 0.0), (0, 1 - norm, False, 0.0)]
        rows += [(1, shares, True, 0.0) for shares in users.values()]
        tree = Associations.of([(-1, 0, False, 0), *rows])
        found = dict(zip(users, classic_fair_share(tree).shares[3:], strict=True))
        assert found == pytest.approx(expected["norm_shares"])
    elif any("factor" in key for key in expected) and len(shares_and_usage(given)) == 2:
        check_factors(given, expected)
    else:
        unread(case)


def check_users(names: list[str], tree: Associations, expected: Case, total: float | None) -> None:
    found = classic_fair_share(tree, cluster_usage=total)
    columns = {
        "norm_shares": found.shares,
        "norm_usage": found.usage,
        "effective_usage": found.effective_usage,
        "factor": found.factor,
    }
    by_user = {name.rpartition("/")[2]: i for i, name in enumerate(names)}
    for user, row in expected["users"].items():
        for column in row.keys() & columns.keys():
            agree(columns[column][by_user[user]], row[column])


def shares_and_usage(given: Case) -> list[Any]:
    """The inputs that are normalised shares and effective usage, if a case has just these."""
    words = ("share", "usage")
    return [value for word in words for key, value in given.items() if word in key]


def check_factors(given: Case, expected: Case) -> None:
    shares, usage = shares_and_usage(given)
    wanted = next(value for key, value in expected.items() if "factor" in key)
    if isinstance(wanted, dict):
        shares, usage = ([each[user] for user in wanted] for each in (shares, usage))
        wanted = list(wanted.values())
    found = fair_share_factor(np.array(shares), np.array(usage))
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)


# --- Priorities -----------------------------------------------------------------------


def by_our_names(values: Case) -> Case:
    """Weights or factors by our names."""
    plain = {NAMES.get(k, k): v for k, v in values.items() if not k.startswith("tres")}
    return {**plain, "tres": dict(values.get("tres", {}))}


@family("multifactor")
def test_multifactor(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if {"weights", "factors"} <= given.keys() and "priority" in expected:
        check_priority(given, expected)
    elif "partitions" in given or "qos" in given:
        check_normalised(case)
    elif "integer_terms" in expected:
        (weight,) = (value for key, value in given.items() if key.startswith("weight"))
        (factors,) = (value for value in given.values() if isinstance(value, dict))
        found = {
            job: int(priority(Weights(fair_share=weight), Factors(fair_share=factor)))
            for job, factor in factors.items()
        }
        assert found == expected["integer_terms"]
        assert (len(set(found.values())) == 1) == expected["equal_priority"]
    elif "cluster" in given and "jobs" in given:
        check_sizes(given, expected)
    elif any("max_age" in key for key in given):
        check_ages(case)
    else:
        unread(case)


def check_priority(given: Case, expected: Case) -> None:
    weights, factors = (
        Weights(**by_our_names(given["weights"])),
        Factors(**by_our_names(given["factors"])),
    )
    nice = given.get("nice", given.get("nice_factor", 0))
    found = int(
        priority(weights, factors, site=given.get("site", given.get("site_factor", 0)), nice=nice)
    )
    assert found == math.floor(expected["priority"])
    terms = {k: float(v) for k, v in priority_terms(weights, factors).items()}
    for name, share in expected.get("share_of_priority_approx", {}).items():
        assert terms[NAMES.get(name, name)] / found == pytest.approx(share, abs=0.02)


def check_normalised(case: Case) -> None:
    """Priorities of partitions or QOS, raw with their flag, else as parts of the largest."""
    given, expected = case["input"], case["expected"]
    kind = "partitions" if "partitions" in given else "qos"
    raw = any(flag.startswith("NO_NORMAL") for flag in given.get("flags", ()))
    values = np.array(list(given[kind].values()), dtype=float)
    factors = values if raw else normalised(values)
    weight = next((v for k, v in given.items() if k.startswith("weight")), 1.0)
    terms = priority_terms(Weights(partition=weight), Factors(partition=factors))["partition"]
    known = {"term": terms, "factor": factors}
    for key, wanted in expected.items():
        column = next((found for name, found in known.items() if name in key), None)
        if column is None:
            unread(case)
            return
        assert dict(zip(given[kind], column, strict=True)) == pytest.approx(wanted)


def check_sizes(given: Case, expected: Case) -> None:
    cluster = given["cluster"]
    for job, size in given["jobs"].items():
        for key in ("favor_large", "favor_small"):
            found = job_size_factor(
                size["nodes"],
                size["cpus"],
                cluster["nodes"],
                cluster["cpus"],
                favor_small=key == "favor_small",
            )
            assert found == pytest.approx(expected[key][job])


def check_ages(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    max_age = next(v for k, v in given.items() if "max_age" in k)
    ages = next((v for k, v in given.items() if "age" in k and v != max_age), None)
    wanted = next((v for k, v in expected.items() if "factor" in k), None)
    if ages is None or wanted is None:
        unread(case)
        return
    if isinstance(ages, dict):
        ages, wanted = [ages[job] for job in wanted], list(wanted.values())
    assert age_factor(ages, max_age).tolist() == pytest.approx(wanted)


@family("tres_billing")
def test_billing(case: Case) -> None:
    given = case["input"]
    mode = re.sub("_?tres|flag", "", str(given.get("mode", "sum")).lower()).strip("_")
    found = {
        job: float(billing(requested, given["weights"], mode=mode))
        for job, requested in given["jobs"].items()
    }
    assert found == pytest.approx(case["expected"])
