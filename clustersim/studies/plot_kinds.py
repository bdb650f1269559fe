"""The registry of plot kinds: what an entry of a study's `plots` may say, and what draws it.

The built-in kinds are the modules of :mod:`clustersim.plots.kinds`, a file each.  They need the
results of studies and so stand above this module; they are found by name, as a user's file is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from clustersim.analysis.metrics import is_metric, metric_names
from clustersim.analysis.registry import Registry, users_code
from clustersim.errors import InputError, nearest_hint, shown, unknown_name

if TYPE_CHECKING:
    from clustersim.studies.spec import Plot, StudySpec
    from clustersim.studies.study_result import StudyResult

__all__ = [
    "FIELDS",
    "PLOT_KINDS",
    "Panel",
    "PlotKind",
    "PlotKindName",
    "check_plots",
    "find_plot_kind",
    "known_names",
    "parameters_of",
    "plot_kind_schema",
    "register_plot",
    "unknown",
]

Panel: TypeAlias = Callable[..., object]
"""Draws into the axes that it is given as `ax`."""
FIELDS = ("x", "y", "by", "value")
"""Fields of a plot that name parameters and metrics."""


def known_names(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    """Say if a name is neither a parameter nor a metric that the field of a plot can have.

    `by` is a parameter, `y` and `value` are metrics, and `x` is either.
    """
    if field == "by":
        yield from unknown("parameter", name, parameters_of(spec))
    elif not is_metric(name):
        if field in ("y", "value"):
            yield from unknown("metric", name, metric_names())
        else:
            known = [*parameters_of(spec), *metric_names()]
            yield from unknown("parameter or metric", name, known)


def parameters_of(spec: StudySpec) -> list[str]:
    """Return the paths of a study's parameters, that of a capacity search among them."""
    return list(dict.fromkeys(path for _, path in spec.named_paths))


def unknown(kind: str, name: str, known: Iterable[str]) -> Iterator[str]:
    """Say if a name is not among those that are known."""
    known = list(known)
    if name not in known:
        yield unknown_name(kind, name, known)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotKind:
    """A kind of picture that a study's `plots` can ask for.

    Attributes
    ----------
    name : str
        As in ``kind: NAME``; it is part of the name of the picture's file.
    title : str
        Heading of a picture without a title of its own.
    description : str
        What it shows, in a sentence.
    panels : callable
        Takes a :class:`~clustersim.studies.study_result.StudyResult` and the entry of `plots` (a
        :class:`~clustersim.studies.spec.Plot` with `x`, `ys`, `by`, `value`) and returns a list of
        functions, one for each panel, which draw into the axes that they are given as ``ax``.  It
        raises :class:`~clustersim.InputError` where the study does not have what it shows.
    takes, needs : tuple of str
        Of :data:`FIELDS`, which an entry may have, and which it must have.
    check : callable, optional
        Takes the :class:`~clustersim.studies.spec.StudySpec` and the entry, and returns what else
        the study lacks for it, a text each.
    check_name : callable
        Takes these, a field and a name in it, and returns what is wrong with the name; by default
        :func:`known_names`.
    per_period : bool
        Whether the metrics of `y` are shown in every period.
    file : str
        The user's file that registers it; "" for a built-in kind.  Set by the registry.
    """

    name: str
    title: str
    description: str
    panels: Callable[[StudyResult, Plot], Sequence[Panel]]
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    check: Callable[[StudySpec, Plot], Iterable[str]] | None = None
    check_name: Callable[[StudySpec, Plot, str, str], Iterable[str]] = known_names
    per_period: bool = False
    file: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise InputError(f"plot kind {self.name!r}", problem)

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            yield "name must be small letters, digits and dashes, and start with a letter"
        for field in ("title", "description"):
            text = getattr(self, field)
            if not (isinstance(text, str) and text.strip()):
                yield f"{field} must be a text, found {text!r}"
        for field in ("panels", "check", "check_name"):
            function = getattr(self, field)
            if not callable(function) and not (field == "check" and function is None):
                yield f"{field} must be a function, found {function!r}"
        for field in ("takes", "needs"):
            for name in getattr(self, field):
                yield from unknown(f"field in {field}", name, FIELDS)
        if missing := [name for name in self.needs if name not in self.takes]:
            yield f"needs {', '.join(missing)} and does not take it"

    def drawn_panels(self, result: StudyResult, plot: Plot) -> Sequence[Panel]:
        """Return the panels of a picture.

        Raises
        ------
        InputError
            If the study does not have what it shows, or the user's own code fails.
        """
        with _named(self):
            panels = self.panels(result, plot)
        if self.file and (not isinstance(panels, (list, tuple)) or not all(map(callable, panels))):
            told = f"panels must return a list of functions, found {panels!r}"
            raise InputError(self.file, f"plot kind {self.name!r}: {told}")
        if not panels:
            raise InputError(self.file or "plots", f"plot kind {self.name!r}: it has no panel")
        return [_Guarded(self, panel) for panel in panels] if self.file else panels

    def problems(self, spec: StudySpec, plot: Plot) -> Iterator[str]:
        """Yield what is wrong with an entry, with the field where it has one."""
        given = plot.named
        with _named(self):
            lacks = [] if self.check is None else list(self.check(spec, plot))
        yield from (f": {problem}" for problem in lacks)
        for field in self.needs:
            if field not in given:
                yield f".{field}: is required but absent"
        for field in given:
            if field not in self.takes:
                takes = ", ".join(self.takes) or "none of x, y, by and value"
                yield f".{field}: does not go with {self.name}, which takes {takes}"
        for field, names in given.items():
            for name in names if field in self.takes else ():
                with _named(self):
                    found = list(self.check_name(spec, plot, field, name))
                yield from (f".{field}: {problem}" for problem in found)


