"""Lists of host names with ranges in brackets, as Slurm writes them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

__all__ = ["expand_hosts", "host_list", "indices", "split_outside"]

_MOST = 1_000_000


def split_outside(text: str, separator: str = ",") -> list[str]:
    """Split a text at separators that are not within brackets or parentheses.

    Examples
    --------
    >>> split_outside("ga[1-2,4],gh1"), split_outside("gpu:a100:4(S:0,1),nvme:1")
    (['ga[1-2,4]', 'gh1'], ['gpu:a100:4(S:0,1)', 'nvme:1'])
    """
    parts, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        if letter in "[(":
            depth += 1
        elif letter in "])":
            depth = max(0, depth - 1)
        elif letter == separator and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    parts.append(text[begin:])
    return [part.strip() for part in parts if part.strip()]


def expand_hosts(text: str) -> list[str]:
    """Return the names in a list of hosts.

    Examples
    --------
    >>> expand_hosts("gh[001-002,007],login")
    ['gh001', 'gh002', 'gh007', 'login']
    >>> expand_hosts("r[1-2]n[8-9]")
    ['r1n8', 'r1n9', 'r2n8', 'r2n9']
    >>> expand_hosts("(null)")
    []
    """
    if text.strip().lower() in ("", "(null)", "none", "n/a", "(none)"):
        return []
    return [name for part in split_outside(text) for name in _names(part)]


def host_list(names: Iterable[str]) -> str:
    """Return a list of hosts that stands for some names, in their order.

    Examples
    --------
    >>> host_list(["gh001", "gh002", "gh003", "gh007", "login", "n9", "n10"])
    'gh[001-003],gh007,login,n[9-10]'
    """
    runs: list[tuple[str, str, int]] = []
    for name in names:
        found = re.fullmatch(r"(.*?)(\d{1,18})", name)
        stem, digits = (found[1], found[2]) if found else (name, "")
        if runs and digits:
            head, first, more = runs[-1]
            following = int(first or 0) + more + 1
            written = f"{following:0{len(first)}d}" if first.startswith("0") else str(following)
            if head == stem and first and digits == written:
                runs[-1] = head, first, more + 1
                continue
        runs.append((stem, digits, 0))
    return ",".join(
        f"{head}[{first}-{int(first) + more:0{len(first)}d}]" if more else f"{head}{first}"
        for head, first, more in runs
    )


def _names(part: str) -> Iterator[str]:
    pieces = re.split(r"\[([^\]]*)\]", part)
    fixed, ranges = pieces[::2], [list(indices(each)) for each in pieces[1::2]]
    for chosen in itertools.product(*ranges):
        yield "".join(itertools.chain.from_iterable(zip(fixed, (*chosen, ""), strict=True)))


def indices(text: str) -> Iterator[str]:
    """Return the numbers of ranges such as ``1-3,7`` or, with a step, ``2-20:3``, as written.

    Examples
    --------
    >>> list(indices("08-10,12")), list(indices("2-20:6"))
    (['08', '09', '10', '12'], ['2', '8', '14', '20'])
    """
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)-(\d+)(?::(\d+))?\s*", part)
        if found is None:
            if part.strip():
                yield part.strip()
            continue
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
        if last - first > _MOST or step < 1:
            yield part.strip()
            continue
        width = len(found[1]) if found[1].startswith("0") else 0
        for number in range(first, last + 1, step):
            yield f"{number:0{width}d}" if width else str(number)
