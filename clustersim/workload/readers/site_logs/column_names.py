"""Names of columns, reduced to what they mean."""

from __future__ import annotations

import re

from clustersim.meanings import squashed
from clustersim.workload.columns import UNIT_S
from clustersim.workload.readers.site_logs.vocabulary import english_name

__all__ = ["english_key", "is_utc", "stem_and_unit"]

_ZONE = re.compile(r"[\s_]*(?:\((?:UTC|GMT|Z)\)|\[(?:UTC|GMT|Z)\]|[\s_](?:UTC|GMT))\s*$", re.I)
"""What tells at the end of a name that times are in UTC."""
_EACH = re.compile(r"(?i)\b([gn]pus?|cards?|accelerators?)\s*/\s*(?=[a-z])")
"""A stroke that stands for "per", as in ``GPUs/node``."""


def english_key(name: object) -> str:
    """Return the name of a column in English, in lower-case letters and digits only.

    Examples
    --------
    >>> english_key("Submit Time"), english_key("提交时间"), english_key("Started (UTC)")
    ('submittime', 'submittime', 'started')
    """
    text = _ZONE.sub("", str(name))
    return squashed(english_name(_EACH.sub(r"\1 per ", text)))


def is_utc(name: object) -> bool:
    """Return whether the name of a column tells that its times are in UTC.

    Examples
    --------
    >>> is_utc("Started (UTC)"), is_utc("start_utc"), is_utc("start")
    (True, True, False)
    """
    return _ZONE.search(str(name)) is not None


def stem_and_unit(name: str) -> tuple[str, float | None]:
    """Split a name into its meaning and the seconds in its unit, None if it tells none."""
    name = english_name(_ZONE.sub("", name))
    text = re.sub(r"\(([^)]*)\)|\[([^]]*)\]", r"_\1\2", name.strip())
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    stem, _, ending = re.sub(r"[\s.-]+", "_", text).rstrip("_").rpartition("_")
    unit = UNIT_S.get(ending.lower()) if stem else None
    return (squashed(stem), unit) if unit is not None else (squashed(name), None)
