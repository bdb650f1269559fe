"""Where a log begins that lists the jobs which were alive in a window of time.

``sacct --starttime`` lists the jobs that were pending or running at the start of the window, too.
Their submissions are older, and the jobs that ended before it are missing: the time before it is
not empty, but unknown.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats

__all__ = ["listed_from"]

LEAST_S = 3600.0
"""Shortest time between the first submission and the first end that matters."""
_FEWEST = 30
"""Fewest jobs of the window from which it is known how soon jobs end."""
_CHANCE = 1e-6
"""Chance that no job of a whole log ended so long, below which the log is not whole."""


def listed_from(submit_s: Floats, end_s: Floats, owners: Floats) -> float | None:
    """Return the time from which a log is whole; None if it is from its first submission.

    It is the first recorded end, if so many jobs that were submitted long before cannot all have
    outlasted it by chance.  Jobs submitted later tell how soon jobs end.  Of the jobs of one owner,
    which may be alike, only the first counts.

    Parameters
    ----------
    submit_s : float64 array (records,)
        Submissions, seconds; all records, also those without accelerators.
    end_s : float64 array (records,)
        Ends, also of jobs that were cancelled while they waited; NaN if not recorded.
    owners : float64 array (records,)
        A number for each user.

    Examples
    --------
    From day 3 on, a job of 1 h is submitted every 15 minutes. Of 3 jobs that were submitted on day
    1, the first ended on day 3: a log of all jobs would have shorter ones before.

    >>> submit_s = np.concatenate([86400.0 + np.arange(3), 3 * 86400.0 + 900.0 * np.arange(400)])
    >>> end_s = submit_s + np.where(submit_s < 2 * 86400.0, 2 * 86400.0, 3600.0)
    >>> listed_from(submit_s, end_s, np.arange(403.0))
    259200.0
    >>> listed_from(submit_s, end_s, np.zeros(403)) is None  # all of one user: by chance
    True
    """
    ends = end_s[np.isfinite(end_s)]
    if not len(ends):
        return None
    begin_s = float(ends.min())
    early = submit_s < begin_s
    later = (submit_s >= begin_s) & np.isfinite(end_s)
    if not early.any() or later.sum() < _FEWEST:
        return None
    age_s = begin_s - submit_s[early]
    if float(age_s.max()) < LEAST_S:
        return None
    lengths = np.sort(end_s[later] - submit_s[later])
    order = np.lexsort((-age_s, owners[early]))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(owners[early][order]) != 0
    longer = len(lengths) - np.searchsorted(lengths, age_s[order][first], side="left")
    chance = np.maximum(longer, 1.0) / len(lengths)
    return begin_s if float(np.log(chance).sum()) < np.log(_CHANCE) else None
