"""Inspect a file before it is read (existence, compression, first lines), and read CSV files."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from clustersim.errors import InputError
from clustersim.plain_text import NOT_TEXT, NOT_UTF8, not_utf8, other_content, other_separator
from clustersim.shipped import missing_file

__all__ = ["Source", "header_names", "open_source", "read_csv", "reading"]

_HEAD_BYTES = 65536
_NO_LOG = (
    "is neither Parquet nor text; allowed: a table of jobs (Parquet, CSV), a .swf log or a "
    "published GPU cluster log"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that exists and is not empty.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        ``"parquet"`` or ``"text"``, according to its content.
    gzipped : bool
        Whether the content is gzip-compressed.
    head : str
        The first characters of a text file, cut at the end of a line if possible; empty for a
        Parquet file.
    """

    path: Path
    kind: str
    gzipped: bool
    head: str

    @property
    def suffix(self) -> str:
        """Suffix of the file name in lower case, ignoring ``.gz``."""
        name = self.path.name.lower()
        return Path(name.removesuffix(".gz")).suffix

    def open_text(self) -> io.TextIOBase:
        """Open the file as UTF-8 text, decompressed."""
        if self.gzipped:
            return io.TextIOWrapper(gzip.open(self.path, "rb"), encoding="utf-8-sig")
        return self.path.open(encoding="utf-8-sig")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert any error that occurs while a file is read to an :class:`InputError`."""
    try:
        yield
    except FileNotFoundError:
        message = missing_file(path, within="experiments", suffix=".csv")
        raise InputError(path, message) from None
    except IsADirectoryError:
        raise InputError(path, "is a folder; a file of jobs is needed") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(path, "is a truncated or damaged gzip file") from None
    except UnicodeDecodeError:
        raise InputError(path, NOT_UTF8) from None
    except pa.ArrowException:
        raise InputError(path, "is a truncated or damaged Parquet file") from None
    except pd.errors.EmptyDataError:
        raise InputError(path, "is empty") from None
    except pd.errors.ParserError as error:
        problem = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise InputError(path, f"is not a comma-separated table: {problem}") from None
    except OSError as error:
        problem = str(error.strerror or error).splitlines()[0]
        raise InputError(path, f"cannot be read: {problem}") from None


def open_source(path: str | Path) -> Source:
    """Inspect the first bytes of a file, and return a :class:`Source`.

    Raises
    ------
    InputError
        If the file is missing, a folder, empty, a damaged gzip file, or neither Parquet nor UTF-8
        text.
    """
    path = Path(path)
    with reading(path):
        with path.open("rb") as file:
            start = file.read(_HEAD_BYTES)
        if not start:
            raise InputError(path, "is empty")
        gzipped = start[:2] == b"\x1f\x8b"
        if gzipped:
            with gzip.open(path, "rb") as unpacked:
                start = unpacked.read(_HEAD_BYTES)
            if not start:
                raise InputError(path, "is empty (a gzip file without content)")
    if start[:4] == b"PAR1":
        return Source(path, "parquet", gzipped, "")
    what = other_content(start)
    if what is not None:
        raise InputError(path, _NO_LOG if what == NOT_TEXT else what)
    whole = start[: start.rfind(b"\n") + 1] or start
    try:
        return Source(path, "text", gzipped, whole.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if len(whole) - error.start < 4 and len(start) == _HEAD_BYTES:  # a truncated character
            return Source(path, "text", gzipped, whole[: error.start].decode("utf-8-sig"))
        raise InputError(path, not_utf8(whole, error.start)) from None


def header_names(source: Source) -> list[str]:
    """Return the column names in the first line of a comma-separated table."""
    header = next(csv.reader(line for line in source.head.splitlines() if line.strip()), [])
    return [name.strip() for name in header]


def _check_separator(source: Source) -> None:
    """Raise an error if a table is not separated by commas or has no header.

    Raises
    ------
    InputError
        If the first line has no commas, or consists mostly of numbers.
    """
    lines = [line.strip("\r\n") for line in source.head.splitlines() if line.strip()]
    line = lines[0] if lines else ""
    problem = other_separator(line)
    if problem is not None:
        raise InputError(source.path, problem)
    names = header_names(source)
    if len(names) < 2:
        raise InputError(
            source.path,
            f"is not a comma-separated table: its first line is {line[:60]!r}"
            + ("..." if len(line) > 60 else "")
            + "; the first line must name the columns: job_id,submit_s,n_accelerators,duration_s",
        )
    if len(names) > 1 and sum(_is_value(name) for name in names) * 2 > len(names):
        shown = line[:60] + ("..." if len(line) > 60 else "")
        raise InputError(
            source.path,
            f"has no header: its first line is {shown!r}; the first line must name the columns: "
            "job_id,submit_s,n_accelerators,duration_s",
        )


def _is_value(name: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*", name))


def read_csv(source: Source, **options: object) -> pd.DataFrame:
    """Read a comma-separated table.

    Raises
    ------
    InputError
        If the file is damaged or not text, or if its lines do not match its header.
    """
    if "sep" not in options and options.get("header", 0) is not None:
        _check_separator(source)
    with reading(source.path), source.open_text() as text:
        table: pd.DataFrame = pd.read_csv(text, low_memory=False, **options)  # type: ignore[call-overload]
    if "names" not in options and options.get("header", 0) is not None:
        _check_header(source, table)
    return table


def _check_header(source: Source, table: pd.DataFrame) -> None:
    """Raise an error for long rows and duplicate names, which pandas accepts silently."""
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(
            source.path,
            f"its rows have {len(table.columns) + table.index.nlevels} fields, but its header has "
            f"{len(table.columns)}",
        )
    names = header_names(source)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            source.path, [f"{name}: there is more than one column with this name" for name in twice]
        )
