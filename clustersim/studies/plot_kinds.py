"""The registry of plot kinds: the entries of a study's `plots`, and how they are drawn.

The built-in kinds are the modules of :mod:`clustersim.plots.kinds`, one file each.  They import the
results of studies, so this module must not import them; it loads them by name, like a user's file.
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
from clustersim.analysis.registry import Registry, names_its_fields, unknown_item, users_code
from clustersim.errors import InputError, shown, unknown_name

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
"""Function that draws into the axes given as `ax`."""
FIELDS = ("x", "y", "by", "value")
"""Fields of a plot that name parameters and metrics."""


def known_names(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    """Yield a message if a name is not allowed in the given field of a plot.

    `by` must be a parameter, `y` and `value` must be metrics, and `x` can be either.
    """
    if field == "by":
        yield from unknown("parameter", name, parameters_of(spec))
    elif not is_metric(name):
        if field in ("y", "value"):
            yield unknown_item("metric", name, metric_names())
        elif name not in (parameters := parameters_of(spec)):
            known = [*parameters, *metric_names()]
            yield from unknown("parameter or metric", name, known)


def parameters_of(spec: StudySpec) -> list[str]:
    """Return the paths of a study's parameters, including the parameter of a capacity search."""
    return list(dict.fromkeys(path for _, path in spec.named_paths))


