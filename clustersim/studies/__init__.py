"""Studies: many runs, and what can be concluded from them."""

from clustersim.studies.conduct import Progress, run_study
from clustersim.studies.study import Study, define_study, load_study
from clustersim.studies.study_result import StudyResult, load_result

__all__ = [
    "Progress",
    "Study",
    "StudyResult",
    "define_study",
    "load_result",
    "load_study",
    "run_study",
]