@contextmanager
def _named(kind: PlotKind) -> Iterator[None]:
    """Say of an error in here which kind of the user's leads to it."""
    if not kind.file:
        yield
        return
    with users_code(kind.file, f"plot kind {kind.name!r}"):
        yield


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A panel of the user's, whose errors name its file."""

    kind: PlotKind
    panel: Panel

    def __call__(self, **arguments: Any) -> None:
        with _named(self.kind):
            self.panel(**arguments)


def _kind_name(name: str) -> str:
    if find_plot_kind(name) is None:
        raise ValueError(f"unknown value {shown(name)}; {nearest_hint(name, PLOT_KINDS.items)}")
    return name


def plot_kind_schema() -> dict[str, Any]:
    """Return the JSON Schema of the name of a plot kind."""
    return {
        "anyOf": [
            {"const": kind.name, "title": kind.title, "description": kind.description}
            for kind in PLOT_KINDS.items.values()
        ]
    }


class _KindSchema:
    """Writes the names of all kinds into a JSON Schema, those of loaded plugins among them."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return plot_kind_schema()


PlotKindName = Annotated[str, AfterValidator(_kind_name), _KindSchema]


def _built_in() -> Iterable[PlotKind]:
    kinds: list[PlotKind] = import_module("clustersim.plots.kinds").built_in_kinds()
    return kinds


PLOT_KINDS: Registry[PlotKind] = Registry("plot kind", _built_in)


def register_plot(kind: PlotKind) -> None:
    """Add a plot kind of one's own; call it in a file that ``--plugins`` or ``plugins:`` names.

    Parameters
    ----------
    kind : PlotKind

    Raises
    ------
    InputError
        If there is a built-in kind of this name.

    Examples
    --------
    In ``my_plots.py``::

        import clustersim

        def panels(result, plot):
            def bars(ax):
                ax.bar(result.points[plot.x].map(str), result.points[plot.ys[0]])

            return [bars]

        clustersim.register_plot(
            clustersim.PlotKind(
                name="bars",
                title="Bars",
                description="A metric by a parameter, as bars.",
                panels=panels,
                takes=("x", "y"),
                needs=("x", "y"),
            )
        )
    """
    if not isinstance(kind, PlotKind):
        raise InputError("register_plot", f"takes a clustersim.PlotKind, found {kind!r}")
    PLOT_KINDS.register(kind)


def find_plot_kind(name: str) -> PlotKind | None:
    """Return the plot kind of a name; None if there is none."""
    return PLOT_KINDS.get(name)


def check_plots(spec: StudySpec) -> Iterator[str]:
    """Yield what is wrong with the plots of a study, one line each."""
    for index, plot in enumerate(spec.plots):
        kind = find_plot_kind(plot.kind)
        assert kind is not None, "the name of the kind was checked"
        yield from (f"plots[{index}]{problem}" for problem in kind.problems(spec, plot))
