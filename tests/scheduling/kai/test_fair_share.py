"""Fair shares: divisions worked out by hand, and what holds of every division."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling.kai import UNLIMITED, Claim, Queue, divide, fair_shares
from tests.examples import examples

CLAIMS = st.lists(
    st.builds(
        Claim,
        request=st.integers(0, 30),
        deserved=st.integers(0, 12),
        limit=st.one_of(st.just(UNLIMITED), st.integers(0, 20)),
        weight=st.integers(0, 5),
        priority=st.integers(0, 2),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize(
    ("total", "claims", "shares", "left"),
    [
        # Both deserve 4 of 6: more is promised than there is.
        (6, [Claim(9, deserved=4), Claim(9, deserved=4)], [4, 4], 0),
        # 7 of 10 are left; 7 x 1/7, 2/7, 4/7 without remainders.
        (10, [Claim(9, 1, weight=1), Claim(9, 1, weight=2), Claim(9, 1, weight=4)], [2, 3, 5], 0),
        # 8 x 1/3 = 2.67 each, so 2; two more units go to the older ones.
        (8, [Claim(9), Claim(9), Claim(9)], [3, 3, 2], 0),
        # 9 / 3 = 3, the first needs only 1; then 4 / 2 = 2 each for the others, to 5 and 3 + 1.
        (9, [Claim(1), Claim(9), Claim(9)], [1, 4, 4], 0),
        # 5 x 1/4 = 1.25 and 5 x 3/4 = 3.75: the larger fraction gets the unit that is left.
        (5, [Claim(9, weight=1), Claim(9, weight=3)], [1, 4], 0),
        # The higher priority takes all it needs first, whatever the weights.
        (5, [Claim(9, weight=9), Claim(3, weight=1, priority=101)], [2, 3], 0),
        # A weight of 0 gets nothing over quota, a limit binds, and 5 stay.
        (12, [Claim(9, 2, weight=0), Claim(9, 2, limit=5)], [2, 5], 5),
        # An unlimited quota deserves what there is, not what is asked for.
        (4, [Claim(9, deserved=UNLIMITED)], [4], 0),
    ],
)
def test_divisions_by_hand(
    total: float, claims: list[Claim], shares: list[float], left: float
) -> None:
    assert divide(total, claims) == (shares, left)


@settings(max_examples=examples(200))
@given(total=st.integers(0, 40), claims=CLAIMS)
def test_everything_asked_for_or_everything_there_is(total: int, claims: list[Claim]) -> None:
    shares, left = divide(total, claims)
    deserved = [min(claim.deserved, claim.most) for claim in claims]
    for claim, share, minimum in zip(claims, shares, deserved, strict=True):
        assert minimum <= share <= claim.most
        assert claim.weight or share == minimum
    assert left == max(0, total - sum(deserved)) - (sum(shares) - sum(deserved)) >= 0
    wants = [
        claim.weight and share < claim.most for claim, share in zip(claims, shares, strict=True)
    ]
    assert left == 0 or not any(wants)
    for claim, wanted in zip(claims, wants, strict=True):
        if wanted:  # Nobody of lower priority got anything over quota.
            assert all(
                share == minimum
                for other, share, minimum in zip(claims, shares, deserved, strict=True)
                if other.priority < claim.priority
            )


def test_children_divide_the_share_of_their_parent() -> None:
    tree = [
        Queue("a", deserved=6),
        Queue("b", deserved=2, weight=3),
        Queue("a.0", "a", deserved=4),
        Queue("a.1", "a", weight=2),
    ]
    # a and b ask for 12 of 12: 6 and 2, then 4 x 1/4 and 4 x 3/4. Below a, 4 of 7 are deserved.
    assert fair_shares(12, tree, [-1, -1, 0, 0], [12, 12, 6, 6]) == [7, 5, 5, 2]
