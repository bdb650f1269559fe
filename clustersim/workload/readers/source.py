"""Looking at a file before it is read: is it there, how is it packed, how does it begin."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from clustersim.errors import InputError
from clustersim.shipped import missing_file

__all__ = ["Source", "open_source", "read_csv", "reading"]

_HEAD_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is there and not empty.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        ``"parquet"``, ``"text"`` or ``"binary"``, by its content.
    gzipped : bool
        Whether the content is packed by gzip.
    head : str
        The first characters of a text (empty otherwise), whole lines only where
        there is a line break.
    """

    path: Path
    kind: str
    gzipped: bool
    head: str

    @property
    def suffix(self) -> str:
        """The ending that tells the format, lower case, without ``.gz``."""
        name = self.path.name.lower()
        return Path(name.removesuffix(".gz")).suffix

    def open_text(self) -> io.TextIOBase:
        """Open the file as UTF-8 text, unpacked."""
        if self.gzipped:
            return io.TextIOWrapper(gzip.open(self.path, "rb"), encoding="utf-8-sig")
        return self.path.open(encoding="utf-8-sig")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file's bytes into one :class:`InputError`."""
    try:
        yield
    except FileNotFoundError:
        told = missing_file(path, within="experiments", suffix=".csv")
        raise InputError(path, told) from None
    except IsADirectoryError:
        raise InputError(path, "is a folder; a file of jobs is needed") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(path, "is a gzip file that is cut short or damaged") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not text (not UTF-8), nor Parquet or gzip") from None
    except pa.ArrowException:
        raise InputError(path, "is a Parquet file that is cut short or damaged") from None
    except pd.errors.EmptyDataError:
        raise InputError(path, "is empty") from None
    except pd.errors.ParserError as error:
        fault = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise InputError(path, f"is not a table with commas: {fault}") from None
    except OSError as error:
        fault = str(error.strerror or error).splitlines()[0]
        raise InputError(path, f"cannot be read: {fault}") from None


def open_source(path: str | Path) -> Source:
    """Look at a file's first bytes.

    Raises
    ------
    InputError
        If it is missing, a folder, empty, or a gzip file that is damaged.
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
                raise InputError(path, "is empty (a gzip file with nothing in it)")
    if start[:4] == b"PAR1":
        return Source(path, "parquet", gzipped, "")
    if b"\0" in start:
        return Source(path, "binary", gzipped, "")
    whole = start[: start.rfind(b"\n") + 1] or start
    try:
        return Source(path, "text", gzipped, whole.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Source(path, "binary", gzipped, "")


def read_csv(source: Source, **options: object) -> pd.DataFrame:
    """Read a text table with commas.

    Raises
    ------
    InputError
        If it is damaged, not text, or its lines do not fit its header.
    """
    with reading(source.path), source.open_text() as text:
        table: pd.DataFrame = pd.read_csv(text, low_memory=False, **options)  # type: ignore[call-overload]
    if "names" not in options and options.get("header", 0) is not None:
        _check_header(source, table)
    return table


def _check_header(source: Source, table: pd.DataFrame) -> None:
    """Refuse what pandas passes over: rows longer than the header, names that occur twice."""
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(
            source.path,
            f"its rows have {len(table.columns) + table.index.nlevels} fields, its header "
            f"{len(table.columns)}",
        )
    header = next(csv.reader(line for line in source.head.splitlines() if line.strip()), [])
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            source.path, [f"{name}: there is more than one column of this name" for name in twice]
        )
