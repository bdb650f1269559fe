"""The plugin files of a study, with the user-defined metrics and plots that it can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clustersim.analysis.metrics import METRICS, find_metric, metric_names
from clustersim.analysis.registry import SESSION, Plugin, load_plugins
from clustersim.errors import InputError, named_in
from clustersim.extended import read_extended
from clustersim.scenario.file_names import full_path
from clustersim.shipped import existing_file
from clustersim.studies.plot_kinds import find_plot_kind
from clustersim.studies.spec import StudySpec

__all__ = ["check_plugins", "metric_files", "study_plugins"]


def study_plugins(fields: Mapping[str, Any], source: str | Path, folder: Path) -> list[Plugin]:
    """Load the plugin files that a study and its base scenario name.

    A value that is not a list of names is ignored here; the check of the file reports it.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    with named_in(source, "plugins"):
        return load_plugins([*_named(fields, folder), *_of_base(fields.get("base"), folder)])


def _of_base(base: Any, folder: Path) -> Iterator[str]:
    if isinstance(base, str) and base:
        try:
            path = existing_file(base, folder, within="experiments")
            yield from _named(read_extended(path), path.parent)
        except InputError:
            return  # the base is read again later, and its problems are reported then
    elif isinstance(base, Mapping):
        yield from _named(base, folder)


def _named(fields: Mapping[str, Any], folder: Path) -> Iterator[str]:
    names = fields.get("plugins")
    for name in names if isinstance(names, (list, tuple)) else ():
        if isinstance(name, str) and name:
            found = str(full_path(folder, name))
            yield found if Path(found).is_absolute() else str(folder / found)


def metric_files(plugins: Sequence[Plugin]) -> tuple[str, ...]:
    """Return the files that register metrics, on which the numbers of a run depend."""
    return tuple(plugin.file for plugin in plugins if plugin.of(METRICS))


def check_plugins(spec: StudySpec, plugins: Sequence[Plugin]) -> Iterator[str]:
    """Yield one line for each user-defined metric or plot that no plugin of the study registers."""
    files = {plugin.file for plugin in plugins}
    known = [name for name in metric_names() if METRICS.items[name].file in ("", *files)]
    for field, name in dict.fromkeys(spec.named_metrics):
        metric = find_metric(name)
        if metric is not None and metric.name not in known:
            yield f"{field}: {name} {_not_named(metric.file)}"
    for index, plot in enumerate(spec.plots):
        kind = find_plot_kind(plot.kind)
        if kind is not None and kind.file not in ("", *files):
            yield f"plots[{index}].kind: {plot.kind} {_not_named(kind.file)}"


def _not_named(file: str) -> str:
    if file == SESSION:
        return (
            "is registered only in this session, so worker processes cannot find it; register it "
            "in a file, and list the file under `plugins`"
        )
    return f"is registered by {file}, which the study does not list under `plugins`"
