"""Loads policies and placements by name or from a user's Python file."""

from __future__ import annotations

import dis
import hashlib
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any, TypeVar

from clustersim import interrupts
from clustersim.errors import (
    ClusterSimError,
    InputError,
    check_kind,
    nearest_hint,
    shown,
    unknown_name,
)
from clustersim.scheduling.options import with_options
from clustersim.scheduling.placements import PLACEMENTS, Placement
from clustersim.scheduling.policies import POLICIES, Policy
from clustersim.scheduling.stalls import (
    LONGEST_LOAD_S,
    PLUGIN,
    StalledError,
    stopped_when_stalled,
)

__all__ = [
    "PLACEMENTS",
    "error_in_plugin",
    "error_text",
    "find_placement",
    "find_policy",
    "ids_in_errors",
    "interrupts_itself",
    "load_module",
    "module_being_loaded",
    "plugin_file",
    "raised_by_files",
]

_POSITION = re.compile(r"job ([0-9]+) \(counted from 0\)")
Plugin = TypeVar("Plugin")
_LOADING = threading.RLock()
_BEING_LOADED: ContextVar[ModuleType | None] = ContextVar("being loaded", default=None)


def find_policy(
    name: str | type[Policy],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    folder: str | Path = ".",
) -> type[Policy]:
    """Return a policy class.

    Parameters
    ----------
    name : str or type
        The name of a policy, such as ``"easy"``; ``"FILE.py:ClassName"`` with FILE relative to
        `folder`; or a class.
    options : mapping of str to object
        Options of the policy, see :mod:`clustersim.scheduling.options`.
    folder : str or Path
        Folder of the file.

    Raises
    ------
    InputError
        If the policy, the file, the class or an option does not exist, or the file fails to load.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> find_policy("easy").__name__
    'Easy'
    >>> find_policy("las", options={"attained": "time"}).attained
    'time'
    """
    known = isinstance(name, type)
    policy = (
        name if isinstance(name, type) else _find(name, "policy", POLICIES, Policy, Path(folder))
    )
    return with_options(policy, options, f"policy {policy.__name__ if known else name}", folder)


def find_placement(
    name: str | type[Placement],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    folder: str | Path = ".",
) -> type[Placement]:
    """Return a placement class; see :func:`find_policy`.

    Examples
    --------
    >>> from clustersim.scheduling import find_placement
    >>> find_placement("consolidate").__name__
    'Consolidate'
    """
    known = isinstance(name, type)
    placement = (
        name
        if isinstance(name, type)
        else _find(name, "placement", PLACEMENTS, Placement, Path(folder))
    )
    source = f"placement {placement.__name__ if known else name}"
    return with_options(placement, options, source, folder)


def error_in_plugin(
    error: BaseException, plugins: Sequence[type[Policy] | type[Placement]]
) -> InputError | None:
    """Describe an error that a user-defined class caused; return None if no class is user-defined.

    Parameters
    ----------
    error : BaseException
        The error that the simulation raised.
    plugins : sequence of type
        The policy and the placement. Classes of clustersim itself are ignored.
    """
    files = {file: cls for cls in plugins if (file := plugin_file(cls))}
    text = error_text(error)
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        if isinstance(cause, NotImplementedError):
            text = f"does not define {cause.args[0] if cause.args else frames[-1].name}"
        for frame in reversed(frames):
            if frame.filename in files:
                return InputError(frame.filename, f"line {frame.lineno}, in {frame.name}: {text}")
        cause = cause.__cause__
    for file, cls in files.items():
        return InputError(file, f"{cls.__name__}: {text}")
    return None


@contextmanager
def ids_in_errors(job_ids: Sequence[object]) -> Iterator[None]:
    """Name jobs by their ids in errors of a simulation, which knows only their positions.

    Parameters
    ----------
    job_ids : sequence
        Ids of the jobs that are simulated.

    Examples
    --------
    >>> with ids_in_errors(["a-7", "b-9"]):
    ...     raise ClusterSimError("job 1 (counted from 0) has 8 accelerators already")
    Traceback (most recent call last):
        ...
    clustersim.errors.ClusterSimError: job 1 (job_id 'b-9'; counted from 0 among those that can \
run) has 8 accelerators already
    """
    try:
        yield
    except InputError:
        raise
    except ClusterSimError as error:

        def named(found: re.Match[str]) -> str:
            job = int(found[1])
            if job >= len(job_ids):
                return found[0]
            return (
                f"job {job} (job_id {shown(job_ids[job])}; counted from 0 among those that can run)"
            )

        error.args = (_POSITION.sub(named, str(error)), *error.args[1:])
        raise


def plugin_file(plugin: type[Policy] | type[Placement]) -> str:
    """Return the file of a user-defined class; empty for a class of clustersim itself."""
    if plugin.__module__.startswith("clustersim."):
        return ""
    return getattr(sys.modules.get(plugin.__module__), "__file__", None) or plugin.__module__


