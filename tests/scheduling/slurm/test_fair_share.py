"""Classic fair share and fair tree: by hand, invariants, and a plain twin that walks the tree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.slurm import Associations, classic_fair_share, fair_tree

Row = tuple[int, float | None, bool, float]


@st.composite
def trees(draw: st.DrawFn) -> list[Row]:
    """Trees of up to 16 associations with ties, zero shares and shares ``parent``."""
    rows: list[Row] = [(-1, 0, False, 0)]
    accounts = [0]
    for i in range(1, draw(st.integers(2, 16))):
        is_user = draw(st.booleans())
        shares = draw(st.sampled_from([None, 0.0, 1.0, 1.0, 2.0, 4.0]))
        usage = float(draw(st.sampled_from([0, 1, 2, 4, 8]))) if is_user else 0.0
        rows.append((draw(st.sampled_from(accounts)), shares, is_user, usage))
        if not is_user:
            accounts.append(i)
    return rows


# --- Classic --------------------------------------------------------------------------

ACCOUNTS = {"A": "root", "D": "root", "B": "A", "C": "A", "E": "D", "F": "D"}
USERS = {"User1": "B", "User2": "C", "User3": "C", "User4": "E", "User5": "F"}
SHARES = {"A": 40.0, "D": 60.0, "B": 30.0, "C": 10.0, "E": 25.0, "F": 35.0}
USAGE = {"User1": 0.2, "User2": 0.25, "User4": 0.25}


def test_the_example_of_slurms_page() -> None:
    parents = {**ACCOUNTS, **USERS}
    tree = Associations.of_parents(parents, SHARES, USAGE)
    found = classic_fair_share(tree, cluster_usage=1.0)
    at = {name: i for i, name in enumerate(["root", *parents])}
    effective = {name: found.effective_usage[at[name]] for name in ("B", "C", "E", "F", *USERS)}
    assert effective == pytest.approx(
        {
            "B": 0.2 + (0.45 - 0.2) * 30 / 40,
            "C": 0.25 + (0.45 - 0.25) * 10 / 40,
            "E": 0.25,
            "F": 0.25 * 35 / 60,
            "User1": 0.3875,
            "User2": 0.25 + (0.3 - 0.25) / 2,
            "User3": 0.15,
            "User4": 0.25,
            "User5": 0.25 * 35 / 60,
        }
    )
    shares = [found.shares[at[name]] for name in USERS]
    assert shares == pytest.approx([0.3, 0.05, 0.05, 0.25, 0.35])
    factors = [found.factor[at[name]] for name in USERS]
    assert factors == pytest.approx([0.408479, 0.022097, 0.125, 0.5, 0.749154], abs=1e-6)


@given(trees())
def test_classic_factors_are_between_nothing_and_all(rows: list[Row]) -> None:
    tree = Associations.of(rows)
    found = classic_fair_share(tree)
    assert ((found.factor >= 0) & (found.factor <= 1)).all()
    own = ~np.isnan(tree.shares) & (tree.parent >= 0)
    assert (found.effective_usage[own] >= found.usage[own] - 1e-12).all()
    for node in range(1, len(rows)):
        if rows[node][1] is None:
            assert found.factor[node] == found.factor[tree.share_parent[node]]


def test_dampening_brings_factors_nearer_to_each_other() -> None:
    tree = Associations.of([(-1, 0, False, 0), (0, 1, True, 3), (0, 1, True, 1)])
    assert classic_fair_share(tree).factor[1:].tolist() == pytest.approx([2**-1.5, 2**-0.5])
    dampened = classic_fair_share(tree, dampening=5).factor[1:]
    assert dampened.tolist() == pytest.approx([2**-0.3, 2**-0.1])


# --- Fair tree ------------------------------------------------------------------------


def plain_fair_tree(rows: list[Row], merge: bool) -> list[float]:
    """Walk the tree depth first, one sibling after the other."""
    n_users = sum(row[2] for row in rows)
    below: dict[int, list[int]] = {i: [] for i in range(len(rows))}
    for i, row in enumerate(rows[1:], start=1):
        below[row[0]].append(i)

    def total(i: int) -> float:
        return rows[i][3] + sum(total(child) for child in below[i])

    def competitors(i: int) -> list[int]:
        found = []
        for child in below[i]:
            through = rows[child][1] is None and not rows[child][2]
            found += competitors(child) if through else [child]
        return sorted(found)

    level = {}
    for i in (0, *(i for i, row in enumerate(rows) if row[1] is not None)):
        children = competitors(i)
        sum_shares = sum(rows[child][1] or 0.0 for child in children)
        for child in children:
            shares, usage = rows[child][1], total(child)
            if shares is None:
                level[child] = math.inf
            elif shares == 0:
                level[child] = 0.0
            else:
                level[child] = shares / sum_shares / (usage / total(i)) if usage else math.inf

    factors = [math.nan] * len(rows)
    state = {"rank": n_users, "last": n_users}

    def visit(siblings: list[int], starts_tied: bool) -> None:
        line = sorted(siblings, key=lambda i: (-level[i], not rows[i][2]))
        k = 0
        while k < len(line):
            i = line[k]
            tied = starts_tied if k == 0 else level[line[k - 1]] == level[i]
            k += 1
            if rows[i][2]:
                state["last"] = state["last"] if tied else state["rank"]
                factors[i] = state["last"] / n_users
                state["rank"] -= 1
                continue
            children = competitors(i)
            while merge and k < len(line) and level[line[k]] == level[i]:
                children += competitors(line[k])
                k += 1
            visit(sorted(children), tied)

    visit(competitors(0), False)
    return factors


@pytest.mark.parametrize("merge", [True, False], ids=["documented", "as programmed"])
@given(rows=trees())
def test_fair_tree_is_that_of_its_twin(merge: bool, rows: list[Row]) -> None:
    found = fair_tree(Associations.of(rows), merge_ties=merge)
    np.testing.assert_array_equal(found.factor, plain_fair_tree(rows, merge))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20, unique=True), st.integers(0, 5))
def test_ranks_of_users_who_do_not_tie_are_a_permutation(usage: list[float], cut: int) -> None:
    """Two accounts of unequal usage, each user with shares that no other one has."""
    rows: list[Row] = [(-1, 0, False, 0), (0, 3, False, 0), (0, 1, False, 0)]
    rows += [(1 if i < cut else 2, 1.0, True, used) for i, used in enumerate(usage)]
    tree = Associations.of(rows)
    found = fair_tree(tree)
    if found.level_fair_share[1] != found.level_fair_share[2]:
        ranks = np.sort(found.factor[3:] * len(usage)).round(9)
        np.testing.assert_array_equal(ranks, np.arange(1, len(usage) + 1))
    first = np.argsort(-found.factor[3:])
    by_account = [rows[3 + i][0] for i in first]
    assert by_account in (sorted(by_account), sorted(by_account, reverse=True))


def test_users_of_a_better_account_come_before_all_of_a_worse_one() -> None:
    rows: list[Row] = [(-1, 0, False, 0), (0, 1, False, 0), (0, 1, False, 0)]
    rows += [(1, 1, True, 10), (1, 1, True, 0), (2, 1, True, 20), (2, 1, True, 0)]
    found = fair_tree(Associations.of(rows))
    assert found.level_fair_share[1:3].tolist() == [1.5, 0.75]
    assert found.factor[3:].tolist() == [0.75, 1.0, 0.25, 0.5]


def test_the_factors_of_ten_thousand_users_take_little_time() -> None:
    rng = np.random.default_rng(0)
    parent = np.concatenate([[-1], np.zeros(100), rng.integers(1, 101, 10_000)]).astype(np.int64)
    is_user = np.arange(len(parent)) > 100
    tree = Associations(parent, np.ones(len(parent)), is_user, is_user * rng.random(len(parent)))
    found = fair_tree(tree)
    ranks = np.sort(found.factor[is_user] * 10_000).round(6)
    np.testing.assert_array_equal(ranks, np.arange(1, 10_001))
    assert len(tree.levels) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "same length"),
        ([(-1, 0, False, 0), (2, 1, False, 0), (1, 1, False, 0)], "without circles"),
        ([(-1, 0, False, 0), (-1, 1, False, 0)], "the root"),
        ([(-1, 0, False, 0), (0, 1, True, 0), (1, 1, True, 0)], "found a user"),
        ([(-1, 0, False, 0), (0, -1, True, 0)], "found -1"),
        ([(-1, 0, False, 0), (0, 1, True, -5)], "charged"),
    ],
)
def test_what_is_no_tree_is_refused(rows: list[Row], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Associations.of(rows)
