"""The content of a log file as text: decompressed, and decoded whatever its encoding is."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import json
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from clustersim.errors import InputError
from clustersim.workload.readers.site_logs.vocabulary import words_known

__all__ = ["Content", "is_yaml", "open_content", "text_of", "yaml_values"]

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
"""Compressions by their first bytes (RFC 1952, RFC 8878, the formats of xz and bzip2)."""
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Byte order marks; the longer ones come first where one begins with another."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of workbooks of Excel and of other office programs."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9])")
"""Sequences that colour the text of a terminal, or move its cursor (ECMA-48)."""
_CONTROLS = str.maketrans({"\x01": "\x1f", "\x02": "\x1f", "\x1e": "\n"})
"""Characters that separate fields and records, as Hive and ASCII define them."""
_BOXES = str.maketrans(
    dict.fromkeys("│║┃", "|")
    | dict.fromkeys("─═━", "-")
    | dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╞╡╪╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋┡┩╇", "+")
)
"""Lines and corners of tables that are drawn, and what takes their place."""
_MOST_BROKEN = 0.3
"""Share of the bytes beyond ASCII that may be broken in a text that is read as UTF-8."""


_MANIFEST = re.compile(r"(?m)^(?:- )?apiVersion: \S+$(?s:.*)^(?:  )?kind: \w+$|^kind: \w*List$")
_QUOTED = re.compile(
    r"""(?m)^(?:- )?["']?apiVersion["']?: +["']?[\w./]+["']?$"""
    r"""(?s:.*)^(?:  )?["']?kind["']?: +["']?\w+["']?$"""
)
"""The same where keys or values are in quotes, which is YAML if no bracket begins a line."""
_SLURM_YAML = re.compile(r"(?m)^(?:jobs|nodes|sinfo): *(?:!!seq)?\n\s*- +\w+:")
"""How the lists begin that commands of Slurm print with ``--yaml``."""


def is_yaml(text: str) -> bool:
    """Return whether a text has objects of Kubernetes or of Slurm in YAML.

    Examples
    --------
    >>> is_yaml("apiVersion: v1\\nitems: []\\nkind: List\\n"), is_yaml("jobs:\\n- account: lab\\n")
    (True, True)
    >>> is_yaml('{"kind": "List"}'), is_yaml('"apiVersion": "v1"\\n"kind": "Pod"\\n')
    (False, True)
    """
    head = text[:200_000]
    if _MANIFEST.search(head) or _SLURM_YAML.search(text):
        return True
    return _QUOTED.search(head) is not None and not re.search(r"(?m)^[{\[]", head)


def _as_json(value: Any) -> Any:
    """Return a value of YAML with times as texts, as JSON has them."""
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    if isinstance(value, datetime):
        text = value.isoformat()
        return text if value.tzinfo else f"{text}Z"
    return value


def _printed_objects(lines: Sequence[str]) -> list[Any]:
    """Return the dictionaries that Python has printed, one a line; other lines are skipped."""
    found = []
    for line in lines:
        try:
            found.append(ast.literal_eval(line.strip()))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return found


def yaml_values(text: str, path: str | Path) -> list[Any]:
    """Return the documents of a text in YAML, as the same objects would be in JSON.

    Raises
    ------
    InputError
        If the text is not complete YAML.
    """
    first = re.search(
        r"""(?m)^(?:%YAML|---|-? ?["']?apiVersion["']?:|["']?(?:items|kind)["']?:"""
        r"""|meta:|jobs:|nodes:|sinfo:)""",
        text,
    )
    text = text[first.start() :] if first else text
    try:
        return [_as_json(one) for one in YAML(typ="safe").load_all(io.StringIO(text)) if one]
    except YAMLError as error:
        what = " ".join(str(error).split())[:160]
        raise InputError(path, f"is no complete YAML: {what}") from None


