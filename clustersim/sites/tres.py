"""Accelerators in Slurm's texts on generic resources (GRES) and trackable resources (TRES)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clustersim.sites.cells import ABSENT, whole
from clustersim.sites.hostlist import split_outside
from clustersim.workload.readers.site_logs.devices import is_device

__all__ = ["accelerators_of", "is_accelerator", "is_cut"]

_PREFIX = re.compile(r"^(?:gres[:/])")
_NOTE = re.compile(r"\([^)]*\)?")


def accelerators_of(text: object) -> dict[str, int]:
    """Return the number of accelerators by type, as written; the resource's name without a type.

    Reads ``gpu:a100:4(S:0-1)``, ``gpu:8``, ``gres:gpu:a100:4`` and ``gres/gpu:4`` as well as
    ``cpu=64,gres/gpu=4,gres/gpu:a100=4``. If a resource is given both with and without types, both
    are the same accelerators.

    Examples
    --------
    >>> accelerators_of("gpu:a100:1(S:0-1),gpu:a100_3g.20gb:6,nvme:2")
    {'a100': 1, 'a100_3g.20gb': 6}
    >>> accelerators_of("cpu=64,mem=1031000M,gres/gpu=4,gres/gpu:a100l=4")
    {'a100l': 4}
    >>> accelerators_of("gres/npu:910b=8,gres/npu=8,gres/ib=1"), accelerators_of("(null)")
    ({'910b': 8}, {})
    """
    typed: dict[tuple[str, str], int] = {}
    plain: dict[str, int] = {}
    shown = "" if text is None else str(text).strip()
    if shown.lower() in ABSENT:
        return {}
    for part in split_outside(shown):
        entry = _entry(part)
        if entry is None:
            continue
        name, kind, count = entry
        if kind:
            typed[name, kind] = typed.get((name, kind), 0) + count
        else:
            plain[name] = plain.get(name, 0) + count
    found: dict[str, int] = {}
    for (_, kind), count in typed.items():
        found[kind] = found.get(kind, 0) + count
    for name, count in plain.items():
        rest = count - sum(each for (other, _), each in typed.items() if other == name)
        if rest > 0:
            found[name] = found.get(name, 0) + rest
    return {kind: count for kind, count in found.items() if count > 0}


def is_accelerator(name: str) -> bool:
    """Return whether a generic resource is an accelerator; ``nvme``, ``mps``, ``shard`` are not.

    Examples
    --------
    >>> is_accelerator("gpu"), is_accelerator("mic"), is_accelerator("shard")
    (True, True, False)
    """
    plain = name.strip().lower()
    return plain == "mic" or is_device(plain)


def _entry(part: str) -> tuple[str, str, int] | None:
    """Return name, type and number of one entry; None if it is no accelerator."""
    part = _PREFIX.sub("", _NOTE.sub("", part).strip())
    left, equals, count = part.partition("=")
    if equals:
        name, _, kind = left.partition(":")
        number = whole(count)
    else:
        name, *rest = part.split(":")
        rest = [each for each in rest if each and each != "no_consume"]
        number = whole(rest[-1]) if rest else 1
        if rest and number is not None and (len(rest) > 1 or rest[-1].isdigit()):
            kind = ":".join(rest[:-1])
        elif rest and number is not None and len(rest) == 1:
            kind = ""
        else:  # a type without a number stands for one
            kind, number = ":".join(rest), 1
    if not is_accelerator(name) or number is None:
        return None
    return name.strip().lower(), kind.strip(), number


def is_cut(text: str) -> bool:
    """Return whether a text was cut where its column ended, so that a number may be missing.

    Examples
    --------
    >>> is_cut("gpu:gtx1080t+"), is_cut("cpu=8,mem=64G,gres/g"), is_cut("gpu:a100:4")
    (True, True, False)
    """
    shown = text.strip()
    if shown.endswith("+") and not re.search(r"[:=]\d+\+$", shown):
        return True
    return bool(re.search(r",(?:[a-z/]*)$|=$", shown)) and not re.search(r"[=:]\d+\w?$", shown)


def total(found: Mapping[str, int]) -> int:
    """Return the number of accelerators of all types.

    Examples
    --------
    >>> total({"v100": 2, "p100": 2})
    4
    """
    return sum(found.values())
