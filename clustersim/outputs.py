"""New files and folders, atomic replacement of files, and locks.

Every command writes its output with these helpers: existing files are not overwritten, readers
never see a partial file, and an error names the file that cannot be written.
"""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError
from clustersim.json_values import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PAGE_FILE",
    "is_empty_file",
    "locked",
    "new_file",
    "new_folder",
    "refuse_existing",
    "replacing",
    "reserved",
    "write_data",
    "write_errors",
    "write_table",
]

PAGE_FILE = "report.html"
"""Name of the page in the folder of a result."""


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Raise an `InputError` that names `path` if writing fails in the block."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or error
        raise InputError(os.fspath(path), f"cannot be written: {problem}") from None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield the path of a draft that replaces `path` once the block has completed.

    Readers see either the old file or the complete new file, even if this process is killed.  If
    the block fails, the draft is removed and the old file stays unchanged.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with write_errors(path):
        try:
            yield draft
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its index, as Parquet or CSV by the suffix of the file.

    Readers see either the old file or the complete new file.

    Raises
    ------
    InputError
        If the file cannot be written.

    Examples
    --------
    >>> import pandas as pd
    >>> write_table(pd.DataFrame({"pool": ["a"], "jobs": [3]}), "pools.csv")
    >>> Path("pools.csv").read_text()
    'pool,jobs\\na,3\\n'
    """
    with replacing(path) as draft:
        if draft.suffix == ".parquet":
            table.to_parquet(draft, index=False)
        else:
            table.to_csv(draft, index=False)


def write_data(content: Mapping[str, Any], path: str | Path) -> None:
    """Write data as indented JSON, converted by :func:`~clustersim.json_values.plain`.

    Readers see either the old file or the complete new file.

    Raises
    ------
    InputError
        If the file cannot be written.

    Examples
    --------
    >>> write_data({"nearest": "easy"}, "answer.json")
    >>> Path("answer.json").read_text()
    '{\\n  "nearest": "easy"\\n}\\n'
    """
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as draft:
        draft.write_text(f"{text}\n", encoding="utf-8")


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a draft of a new file, which appears complete or not at all.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    """
    refuse_existing(path)
    with replacing(path) as draft:
        yield draft


@contextmanager
def reserved(path: str | Path) -> Iterator[None]:
    """Create an empty file before the work that fills it; remove it at the end if still empty.

    An empty file, such as one left by a killed process, is reused.

    Raises
    ------
    InputError
        If the file exists and is not empty, or cannot be written.
    """
    path = Path(path)
    try:
        path.open("x", encoding="utf-8").close()
    except FileExistsError:
        if not is_empty_file(path):
            raise InputError(path, "exists already and is not overwritten") from None
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(path, f"cannot be written: {problem}") from None
    try:
        yield
    finally:
        if is_empty_file(path):
            path.unlink()


def refuse_existing(path: str | Path) -> None:
    """Raise an `InputError` if a file exists already or its folder does not exist."""
    place = Path(path)
    if "\0" in str(place):
        raise InputError(os.fspath(path), "cannot be written: the name contains a null character")
    with write_errors(path):
        exists, folder = place.exists() or place.is_symlink(), place.parent.is_dir()
    if exists:
        raise InputError(
            os.fspath(path), "exists already and is not overwritten; choose a new file"
        )
    if not folder:
        raise InputError(
            os.fspath(path), f"cannot be written: there is no folder {os.fspath(place.parent)}"
        )


def is_empty_file(path: str | Path) -> bool:
    """Return whether a path is a regular file of 0 bytes, such as one left by a killed process."""
    try:
        status = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Create a folder for output before the work that fills it starts.

    An empty folder, such as one left by a killed process, is reused. A folder in which nothing was
    written is removed again, with the parents that were created for it.

    Raises
    ------
    InputError
        If the folder cannot be created, if it exists and is not empty, or if a file in it cannot be
        written.
    """
    path = Path(folder)
    try:
        made = [path, *itertools.takewhile(lambda parent: not parent.exists(), path.parents)]
        path.mkdir(parents=True)
    except FileExistsError:
        made = []
        if not _is_empty_folder(path):
            raise InputError(
                path, "exists already and is not overwritten; choose a new folder"
            ) from None
    except NotADirectoryError:
        raise InputError(path, "cannot be created: a part of its path is a file") from None
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(path, f"cannot be created: {problem}") from None
    try:
        with write_errors(path):
            yield path
    finally:
        with suppress(OSError):
            for empty in made:
                empty.rmdir()


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and next(path.iterdir(), None) is None
    except OSError:
        return False


@contextmanager
def locked(path: Path, refusal: str, *, shows_owner: bool = False) -> Iterator[None]:
    """Keep other processes out with a lock, which the system releases when this process ends.

    Parameters
    ----------
    path : Path
        The file to lock; it is created if it is missing and is not removed.
    refusal : str
        The message of the error while another process holds the lock.
    shows_owner : bool
        Whether to write the process id into the file.  The id of the process that holds the lock
        then replaces ``{owner}`` in `refusal`.

    Raises
    ------
    InputError
        If another process, or another block in this process, holds the lock, or if the file cannot
        be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    with write_errors(path.parent):
        try:
            lock.acquire()
        except Timeout:
            if shows_owner:
                owner = path.read_text(encoding="utf-8").strip() or "unknown"
                refusal = refusal.format(owner=owner)
            raise InputError(path.parent, refusal) from None
    try:
        if shows_owner:
            with write_errors(path):
                path.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()
