"""Texts over the headings of a study's tables: the statistic and the interval of each column."""

from __future__ import annotations

import pandas as pd

from clustersim.analysis.metric_estimates import difference_text, estimate_text
from clustersim.analysis.metrics import is_metric
from clustersim.studies.study_result import StudyResult

__all__ = ["column_hints"]


def column_hints(result: StudyResult, frame: pd.DataFrame, of: str) -> dict[str, str]:
    """Return the statistic and the interval of each column that has an interval.

    Parameters
    ----------
    result : StudyResult
    frame : pandas.DataFrame
        Rows of the table of points, or of the differences in the metric `of`.
    of : str
        "" for the table of points.
    """
    columns = [str(name) for name in frame if f"{name}_low" in frame]
    if of:
        kinds = (name for name in columns if name in ("difference", "relative"))
        return {name: difference_text(of, relative=name == "relative") for name in kinds}
    most = int(result.points["replications"].max()) if len(result.points) else 0
    return {name: estimate_text(name, most) for name in columns if is_metric(name)}