def unknown(kind: str, name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield a message if a name is unknown."""
    known = list(known)
    if name not in known:
        yield unknown_name(kind, name, known)


@names_its_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class PlotKind:
    """A kind of plot for the `plots` of a study.

    Attributes
    ----------
    name : str
        Name in ``kind: NAME``; also part of the file name of the plot.
    title : str
        Title of the plot on the page of the study if its entry has no title.  In the figure, a plot
        with one panel has the title of its entry or the title that the panel draws.
    description : str
        What the plot shows, in one sentence.
    panels : callable
        Function that takes a :class:`~clustersim.studies.study_result.StudyResult` and the entry of
        `plots` (a :class:`~clustersim.studies.spec.Plot` with `x`, `ys`, `by`, `value`) and returns
        a list of functions, one for each panel, which draw into the axes given as ``ax``.  It
        raises :class:`~clustersim.InputError` if the study does not contain the required data.
    takes, needs : tuple of str
        The :data:`FIELDS` that an entry may have, and the fields that it must have.
    check : callable, optional
        Function that takes the :class:`~clustersim.studies.spec.StudySpec` and the entry, and
        returns a list of further problems.
    check_name : callable
        Function that takes the same arguments, a field and a name in the field, and returns what is
        wrong with the name; by default :func:`known_names`.
    per_period : bool
        Whether the metrics of `y` are shown for each period.
    grouped : bool
        Whether an entry may have `groups`, which divide the values of `x` among panels.
    pictures : callable, optional
        Function that takes the same arguments as `panels` and returns the entry as several entries,
        one for each picture. By default, all panels are in one picture.
    beside : callable, optional
        Function that takes the same arguments as `panels` and returns further panels, which a
        figure with a single panel, or with a panel for each group, shows below.
    file : str
        The plugin file that registers the kind; "" for a built-in kind.  Set by the registry.

    Examples
    --------
    >>> import clustersim as cs
    >>> def panels(result, plot):
    ...     def runs(ax):
    ...         ax.bar(["runs"], [len(result.runs)])
    ...     return [runs]
    >>> kind = cs.PlotKind(name="count", title="Runs", description="Number of runs.", panels=panels)
    >>> kind.takes
    ()
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
    grouped: bool = False
    pictures: Callable[[StudyResult, Plot], Sequence[Plot]] | None = None
    beside: Callable[[StudyResult, Plot], Sequence[Panel]] | None = None
    file: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise InputError(f"plot kind {self.name!r}", problem)

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            yield (
                "name must consist of lower-case letters, digits and dashes and start with a letter"
            )
        for field in ("title", "description"):
            text = getattr(self, field)
            if not (isinstance(text, str) and text.strip()):
                yield f"{field} must be a non-empty string, found {shown(text)}"
        for field in ("panels", "check", "check_name", "pictures"):
            function = getattr(self, field)
            optional = field in ("check", "pictures")
            if not callable(function) and not (optional and function is None):
                yield f"{field} must be a function, found {shown(function)}"
        for field in ("takes", "needs"):
            for name in getattr(self, field):
                if name not in FIELDS:
                    yield unknown_name(f"field in {field}", name, FIELDS)
        if missing := [name for name in self.needs if name not in self.takes]:
            yield f"needs: {', '.join(missing)} must also be listed in takes"

    def drawn_pictures(self, result: StudyResult, plot: Plot) -> Sequence[Plot]:
        """Return an entry as the entries of its pictures.

        Raises
        ------
        InputError
            If user code fails or returns something else.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.studies.spec import Plot
        >>> kind = cs.PlotKind(
        ...     name="twice",
        ...     title="Runs",
        ...     description="The same picture twice.",
        ...     panels=lambda result, plot: [],
        ...     pictures=lambda result, plot: [plot, plot],
        ... )
        >>> cs.register_plot(kind)
        >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
        >>> base = {"cluster": "mixed-small", "workload": jobs}
        >>> study = {"name": "one", "base": base, "parameters": {"scheduler.policy": ["fcfs"]}}
        >>> cs.run_study({**study, "replications": 1}, "out", workers=1)
        True
        >>> len(kind.drawn_pictures(cs.load_result("out"), Plot(kind="twice")))
        2
        """
        if self.pictures is None:
            return [plot]
        with _named(self):
            pictures = self.pictures(result, plot)
        listed = isinstance(pictures, (list, tuple))
        if not listed or not all(isinstance(entry, type(plot)) for entry in pictures):
            problem = f"pictures must return a list of plots, found {shown(pictures)}"
            raise InputError(self.file or "plots", f"plot kind {self.name!r}: {problem}")
        return pictures or [plot]

    def drawn_panels(self, result: StudyResult, plot: Plot) -> Sequence[Panel]:
        """Return the panels of a plot.

        Raises
        ------
        InputError
            If the study does not contain the required data, or user code fails.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.studies.spec import Plot
        >>> def panels(result, plot):
        ...     return [lambda ax: ax.bar(["runs"], [len(result.runs)])]
        >>> about = {"title": "Runs", "description": "Number of runs."}
        >>> kind = cs.PlotKind(name="count", **about, panels=panels)
        >>> cs.register_plot(kind)
        >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
        >>> base = {"cluster": "mixed-small", "workload": jobs}
        >>> study = {"name": "one", "base": base, "parameters": {"scheduler.policy": ["fcfs"]}}
        >>> cs.run_study({**study, "replications": 1}, "out", workers=1)
        True
        >>> plot = Plot(kind="count")
        >>> len(kind.drawn_panels(cs.load_result("out"), plot))
        1
        """
        with _named(self):
            panels = self.panels(result, plot)
        if self.file and (not isinstance(panels, (list, tuple)) or not all(map(callable, panels))):
            problem = f"panels must return a list of functions, found {shown(panels)}"
            raise InputError(self.file, f"plot kind {self.name!r}: {problem}")
        if not panels:
            raise InputError(
                self.file or "plots", f"plot kind {self.name!r}: panels returned an empty list"
            )
        return [_Guarded(self, panel) for panel in panels] if self.file else panels

    def problems(self, spec: StudySpec, plot: Plot) -> Iterator[str]:
        """Yield the problems of an entry of `plots`, with the name of the field if there is one.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.studies.spec import Plot
        >>> about = {"title": "Nothing", "description": "No panels."}
        >>> kind = cs.PlotKind(name="nothing", **about, panels=lambda result, plot: [])
        >>> cs.register_plot(kind)
        >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
        >>> base = {"cluster": "mixed-small", "workload": jobs}
        >>> tree = {"name": "one", "base": base, "parameters": {"scheduler.policy": ["fcfs"]}}
        >>> study = cs.define_study(tree)
        >>> list(kind.problems(study.spec, Plot(kind="nothing", x="scheduler.policy")))
        ['.x: not allowed for kind nothing, which takes none of x, y, by and value']
        """
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
                yield f".{field}: not allowed for kind {self.name}, which takes {takes}"
        if plot.groups is not None and not self.grouped:
            yield f".groups: not allowed for kind {self.name}"
        for field, names in given.items():
            for name in names if field in self.takes else ():
                with _named(self):
                    found = list(self.check_name(spec, plot, field, name))
                yield from (f".{field}: {problem}" for problem in found)


@contextmanager
def _named(kind: PlotKind) -> Iterator[None]:
    """Attribute an error in this block to a user-defined plot kind."""
    if not kind.file:
        yield
        return
    with users_code(kind.file, f"plot kind {kind.name!r}"):
        yield


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A user-defined panel; an error in the panel names its file."""

    kind: PlotKind
    panel: Panel

    def __call__(self, **arguments: Any) -> None:
        with _named(self.kind):
            self.panel(**arguments)


def _kind_name(name: str) -> str:
    if find_plot_kind(name) is None:
        raise ValueError(unknown_item("plot kind", name, PLOT_KINDS.items))
    return name


def plot_kind_schema() -> dict[str, Any]:
    """Return the JSON Schema of plot kind names."""
    return {
        "anyOf": [
            {"const": kind.name, "title": kind.title, "description": kind.description}
            for kind in PLOT_KINDS.items.values()
        ]
    }


class _KindSchema:
    """Writes the names of all kinds, including those of loaded plugins, into a JSON Schema."""

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
    """Register a user-defined plot kind from a file given by ``--plugins`` or ``plugins:``.

    Parameters
    ----------
    kind : PlotKind

    Raises
    ------
    InputError
        If a built-in kind has this name.

    Examples
    --------
    >>> import clustersim as cs
    >>> def panels(result, plot):
    ...     def bars(ax):
    ...         ax.bar(result.points[plot.x].map(str), result.points[plot.ys[0]])
    ...     return [bars]
    >>> cs.register_plot(
    ...     cs.PlotKind(
    ...         name="bars",
    ...         title="Bars",
    ...         description="A metric by a parameter, as bars.",
    ...         panels=panels,
    ...         takes=("x", "y"),
    ...         needs=("x", "y"),
    ...     )
    ... )
    >>> from clustersim.studies.plot_kinds import find_plot_kind
    >>> find_plot_kind("bars").title
    'Bars'
    """
    if not isinstance(kind, PlotKind):
        raise InputError("register_plot", f"needs a clustersim.PlotKind, found {shown(kind)}")
    PLOT_KINDS.register(kind)


def find_plot_kind(name: str) -> PlotKind | None:
    """Return the plot kind of the given name; None if it is unknown."""
    return PLOT_KINDS.get(name)


def check_plots(spec: StudySpec) -> Iterator[str]:
    """Yield the problems of the plots of a study, one line each."""
    for index, plot in enumerate(spec.plots):
        kind = find_plot_kind(plot.kind)
        assert kind is not None, "the name of the kind was checked"
        yield from (f"plots[{index}]{problem}" for problem in kind.problems(spec, plot))
