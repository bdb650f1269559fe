"""Records of ``key=value`` pairs (Slurm's scontrol) and of indented ``key = value`` lines (PBS)."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["indented_records", "scontrol_records"]

_KEY = re.compile(r"(?:^|\s)([A-Z][A-Za-z0-9/:_]*)=")
_AFTER_FREE_TEXT = {
    "OS": "RealMemory",
    "Reason": "Dependency|Comment|Extra|ReservationName|InstanceId|InstanceType|TopologyStr",
    "Comment": "Extra|InstanceId|InstanceType|WorkDir|StdErr|StdIn|StdOut|TresPerNode|Power",
    "Extra": "Comment|InstanceId|InstanceType",
    "JobName": "UserId",
    "Command": "WorkDir|Comment",
}
"""Keys whose values may have blanks and equals signs, and the keys at which these values end."""
_ENDS = {key: re.compile(rf"\s(?:{names})=") for key, names in _AFTER_FREE_TEXT.items()}


def scontrol_records(text: str, first: str) -> list[dict[str, str]]:
    """Return the records that ``scontrol show`` prints, one line each or over several lines.

    Parameters
    ----------
    text : str
    first : str
        The key with which each record begins, such as ``NodeName``.

    Examples
    --------
    >>> text = "NodeName=a State=IDLE\\n   OS=Linux 5.14 #1 SMP\\n\\nNodeName=b State=DOWN*\\n"
    >>> [(each["NodeName"], each["State"]) for each in scontrol_records(text, "NodeName")]
    [('a', 'IDLE'), ('b', 'DOWN*')]
    """
    starts = [found.start() for found in re.finditer(rf"(?:^|(?<=\s)){first}=", text)]
    ends = [*starts[1:], len(text)]
    return [dict(_pairs(text[begin:end])) for begin, end in zip(starts, ends, strict=True)]


def _pairs(record: str) -> Iterator[tuple[str, str]]:
    for line in record.split("\n"):
        at = 0
        seen = _KEY.search(line, at)
        while seen is not None:
            key = seen[1]
            following = _ENDS.get(key, _KEY).search(line, seen.end())
            end = len(line) if following is None else following.start()
            yield key, line[seen.end() : end].strip()
            seen = _KEY.search(line, end) if following is not None else None


def indented_records(text: str, heading: re.Pattern[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the records of PBS: a heading, and under it indented lines ``key = value``.

    A line that begins with a tab continues the line before it, as ``qstat -f`` folds long values,
    unless all lines of the record begin with one.

    Examples
    --------
    >>> text = "gpu01\\n     state = free\\n     resources_available.ngpus = 4\\n"
    >>> indented_records(text, re.compile(r"(\\S+)$"))
    [('gpu01', {'state': 'free', 'resources_available.ngpus': '4'})]
    """
    records: list[tuple[str, dict[str, str]]] = []
    key, indent = "", ""
    for line in text.split("\n"):
        if not line.strip():
            key = ""
            continue
        if not line[0].isspace():
            found = heading.match(line.strip())
            key = ""
            if found is not None:
                records.append((found[1], {}))
                indent = ""
            continue
        if not records:
            continue
        name, equals, value = line.strip().partition(" = ")
        indent = indent or line[0]
        named = indent == "\t" and bool(equals) and re.fullmatch(r"[\w.]+", name) is not None
        if line.startswith("\t") and key and not named:
            records[-1][1][key] += line.strip()
        elif equals or line.strip().endswith(" ="):
            key = name.removesuffix(" =").strip()
            records[-1][1][key] = value.strip()
        elif key:
            records[-1][1][key] += line.strip()
    return records
