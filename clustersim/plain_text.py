"""Recognition of files that are not UTF-8 text, and of column separators other than commas."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "NOT_TEXT",
    "NOT_UTF8",
    "not_utf8",
    "other_content",
    "other_separator",
    "what_is_not_utf8",
]

_CONVERT = "save it as UTF-8 (iconv -f {0} -t UTF-8)"
_OTHER_ENCODING = ", perhaps Latin-1 or Windows-1252; " + _CONVERT.format("ISO-8859-1")
NOT_UTF8 = "is not UTF-8 text" + _OTHER_ENCODING
_MAGIC = {
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; decompress it (zstd -d) first",
    b"BZh": "is compressed with bzip2; decompress it (bunzip2) first",
    b"\xfd7zXZ\x00": "is compressed with xz; decompress it (unxz) first",
    b"ARROW1": "is an Arrow (Feather) file; save it as Parquet",
    b"ORC": "is an ORC file; save it as Parquet",
    b"\x89HDF": "is an HDF5 file; save its table as CSV or Parquet",
    b"SQLite format 3\x00": "is an SQLite database; export its table as CSV",
    b"%PDF": "is a PDF document",
}
"""File types by their first bytes (as in the command `file`)."""
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte order marks, longer ones first."""


def other_content(start: bytes) -> str | None:
    """Describe the type of a file that is not UTF-8 text; None if it may be UTF-8 text.

    Parameters
    ----------
    start : bytes
        The first bytes of the file.

    Examples
    --------
    >>> other_content("a,b".encode("utf-16"))
    'is text in UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)'
    """
    for magic, what in _MAGIC.items():
        if start.startswith(magic) and (b"\0" in start or len(magic) > 3):
            return what
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return f"is text in {encoding}; " + _CONVERT.format(encoding)
    if b"\0" not in start:
        control = sum(start.count(bytes([code])) for code in _CONTROL)
        return NOT_TEXT if control > len(start) / 50 else None
    wide = _wide_encoding(start)
    if wide is None:
        return NOT_TEXT
    name = wide.removesuffix("LE").removesuffix("BE")
    return f"is text in {name} without a byte order mark; " + _CONVERT.format(wide)


_LEAST_PRINTABLE, _LEAST_ASCII = 0.95, 0.05
"""Minimum shares of printable and of ASCII characters in a text.  A text that is decoded with
the wrong encoding has fewer ASCII characters."""


def _wide_encoding(start: bytes) -> str | None:
    """Return the two-byte or four-byte encoding that decodes `start` as text, or None."""
    if start.count(0) < len(start) / 5 and _is_utf8(start):  # ASCII in two bytes is half zeros
        return None
    for encoding, width in (("UTF-32LE", 4), ("UTF-32BE", 4), ("UTF-16LE", 2), ("UTF-16BE", 2)):
        try:
            text = start[: len(start) // width * width].decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(start) - 2 * width:  # else a character cut in two
                continue
            text = start[: error.start].decode(encoding)
        printable = sum(char.isprintable() or char.isspace() for char in text)
        ascii_ones = sum("\t" <= char <= "~" for char in text)
        if printable >= _LEAST_PRINTABLE * len(text) and ascii_ones > _LEAST_ASCII * len(text):
            return encoding
    return None


def _is_utf8(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4
    return True


_CONTROL = tuple(code for code in range(1, 32) if code not in (9, 10, 12, 13, 26, 27))
NOT_TEXT = "is not a text file"


def not_utf8(data: bytes, at: int) -> str:
    """Return a message that names the first byte that is not UTF-8, and the line of this byte.

    Parameters
    ----------
    data : bytes
        The text.
    at : int
        Index of the first byte that is not UTF-8.
    """
    line = data.count(b"\n", 0, at) + 1
    return f"is not UTF-8 text (byte 0x{data[at]:02x} in line {line}){_OTHER_ENCODING}"


def what_is_not_utf8(path: str | Path, expected: str) -> str:
    """Describe a file that could not be read as UTF-8 text.

    Parameters
    ----------
    path : path
        The file.
    expected : str
        The type of file that is expected; stated unless the file is text in another encoding.
    """
    data = Path(path).read_bytes()
    what = other_content(data)
    if what is None:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return not_utf8(data, error.start)
        what = NOT_TEXT
    return what if what.startswith("is text in") else f"{what}; {expected} is expected"


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars (|)"}


def other_separator(line: str) -> str | None:
    """Describe the separator in the first line of a table if it is not a comma; else None.

    Examples
    --------
    >>> other_separator("a;b;c")
    'its columns are separated by semicolons, not by commas: save it with commas and decimal points'
    """
    counts = {mark: line.count(mark) for mark in _SEPARATORS}
    mark = max(counts, key=lambda each: counts[each])
    if counts[mark] <= line.count(","):
        return None
    what = "commas and decimal points" if mark == ";" else "commas"
    return f"its columns are separated by {_SEPARATORS[mark]}, not by commas: save it with {what}"
