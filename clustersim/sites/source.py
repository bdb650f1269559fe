"""Read what a site's command printed: packed or not, in any encoding, with banners and prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clustersim.errors import InputError
from clustersim.workload.readers.site_logs.content import is_yaml, text_of, yaml_values

__all__ = ["json_document", "read_text"]


def read_text(path: str | Path) -> str:
    """Return the text of a file, unpacked and decoded; line ends are ``\\n``.

    Packings and encodings are those of logs of sites. Colours of a terminal are removed.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or no text.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except IsADirectoryError:
        raise InputError(path, "is a folder; a file is needed") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {str(error).splitlines()[0]}") from None
    text, _ = text_of(data, path)
    if "\0" in text:
        raise InputError(path, "is no text: it contains zero bytes")
    return text


def json_document(text: str, path: str | Path) -> Any:
    """Return the JSON or YAML document in a text, or None if the text has none.

    YAML is that of ``kubectl -o yaml`` and of Slurm's ``--yaml``. Lines before and after the
    document, such as a banner of the login shell, are ignored. Several documents one after another,
    as ``kubectl`` prints for several kinds, become one list.

    Raises
    ------
    InputError
        If a document begins but does not end.

    Examples
    --------
    >>> json_document('Welcome!\\n{"jobs": []}', "a.json")
    {'jobs': []}
    >>> json_document("JOBID PARTITION", "a.txt") is None
    True
    """
    found = yaml_values(text, path) if is_yaml(text) else list(_documents(text))
    if found:
        return found[0] if len(found) == 1 else found
    if text.lstrip()[:1] in "{[" and '"' in text[:4096]:
        raise InputError(path, "is damaged JSON: the document that begins does not end")
    return None


def _documents(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    for start in re.finditer(r"^[ \t]*([\[{])", text, re.MULTILINE):
        at = start.start(1)
        try:
            document, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        yield document
        rest = text[end:].strip()
        if rest:
            yield from _documents(rest)
        return
