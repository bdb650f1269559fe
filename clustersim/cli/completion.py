"""Names that the shell completes: options, chips, models, policies, metrics, and files.

The shell calls ``clustersim`` with the variable ``_ARGCOMPLETE`` when the user presses the Tab key.
Only then is this module imported, so completion does not slow down the start of a command.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["add_completers", "complete"]

Completer = Callable[..., list[str]]
YAML = ("yaml", "yml")
_KEY_OF = {"study": "base", "plan": "quarters"}
"""Top-level keys that distinguish studies and plans from scenarios."""


def complete(parser: argparse.ArgumentParser) -> None:
    """Print the completions of the line that the shell passes, and end the process.

    Raises
    ------
    SystemExit
    """
    import argcomplete

    add_completers(parser)
    argcomplete.autocomplete(parser)


def add_completers(parser: argparse.ArgumentParser) -> None:
    """Attach a completer to each option and argument that takes a known name or a shipped file."""
    for command, action in _actions(parser):
        completer = next(
            (
                _COMPLETERS[key]
                for key in (*action.option_strings, f"{command} {action.dest}")
                if key in _COMPLETERS
            ),
            None,
        )
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yield each command with each of its options and arguments."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for command, found in each.choices.items():
                yield from ((command, action) for action in found._actions)


def _chips(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return list(_catalogue(parsed_args).accelerators)


def _models(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return list(_catalogue(parsed_args).models)


def _entries(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return [*_chips(parsed_args), *_models(parsed_args)]


def _catalogue(parsed_args: argparse.Namespace) -> Any:
    """Return the catalogue, with the files of ``--catalogue`` if they can be read."""
    from clustersim.catalogue import load_catalogue
    from clustersim.errors import InputError

    try:
        return load_catalogue(*(getattr(parsed_args, "catalogue", None) or ()))
    except InputError:
        return load_catalogue()


def _policies(prefix: str, **_: Any) -> list[str]:
    from clustersim.scheduling.policies import POLICIES

    return [*POLICIES, *_own_files(prefix, ("py",))]


def _placements(prefix: str, **_: Any) -> list[str]:
    from clustersim.scheduling.plugins import PLACEMENTS

    return [*PLACEMENTS, *_own_files(prefix, ("py",))]


def _topologies(prefix: str, **_: Any) -> list[str]:
    from clustersim.shipped import shipped_files

    names = [Path(file).stem for file in shipped_files("topologies", ".yaml")]
    return [*names, *_files(prefix, "topologies", YAML)]


def _metrics(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    from clustersim.analysis.metrics import METRICS
    from clustersim.analysis.registry import load_plugins
    from clustersim.errors import InputError

    with suppress(InputError):
        load_plugins(parsed_args.plugins)
    return list(METRICS.items)


def _log_formats(**_: Any) -> list[str]:
    from clustersim.workload.readers.detect import FORMATS

    return list(FORMATS)


def _kinds(**_: Any) -> list[str]:
    from clustersim.microbenchmarks.schema import KINDS

    return list(KINDS)


def _logs(prefix: str, **_: Any) -> list[str]:
    return _files(prefix, "experiments", ("csv", "parquet", "swf", "gz", "json"))


def _experiments(kind: str) -> Completer:
    """Return a completer for the files of scenarios, studies or plans."""

    def completer(prefix: str, **_: Any) -> list[str]:
        return _files(prefix, "experiments", YAML, kind)

    return completer


def _files(
    prefix: str, folder: str, suffixes: tuple[str, ...], kind: str | None = None
) -> list[str]:
    """Return the user's files, and the shipped files of a folder, that begin with `prefix`."""
    from clustersim.shipped import shipped_files, shipped_folder

    place = shipped_folder(folder)
    shipped = [
        f"{folder}/{name}"
        for name in shipped_files(folder, *(f".{suffix}" for suffix in suffixes))
        if place is not None and kind in (None, _kind_of(place / name))
    ]
    return [*_own_files(prefix, suffixes), *(name for name in shipped if name.startswith(prefix))]


def _own_files(prefix: str, suffixes: tuple[str, ...]) -> list[str]:
    from argcomplete.completers import FilesCompleter

    return list(FilesCompleter(suffixes)(prefix))


def _kind_of(path: Path) -> str:
    """Return whether a shipped file is a scenario, a study or a plan, by its top-level keys."""
    text = path.read_text(encoding="utf-8")
    for kind, key in _KEY_OF.items():
        if re.search(rf"^{key}:", text, re.MULTILINE):
            return kind
    return "scenario"


_COMPLETERS: Mapping[str, Completer] = {
    "--accelerator": _chips,
    "--cluster": _topologies,
    "--fleet": _experiments("scenario"),
    "--kinds": _kinds,
    "--log-format": _log_formats,
    "--model": _models,
    "--placement": _placements,
    "--policy": _policies,
    "catalogue name": _entries,
    "check-policy policy": _policies,
    "metrics names": _metrics,
    "policies names": _policies,
    "plan plan": _experiments("plan"),
    "replay jobs": _logs,
    "run scenario": _experiments("scenario"),
    "study study": _experiments("study"),
    "topology file": _topologies,
    "trace file": _logs,
}
"""Completers by option, or by command and argument; other arguments complete to any file."""