def _find(
    name: str, kind: str, known: dict[str, type[Plugin]], base: type[Plugin], folder: Path
) -> type[Plugin]:
    check_kind(kind, name, str, f"a name, FILE.py:ClassName or a subclass of {base.__name__}")
    if name in known:
        return known[name]
    file_name, colon, class_name = name.partition(":")
    if not file_name.endswith(".py"):
        if colon and (folder / f"{file_name}.py").is_file():
            raise InputError(kind, f"{shown(name)}: did you mean {file_name}.py:{class_name}?")
        hint = unknown_name(kind, name, known, listed_by="clustersim policies")
        raise InputError(kind, f"{hint}; use FILE.py:ClassName for a user-defined {kind}")
    path = folder / file_name
    if not path.exists():
        beside = "the current folder" if folder == Path() else str(folder)
        where = "" if Path(file_name).is_absolute() else f"; {file_name} is relative to {beside}"
        raise InputError(kind, f"{path}: cannot be read: No such file or directory{where}")
    module = load_module(path)
    classes: dict[str, type[Plugin]] = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    }
    if colon and class_name in classes:
        return classes[class_name]
    if not colon and len(classes) == 1:
        return next(iter(classes.values()))
    if not classes:
        raise InputError(path, f"has no class that derives from clustersim.{base.__name__}")
    if not colon:
        example = f"{path.name}:{next(iter(classes))}"
        raise InputError(path, f"has several classes; add a class name, as in {example}")
    raise InputError(path, f"has no {kind} {class_name!r}; {nearest_hint(class_name, classes)}")


def load_module(path: Path) -> ModuleType:
    """Return the module of a user's file, which is executed once, and again after a change.

    Raises
    ------
    InputError
        If the file cannot be read, or fails to load.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    name = PLUGIN + hashlib.sha256(str(path.resolve()).encode() + source).hexdigest()[:16]
    with _LOADING:  # a second thread waits until the module is complete
        return sys.modules[name] if name in sys.modules else _executed(name, path, source)


def _line_in(error: BaseException, file: str) -> str:
    """Return the line of `file` that raised an error, as " (line N)"; empty if it raised none."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" (line {lines[-1]})" if lines else ""


def module_being_loaded() -> ModuleType | None:
    """Return the module of the user's file that is being executed, or None."""
    return _BEING_LOADED.get()


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the source that was read, without Python's bytecode cache.

    The cache would miss changes of a file that keep its time and size.
    """

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path.absolute()))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._source, self.path)


def _executed(name: str, path: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, path, source))
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    token = _BEING_LOADED.set(module)
    try:
        with stopped_when_stalled(lambda: len(sys.modules), LONGEST_LOAD_S):
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        files = {str(module.__file__)}
        if isinstance(error, KeyboardInterrupt) and not raised_by_files(error, files):
            raise
        where = _line_in(error, str(module.__file__))
        raise InputError(path, f"fails to load: {error_text(error)}{where}") from None
    finally:
        _BEING_LOADED.reset(token)
    return module


def interrupts_itself(
    error: KeyboardInterrupt, plugins: Sequence[type[Policy] | type[Placement]]
) -> bool:
    """Return whether a user-defined class, rather than a signal, raised a KeyboardInterrupt.

    Parameters
    ----------
    error : KeyboardInterrupt
    plugins : sequence of type
        The policy and the placement. Classes of clustersim itself are ignored.
    """
    files = {plugin_file(cls) for cls in plugins} - {""}
    cause: BaseException | None = error
    while cause is not None:  # SimPy wraps the errors of a process
        if isinstance(cause, KeyboardInterrupt) and raised_by_files(cause, files):
            return True
        cause = cause.__cause__
    return False


def raised_by_files(error: KeyboardInterrupt, files: Set[str]) -> bool:
    """Return whether code in a user's files, rather than a signal, raised an interrupt.

    If there are no such files, only a signal can have raised it. If signals are not recorded, the
    answer depends on the instruction that raised the error.
    """
    by_signal = interrupts.by_signal(error)
    return bool(files) and (_raised_in(error, files) if by_signal is None else not by_signal)


def error_text(error: BaseException) -> str:
    """Return the message of an error, with its class name unless clustersim defines the class."""
    if isinstance(error, (ClusterSimError, StalledError)):
        return str(error)
    try:
        text = str(error)
    except Exception:  # the class of the error may be user-defined
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _raised_in(error: BaseException, files: Set[str]) -> bool:
    """Return whether a `raise` statement in one of `files` raised the error.

    An error from a signal appears at another instruction, because Python does not handle signals
    at a `raise`.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename not in files:
        return False
    instruction = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS"
