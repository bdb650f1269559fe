"""How many examples of a property are tried."""

from __future__ import annotations

from hypothesis import settings

REGULAR, FULL = "regular", "full"
# How long an example takes says something of the machine only.
# The regular examples are the same in every run; the full ones are drawn anew.
settings.register_profile(REGULAR, deadline=None, max_examples=25, derandomize=True)
settings.register_profile(FULL, deadline=None, max_examples=100)


def examples(n: int) -> int:
    """Return `n` with ``make verify FULL=1``, and a quarter of it with ``make test``."""
    return max(1, n * settings().max_examples // settings.get_profile(FULL).max_examples)
