"""Slurm's documented examples and its test of fair tree, against ``clustersim.scheduling.slurm``.

A case is read by its family and by the names of its inputs. Differences and exceptions, by rule:

* Where the documentation and Slurm's program differ (tied accounts in fair tree), both variants are
  tested: ``rows`` as documented, ``rows_as_coded`` as programmed.
* Elapsed times and states of a preemption example that depend on the machine on which it ran are
  not compared; the victims, their modes and the nodes are.
* Advice on backfilling in prose is compared by what it advises.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from clustersim.scheduling.slurm import (
    EVALUATION_ORDER,
    Associations,
    BackfillOptions,
    Factors,
    Preemption,
    PreemptionRules,
    Qos,
    RunningJob,
    SlurmPartition,
    WaitingJob,
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
from tests.peers.peer_cases import parametrised

pytestmark = pytest.mark.peers

Case = dict[str, Any]
TOTALS = ("cluster_usage", "total_usage", "usage_total")
ROUNDED = 1e-6
"""The cases are rounded to six digits."""
FAMILIES = (
    "fair_tree",
    "fair_tree_level",
    "classic_fairshare",
    "multifactor",
    "tres_billing",
    "preemption",
    "backfill_parameters",
)
NAMES = {
    "fairshare": "fair_share",
    "fair-share": "fair_share",
    "size": "job_size",
    "jobsize": "job_size",
    "assoc": "association",
}
"""Names of factors in the cases, where they differ from ours."""


def family(name: str) -> Any:
    return parametrised("slurm*.json", lambda case: case["family"] == name)


def unread(case: Case) -> None:
    pytest.skip(f"no reader for {case['family']} with the inputs {sorted(case['input'])}")


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
    if (order := criteria(case)) is not None:
        check_order(order)
    elif {"weights", "factors"} <= given.keys() and "priority" in expected:
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


# --- Preemption -----------------------------------------------------------------------


@family("preemption")
def test_preemption(case: Case) -> None:
    given = case["input"]
    if "candidates_in_priority_order" in given:
        check_reordering(given, case["expected"])
    elif has_partitions(given):
        check_partitions(given, case["expected"])
    else:
        unread(case)


def check_reordering(given: Case, expected: Case) -> None:
    """Candidates of growing priority; with and without the second pass."""
    candidates = given["candidates_in_priority_order"]
    qos = {each["id"]: Qos(priority=i) for i, each in enumerate(candidates)}
    qos["high"] = Qos(priority=len(qos), preempts=frozenset(qos))
    running = [RunningJob(j["id"], {"nodes": j["nodes"]}, qos=j["id"]) for j in candidates]
    job = WaitingJob("pending", {"nodes": given["pending_nodes"]}, qos="high")
    for reorder_count, key in ((0, "first_pass"), (1, "final")):
        rules = PreemptionRules("qos", "requeue", qos=qos, reorder_count=reorder_count)
        victims = Preemption(rules, running, 0.0).victims(job, {"nodes": given["free_nodes"]})
        assert victims is not None
        assert [victim.job for victim in victims] == expected[key]


def has_partitions(given: Case) -> bool:
    """Whether a case states one job that arrives while jobs of partitions run on nodes."""
    if not {"nodes", "running", "incoming", "partitions"} <= given.keys():
        return False
    wanted = {"id", "partition", "nodes"}
    jobs = [given["incoming"], *given["running"]]
    return all(isinstance(job, dict) and wanted <= job.keys() for job in jobs)


def partition_of(stated: Any) -> SlurmPartition:
    """A partition that a case states by its tier alone, or by tier and mode."""
    if not isinstance(stated, dict):
        return SlurmPartition(int(stated))
    tier = next(value for key, value in stated.items() if "tier" in key)
    mode = next((str(value).lower() for key, value in stated.items() if "mode" in key), None)
    return SlurmPartition(tier, mode)


def check_partitions(given: Case, expected: Case) -> None:
    partitions = {name: partition_of(each) for name, each in given["partitions"].items()}
    rules = PreemptionRules("partition_prio", given.get("mode", "off"), partitions=partitions)
    running = [
        RunningJob(job["id"], {"nodes": job["nodes"]}, job["partition"]) for job in given["running"]
    ]
    taken = {job["id"]: job.get("on", []) for job in given["running"]}
    incoming = given["incoming"]
    job = WaitingJob(incoming["id"], {"nodes": incoming["nodes"]}, incoming["partition"])
    free = given["nodes"] - sum(job["nodes"] for job in given["running"])
    victims = Preemption(rules, running, now_s=0.0).victims(job, {"nodes": free})
    assert victims is not None
    stopped = [victim.job for victim in victims]
    past = {"suspended": "suspend", "requeued": "requeue", "cancelled": "cancel"}
    for key in past.keys() & expected.keys():
        assert [victim.job for victim in victims if victim.mode == past[key]] == expected[key]
    if "still_running" in expected:
        assert [job for job in taken if job not in stopped] == expected["still_running"]
    if "incoming_on" in expected:
        assert [node for job in stopped for node in taken[job]] == expected["incoming_on"]


def criteria(case: Case) -> list[str] | None:
    """The criteria by which a case says that jobs are evaluated, None if it is no such case."""
    expected = case["expected"]
    lists = [expected] if isinstance(expected, list) else list(expected.values())
    texts = [each for each in lists if isinstance(each, list) and len(each) > 2]
    found = next((each for each in texts if "preempt" in str(each[0]).lower()), None)
    return None if found is None else [_plain(str(text)) for text in found]


def _plain(text: str) -> str:
    """A criterion without its spelling: lower case, spaces, "priority" as "job priority"."""
    plain = re.sub(r"[_\-]", " ", text.lower()).replace("prioritytier", "priority tier").strip()
    return "job priority" if plain == "priority" else plain


def check_order(found: list[str]) -> None:
    """Each of our criteria has the word of theirs at the same place."""
    words = ("preempt", "reserv", "tier", "job priority", "submit", "id")
    for text, ours, word in zip(found, EVALUATION_ORDER, words, strict=False):
        assert word in ours
        assert word in text
    assert len(found) <= len(EVALUATION_ORDER)


@parametrised("slurm*.json", lambda case: case["family"] not in FAMILIES)
def test_other_families(case: Case) -> None:
    found = criteria(case)
    if found is None:
        unread(case)
        return
    check_order(found)


@family("backfill_parameters")
def test_backfill_parameters(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if "longest_time_limit_min" in given:
        options = BackfillOptions.of_slurm({"bf_window": given["bf_window_min"]})
        longest_s = given["longest_time_limit_min"] * 60.0
        assert options.starves(longest_s) == (given["bf_window_min"] < longest_s / 60)
        assert "window" in expected["advice"]
        better = options.for_time_limit(longest_s)
        assert better.bf_window_s >= longest_s
        assert not better.starves(longest_s)
        if "bf_resolution" in expected["advice"]:
            assert better.bf_resolution_s > options.bf_resolution_s
        return
    stated = expected.get("defaults", expected)
    ours = BackfillOptions().to_slurm()
    known = {key: value for key, value in stated.items() if _parameter(key) in ours}
    if not known:
        unread(case)
    for key, value in known.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert ours[_parameter(key)] * _scale(key) == pytest.approx(value)
        elif isinstance(value, bool):
            assert ours[_parameter(key)] == value


def _parameter(key: str) -> str:
    return re.sub(r"_(min|minutes|s|sec|seconds|us|microseconds|h|hours)$", "", key)


def _scale(key: str) -> float:
    """What turns the parameter's own unit into that of a key such as ``bf_window_hours``."""
    own_s = {"bf_window": 60.0, "bf_yield_interval": 1e-6, "bf_yield_sleep": 1e-6}
    units = {"min": 60.0, "h": 3600.0, "hours": 3600.0, "s": 1.0, "us": 1e-6}
    unit = key.rpartition("_")[2]
    return own_s.get(_parameter(key), 1.0) / units[unit] if unit in units else 1.0