@dataclass(frozen=True)
class Content:
    """The text of a log.

    Attributes
    ----------
    path : Path
        The file.
    text : str
        The decompressed and decoded text; line ends are ``\\n``.
    notes : list of str
        Notes on an encoding other than UTF-8.
    """

    path: Path
    text: str
    notes: list[str] = field(default_factory=list)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text, without line ends."""
        return self.text.split("\n")

    @cached_property
    def head(self) -> list[str]:
        """The first 400 lines that are not blank."""
        found = []
        for line in self.text[:400_000].split("\n"):
            if line.strip():
                found.append(line)
                if len(found) == 400:
                    break
        return found

    @cached_property
    def documents(self) -> list[Any]:
        """The JSON values of the text, one after another; empty if it is not JSON.

        Lines before the first value and after the last one (a banner, a prompt) are skipped. Of
        objects of Kubernetes and of Slurm in YAML, the same values are returned.
        """
        if self.is_yaml:
            return yaml_values(self.text, self.path)
        if not self._json and self.text.lstrip().startswith(("{'", "[{'")):
            return _printed_objects(self.lines)
        return [value for value, _ in self._json]

    @cached_property
    def is_yaml(self) -> bool:
        """Whether the text has objects of Kubernetes or of Slurm in YAML."""
        return is_yaml(self.text)

    @cached_property
    def lines_around_json(self) -> list[int]:
        """Numbers of the lines, starting at 1, that belong to no JSON value and are not blank."""
        if self.is_yaml or not self._json:
            return []
        inside: set[int] = set()
        for _, (first, last) in self._json:
            inside.update(
                range(self.text.count("\n", 0, first), self.text.count("\n", 0, last) + 1)
            )
        return [
            number + 1
            for number, line in enumerate(self.lines)
            if number not in inside and line.strip()
        ]

    @cached_property
    def _json(self) -> list[tuple[Any, tuple[int, int]]]:
        decoder = json.JSONDecoder()
        found: list[tuple[Any, tuple[int, int]]] = []
        at, text = 0, self.text
        while at < len(text):
            starts = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
            if not starts:
                break
            start = min(starts)
            try:
                value, end = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                if not found and error.pos - start > 2000:
                    raise InputError(
                        self.path,
                        f"is not complete JSON: {error.msg} in line {error.lineno}; save the "
                        "whole output",
                    ) from None
                if not found and text.find("\n", start) - start > 400:
                    break
                at = text.find("\n", start)  # a bracket in a banner or a prompt
                if at < 0:
                    break
                continue
            if isinstance(value, (dict, list)):
                found.append((value, (start, end - 1)))
            at = end
        return found


def open_content(path: Path) -> Content:
    """Read a file, decompress it and decode it.

    Raises
    ------
    InputError
        If the file is empty, damaged, or a workbook.
    """
    text, notes = text_of(path.read_bytes(), path)
    return Content(path, text, notes)


def text_of(raw: bytes, path: Path) -> tuple[str, list[str]]:
    """Return the text in the bytes of a file, and notes on its encoding; line ends are ``\\n``.

    Raises
    ------
    InputError
        If the file is empty, damaged, or a workbook.
    """
    if raw.startswith(_WORKBOOKS):
        raise InputError(
            path,
            "is a workbook (Excel) or a ZIP archive: save the sheet with the jobs as CSV, or "
            "unpack the archive",
        )
    for magic, packing in _PACKED.items():
        if raw.startswith(magic):
            raw = _unpacked(raw, packing, path)
            if not raw:
                raise InputError(path, f"is empty (a {packing} file without content)")
            break
    if not raw.strip():
        raise InputError(path, "contains only blank lines" if raw else "is empty")
    text, notes = _decoded(raw)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\x01" in text or "\x02" in text or "\x1e" in text:
        text = text.translate(_CONTROLS)
    if any(line in text for line in "│║┃"):
        text = text.translate(_BOXES)
    return text, notes


def _unpacked(raw: bytes, packing: str, path: Path) -> bytes:
    try:
        if packing == "gzip":
            return gzip.decompress(raw)
        if packing == "xz":
            return lzma.decompress(raw)
        if packing == "bzip2":
            return bz2.decompress(raw)
        with pa.CompressedInputStream(pa.BufferReader(raw), "zstd") as stream:
            return bytes(stream.read())
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException, ValueError) as error:
        raise InputError(path, f"is a truncated or damaged {packing} file: {error}") from None
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise InputError(path, f"is a truncated or damaged {packing} file") from None
        raise


def _decoded(raw: bytes) -> tuple[str, list[str]]:
    """Return the text and a note on its encoding if it is not UTF-8."""
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            text = raw.decode(encoding, errors="replace")
            return text, [] if encoding == "utf-8-sig" else [f"the file is in {encoding.upper()}"]
    if raw[:2000].count(0) > len(raw[:2000]) / 5:
        little = raw[1:2000:2].count(0) > raw[:2000:2].count(0)
        encoding = "utf-16-le" if little else "utf-16-be"
        return raw.decode(encoding, errors="replace"), [f"the file is in {encoding.upper()}"]
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    text = raw.decode("utf-8", errors="replace")
    beyond = sum(1 for character in text if ord(character) > 127)
    broken = text.count("\ufffd")
    if broken < beyond and broken <= max(3, _MOST_BROKEN * beyond):
        where = "1 character is" if broken == 1 else f"{broken:,} characters are"
        return text, [f"{where} not UTF-8 and shown as \ufffd"]
    if (asian := _east_asian(raw)) is not None:
        return asian
    reader = io.TextIOWrapper(io.BytesIO(raw), encoding="cp1252", errors="replace", newline="")
    return reader.read(), ["the file is not UTF-8; it is read as Windows-1252"]


_EAST_ASIAN = {"gb18030": "GB 18030", "big5": "Big5", "shift_jis": "Shift JIS"}


def _east_asian(raw: bytes) -> tuple[str, list[str]] | None:
    """Return the text in the encoding with the most words of headers; None if it is in none."""
    found = []
    for encoding, name in _EAST_ASIAN.items():
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        known = words_known(text[:4000])
        if known or (encoding == "gb18030" and _mostly_chinese(raw, text)):
            found.append((known, text, [f"the file is read as {name}"]))
    if not found:
        return None
    _, text, notes = max(found, key=lambda one: one[0])
    return text, notes


def _mostly_chinese(raw: bytes, text: str) -> bool:
    """Return whether characters beyond ASCII are ideographs, and made of two bytes beyond ASCII.

    A letter with an accent in Windows-1252 is one such byte; with the letter behind it, it would be
    a rare ideograph.
    """
    beyond = [character for character in text if ord(character) > 127]
    ideographs = sum("\u3000" <= character <= "\u9fff" for character in beyond)
    high = sum(byte > 127 for byte in raw)
    return ideographs > 0.8 * len(beyond) and high > 1.7 * len(beyond)
