"""The figures of a validation, by name."""

from __future__ import annotations

from clustersim.plots.figure import DOUBLE, StudyFigure, study_figure
from clustersim.plots.validation.causes import plot_capacity, plot_mechanisms
from clustersim.plots.validation.waits import plot_wait_groups, plot_wait_series, plot_waits
from clustersim.validation.result import GRANTED, Validation

__all__ = ["validation_figures"]

_MOST_MECHANISMS = 14


def validation_figures(found: Validation) -> dict[str, StudyFigure]:
    """Return the figures of a validation by name; those without data are left out."""
    figures: dict[str, StudyFigure] = {}
    if found.case.has_starts:
        figures["waits"] = study_figure(width=DOUBLE, panel_height=3.0)
        simulated = {name: found.simulated_s(name) for name in found.policies["waits"][1:]}
        series = {"recorded": "recorded", found.nearest: found.nearest}
        if found.granted and (start_s := found.granted[-1].start_s) is not None:
            keys = [each.key.replace("_", " ") for each in found.granted]
            name = " + ".join([found.granted[0].policy, *keys])
            series[GRANTED] = name
            simulated[name] = (start_s - found.case.submit_s)[found.case.compared]
        plot_waits(found.recorded_s, simulated, ax=figures["waits"].panels[0])
    table = found.mechanisms[found.mechanisms["untested"] == ""].head(_MOST_MECHANISMS)
    if len(table):
        figures["mechanisms"] = study_figure(width=DOUBLE)
        plot_mechanisms(table, found.distance_s, ax=figures["mechanisms"].panels[0])
    if found.case.has_starts:
        figures["groups"] = study_figure(width=DOUBLE)
        plot_wait_groups(found.groups, series, ax=figures["groups"].panels[0])
        weeks = "week" if (found.groups["kind"] == "week").any() else "day"
        for name, kind in (("hours", "hour"), ("weeks", weeks)):
            figures[name] = study_figure(width=DOUBLE, panel_height=2.4)
            plot_wait_series(found.groups, series, kind, ax=figures[name].panels[0])
        figures["capacity"] = study_figure(width=DOUBLE, panel_height=2.8)
        plot_capacity(found.use, ax=figures["capacity"].panels[0])
    return figures
