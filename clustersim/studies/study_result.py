"""The result of a study: the table of its runs, and the conclusions from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import is_constant
from clustersim.analysis.samples import Sample
from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.errors import InputError, check_kind
from clustersim.files import read_yaml
from clustersim.simulation.result import PROVENANCE
from clustersim.source_code import Code
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.capacity.capacities import capacities_table
from clustersim.studies.capacity.gains import gains_table
from clustersim.studies.capacity.trials import without_pilots
from clustersim.studies.conclusions import differences_table, indices_table
from clustersim.studies.design import column_value
from clustersim.studies.execution import STUDY_FILE
from clustersim.studies.overload import overload_by_period
from clustersim.studies.points import points_table
from clustersim.studies.runs_table import parameter_columns, runs_table
from clustersim.studies.store_file import open_store
from clustersim.studies.study import Study, define_study

__all__ = ["StudyResult", "load_result"]


@dataclass(frozen=True, repr=False)
class StudyResult(Brief):
    """Tables of a study.

    Attributes
    ----------
    study : Study
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    series : dict of str to float64 array
        Mean wait (seconds) of consecutive groups of jobs of each run, by hash of the run.
    samples : dict of str to dict of str to Sample
        Distributions over the measured jobs of each run, by hash of the run; see
        :class:`~clustersim.analysis.measures.Measured`.
    codes : dict of str to Code
        Versions of the code that made runs, by their label in the column ``code`` of `runs`.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
    >>> base = {"cluster": "mixed-small", "workload": jobs}
    >>> grid = {"workload.load": [0.5, 0.9]}
    >>> study = {"name": "two loads", "base": base, "parameters": grid, "replications": 2}
    >>> cs.run_study(study, "out", workers=1)
    True
    >>> result = cs.load_result("out")
    >>> result.points[["workload.load", "replications"]]
       workload.load  replications
    0            0.5             2
    1            0.9             2
    """

    study: Study
    runs: pd.DataFrame
    series: dict[str, Floats] = field(default_factory=dict, repr=False)
    codes: Mapping[str, Code] = field(default_factory=dict, repr=False)
    samples: Mapping[str, Mapping[str, Sample]] = field(default_factory=dict, repr=False)

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        failed = int((self.runs["status"] == "failed").sum()) if "status" in self.runs else 0
        return f"StudyResult {self.study.spec.name!r}", {
            "points": f"{len(self.study.points):,}",
            "runs": f"{len(self.runs):,}",
            "failed": f"{failed:,}" if failed else "",
            "parameters": ", ".join(self.parameters),
            "metrics": ", ".join(self.metrics),
        }

    @property
    def parameters(self) -> list[str]:
        """Columns of the parameters."""
        return parameter_columns(self.study)

    @property
    def metrics(self) -> list[str]:
        """Metrics that the study asks for, and constant metrics of the fleet.

        It asks for those in its ``metrics``, objective, comparison and plots.
        """
        spec = self.study.spec
        asked = [*spec.metrics, *([spec.objective.metric] if spec.objective else [])]
        asked += spec.compare.metrics if spec.compare else []
        columns = [str(name) for name in self.runs.columns]
        known = [name for name in (*asked, *spec.plotted) if name in columns]
        facts = [name for name in columns if is_constant(name)]
        return [name for name in dict.fromkeys([*known, *facts]) if name not in self.parameters]

    @property
    def steady(self) -> bool:
        """Whether the study assumes a steady state; with periods or a log, it does not."""
        return self.study.spec.window.periods is None and not self.of_log

    @property
    def of_log(self) -> bool:
        """Whether the jobs of the study come from a log."""
        return self.study.of_log

    @cached_property
    def points(self) -> pd.DataFrame:
        """One row per point; see :func:`~clustersim.studies.points.points_table`.

        Trial values of a pilot search, and those tried only for a draw, are left out.  If different
        versions of the code made the runs, a column ``code`` lists them.  With periods,
        ``overload_in`` names those with overload
        (:func:`~clustersim.studies.overload.overload_by_period`).
        """
        search = self.study.spec.capacity
        runs = self.runs
        if search is not None and not runs.empty:
            others = [name for name in self.parameters if name != search.of]
            runs = without_pilots(runs, others, search.of)
        points = points_table(
            runs, self.parameters, self.metrics, samples=self.samples, steady=self.steady
        )
        if search is not None and len(points):  # draws are searched at other values too
            points = points[(points["replications"] > 0) | (points["failed"] > 0)]
        names = self.study.spec.window.period_names
        if names and len(points):
            periods = points["point"].map(overload_by_period(self.runs, names)).fillna("")
            points.insert(list(points).index("rising") + 1, "overload_in", periods)
        if self.runs["code"].nunique() > 1:
            by_point = self.runs.groupby("point")["code"].agg(
                lambda own: " and ".join(own.unique())
            )
            points.insert(1, "code", points["point"].map(by_point))
        return points

    @cached_property
    def capacities(self) -> pd.DataFrame | None:
        """One row per search; see :mod:`~clustersim.studies.capacity.capacities`."""
        spec = self.study.spec
        if spec.capacity is None or self.runs.empty:
            return None
        assert spec.objective is not None, "the study file was checked"
        others = [name for name in self.parameters if name != spec.capacity.of]
        return capacities_table(
            self.runs, others, spec.capacity, spec.objective, samples=self.samples
        )

    @cached_property
    def gains(self) -> pd.DataFrame | None:
        """Paired gains in capacity; see :func:`~clustersim.studies.capacity.gains.gains_table`."""
        spec = self.study.spec
        if spec.compare is None or spec.capacity is None or self.runs.empty:
            return None
        assert spec.objective is not None, "the study file was checked"
        others = [name for name in self.parameters if name != spec.capacity.of]
        return gains_table(
            self.runs, others, spec.compare, spec.capacity, spec.objective, samples=self.samples
        )

    def gains_over(self, baseline: Any) -> pd.DataFrame | None:
        """Return paired gains in capacity over another value of the compared parameter.

        Parameters
        ----------
        baseline : object
            The value, as in the tables.

        Returns
        -------
        pandas.DataFrame or None
            See :func:`~clustersim.studies.capacity.gains.gains_table`.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = {"generate": "philly-2017", "jobs": 50}
        >>> study = {
        ...     "name": "two policies",
        ...     "base": {"cluster": "mixed-small", "workload": jobs},
        ...     "parameters": {"scheduler.policy": ["fcfs", "easy"]},
        ...     "replications": 2,
        ...     "objective": {"metric": "mean_wait_s", "at_most": "1 min"},
        ...     "capacity": {"between": [0.1, 0.9], "tolerance": 0.5},
        ...     "compare": {"of": "scheduler.policy", "baseline": "fcfs"},
        ... }
        >>> cs.run_study(study, "out", workers=1)
        True
        >>> cs.load_result("out").gains_over("easy")["system"].tolist()
        ['fcfs']
        """
        spec = self.study.spec
        if spec.compare is None or spec.capacity is None or spec.capacity.of not in self.runs:
            return None
        assert spec.objective is not None, "the study file was checked"
        compare = spec.compare.model_copy(update={"baseline": baseline})
        others = [name for name in self.parameters if name != spec.capacity.of]
        return gains_table(
            self.runs, others, compare, spec.capacity, spec.objective, samples=self.samples
        )

    @cached_property
    def differences(self) -> pd.DataFrame | None:
        """Paired differences; see :func:`~clustersim.studies.conclusions.differences_table`."""
        compare = self.study.spec.compare
        if compare is None or self._listed_runs.empty:
            return None
        return differences_table(
            self._listed_runs,
            self.parameters,
            of=compare.of,
            baseline=column_value(compare.baseline),
            metrics=compare.metrics or self.study.spec.metrics,
            samples=self.samples,
            steady=self.steady,
        )

    @property
    def _listed_runs(self) -> pd.DataFrame:
        """Runs at listed values, without the runs that a capacity search added."""
        spec = self.study.spec
        if spec.capacity is None:
            return self.runs
        changes = [
            point.changes for point in self.study.points if spec.capacity.of in point.changes
        ]
        listed = [column_value(change[spec.capacity.of]) for change in changes]
        return self.runs[self.runs[spec.capacity.of].isin(listed)]

    @cached_property
    def indices(self) -> pd.DataFrame | None:
        """Sobol indices; see :func:`~clustersim.studies.conclusions.indices_table`."""
        sample = self.study.spec.sample
        if sample is None or sample.method != "sobol-indices" or self.runs.empty:
            return None
        return indices_table(self.study, self.runs)

    def series_of(self, point: int) -> Floats:
        """Return the series of the replications of a point.

        Returns
        -------
        float64 array (replications, bins)
            Series at the posterior mean, truncated to the length of the shortest series.

        Examples
        --------
        >>> import clustersim as cs
        >>> base = {
        ...     "cluster": "mixed-small",
        ...     "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
        ... }
        >>> study = {"name": "one", "base": base, "parameters": {"scheduler.policy": ["fcfs"]}}
        >>> cs.run_study({**study, "replications": 2}, "out", workers=1)
        True
        >>> len(cs.load_result("out").series_of(0))
        2
        """
        chosen = (self.runs["point"] == point) & (self.runs["draw"] == POSTERIOR_MEAN)
        found = [self.series[key] for key in self.runs.loc[chosen, "run"] if key in self.series]
        found = [series for series in found if len(series)]
        if not found:
            raise InputError("point", f"no run of point {point} finished")
        bins = min(map(len, found))
        return np.array([series[:bins] for series in found])


def load_result(folder: str | Path) -> StudyResult:
    """Read the results in the folder of a study, even if some runs are still missing.

    Use :meth:`clustersim.Result.load` for the folder of a run (``clustersim run``).

    Raises
    ------
    InputError
        If the folder is not the folder of a study, or a file in it is damaged.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 50, "load": 0.5}
    >>> base = {"cluster": "mixed-small", "workload": jobs}
    >>> grid = {"scheduler.policy": ["fcfs", "easy"]}
    >>> study = {"name": "two policies", "base": base, "parameters": grid, "replications": 2}
    >>> cs.run_study(study, "out", workers=1)
    True
    >>> len(cs.load_result("out").runs)
    4
    """
    check_kind("folder", folder, (str, Path), "a path")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(folder, "no such folder")
    if not (folder / STUDY_FILE).is_file() and (folder / PROVENANCE).is_file():
        raise InputError(
            folder,
            "is the folder of a run, not of a study; read it with clustersim.Result.load(folder)",
        )
    if not (folder / STUDY_FILE).is_file():
        raise InputError(folder, f"has no {STUDY_FILE}; is it the folder of a study?")
    path = folder / STUDY_FILE
    with open_store(folder) as store:
        outcomes, begun, codes = store.outcomes(), store.study(), store.codes()
    document, wanted = begun or (read_yaml(path), [])
    study = define_study(document, source=path, folder=folder, check=False)
    runs = runs_table(study, wanted, outcomes, codes)
    made = set(runs["run"])
    series = {key: outcome.series for key, outcome in outcomes.items() if key in made}
    samples = {key: outcome.samples for key, outcome in outcomes.items() if key in made}
    labelled = {code.label: code for code in codes.values()}
    return StudyResult(study, runs, series, labelled, samples)
