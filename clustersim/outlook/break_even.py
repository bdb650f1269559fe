"""The probability of an event at which two options give the same expectation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.outlook.fan import CONFIDENCE

__all__ = ["BreakEven", "break_even_probability"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The probability of an event at which two options give the same expectation.

    Attributes
    ----------
    probability : float
        NaN if one option is at least as good whether the event happens or not.
    low, high : float
        Interval of the sampling error; NaN without a probability, and cut to 0 to 1.
    a_with, b_with : float
        Expectations of the options if the event happens.
    a_without, b_without : float
        Expectations if it does not.
    better_below : str
        The option that is better at smaller probabilities, ``a`` or ``b``; if there is no
        break-even, the one that is always better; ``neither`` if they are equal.
    """

    probability: float
    low: float
    high: float
    a_with: float
    b_with: float
    a_without: float
    b_without: float
    better_below: str


def break_even_probability(
    option_a: Floats, option_b: Floats, event: npt.NDArray[np.bool_]
) -> BreakEven:
    """Return the probability of an event at which two options give the same expectation.

    With the difference of the conditional expectations ``d1 = E[a - b | event]`` and
    ``d0 = E[a - b | no event]``, the expected difference at the probability ``q`` is
    ``q d1 + (1 - q) d0``, which is 0 at ``q = d0 / (d0 - d1)``. How often the event happens in the
    draws does not matter. The interval is that of the delta method; the errors of ``d0`` and ``d1``
    are added, which is right or too wide whatever their correlation, because the same random
    numbers may have been used with and without the event.

    Parameters
    ----------
    option_a, option_b : float64 array (draws,)
        A quantity of which more is better, in the same draws.
    event : bool array (draws,)
        Whether the event happens in each draw.

    Raises
    ------
    InputError
        If the event happens in fewer than two draws, or fails to in fewer than two.

    Examples
    --------
    Option a gives 10 without the event and 0 with it, option b always 4:

    >>> event = np.array([False, False, True, True])
    >>> found = break_even_probability(np.where(event, 0.0, 10.0), np.full(4, 4.0), event)
    >>> round(found.probability, 6), found.better_below
    (0.6, 'a')
    """
    event = np.asarray(event, dtype=bool)
    if min(int(event.sum()), int((~event).sum())) < 2:
        raise InputError(
            "break-even", "the event must happen in two draws or more, and not in two or more"
        )
    difference = np.asarray(option_a, dtype=np.float64) - option_b
    d1, d0 = float(difference[event].mean()), float(difference[~event].mean())
    probability = low = high = math.nan
    # With opposite signs, the root is between 0 and 1.
    if d0 * d1 < 0:
        probability = d0 / (d0 - d1)
        errors = [
            float(difference[mine].std(ddof=1)) / math.sqrt(mine.sum()) for mine in (event, ~event)
        ]
        error = (abs(errors[0] * d0) + abs(errors[1] * d1)) / (d0 - d1) ** 2
        wide = float(special.ndtri((1 + CONFIDENCE) / 2)) * error
        low, high = max(probability - wide, 0.0), min(probability + wide, 1.0)
    leading = d0 if d0 != 0 else d1
    return BreakEven(
        probability=probability,
        low=low,
        high=high,
        a_with=float(np.mean(np.asarray(option_a)[event])),
        b_with=float(np.mean(np.asarray(option_b)[event])),
        a_without=float(np.mean(np.asarray(option_a)[~event])),
        b_without=float(np.mean(np.asarray(option_b)[~event])),
        better_below="neither" if leading == 0 else "a" if leading > 0 else "b",
    )
