"""Registries of metrics and plots, and the plugin files with which users extend them.

A user's file (``--plugins FILE.py``, or ``plugins:`` in a study or scenario) calls
:func:`clustersim.register_metric` or :func:`clustersim.register_plot`.  The registered items are
stored in the module of the file.  :mod:`clustersim.scheduling.plugins` loads the module again
whenever the content of the file changes, so every process uses the current items.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.plugins import (
    error_text,
    load_module,
    module_being_loaded,
    raised_by_files,
)
from clustersim.scheduling.stalls import LONGEST_CALL_S, stopped_when_stalled

__all__ = [
    "SESSION",
    "Plugin",
    "Registry",
    "load_plugins",
    "names_its_fields",
    "registered_text",
    "unknown_item",
    "users_code",
]

SESSION = "<session>"
"""File name of items that are registered outside plugin files."""
_REGISTERED = "__clustersim_registered__"

Item = TypeVar("Item")
Definition = TypeVar("Definition", bound=type[Any])


class Registry(Generic[Item]):
    """Items by name: built-in items, and items that users register.

    Parameters
    ----------
    kind : str
        Word for an item in messages, such as "metric".
    built_in : callable
        Function that returns the built-in items; it is called on first use.
    check : callable, optional
        Function that takes the name of a user's item and returns why the name is not allowed, or
        "".
    """

    def __init__(
        self,
        kind: str,
        built_in: Callable[[], Iterable[Item]],
        check: Callable[[str], str] = lambda _name: "",
    ) -> None:
        self.kind = kind
        self._load, self._check = built_in, check
        self._built_in: dict[str, Item] = {}
        self._of_users: dict[str, Item] = {}

    @property
    def built_in(self) -> dict[str, Item]:
        """The built-in items by name, in the order of their definition."""
        if not self._built_in:
            items: list[Any] = list(self._load())
            self._built_in = {item.name: item for item in items}
            assert len(self._built_in) == len(items), f"two {self.kind}s have the same name"
        return self._built_in

    @property
    def items(self) -> dict[str, Item]:
        """All items by name: first the built-in items, then the registered items."""
        return {**self.built_in, **self._of_users}

    def get(self, name: str) -> Item | None:
        """Return the item with the given name; None if there is none."""
        return self.built_in.get(name) or self._of_users.get(name)

    def register(self, item: Item) -> None:
        """Add a user's item to the plugin file that is being loaded, or else to this session.

        Raises
        ------
        InputError
            If the name of the item is built in or reserved.
        """
        module = module_being_loaded()
        if module is not None:
            vars(module).setdefault(_REGISTERED, []).append((self, item))
            return
        self.check(item, f"register_{self.kind.split()[0]}")
        self.add([_of_file(item, SESSION)])

    def check(self, item: Any, source: str | Path) -> None:
        """Raise an error if the name of an item is built in or reserved."""
        if item.name in self.built_in:
            raise InputError(source, f"{self.kind} {item.name!r} is built in; choose another name")
        if problem := self._check(item.name):
            raise InputError(source, f"{self.kind} {item.name!r}: {problem}")

    def add(self, items: Iterable[Any]) -> None:
        """Add items; an item replaces an earlier item of the same name."""
        self._of_users.update({item.name: item for item in items})


@dataclass(frozen=True)
class Plugin:
    """The items that a plugin file registers.

    Attributes
    ----------
    file : str
    items : tuple of (Registry, object)
        Each item with its registry, in the order of the file.
    """

    file: str
    items: tuple[tuple[Registry[Any], Any], ...]

    def of(self, registry: Registry[Item]) -> list[Item]:
        """Return the items that the file adds to a registry."""
        return [item for where, item in self.items if where is registry]


def load_plugins(files: Sequence[str | Path]) -> list[Plugin]:
    """Load plugin files, and add the metrics and plots that they register.

    Parameters
    ----------
    files : sequence of str or Path
        A file is executed again only if its content has changed.

    Raises
    ------
    InputError
        If a file cannot be read, fails or registers nothing, or if it registers a name that is
        built in or registered twice.
    """
    plugins = [_loaded(str(file)) for file in dict.fromkeys(map(str, files))]
    owners: dict[tuple[str, str], str] = {}
    for plugin in plugins:
        for registry, item in plugin.items:
            registry.check(item, plugin.file)
            other = owners.setdefault((registry.kind, item.name), plugin.file)
            if other != plugin.file or plugin.of(registry).count(item) > 1:
                where = "twice" if other == plugin.file else f"although it is registered by {other}"
                raise InputError(plugin.file, f"registers {registry.kind} {item.name!r} {where}")
    for plugin in plugins:
        for registry, item in plugin.items:
            registry.add([item])
    return plugins


def _loaded(file: str) -> Plugin:
    if not file.endswith(".py"):
        raise InputError(file, "is not a Python file; its name must end in .py")
    module = load_module(Path(file))
    items = [(where, _of_file(item, file)) for where, item in vars(module).get(_REGISTERED, ())]
    if not items:
        raise InputError(
            file,
            "registers nothing; a plugin file must call clustersim.register_metric or "
            "clustersim.register_plot",
        )
    names = [(where.kind, item.name) for where, item in items]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise InputError(file, f"registers {kind} {name!r} twice")
    return Plugin(file, tuple(items))


def unknown_item(kind: str, name: object, allowed: Iterable[str]) -> str:
    """Return a message for an unknown metric or plot kind, which a plugin may define.

    Examples
    --------
    >>> unknown_item("metric", "oen", ["one"])
    "unknown metric 'oen'; did you mean 'one'? allowed: one; for a metric of your own, list its \
file under plugins or in --plugins"
    """
    text = unknown_name(kind, name, allowed)
    if not text.startswith("unknown"):
        return text
    return f"{text}; for a {kind} of your own, list its file under plugins or in --plugins"


def registered_text(plugins: Sequence[Plugin]) -> list[str]:
    """Return a line for each plugin file with the names of the metrics and plots that it registers.

    Examples
    --------
    >>> registered_text([Plugin("empty.py", ())])
    ['empty.py registers nothing']
    """
    lines = []
    for plugin in plugins:
        names: dict[str, list[str]] = {}
        for where, item in plugin.items:
            names.setdefault(where.kind, []).append(item.name)
        parts = [
            f"{kind if len(own) == 1 else f'{kind}s'} {', '.join(own)}"
            for kind, own in names.items()
        ]
        lines.append(f"{plugin.file} registers {' and '.join(parts) or 'nothing'}")
    return lines


def names_its_fields(cls: Definition) -> Definition:
    """Make a dataclass reject an unknown keyword with a message that suggests the nearest field."""
    known = [each.name for each in fields(cls)]
    original = cls.__init__

    @wraps(original)
    def init(self: Any, *values: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                raise InputError(cls.__name__, unknown_name("field", name, known))
        original(self, *values, **named)

    cls.__init__ = init
    return cls


@contextmanager
def users_code(file: str, what: str, kind: type[InputError] = InputError) -> Iterator[None]:
    """Attribute any error or endless loop in this block to a user's file.

    Parameters
    ----------
    file : str
    what : str
        Description of the item that is called, such as ``metric 'spread'``.
    kind : type
        Type of the error that replaces the original one.  Only a KeyboardInterrupt that the file
        did not raise is passed on unchanged.
    """
    try:
        with stopped_when_stalled(lambda: None, LONGEST_CALL_S):
            yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not raised_by_files(
            error, {os.path.abspath(file)}
        ):
            raise
        raise kind(file, f"{what}: {_place(error, file)}{error_text(error)}") from None


def _place(error: BaseException, file: str) -> str:
    """Return the line of a user's file that led to an error, as text; "" if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if os.path.abspath(f.filename) == os.path.abspath(file)]
    return f"line {lines[-1]}: " if lines else ""


def _of_file(item: Any, file: str) -> Any:
    return replace(item, file=file)
