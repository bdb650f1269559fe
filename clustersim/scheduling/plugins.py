"""Policies and placements by name, or from a Python file of the user's."""

from __future__ import annotations

import dis
import hashlib
import importlib.machinery
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Sequence, Set
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

from clustersim import interrupts
from clustersim.errors import ClusterSimError, InputError, check_kind, nearest_hint, unknown_name
from clustersim.scheduling.placement import (
    Consolidate,
    Placement,
    Pooled,
    Spread,
)
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
    "find_placement",
    "find_policy",
    "interrupts_itself",
    "is_own",
    "load_module",
    "module_being_loaded",
    "plugin_file",
    "told_by",
]

PLACEMENTS: dict[str, type[Placement]] = {
    "pooled": Pooled,
    "consolidate": Consolidate,
    "spread": Spread,
}

Plugin = TypeVar("Plugin")
_LOADING = threading.RLock()
_BEING_LOADED: ContextVar[ModuleType | None] = ContextVar("being loaded", default=None)


def find_policy(name: str | type[Policy], *, folder: str | Path = ".") -> type[Policy]:
    """Return a policy class.

    Parameters
    ----------
    name : str or type
        ``"easy"``; or ``"FILE.py:ClassName"``, FILE relative to `folder`; or a class.
    folder : str or Path
        Where a file is looked for.

    Raises
    ------
    InputError
        If there is no such policy, file or class, or the file fails to load.
    """
    if isinstance(name, type):
        return name
    return _find(name, "policy", POLICIES, Policy, Path(folder))


def find_placement(name: str | type[Placement], *, folder: str | Path = ".") -> type[Placement]:
    """Return a placement class; see :func:`find_policy`."""
    if isinstance(name, type):
        return name
    return _find(name, "placement", PLACEMENTS, Placement, Path(folder))


def error_in_plugin(
    error: BaseException, plugins: Sequence[type[Policy] | type[Placement]]
) -> InputError | None:
    """Describe an error to which a user's own class led; None if there is no such class.

    Parameters
    ----------
    error : BaseException
        What the simulation raised.
    plugins : sequence of type
        The policy and the placement; those of clustersim itself do not count.
    """
    files = {file: cls for cls in plugins if (file := plugin_file(cls))}
    said = told_by(error)
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        if isinstance(cause, NotImplementedError):
            said = f"does not define {frames[-1].name}"
        for frame in reversed(frames):
            if frame.filename in files:
                return InputError(frame.filename, f"line {frame.lineno}, in {frame.name}: {said}")
        cause = cause.__cause__
    for file, cls in files.items():
        return InputError(file, f"{cls.__name__}: {said}")
    return None


def plugin_file(plugin: type[Policy] | type[Placement]) -> str:
    """File of a class of the user's own; empty for one of clustersim itself."""
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
        hint = unknown_name(kind, name, known)
        raise InputError(kind, f"{hint}; or FILE.py:ClassName for one of your own")
    path = folder / file_name
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
        raise InputError(path, f"has several classes, say which: {path.name}:{next(iter(classes))}")
    raise InputError(path, f"has no {kind} {class_name!r}; {nearest_hint(class_name, classes)}")


def load_module(path: Path) -> ModuleType:
    """Return the module of a user's file, which is executed once for each content that it has.

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
    with _LOADING:  # a second thread waits until the module is whole
        return sys.modules[name] if name in sys.modules else _executed(name, path, source)


def module_being_loaded() -> ModuleType | None:
    """Return the user's file that is being executed; None outside of one."""
    return _BEING_LOADED.get()


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles what was read: Python's cache tells two files apart by second and size alone."""

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
        if isinstance(error, KeyboardInterrupt) and not is_own(error, {str(module.__file__)}):
            raise
        raise InputError(path, f"fails to load: {told_by(error)}") from None
    finally:
        _BEING_LOADED.reset(token)
    return module


def interrupts_itself(
    error: KeyboardInterrupt, plugins: Sequence[type[Policy] | type[Placement]]
) -> bool:
    """Tell a KeyboardInterrupt that a user's own class raises from one that a signal brings.

    Parameters
    ----------
    error : KeyboardInterrupt
    plugins : sequence of type
        The policy and the placement; those of clustersim itself do not count.
    """
    files = {plugin_file(cls) for cls in plugins} - {""}
    cause: BaseException | None = error
    while cause is not None:  # SimPy raises what a process raises anew
        if isinstance(cause, KeyboardInterrupt) and is_own(cause, files):
            return True
        cause = cause.__cause__
    return False


def is_own(error: KeyboardInterrupt, files: Set[str]) -> bool:
    """Whether code raised an interrupt, and no signal: by the rule below where that is not known.

    With no file of the user's there is nothing but signals.
    """
    brought = interrupts.by_signal(error)
    return bool(files) and (_raised_in(error, files) if brought is None else not brought)


def told_by(error: BaseException) -> str:
    """Return what an error says; its class too, where it is not an error of ours."""
    if isinstance(error, (ClusterSimError, StalledError)):
        return str(error)
    try:
        text = str(error)
    except Exception:  # a class of the user's
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _raised_in(error: BaseException, files: Set[str]) -> bool:
    """Whether a `raise` in one of some files brought the error.

    What a signal brings appears at another instruction, for signals are not looked at there.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename not in files:
        return False
    instruction = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS"
