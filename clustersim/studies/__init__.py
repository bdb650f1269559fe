"""Studies: many runs and the conclusions from them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clustersim.errors import RenamedError, no_attribute

if TYPE_CHECKING:
    from clustersim.studies.execution import Progress, make_runs
    from clustersim.studies.study import Study, define_study, load_study
    from clustersim.studies.study_result import StudyResult, load_result

__all__ = [
    "Progress",
    "Study",
    "StudyResult",
    "define_study",
    "load_result",
    "load_study",
    "make_runs",
]

_HOME = {
    "Progress": "execution",
    "Study": "study",
    "StudyResult": "study_result",
    "define_study": "study",
    "load_result": "study_result",
    "load_study": "study",
    "make_runs": "execution",
}


def __getattr__(name: str) -> Any:
    if name == "run_study":
        raise RenamedError(__name__, name, "clustersim.run_study")
    if name not in _HOME:
        raise no_attribute(__name__, name, __all__)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
